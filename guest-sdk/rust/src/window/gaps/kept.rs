//! What is kept of a key.

use std::fmt;
use std::ops::Range;

use serde::de::{Deserialize, Deserializer, Visitor};
use serde::{Serialize, Serializer};

use crate::{Event, Refusal, fail};

/// What is kept of a key.
///
/// Always: `waiting` ascends by the intervals' starts, and the first of them is not before `next`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, serde::Deserialize)]
pub(super) struct Gaps {
    /// How long an interval is: others than the configuration's are not gone on with.
    pub(super) every: i64,
    /// The start of the interval that is put out next.
    pub(super) next: i64,
    /// One was put out: what lies before `next` is over.
    pub(super) has_begun: bool,
    /// The last value that was put out, if fills repeat it.
    pub(super) last: Option<Bytes>,
    /// The last record of each interval that is still to come, by the interval's start.
    pub(super) waiting: Vec<(i64, KeptRecord)>,
}

/// A record that waits until its interval is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, serde::Deserialize)]
pub(super) struct KeptRecord {
    pub(super) timestamp: i64,
    pub(super) value: Option<Bytes>,
    pub(super) headers: Vec<(Bytes, Option<Bytes>)>,
}

/// Bytes that are written in one piece.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Bytes(pub(super) Vec<u8>);

impl Gaps {
    pub(super) fn new(every: i64, start: i64) -> Self {
        Self {
            every,
            next: start,
            has_begun: false,
            last: None,
            waiting: Vec::new(),
        }
    }

    /// The same, if its intervals are those of the configuration.
    pub(super) fn checked(self, every: i64) -> Result<Self, Refusal> {
        if self.every == every {
            return Ok(self);
        }
        Err(fail(format!(
            "the intervals in the state are {} ms long, those of the configuration {every} ms: give the operator a new \
             state",
            self.every
        )))
    }

    /// The record is the last one of its interval so far.
    pub(super) fn put(&mut self, start: i64, record: KeptRecord) {
        match self.waiting.binary_search_by_key(&start, |(start, _)| *start) {
            Ok(at) => self.waiting[at].1 = record,
            Err(at) => self.waiting.insert(at, (start, record)),
        }
    }

    /// The starts of the intervals that are put out because a record comes into the one that starts here, and would not
    /// be without it: from the first to behind the last.
    pub(super) fn added(&self, start: i64) -> Range<i64> {
        let behind = self.waiting.last().map_or(self.next, |(newest, _)| newest + self.every);
        match start < self.next {
            true => start..self.next,
            false => behind..start + self.every,
        }
    }
}

impl KeptRecord {
    pub(super) fn of(event: &Event) -> Self {
        let bytes = |bytes: &[u8]| Bytes(bytes.to_vec());
        let headers = event.headers();
        Self {
            timestamp: event.timestamp(),
            value: event.value().map(bytes),
            headers: headers.map(|(name, value)| (bytes(name), value.map(bytes))).collect(),
        }
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, into: S) -> Result<S::Ok, S::Error> {
        into.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Whole;
        impl Visitor<'_> for Whole {
            type Value = Bytes;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("bytes")
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Bytes, E> {
                Ok(Bytes(bytes.to_vec()))
            }
        }
        from.deserialize_bytes(Whole)
    }
}
