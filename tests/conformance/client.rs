//! The clients of the cases: rdkafka, with every wait bounded.

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaResult;
use rdkafka::message::{BorrowedMessage, Headers, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{ClientContext, Offset, TopicPartitionList};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

/// How long anything may take before the case fails.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// A record as a case writes and compares it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Record {
    pub offset: i64,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub timestamp: i64,
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

/// A name that no other case, and no earlier run on the same Kafka, has.
pub(crate) fn fresh(prefix: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    format!("{prefix}-{}-{}", now.as_millis(), NEXT.fetch_add(1, Ordering::Relaxed))
}

pub(crate) fn config(bootstrap: &str, more: &[(&str, &str)]) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", bootstrap)
        .set("broker.address.family", "v4");
    for (key, value) in more {
        config.set(*key, *value);
    }
    config
}

pub(crate) fn admin(bootstrap: &str) -> AdminClient<DefaultClientContext> {
    config(bootstrap, &[]).create().unwrap()
}

/// Makes a topic with a fresh name.
pub(crate) fn topic(bootstrap: &str, partitions: i32) -> String {
    let name = fresh("topic");
    let new = NewTopic::new(&name, partitions, TopicReplication::Fixed(1));
    let made = wait(admin(bootstrap).create_topics([&new], &options())).unwrap();
    assert_eq!(made, [Ok(name.clone())]);
    until("the topic is known", || {
        partition_count(bootstrap, &name) == Ok(partitions as usize)
    });
    name
}

pub(crate) fn options() -> AdminOptions {
    AdminOptions::new()
        .operation_timeout(Some(LIMIT))
        .request_timeout(Some(LIMIT))
}

pub(crate) fn partition_count(bootstrap: &str, topic: &str) -> Result<usize, RDKafkaErrorCode> {
    let client: BaseConsumer = config(bootstrap, &[]).create().unwrap();
    let metadata = client.fetch_metadata(Some(topic), LIMIT).unwrap();
    let topic = &metadata.topics()[0];
    match topic.error() {
        None => Ok(topic.partitions().len()),
        Some(error) => Err(error.into()),
    }
}

/// Waits for a condition.
pub(crate) fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < LIMIT, "waited {LIMIT:?} until {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Collects the offsets, or errors, that a producer is told.
#[derive(Default, Clone)]
pub(crate) struct Reports(pub Arc<Mutex<Vec<Report>>>);

/// Partition and offset of a record, or why it has none.
pub(crate) type Report = Result<(i32, i64), RDKafkaErrorCode>;

impl ClientContext for Reports {}

impl ProducerContext for Reports {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let report = match result {
            Ok(message) => Ok((message.partition(), message.offset())),
            Err((error, _)) => Err(error.rdkafka_error_code().unwrap()),
        };
        self.0.lock().unwrap().push(report);
    }
}

pub(crate) fn producer(bootstrap: &str, more: &[(&str, &str)]) -> (BaseProducer<Reports>, Reports) {
    let reports = Reports::default();
    let config = config(
        bootstrap,
        &[&[("linger.ms", "50"), ("message.timeout.ms", "50000")], more].concat(),
    );
    (config.create_with_context(reports.clone()).unwrap(), reports)
}

/// Writes records to a partition and gives what the producer was told, in order.
pub(crate) fn produce(
    bootstrap: &str,
    topic: &str,
    partition: i32,
    records: &[Record],
    more: &[(&str, &str)],
) -> Vec<Report> {
    let (producer, reports) = producer(bootstrap, more);
    for record in records {
        send(&producer, topic, partition, record);
    }
    producer.flush(LIMIT).unwrap();
    let reports = reports.0.lock().unwrap().clone();
    assert_eq!(reports.len(), records.len());
    reports
}

pub(crate) fn send(producer: &BaseProducer<Reports>, topic: &str, partition: i32, record: &Record) {
    let headers = record
        .headers
        .iter()
        .fold(OwnedHeaders::new(), |headers, (key, value)| {
            headers.insert(rdkafka::message::Header {
                key,
                value: value.as_ref(),
            })
        });
    let mut sent: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(topic).partition(partition).timestamp(record.timestamp);
    (sent.key, sent.payload) = (record.key.as_deref(), record.value.as_deref());
    sent.headers = (!record.headers.is_empty()).then_some(headers);
    producer.send(sent).map_err(|(error, _)| error).unwrap();
}

/// Records numbered from 0 with times a second apart, small enough to share a batch.
pub(crate) fn numbered(count: i64) -> Vec<Record> {
    (0..count)
        .map(|number| Record {
            offset: number,
            value: Some(format!("record {number}").into_bytes()),
            timestamp: 1_000_000 + 1000 * number,
            ..Record::default()
        })
        .collect()
}

/// A consumer that reads a partition from an offset, without a group.
pub(crate) fn reader(bootstrap: &str, topic: &str, partition: i32, from: i64, more: &[(&str, &str)]) -> BaseConsumer {
    let own = [
        ("group.id", "unused"),
        ("enable.auto.commit", "false"),
        ("auto.offset.reset", "error"),
    ];
    let consumer: BaseConsumer = config(bootstrap, &[&own, more].concat()).create().unwrap();
    let mut from_here = TopicPartitionList::new();
    from_here
        .add_partition_offset(topic, partition, Offset::Offset(from))
        .unwrap();
    consumer.assign(&from_here).unwrap();
    consumer
}

/// Reads `count` records of a partition from an offset on.
pub(crate) fn read(bootstrap: &str, topic: &str, partition: i32, from: i64, count: usize) -> Vec<Record> {
    let consumer = reader(bootstrap, topic, partition, from, &[]);
    (0..count).map(|_| owned(&next(&consumer).unwrap())).collect()
}

/// The next record or error.
pub(crate) fn next(consumer: &BaseConsumer) -> KafkaResult<BorrowedMessage<'_>> {
    consumer
        .poll(LIMIT)
        .unwrap_or_else(|| panic!("nothing came for {LIMIT:?}"))
}

pub(crate) fn owned(message: &BorrowedMessage<'_>) -> Record {
    let headers = message.headers().map(|headers| {
        let owned = headers
            .iter()
            .map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec)));
        owned.collect()
    });
    Record {
        offset: message.offset(),
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().map(<[u8]>::to_vec),
        timestamp: message.timestamp().to_millis().unwrap_or(-1),
        headers: headers.unwrap_or_default(),
    }
}

/// Waits for an answer of the admin client, which has futures but needs no runtime.
pub(crate) fn wait<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(std::thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = std::pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(answer) => return answer,
            Poll::Pending => std::thread::park_timeout(LIMIT),
        }
    }
}
