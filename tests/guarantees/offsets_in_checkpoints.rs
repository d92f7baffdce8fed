//! `offsets = "checkpoint"`: the checkpoints are the truth about positions, the group is told for monitoring or not at
//! all, and never asked.
//!
//! Flink's `setCommitOffsetsOnCheckpoints`, true and false. At least once: an output may repeat, but state and
//! positions are those of one prefix of the input, so that each count of each key is put out, and none beyond.

use crate::flow::{Flow, stop};
use sandbar_tests::client::{Isolation, Record};
use sandbar_tests::counted::Counted;
use sandbar_tests::kafka::Kafka;
use sandbar_tests::process::{self, Placed, Process};
use sandbar_tests::wait::{self, PATIENCE, seconds};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

#[test]
fn what_somebody_does_to_the_group_is_not_even_looked_at() {
    let counted = counted("ignored", "");
    counted.send(0, 1000);
    let run = counted.file.run();
    complete(&counted, run, Process::kill);
    let group = counted.file.group();
    for moved in [0, 3] {
        let elsewhere: Vec<_> = (0..4).map(|number| (counted.input.as_str(), number, moved)).collect();
        counted.client.commit(&group, &elsewhere);
        let exported = exported(&counted);
        counted.send(1000 + moved, 500);
        let mut run = counted.file.run();
        let placed = run.wait_placed(4, PATIENCE);
        assert_eq!(positions(&placed), exported, "it goes on at the checkpoint");
        assert!(
            placed
                .iter()
                .all(|placed| placed.origin.starts_with("committed (checkpoint ")),
            "{placed:?}"
        );
        complete(&counted, run, Process::kill);
    }
}

#[test]
fn kills_under_load_double_no_count_and_lose_none() {
    let counted = counted("killed", "");
    for kill in 0..wait::setting("SANDBAR_KILLS", 5) as i64 {
        counted.send(kill * 2000, 2000);
        let before = counted.visible();
        let mut run = counted.file.run();
        wait::until_true("it puts out", PATIENCE, || {
            counted.visible() > before || !run.is_running()
        });
        std::thread::sleep(Duration::from_millis(kill as u64 * 37 % 250));
        run.kill();
    }
    let run = counted.file.run();
    complete(&counted, run, |_| {});
}

#[test]
fn never_leaves_the_group_without_offsets_and_a_restart_goes_on() {
    let counted = counted("never", "commit-offsets = \"never\"");
    for turn in 0..3 {
        counted.send(turn * 1000, 1000);
        let run = counted.file.run();
        complete(&counted, run, if turn == 0 { Process::kill } else { |_| {} });
        let held = counted.client.committed(&counted.file.group(), &counted.input);
        assert!(held.is_empty(), "{held:?}");
        assert_eq!(exported(&counted).values().sum::<i64>(), (turn + 1) * 1000);
    }
}

#[test]
fn a_source_that_was_renamed_is_told_how_it_was_called() {
    let counted = counted("renamed-kept", "");
    counted.send(0, 500);
    complete(&counted, counted.file.run(), |_| {});
    let path = counted.file.write("");
    let text = std::fs::read_to_string(&path).unwrap();
    let renamed = text
        .replace("[source.in]", "[source.other]")
        .replace("inputs = [\"in\"]", "inputs = [\"other\"]");
    std::fs::write(&path, renamed).unwrap();
    let ended = process::run(&["run".as_ref(), path.as_os_str()]);
    assert_eq!(ended.code, Some(6), "{}", ended.text);
    assert!(ended.text.contains("belong to task `in/"), "{}", ended.text);
    counted.send(500, 500);
    complete(&counted, counted.file.run(), |_| {});
}

