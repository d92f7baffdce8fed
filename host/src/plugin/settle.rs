//! Brings a call to an outcome, in parts if it has to be: what is at fault is found by halving, and what is too much
//! for one call of the plugin is done in several.

use std::ops::Range;
use std::time::Duration;

use super::call::{CallTime, Refusal, Refused, RefusedTimer, Returned, memory};
use super::fault::{Fault, FaultKind};
use super::instance::Instance;
use super::limits::{DUE_BYTES, size};
use super::operator::Operator;
use super::parts::{CallError, CallPart, Gathered};
use crate::clock;
use crate::error::{Error, Kind};
use crate::record::Records;
use crate::state::{Most, TaskState};

/// Of a guest's memory, the values that travel with a batch may take one part in so many; a batch with more is halved.
const VALUES_SHARE: u64 = 4;

/// Those of a record alone, which cannot be halved: the guest needs as much again to make something of them.
const VALUES_SHARE_ALONE: u64 = 2;

/// How long records at fault are looked for in one call: somebody waits for the worker meanwhile.
const SEARCH: Duration = Duration::from_secs(5);

/// What became of a part.
enum Settled {
    /// All of it is settled, and event time stands here.
    Reached(i64),
    /// These of its records are left, in their order.
    Left(Vec<Range<usize>>),
}

impl Operator {
    /// Brings records and the timers that are due to an outcome. Where event time stands then: not at the end, if more
    /// were due than fire in one call.
    pub(super) fn settle(&mut self, mut part: CallPart<'_>, gathered: &mut Gathered<'_>) -> Result<i64, CallError> {
        match self.settle_at_once(&mut part, gathered)? {
            Settled::Reached(watermark) => Ok(watermark),
            Settled::Left(ranges) => self.settle_ranges(&part, ranges, gathered),
        }
    }

    /// In one call, if that can be. Parts of less than two records are settled whole.
    fn settle_at_once(&mut self, part: &mut CallPart<'_>, gathered: &mut Gathered<'_>) -> Result<Settled, CallError> {
        self.find_due(&part.time, part.most_timers, gathered.state)?;
        let rows = part.records.len();
        if let Some(at) = self.due.last_at().filter(|_| self.due.has_more) {
            if part.time.has_row_behind(at, rows) {
                return match part.cut_at(at) {
                    Some(offset) => Err(CallError::TimersBetween(offset)),
                    None => self.settle_in_parts(part, gathered),
                };
            }
            part.time = part.time.clone().until(at);
        }
        let (reached, units) = (part.time.last(), rows + self.due.len());
        if units == 0 {
            return Ok(Settled::Reached(reached));
        }
        if !self.look_up(part.records, units, gathered.state)? {
            if units > 1 {
                return self.settle_in_parts(part, gathered);
            }
            self.count(FaultKind::MemoryLimit);
            let fault = self.too_much_state(if rows > 0 { "record" } else { "timer" });
            self.refuse(part, &fault, gathered);
            return Ok(Settled::Reached(reached));
        }
        let fresh = self.instance.as_ref().is_none_or(Instance::is_fresh);
        match self.attempt(part, gathered.state)? {
            Ok(outcome) => self.take(outcome, part, gathered),
            Err(fault) if units == 1 && fresh => {
                self.refuse(part, &fault, gathered);
                Ok(Settled::Reached(reached))
            }
            // It may be that what came before had filled the instance.
            Err(_) if units == 1 => self.settle_at_once(part, gathered),
            Err(Fault { row: Some(row), .. }) if rows > 1 => {
                Ok(Settled::Left(vec![0..row, row..row + 1, row + 1..rows]))
            }
            Err(_) => self.settle_in_parts(part, gathered),
        }
    }

