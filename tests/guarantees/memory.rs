//! Memory stays bounded whatever the lag, the size of the records, or a sink that stands still.

use crate::flow::{Flow, stop};
use sandbar_tests::client::{Isolation, Record};
use sandbar_tests::kafka::Kafka;
use sandbar_tests::wait::seconds;
use std::time::{Duration, Instant};

/// The queues of a process take 64 MiB, a batch and its outputs cross the plugin's memory, and the program itself takes
/// its part.
const LIMIT_KIB: u64 = 320 << 10;
const RECORDS: i64 = 400;

#[test]
fn a_lag_of_large_records_takes_no_more_memory_than_configured() {
    let flow = Flow::new("large", 8, "start = \"earliest\"\nstop = \"latest\"");
    send_large(&flow);
    let mut run = flow.start();
    let mut highest = 0;
    while run.is_running() {
        highest = highest.max(run.memory_kib().1);
        std::thread::sleep(Duration::from_millis(10));
    }
    let ended = run.wait(seconds(5));
    assert_eq!(ended.code, Some(0), "{}", ended.text);
    eprintln!("large records: {} MiB at most", highest >> 10);
    assert!(highest < LIMIT_KIB, "{} MiB", highest >> 10);
    assert_eq!(flow.count(), RECORDS);
}

#[test]
fn a_sink_that_stands_still_holds_the_reader_back() {
    let sink = Kafka::start(1);
    let mut flow = Flow::new("still", 8, "start = \"earliest\"");
    sink.client().create_topic(&flow.output, 1);
    flow.file.sink = format!("topic = \"{}\"", flow.output);
    flow.file.tables = format!("[sink.out.kafka]\nbrokers = \"{}\"", sink.bootstrap());
    send_large(&flow);
    let mut run = flow.start();
    sink.pause(1);
    // Shorter than a broker's session: one that was taken for dead may be a long time in coming back.
    let since = Instant::now();
    while since.elapsed() < seconds(5) {
        std::thread::sleep(Duration::from_millis(50));
    }
    let (_, highest) = run.memory_kib();
    sink.resume(1);
    eprintln!("a sink that stands still: {} MiB at most", highest >> 10);
    assert!(highest < LIMIT_KIB, "{} MiB", highest >> 10);
    let client = sink.client();
    sandbar_tests::wait::until_true("all outputs arrive", seconds(180), || {
        assert!(run.is_running(), "it runs: {}", run.lines().join("\n"));
        client.bounds(&flow.output, 0, Isolation::Committed).1 >= RECORDS
    });
    assert!(run.memory_kib().1 < LIMIT_KIB);
    stop(run);
}

fn send_large(flow: &Flow) {
    let value = vec![b'x'; 1_000_000];
    let record = |n: i64| Record {
        value: Some(value.clone()),
        ..Record::placed(&flow.input, (n % 8) as i32, "")
    };
    let producer = flow.client.producer();
    for from in (0..RECORDS).step_by(40) {
        producer.send(&(from..from + 40).map(record).collect::<Vec<_>>());
    }
}
