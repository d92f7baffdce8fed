//! One call of a batch's way: an operator gets what its inputs have of the batch, in parts that its plugin may see, and
//! its timers fire as time moves.

use super::task::{BatchCursor, BatchTask, Done, PlacedOperator, Tasks, WAIT};
use crate::clock;
use crate::error::{Error, Kind, Result};
use crate::plugin::{Call, CallError, CallTime, Outcome, Reached, Refusal, Refused};
use crate::record::Records;
use std::ops::Range;
use std::time::Duration;

/// Pauses between two calls of a plugin that asked to be called again.
const RETRY_PAUSE: Duration = Duration::from_millis(100);
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(10);

/// A call that is due: of an operator, with these records, and the outcome that it fills.
struct DueCall<'a> {
    operator: usize,
    records: &'a mut Records,
    /// Index of the plugin's input, of each record.
    inputs: &'a [u8],
    time: &'a CallTime,
    outcome: &'a mut Outcome,
    /// Bytes that the piece took on its way before it.
    taken: usize,
    /// Where the piece can be cut.
    cut_behind: Range<i64>,
}

impl Tasks {
    /// One call of the route, cut so that no plugin sees more records than the source allows.
    pub(super) fn call(
        &mut self,
        source: usize,
        index: usize,
        task: &mut BatchTask<'_>,
        records: &mut Records,
    ) -> Result<Done> {
        if let Some(reason) = self.piece.went_beyond(index).map(str::to_owned) {
            return self.leave_out(source, index, task, records, reason);
        }
        let (taken, cut_behind) = (self.taken(source, task), self.cut_behind(records));
        let mut outcomes = std::mem::take(&mut self.outcomes[source]);
        let mut gathering = std::mem::take(&mut self.gathering);
        let (before, rest) = outcomes.split_at_mut(index);
        let call = &self.routes[source].calls[index];
        let operator = call.operator;
        let (rows, inputs) = gathering.gather(&call.inputs, records, before);
        let end = self.piece.end_offset();
        let count = rows.len();
        let time = self.time.of_call(&call.inputs, index, &rows.offsets, end);
        let due = DueCall {
            operator,
            records: rows,
            inputs,
            time: &time,
            outcome: &mut rest[0],
            taken,
            cut_behind,
        };
        let done = self.call_as_cut(source, due, task);
        self.gathering = gathering;
        self.outcomes[source] = outcomes;
        if let Some((beyond, _)) = &mut self.beyond {
            *beyond = index;
        }
        match done? {
            None => Ok(Done::Waiting),
            Some(reached) => {
                self.time.reach(index, reached, &time, count);
                Ok(Done::Processed)
            }
        }
    }

    /// Where the piece with these records can be cut, so that many timers fire in pieces of their own: behind any
    /// record but its last. One by one, timers fire in calls of their own.
    fn cut_behind(&self, records: &Records) -> Range<i64> {
        match (&records.offsets[..], self.cursor.is_one_by_one) {
            ([first, .., last], false) => *first..*last,
            _ => 0..0,
        }
    }

    /// The piece's only record caused more in this call than there is memory for: nothing of it goes beyond this
    /// operator. Its timers fire behind it.
    fn leave_out(
        &mut self,
        source: usize,
        index: usize,
        task: &BatchTask<'_>,
        records: &Records,
        reason: String,
    ) -> Result<Done> {
        let operator = self.routes[source].calls[index].operator;
        if records.is_empty() {
            return Err(self.timer_beyond(operator, &reason));
        }
        let outcome = Outcome {
            refused: vec![Refused {
                record: 0,
                how: Refusal::Fault,
                reason,
                backtrace: String::new(),
            }],
            ..Outcome::default()
        };
        self.refuse(operator, task.partition, records, &CallTime::default(), &outcome)?;
        let into = &mut self.outcomes[source][index];
        into.clear(self.operators[operator].operator.output_count());
        Ok(Done::Processed)
    }

    /// `None`: it waits.
    fn call_as_cut(&mut self, source: usize, due: DueCall<'_>, task: &mut BatchTask<'_>) -> Result<Option<Reached>> {
        let max_batch = match self.cursor.is_one_by_one {
            true => 1,
            false => self.max_batch[source],
        };
        match due.records.len() <= max_batch && !self.cursor.is_one_by_one {
            true => self.call_whole(due, task),
            false => self.call_in_parts(due, task, max_batch),
        }
    }

