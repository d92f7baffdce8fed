//! The reader: a member of the group, polled by one worker.
//!
//! `poll` has `Reader` and its turn; each other file handles one kind of event. It commits when the worker says so, and
//! by itself only the first position of a partition.

pub(in crate::source) mod polled;
pub(in crate::source) mod poll;
mod rebalance;
mod take_up;
mod release;
pub(in crate::source) mod transfer;
mod membership;
mod fenced;
mod watch;
mod connection;
mod finish;
#[cfg(test)]
pub(crate) mod on_kafka;
