//! THE loop's body: one batch of one partition, from the source through the operators to the sinks.
//!
//! ```text
//! event time → calls, in the order of the route, with the timers that are due → refusals → stage everything
//! ```
//!
//! Outputs that Kafka refused for good, and that were told to be left out (`refused`), are taken out before anything is
//! staged.
//!
//! Always: nothing of a batch is staged before all of it was computed, so a failure leaves no half batch in the sinks.
//! What a batch changes in the state is kept once all of its outputs are staged, and undone if it comes to nothing.
//! A batch of which more would become than a worker has memory for goes its way in pieces, for each of which that
//! holds; and so it does if more timers are due than fire in one call: the piece ends behind the record that made them
//! due, and is followed by pieces in which only timers fire. What is due before the first record fires in such pieces
//! too. Whoever can lets a batch that is too much end behind its first piece, and the records behind that one be
//! batches of their own (`may_end_behind`): so they can be committed one by one, and what all of them change is
//! never in memory together. If all that is left are the timers of its last move of time, and they change much or
//! take long, the batch ends, so that it can be committed: the rest is a batch of its own (`owed_time`). And so it
//! ends behind the record that made them due, if it can.

use super::bad_times::{BadTimes, Judged};
use super::gather::Gathering;
use super::piece::Piece;
use super::refused::LeftOutOutputs;
use super::time::{TaskTime, TimeRule};
use crate::clock;
use crate::config::{EventTime, OnBadTime, Pipeline, Source, TimeSettings};
use crate::error::{Error, Kind, Result};
use crate::metrics::{self, OperatorMetrics, Progress, SinkMetrics, WorkerMetrics};
use crate::plugin::{Advance, Operator, Outcome, Stats};
use crate::record::{Records, TopicPartition};
use crate::sink::Writer;
use crate::source::event_time::JsonPointer;
use crate::state::TaskState;
use crate::topology::Route;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long one waiting for a sink or a plugin may last before the worker gets to see to its group.
pub(super) const WAIT: Duration = Duration::from_millis(50);
/// How long a batch may be computed before the worker gets to see to its group; no call is cut short for it.
const TURN: Duration = Duration::from_millis(500);
/// The task that a batch belongs to.
pub struct BatchTask<'a> {
    /// The partition that the records stem from.
    pub partition: &'a TopicPartition,
    /// What the task's operators keep; there for every pipeline in which one keeps something. It is there again after
    /// every call.
    pub state: &'a mut Option<TaskState>,
}

/// What moves the time of a task, if it has timers.
#[derive(Debug, Clone)]
pub enum MovedBy {
    /// The records of the batch. These are the task's other partitions that hold time back.
    Records(Vec<TopicPartition>),
    /// Nothing that was read, and the batch is empty: time moves to `watermark`, for the partitions that hold it back
    /// have it there, or there are none any more. The greatest number there is is the end of time.
    Others {
        /// In milliseconds since 1970.
        watermark: i64,
        /// That of the partition's last record, for whatever comes of it.
        offset: i64,
    },
    /// The host's clock: its timers fire that are due by `now`. The batch is empty.
    Clock {
        /// In milliseconds since 1970.
        now: i64,
        /// As above.
        offset: i64,
    },
}

impl BatchTask<'_> {
    fn keep(&mut self) {
        if let Some(state) = self.state {
            state.keep();
        }
    }

    fn undo(&mut self) {
        if let Some(state) = self.state {
            state.undo();
        }
    }

    fn overlay_bytes(&self) -> usize {
        self.state.as_ref().map_or(0, TaskState::overlay_bytes)
    }
}

/// What became of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    /// All of its outputs are staged.
    Processed,
    /// A sink takes nothing, a plugin asks to be called again, the batch takes its time, or there is more of it than
    /// goes its way at once: see to the group, then call `go_on`, or look at `may_end_behind`. A batch that is given up
    /// here, with `give_up`, is not processed: its positions must not be committed.
    Waiting,
}

