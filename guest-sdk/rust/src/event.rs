//! A single event, borrowed from its batch.

use serde::Deserialize;

use crate::batch::NONE;
use crate::json::LazyValue;
use crate::{Batch, Refusal, dead_letter};

/// A record as it came in. Copies nothing: everything is borrowed from the batch.
#[derive(Debug, Clone, Copy)]
pub struct Event<'a> {
    batch: &'a Batch,
    index: usize,
    watermark: i64,
}

impl<'a> Event<'a> {
    pub(crate) fn new(batch: &'a Batch, index: usize, watermark: i64) -> Self {
        Self {
            batch,
            index,
            watermark,
        }
    }

    /// The key, `None` if it is null.
    #[must_use]
    #[inline]
    pub fn key(&self) -> Option<&'a [u8]> {
        self.batch.key(self.index)
    }

    /// The value, `None` if it is null (Kafka's tombstone).
    #[must_use]
    #[inline]
    pub fn value(&self) -> Option<&'a [u8]> {
        self.batch.values.get(self.index)
    }

    /// The value, if it is present.
    ///
    /// # Errors
    /// A null value is a dead letter.
    #[inline]
    pub fn bytes(&self) -> Result<&'a [u8], Refusal> {
        self.value().ok_or_else(|| dead_letter("the value is null"))
    }

    /// The value as text.
    ///
    /// # Errors
    /// A null value, or one that is not UTF-8, is a dead letter.
    pub fn text(&self) -> Result<&'a str, Refusal> {
        std::str::from_utf8(self.bytes()?).map_err(|error| dead_letter(format!("the value is not UTF-8: {error}")))
    }

    /// The value read as JSON; text may be borrowed from it.
    ///
    /// # Errors
    /// A null value, or one that is not such JSON, is a dead letter.
    pub fn json<T: Deserialize<'a>>(&self) -> Result<T, Refusal> {
        serde_json::from_slice(self.bytes()?)
            .map_err(|error| dead_letter(format!("the value is not the expected JSON: {error}")))
    }

    /// The value as JSON of which nothing is read until it is asked for; that it is JSON is checked.
    ///
    /// # Errors
    /// A null value, or one that is not JSON, is a dead letter.
    pub fn json_value(&self) -> Result<LazyValue<'a>, Refusal> {
        LazyValue::new(self.bytes()?).map_err(|invalid| dead_letter(format!("the value is {invalid}")))
    }

    /// Event time in milliseconds since 1970.
    #[must_use]
    #[inline]
    pub fn timestamp(&self) -> i64 {
        self.batch.timestamps[self.index]
    }

    /// Event time as it stands before this record, in milliseconds since 1970: no older record is expected. The least
    /// number there is while nothing is known, and for a plugin that declares no timers.
    #[must_use]
    #[inline]
    pub fn watermark(&self) -> i64 {
        self.watermark
    }

    /// The host's clock, in milliseconds since 1970.
    #[must_use]
    pub fn processing_time(&self) -> i64 {
        self.batch.processing_time()
    }

    /// Index of the declared input that it came through.
    #[must_use]
    pub fn input(&self) -> usize {
        self.batch.inputs.get(self.index).map_or(0, |&input| usize::from(input))
    }

    /// The headers, in order; empty unless the plugin asks for them, as it does by default.
    pub fn headers(&self) -> impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)> {
        self.batch.headers.of(self.index)
    }

    /// The value of the last header of this name: if a name repeats, Kafka's clients read the last.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&'a [u8]> {
        let named = self.headers().filter(|(is, _)| *is == name.as_bytes());
        named.last().and_then(|(_, value)| value)
    }

    /// Partition and offset; `None` unless the plugin asked for [`coordinates`](crate::Description::coordinates).
    #[must_use]
    pub fn coordinates(&self) -> Option<(u32, i64)> {
        Some((
            *self.batch.partitions.get(self.index)?,
            *self.batch.offsets.get(self.index)?,
        ))
    }

    /// The index of its key among the batch's.
    ///
    /// # Errors
    /// A record without a key is a dead letter: there is nothing to keep state by.
    #[inline]
    pub(crate) fn key_index(&self) -> Result<u32, Refusal> {
        match self.batch.key_of[self.index] {
            NONE => Err(dead_letter("the record has no key")),
            key => Ok(key),
        }
    }

    /// Index in its batch.
    #[must_use]
    #[inline]
    pub fn index(&self) -> usize {
        self.index
    }

    /// The batch that it belongs to.
    #[must_use]
    #[inline]
    pub fn batch(&self) -> &'a Batch {
        self.batch
    }
}
