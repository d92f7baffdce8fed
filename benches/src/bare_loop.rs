//! What Sandbar is measured against: the same job as a hand-written loop on rdkafka, without any plugin. Batches from
//! librdkafka's queue, a byte search instead of JSON, partitions by hand, a drain a second. A ceiling for whatever
//! builds on librdkafka.
#![expect(unsafe_code, reason = "librdkafka's batch calls have no safe wrapper")]

use crate::bare_windows::OpenWindows;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::{ClientConfig, Message};
use rdkafka_sys as rd;
use std::collections::HashMap;
use std::ffi::CString;
use std::time::{Duration, Instant};

const PARTITIONS: i32 = 4;
const BATCH: usize = 1000;
/// Of a request for a transaction.
const LIMIT: Duration = Duration::from_secs(30);

/// What it does with a record.
pub(crate) enum Job {
    Pass,
    /// Drops records whose `ms` is below 5.
    Filter,
    /// Puts out how many records the key has had.
    Count(HashMap<Vec<u8>, u64>),
    /// Puts out count and sum of `ms` of each ten seconds of event time of a key, once they are over. Its outputs are
    /// in transactions, one a second, with the positions.
    Windows(OpenWindows),
}

impl Job {
    pub(crate) fn named(name: &str) -> Self {
        match name {
            "filter" => Self::Filter,
            "count-by-key" => Self::Count(HashMap::new()),
            "window" => Self::Windows(OpenWindows::default()),
            _ => Self::Pass,
        }
    }
}

/// Reads `from` from `begins` to its end of now, does the job, and writes to `to`.
pub(crate) fn run(brokers: &str, from: &str, to: &str, mut job: Job, begins: &[i64]) {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", format!("bare-loop-{to}"))
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "error")
        .set("isolation.level", "read_committed")
        .set("fetch.queue.backoff.ms", "2")
        .create()
        .expect("a consumer");
    let is_transactional = matches!(job, Job::Windows(_));
    let producer = producer(brokers, is_transactional.then(|| format!("bare-loop-{to}")));
    let (mut next, ends) = assign(&consumer, from, begins);
    let queue = forward(&consumer, from);
    let mut messages = vec![std::ptr::null_mut(); BATCH];
    let mut drained = Instant::now();
    while next.iter().zip(&ends).any(|(next, end)| next < end) {
        // What was read before the queue was forwarded comes first.
        while let Some(message) = consumer.poll(Duration::ZERO) {
            let message = message.expect("a record");
            // SAFETY: the message is borrowed for the call only.
            pass(&producer, to, unsafe { &*message.ptr() }, &mut job);
            next[message.partition() as usize] = message.offset() + 1;
        }
        // SAFETY: the queue lives as long as the consumer; `messages` has room for BATCH pointers.
        let count = unsafe { rd::rd_kafka_consume_batch_queue(queue, 100, messages.as_mut_ptr(), BATCH) };
        for &message in &messages[..count.max(0) as usize] {
            // SAFETY: librdkafka filled so many pointers; each is destroyed once, below.
            let seen = unsafe { &*message };
            if seen.err == rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
                pass(&producer, to, seen, &mut job);
                next[seen.partition as usize] = seen.offset + 1;
            }
            // SAFETY: see above; nothing borrows from it any more.
            unsafe { rd::rd_kafka_message_destroy(message) };
        }
        producer.poll(Duration::ZERO);
        if drained.elapsed() > Duration::from_secs(1) {
            drain(&producer);
            if is_transactional {
                commit(&producer, &consumer, from, &next);
                producer.begin_transaction().expect("a transaction");
            }
            drained = Instant::now();
        }
    }
    if let Job::Windows(windows) = &mut job {
        windows.close_all(|key, value, timestamp| send(&producer, to, key, value, timestamp));
    }
    drain(&producer);
    if is_transactional {
        commit(&producer, &consumer, from, &next);
    }
    // Nothing is left to close in good order.
    std::process::exit(0);
}

/// With an id a transaction has begun.
fn producer(brokers: &str, transactional_id: Option<String>) -> BaseProducer {
    let mut settings = ClientConfig::new();
    settings
        .set("bootstrap.servers", brokers)
        .set("compression.codec", "lz4")
        .set("enable.idempotence", "true")
        .set("linger.ms", "5")
        .set("partitioner", "murmur2_random")
        .set("queue.buffering.max.messages", "500000");
    if let Some(id) = &transactional_id {
        settings.set("transactional.id", id);
    }
    let producer: BaseProducer = settings.create().expect("a producer");
    if transactional_id.is_some() {
        producer.init_transactions(LIMIT).expect("the transactions' id");
        producer.begin_transaction().expect("a transaction");
    }
    producer
}