/// Where a batch stands on its route, so that a wait repeats nothing of what was done before it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct BatchCursor {
    /// Calls of the route that are answered.
    pub(super) calls: usize,
    /// Records of the next call that are answered, if it is made in parts, and whether something was put out for it.
    pub(super) part: usize,
    pub(super) has_part_outcome: bool,
    /// The search for records at fault took too long: each record is called by itself, and the group is seen to between
    /// them.
    pub(super) is_one_by_one: bool,
    /// When a plugin that asked for it is called again, and the pause after that.
    pub(super) retry: Option<(Instant, Duration)>,
    /// What is left out is out.
    pub(super) is_sifted: bool,
    /// Stages that are done, and records of the next one that are handed over.
    pub(super) stages: usize,
    pub(super) staged: usize,
}

/// What a worker runs its tasks' batches through. Its instances are its own; nothing here is shared with another
/// worker.
pub struct Tasks {
    pub(super) pipeline: Arc<Pipeline>,
    pub(super) routes: Vec<Route>,
    pub(super) operators: Vec<PlacedOperator>,
    /// For each source the pointer to its event time, for each call of its route the outcome; memory that is used
    /// again.
    event_times: Vec<Option<JsonPointer>>,
    pub(super) outcomes: Vec<Vec<Outcome>>,
    pub(super) max_batch: Vec<usize>,
    /// For each source how its records move time, and what becomes of those whose time cannot be.
    rules: Vec<TimeSettings>,
    bad_times: BadTimes,
    counts: BatchCounts,
    pub(super) time: TaskTime,
    pub(super) gathering: Gathering,
    /// Timers that fire in one call, at most.
    pub(super) most_timers: usize,
    pub(super) dead: Records,
    /// Outputs that Kafka refused since the last commit.
    pub(in crate::runtime) left_out: LeftOutOutputs,
    /// For each stage of the route what is left, if something was taken out.
    pub(super) sifted: Vec<Option<Records>>,
    pub(in crate::runtime) sinks: Vec<SinkMetrics>,
    pub(super) progress: Arc<Progress>,
    missing: Vec<u32>,
    pub(super) cursor: BatchCursor,
    /// When the group was last seen to.
    attended: Instant,
    pub(super) piece: Piece,
    /// What the overlay took when the batch began.
    overlay_bytes: usize,
    /// The same when the piece at hand began.
    overlay_bytes_of_piece: usize,
    /// When the batch began, and how much it may change, in bytes, before it ends in its last move of time.
    began: Instant,
    most_changed: usize,
    /// What the last batch left of its last move of time.
    owed_time: Option<Advance>,
    /// The call that went beyond the memory that a batch may take, and how.
    pub(super) beyond: Option<(usize, String)>,
    /// The piece at hand has to end behind the source's record of this offset: more timers are due there than fire in
    /// one call.
    pub(super) timers_between: Option<i64>,
    may_end_behind: Option<i64>,
    /// For each source how many records a batch has at most, since one of more was too much.
    most_records: Vec<usize>,
    metrics: WorkerMetrics,
}

/// What is counted of a batch's records once it is processed: until then it may come again.
#[derive(Debug, Clone, Copy, Default)]
struct BatchCounts {
    late: u64,
    bad_times: u64,
    missing: u64,
}

/// An operator with what is counted of it.
pub(super) struct PlacedOperator {
    pub(super) operator: Operator,
    pub(super) metrics: OperatorMetrics,
    pub(super) before: Stats,
}

