//! A cluster that names no broker for a moment, since it took all of them for dead: a machine that slept, or
//! controllers that were cut off. librdkafka forgets its brokers then; whoever has to do with it goes on all the same.

use crate::flow::{Flow, stop};
use sandbar_tests::client::{Isolation, Record};
use sandbar_tests::kafka::Kafka;
use sandbar_tests::wait::{self, PATIENCE, seconds};
use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// So many that librdkafka is still busy with the cluster's answer when its last broker has gone. Then it stays without
/// one, if nobody gives it its brokers again.
const PARTITIONS: i32 = 3000;
/// More than a broker's session, and the age of its last heartbeat.
const PAUSE: Duration = seconds(9);
/// A broker with so many partitions is work enough: one at a time.
static TURN: Mutex<()> = Mutex::new(());

/// A lone broker that is soon taken for dead, and the turn of its test.
fn lone() -> (Kafka, MutexGuard<'static, ()>) {
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let kafka = Kafka::start(1);
    // The first start is that of a broker which is not.
    kafka.kill(1);
    kafka.restart(1);
    (kafka, turn)
}

/// Lets the broker stand still until it is taken for dead, and waits until it is back: whoever comes then knows nothing
/// of that. If its next heartbeat is faster than the controller's look, it has to stand still once more.
fn lose_broker(kafka: &Kafka) {
    let fenced = || kafka.logged(1, "Fencing broker 1");
    let before = fenced();
    wait::until_true("the broker is taken for dead", 2 * PATIENCE, || {
        kafka.pause(1);
        std::thread::sleep(PAUSE);
        kafka.resume(1);
        std::thread::sleep(seconds(2));
        fenced() > before
    });
    wait::until_true("the broker leads again", PATIENCE, || kafka.client().is_in_sync());
}

/// A pipeline of such a cluster goes on.
fn goes_on(name: &str, tables: &str) {
    let (kafka, _turn) = lone();
    let mut flow = Flow::on(&kafka, name, PARTITIONS, "start = \"earliest\"");
    flow.file.tables = tables.to_owned();
    let mut run = flow.start();
    flow.send(0..100);
    flow.wait_count(100, &run);
    lose_broker(&kafka);
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
    let (sink, _turn) = lone();
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
    lose_broker(&sink);
    wait::until_true("all outputs arrive", 2 * PATIENCE, || {
        assert!(run.is_running(), "{}", run.lines().join("\n"));
        sink.client().bounds(&flow.output, partition, Isolation::Committed).1 > RECORDS
    });
    stop(run);
}
