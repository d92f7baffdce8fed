//! Processes share the partitions; joining and leaving under load loses nothing and keeps the order of each key.
//! `SANDBAR_CHURN_SECONDS` sets how long (usually 20).

use crate::flow::{Flow, stop};
use sandbar_tests::client::{Isolation, Record};
use sandbar_tests::process::Process;
use sandbar_tests::wait::{self, PATIENCE, setting};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const KEYS: i64 = 40;

#[test]
fn three_processes_join_and_leave_under_load() {
    let mut flow = Flow::new(
        "churn",
        12,
        "start = \"earliest\"\nsession-timeout = \"5m\"\nauto-commit-interval = \"500ms\"",
    );
    flow.file.top = "workers = 2".into();
    let span = Duration::from_secs(setting("SANDBAR_CHURN_SECONDS", 20));
    let (sent, runs) = std::thread::scope(|scope| {
        let members = scope.spawn(|| churn(&flow, span));
        let sent = produce(&flow, || members.is_finished());
        (sent, members.join().unwrap())
    });
    // Nobody waits for the session of one that left.
    wait::until_true("every record is put out", PATIENCE, || flow.count() >= sent);
    runs.into_iter().for_each(stop);

    let mut repeated = 0;
    let mut last: BTreeMap<Vec<u8>, i64> = BTreeMap::new();
    for record in flow.client.read(&flow.output, Isolation::Committed) {
        let (key, number) = (record.key.clone().unwrap(), record.text().parse::<i64>().unwrap());
        let next = last.entry(key).or_default();
        assert!(
            number <= *next,
            "key {:?}: {number} came where {next} was due",
            record.key
        );
        if number < *next { repeated += 1 } else { *next += 1 }
    }
    assert_eq!(last.values().sum::<i64>(), sent, "nothing is lost");
    assert_eq!(repeated, 0, "members that leave in peace repeat nothing");
}

/// Each key counts from 0. Returns how many records were sent.
fn produce(flow: &Flow, done: impl Fn() -> bool) -> i64 {
    let producer = flow.client.producer();
    let mut round = 0;
    while !done() {
        let record = |n: i64| {
            Record::keyed(
                &flow.input,
                &format!("key-{}", n % KEYS),
                &(round * 5 + n / KEYS).to_string(),
            )
        };
        producer.send(&(0..KEYS * 5).map(record).collect::<Vec<_>>());
        round += 1;
        std::thread::sleep(Duration::from_millis(10));
    }
    round * 5 * KEYS
}

/// One to three members at any time, one more or one less every second.
fn churn(flow: &Flow, span: Duration) -> Vec<Process> {
    let since = Instant::now();
    let mut runs = vec![flow.file.run_member("0")];
    for turn in 0.. {
        if since.elapsed() > span {
            break;
        }
        if turn % 4 < 2 {
            runs.push(flow.file.run_member(&turn.to_string()));
        } else {
            stop(runs.remove(0));
        }
        std::thread::sleep(Duration::from_millis(1000));
    }
    runs
}
