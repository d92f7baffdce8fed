//! What a transactional writer promises, on a real cluster (`SANDBAR_TEST_KAFKA`, see `on_kafka`).

use std::process::Command;
use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};

use super::on_kafka::{LIMIT, brokers, nowhere, push, sink, topic, write};
use super::{CommitOutcome, Files, OffsetsSent, Options, Transactional, Writer};
use crate::clock;
use crate::config::{Cluster, Partitioner, Sink};
use crate::error::{Kind, Result};
use crate::kafka::native::membership::no_membership;
use crate::record::{Committable, Records, TopicPartition};

fn unique(name: &str) -> String {
    format!("{name}-{:016x}", clock::random())
}

pub(super) fn transactional(brokers: &str, id: &str) -> Transactional {
    Transactional {
        id: id.to_owned(),
        timeout: Duration::from_secs(30),
        cluster: Cluster {
            brokers: brokers.to_owned(),
            properties: std::collections::BTreeMap::new(),
            login: Default::default(),
        },
    }
}

pub(super) fn open_with(sinks: &[Sink], transactional: Transactional) -> Result<Writer> {
    Writer::open(
        sinks,
        &Options {
            queue_bytes: 8 << 20,
            client_id: "transactions-test".to_owned(),
            files: Files::default(),
            transactional: Some(transactional),
        },
    )
}

pub(super) fn open(brokers: &str, topic: &str, id: &str) -> Writer {
    let sinks = [sink(brokers, topic, Partitioner::Murmur2, &[])];
    open_with(&sinks, transactional(brokers, id)).unwrap()
}

pub(super) fn records(count: usize) -> Records {
    let mut records = Records::default();
    (0..count).for_each(|at| push(&mut records, Some(&at.to_be_bytes()), Some(b"value"), 1));
    records
}

pub(super) fn at(topic: &str, partition: i32, next: i64, metadata: &str) -> Committable {
    Committable {
        partition: TopicPartition::new(topic, partition),
        next,
        leader_epoch: None,
        metadata: metadata.to_owned(),
    }
}

/// A commit that went through, however long it took.
pub(super) fn commit(writer: &mut Writer) {
    match writer.commit(LIMIT) {
        CommitOutcome::Clean => {}
        CommitOutcome::Slow => reinitialise(writer),
        other => panic!("{other:?}"),
    }
}

pub(super) fn send(writer: &mut Writer, offsets: &[Committable], group: &str) {
    let sent = writer.send_offsets(offsets, &no_membership(group).unwrap(), LIMIT);
    assert!(matches!(sent, OffsetsSent::Done | OffsetsSent::Slow), "{sent:?}");
}

pub(super) fn reinitialise(writer: &mut Writer) {
    let until = clock::now() + LIMIT;
    while let Err(error) = writer.reinitialise(LIMIT) {
        assert!(error.kind == Kind::TimedOut && clock::now() < until, "{error}");
    }
}

fn consumer(brokers: &str, group: &str) -> BaseConsumer {
    ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", group)
        .set("enable.auto.commit", "false")
        .set("isolation.level", "read_committed")
        .set("enable.partition.eof", "true")
        .create()
        .unwrap()
}

/// How many records a read-committed reader sees up to the last stable offset.
fn visible(brokers: &str, topic: &str, partitions: i32) -> usize {
    let consumer = consumer(brokers, "looks");
    let mut all = TopicPartitionList::new();
    (0..partitions).for_each(|at| all.add_partition_offset(topic, at, Offset::Beginning).unwrap());
    consumer.assign(&all).unwrap();
    let (mut seen, mut ends, until) = (0, 0, clock::now() + LIMIT);
    while ends < partitions {
        assert!(clock::now() < until, "{ends} of {partitions} ends in time");
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => seen += usize::from(message.payload().is_some()),
            Some(Err(KafkaError::PartitionEOF(_))) => ends += 1,
            Some(Err(error)) => panic!("{error}"),
            None => {}
        }
    }
    seen
}

/// A reader sees exactly so many: the markers may come a moment behind the answer to a commit.
fn assert_visible(brokers: &str, topic: &str, partitions: i32, count: usize) {
    let until = clock::now() + LIMIT;
    while visible(brokers, topic, partitions) < count && clock::now() < until {}
    assert_eq!(visible(brokers, topic, partitions), count);
}

/// What the group holds, once no transaction is about to move it.
fn committed(brokers: &str, group: &str, topic: &str, partition: i32) -> Option<(i64, String)> {
    let mut asked = TopicPartitionList::new();
    asked.add_partition(topic, partition);
    let held = consumer(brokers, group).committed_offsets(asked, LIMIT).unwrap();
    let held = &held.elements()[0];
    match held.offset() {
        Offset::Offset(next) => Some((next, held.metadata().to_owned())),
        _ => None,
    }
}

