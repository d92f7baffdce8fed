//! The checkpoint of a task, as what rides with its committed offsets names it.

use crate::config::Offsets;
use crate::error::{Error, Kind, Result};
use crate::offset_metadata::Pointer;
use crate::record::TopicPartition;

/// A partition, its committed offset, and what rides with it; without that it was never committed. No offset: the log
/// does not hold it any more, and `on-out-of-range` moved it.
pub(in crate::runtime) type CommittedPartition = (TopicPartition, Option<i64>, Option<String>);

/// The checkpoint that all partitions of a task name. One that was never committed with the others, for it was found
/// later, names none.
pub(super) fn common_pointer(task: &str, partitions: &[CommittedPartition]) -> Result<Pointer> {
    let mut common: Option<(&TopicPartition, Pointer)> = None;
    for (at, _, metadata) in partitions {
        let Some(metadata) = metadata else { continue };
        let pointer: Pointer = metadata.parse()?;
        if pointer.bundle.is_none() {
            continue;
        }
        if pointer.task != task {
            return Err(Error::new(
                Kind::Corrupt,
                format!(
                    "failed to restore task `{task}`: its offsets belong to task `{}`",
                    pointer.task
                ),
                format!(
                    "the committed offset of {at} names {pointer}; tasks are called after the first of the \
                    sources that meet"
                ),
            )
            .hint(
                "give the source its old name and place in the file; or begin without state, with `sandbar offsets \
                set`",
            ));
        }
        match &common {
            Some((first, other)) if *other != pointer => {
                return Err(Error::new(
                    Kind::Corrupt,
                    format!("failed to restore task `{task}`: its partitions belong to different checkpoints"),
                    format!("{first} names {other}, {at} names {pointer}"),
                )
                .hint("somebody moved offsets of this group; start from a savepoint with --from"));
            }
            Some(_) => {}
            None => common = Some((at, pointer)),
        }
    }
    Ok(common.map_or_else(|| Pointer::first(task), |(_, pointer)| pointer))
}

/// The offsets that belong to the task's checkpoint, and those of partitions that joined it since: they name none yet.
pub(super) fn by_pointer(partitions: &[CommittedPartition], pointer: &Pointer) -> (Offsets, Offsets) {
    let (mut own, mut joined) = (Offsets::new(), Offsets::new());
    for (at, next, metadata) in partitions {
        let Some(next) = next else { continue };
        let names_it = metadata
            .as_ref()
            .is_some_and(|text| text.parse().as_ref() == Ok(pointer));
        let of_topics = if names_it { &mut own } else { &mut joined };
        let of_topic = of_topics.entry(at.topic.to_string()).or_default();
        of_topic.insert(at.partition, *next);
    }
    (own, joined)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: &str = "sb1:0mhzqk3va-0-1y2p0ij32e8e7:views/3:2:9f86d081884c7d65";
    const THIRD: &str = "sb1:0mhzqk3vb-0-1y2p0ij32e8e7:views/3:3:9f86d081884c7d65";

    fn held(topic: &str, metadata: Option<&str>) -> CommittedPartition {
        (TopicPartition::new(topic, 3), Some(7), metadata.map(Into::into))
    }

    #[test]
    fn partitions_of_a_task_that_name_different_checkpoints_are_refused() {
        let pointer = |metadata: &[Option<&str>]| {
            let held: Vec<_> = metadata.iter().map(|metadata| held("views", *metadata)).collect();
            common_pointer("views/3", &held)
        };
        let second: Pointer = SECOND.parse().unwrap();
        assert_eq!(pointer(&[Some(SECOND), Some(SECOND)]), Ok(second.clone()));
        assert_eq!(pointer(&[Some(SECOND), None]), Ok(second.clone()), "found later");
        assert_eq!(pointer(&[Some("sb1:-:views/3:0:-"), Some(SECOND)]), Ok(second));
        assert_eq!(pointer(&[]), Ok(Pointer::first("views/3")));
        let error = pointer(&[Some(SECOND), Some(THIRD)]).unwrap_err();
        assert_eq!(error.kind, Kind::Corrupt);
        assert!(error.why.contains(SECOND) && error.why.contains(THIRD), "{error}");
    }

    #[test]
    fn a_partition_that_names_no_checkpoint_joined_later() {
        let clicks_at = |metadata| {
            by_pointer(
                &[held("views", Some(SECOND)), held("clicks", metadata)],
                &SECOND.parse().unwrap(),
            )
        };
        let of = |topic: &str| Offsets::from([(topic.to_owned(), [(3, 7)].into())]);
        for metadata in [None, Some("sb1:-:views/3:0:-")] {
            assert_eq!(clicks_at(metadata), (of("views"), of("clicks")));
        }
    }
}
