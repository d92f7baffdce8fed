//! What the coordinator works on. The product's ports are Kafka, the store and the tasks' state; the simulation's are
//! a broker and a store that go wrong.
//!
//! A port is asked and answers; it decides nothing about the order of things. An error of a port ends the run.

use super::in_flight::InFlight;
pub use super::partition::{Memberships, Partition, TaskPartition};
use crate::checkpoint::{Command, Event, Halt};
use crate::error::{Error, Result};
use crate::offset_metadata::Pointer;
use crate::record::{Committable, TopicPartition};
use crate::source::GroupOffset;
use std::time::Duration;

/// Time, and the end of the run.
pub trait Clock {
    /// The time since some moment before the run.
    fn now(&self) -> Duration;
    /// How long ago the run was asked to stop; `None`: it was not.
    fn stopping(&self) -> Option<Duration>;
}

/// The groups that share the input out.
pub trait Groups {
    /// Lets the groups say what they want. What the protocol is to hear waits for [`next_event`](Self::next_event).
    fn poll_groups(&mut self) -> Result<()>;
    /// What was heard and not told yet, oldest first.
    fn next_event(&mut self) -> Option<Event>;
    /// Whether some group waits for this worker to give partitions up.
    fn is_revoking(&self) -> bool;
    /// Every partition that this worker reads, idle ones too.
    fn partitions(&self) -> Vec<Partition>;
    /// The present ones. `None`: a rebalance is under way.
    fn memberships(&mut self) -> Result<Option<Memberships>>;
    /// Whether something was lost that was not told yet.
    fn has_loss(&self) -> bool;
    /// What the groups hold of all partitions that this worker reads, once no transaction is about to change it.
    /// `None`: not within the limit.
    fn committed(&mut self, limit: Duration) -> Result<Option<Vec<GroupOffset>>>;
    /// What rides with a partition's offset.
    fn metadata(&self, of: &Partition, pointer: &Pointer) -> String;
    /// At least once: begins to commit the positions, of each input in one request.
    fn begin_commit(&mut self, positions: Vec<(usize, Vec<Committable>)>);
    /// What came of that: `Committed`, `CommitRefused` or `OffsetsRefused`. `None`: no answer yet.
    fn commit_answer(&mut self) -> Option<Event>;
    /// A transaction committed this for the readers.
    fn committed_by_transaction(&mut self, of: &InFlight);
    /// Reads on from these positions.
    fn rewind(&mut self, to: &[(usize, TopicPartition, i64)]) -> Result<()>;
    /// Gives the revoked partitions up, with the overlays of their tasks.
    fn release(&mut self) -> Result<()>;
    /// Leaves the groups.
    fn leave(&mut self) -> Result<()>;
}

/// Where outputs go.
pub trait Outputs {
    /// Whether a transaction is open that has outputs in it.
    fn has_transaction(&self) -> bool;
    /// Waits a moment until every staged output is acknowledged: `Drained`, `Expired`, …. `None`: not yet.
    fn drain(&mut self) -> Result<Option<Event>>;
    /// Outputs that are not acknowledged.
    fn in_flight(&self) -> usize;
    /// Whether the cluster is out of reach: then outputs are waited for.
    fn is_disconnected(&self) -> bool;
    /// Sends the offsets of one input to the transaction.
    fn send_offsets(&mut self, positions: &[Committable], membership: &[u8], limit: Duration) -> Result<Event>;
    /// Commits the transaction.
    fn commit_transaction(&mut self, limit: Duration) -> Result<Event>;
    /// Aborts the transaction, if one is open.
    fn abort(&mut self, limit: Duration) -> Result<()>;
    /// Throws the producer away and initialises a new one: `Reinitialised` or `ReinitialiseFailed`.
    fn reinitialise(&mut self, limit: Duration) -> Result<Event>;
}

/// The state of the tasks, and the store of checkpoints.
pub trait TaskStates {
    /// Whether a task waits for a checkpoint though nothing was read.
    fn owes_checkpoint(&self) -> bool;
    /// Freezes the changes of all tasks since the last commit, with these positions. Gives their bytes.
    fn freeze(&mut self, covered: &[Partition]) -> Result<usize>;
    /// Begins to write what was frozen.
    fn begin_upload(&mut self) -> Result<()>;
    /// Waits a moment for that: the pointers, or why the store did not take it. `None`: not yet.
    fn upload(&mut self) -> Result<Option<Result<Vec<Pointer>>>>;
    /// The commit went through: the overlays of the tasks in it become local state.
    fn apply(&mut self, of: &InFlight) -> Result<()>;
    /// Drops the overlays of all tasks.
    fn drop_overlays(&mut self) -> Result<()>;
    /// Brings a task to what is committed for its partitions. `false`: what that needs cannot be had now.
    fn go_back(&mut self, task: &str, partitions: &[TaskPartition]) -> Result<bool>;
}

/// Whoever looks on.
pub trait Observer {
    /// The protocol heard of the event, and asks for the commands.
    fn decided(&mut self, event: Event, commands: &[Command]);
    /// A checkpoint failed, for this reason.
    fn failed(&mut self, error: Error);
    /// Why the run ends.
    fn halt(&mut self, why: Halt) -> Error;
}

/// All of them.
pub trait CommitPorts: Clock + Groups + Outputs + TaskStates + Observer {}

impl<P: Clock + Groups + Outputs + TaskStates + Observer> CommitPorts for P {}
