//! Where checkpoints and state are kept: a place that stands still, refuses writes, is full, is somebody else's; and
//! Kafka refusing positions.
//!
//! A run goes on within `tolerable-failures`, then it ends with a sentence; nothing is lost, and a restart is exact.

use crate::exactly_once::{complete, under_load};
use crate::flow::stop;
use sandbar_tests::client::Isolation;
use sandbar_tests::counted::Counted;
use sandbar_tests::kafka::Kafka;
use sandbar_tests::process::{Process, event};
use sandbar_tests::skip;
use sandbar_tests::small_disk::SmallDisk;
use sandbar_tests::wait::{self, PATIENCE, seconds};
use std::path::{Path, PathBuf};
use std::time::Duration;

const OFTEN: Duration = Duration::from_millis(50);

#[test]
fn a_store_that_stands_still_fails_checkpoints_and_the_run_goes_on_where_that_is_tolerable() {
    let mut counted = Counted::on(Kafka::shared(), "still", 4, 50);
    counted.file.top = "workers = 1".into();
    counted.file.tables = checkpoint("timeout = \"3s\"\ntolerable-failures = 1000");
    under_load(&counted, 200, OFTEN, || {
        let mut run = armed(&counted, "mid-bundle=10*off->1*sleep(10000)->off");
        wait_failed(&mut run, "did not take the bundle within 3s");
        goes_on(&counted, &mut run);
        stop(run);
    });
}

#[test]
fn a_store_that_stands_still_for_longer_than_is_tolerable_ends_the_run() {
    let mut counted = Counted::on(Kafka::shared(), "stuck", 4, 50);
    counted.file.top = "workers = 1".into();
    counted.file.tables = checkpoint("timeout = \"3s\"\ntolerable-failures = 2");
    under_load(&counted, 200, OFTEN, || {
        let run = armed(&counted, "mid-bundle=10*off->sleep(600000)");
        gave_up(run, "did not take the bundle within 3s");
    });
}

#[test]
fn at_least_once_a_store_that_stands_still_ends_the_run_too() {
    let mut counted = Counted::on(Kafka::shared(), "stuck-least", 4, 50);
    counted.file.top = "workers = 1\ndelivery = \"at-least-once\"".into();
    counted.file.tables = checkpoint("timeout = \"3s\"\ntolerable-failures = 2");
    counted.send(0, 1000);
    puts_all_out(&counted, counted.file.run());
    counted.send(1000, 1000);
    let run = armed(&counted, "mid-bundle=sleep(600000)");
    gave_up(run, "did not take the bundle within 3s");
    puts_all_out(&counted, counted.file.run());
}

#[test]
fn a_store_that_refuses_writes_for_a_while_fails_checkpoints_and_the_run_goes_on() {
    let mut counted = Counted::on(Kafka::shared(), "refuses", 4, 50);
    counted.file.top = "workers = 1".into();
    counted.file.tables = checkpoint("tolerable-failures = 1000000");
    under_load(&counted, 200, OFTEN, || {
        let mut run = counted.file.run();
        for _ in 0..2 {
            goes_on(&counted, &mut run);
            let blocked = Blocked::new(&counted);
            let failed = failures(&run);
            wait::until_true("a checkpoint fails", PATIENCE, || failures(&run) > failed);
            // What was committed before may still come to a reader; then nothing more is shown, while records come.
            let shown = || counted.client.read(&counted.output, Isolation::Committed).len();
            wait::until_true("nothing is shown that no checkpoint holds", PATIENCE, || {
                let before = shown();
                std::thread::sleep(seconds(1));
                shown() == before
            });
            assert!(run.is_running(), "{}", run.lines().join("\n"));
            drop(blocked);
        }
        goes_on(&counted, &mut run);
        stop(run);
    });
}

