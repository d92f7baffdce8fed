//! What a batch leaves of its last move of time, if that fires more than goes into one batch.

use crate::record::TopicPartition;

/// A task's last move of time that is not done, put down to a partition of it.
pub(super) struct OwedTime {
    pub(super) input: usize,
    /// Index in the pipeline's sources.
    pub(super) source: usize,
    pub(super) task: String,
    pub(super) partition: TopicPartition,
    /// That of the record that moved time.
    pub(super) offset: i64,
}
