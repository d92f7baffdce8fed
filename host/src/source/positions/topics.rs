//! Which topics and partitions a subtopology reads, and how they are shared out among the members of the group.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::{KafkaSource, PartitionCounts, Subscription};
use crate::error::{Error, Kind, Result};
use crate::kafka::lookup::Lookup;
use crate::record::TopicPartition;

/// How members come by their partitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::source) enum Sharing {
    /// The group shares out the leader's partitions; those of the same number of the followers go with them.
    ///
    /// The group's assignor spreads each topic by itself. Topics that meet must stay together by number, so the group
    /// sees one only. Which one it is must be the same for all members: see `agreement`.
    Led { leader: String, followers: Vec<String> },
    /// The group shares out each topic that matches.
    Matching,
    /// Nobody shares: each worker takes every n-th of the named partitions.
    ByHand,
}

/// What a subtopology reads now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::source) struct Layout {
    pub(in crate::source) sharing: Sharing,
    /// Index of the source, and its partition; by source, topic, number.
    pub(in crate::source) partitions: Vec<(usize, TopicPartition)>,
    /// Index of the source, its topic, and how many partitions that has, whichever of them are read.
    pub(in crate::source) counts: Vec<(usize, String, i32)>,
}

/// Looks up what a subtopology reads. A topic or partition that the file names must exist; a pattern may match nothing
/// yet. `beside`: the sources of other subtopologies in the same group.
pub(in crate::source) fn lay_out<'a>(
    sources: &[KafkaSource],
    beside: &[KafkaSource],
    lookup: &dyn Fn(usize) -> Lookup<'a>,
) -> Result<Layout> {
    let (mut partitions, mut counts) = (Vec::new(), Vec::new());
    for (index, source) in sources.iter().enumerate() {
        let topics = topics_of(source, &lookup(index))?;
        refuse_shared(source, beside, &topics)?;
        partitions.extend(of_source(source, &topics)?.into_iter().map(|at| (index, at)));
        counts.extend(topics.into_iter().map(|(topic, count)| (index, topic, count)));
    }
    refuse_doubles(sources, &partitions)?;
    Ok(Layout {
        sharing: sharing(sources)?,
        partitions,
        counts,
    })
}

/// The topics that a source reads now, and how many partitions each of them has.
fn topics_of(source: &KafkaSource, lookup: &Lookup<'_>) -> Result<PartitionCounts> {
    let counted = |name: &String| Ok((name.clone(), existing(source, name, lookup)?));
    match &source.subscription {
        Subscription::Topics(names) => names.iter().map(counted).collect(),
        Subscription::Pattern(pattern) => Ok(matching(pattern, &lookup.all_topics()?)),
        Subscription::Partitions(named) => named.keys().map(counted).collect(),
    }
}

fn of_source(source: &KafkaSource, topics: &PartitionCounts) -> Result<Vec<TopicPartition>> {
    let Subscription::Partitions(named) = &source.subscription else {
        return Ok(topics.iter().flat_map(|(name, count)| numbered(name, *count)).collect());
    };
    let mut partitions = Vec::new();
    for (name, numbers) in named {
        let count = topics.get(name).copied().unwrap_or(0);
        for number in numbers.iter().copied().collect::<BTreeSet<_>>() {
            if !(0..count).contains(&number) {
                return Err(missing_partition(source, name, number, count));
            }
            partitions.push(TopicPartition::new(name.as_str(), number));
        }
    }
    Ok(partitions)
}

