//! What sources, sinks and the command line all need of Kafka: the first connection to a cluster, its topics, and which
//! of its errors pass by themselves.
//!
//! Knows no pipeline and holds no position. Always: an error that is no refusal is tried again until a limit; no secret
//! stands in a sentence.

pub mod admin;
pub mod connect;
pub mod errors;
