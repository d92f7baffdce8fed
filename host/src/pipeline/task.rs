//! THE loop's body: one batch of one partition, from the source through the operators to the sinks.
//!
//! ```text
//! event time → calls, in the order of the route → refusals → stage everything
//! ```
//!
//! Always: nothing of a batch is staged before all of it was computed, so a failure leaves no half batch in the sinks.

use super::flow::{Call, From, Route};
use super::lifecycle::Stop;
use crate::clock;
use crate::config::{EventTime, OnError, Pipeline, Source};
use crate::error::{Error, Kind, Result};
use crate::metrics::{self, OperatorMetrics, Progress, SinkMetrics, WorkerMetrics};
use crate::plugin::{CallError, Operator, Outcome, Refusal, Refused, Stats};
use crate::record::{Records, TopicPartition};
use crate::sink::{Writer, dead_letter};
use crate::source::event_time::Pointer;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How long a stop waits for a sink that takes nothing, or for a plugin that asks to be called again.
const PATIENCE: Duration = Duration::from_secs(3);
/// Pauses between two calls of a plugin that asked to be called again.
const RETRY_PAUSE: Duration = Duration::from_millis(100);
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(10);

/// What became of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    /// All of its outputs are staged.
    Processed,
    /// The run is to stop and the batch could not be finished: its positions must not be committed.
    Abandoned,
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
    sinks: Vec<SinkMetrics>,
    progress: Arc<Progress>,
    stop: Arc<Stop>,
    missing: Vec<u32>,
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
        stop: Arc<Stop>,
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
            sinks: pipeline
                .sinks
                .iter()
                .chain(&pipeline.dead_letters)
                .map(|sink| metrics::sink(&pipeline.name, &sink.name))
                .collect(),
            metrics: metrics::worker(&pipeline.name),
            missing: Vec::new(),
            routes,
            pipeline,
            progress,
            stop,
        })
    }

    /// Takes a batch of source `source` through its route and stages what comes out.
    ///
    /// Errors: a record that stops the pipeline (`Guest`), an output that can never be delivered (`Kafka`).
    pub fn process(
        &mut self,
        source: usize,
        partition: &TopicPartition,
        records: &mut Records,
        writer: &mut Writer,
    ) -> Result<Done> {
        self.dead.clear();
        self.tell_event_time(source, records);
        for call in 0..self.routes[source].calls.len() {
            if self.call(source, call, partition, records)? == Done::Abandoned {
                return Ok(Done::Abandoned);
            }
        }
        self.stage_all(source, records, writer)
    }

    fn tell_event_time(&mut self, source: usize, records: &mut Records) {
        if let Some(pointer) = &self.event_times[source] {
            self.missing.clear();
            pointer.apply(records, &mut self.missing);
            self.metrics.event_time_missing.increment(self.missing.len() as u64);
        }
    }

    /// One call of the route, cut so that no plugin sees more records than the source allows.
    fn call(&mut self, source: usize, index: usize, partition: &TopicPartition, records: &mut Records) -> Result<Done> {
        let call = self.routes[source].calls[index];
        let max_batch = self.max_batch[source];
        let mut outcomes = std::mem::take(&mut self.outcomes[source]);
        let (before, rest) = outcomes.split_at_mut(index);
        let (input, outcome) = (pick(call.from, records, before), &mut rest[0]);
        let done = if input.len() <= max_batch {
            self.call_whole(call, partition, input, outcome)
        } else {
            self.call_in_parts(call, partition, input, outcome, max_batch)
        };
        self.outcomes[source] = outcomes;
        done
    }

    fn call_in_parts(
        &mut self,
        call: Call,
        partition: &TopicPartition,
        records: &mut Records,
        outcome: &mut Outcome,
        max_batch: usize,
    ) -> Result<Done> {
        let (mut part, mut put_out) = (Records::default(), Outcome::default());
        for from in (0..records.len()).step_by(max_batch) {
            part.clear();
            (from..records.len().min(from + max_batch)).for_each(|index| part.push_from(records, index));
            if self.call_whole(call, partition, &mut part, &mut put_out)? == Done::Abandoned {
                return Ok(Done::Abandoned);
            }
            if from == 0 {
                std::mem::swap(outcome, &mut put_out);
            } else {
                extend(outcome, &put_out);
            }
        }
        Ok(Done::Processed)
    }

    fn call_whole(
        &mut self,
        call: Call,
        partition: &TopicPartition,
        records: &mut Records,
        outcome: &mut Outcome,
    ) -> Result<Done> {
        let done = self.call_until_answered(call, partition, records, outcome)?;
        if done == Done::Processed {
            self.count_call(call.operator);
            self.refuse(call.operator, partition, records, outcome)?;
        }
        Ok(done)
    }

    /// A plugin that says "a dependency is down" is called again with the same records, later and later.
    fn call_until_answered(
        &mut self,
        call: Call,
        partition: &TopicPartition,
        records: &mut Records,
        outcome: &mut Outcome,
    ) -> Result<Done> {
        let placed = &mut self.operators[call.operator];
        let name = &self.pipeline.operators[call.operator].name;
        let mut pause = RETRY_PAUSE;
        loop {
            let asked = crate::plugin::Call {
                records,
                input: call.input,
                partition: partition.partition,
            };
            match placed.operator.process(asked, outcome) {
                Ok(()) => return Ok(Done::Processed),
                Err(CallError::Retry(reason)) => {
                    tracing::warn!(operator = name, partition = %partition, "the plugin asks to be called again: {reason}");
                    if !clock::sleep_unless(pause, || self.stop.is_requested()) {
                        return Ok(Done::Abandoned);
                    }
                    pause = (pause * 2).min(RETRY_PAUSE_MAX);
                }
                Err(CallError::Fail(reason)) => {
                    let first = records.offsets.first().copied().unwrap_or(-1);
                    return Err(Error::new(
                        Kind::Guest,
                        format!("failed to go on in operator `{name}`: its plugin stopped the pipeline"),
                        format!(
                            "in a batch of {} records of {partition} from offset {first}: {reason}",
                            records.len()
                        ),
                    ));
                }
            }
        }
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
                operator: &config.name,
                kind: if refused.how == Refusal::Fault {
                    dead_letter::Kind::Fault
                } else {
                    dead_letter::Kind::DeadLetter
                },
                partition,
                reason: &refused.reason,
            };
            dead_letter::append(&mut self.dead, records, index, &why);
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

    fn stage_all(&self, source: usize, records: &Records, writer: &mut Writer) -> Result<Done> {
        for stage in &self.routes[source].stages {
            let output = match stage.from {
                From::Source => records,
                From::Call { call, output } => &self.outcomes[source][call].outputs[output],
            };
            if self.stage(stage.sink, output, writer)? == Done::Abandoned {
                return Ok(Done::Abandoned);
            }
        }
        // The dead letters' sink stands behind the pipeline's.
        self.stage(self.pipeline.sinks.len(), &self.dead, writer)
    }

    /// Hands records to a sink; where its queue is full, waits for acknowledgements to make room.
    fn stage(&self, sink: usize, records: &Records, writer: &mut Writer) -> Result<Done> {
        if records.is_empty() {
            return Ok(Done::Processed);
        }
        let mut staged = writer.stage(sink, records, 0)?;
        while staged < records.len() {
            if self.stop.is_overdue(PATIENCE) {
                return Ok(Done::Abandoned);
            }
            writer.poll(Duration::from_millis(10))?;
            staged = writer.stage(sink, records, staged)?;
        }
        self.sinks[sink].records.increment(records.len() as u64);
        self.sinks[sink].bytes.increment(records.byte_count() as u64);
        self.progress
            .records_out
            .fetch_add(records.len() as u64, Ordering::Relaxed);
        Ok(Done::Processed)
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
