//! Outputs that Kafka refuses for good: what becomes of them, and how they are known again.
//!
//! Kafka refuses an output together with its neighbours in a batch, and with its transaction. So what was done since
//! the last commit is taken back and done again without it: it is known by its sink, its source record and its content,
//! and taken out before anything is staged. What was learned is forgotten with the commit that passes those records.
//!
//! Always: only what Kafka itself refused is left out, and never its neighbours; what cannot be told apart stops the
//! pipeline.

use std::collections::HashMap;
use std::sync::Arc;

use crate::config::{OnRefused, Pipeline, Sink, Target};
use crate::error::{Error, Kind, Result};
use crate::metrics::SinkMetrics;
use crate::record::{Records, TopicPartition};
use crate::sink::{Print, RefusedOutput, Writer, dead_letter};

/// Times that outputs of one record for one sink may be refused one after the other: a plugin that puts out something
/// else each time would go on for ever.
const MOST_TIMES: usize = 1000;

/// What is left out until the next commit.
pub(in crate::runtime) struct LeftOutOutputs {
    pipeline: Arc<Pipeline>,
    known: HashMap<OutputPlace, Vec<KnownRefusals>>,
    /// Bytes that a dead letter may have.
    pub(in crate::runtime) most_bytes: usize,
    /// What was done since the last commit can be done again.
    pub(in crate::runtime) can_do_again: bool,
}

/// A sink, the partition of a source record and its offset.
type OutputPlace = (usize, TopicPartition, i64);

struct KnownRefusals {
    print: Print,
    reason: String,
    /// How many refusals of outputs of its record there were before it was learned.
    time: usize,
}

impl LeftOutOutputs {
    pub(in crate::runtime) fn new(pipeline: Arc<Pipeline>) -> Self {
        Self {
            pipeline,
            known: HashMap::new(),
            most_bytes: usize::MAX,
            can_do_again: false,
        }
    }

    pub(in crate::runtime) fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// Forgets what stems from records that are committed, and from partitions that are not there any more. `next`:
    /// where a partition is committed.
    pub(in crate::runtime) fn forget(&mut self, next: impl Fn(&TopicPartition) -> Option<i64>) {
        self.known
            .retain(|(_, from, offset), _| next(from).is_some_and(|next| *offset >= next));
    }

    /// Takes out of a sink's outputs what was refused before, with its dead letters; what is left, `None`: all of it.
    pub(in crate::runtime) fn sift(
        &self,
        sink: usize,
        partition: &TopicPartition,
        outputs: &Records,
        dead: &mut Records,
    ) -> Option<Records> {
        let known: Vec<_> = (0..outputs.len())
            .filter_map(|index| Some((index, self.find(sink, partition, outputs, index)?)))
            .collect();
        if known.is_empty() {
            return None;
        }
        let (mut left, mut out) = (Records::default(), known.into_iter().peekable());
        let sink = &self.pipeline.sinks[sink];
        for index in 0..outputs.len() {
            match out.next_if(|(at, _)| *at == index) {
                None => left.push_from(outputs, index),
                Some((_, known)) if sink.on_refused == OnRefused::DeadLetter => {
                    let why = self.why(sink, &known.reason, partition);
                    dead_letter::append(dead, outputs, index, &why, self.most_bytes);
                }
                Some(_) => {}
            }
        }
        Some(left)
    }

    fn find(&self, sink: usize, partition: &TopicPartition, outputs: &Records, index: usize) -> Option<&KnownRefusals> {
        let known = self.known.get(&(sink, partition.clone(), outputs.offsets[index]))?;
        let print = Writer::print(outputs, index);
        known.iter().find(|known| known.print == print)
    }

