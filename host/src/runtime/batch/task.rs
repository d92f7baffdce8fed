//! THE loop's body: one batch of one partition, from the source through the operators to the sinks.
//!
//! ```text
//! event time → calls, in the order of the route → refusals → stage everything
//! ```
//!
//! Outputs that Kafka refused for good, and that were told to be left out (`refused`), are taken out before anything is
//! staged.
//!
//! Always: nothing of a batch is staged before all of it was computed, so a failure leaves no half batch in the sinks.
//! What a batch changes in the state is kept once all of its outputs are staged, and undone if it comes to nothing.
//! A batch of which more would become than a worker has memory for goes its way in pieces, for each of which that
//! holds.

use super::piece::Piece;
use super::refused::LeftOutOutputs;
use crate::clock;
use crate::config::{EventTime, Pipeline, Source};
use crate::error::{Error, Kind, Result};
use crate::metrics::{self, OperatorMetrics, Progress, SinkMetrics, WorkerMetrics};
use crate::plugin::{CallError, Operator, Outcome, Refusal, Refused, Stats};
use crate::record::{Records, TopicPartition};
use crate::sink::Writer;
use crate::source::event_time::JsonPointer;
use crate::state::TaskState;
use crate::topology::{OperatorCall, RecordsFrom, Route};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long one waiting for a sink or a plugin may last before the worker gets to see to its group.
pub(super) const WAIT: Duration = Duration::from_millis(50);
/// How long a batch may be computed before the worker gets to see to its group; no call is cut short for it.
const TURN: Duration = Duration::from_millis(500);
/// Pauses between two calls of a plugin that asked to be called again.
const RETRY_PAUSE: Duration = Duration::from_millis(100);
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(10);

/// The task that a batch belongs to.
pub struct BatchTask<'a> {
    /// The partition that the records stem from.
    pub partition: &'a TopicPartition,
    /// What the task's operators keep; there for every pipeline in which one keeps something. It is there again after
    /// every call.
    pub state: &'a mut Option<TaskState>,
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
    /// goes its way at once: see to the group, then call `go_on`. A batch that is given up here, with `give_up`, is not
    /// processed: its positions must not be committed.
    Waiting,
}

/// Where a batch stands on its route, so that a wait repeats nothing of what was done before it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct BatchCursor {
    /// Calls of the route that are answered.
    calls: usize,
    /// Records of the next call that are answered, if it is made in parts.
    part: usize,
    /// The search for records at fault took too long: each record is called by itself, and the group is seen to between
    /// them.
    is_one_by_one: bool,
    /// When a plugin that asked for it is called again, and the pause after that.
    retry: Option<(Instant, Duration)>,
    /// What is left out is out.
    pub(super) is_sifted: bool,
    /// Stages that are done, and records of the next one that are handed over.
    pub(super) stages: usize,
    pub(super) staged: usize,
}

/// A call that is due: of a plugin, with these records, and the outcome that it fills.
struct Due<'a> {
    call: OperatorCall,
    records: &'a mut Records,
    outcome: &'a mut Outcome,
    /// Bytes that the piece took on its way before it.
    taken: usize,
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
    max_batch: Vec<usize>,
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
    piece: Piece,
    /// What the overlay took when the batch began.
    overlay_bytes: usize,
    /// The same when the piece at hand began.
    overlay_bytes_of_piece: usize,
    /// The call that went beyond the memory that a batch may take, and how.
    beyond: Option<(usize, String)>,
    metrics: WorkerMetrics,
}

