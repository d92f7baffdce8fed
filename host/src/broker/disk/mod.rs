//! What outlives the process: a file a partition, a journal for everything else.
//!
//! Owns the bytes on disk and their checks. Never answers a request. Always: what is read back is whole, or cut at the
//! last whole batch.

pub(in crate::broker) mod storage;
pub(in crate::broker) mod journal;
pub(in crate::broker) mod position;
pub(in crate::broker) mod log;
pub(in crate::broker) mod limits;
pub(in crate::broker) mod batch;
pub(in crate::broker) mod idempotence;
pub(in crate::broker) mod stability;
