//! The process of a pipeline is shut in by the kernel, and what it was granted stands in no place that others read.

use std::fs;

use sandbar_tests::counted::Counted;
use sandbar_tests::daemon::Daemon;
use sandbar_tests::kafka::Kafka;
use sandbar_tests::process::{Process, component, signal};
use sandbar_tests::skip;
use sandbar_tests::wait::seconds;

use super::walk::file_of;

/// Whether the kernel of this machine has all walls.
fn has_walls() -> bool {
    let found = Process::start(&["doctor", "-o", "json"]).wait(seconds(60)).text;
    let found: serde_json::Value = serde_json::from_str(found.trim()).expect("what doctor found");
    let all = found["found"].as_array().expect("a list").iter();
    let mut walls = all.filter(|found| found["name"].as_str().is_some_and(|name| name.starts_with("wall")));
    walls.all(|wall| wall["ok"] == true)
}

#[test]
fn the_process_of_a_pipeline_has_no_privilege_and_runs_only_code_that_was_checked() {
    if !has_walls() {
        return skip(
            "the walls around a pipeline's process",
            "the kernel lacks one: sandbar doctor",
        );
    }
    let kafka = Kafka::start(1);
    let counted = Counted::on(&kafka, "tenant-walls", 1, 10);
    let daemon = Daemon::start_with(&["--require-isolation"]);
    daemon.done(&["tenant", "create", "team"]);
    let file = daemon.write("counts.toml", &file_of(&counted, &component("count-by-key"), ""));
    daemon.done(&["apply", &file.display().to_string(), "--tenant", "team"]);
    let status = daemon.wait_until("team", "counts", "running");
    let pid = status["pid"].as_u64().expect("its process");
    let of = |name: &str| fs::read_to_string(format!("/proc/{pid}/{name}")).expect("what the system says of it");

    let says = of("status");
    for line in [
        "NoNewPrivs:\t1",
        "Seccomp:\t2",
        "CapEff:\t0000000000000000",
        "CapPrm:\t0000000000000000",
    ] {
        assert!(says.contains(line), "{line}: {says}");
    }
    assert!(of("limits").contains("Max core file size        0"), "{}", of("limits"));
    // Its standard input was the grant; neither its arguments nor its variables say more than what everybody may know.
    assert_eq!(of("environ").trim_end_matches('\0'), "SANDBAR_LOG=info");
    assert!(!of("cmdline").contains("key"), "{}", of("cmdline"));

    // It compiles nothing: code that its check did not make is not run, and `resume` makes it again.
    let code = daemon.data().join("tenants/team/code");
    let entries = || {
        fs::read_dir(&code)
            .expect("compiled plugins")
            .flatten()
            .collect::<Vec<_>>()
    };
    assert_eq!(entries().len(), 1);
    let entry = entries()[0].path();
    let whole = fs::read(&entry).expect("compiled code");
    let mut forged = whole.clone();
    forged[whole.len() / 2] ^= 1;
    fs::write(&entry, &forged).expect("the code is forged");
    signal(u32::try_from(pid).expect("a process"), "KILL");
    let failed = daemon.wait_until("team", "counts", "failed");
    let reason = failed["reason"].as_str().expect("a reason");
    assert!(
        reason.contains("its compiled code is not there, or was made by another"),
        "{failed}"
    );
    daemon.done(&["resume", "counts", "--tenant", "team"]);
    daemon.wait_until("team", "counts", "running");
    assert_eq!(fs::read(&entry).expect("compiled code"), whole, "it was made again");
}
