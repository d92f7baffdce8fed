//! How long a start takes with a large state: `sandbar-bench restore [MIB]`, or `make bench-restore`.
//!
//! Twice, with that much state and with almost none, so that what a start costs anyway stands beside: the process is
//! killed with records left to read and started again, once with its local files and once without, and the time is
//! taken until its group's offsets move. The state's bytes are those of its keys, 1 KiB each.

use crate::jobs::{self, Between};
use crate::{CORE, KAFKA_CORE, PARTITIONS, load, pin, program, workload};
use sandbar_tests::client::Client;
use sandbar_tests::kafka::Kafka;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Records that are there to be read when the process starts again.
const LEFT: usize = 50_000;
const LIMIT: Duration = Duration::from_secs(300);

/// What one size of state showed.
struct Seen {
    local_seconds: f64,
    restore_seconds: f64,
    copy_seconds: f64,
    restored_mib: f64,
}

/// Prints the table.
pub(crate) fn run(mib: usize) {
    let kafka = Kafka::start(1);
    pin(&kafka, KAFKA_CORE);
    println!("| state MiB | local files | without them | cp -r of the restored files |");
    println!("|---|---|---|---|");
    let small = seen(&kafka, 1);
    let large = seen(&kafka, mib);
    println!(
        "restart with {mib} MiB of local state: {:.1} s until lag falls, {:.1} s more than with 1 MiB",
        large.local_seconds,
        large.local_seconds - small.local_seconds
    );
    println!(
        "restore of {:.0} MiB from a folder: {:.0} MiB/s, with the start itself; cp -r of the same bytes: {:.0} MiB/s",
        large.restored_mib,
        large.restored_mib / large.restore_seconds,
        large.restored_mib / large.copy_seconds
    );
    println!("load of the machine: {}", load());
}

fn seen(kafka: &Kafka, mib: usize) -> Seen {
    let folder = tempfile::tempdir().expect("a folder");
    let (from, to) = (format!("restore-in-{mib}"), format!("restore-out-{mib}"));
    let client = kafka.client();
    client.create_topic(&from, PARTITIONS);
    client.create_topic(&to, PARTITIONS);
    let brokers = &kafka.bootstrap();
    let between = Between {
        brokers,
        from: &from,
        to: &to,
        memory: "64MiB",
        is_tuned: false,
    };
    let file = jobs::pipeline(folder.path(), &between, "count-by-key", "exactly-once", "");
    // A member with a name of its own takes the place of the one that was killed; others wait until that one's session
    // is over.
    let text = std::fs::read_to_string(&file).expect("the pipeline file");
    std::fs::write(&file, format!("instance = \"restarted\"\n{text}")).expect("the pipeline file");
    let keys = mib << 10;
    let fill = |count| workload::fill(brokers, &from, workload::Records::with_long_keys().take(count));
    fill(keys);
    let group = Group {
        client: &client,
        name: &format!("sandbar.{to}"),
        topic: &from,
    };
    let process = start(&file);
    group.wait_for(keys as i64);
    kill(process);

    fill(LEFT.min(keys));
    let local_seconds = group.seconds_until_it_moves(&file);
    fill(LEFT.min(keys));
    std::fs::remove_dir_all(folder.path().join("state/tasks")).expect("the local files go");
    let restore_seconds = group.seconds_until_it_moves(&file);
    let (restored_mib, copy_seconds) = copied(&folder.path().join("state/tasks"), &folder.path().join("copy"));
    println!(
        "| {mib} | {local_seconds:.1} s | {restore_seconds:.1} s | {restored_mib:.0} MiB in {copy_seconds:.1} s |"
    );
    Seen {
        local_seconds,
        restore_seconds,
        copy_seconds,
        restored_mib,
    }
}

/// The pipeline's consumer group.
struct Group<'a> {
    client: &'a Client,
    name: &'a str,
    topic: &'a str,
}

impl Group<'_> {
    fn position(&self) -> i64 {
        let committed = self.client.committed(self.name, self.topic);
        committed.values().map(|committed| committed.offset).sum()
    }

    fn wait_for(&self, position: i64) {
        let began = Instant::now();
        while self.position() < position {
            assert!(
                began.elapsed() < LIMIT,
                "{} of {position} are committed",
                self.position()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Starts the process, kills it once the offsets moved, and says how long that took.
    fn seconds_until_it_moves(&self, file: &str) -> f64 {
        let before = self.position();
        let began = Instant::now();
        let process = start(file);
        self.wait_for(before + 1);
        let seconds = began.elapsed().as_secs_f64();
        kill(process);
        seconds
    }
}

fn start(file: &str) -> Child {
    let mut command = Command::new("taskset");
    command.args(["-c", &CORE.to_string(), &program(), "run", file]);
    command.stdout(Stdio::null()).spawn().expect("the program starts")
}

/// SIGKILL: `taskset` became the program.
fn kill(mut process: Child) {
    process.kill().expect("the program ends");
    process.wait().expect("the program's end");
}

/// Copies a folder; its MiB, and the seconds that it took.
fn copied(from: &Path, to: &Path) -> (f64, f64) {
    let began = Instant::now();
    let copied = Command::new("cp").arg("-r").arg(from).arg(to).status();
    assert!(copied.is_ok_and(|status| status.success()), "the folder is copied");
    (bytes(to) as f64 / f64::from(1 << 20), began.elapsed().as_secs_f64())
}

fn bytes(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let sizes = entries.map(|entry| {
        let entry = entry.expect("an entry");
        let about = entry.metadata().expect("its size");
        if about.is_dir() {
            bytes(&entry.path())
        } else {
            about.len()
        }
    });
    sizes.sum()
}
