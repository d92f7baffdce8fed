//! What a record, or a moment of event time, does to the windows of its key.

use super::aggregate::Aggregate;
use super::held::{OfKey, Pane, Shown, Times};
use super::spec::{Emit, Shape, Windows, closed_at};
use crate::{Refusal, dead_letter};

/// A window as it is put out.
#[derive(Debug)]
pub struct WindowResult<'a, A: Aggregate> {
    /// Its first moment, in milliseconds since 1970; of a count window the time of its first record, of the global one
    /// 0.
    pub start: i64,
    /// The moment behind its last one; of a count window the time of its last record, of the global one 0.
    pub end: i64,
    /// The time that the result should have: the window's last moment; if it does not go by time, the greatest time of
    /// its records.
    pub time: i64,
    /// It was put out before, and is replaced by what comes next.
    pub is_retraction: bool,
    aggregate: &'a A,
    state: &'a A::State,
}

impl<A: Aggregate> WindowResult<'_, A> {
    /// What the aggregate makes of its records.
    #[must_use]
    pub fn value(&self) -> A::Output {
        self.aggregate.output(self.state)
    }

    /// What is kept of its records, if [`WindowResult::value`] would copy much of it.
    #[must_use]
    pub fn state(&self) -> &A::State {
        self.state
    }
}

/// Takes back what was done to a window of a key.
pub(super) enum Step<A: Aggregate> {
    Created { at: usize },
    Added { at: usize, undo: A::Undo },
    Bounds { at: usize, bounds: Box<Bounds> },
    Shown { at: usize, shown: Vec<Shown<A::State>> },
    Removed { at: usize, pane: Box<Pane<A::State>> },
    Merged { panes: Vec<Pane<A::State>> },
}

/// What is kept of a key beside its windows.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Before {
    arrivals: u64,
    timer: Option<i64>,
}

/// What changes of a window beside its state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bounds {
    start: i64,
    end: i64,
    mark: Option<i64>,
    times: Option<Times>,
}

/// The windows of a key while a record or a timer is at work on them. Whatever it does to them is noted in `steps`.
pub(super) struct Turn<'a, A: Aggregate> {
    pub(super) aggregate: &'a A,
    pub(super) windows: &'a Windows,
    pub(super) of: &'a mut OfKey<A::State>,
    pub(super) steps: &'a mut Vec<Step<A>>,
    /// Event time as it stands.
    pub(super) now: i64,
}

/// Takes results.
pub(super) type Put<'a, A> = dyn FnMut(&WindowResult<A>) -> Result<(), Refusal> + 'a;

