//! Gaps as a plugin has them: a field, declared as a store.

use std::ops::Range;

use super::fill::Fill;
use super::kept::{Gaps, KeptRecord};
use crate::bindings::sandbar::plugin::types::StoreKind;
use crate::state::{Changes, Kept, Timed};
use crate::window::Span;
use crate::{Column, Event, Failure, Fired, Keyed, Refusal, Store, Timer, Value, dead_letter, fail};

/// Fills that one record makes necessary may take so many bytes, with what surrounds each of them: a call has to hold
/// them all.
const FILLS_MAX: i64 = 16 << 20;
/// Its place among the outputs, and its timer.
const SURROUNDING: i64 = 96;

/// One record an interval of each key. A field of the plugin, declared by [`Stores::timed`](crate::Stores::timed), and
/// opened in [`Plugin::open`](crate::Plugin::open).
#[derive(Default)]
pub struct GapFill {
    every: i64,
    fill: Option<Fill>,
    gaps: Value<Gaps>,
    timer: Timer,
    /// The firing that worked on intervals last.
    fired: Option<u32>,
}

/// An interval as it is put out.
#[derive(Debug)]
pub struct IntervalResult<'a> {
    /// The time that the result should have: the record's or, if there is none, the interval's start; in
    /// milliseconds since 1970.
    pub time: i64,
    /// `None` is null.
    pub value: Option<&'a [u8]>,
    /// The interval's last record; `None`: it has none, and the value fills the gap.
    record: Option<&'a KeptRecord>,
}

impl IntervalResult<'_> {
    /// Whether no record came in it.
    #[must_use]
    pub fn is_gap(&self) -> bool {
        self.record.is_none()
    }

    /// The record's headers, in order.
    pub fn headers(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        let headers = self.record.into_iter().flat_map(|record| &record.headers);
        headers.map(|(name, value)| (&name.0[..], value.as_ref().map(|value| &value.0[..])))
    }
}

impl GapFill {
    /// Says how long an interval is, and what fills the gaps.
    ///
    /// # Errors
    /// There is no such interval.
    pub fn open(&mut self, every: Span, fill: Fill) -> Result<(), Refusal> {
        if every.ms() < 1 {
            return Err(fail("the intervals of `every` are less than 1 ms long"));
        }
        (self.every, self.fill) = (every.ms(), Some(fill));
        Ok(())
    }

    /// A record is the last one of its interval so far. False: event time has passed the interval.
    ///
    /// # Errors
    /// A record without a key, one whose time is beyond all intervals, and one so far from the others of its key that
    /// one call could not hold what fills the gap are dead letters. State of other intervals stops the pipeline.
    pub fn add(&mut self, event: &Event) -> Result<bool, Refusal> {
        let time = event.timestamp();
        let start = time.checked_sub(time.rem_euclid(self.every.max(1)));
        let start = start.filter(|start| start.checked_add(self.every).is_some());
        let start = start.ok_or_else(|| dead_letter(format!("the record's time, {time}, is beyond all intervals")))?;
        let known = self.gaps.get(event)?.map(|gaps| gaps.checked(self.every)).transpose()?;
        let is_over = known.as_ref().is_some_and(|gaps| gaps.has_begun && start < gaps.next);
        if is_over || start + (self.every - 1) <= event.watermark() {
            return Ok(false);
        }
        let mut gaps = known.unwrap_or_else(|| Gaps::new(self.every, start));
        let added = gaps.added(start);
        self.check_fills(event, &gaps, &added)?;
        gaps.next = gaps.next.min(start);
        gaps.put(start, KeptRecord::of(event));
        self.gaps.set(event, &gaps)?;
        let mut start = added.start;
        while start < added.end {
            self.timer.set(event, start + (self.every - 1))?;
            start += self.every;
        }
        Ok(true)
    }

