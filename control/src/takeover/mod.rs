//! How a version takes over from the one before, is watched, and is taken back if it fails.
//!
//! Never starts or ends a process: that is the fleet's. Always: the phase is written down before the fleet hears of it,
//! so that a daemon that dies goes on where it was; each phase has an end that no process and no cluster can put off.

mod turns;
mod lag;
mod phases;
mod upgrades;
mod canaries;

pub(crate) use turns::Turns;
pub use upgrades::Upgrades;
