//! What a run put out, so that two runs that should do the same can be seen to do so.

use sandbar_tests::client::{Client, Isolation};
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

/// The committed records of a topic, whatever their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Outputs {
    pub(crate) records: usize,
    /// The sum of the hashes of each one's key, value and time.
    hashes: u64,
}

impl Outputs {
    pub(crate) fn of(client: &Client, topic: &str) -> Self {
        let hasher = BuildHasherDefault::<DefaultHasher>::default();
        let records = client.reader(&[topic], Isolation::Committed).read_to_end();
        let hashes = records
            .iter()
            .map(|record| hasher.hash_one((&record.key, &record.value, record.timestamp)));
        Self {
            records: records.len(),
            hashes: hashes.fold(0, u64::wrapping_add),
        }
    }
}
