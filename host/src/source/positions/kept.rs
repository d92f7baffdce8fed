//! What a plan knows of the positions that checkpoints hold, while a process runs.

use super::checkpointed::found;
use super::plan::{Plan, ResolvedStart};
use crate::config::{CommitOffsets, Subscription};
use crate::kafka::consumer::lock;
use crate::kafka::lookup::CommittedOffset;
use crate::record::TopicPartition;

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
        self.is_kept() && (self.sources.iter()).any(|source| source.commit_offsets != CommitOffsets::Never)
    }

    /// Whether partitions are given by hand, so that none is looked for.
    pub(in crate::source) fn is_named(&self) -> bool {
        (self.sources.iter()).all(|source| matches!(source.subscription, Subscription::Partitions(_)))
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
