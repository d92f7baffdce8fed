//! A log that was truncated: after an unclean election other records stand where some stood that were read.
//! `on-out-of-range` decides then.

use crate::flow::{Flow, stop};
use sandbar_tests::client::Record;
use sandbar_tests::kafka::Kafka;
use sandbar_tests::wait::{self, PATIENCE, seconds};

/// A topic on brokers 2 and 3 whose log was truncated from 100 to 50 records below a position that a pipeline
/// committed, and has grown beyond it since.
fn truncated(kafka: &Kafka, name: &str) -> Flow {
    let mut flow = Flow::on(kafka, name, 1, "");
    flow.input = format!("{}-pair", flow.input);
    flow.file.source = format!("topics = [\"{}\"]\nstart = \"earliest\"", flow.input);
    let unclean = [("unclean.leader.election.enable", "true"), ("min.insync.replicas", "1")];
    flow.client.create_topic_on_each(&flow.input, &[2, 3], &unclean);
    flow.send(0..50);
    kafka.kill(3);
    wait::until_true("broker 3 is out of the replicas in sync", PATIENCE, || {
        flow.client.in_sync(&flow.input) == [2]
    });
    flow.send(50..100);
    let run = flow.start();
    flow.wait_count(100, &run);
    flow.wait_committed(&[100]);
    stop(run);
    kafka.kill(2);
    kafka.start_again(3);
    wait::until_true("the one that was behind leads", seconds(180), || {
        flow.client.leader(&flow.input) == Some(3)
    });
    kafka.start_again(2);
    wait::until_true("every replica is in sync", seconds(180), || flow.client.is_in_sync());
    flow.send(1000..1080);
    assert_eq!(
        flow.client
            .bounds(&flow.input, 0, sandbar_tests::client::Isolation::Committed),
        (0, 130),
        "the position is within the log"
    );
    flow
}

#[test]
fn a_log_that_was_truncated_below_the_position_follows_on_out_of_range() {
    let kafka = Kafka::start(3);
    // Kafka makes the topics of the groups' offsets at first use, and only with all brokers there.
    let first = Flow::on(&kafka, "first", 1, "start = \"earliest\"\nstop = \"latest\"");
    first.send(0..10);
    assert_eq!(first.file.run().wait(PATIENCE).code, Some(0));
    let mut flow = truncated(&kafka, "truncated");
    let ended = flow.file.run().wait(PATIENCE);
    assert_eq!(ended.code, Some(5), "{}", ended.text);
    let what = format!("the log of {}/0 was truncated below offset 100", flow.input);
    assert!(ended.text.contains(&what), "{}", ended.text);
    assert!(ended.text.contains("it holds 0..130 now"), "{}", ended.text);

    flow.file.source += "\non-out-of-range = \"earliest\"";
    let run = flow.file.run();
    flow.wait_count(230, &run);
    stop(run);
    let mut expected: Vec<i64> = (0..50).chain(0..100).chain(1000..1080).collect();
    expected.sort_unstable();
    assert_eq!(flow.sorted(), expected, "all that the log holds is read again");
    // A position behind a truncation that was dealt with is as good as any other.
    flow.client.producer().send(&[Record::placed(&flow.input, 0, "2000")]);
    let run = flow.file.run();
    flow.wait_count(231, &run);
    stop(run);
}
