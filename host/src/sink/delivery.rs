//! What librdkafka tells of records that it could not deliver: which of them Kafka refused for good, and which failed
//! only beside those.
//!
//! A broker takes a batch or refuses it whole. It says which records it was for; if it does not, or is too old to,
//! every record of the batch carries the same error, and which one it was is found out by sending each by itself.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::kafka::codes;
use crate::kafka::native::failure::Failure;
use crate::record::TopicPartition;

/// A record that was refused for good, or one of a batch of which one was.
#[derive(Debug, Clone)]
pub(super) struct RefusedRecord {
    pub(super) topic: String,
    pub(super) partition: i32,
    /// What went with the record.
    pub(super) tag: u64,
    pub(super) print: Print,
    pub(super) bytes: usize,
    pub(super) failure: Failure,
    /// It was not even sent.
    pub(super) is_local: bool,
}

/// By what an output is known again when its record is processed once more: its content, and its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Print {
    content: u64,
    /// A few bits of it.
    time: u8,
}

/// Refusals that were told, and the partitions in which the broker said which records they were for.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    pub(super) told: Vec<RefusedRecord>,
    pub(super) exact: BTreeSet<(String, i32)>,
}

impl Print {
    /// The print of a record. A header's name counts up to its first zero byte, which is what librdkafka gives back of
    /// it.
    pub fn of<'a>(
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)>,
        time: u8,
    ) -> Self {
        let mut hasher = DefaultHasher::new();
        // Null is not empty: a compacted topic takes the one and not the other.
        key.hash(&mut hasher);
        value.hash(&mut hasher);
        for (name, value) in headers {
            name.split(|byte| *byte == 0).next().hash(&mut hasher);
            value.hash(&mut hasher);
        }
        Self {
            content: hasher.finish(),
            time,
        }
    }
}

impl Refusals {
    /// Whether it is known to be the record, and not another one of its batch.
    pub(super) fn is_exact(&self, refusal: &RefusedRecord) -> bool {
        let is_told =
            !is_too_large(refusal.failure.code) && self.exact.contains(&(refusal.topic.clone(), refusal.partition));
        refusal.is_local || is_told
    }
}

/// Whether the record itself is at fault, so that it will be refused as often as it is sent.
pub(super) fn is_refusal(code: i32) -> bool {
    is_too_large(code) || matches!(code, codes::BAD_TIMESTAMP | codes::BAD_RECORD)
}

/// Whether it is the size that is refused, of the record or of the batch that it was put in.
pub(super) fn is_too_large(code: i32) -> bool {
    matches!(code, codes::TOO_LARGE | codes::BATCH_TOO_LARGE)
}

/// Whether a later report may tell more of what went wrong.
pub(super) fn follows(failure: &Failure) -> bool {
    failure.is_purge() || failure.code == codes::BESIDE_A_BAD_RECORD
}

/// An output that Kafka refused for good, and why.
#[derive(Debug, Clone)]
pub struct RefusedOutput {
    /// The topic that it was for.
    pub topic: String,
    /// The sink, the partition of its source record and that one's offset; `None`: it cannot be told.
    pub origin: Option<(usize, TopicPartition, i64)>,
    /// By what it is known again.
    pub print: Print,
    /// Its key, value and headers.
    pub bytes: usize,
    /// Whether it is the size that is refused.
    pub is_too_large: bool,
    /// Kafka's words.
    pub reason: String,
    /// What a person can do.
    pub advice: Option<&'static str>,
    /// Not so: another record of its batch may be the one, and each is sent by itself from now on until the next
    /// commit.
    pub is_exact: bool,
}

#[cfg(test)]
mod tests {
    use super::super::origin::time_of;
    use super::*;

    fn print(value: &'static [u8], header: &'static [u8], timestamp: i64) -> Print {
        Print::of(
            Some(b"k"),
            Some(value),
            [(header, None)].into_iter(),
            time_of(timestamp),
        )
    }

    #[test]
    fn an_output_is_known_again_by_its_content_and_its_time() {
        let told = print(b"v", b"trace", 1_700_000_000_000);
        assert_eq!(told, print(b"v", b"trace", 1_700_000_000_000));
        assert_eq!(told, print(b"v", b"trace\0more", 1_700_000_000_000));
        for other in [
            print(b"v", b"trace", 1_700_000_000_001),
            print(b"w", b"trace", 1_700_000_000_000),
            print(b"v", b"other", 1_700_000_000_000),
        ] {
            assert_ne!(told, other);
        }
        let of_key = |key| Print::of(key, Some(b"v"), std::iter::empty(), 0);
        assert_ne!(of_key(None), of_key(Some(b"")), "null is not empty");
    }
}
