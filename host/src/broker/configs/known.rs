//! The settings that topics have here: of which kind they are, what they can be, and what they are as long as nobody
//! sets them.

use crate::broker::disk::log::BATCH_LIMIT;

/// A setting's kind; the number is the protocol's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::broker) enum SettingKind {
    Boolean = 1,
    String = 2,
    Int = 3,
    Long = 5,
    List = 7,
}

/// What a topic's setting can be.
#[derive(Debug, Clone, Copy)]
pub(in crate::broker) enum CanBe {
    /// What it is anyway, since the broker does nothing else.
    Same,
    /// A number from 0 to this one.
    UpTo(i64),
}

/// A setting of topics.
#[derive(Debug)]
pub(in crate::broker) struct TopicSetting {
    pub name: &'static str,
    /// How the broker calls its own value for all topics.
    pub broker_name: &'static str,
    /// That value.
    pub value: &'static str,
    pub kind: SettingKind,
    pub can_be: CanBe,
}

/// Bytes of a batch.
pub(in crate::broker) const BATCH_BYTES: &str = "max.message.bytes";
/// How much later than now a record's time may be.
pub(in crate::broker) const AFTER_MS: &str = "message.timestamp.after.max.ms";
/// How much earlier than now it may be.
pub(in crate::broker) const BEFORE_MS: &str = "message.timestamp.before.max.ms";

const ANY_TIME: &str = "9223372036854775807";

/// What a topic can be given, and has without that.
pub(in crate::broker) const TOPIC: &[TopicSetting] = &[
    same("cleanup.policy", "log.cleanup.policy", "delete", SettingKind::List),
    same("compression.type", "compression.type", "producer", SettingKind::String),
    TopicSetting {
        name: BATCH_BYTES,
        broker_name: "message.max.bytes",
        value: "1048588",
        kind: SettingKind::Int,
        can_be: CanBe::UpTo(BATCH_LIMIT as i64),
    },
    span(AFTER_MS, "log.message.timestamp.after.max.ms"),
    span(BEFORE_MS, "log.message.timestamp.before.max.ms"),
    same(
        "message.timestamp.type",
        "log.message.timestamp.type",
        "CreateTime",
        SettingKind::String,
    ),
    same("min.insync.replicas", "min.insync.replicas", "1", SettingKind::Int),
    same("retention.bytes", "log.retention.bytes", "-1", SettingKind::Long),
    same("retention.ms", "log.retention.ms", "-1", SettingKind::Long),
];

/// How Kafka cuts a log into files, which is one file here. CreateTopics takes them, for Kafka Streams sends them with
/// every topic, and forgets them: no client can see a difference.
pub(in crate::broker) const OF_FILES: &[&str] = &[
    "segment.bytes",
    "segment.ms",
    "index.interval.bytes",
    "file.delete.delay.ms",
];

/// The setting of that name, if topics have it here.
pub(in crate::broker) fn topic_setting(name: &str) -> Option<&'static TopicSetting> {
    TOPIC.iter().find(|setting| setting.name == name)
}

const fn same(name: &'static str, broker_name: &'static str, value: &'static str, kind: SettingKind) -> TopicSetting {
    TopicSetting {
        name,
        broker_name,
        value,
        kind,
        can_be: CanBe::Same,
    }
}

const fn span(name: &'static str, broker_name: &'static str) -> TopicSetting {
    TopicSetting {
        name,
        broker_name,
        value: ANY_TIME,
        kind: SettingKind::Long,
        can_be: CanBe::UpTo(i64::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_nobody_set_is_the_largest_that_can_be_set() {
        let largest = |setting: &TopicSetting| match setting.can_be {
            CanBe::UpTo(most) => setting.value == most.to_string(),
            CanBe::Same => true,
        };
        assert!(TOPIC.iter().all(largest));
    }
}