impl<A: Aggregate> Turn<'_, A> {
    /// Adds a record to its windows; false: it is too late for all of them.
    #[inline]
    pub(super) fn add(&mut self, item: &A::Item, time: i64, put: &mut Put<A>) -> Result<bool, Refusal> {
        let arrival = self.of.arrivals + 1;
        let counts = if let Shape::Session { gap } = self.windows.shape {
            let end = time.checked_add(gap);
            let end = end.ok_or_else(|| dead_letter(format!("the record's time, {time}, is beyond all windows")))?;
            self.add_to_session(item, (time, end), arrival, put)?
        } else {
            let mut counts = false;
            for (start, end) in self.windows.of(time, arrival as i64)? {
                if !self.windows.is_late(end, self.now) {
                    counts = true;
                    let at = self.open(start, end);
                    self.add_to(at, item, time, arrival, put)?;
                }
            }
            counts
        };
        if counts {
            self.of.arrivals = arrival;
        }
        Ok(counts)
    }

    /// The place of a window, which is opened if it is not open.
    #[inline]
    fn open(&mut self, start: i64, end: i64) -> usize {
        let panes = &self.of.panes;
        let before = panes.iter().rposition(|pane| (pane.end, pane.start) <= (end, start));
        match before {
            Some(at) if (panes[at].end, panes[at].start) == (end, start) => at,
            before => {
                let at = before.map_or(0, |before| before + 1);
                self.insert(at, start, end);
                at
            }
        }
    }

    fn insert(&mut self, at: usize, start: i64, end: i64) {
        self.steps.push(Step::Created { at });
        let pane = Pane::new(start, end, self.aggregate.empty());
        self.of.panes.insert(at, pane);
    }

    /// Sessions that the record touches become one.
    fn add_to_session(
        &mut self,
        item: &A::Item,
        (start, end): (i64, i64),
        arrival: u64,
        put: &mut Put<A>,
    ) -> Result<bool, Refusal> {
        let panes = &self.of.panes;
        let from = panes.partition_point(|pane| pane.end < start);
        let to = panes.partition_point(|pane| pane.start <= end).max(from);
        let bounds = panes[from..to].iter().map(|pane| (pane.start, pane.end));
        let (first, last) = bounds.fold((start, end), |(first, last), (start, end)| {
            (first.min(start), last.max(end))
        });
        if self.windows.is_late(last, self.now) {
            return Ok(false);
        }
        match to - from {
            0 => self.insert(from, start, end),
            1 => self.note_bounds(from),
            _ => self.merge(from, to)?,
        }
        let pane = &mut self.of.panes[from];
        (pane.start, pane.end) = (first, last);
        self.add_to(from, item, start, arrival, put)?;
        Ok(true)
    }

    fn merge(&mut self, from: usize, to: usize) -> Result<(), Refusal> {
        self.steps.push(Step::Merged {
            panes: self.of.panes.clone(),
        });
        let others: Vec<_> = self.of.panes.drain(from + 1..to).collect();
        let into = &mut self.of.panes[from];
        for other in others {
            self.aggregate.merge(&mut into.state, other.state)?;
            into.shown.extend(other.shown);
            into.mark = into.mark.into_iter().chain(other.mark).min();
        }
        Ok(())
    }

    #[inline]
    fn add_to(&mut self, at: usize, item: &A::Item, time: i64, arrival: u64, put: &mut Put<A>) -> Result<(), Refusal> {
        let pane = &mut self.of.panes[at];
        let undo = self.aggregate.add(&mut pane.state, item, arrival)?;
        self.steps.push(Step::Added { at, undo });
        if !self.windows.go_by_time() {
            self.note_bounds(at);
            let pane = &mut self.of.panes[at];
            match &mut pane.times {
                Some(times) => (times.last, times.newest) = (time, times.newest.max(time)),
                none => *none = Some(Box::new(Times::of_one(time))),
            }
        }
        self.put_out(at, time, arrival, put)
    }

    /// What a record that was added makes a window do at once.
    #[inline]
    fn put_out(&mut self, at: usize, time: i64, arrival: u64, put: &mut Put<A>) -> Result<(), Refusal> {
        let pane = &self.of.panes[at];
        let is_over = match self.windows.shape {
            Shape::Count { .. } => pane.end == arrival as i64,
            Shape::Global => false,
            _ => closed_at(pane.end) <= self.now,
        };
        let goes = is_over && matches!(self.windows.shape, Shape::Count { .. });
        match self.windows.emit {
            Emit::Update => self.show(at, goes, put)?,
            _ if is_over => self.show(at, goes, put)?,
            Emit::Every(every) => {
                let next = self.windows.mark(every, pane.start, pane.end, time, self.now);
                if next.is_some_and(|next| pane.mark.is_none_or(|mark| mark > next)) {
                    self.note_bounds(at);
                    self.of.panes[at].mark = next;
                }
            }
            Emit::Close => {}
        }
        if goes {
            self.remove(at);
        }
        Ok(())
    }

    /// Event time has come to a moment at which something becomes of a window.
    pub(super) fn reach(&mut self, put: &mut Put<A>) -> Result<(), Refusal> {
        let mut at = 0;
        while let Some(pane) = self.of.panes.get(at) {
            let is_marked = pane.mark.is_some_and(|mark| mark <= self.now);
            let (closes, goes) = match self.windows.go_by_time() {
                true => (
                    closed_at(pane.end) == self.now && self.windows.emit != Emit::Update,
                    self.windows.gone_at(pane.end) <= self.now,
                ),
                false => (false, false),
            };
            if is_marked {
                self.note_bounds(at);
                self.of.panes[at].mark = None;
            }
            if is_marked || closes {
                self.show(at, goes, put)?;
            }
            match goes {
                true => self.remove(at),
                false => at += 1,
            }
        }
        Ok(())
    }

    /// Without windows nothing is kept of a key: it begins anew, as it would in the next call.
    #[inline]
    pub(super) fn forget_if_empty(&mut self) {
        if self.of.panes.is_empty() {
            self.of.arrivals = 0;
        }
    }

    /// Takes all steps back behind the first so many.
    pub(super) fn take_back(&mut self, keep: usize) {
        let steps = self.steps.drain(keep..).rev();
        steps.for_each(|step| step.take_back(self.aggregate, self.of));
    }

    /// The next moment at which something becomes of a window.
    pub(super) fn next(&self) -> Option<i64> {
        let panes = self.of.panes.iter();
        panes.filter_map(|pane| self.windows.next(pane, self.now)).min()
    }

    /// Puts a window out, behind what it replaces.
    fn show(&mut self, at: usize, goes: bool, put: &mut Put<A>) -> Result<(), Refusal> {
        let pane = &mut self.of.panes[at];
        let (start, end, time) = match pane.times.as_deref() {
            None => (pane.start, pane.end, closed_at(pane.end)),
            Some(times) if self.windows.shape == Shape::Global => (0, 0, times.newest),
            Some(times) => (times.first, times.last, times.newest),
        };
        let result = |start, end, time, is_retraction| WindowResult {
            start,
            end,
            time,
            is_retraction,
            aggregate: self.aggregate,
            state: &pane.state,
        };
        for shown in &pane.shown {
            let before = result(shown.start, shown.end, shown.time, true);
            put(&WindowResult {
                state: &shown.state,
                ..before
            })?;
        }
        put(&result(start, end, time, false))?;
        if self.windows.retracts && !goes {
            let state = pane.state.clone();
            let shown = Shown {
                start,
                end,
                time,
                state,
            };
            let shown = std::mem::replace(&mut pane.shown, vec![shown]);
            self.steps.push(Step::Shown { at, shown });
        }
        Ok(())
    }

    fn remove(&mut self, at: usize) {
        let pane = Box::new(self.of.panes.remove(at));
        self.steps.push(Step::Removed { at, pane });
    }

    fn note_bounds(&mut self, at: usize) {
        let bounds = Box::new(Bounds::of(&self.of.panes[at]));
        self.steps.push(Step::Bounds { at, bounds });
    }
}