    /// Takes in what a call came to. It may have left records.
    fn take(
        &mut self,
        outcome: Returned,
        part: &CallPart<'_>,
        gathered: &mut Gathered<'_>,
    ) -> Result<Settled, CallError> {
        let rows = part.records.len();
        let left = outcome.rows.filter(|done| *done < rows);
        if let Some(done) = left {
            // Behind them nothing fired yet.
            self.find_due(&part.time.part(0, done, rows), part.most_timers, gathered.state)?;
        }
        self.take_room(&outcome, gathered)?;
        self.change(&outcome, gathered);
        gathered.take(outcome, part);
        Ok(match left {
            None => Settled::Reached(part.time.last()),
            // If the instance is gone, the next record is the one that spoilt it: it goes alone.
            Some(done) => {
                let alone = done + usize::from(self.instance.is_none());
                Settled::Left(vec![done..alone, alone..rows])
            }
        })
    }

    /// Finds the timers that are due by the end of a time.
    pub(super) fn find_due(
        &mut self,
        time: &CallTime,
        most: usize,
        state: &mut Option<TaskState>,
    ) -> Result<(), CallError> {
        self.due.clear();
        if !self.may_have_due(time, state) {
            return Ok(());
        }
        let most = Most {
            entries: most,
            bytes: DUE_BYTES,
        };
        match state {
            Some(state) => self
                .due
                .look_up(&self.timers, time, most, state)
                .map_err(CallError::State),
            None => Ok(()),
        }
    }

    /// What is alone at fault, a record or a timer, is left out.
    fn refuse(&mut self, part: &CallPart<'_>, fault: &Fault, gathered: &mut Gathered<'_>) {
        let lines = self.plugin.source_lines();
        tracing::info!(
            operator = self.name,
            partition = part.partition,
            offset = part.records.offsets.first().copied().unwrap_or(part.time.offset),
            "the plugin {}",
            fault.told(lines)
        );
        let (reason, backtrace) = (fault.reason.clone(), fault.traced(lines));
        let Some(timer) = self.due.first() else {
            gathered.into.refused.push(Refused {
                record: part.first as u32,
                how: Refusal::Fault,
                reason,
                backtrace,
            });
            return;
        };
        gathered.into.refused_timers.push(RefusedTimer {
            name: timer.name.to_owned(),
            key: timer.key.to_vec(),
            at: timer.at,
            reason,
            backtrace,
        });
        self.change(&Returned::default(), gathered);
    }

    /// What a call came to counts against what the batch may take.
    fn take_room(&self, outcome: &Returned, gathered: &mut Gathered<'_>) -> Result<(), CallError> {
        let bytes = memory(outcome, self.sent.keys());
        match gathered.room.checked_sub(bytes) {
            Some(left) => {
                gathered.room = left;
                Ok(())
            }
            None => Err(CallError::NoRoom(format!(
                "handed over {bytes} bytes at once where {} were left of the {} that a batch may take on its way \
                 (batch-memory)",
                gathered.room,
                size(self.limits.batch_bytes)
            ))),
        }
    }

    /// What a key has is never sent in part. `of`: what has the key.
    fn too_much_state(&self, of: &str) -> Fault {
        Fault::not_called(&format!(
            "the values that its stores have for the {of}'s key take more than half of its memory limit of {}",
            size(self.limits.memory_bytes)
        ))
    }

    /// Looks up the values that travel with the records and the timers. `false`: they would take too much of the
    /// guest's memory.
    fn look_up(&mut self, records: &Records, units: usize, state: &mut Option<TaskState>) -> Result<bool, CallError> {
        if !self.keeps_state() {
            return Ok(true);
        }
        let state = state.as_mut().ok_or_else(|| CallError::State(no_state(&self.name)))?;
        let share = if units > 1 { VALUES_SHARE } else { VALUES_SHARE_ALONE };
        let most = usize::try_from(self.limits.memory_bytes / share).unwrap_or(usize::MAX);
        let found = self.sent.look_up(records, &self.due, state, most);
        found.map_err(CallError::State)
    }

    /// The same in smaller parts, one behind the other.
    fn settle_in_parts(&mut self, part: &CallPart<'_>, gathered: &mut Gathered<'_>) -> Result<Settled, CallError> {
        match part.records.len() {
            0 => self.settle_half_the_timers(part, gathered).map(Settled::Reached),
            1 => self.settle_record_apart(part, gathered).map(Settled::Reached),
            rows => Ok(Settled::Left(vec![0..rows / 2, rows / 2..rows])),
        }
    }

