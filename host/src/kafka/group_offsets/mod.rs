//! The positions of a pipeline's sources, as their groups hold them.

mod read;
mod set;

pub use read::{CommittedPosition, Marked, Position, Survey, logs, marked, read, survey, wait_until_stable};
pub(super) use read::{log_range, partitions_of};
pub use set::{To, commit_marked, set, wait_until_empty};
