//! A worker that takes checkpoints: when one is due, and what a failure means.

use super::coordinator::{CommitLimits, Coordinator};
use crate::checkpoint::{CheckpointStore, Event, Mode, TaskFrame, Upload};
use crate::clock::Interval;
use crate::config::{Checkpoint, Delivery, Pipeline};
use crate::error::Error;
use crate::runtime::start::kept;
use crate::runtime::worker::{REVOCATION_LIMIT, STOP_COMMIT_LIMIT, STOP_DRAIN_LIMIT};
use std::collections::VecDeque;
use std::time::Duration;

/// How long one wait inside a checkpoint may last before the worker polls its groups.
pub(super) const LOOK: Duration = Duration::from_millis(20);

/// What a worker has in hand for its checkpoints.
pub(in crate::runtime) struct Checkpointing {
    pub(super) store: CheckpointStore,
    pub(super) interval: Interval,
    /// The durable bundle is the commit: none may be written whose outputs are not acknowledged.
    pub(in crate::runtime) offsets_in_checkpoint: bool,
    /// What the coordinator was not told yet, oldest first.
    pub(super) events: VecDeque<Event>,
    /// What is to be written next.
    pub(super) frozen: Vec<TaskFrame>,
    pub(super) upload: Option<Upload>,
    /// When to look whether another process writes the same tasks; the first checkpoint does it.
    pub(super) look_for_others: Option<Interval>,
    /// The last of a row of failures. The first is told: each is superseded by the next.
    pub(super) failure: Option<Error>,
}

impl Checkpointing {
    pub(in crate::runtime) fn new(pipeline: &Pipeline, checkpoint: &Checkpoint, store: CheckpointStore) -> Self {
        Self {
            store,
            interval: Interval::new(checkpoint.interval),
            offsets_in_checkpoint: kept::offsets_in_checkpoint(pipeline),
            events: VecDeque::new(),
            frozen: Vec::new(),
            upload: None,
            look_for_others: None,
            failure: None,
        }
    }
}

impl Coordinator {
    /// The coordinator of a worker of this pipeline.
    pub(in crate::runtime) fn of(pipeline: &Pipeline, checkpoint: &Checkpoint) -> Self {
        let mode = match pipeline.delivery {
            Delivery::ExactlyOnce => Mode::ExactlyOnce,
            Delivery::AtLeastOnce | Delivery::None => Mode::AtLeastOnce,
        };
        let limits = CommitLimits {
            checkpoint: limit(pipeline.delivery, checkpoint),
            revocation: REVOCATION_LIMIT,
            membership: Duration::from_secs(1),
            commit: Duration::from_secs(5),
            abort: Duration::from_secs(2),
            reinitialise: Duration::from_secs(5),
            resolve: Duration::from_secs(5),
            last_drain: STOP_DRAIN_LIMIT,
            last_commit: STOP_COMMIT_LIMIT,
            least: LOOK,
        };
        let offsets_in_checkpoint = kept::offsets_in_checkpoint(pipeline);
        Coordinator::new(mode, checkpoint.tolerable_failures, limits, offsets_in_checkpoint)
    }
}

/// Bundle and acknowledgements side by side must fit into half of a transaction's time.
fn limit(delivery: Delivery, checkpoint: &Checkpoint) -> Duration {
    match delivery {
        Delivery::ExactlyOnce => checkpoint.timeout.min(transaction_timeout(checkpoint) / 2),
        Delivery::AtLeastOnce | Delivery::None => checkpoint.timeout,
    }
}

/// A transaction lives from one commit to the next, and through the commit.
pub(in crate::runtime) fn transaction_timeout(checkpoint: &Checkpoint) -> Duration {
    const LEAST: Duration = Duration::from_secs(60);
    /// Brokers refuse more by default.
    const MOST: Duration = Duration::from_secs(15 * 60);
    (checkpoint.interval + LEAST).min(MOST)
}
