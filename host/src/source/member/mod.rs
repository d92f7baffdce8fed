//! A member of a consumer group: its assignment, what it reads ahead, and the commits of what was processed.
//!
//! Owns the queue that partitions are forwarded to, and each partition's next offset. Never decides when to commit.
//! Always: every rebalance event of the group is answered before the member is closed.

pub(in crate::source) mod rebalance_events;
pub(in crate::source) mod pending;
pub(in crate::source) mod buffered_partition;
mod merging;
pub(in crate::source) mod record_buffer;
pub(in crate::source) mod commit;
pub(in crate::source) mod close;
pub(in crate::source) mod reader;
