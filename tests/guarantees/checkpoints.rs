//! A savepoint is complete in itself: `run --from` goes back to its positions and its state, whatever else was lost, or
//! starts nothing at all.
//!
//! Going back repeats the outputs since, on purpose: the auditor counts them, and finds each key's count going on from
//! the savepoint's.

use crate::exactly_once::complete;
use crate::flow::stop;
use sandbar_tests::client::{Isolation, Record};
use sandbar_tests::counted::Counted;
use sandbar_tests::kafka::Kafka;
use sandbar_tests::process::{self, Ended, Placed, Process};
use sandbar_tests::wait::{self, PATIENCE, seconds};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

#[test]
fn all_is_lost_but_a_savepoint_of_a_running_pipeline_that_was_moved() {
    let counted = Counted::on(Kafka::shared(), "all-lost", 4, 50);
    counted.send(0, 2000);
    let mut run = counted.file.run();
    wait::until_true("it puts out", PATIENCE, || counted.visible() > 500 || !run.is_running());
    let saved = save(&counted, counted.file.path("saved").to_str().unwrap());
    counted.send(2000, 2000);
    complete(&counted, run);

    let moved = counted.file.path("elsewhere");
    std::fs::rename(&saved.name, &moved).unwrap();
    for lost in ["checkpoints", "state"] {
        std::fs::remove_dir_all(counted.file.path(lost)).unwrap();
    }
    counted.client.delete_group(&counted.file.group());
    counted.send(4000, 500);
    let mut run = run_from(&counted, "", &moved, &[]);
    let placed = run.wait_placed(4, PATIENCE);
    assert_eq!(positions(&placed), saved.offsets);
    assert!(
        placed.iter().all(|placed| placed.origin.starts_with("savepoint ")),
        "{placed:?}"
    );
    let repeated = 4000 - saved.sum();
    complete_again(&counted, run, repeated);

    // Without --from it goes on where it stopped.
    counted.send(4500, 500);
    complete_again(&counted, counted.file.run(), repeated);
}

#[test]
fn an_existing_pipeline_goes_back_with_its_state_each_time_it_is_told() {
    let counted = Counted::on(Kafka::shared(), "goes-back", 4, 50);
    counted.send(0, 1000);
    complete(&counted, counted.file.run());
    let saved = save(&counted, "before");
    assert_eq!((saved.name.as_str(), saved.sum()), ("before", 1000));
    counted.send(1000, 1000);
    complete(&counted, counted.file.run());
    complete_again(&counted, run_from(&counted, "", "before", &[]), 1000);
    // As a supervisor would that passes it again and again: the outputs come a third time.
    complete_again(&counted, run_from(&counted, "", "before", &[]), 2000);
}

#[test]
fn another_pipeline_begins_with_a_savepoint_as_its_own() {
    let counted = Counted::on(Kafka::shared(), "copied", 4, 50);
    counted.send(0, 1500);
    complete(&counted, counted.file.run());
    let saved = save(&counted, counted.file.path("saved").to_str().unwrap());
    counted.send(1500, 1000);
    complete(&counted, counted.file.run());

    let mut other = Counted::on(Kafka::shared(), "copied-to", 4, 50);
    other.input.clone_from(&counted.input);
    other.file.source.clone_from(&counted.file.source);
    let mut run = run_from(&other, "", &saved.name, &[]);
    wait::until_true("what came since is put out", PATIENCE, || {
        assert!(run.is_running(), "{}", run.lines().join("\n"));
        other.is_complete_behind(&saved.offsets)
    });
    stop(run);
    assert!(counted.is_complete(), "the first one is as it was");
}

