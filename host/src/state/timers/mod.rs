//! Timers in a task's state: which are due, and where they begin and end.

mod due;
mod floors;

pub use floors::KeptTimer;
pub(super) use floors::TimerFloors;
