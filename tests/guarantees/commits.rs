//! Committed is the next offset to read, never beyond what was processed and acknowledged. Rows 34 to 42.

use crate::flow::{Flow, stop, wait_left};
use sandbar_tests::client::{Isolation, Record};
use sandbar_tests::kafka::Kafka;
use sandbar_tests::process::event;
use sandbar_tests::wait::{self, PATIENCE};

const QUICK: &str = "start = \"earliest\"\nauto-commit-interval = \"200ms\"";

#[test]
fn fifty_records_are_committed_as_fifty() {
    let flow = Flow::new("fifty", 1, QUICK);
    flow.send(0..50);
    let run = flow.start();
    flow.wait_count(50, &run);
    flow.wait_committed(&[50]);
    let committed = flow.client.committed(&flow.file.group(), &flow.input);
    assert!(committed[&0].metadata.starts_with("sb1:-:"), "{committed:?}");
    stop(run);
    flow.wait_committed(&[50]);
}

#[test]
fn sigterm_commits_leaves_the_group_and_exits_with_0() {
    let flow = Flow::new(
        "sigterm",
        2,
        "start = \"earliest\"\nauto-commit-interval = \"1h\"\nsession-timeout = \"300s\"",
    );
    flow.send(0..100);
    let run = flow.start();
    flow.wait_count(100, &run);
    stop(run);
    wait_left(&flow.client, &flow.file.group());
    flow.wait_committed(&[50, 50]);
}

#[test]
fn sigterm_under_load_commits_exactly_what_was_put_out() {
    let flow = Flow::new("load", 2, "start = \"earliest\"\nstop = \"latest\"\nmax-batch = 20");
    flow.send(0..200_000);
    let run = flow.start();
    flow.wait_count(1, &run);
    stop(run);
    let count = flow.count();
    let committed: i64 = flow.committed().values().sum();
    assert_eq!(
        committed, count,
        "each position that was committed stands behind its output"
    );
    flow.finish();
    assert_eq!(
        flow.sorted(),
        (0..200_000).collect::<Vec<_>>(),
        "a stop and a start repeat nothing and lose nothing"
    );
}

#[test]
fn a_resolved_start_is_committed_though_nothing_is_read() {
    let flow = Flow::new("nothing", 2, "start = \"latest\"");
    flow.client.producer().send(&[Record::placed(&flow.input, 1, "1")]);
    let run = flow.start();
    flow.wait_committed(&[0, 1]);
    stop(run);
    flow.wait_committed(&[0, 1]);
    let committed = flow.client.committed(&flow.file.group(), &flow.input);
    assert!(
        committed
            .values()
            .all(|committed| committed.metadata.starts_with("sb1:-:")),
        "{committed:?}"
    );
}

#[test]
fn lag_is_zero_behind_transaction_markers() {
    let flow = Flow::new("markers", 1, QUICK);
    let transactions = flow.client.transactions(&flow.input);
    for commit in [true, false, true] {
        transactions.begin();
        transactions.send(&[Record::placed(&flow.input, 0, "1"), Record::placed(&flow.input, 0, "2")]);
        if commit {
            transactions.commit()
        } else {
            transactions.abort()
        }
    }
    let run = flow.start();
    flow.wait_count(4, &run);
    let (_, end) = flow.client.bounds(&flow.input, 0, Isolation::Uncommitted);
    assert_eq!(end, 9, "six records and three markers");
    flow.wait_committed(&[end]);
    stop(run);
    flow.wait_committed(&[end]);
}

#[test]
fn never_commits_nothing() {
    let flow = Flow::new("never", 1, "start = \"earliest\"\ncommit-offsets = \"never\"");
    flow.send(0..10);
    let run = flow.start();
    flow.wait_count(10, &run);
    stop(run);
    assert!(flow.committed().is_empty(), "{:?}", flow.committed());
    let run = flow.start();
    flow.wait_count(20, &run);
    stop(run);
}

#[test]
fn a_checkpoint_commits_each_interval() {
    let mut flow = Flow::new("checkpoint", 2, "start = \"earliest\"");
    flow.file.top = "workers = 2\ndelivery = \"at-least-once\"".into();
    flow.file.tables = "[checkpoint]\ninterval = \"200ms\"\nstore = \"checkpoints\"".into();
    flow.send(0..20);
    let run = flow.start();
    flow.wait_count(20, &run);
    flow.wait_committed(&[10, 10]);
    assert!(
        run.lines().iter().any(|line| event(line, "checkpoint").is_some()),
        "{}",
        run.lines().join("\n")
    );
    let committed = flow.client.committed(&flow.file.group(), &flow.input);
    assert!(
        committed
            .values()
            .all(|committed| committed.metadata.starts_with("sb1:")),
        "{committed:?}"
    );
    stop(run);
}

#[test]
fn a_failed_commit_is_told_and_superseded_and_ends_nothing() {
    let kafka = Kafka::start(1);
    let flow = Flow::on(&kafka, "failed", 1, QUICK);
    flow.send(0..10);
    let mut run = flow.start();
    flow.wait_count(10, &run);
    flow.wait_committed(&[10]);
    // A broker that takes no metadata refuses each commit of ours, and nothing else.
    let restart_with = |line| {
        kafka.kill(1);
        kafka.configure(line);
        kafka.restart(1);
    };
    restart_with("offset.metadata.max.bytes=1");
    flow.send(10..20);
    flow.wait_count(20, &run);
    run.wait_for("it tells of the failed commit", PATIENCE, |lines| {
        lines.iter().any(|line| event(line, "commit-failed").is_some())
    });
    assert!(run.is_running());
    assert_eq!(flow.committed()[&0], 10);
    restart_with("offset.metadata.max.bytes=4096");
    flow.send(20..30);
    wait::until_true("the next commit supersedes it", PATIENCE, || flow.committed()[&0] == 30);
    stop(run);
    // The group may have given the partition anew while the broker was away: what was not committed came again, nothing
    // is missing.
    let mut numbers = flow.sorted();
    numbers.dedup();
    assert_eq!(numbers, (0..30).collect::<Vec<_>>());
}
