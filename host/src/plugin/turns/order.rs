//! The order of the turns of a batch: events, and between them the timers that are due as time moves.

use super::waiting::{TurnTime, WaitingTimers};
use crate::plugin::call::{Advance, BEFORE_ALL, BY_ADVANCE, Due};
use crate::record::Column;

/// What a turn is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::plugin) enum TurnOf {
    /// The event of this index.
    Event(u32),
    /// A timer that fires.
    Timer(Due),
}

/// Where a batch stands on its way.
#[derive(Debug, Default)]
pub(super) struct TurnOrder {
    step: TurnStep,
    rows: usize,
    /// So many events had their turn, and so many advances were made.
    row: usize,
    moved: usize,
    watermark: i64,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum TurnStep {
    /// Timers of the host's clock, before all others.
    #[default]
    Clock,
    Fire,
    Move,
    /// An event had its turn. A timer that it set too late waits for the next advance, as it would if the batch ended
    /// with the event.
    AfterEvent,
}

impl TurnOrder {
    /// A batch of so many events begins.
    pub(super) fn begin(&mut self, rows: usize, watermark: i64) {
        *self = Self {
            rows,
            watermark,
            ..Self::default()
        };
    }

    /// Whose turn it is next; none: the batch is over.
    pub(super) fn next(&mut self, advances: &[Advance], waiting: &mut WaitingTimers, keys: &Column) -> Option<TurnOf> {
        loop {
            match self.step {
                TurnStep::Clock => match waiting.next_by_clock() {
                    Some(due) => return Some(TurnOf::Timer(due)),
                    None => self.step = TurnStep::Fire,
                },
                TurnStep::Fire => match waiting.next(self.moment(), keys) {
                    Some(due) => return Some(TurnOf::Timer(due)),
                    None => self.step = TurnStep::Move,
                },
                TurnStep::Move => {
                    if self.advance(advances) {
                        self.step = TurnStep::Fire;
                    } else if self.row == self.rows {
                        return None;
                    } else {
                        self.step = if waiting.is_without() {
                            TurnStep::Move
                        } else {
                            TurnStep::AfterEvent
                        };
                        self.row += 1;
                        return Some(TurnOf::Event(self.row as u32 - 1));
                    }
                }
                TurnStep::AfterEvent => {
                    self.advance(advances);
                    self.step = TurnStep::Fire;
                }
            }
        }
    }

    /// Events of the batch.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Events that had their turn.
    pub(super) fn row(&self) -> usize {
        self.row
    }

    /// Whether an event has just had its turn, and another follows: the batch can be cut there.
    pub(super) fn is_between_events(&self) -> bool {
        (self.step == TurnStep::AfterEvent || self.step == TurnStep::Move) && 0 < self.row && self.row < self.rows
    }

    pub(super) fn watermark(&self) -> i64 {
        self.watermark
    }

    /// The cause of what a timer puts out that fires now.
    pub(super) fn cause_of_timer(&self) -> u32 {
        match self.moved.checked_sub(1) {
            Some(advance) => BY_ADVANCE + advance as u32,
            None => BEFORE_ALL,
        }
    }

    fn moment(&self) -> TurnTime {
        TurnTime {
            watermark: self.watermark,
            is_end: self.row == self.rows,
        }
    }

    /// Moves time once, if it moves before the next event.
    fn advance(&mut self, advances: &[Advance]) -> bool {
        let next = advances.get(self.moved).filter(|next| next.before as usize <= self.row);
        if let Some(next) = next {
            (self.watermark, self.moved) = (next.watermark, self.moved + 1);
        }
        next.is_some()
    }
}
