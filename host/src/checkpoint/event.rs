//! What the protocol is told.

/// What happened, at a batch boundary. The first four come by themselves, at any time; so may `Expired`, `Fenced` and
/// `Foreign`, which also stand for the answer to a command that is under way. The others answer a command, and mean
/// nothing if it was not given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Event {
    /// The interval came round, or the overlays are large.
    Due,
    /// The group takes partitions away and waits for the answer.
    Revoking,
    /// The group gave partitions to somebody else already.
    Lost,
    /// The run is to end: a signal, or every partition reached its stop.
    Stopping,
    /// Every staged output is acknowledged.
    Drained,
    /// The outputs were not all acknowledged within the limit.
    DrainTimedOut,
    /// Instead of `Drained`, with checkpoints: nothing was processed since the last commit, so there is nothing to
    /// commit.
    NothingNew,
    /// Positions only: the group answered an interval's commit, well or badly.
    Answered,
    /// The bundle is durable, its length and hash are verified.
    Stored,
    /// The bundle could not be written, or not within the limit.
    StoreFailed,
    /// Every task's assignment epoch is the one it read under, and the group metadata is that of a joined member.
    Current,
    /// They are not, or the group refused the offsets because a rebalance is under way: `IllegalGeneration`,
    /// `UnknownMemberId`. Ordinary.
    Stale,
    /// The offsets are part of the transaction.
    OffsetsSent,
    /// They are, but it took so long that a retry may be under way still.
    OffsetsSlow,
    /// The offsets were refused for a reason that does not pass, as a rebalance does; a transaction can only be
    /// aborted.
    OffsetsRefused,
    /// What was done since the last commit is to be done again: the broker aborted the transaction because it grew too
    /// old (a refusal of the epoch when its time-out has passed), a batch was given up half put out, or Kafka refused
    /// an output that is to be left out.
    Expired,
    /// Another instance took this one's id over.
    Fenced,
    /// The commit went through.
    Committed,
    /// It went through, but took so long that a retry may be under way still.
    CommittedSlow,
    /// The commit was refused.
    CommitRefused,
    /// The commit may have gone through or not, and asking again does not help any more.
    CommitUnknown,
    /// The overlays are in the local state, with the pointer.
    Applied,
    /// A new producer is ready: nothing of the one before can have an effect any more.
    Reinitialised,
    /// No new producer could be had within the limit.
    ReinitialiseFailed,
    /// A committed pointer is the one of the commit in doubt: it went through.
    ResolvedNew,
    /// None is, and some task of it is still this worker's: it did not go through, or another owner committed since.
    ResolvedOld,
    /// No task of it is this worker's any more: nobody knows, and it does not matter here.
    ResolvedOther,
    /// The committed pointers could not be read within the limit.
    Unresolved,
    /// What is committed was not written by Sandbar, or not for these tasks.
    Foreign,
    /// Every task that stays stands where the committed offsets and their pointer say.
    Rewound,
    /// What is committed could not be read within the limit.
    RewindFailed,
}
