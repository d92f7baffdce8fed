//! The station on a real Kafka: set SANDBAR_TEST_KAFKA to a bootstrap address, else these tests say that they were skipped.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use super::*;
use crate::clock;
use crate::config::*;
use crate::error::{Kind, Result};
use crate::record::TopicPartition;

pub(crate) const LIMIT: Duration = Duration::from_secs(60);

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
    std::thread::sleep(Duration::from_millis(200));
    name
}

/// Records `from..to` of a partition: value is the number, time is 1000 times it and one more: librdkafka takes 0 for "now".
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
    }
}

pub(crate) fn member(workers: usize) -> Member {
    Member {
        pipeline: "p".to_owned(),
        instance: None,
        workers,
        queue_bytes: 16 << 20,
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

fn committed(source: &KafkaSource, topic: &str, partition: i32) -> Option<positions::start::Committed> {
    let client = client::bystander(source).unwrap();
    let at = TopicPartition::new(topic, partition);
    positions::lookup::Lookup::new(&client, "failed".to_owned(), LIMIT)
        .committed(&[at])
        .unwrap()
        .remove(0)
}

fn offsets(range: std::ops::Range<i64>) -> Vec<i64> {
    range.collect()
}

#[test]
fn a_bounded_run_reads_all_and_ends_and_its_restart_starts_at_the_end() {
    let Some(kafka) = kafka() else { return };
    let name = topic(&kafka, "bounded", 3);
    produce(&kafka, &name, 0, 0..5000);
    produce(&kafka, &name, 1, 0..10);
    let source = source(&kafka, &[&name]);
    let seen = run(&source).unwrap();
    assert_eq!(seen[&TopicPartition::new(&*name, 0)], offsets(0..5000));
    assert_eq!(seen[&TopicPartition::new(&*name, 1)], offsets(0..10));
    assert_eq!(seen.len(), 2);
    let own = committed(&source, &name, 0).unwrap();
    assert_eq!(own.offset, 5000);
    assert!(own.metadata.starts_with("sb1:-:s/0:0:-:5000@"), "{}", own.metadata);
    assert_eq!(committed(&source, &name, 2).unwrap().offset, 0);
    produce(&kafka, &name, 1, 10..20);
    let again = run(&source).unwrap();
    assert_eq!(again, Seen::from([(TopicPartition::new(&*name, 1), offsets(10..20))]));
}

#[test]
fn a_run_that_was_cut_short_ends_where_it_was_planned_to() {
    let Some(kafka) = kafka() else { return };
    let name = topic(&kafka, "kept", 2);
    produce(&kafka, &name, 0, 0..3000);
    produce(&kafka, &name, 1, 0..3000);
    let mut source = source(&kafka, &[&name]);
    source.max_batch = 100;
    let first = Arc::new(plan(&[source.clone()], &member(1), None).unwrap());
    let mut reader = Reader::join(first, 0).unwrap();
    let before = read(&mut reader, |seen, _| {
        seen.values().map(Vec::len).sum::<usize>() >= 1000
    })
    .unwrap();
    reader
        .leave(Some(Duration::from_secs(5)), Duration::from_secs(7))
        .unwrap();
    produce(&kafka, &name, 0, 3000..3500);
    let after = run(&source).unwrap();
    for partition in 0..2 {
        let at = TopicPartition::new(&*name, partition);
        let all: Vec<_> = [&before, &after]
            .into_iter()
            .filter_map(|seen| seen.get(&at))
            .flatten()
            .copied()
            .collect();
        assert_eq!(all, offsets(0..3000));
    }
    let third = run(&source).unwrap();
    assert_eq!(
        third,
        Seen::from([(TopicPartition::new(&*name, 0), offsets(3000..3500))])
    );
}

#[test]
fn markers_aborted_records_and_deleted_ranges_do_not_hang_a_bounded_run() {
    let Some(kafka) = kafka() else { return };
    let name = topic(&kafka, "markers", 3);
    produce(&kafka, &name, 0, 0..10);
    transaction(&kafka, &name, 0, 10..20, Some(true));
    transaction(&kafka, &name, 0, 20..30, Some(false));
    transaction(&kafka, &name, 1, 0..10, Some(false));
    produce(&kafka, &name, 2, 0..10);
    delete_before(&kafka, &name, 2, 10);
    let source = source(&kafka, &[&name]);
    let seen = run(&source).unwrap();
    assert_eq!(seen, Seen::from([(TopicPartition::new(&*name, 0), offsets(0..20))]));
    assert_eq!(committed(&source, &name, 0).unwrap().offset, 32);
    assert_eq!(committed(&source, &name, 1).unwrap().offset, 11);
    assert_eq!(committed(&source, &name, 2).unwrap().offset, 10);
}

#[test]
fn latest_is_the_last_stable_offset() {
    let Some(kafka) = kafka() else { return };
    let name = topic(&kafka, "stable", 1);
    produce(&kafka, &name, 0, 0..10);
    let open = transaction(&kafka, &name, 0, 10..20, None);
    let mut source = source(&kafka, &[&name]);
    assert_eq!(
        plan(&[source.clone()], &member(1), None).unwrap().lines()[0].stop,
        Some(10)
    );
    source.group = unique("g");
    source.start = Start::Latest;
    source.stop = None;
    assert_eq!(plan(&[source.clone()], &member(1), None).unwrap().lines()[0].from, 10);
    source.group = unique("g");
    source.start = Start::Offsets([(name.clone(), [(0, 15)].into())].into());
    assert_eq!(plan(&[source.clone()], &member(1), None).unwrap().lines()[0].from, 15);
    source.group = unique("g");
    source.start = Start::Offsets([(name.clone(), [(0, 21)].into())].into());
    let error = plan(&[source], &member(1), None).unwrap_err();
    assert!(
        error.to_string().contains(&format!(
            "the log of {name}/0 holds 0..20; start = {{ offsets = {{ {name} = {{ 0 = 21 }} }} }}"
        )),
        "{error}"
    );
    open.abort_transaction(LIMIT).unwrap();
}

#[test]
fn times_are_looked_up_and_the_end_stands_where_there_is_none() {
    let Some(kafka) = kafka() else { return };
    let name = topic(&kafka, "times", 3);
    produce(&kafka, &name, 0, 0..100);
    produce(&kafka, &name, 1, 0..20);
    let mut source = source(&kafka, &[&name]);
    source.start = Start::Timestamp(30_001);
    source.stop = Some(Stop::Timestamp(60_500));
    let lines = plan(&[source.clone()], &member(1), None).unwrap().lines();
    let numbers: Vec<_> = lines.iter().map(|placed| (placed.from, placed.stop)).collect();
    assert_eq!(numbers, [(30, Some(61)), (20, Some(20)), (0, Some(0))]);
    let seen = run(&source).unwrap();
    assert_eq!(seen, Seen::from([(TopicPartition::new(&*name, 0), offsets(30..61))]));
}

#[test]
fn what_does_not_exist_is_an_error_that_names_it() {
    let Some(kafka) = kafka() else { return };
    let name = topic(&kafka, "missing", 1);
    let say = |source: KafkaSource| {
        let error = plan(&[source], &member(1), None).unwrap_err();
        assert_eq!(error.kind, Kind::Kafka, "{error}");
        error.to_string()
    };
    assert!(say(source(&kafka, &["no.such.topic"])).contains("no topic `no.such.topic`"));
    let mut asked = source(&kafka, &[&name]);
    asked.subscription = Subscription::Partitions([(name.clone(), vec![0, 7])].into());
    assert!(say(asked).contains(&format!("{name} has no partition 7")));
    let mut asked = source(&kafka, &[&name]);
    asked.start = Start::Offsets([(name.clone(), [(3, 0)].into())].into());
    assert!(say(asked).contains(&format!("{name} has no partition 3")));
    let mut asked = source(&kafka, &[&name]);
    asked.start = Start::GroupOffsets;
    asked.otherwise = Otherwise::Fail;
    assert!(say(asked).contains("nothing says where"));
    let mut asked = source(&kafka, &[&name]);
    asked.stop = Some(Stop::GroupOffsets);
    assert!(say(asked).contains("stops"));
}

#[test]
fn no_broker_is_an_error_with_its_reason_in_time() {
    if kafka().is_none() {
        return;
    }
    for (address, reason) in [("127.0.0.1:1", "refused"), ("no-such-host.invalid:9092", "resolve")] {
        let from = clock::now();
        let error = plan(&[source(address, &["t"])], &member(1), None).unwrap_err();
        assert_eq!(error.kind, Kind::Kafka);
        assert!(error.to_string().contains(reason), "{error}");
        assert!(from.elapsed() < Duration::from_secs(15));
    }
}

#[test]
fn a_wrong_password_is_told_from_a_broker_that_is_away() {
    let Ok(address) = std::env::var("SANDBAR_TEST_KAFKA_SASL") else {
        eprintln!(
            "SKIPPED: set SANDBAR_TEST_KAFKA_SASL to the address of a SASL_PLAINTEXT listener that knows the user `a`"
        );
        return;
    };
    let mut asked = source(&address, &["t"]);
    for (name, value) in [
        ("security.protocol", "sasl_plaintext"),
        ("sasl.mechanism", "PLAIN"),
        ("sasl.username", "a"),
        ("sasl.password", "wrong"),
    ] {
        asked.cluster.properties.insert(name.to_owned(), value.to_owned());
    }
    let error = plan(&[asked], &member(1), None).unwrap_err();
    assert_eq!(error.kind, Kind::Kafka);
    assert!(error.to_string().contains("authentication failed"), "{error}");
    eprintln!("{error}");
}

#[test]
fn a_partition_that_falls_out_of_the_log_follows_the_policy() {
    let Some(kafka) = kafka() else { return };
    for policy in [OutOfRange::Fail, OutOfRange::Earliest, OutOfRange::Latest] {
        let name = topic(&kafka, "gap", 1);
        produce(&kafka, &name, 0, 0..100);
        let mut source = source(&kafka, &[&name]);
        source.stop = None;
        source.on_out_of_range = policy;
        let plan = Arc::new(plan(&[source], &member(1), None).unwrap());
        delete_before(&kafka, &name, 0, 50);
        let mut reader = Reader::join(plan, 0).unwrap();
        let at = TopicPartition::new(&*name, 0);
        let mut moved = false;
        let result = read(&mut reader, |seen, polled| {
            moved |= matches!(polled, Polled::Assigned(placed) if matches!(placed[0].origin, Origin::OutOfRange(_)));
            moved && (policy == OutOfRange::Latest || seen.get(&at).is_some_and(|of| of.len() == 50))
        });
        match policy {
            OutOfRange::Fail => {
                let error = result.unwrap_err();
                assert!(
                    error
                        .to_string()
                        .contains(&format!("the log of {name}/0 holds 50..100")),
                    "{error}"
                );
            }
            OutOfRange::Earliest => assert_eq!(result.unwrap()[&at], offsets(50..100)),
            OutOfRange::Latest => {
                produce(&kafka, &name, 0, 100..110);
                let seen = read(&mut reader, |seen, _| seen.get(&at).is_some_and(|of| of.len() == 10)).unwrap();
                assert_eq!(seen[&at], offsets(100..110));
            }
        }
        if policy != OutOfRange::Fail {
            reader
                .leave(Some(Duration::from_secs(5)), Duration::from_secs(7))
                .unwrap();
        }
    }
}

/// Members that come and go while records come; each record must be seen, in order within an assignment.
#[test]
#[expect(
    clippy::too_many_lines,
    reason = "one scene: three members, a producer, and what must hold"
)]
fn members_that_join_and_leave_lose_nothing_and_keep_topics_together() {
    let Some(kafka) = kafka() else { return };
    let (a, b) = (topic(&kafka, "pair-a", 6), topic(&kafka, "pair-b", 4));
    let mut source = source(&kafka, &[&a, &b]);
    source.stop = None;
    source.session_timeout = Duration::from_secs(3);
    let plan = Arc::new(plan(&[source.clone()], &member(3), None).unwrap());
    let is_over = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let all: Arc<std::sync::Mutex<BTreeMap<TopicPartition, std::collections::BTreeSet<i64>>>> = Arc::default();
    let seconds: u64 = std::env::var("SANDBAR_TEST_CHURN")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(15);
    let end = clock::now() + Duration::from_secs(seconds);
    let twice = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let workers: Vec<_> = (0..3usize)
        .map(|worker| {
            let (plan, is_over, all, twice, b) = (plan.clone(), is_over.clone(), all.clone(), twice.clone(), b.clone());
            std::thread::Builder::new()
                .spawn(move || {
                    let mut round = 0;
                    while !is_over.load(std::sync::atomic::Ordering::Relaxed) {
                        round += 1;
                        let mut reader = Reader::join(plan.clone(), worker).unwrap();
                        let until = clock::now()
                            + Duration::from_millis(if worker == 0 {
                                3_600_000
                            } else {
                                1500 + 400 * ((worker as u64 + round) % 5)
                            });
                        let is_done = || clock::now() > until || is_over.load(std::sync::atomic::Ordering::Relaxed);
                        let mut batch = Batch::default();
                        let mut commit = clock::Interval::new(Duration::from_millis(200));
                        while !is_done() {
                            match reader.poll(Duration::from_millis(50), &mut batch).unwrap() {
                                Polled::Batch => {
                                    let mut all = all.lock().unwrap();
                                    let of = all.entry(batch.partition.clone()).or_default();
                                    for offset in &batch.records.offsets {
                                        if !of.insert(*offset) {
                                            twice.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                                        }
                                    }
                                    reader.processed();
                                }
                                Polled::Revoking(_) => reader.release(Some(Duration::from_secs(5))).unwrap(),
                                Polled::Assigned(placed) => {
                                    for of_b in placed.iter().filter(|placed| *placed.partition.topic == *b) {
                                        assert!(
                                            placed
                                                .iter()
                                                .any(|of| of.partition.partition == of_b.partition.partition
                                                    && *of.partition.topic != *b)
                                        );
                                    }
                                }
                                _ => {}
                            }
                            if commit.due() {
                                reader.begin_commit();
                            }
                        }
                        reader
                            .leave(Some(Duration::from_secs(5)), Duration::from_secs(7))
                            .unwrap();
                    }
                })
                .unwrap()
        })
        .collect();
    let producer: BaseProducer = config(&kafka).create().unwrap();
    let mut number = 0;
    while clock::now() < end {
        for partition in 0..6 {
            produce_with(&producer, &a, partition, number..number + 20);
            if partition < 4 {
                produce_with(&producer, &b, partition, number..number + 20);
            }
        }
        number += 20;
        producer.poll(Duration::from_millis(5));
    }
    producer.flush(LIMIT).unwrap();
    let expected = number as usize * 10;
    let count = || {
        all.lock()
            .unwrap()
            .values()
            .map(std::collections::BTreeSet::len)
            .sum::<usize>()
    };
    let deadline = clock::now() + LIMIT;
    while count() < expected && clock::now() < deadline {
        std::thread::sleep(Duration::from_millis(50));
    }
    is_over.store(true, std::sync::atomic::Ordering::Relaxed);
    for worker in workers {
        worker.join().unwrap();
    }
    eprintln!(
        "{expected} records, {} twice",
        twice.load(std::sync::atomic::Ordering::Relaxed)
    );
    assert_eq!(count(), expected);
    assert_eq!(committed(&source, &a, 0).unwrap().offset, number);
    assert_eq!(twice.load(std::sync::atomic::Ordering::Relaxed), 0);
}

