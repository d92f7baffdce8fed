//! What a round of checkpoints asks of a reader: where it stands, as whom, and to go on elsewhere.
//!
//! Always: what is told here is told of every owned partition, idle ones too; an incarnation is never given twice.

use std::time::Duration;

use super::commit::Snapshot;
use super::queue;
use super::reader::Reader;
use crate::error::{Error, Kind, Result};
use crate::record::TopicPartition;

/// A partition that a reader owns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owned {
    /// The partition.
    pub partition: TopicPartition,
    /// The next offset to process: what a commit would say.
    pub next: i64,
    /// What the group holds as this pipeline's.
    pub committed: Option<i64>,
    /// Where it started in this assignment.
    pub start: i64,
    /// Tells this assignment from every other one of this reader's.
    pub incarnation: u64,
}

/// An offset that the group holds for a partition as this pipeline's, with what rides with it.
pub type Held = (TopicPartition, Option<(i64, String)>);

impl Reader {
    /// Where every owned partition stands.
    pub fn owned(&self) -> Vec<Owned> {
        let owned = self.intake.positions().map(|(slot, next)| Owned {
            partition: slot.at.clone(),
            next,
            committed: slot.committed,
            start: slot.start,
            incarnation: slot.incarnation,
        });
        owned.collect()
    }

    /// Who commits, as bytes for a producer. `TimedOut`: this consumer is no member at the moment.
    pub fn group_metadata(&self) -> Result<Vec<u8>> {
        queue::membership(&*self.client)
            .map_err(|why| Error::new(Kind::TimedOut, "failed to commit as a member of the group", why))
    }

    /// Whether an offset commit has no answer yet: one that is late would undo a later one that goes another way.
    pub fn is_committing(&self) -> bool {
        !self.commits.is_idle()
    }

    /// What rides with an offset of this partition: the pointer, and the stop of a bounded run.
    pub fn metadata_for(&self, at: &TopicPartition, pointer: &str) -> String {
        match self.intake.slot(&at.topic, at.partition) {
            Some(slot) => self.plan.with_stop(slot.source, pointer, slot.stop),
            None => pointer.to_owned(),
        }
    }

    /// Begins to commit these positions, each with its metadata; `Polled::Committed` tells how it went.
    pub fn begin_commit_of(&mut self, positions: Vec<(TopicPartition, i64, String)>) {
        let sent = self.commits.begin(
            &self.client,
            Snapshot {
                positions,
                is_asked: true,
            },
        );
        self.tell(sent);
    }

    /// A transaction committed these positions.
    pub fn committed_by_transaction(&mut self, positions: &[(TopicPartition, i64)]) {
        for (at, next) in positions {
            if let Some(slot) = self.intake.slot_mut(&at.topic, at.partition) {
                slot.committed = Some(*next);
            }
        }
    }

    /// Drops what was fetched of these partitions and reads on from there. A batch of them that was handed over counts as not read.
    pub fn rewind(&mut self, to: &[(TopicPartition, i64)]) -> Result<()> {
        to.iter().try_for_each(|(at, next)| self.move_to(at, *next))
    }

    /// What the group holds for every owned partition, once no transaction is about to change it; what is not this pipeline's counts as nothing.
    /// `TimedOut`: not within `limit`.
    pub fn committed_now(&self, limit: Duration) -> Result<Vec<Held>> {
        let owned: Vec<_> = self.intake.slots().map(|slot| slot.at.clone()).collect();
        if owned.is_empty() {
            return Ok(Vec::new());
        }
        let committed = self.lookup(limit).committed(&owned)?;
        let held = owned.into_iter().zip(committed).map(|(at, committed)| {
            let own = committed.filter(|committed| committed.is_ours());
            (at, own.map(|own| (own.offset, own.metadata)))
        });
        Ok(held.collect())
    }
}