#[test]
fn monitoring_sees_the_positions() {
    let counted = counted("monitored", "commit-offsets = \"on-checkpoint\"");
    counted.send(0, 1000);
    let mut run = counted.file.run();
    wait::until_true("the group shows all of it", PATIENCE, || {
        assert!(run.is_running(), "{}", run.lines().join("\n"));
        let held = counted.client.committed(&counted.file.group(), &counted.input);
        held.values().map(|held| held.offset).sum::<i64>() == 1000
    });
    complete(&counted, run, |_| {});
    let held = counted.client.committed(&counted.file.group(), &counted.input);
    let held: BTreeMap<_, _> = held.iter().map(|(number, held)| (*number, held.offset)).collect();
    assert_eq!(held, exported(&counted));
}

#[test]
fn latest_and_a_kill_before_the_first_interval_skip_nothing() {
    let mut counted = counted("latest", "commit-offsets = \"never\"");
    counted.file.source = counted.file.source.replace("\"earliest\"", "\"latest\"");
    let short = counted.file.tables.replace("100ms", "1h");
    let often = std::mem::replace(&mut counted.file.tables, short);
    counted.send(0, 300);
    let mut run = counted.file.run();
    let first = positions(&run.wait_placed(4, PATIENCE));
    assert_eq!(first.values().sum::<i64>(), 300);
    run.kill();
    counted.send(300, 200);
    counted.file.tables = often;
    let mut run = counted.file.run();
    assert_eq!(positions(&run.wait_placed(4, PATIENCE)), first);
    wait::until_true("what came in between is put out", PATIENCE, || {
        assert!(run.is_running(), "{}", run.lines().join("\n"));
        shown(&counted).values().map(BTreeSet::len).sum::<usize>() == 200
    });
    stop(run);
}

#[test]
fn offsets_kept_outside_and_maintained_by_hand() {
    let counted = counted("by-hand", "commit-offsets = \"never\"");
    counted.send(0, 1000);
    let run = counted.file.run();
    complete(&counted, run, |_| {});
    let file = counted.file.path("offsets.json");
    std::fs::write(&file, export(&counted)).unwrap();

    let mut next = self::counted("by-hand-next", "commit-offsets = \"never\"");
    next.file.source = counted
        .file
        .source
        .replace("\"earliest\"", &format!("{{ file = \"{}\" }}", file.display()));
    next.input.clone_from(&counted.input);
    let mut sent = 1000;
    for origin in ["given", "committed"] {
        counted.send(sent, 500);
        sent += 500;
        let mut run = next.file.run();
        let placed = run.wait_placed(4, PATIENCE);
        assert!(
            placed.iter().all(|placed| placed.origin.starts_with(origin)),
            "{placed:?}"
        );
        wait::until_true("what came since is put out", PATIENCE, || {
            assert!(run.is_running(), "{}", run.lines().join("\n"));
            shown(&next).values().map(BTreeSet::len).sum::<usize>() as i64 == sent - 1000
        });
        wait::until_true("and stored", PATIENCE, || exported(&next).values().sum::<i64>() == sent);
        run.kill();
    }
}

/// Numbers, at least once, with their positions in the checkpoints and no state.
fn flow(name: &str, partitions: i32) -> Flow {
    let lines = "start = \"earliest\"\noffsets = \"checkpoint\"\ndiscovery-interval = \"200ms\"";
    let mut flow = Flow::new(name, partitions, lines);
    flow.file.top = "delivery = \"at-least-once\"\nworkers = 2".into();
    flow.file.tables = "[checkpoint]\ninterval = \"100ms\"\nstore = \"checkpoints\"".into();
    flow
}

#[test]
fn a_partition_found_later_is_read_from_its_beginning() {
    let flow = flow("found", 4);
    flow.send(0..400);
    let run = flow.file.run();
    flow.wait_count(400, &run);
    flow.client.add_partitions(&flow.input, 6);
    let late = |number: i32| Record::placed(&flow.input, 4 + number % 2, &(400 + number).to_string());
    flow.client.producer().send(&(0..20).map(late).collect::<Vec<_>>());
    flow.wait_count(420, &run);
    stop(run);
    let mut run = flow.file.run();
    let placed = run.wait_placed(6, PATIENCE);
    assert!(
        placed
            .iter()
            .all(|placed| placed.origin.starts_with("committed (checkpoint ")),
        "{placed:?}"
    );
    stop(run);
    assert_eq!(flow.sorted(), (0..420).collect::<Vec<_>>());
}

