//! A new version takes the place of the one that runs: under load, with exactly-once, whatever it does and whoever
//! dies; and the version before comes back. `SANDBAR_KILLS` sets how often the daemon dies (usually 5).

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sandbar_tests::counted::Counted;
use sandbar_tests::daemon::Daemon;
use sandbar_tests::kafka::Kafka;
use sandbar_tests::process::component;
use sandbar_tests::wait::{self, PATIENCE, seconds, setting};
use serde_json::Value;

use super::walk::file_of;
use crate::exactly_once::under_load_until;

/// Records at a time, and how often.
const LOAD: (i64, Duration) = (200, Duration::from_millis(20));
/// How long a swap with unchanged state may interrupt the output, on a machine that is slow and has other work: on one
/// that has none it is below two seconds, and the test prints how long it was.
const INTERRUPTED: Duration = seconds(60);

/// A daemon with a pipeline that runs.
pub(in crate::tenants) fn with_a_pipeline(counted: &Counted) -> Daemon {
    let daemon = Daemon::start();
    daemon.done(&["tenant", "create", "team"]);
    let file = daemon.write("counts.toml", &file_of(counted, &component("count-by-key"), ""));
    daemon.done(&["apply", &file.display().to_string(), "--tenant", "team"]);
    daemon.wait_until("team", "counts", "running");
    daemon
}

/// `count-by-key` with other bytes: a custom section more, which means nothing.
pub(in crate::tenants) fn another_build(daemon: &Daemon, number: u8) -> PathBuf {
    let mut bytes = std::fs::read(component("count-by-key")).unwrap();
    bytes.extend([0, 6, 5, b'b', b'u', b'i', b'l', b'0' + number % 10]);
    let path = daemon.data().parent().unwrap().join(format!("build-{number}.wasm"));
    std::fs::write(&path, bytes).unwrap();
    path
}

fn upgrade(daemon: &Daemon, plugin: &Path, watch: &str) -> Value {
    let plugin = format!("op={}", plugin.display());
    let words = [
        "upgrade", "counts", "--plugin", &plugin, "--watch", watch, "--tenant", "team",
    ];
    daemon.done(&words)
}

pub(in crate::tenants) fn runs(daemon: &Daemon, version: i64) -> Value {
    let mut status = Value::Null;
    wait::until_true(&format!("version {version} runs"), seconds(180), || {
        status = daemon.status("team", "counts");
        status["state"] == "running" && status["version"] == version
    });
    status
}

pub(in crate::tenants) fn is_complete(counted: &Counted) {
    wait::until_true("every output is there", seconds(240), || {
        std::thread::sleep(Duration::from_millis(200));
        counted.is_complete()
    });
}

/// The longest time in which the output did not grow, until `is_over`.
fn longest_pause(counted: &Counted, mut is_over: impl FnMut() -> bool) -> Duration {
    let (mut before, mut since, mut longest) = (counted.visible(), Instant::now(), Duration::ZERO);
    while !is_over() {
        std::thread::sleep(Duration::from_millis(10));
        let now = counted.visible();
        if now > before {
            longest = longest.max(since.elapsed());
            (before, since) = (now, Instant::now());
        }
    }
    longest.max(since.elapsed())
}

#[test]
fn a_swap_with_unchanged_state_is_short_and_nothing_is_lost_or_doubled() {
    let counted = Counted::on(Kafka::shared(), "upgrade-swap", 4, 50);
    let daemon = with_a_pipeline(&counted);
    under_load_until(
        &counted,
        LOAD,
        || {
            wait::until_true("it puts out", PATIENCE, || counted.visible() > 1000);
            let plugin = another_build(&daemon, 1);
            let end = std::thread::scope(|scope| {
                let swapped = scope.spawn(|| {
                    let plan = upgrade(&daemon, &plugin, "10s");
                    assert_eq!(plan["state"], "same", "{plan}");
                    runs(&daemon, 2);
                    // It has put out for some time.
                    let before = counted.visible();
                    wait::until_true("version 2 puts out", PATIENCE, || counted.visible() > before + 1000);
                });
                let pause = longest_pause(&counted, || swapped.is_finished());
                swapped.join().unwrap();
                pause
            });
            eprintln!("the swap interrupted the output for {} ms", end.as_millis());
            assert!(end < INTERRUPTED, "the output stood still for {end:?}");
            wait::until_true("the watch is over", seconds(60), || {
                daemon.status("team", "counts")["reason"] == ""
            });
        },
        || is_complete(&counted),
    );
    assert_eq!(daemon.status("team", "counts")["version"], 2);
}

