//! Forty hostile plugins beside a neighbour under load: each hurts itself alone, and says in a sentence what happened.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use sandbar_tests::counted::Counted;
use sandbar_tests::daemon::Daemon;
use sandbar_tests::kafka::Kafka;
use sandbar_tests::process::component;

use super::attacked::Attacked;
use super::attacks;
use crate::exactly_once::under_load_until;
use crate::tenants::kills::is_complete;
use crate::tenants::walk::file_of;

/// Attacks that run side by side: a slow machine has to bring each to its end within the limits of the test.
const AT_A_TIME: usize = 8;
/// The neighbour's records at a time, and how often.
const LOAD: (i64, Duration) = (50, Duration::from_millis(20));
/// What the daemon may take in the end.
const DAEMON_KIB: u64 = 256 << 10;

#[test]
fn each_of_the_forty_hurts_itself_alone_and_its_status_says_how() {
    let counted = Counted::on(Kafka::shared(), "neighbour", 4, 50);
    let daemon = Daemon::start();
    daemon.done(&["tenant", "create", "neighbour"]);
    let file = daemon.write("counts.toml", &file_of(&counted, &component("count-by-key"), ""));
    daemon.done(&["apply", &file.display().to_string(), "--tenant", "neighbour"]);
    let before = daemon.wait_until("neighbour", "counts", "running");
    let process = daemon.process().id();
    under_load_until(&counted, LOAD, || attack(&daemon, &counted), || is_complete(&counted));
    let after = daemon.wait_until("neighbour", "counts", "running");
    assert_eq!(
        (&after["pid"], &after["restarts"]),
        (&before["pid"], &0.into()),
        "{after}"
    );
    assert_eq!(daemon.children(), [after["pid"].as_u64().expect("a process") as u32]);
    let (_, highest) = daemon.process().memory_kib();
    eprintln!("daemon: {} MiB at most", highest >> 10);
    assert!(
        0 < highest && highest < DAEMON_KIB,
        "process {process}: {} MiB",
        highest >> 10
    );
}

/// Each attack, several at a time; what went wrong is told of all of them.
fn attack(daemon: &Daemon, counted: &Counted) {
    let (attacks, next, wrong) = (attacks::all(), AtomicUsize::new(0), Mutex::new(Vec::new()));
    let one_after_the_other = || {
        while let Some(attack) = attacks.get(next.fetch_add(1, Ordering::Relaxed)) {
            let judged = catch_unwind(AssertUnwindSafe(|| {
                Attacked::new(daemon, &counted.client, &counted.file.brokers, attack).judge();
            }));
            if judged.is_err() {
                wrong.lock().unwrap().push((attack.number, attack.name, attack.by));
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(one_after_the_other);
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "of {} attacks: {wrong:?}", attacks.len());
}
