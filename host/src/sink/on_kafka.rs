//! What the sink promises, on a real cluster: `SANDBAR_TEST_KAFKA=host:port cargo test on_kafka`. Without an address
//! they say so and pass.

use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers, Message};
use rdkafka::{Offset, TopicPartitionList};

use super::{Files, Options, Writer};
use crate::clock;
use crate::config::{Cluster, OnRefused, Partitioner, Sink, Target};
use crate::error::{Error, Kind};
use crate::record::{Records, TopicPartition};

pub(super) const LIMIT: Duration = Duration::from_secs(30);

pub(super) fn brokers() -> Option<String> {
    let brokers = std::env::var("SANDBAR_TEST_KAFKA").ok();
    if brokers.is_none() {
        eprintln!("SKIPPED: set SANDBAR_TEST_KAFKA to a Kafka's host:port to run this test");
    }
    brokers
}

pub(super) fn admin(brokers: &str) -> AdminClient<DefaultClientContext> {
    ClientConfig::new().set("bootstrap.servers", brokers).create().unwrap()
}

/// Runs an administrative call to its end.
fn now<T>(call: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(call)
}

pub(super) fn topic(brokers: &str, partitions: i32, settings: &[(&str, &str)]) -> String {
    let name = format!("sink-{:016x}", clock::random());
    let mut topic = NewTopic::new(&name, partitions, TopicReplication::Fixed(1));
    topic = settings
        .iter()
        .fold(topic, |topic, (name, value)| topic.set(name, value));
    let made = now(admin(brokers).create_topics([&topic], &AdminOptions::new())).unwrap();
    assert!(made.iter().all(Result::is_ok), "{made:?}");
    name
}

pub(crate) fn sink(brokers: &str, topic: &str, partitioner: Partitioner, properties: &[(&str, &str)]) -> Sink {
    let properties = properties
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    Sink {
        name: "out".to_owned(),
        from: Vec::new(),
        on_refused: OnRefused::Fail,
        target: Target::Kafka {
            cluster: Cluster {
                brokers: brokers.to_owned(),
                properties,
                login: Default::default(),
            },
            topic: topic.to_owned(),
            partitioner,
        },
    }
}

fn open(sinks: &[Sink], queue_bytes: u64) -> Result<Writer, Error> {
    Writer::open(
        sinks,
        &Options {
            queue_bytes,
            client_id: "sink-test".to_owned(),
            files: Files::default(),
            transactional: None,
        },
    )
}

/// The partition that the records of these tests stem from.
pub(super) fn nowhere() -> TopicPartition {
    TopicPartition::new("in", 3)
}

pub(crate) fn push(records: &mut Records, key: Option<&[u8]>, value: Option<&[u8]>, timestamp: i64) {
    let at = records.len();
    records.keys.push(key);
    records.values.push(value);
    records.timestamps.push(timestamp);
    records.offsets.push(at as i64);
}

/// Stages a whole batch, however full the queue is.
pub(crate) fn write(writer: &mut Writer, records: &Records) -> Result<(), Error> {
    let mut staged = 0;
    while staged < records.len() {
        staged = writer.stage(0, &nowhere(), records, staged)?;
        let full = staged < records.len();
        writer.poll(if full {
            Duration::from_millis(10)
        } else {
            Duration::ZERO
        })?;
    }
    Ok(())
}

/// One record as another client reads it.
#[derive(Debug, Clone, PartialEq)]
struct Seen {
    partition: i32,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    timestamp: Option<i64>,
    headers: Vec<(String, Option<Vec<u8>>)>,
}

