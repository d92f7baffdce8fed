//! The embedded broker: a small Kafka in our own process, for development, the demo and tests.
//!
//! It owns connections, logs, groups, committed positions and transactions, and its files. It never forwards,
//! replicates or invents: a request that it does not support gets Kafka's own refusal, and topics exist only if they
//! were created.
//!
//! What always holds: what was acknowledged is in a file before the acknowledgement leaves, so it survives the end of
//! the process, however sudden. One thread owns all state; memory is bounded by limits on connections, requests and
//! answers, never by the data.
//!
//! ```text
//! server (connections, frames) → api (which request, which version)
//!   → produce, fetch, bounds, topics, configs, groups, transactions (a request's answer)
//!   → state (topics, groups, positions, transactions) → log (a partition's file) and journal (everything else)
//! ```

mod start;
mod node;
mod server;
mod api;
mod shape;
mod topics;
mod produce;
mod fetch;
mod bounds;
mod configs;
mod groups;
mod transactions;
mod state;
mod disk;
#[cfg(fuzzing)]
pub mod fuzzing;

pub use start::{Broker, BrokerSettings};
