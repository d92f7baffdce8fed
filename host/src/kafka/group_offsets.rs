//! The positions of a pipeline's sources as the cluster has them: read them beside the range of the log, set them while
//! nobody runs.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::consumer::{CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::Metadata;
use rdkafka::{Offset, TopicPartitionList};
use regex::Regex;

use super::connect::{self, ConnectClient, REQUEST};
use super::lookup::is_passing;
use super::native::partition_list::{self, Element, list};
use super::native::requests;
use crate::clock;
use crate::config::{KafkaSource, Offsets, Subscription};
use crate::error::{Error, Kind, Result};
use crate::offset_metadata::{self, PartitionTime, Pointer};
use crate::record::{Committable, TopicPartition};
use crate::task_id::TaskIds;

/// What brokers allow a transaction by default, and the time until they look for it.
const LONGEST_TRANSACTION: Duration = Duration::from_secs(15 * 60 + 15);
/// How long offsets that no transaction holds take at most.
const STABLE_ANSWER: Duration = Duration::from_secs(2);
/// How much longer than its session a member that was killed may be in its group.
const AFTER_SESSION: Duration = Duration::from_secs(3);

/// A position that the group holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommittedPosition {
    /// The next offset to read.
    pub offset: i64,
    /// Whether a pipeline of Sandbar committed it; other offsets count for `start = "group-offsets"` only.
    pub ours: bool,
    /// Where the partition's event time stood, if something goes by it.
    pub time: Option<PartitionTime>,
}

/// A partition of a source: what its group holds and what its log holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// The source's name in the pipeline.
    pub source: String,
    /// The partition.
    pub partition: TopicPartition,
    /// What the group holds for it.
    pub committed: Option<CommittedPosition>,
    /// First offset of the log.
    pub begin: i64,
    /// Last stable offset: one behind the last that a reader of committed records may see.
    pub end: i64,
}

impl Position {
    /// Offsets between the committed position and the end; `None` without a position.
    pub fn lag(&self) -> Option<i64> {
        let committed = self.committed?.offset.max(self.begin);
        Some((self.end - committed).max(0))
    }
}

/// What rides with a committed offset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marked {
    /// The source's name in the pipeline.
    pub source: String,
    /// The partition.
    pub partition: TopicPartition,
    /// The next offset to read.
    pub offset: i64,
    /// Its metadata, as whoever committed it wrote it.
    pub metadata: String,
}

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

/// The positions of all partitions of these sources, in order. A source whose topic or partition does not exist is an
/// error.
pub fn read(sources: &[KafkaSource]) -> Result<Vec<Position>> {
    let mut positions = Vec::new();
    for source in sources {
        let (client, metadata) = connect::connect_to_group(&source.cluster, &source.group)?;
        positions.extend(read_source(&client, &metadata, source)?);
    }
    Ok(positions)
}

/// The partitions of these sources with the range of their logs, in order; the groups are not asked.
pub fn logs(sources: &[KafkaSource]) -> Result<Vec<Position>> {
    let mut positions = Vec::new();
    for source in sources {
        let (client, metadata) = connect::connect_to_group(&source.cluster, &source.group)?;
        positions.extend(read_logs(&client, source, partitions(&metadata, source)?)?);
    }
    Ok(positions)
}

/// What groups hold of some sources.
#[derive(Debug, Default)]
pub struct Survey {
    /// The committed offsets, and what rides with each.
    pub marked: Vec<Marked>,
    /// The partitions without one.
    pub without: Vec<TopicPartition>,
}

/// What the groups of these sources hold, partition by partition. Offsets that a transaction has not decided yet are
/// waited for.
pub fn survey(sources: &[KafkaSource]) -> Result<Survey> {
    let mut all = Survey::default();
    for source in sources {
        let (client, metadata) = connect::connect_to_group(&source.cluster, &source.group)?;
        let partitions = partitions(&metadata, source)?;
        let mut found = elements(&client, source, &partitions)?;
        for partition in partitions {
            match found.remove(&partition) {
                None => all.without.push(partition),
                Some((offset, metadata)) => all.marked.push(Marked {
                    source: source.name.clone(),
                    partition,
                    offset,
                    metadata,
                }),
            }
        }
    }
    Ok(all)
}

/// What rides with the committed offsets of these sources; partitions without one are left out.
pub fn marked(sources: &[KafkaSource]) -> Result<Vec<Marked>> {
    Ok(survey(sources)?.marked)
}