fn read(brokers: &str, topic: &str, partitions: i32, count: usize) -> Vec<Seen> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", topic)
        .set("enable.auto.commit", "false")
        .create()
        .unwrap();
    let mut all = TopicPartitionList::new();
    (0..partitions).for_each(|at| all.add_partition_offset(topic, at, Offset::Beginning).unwrap());
    consumer.assign(&all).unwrap();
    let (mut seen, until) = (Vec::new(), clock::now() + LIMIT);
    while seen.len() < count && clock::now() < until {
        if let Some(message) = consumer.poll(Duration::from_millis(100)) {
            let message = message.unwrap();
            let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
            seen.push(Seen {
                partition: message.partition(),
                key: message.key().map(<[u8]>::to_vec),
                value: message.payload().map(<[u8]>::to_vec),
                timestamp: message.timestamp().to_millis(),
                headers: headers
                    .map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec)))
                    .collect(),
            });
        }
    }
    assert_eq!(seen.len(), count);
    seen
}

#[test]
fn a_record_arrives_as_it_was_staged() {
    let Some(brokers) = brokers() else { return };
    let topic = topic(&brokers, 1, &[]);
    let mut writer = open(&[sink(&brokers, &topic, Partitioner::Murmur2, &[])], 64 << 20).unwrap();
    let mut records = Records::default();
    push(&mut records, None, None, 1_700_000_000_123);
    push(&mut records, Some(b""), Some(b""), 1);
    push(&mut records, Some(b"\0\xff"), Some(b"v"), 1_600_000_000_000);
    records.headers.push(1, b"a", Some(b"\0"));
    records.headers.push(1, b"a", None);
    records.headers.push(1, b"", Some(b""));
    push(&mut records, Some(b"k"), Some(b"no time"), -1);
    let before = clock::wall_ms();
    write(&mut writer, &records).unwrap();
    assert!(writer.drain(LIMIT).unwrap());
    assert_eq!(writer.in_flight(), 0);
    let seen = read(&brokers, &topic, 1, 4);
    for (index, seen) in seen.iter().take(3).enumerate() {
        assert_eq!(seen.key.as_deref(), records.keys.get(index));
        assert_eq!(seen.value.as_deref(), records.values.get(index));
        assert_eq!(seen.timestamp, Some(records.timestamps[index]));
    }
    let headers = [("a", Some(&b"\0"[..])), ("a", None), ("", Some(b""))];
    assert_eq!(
        seen[1].headers,
        headers.map(|(name, value)| (name.to_owned(), value.map(<[u8]>::to_vec)))
    );
    assert!(seen[3].timestamp.unwrap() >= before);
}

#[test]
fn a_partition_follows_from_the_key_and_keeps_its_order_through_a_full_queue() {
    let Some(brokers) = brokers() else { return };
    // Partitions of seven for these keys: murmur2's are Java's, crc32's are zlib's.
    let cases = [
        (
            Partitioner::Murmur2,
            [
                ("21", (-973932308 & 0x7fff_ffff) % 7),
                ("foobar", (-790332482 & 0x7fff_ffff) % 7),
            ],
        ),
        (
            Partitioner::Crc32,
            [
                ("21", (0xfd77_46b4_u32 % 7) as i32),
                ("foobar", (0x9ef6_1f95_u32 % 7) as i32),
            ],
        ),
    ];
    for (partitioner, keys) in cases {
        let topic = topic(&brokers, 7, &[]);
        let mut writer = open(&[sink(&brokers, &topic, partitioner, &[])], 64 << 10).unwrap();
        let mut records = Records::default();
        (0..20_000).for_each(|index: u32| {
            let (key, _) = keys[index as usize % 2];
            push(
                &mut records,
                Some(key.as_bytes()),
                Some(&index.to_be_bytes().repeat(100)),
                1,
            );
        });
        let mut fulls = 0;
        let mut staged = 0;
        while staged < records.len() {
            staged = writer.stage(0, &nowhere(), &records, staged).unwrap();
            fulls += usize::from(staged < records.len());
            writer.poll(Duration::from_millis(10)).unwrap();
        }
        assert!(fulls > 0, "the queue of 2 MiB was never full");
        assert!(writer.drain(LIMIT).unwrap());
        let seen = read(&brokers, &topic, 7, records.len());
        for (key, partition) in keys {
            let of_key: Vec<_> = seen
                .iter()
                .filter(|seen| seen.key.as_deref() == Some(key.as_bytes()))
                .collect();
            assert!(
                of_key.iter().all(|seen| seen.partition == partition),
                "{partitioner:?} {key}"
            );
            assert!(
                of_key.windows(2).all(|pair| pair[0].value < pair[1].value),
                "{partitioner:?} {key}"
            );
            assert_eq!(of_key.len(), 10_000);
        }
    }
}

