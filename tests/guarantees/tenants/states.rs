//! A status is derived from what is, never from what was ordered: processes are killed, stopped and starved, and the
//! status is compared.

use sandbar_tests::counted::Counted;
use sandbar_tests::daemon::Daemon;
use sandbar_tests::kafka::Kafka;
use sandbar_tests::process::{component, signal};
use sandbar_tests::wait::{self, seconds};

use super::walk::file_of;

#[test]
fn the_status_says_what_is_there_whatever_was_ordered() {
    let kafka = Kafka::start(1);
    let counted = Counted::on(&kafka, "tenant-states", 1, 10);
    let daemon = Daemon::start();
    daemon.done(&["tenant", "create", "team"]);
    let apply = |name: &str, text: &str| {
        let file = daemon.write(
            &format!("{name}.toml"),
            &text.replace("name = \"counts\"", &format!("name = \"{name}\"")),
        );
        daemon.ask(
            &daemon.admin(),
            &["apply", &file.display().to_string(), "--tenant", "team"],
        )
    };
    let text = file_of(&counted, &component("count-by-key"), "");
    assert_eq!(apply("views", &text).code, Some(0));
    let pid = daemon.wait_until("team", "views", "running")["pid"].as_u64().unwrap() as u32;

    // Starved: it is there and does not answer.
    signal(pid, "STOP");
    let status = daemon.wait_until("team", "views", "waiting");
    assert!(
        status["reason"].as_str().unwrap().contains("does not answer"),
        "{status}"
    );
    signal(pid, "CONT");
    daemon.wait_until("team", "views", "running");

    // Stopped by somebody else, in order: it was not what was wanted.
    signal(pid, "TERM");
    let mut again = daemon.status("team", "views");
    wait::until_true("another process runs", seconds(120), || {
        again = daemon.status("team", "views");
        again["state"] == "running" && again["pid"] != pid
    });
    assert_eq!(again["restarts"], 1, "{again}");

    // A bounded pipeline comes to its end, and is not started again.
    let bounded = file_of(&counted, &component("count-by-key"), "stop = \"latest\"");
    assert_eq!(apply("once", &bounded).code, Some(0));
    daemon.wait_until("team", "once", "finished");

    // What the same start would give again is not tried again.
    let lost = file_of(&counted, &component("traps"), "");
    assert_eq!(apply("traps", &lost).code, Some(0));
    counted
        .client
        .producer()
        .send(&[sandbar_tests::client::Record::keyed(&counted.input, "k", "trap")]);
    let failed = daemon.wait_until("team", "traps", "failed");
    assert!(failed["reason"].as_str().unwrap().contains("trapped"), "{failed}");
    assert_eq!(failed["restarts"], 0, "{failed}");

    // Kafka is away.
    kafka.pids().iter().for_each(|broker| signal(*broker, "STOP"));
    let status = daemon.wait_until("team", "views", "waiting");
    assert!(status["reason"].as_str().unwrap().contains("Kafka"), "{status}");
}
