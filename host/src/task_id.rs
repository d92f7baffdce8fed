//! The name of a task: which partitions share one state, and what it is called. Part of stored text: the names of
//! folders, what is stored with offsets, and manifests have it.
//!
//! `<source>/<number>`, after the first of the sources that meet: partitions of one number are one task. If each
//! partition stands for itself, a hash of its topic follows: `<source>/<number>.<8 hex digits>`.

use sha2::{Digest, Sha256};

use crate::config::{KafkaSource, Subscription};
use crate::record::TopicPartition;

/// Hex digits of a topic's hash.
const TOPIC_DIGITS: usize = 8;

/// How the partitions of sources that meet become tasks.
#[derive(Debug, Clone)]
pub struct TaskIds {
    /// The first source.
    source: String,
    /// Topics that meet: equal numbers are one task. Else each partition stands for itself.
    together: bool,
}

impl TaskIds {
    /// Those of sources that meet, in the order of the file.
    pub fn of<'a>(sources: impl IntoIterator<Item = &'a KafkaSource> + Clone) -> Self {
        let mut all = sources.clone().into_iter();
        let first = all.next();
        let is_alone = all.next().is_none();
        let by_name = |source: &KafkaSource| matches!(source.subscription, Subscription::Topics(_));
        Self {
            source: first.map(|source| source.name.clone()).unwrap_or_default(),
            together: sources.into_iter().all(by_name) || is_alone && first.is_some_and(names_one_topic),
        }
    }

    /// The source that its tasks are called after.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether partitions of one number are one task.
    pub fn is_together(&self) -> bool {
        self.together
    }

    /// The task of a partition. A topic is told apart by its hash, for a name must fit into the metadata of an offset.
    pub fn task(&self, at: &TopicPartition) -> String {
        let (source, number) = (&self.source, at.partition);
        if self.together {
            return format!("{source}/{number}");
        }
        let hash = Sha256::digest(at.topic.as_bytes());
        format!(
            "{source}/{number}.{:02x}{:02x}{:02x}{:02x}",
            hash[0], hash[1], hash[2], hash[3]
        )
    }
}

#[cfg(test)]
impl TaskIds {
    /// Those of a source of that name whose topics meet.
    pub(crate) fn named(source: &str) -> Self {
        Self {
            source: source.to_owned(),
            together: true,
        }
    }
}

fn names_one_topic(source: &KafkaSource) -> bool {
    matches!(&source.subscription, Subscription::Partitions(named) if named.len() == 1)
}

/// The source that a task is called after.
pub fn source_of(task: &str) -> &str {
    task.rsplit_once('/').map_or(task, |(source, _)| source)
}

/// Whether a text that was stored is the name of a task.
pub fn is_one(text: &str) -> bool {
    let Some((_, number)) = text.rsplit_once('/') else {
        return false;
    };
    let (number, topic) = match number.split_once('.') {
        Some((number, topic)) => (number, Some(topic)),
        None => (number, None),
    };
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let is_topic = |topic: &str| topic.len() == TOPIC_DIGITS && topic.bytes().all(is_hex);
    is_number(number) && number.parse::<i32>().is_ok() && topic.is_none_or(is_topic)
}

/// Whether it is a number as we write it: digits alone, without a sign.
pub fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}
