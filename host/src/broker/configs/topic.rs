//! What was set for a topic.

use super::known::{AFTER_MS, BATCH_BYTES, BEFORE_MS, CanBe, SettingKind, TopicSetting, topic_setting};
use crate::broker::disk::limits::TopicLimits;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The settings that somebody gave a topic; what is not among them is as for all topics. Always: each is one that the
/// broker keeps to.
#[derive(Debug, Clone, Default, Serialize, Deserialize, PartialEq, Eq)]
#[serde(transparent)]
pub(in crate::broker) struct TopicConfig(BTreeMap<String, String>);

impl TopicConfig {
    /// Sets a value, or says why the broker can't keep to it.
    pub(in crate::broker) fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let value = value.trim();
        let can_be = match topic_setting(name) {
            None => Some("it does not have this setting".to_owned()),
            Some(setting) => check(setting, value).err(),
        };
        if let Some(why) = can_be {
            return Err(format!("the embedded broker can't do {name}={value}: {why}"));
        }
        self.0.insert(name.to_owned(), value.to_owned());
        Ok(())
    }

    /// Goes back to the value for all topics.
    pub(in crate::broker) fn clear(&mut self, name: &str) {
        self.0.remove(name);
    }

    /// The parts of a list; nothing if it is none.
    pub(in crate::broker) fn list(&self, name: &str) -> Option<Vec<String>> {
        let setting = topic_setting(name).filter(|setting| setting.kind == SettingKind::List)?;
        let value = self.given(setting).unwrap_or(setting.value);
        Some(parts(value).map(str::to_owned).collect())
    }

    /// What was given for a setting.
    pub(in crate::broker) fn given(&self, setting: &TopicSetting) -> Option<&str> {
        self.0.get(setting.name).map(String::as_str)
    }

    /// Whether nothing was given.
    pub(in crate::broker) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What follows from it for the records that come.
    pub(in crate::broker) fn limits(&self) -> TopicLimits {
        let number = |name: &str| self.0.get(name).and_then(|value| value.parse::<i64>().ok());
        let all = TopicLimits::default();
        TopicLimits {
            batch_bytes: number(BATCH_BYTES).map_or(all.batch_bytes, |bytes| usize::try_from(bytes).unwrap_or(0)),
            before_ms: number(BEFORE_MS).unwrap_or(all.before_ms),
            after_ms: number(AFTER_MS).unwrap_or(all.after_ms),
        }
    }
}

/// The parts of a list's text.
pub(in crate::broker) fn parts(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty())
}

fn check(setting: &TopicSetting, value: &str) -> Result<(), String> {
    match setting.can_be {
        CanBe::Same if value == setting.value => Ok(()),
        CanBe::Same => Err(format!("it can only be {}", setting.value)),
        CanBe::UpTo(most) => match value.parse::<i64>() {
            Ok(number) if (0..=most).contains(&number) => Ok(()),
            _ => Err(format!("it must be a number from 0 to {most}")),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::super::known::TOPIC;
    use super::*;

    #[test]
    fn what_is_not_kept_to_is_not_kept() {
        let mut config = TopicConfig::default();
        for (name, value) in [
            ("cleanup.policy", "compact"),
            ("retention.ms", "1000"),
            ("max.message.bytes", "-1"),
            ("max.message.bytes", "1048589"),
            ("max.message.bytes", "many"),
            ("segment.bytes", "1048576"),
            ("", ""),
        ] {
            let why = config.set(name, value).unwrap_err();
            assert!(why.contains(&format!("{name}={value}")), "{why}");
        }
        assert!(config.is_empty() && config.limits() == TopicLimits::default());
    }

    #[test]
    fn each_setting_takes_what_it_is_anyway() {
        let mut config = TopicConfig::default();
        for setting in TOPIC {
            config.set(setting.name, setting.value).unwrap();
            assert_eq!(config.given(setting), Some(setting.value));
        }
        assert_eq!(config.limits(), TopicLimits::default());
    }

    #[test]
    fn what_is_given_becomes_a_limit_until_it_is_cleared() {
        let mut config = TopicConfig::default();
        config.set(BATCH_BYTES, " 2000 ").unwrap();
        config.set(BEFORE_MS, "60000").unwrap();
        let limits = config.limits();
        assert_eq!(
            (limits.batch_bytes, limits.before_ms, limits.after_ms),
            (2000, 60_000, i64::MAX)
        );
        config.clear(BATCH_BYTES);
        assert_eq!(config.limits().batch_bytes, TopicLimits::default().batch_bytes);
    }
}