#[test]
fn outputs_and_positions_appear_together_with_what_rides_with_them() {
    let Some(brokers) = brokers() else { return };
    let (topic, group) = (topic(&brokers, 2, &[]), unique("g"));
    let mut writer = open(&brokers, &topic, &unique("id"));
    assert!(!writer.has_transaction());
    let odd = "sb1:ü\u{0}😀:views/1:7:0123";
    for round in 1..=3 {
        write(&mut writer, &records(100)).unwrap();
        assert!(writer.has_transaction());
        assert!(writer.drain(LIMIT).unwrap());
        send(
            &mut writer,
            &[at(&topic, 0, round, odd), at(&topic, 1, round, "")],
            &group,
        );
        assert_eq!(visible(&brokers, &topic, 2), 100 * (round as usize - 1));
        commit(&mut writer);
        assert!(!writer.has_transaction());
        assert_visible(&brokers, &topic, 2, 100 * round as usize);
        assert_eq!(committed(&brokers, &group, &topic, 0), Some((round, odd.to_owned())));
        assert_eq!(committed(&brokers, &group, &topic, 1), Some((round, String::new())));
    }
}

#[test]
fn an_abort_hides_outputs_and_keeps_the_positions_and_only_a_new_producer_goes_on() {
    let Some(brokers) = brokers() else { return };
    let (topic, group) = (topic(&brokers, 1, &[]), unique("g"));
    let mut writer = open(&brokers, &topic, &unique("id"));
    send(&mut writer, &[at(&topic, 0, 5, "five")], &group);
    commit(&mut writer);
    write(&mut writer, &records(100)).unwrap();
    assert!(writer.drain(LIMIT).unwrap());
    send(&mut writer, &[at(&topic, 0, 6, "six")], &group);
    writer.abort(LIMIT);
    assert!(!writer.has_transaction());
    assert_eq!(writer.stage(0, &nowhere(), &records(1), 0).unwrap_err().kind, Kind::Bug);
    assert_eq!(visible(&brokers, &topic, 1), 0);
    assert_eq!(committed(&brokers, &group, &topic, 0), Some((5, "five".to_owned())));
    reinitialise(&mut writer);
    write(&mut writer, &records(10)).unwrap();
    assert!(writer.drain(LIMIT).unwrap());
    send(&mut writer, &[at(&topic, 0, 7, "seven")], &group);
    commit(&mut writer);
    assert_visible(&brokers, &topic, 1, 10);
    assert_eq!(committed(&brokers, &group, &topic, 0), Some((7, "seven".to_owned())));
}

#[test]
fn a_second_writer_with_the_same_id_ends_the_first_and_its_transaction() {
    let Some(brokers) = brokers() else { return };
    let (topic, group, id) = (topic(&brokers, 1, &[]), unique("g"), unique("id"));
    let positions = [at(&topic, 0, 9, "first")];
    // Each time the first writer learns it at another step.
    for step in ["send", "commit", "stage"] {
        let mut first = open(&brokers, &topic, &id);
        write(&mut first, &records(10)).unwrap();
        assert!(first.drain(LIMIT).unwrap());
        if step == "commit" {
            send(&mut first, &positions, &group);
        }
        let mut second = open(&brokers, &topic, &id);
        match step {
            "send" => {
                let sent = first.send_offsets(&positions, &no_membership(&group).unwrap(), LIMIT);
                assert!(matches!(sent, OffsetsSent::Fenced(_)), "{sent:?}");
            }
            "commit" => {
                let ended = first.commit(LIMIT);
                assert!(matches!(ended, CommitOutcome::Fenced(_)), "{ended:?}");
            }
            _ => {
                let lost = write(&mut first, &records(10)).and_then(|()| first.drain(LIMIT));
                assert_eq!(lost.unwrap_err().kind, Kind::Fenced);
            }
        }
        write(&mut second, &records(1)).unwrap();
        assert!(second.drain(LIMIT).unwrap());
        commit(&mut second);
    }
    assert_visible(&brokers, &topic, 1, 3);
    assert_eq!(committed(&brokers, &group, &topic, 0), None);
}

