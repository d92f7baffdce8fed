//! Where a run begins: a savepoint, then what this pipeline committed, then the settings of its sources.
//!
//! Owns what happens before the first record. Never reads one. Always: positions and the state that belongs to them are
//! taken from one place; if they do not agree, or are gone although checkpoints know them, the start ends and a
//! person decides.

mod check;
pub(super) mod partition_counts;
pub(super) mod kept;
mod savepoint;

pub(super) use check::check_committed;
pub(super) use savepoint::Import;
