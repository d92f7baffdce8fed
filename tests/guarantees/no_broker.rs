//! A cluster that names no broker for a moment, since it took all of them for dead: a machine that slept, or controllers
//! that were cut off. librdkafka forgets its brokers then; whoever has to do with it goes on all the same.

use crate::flow::{Flow, stop};
use sandbar_tests::kafka::Kafka;
use sandbar_tests::wait::{self, seconds};
use std::collections::BTreeSet;

/// So many that librdkafka is still busy with the cluster's answer when its last broker has gone. Then it stays without
/// one, if nobody gives it its brokers again.
const PARTITIONS: i32 = 3000;
/// More than a broker's session, and the age of its last heartbeat.
const PAUSE: std::time::Duration = seconds(9);

#[test]
fn a_cluster_that_named_no_broker_for_a_moment_is_found_again() {
    let kafka = Kafka::start(1);
    // From its second start on a broker is soon taken for dead.
    kafka.kill(1);
    kafka.restart(1);
    let mut flow = Flow::on(&kafka, "no-broker", PARTITIONS, "start = \"earliest\"");
    let mut run = flow.start();
    flow.send(0..100);
    flow.wait_count(100, &run);
    kafka.pause(1);
    std::thread::sleep(PAUSE);
    kafka.resume(1);
    // Whoever comes now knows nothing of before.
    flow.client = kafka.client();
    flow.send(100..200);
    wait::until_true("all outputs arrive", seconds(240), || {
        assert!(run.is_running(), "{}", run.lines().join("\n"));
        flow.numbers().into_iter().collect::<BTreeSet<_>>().len() == 200
    });
    stop(run);
}