#[test]
fn positions_alone_are_a_transaction_and_nothing_is_none() {
    let Some(brokers) = brokers() else { return };
    let (topic, group) = (topic(&brokers, 1, &[]), unique("g"));
    let mut writer = open_with(&[], transactional(&brokers, &unique("id"))).unwrap();
    assert_eq!(
        writer.send_offsets(&[], &no_membership(&group).unwrap(), LIMIT),
        OffsetsSent::Done
    );
    assert!(!writer.has_transaction());
    assert!(matches!(writer.commit(LIMIT), CommitOutcome::Refused(_)));
    send(&mut writer, &[at(&topic, 0, 1, "a")], &group);
    assert!(writer.drain(LIMIT).unwrap());
    commit(&mut writer);
    assert_eq!(committed(&brokers, &group, &topic, 0), Some((1, "a".to_owned())));
}

#[test]
fn a_transaction_holds_many_times_the_queue() {
    let Some(brokers) = brokers() else { return };
    let (topic, group) = (topic(&brokers, 4, &[]), unique("g"));
    let mut writer = open(&brokers, &topic, &unique("id"));
    for _ in 0..10 {
        write(&mut writer, &records(20_000)).unwrap();
    }
    assert!(writer.drain(LIMIT).unwrap());
    send(&mut writer, &[at(&topic, 0, 1, "a")], &group);
    assert_eq!(visible(&brokers, &topic, 4), 0);
    commit(&mut writer);
    assert_visible(&brokers, &topic, 4, 200_000);
}

#[test]
fn metadata_that_is_too_large_is_a_refusal_and_the_next_transaction_goes_on() {
    let Some(brokers) = brokers() else { return };
    let (topic, group) = (topic(&brokers, 1, &[]), unique("g"));
    let mut writer = open(&brokers, &topic, &unique("id"));
    let sent = writer.send_offsets(
        &[at(&topic, 0, 1, &"m".repeat(4097))],
        &no_membership(&group).unwrap(),
        LIMIT,
    );
    assert!(
        matches!(&sent, OffsetsSent::Refused(why) if why.contains("metadata")),
        "{sent:?}"
    );
    writer.abort(LIMIT);
    reinitialise(&mut writer);
    send(&mut writer, &[at(&topic, 0, 1, &"m".repeat(160))], &group);
    commit(&mut writer);
    assert_eq!(committed(&brokers, &group, &topic, 0).unwrap().1.len(), 160);
}

#[test]
fn a_record_that_no_transaction_can_deliver_is_final() {
    let Some(brokers) = brokers() else { return };
    let topic = topic(&brokers, 2, &[("max.message.bytes", "2000")]);
    let sinks = [sink(
        &brokers,
        &topic,
        Partitioner::Murmur2,
        &[("compression.codec", "none"), ("batch.size", "1500")],
    )];
    let mut writer = open_with(&sinks, transactional(&brokers, &unique("id"))).unwrap();
    let mut records = records(1000);
    push(&mut records, None, Some(&[7; 5000]), 1);
    let lost = write(&mut writer, &records).and_then(|()| writer.drain(LIMIT));
    let error = lost.unwrap_err();
    assert_eq!(error.kind, Kind::Kafka, "{error}");
    assert!(error.hint.as_ref().unwrap().contains("max.message.bytes"), "{error}");
    writer.abort(LIMIT);
    assert_eq!(visible(&brokers, &topic, 2), 0);
}

#[test]
fn a_transaction_that_grew_too_old_is_lost_and_is_no_other_process() {
    let Some(brokers) = brokers() else { return };
    let (topic, group) = (topic(&brokers, 1, &[]), unique("g"));
    let mut short = transactional(&brokers, &unique("id"));
    short.timeout = Duration::from_secs(10);
    let sinks = [sink(&brokers, &topic, Partitioner::Murmur2, &[])];
    let mut writer = open_with(&sinks, short).unwrap();
    write(&mut writer, &records(10)).unwrap();
    assert!(writer.drain(LIMIT).unwrap());
    // The broker looks for old ones in intervals of its own: while the transaction is open, what comes after it is not
    // stable.
    let until = clock::now() + LIMIT * 2;
    let mut plain = Writer::open(
        &sinks,
        &Options {
            queue_bytes: 1 << 20,
            client_id: "plain".to_owned(),
            files: Files::default(),
            transactional: None,
        },
    )
    .unwrap();
    write(&mut plain, &records(1)).unwrap();
    assert!(plain.drain(LIMIT).unwrap());
    while visible(&brokers, &topic, 1) == 0 {
        assert!(clock::now() < until, "the broker aborts it");
        std::thread::sleep(Duration::from_millis(100));
    }
    let sent = writer.send_offsets(&[at(&topic, 0, 1, "a")], &no_membership(&group).unwrap(), LIMIT);
    assert!(matches!(sent, OffsetsSent::Stale(_)), "{sent:?}");
    writer.abort(Duration::from_secs(1));
    reinitialise(&mut writer);
    send(&mut writer, &[at(&topic, 0, 2, "b")], &group);
    commit(&mut writer);
    assert_eq!(committed(&brokers, &group, &topic, 0), Some((2, "b".to_owned())));
}

