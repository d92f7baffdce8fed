//! The way of a batch: from the source through the operators to the sinks, as a whole or in pieces that fit into
//! memory.

mod piece;
mod refusal;
mod refused;
mod staging;
pub(super) mod task;

pub(super) use refused::most_bytes;
pub(super) use task::{BatchTask, Done, Tasks};
