//! Records whose event time cannot be: before 1970, behind year 9999, or too far ahead of the clock. They never move
//! event time, and go the way of `on-bad-time` before any operator sees them.

use super::time::TimeRule;
use crate::config::{OnBadTime, Pipeline};
use crate::error::{Error, Kind, Result};
use crate::record::{Records, TopicPartition};
use crate::sink::dead_letter;

/// The dead letters among a batch's records, until its first piece takes them along.
#[derive(Default)]
pub(super) struct BadTimes {
    dead: Records,
    took_out: bool,
}

/// Where records come from that are judged.
pub(super) struct Judged<'a> {
    pub(super) pipeline: &'a Pipeline,
    /// The name of the source.
    pub(super) source: &'a str,
    pub(super) partition: &'a TopicPartition,
    pub(super) rule: TimeRule,
    /// Bytes that a dead letter may have.
    pub(super) most_bytes: usize,
}

impl BadTimes {
    /// Another batch: none of it is bad so far.
    pub(super) fn clear(&mut self) {
        self.dead.clear();
        self.took_out = false;
    }

    /// Whether any was taken out.
    pub(super) fn took_out(&self) -> bool {
        self.took_out
    }

    pub(super) fn append_to(&self, into: &mut Records) {
        (0..self.dead.len()).for_each(|index| into.push_from(&self.dead, index));
    }

    /// Takes the records out whose time cannot be, unless they are to be used. How many there are.
    pub(super) fn judge(&mut self, of: &Judged<'_>, way: OnBadTime, records: &mut Records) -> Result<u64> {
        let bad = records.timestamps.iter().filter(|at| !of.rule.can_be(**at)).count();
        if bad == 0 || way == OnBadTime::Use {
            return Ok(bad as u64);
        }
        let mut left = Records::default();
        for (index, at) in records.timestamps.iter().enumerate() {
            match (of.rule.can_be(*at), way) {
                (true, _) => left.push_from(records, index),
                (false, OnBadTime::DeadLetter) => self.bury(of, records, index),
                (false, OnBadTime::Fail) => return Err(stopped(of, records.offsets[index], *at)),
                (false, _) => {}
            }
        }
        *records = left;
        self.took_out = true;
        Ok(bad as u64)
    }

    fn bury(&mut self, of: &Judged<'_>, records: &Records, index: usize) {
        let why = dead_letter::DeathReason {
            pipeline: &of.pipeline.name,
            by: dead_letter::By::Source(of.source),
            kind: dead_letter::RefusalKind::BadTime,
            partition: of.partition,
            reason: &of.rule.why(records.timestamps[index]),
            backtrace: "",
            timer: None,
        };
        dead_letter::append(&mut self.dead, records, index, &why, of.most_bytes);
    }
}

fn stopped(of: &Judged<'_>, offset: i64, at: i64) -> Error {
    let what = format!("failed to process record {} offset {offset}", of.partition);
    Error::new(Kind::Guest, what, of.rule.why(at)).hint(
        "on-bad-time = \"use\", \"skip\" or \"dead-letter\" goes on; `event-time` says from where in a record its time \
         is taken",
    )
}