#[test]
fn a_store_that_becomes_unwritable_ends_the_run_and_a_restart_is_exact() {
    let mut counted = Counted::on(Kafka::shared(), "unwritable", 4, 50);
    counted.file.tables = checkpoint("tolerable-failures = 3");
    under_load(&counted, 200, OFTEN, || {
        let mut run = counted.file.run();
        goes_on(&counted, &mut run);
        let blocked = Blocked::new(&counted);
        gave_up(run, "failed to write");
        let again = counted.file.run().wait(PATIENCE);
        assert_eq!(again.code, Some(6), "it does not start either: {}", again.text);
        drop(blocked);
    });
}

#[test]
fn a_store_that_cannot_be_written_at_the_start_ends_it() {
    let mut counted = Counted::on(Kafka::shared(), "no-store", 1, 10);
    std::fs::write(counted.file.path("file"), "no folder").unwrap();
    counted.file.tables = "[checkpoint]\nstore = \"file/checkpoints\"".into();
    let ended = counted.file.run().wait(PATIENCE);
    assert_eq!(ended.code, Some(6), "{}", ended.text);
    assert!(ended.text.contains("is not writable"), "{}", ended.text);
}

#[test]
fn a_full_disk_under_the_checkpoints_ends_the_run_and_with_room_a_restart_is_exact() {
    let Some(disk) = SmallDisk::new(48) else {
        return skip(
            "storage::a_full_disk_under_the_checkpoints",
            "no disk can be mounted here",
        );
    };
    let mut counted = Counted::on(Kafka::shared(), "full-store", 4, 50);
    counted.file.tables = checkpoint("tolerable-failures = 2")
        .replace("\"checkpoints\"", &format!("\"{}/checkpoints\"", disk.path().display()));
    fills_up(&counted, &disk, "No space left on device");
}

#[test]
fn a_full_disk_under_the_state_ends_the_run_and_with_room_a_restart_is_exact() {
    let Some(disk) = SmallDisk::new(48) else {
        return skip("storage::a_full_disk_under_the_state", "no disk can be mounted here");
    };
    let mut counted = Counted::on(Kafka::shared(), "full-state", 4, 20_000);
    std::os::unix::fs::symlink(disk.path(), counted.file.path("state")).unwrap();
    counted.file.tables = checkpoint("");
    fills_up(&counted, &disk, "No space left on device");
}

/// Outputs go on until the disk is full, the run ends, and after there is room again nothing is missing.
fn fills_up(counted: &Counted, disk: &SmallDisk, why: &str) {
    let path = counted.file.write("");
    let arguments = ["run".as_ref(), path.as_os_str(), "-o".as_ref(), "json".as_ref()];
    let start = || disk.run(&arguments);
    counted.send(0, 2000);
    let mut run = start();
    wait::until_true("it puts out", PATIENCE, || {
        assert!(run.is_running(), "{}", run.lines().join("\n"));
        counted.is_complete()
    });
    let mut sent = 2000;
    for run in [Some(run), None] {
        let mut run = run.unwrap_or_else(start);
        wait::until_true("it ends", PATIENCE, || {
            disk.fill();
            counted.send(sent, 5000);
            sent += 5000;
            !run.is_running()
        });
        let ended = run.wait(seconds(1));
        assert_eq!(ended.code, Some(6), "{}", ended.text);
        assert!(ended.text.contains(why), "{}", ended.text);
    }
    disk.make_room();
    complete(counted, start());
}

#[test]
fn a_second_process_on_one_state_folder_is_told_who_has_it() {
    let counted = Counted::on(Kafka::shared(), "two", 2, 10);
    let mut run = counted.file.run();
    run.wait_placed(2, PATIENCE);
    let second = counted.file.run().wait(PATIENCE);
    assert_eq!(second.code, Some(6), "{}", second.text);
    let pid = run.id().to_string();
    assert!(second.text.contains(&pid), "it names process {pid}: {}", second.text);
    stop(run);
}