fn assign(consumer: &BaseConsumer, topic: &str, begins: &[i64]) -> (Vec<i64>, Vec<i64>) {
    let mut list = TopicPartitionList::new();
    let mut ends = Vec::new();
    for (partition, &begin) in (0..PARTITIONS).zip(begins) {
        let (_, end) = consumer
            .fetch_watermarks(topic, partition, Duration::from_secs(10))
            .expect("watermarks");
        list.add_partition_offset(topic, partition, Offset::Offset(begin))
            .expect("an offset");
        ends.push(end);
    }
    consumer.assign(&list).expect("an assignment");
    (begins.to_vec(), ends)
}

fn forward(consumer: &BaseConsumer, topic: &str) -> *mut rd::rd_kafka_queue_t {
    let name = CString::new(topic).expect("a topic's name");
    // SAFETY: the consumer outlives the queue, which lives until the process ends.
    unsafe {
        let queue = rd::rd_kafka_queue_new(consumer.client().native_ptr());
        for partition in 0..PARTITIONS {
            let of = rd::rd_kafka_queue_get_partition(consumer.client().native_ptr(), name.as_ptr(), partition);
            rd::rd_kafka_queue_forward(of, queue);
            rd::rd_kafka_queue_destroy(of);
        }
        queue
    }
}

fn pass(producer: &BaseProducer, to: &str, message: &rd::rd_kafka_message_t, job: &mut Job) {
    // SAFETY: librdkafka gives pointer and length of the key and the value; the message is alive.
    let (key, value) = unsafe { (bytes(message.key, message.key_len), bytes(message.payload, message.len)) };
    // SAFETY: the message is alive; a null type pointer is allowed.
    let timestamp = unsafe { rd::rd_kafka_message_timestamp(message, std::ptr::null_mut()) };
    let counted;
    let value = match job {
        Job::Pass => value,
        Job::Filter if slow(value) < 5 => return,
        Job::Filter => value,
        Job::Count(counts) => {
            let count = match counts.get_mut(key) {
                Some(count) => count,
                None => counts.entry(key.to_vec()).or_insert(0),
            };
            *count += 1;
            counted = count.to_string();
            counted.as_bytes()
        }
        Job::Windows(windows) => {
            let put = |key: &[u8], value: &[u8], timestamp| send(producer, to, key, value, timestamp);
            return windows.add(message.partition as usize, key, timestamp, slow(value), put);
        }
    };
    send(producer, to, key, value, timestamp);
}

fn send(producer: &BaseProducer, to: &str, key: &[u8], value: &[u8], timestamp: i64) {
    let mut record = BaseRecord::to(to).key(key).payload(value).timestamp(timestamp);
    while let Err((error, again)) = producer.send(record) {
        assert_eq!(error, KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull));
        producer.poll(Duration::from_millis(1));
        record = again;
    }
}

unsafe fn bytes<'a>(pointer: *const std::ffi::c_void, length: usize) -> &'a [u8] {
    // SAFETY: the caller passes a message's own pointer and length; a null pointer has length 0.
    if pointer.is_null() {
        &[]
    } else {
        unsafe { std::slice::from_raw_parts(pointer.cast(), length) }
    }
}

/// The number behind `"ms":`.
fn slow(value: &[u8]) -> u64 {
    let at = value
        .windows(5)
        .position(|window| window == b"\"ms\":")
        .map_or(value.len(), |at| at + 5);
    value[at..]
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .fold(0, |number, byte| number * 10 + u64::from(byte - b'0'))
}

/// The transaction's outputs, and what was read for them.
fn commit(producer: &BaseProducer, consumer: &BaseConsumer, from: &str, next: &[i64]) {
    let mut positions = TopicPartitionList::new();
    for (partition, next) in (0..PARTITIONS).zip(next) {
        positions
            .add_partition_offset(from, partition, Offset::Offset(*next))
            .expect("a position");
    }
    let group = consumer.group_metadata().expect("the group");
    producer
        .send_offsets_to_transaction(&positions, &group, LIMIT)
        .expect("the positions are in the transaction");
    producer.commit_transaction(LIMIT).expect("a commit");
}

/// Every output acknowledged, as before a commit. Without windows the loop commits nothing, which makes it a little
/// cheaper than it would be.
fn drain(producer: &BaseProducer) {
    while producer.in_flight_count() > 0 {
        producer.poll(Duration::from_millis(1));
    }
}