#[test]
fn positions_in_checkpoints_go_back_too() {
    let mut counted = Counted::on(Kafka::shared(), "kept-back", 4, 50);
    counted.file.top = "delivery = \"at-least-once\"\nworkers = 2".into();
    counted.file.source += "\noffsets = \"checkpoint\"\ncommit-offsets = \"never\"";
    counted.send(0, 1000);
    complete(&counted, counted.file.run());
    let saved = save(&counted, counted.file.path("saved").to_str().unwrap());
    counted.send(1000, 500);
    complete(&counted, counted.file.run());
    complete_again(&counted, run_from(&counted, "", &saved.name, &[]), 500);
    for lost in ["checkpoints", "state"] {
        std::fs::remove_dir_all(counted.file.path(lost)).unwrap();
    }
    complete_again(&counted, run_from(&counted, "", &saved.name, &[]), 1000);
    complete_again(&counted, counted.file.run(), 1000);
}

#[test]
fn partitions_that_a_savepoint_does_not_know_start_at_their_beginning() {
    let mut counted = Counted::on(Kafka::shared(), "grown", 2, 50);
    counted.file.plugin = process::component("pass-through");
    counted.send(0, 400);
    put_out(&counted, counted.file.run(), 400);
    let saved = save(&counted, "before");
    counted.client.add_partitions(&counted.input, 4);
    let late = |number: i32| Record::placed(&counted.input, 2 + number % 2, "late");
    counted.client.producer().send(&(0..20).map(late).collect::<Vec<_>>());
    put_out(&counted, counted.file.run(), 420);
    let mut run = run_from(&counted, "", "before", &[]);
    let placed = run.wait_placed(4, PATIENCE);
    let at: BTreeMap<i32, i64> = [(0, saved.offsets[&0]), (1, saved.offsets[&1]), (2, 0), (3, 0)].into();
    assert_eq!(positions(&placed), at);
    put_out(&counted, run, 440);
}

/// Waits until the output has so many records, and ends the run.
fn put_out(counted: &Counted, mut run: Process, count: usize) {
    wait::until_true("every record is put out", PATIENCE, || {
        assert!(run.is_running(), "{}", run.lines().join("\n"));
        counted.client.read(&counted.output, Isolation::Committed).len() == count
    });
    stop(run);
}

#[test]
fn a_store_that_no_operator_has_ends_the_start_until_it_may_be_dropped() {
    let mut counted = Counted::on(Kafka::shared(), "dropped", 2, 10);
    counted.send(0, 100);
    complete(&counted, counted.file.run());
    save(&counted, "before");
    counted.file.plugin = process::component("pass-through");
    let ended = run_from(&counted, "", "before", &[]).wait(PATIENCE);
    refused(&ended, 6, &["`total`", "`op`", "--allow-dropped-state"]);
    let mut run = run_from(&counted, "", "before", &["--allow-dropped-state"]);
    run.wait_placed(2, PATIENCE);
    stop(run);
    // What was dropped is not asked about again, and a savepoint without state is one too.
    let mut run = counted.file.run();
    run.wait_placed(2, PATIENCE);
    stop(run);
    save(&counted, "stateless");
    let mut run = run_from(&counted, "", "stateless", &[]);
    let placed = run.wait_placed(2, PATIENCE);
    assert_eq!(positions(&placed).values().sum::<i64>(), 100);
    stop(run);
}

#[test]
fn a_savepoint_that_is_damaged_changes_nothing_and_the_object_is_named() {
    let counted = Counted::on(Kafka::shared(), "damaged", 2, 10);
    counted.send(0, 200);
    complete(&counted, counted.file.run());
    let place = counted.file.path("saved");
    save(&counted, place.to_str().unwrap());
    counted.send(200, 200);
    complete(&counted, counted.file.run());

    let bundle = newest_bundle(&place);
    let name = bundle.file_name().unwrap().to_str().unwrap();
    let bytes = std::fs::read(&bundle).unwrap();
    for at in [20, bytes.len() / 2, bytes.len() - 1] {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1;
        std::fs::write(&bundle, flipped).unwrap();
        refused(&run_from(&counted, "", &place, &[]).wait(PATIENCE), 6, &[name]);
    }
    std::fs::remove_file(&bundle).unwrap();
    refused(&run_from(&counted, "", &place, &[]).wait(PATIENCE), 6, &[name]);
    std::fs::remove_file(place.join("savepoint.json")).unwrap();
    refused(
        &run_from(&counted, "", &place, &[]).wait(PATIENCE),
        6,
        &["there is no savepoint"],
    );
    // Without --from it goes on as if nobody had tried.
    counted.send(400, 200);
    complete(&counted, counted.file.run());
}

