//! Reads records: from Kafka as a member of a group, from a file when a person develops.
//!
//! It owns start and stop positions, membership, the positions of what was processed and their commits, and the bound
//! on what is read ahead. It never decides when to commit: the worker does, after the outputs were acknowledged.
//! Always: a position that is committed lies behind processed records only; a partition's records come in order, each
//! once an assignment; a position that the log does not hold is an error or a policy of the pipeline's, never a silent
//! jump.

mod positions;
mod merge;
mod member;
pub mod file;
mod merged_files;
pub mod event_time;

pub use file::FileReader;
pub use member::reader::poll::Reader;
pub use member::reader::polled::{Batch, Polled, ReaderPosition};
pub use member::reader::transfer::{GroupOffset, OwnedPartition};
pub use merged_files::MergedFiles;
pub use positions::checkpointed::CheckpointedPositions;
pub use positions::counts::{KeyedSources, Meeting, changed, refuse_changed};
pub use positions::plan::{AskKept, MemberSettings, Plan, ResolvedStart, check, plan};
pub use positions::start::StartOrigin;

#[cfg(test)]
pub(crate) use member::reader::on_kafka;
