//! The tasks that a worker owns: the state that each keeps, the checkpoints that it stands on, and how it comes back.

pub(super) mod checkpoints;
mod under_way;
mod restore;
pub(super) mod owned;

pub(super) use checkpoints::Checkpoints;
pub(super) use owned::TaskManager;
