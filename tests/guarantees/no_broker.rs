//! A cluster that names no broker for a moment, since it took all of them for dead: a machine that slept, or
//! controllers that were cut off. librdkafka forgets its brokers then; whoever has to do with it goes on all the same.

use crate::flow::{Flow, stop};
use sandbar_tests::client::{Isolation, Record};
use sandbar_tests::kafka::Kafka;
use sandbar_tests::wait::{self, PATIENCE, seconds};
use std::collections::BTreeSet;
use std::time::Duration;

/// So many that librdkafka is still busy with the cluster's answer when its last broker has gone. Then it stays without
/// one, if nobody gives it its brokers again.
const PARTITIONS: i32 = 3000;
/// More than a broker's session, and the age of its last heartbeat.
const PAUSE: Duration = seconds(9);

/// A lone broker that is soon taken for dead.
fn lone() -> Kafka {
    let kafka = Kafka::start(1);
    // The first start is that of a broker which is not.
    kafka.kill(1);
    kafka.restart(1);
    kafka
}

/// Lets the broker go on, and waits until it was taken for dead and is back: whoever comes now knows nothing of that.
fn come_back(kafka: &Kafka, topic: &str) {
    kafka.resume(1);
    std::thread::sleep(seconds(5));
    wait::until_true("the broker leads again", 2 * PATIENCE, || {
        !kafka.client().is_leaderless(topic)
    });
}

/// A pipeline of such a cluster goes on.
fn goes_on(name: &str, tables: &str) {
    let kafka = lone();
    let mut flow = Flow::on(&kafka, name, PARTITIONS, "start = \"earliest\"");
    flow.file.tables = tables.to_owned();
    let mut run = flow.start();
    flow.send(0..100);
    flow.wait_count(100, &run);
    kafka.pause(1);
    std::thread::sleep(PAUSE);
    come_back(&kafka, &flow.input);
    flow.client = kafka.client();
    flow.send(100..200);
    wait::until_true("all outputs arrive", 2 * PATIENCE, || {
        assert!(run.is_running(), "{}", run.lines().join("\n"));
        flow.numbers().into_iter().collect::<BTreeSet<_>>().len() == 200
    });
    stop(run);
}

#[test]
fn a_cluster_that_named_no_broker_for_a_moment_is_found_again() {
    goes_on("no-broker", "");
}

#[test]
fn so_it_is_under_exactly_once() {
    let checkpoint = "[checkpoint]\ninterval = \"200ms\"\nstore = \"checkpoints\"";
    goes_on("no-broker-once", checkpoint);
}

/// The reader has its brokers, and waits with a batch in hand.
#[test]
fn so_it_is_if_it_only_takes_outputs() {
    const RECORDS: i64 = 300;
    let sink = lone();
    let mut flow = Flow::new("no-broker-out", 4, "start = \"earliest\"");
    sink.client().create_topic(&flow.output, PARTITIONS);
    flow.file.sink = format!("topic = \"{}\"", flow.output);
    flow.file.tables = format!("[sink.out.kafka]\nbrokers = \"{}\"", sink.bootstrap());
    let mut run = flow.start();
    let of_one_key = |value: Vec<u8>| Record {
        key: Some(b"k".to_vec()),
        value: Some(value),
        ..Record::placed(&flow.input, 0, "")
    };
    flow.client.producer().send(&[of_one_key(vec![b'x'])]);
    let client = sink.client();
    let has_one = |partition: &i32| client.bounds(&flow.output, *partition, Isolation::Committed).1 == 1;
    let partition = wait::until("the first one arrives", 2 * PATIENCE, || (0..PARTITIONS).find(has_one));
    sink.pause(1);
    // More than the queues take.
    let producer = flow.client.producer();
    for _ in (0..RECORDS).step_by(50) {
        producer.send(&vec![of_one_key(vec![b'x'; 1_000_000]); 50]);
    }
    std::thread::sleep(PAUSE);
    come_back(&sink, &flow.output);
    wait::until_true("all outputs arrive", 2 * PATIENCE, || {
        assert!(run.is_running(), "{}", run.lines().join("\n"));
        sink.client().bounds(&flow.output, partition, Isolation::Committed).1 > RECORDS
    });
    stop(run);
}