#[test]
fn positions_that_kafka_refuses_again_and_again_end_the_run() {
    let kafka = Kafka::start(1);
    let both = ["exactly-once", "at-least-once"].map(|delivery| {
        let mut counted = Counted::on(&kafka, &format!("refused-{delivery}"), 2, 10);
        counted.file.top = format!("workers = 2\ndelivery = \"{delivery}\"");
        counted.file.tables = checkpoint("tolerable-failures = 2");
        counted
    });
    for counted in &both {
        counted.send(0, 500);
        complete(counted, counted.file.run());
    }
    // Pointers to checkpoints are longer.
    kafka.kill(1);
    kafka.configure("offset.metadata.max.bytes=30");
    kafka.restart(1);
    for counted in &both {
        counted.send(500, 500);
        let ended = counted.file.run().wait(PATIENCE);
        assert_eq!(ended.code, Some(5), "{}", ended.text);
        assert!(ended.text.contains("tolerable-failures"), "{}", ended.text);
        assert!(ended.text.contains("metadata"), "{}", ended.text);
    }
    kafka.kill(1);
    kafka.configure("offset.metadata.max.bytes=4096");
    kafka.restart(1);
    let [exactly, at_least] = &both;
    complete(exactly, exactly.file.run());
    puts_all_out(at_least, at_least.file.run());
}

fn checkpoint(more: &str) -> String {
    format!("[checkpoint]\ninterval = \"50ms\"\nstore = \"checkpoints\"\n{more}")
}

/// Checkpoints cannot be written: where their folder was there is a file.
struct Blocked(PathBuf);

impl Blocked {
    fn new(counted: &Counted) -> Self {
        let bundles = counted
            .file
            .path("checkpoints")
            .join(&counted.file.name)
            .join("bundles");
        std::fs::rename(&bundles, aside(&bundles)).unwrap();
        std::fs::write(&bundles, "no folder").unwrap();
        Self(bundles)
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).unwrap();
        std::fs::rename(aside(&self.0), &self.0).unwrap();
    }
}

fn aside(path: &Path) -> PathBuf {
    path.with_extension("aside")
}

/// Waits until every output is there, some twice perhaps, and ends the run.
fn puts_all_out(counted: &Counted, run: Process) {
    wait::until_true("every output is there", PATIENCE * 2, || counted.repeated().is_some());
    stop(run);
}

/// How many failures were told: the first of each row.
pub fn failures(run: &Process) -> usize {
    told(run, "commit-failed")
}

/// How many events of this name were told.
pub fn told(run: &Process, name: &str) -> usize {
    let lines = run.lines();
    lines.iter().filter(|line| event(line, name).is_some()).count()
}

fn wait_failed(run: &mut Process, why: &str) {
    run.wait_for("a checkpoint fails", PATIENCE, |lines| {
        lines
            .iter()
            .any(|line| event(line, "commit-failed").is_some() && line.contains(why))
    });
}

/// It ends by itself because too many checkpoints failed in a row.
fn gave_up(run: Process, why: &str) {
    let ended = run.wait(PATIENCE);
    assert_eq!(ended.code, Some(6), "{}", ended.text);
    assert!(ended.text.contains("tolerable-failures"), "{}", ended.text);
    assert!(ended.text.contains(why), "{}", ended.text);
}

fn armed(counted: &Counted, armed: &str) -> Process {
    let path = counted.file.write("");
    let arguments = ["run".as_ref(), path.as_os_str(), "-o".as_ref(), "json".as_ref()];
    Process::start_with(&arguments, &[("FAILPOINTS", armed)])
}

/// Waits until a checkpoint goes through, which ends the row of failures, and more is put out.
pub fn goes_on(counted: &Counted, run: &mut Process) {
    let (before, taken) = (counted.visible(), told(run, "checkpoint"));
    wait::until_true("outputs go on", PATIENCE, || {
        assert!(run.is_running(), "it runs: {}", run.lines().join("\n"));
        told(run, "checkpoint") > taken && counted.visible() > before + 20
    });
}
