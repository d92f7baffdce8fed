//! Where records go: Kafka topics and, for development, files.
//!
//! Owns the producers, one for each cluster that a worker writes to, their transactions, and what a dead letter looks
//! like. Never decides when to drain or to commit and never creates a topic. Always: the records of a partition keep
//! their order; [`Writer::drain`] says `true` only when every record staged before it was acknowledged by all in-sync
//! replicas (a file: handed to the operating system); a transaction begins only on a producer of which nothing late can
//! come.

mod writer;
mod one_topic;
mod producer;
mod failures;
mod transactional;
mod transaction;
mod reports;
mod origin;
mod delivery;
mod file;
pub mod dead_letter;
#[cfg(test)]
pub(crate) mod on_kafka;
#[cfg(test)]
mod transactions_on_kafka;
#[cfg(test)]
mod transactions_refused;

pub use delivery::{Print, RefusedOutput};
pub use file::Files;
pub use one_topic::OneTopic;
pub use transaction::{CommitOutcome, OffsetsSent};
pub use transactional::Transactional;
pub use writer::{Options, Writer};
