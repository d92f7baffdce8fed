//! The oracle itself is shown to see what Kafka holds, before it judges anybody.

use sandbar_tests::client::{Isolation, Record};
use sandbar_tests::kafka::Kafka;
use sandbar_tests::pipeline_file::unique;
use std::time::Instant;

#[test]
fn the_oracle_tells_committed_from_aborted_and_open_records() {
    let (client, topic) = (Kafka::shared().client(), unique("oracle"));
    client.create_topic(&topic, 1);
    let record = |value: &str| [Record::placed(&topic, 0, value)];
    client.producer().send(&record("plain"));
    let transactions = client.transactions(&topic);
    for (value, commit) in [("aborted", false), ("committed", true)] {
        transactions.begin();
        transactions.send(&record(value));
        if commit {
            transactions.commit()
        } else {
            transactions.abort()
        }
    }
    transactions.begin();
    transactions.send(&record("open"));
    client.producer().send(&record("behind"));
    let texts = |isolation| {
        client
            .read(&topic, isolation)
            .iter()
            .map(Record::text)
            .collect::<Vec<_>>()
    };
    assert_eq!(texts(Isolation::Committed), ["plain", "committed"]);
    assert_eq!(
        texts(Isolation::Uncommitted),
        ["plain", "aborted", "committed", "open", "behind"]
    );
    assert_eq!(client.bounds(&topic, 0, Isolation::Committed), (0, 5));
    assert_eq!(client.bounds(&topic, 0, Isolation::Uncommitted), (0, 7));
    transactions.commit();
    client.settle(&topic);
    assert_eq!(texts(Isolation::Committed), ["plain", "committed", "open", "behind"]);
}

#[test]
fn the_oracle_sees_deleted_records_times_and_the_groups_offsets() {
    let (client, topic) = (Kafka::shared().client(), unique("oracle"));
    client.create_topic(&topic, 2);
    let records: Vec<Record> = [1000, 3000, 2000, 4000]
        .map(|time| Record::placed(&topic, 1, "x").at(time))
        .to_vec();
    client.producer().send(&records);
    assert_eq!(client.offset_at(&topic, 1, 1500, Isolation::Committed), Some(1));
    assert_eq!(client.offset_at(&topic, 1, 4001, Isolation::Committed), None);
    client.delete_records(&topic, 1, 3);
    assert_eq!(client.bounds(&topic, 1, Isolation::Committed), (3, 4));
    assert_eq!(client.read(&topic, Isolation::Committed).len(), 1);
    client.commit(&topic, &[(&topic, 1, 2)]);
    let committed = client.committed(&topic, &topic);
    assert_eq!((committed.len(), committed[&1].offset), (1, 2));
}

#[test]
fn a_node_of_three_comes_back_after_kill_9() {
    let since = Instant::now();
    let kafka = Kafka::start(3);
    eprintln!("three nodes ready in {:?}", since.elapsed());
    let (client, topic) = (kafka.client(), unique("three"));
    client.create_topic(&topic, 3);
    let records: Vec<Record> = (0..30)
        .map(|at| Record::keyed(&topic, &format!("k{at}"), "x"))
        .collect();
    client.producer().send(&records);
    kafka.kill(2);
    client.producer().send(&records);
    kafka.restart(2);
    assert_eq!(client.read(&topic, Isolation::Committed).len(), 60);
}