/// The topics whose whole name matches; internal ones never do.
pub(in crate::source) fn matching(pattern: &regex::Regex, topics: &PartitionCounts) -> PartitionCounts {
    let Ok(whole) = regex::Regex::new(&format!(r"\A(?:{})\z", pattern.as_str())) else {
        return PartitionCounts::new();
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

fn sharing(sources: &[KafkaSource]) -> Result<Sharing> {
    if sources
        .iter()
        .all(|source| matches!(source.subscription, Subscription::Partitions(_)))
    {
        return Ok(Sharing::ByHand);
    }
    if sources.len() == 1 && matches!(sources[0].subscription, Subscription::Pattern(_)) {
        return Ok(Sharing::Matching);
    }
    let mut names = Vec::new();
    for source in sources {
        let Subscription::Topics(of_source) = &source.subscription else {
            return Err(cannot_meet(sources));
        };
        for name in of_source {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
    }
    // In the order of the file: all members see the same one, whatever the topics were when they looked.
    let mut names = names.into_iter();
    match names.next() {
        Some(leader) => Ok(Sharing::Led {
            leader,
            followers: names.collect(),
        }),
        None => Err(Error::new(Kind::Invalid, "failed to start: no topic is named", "")),
    }
}

fn cannot_meet(sources: &[KafkaSource]) -> Error {
    let names: Vec<_> = sources.iter().map(|source| source.name.as_str()).collect();
    Error::new(
        Kind::Invalid,
        format!("sources `{}` cannot meet in one operator", names.join("`, `")),
        "their partitions are kept together by number, which needs `topics` in each of them, or `partitions` in each \
         of them",
    )
}

/// A topic that sources of two sets read in one group is shared out between the two: each would get a part of its
/// records. The file shows that when both name their topics; what a pattern matches shows only here.
pub(in crate::source) fn refuse_shared(
    source: &KafkaSource,
    beside: &[KafkaSource],
    topics: &PartitionCounts,
) -> Result<()> {
    let is_pattern = |source: &KafkaSource| matches!(source.subscription, Subscription::Pattern(_));
    for other in beside.iter().filter(|other| is_pattern(source) || is_pattern(other)) {
        let shared = match &other.subscription {
            Subscription::Topics(names) => topics.keys().find(|topic| names.contains(topic)).cloned(),
            Subscription::Partitions(named) => topics.keys().find(|topic| named.contains_key(*topic)).cloned(),
            Subscription::Pattern(pattern) => matching(pattern, topics).into_keys().next(),
        };
        if let Some(topic) = shared {
            return Err(Error::new(
                Kind::Invalid,
                format!(
                    "sources `{}` and `{}` both read topic `{topic}`",
                    source.name, other.name
                ),
                format!(
                    "they share group `{}`, which would give each of them a part of its records",
                    source.group
                ),
            )
            .hint("give one of them another `group`, or patterns that have no topic in common"));
        }
    }
    Ok(())
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
        "create it with `sandbar topics create {topic} --partitions 4`, or correct the name"
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
    use crate::source::on_kafka::source;

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
    fn the_first_topic_that_the_file_names_leads_however_large_the_others_are() {
        let set = [source("", &["c", "a"]), source("", &["b", "c"])];
        let led = Sharing::Led {
            leader: "c".to_owned(),
            followers: vec!["a".to_owned(), "b".to_owned()],
        };
        assert_eq!(sharing(&set), Ok(led));
    }

    #[test]
    fn a_topic_that_patterns_of_two_sets_match_is_refused_and_what_only_one_of_them_matches_is_not() {
        let pattern = |name: &str, text: &str| KafkaSource {
            name: name.to_owned(),
            subscription: Subscription::Pattern(regex::Regex::new(text).unwrap()),
            ..source("", &[])
        };
        let topics = |names: &[&str]| names.iter().map(|name| ((*name).to_owned(), 1)).collect();
        let (left, right) = (pattern("left", "[ab]"), pattern("right", "a|c"));
        let beside = std::slice::from_ref(&right);
        assert!(refuse_shared(&left, beside, &topics(&["b"])).is_ok());
        assert!(refuse_shared(&left, &[], &topics(&["a", "b"])).is_ok());
        let error = refuse_shared(&left, beside, &topics(&["a", "b"])).unwrap_err();
        assert_eq!(error.kind, Kind::Invalid);
        assert_eq!(error.what, "sources `left` and `right` both read topic `a`");
        assert!(refuse_shared(&left, &[source("", &["a"])], &topics(&["a"])).is_err());
    }

    #[test]
    fn only_names_that_kafka_allows_reach_librdkafka() {
        assert!(is_topic_name("a.b_c-9"));
        for name in ["", "a b", "a\0b", "ä", &"a".repeat(250)] {
            assert!(!is_topic_name(name), "{name:?}");
        }
    }
}
