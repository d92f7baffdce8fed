//! A batch as it came in.

use crate::bindings::sandbar::plugin::batches;
use crate::time::Advance;
use crate::{Column, Event, Headers};

/// Says of an event that it has no key, and of an output that no event caused it.
pub(crate) const NONE: u32 = u32::MAX;

/// Events in the order of their arrival, in columns.
///
/// Always: `key_of`, `timestamps` and `values` are equally long; the columns that were not asked for are empty.
#[derive(Debug, Default)]
pub struct Batch {
    /// The keys that `key_of` points to.
    pub(crate) keys: Column,
    pub(crate) key_of: Vec<u32>,
    pub(crate) inputs: Vec<u8>,
    pub(crate) timestamps: Vec<i64>,
    pub(crate) values: Column,
    pub(crate) partitions: Vec<u32>,
    pub(crate) offsets: Vec<i64>,
    pub(crate) headers: Headers,
    /// A column a value store, an entry a key.
    pub(crate) states: Vec<Column>,
    /// Event time before the call.
    pub(crate) watermark: i64,
    /// How it moves, in the order of the events.
    pub(crate) advances: Vec<Advance>,
    /// The timers of the state that are due.
    pub(crate) due: Vec<batches::Due>,
    processing_time: i64,
    seed: u64,
}

impl Batch {
    /// Number of events.
    #[must_use]
    pub fn len(&self) -> usize {
        self.timestamps.len()
    }

    /// Whether there is no event.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.timestamps.is_empty()
    }

    /// Event `index`. Panics when there is no such event, as a slice does.
    #[must_use]
    #[inline]
    pub fn event(&self, index: usize) -> Event<'_> {
        let moved = self.advances.partition_point(|advance| advance.before <= index);
        let last = self.advances[..moved].last();
        self.event_at(index, last.map_or(self.watermark, |last| last.watermark))
    }

    /// Event `index`, when event time stands at `watermark`.
    #[inline]
    pub(crate) fn event_at(&self, index: usize, watermark: i64) -> Event<'_> {
        Event::new(self, index, watermark)
    }

    /// The events in order.
    pub fn events(&self) -> impl Iterator<Item = Event<'_>> {
        (0..self.len()).map(|index| self.event(index))
    }

    /// The key of event `index`, `None` if it is null.
    #[must_use]
    #[inline]
    pub fn key(&self, index: usize) -> Option<&[u8]> {
        match self.key_of[index] {
            NONE => None,
            key => self.keys.get(key as usize),
        }
    }

    /// The values, an entry an event.
    #[must_use]
    pub fn values(&self) -> &Column {
        &self.values
    }

    /// The timestamps, an entry an event, in milliseconds since 1970.
    #[must_use]
    pub fn timestamps(&self) -> &[i64] {
        &self.timestamps
    }

    /// The headers of all events.
    #[must_use]
    pub fn headers(&self) -> &Headers {
        &self.headers
    }

    /// The host's clock when the batch was cut, in milliseconds since 1970: the only clock there is.
    #[must_use]
    pub fn processing_time(&self) -> i64 {
        self.processing_time
    }

    /// For what needs chance; the same in a replay.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The keys, an entry an event: moved if the host sent one an event, else copied.
    pub(crate) fn into_key_per_event(self) -> (Column, Self) {
        let mut batch = self;
        let is_one_an_event =
            batch.keys.len() == batch.len() && (0u32..).zip(&batch.key_of).all(|(index, &key)| index == key);
        if is_one_an_event {
            return (std::mem::take(&mut batch.keys), batch);
        }
        let mut keys = Column::default();
        keys.reserve(batch.len(), batch.keys.bytes.len());
        (0..batch.len()).for_each(|index| keys.push(batch.key(index)));
        (keys, batch)
    }
}

impl From<batches::Batch> for Batch {
    fn from(batch: batches::Batch) -> Self {
        let events = batch.events;
        Self {
            keys: batch.keys.into(),
            key_of: events.key,
            inputs: events.input,
            timestamps: events.timestamp,
            values: events.value.into(),
            partitions: events.partition,
            offsets: events.offset,
            headers: events.headers.into(),
            states: batch.values.into_iter().map(Column::from).collect(),
            watermark: batch.watermark,
            advances: batch
                .advances
                .iter()
                .map(|advance| Advance {
                    before: advance.before as usize,
                    watermark: advance.watermark,
                })
                .collect(),
            due: batch.due,
            processing_time: batch.processing_time,
            seed: batch.seed,
        }
    }
}
