//! The timers that are due in a call: those of the host, and those that the call sets.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::timer::Asked;
use crate::bindings::sandbar::plugin::batches;
use crate::{Column, Timers};

/// Event time moves to `watermark` before this event, or after the last one if it is their number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Advance {
    pub(crate) before: usize,
    pub(crate) watermark: i64,
}

/// A timer, by its number, the index of its key, and its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Due {
    pub(super) at: i64,
    pub(super) timer: u8,
    pub(super) key: u32,
}

/// How far event time has come, and whether an event still follows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Now {
    pub(super) watermark: i64,
    pub(super) is_end: bool,
}

/// Gives the due timers in the order in which they fire.
///
/// Always: a timer is in `due` from `next` on, or among `asked`, or nowhere.
pub(super) struct Queue<'a> {
    keys: &'a Column,
    kinds: Vec<Kind>,
    /// The host's, in the order in which they fire; those on the host's clock first.
    due: Vec<Waiting>,
    next: usize,
    /// After the last event nothing fires behind it.
    last: Option<Due>,
    /// What the call sets (true) or clears.
    asked: BTreeMap<Due, bool>,
    /// Those of `asked` that event time reaches in this call, by their time and the rank of their name.
    own: BTreeMap<(i64, usize), Keys>,
    /// Where event time stands when the call ends.
    reach: i64,
}

/// A timer as it is declared.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kind {
    pub(super) name: &'static str,
    pub(super) is_event_time: bool,
    /// Its place among the names.
    rank: usize,
}

/// One of the host's.
#[derive(Debug, Clone, Copy)]
struct Waiting {
    due: Due,
    is_cleared: bool,
}

/// Keys whose timer is due at one time; once they are sorted, the first is at the end.
#[derive(Debug, Default)]
struct Keys {
    all: Vec<u32>,
    is_sorted: bool,
}

