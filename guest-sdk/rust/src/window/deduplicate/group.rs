//! What is kept: the groups of each key, and when they are over.

use serde::{Deserialize, Serialize};

use crate::outputs::Emitted;
use crate::{Bytes, Event, Outputs};

/// Records of one key that are the same, near in time to the first of them that came.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct RecordGroup {
    /// The time of the first one, by arrival.
    pub(super) first: i64,
    /// The moment at which the group is over.
    pub(super) end: i64,
    /// The one that arrived last, if that is to come out.
    pub(super) last: Option<LastRecord>,
}

/// The record of a group that arrived last.
#[derive(Debug, Serialize, Deserialize)]
pub struct LastRecord {
    value: Option<Vec<u8>>,
    timestamp: i64,
    headers: Vec<(String, Option<Vec<u8>>)>,
}

impl LastRecord {
    pub(super) fn of(event: &Event) -> Self {
        let owned = |bytes: Option<&[u8]>| bytes.map(<[u8]>::to_vec);
        let headers = event.headers();
        Self {
            value: owned(event.value()),
            timestamp: event.timestamp(),
            headers: headers
                .map(|(name, value)| (String::from_utf8_lossy(name).into_owned(), owned(value)))
                .collect(),
        }
    }

    /// The value; `None` if it is null.
    #[must_use]
    pub fn value(&self) -> Option<&[u8]> {
        self.value.as_deref()
    }

    /// Event time in milliseconds since 1970.
    #[must_use]
    pub fn timestamp(&self) -> i64 {
        self.timestamp
    }

    /// Emits it as it came: value, headers and timestamp unchanged.
    pub fn emit<'a>(&self, key: impl Bytes, out: &'a mut Outputs) -> Emitted<'a> {
        let emitted = out.emit(key, self.value()).timestamp(self.timestamp);
        let headers = self.headers.iter();
        headers.fold(emitted, |emitted, (name, value)| emitted.header(name, value.as_deref()))
    }
}
