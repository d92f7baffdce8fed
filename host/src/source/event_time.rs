//! Event time from inside a record's value: a JSON pointer (RFC 6901) to a number or a text.
//!
//! Never builds the value in memory: the parser walks to the place and skips the rest. Always: a record in which no
//! time is found keeps the one it had.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::error::{Error, Kind, Result};
use crate::record::Records;

/// A JSON pointer to the event time in a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonPointer {
    steps: Vec<Step>,
}

/// One step of a pointer: a member's name, which is an element's number as well if it looks like one.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Step {
    name: String,
    number: Option<usize>,
}

impl JsonPointer {
    /// Reads a pointer such as `/created_at` or `/payload/times/0`; the empty one is the whole value.
    ///
    /// # Errors
    /// `Invalid`: it does not begin with `/`, or has a `~` that is not `~0` (for `~`) or `~1` (for `/`).
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = |why: &str| Error::new(Kind::Invalid, format!("`{text}` is not a JSON pointer"), why);
        if text.is_empty() {
            return Ok(Self { steps: Vec::new() });
        }
        let Some(rest) = text.strip_prefix('/') else {
            return Err(wrong("it begins with `/`, as `/created_at` does").hint(format!("write \"/{text}\"")));
        };
        let steps = rest.split('/').map(Step::parse).collect::<Option<_>>();
        steps
            .map(|steps| Self { steps })
            .ok_or_else(|| wrong("`~` stands for itself as `~0`, and `/` in a name as `~1`"))
    }

    /// Sets each record's timestamp to the time in its value: an integer of milliseconds since 1970, or an RFC 3339
    /// text, which is cut to milliseconds. The indexes of records without one (no value, not JSON, nothing there,
    /// something else there, a time before 1970, which Kafka has not) are added to `problems`; they keep their
    /// timestamp.
    pub fn apply(&self, records: &mut Records, problems: &mut Vec<u32>) {
        self.apply_from(0, records, problems);
    }

    /// The same for the records from index `from` on.
    pub fn apply_from(&self, from: usize, records: &mut Records, problems: &mut Vec<u32>) {
        for index in from..records.timestamps.len() {
            match records.values.get(index).and_then(|value| self.find(value)) {
                Some(time) => records.timestamps[index] = time,
                None => problems.push(index as u32),
            }
        }
    }

    fn find(&self, value: &[u8]) -> Option<i64> {
        let mut json = serde_json::Deserializer::from_slice(value);
        let found = PathLeft { steps: &self.steps }.deserialize(&mut json).ok()?;
        json.end().ok()?;
        found.filter(|time| *time >= 0)
    }
}

impl Step {
    /// `None`: a wrong escape.
    fn parse(text: &str) -> Option<Self> {
        let mut name = String::with_capacity(text.len());
        let mut rest = text.chars();
        while let Some(next) = rest.next() {
            name.push(match next {
                '~' => match rest.next()? {
                    '0' => '~',
                    '1' => '/',
                    _ => return None,
                },
                other => other,
            });
        }
        let canonical = name == "0" || !name.starts_with('0') && name.bytes().all(|byte| byte.is_ascii_digit());
        let number = if canonical { name.parse().ok() } else { None };
        Some(Self { name, number })
    }
}

/// What is still to go from here.
#[derive(Clone, Copy)]
struct PathLeft<'a> {
    steps: &'a [Step],
}

impl<'de> DeserializeSeed<'de> for PathLeft<'_> {
    type Value = Option<i64>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for PathLeft<'_> {
    type Value = Option<i64>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        let name = self.steps.first().map(|step| step.name.as_str());
        // As everywhere in JSON, the last of members with one name counts.
        while let Some(here) = map.next_key_seed(NamedMember(name))? {
            match here {
                true => found = map.next_value_seed(self.next())?,
                false => _ = map.next_value::<IgnoredAny>()?,
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Self::Value, A::Error> {
        let number = self.steps.first().and_then(|step| step.number);
        let mut found = None;
        for at in 0.. {
            if Some(at) == number {
                match elements.next_element_seed(self.next())? {
                    Some(time) => found = time,
                    None => break,
                }
            } else if elements.next_element::<IgnoredAny>()?.is_none() {
                break;
            }
        }
        Ok(found)
    }

    fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
        Ok(self.steps.is_empty().then_some(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
        Ok(self
            .steps
            .is_empty()
            .then_some(number)
            .and_then(|number| number.try_into().ok()))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        let time = || text.parse::<jiff::Timestamp>().ok();
        Ok(if self.steps.is_empty() {
            time().map(jiff::Timestamp::as_millisecond)
        } else {
            None
        })
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}

impl PathLeft<'_> {
    fn next(&self) -> Self {
        Self {
            steps: self.steps.get(1..).unwrap_or_default(),
        }
    }
}

/// Whether a member's name is the one that we go to; nothing is kept of it.
struct NamedMember<'a>(Option<&'a str>);

impl<'de> DeserializeSeed<'de> for NamedMember<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_str(self)
    }
}