#[test]
fn a_missing_topic_is_an_error_and_is_not_created() {
    let Some(brokers) = brokers() else { return };
    let name = format!("missing-{:016x}", clock::random());
    let error = open(&[sink(&brokers, &name, Partitioner::Murmur2, &[])], 1 << 20).unwrap_err();
    assert_eq!(error.kind, Kind::Kafka);
    assert_eq!(error.what, format!("failed to open sink `out`: no such topic `{name}`"));
    assert_eq!(error.hint, Some(format!("sandbar topics create {name} --partitions 4")));
    let metadata = admin(&brokers).inner().fetch_metadata(None, LIMIT).unwrap();
    assert!(!metadata.topics().iter().any(|topic| topic.name() == name));
    let error = open(&[sink(&brokers, "not a name", Partitioner::Murmur2, &[])], 1 << 20).unwrap_err();
    assert_eq!(
        (error.kind, error.what.as_str()),
        (
            Kind::Kafka,
            "failed to open sink `out`: `not a name` is not a name that Kafka allows"
        )
    );
}

#[test]
fn a_record_that_can_never_be_delivered_stops_the_writer_and_says_why() {
    let Some(brokers) = brokers() else { return };
    let topic = topic(&brokers, 1, &[("max.message.bytes", "2000")]);
    let mut writer = open(
        &[sink(
            &brokers,
            &topic,
            Partitioner::Murmur2,
            &[("compression.codec", "none")],
        )],
        8 << 20,
    )
    .unwrap();
    let mut records = Records::default();
    push(&mut records, None, Some(&[7; 5000]), 1);
    let error = write(&mut writer, &records)
        .and_then(|()| writer.drain(LIMIT))
        .unwrap_err();
    assert_eq!(
        (error.kind, error.what),
        (Kind::Kafka, format!("failed to write to topic `{topic}`, partition 0"))
    );
    assert!(error.hint.unwrap().contains("max.message.bytes"), "{}", error.why);

    let mut records = Records::default();
    push(&mut records, None, Some(&[7; 9 << 20]), 1);
    let mut writer = open(&[sink(&brokers, &topic, Partitioner::Murmur2, &[])], 8 << 20).unwrap();
    let error = write(&mut writer, &records).unwrap_err();
    assert!(error.why.contains("9437184 bytes, the whole queue 8388608"), "{error}");
}

#[test]
fn a_topic_deleted_under_a_writer_is_an_error() {
    let Some(brokers) = brokers() else { return };
    let topic = topic(&brokers, 1, &[]);
    let refresh = [
        ("topic.metadata.refresh.interval.ms", "200"),
        ("topic.metadata.propagation.max.ms", "500"),
    ];
    let mut writer = open(&[sink(&brokers, &topic, Partitioner::Murmur2, &refresh)], 8 << 20).unwrap();
    let mut records = Records::default();
    push(&mut records, None, Some(b"v"), 1);
    write(&mut writer, &records).unwrap();
    assert!(writer.drain(LIMIT).unwrap());
    now(admin(&brokers).delete_topics(&[&topic], &AdminOptions::new())).unwrap();
    let until = clock::now() + LIMIT;
    let error = loop {
        assert!(clock::now() < until, "no error came");
        let written = write(&mut writer, &records).and_then(|()| writer.drain(Duration::from_millis(500)));
        if let Err(error) = written {
            break error;
        }
    };
    assert!(
        error.what.starts_with(&format!("failed to write to topic `{topic}`")),
        "{error}"
    );
    let hint = error.hint.clone().unwrap_or_default();
    assert!(hint.contains("deleted"), "{error}: {hint}");
}

