//! Positions as a person writes them: a word, a time, offsets, or the file that `offsets export` wrote.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};

use crate::config::Offsets;

use super::text::values::{Scalar, Whole};

/// Where a partition starts that has no committed position of this pipeline.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "Start")]
pub(super) enum StartKey {
    /// At the group's offset, whoever committed it.
    #[default]
    GroupOffsets,
    /// At the first record of the log.
    Earliest,
    /// At the last stable offset.
    Latest,
    /// At the first record of this time or later: an RFC 3339 time, or milliseconds since 1970.
    Timestamp(Moment),
    /// At these offsets, by topic and partition; a partition that is not listed takes the group's, else `otherwise`.
    Offsets(ListedOffsets),
    /// At the offsets of this file, as `sandbar offsets export` writes it; relative to the pipeline file.
    File(PathBuf),
}

/// Where a bounded run ends; exclusive.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "Stop")]
pub(super) enum StopKey {
    /// At the group's offsets.
    GroupOffsets,
    /// At the last stable offset of the moment of the start.
    Latest,
    /// At the first record of this time or later: an RFC 3339 time, or milliseconds since 1970.
    Timestamp(Moment),
    /// At these offsets, by topic and partition; a partition that is not listed has no stop.
    Offsets(ListedOffsets),
    /// At the offsets of this file, as `sandbar offsets export` writes it; relative to the pipeline file.
    File(PathBuf),
}

/// A time in milliseconds since 1970.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Moment(pub(super) i64);

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Scalar {
            expected: "a time such as \"2026-11-22T00:00:00Z\", or milliseconds since 1970",
            text: |text| {
                let time: jiff::Timestamp = text.parse().ok()?;
                Some(Self(time.as_millisecond())).filter(|moment| moment.0 >= 0)
            },
            number: |number| (number >= 0).then_some(Self(number)),
        })
    }
}

impl JsonSchema for Moment {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Moment".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [{ "type": "string", "format": "date-time" }, { "type": "integer", "minimum": 0 }] })
    }
}

/// An offset of Kafka.
type Offset = Whole<0, { i64::MAX }>;

/// Offsets by topic and partition.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct ListedOffsets(BTreeMap<String, BTreeMap<PartitionKey, Offset>>);

impl ListedOffsets {
    /// The checked form; `Err` says what is missing.
    pub(super) fn offsets(&self) -> Result<Offsets, String> {
        if self.0.is_empty() {
            return Err("no topic is listed".to_owned());
        }
        if let Some((topic, _)) = self.0.iter().find(|(_, partitions)| partitions.is_empty()) {
            return Err(format!("no partition of `{topic}` is listed"));
        }
        let plain =
            |partitions: &BTreeMap<PartitionKey, Offset>| partitions.iter().map(|(key, at)| (key.0, at.0)).collect();
        Ok(self
            .0
            .iter()
            .map(|(topic, partitions)| (topic.clone(), plain(partitions)))
            .collect())
    }
}

impl From<&Offsets> for ListedOffsets {
    fn from(offsets: &Offsets) -> Self {
        let of_topic = |partitions: &BTreeMap<i32, i64>| {
            let each = partitions.iter();
            each.map(|(partition, at)| (PartitionKey(*partition), Whole(*at)))
                .collect()
        };
        let topics = offsets.iter();
        Self(
            topics
                .map(|(topic, partitions)| (topic.clone(), of_topic(partitions)))
                .collect(),
        )
    }
}

impl JsonSchema for ListedOffsets {
    fn schema_name() -> Cow<'static, str> {
        "Offsets".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Offsets by topic and partition: { views = { 0 = 23, 1 = 31 } }.",
            "type": "object",
            "minProperties": 1,
            "additionalProperties": {
                "type": "object",
                "minProperties": 1,
                "propertyNames": { "pattern": "^(0|[1-9][0-9]*)$" },
                "additionalProperties": generator.subschema_for::<Offset>()
            }
        })
    }
}

/// The number of a partition, as a key, which is text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct PartitionKey(i32);

impl<'de> Deserialize<'de> for PartitionKey {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_str(Scalar {
            expected: "the number of a partition",
            // `00` would be a second name of partition 0.
            text: |text| {
                let number: i32 = text.parse().ok()?;
                (number >= 0 && number.to_string() == text).then_some(Self(number))
            },
            number: |_| None,
        })
    }
}

/// Reads what `sandbar offsets export` wrote; `Err` says why not, in a sentence that names the file.
pub(super) fn read_export(path: &Path) -> Result<Offsets, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("`{}`: {error}", path.display()))?;
    let listed: ListedOffsets = serde_json::from_str(&text).map_err(|error| {
        format!(
            "`{}` does not hold what `sandbar offsets export` writes: {error}",
            path.display()
        )
    })?;
    listed.offsets().map_err(|why| format!("`{}`: {why}", path.display()))
}
