//! The timers that are due in a batch: those of the state, and those that its turns set.
//!
//! The order is that of the interface, and of the Rust SDK: what a batch as a whole and its events one by one come to
//! must be the same.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use crate::plugin::call::{Due, TimerChange, entry};
use crate::plugin::load::{Timer, TimerClock};
use crate::record::Column;

/// How far event time has come, and whether an event still follows.
#[derive(Debug, Clone, Copy)]
pub(super) struct TurnTime {
    pub(super) watermark: i64,
    pub(super) is_end: bool,
}

/// Gives the due timers in the order in which they fire.
///
/// Always: a timer is in `due` from `next` on, or among `asked`, or nowhere.
#[derive(Debug, Default)]
pub(super) struct WaitingTimers {
    /// Of each declared timer whether it goes by event time, and the place of its name among the names.
    kinds: Vec<(bool, usize)>,
    /// The state's, in the order in which they fire, and which of them a turn cleared.
    due: Vec<(Due, bool)>,
    next: usize,
    /// After the last event nothing fires behind it.
    last: Option<Due>,
    /// What turns set (true) or cleared, by time, name, key and index.
    asked: BTreeMap<TimerPlace, bool>,
    /// Those of `asked` that are set, and that event time reaches in this batch.
    own: BTreeSet<TimerPlace>,
    /// Where event time stands when the batch ends.
    reach: i64,
}

/// Where a timer stands among others: its time, the place of its name, its key; and what it is.
type TimerPlace = (i64, usize, Vec<u8>, u8, u32);

impl WaitingTimers {
    /// Those of a plugin that declares these.
    pub(super) fn new(timers: &[Timer]) -> Self {
        let before = |name: &str| timers.iter().filter(|other| *other.name < *name).count();
        let kinds = timers
            .iter()
            .map(|timer| (timer.clock == TimerClock::EventTime, before(&timer.name)));
        Self {
            kinds: kinds.collect(),
            ..Self::default()
        }
    }

    /// Whether the plugin declares none.
    pub(super) fn is_without(&self) -> bool {
        self.kinds.is_empty()
    }

    /// How many the plugin declares.
    pub(super) fn declared(&self) -> usize {
        self.kinds.len()
    }

    /// A batch begins, in which these are due and event time comes to `reach`.
    pub(super) fn begin(&mut self, due: &[Due], reach: i64, keys: &Column) {
        self.due.clear();
        self.due.extend(due.iter().map(|due| (*due, false)));
        let mut due = std::mem::take(&mut self.due);
        due.sort_by(|(one, _), (other, _)| self.order(*one, *other, keys));
        self.due = due;
        (self.next, self.reach) = (0, reach);
        let last = self.due.last().map(|(due, _)| *due);
        self.last = last.filter(|last| self.is_event_time(*last));
        self.asked.clear();
        self.own.clear();
    }

    /// Sets or clears a timer.
    pub(super) fn ask(&mut self, asked: TimerChange, keys: &Column) {
        let timer = Due {
            timer: asked.timer,
            key: asked.key,
            at: asked.at,
        };
        let found = self.due[self.next..].binary_search_by(|(waiting, _)| self.order(*waiting, timer, keys));
        match found {
            Ok(at) => self.due[self.next + at].1 = !asked.set,
            Err(_) => {
                let place = self.place(timer, keys);
                if asked.set && self.is_event_time(timer) && timer.at <= self.reach {
                    self.own.insert(place.clone());
                } else {
                    self.own.remove(&place);
                }
                self.asked.insert(place, asked.set);
            }
        }
    }

    /// Takes the next timer on the host's clock.
    pub(super) fn next_by_clock(&mut self) -> Option<Due> {
        while let Some(&(due, is_cleared)) = self.due.get(self.next) {
            if self.is_event_time(due) {
                return None;
            }
            self.next += 1;
            if !is_cleared {
                return Some(due);
            }
        }
        None
    }

    /// Takes the next timer that event time has reached.
    pub(super) fn next(&mut self, now: TurnTime, keys: &Column) -> Option<Due> {
        let (states, own) = (self.states(), self.own());
        let first = match (states, own) {
            (Some(states), Some(own)) if self.order(own, states, keys).is_lt() => own,
            (Some(states), _) => states,
            (None, own) => own?,
        };
        let waits = now.is_end && self.last.is_none_or(|last| self.order(first, last, keys).is_gt());
        if first.at > now.watermark || waits {
            return None;
        }
        if Some(first) == states {
            self.next += 1;
        } else {
            // The state has none of these: all that it had until here were its own.
            let place = self.place(first, keys);
            self.own.remove(&place);
            self.asked.remove(&place);
        }
        Some(first)
    }

