//! The promise to come back: in which order outputs, state and positions become durable, and where the state is kept.
//!
//! Owns the order (`protocol`, pure), the bytes of a commit (`bundle`) and the
//! store: a folder or a bucket, its objects and their paths. Never reads a clock to decide an order, never looks into a
//! delta, never asks Kafka: committed pointers are handed in. Always: a position is committed only after every output
//! of the records before it was acknowledged; a pointer is handed out only for bytes that are durable and were read
//! back; nothing that a committed pointer reaches is ever deleted; what is damaged or missing is an error that names
//! the object.

pub mod protocol;
pub mod bundle;
mod objects;
mod age;
mod manifests;
pub mod store;
pub mod history;
pub mod base;
pub mod collect;
pub mod audit;
pub mod savepoint;

mod command;
mod event;
#[cfg(fuzzing)]
pub mod fuzzing;
#[cfg(test)]
mod protocol_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod places;

pub use bundle::{BaseRef, Stops, StoreSchema, TaskFrame};
pub use collect::{Collected, Listing};
pub use command::{Command, Halt};
pub use event::Event;
pub use history::{Delta, History, RestoreOrigin};
pub use protocol::{Mode, Protocol};
pub use store::{CheckpointStore, Upload};