#[test]
fn a_broker_that_is_not_there_is_an_error_within_fifteen_seconds() {
    let start = clock::now();
    let error = open(&[sink("127.0.0.1:1", "t", Partitioner::Murmur2, &[])], 1 << 20).unwrap_err();
    // On a machine three times slower.
    assert!(start.elapsed() < Duration::from_secs(45));
    assert_eq!(
        (error.kind, error.what.as_str()),
        (Kind::Kafka, "failed to reach Kafka at `127.0.0.1:1`")
    );
    assert!(error.why.contains("Connection refused"), "{}", error.why);
}

#[test]
fn a_refused_log_in_is_told_from_a_broker_that_is_not_there() {
    let Some(brokers) = brokers() else { return };
    // The broker's listener takes no SASL and says so, as it would of a wrong password.
    let login = [
        ("security.protocol", "sasl_plaintext"),
        ("sasl.mechanism", "PLAIN"),
        ("sasl.username", "nobody"),
        ("sasl.password", "wrong"),
    ];
    let error = open(&[sink(&brokers, "t", Partitioner::Murmur2, &login)], 1 << 20).unwrap_err();
    let what = format!("failed to log in to Kafka at `{brokers}`: authentication failed");
    assert_eq!((error.kind, error.what), (Kind::Kafka, what), "{}", error.why);
}

#[test]
fn a_broker_that_goes_away_is_waited_for() {
    let cluster = rdkafka::mocking::MockCluster::new(1).unwrap();
    cluster.create_topic("t", 1, 1).unwrap();
    let brokers = cluster.bootstrap_servers();
    let mut writer = open(&[sink(&brokers, "t", Partitioner::Murmur2, &[])], 1 << 20).unwrap();
    let mut records = Records::default();
    (0..100).for_each(|_| push(&mut records, Some(b"k"), Some(b"v"), 1));
    write(&mut writer, &records).unwrap();
    assert!(writer.drain(LIMIT).unwrap());
    assert_eq!(writer.disconnected(), None);

    cluster.broker_down(1).unwrap();
    let until = clock::now() + LIMIT;
    while writer.disconnected().is_none() {
        assert!(clock::now() < until, "the loss was not noticed");
        std::thread::sleep(Duration::from_millis(10));
    }
    write(&mut writer, &records).unwrap();
    assert!(!writer.drain(Duration::from_millis(200)).unwrap());
    assert_eq!(writer.in_flight(), 100);
    assert!(writer.disconnected().unwrap().contains(&brokers));

    cluster.broker_up(1).unwrap();
    assert!(writer.drain(LIMIT).unwrap());
    while writer.disconnected().is_some() {
        assert!(clock::now() < until, "the return was not noticed");
        std::thread::sleep(Duration::from_millis(10));
    }

    cluster.broker_down(1).unwrap();
    write(&mut writer, &records).unwrap();
    let start = clock::now();
    drop(writer);
    assert!(
        start.elapsed() < Duration::from_secs(15),
        "a writer that cannot deliver holds up the end"
    );
}

#[test]
fn a_wrong_property_is_named() {
    let error = open(
        &[sink("127.0.0.1:1", "t", Partitioner::Murmur2, &[("lingr.ms", "5")])],
        1 << 20,
    )
    .unwrap_err();
    assert_eq!(error.kind, Kind::Invalid);
    assert!(error.why.contains("lingr.ms"), "{error}");
}

#[test]
fn one_topic_has_one_partitioner() {
    let sinks = [
        sink("127.0.0.1:1", "t", Partitioner::Murmur2, &[]),
        sink("127.0.0.1:1", "t", Partitioner::Crc32, &[]),
    ];
    assert_eq!(open(&sinks, 1 << 20).unwrap_err().kind, Kind::Invalid);
}