    /// One by one, what is due before a record is a call of its own for each timer; so each of them is short, and what
    /// is done stays done while the group is seen to.
    fn call_in_parts(
        &mut self,
        mut due: DueCall<'_>,
        task: &mut BatchTask<'_>,
        max_batch: usize,
    ) -> Result<Option<Reached>> {
        let (mut part, mut reached) = (Records::default(), None);
        let count = due.records.len();
        let mut from = self.cursor.part;
        while from < count || reached.is_none() {
            let to = count.min(from + max_batch);
            let mut time = due.time.part(from, to, count);
            if self.cursor.is_one_by_one && from < to {
                let Some(stands) = self.fire_before(&mut due, task, &time)? else {
                    return Ok(None);
                };
                time = time.from(stands);
            }
            part.clear();
            (from..to).for_each(|index| part.push_from(due.records, index));
            let inputs = &due.inputs[from..to];
            reached = self.call_part(&mut due, task, &mut part, inputs, &time)?;
            if reached.is_none() {
                return Ok(None);
            }
            from = to;
            self.cursor.part = from;
            if from < count && self.is_due() {
                return Ok(None);
            }
        }
        (self.cursor.part, self.cursor.has_part_outcome) = (0, false);
        Ok(reached)
    }

    /// Fires what is due before the first row of a part, timer by timer. Where time stands then; `None`: it waits.
    fn fire_before(&mut self, due: &mut DueCall<'_>, task: &mut BatchTask<'_>, time: &CallTime) -> Result<Option<i64>> {
        let mut before = time.before_rows();
        loop {
            let Some(reached) = self.call_part(due, task, &mut Records::default(), &[], &before)? else {
                return Ok(None);
            };
            if reached.is_complete && reached.watermark >= before.last() {
                return Ok(Some(reached.watermark));
            }
            before = before.behind(reached.watermark);
            if self.is_due() {
                return Ok(None);
            }
        }
    }

    /// One part; what it puts out stands behind what the parts before it did.
    fn call_part(
        &mut self,
        due: &mut DueCall<'_>,
        task: &mut BatchTask<'_>,
        part: &mut Records,
        inputs: &[u8],
        time: &CallTime,
    ) -> Result<Option<Reached>> {
        let mut put_out = Outcome::default();
        let before = match self.cursor.has_part_outcome {
            true => due.outcome.memory(),
            false => 0,
        };
        let of_part = DueCall {
            operator: due.operator,
            records: part,
            inputs,
            time,
            outcome: &mut put_out,
            taken: due.taken + before,
            cut_behind: due.cut_behind.clone(),
        };
        let reached = self.call_whole(of_part, task)?;
        if reached.is_some() {
            match std::mem::replace(&mut self.cursor.has_part_outcome, true) {
                true => extend(due.outcome, &put_out),
                false => std::mem::swap(due.outcome, &mut put_out),
            }
        }
        Ok(reached)
    }

    fn call_whole(&mut self, mut due: DueCall<'_>, task: &mut BatchTask<'_>) -> Result<Option<Reached>> {
        let reached = self.call_again_when_due(&mut due, task)?;
        if reached.is_some() {
            self.count_call(due.operator);
            self.refuse(due.operator, task.partition, due.records, due.time, due.outcome)?;
        }
        Ok(reached)
    }

