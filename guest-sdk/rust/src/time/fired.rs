//! A single firing, borrowed from its batch.

use super::queue::{Due, Kind};
use crate::{Batch, Timer};

/// The turns of events have the numbers below.
const FIRST_TURN: u32 = 1 << 31;

/// A timer whose time has come.
#[derive(Debug, Clone, Copy)]
pub struct Fired<'a> {
    batch: &'a Batch,
    due: Due,
    kind: Kind,
    watermark: i64,
    turn: u32,
}

impl<'a> Fired<'a> {
    /// The `nth` one of the call.
    pub(super) fn new(batch: &'a Batch, due: Due, kind: Kind, watermark: i64, nth: u32) -> Self {
        let turn = FIRST_TURN | nth;
        Self {
            batch,
            due,
            kind,
            watermark,
            turn,
        }
    }

    /// Whether it is this timer of the plugin that fired.
    #[must_use]
    #[inline]
    pub fn is(&self, timer: &Timer) -> bool {
        self.due.timer == timer.number()
    }

    /// The name by which the timer is declared.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.kind.name
    }

    /// The key that it was set for.
    #[must_use]
    #[inline]
    pub fn key(&self) -> &'a [u8] {
        self.batch.keys.get(self.due.key as usize).unwrap_or_default()
    }

    /// The time that it was set to, in milliseconds since 1970.
    #[must_use]
    #[inline]
    pub fn at(&self) -> i64 {
        self.due.at
    }

    /// Event time, which has reached [`Fired::at`] if the timer goes by it. How much further it is, depends on how the
    /// host cut its calls: do not compute results from it.
    #[must_use]
    pub fn watermark(&self) -> i64 {
        self.watermark
    }

    /// The host's clock, in milliseconds since 1970.
    #[must_use]
    pub fn processing_time(&self) -> i64 {
        self.batch.processing_time()
    }

    /// Event time as this firing has it: the timer's own, since how much further it is the host's cuts decide; of a
    /// timer on the host's clock where it stands.
    pub(super) fn event_time(&self) -> i64 {
        match self.kind.is_event_time {
            true => self.due.at,
            false => self.watermark,
        }
    }

    #[inline]
    pub(super) fn key_index(&self) -> u32 {
        self.due.key
    }

    #[inline]
    pub(super) fn turn(&self) -> u32 {
        self.turn
    }
}
