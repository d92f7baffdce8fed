//! The end of a batch's way: what came out of it is handed over to the sinks, without what Kafka refused before.
//!
//! Never staged twice: a sink that takes no more is gone on with where it stopped.

use super::task::{Done, Tasks, WAIT};
use crate::clock;
use crate::error::Result;
use crate::plugin::Outcome;
use crate::record::{Records, TopicPartition};
use crate::sink::Writer;
use crate::topology::RecordsFrom;
use std::sync::atomic::Ordering;
use std::time::Duration;

impl Tasks {
    /// Takes out what Kafka refused before, and sends it the way that its sink's `on-refused` says.
    fn sift(&mut self, source: usize, partition: &TopicPartition, records: &Records) {
        self.sifted.clear();
        self.cursor.is_sifted = true;
        if self.left_out.is_empty() {
            return;
        }
        for stage in &self.routes[source].stages {
            let output = output_of(stage.from, records, &self.outcomes[source]);
            let left = self.left_out.sift(stage.sink, partition, output, &mut self.dead);
            self.sifted.push(left);
        }
    }

    /// Stages what came out of a batch, from where it stands; the dead letters last.
    pub(super) fn stage_all(
        &mut self,
        source: usize,
        partition: &TopicPartition,
        records: &Records,
        writer: &mut Writer,
    ) -> Result<Done> {
        if !self.cursor.is_sifted {
            self.sift(source, partition, records);
        }
        let stages = &self.routes[source].stages;
        while self.cursor.stages <= stages.len() {
            // Behind the last stage come the dead letters, whose sink stands behind the pipeline's.
            let (sink, output) = match stages.get(self.cursor.stages) {
                Some(stage) => match self.sifted.get(self.cursor.stages) {
                    Some(Some(left)) => (stage.sink, left),
                    _ => (stage.sink, output_of(stage.from, records, &self.outcomes[source])),
                },
                None => (self.pipeline.sinks.len(), &self.dead),
            };
            if !output.is_empty() {
                self.cursor.staged = stage(sink, partition, output, self.cursor.staged, writer)?;
                if self.cursor.staged < output.len() {
                    return Ok(Done::Waiting);
                }
                self.count_staged(sink, output);
            }
            (self.cursor.stages, self.cursor.staged) = (self.cursor.stages + 1, 0);
        }
        Ok(Done::Processed)
    }

    fn count_staged(&self, sink: usize, records: &Records) {
        let (count, bytes) = (records.len() as u64, records.byte_count() as u64);
        self.sinks[sink].records.increment(count);
        self.sinks[sink].bytes.increment(bytes);
        self.progress.records_out.fetch_add(count, Ordering::Relaxed);
        self.progress.bytes_out.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// Hands records over to a sink from `staged` on; if its queue is full, waits a while for acknowledgements to make
/// room. How many are handed over in all.
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

fn output_of<'a>(from: RecordsFrom, records: &'a Records, outcomes: &'a [Outcome]) -> &'a Records {
    match from {
        RecordsFrom::Source => records,
        RecordsFrom::Call { call, output } => &outcomes[call].outputs[output],
    }
}
