//! How many partitions topics had when their state was written.

use crate::checkpoint::CheckpointStore;
use crate::config::PartitionCounts;
use crate::error::Result;
use crate::kafka::group_offsets::Survey;
use crate::offset_metadata::Metadata;
use crate::task_id::source_of;
use std::collections::BTreeMap;

/// How many partitions topics had when the newest checkpoints were written; by the source that the tasks are called
/// after.
pub(in crate::runtime) type Recorded = BTreeMap<String, PartitionCounts>;

/// What the checkpoints that the committed offsets name say of the numbers of partitions. Those of all tasks of a set
/// say the same, so one is enough; one that was written by an older program says nothing.
///
/// Errors: `Corrupt`, a checkpoint is missing or damaged.
pub(super) fn recorded(store: &CheckpointStore, survey: &Survey) -> Result<Recorded> {
    let mut recorded = Recorded::new();
    for one in &survey.marked {
        let Ok(Metadata::Ours(pointer)) = Metadata::read(Some(one.metadata.as_bytes())) else {
            continue;
        };
        let source = source_of(&pointer.task);
        if recorded.contains_key(source) {
            continue;
        }
        if let Some(entry) = store.resolve(&pointer)?
            && !entry.partition_counts.is_empty()
        {
            recorded.insert(source.to_owned(), entry.partition_counts);
        }
    }
    Ok(recorded)
}
