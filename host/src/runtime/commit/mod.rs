//! The commit of a worker. With checkpoints one [`Coordinator`] carries out what `checkpoint::protocol` decides, on
//! ports; `tests/simulation` runs the same coordinator on a broker and a store that go wrong. Without them each member
//! of a group commits its positions (`offsets_only`).
//!
//! ```text
//! freeze → upload and drain, side by side → bundle durable → members as before → offsets committed → apply
//! ```
//!
//! Always: nothing is processed while a checkpoint is under way, and what is committed is what its bundle says, to the
//! offset.

mod partition;
pub mod ports;
mod in_flight;
mod coordinator;
mod recovery;
mod checkpointing;
mod on_event;
mod offsets_only;
mod kafka;
mod tasks;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod model_tests;

pub use coordinator::{BrokenCondition, CommitLimits, Coordinator};
pub use in_flight::InFlight;

pub(super) use checkpointing::{Checkpointing, transaction_timeout};