#[test]
fn a_group_that_lives_is_left_alone() {
    let mut counted = Counted::on(Kafka::shared(), "lives", 2, 10);
    // On a slow machine it is not starved past that, which would leave the group empty for a moment.
    counted.file.source = counted.file.source.replace("\"3s\"", "\"30s\"");
    counted.send(0, 200);
    let mut run = counted.file.run();
    wait::until_true("it puts out", PATIENCE, || {
        counted.visible() >= 200 || !run.is_running()
    });
    save(&counted, "before");
    counted.send(200, 200);
    let ended = run_from(&counted, "2", "before", &[]).wait(PATIENCE);
    refused(&ended, 5, &["the group has members"]);
    counted.send(400, 200);
    complete(&counted, run);
}

#[test]
fn a_kill_in_the_middle_of_going_back_leaves_the_old_or_the_new() {
    let counted = Counted::on(Kafka::shared(), "half", 2, 20);
    counted.send(0, 300);
    complete(&counted, counted.file.run());
    let saved = save(&counted, "before");
    counted.send(300, 300);
    complete(&counted, counted.file.run());
    let mut repeated = 0;
    for (passed, is_new) in [(0, false), (1, false), (2, true)] {
        let armed = format!("mid-import={passed}*off->return");
        let arguments = from(&counted, "", "before", &[]);
        let mut killed = Process::start_with(&arguments, &[("FAILPOINTS", &armed)]);
        wait::until_true("it dies", PATIENCE, || !killed.is_running());
        assert_eq!(killed.wait(seconds(1)).code, None, "it was killed");
        let mut run = counted.file.run();
        let from: i64 = positions(&run.wait_placed(2, PATIENCE)).values().sum();
        assert_eq!(from, if is_new { saved.sum() } else { 600 }, "after {passed} points");
        repeated += 600 - from;
        complete_again(&counted, run, repeated);
    }
    complete_again(&counted, run_from(&counted, "", "before", &[]), repeated + 300);
}

#[test]
fn a_savepoint_needs_checkpoints_and_partitions_that_exist() {
    let mut counted = Counted::on(Kafka::shared(), "unfit", 2, 10);
    counted.send(0, 100);
    complete(&counted, counted.file.run());
    let saved = save(&counted, counted.file.path("saved").to_str().unwrap());
    refused(
        &run_from(&counted, "", "no-such", &[]).wait(PATIENCE),
        6,
        &["there is no savepoint `no-such`"],
    );

    let fewer = Counted::on(Kafka::shared(), "fewer", 1, 10);
    let source = counted.file.source.replace(&counted.input, &fewer.input);
    let old = std::mem::replace(&mut counted.file.source, source);
    let ended = run_from(&counted, "", &saved.name, &[]).wait(PATIENCE);
    refused(&ended, 5, &[&format!("{}/", counted.input)]);
    counted.file.source = old;

    let tables = std::mem::take(&mut counted.file.tables);
    let ended = run_from(&counted, "", &saved.name, &[]).wait(PATIENCE);
    refused(&ended, 3, &["[checkpoint]"]);
    counted.file.tables = tables;
    complete(&counted, counted.file.run());
}

#[test]
fn one_offset_that_is_gone_ends_the_start() {
    let counted = Counted::on(Kafka::shared(), "partial", 3, 30);
    counted.send(0, 300);
    complete(&counted, counted.file.run());
    save(&counted, "before");
    let lost = |partition, offset| (partition != 1).then_some(offset);
    counted.client.tamper(&counted.file.group(), &counted.input, lost);
    let ended = counted.file.run().wait(PATIENCE);
    refused(&ended, 6, &[&format!("{}/1", counted.input), "--from", "offsets set"]);
    complete(&counted, run_from(&counted, "", "before", &[]));
}

