//! A canary on a real Kafka, under load: what differs is told with its key, what does not takes over by itself, and
//! nothing of the comparison is in Kafka.

use std::path::Path;
use std::time::Duration;

use sandbar_tests::counted::Counted;
use sandbar_tests::daemon::Daemon;
use sandbar_tests::kafka::Kafka;
use sandbar_tests::process::{Ended, Process, component};
use sandbar_tests::wait::{self, PATIENCE, seconds};
use serde_json::Value;

use super::upgrades::{another_build, is_complete, runs, with_a_pipeline};
use super::walk::file_of;
use crate::exactly_once::under_load_until;

/// Records at a time, and how often.
const LOAD: (i64, Duration) = (100, Duration::from_millis(20));
const WORDS: [&str; 8] = [
    "upgrade", "counts", "--canary", "4s", "--watch", "3s", "--tenant", "team",
];
/// Behind the counts: those of one key are others.
const TWIST: &str = "[operator.twist]\nplugin = \"jq\"\ninputs = [\"op\"]\n\
    config = { program = 'if $key == \"key-7\" then . + 1000000 else . end' }";

fn canary(daemon: &Daemon, more: &[&str]) -> Ended {
    daemon.ask(&daemon.admin(), &[&WORDS[..], more].concat())
}

fn plugin(path: &Path) -> String {
    format!("op={}", path.display())
}

/// The file of the pipeline with another operator behind the one that counts.
fn twisted(counted: &Counted) -> String {
    let file = file_of(counted, &component("count-by-key"), TWIST);
    file.replace("from = [\"op\"]", "from = [\"twist\"]")
}

#[test]
fn a_version_that_differs_for_a_key_is_told_with_it_and_one_that_does_not_takes_over() {
    let counted = Counted::on(Kafka::shared(), "canary", 4, 50);
    let daemon = with_a_pipeline(&counted);
    under_load_until(
        &counted,
        LOAD,
        || {
            wait::until_true("it puts out", PATIENCE, || counted.visible() > 1000);
            let pid = daemon.status("team", "counts")["pid"].clone();
            let file = daemon.write("twisted.toml", &twisted(&counted)).display().to_string();
            let differs = canary(&daemon, &["--file", &file]);
            assert_eq!(differs.code, Some(8), "{}", differs.text);
            for word in [
                "98.0 % of 50 keys the same",
                "\"key-7\"",
                "output 1 of the key differs",
                "1 of 50 keys differ",
            ] {
                assert!(differs.text.contains(word), "{word} in\n{}", differs.text);
            }
            let dropped = daemon.done(&["upgrade", "counts", "--drop", "--tenant", "team"]);
            assert_eq!(dropped["phase"], "dropped", "{dropped}");
            let traps = canary(&daemon, &["--plugin", &plugin(&component("counts-and-traps"))]);
            assert_eq!(traps.code, Some(1), "{}", traps.text);
            assert!(traps.text.contains("trapped"), "{}", traps.text);
            let status = daemon.status("team", "counts");
            assert_eq!(
                (&status["pid"], &status["version"]),
                (&pid, &1.into()),
                "it was not touched: {status}"
            );
            let same = canary(&daemon, &["--plugin", &plugin(&another_build(&daemon, 3))]);
            assert_eq!(same.code, Some(0), "{}", same.text);
            assert!(same.text.contains("100.0 % of 50 keys the same"), "{}", same.text);
            eprintln!("{}", same.text);
            runs(&daemon, 2);
            let before = counted.visible();
            wait::until_true("version 2 puts out", PATIENCE, || counted.visible() > before);
        },
        || is_complete(&counted),
    );
    let groups = counted.client.groups();
    let of_it: Vec<_> = groups.iter().filter(|group| group.contains("team--counts")).collect();
    assert_eq!(
        of_it,
        ["sandbar.team--counts"],
        "the runs of a canary are members of no group"
    );
    assert!(!daemon.data().join("tenants/team/canaries/counts").exists());
}

#[test]
fn a_daemon_that_is_killed_in_a_canary_goes_on_with_it() {
    let counted = Counted::on(Kafka::shared(), "canary-kills", 4, 50);
    let mut daemon = with_a_pipeline(&counted);
    under_load_until(
        &counted,
        LOAD,
        || {
            for (build, at) in [(4, 500), (5, 3000), (6, 5500)] {
                wait::until_true("it puts out", PATIENCE, || counted.visible() > 1000);
                wait::until_true("no upgrade is under way", PATIENCE, || {
                    daemon.status("team", "counts")["reason"] == ""
                });
                let before = daemon.status("team", "counts")["version"].as_i64().unwrap();
                let plugin = plugin(&another_build(&daemon, build));
                let (url, admin) = (daemon.url().to_owned(), daemon.admin().display().to_string());
                let place = ["--plugin", &plugin, "--url", &url, "--token-file", &admin];
                let mut waits = Process::start(&[&WORDS[..], &place].concat());
                wait::until_true("it is a canary", seconds(60), || {
                    let reason = daemon.status("team", "counts")["reason"].clone();
                    reason.as_str().is_some_and(|reason| reason.contains("canary"))
                });
                // Nobody has to wait for it.
                waits.kill();
                std::thread::sleep(Duration::from_millis(at));
                daemon.kill();
                daemon.start_again();
                let mut status = Value::Null;
                wait::until_true("the new version runs", seconds(180), || {
                    status = daemon.status("team", "counts");
                    status["state"] == "running" && status["version"] == before + 1
                });
                assert_eq!(daemon.children().len(), 1, "no run of a canary outlives it");
            }
        },
        || is_complete(&counted),
    );
}
