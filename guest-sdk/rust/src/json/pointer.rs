//! Pointers: where in a document a value stands.

use serde::de::{Deserialize, Deserializer, Error};

use super::lazy::LazyValue;
use super::reader::{Invalid, Reader};

/// Looks `pointer` up in `document`. A [`Pointer`] that is kept is faster: it is read once.
///
/// # Errors
/// The pointer is none, or the document is not JSON.
pub fn pointer<'a>(document: &'a [u8], pointer: &str) -> Result<Option<LazyValue<'a>>, Invalid> {
    Pointer::new(pointer)?.find(document)
}

/// A pointer into JSON documents such as `/user/tags/0`; `~1` is a slash and `~0` a tilde in a name, the empty text is
/// the document.
///
/// As a field of a plugin it is read from the configuration like a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pointer(Vec<Step>);

/// A step of a pointer: into the member of an object, or into the entry of an array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) name: String,
    /// What the step means in an array.
    pub(super) index: Option<usize>,
}

impl Pointer {
    /// Reads a pointer.
    ///
    /// # Errors
    /// The text is neither empty nor starts with a slash, or it has a tilde without 0 or 1 behind it.
    pub fn new(text: &str) -> Result<Self, Invalid> {
        if text.is_empty() {
            return Ok(Self(Vec::new()));
        }
        let steps = text
            .strip_prefix('/')
            .ok_or_else(|| Invalid::new(format!("the JSON pointer \"{text}\" does not start with a slash")))?;
        Ok(Self(steps.split('/').map(Step::new).collect::<Result<_, _>>()?))
    }

    /// The value that the pointer leads to, `None` if there is none. Of equal names in an object the last one
    /// counts, as for most readers of JSON.
    ///
    /// # Errors
    /// The document, also far from the value, is not JSON, or it is nested deeper than 128 levels.
    pub fn find<'a>(&self, document: &'a [u8]) -> Result<Option<LazyValue<'a>>, Invalid> {
        let found = Reader::new(document).find(&self.0)?;
        Ok(found.map(|place| LazyValue::of(document, place)))
    }
}

impl Step {
    fn new(step: &str) -> Result<Self, Invalid> {
        let mut pieces = step.split('~');
        let mut name = pieces.next().unwrap_or_default().to_owned();
        for piece in pieces {
            let (escaped, rest) = match piece.as_bytes().first() {
                Some(b'0') => ('~', &piece[1..]),
                Some(b'1') => ('/', &piece[1..]),
                _ => {
                    let why = format!("the step \"{step}\" of a JSON pointer has a tilde without 0 or 1 behind it");
                    return Err(Invalid::new(why));
                }
            };
            name.push(escaped);
            name.push_str(rest);
        }
        // RFC 6901 knows neither leading zeros nor signs, which `parse` would take.
        let is_index = name == "0" || (name.bytes().all(|byte| byte.is_ascii_digit()) && !name.starts_with('0'));
        let index = if is_index { name.parse().ok() } else { None };
        Ok(Self { name, index })
    }
}

impl<'de> Deserialize<'de> for Pointer {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        Self::new(&text).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found<'a>(document: &'a str, at: &str) -> Option<&'a str> {
        pointer(document.as_bytes(), at).unwrap().map(|raw| raw.text())
    }

    #[test]
    fn the_examples_of_rfc_6901_are_found() {
        let document = r#"{"foo":["bar","baz"],"":0,"a/b":1,"c%d":2,"e^f":3,"g|h":4,"i\\j":5,"k\"l":6," ":7,"m~n":8}"#;
        for (at, expected) in [
            ("", document),
            ("/foo", r#"["bar","baz"]"#),
            ("/foo/0", "\"bar\""),
            ("/", "0"),
            ("/a~1b", "1"),
            ("/c%d", "2"),
            ("/e^f", "3"),
            ("/g|h", "4"),
            ("/i\\j", "5"),
            ("/k\"l", "6"),
            ("/ ", "7"),
            ("/m~0n", "8"),
        ] {
            assert_eq!(found(document, at), Some(expected), "{at}");
        }
    }

    #[test]
    fn what_is_not_there_is_not_found() {
        let document = r#" { "a" : [ 1 , { "b" : null } , "ü" ] , "n" : -1.5e3 } "#;
        assert_eq!(found(document, "/a/1/b"), Some("null"));
        assert_eq!(found(document, "/a/2"), Some("\"ü\""));
        for at in [
            "/x", "/a/3", "/a/-", "/a/01", "/a/+1", "/a/b", "/n/0", "/a/1/b/c", "/a/",
        ] {
            assert_eq!(found(document, at), None, "{at}");
        }
    }

    #[test]
    fn of_equal_names_the_last_one_counts() {
        assert_eq!(found(r#"{"a":1,"a":2}"#, "/a"), Some("2"));
        assert_eq!(found(r#"{"a":{"b":1},"a":3}"#, "/a/b"), None);
        assert_eq!(found(r#"{"a":1,"\u0061":2}"#, "/a"), Some("2"));
    }

    #[test]
    fn a_wrong_pointer_is_refused() {
        for text in ["a", "a/b", "/~", "/~2", "/a~"] {
            assert!(Pointer::new(text).is_err(), "{text}");
        }
        assert_eq!(found(r#"{"~1":1}"#, "/~01"), Some("1"));
    }
}