impl Tasks {
    /// `operators` in the order of the pipeline's. Errors: an event-time pointer that is none (`Invalid`).
    pub fn new(
        pipeline: Arc<Pipeline>,
        routes: Vec<Route>,
        operators: Vec<Operator>,
        progress: Arc<Progress>,
    ) -> Result<Self> {
        let operators = operators
            .into_iter()
            .zip(&pipeline.operators)
            .map(|(operator, config)| PlacedOperator {
                before: operator.stats(),
                operator,
                metrics: metrics::operator(&pipeline.name, &config.name),
            });
        let metrics = metrics::worker(&pipeline.name);
        metrics.batch_limit.set(pipeline.batch_bytes as f64);
        Ok(Self {
            operators: operators.collect(),
            event_times: pipeline.sources.iter().map(event_time).collect::<Result<_>>()?,
            outcomes: routes
                .iter()
                .map(|route| route.calls.iter().map(|_| Outcome::default()).collect())
                .collect(),
            max_batch: pipeline.sources.iter().map(max_batch).collect(),
            rules: pipeline.sources.iter().map(Source::time).collect(),
            bad_times: BadTimes::default(),
            counts: BatchCounts::default(),
            time: TaskTime::default(),
            gathering: Gathering::default(),
            most_timers: 0,
            dead: Records::default(),
            left_out: LeftOutOutputs::new(pipeline.clone()),
            sifted: Vec::new(),
            sinks: pipeline
                .sinks
                .iter()
                .chain(&pipeline.dead_letters)
                .map(|sink| metrics::sink(&pipeline.name, &sink.name))
                .collect(),
            metrics,
            missing: Vec::new(),
            cursor: BatchCursor::default(),
            attended: clock::now(),
            piece: Piece::default(),
            overlay_bytes: 0,
            overlay_bytes_of_piece: 0,
            began: clock::now(),
            most_changed: usize::try_from(pipeline.batch_bytes).unwrap_or(usize::MAX),
            owed_time: None,
            beyond: None,
            timers_between: None,
            may_end_behind: None,
            most_records: vec![usize::MAX; pipeline.sources.len()],
            routes,
            pipeline,
            progress,
        })
    }

    /// The same, but a batch ends in its last move of time whenever it can, as if it had changed much.
    #[must_use]
    pub fn end_in_moves(mut self) -> Self {
        self.most_changed = 0;
        self
    }

    /// Takes a batch of source `source` through its route and stages what comes out.
    ///
    /// Errors: a record that stops the pipeline (`Guest`), an output that can never be delivered (`Kafka`).
    pub fn process(
        &mut self,
        source: usize,
        task: &mut BatchTask<'_>,
        moved_by: &MovedBy,
        records: &mut Records,
        writer: &mut Writer,
    ) -> Result<Done> {
        task.undo();
        // Nothing of this batch is put out, whatever was of the one before.
        self.piece.begin(0);
        self.counts = BatchCounts::default();
        self.tell_event_time(source, records);
        self.judge_times(source, task.partition, records)?;
        self.begin_time(source, task, moved_by, records)?;
        self.piece.begin(records.len());
        if let Some(offset) = self.time.moves_before(records) {
            self.piece.fire_first(offset);
        }
        (self.began, self.owed_time) = (clock::now(), None);
        self.most_timers = self.max_batch[source];
        self.begin(task);
        self.overlay_bytes = task.overlay_bytes();
        self.overlay_bytes_of_piece = self.overlay_bytes;
        self.renew_cursor();
        if self.ends_before_it_is_too_much(source, records) {
            return Ok(Done::Waiting);
        }
        self.go_on(source, task, records, writer)
    }

    /// Whether the batch may have fewer records: one of so many was too much before.
    fn ends_before_it_is_too_much(&mut self, source: usize, records: &Records) -> bool {
        let most = self.most_records[source];
        self.may_end_behind = None;
        if records.len() <= most || self.piece.is_firing() {
            return false;
        }
        self.piece.shorten(records, most);
        self.may_end_behind = self.may_end().then_some(self.piece.end_offset());
        self.may_end_behind.is_some()
    }

    /// Whether the batch can end behind the piece at hand. Records that were taken out for their times are put out with
    /// the first piece, wherever they stood.
    fn may_end(&self) -> bool {
        !self.has_put_out() && !self.bad_times.took_out()
    }