    /// An interval is over; `put` takes what is to be put out. Nothing happens if it is another one's timer. If the
    /// firing is refused by `skip`, what it put out is gone, but the interval is over nevertheless.
    ///
    /// # Errors
    /// What `put` refuses. State that cannot be read, or is of other intervals, stops the pipeline.
    pub fn fire(
        &mut self,
        fired: &Fired,
        put: impl FnOnce(&IntervalResult) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        let Some(gaps) = self.gaps.get(fired)?.filter(|_| fired.is(&self.timer)) else {
            return Ok(());
        };
        let mut gaps = gaps.checked(self.every)?;
        if gaps.waiting.is_empty() || gaps.next + (self.every - 1) != fired.at() {
            return Ok(());
        }
        let start = gaps.next;
        let has_record = gaps.waiting.first().is_some_and(|(first, _)| *first == start);
        let record = has_record.then(|| gaps.waiting.remove(0).1);
        (gaps.next, gaps.has_begun) = (start + self.every, true);
        if let (Some(record), Some(Fill::Last)) = (&record, &self.fill) {
            gaps.last.clone_from(&record.value);
        }
        self.gaps.set(fired, &gaps)?;
        self.fired = Some(fired.turn());
        put(&match &record {
            Some(record) => IntervalResult {
                time: record.timestamp,
                value: record.value.as_ref().map(|value| &value.0[..]),
                record: Some(record),
            },
            None => IntervalResult {
                time: start,
                value: self.filler(&gaps),
                record: None,
            },
        })
    }

    /// What fills a gap of the key.
    fn filler<'a>(&'a self, gaps: &'a Gaps) -> Option<&'a [u8]> {
        match &self.fill {
            Some(Fill::Last) => gaps.last.as_ref().map(|last| &last.0[..]),
            Some(Fill::Value(json)) => Some(json.as_bytes()),
            Some(Fill::Null) | None => None,
        }
    }

    /// What one record makes necessary has to fit into a call: event time may have passed all of it already.
    fn check_fills(&self, event: &Event, gaps: &Gaps, added: &Range<i64>) -> Result<(), Refusal> {
        let fills = added.end.saturating_sub(added.start) / self.every - 1;
        let value = match (&self.fill, gaps.waiting.last()) {
            (Some(Fill::Last), Some(_)) if added.start < gaps.next => event.value().map_or(0, <[u8]>::len),
            (Some(Fill::Last), Some((_, record))) => record.value.as_ref().map_or(0, |value| value.0.len()),
            _ => self.filler(gaps).map_or(0, <[u8]>::len),
        };
        let each = SURROUNDING + (Keyed::key(event).map_or(0, <[u8]>::len) + value) as i64;
        if fills.saturating_mul(each) <= FILLS_MAX {
            return Ok(());
        }
        Err(dead_letter(format!(
            "the record is {fills} intervals away from the others of its key: to fill them takes more than {} MiB",
            FILLS_MAX >> 20
        )))
    }
}

impl Store for GapFill {
    const KIND: StoreKind = <Value<Gaps> as Store>::KIND;
    const CODEC: &'static str = <Value<Gaps> as Store>::CODEC;

    fn schema() -> serde_json::Value {
        <Value<Gaps> as Store>::schema()
    }
}

impl Timed for GapFill {
    fn timer(&mut self) -> &mut Timer {
        &mut self.timer
    }
}

impl Kept for GapFill {
    fn begin(&mut self, store: u8, name: &'static str, keys: usize, values: Column) {
        self.fired = None;
        self.gaps.begin(store, name, keys, values);
    }

    fn undo(&mut self, turn: u32) {
        if self.fired != Some(turn) {
            self.gaps.undo(turn);
        }
    }

    fn finish(&mut self, into: &mut Changes) -> Result<(), Failure> {
        self.gaps.finish(into)
    }
}

impl std::fmt::Debug for GapFill {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("GapFill")
            .field("every", &self.every)
            .field("fill", &self.fill)
            .finish_non_exhaustive()
    }
}
