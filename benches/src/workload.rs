//! The input of the figures: 110 bytes of JSON a record, keyed by user, the same records for the same seed.

use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use std::time::Duration;

/// Users of the usual input, the r-th most frequent with weight 1/r^0.6.
pub(crate) const USERS: usize = 10_000;
/// Records of a second of event time.
const RECORDS_PER_SECOND: i64 = 10_000;
/// Event time lies up to so many milliseconds behind the order.
const DISORDER_MS: u64 = 5_000;
const FIRST_MS: i64 = 1_700_000_000_000;
/// A value names so much of a long key.
const SHORT: usize = 16;
const PAD: &str = "abcdefghijklmnopqrstuvwxyzabcdef";

/// Records one after the other.
pub(crate) struct Records {
    random: Random,
    users: Users,
    index: i64,
}

/// Who a record is of.
enum Users {
    /// Drawn by these cumulated weights.
    Weighted(Vec<f64>),
    /// Each of so many once, in no order.
    Each(u64),
    /// Another one each time, with a key of a kibibyte that nothing compresses much.
    Long,
}

/// Key, value and timestamp.
pub(crate) struct Record {
    pub(crate) key: String,
    pub(crate) value: String,
    pub(crate) timestamp_ms: i64,
}

impl Records {
    pub(crate) fn new(seed: u64, users: usize) -> Self {
        let mut sum = 0.0;
        let weights = (1..=users).map(|rank| {
            sum += (rank as f64).powf(-0.6);
            sum
        });
        Self {
            users: Users::Weighted(weights.collect()),
            random: Random(seed),
            index: 0,
        }
    }

    /// Each of `users` once.
    pub(crate) fn each(users: usize) -> Self {
        Self {
            users: Users::Each(users as u64),
            random: Random(0),
            index: 0,
        }
    }

    /// Users with long keys, the same each time.
    pub(crate) fn with_long_keys() -> Self {
        Self {
            users: Users::Long,
            random: Random(0),
            index: 0,
        }
    }

    fn user(&mut self) -> String {
        let user = match &self.users {
            Users::Weighted(weights) => {
                let total = weights.last().copied().unwrap_or_default();
                let point = (self.random.next() >> 11) as f64 / (1u64 << 53) as f64 * total;
                weights.partition_point(|&weight| weight < point) as u64
            }
            // A number that is prime to every power of ten.
            Users::Each(users) => (self.index as u64).wrapping_mul(999_999_937) % users,
            Users::Long => {
                let mut random = Random(self.index as u64);
                return (0..64).map(|_| format!("{:016x}", random.next())).collect();
            }
        };
        format!("u{user}")
    }
}

impl Iterator for Records {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        let user = self.user();
        let (page, ms) = (self.random.below(100), self.random.below(100));
        let timestamp_ms = FIRST_MS + self.index * 1000 / RECORDS_PER_SECOND - self.random.below(DISORDER_MS) as i64;
        let pad = &PAD[..16 + self.random.below(16) as usize];
        self.index += 1;
        let short = &user[..user.len().min(SHORT)];
        Some(Record {
            value: format!(r#"{{"user":"{short}","page":"/p/{page}","ms":{ms},"at":{timestamp_ms},"pad":"{pad}"}}"#),
            key: user,
            timestamp_ms,
        })
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014): small, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

/// Puts the records into `topic`, lz4.
pub(crate) fn fill(brokers: &str, topic: &str, records: impl Iterator<Item = Record>) {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("compression.codec", "lz4")
        .set("partitioner", "murmur2_random")
        .set("enable.idempotence", "true")
        .set("linger.ms", "20")
        .set("queue.buffering.max.messages", "1000000")
        .create()
        .expect("a producer");
    for record in records {
        let Record {
            key,
            value,
            timestamp_ms,
        } = record;
        let mut record = BaseRecord::to(topic).key(&key).payload(&value).timestamp(timestamp_ms);
        while let Err((error, again)) = producer.send(record) {
            assert_eq!(error, KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull));
            producer.poll(Duration::from_millis(10));
            record = again;
        }
    }
    producer
        .flush(Duration::from_secs(60))
        .expect("all records are acknowledged");
}
