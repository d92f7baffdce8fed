//! The timers that a plugin declares, and where the state keeps them.

use super::stores::{Store, StoreKind};

/// A timer that a plugin declares. It is matched by name from one version of a plugin to the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timer {
    /// Its name.
    pub name: String,
    /// What it goes by.
    pub clock: TimerClock,
}

/// What a timer goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TimerClock {
    /// It fires when the task's watermark reaches its time.
    EventTime,
    /// It fires when the host's clock reaches its time.
    ProcessingTime,
}

impl TimerClock {
    /// Both.
    pub const ALL: [Self; 2] = [Self::EventTime, Self::ProcessingTime];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            TimerClock::EventTime => "event-time",
            TimerClock::ProcessingTime => "processing-time",
        }
    }

    /// The clock whose timers a store of this name holds.
    pub fn of_store(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|clock| clock.store() == name)
    }

    /// The store of an operator's timers on this clock. A plugin's own store cannot have its name, for the colon.
    pub fn store(self) -> &'static str {
        match self {
            TimerClock::EventTime => "timers:event-time",
            TimerClock::ProcessingTime => "timers:processing-time",
        }
    }
}

/// The stores that hold these timers: one for each clock that is used, in the order of [`TimerClock::ALL`].
pub(super) fn stores(timers: &[Timer]) -> impl Iterator<Item = Store> {
    let used = |clock: &TimerClock| timers.iter().any(|timer| timer.clock == *clock);
    TimerClock::ALL.into_iter().filter(used).map(|clock| Store {
        name: clock.store().to_owned(),
        kind: StoreKind::Map,
        codec: "timers".to_owned(),
        schema_version: 1,
        readable_from: 1,
    })
}
