//! JSON without a tree: one value is found in a document by its pointer (RFC 6901), and the whole document is checked on the way.

use std::fmt;

use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// Looks `pointer` up in `document`. A [`Pointer`] that is kept is faster: it is read once.
///
/// # Errors
/// The pointer is none, or the document is not JSON.
pub fn pointer<'a>(document: &'a [u8], pointer: &str) -> Result<Option<Raw<'a>>, Invalid> {
    Pointer::new(pointer)?.find(document)
}

/// What is not JSON, or no JSON pointer, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid(String);

impl fmt::Display for Invalid {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl std::error::Error for Invalid {}

/// A pointer into JSON documents such as `/user/tags/0`; `~1` is a slash and `~0` a tilde in a name, the empty text is the document.
///
/// As a field of a plugin it is read from the configuration like a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pointer(Vec<Step>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Step {
    name: String,
    /// What the step means in an array.
    index: Option<usize>,
}

/// The JSON reader gives up at 128 levels; a pointer stays well below.
const STEPS_MAX: usize = 64;

impl Pointer {
    /// Reads a pointer.
    ///
    /// # Errors
    /// The text is neither empty nor starts with a slash, has a tilde without 0 or 1 behind it, or more than 64 steps.
    pub fn new(text: &str) -> Result<Self, Invalid> {
        let Some(steps) = text.strip_prefix('/') else {
            return match text {
                "" => Ok(Self(Vec::new())),
                _ => Err(Invalid(format!(
                    "the JSON pointer \"{text}\" does not start with a slash"
                ))),
            };
        };
        let steps = steps.split('/').map(Step::new).collect::<Result<Vec<_>, _>>()?;
        if steps.len() > STEPS_MAX {
            return Err(Invalid(format!(
                "a JSON pointer has at most {STEPS_MAX} steps, this one {}",
                steps.len()
            )));
        }
        Ok(Self(steps))
    }

    /// The value that the pointer leads to, `None` where there is none. Of equal names in an object the last one counts, as for most
    /// readers of JSON.
    ///
    /// # Errors
    /// The document, also far from the value, is not JSON.
    pub fn find<'a>(&self, document: &'a [u8]) -> Result<Option<Raw<'a>>, Invalid> {
        let text = std::str::from_utf8(document).map_err(|error| not_json(&error))?;
        let mut reader = serde_json::Deserializer::from_str(text);
        let found = Seek(&self.0)
            .deserialize(&mut reader)
            .map_err(|error| not_json(&error))?;
        reader.end().map_err(|error| not_json(&error))?;
        Ok(found.map(Raw))
    }
}

fn not_json(error: &dyn fmt::Display) -> Invalid {
    Invalid(format!("not JSON: {error}"))
}

impl Step {
    fn new(step: &str) -> Result<Self, Invalid> {
        let mut pieces = step.split('~');
        let mut name = pieces.next().unwrap_or_default().to_owned();
        for piece in pieces {
            let (is, rest) = match piece.as_bytes().first() {
                Some(b'0') => ('~', &piece[1..]),
                Some(b'1') => ('/', &piece[1..]),
                _ => {
                    return Err(Invalid(format!(
                        "the step \"{step}\" of a JSON pointer has a tilde without 0 or 1 behind it"
                    )));
                }
            };
            name.push(is);
            name.push_str(rest);
        }
        let is_index = name == "0" || (name.bytes().all(|byte| byte.is_ascii_digit()) && !name.starts_with('0'));
        let index = if is_index { name.parse().ok() } else { None };
        Ok(Self { name, index })
    }
}

impl<'de> Deserialize<'de> for Pointer {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        Self::new(&text).map_err(de::Error::custom)
    }
}

/// A value as it stands in its document.
#[derive(Debug, Clone, Copy)]
pub struct Raw<'a>(&'a RawValue);

impl<'a> Raw<'a> {
    /// The JSON text of the value.
    #[must_use]
    pub fn text(&self) -> &'a str {
        self.0.get()
    }

    /// The value as a number; `None` where it is none.
    #[must_use]
    pub fn number(&self) -> Option<f64> {
        self.to()
    }

    /// The value read into a type, such as `u64`, `String`, or a struct; `None` where it is not such a value.
    #[must_use]
    pub fn to<T: Deserialize<'a>>(&self) -> Option<T> {
        serde_json::from_str(self.text()).ok()
    }
}

/// Walks along the steps, and checks and skips everything else.
struct Seek<'p>(&'p [Step]);

impl<'de> DeserializeSeed<'de> for Seek<'_> {
    type Value = Option<&'de RawValue>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        match self.0 {
            [] => <&RawValue>::deserialize(from).map(Some),
            _ => from.deserialize_any(self),
        }
    }
}

impl<'de> Visitor<'de> for Seek<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (step, rest) = (&self.0[0], &self.0[1..]);
        let mut found = None;
        while let Some(is_it) = map.next_key_seed(Name(&step.name))? {
            if is_it {
                found = map.next_value_seed(Seek(rest))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let (step, rest) = (&self.0[0], &self.0[1..]);
        if let Some(index) = step.index {
            for _ in 0..index {
                if seq.next_element::<IgnoredAny>()?.is_none() {
                    return Ok(None);
                }
            }
            if let Some(found) = seq.next_element_seed(Seek(rest))? {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                return Ok(found);
            }
            return Ok(None);
        }
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}

/// Says of a member's name whether it is the one looked for.
struct Name<'p>(&'p str);

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<bool, D::Error> {
        from.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = bool;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<bool, E> {
        Ok(name == self.0)
    }
}

#[cfg(test)]
mod tests;