/// Lets a paused broker go on, whatever the test says.
struct Paused(String);

impl Paused {
    fn new(pid: &str) -> Self {
        assert!(Command::new("kill").args(["-STOP", pid]).status().unwrap().success());
        let paused = Self(pid.to_owned());
        // A thread stops when it is next on a core, and until then it answers.
        let until = clock::now() + LIMIT;
        while !paused.stands_still() {
            assert!(clock::now() < until, "it is stopped");
            std::thread::sleep(Duration::from_millis(1));
        }
        paused
    }

    /// Whether the system says of each of its threads that it is stopped.
    fn stands_still(&self) -> bool {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.0)).unwrap();
        let states = threads.map(|thread| std::fs::read_to_string(thread.unwrap().path().join("stat")));
        // The state stands behind the name, which is in brackets; a thread that ended has none.
        let is_stopped = |stat: String| stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('T'));
        states.flatten().all(is_stopped)
    }
}

impl Drop for Paused {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-CONT", &self.0]).status();
    }
}

#[test]
fn a_commit_that_a_hanging_broker_does_not_answer_is_unknown_and_resolved_by_the_next_producer() {
    let Some(brokers) = brokers() else { return };
    let Ok(pid) = std::env::var("SANDBAR_TEST_KAFKA_PID") else {
        eprintln!("SKIPPED: set SANDBAR_TEST_KAFKA_PID to the process of that Kafka to run this test");
        return;
    };
    let (topic, group) = (topic(&brokers, 1, &[]), unique("g"));
    let mut writer = open(&brokers, &topic, &unique("id"));
    let mut seen = 0;
    for round in 1..=3 {
        write(&mut writer, &records(10)).unwrap();
        assert!(writer.drain(LIMIT).unwrap());
        send(&mut writer, &[at(&topic, 0, round, "new")], &group);
        let paused = Paused::new(&pid);
        let ended = writer.commit(Duration::from_millis(300));
        assert!(matches!(ended, CommitOutcome::Unknown(_)), "{ended:?}");
        drop(paused);
        reinitialise(&mut writer);
        // Either it went through as a whole or not at all, and it is decided.
        let went_through = committed(&brokers, &group, &topic, 0).is_some_and(|(next, _)| next == round);
        seen += if went_through { 10 } else { 0 };
        assert_visible(&brokers, &topic, 1, seen);
    }
}

#[test]
fn a_thousand_records_are_committed_in_milliseconds() {
    let Some(brokers) = brokers() else { return };
    let (topic, group) = (topic(&brokers, 8, &[]), unique("g"));
    let mut writer = open(&brokers, &topic, &unique("id"));
    let batch = records(1000);
    let mut took = [const { Vec::new() }; 4];
    let mut slow = 0;
    for round in 0..100 {
        let begun = clock::now();
        write(&mut writer, &batch).unwrap();
        assert!(writer.drain(LIMIT).unwrap());
        took[0].push(begun.elapsed());
        let drained = clock::now();
        send(&mut writer, &[at(&topic, 0, round, "sb1:a:b:1:c")], &group);
        took[1].push(drained.elapsed());
        let sent = clock::now();
        let ended = writer.commit(LIMIT);
        took[2].push(sent.elapsed());
        took[3].push(begun.elapsed());
        if ended != CommitOutcome::Clean {
            slow += 1;
            reinitialise(&mut writer);
        }
    }
    for (step, took) in ["stage and drain", "send offsets", "commit", "all"]
        .iter()
        .zip(&mut took)
    {
        took.sort_unstable();
        println!("{step}: p50 {:?}, p99 {:?}", took[50], took[99]);
    }
    println!("{slow} of 100 were slow");
    let mut reinitialised = Vec::new();
    for _ in 0..11 {
        write(&mut writer, &batch).unwrap();
        assert!(writer.drain(LIMIT).unwrap());
        let begun = clock::now();
        writer.abort(LIMIT);
        reinitialise(&mut writer);
        reinitialised.push(begun.elapsed());
    }
    reinitialised.sort_unstable();
    println!(
        "abort and reinitialise: p50 {:?}, worst {:?}",
        reinitialised[5], reinitialised[10]
    );
    assert_visible(&brokers, &topic, 8, 100_000);
}
