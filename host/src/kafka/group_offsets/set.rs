//! Setting the positions of a pipeline's sources, while nobody runs.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::consumer::{CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::read::{CommittedPosition, Position, ask_again, elements, read_source};
use crate::clock;
use crate::config::{KafkaSource, Offsets};
use crate::error::{Error, Kind, Result};
use crate::kafka::connect::{self, ConnectClient, REQUEST};
use crate::kafka::native::partition_list;
use crate::offset_metadata::Pointer;
use crate::record::{Committable, TopicPartition};
use crate::task_id::TaskIds;

/// How much longer than its session a member that was killed may be in its group.
const AFTER_SESSION: Duration = Duration::from_secs(3);

/// Where to set positions to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum To {
    /// The first record of each log.
    Earliest,
    /// The last stable offset of each log.
    Latest,
    /// These; other partitions stay as they are.
    Exactly(Offsets),
}

/// Waits until nobody is in a source's group, as far as can be seen. A member that was killed counts until its session
/// is over; so much patience there is.
///
/// # Errors
/// `Kafka`: it has members still, or no broker answers.
pub fn wait_until_empty(source: &KafkaSource, give_up: impl Fn() -> bool) -> Result<()> {
    let (client, _) = connect::connect_to_group(&source.cluster, &source.group)?;
    let what = || format!("failed to set the offsets of group `{}`", source.group);
    let until = clock::now() + source.session_timeout + AFTER_SESSION;
    let mut told = false;
    loop {
        // A broker that is away hides its groups. What counts is that Kafka takes no offsets while the group lives.
        let Ok(listed) = ask_again(|| client.fetch_group_list(Some(&source.group), REQUEST)) else {
            return Ok(());
        };
        let members: usize = listed.groups().iter().map(|group| group.members().len()).sum();
        if members == 0 {
            return Ok(());
        }
        if !std::mem::replace(&mut told, true) {
            tracing::warn!(
                group = source.group,
                members,
                "the group has members; waiting for the sessions of dead ones to end"
            );
        }
        if give_up() || clock::now() >= until {
            return Err(has_members(what()));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Commits positions with what rides with each, as nobody's member: all of them in one request, which the group takes
/// as a whole. Kafka refuses while the group has members. `source` tells the cluster and the group.
pub fn commit_marked(source: &KafkaSource, positions: &[(TopicPartition, i64, String)]) -> Result<()> {
    let (client, _) = connect::connect_to_group(&source.cluster, &source.group)?;
    commit(&client, source, positions)?;
    // Librdkafka tells of an error only if all partitions have one.
    let partitions: Vec<_> = positions.iter().map(|(at, _, _)| at.clone()).collect();
    let held = elements(&client, source, &partitions)?;
    let is_there = |(at, next, metadata): &&(TopicPartition, i64, String)| {
        held.get(at).is_some_and(|held| (held.0, &held.1) == (*next, metadata))
    };
    match positions.iter().find(|position| !is_there(position)) {
        None => Ok(()),
        Some((at, next, _)) => Err(Error::new(
            Kind::Kafka,
            format!("failed to set the offsets of group `{}`", source.group),
            format!("{at} was committed at {next}, and the group does not hold that"),
        )),
    }
}

/// Sets positions and returns them as they are afterwards; a task is named after the first source of its set. All are
/// checked before the first is committed; Kafka refuses while the group has members.
pub fn set(sets: &[Vec<KafkaSource>], to: &To) -> Result<Vec<Position>> {
    let mut clients = Vec::new();
    for set in sets {
        let task_ids = TaskIds::of(set);
        for source in set {
            let (client, metadata) = connect::connect_to_group(&source.cluster, &source.group)?;
            let positions = read_source(&client, &metadata, source)?;
            clients.push((client, source, task_ids.clone(), positions));
        }
    }
    if let To::Exactly(offsets) = to {
        let known = || clients.iter().flat_map(|(_, _, _, positions)| positions);
        refuse_unknown(offsets, known().map(|position| &position.partition))?;
    }
    let mut targets = Vec::new();
    for (client, source, task_ids, positions) in clients {
        let moved = moved(&positions, to)?;
        targets.push((client, source, task_ids, positions, moved));
    }
    let mut set = Vec::new();
    for (client, source, task_ids, mut positions, moved) in targets {
        let pointer = |at: &TopicPartition| Pointer::first(task_ids.task(at)).to_string();
        let positioned = moved.iter().map(|(at, &offset)| (at.clone(), offset, pointer(at)));
        commit(&client, source, &positioned.collect::<Vec<_>>())?;
        positions.retain_mut(|position| match moved.get(&position.partition) {
            Some(&offset) => {
                position.committed = Some(CommittedPosition {
                    offset,
                    ours: true,
                    time: None,
                });
                true
            }
            None => false,
        });
        set.extend(positions);
    }
    Ok(set)
}

fn refuse_unknown<'a>(offsets: &Offsets, known: impl Iterator<Item = &'a TopicPartition>) -> Result<()> {
    let known: std::collections::BTreeSet<_> = known.collect();
    for (topic, partitions) in offsets {
        for &partition in partitions.keys() {
            let partition = TopicPartition::new(topic.as_str(), partition);
            if !known.contains(&partition) {
                return Err(Error::new(
                    Kind::Kafka,
                    format!("failed to set an offset of {partition}"),
                    "no source of the pipeline reads that partition",
                ));
            }
        }
    }
    Ok(())
}

/// Where each partition moves to; those that stay are not in it.
fn moved(positions: &[Position], to: &To) -> Result<BTreeMap<TopicPartition, i64>> {
    let mut moved = BTreeMap::new();
    for position in positions {
        let at = match to {
            To::Earliest => Some(position.begin),
            To::Latest => Some(position.end),
            To::Exactly(offsets) => {
                let partitions = offsets.get(position.partition.topic.as_ref());
                partitions
                    .and_then(|partitions| partitions.get(&position.partition.partition))
                    .copied()
            }
        };
        let Some(offset) = at else { continue };
        if !(position.begin..=position.end).contains(&offset) {
            return Err(Error::new(
                Kind::Kafka,
                format!(
                    "failed to set offset {offset}: {} has no such offset",
                    position.partition
                ),
                format!("its log holds {}..{}", position.begin, position.end),
            )
            .hint("give an offset in that range"));
        }
        moved.insert(position.partition.clone(), offset);
    }
    Ok(moved)
}

fn commit(client: &ConnectClient, source: &KafkaSource, positions: &[(TopicPartition, i64, String)]) -> Result<()> {
    if positions.is_empty() {
        return Ok(());
    }
    let what = || format!("failed to set the offsets of group `{}`", source.group);
    let positions: Vec<_> = positions
        .iter()
        .map(|(at, next, metadata)| Committable {
            partition: at.clone(),
            next: *next,
            leader_epoch: None,
            metadata: metadata.clone(),
        })
        .collect();
    let list = partition_list::positions(&positions).map_err(|error| connect::failed(what(), &error))?;
    client
        .commit(&list, CommitMode::Sync)
        .map_err(|error| refused(what(), &error))
}

fn refused(what: String, error: &KafkaError) -> Error {
    match error.rdkafka_error_code() {
        Some(
            RDKafkaErrorCode::UnknownMemberId
            | RDKafkaErrorCode::IllegalGeneration
            | RDKafkaErrorCode::RebalanceInProgress,
        ) => has_members(what),
        _ => connect::failed(what, error),
    }
}

fn has_members(what: String) -> Error {
    Error::new(
        Kind::Kafka,
        what,
        "the group has members: a pipeline or another consumer is running in it",
    )
    .hint("stop every member of the group; one that was killed counts until its session-timeout is over")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(partition: i32, begin: i64, end: i64) -> Position {
        Position {
            source: "views".into(),
            partition: TopicPartition::new("views", partition),
            committed: None,
            begin,
            end,
        }
    }

    fn exactly(offset: i64) -> To {
        To::Exactly(Offsets::from([("views".into(), BTreeMap::from([(1, offset)]))]))
    }

    #[test]
    fn positions_move_to_what_the_log_holds_and_its_end_and_no_further() {
        let positions = [position(0, 0, 10), position(1, 5, 20)];
        let at = |to: &To| moved(&positions, to).map(|moved| moved.into_values().collect::<Vec<_>>());
        assert_eq!(at(&To::Earliest), Ok(vec![0, 5]));
        assert_eq!(at(&To::Latest), Ok(vec![10, 20]));
        assert_eq!(at(&exactly(5)), Ok(vec![5]));
        assert_eq!(at(&exactly(20)), Ok(vec![20]));
        for outside in [4, 21] {
            assert_eq!(at(&exactly(outside)).unwrap_err().kind, Kind::Kafka);
        }
    }

    #[test]
    fn an_offset_of_a_partition_that_no_source_reads_is_refused() {
        let known = [TopicPartition::new("views", 1)];
        let To::Exactly(offsets) = exactly(7) else {
            unreachable!()
        };
        assert_eq!(refuse_unknown(&offsets, known.iter()), Ok(()));
        assert_eq!(
            refuse_unknown(&offsets, known[..0].iter()).unwrap_err().kind,
            Kind::Kafka
        );
    }
}
