//! The timers of a call: those that are due, and what the call makes of timers.

use super::keys::entry;
use super::returned::TimerChange;
use super::time::CallTime;
use crate::error::{Error, Kind, Result};
use crate::plugin::limits::KEY_BYTES;
use crate::plugin::load::{Description, Timer, TimerClock};
use crate::record::Column;
use crate::state::{KeptTimer, Most, StoreId, TaskState, store_id};

/// The timers that an operator's plugin declares, as the state knows them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::plugin) struct DeclaredTimers {
    operator: String,
    all: Vec<Timer>,
    event_time: StoreId,
    processing_time: StoreId,
}

impl DeclaredTimers {
    /// Those of an operator.
    pub(in crate::plugin) fn of(operator: &str, description: &Description) -> Self {
        let store = |clock: TimerClock| store_id(operator, clock.store());
        Self {
            operator: operator.to_owned(),
            all: description.timers.clone(),
            event_time: store(TimerClock::EventTime),
            processing_time: store(TimerClock::ProcessingTime),
        }
    }

    /// Whether there are any.
    pub(in crate::plugin) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Whether there are any on this clock.
    pub(in crate::plugin) fn uses(&self, clock: TimerClock) -> bool {
        self.all.iter().any(|timer| timer.clock == clock)
    }

    /// Where those on this clock are kept.
    pub(in crate::plugin) fn store(&self, clock: TimerClock) -> StoreId {
        match clock {
            TimerClock::EventTime => self.event_time,
            TimerClock::ProcessingTime => self.processing_time,
        }
    }

    fn kept<'a>(&'a self, timer: &'a Timer, change: &TimerChange, keys: &'a Column) -> (StoreId, KeptTimer<'a>) {
        let kept = KeptTimer {
            at: change.at,
            name: &timer.name,
            key: entry(keys, change.key),
        };
        (self.store(timer.clock), kept)
    }

    /// Whether changes of timers may be what a call whose batch has these keys asks for. The error completes "returned
    /// an outcome that …".
    pub(super) fn check(&self, given: &[TimerChange], keys: &Column) -> std::result::Result<(), String> {
        for change in given {
            let Some(Timer { name, .. }) = self.all.get(usize::from(change.timer)) else {
                let declared = self.all.len();
                return Err(format!(
                    "sets timer {}, but the plugin declares {declared}",
                    change.timer
                ));
            };
            if change.key as usize >= keys.len() {
                return Err(format!("sets timer `{name}` for key {} of {}", change.key, keys.len()));
            }
            let bytes = entry(keys, change.key).len();
            if bytes > KEY_BYTES {
                return Err(format!(
                    "sets timer `{name}` for a key of {bytes} bytes; {KEY_BYTES} are the most"
                ));
            }
        }
        Ok(())
    }
}

/// A timer that is due in a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::plugin) struct Due {
    /// Index of the plugin's timer.
    pub(in crate::plugin) timer: u8,
    /// Index into the keys of the batch.
    pub(in crate::plugin) key: u32,
    pub(in crate::plugin) at: i64,
}

/// The timers that are due in a call, in the order in which they fire.
#[derive(Debug, Default)]
pub(in crate::plugin) struct DueTimers {
    store: Option<StoreId>,
    kept: Column,
    /// There are more than these.
    pub(in crate::plugin) has_more: bool,
}

impl DueTimers {
    /// Looks up what is due by the end of a call's time, as many as may fire in one call.
    pub(in crate::plugin) fn look_up(
        &mut self,
        timers: &DeclaredTimers,
        time: &CallTime,
        most: Most,
        state: &mut TaskState,
    ) -> Result<()> {
        let (clock, until) = match time.clock {
            Some(now) => (TimerClock::ProcessingTime, now),
            None => (TimerClock::EventTime, time.last()),
        };
        let store = timers.store(clock);
        self.store = Some(store);
        self.has_more = state.due_timers(store, until, most, &mut self.kept)?;
        Ok(())
    }

    /// None is due.
    pub(in crate::plugin) fn clear(&mut self) {
        self.kept.clear();
        self.has_more = false;
    }

    /// How many fire.
    pub(in crate::plugin) fn len(&self) -> usize {
        self.kept.len()
    }

    /// The first that fires.
    pub(in crate::plugin) fn first(&self) -> Option<KeptTimer<'_>> {
        self.kept.iter().flatten().find_map(KeptTimer::read)
    }

    /// When the last of them is due. One that cannot be read counts for nothing: [`told`](Self::told) complains.
    pub(in crate::plugin) fn last_at(&self) -> Option<i64> {
        let last = self.kept.get(self.kept.len().checked_sub(1)?)?;
        KeptTimer::read(last).map(|timer| timer.at)
    }

    /// As a guest is told them, each with the index of its key.
    ///
    /// Errors: `Corrupt`, a timer that the plugin does not declare.
    pub(in crate::plugin) fn told(
        &self,
        timers: &DeclaredTimers,
        mut key: impl FnMut(&[u8]) -> u32,
        into: &mut Vec<Due>,
    ) -> Result<()> {
        into.clear();
        for user_key in self.kept.iter().flatten() {
            let kept = KeptTimer::read(user_key).ok_or_else(|| unreadable(timers))?;
            let declared = timers.all.iter().position(|timer| timer.name == kept.name);
            let timer = declared.ok_or_else(|| undeclared(timers, kept.name))?;
            into.push(Due {
                timer: timer as u8,
                key: key(kept.key),
                at: kept.at,
            });
        }
        Ok(())
    }
}

/// Takes the timers away that fired in a call, then does what it asked for, which was checked.
pub(in crate::plugin) fn change_timers(
    fired: &DueTimers,
    given: &[TimerChange],
    keys: &Column,
    timers: &DeclaredTimers,
    state: &mut TaskState,
) {
    if let Some(store) = fired.store {
        let due = fired.kept.iter().flatten();
        due.for_each(|user_key| state.delete_timer(store, user_key));
    }
    for change in given {
        let declared = &timers.all[usize::from(change.timer)];
        let (store, timer) = timers.kept(declared, change, keys);
        match change.set {
            true => state.set_timer(store, timer),
            false => state.clear_timer(store, timer),
        }
    }
}

fn undeclared(timers: &DeclaredTimers, name: &str) -> Error {
    let what = format!("failed to fire timer `{name}` of operator `{}`", timers.operator);
    let why = "it is set in the state, and the plugin does not declare it";
    Error::new(Kind::Corrupt, what, why).hint("run a plugin that declares a timer of that name")
}

fn unreadable(timers: &DeclaredTimers) -> Error {
    let what = format!("failed to read the timers of operator `{}`", timers.operator);
    Error::new(Kind::Corrupt, what, "an entry of theirs is no timer")
}