/// librdkafka resumes behind what it believes was consumed; the end of a partition must not count as a record there.
#[test]
fn the_first_record_after_a_rebalance_at_the_end_of_a_partition_is_read() {
    let Some(kafka) = kafka() else { return };
    let name = topic(&kafka, "idle", 4);
    for partition in 0..4 {
        produce(&kafka, &name, partition, 0..10);
    }
    let mut source = source(&kafka, &[&name]);
    source.stop = None;
    let plan = Arc::new(plan(&[source], &member(2), None).unwrap());
    let mut first = Reader::join(plan.clone(), 0).unwrap();
    let total = |seen: &Seen| seen.values().map(Vec::len).sum::<usize>();
    read(&mut first, |seen, _| total(seen) == 40).unwrap();
    let ends = clock::now() + Duration::from_millis(500);
    read(&mut first, |_, _| clock::now() > ends).unwrap();
    let second = std::thread::Builder::new()
        .spawn(move || {
            let mut second = Reader::join(plan, 1).unwrap();
            let seen = read(&mut second, |seen, _| total(seen) == 2).unwrap();
            second
                .leave(Some(Duration::from_secs(5)), Duration::from_secs(7))
                .unwrap();
            seen
        })
        .unwrap();
    let mut revoked = 0;
    read(&mut first, |_, polled| {
        revoked += if let Polled::Revoking(partitions) = polled {
            partitions.len()
        } else {
            0
        };
        revoked == 2
    })
    .unwrap();
    let settled = clock::now() + Duration::from_millis(500);
    read(&mut first, |_, _| clock::now() > settled).unwrap();
    for partition in 0..4 {
        produce(&kafka, &name, partition, 10..11);
    }
    let mut seen = read(&mut first, |seen, _| total(seen) == 2).unwrap();
    seen.extend(second.join().unwrap());
    assert_eq!(seen.len(), 4);
    assert!(seen.values().all(|of| *of == [10]));
}

