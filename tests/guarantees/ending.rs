//! How runs end: by a record that stops them, by their last stop, by a signal while nobody answers; and what may not
//! wait for them meanwhile.

use crate::exactly_once::complete;
use crate::flow::{Flow, stop, wait_left};
use sandbar_tests::client::{Isolation, Record};
use sandbar_tests::counted::Counted;
use sandbar_tests::kafka::Kafka;
use sandbar_tests::pipeline_file::unique;
use sandbar_tests::process::{Process, component, event};
use sandbar_tests::wait::{self, PATIENCE, promised, seconds};

#[test]
fn after_a_record_that_stops_the_run_the_next_one_begins_in_its_batch() {
    let mut flow = Flow::new(
        "fails",
        1,
        "start = \"earliest\"\nmax-batch = 10\nauto-commit-interval = \"1h\"\nsession-timeout = \"300s\"",
    );
    flow.file.plugin = component("refuses");
    flow.send(0..75);
    flow.client
        .producer()
        .send(&[Record::placed(&flow.input, 0, "fail here")]);
    let ended = flow.file.run().wait(PATIENCE);
    assert_eq!(ended.code, Some(10), "{}", ended.text);
    assert!(ended.text.contains("offset 75"), "{}", ended.text);
    assert_eq!(flow.numbers(), (0..70).collect::<Vec<_>>());
    flow.wait_committed(&[70]);
    wait_left(&flow.client, &flow.file.group());
}

#[test]
fn a_plugin_that_asks_for_a_retry_holds_no_other_member_up() {
    let mut flow = Flow::new(
        "retry",
        2,
        "start = \"earliest\"\nmax-batch = 10\nauto-commit-interval = \"200ms\"",
    );
    flow.file.plugin = component("refuses");
    let records: Vec<_> = (0..100)
        .map(|n| Record::placed(&flow.input, n % 2, &format!("retry {n:03}")))
        .collect();
    flow.client.producer().send(&records);
    let mut stuck = flow.file.run_member("stuck");
    stuck.wait_for("a retry", PATIENCE, |lines| {
        lines.iter().any(|line| line.contains("asks to be called again"))
    });
    flow.file.plugin = component("pass-through");
    let other = flow.file.run_member("other");
    flow.wait_count(50, &other);
    stop(stuck);
    flow.wait_count(100, &other);
    stop(other);
    let mut seen: Vec<_> = flow
        .client
        .read(&flow.output, Isolation::Committed)
        .iter()
        .map(Record::text)
        .collect();
    seen.sort_unstable();
    let sent: Vec<_> = (0..100).map(|n| format!("retry {n:03}")).collect();
    assert_eq!(seen, sent, "nothing is lost or repeated");
}

#[test]
fn a_bounded_run_does_not_end_before_its_last_positions_are_committed() {
    let kafka = Kafka::start(1);
    let mut flow = Flow::on(
        &kafka,
        "last-commit",
        1,
        "start = \"earliest\"\nstop = \"latest\"\nmax-batch = 1\nauto-commit-interval = \"1h\"\n\
         session-timeout = \"40s\"",
    );
    flow.file.plugin = component("loops-forever");
    flow.file.operator = "on-error = \"skip\"\n[operator.op.limits]\ncall-time = \"6s\"".into();
    let output = flow.file.path("out.jsonl");
    flow.file.sink = format!("file = \"{}\"", output.display());
    let lines = || std::fs::read_to_string(&output).map_or(0, |text| text.lines().count());
    flow.send(0..5);
    flow.client.producer().send(&[Record::placed(&flow.input, 0, "loop")]);
    let mut run = flow.file.run();
    wait::until_true("the records before the slow one", PATIENCE, || lines() == 5);
    kafka.pause(1);
    // The slow record takes two calls of 6 s; what is left then is the commit, which nobody answers.
    std::thread::sleep(seconds(20));
    assert!(run.is_running(), "it ended without its commit: {:?}", run.lines());
    kafka.resume(1);
    let ended = run.wait(PATIENCE);
    assert_eq!(ended.code, Some(0), "{}", ended.text);
    assert_eq!(lines(), 5);
    flow.wait_committed(&[6]);
}

