//! The coordinator does what the model's executor does: in every world of some of the model's cases, and along walks
//! through larger ones.
//!
//! The model (`tests/model`) visits every order of events, with an executor of its own for the protocol's commands.
//! What it proves is true of the coordinator only if that one does the same. So here each step that the model knows is
//! taken twice: by the model's executor, and by the coordinator that ships on ports that act on the model's world. Both
//! must do the same in the same order, leave the same world, and have their protocol in the same state.

#[allow(unreachable_pub, reason = "the model's files are those of a crate")]
#[path = "../../../../../tests/model/src/carry_out.rs"]
mod carry_out;
#[allow(unreachable_pub, reason = "the model's files are those of a crate")]
#[path = "../../../../../tests/model/src/effects.rs"]
mod effects;
#[allow(unreachable_pub, reason = "the model's files are those of a crate")]
#[path = "../../../../../tests/model/src/steps.rs"]
mod steps;
#[allow(unreachable_pub, reason = "the model's files are those of a crate")]
#[path = "../../../../../tests/model/src/world.rs"]
mod world;

mod ports;
mod both;

use crate::checkpoint::{Command, Event, Halt, Mode, Protocol};
