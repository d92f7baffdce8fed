//! Which windows there are, and when they are put out.

use super::Span;
use super::held::Pane;
use crate::{Refusal, dead_letter, fail};

/// A record belongs to no more windows than this.
const WINDOWS_MAX: i64 = 10_000;

/// How records are put into windows: its shape, and when a window is put out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Windows {
    pub(super) shape: Shape,
    lateness: i64,
    pub(super) emit: Emit,
    pub(super) retracts: bool,
}

/// When a window is put out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Emit {
    /// Once event time has passed it, and again for each record that comes within the allowed lateness.
    Close,
    /// After each record.
    Update,
    /// As [`Emit::Close`] and, if records came, whenever event time has moved on so far, counted from the window's
    /// start.
    Every(Span),
}

/// All in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// Tumbling ones are those that hop as far as they are long.
    Hopping {
        size: i64,
        every: i64,
        offset: i64,
    },
    Cumulating {
        size: i64,
        every: i64,
        offset: i64,
    },
    Session {
        gap: i64,
    },
    Count {
        size: i64,
        every: i64,
    },
    Global,
}

/// Windows one behind the other, in the order of their ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Row {
    start: i64,
    end: i64,
    start_step: i64,
    end_step: i64,
    left: i64,
}

impl Windows {
    fn new(shape: Shape) -> Self {
        Self {
            shape,
            lateness: 0,
            emit: Emit::Close,
            retracts: false,
        }
    }

    /// One behind the other, each of this size.
    #[must_use]
    pub fn tumbling(size: Span) -> Self {
        Self::hopping(size, size)
    }

    /// Each of this size, a new one every so often: they overlap.
    #[must_use]
    pub fn hopping(size: Span, every: Span) -> Self {
        let (size, every) = (size.ms(), every.ms());
        Self::new(Shape::Hopping { size, every, offset: 0 })
    }

    /// All from one start, each longer than the one before by `every`, up to `size`; then a new start.
    #[must_use]
    pub fn cumulating(size: Span, every: Span) -> Self {
        let (size, every) = (size.ms(), every.ms());
        Self::new(Shape::Cumulating { size, every, offset: 0 })
    }

    /// Records between any two of which, in the order of their times, there is this gap at most.
    #[must_use]
    pub fn session(gap: Span) -> Self {
        Self::new(Shape::Session { gap: gap.ms() })
    }

    /// So many records, in the order of their arrival.
    #[must_use]
    pub fn count(size: u32) -> Self {
        Self::last(size, size)
    }

    /// The last `size` records after every `every` of them.
    #[must_use]
    pub fn last(size: u32, every: u32) -> Self {
        let (size, every) = (size.into(), every.into());
        Self::new(Shape::Count { size, every })
    }

    /// All records of a key. It has no end, so it is put out after each record or every so often.
    #[must_use]
    pub fn global() -> Self {
        Self::new(Shape::Global)
    }

    /// Moves the starts of tumbling, hopping and cumulating windows, which lie at the multiples of their size (of
    /// `every`) since 1970.
    #[must_use]
    pub fn offset(mut self, by: Span) -> Self {
        if let Shape::Hopping { offset, .. } | Shape::Cumulating { offset, .. } = &mut self.shape {
            *offset = by.ms();
        }
        self
    }

    /// A window takes records for so long after event time has passed it.
    #[must_use]
    pub fn allowed_lateness(mut self, lateness: Span) -> Self {
        self.lateness = lateness.ms();
        self
    }

    /// When a window is put out; when it closes unless this is said.
    #[must_use]
    pub fn emit(mut self, emit: Emit) -> Self {
        self.emit = emit;
        self
    }

    /// What a result replaces is put out again before it, as a [retraction](super::WindowResult::is_retraction).
    #[must_use]
    pub fn retract(mut self) -> Self {
        self.retracts = true;
        self
    }

    /// Whether it is the one window of all records.
    #[must_use]
    pub fn is_global(&self) -> bool {
        self.shape == Shape::Global
    }

    /// The same, if it can be.
    pub(crate) fn checked(mut self) -> Result<Self, Refusal> {
        match &mut self.shape {
            Shape::Hopping { size, every, offset } => {
                check_steps("`every` of the windows", *size, *every)?;
                *offset = offset.rem_euclid(*every);
            }
            Shape::Cumulating { size, every, offset } => {
                check_steps("`every` of the windows", *size, *every)?;
                if *size % *every != 0 {
                    return Err(fail("the size of cumulating windows is no multiple of `every`"));
                }
                *offset = offset.rem_euclid(*size);
            }
            Shape::Session { gap } if *gap < 1 => return Err(fail("the gap of sessions is less than 1 ms")),
            Shape::Count { size, every } => check_steps("`every` of the counts", *size, *every)?,
            Shape::Session { .. } | Shape::Global => {}
        }
        let has_end = !matches!(self.shape, Shape::Count { .. } | Shape::Global);
        match self.emit {
            _ if self.lateness < 0 => Err(fail("the allowed lateness is negative")),
            _ if self.lateness > 0 && !has_end => Err(fail("count windows and the global one are never late")),
            Emit::Close if self.shape == Shape::Global => Err(fail("the global window never closes")),
            Emit::Every(every) if every.ms() < 1 => Err(fail("results cannot come more often than every 1 ms")),
            Emit::Every(_) if matches!(self.shape, Shape::Count { .. }) => Err(fail(
                "count windows do not go by time: they cannot be put out every so often",
            )),
            _ => Ok(self),
        }
    }