#[test]
fn a_stop_takes_less_than_ten_seconds_while_the_broker_is_away_from_two_groups() {
    let kafka = Kafka::start(1);
    let mut flow = Flow::on(
        &kafka,
        "away",
        2,
        "start = \"earliest\"\nauto-commit-interval = \"500ms\"",
    );
    let second = unique("away-second");
    flow.client.create_topic(&second, 2);
    flow.file.top = "workers = 2".into();
    flow.file.tables = format!(
        "[source.second]\ntopics = [\"{second}\"]\ngroup = \"{second}\"\nstart = \"earliest\"\n\
         [operator.second-op]\nplugin = \"{}\"\ninputs = [\"second\"]\n\
         [sink.second-out]\nfrom = [\"second-op\"]\ntopic = \"{}\"\n",
        component("pass-through").display(),
        flow.output
    );
    let numbers: Vec<_> = (0..2000).map(|n| Record::placed(&second, n % 2, "7")).collect();
    flow.client.producer().send(&numbers);
    flow.send(0..200_000);
    let mut run = flow.file.run();
    run.wait_placed(4, PATIENCE);
    flow.wait_count(1, &run);
    kafka.pause(1);
    std::thread::sleep(seconds(1));
    let ended = run.stop(promised(10));
    kafka.resume(1);
    assert_eq!(ended.code, Some(0), "{}", ended.text);
}

/// A checkpoint waits for acknowledgements then. What it could not commit is read again, or done again.
#[test]
fn a_stop_in_a_checkpoint_takes_less_than_ten_seconds_while_the_broker_is_away() {
    let kafka = Kafka::start(1);
    for delivery in ["exactly-once", "at-least-once"] {
        let mut counted = Counted::on(&kafka, delivery, 2, 50);
        counted.file.top = format!("delivery = \"{delivery}\"");
        counted.send(0, 100_000);
        let mut run = counted.file.run();
        wait::until_true("it puts out", PATIENCE, || counted.visible() > 0);
        kafka.pause(1);
        std::thread::sleep(seconds(2));
        assert!(run.is_running(), "{}", run.lines().join("\n"));
        let ended = run.stop(promised(10));
        kafka.resume(1);
        assert_eq!(ended.code, Some(0), "{delivery}: {}", ended.text);
        let run = counted.file.run();
        if delivery == "exactly-once" {
            complete(&counted, run);
        } else {
            wait::until_true("every output is there", PATIENCE * 2, || counted.repeated().is_some());
            stop(run);
        }
    }
}

#[test]
fn a_restore_that_takes_long_says_how_far_it_is() {
    let counted = Counted::on(Kafka::shared(), "restore-told", 1, 50);
    let run = counted.file.run();
    for turn in 1..=4 {
        counted.send((turn - 1) * 500, 500);
        wait::until_true("its outputs are committed", PATIENCE, || {
            counted.visible() >= turn * 500
        });
    }
    stop(run);
    std::fs::remove_dir_all(counted.file.path("state").join("tasks")).unwrap();
    let path = counted.file.write("");
    let mut run = Process::start_with(
        &["run".as_ref(), path.as_os_str(), "-o".as_ref(), "json".as_ref()],
        &[("FAILPOINTS", "mid-restore=sleep(1100)")],
    );
    run.wait_for("its end", PATIENCE, |lines| {
        let told: Vec<_> = lines.iter().filter_map(|line| event(line, "restore")).collect();
        let is_whole = |told: &serde_json::Value| told["done"] == told["total"] && told["total"].as_u64() > Some(0);
        told.len() > 1 && told.first().is_some_and(|first| !is_whole(first)) && told.last().is_some_and(is_whole)
    });
    complete(&counted, run);
}

#[test]
fn a_stop_takes_less_than_ten_seconds_while_a_restore_stands_still() {
    let counted = Counted::on(Kafka::shared(), "restore-stands", 2, 50);
    counted.send(0, 2000);
    complete(&counted, counted.file.run());
    std::fs::remove_dir_all(counted.file.path("state").join("tasks")).unwrap();
    let path = counted.file.write("");
    let run = Process::start_with(
        &["run".as_ref(), path.as_os_str(), "-o".as_ref(), "json".as_ref()],
        &[("FAILPOINTS", "mid-restore=sleep(600000)")],
    );
    wait::until_true("a restore is under way", PATIENCE, || {
        std::fs::read_dir(counted.file.path("state").join("tasks")).is_ok_and(|tasks| tasks.count() > 0)
    });
    let ended = run.stop(promised(10));
    assert_eq!(ended.code, Some(0), "{}", ended.text);
    counted.send(2000, 500);
    complete(&counted, counted.file.run());
}