    /// Takes the records out whose time cannot be; if nothing goes by time, only when the file says so.
    fn judge_times(&mut self, source: usize, partition: &TopicPartition, records: &mut Records) -> Result<()> {
        self.bad_times.clear();
        let settings = self.rules[source];
        let way = match (settings.on_bad_time, self.goes_by_time(source)) {
            (Some(way), _) => way,
            (None, false) => return Ok(()),
            (None, true) if self.pipeline.dead_letters.is_some() => OnBadTime::DeadLetter,
            (None, true) => OnBadTime::Fail,
        };
        let judged = Judged {
            pipeline: &self.pipeline,
            source: self.pipeline.sources[source].name(),
            partition,
            rule: TimeRule::of(settings, clock::wall_ms()),
            most_bytes: self.left_out.most_bytes,
        };
        self.counts.bad_times = self.bad_times.judge(&judged, way, records)?;
        Ok(())
    }

    /// To where the last batch moved its partition's watermark, if it did.
    pub fn partition_watermark(&self) -> Option<i64> {
        self.time.partition_watermark()
    }

    /// What an operator did so far.
    pub fn stats(&self, operator: usize) -> Stats {
        self.operators[operator].operator.stats()
    }

    /// Whether something on the route of the source goes by time.
    pub fn goes_by_time(&self, source: usize) -> bool {
        let calls = &self.routes[source].calls;
        calls
            .iter()
            .any(|call| self.operators[call.operator].operator.has_timers())
    }

    /// Whether a timer of the clock may be due on the route of the source; reads nothing.
    pub fn may_fire_by_clock(&self, source: usize, now: i64, state: &Option<TaskState>) -> bool {
        let calls = &self.routes[source].calls;
        let may_fire = |state: &TaskState| {
            let mut operators = calls.iter().map(|call| &self.operators[call.operator].operator);
            operators.any(|operator| operator.may_fire_by_clock(now, state))
        };
        state.as_ref().is_some_and(may_fire)
    }