#[test]
fn an_offset_that_was_moved_under_its_pointer_ends_the_start() {
    let counted = Counted::on(Kafka::shared(), "moved-under", 3, 30);
    counted.send(0, 300);
    complete(&counted, counted.file.run());
    save(&counted, "before");
    let moved = |partition, offset| Some(offset - i64::from(partition == 1));
    counted.client.tamper(&counted.file.group(), &counted.input, moved);
    let ended = counted.file.run().wait(PATIENCE);
    refused(&ended, 6, &[&format!("{}/1 is committed at", counted.input), "--from"]);
    complete(&counted, run_from(&counted, "", "before", &[]));
}

/// What `savepoint create` told.
pub struct Saved {
    /// What `--from` takes.
    pub name: String,
    pub offsets: BTreeMap<i32, i64>,
}

impl Saved {
    fn sum(&self) -> i64 {
        self.offsets.values().sum()
    }
}

pub fn save(counted: &Counted, name: &str) -> Saved {
    let path = counted.file.write("");
    let arguments: [&std::ffi::OsStr; 7] = [
        "savepoint".as_ref(),
        "create".as_ref(),
        path.as_os_str(),
        "--name".as_ref(),
        name.as_ref(),
        "-o".as_ref(),
        "json".as_ref(),
    ];
    let ended = process::run(&arguments);
    assert_eq!(ended.code, Some(0), "{}", ended.text);
    let told: serde_json::Value = serde_json::from_str(&ended.text).unwrap();
    let tasks = told["tasks"].as_array().unwrap().iter();
    let of_task = |task: &serde_json::Value| -> BTreeMap<i32, i64> {
        serde_json::from_value(task["offsets"][&counted.input].clone()).unwrap()
    };
    Saved {
        name: told["savepoint"].as_str().unwrap().to_owned(),
        offsets: tasks.flat_map(of_task).collect(),
    }
}

fn from(counted: &Counted, member: &str, savepoint: impl AsRef<Path>, more: &[&str]) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = ["run", "-o", "json", "--from"].map(Into::into).to_vec();
    arguments.push(savepoint.as_ref().into());
    arguments.extend(more.iter().map(Into::into));
    arguments.push(counted.file.write(member).into());
    arguments
}

pub fn run_from(counted: &Counted, member: &str, savepoint: impl AsRef<Path>, more: &[&str]) -> Process {
    Process::start(&from(counted, member, savepoint, more))
}

/// Waits until everything is put out, with so many outputs a second time, and ends the run.
pub fn complete_again(counted: &Counted, mut run: Process, repeated: i64) {
    wait::until_true(
        "every output is there, and those since the savepoint again",
        seconds(120),
        || {
            assert!(run.is_running(), "it runs: {}", run.lines().join("\n"));
            std::thread::sleep(std::time::Duration::from_millis(200));
            counted.repeated() == Some(repeated as u64)
        },
    );
    stop(run);
    assert_eq!(counted.repeated(), Some(repeated as u64), "nothing is added at the end");
}

fn refused(ended: &Ended, code: i32, words: &[&str]) {
    assert_eq!(ended.code, Some(code), "{}", ended.text);
    for word in words {
        assert!(ended.text.contains(word), "{word}: {}", ended.text);
    }
}

fn newest_bundle(savepoint: &Path) -> PathBuf {
    let found = std::fs::read_dir(savepoint.join("bundles")).unwrap();
    found.map(|entry| entry.unwrap().path()).max().unwrap()
}

fn positions(placed: &[Placed]) -> BTreeMap<i32, i64> {
    let number = |placed: &Placed| placed.partition.rsplit_once('/').unwrap().1.parse().unwrap();
    placed.iter().map(|placed| (number(placed), placed.from)).collect()
}
