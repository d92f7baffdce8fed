//! A restart goes on where it was, and what is found later is read from its beginning. Rows 14 to 16, 28, 29 and 48.

use crate::flow::{Flow, stop};
use sandbar_tests::client::{Isolation, Record};
use sandbar_tests::kafka::Kafka;
use sandbar_tests::pipeline_file::{PipelineFile, unique};
use sandbar_tests::process::event;
use sandbar_tests::wait::{self, PATIENCE};

#[test]
fn the_committed_position_wins_over_start() {
    let flow = Flow::new("wins", 2, "start = \"earliest\"\nstop = \"latest\"");
    flow.send(0..30);
    flow.finish();
    flow.send(30..40);
    let mut run = flow.file.run();
    let placed = run.wait_placed(2, PATIENCE);
    assert!(
        placed
            .iter()
            .all(|placed| placed.from == 15 && placed.origin == "committed"),
        "{placed:?}"
    );
    let ended = run.wait(PATIENCE);
    assert_eq!(ended.code, Some(0), "{}", ended.text);
    assert_eq!(flow.sorted(), (0..40).collect::<Vec<_>>());
}

#[test]
fn what_another_tool_committed_is_no_position_of_ours() {
    let flow = Flow::new("foreign", 1, "start = \"earliest\"\nstop = \"latest\"");
    flow.send(0..10);
    flow.client.commit(&flow.file.group(), &[(&flow.input, 0, 7)]);
    flow.finish();
    assert_eq!(flow.numbers(), (0..10).collect::<Vec<_>>());
}

#[test]
fn a_bounded_run_killed_midway_ends_at_the_stop_that_it_began_with() {
    let flow = Flow::new(
        "midway",
        1,
        "start = \"earliest\"\nstop = \"latest\"\nmax-batch = 50\nauto-commit-interval = \"20ms\"\n\
         session-timeout = \"1s\"",
    );
    let end = 400_000;
    flow.send(0..end);
    let mut run = flow.start();
    wait::until_true("a first commit", PATIENCE, || {
        flow.committed().get(&0).is_some_and(|offset| *offset > 0)
    });
    run.kill();
    let midway = flow.committed()[&0];
    assert!(0 < midway && midway < end, "killed midway: {midway}");
    flow.send(end..end + 100);
    flow.finish();
    let mut numbers = flow.sorted();
    numbers.dedup();
    assert_eq!(numbers.len() as i64, end, "from the first to the kept stop");
    assert_eq!(numbers.last(), Some(&(end - 1)), "nothing behind the kept stop");
}

#[test]
fn latest_and_a_crash_before_the_first_record_skip_nothing() {
    let flow = Flow::new("crash-latest", 2, "start = \"latest\"\nsession-timeout = \"1s\"");
    flow.send(0..10);
    flow.start().kill();
    flow.send(10..20);
    let run = flow.start();
    flow.wait_count(10, &run);
    stop(run);
    assert_eq!(flow.sorted(), (10..20).collect::<Vec<_>>());
}

#[test]
fn latest_and_a_stop_skip_nothing_on_partitions_without_records() {
    let flow = Flow::new("stop-latest", 3, "start = \"latest\"");
    flow.send(0..9);
    let run = flow.start();
    flow.client.producer().send(&[Record::placed(&flow.input, 0, "100")]);
    flow.wait_count(1, &run);
    stop(run);
    flow.send(9..18);
    let run = flow.start();
    flow.wait_count(10, &run);
    stop(run);
    assert_eq!(flow.sorted(), (9..18).chain([100]).collect::<Vec<_>>());
}

#[test]
fn a_partition_added_later_is_read_from_its_beginning() {
    let flow = Flow::new("grows", 1, "start = \"latest\"\ndiscovery-interval = \"1s\"");
    flow.send(0..5);
    let run = flow.start();
    flow.client.add_partitions(&flow.input, 2);
    let records: Vec<Record> = (10..20)
        .map(|n: i64| Record::placed(&flow.input, 1, &n.to_string()))
        .collect();
    flow.client.producer().send(&records);
    flow.wait_count(10, &run);
    stop(run);
    assert_eq!(flow.numbers(), (10..20).collect::<Vec<_>>());
}

