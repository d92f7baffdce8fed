//! The values of a pipeline file: each type says what it allows, in its errors and in the schema.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, Unexpected, Visitor};
use serde::{Serialize, Serializer};

use super::document::Span;
use super::reading::AT;

/// A value, and where it stands; a default stands nowhere.
#[derive(Debug, Clone, Default)]
pub(in crate::spec) struct At<T> {
    pub(in crate::spec) value: T,
    pub(in crate::spec) span: Option<Span>,
}

impl<T> At<T> {
    /// Whether it stands in the file.
    pub(in crate::spec) fn given(&self) -> bool {
        self.span.is_some()
    }
}

impl<T> From<T> for At<T> {
    fn from(value: T) -> Self {
        Self { value, span: None }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for At<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Parts<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Parts<T> {
            type Value = At<T>;
            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a value with its place")
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, mut parts: A) -> Result<At<T>, A::Error> {
                let lost = || de::Error::custom("a value without a place");
                let start = parts.next_element()?.ok_or_else(lost)?;
                let end = parts.next_element()?.ok_or_else(lost)?;
                let value = parts.next_element()?.ok_or_else(lost)?;
                Ok(At {
                    value,
                    span: Some(start..end),
                })
            }
        }
        from.deserialize_tuple_struct(AT, 3, Parts(PhantomData))
    }
}

impl<T: Serialize> Serialize for At<T> {
    fn serialize<S: Serializer>(&self, into: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(into)
    }
}

impl<T: JsonSchema> JsonSchema for At<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }
    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }
    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

/// Tables by their names, in the order of the file.
#[derive(Debug, Clone)]
pub(in crate::spec) struct Named<T>(pub(in crate::spec) Vec<(At<String>, T)>);

impl<T> Default for Named<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Named<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct TableEntries<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for TableEntries<T> {
            type Value = Named<T>;
            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a table")
            }
            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Named<T>, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Named(entries))
            }
        }
        from.deserialize_map(TableEntries(PhantomData))
    }
}

impl<T: JsonSchema> JsonSchema for Named<T> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        format!("Named_{}", T::schema_name()).into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "object", "additionalProperties": generator.subschema_for::<T>() })
    }
}

/// Reads a value from a text or a number; `expected` says what is allowed.
pub(in crate::spec) struct Scalar<'a, T> {
    pub(in crate::spec) expected: &'a str,
    pub(in crate::spec) text: fn(&str) -> Option<T>,
    pub(in crate::spec) number: fn(i64) -> Option<T>,
}

impl<T> Visitor<'_> for Scalar<'_, T> {
    type Value = T;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.expected)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        (self.text)(text).ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
        (self.number)(number).ok_or_else(|| E::invalid_value(Unexpected::Signed(number), &self))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<T, E> {
        let signed = i64::try_from(number).ok();
        (signed.and_then(self.number)).ok_or_else(|| E::invalid_value(Unexpected::Unsigned(number), &self))
    }
}

/// A whole number from `LO` to `HI`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::spec) struct Whole<const LO: i64, const HI: i64, const DEFAULT: i64 = LO>(pub(in crate::spec) i64);

impl<const LO: i64, const HI: i64, const DEFAULT: i64> Default for Whole<LO, HI, DEFAULT> {
    fn default() -> Self {
        Self(DEFAULT)
    }
}

impl<'de, const LO: i64, const HI: i64, const DEFAULT: i64> Deserialize<'de> for Whole<LO, HI, DEFAULT> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_i64(Scalar {
            expected: &format!("a whole number from {LO} to {HI}"),
            text: |_| None,
            number: |number| (LO..=HI).contains(&number).then_some(Self(number)),
        })
    }
}

impl<const LO: i64, const HI: i64, const DEFAULT: i64> Serialize for Whole<LO, HI, DEFAULT> {
    fn serialize<S: Serializer>(&self, into: S) -> Result<S::Ok, S::Error> {
        into.serialize_i64(self.0)
    }
}

impl<const LO: i64, const HI: i64, const DEFAULT: i64> JsonSchema for Whole<LO, HI, DEFAULT> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        format!("Whole_{LO}_{HI}").into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": LO, "maximum": HI })
    }
}

const PERIODS: [(&str, u64); 5] = [
    ("ms", 1),
    ("s", 1000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
];

/// A duration as a pipeline file has it, such as "500ms" or "5m"; `None`: it is none.
pub fn duration(text: &str) -> Option<Duration> {
    measured(text, &PERIODS).map(Duration::from_millis)
}

/// A duration from `LO` to `HI` milliseconds, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::spec) struct Period<const LO: u64, const HI: u64, const DEFAULT: u64>(pub(in crate::spec) u64);

impl<const LO: u64, const HI: u64, const DEFAULT: u64> Period<LO, HI, DEFAULT> {
    pub(in crate::spec) fn duration(self) -> Duration {
        Duration::from_millis(self.0)
    }
}

impl<const LO: u64, const HI: u64, const DEFAULT: u64> Default for Period<LO, HI, DEFAULT> {
    fn default() -> Self {
        Self(DEFAULT)
    }
}

impl<'de, const LO: u64, const HI: u64, const DEFAULT: u64> Deserialize<'de> for Period<LO, HI, DEFAULT> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let expected = format!(
            "a duration from \"{}\" to \"{}\"",
            written(LO, &PERIODS),
            written(HI, &PERIODS)
        );
        from.deserialize_str(Scalar {
            expected: &expected,
            text: |text| measured(text, &PERIODS).filter(|ms| (LO..=HI).contains(ms)).map(Self),
            number: |_| None,
        })
    }
}

