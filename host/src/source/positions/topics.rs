//! Which topics and partitions a set reads, and how they are shared out among the members of the group.

use std::collections::{BTreeMap, BTreeSet};

use super::lookup::Lookup;
use crate::config::{KafkaSource, Subscription};
use crate::error::{Error, Kind, Result};
use crate::record::TopicPartition;

/// How members come by their partitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::source) enum Sharing {
    /// The group shares out the leader's partitions; those of the same number of the followers go with them.
    ///
    /// The group's assignor spreads each topic by itself. Topics that meet must stay together by number, so the group sees one only.
    Led { leader: String, followers: Vec<String> },
    /// The group shares out each topic that matches.
    Matching,
    /// Nobody shares: each worker takes every n-th of the named partitions.
    ByHand,
}

/// What a set reads now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::source) struct Layout {
    pub(in crate::source) sharing: Sharing,
    /// Index of the source, and its partition; by source, topic, number.
    pub(in crate::source) partitions: Vec<(usize, TopicPartition)>,
}

/// Looks up what a set reads. A topic or partition that the file names must exist; a pattern may match nothing yet.
pub(in crate::source) fn lay_out<'a>(set: &[KafkaSource], lookup: &dyn Fn(usize) -> Lookup<'a>) -> Result<Layout> {
    let mut partitions = Vec::new();
    for (index, source) in set.iter().enumerate() {
        partitions.extend(of_source(source, &lookup(index))?.into_iter().map(|at| (index, at)));
    }
    refuse_doubles(set, &partitions)?;
    Ok(Layout {
        sharing: sharing(set, &partitions)?,
        partitions,
    })
}

fn of_source(source: &KafkaSource, lookup: &Lookup<'_>) -> Result<Vec<TopicPartition>> {
    match &source.subscription {
        Subscription::Topics(names) => {
            let mut partitions = Vec::new();
            for name in names.iter().collect::<BTreeSet<_>>() {
                partitions.extend(numbered(name, existing(source, name, lookup)?));
            }
            Ok(partitions)
        }
        Subscription::Pattern(pattern) => {
            let topics = matching(pattern, &lookup.all_topics()?);
            Ok(topics
                .into_iter()
                .flat_map(|(name, count)| numbered(&name, count))
                .collect())
        }
        Subscription::Partitions(named) => {
            let mut partitions = Vec::new();
            for (name, numbers) in named {
                let count = existing(source, name, lookup)?;
                for number in numbers.iter().copied().collect::<BTreeSet<_>>() {
                    if !(0..count).contains(&number) {
                        return Err(missing_partition(source, name, number, count));
                    }
                    partitions.push(TopicPartition::new(name.as_str(), number));
                }
            }
            Ok(partitions)
        }
    }
}

/// The topics whose whole name matches; internal ones never do.
pub(in crate::source) fn matching(pattern: &regex::Regex, topics: &BTreeMap<String, i32>) -> BTreeMap<String, i32> {
    let Ok(whole) = regex::Regex::new(&format!(r"\A(?:{})\z", pattern.as_str())) else {
        return BTreeMap::new();
    };
    topics
        .iter()
        .filter(|(name, _)| !name.starts_with("__") && whole.is_match(name))
        .map(|(name, count)| (name.clone(), *count))
        .collect()
}

fn existing(source: &KafkaSource, topic: &str, lookup: &Lookup<'_>) -> Result<i32> {
    if !is_topic_name(topic) {
        return Err(no_topic(
            source,
            topic,
            "Kafka allows letters, digits, `.`, `_` and `-` in a topic's name",
        ));
    }
    match lookup.partitions(topic)? {
        Some(count) => Ok(count),
        None => Err(no_topic(source, topic, "the cluster has no such topic")),
    }
}

/// What Kafka itself allows. A NUL byte would end the name early on its way through C.
pub(in crate::source) fn is_topic_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 249
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

pub(in crate::source) fn numbered(topic: &str, count: i32) -> impl Iterator<Item = TopicPartition> + use<> {
    let topic: std::sync::Arc<str> = topic.into();
    (0..count).map(move |number| TopicPartition::new(topic.clone(), number))
}