/// An operator with what is counted of it.
pub(super) struct PlacedOperator {
    operator: Operator,
    pub(super) metrics: OperatorMetrics,
    before: Stats,
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
            beyond: None,
            routes,
            pipeline,
            progress,
        })
    }

    /// Takes a batch of source `source` through its route and stages what comes out.
    ///
    /// Errors: a record that stops the pipeline (`Guest`), an output that can never be delivered (`Kafka`).
    pub fn process(
        &mut self,
        source: usize,
        task: &mut BatchTask<'_>,
        records: &mut Records,
        writer: &mut Writer,
    ) -> Result<Done> {
        self.piece.begin(records.len());
        self.begin(task);
        self.overlay_bytes = task.overlay_bytes();
        self.overlay_bytes_of_piece = self.overlay_bytes;
        self.cursor = BatchCursor::default();
        self.tell_event_time(source, records);
        self.go_on(source, task, records, writer)
    }

    /// Nothing of a piece is done yet: what is not kept of the state, and the dead letters, are those of one that came
    /// to nothing.
    fn begin(&mut self, task: &mut BatchTask<'_>) {
        task.undo();
        self.dead.clear();
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
        let done = self.go_on_with_piece(source, task, records, writer);
        match (done, self.beyond.take()) {
            (Ok(_), Some((call, how))) => {
                self.metrics.batches_cut.increment(1);
                self.piece.cut(records, call, how);
            }
            (Ok(Done::Processed), None) => {
                self.metrics.batch_bytes.record(self.taken(source, task) as f64);
                task.keep();
                self.overlay_bytes_of_piece = task.overlay_bytes();
                if !self.piece.step(records) {
                    return Ok(Done::Processed);
                }
            }
            (Ok(Done::Waiting), None) => return Ok(Done::Waiting),
            (Err(error), _) => {
                task.undo();
                return Err(error);
            }
        }
        // Another piece comes, and each may take its time: the group is seen to before.
        self.begin(task);
        self.cursor = BatchCursor::default();
        Ok(Done::Waiting)
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
    fn taken(&self, source: usize, task: &BatchTask<'_>) -> usize {
        let handed_over = self.outcomes[source]
            .iter()
            .take(self.cursor.calls)
            .map(Outcome::memory);
        // A record alone answers for what it takes itself, and not for what the pieces before it changed.
        let before = match self.piece.is_one_record() {
            true => self.overlay_bytes_of_piece,
            false => self.overlay_bytes,
        };
        let changed = task.overlay_bytes().saturating_sub(before);
        handed_over.sum::<usize>() + changed + self.dead.memory()
    }

    /// Gives up the batch that waits: what it changed in the state was never changed.
    pub fn give_up(&mut self, task: &mut BatchTask<'_>) {
        self.begin(task);
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
    fn is_due(&self) -> bool {
        clock::now().duration_since(self.attended) >= TURN
    }

    fn tell_event_time(&mut self, source: usize, records: &mut Records) {
        if let Some(pointer) = &self.event_times[source] {
            self.missing.clear();
            pointer.apply(records, &mut self.missing);
            self.metrics.event_time_missing.increment(self.missing.len() as u64);
        }
    }

    /// One call of the route, cut so that no plugin sees more records than the source allows.
    fn call(&mut self, source: usize, index: usize, task: &mut BatchTask<'_>, records: &mut Records) -> Result<Done> {
        let call = self.routes[source].calls[index];
        if let Some(how) = self.piece.went_beyond(index) {
            let reason = how.to_owned();
            return self.leave_out(source, index, task, records, reason);
        }
        let taken = self.taken(source, task);
        let max_batch = if self.cursor.is_one_by_one {
            1
        } else {
            self.max_batch[source]
        };
        let mut outcomes = std::mem::take(&mut self.outcomes[source]);
        let (before, rest) = outcomes.split_at_mut(index);
        let mut due = Due {
            call,
            records: pick(call.from, records, before),
            outcome: &mut rest[0],
            taken,
        };
        let done = if due.records.len() <= max_batch {
            self.call_whole(&mut due, task)
        } else {
            self.call_in_parts(due, task, max_batch)
        };
        self.outcomes[source] = outcomes;
        if let Some((beyond, _)) = &mut self.beyond {
            *beyond = index;
        }
        done
    }

    /// The piece's only record caused more in this call than there is memory for: nothing of it goes beyond this
    /// operator.
    fn leave_out(
        &mut self,
        source: usize,
        index: usize,
        task: &mut BatchTask<'_>,
        records: &Records,
        reason: String,
    ) -> Result<Done> {
        let operator = self.routes[source].calls[index].operator;
        let outcome = Outcome {
            refused: vec![Refused {
                record: 0,
                how: Refusal::Fault,
                reason,
            }],
            ..Outcome::default()
        };
        self.refuse(operator, task.partition, records, &outcome)?;
        let into = &mut self.outcomes[source][index];
        into.clear(self.operators[operator].operator.output_count());
        Ok(Done::Processed)
    }

    fn call_in_parts(&mut self, due: Due<'_>, task: &mut BatchTask<'_>, max_batch: usize) -> Result<Done> {
        let Due {
            call,
            records,
            outcome,
            taken,
        } = due;
        let (mut part, mut put_out) = (Records::default(), Outcome::default());
        for from in (self.cursor.part..records.len()).step_by(max_batch) {
            if from > self.cursor.part && self.is_due() {
                self.cursor.part = from;
                return Ok(Done::Waiting);
            }
            self.cursor.part = from;
            part.clear();
            (from..records.len().min(from + max_batch)).for_each(|index| part.push_from(records, index));
            let before = if from == 0 { 0 } else { outcome.memory() };
            let mut of_part = Due {
                call,
                records: &mut part,
                outcome: &mut put_out,
                taken: taken + before,
            };
            if self.call_whole(&mut of_part, task)? == Done::Waiting {
                return Ok(Done::Waiting);
            }
            if from == 0 {
                std::mem::swap(outcome, &mut put_out);
            } else {
                extend(outcome, &put_out);
            }
        }
        self.cursor.part = 0;
        Ok(Done::Processed)
    }

    fn call_whole(&mut self, due: &mut Due<'_>, task: &mut BatchTask<'_>) -> Result<Done> {
        let done = self.call_again_when_due(due, task)?;
        if done == Done::Processed {
            self.count_call(due.call.operator);
            self.refuse(due.call.operator, task.partition, due.records, due.outcome)?;
        }
        Ok(done)
    }

    /// A plugin that says "a dependency is down" is called again with the same records, later and later.
    fn call_again_when_due(&mut self, due: &mut Due<'_>, task: &mut BatchTask<'_>) -> Result<Done> {
        let Due {
            call,
            records,
            outcome,
            taken,
        } = due;
        let placed = &mut self.operators[call.operator];
        let name = &self.pipeline.operators[call.operator].name;
        let mut pause = RETRY_PAUSE;
        if let Some((at, next_pause)) = self.cursor.retry {
            let left = at.saturating_duration_since(clock::now());
            std::thread::sleep(left.min(WAIT));
            if left > WAIT {
                return Ok(Done::Waiting);
            }
            pause = next_pause;
        }
        let asked = crate::plugin::Call {
            records,
            input: call.input,
            partition: task.partition.partition,
            room: usize::try_from(self.pipeline.batch_bytes)
                .unwrap_or(usize::MAX)
                .saturating_sub(*taken),
        };
        let answer = placed.operator.process(asked, task.state, outcome);
        let left_changes = placed.operator.left_changes();
        match answer {
            Ok(()) => {
                self.cursor.retry = None;
                Ok(Done::Processed)
            }
            Err(CallError::Retry(reason)) => {
                tracing::warn!(
                    operator = name,
                    partition = %task.partition,
                    "the plugin asks to be called again: {reason}"
                );
                self.cursor.retry = Some((clock::now() + pause, (pause * 2).min(RETRY_PAUSE_MAX)));
                self.wait(task, left_changes)
            }
            Err(CallError::GivenUp) => {
                self.cursor.is_one_by_one = true;
                self.wait(task, left_changes)
            }
            // `call` sets which call of the route it is; the piece begins anew, smaller.
            Err(CallError::NoRoom(how)) => {
                self.beyond = Some((0, how));
                Ok(Done::Waiting)
            }
            Err(CallError::State(error)) => Err(error),
            Err(CallError::Fail(reason)) => {
                let first = records.offsets.first().copied().unwrap_or(-1);
                Err(Error::new(
                    Kind::Guest,
                    format!("failed to go on in operator `{name}`: its plugin stopped the pipeline"),
                    format!(
                        "in a batch of {} records of {} from offset {first}: {reason}",
                        records.len(),
                        task.partition
                    ),
                ))
            }
        }
    }

    /// A call that came to nothing in the middle left a part of its changes. They cannot be told from those of the
    /// calls before it, so all are undone, and the batch goes its way from the beginning.
    fn wait(&mut self, task: &mut BatchTask<'_>, left_changes: bool) -> Result<Done> {
        if left_changes {
            self.begin(task);
            self.cursor = BatchCursor {
                retry: self.cursor.retry,
                is_one_by_one: self.cursor.is_one_by_one,
                ..BatchCursor::default()
            };
        }
        Ok(Done::Waiting)
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
        metrics.recycled.increment(now.recycled - before.recycled);
        metrics.traps.increment(now.traps - before.traps);
        metrics.deadlines.increment(now.deadlines - before.deadlines);
        metrics
            .memory_limits
            .increment(now.memory_limits - before.memory_limits);
        metrics.bad_outcomes.increment(now.bad_outcomes - before.bad_outcomes);
        *before = now;
    }
}

fn pick<'a>(from: RecordsFrom, records: &'a mut Records, outcomes: &'a mut [Outcome]) -> &'a mut Records {
    match from {
        RecordsFrom::Source => records,
        RecordsFrom::Call { call, output } => &mut outcomes[call].outputs[output],
    }
}

/// What a later part of a batch put out stands behind what the parts before it did; the records that it refused are
/// dealt with already.
fn extend(outcome: &mut Outcome, later: &Outcome) {
    for (into, from) in outcome.outputs.iter_mut().zip(&later.outputs) {
        (0..from.len()).for_each(|index| into.push_from(from, index));
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
