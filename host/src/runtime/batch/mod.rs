//! The way of a batch: from the source through the operators to the sinks, as a whole or in pieces that fit into
//! memory.

mod bad_times;
mod call;
mod gather;
mod piece;
mod refusal;
mod refused;
mod staging;
pub(super) mod task;
mod time;
#[cfg(test)]
mod time_tests;

pub(super) use refused::most_bytes;
pub(crate) use task::{BatchTask, Done, MovedBy, Tasks};
pub(crate) use time::Watermarks;
