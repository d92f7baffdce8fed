//! Drives a plugin that is called for one event, or one timer, at a time: through a batch, a turn each.
//!
//! Owns the order of the turns, and what they put out, keep and set until the batch is over. Never calls a guest.
//! Always: what comes of a batch is what a plugin that takes it as a whole would hand over, in the same columns, so
//! that nobody behind this tells the two apart; a turn that is refused, or that trapped, leaves nothing.

mod waiting;
mod order;
mod kept;
mod scan;
mod emitted;
mod driven;

pub(in crate::plugin) use driven::Driven;
pub(in crate::plugin) use emitted::TurnMessage;
pub(in crate::plugin) use order::TurnOf;
