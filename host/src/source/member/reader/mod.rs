//! The reader: a member of the group, polled by one worker.
//!
//! `poll` has `Reader` and its turn; each other file handles one kind of event. It commits when the worker says so, and
//! by itself only the first position of a partition.

pub(in crate::source) mod polled;
pub(in crate::source) mod poll;
pub(in crate::source) mod rebalance;
pub(in crate::source) mod take_up;
pub(in crate::source) mod release;
pub(in crate::source) mod transfer;
pub(in crate::source) mod membership;
pub(in crate::source) mod fenced;
pub(in crate::source) mod watch;
pub(in crate::source) mod connection;
pub(in crate::source) mod finish;
#[cfg(test)]
pub(crate) mod on_kafka;
