//! Time within a call: timers, and the order in which events and firings take turns.
//!
//! Owns the timers that a plugin declares, and the queue of those that are due in a call, which are the host's and
//! those that the call itself sets. Always: what comes out is the same in the same order however the events were cut
//! into calls; what a refused turn set or cleared is taken back.

mod keyed;
mod timer;
mod fired;
mod queue;
mod turns;

#[cfg(test)]
mod tests;

pub use fired::Fired;
pub use keyed::Keyed;
pub use timer::{Timer, Timers};

pub(crate) use queue::Advance;
pub(crate) use timer::TimerField;
pub(crate) use turns::run;
