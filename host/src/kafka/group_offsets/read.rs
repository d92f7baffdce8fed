//! The positions of a pipeline's sources as the cluster has them, beside the range of the log.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::error::KafkaError;
use rdkafka::metadata::Metadata;
use rdkafka::{Offset, TopicPartitionList};
use regex::Regex;

use crate::clock;
use crate::config::{KafkaSource, Subscription};
use crate::error::{Error, Kind, Result};
use crate::kafka::connect::{self, ConnectClient, REQUEST};
use crate::kafka::lookup::is_passing;
use crate::kafka::native::partition_list::{self, Element, list};
use crate::kafka::native::requests;
use crate::offset_metadata::{self, PartitionTime};
use crate::record::TopicPartition;

/// What brokers allow a transaction by default, and the time until they look for it.
const LONGEST_TRANSACTION: Duration = Duration::from_secs(15 * 60 + 15);
/// How long offsets that no transaction holds take at most.
const STABLE_ANSWER: Duration = Duration::from_secs(2);

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

/// First offset and last stable offset of a partition's log.
pub(in crate::kafka) fn log_range(client: &ConnectClient, topic: &str, partition: i32) -> Result<(i64, i64)> {
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
pub(in crate::kafka) fn partitions_of(metadata: &Metadata, topic: &str) -> Result<Vec<i32>> {
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

pub(super) fn read_source(client: &ConnectClient, metadata: &Metadata, source: &KafkaSource) -> Result<Vec<Position>> {
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
pub(super) fn elements(
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
pub(super) fn ask_again<T>(ask: impl Fn() -> Result<T, KafkaError>) -> Result<T, KafkaError> {
    let until = clock::now() + REQUEST;
    loop {
        match ask() {
            Err(error) if is_passing(&error) && clock::now() < until => std::thread::sleep(Duration::from_millis(100)),
            answered => return answered,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_whole_names_whatever_its_order() {
        let pattern = whole(&Regex::new("views|views-.*").unwrap()).unwrap();
        assert!(pattern.is_match("views") && pattern.is_match("views-a"));
        assert!(!pattern.is_match("my-views") && !pattern.is_match("viewsa"));
    }
}
