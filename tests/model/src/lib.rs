//! The model of the commit protocol: the host's own state machine, against a broker, a store and workers that crash.
//!
//! ```text
//! world      what there is: records, a broker with its transactions, a store, workers
//! steps      what can happen: each action and the world after it
//! invariants what must hold in every world
//! cases      how much may go wrong in one run, the conditions left out one by one, and what came of it
//! ```
//!
//! The state machine is the host's source file itself, so that it is the one that runs.

#[path = "../../../host/src/checkpoint/command.rs"]
mod command;
#[path = "../../../host/src/checkpoint/event.rs"]
mod event;
#[path = "../../../host/src/checkpoint/protocol.rs"]
mod protocol;

mod carry_out;
#[cfg(test)]
mod cases;
#[cfg(test)]
mod controls;
mod invariants;
mod steps;
mod world;

pub use command::{Command, Halt};
pub use event::Event;
pub use protocol::{Mode, Protocol};
pub use steps::{Action, Outcome};
pub use world::{Case, Conditions, Faults, World};
