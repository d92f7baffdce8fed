//! Positions that checkpoints hold, if they and not the group are the truth.
//!
//! Always: what the group holds counts for `group-offsets` only.

use std::collections::BTreeMap;

use crate::config::{KafkaSource, Start, Stop};
use crate::error::Result;
use crate::kafka::lookup::{CommittedOffset, Lookup};
use crate::record::TopicPartition;

/// The next offset of each partition, and the pointer of the checkpoint that says so.
pub type CheckpointedPositions = BTreeMap<TopicPartition, (i64, String)>;

/// A position for each of some partitions, if there is one.
type FoundPositions = Vec<Option<CommittedOffset>>;

/// What the group holds, and what checkpoints hold. The group is asked only if something needs it: the user may not
/// have the right.
pub(super) fn committed(
    sources: &[KafkaSource],
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
    let of_group = if sources.iter().any(needs_group) {
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

pub(super) fn found(kept: &CheckpointedPositions, at: &TopicPartition) -> Option<CommittedOffset> {
    kept.get(at).map(|(offset, metadata)| CommittedOffset {
        offset: *offset,
        leader_epoch: None,
        metadata: metadata.clone(),
    })
}