#[test]
fn a_bounded_run_of_more_workers_than_partitions_ends_in_all_of_them() {
    let Some(kafka) = kafka() else { return };
    let name = topic(&kafka, "many", 2);
    produce(&kafka, &name, 0, 0..1000);
    let source = source(&kafka, &[&name]);
    for commit_offsets in [CommitOffsets::Periodic, CommitOffsets::Never] {
        let source = KafkaSource {
            commit_offsets,
            group: unique("g"),
            ..source.clone()
        };
        let plan = Arc::new(plan(&[source], &member(4), None).unwrap());
        let workers: Vec<_> = (0..4)
            .map(|worker| {
                let plan = plan.clone();
                std::thread::Builder::new()
                    .spawn(move || {
                        let mut reader = Reader::join(plan, worker).unwrap();
                        let seen = read(&mut reader, |_, _| false).unwrap();
                        reader
                            .leave(Some(Duration::from_secs(5)), Duration::from_secs(7))
                            .unwrap();
                        seen
                    })
                    .unwrap()
            })
            .collect();
        let mut all: Vec<i64> = workers
            .into_iter()
            .flat_map(|worker| worker.join().unwrap().into_values().flatten().collect::<Vec<_>>())
            .collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all, offsets(0..1000));
    }
}

#[test]
fn later_topics_and_partitions_start_at_their_beginning() {
    let Some(kafka) = kafka() else { return };
    let prefix = unique("later");
    let mut source = source(&kafka, &[]);
    source.subscription = Subscription::Pattern(regex::Regex::new(&format!("{prefix}-.|{prefix}")).unwrap());
    source.stop = None;
    source.start = Start::Latest;
    let plan = Arc::new(plan(&[source], &member(1), None).unwrap());
    assert_eq!(plan.lines(), []);
    let mut reader = Reader::join(plan, 0).unwrap();
    assert_eq!(
        reader.poll(Duration::from_millis(100), &mut Batch::default()).unwrap(),
        Polled::Idle
    );
    let create = |name: &str| {
        let new = NewTopic::new(name, 1, TopicReplication::Fixed(1));
        block(admin(&kafka).create_topics([&new], &AdminOptions::new())).unwrap()[0]
            .as_ref()
            .unwrap();
        std::thread::sleep(Duration::from_millis(200));
        produce(&kafka, name, 0, 0..10);
    };
    create(&format!("{prefix}-a"));
    create(&format!("{prefix}-ab"));
    let a = TopicPartition::new(format!("{prefix}-a"), 0);
    let seen = read(&mut reader, |seen, _| seen.get(&a).is_some_and(|of| of.len() == 10)).unwrap();
    assert_eq!(seen.len(), 1);
    block(admin(&kafka).create_partitions([&NewPartitions::new(&a.topic, 2)], &AdminOptions::new())).unwrap();
    std::thread::sleep(Duration::from_millis(500));
    produce(&kafka, &a.topic, 1, 0..10);
    let b = TopicPartition::new(&*a.topic, 1);
    read(&mut reader, |seen, _| seen.get(&b).is_some_and(|of| of.len() == 10)).unwrap();
    reader
        .leave(Some(Duration::from_secs(5)), Duration::from_secs(7))
        .unwrap();
}

#[test]
fn named_partitions_are_read_by_hand() {
    let Some(kafka) = kafka() else { return };
    let name = topic(&kafka, "hand", 3);
    for partition in 0..3 {
        produce(&kafka, &name, partition, 0..10);
    }
    let mut source = source(&kafka, &[]);
    source.subscription = Subscription::Partitions([(name.clone(), vec![0, 2])].into());
    let seen = run(&source).unwrap();
    assert_eq!(seen.keys().map(|at| at.partition).collect::<Vec<_>>(), [0, 2]);
    assert_eq!(committed(&source, &name, 2).unwrap().offset, 10);
}
