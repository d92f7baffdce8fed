//! What a pipeline has inside: positions, checkpoints, state, dead letters, metrics.
//!
//! Never reads any of it itself: a verb of the program does, in a process that is shut in. Always: what may hold a
//! record's content needs the role of an operator.

mod asking;
mod positions;
mod seek;
mod checkpoints;
mod state;
mod dead_letters;
mod exposition;
mod metrics;
mod stopping;
mod support;
mod routes;
#[cfg(fuzzing)]
pub(super) mod fuzzing;

pub(super) use routes::routes;
pub(super) use stopping::{StoppedPipeline, Stopping, stop};