#[test]
fn a_worker_that_had_nothing_takes_a_partition_that_is_found() {
    let flow = flow("grown", 1);
    flow.send(0..100);
    let run = flow.file.run();
    flow.wait_count(100, &run);
    for found in 1..5 {
        flow.client.add_partitions(&flow.input, found + 1);
        let number = |number: usize| Record::placed(&flow.input, found as i32, &(80 + 20 * found + number).to_string());
        flow.client.producer().send(&(0..20).map(number).collect::<Vec<_>>());
        flow.wait_count(100 + 20 * found as i64, &run);
    }
    stop(run);
    assert_eq!(flow.sorted(), (0..180).collect::<Vec<_>>());
}

#[test]
fn a_bounded_run_whose_last_checkpoint_cannot_be_written_fails() {
    let mut counted = counted_over(1, "last", "");
    counted.file.source += &format!("\nstop = {{ offsets = {{ {} = {{ 0 = 100 }} }} }}", counted.input);
    counted.file.tables = counted.file.tables.replace("100ms", "1h");
    counted.send(0, 50);
    let mut run = counted.file.run();
    run.wait_placed(1, PATIENCE);
    wait::until_true("it puts out", PATIENCE, || counted.visible() == 50);
    // A file where the folder was: nothing can be written below it, whoever runs the test.
    let bundles = counted
        .file
        .path("checkpoints")
        .join(&counted.file.name)
        .join("bundles");
    let aside = counted.file.path("aside");
    std::fs::rename(&bundles, &aside).unwrap();
    std::fs::write(&bundles, "").unwrap();
    counted.send(50, 50);
    let ended = run.wait(PATIENCE);
    assert_eq!(ended.code, Some(6), "{}", ended.text);
    assert!(ended.text.contains("failed to take a checkpoint"), "{}", ended.text);

    std::fs::remove_file(&bundles).unwrap();
    std::fs::rename(&aside, &bundles).unwrap();
    let ended = counted.file.run().wait(PATIENCE);
    assert_eq!(ended.code, Some(0), "{}", ended.text);
    assert_eq!(exported(&counted)[&0], 100);
    assert!(agrees(&counted), "the next run does again what was not kept");
}

#[test]
fn a_second_process_on_the_same_folder_is_refused() {
    let counted = counted("second", "");
    let mut run = counted.file.run();
    run.wait_placed(4, PATIENCE);
    let second = counted.file.run().wait(PATIENCE);
    assert_eq!(second.code, Some(6), "{}", second.text);
    assert!(second.text.contains("has it"), "{}", second.text);
    stop(run);
}

#[test]
fn a_bounded_run_that_was_killed_ends_where_its_first_start_said() {
    let counted = counted("bounded", "commit-offsets = \"never\"\nstop = \"latest\"");
    counted.send(0, 400);
    // It dies with its first checkpoint written and no record processed.
    let mut run = armed(&counted, "after-bundle=return");
    wait::until_true("it dies", PATIENCE, || !run.is_running());
    assert_eq!(counted.visible(), 0);
    counted.send(400, 200);
    let mut run = armed(&counted, "after-apply=return");
    wait::until_true("it dies again", PATIENCE, || !run.is_running());
    let ended = counted.file.run().wait(PATIENCE);
    assert_eq!(ended.code, Some(0), "{}", ended.text);
    assert_eq!(exported(&counted).values().sum::<i64>(), 400);
    assert_eq!(shown(&counted).values().map(BTreeSet::len).sum::<usize>(), 400);
}

