//! Ties the stations for one pipeline: what a tenant declares, the loop, the threads, the life of a run.
//!
//! Owns the order of things. Never touches Kafka, Wasm or files itself: the stations do. Always: a task's records are
//! touched by one worker thread, and a batch is computed as a whole before any of it is staged.

pub mod lifecycle;
mod batch;
mod idleness;
mod input;
mod tasks;
pub mod commit;
pub mod worker;
mod watchdog;
pub mod supervisor;
mod committed;
mod collector;
mod start;
#[cfg(test)]
mod commit_on_kafka;

pub(crate) use batch::{BatchTask, Done, MovedBy, Tasks, Watermarks};
pub use committed::committed;
pub(crate) use committed::{kafka, newest};
pub use lifecycle::{PassedOver, RunEvent, StopRequest, StoppedRun};
pub(crate) use start::kept::offsets_in_checkpoint;
pub use supervisor::{RunObserver, check_topics, load, ports, run};
pub(crate) use tasks::checkpoints::rebuild;
pub use tasks::stores::{StoreFate, fate, shape};
