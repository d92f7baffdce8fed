//! Pointers, and the values that they lead to.

use serde::de::{Deserialize, Deserializer, Error};

use super::compact::compact;
use super::reader::{Invalid, Reader};

/// Looks `pointer` up in `document`. A [`Pointer`] that is kept is faster: it is read once.
///
/// # Errors
/// The pointer is none, or the document is not JSON.
pub fn pointer<'a>(document: &'a [u8], pointer: &str) -> Result<Option<Raw<'a>>, Invalid> {
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
    pub fn find<'a>(&self, document: &'a [u8]) -> Result<Option<Raw<'a>>, Invalid> {
        let found = Reader::new(document).find(&self.0)?;
        Ok(found.map(Raw))
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

/// A value as it stands in its document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Raw<'a>(&'a str);

impl<'a> Raw<'a> {
    /// The JSON text of the value.
    #[must_use]
    pub fn text(&self) -> &'a str {
        self.0
    }

    /// Bytes that are equal if the values are: a number is the same however it is written (beyond 64 bits: if it is
    /// written the same), a text is its characters, anything else its JSON without spaces. Empty for null.
    #[must_use]
    pub fn identity(&self) -> Vec<u8> {
        let tagged = |kind: u8, bytes: &[u8]| [&[kind], bytes].concat();
        match self.0.as_bytes() {
            b"null" => Vec::new(),
            [b'-' | b'0'..=b'9', ..] => match (self.0.parse::<i64>(), self.0.parse::<f64>()) {
                (Ok(number), _) => tagged(b'i', number.to_string().as_bytes()),
                (_, Ok(float)) if float as i64 as f64 == float && float.abs() < WHOLE_EXACT => {
                    tagged(b'i', (float as i64).to_string().as_bytes())
                }
                (_, Ok(float)) if float.is_finite() && self.0.contains(['.', 'e', 'E']) => {
                    tagged(b'f', &float.to_be_bytes())
                }
                _ => tagged(b'n', self.0.as_bytes()),
            },
            [b'"', ..] => match self.to::<String>() {
                Some(text) => tagged(b's', text.as_bytes()),
                None => tagged(b'j', self.0.as_bytes()),
            },
            _ => tagged(b'j', compact(self.0).as_bytes()),
        }
    }

    /// The value as the number nearest to it, infinite beyond the range of `f64`; `None` if it is no number.
    #[must_use]
    pub fn number(&self) -> Option<f64> {
        match self.0.as_bytes() {
            short if short.len() <= DIGITS_EXACT && short.iter().all(u8::is_ascii_digit) => Some(whole(short)),
            [b'-' | b'0'..=b'9', ..] => self.0.parse().ok(),
            _ => None,
        }
    }

    /// The value read into a type, such as `u64`, `String`, or a struct; `None` if it is not such a value.
    #[must_use]
    pub fn to<T: Deserialize<'a>>(&self) -> Option<T> {
        serde_json::from_str(self.0).ok()
    }
}

/// 2^53: a float below it stands for one whole number.
const WHOLE_EXACT: f64 = 9_007_199_254_740_992.0;

/// So many digits are less than 2^53, up to which `f64` is exact.
const DIGITS_EXACT: usize = 15;

/// Most numbers are whole and short; reading them this way takes a fifth of the time of `parse`.
fn whole(digits: &[u8]) -> f64 {
    digits
        .iter()
        .fold(0u64, |number, digit| number * 10 + u64::from(digit - b'0')) as f64
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
    fn values_are_told_apart_by_what_they_are_and_not_by_how_they_are_written() {
        let identity = |document: &str| Raw(document).identity();
        for (one, other) in [
            ("5", "5.0"),
            ("5", "0.5e1"),
            ("-0.0", "0"),
            ("0.5", "5e-1"),
            ("\"a\"", "\"\\u0061\""),
            ("[1, 2]", "[1,2]"),
        ] {
            assert_eq!(identity(one), identity(other), "{one} {other}");
        }
        let all = [
            "5",
            "\"5\"",
            "5.5",
            "true",
            "\"true\"",
            "\"\"",
            "null",
            "[]",
            "{}",
            "9223372036854775807",
            "9223372036854775808",
            "9223372036854775809",
            "1e999",
            "1e998",
            "\"\\ud800\"",
        ];
        let distinct: std::collections::BTreeSet<_> = all.iter().map(|document| identity(document)).collect();
        assert_eq!(distinct.len(), all.len());
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

    #[test]
    fn numbers_are_told_from_what_looks_like_them() {
        let number = |document: &str| pointer(document.as_bytes(), "").unwrap().and_then(|raw| raw.number());
        assert_eq!(number("5"), Some(5.0));
        assert_eq!(number("-0.5e1"), Some(-5.0));
        assert_eq!(number("0"), Some(0.0));
        assert_eq!(number("999999999999999"), Some(999_999_999_999_999.0));
        assert_eq!(number("1000000000000000"), Some(1e15));
        assert_eq!(number("1e999"), Some(f64::INFINITY));
        assert_eq!(number("9007199254740993"), Some(9_007_199_254_740_992.0));
        for document in ["\"5\"", "true", "null", "[5]", "{}"] {
            assert_eq!(number(document), None, "{document}");
        }
    }
}
