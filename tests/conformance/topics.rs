//! Topics and partitions.

use crate::client::{Record, admin, fresh, options, partition_count, produce, reader, topic, until, wait};
use crate::wire;
use rdkafka::admin::{NewPartitions, NewTopic, TopicReplication};
use rdkafka::consumer::Consumer;
use rdkafka::types::RDKafkaErrorCode as Code;

pub(crate) fn a_topic_is_created_grown_and_deleted(bootstrap: &str) {
    let name = topic(bootstrap, 2);
    let admin = admin(bootstrap);
    let grown = wait(admin.create_partitions([&NewPartitions::new(&name, 5)], &options())).unwrap();
    assert_eq!(grown, [Ok(name.clone())]);
    until("it has five partitions", || partition_count(bootstrap, &name) == Ok(5));
    assert!(produce(bootstrap, &name, 4, &[Record::default()], &[]).iter().all(Result::is_ok));

    let shrunk = wait(admin.create_partitions([&NewPartitions::new(&name, 3)], &options())).unwrap();
    assert_eq!(shrunk, [Err((name.clone(), Code::InvalidPartitions))]);

    let deleted = wait(admin.delete_topics(&[&name], &options())).unwrap();
    assert_eq!(deleted, [Ok(name.clone())]);
    until("it is gone", || partition_count(bootstrap, &name) == Err(Code::UnknownTopicOrPartition));

    let again = NewTopic::new(&name, 1, TopicReplication::Fixed(1));
    until("the name is free", || wait(admin.create_topics([&again], &options())).unwrap() == [Ok(name.clone())]);
    until("it is known", || partition_count(bootstrap, &name) == Ok(1));
    let empty = reader(bootstrap, &name, 0, 0, &[]);
    until("it is empty", || empty.fetch_watermarks(&name, 0, crate::client::LIMIT).is_ok_and(|marks| marks == (0, 0)));
}

pub(crate) fn what_cannot_be_created_is_refused(bootstrap: &str) {
    let taken = topic(bootstrap, 1);
    let fresh = fresh("refused");
    let refused = [
        (taken.as_str(), 1, 1, Code::TopicAlreadyExists),
        ("no spaces allowed", 1, 1, Code::InvalidTopic),
        ("..", 1, 1, Code::InvalidTopic),
        (fresh.as_str(), 0, 1, Code::InvalidPartitions),
        (fresh.as_str(), 1, 3, Code::InvalidReplicationFactor),
    ];
    for (name, partitions, replicas, code) in refused {
        let new = NewTopic::new(name, partitions, TopicReplication::Fixed(replicas));
        let outcome = wait(admin(bootstrap).create_topics([&new], &options())).unwrap();
        assert_eq!(outcome, [Err((name.to_owned(), code))]);
    }
}

pub(crate) fn an_unknown_topic_is_an_error_and_is_not_created(bootstrap: &str) {
    let name = fresh("unknown");
    let unknown = Code::UnknownTopicOrPartition;
    assert_eq!(partition_count(bootstrap, &name), Err(unknown));
    assert_eq!(wire::produce(bootstrap, &name, 0, &wire::batch(-1, -1, -1, 1)), (3, -1));
    let deleted = wait(admin(bootstrap).delete_topics(&[&name], &options())).unwrap();
    assert_eq!(deleted, [Err((name.clone(), unknown))]);
    let grown = wait(admin(bootstrap).create_partitions([&NewPartitions::new(&name, 5)], &options())).unwrap();
    assert_eq!(grown, [Err((name.clone(), unknown))]);

    let known = topic(bootstrap, 1);
    assert_eq!(wire::produce(bootstrap, &known, 7, &wire::batch(-1, -1, -1, 1)), (3, -1));
    assert_eq!(partition_count(bootstrap, &name), Err(unknown));
}
