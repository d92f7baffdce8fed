//! How many partitions topics have, when that decides which task has the state of a key: equal if topics meet, and
//! the same for good.
//!
//! A producer places a record by its key and the number of partitions. So a key of two topics comes to one task only
//! if both have equally many, and it comes to its state only while that number stays.

use super::topics::Layout;
use crate::config::{KafkaSource, PartitionCounts, Subscription};
use crate::error::{Error, Kind, Result};

/// An operator that keeps state, and the sources whose records come to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meeting {
    /// The operator's name.
    pub operator: String,
    /// Indexes in the subtopology.
    pub sources: Vec<usize>,
}

/// Where the records of a subtopology come to state.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyedSources {
    /// The operators that keep any.
    pub meetings: Vec<Meeting>,
    /// How many partitions topics had when the newest checkpoint was written.
    pub recorded: PartitionCounts,
}

/// The numbers that must stay as they are; empty if nothing is kept.
///
/// Errors: `Kafka`, topics that meet have different numbers; `Corrupt`, a topic has another number than its checkpoints
/// say.
pub(super) fn fixed(sources: &[KafkaSource], keyed: &KeyedSources, layout: &Layout) -> Result<PartitionCounts> {
    let mut fixed = PartitionCounts::new();
    for meeting in &keyed.meetings {
        let of_meeting: Vec<_> = (layout.counts.iter())
            .filter(|(index, ..)| meeting.sources.contains(index))
            .collect();
        // What is named partition by partition meets nothing: each of them is a task of its own.
        let mut spread = (of_meeting.iter())
            .filter(|(index, ..)| !matches!(sources[*index].subscription, Subscription::Partitions(_)));
        if let Some((_, first, of_first)) = spread.next()
            && let Some((_, other, of_other)) = spread.find(|(.., count)| count != of_first)
        {
            return Err(unequal(
                sources,
                meeting,
                (first.as_str(), *of_first),
                (other.as_str(), *of_other),
            ));
        }
        fixed.extend(of_meeting.into_iter().map(|(_, topic, count)| (topic.clone(), *count)));
    }
    refuse_changed("failed to start", &keyed.recorded, &fixed)?;
    Ok(fixed)
}

fn unequal(sources: &[KafkaSource], meeting: &Meeting, one: (&str, i32), other: (&str, i32)) -> Error {
    let names: Vec<_> = (meeting.sources.iter())
        .filter_map(|index| Some(sources.get(*index)?.name.as_str()))
        .collect();
    let (fewer, more) = if one.1 < other.1 { (one, other) } else { (other, one) };
    Error::new(
        Kind::Kafka,
        format!(
            "failed to start source `{}`: topics that meet in operator `{}` have different numbers of partitions",
            names.join("`, `"),
            meeting.operator
        ),
        format!(
            "{} has {} partitions and {} has {}; the operator keeps state, and a key that is in both would have two \
             states",
            one.0, one.1, other.0, other.1
        ),
    )
    .hint(format!(
        "before the first record comes, give {} {} partitions; later, copy it to a topic that has as many, and read \
         that",
        fewer.0, more.1
    ))
}

/// A topic that has another number of partitions than the state behind it was written for. `what` begins the error:
/// "failed to start".
pub fn refuse_changed(what: &str, before: &PartitionCounts, now: &PartitionCounts) -> Result<()> {
    let first = before.iter().find_map(|(topic, before)| {
        let now = now.get(topic).filter(|now| *now != before)?;
        Some(changed(what, topic, *before, *now))
    });
    first.map_or(Ok(()), Err)
}

/// See [`refuse_changed`].
pub fn changed(what: &str, topic: &str, before: i32, now: i32) -> Error {
    Error::new(
        Kind::Corrupt,
        format!("{what}: topic `{topic}` has {now} partitions, and the state of its keys was made with {before}"),
        "a key's records come to another partition with another number of partitions, so to a task without the key's \
         state",
    )
    .hint(format!(
        "read a topic that has {before} partitions; or build the state anew: after `sandbar offsets set`, which \
         begins where it is told and with no state, or under another pipeline name"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::on_kafka::source;
    use crate::source::positions::topics::Sharing;

    fn layout(counts: &[(usize, &str, i32)]) -> Layout {
        Layout {
            sharing: Sharing::Matching,
            partitions: Vec::new(),
            counts: (counts.iter())
                .map(|(index, topic, count)| (*index, (*topic).to_owned(), *count))
                .collect(),
        }
    }

    fn meeting(operator: &str, sources: &[usize]) -> Meeting {
        Meeting {
            operator: operator.to_owned(),
            sources: sources.to_vec(),
        }
    }

    fn fixed_of(
        meetings: Vec<Meeting>,
        recorded: &[(&str, i32)],
        counts: &[(usize, &str, i32)],
    ) -> Result<PartitionCounts> {
        let set = [source("", &["a", "b"]), source("", &["c"])];
        let recorded = recorded.iter().map(|(topic, count)| ((*topic).to_owned(), *count));
        let recorded = recorded.collect();
        fixed(&set, &KeyedSources { meetings, recorded }, &layout(counts))
    }

    #[test]
    fn topics_that_meet_where_state_is_kept_have_equally_many_partitions() {
        let counts = [(0, "a", 6), (0, "b", 6), (1, "c", 4)];
        let apart = fixed_of(vec![meeting("x", &[0]), meeting("y", &[1])], &[], &counts).unwrap();
        assert_eq!(
            apart,
            [("a", 6), ("b", 6), ("c", 4)]
                .map(|(topic, count)| (topic.to_owned(), count))
                .into()
        );
        assert_eq!(fixed_of(Vec::new(), &[], &counts), Ok(PartitionCounts::new()));
        let error = fixed_of(vec![meeting("x", &[0, 1])], &[], &counts).unwrap_err();
        assert_eq!(error.kind, Kind::Kafka);
        assert!(error.what.contains("operator `x`"), "{error}");
        assert!(error.why.contains("a has 6 partitions and c has 4"), "{error}");
    }

    #[test]
    fn a_number_that_is_not_the_recorded_one_is_refused() {
        let meetings = || vec![meeting("x", &[0])];
        let counts = [(0, "a", 8), (0, "b", 8)];
        // One that was not read before is new, and one that nobody reads any more does not matter.
        assert!(fixed_of(meetings(), &[("a", 8), ("gone", 3)], &counts).is_ok());
        let error = fixed_of(meetings(), &[("a", 6)], &counts).unwrap_err();
        assert_eq!(error.kind, Kind::Corrupt);
        assert!(
            error.what.contains("`a` has 8 partitions") && error.what.contains("with 6"),
            "{error}"
        );
    }

    #[test]
    fn partitions_that_are_named_meet_nothing_and_their_topics_stay_as_large_as_they_are() {
        let mut set = [source("", &[]), source("", &["c"])];
        set[0].subscription = Subscription::Partitions([("a".to_owned(), vec![0])].into());
        let keyed = KeyedSources {
            meetings: vec![meeting("x", &[0, 1])],
            ..KeyedSources::default()
        };
        let found = fixed(&set, &keyed, &layout(&[(0, "a", 6), (1, "c", 4)])).unwrap();
        assert_eq!((found["a"], found["c"]), (6, 4));
    }
}