    /// Whether a timer on event time is set on the route of the source.
    pub fn may_fire_in_the_end(&self, source: usize, state: &mut Option<TaskState>) -> Result<bool> {
        let Some(state) = state else { return Ok(false) };
        for call in &self.routes[source].calls {
            if self.operators[call.operator].operator.has_timer(state)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn begin_time(
        &mut self,
        source: usize,
        task: &mut BatchTask<'_>,
        moved_by: &MovedBy,
        records: &Records,
    ) -> Result<()> {
        if self.goes_by_time(source)
            && let Some(state) = task.state
        {
            match *moved_by {
                MovedBy::Records(ref others) => {
                    let rule = TimeRule::of(self.rules[source], clock::wall_ms());
                    self.counts.late = self.time.begin(state, task.partition, others, records, rule)?;
                }
                MovedBy::Others { watermark, offset } => self.time.begin_at(state, watermark, offset)?,
                MovedBy::Clock { now, offset } => self.time.begin_clock(state, now, offset)?,
            }
            self.time.take_route(&self.routes[source]);
        } else {
            self.time.stand_still();
        }
        Ok(())
    }

    /// Nothing of a piece is done yet: what is not kept of the state, and the dead letters, are those of one that came
    /// to nothing.
    pub(super) fn begin(&mut self, task: &mut BatchTask<'_>) {
        task.undo();
        self.time.undo();
        self.dead.clear();
        if self.piece.begins_with_the_first_record() {
            self.bad_times.append_to(&mut self.dead);
        }
    }

    /// Whether a piece of the batch at hand was staged before the one that is on its way.
    pub fn has_put_out(&self) -> bool {
        self.piece.is_later()
    }

    /// Takes the batch that `process` began on from where it waits. Errors as there.
    pub fn go_on(
        &mut self,
        source: usize,
        task: &mut BatchTask<'_>,
        records: &mut Records,
        writer: &mut Writer,
    ) -> Result<Done> {
        self.attended = clock::now();
        self.may_end_behind = None;
        let done = self.step(source, task, records, writer)?;
        if done == Done::Processed {
            let BatchCounts {
                late,
                bad_times,
                missing,
            } = self.counts;
            self.metrics.late.increment(late);
            self.metrics.bad_times.increment(bad_times);
            self.metrics.event_time_missing.increment(missing);
        }
        Ok(done)
    }

    /// A piece, or what is left of it.
    fn step(
        &mut self,
        source: usize,
        task: &mut BatchTask<'_>,
        records: &mut Records,
        writer: &mut Writer,
    ) -> Result<Done> {
        let done = self.go_on_with_piece(source, task, records, writer);
        if let Some(offset) = self.timers_between.take() {
            self.may_end_behind = self.may_end().then_some(offset);
            self.piece.end_behind(records, offset);
            return Ok(self.begin_piece(task));
        }
        match (done, self.beyond.take()) {
            // Fewer timers at a time may be less; what they put out is not what the record puts out.
            (Ok(_), Some(_)) if self.most_timers > 1 && self.time.moves() && !self.piece.has_many_records() => {
                self.metrics.batches_cut.increment(1);
                self.most_timers /= 2;
            }
            (Ok(_), Some((call, how))) if self.piece.is_firing() => {
                task.undo();
                return Err(self.timer_beyond(self.routes[source].calls[call].operator, &how));
            }
            (Ok(_), Some((call, how))) => {
                self.metrics.batches_cut.increment(1);
                let had_many = self.piece.has_many_records();
                self.piece.cut(records, call, how);
                if had_many {
                    self.most_records[source] = self.piece.len();
                    self.may_end_behind = self.may_end().then_some(self.piece.end_offset());
                }
            }
            (Ok(Done::Processed), None) => {
                self.count_taken(source, task);
                let is_complete = self.time.is_complete(self.piece.end_offset());
                let ends_here = !is_complete && self.piece.is_last() && self.ends_in_last_move(task);
                match &mut *task.state {
                    Some(state) if is_complete && self.piece.is_last() => self.time.store(state),
                    Some(state) if ends_here => self.time.store_owed(state),
                    _ => {}
                }
                task.keep();
                self.time.keep();
                self.overlay_bytes_of_piece = task.overlay_bytes();
                if ends_here {
                    self.owed_time = self.time.last_move();
                    return Ok(Done::Processed);
                } else if !is_complete {
                    self.piece.fire();
                } else if self.piece.step(records) {
                    self.most_timers = self.max_batch[source];
                } else {
                    return Ok(Done::Processed);
                }
            }
            (Ok(Done::Waiting), None) => return Ok(Done::Waiting),
            (Err(error), _) => {
                task.undo();
                return Err(error);
            }
        }
        Ok(self.begin_piece(task))
    }

    /// Twice the records would not have been too much: the next batch may have them.
    fn count_taken(&mut self, source: usize, task: &BatchTask<'_>) {
        let taken = self.taken(source, task);
        self.metrics.batch_bytes.record(taken as f64);
        let most = &mut self.most_records[source];
        if !self.piece.is_firing() && self.piece.len() >= *most && (taken as u64) < self.pipeline.batch_bytes / 2 {
            *most = most.saturating_mul(2);
        }
    }

    /// Another piece comes, and each may take its time: the group is seen to before.
    fn begin_piece(&mut self, task: &mut BatchTask<'_>) -> Done {
        self.begin(task);
        self.renew_cursor();
        Done::Waiting
    }

    /// The batch that waits may end behind the record of this offset: more would be too much, or more timers are due
    /// there than fire in one call, and nothing of it was put out. `process`, with the records up to that one alone,
    /// takes them as a batch that can be committed; `go_on`, as a piece of this one.
    pub fn may_end_behind(&self) -> Option<i64> {
        self.may_end_behind
    }

    /// What the batch that was processed left of its last move of time: that has to be done, in batches without
    /// records, before anything else happens in the task. What was done so far may be committed before.
    pub fn owed_time(&self) -> Option<MovedBy> {
        let Advance { watermark, offset, .. } = self.owed_time?;
        Some(MovedBy::Others { watermark, offset })
    }

    /// Whether the batch did much, or for long, and has nothing left but timers of its last move.
    fn ends_in_last_move(&self, task: &BatchTask<'_>) -> bool {
        let changed = task.overlay_bytes().saturating_sub(self.overlay_bytes);
        let is_much = changed >= self.most_changed || clock::now().duration_since(self.began) >= TURN;
        is_much && self.time.is_in_last_move()
    }

    fn go_on_with_piece(
        &mut self,
        source: usize,
        task: &mut BatchTask<'_>,
        records: &mut Records,
        writer: &mut Writer,
    ) -> Result<Done> {
        if self.piece.is_whole() {
            return self.go_through(source, task, records, writer);
        }
        let mut piece = self.piece.lend();
        let done = self.go_through(source, task, &mut piece, writer);
        self.piece.give_back(piece);
        done
    }

    fn go_through(
        &mut self,
        source: usize,
        task: &mut BatchTask<'_>,
        records: &mut Records,
        writer: &mut Writer,
    ) -> Result<Done> {
        match self.compute(source, task, records)? {
            Done::Processed => self.stage_all(source, task.partition, records, writer),
            Done::Waiting => Ok(Done::Waiting),
        }
    }

    /// Bytes that the piece took so far on its way: what the answered calls handed over, the dead letters, and what all
    /// pieces of the batch changed, which cannot be committed before the last of them.
    pub(super) fn taken(&self, source: usize, task: &BatchTask<'_>) -> usize {
        let handed_over = self.outcomes[source]
            .iter()
            .take(self.cursor.calls)
            .map(Outcome::memory);
        // A record alone, or timers alone, answer for what they take themselves, and not for what the pieces before
        // them changed.
        let before = match self.piece.is_one_record() || self.piece.is_firing() {
            true => self.overlay_bytes_of_piece,
            false => self.overlay_bytes,
        };
        let changed = task.overlay_bytes().saturating_sub(before);
        handed_over.sum::<usize>() + changed + self.dead.memory()
    }

    /// Gives up the batch that waits: what it changed in the state was never changed.
    pub fn give_up(&mut self, task: &mut BatchTask<'_>) {
        self.begin_piece(task);
    }

    fn compute(&mut self, source: usize, task: &mut BatchTask<'_>, records: &mut Records) -> Result<Done> {
        while self.cursor.calls < self.routes[source].calls.len() {
            if self.call(source, self.cursor.calls, task, records)? == Done::Waiting {
                return Ok(Done::Waiting);
            }
            self.cursor.calls += 1;
            if self.cursor.calls < self.routes[source].calls.len() && self.is_due() {
                return Ok(Done::Waiting);
            }
        }
        Ok(Done::Processed)
    }

    /// Whether the group was not seen to for long.
    pub(super) fn is_due(&self) -> bool {
        clock::now().duration_since(self.attended) >= TURN
    }

    fn tell_event_time(&mut self, source: usize, records: &mut Records) {
        if let Some(pointer) = &self.event_times[source] {
            self.missing.clear();
            pointer.apply(records, &mut self.missing);
            self.counts.missing = self.missing.len() as u64;
        }
    }

    /// There is no going on without what a timer alone puts out.
    pub(super) fn timer_beyond(&self, operator: usize, how: &str) -> Error {
        let name = &self.pipeline.operators[operator].name;
        let what = format!("failed to fire a timer of operator `{name}`");
        Error::new(Kind::Guest, what, format!("when it fired, its plugin {how}"))
            .hint("`batch-memory` says how much a batch may take")
    }
}

fn event_time(source: &Source) -> Result<Option<JsonPointer>> {
    let event_time = match source {
        Source::Kafka(source) => &source.event_time,
        Source::File(source) => &source.event_time,
    };
    match event_time {
        EventTime::Record => Ok(None),
        EventTime::Pointer(pointer) => JsonPointer::parse(pointer).map(Some),
    }
}

fn max_batch(source: &Source) -> usize {
    match source {
        Source::Kafka(source) => source.max_batch,
        Source::File(source) => source.max_batch,
    }
}
