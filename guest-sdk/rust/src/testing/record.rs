//! What goes into a plugin under test, and what comes out.

use std::fmt;

use crate::Bytes;

/// A header's name and value.
pub(super) type Header = (String, Option<Vec<u8>>);

/// A record for the plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub(super) input: u8,
    pub(super) key: Option<Vec<u8>>,
    pub(super) value: Option<Vec<u8>>,
    pub(super) timestamp: i64,
    pub(super) headers: Vec<Header>,
}

impl Record {
    /// A record of the first input; [`NULL`](crate::NULL) is null.
    pub fn new(key: impl Bytes, value: impl Bytes, timestamp: i64) -> Self {
        Self {
            input: 0,
            key: key.bytes().map(<[u8]>::to_vec),
            value: value.bytes().map(<[u8]>::to_vec),
            timestamp,
            headers: Vec::new(),
        }
    }

    /// The same of another input, by its index among the declared ones.
    #[must_use]
    pub fn of_input(mut self, input: u8) -> Self {
        self.input = input;
        self
    }

    /// The same with a header behind those that it has.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Bytes) -> Self {
        self.headers.push((name.to_owned(), value.bytes().map(<[u8]>::to_vec)));
        self
    }
}

/// A record that the plugin put out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// The name of the output.
    pub output: String,
    /// The key; `None` is null.
    pub key: Option<Vec<u8>>,
    /// The value; `None` is null.
    pub value: Option<Vec<u8>>,
    /// In milliseconds since 1970.
    pub timestamp: i64,
    /// Names and values, in their order.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

/// As text: `out a=1 @1000`. What is no text is shown as far as it is, null as `null`.
impl fmt::Display for Output {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |bytes: &Option<Vec<u8>>| match bytes {
            Some(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            None => "null".to_owned(),
        };
        let (key, value) = (text(&self.key), text(&self.value));
        write!(out, "{} {key}={value} @{}", self.output, self.timestamp)
    }
}
