//! What a pipeline's groups, or its newest checkpoints, hold as committed: per task the pointer to its state, and its
//! positions.

use std::collections::BTreeMap;

use super::start::kept;
use crate::checkpoint::CheckpointStore;
use crate::checkpoint::bundle::ManifestEntry;
use crate::config::{KafkaSource, Offsets, Pipeline, Source};
use crate::error::{Error, Kind, Result};
use crate::kafka::group_offsets::{self, Marked};
use crate::offset_metadata::{Metadata, Pointer};

/// The committed pointer of each task and the positions that belong to it, in the order of the tasks. A task whose
/// partitions have no offset yet is left out, and so is a partition that joined its task after the last checkpoint.
///
/// # Errors
/// `Kafka`: a group cannot be read; `Corrupt`: an offset is not this pipeline's, or a task's partitions do not agree.
pub fn committed(pipeline: &Pipeline) -> Result<Vec<(Pointer, Offsets)>> {
    let sources = kafka(pipeline);
    if kept::offsets_in_checkpoint(pipeline) {
        return Ok(newest(pipeline, &sources)?
            .into_iter()
            .map(|(pointer, entry)| (pointer, entry.offsets))
            .collect());
    }
    by_task(&group_offsets::marked(&sources)?)
}

/// The newest checkpoint of each task of these sources.
pub(crate) fn newest(pipeline: &Pipeline, sources: &[KafkaSource]) -> Result<Vec<(Pointer, ManifestEntry)>> {
    let Some(checkpoint) = &pipeline.checkpoint else {
        return Ok(Vec::new());
    };
    let mut newest = CheckpointStore::look_into(&checkpoint.location, &pipeline.name)?.newest()?;
    newest.retain(|(pointer, _)| {
        let mut names = sources.iter().map(|source| format!("{}/", source.name));
        names.any(|name| pointer.task.starts_with(&name))
    });
    Ok(newest)
}

/// The Kafka sources of a pipeline.
pub(crate) fn kafka(pipeline: &Pipeline) -> Vec<KafkaSource> {
    let kafka = pipeline.sources.iter().filter_map(|source| match source {
        Source::Kafka(source) => Some(source.clone()),
        Source::File(_) => None,
    });
    kafka.collect()
}

fn by_task(marked: &[Marked]) -> Result<Vec<(Pointer, Offsets)>> {
    let mut tasks: BTreeMap<String, (Pointer, Offsets)> = BTreeMap::new();
    for one in marked {
        let metadata = Metadata::read(Some(one.metadata.as_bytes())).map_err(|error| Error {
            what: format!("the offset of {} is not readable: {}", one.partition, error.what),
            ..error
        })?;
        let Metadata::Ours(pointer) = metadata else {
            let what = format!("the offset of {} was not committed by this pipeline", one.partition);
            let why = format!("source `{}` shares its group with somebody else", one.source);
            let hint = "give the source a group of its own, or set its positions with `sandbar offsets set`";
            return Err(Error::new(Kind::Corrupt, what, why).hint(hint));
        };
        let (agreed, offsets) = tasks
            .entry(pointer.task.clone())
            .or_insert_with(|| (pointer.clone(), Offsets::new()));
        match (&agreed.bundle, &pointer.bundle) {
            // It joined the task, and the next checkpoint covers it.
            (Some(_), None) => continue,
            (None, Some(_)) => (*agreed, *offsets) = (pointer.clone(), Offsets::new()),
            _ => {}
        }
        if *agreed != pointer {
            let what = format!("the partitions of {} do not carry the same pointer", pointer.task);
            let why = format!("{} has `{pointer}`, another one `{agreed}`", one.partition);
            return Err(Error::new(Kind::Corrupt, what, why)
                .hint("start from a savepoint, `sandbar run --from SAVEPOINT`, or set the positions of all of them"));
        }
        let topic = one.partition.topic.as_ref().to_owned();
        offsets
            .entry(topic)
            .or_default()
            .insert(one.partition.partition, one.offset);
    }
    Ok(tasks.into_values().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::TopicPartition;

    fn marked(topic: &str, partition: i32, offset: i64, metadata: &str) -> Marked {
        Marked {
            source: "views".into(),
            partition: TopicPartition::new(topic, partition),
            offset,
            metadata: metadata.into(),
        }
    }

    const SECOND: &str = "sb1:0mhzqk3va-0-1y2p0ij32e8e7:views/3:2:9f86d081884c7d65";

    #[test]
    fn all_partitions_of_a_task_stand_under_its_pointer() {
        let found = by_task(&[
            marked("views", 3, 23, SECOND),
            marked("clicks", 3, 31, &format!("{SECOND}:99@00000000")),
            marked("views", 4, 0, "sb1:-:views/4:0:-"),
        ])
        .unwrap();
        let offsets = |of: &[(&str, i32, i64)]| -> Offsets {
            let each = of
                .iter()
                .map(|(topic, partition, offset)| ((*topic).to_owned(), [(*partition, *offset)].into()));
            each.collect()
        };
        assert_eq!(
            found[0],
            (SECOND.parse().unwrap(), offsets(&[("views", 3, 23), ("clicks", 3, 31)]))
        );
        assert_eq!(found[1], (Pointer::first("views/4"), offsets(&[("views", 4, 0)])));
    }

    #[test]
    fn a_partition_that_joined_a_task_is_no_part_of_its_checkpoint_yet() {
        let (old, joined) = (
            marked("views", 3, 23, SECOND),
            marked("clicks", 3, 31, "sb1:-:views/3:0:-"),
        );
        let of_views: Offsets = [("views".to_owned(), [(3, 23)].into())].into();
        let expected = [(SECOND.parse().unwrap(), of_views)];
        for order in [[old.clone(), joined.clone()], [joined, old]] {
            assert_eq!(by_task(&order).unwrap(), expected);
        }
    }

    #[test]
    fn partitions_that_do_not_agree_and_foreign_offsets_are_refused() {
        let apart = [
            marked("views", 3, 23, SECOND),
            marked("clicks", 3, 31, &SECOND.replace(":2:", ":1:")),
        ];
        for wrong in [
            &apart[..],
            &[marked("views", 0, 1, "flink")],
            &[marked("views", 0, 1, "")],
        ] {
            assert_eq!(by_task(wrong).unwrap_err().kind, Kind::Corrupt);
        }
    }
}
