//! What a poll of the reader comes back with.

use crate::kafka::consumer::CommitRefusal;
use crate::record::{Records, TopicPartition};
use crate::source::positions::plan::ResolvedStart;

/// Records of one partition. Made once and polled into again and again: it keeps its memory.
#[derive(Debug)]
pub struct Batch {
    /// Index of the source in the subtopology.
    pub source: usize,
    /// The partition that all of the records come from.
    pub partition: TopicPartition,
    /// The records, in the order of their offsets.
    pub records: Records,
}

impl Default for Batch {
    fn default() -> Self {
        Self {
            source: 0,
            partition: TopicPartition::new("", 0),
            records: Records::default(),
        }
    }
}

/// What a poll came back with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Polled {
    /// Nothing within the wait.
    Idle,
    /// The batch was filled. Call `processed` when its outputs are staged, before the next poll.
    Batch,
    /// These partitions are read from now on; or one of them goes on elsewhere, because its log does not hold its
    /// position.
    Assigned(Vec<ResolvedStart>),
    /// The group takes these partitions. Drain the outputs, then call `release`; told again until then.
    Revoking(Vec<TopicPartition>),
    /// The group took these partitions already: what was not committed, another member reads again.
    Lost(Vec<TopicPartition>),
    /// A commit that was begun came back: with its number of partitions, or why it failed.
    Committed(Result<usize, CommitRefusal>),
    /// No broker answers. The reader goes on trying.
    Disconnected(String),
    /// A broker answers again.
    Connected,
    /// Every partition of the run, here and at the other members, was read up to its stop.
    Finished,
}

/// Where a partition stands, for figures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReaderPosition {
    /// Index of the source in the subtopology.
    pub source: usize,
    /// The partition.
    pub partition: TopicPartition,
    /// The next offset to process.
    pub next: i64,
    /// What the group holds as this pipeline's.
    pub committed: Option<i64>,
    /// The end of the log, as the last fetch told it.
    pub end: Option<i64>,
    /// The run ends here.
    pub is_at_stop: bool,
}