#[test]
fn a_version_that_traps_comes_back_by_itself_and_the_counts_are_exact() {
    let counted = Counted::on(Kafka::shared(), "upgrade-traps", 4, 50);
    let daemon = with_a_pipeline(&counted);
    under_load_until(
        &counted,
        LOAD,
        || {
            wait::until_true("it puts out", PATIENCE, || counted.visible() > 1000);
            let plan = upgrade(&daemon, &component("counts-and-traps"), "2m");
            assert_eq!(plan["state"], "same", "{plan}");
            let status = runs(&daemon, 3);
            let reason = status["reason"].as_str().unwrap();
            assert!(reason.contains("version 2 was taken back at "), "{status}");
            assert!(reason.contains("trapped"), "{status}");
            let before = counted.visible();
            wait::until_true("it puts out", PATIENCE, || counted.visible() > before);
        },
        || is_complete(&counted),
    );
}

#[test]
fn a_way_back_is_a_version_more_and_nothing_is_lost_or_doubled() {
    let counted = Counted::on(Kafka::shared(), "upgrade-back", 4, 50);
    let daemon = with_a_pipeline(&counted);
    under_load_until(
        &counted,
        LOAD,
        || {
            upgrade(&daemon, &another_build(&daemon, 2), "0");
            runs(&daemon, 2);
            let before = counted.visible();
            wait::until_true("it puts out", PATIENCE, || counted.visible() > before);
            let dry = daemon.done(&["rollback", "counts", "--dry-run", "--tenant", "team"]);
            assert_eq!(
                (&dry["version"], &dry["begins"]),
                (&3.into(), &"at the last commit".into()),
                "{dry}"
            );
            assert_eq!(daemon.status("team", "counts")["version"], 2);
            daemon.done(&["rollback", "counts", "--tenant", "team"]);
            runs(&daemon, 3);
        },
        || is_complete(&counted),
    );
}

#[test]
fn a_daemon_that_dies_in_an_upgrade_ends_in_one_of_both_versions() {
    let counted = Counted::on(Kafka::shared(), "upgrade-kills", 4, 50);
    let mut daemon = with_a_pipeline(&counted);
    under_load_until(
        &counted,
        LOAD,
        || {
            for kill in 0..setting("SANDBAR_KILLS", 5) {
                let before = daemon.status("team", "counts")["version"].as_i64().unwrap();
                upgrade(&daemon, &another_build(&daemon, kill as u8), "3s");
                std::thread::sleep(Duration::from_millis(kill * 397 % 2500));
                daemon.kill();
                std::thread::sleep(Duration::from_millis(kill * 37 % 250));
                daemon.start_again();
                let mut status = Value::Null;
                wait::until_true("the upgrade is over", seconds(180), || {
                    status = daemon.status("team", "counts");
                    let reason = status["reason"].as_str().unwrap_or_default();
                    let is_new = status["version"].as_i64().is_some_and(|version| version > before);
                    is_new && status["state"] == "running" && !reason.contains("watched")
                });
                // The new one, or the one before as a version more.
                let version = status["version"].as_i64().unwrap();
                assert!([before + 1, before + 2].contains(&version), "{status}");
                let seen = counted.visible();
                wait::until_true("it puts out", PATIENCE, || counted.visible() > seen);
            }
        },
        || is_complete(&counted),
    );
}
