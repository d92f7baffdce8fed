//! Where records come from: one source of the file becomes a Kafka source or a file source.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::config;
use crate::error::Result;

use super::delivery;
use super::file::{File, FormatKey, OnBadTimeKey, OtherwiseKey, OutOfRangeKey, SourceTable};
use super::position::{ListedOffsets, StartKey, StopKey, read_export};
use super::properties;
use super::text::document::Span;
use super::text::scope::Scope;
use super::text::values::At;

/// A source, by its name.
pub(super) fn source(
    name: &At<String>,
    raw: &SourceTable,
    file: &File,
    delivery: config::Delivery,
    scope: &Scope<'_>,
) -> Result<config::Source> {
    let one = SourcePart {
        name,
        raw,
        file,
        delivery,
        scope,
    };
    one.check_subject()?;
    match &raw.file {
        Some(path) => one.file(&path.value).map(config::Source::File),
        None => one.kafka().map(config::Source::Kafka),
    }
}

/// One source and what stands around it.
struct SourcePart<'a> {
    name: &'a At<String>,
    raw: &'a SourceTable,
    file: &'a File,
    delivery: config::Delivery,
    scope: &'a Scope<'a>,
}

impl SourcePart<'_> {
    fn key(&self, key: &str) -> String {
        format!("`source.{}.{key}`", self.name.value)
    }

    /// The keys that say what is read: exactly one of them.
    fn check_subject(&self) -> Result<()> {
        let raw = self.raw;
        let subjects = [
            ("topics", raw.topics.as_ref().and_then(|at| at.span.as_ref())),
            (
                "topic-pattern",
                raw.topic_pattern.as_ref().and_then(|at| at.span.as_ref()),
            ),
            ("partitions", raw.partitions.as_ref().and_then(|at| at.span.as_ref())),
            ("file", raw.file.as_ref().and_then(|at| at.span.as_ref())),
        ];
        let given: Vec<_> = subjects.iter().filter(|(_, span)| span.is_some()).collect();
        let why = "it has exactly one of `topics`, `topic-pattern`, `partitions` and `file`";
        match given.as_slice() {
            [_] => Ok(()),
            [] => {
                let what = format!("`source.{}` does not say what it reads", self.name.value);
                Err(self.scope.refuse(self.name.span.as_ref(), what, why))
            }
            [(first, _), (second, span), ..] => {
                let what = format!("`source.{}` has `{first}` and `{second}`", self.name.value);
                Err(self.scope.refuse(*span, what, why))
            }
        }
    }

    fn file(&self, path: &Path) -> Result<config::FileSource> {
        self.refuse_keys_of_kafka()?;
        if let Some(checkpoint) = &self.file.checkpoint {
            let what = format!(
                "`source.{}` reads a file, which does not go with `[checkpoint]`",
                self.name.value
            );
            let why = "no position in a file is kept: a restart reads it from its beginning";
            let error = self.scope.refuse(checkpoint.span.as_ref(), what, why);
            return Err(error.hint("remove [checkpoint], or read a topic"));
        }
        Ok(config::FileSource {
            name: self.name.value.clone(),
            path: self.scope.stream(path),
            format: match self.raw.format.value {
                FormatKey::Json => config::FileFormat::Json,
                FormatKey::Lines => config::FileFormat::Lines,
            },
            max_batch: self.max_batch(),
            event_time: self.event_time()?,
            time: self.time()?,
        })
    }

    fn refuse_keys_of_kafka(&self) -> Result<()> {
        let raw = self.raw;
        let keys = [
            ("kafka", raw.kafka.as_ref().and_then(|at| at.span.as_ref())),
            ("group", raw.group.as_ref().and_then(|at| at.span.as_ref())),
            ("start", raw.start.span.as_ref()),
            ("otherwise", raw.otherwise.span.as_ref()),
            ("stop", raw.stop.as_ref().and_then(|at| at.span.as_ref())),
            ("on-out-of-range", raw.on_out_of_range.span.as_ref()),
            ("offsets", raw.offsets.span.as_ref()),
            (
                "commit-offsets",
                raw.commit_offsets.as_ref().and_then(|at| at.span.as_ref()),
            ),
            ("auto-commit-interval", raw.auto_commit_interval.span.as_ref()),
            ("session-timeout", raw.session_timeout.span.as_ref()),
            ("discovery-interval", raw.discovery_interval.span.as_ref()),
        ];
        match keys.iter().find(|(_, span)| span.is_some()) {
            None => Ok(()),
            Some((key, span)) => {
                let what = format!("{} does not go with `file`", self.key(key));
                let why = "it is a setting of Kafka; a file is read once, from its beginning to its end";
                Err(self.scope.refuse(*span, what, why))
            }
        }
    }

    fn kafka(&self) -> Result<config::KafkaSource> {
        let raw = self.raw;
        if raw.format.given() {
            let what = format!("{} goes with `file` only", self.key("format"));
            let why = "how a topic's records look is between their writer and the plugin";
            return Err(self.scope.refuse(raw.format.span.as_ref(), what, why));
        }
        let part = format!("source.{}", self.name.value);
        let (truth, commit_offsets) = self.positions()?;
        Ok(config::KafkaSource {
            name: self.name.value.clone(),
            cluster: properties::cluster(&part, &self.file.kafka, raw.kafka.as_ref(), self.scope)?,
            subscription: self.subscription()?,
            group: match &raw.group {
                Some(group) => group.value.0.clone(),
                None => format!("sandbar.{}", self.file.name.value.0),
            },
            start: self.start()?,
            otherwise: match raw.otherwise.value {
                OtherwiseKey::Earliest => config::Otherwise::Earliest,
                OtherwiseKey::Latest => config::Otherwise::Latest,
                OtherwiseKey::Fail => config::Otherwise::Fail,
            },
            stop: raw.stop.as_ref().map(|stop| self.stop(stop)).transpose()?,
            on_out_of_range: match raw.on_out_of_range.value {
                OutOfRangeKey::Fail => config::OutOfRange::Fail,
                OutOfRangeKey::Earliest => config::OutOfRange::Earliest,
                OutOfRangeKey::Latest => config::OutOfRange::Latest,
            },
            truth,
            commit_offsets,
            auto_commit_interval: raw.auto_commit_interval.value.duration(),
            session_timeout: raw.session_timeout.value.duration(),
            max_batch: self.max_batch(),
            discovery_interval: raw.discovery_interval.value.duration(),
            event_time: self.event_time()?,
            time: self.time()?,
        })
    }

    fn subscription(&self) -> Result<config::Subscription> {
        if let Some(topics) = &self.raw.topics {
            let names: Vec<_> = topics.value.iter().map(|topic| topic.0.clone()).collect();
            self.refuse_empty("topics", names.is_empty(), topics.span.as_ref())?;
            self.refuse_twice("topics", &names, topics.span.as_ref())?;
            return Ok(config::Subscription::Topics(names));
        }
        if let Some(pattern) = &self.raw.topic_pattern {
            return self.pattern(pattern).map(config::Subscription::Pattern);
        }
        let mut partitions = BTreeMap::new();
        if let Some(listed) = &self.raw.partitions {
            self.refuse_empty("partitions", listed.value.0.is_empty(), listed.span.as_ref())?;
            for (topic, numbers) in &listed.value.0 {
                let key = format!("partitions.{}", topic.value);
                let numbers: Vec<_> = numbers.iter().map(|number| number.0 as i32).collect();
                self.refuse_empty(&key, numbers.is_empty(), topic.span.as_ref())?;
                self.refuse_twice(&key, &numbers, topic.span.as_ref())?;
                partitions.insert(topic.value.clone(), numbers);
            }
        }
        Ok(config::Subscription::Partitions(partitions))
    }

    fn pattern(&self, pattern: &At<String>) -> Result<regex::Regex> {
        self.refuse_empty("topic-pattern", pattern.value.is_empty(), pattern.span.as_ref())?;
        // Alone first: `a)|(?:b` is wrong, and would be right inside of the group.
        regex::Regex::new(&pattern.value)
            .and_then(|_| regex::Regex::new(&format!("^(?:{})$", pattern.value)))
            .map_err(|error| {
                let what = format!("{} is not a regular expression", self.key("topic-pattern"));
                self.scope.refuse(pattern.span.as_ref(), what, error)
            })
    }

    fn refuse_empty(&self, key: &str, empty: bool, span: Option<&Span>) -> Result<()> {
        if empty {
            let what = format!("{} is empty", self.key(key));
            return Err(self.scope.refuse(span, what, "the source would read nothing"));
        }
        Ok(())
    }

    fn refuse_twice<T: Ord + std::fmt::Display>(&self, key: &str, items: &[T], span: Option<&Span>) -> Result<()> {
        let mut seen = BTreeSet::new();
        match items.iter().find(|item| !seen.insert(*item)) {
            None => Ok(()),
            Some(twice) => {
                let what = format!("{} is not valid", self.key(key));
                Err(self.scope.refuse(span, what, format!("`{twice}` stands there twice")))
            }
        }
    }

    fn start(&self) -> Result<config::Start> {
        let span = self.raw.start.span.as_ref();
        Ok(match &self.raw.start.value {
            StartKey::GroupOffsets => config::Start::GroupOffsets,
            StartKey::Earliest => config::Start::Earliest,
            StartKey::Latest => config::Start::Latest,
            StartKey::Timestamp(moment) => config::Start::Timestamp(moment.0),
            StartKey::Offsets(listed) => config::Start::Offsets(self.listed("start", listed, span)?),
            StartKey::File(path) => config::Start::Offsets(self.exported("start", path, span)?),
        })
    }

    fn stop(&self, stop: &At<StopKey>) -> Result<config::Stop> {
        let span = stop.span.as_ref();
        Ok(match &stop.value {
            StopKey::GroupOffsets => config::Stop::GroupOffsets,
            StopKey::Latest => config::Stop::Latest,
            StopKey::Timestamp(moment) => config::Stop::Timestamp(moment.0),
            StopKey::Offsets(listed) => config::Stop::Offsets(self.listed("stop", listed, span)?),
            StopKey::File(path) => config::Stop::Offsets(self.exported("stop", path, span)?),
        })
    }

    fn listed(&self, key: &str, listed: &ListedOffsets, span: Option<&Span>) -> Result<config::Offsets> {
        let what = || format!("{} is not valid", self.key(key));
        listed.offsets().map_err(|why| self.scope.refuse(span, what(), why))
    }

    fn exported(&self, key: &str, path: &Path, span: Option<&Span>) -> Result<config::Offsets> {
        let what = || format!("{} names a file that cannot be read", self.key(key));
        read_export(&self.scope.path(path)).map_err(|why| self.scope.refuse(span, what(), why))
    }

    fn positions(&self) -> Result<(config::Truth, config::CommitOffsets)> {
        let raw = self.raw;
        let wanted = raw.commit_offsets.as_ref();
        let span = wanted.and_then(|at| at.span.as_ref()).or(raw.offsets.span.as_ref());
        delivery::positions(self.delivery, raw.offsets.value, wanted.map(|at| at.value))
            .map_err(|refusal| refusal.at(span, self.scope))
    }

    fn max_batch(&self) -> usize {
        self.raw.max_batch.value.0 as usize
    }

    fn time(&self) -> Result<config::TimeSettings> {
        let raw = self.raw;
        if let (Some(on_bad_time), None) = (&raw.on_bad_time, &self.file.dead_letters)
            && let OnBadTimeKey::DeadLetter = on_bad_time.value
        {
            let what = format!(
                "{} is \"dead-letter\", and the pipeline has no dead letters",
                self.key("on-bad-time")
            );
            let error = self
                .scope
                .refuse(on_bad_time.span.as_ref(), what, "there is nowhere for them to go");
            return Err(error.hint("add [dead-letters] with a topic"));
        }
        Ok(config::TimeSettings {
            out_of_orderness: raw.max_out_of_orderness.value.duration(),
            idle_after: raw.idle_after.value.duration(),
            max_wait: raw.max_wait.value.duration(),
            max_ahead: raw.max_ahead.as_ref().map(|ahead| ahead.value.duration()),
            on_bad_time: raw.on_bad_time.as_ref().map(|way| match way.value {
                OnBadTimeKey::Use => config::OnBadTime::Use,
                OnBadTimeKey::Skip => config::OnBadTime::Skip,
                OnBadTimeKey::DeadLetter => config::OnBadTime::DeadLetter,
                OnBadTimeKey::Fail => config::OnBadTime::Fail,
            }),
        })
    }

    fn event_time(&self) -> Result<config::EventTime> {
        let event_time = &self.raw.event_time;
        match event_time.value.as_str() {
            "record" => Ok(config::EventTime::Record),
            pointer if pointer.starts_with('/') => Ok(config::EventTime::Pointer(pointer.to_owned())),
            other => {
                let what = format!("{} cannot be \"{other}\"", self.key("event-time"));
                let why = "it is \"record\", or a JSON pointer, which begins with `/`";
                let error = self.scope.refuse(event_time.span.as_ref(), what, why);
                Err(error.hint(format!("did you mean \"/{}\"?", other.replace('.', "/"))))
            }
        }
    }
}
