//! What a call gives back, built as columns.

use std::fmt::Display;
use std::io::Write;

use serde::Serialize;

use crate::bindings::sandbar::plugin::{batches, types};
use crate::state::Changes;
use crate::{Batch, Bytes, Column, Event, Failure, Fired, Headers, Refusal};

/// Takes what becomes of the events.
///
/// Always: the columns are equally long; outputs of a refused event are gone.
#[derive(Debug, Default)]
pub struct Outputs {
    output: Vec<u8>,
    keys: Column,
    values: Column,
    timestamps: Vec<i64>,
    headers: Headers,
    causes: Vec<u32>,
    refused: Vec<batches::Refused>,
    changes: Changes,
    timers: Vec<batches::TimerChange>,
    /// What was measured in this call, by the metric's index.
    measured: Vec<Option<f64>>,
    /// What emissions are caused by, its timestamp, and the number of outputs before it.
    cause: u32,
    timestamp: i64,
    before: usize,
}

impl Outputs {
    /// Emits the event as it is: key, value, headers and timestamp unchanged.
    #[inline]
    pub fn pass(&mut self, event: &Event) -> Emitted<'_> {
        let row = self.causes.len();
        let batch = event.batch();
        if !batch.headers.is_empty() {
            event
                .headers()
                .for_each(|(name, value)| self.headers.push(row, name, value));
        }
        self.row(event.key(), event.value(), event.timestamp(), event.index() as u32)
    }

    /// Emits a new record to the first output, with the timestamp of the event, or of the timer, and without headers.
    /// The key and the value are bytes, text, or an option of them; [`NULL`](crate::NULL) is null.
    #[inline]
    pub fn emit(&mut self, key: impl Bytes, value: impl Bytes) -> Emitted<'_> {
        self.row(key.bytes(), value.bytes(), self.timestamp, self.cause)
    }

    /// Emits a record with `value` written as JSON, straight into the column.
    ///
    /// # Errors
    /// A value that JSON cannot express, such as a map whose keys are not text; nothing is emitted then.
    pub fn emit_json(&mut self, key: impl Bytes, value: &impl Serialize) -> Result<Emitted<'_>, serde_json::Error> {
        let start = self.values.bytes.len();
        if let Err(error) = serde_json::to_writer(&mut self.values.bytes, value) {
            self.values.bytes.truncate(start);
            return Err(error);
        }
        self.values.ends.push(self.values.bytes.len() as u32);
        self.keys.push(key.bytes());
        Ok(self.rest_of_row(self.timestamp, self.cause))
    }

    /// Emits a record whose value is `value` as text, written straight into the column: `out.emit_text(event.key(),
    /// 7)`.
    #[inline]
    pub fn emit_text(&mut self, key: impl Bytes, value: impl Display) -> Emitted<'_> {
        // Memory takes whatever is written.
        let _ = write!(self.values.bytes, "{value}");
        self.values.ends.push(self.values.bytes.len() as u32);
        self.keys.push(key.bytes());
        self.rest_of_row(self.timestamp, self.cause)
    }

    /// Adds to a counter, by its index among the declared metrics. What a refused event counted stays.
    pub fn count(&mut self, metric: u8, by: f64) {
        *self.measure(metric).get_or_insert(0.0) += by;
    }

    /// Sets a gauge, by its index among the declared metrics.
    pub fn gauge(&mut self, metric: u8, value: f64) {
        *self.measure(metric) = Some(value);
    }

    fn measure(&mut self, metric: u8) -> &mut Option<f64> {
        let metric = usize::from(metric);
        if self.measured.len() <= metric {
            self.measured.resize(metric + 1, None);
        }
        &mut self.measured[metric]
    }

    /// Emits every event of the batch as it is: columns are handed on rather than copied.
    pub fn pass_all(&mut self, batch: Batch) {
        if !self.causes.is_empty() {
            for event in batch.events() {
                self.pass(&event);
            }
            return;
        }
        let count = batch.len();
        let (keys, batch) = batch.into_key_per_event();
        self.output = vec![0; count];
        self.keys = keys;
        self.values = batch.values;
        self.timestamps = batch.timestamps;
        self.headers = batch.headers;
        self.causes = (0..count as u32).collect();
    }

    /// From here on emissions are caused by `event`, and have its timestamp. A [`BatchPlugin`](crate::BatchPlugin)
    /// calls it.
    #[inline]
    pub fn at(&mut self, event: &Event) {
        self.cause = event.index() as u32;
        self.timestamp = event.timestamp();
        self.before = self.causes.len();
    }

    /// From here on emissions are caused by a timer, and have its time.
    pub(crate) fn at_firing(&mut self, fired: &Fired, cause: u32) {
        (self.cause, self.timestamp, self.before) = (cause, fired.at(), self.causes.len());
    }

    /// Takes back what was emitted since the turn began.
    pub(crate) fn take_back(&mut self) {
        self.truncate(self.before);
    }

    /// Refuses the event that [`Outputs::at`] named, and takes back what it had emitted. A
    /// [`BatchPlugin`](crate::BatchPlugin) calls it.
    ///
    /// # Errors
    /// The call's failure if the refusal asks for the whole call again.
    pub fn refuse(&mut self, event: &Event, refusal: Refusal) -> Result<(), Failure> {
        let (how, reason) = match refusal {
            Refusal::Skip(reason) => (types::Refusal::Skip, reason),
            Refusal::DeadLetter(reason) => (types::Refusal::DeadLetter, reason),
            Refusal::Fail(reason) => (types::Refusal::Fail, reason),
            Refusal::Retry(reason) => return Err(Failure::Retry(reason)),
        };
        self.take_back();
        self.refused.push(batches::Refused {
            event: event.index() as u32,
            how,
            reason,
        });
        Ok(())
    }

    /// What the call changes in the state.
    pub(crate) fn changes(&mut self) -> &mut Changes {
        &mut self.changes
    }

    /// The timers that the call sets and clears.
    pub(crate) fn set_timers(&mut self, timers: Vec<batches::TimerChange>) {
        self.timers = timers;
    }

    /// Makes room for what a map or a filter makes of the batch.
    pub(crate) fn reserve(&mut self, batch: &Batch) {
        let count = batch.len();
        self.output.reserve(count);
        self.keys.reserve(count, batch.keys.bytes.len());
        self.values.reserve(count, batch.values.bytes.len());
        self.timestamps.reserve(count);
        self.causes.reserve(count);
    }

    #[inline]
    fn row(&mut self, key: Option<&[u8]>, value: Option<&[u8]>, timestamp: i64, cause: u32) -> Emitted<'_> {
        self.keys.push(key);
        self.values.push(value);
        self.rest_of_row(timestamp, cause)
    }

    #[inline]
    fn rest_of_row(&mut self, timestamp: i64, cause: u32) -> Emitted<'_> {
        self.output.push(0);
        self.timestamps.push(timestamp);
        self.causes.push(cause);
        Emitted { outputs: self }
    }

    fn truncate(&mut self, rows: usize) {
        self.output.truncate(rows);
        self.keys.truncate(rows);
        self.values.truncate(rows);
        self.timestamps.truncate(rows);
        self.headers.truncate(rows);
        self.causes.truncate(rows);
    }

    pub(crate) fn into_outcome(self) -> batches::Outcome {
        let measured = self.measured.iter().enumerate();
        batches::Outcome {
            measured: measured
                .filter_map(|(metric, value)| {
                    Some(batches::Measured {
                        metric: metric as u8,
                        value: (*value)?,
                    })
                })
                .collect(),
            outputs: batches::Outputs {
                output: self.output,
                key: self.keys.into(),
                value: self.values.into(),
                timestamp: self.timestamps,
                headers: self.headers.into(),
                cause: self.causes,
            },
            changes: self.changes.into(),
            timers: self.timers,
            refused: self.refused,
        }
    }
}

/// The record just emitted, for what else there is to say about it.
#[derive(Debug)]
pub struct Emitted<'a> {
    outputs: &'a mut Outputs,
}

impl Emitted<'_> {
    /// Sends it to another output, by its index among the declared ones.
    #[inline]
    pub fn to(self, output: u8) -> Self {
        if let Some(last) = self.outputs.output.last_mut() {
            *last = output;
        }
        self
    }

    /// Gives it another timestamp, in milliseconds since 1970.
    #[inline]
    pub fn timestamp(self, timestamp: i64) -> Self {
        if let Some(last) = self.outputs.timestamps.last_mut() {
            *last = timestamp;
        }
        self
    }

    /// Adds a header, after those that it has.
    #[inline]
    pub fn header(self, name: &str, value: impl Bytes) -> Self {
        let row = self.outputs.causes.len() - 1;
        self.outputs.headers.push(row, name.as_bytes(), value.bytes());
        self
    }
}
