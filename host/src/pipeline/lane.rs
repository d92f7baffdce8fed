//! What a worker reads: a member of a group, or a file.

use crate::checkpoint::Protocol;
use crate::clock::Interval;
use crate::config::{CommitOffsets, Pipeline, Source};
use crate::error::Result;
use crate::metrics::PartitionMetrics;
use crate::record::TopicPartition;
use crate::source::{FileReader, Reader};
use std::collections::HashMap;
use std::time::Duration;

/// A set of sources that one consumer reads, or a file.
pub(super) enum Lane {
    Kafka(Box<Member>),
    File {
        source: usize,
        reader: FileReader,
        partition: TopicPartition,
        ended: bool,
    },
}

pub(super) struct Member {
    /// `None` once it left the group.
    pub(super) reader: Option<Reader>,
    /// Indexes in the pipeline's sources.
    pub(super) sources: Vec<usize>,
    pub(super) protocol: Protocol,
    pub(super) interval: Option<Interval>,
    pub(super) drain_limit: Duration,
    pub(super) partitions: HashMap<TopicPartition, PartitionMetrics>,
    pub(super) commit_failed_before: bool,
    pub(super) finished: bool,
}

impl Lane {
    pub(super) fn is_finished(&self) -> bool {
        match self {
            Lane::Kafka(member) => member.finished,
            Lane::File { ended, .. } => *ended,
        }
    }

    /// Whether the batch in hand is still this worker's to process.
    pub(super) fn has_batch(&self) -> bool {
        match self {
            Lane::Kafka(member) => member.reader.as_ref().is_some_and(Reader::has_batch),
            Lane::File { .. } => true,
        }
    }
}

impl Member {
    pub(super) fn new(pipeline: &Pipeline, sources: Vec<usize>, reader: Reader) -> Self {
        let kafka = sources.iter().filter_map(|index| match &pipeline.sources[*index] {
            Source::Kafka(source) => Some(source),
            Source::File(_) => None,
        });
        // Sources that meet commit in the same way: `pipeline::spec` sees to it.
        let every = kafka
            .filter_map(|source| match source.commit_offsets {
                CommitOffsets::Periodic => Some(source.auto_commit_interval),
                CommitOffsets::OnCheckpoint => pipeline.checkpoint.as_ref().map(|checkpoint| checkpoint.interval),
                CommitOffsets::Never => None,
            })
            .min();
        let drain_limit = pipeline
            .checkpoint
            .as_ref()
            .map_or(Duration::from_secs(60), |checkpoint| checkpoint.timeout);
        Self {
            reader: Some(reader),
            sources,
            protocol: Protocol::default(),
            interval: every.map(Interval::new),
            drain_limit,
            partitions: HashMap::new(),
            commit_failed_before: false,
            finished: false,
        }
    }

    /// Why the last commit failed, if it did. Nothing happens where it left already.
    pub(super) fn leave(&mut self, commit_limit: Option<Duration>, close_limit: Duration) -> Result<Option<String>> {
        self.reader
            .take()
            .map_or(Ok(None), |reader| reader.leave(commit_limit, close_limit))
    }
}
