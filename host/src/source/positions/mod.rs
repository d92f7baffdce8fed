//! Where a partition starts and where its run ends: facts from Kafka in, numbers out.
//!
//! Owns the resolution of every start and stop, once a process and for all partitions at once, and the text that a
//! committed offset carries. Never reads a record. Always: what leaves here is a number that the log held when it was
//! asked.

pub(in crate::source) mod plan;
pub(in crate::source) mod checkpointed;
pub(in crate::source) mod kept;
pub(in crate::source) mod topics;
pub(in crate::source) mod agreement;
pub(in crate::source) mod counts;
pub(in crate::source) mod start;
