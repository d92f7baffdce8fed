//! Positions that somebody else commits for a reader, or moves: a transaction with the outputs, a checkpoint that names
//! them.
//!
//! Never decides what is committed. Always: a partition's assignment epoch is new each time that it is taken, so that
//! nobody commits what was read before.

use std::time::Duration;

use super::membership::TAKEN_FOR_GONE;
use super::poll::Reader;
use super::polled::Polled;
use crate::error::{Kind, Result};
use crate::kafka::consumer::CommitRefusal;
use crate::offset_metadata::Pointer;
use crate::record::{Committable, TopicPartition};
use crate::source::member::commit::Snapshot;

/// A partition that a reader owns, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedPartition {
    /// The partition.
    pub partition: TopicPartition,
    /// Index of its source in the subtopology.
    pub source: usize,
    /// The next offset to process: what a commit would say.
    pub next: i64,
    /// The epoch of the leader that took the record before it, if that is known.
    pub leader_epoch: Option<i32>,
    /// Where this assignment began to read, or was last rewound to.
    pub start: i64,
    /// What the group holds as this pipeline's, as far as this reader knows.
    pub committed: Option<i64>,
    /// A number that is new each time that the partition is taken.
    pub assignment_epoch: u64,
}

/// A partition, and what the group holds for it: the next offset to read, and what rides with it.
pub type GroupOffset = (TopicPartition, Option<(i64, String)>);

impl Reader {
    /// Every partition that this reader owns, idle ones too.
    pub fn owned(&self) -> Vec<OwnedPartition> {
        let owned = self.record_buffer.positions().map(|(slot, next)| OwnedPartition {
            partition: slot.at.clone(),
            source: slot.source,
            next,
            leader_epoch: slot.leader_epoch_at(next),
            start: slot.start,
            committed: slot.committed,
            assignment_epoch: slot.assignment_epoch,
        });
        owned.collect()
    }

    /// What rides with a partition's offset: `pointer`, and the stop of a bounded run.
    pub fn metadata_for(&self, at: &TopicPartition, pointer: &Pointer) -> String {
        let slot = self.record_buffer.slot(&at.topic, at.partition);
        let stop = slot.and_then(|slot| self.plan.kept_stop(slot.source, slot.stop));
        pointer.with_stop(stop)
    }

    /// A partition's stop as it is kept with its position; `None`: it has none.
    pub fn kept_stop(&self, at: &TopicPartition) -> Option<String> {
        let slot = self.record_buffer.slot(&at.topic, at.partition)?;
        self.plan.kept_stop(slot.source, slot.stop).map(|stop| stop.to_string())
    }

    /// Begins to commit these positions, with what rides with each, in one request; partitions that are not owned any
    /// more are left out. Never waits: `Polled::Committed` tells how it went. `false`: there is nothing to commit, and
    /// nothing will be told.
    pub fn begin_commit_of(&mut self, positions: Vec<Committable>) -> bool {
        let is_owned = |of: &Committable| self.owns(&of.partition);
        let positions: Vec<_> = positions.into_iter().filter(is_owned).collect();
        if positions.is_empty() {
            return false;
        }
        if !self.may_commit() {
            let refusal = CommitRefusal::passing(TAKEN_FOR_GONE);
            self.told.push_back(Polled::Committed(Err(refusal)));
            return true;
        }
        let snapshot = Snapshot {
            positions,
            is_asked: true,
        };
        let sent = self.commits.begin(&self.client, snapshot);
        self.tell(sent);
        true
    }

    /// A checkpoint that is durable holds these positions, and is the truth about them. The group is told for the eyes
    /// of monitoring, if it is to be: `Polled::Committed` tells later how that went, and nothing depends on it.
    pub fn kept(&mut self, positions: Vec<Committable>) {
        let known: Vec<_> = positions.iter().map(|of| (of.partition.clone(), of.next)).collect();
        self.committed_by_others(&known);
        let kept = positions.iter().cloned();
        self.plan.keep(kept.map(|of| (of.partition, of.next, of.metadata)));
        if self.plan.tells_group() {
            self.begin_commit_of(positions);
        }
    }

    fn owns(&self, at: &TopicPartition) -> bool {
        self.record_buffer.slot(&at.topic, at.partition).is_some()
    }

    /// Somebody else committed these positions for this reader.
    pub fn committed_by_others(&mut self, positions: &[(TopicPartition, i64)]) {
        for (at, next) in positions {
            if let Some(slot) = self.record_buffer.slot_mut(&at.topic, at.partition) {
                slot.committed = Some(*next);
            }
        }
    }

    /// Reads on from these positions: what was read beyond them is dropped, a batch in hand too. Partitions that are
    /// not owned are left out. If the group waits for an answer, nothing is read before it got one.
    ///
    /// # Errors
    /// `Kafka`: librdkafka refuses.
    pub fn rewind(&mut self, to: &[(TopicPartition, i64)]) -> Result<()> {
        for (at, next) in to {
            self.record_buffer.restart(at, *next);
            if let Some(slot) = self.record_buffer.slot_mut(&at.topic, at.partition) {
                slot.start = *next;
                slot.committed = slot.committed.map(|_| *next);
                slot.is_moving = true;
                self.moves.insert(at.clone(), *next);
                self.plan.reopened(at);
            }
        }
        self.move_when_possible()
    }

    pub(super) fn move_when_possible(&mut self) -> Result<()> {
        if self.moves.is_empty() || !self.group.rebalance_events.is_empty() {
            return Ok(());
        }
        let mut places: Vec<_> = std::mem::take(&mut self.moves).into_iter().collect();
        places.retain(|(at, _)| {
            self.record_buffer
                .slot(&at.topic, at.partition)
                .is_some_and(|slot| slot.is_moving)
        });
        if places.is_empty() {
            return Ok(());
        }
        self.move_to(&places)
    }

    /// What the group holds for the owned partitions, offset and metadata, whoever committed it; waits for transactions
    /// that are about to move it.
    ///
    /// # Errors
    /// `TimedOut`: not within `limit`. `Kafka`: it is not allowed.
    pub fn committed_now(&self, limit: Duration) -> Result<Vec<GroupOffset>> {
        let owned: Vec<_> = self.record_buffer.slots().map(|slot| slot.at.clone()).collect();
        let held = match self.plan.kept_of(&owned) {
            Some(kept) => kept,
            None => self.lookup(limit).committed(&owned)?,
        };
        let held = held
            .into_iter()
            .map(|held| held.map(|held| (held.offset, held.metadata)));
        Ok(owned.into_iter().zip(held).collect())
    }

    /// What the group holds for the partitions of the run that other readers own. `None`: it does not answer within
    /// `limit`, or does not hold the positions.
    ///
    /// # Errors
    /// `Kafka`: it is not allowed.
    pub fn committed_elsewhere(&self, limit: Duration) -> Result<Option<Vec<GroupOffset>>> {
        let placed = self.plan.lines().into_iter().map(|placed| placed.partition);
        let others: Vec<_> = placed.filter(|at| !self.owns(at)).collect();
        if others.is_empty() {
            return Ok(Some(Vec::new()));
        }
        if self.plan.kept_of(&[]).is_some() {
            return Ok(None);
        }
        match self.lookup(limit).committed(&others) {
            Ok(held) => {
                let held = held
                    .into_iter()
                    .map(|held| held.map(|held| (held.offset, held.metadata)));
                Ok(Some(others.into_iter().zip(held).collect()))
            }
            Err(error) if error.kind == Kind::TimedOut => Ok(None),
            Err(error) => Err(error),
        }
    }
}
