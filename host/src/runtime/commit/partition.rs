//! A partition as the commit knows it.

use crate::record::TopicPartition;

/// The membership of each input, as bytes for the producer.
pub type Memberships = Vec<(usize, Vec<u8>)>;

/// A partition that a worker reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// Number of the input that reads it: a member of a group.
    pub input: usize,
    /// The partition.
    pub at: TopicPartition,
    /// The task that it is part of.
    pub task: String,
    /// Whether the state of that task is here. One that is being restored has nothing to commit.
    pub has_state: bool,
    /// The next offset to process.
    pub next: i64,
    /// The epoch of the leader that took the record before it, if that is known.
    pub leader_epoch: Option<i32>,
    /// Where this assignment began to read, or was last rewound to.
    pub start: i64,
    /// What the group holds as this pipeline's, as far as this worker knows.
    pub committed: Option<i64>,
    /// The stop of a bounded run, as it is kept with the position.
    pub stop: Option<String>,
    /// A number that is new each time that the partition is taken.
    pub assignment_epoch: u64,
}

/// A partition of a task that goes back, the position that it reads on from, and what was committed with that; `None`:
/// it was never committed.
pub type TaskPartition = (TopicPartition, i64, Option<String>);