#[test]
fn a_partition_added_between_two_runs_is_read_from_its_beginning() {
    let flow = Flow::new("grows-between", 1, "start = \"latest\"");
    flow.send(0..5);
    stop(flow.start());
    flow.client.add_partitions(&flow.input, 2);
    let records: Vec<Record> = (10..20)
        .map(|n: i64| Record::placed(&flow.input, 1, &n.to_string()))
        .collect();
    flow.client.producer().send(&records);
    let run = flow.start();
    flow.wait_count(10, &run);
    stop(run);
    assert_eq!(flow.numbers(), (10..20).collect::<Vec<_>>());
}

#[test]
fn a_topic_that_a_pattern_finds_later_is_read_from_its_beginning() {
    found_later(true);
}

#[test]
fn a_pattern_that_matched_nothing_reads_its_first_topic_from_the_beginning() {
    found_later(false);
}

fn found_later(one_at_first: bool) {
    let (client, name) = (Kafka::shared().client(), unique("found"));
    let (first, later, output) = (format!("{name}-in-1"), format!("{name}-in-2"), format!("{name}-out"));
    client.create_topic(&output, 1);
    if one_at_first {
        client.create_topic(&first, 1);
        client.producer().send(&[Record::placed(&first, 0, "before the start")]);
    }
    let source = format!("topic-pattern = \"{name}-in-.*\"\nstart = \"latest\"\ndiscovery-interval = \"1s\"");
    let file = PipelineFile::new(&Kafka::shared().bootstrap(), &name, &source, &output);
    let mut run = file.run();
    // What a crash would mean is told once the plan stands.
    run.wait_for("the plan stands", PATIENCE, |lines| {
        lines.iter().any(|line| event(line, "after-crash").is_some())
    });
    assert!(run.is_running());
    client.create_topic(&later, 2);
    client
        .producer()
        .send(&[Record::placed(&later, 0, "one"), Record::placed(&later, 1, "two")]);
    let mut seen = client.reader(&[&output], Isolation::Committed).take(2, PATIENCE);
    seen.sort_by_key(Record::text);
    assert_eq!(
        seen.iter().map(Record::text).collect::<Vec<_>>(),
        ["one", "two"],
        "it said:\n{}",
        run.lines().join("\n")
    );
    stop(run);
}

#[test]
fn a_topic_that_is_deleted_while_it_is_read_ends_the_run_and_is_named() {
    let flow = Flow::new("deleted", 2, "start = \"earliest\"\ndiscovery-interval = \"1s\"");
    flow.send(0..10);
    let run = flow.start();
    flow.wait_count(10, &run);
    flow.client.delete_topic(&flow.input);
    let ended = run.wait(PATIENCE);
    assert_eq!(ended.code, Some(5), "{}", ended.text);
    assert!(
        ended.text.contains(&format!("`{}`: it was deleted", flow.input)),
        "{}",
        ended.text
    );
}

#[test]
fn a_pattern_goes_on_with_the_topics_that_are_left() {
    let (client, name) = (Kafka::shared().client(), unique("shrinks"));
    let (kept, dropped, output) = (format!("{name}-in-1"), format!("{name}-in-2"), format!("{name}-out"));
    for topic in [&kept, &dropped, &output] {
        client.create_topic(topic, 1);
    }
    let source = format!("topic-pattern = \"{name}-in-.*\"\nstart = \"earliest\"\ndiscovery-interval = \"500ms\"");
    let file = PipelineFile::new(&Kafka::shared().bootstrap(), &name, &source, &output);
    let run = file.run();
    let mut reader = client.reader(&[&output], Isolation::Committed);
    let producer = client.producer();
    producer.send(&[Record::placed(&kept, 0, "one"), Record::placed(&dropped, 0, "two")]);
    assert_eq!(reader.take(2, PATIENCE).len(), 2);
    client.delete_topic(&dropped);
    for turn in 0..5 {
        producer.send(&[Record::placed(&kept, 0, &turn.to_string())]);
        let seen = reader.take(1, PATIENCE);
        assert_eq!(seen.iter().map(Record::text).collect::<Vec<_>>(), [turn.to_string()]);
        // So that the topic is looked for meanwhile.
        std::thread::sleep(std::time::Duration::from_millis(600));
    }
    stop(run);
}
