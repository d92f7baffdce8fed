//! librdkafka, called directly: everything of Kafka that the compiler cannot check.
//!
//! Owns what rdkafka hides, reads as enums with gaps, or does at a cost for each record. Never decides anything: errors
//! leave as codes and texts. Always: a code of a broker is read as a number here, for it may be newer than this
//! program; only a consumer's own events come through rdkafka.

mod layout;
pub(crate) mod failure;
pub(crate) mod message;
pub(crate) mod record_queue;
pub(crate) mod partition_list;
pub(crate) mod requests;
pub(crate) mod membership;
pub(crate) mod producer;
pub(crate) mod transaction;
mod batch_limits;
pub(crate) mod reports;
pub(crate) mod credentials;
#[cfg(target_os = "linux")]
mod leader_discovery;
#[cfg(test)]
mod tests;

pub(crate) use layout::words;
