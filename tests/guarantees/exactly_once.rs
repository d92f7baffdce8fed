//! Outputs, state and positions are those of one prefix of the input, whatever dies. `SANDBAR_KILLS` sets how often
//! (usually 5).
//!
//! A read-committed reader runs along, and in the end every output is recomputed from the input.

use crate::flow::stop;
use sandbar_tests::client::{Isolation, Record};
use sandbar_tests::counted::Counted;
use sandbar_tests::kafka::Kafka;
use sandbar_tests::process::Process;
use sandbar_tests::wait::{self, PATIENCE, seconds, setting};
use sandbar_tests::{skip, target};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Where a checkpoint can be cut, and the program has a point for it.
pub const POINTS: [&str; 11] = [
    "after-begin",
    "mid-produce",
    "before-flush",
    "mid-bundle",
    "after-bundle",
    "before-send-offsets",
    "after-send-offsets",
    "end-txn-sent",
    "after-commit",
    "mid-apply",
    "after-apply",
];
/// Points that a run passes only when something else happens too.
pub const RARE_POINTS: [&str; 6] = [
    "mid-base",
    "mid-collection",
    "mid-restore",
    "in-revocation",
    "in-guest-call",
    "in-reinitialise",
];

#[test]
fn a_run_in_peace_counts_exactly() {
    let counted = Counted::on(Kafka::shared(), "peace", 4, 50);
    counted.send(0, 5000);
    let run = counted.file.run();
    complete(&counted, run);
}

#[test]
fn state_goes_on_after_a_stop() {
    let counted = Counted::on(Kafka::shared(), "goes-on", 4, 50);
    for turn in 0..3 {
        counted.send(turn * 1000, 1000);
        complete(&counted, counted.file.run());
    }
}

#[test]
fn state_comes_back_without_the_local_files() {
    let counted = Counted::on(Kafka::shared(), "fetched", 4, 50);
    for turn in 0..3 {
        counted.send(turn * 1000, 1000);
        complete(&counted, counted.file.run());
        std::fs::remove_dir_all(counted.file.path("state").join("tasks")).unwrap();
    }
}

#[test]
fn offsets_that_somebody_else_moved_end_the_start() {
    let counted = Counted::on(Kafka::shared(), "moved", 2, 10);
    counted.send(0, 200);
    complete(&counted, counted.file.run());
    counted.client.commit(&counted.file.group(), &[(&counted.input, 0, 3)]);
    let ended = counted.file.run().wait(PATIENCE);
    assert_eq!(ended.code, Some(6), "{}", ended.text);
    assert!(ended.text.contains("committed by somebody else"), "{}", ended.text);
    assert!(
        ended.text.contains("offsets set"),
        "it says what can be done: {}",
        ended.text
    );
}

#[test]
fn a_checkpoint_that_is_gone_ends_the_start_and_is_named() {
    let counted = Counted::on(Kafka::shared(), "gone", 2, 10);
    counted.send(0, 200);
    complete(&counted, counted.file.run());
    std::fs::remove_dir_all(counted.file.path("checkpoints")).unwrap();
    let ended = counted.file.run().wait(PATIENCE);
    assert_eq!(ended.code, Some(6), "{}", ended.text);
    assert!(ended.text.contains("bundles/"), "{}", ended.text);
}

#[test]
fn kills_at_random_lose_and_double_nothing() {
    kills_at_random(&Counted::on(Kafka::shared(), "kills-exact", 4, 50));
}

/// Languages whose plugins grow, and have instances replaced, keep the promise as Rust does.
#[test]
fn kills_at_random_lose_and_double_nothing_with_a_plugin_in_python() {
    kills_in("python");
}

#[test]
fn kills_at_random_lose_and_double_nothing_with_a_plugin_in_go() {
    kills_in("go");
}

fn kills_in(language: &str) {
    let plugin = target().join(format!("languages/{language}.wasm"));
    if !plugin.is_file() {
        let test = format!("exactly_once::kills_at_random_lose_and_double_nothing_with_a_plugin_in_{language}");
        return skip(&test, "the plugin is not built; `make languages` does it");
    }
    let mut counted = Counted::on(Kafka::shared(), &format!("kills-{language}"), 4, 50);
    counted.file.plugin = plugin;
    counted.file.operator = "config = { do = \"count\" }".into();
    kills_at_random(&counted);
}

fn kills_at_random(counted: &Counted) {
    let kills = setting("SANDBAR_KILLS", 5);
    under_load(counted, 500, Duration::from_millis(20), || {
        for kill in 0..kills {
            let before = counted.visible();
            let mut run = counted.file.run();
            wait::until_true("it puts out", PATIENCE, || {
                counted.visible() > before || !run.is_running()
            });
            std::thread::sleep(Duration::from_millis(kill * 37 % 250));
            run.kill();
        }
    });
}

#[test]
fn a_kill_at_each_point_of_a_checkpoint_loses_and_doubles_nothing() {
    let counted = Counted::on(Kafka::shared(), "points", 4, 50);
    under_load(&counted, 500, Duration::from_millis(20), || {
        for point in POINTS {
            // Not at the first checkpoint, which the restart before has cut short.
            let armed = format!("{point}=2*off->return");
            let path = counted.file.write("");
            let arguments = ["run".as_ref(), path.as_os_str(), "-o".as_ref(), "json".as_ref()];
            let mut run = Process::start_with(&arguments, &[("FAILPOINTS", &armed)]);
            wait::until_true(&format!("it dies at {point}"), PATIENCE, || !run.is_running());
        }
    });
}

