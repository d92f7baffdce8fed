//! What is wired to what: the names of a pipeline file, resolved to indexes. Pure.
//!
//! Owns: the routes of batches, the sources that are read together, and which operators keep state. Never: asks Kafka
//! or calls a plugin. Always: a route that leaves here can be run as it stands, and records that come to state stay
//! with their keys.

mod route;
mod wiring;
mod state;
mod subtopologies;
mod co_partitioning;

#[cfg(test)]
pub(crate) mod tests;

pub use co_partitioning::{StatefulOperators, in_same_group, keyed, stateful_sources};
pub use route::{CallInput, OperatorCall, Ports, RecordsFrom, Route, Stage};
pub use state::{before_state, stateful_operators};
pub use subtopologies::{files, kafka_subtopologies, merged, ranks, subtopologies};
pub use wiring::routes;
