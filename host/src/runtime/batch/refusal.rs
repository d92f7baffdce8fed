//! Records that a plugin refused, or that were at fault in it: each goes the way that the plugin, or for a fault
//! `on-error`, says.

use super::task::Tasks;
use crate::config::OnError;
use crate::error::{Error, Kind, Result};
use crate::plugin::{Outcome, Refusal, Refused};
use crate::record::{Records, TopicPartition};
use crate::sink::dead_letter;

impl Tasks {
    /// Sends each refused record the way that the plugin, or for a fault `on-error`, says.
    pub(super) fn refuse(
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
            let why = dead_letter::DeathReason {
                pipeline: &self.pipeline.name,
                by: dead_letter::By::Operator(&config.name),
                kind: if refused.how == Refusal::Fault {
                    dead_letter::RefusalKind::Fault
                } else {
                    dead_letter::RefusalKind::DeadLetter
                },
                partition,
                reason: &refused.reason,
            };
            dead_letter::append(&mut self.dead, records, index, &why, self.left_out.most_bytes);
        }
        Ok(())
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