/// What was aborted at the input counts nowhere, and the positions pass the markers at the end: lag is zero.
#[test]
fn a_transactional_input_is_counted_as_far_as_it_was_committed() {
    let counted = Counted::on(Kafka::shared(), "transactional", 2, 7);
    let sender = counted.client.transactions(&counted.input);
    let ends = |partition| {
        counted
            .client
            .bounds(&counted.input, partition, Isolation::Uncommitted)
            .1
    };
    let is_passed = || {
        let committed = counted.client.committed(&counted.file.group(), &counted.input);
        (0..2).all(|partition| committed.get(&partition).is_some_and(|of| of.offset == ends(partition)))
    };
    let mut from = 0;
    for round in 0..3 {
        for commits in [true, false, true, false] {
            sender.begin();
            sender.send(&counted.records(from, 40));
            from += 40;
            if commits { sender.commit() } else { sender.abort() }
        }
        let before = counted.visible();
        let mut run = counted.file.run();
        wait::until_true("it puts out", PATIENCE, || {
            assert!(run.is_running(), "{}", run.lines().join("\n"));
            counted.visible() > before && (round < 2 || is_passed())
        });
        match round {
            2 => complete(&counted, run),
            _ => run.kill(),
        }
    }
    assert!(is_passed());
}

#[test]
fn three_processes_join_and_leave_and_each_output_is_there_once() {
    let counted = Counted::on(Kafka::shared(), "scaled", 6, 60);
    under_load(&counted, 500, Duration::from_millis(20), || {
        let mut runs = vec![counted.file.run_member("0")];
        for turn in 1..6 {
            if turn % 4 < 3 {
                runs.push(counted.file.run_member(&turn.to_string()));
            } else {
                stop(runs.remove(0));
            }
            std::thread::sleep(Duration::from_millis(1500));
        }
        runs.into_iter().for_each(stop);
    });
}

/// Equal numbers of both topics are one task, wherever it goes: one key's records of both count into one value.
#[test]
fn topics_that_meet_count_into_one_state_whatever_dies() {
    let mut counted = Counted::on(Kafka::shared(), "meet", 4, 50);
    let second = format!("{}-second", counted.input);
    counted.client.create_topic(&second, 4);
    let (one, both) = (
        format!("[\"{}\"]", counted.input),
        format!("[\"{}\", \"{second}\"]", counted.input),
    );
    counted.file.source = counted.file.source.replace(&one, &both);
    let producer = counted.client.producer();
    let (mut watch, mut sent) = (counted.watch(), 0);
    let mut members = [counted.file.run_member("0"), counted.file.run_member("1")];
    for turn in 0..6 {
        let mut records = counted.records(turn * 300, 300);
        records.extend(counted.records(turn * 300, 300).into_iter().map(|record| Record {
            topic: second.clone(),
            ..record
        }));
        let before = counted.visible();
        producer.send(&records);
        sent += 600;
        wait::until_true("it puts out", PATIENCE, || counted.visible() > before);
        let number = turn as usize % 2;
        members[number].kill();
        members[number] = counted.file.run_member(&number.to_string());
        watch.follow(Duration::from_millis(200));
    }
    wait::until_true("every output is there", seconds(120), || {
        watch.follow(Duration::from_millis(200));
        watch.seen >= sent
    });
    members.into_iter().for_each(stop);
    watch.follow(seconds(1));
    assert_eq!(watch.seen, sent, "nothing is added at the end");
}

/// Records go on coming, so many at a time, while `faults` does its worst and a reader runs along; then a last run
/// finishes, and everything is recomputed.
pub fn under_load(counted: &Counted, records: i64, each: Duration, faults: impl FnOnce() + Send) {
    under_load_until(counted, (records, each), faults, || {
        complete(counted, counted.file.run());
    });
}

/// The same with another end: `finish` comes back when all that was sent is put out.
pub fn under_load_until(
    counted: &Counted,
    (records, each): (i64, Duration),
    faults: impl FnOnce() + Send,
    finish: impl FnOnce(),
) {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watched = scope.spawn(|| {
            let mut watch = counted.watch();
            while !done.load(Ordering::Relaxed) {
                watch.follow(Duration::from_millis(200));
            }
            watch.seen
        });
        let faults = scope.spawn(faults);
        let mut sent = 0;
        while !faults.is_finished() {
            counted.send(sent, records);
            sent += records;
            std::thread::sleep(each);
        }
        let faults = faults.join();
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            if faults.is_ok() {
                finish();
            }
        }));
        // However it ended: nothing waits for the reader else.
        done.store(true, Ordering::Relaxed);
        let seen = watched
            .join()
            .expect("the reader that runs along saw nothing doubled, lost or out of order");
        faults.expect("the faults are over");
        ended.expect("a last run puts out the rest");
        eprintln!("{sent} records, {seen} seen by the reader that ran along");
    });
}

/// Waits until everything that was sent is put out, and ends the run.
pub fn complete(counted: &Counted, mut run: Process) {
    // A transaction that a dead member of another name left open is the broker's to end, after a minute.
    wait::until_true("every output is there", seconds(240), || {
        assert!(run.is_running(), "it runs: {}", run.lines().join("\n"));
        std::thread::sleep(Duration::from_millis(200));
        counted.is_complete()
    });
    stop(run);
    assert!(counted.is_complete(), "nothing is added at the end");
}