    /// What turns set and cleared, as far as it did not fire. `is_cut`: the batch ends before its end, and what did not
    /// fire of the state's stays there unless it is cleared here.
    pub(super) fn changes(&mut self, is_cut: bool) -> Vec<TimerChange> {
        let change = |due: Due, set| TimerChange {
            timer: due.timer,
            key: due.key,
            at: due.at,
            set,
        };
        let left = if is_cut { &self.due[..] } else { &[] };
        let cleared = left.iter().filter(|(_, is_cleared)| *is_cleared);
        let cleared = cleared.map(|(due, _)| change(*due, false));
        let asked = std::mem::take(&mut self.asked).into_iter();
        let asked = asked.map(|((at, _, _, timer, key), set)| change(Due { timer, key, at }, set));
        cleared.chain(asked).collect()
    }

    /// The first one of the state's.
    fn states(&mut self) -> Option<Due> {
        while let Some((due, is_cleared)) = self.due.get(self.next) {
            if !is_cleared {
                return Some(*due);
            }
            self.next += 1;
        }
        None
    }

    /// The first one that a turn set.
    fn own(&self) -> Option<Due> {
        self.own.first().map(|(at, _, _, timer, key)| Due {
            timer: *timer,
            key: *key,
            at: *at,
        })
    }

    fn is_event_time(&self, due: Due) -> bool {
        self.kinds[usize::from(due.timer)].0
    }

    /// The order in which timers fire: those on the host's clock first.
    fn order(&self, one: Due, other: Due, keys: &Column) -> Ordering {
        let rank = |due: Due| (self.is_event_time(due), due.at, self.kinds[usize::from(due.timer)].1);
        let order = rank(one).cmp(&rank(other));
        order.then_with(|| entry(keys, one.key).cmp(entry(keys, other.key)))
    }

    fn place(&self, due: Due, keys: &Column) -> TimerPlace {
        let rank = self.kinds[usize::from(due.timer)].1;
        (due.at, rank, entry(keys, due.key).to_vec(), due.timer, due.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Due = Due {
        timer: 0,
        key: 0,
        at: 100,
    };

    fn waiting(due: &[Due], reach: i64) -> (WaitingTimers, Column) {
        let timer = |name: &str, clock| Timer {
            name: name.to_owned(),
            clock,
        };
        let mut keys = Column::default();
        keys.push(Some(b"k"));
        let timers = [timer("b", TimerClock::EventTime), timer("a", TimerClock::EventTime)];
        let mut waiting = WaitingTimers::new(&timers);
        waiting.begin(due, reach, &keys);
        (waiting, keys)
    }

    fn change(due: Due, set: bool) -> TimerChange {
        TimerChange {
            timer: due.timer,
            key: due.key,
            at: due.at,
            set,
        }
    }

    #[test]
    fn a_timer_that_was_cleared_before_its_time_stays_so_if_the_batch_is_cut() {
        for (is_cut, changes) in [(true, vec![change(A, false)]), (false, vec![])] {
            let (mut waiting, keys) = waiting(&[A], 100);
            waiting.ask(change(A, false), &keys);
            let now = TurnTime {
                watermark: 50,
                is_end: false,
            };
            assert_eq!(waiting.next(now, &keys), None);
            assert_eq!(waiting.changes(is_cut), changes);
        }
    }

    #[test]
    fn timers_fire_by_time_and_name_and_one_that_was_set_late_waits_behind_the_last_of_the_states() {
        let (mut waiting, keys) = waiting(&[A], 100);
        let (early, same, late) = (Due { at: 7, ..A }, Due { timer: 1, ..A }, Due { at: 101, ..A });
        for due in [late, same, early] {
            waiting.ask(change(due, true), &keys);
        }
        let now = TurnTime {
            watermark: 200,
            is_end: true,
        };
        let fired: Vec<Due> = std::iter::from_fn(|| waiting.next(now, &keys)).collect();
        assert_eq!(fired, [early, same, A]);
        assert_eq!(waiting.changes(false), [change(late, true)]);
    }
}