impl<const LO: u64, const HI: u64, const DEFAULT: u64> Serialize for Period<LO, HI, DEFAULT> {
    fn serialize<S: Serializer>(&self, into: S) -> Result<S::Ok, S::Error> {
        into.serialize_str(&written(self.0, &PERIODS))
    }
}

impl<const LO: u64, const HI: u64, const DEFAULT: u64> JsonSchema for Period<LO, HI, DEFAULT> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        format!("Period_{LO}_{HI}").into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9]+(ms|s|m|h|d)$" })
    }
}

const SIZES: [(&str, u64); 4] = [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];

/// A size from `LO` to `HI` bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::spec) struct Size<const LO: u64, const HI: u64, const DEFAULT: u64>(pub(in crate::spec) u64);

impl<const LO: u64, const HI: u64, const DEFAULT: u64> Default for Size<LO, HI, DEFAULT> {
    fn default() -> Self {
        Self(DEFAULT)
    }
}

impl<'de, const LO: u64, const HI: u64, const DEFAULT: u64> Deserialize<'de> for Size<LO, HI, DEFAULT> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let expected = format!("a size from \"{}\" to \"{}\"", written(LO, &SIZES), written(HI, &SIZES));
        from.deserialize_str(Scalar {
            expected: &expected,
            text: |text| {
                measured(text, &SIZES)
                    .filter(|bytes| (LO..=HI).contains(bytes))
                    .map(Self)
            },
            number: |_| None,
        })
    }
}

impl<const LO: u64, const HI: u64, const DEFAULT: u64> Serialize for Size<LO, HI, DEFAULT> {
    fn serialize<S: Serializer>(&self, into: S) -> Result<S::Ok, S::Error> {
        into.serialize_str(&written(self.0, &SIZES))
    }
}

impl<const LO: u64, const HI: u64, const DEFAULT: u64> JsonSchema for Size<LO, HI, DEFAULT> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        format!("Size_{LO}_{HI}").into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9]+(B|KiB|MiB|GiB)$" })
    }
}

/// A number with its unit, in the smallest unit.
fn measured(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.find(|letter: char| !letter.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

/// The shortest text that `measured` reads as this number.
fn written(number: u64, units: &[(&str, u64)]) -> String {
    let largest = units
        .iter()
        .rev()
        .find(|(_, factor)| number > 0 && number.is_multiple_of(*factor));
    let (unit, factor) = largest.unwrap_or(&units[0]);
    format!("{}{unit}", number / factor)
}

/// The same rule for the texts that are names: a type, what it expects, its test, and its pattern in the schema.
macro_rules! names {
    ($($(#[$doc:meta])* $name:ident, $expected:literal, $pattern:literal, $test:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
        pub(in crate::spec) struct $name(pub(in crate::spec) String);

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let test: fn(&str) -> bool = $test;
                let text = from.deserialize_str(Scalar {
                    expected: $expected,
                    text: |text| Some(text.to_owned()),
                    number: |_| None,
                })?;
                if test(&text) {
                    Ok(Self(text))
                } else {
                    Err(de::Error::invalid_value(Unexpected::Str(&text), &$expected))
                }
            }
        }

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "pattern": $pattern })
            }
        }
    )*};
}

names! {
    /// The name of a pipeline.
    Name, "a name of a-z, 0-9 and -, at most 64 letters, not beginning with -", "^[a-z0-9][a-z0-9-]{0,63}$", is_name;
    /// The id of a process among the members of a pipeline.
    Instance, "an id of letters, digits, `.`, `_` and `-`, at most 64", "^[A-Za-z0-9._-]{1,64}$",
        |text| is_word(text, 64);
    /// A topic of Kafka.
    Topic, "a topic's name: letters, digits, `.`, `_` and `-`, at most 249", "^[A-Za-z0-9._-]{1,249}$",
        |text| is_word(text, 249) && text != "." && text != "..";
    /// A text with at least one letter.
    Text, "a text that is not empty", ".", |text| !text.trim().is_empty();
    /// Addresses of brokers.
    Brokers, "`host:port`, comma-separated", "^[^,\\s]+:[0-9]+(,[^,\\s]+:[0-9]+)*$",
        |text| text.split(',').all(is_address);
}

/// What the parts of a pipeline are called.
pub(in crate::spec) fn is_name(text: &str) -> bool {
    let fits = |letter: u8| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == b'-';
    (1..=64).contains(&text.len()) && text.bytes().all(fits) && !text.starts_with('-')
}

fn is_word(text: &str, max: usize) -> bool {
    (1..=max).contains(&text.len())
        && text
            .bytes()
            .all(|letter| letter.is_ascii_alphanumeric() || b"._-".contains(&letter))
}

fn is_address(text: &str) -> bool {
    text.rsplit_once(':').is_some_and(|(host, port)| {
        !host.is_empty() && !host.contains(char::is_whitespace) && port.parse::<u16>().is_ok_and(|port| port > 0)
    })
}
