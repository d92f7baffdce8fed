//! What the protocol asks for.

/// What is to be done, in this order. A command that is answered is the last of its row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Command {
    /// Begin to write the bundle: the changes of all tasks since the last commit. Not answered.
    Seal,
    /// Wait until every staged output is acknowledged; answer with `Drained` or `DrainTimedOut`, with checkpoints also
    /// with `NothingNew`, `Expired` or `Fenced`.
    Drain,
    /// Wait until the bundle is durable; answer with `Stored` or `StoreFailed`.
    AwaitBundle,
    /// Compare every task's assignment epoch with the one it read under and take fresh group metadata; answer with
    /// `Current` or `Stale`.
    CheckMembership,
    /// Send next offset and pointer of all partitions of every task, idle ones too, to the transaction, with that
    /// metadata; answer with `OffsetsSent`, `OffsetsSlow`, `Stale`, `OffsetsRefused`, `Expired` or `Fenced`.
    SendOffsets,
    /// Commit the transaction, again as long as the client asks for it and the limit allows; answer with `Committed`,
    /// `CommittedSlow`, `CommitRefused`, `CommitUnknown`, `Expired` or `Fenced`.
    CommitTransaction,
    /// Commit next offset and pointer of all partitions of every task in one request, and attend the groups until the
    /// answer; answer with `Committed`, `CommitRefused` (by a rebalance, say), `OffsetsRefused` or `CommitUnknown`.
    CommitOffsets,
    /// Write each task's overlay with its new pointer into the local state; answer with `Applied`.
    Apply,
    /// Drop the overlays of all tasks. Not answered.
    DropOverlays,
    /// Abort the transaction, if one is open; a limit is enough, since a `Reinitialise` or the end follows. Not
    /// answered.
    Abort,
    /// Throw the producer away and initialise a new one, which waits for or aborts what the old one left; answer with
    /// `Reinitialised` or `ReinitialiseFailed`.
    Reinitialise,
    /// Read the committed pointers of the tasks in the bundle that are still this worker's, with require-stable, and
    /// compare; answer with `ResolvedNew` (one is new), `ResolvedOld` (none is), `ResolvedOther` (there is none),
    /// `Unresolved` or `Foreign`.
    Resolve,
    /// Read what is committed for every task that stays, with require-stable, and go on there: if the pointer is not
    /// the local one, the state is restored to it. Answer with `Rewound`, `RewindFailed` or `Foreign`.
    Rewind,
    /// Positions only: begin to commit the positions of what was processed; the answer comes as `Answered`.
    Commit,
    /// Positions only: commit the revoked partitions, wait for it, and give them up.
    CommitAndRelease,
    /// Give the revoked partitions of all groups up, with the overlays of their tasks: what was not committed their
    /// next owner reads again. Not answered.
    Release,
    /// Forget the lost partitions and the overlays of their tasks: nothing of them may be committed. Not answered.
    Forget,
    /// Positions only: commit, wait for it, and leave the group.
    CommitAndLeave,
    /// Leave the groups; the next start begins at the last commit. Not answered.
    Leave,
    /// Process records. Not answered.
    Process,
    /// End the run with an error. Not answered.
    Halt(Halt),
}

impl Command {
    /// Whether its answer is waited for, with checkpoints.
    pub fn is_answered(self) -> bool {
        use Command::*;
        matches!(
            self,
            Drain
                | AwaitBundle
                | CheckMembership
                | SendOffsets
                | CommitTransaction
                | CommitOffsets
                | Apply
                | Reinitialise
                | Resolve
                | Rewind
        )
    }
}

/// Why a worker cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Halt {
    /// Another instance with the same id runs.
    Fenced,
    /// More checkpoints failed one after the other than are tolerable.
    TooManyFailures,
    /// The group's offsets were written by somebody else.
    Foreign,
}
