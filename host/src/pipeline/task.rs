//! THE loop's body: one batch of one partition, from the source through the operators to the sinks.
//!
//! ```text
//! event time → calls, in the order of the route → refusals → stage everything
//! ```
//!
//! Outputs that Kafka refused for good, and that were told to be left out (`refused`), are taken out before anything is staged.
//!
//! Always: nothing of a batch is staged before all of it was computed, so a failure leaves no half batch in the sinks. What a batch changes in the
//! state is kept once all of its outputs are staged, and undone where it comes to nothing.

use super::flow::{Call, From, Route};
use super::refused::LeftOut;
use crate::clock;
use crate::config::{EventTime, OnError, Pipeline, Source};
use crate::error::{Error, Kind, Result};
use crate::metrics::{self, OperatorMetrics, Progress, SinkMetrics, WorkerMetrics};
use crate::plugin::{CallError, Operator, Outcome, Refusal, Refused, Stats};
use crate::record::{Records, TopicPartition};
use crate::sink::{Writer, dead_letter};
use crate::source::event_time::Pointer;
use crate::state::TaskState;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// How long one waiting for a sink or a plugin may last before the worker gets to see to its group.
const WAIT: Duration = Duration::from_millis(50);
/// Pauses between two calls of a plugin that asked to be called again.
const RETRY_PAUSE: Duration = Duration::from_millis(100);
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(10);

/// The task that a batch belongs to.
pub struct Task<'a> {
    /// The partition that the records stem from.
    pub partition: &'a TopicPartition,
    /// What the task's operators keep; there for every pipeline in which one keeps something. It is there again after every call.
    pub state: &'a mut Option<TaskState>,
}

impl Task<'_> {
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
}

/// What became of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    /// All of its outputs are staged.
    Processed,
    /// A sink takes nothing, or a plugin asks to be called again: see to the group, then call `go_on`. A batch that is given up here, with
    /// `give_up`, is not processed: its positions must not be committed.
    Waiting,
}

/// Where a batch stands on its route, so that a wait repeats nothing of what was done before it.
#[derive(Debug, Clone, Copy, Default)]
struct Stand {
    /// Calls of the route that are answered.
    calls: usize,
    /// Records of the next call that are answered, where it is made in parts.
    part: usize,
    /// When a plugin that asked for it is called again, and the pause after that.
    retry: Option<(Instant, Duration)>,
    /// What is left out is out.
    is_sifted: bool,
    /// Stages that are done, and records of the next one that are handed over.
    stages: usize,
    staged: usize,
}

/// What a worker runs its tasks' batches through. Its instances are its own; nothing here is shared with another worker.
pub struct Tasks {
    pipeline: Arc<Pipeline>,
    routes: Vec<Route>,
    operators: Vec<Placed>,
    /// For each source the pointer to its event time, for each call of its route the outcome; memory that is used again.
    event_times: Vec<Option<Pointer>>,
    outcomes: Vec<Vec<Outcome>>,
    max_batch: Vec<usize>,
    dead: Records,
    /// Outputs that Kafka refused since the last commit.
    pub(super) left_out: LeftOut,
    /// For each stage of the route what is left, where something was taken out.
    sifted: Vec<Option<Records>>,
    pub(super) sinks: Vec<SinkMetrics>,
    progress: Arc<Progress>,
    missing: Vec<u32>,
    stand: Stand,
    metrics: WorkerMetrics,
}