fn sharing(set: &[KafkaSource], partitions: &[(usize, TopicPartition)]) -> Result<Sharing> {
    if set
        .iter()
        .all(|source| matches!(source.subscription, Subscription::Partitions(_)))
    {
        return Ok(Sharing::ByHand);
    }
    if set.len() == 1 && matches!(set[0].subscription, Subscription::Pattern(_)) {
        return Ok(Sharing::Matching);
    }
    if !set
        .iter()
        .all(|source| matches!(source.subscription, Subscription::Topics(_)))
    {
        let names = set
            .iter()
            .map(|source| source.name.as_str())
            .collect::<Vec<_>>()
            .join("`, `");
        return Err(Error::new(
            Kind::Invalid,
            format!("sources `{names}` cannot meet in one operator"),
            "their partitions are kept together by number, which needs `topics` in each of them, or `partitions` in each of them",
        ));
    }
    let mut topics = counts(partitions).into_iter().collect::<Vec<_>>();
    topics.sort_by(|(a, of_a), (b, of_b)| of_b.cmp(of_a).then(a.cmp(b)));
    let mut names = topics.into_iter().map(|(name, _)| name);
    match names.next() {
        Some(leader) => Ok(Sharing::Led {
            leader,
            followers: names.collect(),
        }),
        None => Err(Error::new(Kind::Invalid, "failed to start: no topic is named", "")),
    }
}

fn counts(partitions: &[(usize, TopicPartition)]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for (_, at) in partitions {
        *counts.entry(at.topic.to_string()).or_default() += 1;
    }
    counts
}

/// A partition that two sources of a set read would have two positions under one name.
fn refuse_doubles(set: &[KafkaSource], partitions: &[(usize, TopicPartition)]) -> Result<()> {
    let mut seen = BTreeMap::new();
    for (source, at) in partitions {
        if let Some(first) = seen.insert(at.clone(), *source) {
            return Err(Error::new(
                Kind::Invalid,
                format!(
                    "sources `{}` and `{}` both read {at}",
                    set[first].name, set[*source].name
                ),
                "they meet in one operator and share a group, where a partition has one position",
            )
            .hint("read it once, and name that source twice in `inputs`"));
        }
    }
    Ok(())
}

pub(in crate::source) fn no_topic(source: &KafkaSource, topic: &str, why: &str) -> Error {
    Error::new(
        Kind::Kafka,
        format!("failed to start source `{}`: no topic `{topic}`", source.name),
        why,
    )
    .hint(format!(
        "create it with `sandbar topics create {topic}`, or correct the name"
    ))
}

fn missing_partition(source: &KafkaSource, topic: &str, number: i32, count: i32) -> Error {
    Error::new(
        Kind::Kafka,
        format!(
            "failed to start source `{}`: {topic} has no partition {number}",
            source.name
        ),
        format!("the topic {topic} has {count} partitions, numbered from 0"),
    )
}

/// A partition that `offsets` names and Kafka does not have.
pub(in crate::source) fn refuse_unknown(
    source: &KafkaSource,
    offsets: &crate::config::Offsets,
    partitions: &[TopicPartition],
) -> Result<()> {
    let counts = |topic: &str| partitions.iter().filter(|at| &*at.topic == topic).count();
    for (topic, numbers) in offsets {
        for number in numbers.keys() {
            if !partitions
                .iter()
                .any(|at| &*at.topic == topic && at.partition == *number)
            {
                return Err(match counts(topic) {
                    0 => Error::new(
                        Kind::Kafka,
                        format!("failed to start source `{}`: it does not read {topic}", source.name),
                        format!("its `offsets` name {topic}/{number}"),
                    ),
                    count => missing_partition(source, topic, *number, count as i32),
                });
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_whole_names_and_no_internal_topics() {
        let topics: BTreeMap<_, _> = ["views", "views-a", "my-views", "a", "ab", "__consumer_offsets"]
            .map(|name| (name.to_owned(), 1))
            .into();
        let of = |pattern| {
            matching(&regex::Regex::new(pattern).unwrap(), &topics)
                .into_keys()
                .collect::<Vec<_>>()
        };
        assert_eq!(of("views"), ["views"]);
        assert_eq!(of("views.*"), ["views", "views-a"]);
        assert_eq!(of("a|ab"), ["a", "ab"]);
        assert_eq!(of("^a$"), ["a"]);
        assert_eq!(of(".*").len(), 5);
    }

    #[test]
    fn only_names_that_kafka_allows_reach_librdkafka() {
        assert!(is_topic_name("a.b_c-9"));
        for name in ["", "a b", "a\0b", "ä", &"a".repeat(250)] {
            assert!(!is_topic_name(name), "{name:?}");
        }
    }
}
