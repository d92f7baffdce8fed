//! A part of a call on its way, what all parts came to so far, and why a call may come to nothing.

use std::ops::Range;
use std::time::Instant;

use super::call::{CallTime, Measured, Outcome, Refusal, Refused, Returned};
use crate::error::Error;
use crate::record::Records;
use crate::state::TaskState;

/// Why a call as a whole came to nothing; the texts are for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallError {
    /// The plugin wants the same call again, after a pause.
    Retry(String),
    /// The pipeline cannot go on: the plugin said so, or it can no longer be opened.
    Fail(String),
    /// The search for records at fault was given up, because it took long or somebody had enough of it; the call is as
    /// if it had not been made. A call with a single record never is.
    GivenUp,
    /// What became of the records takes more than there is room for. A sentence about the plugin, begun by "it".
    NoRoom(String),
    /// More timers are due behind the source's record of this offset than fire in one call, and rows stand behind them:
    /// the call is as if it had not been made, and comes again in two, cut there. See [`super::Call::cut_behind`].
    TimersBetween(i64),
    /// The task's state could not be read, or is not there.
    State(Error),
}

/// How far a call came: not to the end of its time, if more timers were due than fire in one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reached {
    /// Where event time stands for the operator.
    pub watermark: i64,
    /// No timer is due there any more.
    pub is_complete: bool,
}

/// A part of a call: some of its rows, and time as it moves around them.
pub(super) struct CallPart<'a> {
    pub(super) records: &'a mut Records,
    pub(super) inputs: &'a [u8],
    pub(super) partition: i32,
    /// The place of its first record in the whole call's.
    pub(super) first: usize,
    pub(super) time: CallTime,
    pub(super) most_timers: usize,
    /// That of the call.
    pub(super) cut_behind: Range<i64>,
}

impl CallPart<'_> {
    /// The offset behind which the batch is cut, so that no row stands behind the timers that are due by `at`; if it
    /// can be cut there.
    pub(super) fn cut_at(&self, at: i64) -> Option<i64> {
        let offset = self.time.moved_to(at)?;
        self.cut_behind.contains(&offset).then_some(offset)
    }

    /// The same with these records, which have no input yet, and that time.
    pub(super) fn with<'a>(&self, records: &'a mut Records, time: CallTime) -> CallPart<'a> {
        CallPart {
            records,
            inputs: &[],
            partition: self.partition,
            first: self.first,
            time,
            most_timers: self.most_timers,
            cut_behind: self.cut_behind.clone(),
        }
    }
}

/// What the parts of a call came to so far. Kept only if the call as a whole succeeds.
pub(super) struct Gathered<'a> {
    pub(super) into: &'a mut Outcome,
    pub(super) state: &'a mut Option<TaskState>,
    pub(super) measured: Vec<Measured>,
    /// Something of the state was changed.
    pub(super) changed: bool,
    /// When the search for records at fault is given up, once it began.
    pub(super) until: Option<Instant>,
    /// Bytes that may still be taken in.
    pub(super) room: usize,
}

impl Gathered<'_> {
    pub(super) fn take(&mut self, mut outcome: Returned, part: &CallPart<'_>) {
        self.measured.append(&mut outcome.measured);
        self.into.absorb(outcome, part.records, &part.time, part.first);
    }

    pub(super) fn has_fault(&self) -> bool {
        let is_fault = |refused: &Refused| refused.how == Refusal::Fault;
        self.into.refused.iter().any(is_fault) || !self.into.refused_timers.is_empty()
    }
}