    fn why<'a>(
        &'a self,
        sink: &'a Sink,
        reason: &'a str,
        partition: &'a TopicPartition,
    ) -> dead_letter::DeathReason<'a> {
        dead_letter::DeathReason {
            pipeline: &self.pipeline.name,
            by: dead_letter::By::Sink(&sink.name),
            kind: dead_letter::RefusalKind::Refused,
            reason,
            backtrace: "",
            timer: None,
            partition,
        }
    }

    /// Learns what Kafka refused. An error if a sink's `on-refused` says so, or if it cannot be told what was
    /// refused.
    pub(in crate::runtime) fn learn(&mut self, refused: Vec<RefusedOutput>, metrics: &[SinkMetrics]) -> Result<()> {
        let tried = self.most_bytes;
        let mut learned: HashMap<OutputPlace, Vec<RefusedOutput>> = HashMap::new();
        for output in refused {
            let Some(place) = output.origin.clone() else {
                return Err(failed(&output, None));
            };
            let Some(config) = self.pipeline.sinks.get(place.0) else {
                self.shrink(&output, tried)?;
                continue;
            };
            if config.on_refused == OnRefused::Fail {
                return Err(failed(&output, Some(config)));
            }
            if output.is_exact {
                metrics[place.0].refused.increment(1);
                learned.entry(place).or_default().push(output);
            }
        }
        learned
            .into_iter()
            .try_for_each(|(place, outputs)| self.learn_of(place, outputs))
    }

    /// Learns what was refused at once of one record: equal outputs of it are no surprise, and one that was to be left
    /// out is.
    fn learn_of(&mut self, place: OutputPlace, outputs: Vec<RefusedOutput>) -> Result<()> {
        let config = self.pipeline.sinks.get(place.0);
        let known = self.known.entry(place).or_default();
        let time = known.last().map_or(0, |known| known.time + 1);
        for output in outputs {
            let before = known.iter().find(|known| known.print == output.print);
            if time >= MOST_TIMES || before.is_some_and(|before| before.time < time) {
                return Err(failed(&output, config).hint(
                    "it was refused again although it was to be left out: its plugin puts out something else each time",
                ));
            }
            if before.is_none() {
                known.push(KnownRefusals {
                    print: output.print,
                    reason: output.reason,
                    time,
                });
            }
        }
        Ok(())
    }

    /// A dead letter that its topic does not take is cut to half of what it had. `most`: what it could have.
    fn shrink(&mut self, output: &RefusedOutput, most: usize) -> Result<()> {
        let tried = output.bytes.min(most);
        if !output.is_too_large || !self.can_do_again || tried <= dead_letter::LEAST_BYTES {
            return Err(failed(output, self.pipeline.dead_letters.as_ref()));
        }
        if output.is_exact {
            self.most_bytes = self.most_bytes.min((tried / 2).max(dead_letter::LEAST_BYTES));
        }
        Ok(())
    }
}

/// Why an output that was refused stops the pipeline.
fn failed(output: &RefusedOutput, sink: Option<&Sink>) -> Error {
    let name = sink.map_or("", |sink| &sink.name);
    let of = match (&output.origin, output.is_exact) {
        (Some((_, from, offset)), true) => format!("the output of {from} offset {offset}"),
        (Some((_, from, offset)), false) => {
            format!("the output of {from} offset {offset}, or one that was sent with it")
        }
        (None, _) => "an output whose record is not known".to_owned(),
    };
    let what = format!(
        "failed to write to sink `{name}`: topic `{}` refused {of}",
        output.topic
    );
    let error = Error::new(Kind::Kafka, what, format!("{} ({} bytes)", output.reason, output.bytes));
    let advice = output.advice.unwrap_or("see the topic's configuration");
    match sink {
        Some(sink) if !sink.from.is_empty() => error.hint(format!(
            "{advice}; or go on without it: on-refused = \"skip\" or \"dead-letter\" under [sink.{name}]"
        )),
        _ => error.hint(advice),
    }
}

/// Bytes that a dead letter may have: what its topic takes, as far as the cluster says. Else Kafka's usual limit if
/// a letter that is too large could not be written again, and none if it could.
pub(in crate::runtime) fn most_bytes(pipeline: &Pipeline, writer: &Writer) -> usize {
    let is_kafka = |sink: &Sink| matches!(sink.target, Target::Kafka { .. });
    if !pipeline.dead_letters.as_ref().is_some_and(is_kafka) {
        return usize::MAX;
    }
    match (writer.largest_batch(pipeline.sinks.len()), &pipeline.checkpoint) {
        (Some(most), _) => most,
        (None, None) => dead_letter::USUAL_BYTES,
        (None, Some(_)) => usize::MAX,
    }
}
