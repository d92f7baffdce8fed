//! The station on a real Kafka: set SANDBAR_TEST_KAFKA to a bootstrap address, else these tests say that they were
//! skipped.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use crate::clock;
use crate::config::*;
use crate::error::{Kind, Result};
use crate::kafka::consumer;
use crate::kafka::lookup::{CommittedOffset, Lookup};
use crate::record::{Committable, TopicPartition};
use crate::source::*;

mod fenced;
mod leave;
mod members;
mod merged;
mod starts;
mod transfer;

pub(crate) const LIMIT: Duration = Duration::from_secs(180);

pub(crate) fn kafka() -> Option<String> {
    let address = std::env::var("SANDBAR_TEST_KAFKA").ok();
    if address.is_none() {
        eprintln!("SKIPPED: set SANDBAR_TEST_KAFKA to the bootstrap address of an Apache Kafka");
    }
    address
}

pub(crate) fn unique(name: &str) -> String {
    format!("{name}-{:08x}", clock::random() as u32)
}

fn config(address: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", address).set("linger.ms", "5");
    config
}

fn block<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

fn admin(address: &str) -> AdminClient<DefaultClientContext> {
    config(address).create().unwrap()
}

pub(crate) fn topic(address: &str, name: &str, partitions: i32) -> String {
    let name = unique(name);
    let new = NewTopic::new(&name, partitions, TopicReplication::Fixed(1));
    block(admin(address).create_topics([&new], &AdminOptions::new())).unwrap()[0]
        .as_ref()
        .unwrap();
    wait_led(address, &name, partitions as usize);
    name
}

/// Waits until each of a topic's partitions has a leader.
fn wait_led(address: &str, name: &str, partitions: usize) {
    let (admin, until) = (admin(address), clock::now() + LIMIT);
    let led = || {
        let metadata = admin.inner().fetch_metadata(Some(name), LIMIT).unwrap();
        let partitions = metadata.topics()[0].partitions().iter();
        partitions.filter(|partition| partition.leader() >= 0).count()
    };
    while led() != partitions {
        assert!(clock::now() < until, "{name} has no leaders");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Records `from..to` of a partition: value is the number, time is 1000 times it and one more: librdkafka takes 0 for
/// "now".
fn produce_with(producer: &BaseProducer, topic: &str, partition: i32, numbers: std::ops::Range<i64>) {
    for number in numbers {
        let value = format!("{number}");
        loop {
            let record = BaseRecord::<(), str>::to(topic)
                .partition(partition)
                .timestamp(number * 1000 + 1)
                .payload(&value);
            match producer.send(record) {
                Ok(()) => break,
                Err(_) => {
                    producer.poll(Duration::from_millis(10));
                }
            }
        }
    }
}

pub(crate) fn produce(address: &str, topic: &str, partition: i32, numbers: std::ops::Range<i64>) {
    let producer: BaseProducer = config(address).create().unwrap();
    produce_with(&producer, topic, partition, numbers);
    producer.flush(LIMIT).unwrap();
}

pub(crate) fn transaction(
    address: &str,
    topic: &str,
    partition: i32,
    numbers: std::ops::Range<i64>,
    commit: Option<bool>,
) -> BaseProducer {
    let producer: BaseProducer = config(address).set("transactional.id", unique("t")).create().unwrap();
    producer.init_transactions(LIMIT).unwrap();
    producer.begin_transaction().unwrap();
    produce_with(&producer, topic, partition, numbers);
    producer.flush(LIMIT).unwrap();
    match commit {
        Some(true) => producer.commit_transaction(LIMIT).unwrap(),
        Some(false) => producer.abort_transaction(LIMIT).unwrap(),
        None => {}
    }
    producer
}

fn delete_before(address: &str, topic: &str, partition: i32, offset: i64) {
    let mut list = rdkafka::TopicPartitionList::new();
    list.add_partition_offset(topic, partition, rdkafka::Offset::Offset(offset))
        .unwrap();
    block(admin(address).delete_records(&list, &AdminOptions::new())).unwrap();
}

pub(crate) fn source(address: &str, topics: &[&str]) -> KafkaSource {
    KafkaSource {
        name: "s".to_owned(),
        cluster: Cluster {
            brokers: address.to_owned(),
            properties: BTreeMap::new(),
            login: Default::default(),
        },
        subscription: Subscription::Topics(topics.iter().map(|name| (*name).to_owned()).collect()),
        group: unique("g"),
        start: Start::Earliest,
        otherwise: Otherwise::Earliest,
        stop: Some(Stop::Latest),
        on_out_of_range: OutOfRange::Fail,
        truth: Truth::Group,
        commit_offsets: CommitOffsets::Periodic,
        auto_commit_interval: Duration::from_millis(100),
        session_timeout: Duration::from_secs(6),
        max_batch: 1000,
        discovery_interval: Duration::from_millis(500),
        event_time: EventTime::Record,
        time: TimeSettings::default(),
    }
}

pub(crate) fn member(workers: usize) -> MemberSettings {
    MemberSettings {
        pipeline: "p".to_owned(),
        instance: None,
        workers,
        queue_bytes: 16 << 20,
        keyed: KeyedSources::default(),
        beside: Vec::new(),
        poll_interval: Duration::from_secs(300),
        merged: None,
    }
}

type Seen = BTreeMap<TopicPartition, Vec<i64>>;

/// Reads until the run ends, or `enough` says so; commits now and then, as a worker does.
fn read(reader: &mut Reader, mut enough: impl FnMut(&Seen, &Polled) -> bool) -> Result<Seen> {
    let mut seen = Seen::new();
    let mut batch = Batch::default();
    let mut commit = clock::Interval::new(Duration::from_millis(100));
    let deadline = clock::now() + LIMIT;
    loop {
        assert!(
            clock::now() < deadline,
            "not done in time: {:?}",
            seen.iter().map(|(at, of)| (at, of.len())).collect::<Vec<_>>()
        );
        let polled = reader.poll(Duration::from_millis(50), &mut batch)?;
        match &polled {
            Polled::Batch => {
                let of = seen.entry(batch.partition.clone()).or_default();
                of.extend(&batch.records.offsets);
                assert!(of.is_sorted_by(|a, b| a < b), "{} is out of order", batch.partition);
                reader.processed();
            }
            Polled::Revoking(_) => reader.release(Some(Duration::from_secs(5)))?,
            Polled::Committed(result) => assert_eq!(result.clone().err(), None),
            Polled::Finished => return Ok(seen),
            _ => {}
        }
        if commit.due() {
            reader.begin_commit();
        }
        if enough(&seen, &polled) {
            return Ok(seen);
        }
    }
}

fn run(source: &KafkaSource) -> Result<Seen> {
    let plan = Arc::new(plan(std::slice::from_ref(source), &member(1), None)?);
    let mut reader = Reader::join(plan, 0)?;
    let seen = read(&mut reader, |_, _| false)?;
    reader.leave(Some(Duration::from_secs(5)), Duration::from_secs(7))?;
    Ok(seen)
}

fn committed(source: &KafkaSource, topic: &str, partition: i32) -> Option<CommittedOffset> {
    let client = consumer::non_member(source).unwrap();
    let at = TopicPartition::new(topic, partition);
    Lookup::new(&client, "failed".to_owned(), LIMIT)
        .committed(&[at])
        .unwrap()
        .remove(0)
}

fn offsets(range: std::ops::Range<i64>) -> Vec<i64> {
    range.collect()
}