#[test]
fn of_two_processes_with_a_state_folder_each_one_ends_and_says_so() {
    let counted = counted("alone", "");
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut sent = 0;
            while !done.load(std::sync::atomic::Ordering::Relaxed) && sent < 200_000 {
                counted.send(sent, 100);
                sent += 100;
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        let mut first = counted.file.run_member("1");
        wait::until_true("it puts out", PATIENCE, || {
            counted.visible() > 100 || !first.is_running()
        });
        let mut second = counted.file.run_member("2");
        wait::until_true("one of them ends", PATIENCE, || {
            !(first.is_running() && second.is_running())
        });
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        let (ended, mut other) = if first.is_running() {
            (second, first)
        } else {
            (first, second)
        };
        let ended = ended.wait(seconds(1));
        assert_eq!(ended.code, Some(6), "{}", ended.text);
        assert!(
            ended.text.contains("another process writes the checkpoints"),
            "{}",
            ended.text
        );
        other.kill();
    });
    complete(&counted, counted.file.run(), |_| {});
}

#[test]
fn topics_that_meet_count_into_one_state_whatever_dies() {
    let mut counted = counted("meet-kept", "");
    let second = format!("{}-second", counted.input);
    counted.client.create_topic(&second, 4);
    let alone = format!("topics = [\"{}\"]", counted.input);
    let both = format!("topics = [\"{}\", \"{second}\"]", counted.input);
    counted.file.source = counted.file.source.replace(&alone, &both);
    let producer = counted.client.producer();
    let mut owed: BTreeMap<Vec<u8>, i64> = BTreeMap::new();
    for turn in 0..6 {
        let mut records = counted.records(turn * 500, 500);
        records.extend(counted.records(turn * 500, 500).into_iter().map(|record| Record {
            topic: second.clone(),
            ..record
        }));
        producer.send(&records);
        for record in records {
            *owed.entry(record.key.unwrap()).or_default() += 1;
        }
        let before = counted.visible();
        let mut run = counted.file.run();
        wait::until_true("it puts out", PATIENCE, || counted.visible() > before + 100);
        run.kill();
        if turn == 3 {
            std::fs::remove_dir_all(counted.file.path("state")).unwrap();
        }
    }
    // Each count of each key is there, as if both topics were one, and none beyond.
    let owed: BTreeMap<_, BTreeSet<i64>> = owed
        .into_iter()
        .map(|(key, count)| (key, (1..=count).collect()))
        .collect();
    let run = counted.file.run();
    wait::until_true("every count is put out", PATIENCE * 2, || {
        std::thread::sleep(Duration::from_millis(200));
        shown(&counted) == owed
    });
    stop(run);
    assert_eq!(shown(&counted), owed, "nothing is added at the end");
}

#[test]
fn topics_behind_a_pattern_go_on_at_their_checkpoints() {
    let mut flow = Flow::new("pattern-kept", 2, "");
    let other = format!("{}-other", flow.input);
    flow.client.create_topic(&other, 3);
    flow.file.source = format!(
        "topic-pattern = \"{}.*\"\nstart = \"earliest\"\noffsets = \"checkpoint\"\ncommit-offsets = \"never\"\n\
         discovery-interval = \"300ms\"",
        flow.input
    );
    flow.file.top = "delivery = \"at-least-once\"\nworkers = 2".into();
    flow.file.tables = "[checkpoint]\ninterval = \"100ms\"\nstore = \"checkpoints\"".into();
    let send = |topic: &str, numbers: std::ops::Range<i64>| {
        let partitions = flow.client.partitions(topic).len() as i64;
        let record = |number: i64| Record::placed(topic, (number % partitions) as i32, &number.to_string());
        flow.client.producer().send(&numbers.map(record).collect::<Vec<_>>());
    };
    send(&flow.input, 0..100);
    send(&other, 1000..1100);
    let mut run = flow.file.run();
    flow.wait_count(200, &run);
    run.kill();
    send(&flow.input, 100..200);
    let mut run = flow.file.run();
    let placed = run.wait_placed(5, PATIENCE);
    assert!(
        placed
            .iter()
            .all(|placed| placed.origin.starts_with("committed (checkpoint ")),
        "{placed:?}"
    );
    let late = format!("{}-late", flow.input);
    flow.client.create_topic(&late, 1);
    send(&late, 2000..2050);
    let wanted: BTreeSet<i64> = (0..200).chain(1000..1100).chain(2000..2050).collect();
    wait::until_true("each record is put out", PATIENCE, || {
        assert!(run.is_running(), "{}", run.lines().join("\n"));
        flow.numbers().into_iter().collect::<BTreeSet<_>>() == wanted
    });
    stop(run);
    // Nothing is left to do, and nothing is done again.
    let before = flow.count();
    let mut run = flow.file.run();
    run.wait_placed(6, PATIENCE);
    stop(run);
    assert_eq!(flow.count(), before);
}

