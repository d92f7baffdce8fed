//! A worker: its loop, what its groups say, a batch on its way, and its end.
//!
//! Never decides the order of a commit: `commit` does. Always: nothing is read while a task waits for its state, and a
//! batch that was given up half put out is never committed.

mod limits;
mod allowance;
mod shared;
mod time;
mod drain;
mod run;
mod on_poll;
mod process;
mod refusals;
mod leave;
mod figures;

pub(super) use allowance::Allowance;
pub use drain::DrainGate;
pub(super) use limits::{
    DRAIN_LIMIT, REVOCATION_COMMIT_LIMIT, REVOCATION_LIMIT, STOP_BATCH_LIMIT, STOP_CLOSE_LIMIT, STOP_COMMIT_LIMIT,
    STOP_DRAIN_LIMIT,
};
pub use run::Worker;
pub use shared::RunShared;
pub(super) use shared::panicked;
