//! The tasks that a worker owns: the state that each keeps, the checkpoints that it stands on, and how it comes back.

pub(super) mod stores;
pub(super) mod checkpoints;
mod under_way;
mod restore;
mod owned;
pub(super) mod committed;
pub(super) mod ownership;

pub(super) use checkpoints::Checkpoints;
pub(super) use ownership::TaskManager;