    /// The windows of a record by its time or, if they count, by the number of its arrival.
    #[inline]
    pub(crate) fn of(&self, time: i64, arrival: i64) -> Result<Row, Refusal> {
        let row = match self.shape {
            Shape::Hopping { size, every, offset } => hopping(time, size, every, offset),
            Shape::Cumulating { size, every, offset } => cumulating(time, size, every, offset),
            Shape::Session { gap } => time.checked_add(gap).map(|end| Row::one(time, end)),
            Shape::Count { size, every } => counting(arrival, size, every),
            Shape::Global => Some(Row::one(0, 0)),
        };
        row.ok_or_else(|| dead_letter(format!("the record's time, {time}, is beyond all windows")))
    }

    /// Whether each window is put out once, when it closes, and takes nothing after that.
    pub(crate) fn close_once(&self) -> bool {
        self.go_by_time() && self.lateness == 0 && self.emit == Emit::Close && !self.retracts
    }

    /// The gap between sessions, in milliseconds.
    pub(crate) fn session_gap(&self) -> Option<i64> {
        match self.shape {
            Shape::Session { gap } => Some(gap),
            _ => None,
        }
    }

    /// Whether event time ends windows, and gives them up.
    #[inline]
    pub(super) fn go_by_time(&self) -> bool {
        !matches!(self.shape, Shape::Count { .. } | Shape::Global)
    }

    /// Whether a window with this end takes no record any more.
    #[inline]
    pub(super) fn is_late(&self, end: i64, watermark: i64) -> bool {
        self.go_by_time() && self.gone_at(end) <= watermark
    }

    /// The moment at which a window with this end is given up.
    #[inline]
    pub(super) fn gone_at(&self, end: i64) -> i64 {
        closed_at(end).saturating_add(self.lateness)
    }

    /// The next moment after `now` at which something becomes of a window.
    #[inline]
    pub(super) fn next<S>(&self, pane: &Pane<S>, now: i64) -> Option<i64> {
        let mark = pane.mark.filter(|mark| *mark > now);
        if !self.go_by_time() {
            return mark;
        }
        let closed = Some(closed_at(pane.end)).filter(|at| *at > now && self.emit != Emit::Update);
        let ends = closed.unwrap_or_else(|| self.gone_at(pane.end));
        Some(mark.map_or(ends, |mark| mark.min(ends)))
    }

    /// The next moment at which a window is put out before it closes, seen from a record of this time.
    pub(super) fn mark(&self, every: Span, start: i64, end: i64, time: i64, watermark: i64) -> Option<i64> {
        let passed = time.max(watermark.saturating_add(1)).checked_sub(start)?;
        let steps = passed.div_euclid(every.ms()).checked_add(1)?;
        let next = steps.checked_mul(every.ms())?.checked_add(start)?;
        (next < end || !self.go_by_time()).then_some(next - 1)
    }
}

/// A window is closed when event time reaches its last moment.
#[inline]
pub(crate) fn closed_at(end: i64) -> i64 {
    end.saturating_sub(1)
}

fn check_steps(every_of: &str, size: i64, every: i64) -> Result<(), Refusal> {
    if size < 1 || every < 1 {
        return Err(fail("the size of windows and `every` are 1 at least"));
    }
    if every > size {
        return Err(fail(format!(
            "{every_of} is more than their size: what lies between would be in none"
        )));
    }
    if size / every > WINDOWS_MAX {
        return Err(fail(format!(
            "a record would be in {} windows, {WINDOWS_MAX} at most",
            size / every
        )));
    }
    Ok(())
}

/// The last start at or before this time.
#[inline]
fn start(time: i64, every: i64, offset: i64) -> Option<i64> {
    time.checked_sub(time.checked_sub(offset)?.rem_euclid(every))
}

#[inline]
fn hopping(time: i64, size: i64, every: i64, offset: i64) -> Option<Row> {
    let last = start(time, every, offset)?;
    // Of tumbling windows there is one, which a division need not tell.
    let before = if every == size {
        0
    } else {
        (size - 1 - (time - last)) / every
    };
    let first = last.checked_sub(before * every)?;
    last.checked_add(size)?;
    Some(Row {
        start: first,
        end: first + size,
        start_step: every,
        end_step: every,
        left: before + 1,
    })
}

fn cumulating(time: i64, size: i64, every: i64, offset: i64) -> Option<Row> {
    let start = start(time, size, offset)?;
    start.checked_add(size)?;
    let passed = (time - start) / every;
    Some(Row {
        start,
        end: start + (passed + 1) * every,
        start_step: 0,
        end_step: every,
        left: size / every - passed,
    })
}

/// The end of a count window is the number of its last record.
fn counting(arrival: i64, size: i64, every: i64) -> Option<Row> {
    let first = arrival.checked_add(every - 1)? / every * every;
    let last = arrival.checked_add(size - 1)?;
    Some(Row {
        start: 0,
        end: first,
        start_step: 0,
        end_step: every,
        left: (last - first) / every + 1,
    })
}

impl Row {
    /// The end of the last one.
    pub(crate) fn last_end(&self) -> i64 {
        self.end + self.end_step * (self.left - 1)
    }

    fn one(start: i64, end: i64) -> Self {
        Self {
            start,
            end,
            start_step: 0,
            end_step: 0,
            left: 1,
        }
    }
}

impl Iterator for Row {
    type Item = (i64, i64);

    #[inline]
    fn next(&mut self) -> Option<(i64, i64)> {
        if self.left < 1 {
            return None;
        }
        let window = (self.start, self.end);
        self.left -= 1;
        if self.left > 0 {
            self.start += self.start_step;
            self.end += self.end_step;
        }
        Some(window)
    }
}
