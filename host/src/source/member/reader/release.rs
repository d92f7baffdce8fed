//! Commits and revocations: when the worker asks, when the group does, and at the end.

use std::time::{Duration, Instant};

use super::poll::Reader;
use super::polled::Polled;
use crate::clock;
use crate::error::Result;
use crate::kafka::consumer::CommitRefusal;
use crate::record::{Committable, TopicPartition};
use crate::source::member::commit::{CommitAnswer, Snapshot};
use crate::source::member::rebalance_events::RebalanceEvent;

/// How long the last commit for monitoring may take: it is not needed.
const LAST_TOLD: Duration = Duration::from_secs(1);
/// Why a commit failed of which nothing was heard.
const NO_ANSWER: &str = "the group did not answer in time";

impl Reader {
    /// Whether every processed position is held by the group, or by checkpoints if those are the truth; or is to be
    /// held by nobody.
    pub fn is_committed(&self) -> bool {
        let is_held = || self.uncommitted(|_| true).is_empty();
        if self.plan.is_kept() {
            return is_held();
        }
        !self.plan.commits() || (self.commits.is_idle() && is_held())
    }

    /// Begins to commit all processed positions; their outputs must be acknowledged. Never waits: `Polled::Committed`
    /// tells how it went, for a later commit too if that took this one's place. `false`: nothing is new, and nothing
    /// will be told.
    pub fn begin_commit(&mut self) -> bool {
        if !self.plan.commits() || !self.may_commit() {
            return false;
        }
        let positions = self.uncommitted(|_| true);
        if positions.is_empty() && self.commits.is_idle() {
            return false;
        }
        self.send(positions);
        true
    }

    /// Begins a commit of which the worker is told.
    fn send(&mut self, positions: Vec<Committable>) {
        let snapshot = Snapshot {
            positions,
            is_asked: true,
        };
        let sent = self.commits.begin(&self.client, snapshot);
        self.tell(sent);
    }

    fn uncommitted(&self, is_wanted: impl Fn(&TopicPartition) -> bool) -> Vec<Committable> {
        self.record_buffer
            .positions()
            .filter(|(slot, next)| slot.committed != Some(*next) && is_wanted(&slot.at))
            .map(|(slot, next)| Committable {
                partition: slot.at.clone(),
                next,
                leader_epoch: slot.leader_epoch_at(next),
                metadata: self.plan.pointer(slot.source, &slot.at, slot.stop),
            })
            .collect()
    }

    /// Answers `Polled::Revoking`: commits the revoked partitions, waiting up to `commit`, then gives them up. `None`:
    /// nothing is committed, because a checkpoint did it, or because the outputs could not be drained. A commit that
    /// fails or takes too long is no error: the next member reads those records again, and `Polled::Committed` tells of
    /// it.
    pub fn release(&mut self, commit: Option<Duration>) -> Result<()> {
        if !self.is_revoking() {
            return Ok(());
        }
        let Some(RebalanceEvent::Revoke { partitions, .. }) = self.group.rebalance_events.answered() else {
            return Ok(());
        };
        let partitions = self.with_followers(&partitions);
        if let Some(limit) = commit.filter(|_| self.plan.commits() && self.may_commit()) {
            let positions = self.uncommitted(|at| partitions.contains(at));
            if !self.commit_and_wait(positions, clock::now() + limit)? {
                self.told
                    .push_back(Polled::Committed(Err(CommitRefusal::passing(NO_ANSWER))));
            }
        }
        // If it was fenced meanwhile and joined anew, nothing is left of them, and nobody waits for this answer.
        let owned: Vec<_> = partitions
            .into_iter()
            .filter(|at| self.record_buffer.slot(&at.topic, at.partition).is_some())
            .collect();
        self.give_up(&owned)
    }

    /// Whether every commit was answered by the deadline; how is told.
    fn commit_and_wait(&mut self, positions: Vec<Committable>, deadline: Instant) -> Result<bool> {
        if !positions.is_empty() {
            self.send(positions);
        }
        while !self.commits.is_idle() && clock::now() < deadline {
            self.serve(Duration::from_millis(5))?;
        }
        Ok(self.commits.is_idle())
    }

    /// Leaves: commits what was processed, waiting up to `commit`, and gives the partitions back to the group; all of
    /// it takes `limit` at most. `commit` is `None` if a checkpoint did it, or the outputs could not be drained. Gives
    /// why the commit failed, if it did.
    pub fn leave(mut self, commit: Option<Duration>, limit: Duration) -> Result<Option<String>> {
        let closed = clock::now() + limit;
        let committed = match commit.filter(|_| self.plan.commits()) {
            Some(limit) => self.commit_last(clock::now() + limit),
            None => Ok(None),
        };
        if self.plan.tells_group() {
            self.commit_and_wait(Vec::new(), closed.min(clock::now() + LAST_TOLD))?;
        }
        for (slot, next) in self.record_buffer.positions() {
            self.plan.hand_over(&slot.at, next);
        }
        let Self { queue, client, .. } = self;
        drop(queue);
        client.close(closed.saturating_duration_since(clock::now()));
        committed
    }

    /// Tries again until the deadline: a group that is being shared out anew refuses, and takes it a moment later.
    fn commit_last(&mut self, deadline: Instant) -> Result<Option<String>> {
        loop {
            let positions = self.uncommitted(|_| true);
            if !self.commit_and_wait(positions, deadline)? {
                return Ok(Some(NO_ANSWER.to_owned()));
            }
            if self.uncommitted(|_| true).is_empty() {
                return Ok(None);
            }
            if clock::now() >= deadline {
                return Ok(self.told.drain(..).rev().find_map(|told| match told {
                    Polled::Committed(Err(refusal)) => Some(refusal.reason),
                    _ => None,
                }));
            }
            self.serve(Duration::from_millis(50))?;
        }
    }

    /// Keeps how commits went, and tells the worker of those that it began.
    pub(super) fn tell(&mut self, outcomes: impl IntoIterator<Item = CommitAnswer>) {
        for outcome in outcomes {
            // If checkpoints are the truth, the answer may be older than they are.
            if outcome.result.is_ok() && !self.plan.is_kept() {
                for Committable {
                    partition: at, next, ..
                } in &outcome.positions
                {
                    if let Some(slot) = self.record_buffer.slot_mut(&at.topic, at.partition) {
                        slot.committed = Some(*next);
                    }
                }
            }
            if outcome.is_asked {
                self.told
                    .push_back(Polled::Committed(outcome.result.map(|()| outcome.positions.len())));
            }
        }
    }
}