    /// A plugin that says "a dependency is down" is called again with the same records, later and later.
    fn call_again_when_due(&mut self, due: &mut DueCall<'_>, task: &mut BatchTask<'_>) -> Result<Option<Reached>> {
        let placed = &mut self.operators[due.operator];
        let name = &self.pipeline.operators[due.operator].name;
        let mut pause = RETRY_PAUSE;
        if let Some((at, next_pause)) = self.cursor.retry {
            let left = at.saturating_duration_since(clock::now());
            std::thread::sleep(left.min(WAIT));
            if left > WAIT {
                return Ok(None);
            }
            pause = next_pause;
        }
        let asked = Call {
            records: due.records,
            inputs: due.inputs,
            partition: task.partition.partition,
            time: due.time,
            most_timers: if self.cursor.is_one_by_one { 1 } else { self.most_timers },
            cut_behind: due.cut_behind.clone(),
            room: usize::try_from(self.pipeline.batch_bytes)
                .unwrap_or(usize::MAX)
                .saturating_sub(due.taken),
        };
        let answer = placed.operator.process(asked, task.state, due.outcome);
        let left_changes = placed.operator.left_changes();
        match answer {
            Ok(reached) => {
                self.get_on();
                Ok(Some(reached))
            }
            Err(CallError::Retry(reason)) => {
                tracing::warn!(
                    operator = name,
                    partition = %task.partition,
                    "the plugin asks to be called again: {reason}"
                );
                let words = format!("operator `{name}`: {reason}");
                self.ask_again(words, pause);
                self.wait(task, left_changes);
                Ok(None)
            }
            Err(CallError::GivenUp) => {
                self.cursor.is_one_by_one = true;
                self.wait(task, left_changes);
                Ok(None)
            }
            // `call` sets which call of the route it is; the piece begins anew, smaller.
            Err(CallError::NoRoom(how)) => {
                self.beyond = Some((0, how));
                Ok(None)
            }
            Err(CallError::TimersBetween(offset)) => {
                self.timers_between = Some(offset);
                Ok(None)
            }
            Err(CallError::State(error)) => Err(error),
            Err(CallError::Fail(reason)) => {
                let first = due.records.offsets.first().copied().unwrap_or(due.time.offset);
                Err(Error::new(
                    Kind::Guest,
                    format!("failed to go on in operator `{name}`: its plugin stopped the pipeline"),
                    format!(
                        "in a batch of {} records of {} from offset {first}: {reason}",
                        due.records.len(),
                        task.partition
                    ),
                ))
            }
        }
    }

    /// A call that came to nothing in the middle left a part of its changes. They cannot be told from those of the
    /// calls before it, so all are undone, and the batch goes its way from the beginning.
    fn wait(&mut self, task: &mut BatchTask<'_>, left_changes: bool) {
        if left_changes {
            self.begin(task);
            self.cursor = BatchCursor {
                retry: self.cursor.retry,
                is_one_by_one: self.cursor.is_one_by_one,
                ..BatchCursor::default()
            };
        }
    }

    /// The call that is underway is made again, after so long: the plugin asked for it in these words.
    fn ask_again(&mut self, words: String, pause: Duration) {
        self.progress.tell_asks_again(Some(words));
        self.cursor.retry = Some((clock::now() + pause, (pause * 2).min(RETRY_PAUSE_MAX)));
    }

    /// Nothing is asked for again any more.
    fn get_on(&mut self) {
        if self.cursor.retry.take().is_some() {
            self.progress.tell_asks_again(None);
        }
    }

    /// What was underway is over.
    pub(super) fn renew_cursor(&mut self) {
        self.get_on();
        self.cursor = BatchCursor::default();
    }

    fn count_call(&mut self, operator: usize) {
        let PlacedOperator {
            operator,
            metrics,
            before,
        } = &mut self.operators[operator];
        let now = operator.stats();
        metrics.calls.increment(now.calls - before.calls);
        metrics
            .call_seconds
            .record((now.call_nanos - before.call_nanos) as f64 / 1e9);
        metrics.memory.set(now.memory_bytes as f64);
        if now.recycled > before.recycled {
            let nanos = now.recycle_nanos - before.recycle_nanos;
            metrics.recycled.increment(now.recycled - before.recycled);
            metrics.recycle_seconds.record(nanos as f64 / 1e9);
        }
        metrics.traps.increment(now.traps - before.traps);
        metrics.deadlines.increment(now.deadlines - before.deadlines);
        metrics
            .memory_limits
            .increment(now.memory_limits - before.memory_limits);
        metrics.bad_outcomes.increment(now.bad_outcomes - before.bad_outcomes);
        metrics.timers_fired.increment(now.timers - before.timers);
        *before = now;
    }
}

/// What a later part of a batch put out stands behind what the parts before it did; what it refused is dealt with
/// already.
fn extend(outcome: &mut Outcome, later: &Outcome) {
    for (into, from) in outcome.outputs.iter_mut().zip(&later.outputs) {
        (0..from.len()).for_each(|index| into.push_from(from, index));
    }
}