    /// Records in these parts, one behind the other. A part that has to be parted itself is not gone into, so that
    /// nothing but one part is held at a time, however often that is.
    fn settle_ranges(
        &mut self,
        part: &CallPart<'_>,
        ranges: Vec<Range<usize>>,
        gathered: &mut Gathered<'_>,
    ) -> Result<i64, CallError> {
        let rows = part.records.len();
        let (mut reached, mut waiting) = (part.time.watermark, ranges);
        waiting.reverse();
        while let Some(of) = waiting.pop() {
            if of.is_empty() {
                continue;
            }
            if self.stop_at_fault && gathered.has_fault() {
                break;
            }
            self.go_on(part, gathered)?;
            let mut some = Records::default();
            of.clone().for_each(|index| some.push_from(part.records, index));
            let mut piece = CallPart {
                records: &mut some,
                inputs: part.inputs.get(of.clone()).unwrap_or_default(),
                partition: part.partition,
                first: part.first + of.start,
                time: part.time.part(of.start, of.end, rows),
                most_timers: part.most_timers,
                cut_behind: part.cut_behind.clone(),
            };
            match self.settle_at_once(&mut piece, gathered)? {
                Settled::Reached(watermark) => reached = watermark,
                Settled::Left(ranges) => {
                    let behind = |range: &Range<usize>| of.start + range.start..of.start + range.end;
                    waiting.extend(ranges.iter().rev().map(behind));
                }
            }
        }
        Ok(reached)
    }

    /// What is due before the record, itself, and what is due behind it.
    fn settle_record_apart(&mut self, part: &CallPart<'_>, gathered: &mut Gathered<'_>) -> Result<i64, CallError> {
        let mut before = part.time.before_rows();
        loop {
            self.find_due(&before, part.most_timers, gathered.state)?;
            if self.due.len() == 0 || self.stop_at_fault && gathered.has_fault() {
                break;
            }
            self.go_on(part, gathered)?;
            let reached = self.settle(part.with(&mut Records::default(), before.clone()), gathered)?;
            before = before.behind(reached);
        }
        let stands = before.last();
        let mut record = Records::default();
        record.push_from(part.records, 0);
        let alone = CallPart {
            inputs: part.inputs,
            ..part.with(&mut record, part.time.before_rows().behind(stands))
        };
        self.settle(alone, gathered)?;
        if self.stop_at_fault && gathered.has_fault() {
            return Ok(stands);
        }
        self.go_on(part, gathered)?;
        self.settle(part.with(&mut Records::default(), part.time.behind(stands)), gathered)
    }

    fn settle_half_the_timers(&mut self, part: &CallPart<'_>, gathered: &mut Gathered<'_>) -> Result<i64, CallError> {
        let (all, half) = (self.due.len(), self.due.len() / 2);
        let (mut none, mut reached) = (Records::default(), part.time.watermark);
        for count in [half, all - half] {
            if self.stop_at_fault && gathered.has_fault() {
                break;
            }
            self.go_on(part, gathered)?;
            let some = CallPart {
                most_timers: count.max(1),
                ..part.with(&mut none, part.time.behind(reached))
            };
            reached = self.settle(some, gathered)?;
        }
        Ok(reached)
    }

    /// A search for what is at fault is given up when it takes long, or somebody had enough of it; one that has no more
    /// than a record and a timer left does not take long.
    fn go_on(&self, part: &CallPart<'_>, gathered: &mut Gathered<'_>) -> Result<(), CallError> {
        let until = *gathered.until.get_or_insert_with(|| clock::now() + SEARCH);
        let is_long = part.most_timers > 1 && clock::now() >= until;
        match is_long || self.enough.as_ref().is_some_and(|enough| enough()) {
            true => Err(CallError::GivenUp),
            false => Ok(()),
        }
    }
}

fn no_state(name: &str) -> Error {
    Error::new(
        Kind::Bug,
        format!("failed to call operator `{name}`"),
        "its plugin keeps state, and the batch came without its task's",
    )
}
