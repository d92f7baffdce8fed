//! Records that a plugin refused, or that were at fault in it: each goes the way that the plugin, or for a fault
//! `on-error`, says.

use super::task::Tasks;
use crate::config::OnError;
use crate::error::{Error, Kind, Result};
use crate::plugin::{CallTime, Outcome, Refusal, Refused};
use crate::record::{Records, TopicPartition};
use crate::sink::dead_letter;

impl Tasks {
    /// Sends each refused record the way that the plugin, or for a fault `on-error`, says.
    pub(super) fn refuse(
        &mut self,
        operator: usize,
        partition: &TopicPartition,
        records: &Records,
        time: &CallTime,
        outcome: &Outcome,
    ) -> Result<()> {
        self.refuse_timers(operator, partition, time, outcome)?;
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
                backtrace: &refused.backtrace,
                timer: None,
            };
            dead_letter::append(&mut self.dead, records, index, &why, self.left_out.most_bytes);
        }
        Ok(())
    }
}

impl Tasks {
    /// The same for timers, which have no record: a dead letter of theirs has the timer's key and time, and no value.
    fn refuse_timers(
        &mut self,
        operator: usize,
        partition: &TopicPartition,
        time: &CallTime,
        outcome: &Outcome,
    ) -> Result<()> {
        let config = &self.pipeline.operators[operator];
        for timer in &outcome.refused_timers {
            let metrics = &self.operators[operator].metrics;
            match config.on_error {
                OnError::Skip => metrics.skipped.increment(1),
                OnError::DeadLetter if self.pipeline.dead_letters.is_some() => {
                    metrics.dead_letters.increment(1);
                    let mut record = Records::default();
                    record.keys.push(Some(&timer.key));
                    record.values.push(None);
                    record.timestamps.push(timer.at.max(-1));
                    record.offsets.push(time.offset);
                    let why = dead_letter::DeathReason {
                        pipeline: &self.pipeline.name,
                        by: dead_letter::By::Operator(&config.name),
                        kind: dead_letter::RefusalKind::Fault,
                        partition,
                        reason: &format!(
                            "when its timer `{}` at {} fired, it {}",
                            timer.name, timer.at, timer.reason
                        ),
                        backtrace: &timer.backtrace,
                        timer: Some(&timer.name),
                    };
                    dead_letter::append(&mut self.dead, &record, 0, &why, self.left_out.most_bytes);
                }
                _ => {
                    let (name, key) = (&timer.name, String::from_utf8_lossy(&timer.key));
                    let operator = &config.name;
                    let what = format!(
                        "failed to fire timer `{name}` of key `{key}` at {} in operator `{operator}`",
                        timer.at
                    );
                    return Err(Error::new(Kind::Guest, what, timer.told())
                        .hint("on-error = \"skip\" or \"dead-letter\" goes on without what it would have done"));
                }
            }
        }
        Ok(())
    }
}

fn stopped_by(operator: &str, partition: &TopicPartition, offset: i64, refused: &Refused, way: Refusal) -> Error {
    let error = Error::new(
        Kind::Guest,
        format!("failed to process record {partition} offset {offset} in operator `{operator}`"),
        refused.told(),
    );
    match (refused.how, way) {
        (_, Refusal::DeadLetter) => {
            error.hint("the plugin sends it to the dead letters: give the pipeline a [dead-letters] topic")
        }
        (Refusal::Fault, _) => error.hint("on-error = \"skip\" or \"dead-letter\" goes on without such a record"),
        _ => error,
    }
}
