//! What a guest gave back of a call, in the host's own words: its columns, whatever world it was built for, and not a
//! number of it checked.

use super::refused::Refusal;
use crate::record::{Column, Headers};

/// What a call came to, as the guest says. Until `check` took it, a column of it may break what a column keeps.
#[derive(Debug, Default, Clone, PartialEq)]
pub(in crate::plugin) struct Returned {
    pub(in crate::plugin) outputs: Emitted,
    pub(in crate::plugin) changes: Changes,
    pub(in crate::plugin) timers: Vec<TimerChange>,
    pub(in crate::plugin) refused: Vec<RefusedEvent>,
    pub(in crate::plugin) measured: Vec<Measured>,
    /// All this came of so many of the call's events alone, and what is due behind them waits; none: of all.
    pub(in crate::plugin) rows: Option<usize>,
}

/// Outputs, in columns that should be equally long, in the order of emission.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(in crate::plugin) struct Emitted {
    /// Index of the plugin's output.
    pub(in crate::plugin) output: Vec<u8>,
    pub(in crate::plugin) key: Column,
    pub(in crate::plugin) value: Column,
    pub(in crate::plugin) timestamp: Vec<i64>,
    pub(in crate::plugin) headers: Headers,
    /// Index of the event that caused it; or, beyond those, what `time` makes of it.
    pub(in crate::plugin) cause: Vec<u32>,
}

/// Changes of the state, in columns that should be equally long, in the order in which they are applied.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(in crate::plugin) struct Changes {
    /// Index of the plugin's store.
    pub(in crate::plugin) store: Vec<u8>,
    /// A kind of change by its number.
    pub(in crate::plugin) kind: Vec<u8>,
    /// Index into the keys of the batch.
    pub(in crate::plugin) key: Vec<u32>,
    pub(in crate::plugin) user_key: Column,
    pub(in crate::plugin) value: Column,
}

/// A timer that is set or cleared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::plugin) struct TimerChange {
    /// Index of the plugin's timer.
    pub(in crate::plugin) timer: u8,
    /// Index into the keys of the batch.
    pub(in crate::plugin) key: u32,
    pub(in crate::plugin) at: i64,
    /// Set; else cleared.
    pub(in crate::plugin) set: bool,
}

/// An event that was not processed as usual.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::plugin) struct RefusedEvent {
    /// Index into the call's events.
    pub(in crate::plugin) event: u32,
    pub(in crate::plugin) how: Refusal,
    pub(in crate::plugin) reason: String,
}

/// A value of one of the plugin's metrics.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::plugin) struct Measured {
    /// Index of the plugin's metric.
    pub(in crate::plugin) metric: u8,
    pub(in crate::plugin) value: f64,
}

/// Why a call as a whole came to nothing, in the guest's own words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::plugin) enum Declined {
    /// It wants the same call again, after a pause.
    Retry(String),
    /// The pipeline cannot go on.
    Fail(String),
}