impl Before {
    pub(super) fn of<S>(of: &OfKey<S>) -> Self {
        Self {
            arrivals: of.arrivals,
            timer: of.timer,
        }
    }

    pub(super) fn give_back<S>(self, of: &mut OfKey<S>) {
        (of.arrivals, of.timer) = (self.arrivals, self.timer);
    }
}

impl Bounds {
    fn of<S>(pane: &Pane<S>) -> Self {
        Self {
            start: pane.start,
            end: pane.end,
            mark: pane.mark,
            times: pane.times.as_deref().copied(),
        }
    }

    fn give_back<S>(self, pane: &mut Pane<S>) {
        (pane.start, pane.end, pane.mark) = (self.start, self.end, self.mark);
        pane.times = self.times.map(Box::new);
    }
}

impl<A: Aggregate> Step<A> {
    /// Steps are taken back from the last one to the first: their places are those of that moment.
    pub(super) fn take_back(self, aggregate: &A, of: &mut OfKey<A::State>) {
        match self {
            Self::Created { at } => drop(of.panes.remove(at)),
            Self::Added { at, undo } => aggregate.undo(&mut of.panes[at].state, undo),
            Self::Bounds { at, bounds } => bounds.give_back(&mut of.panes[at]),
            Self::Shown { at, shown } => of.panes[at].shown = shown,
            Self::Removed { at, pane } => of.panes.insert(at, *pane),
            Self::Merged { panes } => of.panes = panes,
        }
    }
}
