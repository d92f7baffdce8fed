//! The promise to come back: in which order outputs become durable and positions are committed.
//!
//! Owns the order. Never does I/O and never looks at a clock: `pipeline` carries out what it decides.
//! Always: a position is committed only after every output of the records before it was acknowledged.

pub mod protocol;

mod command;
mod event;
#[cfg(test)]
mod tests;

pub use command::{Command, Halt};
pub use event::Event;
pub use protocol::{Mode, Protocol};