/// An operator with what is counted of it.
struct Placed {
    operator: Operator,
    metrics: OperatorMetrics,
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
            .map(|(operator, config)| Placed {
                before: operator.stats(),
                operator,
                metrics: metrics::operator(&pipeline.name, &config.name),
            });
        Ok(Self {
            operators: operators.collect(),
            event_times: pipeline.sources.iter().map(event_time).collect::<Result<_>>()?,
            outcomes: routes
                .iter()
                .map(|route| route.calls.iter().map(|_| Outcome::default()).collect())
                .collect(),
            max_batch: pipeline.sources.iter().map(max_batch).collect(),
            dead: Records::default(),
            left_out: LeftOut::new(pipeline.clone()),
            sifted: Vec::new(),
            sinks: pipeline
                .sinks
                .iter()
                .chain(&pipeline.dead_letters)
                .map(|sink| metrics::sink(&pipeline.name, &sink.name))
                .collect(),
            metrics: metrics::worker(&pipeline.name),
            missing: Vec::new(),
            stand: Stand::default(),
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
        task: &mut Task<'_>,
        records: &mut Records,
        writer: &mut Writer,
    ) -> Result<Done> {
        self.begin(task);
        self.stand = Stand::default();
        self.tell_event_time(source, records);
        self.go_on(source, task, records, writer)
    }

    /// Nothing of a batch is done yet: what is not kept of the state, and the dead letters, are those of one that came to nothing.
    fn begin(&mut self, task: &mut Task<'_>) {
        task.undo();
        self.dead.clear();
    }

    /// Takes the batch that `process` began on from where it waits. Errors as there.
    pub fn go_on(
        &mut self,
        source: usize,
        task: &mut Task<'_>,
        records: &mut Records,
        writer: &mut Writer,
    ) -> Result<Done> {
        let done = self.compute(source, task, records).and_then(|done| match done {
            Done::Processed => self.stage_all(source, task.partition, records, writer),
            Done::Waiting => Ok(Done::Waiting),
        });
        match done {
            Ok(Done::Processed) => task.keep(),
            Ok(Done::Waiting) => {}
            Err(_) => task.undo(),
        }
        done
    }

    /// Gives up the batch that waits: what it changed in the state was never changed.
    pub fn give_up(&mut self, task: &mut Task<'_>) {
        self.begin(task);
    }

    fn compute(&mut self, source: usize, task: &mut Task<'_>, records: &mut Records) -> Result<Done> {
        while self.stand.calls < self.routes[source].calls.len() {
            if self.call(source, self.stand.calls, task, records)? == Done::Waiting {
                return Ok(Done::Waiting);
            }
            self.stand.calls += 1;
        }
        Ok(Done::Processed)
    }

    fn tell_event_time(&mut self, source: usize, records: &mut Records) {
        if let Some(pointer) = &self.event_times[source] {
            self.missing.clear();
            pointer.apply(records, &mut self.missing);
            self.metrics.event_time_missing.increment(self.missing.len() as u64);
        }
    }

    /// One call of the route, cut so that no plugin sees more records than the source allows.
    fn call(&mut self, source: usize, index: usize, task: &mut Task<'_>, records: &mut Records) -> Result<Done> {
        let call = self.routes[source].calls[index];
        let max_batch = self.max_batch[source];
        let mut outcomes = std::mem::take(&mut self.outcomes[source]);
        let (before, rest) = outcomes.split_at_mut(index);
        let (input, outcome) = (pick(call.from, records, before), &mut rest[0]);
        let done = if input.len() <= max_batch {
            self.call_whole(call, task, input, outcome)
        } else {
            self.call_in_parts(call, task, input, outcome, max_batch)
        };
        self.outcomes[source] = outcomes;
        done
    }

    fn call_in_parts(
        &mut self,
        call: Call,
        task: &mut Task<'_>,
        records: &mut Records,
        outcome: &mut Outcome,
        max_batch: usize,
    ) -> Result<Done> {
        let (mut part, mut put_out) = (Records::default(), Outcome::default());
        for from in (self.stand.part..records.len()).step_by(max_batch) {
            self.stand.part = from;
            part.clear();
            (from..records.len().min(from + max_batch)).for_each(|index| part.push_from(records, index));
            if self.call_whole(call, task, &mut part, &mut put_out)? == Done::Waiting {
                return Ok(Done::Waiting);
            }
            if from == 0 {
                std::mem::swap(outcome, &mut put_out);
            } else {
                extend(outcome, &put_out);
            }
        }
        self.stand.part = 0;
        Ok(Done::Processed)
    }

    fn call_whole(
        &mut self,
        call: Call,
        task: &mut Task<'_>,
        records: &mut Records,
        outcome: &mut Outcome,
    ) -> Result<Done> {
        let done = self.call_once_due(call, task, records, outcome)?;
        if done == Done::Processed {
            self.count_call(call.operator);
            self.refuse(call.operator, task.partition, records, outcome)?;
        }
        Ok(done)
    }

    /// A plugin that says "a dependency is down" is called again with the same records, later and later.
    fn call_once_due(
        &mut self,
        call: Call,
        task: &mut Task<'_>,
        records: &mut Records,
        outcome: &mut Outcome,
    ) -> Result<Done> {
        let placed = &mut self.operators[call.operator];
        let name = &self.pipeline.operators[call.operator].name;
        let mut pause = RETRY_PAUSE;
        if let Some((due, next_pause)) = self.stand.retry {
            let left = due.saturating_duration_since(clock::now());
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
        };
        let answer = placed.operator.process(asked, task.state, outcome);
        let left_changes = placed.operator.left_changes();
        match answer {
            Ok(()) => {
                self.stand.retry = None;
                Ok(Done::Processed)
            }
            Err(CallError::Retry(reason)) => {
                tracing::warn!(operator = name, partition = %task.partition, "the plugin asks to be called again: {reason}");
                self.stand.retry = Some((clock::now() + pause, (pause * 2).min(RETRY_PAUSE_MAX)));
                self.wait(task, left_changes)
            }
            Err(CallError::GivenUp) => self.wait(task, left_changes),
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

    /// A call that came to nothing in the middle left a part of its changes. They cannot be told from those of the calls before it, so all are
    /// undone, and the batch goes its way from the beginning.
    fn wait(&mut self, task: &mut Task<'_>, left_changes: bool) -> Result<Done> {
        if left_changes {
            self.begin(task);
            self.stand = Stand {
                retry: self.stand.retry,
                ..Stand::default()
            };
        }
        Ok(Done::Waiting)
    }

    /// Sends each refused record the way that the plugin, or for a fault `on-error`, says.
    fn refuse(
        &mut self,
        operator: usize,
        partition: &TopicPartition,
        records: &Records,
        outcome: &Outcome,
    ) -> Result<()> {
        let config = &self.pipeline.operators[operator];
        for refused in &outcome.refused {
            let index = refused.record as usize;
            let way = match (refused.how, config.on_error) {
                (Refusal::Skip, _) | (Refusal::Fault, OnError::Skip) => Refusal::Skip,
                (Refusal::DeadLetter, _) | (Refusal::Fault, OnError::DeadLetter) => Refusal::DeadLetter,
                (Refusal::Fail, _) | (Refusal::Fault, OnError::Fail) => Refusal::Fail,
            };
            if way == Refusal::Fail || (way == Refusal::DeadLetter && self.pipeline.dead_letters.is_none()) {
                return Err(stopped_by(
                    &config.name,
                    partition,
                    records.offsets[index],
                    refused,
                    way,
                ));
            }
            let metrics = &self.operators[operator].metrics;
            if way == Refusal::Skip {
                metrics.skipped.increment(1);
                continue;
            }
            metrics.dead_letters.increment(1);
            let why = dead_letter::Why {
                pipeline: &self.pipeline.name,
                by: dead_letter::By::Operator(&config.name),
                kind: if refused.how == Refusal::Fault {
                    dead_letter::Kind::Fault
                } else {
                    dead_letter::Kind::DeadLetter
                },
                partition,
                reason: &refused.reason,
            };
            dead_letter::append(&mut self.dead, records, index, &why, self.left_out.most_bytes);
        }
        Ok(())
    }

    fn count_call(&mut self, operator: usize) {
        let Placed {
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

    /// Takes out what Kafka refused before, and sends it the way that its sink's `on-refused` says.
    fn sift(&mut self, source: usize, partition: &TopicPartition, records: &Records) {
        self.sifted.clear();
        self.stand.is_sifted = true;
        if self.left_out.is_empty() {
            return;
        }
        for stage in &self.routes[source].stages {
            let output = output_of(stage.from, records, &self.outcomes[source]);
            let left = self.left_out.sift(stage.sink, partition, output, &mut self.dead);
            self.sifted.push(left);
        }
    }

    fn stage_all(
        &mut self,
        source: usize,
        partition: &TopicPartition,
        records: &Records,
        writer: &mut Writer,
    ) -> Result<Done> {
        if !self.stand.is_sifted {
            self.sift(source, partition, records);
        }
        let stages = &self.routes[source].stages;
        while self.stand.stages <= stages.len() {
            // Behind the last stage come the dead letters, whose sink stands behind the pipeline's.
            let (sink, output) = match stages.get(self.stand.stages) {
                Some(stage) => match self.sifted.get(self.stand.stages) {
                    Some(Some(left)) => (stage.sink, left),
                    _ => (stage.sink, output_of(stage.from, records, &self.outcomes[source])),
                },
                None => (self.pipeline.sinks.len(), &self.dead),
            };
            if !output.is_empty() {
                self.stand.staged = stage(sink, partition, output, self.stand.staged, writer)?;
                if self.stand.staged < output.len() {
                    return Ok(Done::Waiting);
                }
                self.count_staged(sink, output);
            }
            (self.stand.stages, self.stand.staged) = (self.stand.stages + 1, 0);
        }
        Ok(Done::Processed)
    }

    fn count_staged(&self, sink: usize, records: &Records) {
        self.sinks[sink].records.increment(records.len() as u64);
        self.sinks[sink].bytes.increment(records.byte_count() as u64);
        self.progress
            .records_out
            .fetch_add(records.len() as u64, Ordering::Relaxed);
    }
}

/// Hands records over to a sink from `staged` on; where its queue is full, waits a while for acknowledgements to make room. How many are handed
/// over in all.
fn stage(
    sink: usize,
    partition: &TopicPartition,
    records: &Records,
    staged: usize,
    writer: &mut Writer,
) -> Result<usize> {
    let until = clock::now() + WAIT;
    let mut staged = writer.stage(sink, partition, records, staged)?;
    while staged < records.len() && clock::now() < until {
        writer.poll(Duration::from_millis(10))?;
        staged = writer.stage(sink, partition, records, staged)?;
    }
    Ok(staged)
}

fn output_of<'a>(from: From, records: &'a Records, outcomes: &'a [Outcome]) -> &'a Records {
    match from {
        From::Source => records,
        From::Call { call, output } => &outcomes[call].outputs[output],
    }
}

fn pick<'a>(from: From, records: &'a mut Records, outcomes: &'a mut [Outcome]) -> &'a mut Records {
    match from {
        From::Source => records,
        From::Call { call, output } => &mut outcomes[call].outputs[output],
    }
}

/// What a later part of a batch put out stands behind what the parts before it did; the records that it refused are dealt with already.
fn extend(outcome: &mut Outcome, later: &Outcome) {
    for (into, from) in outcome.outputs.iter_mut().zip(&later.outputs) {
        (0..from.len()).for_each(|index| into.push_from(from, index));
    }
}

fn event_time(source: &Source) -> Result<Option<Pointer>> {
    let event_time = match source {
        Source::Kafka(source) => &source.event_time,
        Source::File(source) => &source.event_time,
    };
    match event_time {
        EventTime::Record => Ok(None),
        EventTime::Pointer(pointer) => Pointer::parse(pointer).map(Some),
    }
}

fn max_batch(source: &Source) -> usize {
    match source {
        Source::Kafka(source) => source.max_batch,
        Source::File(source) => source.max_batch,
    }
}

fn stopped_by(operator: &str, partition: &TopicPartition, offset: i64, refused: &Refused, way: Refusal) -> Error {
    let error = Error::new(
        Kind::Guest,
        format!("failed to process record {partition} offset {offset} in operator `{operator}`"),
        &refused.reason,
    );
    match (refused.how, way) {
        (_, Refusal::DeadLetter) => {
            error.hint("the plugin sends it to the dead letters: give the pipeline a [dead-letters] topic")
        }
        (Refusal::Fault, _) => error.hint("on-error = \"skip\" or \"dead-letter\" goes on without such a record"),
        _ => error,
    }
}
