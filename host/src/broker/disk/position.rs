//! A committed position, in the form in which the journal keeps it: by itself, and in a transaction.

use serde::{Deserialize, Serialize};

/// A committed position.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub(in crate::broker) struct JournalPosition {
    /// The next offset to read.
    pub offset: i64,
    /// The leader's epoch as the client gave it, -1 for none.
    pub leader_epoch: i32,
    /// The client's own words, byte for byte.
    pub metadata: String,
    /// Its place among all commits: of two for one partition the later one counts, whenever its transaction ends.
    #[serde(default)]
    pub order: u64,
}