impl Visitor<'_> for NamedMember<'_> {
    type Value = bool;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a member's name")
    }

    fn visit_str<E>(self, name: &str) -> Result<bool, E> {
        Ok(self.0 == Some(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(pointer: &str, value: &str) -> Option<i64> {
        let mut records = Records::default();
        records.keys.push(None);
        records.values.push(Some(value.as_bytes()));
        records.timestamps.push(-7);
        records.offsets.push(0);
        let mut problems = Vec::new();
        JsonPointer::parse(pointer).unwrap().apply(&mut records, &mut problems);
        match problems.as_slice() {
            [] => Some(records.timestamps[0]),
            [0] if records.timestamps[0] == -7 => None,
            other => panic!("{other:?} {:?}", records.timestamps),
        }
    }

    #[test]
    fn a_time_is_found_wherever_the_pointer_goes() {
        for (pointer, value, time) in [
            (
                "/ms",
                r#"{"a":{"ms":1},"ms":1700000000000,"z":[{}]}"#,
                Some(1_700_000_000_000),
            ),
            ("/at", r#"{"at":"2023-11-14T22:13:20Z"}"#, Some(1_700_000_000_000)),
            (
                "/at",
                r#"{"at":"2023-11-14T23:13:20.0019+01:00"}"#,
                Some(1_700_000_000_001),
            ),
            ("/a/b/1/c", r#"{"a":{"b":[0,{"c":5},6]}}"#, Some(5)),
            ("/a~1b/~0/01", r#"{"a/b":{"~":{"01":5}}}"#, Some(5)),
            ("/ä", r#"{"\u00e4":5}"#, Some(5)),
            ("/", r#"{"":5}"#, Some(5)),
            ("", "5", Some(5)),
            ("/ms", r#"{"ms":1,"ms":2}"#, Some(2)),
            ("/ms", r#"{"ms":0}"#, Some(0)),
        ] {
            assert_eq!(found(pointer, value), time, "{pointer} in {value}");
        }
    }

    #[test]
    fn a_record_without_a_time_keeps_its_own_and_is_reported() {
        for (pointer, value) in [
            ("/ms", r#"{"other":1}"#),
            ("/ms", r#"{"ms":1.5}"#),
            ("/ms", r#"{"ms":-1}"#),
            ("/ms", r#"{"ms":18446744073709551615}"#),
            ("/ms", r#"{"ms":null}"#),
            ("/ms", r#"{"ms":true}"#),
            ("/ms", r#"{"ms":{"ms":1}}"#),
            ("/ms", r#"{"ms":[1]}"#),
            ("/ms", r#"{"ms":"yesterday"}"#),
            ("/ms", r#"{"ms":1"#),
            ("/ms", r#"{"ms":1} x"#),
            ("/ms/x", r#"{"ms":1}"#),
            ("/a/01", r#"{"a":[1,2]}"#),
            ("/a/-", r#"{"a":[1,2]}"#),
            ("/a/2", r#"{"a":[1,2]}"#),
            ("", r#"{"ms":1}"#),
            ("/ms", "not JSON"),
            ("/ms", ""),
        ] {
            assert_eq!(found(pointer, value), None, "{pointer} in {value}");
        }
        let mut records = Records::default();
        for value in [None, Some(&br#"{"ms":3}"#[..]), Some(b"\xff")] {
            records.values.push(value);
            records.timestamps.push(1);
        }
        let mut problems = Vec::new();
        JsonPointer::parse("/ms").unwrap().apply(&mut records, &mut problems);
        assert_eq!(
            (records.timestamps.as_slice(), problems.as_slice()),
            (&[1, 3, 1][..], &[0, 2][..])
        );
    }

    #[test]
    fn a_deep_value_is_a_problem_and_not_a_crash() {
        let deep = format!("{}1{}", "[".repeat(1_000_000), "]".repeat(1_000_000));
        assert_eq!(found("/0/0", &deep), None);
    }

    #[test]
    fn a_wrong_pointer_is_refused() {
        for pointer in ["ms", "/a~", "/a~2", "$.ms"] {
            assert_eq!(
                JsonPointer::parse(pointer).unwrap_err().kind,
                Kind::Invalid,
                "{pointer}"
            );
        }
    }
}