impl<'a> Queue<'a> {
    pub(super) fn new<P: 'static>(timers: &Timers<P>, keys: &'a Column, due: &[batches::Due], reach: i64) -> Self {
        let mut queue = Self {
            keys,
            kinds: kinds(timers),
            due: Vec::with_capacity(due.len()),
            next: 0,
            last: None,
            asked: BTreeMap::new(),
            own: BTreeMap::new(),
            reach,
        };
        queue.due.extend(due.iter().map(|due| Waiting {
            due: Due {
                at: due.at,
                timer: due.timer,
                key: due.key,
            },
            is_cleared: false,
        }));
        let mut due = std::mem::take(&mut queue.due);
        if !due.is_sorted_by(|one, other| queue.order(one.due, other.due).is_le()) {
            due.sort_by(|one, other| queue.order(one.due, other.due));
        }
        queue.due = due;
        let last = queue.due.last().map(|waiting| waiting.due);
        queue.last = last.filter(|last| queue.kind(*last).is_event_time);
        queue
    }

    pub(super) fn kind(&self, timer: Due) -> Kind {
        self.kinds[usize::from(timer.timer)]
    }

    /// The order in which timers fire.
    fn order(&self, one: Due, other: Due) -> Ordering {
        let key = |timer: Due| self.keys.get(timer.key as usize);
        let order = self.time_and_name(one).cmp(&self.time_and_name(other));
        order.then_with(|| key(one).cmp(&key(other)))
    }

    /// What this order compares before the key.
    fn time_and_name(&self, timer: Due) -> (bool, i64, usize) {
        let kind = self.kind(timer);
        (kind.is_event_time, timer.at, kind.rank)
    }

    /// Sets or clears a timer.
    pub(super) fn ask(&mut self, timer: u8, asked: Asked) {
        let Asked { key, at, is_set } = asked;
        let timer = Due { at, timer, key };
        if let Some(waiting) = self.waiting(timer) {
            self.due[waiting].is_cleared = !is_set;
            return;
        }
        self.asked.insert(timer, is_set);
        let kind = self.kind(timer);
        if is_set && kind.is_event_time && at <= self.reach {
            self.own.entry((at, kind.rank)).or_default().add(key, self.keys);
        }
    }

    /// The place of a timer among those of the host that did not fire yet.
    fn waiting(&self, timer: Due) -> Option<usize> {
        let rest = &self.due[self.next..];
        // Most are set to a time behind all that wait: no key has to be compared.
        if self.time_and_name(rest.last()?.due) < self.time_and_name(timer) {
            return None;
        }
        let found = rest.binary_search_by(|waiting| self.order(waiting.due, timer));
        found.ok().map(|at| self.next + at)
    }

    /// Takes the next timer on the host's clock.
    pub(super) fn next_by_clock(&mut self) -> Option<Due> {
        while let Some(waiting) = self.due.get(self.next).copied() {
            if self.kind(waiting.due).is_event_time {
                return None;
            }
            self.next += 1;
            if !waiting.is_cleared {
                return Some(waiting.due);
            }
        }
        None
    }

    /// Takes the next timer that event time has reached.
    #[inline]
    pub(super) fn next(&mut self, now: Now) -> Option<Due> {
        if self.next == self.due.len() && self.own.is_empty() {
            return None;
        }
        let (hosts, own) = (self.hosts(), self.own());
        let first = match (hosts, own) {
            (Some(hosts), Some(own)) if self.order(own, hosts).is_lt() => own,
            (Some(hosts), _) => hosts,
            (None, own) => own?,
        };
        let waits = now.is_end && self.last.is_none_or(|last| self.order(first, last).is_gt());
        if first.at > now.watermark || waits {
            return None;
        }
        if Some(first) == hosts {
            self.next += 1;
        } else {
            // The state has none of these: all that it had until here were the host's.
            self.asked.remove(&first);
        }
        Some(first)
    }

    /// The first one of the host's.
    fn hosts(&mut self) -> Option<Due> {
        while let Some(waiting) = self.due.get(self.next) {
            if !waiting.is_cleared {
                return Some(waiting.due);
            }
            self.next += 1;
        }
        None
    }

    /// The first one that the call set and did not clear again.
    fn own(&mut self) -> Option<Due> {
        while let Some(mut first) = self.own.first_entry() {
            let (at, rank) = *first.key();
            let timer = self.kinds.iter().position(|kind| kind.rank == rank)? as u8;
            match first.get_mut().first(self.keys) {
                None => drop(first.remove()),
                Some(key) => {
                    let timer = Due { at, timer, key };
                    if self.asked.get(&timer) == Some(&true) {
                        return Some(timer);
                    }
                    first.get_mut().all.pop();
                }
            }
        }
        None
    }

    /// What the call sets and clears, as far as it did not fire.
    pub(super) fn into_changes(self) -> Vec<batches::TimerChange> {
        let asked = self.asked.into_iter();
        asked
            .map(|(timer, set)| batches::TimerChange {
                timer: timer.timer,
                key: timer.key,
                at: timer.at,
                set,
            })
            .collect()
    }
}

fn kinds<P: 'static>(timers: &Timers<P>) -> Vec<Kind> {
    let before = |name: &str| timers.kinds().filter(|(other, _)| *other < name).count();
    let kinds = timers.kinds();
    kinds
        .map(|(name, is_event_time)| Kind {
            name,
            is_event_time,
            rank: before(name),
        })
        .collect()
}

impl Keys {
    fn add(&mut self, key: u32, keys: &Column) {
        let at = match self.is_sorted {
            true => self.all.partition_point(|&other| text(other, keys) > text(key, keys)),
            false => self.all.len(),
        };
        self.all.insert(at, key);
    }

    fn first(&mut self, keys: &Column) -> Option<u32> {
        if !self.is_sorted {
            self.all
                .sort_unstable_by(|&one, &other| text(other, keys).cmp(&text(one, keys)));
            self.is_sorted = true;
        }
        self.all.last().copied()
    }
}

fn text(key: u32, keys: &Column) -> Option<&[u8]> {
    keys.get(key as usize)
}