/// Waits while the offsets of these sources are part of a transaction that a member left open when it died: nobody may
/// read them before it is over, and brokers end it after its time-out, so there is as much patience as they allow a
/// transaction to live. Offsets that cannot be read for another reason are not waited for: whoever reads them next says
/// so.
///
/// # Errors
/// `Kafka`: a cluster does not answer, or the transaction outlives every time-out.
pub fn wait_until_stable(sources: &[KafkaSource]) -> Result<()> {
    let until = clock::now() + LONGEST_TRANSACTION;
    for source in sources {
        let mut told = false;
        while is_pending(source)? {
            if !std::mem::replace(&mut told, true) {
                tracing::warn!(
                    group = source.group,
                    "the group's offsets are part of a transaction that a member left open; waiting for its end"
                );
            }
            if clock::now() >= until {
                let what = format!("failed to read the offsets of group `{}`", source.group);
                return Err(Error::new(
                    Kind::Kafka,
                    what,
                    "a transaction that moves them does not end",
                ));
            }
        }
    }
    Ok(())
}

fn is_pending(source: &KafkaSource) -> Result<bool> {
    let (client, metadata) = connect::connect_to_group(&source.cluster, &source.group)?;
    let mut list = TopicPartitionList::new();
    for at in partitions(&metadata, source)? {
        list.add_partition(&at.topic, at.partition);
    }
    if list.count() == 0 {
        return Ok(false);
    }
    let answers = |client: &ConnectClient| {
        let until = clock::now() + STABLE_ANSWER;
        loop {
            match requests::committed(client, &list, STABLE_ANSWER) {
                Ok(())
                    if partition_list::elements(&list)
                        .iter()
                        .all(|element| element.error.is_none()) =>
                {
                    return true;
                }
                Err(error) if !is_passing(&error) => return true,
                _ if clock::now() >= until => return false,
                _ => std::thread::sleep(Duration::from_millis(50)),
            }
        }
    };
    if answers(&client) {
        return Ok(false);
    }
    let (impatient, _) = connect::connect_to_group_impatiently(&source.cluster, &source.group)?;
    Ok(answers(&impatient))
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

/// First offset and last stable offset of a partition's log.
pub(super) fn log_range(client: &ConnectClient, topic: &str, partition: i32) -> Result<(i64, i64)> {
    let end_of = |which: Offset| -> Result<i64, KafkaError> {
        let list = list(&[TopicPartition::new(topic, partition)], which)?;
        requests::offsets_for_times(client, &list, REQUEST)?;
        match partition_list::elements(&list).first() {
            Some(Element { error: Some(code), .. }) => Err(KafkaError::OffsetFetch(*code)),
            found => Ok(found.map_or(0, |element| element.offset)),
        }
    };
    end_of(Offset::Beginning)
        .and_then(|begin| Ok((begin, end_of(Offset::End)?)))
        .map_err(|error| connect::failed(format!("failed to look up the log of {topic}/{partition}"), &error))
}

/// The partitions of a topic that must exist.
pub(super) fn partitions_of(metadata: &Metadata, topic: &str) -> Result<Vec<i32>> {
    let found = metadata.topics().iter().find(|found| found.name() == topic);
    let mut partitions: Vec<i32> = found
        .map(|found| found.partitions().iter().map(|partition| partition.id()).collect())
        .unwrap_or_default();
    if partitions.is_empty() {
        let why = "the cluster has no topic of that name, or this user may not see it";
        return Err(Error::new(Kind::Kafka, format!("topic `{topic}` does not exist"), why)
            .hint(format!("sandbar topics create {topic} --partitions 4")));
    }
    partitions.sort_unstable();
    Ok(partitions)
}

fn read_source(client: &ConnectClient, metadata: &Metadata, source: &KafkaSource) -> Result<Vec<Position>> {
    let partitions = partitions(metadata, source)?;
    let committed = committed(client, source, &partitions)?;
    let mut positions = read_logs(client, source, partitions)?;
    for position in &mut positions {
        position.committed = committed.get(&position.partition).copied();
    }
    Ok(positions)
}

fn read_logs(client: &ConnectClient, source: &KafkaSource, partitions: Vec<TopicPartition>) -> Result<Vec<Position>> {
    let read = |partition: TopicPartition| {
        let (begin, end) = log_range(client, &partition.topic, partition.partition)?;
        Ok(Position {
            source: source.name.clone(),
            committed: None,
            partition,
            begin,
            end,
        })
    };
    partitions.into_iter().map(read).collect()
}

fn partitions(metadata: &Metadata, source: &KafkaSource) -> Result<Vec<TopicPartition>> {
    let named = |topic: &str, partitions: &[i32]| -> Vec<TopicPartition> {
        partitions
            .iter()
            .map(|&partition| TopicPartition::new(topic, partition))
            .collect()
    };
    let mut all = Vec::new();
    match &source.subscription {
        Subscription::Topics(topics) => {
            for topic in topics {
                all.extend(named(topic, &partitions_of(metadata, topic)?));
            }
        }
        Subscription::Pattern(pattern) => {
            let pattern = whole(pattern)?;
            // One that is just being deleted has none.
            let there = metadata.topics().iter().filter(|topic| !topic.partitions().is_empty());
            let names = there.map(|topic| topic.name());
            for topic in names.filter(|name| !name.starts_with("__") && pattern.is_match(name)) {
                all.extend(named(topic, &partitions_of(metadata, topic)?));
            }
        }
        Subscription::Partitions(chosen) => {
            for (topic, partitions) in chosen {
                let existing = partitions_of(metadata, topic)?;
                if let Some(missing) = partitions.iter().find(|partition| !existing.contains(partition)) {
                    let what = format!(
                        "failed to find partition {missing} of topic `{topic}` for source `{}`",
                        source.name
                    );
                    return Err(Error::new(
                        Kind::Kafka,
                        what,
                        format!("the topic has {} partitions, from 0", existing.len()),
                    ));
                }
                all.extend(named(topic, partitions));
            }
        }
    }
    all.sort();
    Ok(all)
}

/// The pattern over a whole name: `views|views-.*` alone would be content with the beginning of `views-a`.
fn whole(pattern: &Regex) -> Result<Regex> {
    Regex::new(&format!(r"\A(?:{})\z", pattern.as_str())).map_err(|error| {
        Error::new(
            Kind::Invalid,
            format!("topic-pattern `{pattern}` cannot be used"),
            error,
        )
    })
}

fn committed(
    client: &ConnectClient,
    source: &KafkaSource,
    partitions: &[TopicPartition],
) -> Result<BTreeMap<TopicPartition, CommittedPosition>> {
    let found = elements(client, source, partitions)?.into_iter();
    let committed = found.map(|(partition, (offset, metadata))| {
        let (ours, time) = (offset_metadata::is_ours(&metadata), PartitionTime::read(&metadata));
        (partition, CommittedPosition { offset, ours, time })
    });
    Ok(committed.collect())
}

/// The offsets that the group holds, and what rides with each.
fn elements(
    client: &ConnectClient,
    source: &KafkaSource,
    partitions: &[TopicPartition],
) -> Result<BTreeMap<TopicPartition, (i64, String)>> {
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    for partition in partitions {
        list.add_partition(&partition.topic, partition.partition);
    }
    if partitions.is_empty() {
        return Ok(BTreeMap::new());
    }
    let what = || format!("failed to read the offsets of group `{}`", source.group);
    ask_again(|| requests::committed(client, &list, REQUEST)).map_err(|error| connect::failed(what(), &error))?;
    let mut elements = BTreeMap::new();
    for element in partition_list::elements(&list) {
        if let Some(code) = element.error {
            return Err(connect::failed(what(), &KafkaError::OffsetFetch(code)));
        }
        if element.offset >= 0 {
            let partition = TopicPartition::new(element.topic, element.partition);
            elements.insert(partition, (element.offset, element.metadata));
        }
    }
    Ok(elements)
}

/// A group's coordinator may be on its way to another broker, or be made just now: such an answer is asked for again.
fn ask_again<T>(ask: impl Fn() -> Result<T, KafkaError>) -> Result<T, KafkaError> {
    let until = clock::now() + REQUEST;
    loop {
        match ask() {
            Err(error) if is_passing(&error) && clock::now() < until => std::thread::sleep(Duration::from_millis(100)),
            answered => return answered,
        }
    }
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
    fn a_pattern_matches_whole_names_whatever_its_order() {
        let pattern = whole(&Regex::new("views|views-.*").unwrap()).unwrap();
        assert!(pattern.is_match("views") && pattern.is_match("views-a"));
        assert!(!pattern.is_match("my-views") && !pattern.is_match("viewsa"));
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
