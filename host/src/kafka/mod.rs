//! What sources, sinks and the command line all need of Kafka: clients and how they sign in, topics, look-ups, the
//! offsets of groups, and which errors pass by themselves. All unsafe code of Kafka is in `native`.
//!
//! Knows no pipeline and holds no position. Always: an error that is no refusal is tried again until a limit; no secret
//! stands in a sentence.

pub mod connect;
pub(crate) mod bootstrap;
pub mod sign_in;
pub mod admin;
pub mod consumer;
pub mod lookup;
pub mod group_offsets;
pub mod topic_reader;
pub mod record_at;
pub mod resend;
pub mod errors;
pub(crate) mod codes;
#[expect(unsafe_code, reason = "rdkafka hides much of librdkafka")]
pub(crate) mod native;