#[test]
fn a_stop_takes_less_than_ten_seconds_in_a_batch_full_of_records_at_fault() {
    let mut flow = Flow::new("faults", 1, "start = \"earliest\"");
    flow.file.plugin = component("loops-forever");
    flow.file.operator = "on-error = \"skip\"\n[operator.op.limits]\ncall-time = \"1s\"".into();
    let records: Vec<_> = (0..200).map(|_| Record::placed(&flow.input, 0, "loop")).collect();
    flow.client.producer().send(&records);
    let run = flow.start();
    std::thread::sleep(seconds(3));
    let ended = run.stop(promised(10));
    assert_eq!(ended.code, Some(0), "{}", ended.text);
    flow.wait_committed(&[0]);
}

#[test]
fn a_broker_that_stands_still_at_the_start_ends_it_in_fifteen_seconds_and_a_signal_at_once() {
    let kafka = Kafka::start(1);
    let checkpoints = "[checkpoint]\nstore = \"checkpoints\"";
    for (delivery, tables) in [
        ("none", ""),
        ("at-least-once", checkpoints),
        ("exactly-once", checkpoints),
    ] {
        let mut flow = Flow::on(&kafka, "stands-still", 1, "start = \"earliest\"");
        flow.file.top = format!("delivery = \"{delivery}\"");
        flow.file.tables = tables.into();
        flow.send(0..10);
        kafka.pause(1);
        let ended = flow.file.run().wait(promised(15));
        assert_eq!(ended.code, Some(5), "{delivery}: {}", ended.text);
        assert!(
            ended.text.contains("failed to reach Kafka"),
            "{delivery}: {}",
            ended.text
        );
        let mut asked = flow.file.run();
        std::thread::sleep(seconds(2));
        assert!(asked.is_running(), "it waits for the broker");
        let ended = asked.stop(promised(2));
        kafka.resume(1);
        assert_eq!(ended.code, Some(0), "{delivery}: {}", ended.text);
        let run = flow.file.run();
        flow.wait_count(10, &run);
        stop(run);
    }
}

/// The look-ups of a start go to the leaders: if one is away, they are repeated, and a start that gives up says
/// whose.
#[test]
fn a_start_waits_for_leaders_and_names_the_partition_that_has_none() {
    let kafka = Kafka::start(3);
    // Kafka makes the topics of the groups' offsets and of transactions at first use, and only with all brokers there.
    let mut first = Flow::on(&kafka, "first", 1, "start = \"earliest\"\nstop = \"latest\"");
    first.file.top = "delivery = \"exactly-once\"".into();
    first.file.tables = "[checkpoint]\nstore = \"checkpoints\"".into();
    first.send(0..10);
    assert_eq!(first.file.run().wait(PATIENCE).code, Some(0));
    for brokers in [&[3][..], &[1, 3]] {
        let mut flow = Flow::on(&kafka, "leaderless", 1, "");
        flow.input = format!("{}-lone", flow.input);
        flow.file.source = format!("topics = [\"{}\"]\nstart = \"earliest\"", flow.input);
        flow.client.create_topic_on(&flow.input, brokers);
        flow.send(0..10);
        kafka.pause(3);
        wait::until_true("its partition has no leader", 2 * PATIENCE, || {
            flow.client.is_leaderless(&flow.input)
        });
        let ended = flow.file.run().wait(promised(15));
        let named = format!("no broker leads {}/{}", flow.input, brokers.len() - 1);
        assert_eq!(ended.code, Some(5), "{}", ended.text);
        assert!(ended.text.contains(&named), "{}", ended.text);
        let mut run = flow.file.run();
        std::thread::sleep(seconds(2));
        assert!(run.is_running(), "it waits for the leader: {}", run.lines().join("\n"));
        kafka.resume(3);
        flow.wait_count(10, &run);
        stop(run);
    }
}
