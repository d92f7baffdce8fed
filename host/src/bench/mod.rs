//! `sandbar bench`: what a plugin costs, without Kafka.
//!
//! Owns the records that plugins are measured with, the rounds, and what is measured in them. Never calls a plugin
//! itself: the engine that `run` uses does, with a task's state on disk. Always: plugins that are compared get the same
//! records, in the same rounds by turns; instructions are counted and profiles taken in runs of their own, so that
//! figures of time are those of a run.

mod records;
mod spent;
mod round;
mod task;
mod flame;
mod firefox;
mod profile;
mod report;
mod measure;

pub use measure::{BenchOptions, bench};
pub use profile::{HotFunction, ProfileFiles};
pub use report::{BenchReport, BenchRole, BenchedPlugin, CountedInstructions};
pub use round::BenchRound;
pub use spent::Spent;