/// A run that dies at a point.
fn armed(counted: &Counted, armed: &str) -> Process {
    let path = counted.file.write("");
    let arguments = ["run".as_ref(), path.as_os_str(), "-o".as_ref(), "json".as_ref()];
    Process::start_with(&arguments, &[("FAILPOINTS", armed)])
}

/// A running count per key, at least once, with its positions in the checkpoints.
fn counted(name: &str, source: &str) -> Counted {
    counted_over(4, name, source)
}

fn counted_over(partitions: i32, name: &str, source: &str) -> Counted {
    let mut counted = Counted::on(Kafka::shared(), name, partitions, 50);
    counted.file.top = "delivery = \"at-least-once\"\nworkers = 2".into();
    counted.file.source += &format!("\noffsets = \"checkpoint\"\n{source}");
    counted
}

/// Waits until everything that was sent is put out and stored, ends the run by `end` and, if it lives, by a signal.
fn complete(counted: &Counted, mut run: Process, end: fn(&mut Process)) {
    wait::until_true("every count is put out", PATIENCE * 2, || {
        assert!(run.is_running(), "it runs: {}", run.lines().join("\n"));
        std::thread::sleep(Duration::from_millis(200));
        agrees(counted)
    });
    end(&mut run);
    if run.is_running() {
        stop(run);
    }
    assert!(agrees(counted), "nothing is added at the end");
}

/// Whether each key shows each of its counts; one beyond what was sent is state that does not belong to its positions.
fn agrees(counted: &Counted) -> bool {
    let mut owed: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
    for record in counted.client.read(&counted.input, Isolation::Committed) {
        *owed.entry(record.key.unwrap()).or_default() += 1;
    }
    let shown = shown(counted);
    owed.iter().all(|(key, owed)| {
        let Some(shown) = shown.get(key) else { return false };
        let key = String::from_utf8_lossy(key);
        assert!(
            shown.last() <= Some(&(*owed as i64)),
            "{key} counts to {:?}, and {owed} were sent",
            shown.last()
        );
        shown.len() == *owed
    })
}

/// The counts of each key; an output may repeat.
fn shown(counted: &Counted) -> BTreeMap<Vec<u8>, BTreeSet<i64>> {
    let mut shown: BTreeMap<_, BTreeSet<i64>> = BTreeMap::new();
    for record in counted.client.read(&counted.output, Isolation::Committed) {
        let count = record.text().parse().unwrap();
        shown.entry(record.key.unwrap()).or_default().insert(count);
    }
    shown
}

fn export(counted: &Counted) -> String {
    let path = counted.file.write("");
    let ended = process::run(&["offsets".as_ref(), "export".as_ref(), path.as_os_str()]);
    assert_eq!(ended.code, Some(0), "{}", ended.text);
    ended.text
}

/// The positions by partition, as `sandbar offsets export` tells them.
fn exported(counted: &Counted) -> BTreeMap<i32, i64> {
    let offsets: BTreeMap<String, BTreeMap<i32, i64>> = serde_json::from_str(&export(counted)).unwrap();
    offsets.get(&counted.input).cloned().unwrap_or_default()
}

fn positions(placed: &[Placed]) -> BTreeMap<i32, i64> {
    let number = |placed: &Placed| placed.partition.rsplit_once('/').unwrap().1.parse().unwrap();
    placed.iter().map(|placed| (number(placed), placed.from)).collect()
}
