//! `sandbar state`: what the operators of a pipeline keep, and the timers that they have set.

mod verb;
mod timers;

pub(super) use verb::StateArgs;
pub(super) use verb::show_key;
