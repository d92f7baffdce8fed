//! What a worker reads: a member of a group, or a file.

use super::idleness::Idleness;
use crate::checkpoint::Protocol;
use crate::clock::Interval;
use crate::config::{CommitOffsets, Pipeline, Source};
use crate::error::Result as Checked;
use crate::kafka::consumer::CommitRefusal;
use crate::metrics::PartitionMetrics;
use crate::record::TopicPartition;
use crate::source::{Batch, MergedFiles, Reader};
use crate::task_id::TaskIds;
use std::collections::HashMap;
use std::time::Duration;

/// A set of sources that one consumer reads, or a file.
pub(super) enum WorkerInput {
    Kafka(Box<GroupInput>),
    /// Files that are one task, called after the first of them.
    Files {
        files: MergedFiles,
        task: String,
        finished: bool,
    },
}

pub(super) struct GroupInput {
    /// `None` once it left the group.
    pub(super) reader: Option<Reader>,
    /// Indexes in the pipeline's sources.
    pub(super) sources: Vec<usize>,
    pub(super) protocol: Protocol,
    pub(super) interval: Option<Interval>,
    pub(super) partitions: HashMap<TopicPartition, PartitionMetrics>,
    /// How its partitions become tasks.
    pub(super) task_ids: TaskIds,
    /// Which of its partitions hold time back.
    pub(super) idleness: Idleness,
    /// When the group is asked again where the time of others stands, and where the last of those is that is not idle.
    pub(super) others_look: Interval,
    pub(super) least_of_others: Option<i64>,
    /// Partitions that the group takes away and waits for.
    pub(super) revoking: Vec<TopicPartition>,
    /// What came of the commit of a checkpoint; `None`: no answer yet.
    pub(super) answer: Option<Result<(), CommitRefusal>>,
    pub(super) commit_failed_before: bool,
    pub(super) finished: bool,
}

impl WorkerInput {
    pub(super) fn is_finished(&self) -> bool {
        match self {
            WorkerInput::Kafka(member) => member.finished,
            WorkerInput::Files { finished, .. } => *finished,
        }
    }

    /// The task of a partition.
    pub(super) fn task(&self, at: &TopicPartition) -> String {
        match self {
            WorkerInput::Kafka(member) => member.task_ids.task(at),
            WorkerInput::Files { task, .. } => task.clone(),
        }
    }

    /// Whether the batch in hand is still this worker's to process: one with records until the group takes its
    /// partition, one without as long as that is read.
    pub(super) fn has_batch(&self, batch: &Batch) -> bool {
        match self {
            WorkerInput::Kafka(member) if batch.records.is_empty() => {
                member.reader.is_some() && member.partitions.contains_key(&batch.partition)
            }
            WorkerInput::Kafka(member) => member.reader.as_ref().is_some_and(Reader::has_batch),
            WorkerInput::Files { .. } => true,
        }
    }
}

impl GroupInput {
    pub(super) fn new(pipeline: &Pipeline, sources: Vec<usize>, reader: Reader) -> Self {
        let kafka = sources.iter().filter_map(|index| match &pipeline.sources[*index] {
            Source::Kafka(source) => Some(source),
            Source::File(_) => None,
        });
        let kafka: Vec<_> = kafka.collect();
        // Sources that meet commit in the same way: `spec` sees to it. With checkpoints the worker's
        // checkpoints commit.
        let every = kafka
            .iter()
            .filter(|source| source.commit_offsets == CommitOffsets::Periodic)
            .map(|source| source.auto_commit_interval)
            .min();
        Self {
            reader: Some(reader),
            sources,
            protocol: Protocol::default(),
            interval: every.map(Interval::new),
            task_ids: TaskIds::of(kafka.iter().copied()),
            idleness: Idleness::default(),
            others_look: Interval::new(Duration::ZERO),
            least_of_others: Some(i64::MIN),
            revoking: Vec::new(),
            answer: None,
            partitions: HashMap::new(),
            commit_failed_before: false,
            finished: false,
        }
    }

    /// The group took these without waiting for an answer, and may give some of them back at once: the revocation that
    /// was under way is over for them.
    pub(super) fn lost(&mut self, partitions: &[TopicPartition]) {
        self.revoking.retain(|at| !partitions.contains(at));
    }

    /// Why the last commit failed, if it did. Nothing happens if it left already.
    pub(super) fn leave(&mut self, commit_limit: Option<Duration>, close_limit: Duration) -> Checked<Option<String>> {
        self.reader
            .take()
            .map_or(Ok(None), |reader| reader.leave(commit_limit, close_limit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revocation_ends_with_the_membership_that_it_was_for() {
        let at = |number| TopicPartition::new("views", number);
        let mut member = GroupInput {
            reader: None,
            sources: Vec::new(),
            protocol: Protocol::default(),
            interval: None,
            task_ids: TaskIds::of([]),
            idleness: Idleness::default(),
            others_look: Interval::new(Duration::ZERO),
            least_of_others: Some(i64::MIN),
            revoking: vec![at(0), at(1)],
            answer: None,
            partitions: HashMap::new(),
            commit_failed_before: false,
            finished: false,
        };
        member.lost(&[at(1), at(2)]);
        assert_eq!(
            member.revoking,
            [at(0)],
            "what comes back after the loss is not given up by the checkpoint before it"
        );
        member.lost(&[at(0)]);
        assert!(member.revoking.is_empty());
    }
}
