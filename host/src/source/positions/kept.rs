//! Positions that checkpoints hold, if they and not the group are the truth.
//!
//! Owns what is known of them while a process runs. Always: what the group holds counts for `group-offsets` only.

use std::collections::BTreeMap;

use super::plan::{Plan, ResolvedStart};
use crate::config::{CommitOffsets, KafkaSource, Start, Stop, Subscription};
use crate::error::Result;
use crate::kafka::consumer::lock;
use crate::kafka::lookup::{CommittedOffset, Lookup};
use crate::record::TopicPartition;

/// The next offset of each partition, and the pointer of the checkpoint that says so.
pub type CheckpointedPositions = BTreeMap<TopicPartition, (i64, String)>;

/// A position for each of some partitions, if there is one.
type FoundPositions = Vec<Option<CommittedOffset>>;

/// What the group holds, and what checkpoints hold. The group is asked only if something needs it: the user may not
/// have the right.
pub(super) fn committed(
    set: &[KafkaSource],
    all: &[TopicPartition],
    lookup: &Lookup<'_>,
    kept: Option<&CheckpointedPositions>,
) -> Result<(FoundPositions, FoundPositions)> {
    let Some(kept) = kept else {
        return Ok((lookup.committed(all)?, vec![None; all.len()]));
    };
    let needs_group = |source: &KafkaSource| {
        matches!(source.start, Start::GroupOffsets | Start::Offsets(_))
            || matches!(source.stop, Some(Stop::GroupOffsets))
    };
    let of_group = if set.iter().any(needs_group) {
        lookup.committed(all)?
    } else {
        vec![None; all.len()]
    };
    // Whoever committed it: it is not the truth.
    let foreign = |held: CommittedOffset| CommittedOffset {
        metadata: String::new(),
        ..held
    };
    let of_group = of_group.into_iter().map(|held| held.map(foreign)).collect();
    Ok((of_group, all.iter().map(|at| found(kept, at)).collect()))
}

fn found(kept: &CheckpointedPositions, at: &TopicPartition) -> Option<CommittedOffset> {
    kept.get(at).map(|(offset, metadata)| CommittedOffset {
        offset: *offset,
        leader_epoch: None,
        metadata: metadata.clone(),
    })
}

impl Plan {
    /// What the checkpoints hold of these partitions; `None`: they are not the truth.
    pub(in crate::source) fn kept_of(&self, partitions: &[TopicPartition]) -> Option<Vec<Option<CommittedOffset>>> {
        let kept = lock(self.kept.as_ref()?);
        Some(partitions.iter().map(|at| found(&kept, at)).collect())
    }

    /// What a checkpoint holds of a partition.
    pub fn kept_at(&self, at: &TopicPartition) -> Option<i64> {
        let kept = lock(self.kept.as_ref()?);
        kept.get(at).map(|(next, _)| *next)
    }

    /// The stop of a partition as it is kept with its position; `None`: it has none.
    pub fn stop_to_keep(&self, placed: &ResolvedStart) -> Option<String> {
        self.kept_stop(placed.source, placed.stop).map(|stop| stop.to_string())
    }

    /// A checkpoint is durable that holds these positions.
    pub fn keep(&self, positions: impl IntoIterator<Item = (TopicPartition, i64, String)>) {
        let Some(kept) = &self.kept else { return };
        lock(kept).extend(positions.into_iter().map(|(at, next, pointer)| (at, (next, pointer))));
    }

    /// Whether checkpoints are the truth about positions.
    pub(in crate::source) fn is_kept(&self) -> bool {
        self.kept.is_some()
    }

    /// Whether the group is told positions that checkpoints hold.
    pub(in crate::source) fn tells_group(&self) -> bool {
        self.is_kept() && (self.set.iter()).any(|source| source.commit_offsets != CommitOffsets::Never)
    }

    /// Whether partitions are given by hand, so that none is looked for.
    pub(in crate::source) fn is_named(&self) -> bool {
        (self.set.iter()).all(|source| matches!(source.subscription, Subscription::Partitions(_)))
    }

    /// The partitions of a worker if nobody else shares them out: named ones in turn, others by number, so that
    /// topics that meet stay together.
    pub(in crate::source) fn share(&self, all: Vec<TopicPartition>, worker: usize) -> Vec<TopicPartition> {
        let workers = self.member.workers.max(1);
        let all = all.into_iter().enumerate();
        let is_mine = |(index, at): &(usize, TopicPartition)| match self.is_named() {
            true => index % workers == worker,
            false => at.partition as usize % workers == worker,
        };
        all.filter(is_mine).map(|(_, at)| at).collect()
    }
}
