//! Records whose event time cannot be: before 1970, behind year 9999, or too far ahead of the clock. They never move
//! event time, and go the way of `on-bad-time` before any operator sees them.

use super::task::Tasks;
use super::time::TimeRule;
use crate::clock;
use crate::config::OnBadTime;
use crate::error::{Error, Kind, Result};
use crate::record::{Records, TopicPartition};
use crate::sink::dead_letter;

/// The dead letters among a batch's records, until its first piece takes them along.
#[derive(Default)]
pub(super) struct BadTimes {
    dead: Records,
}

impl BadTimes {
    pub(super) fn append_to(&self, into: &mut Records) {
        (0..self.dead.len()).for_each(|index| into.push_from(&self.dead, index));
    }
}

impl Tasks {
    /// Takes the records out whose time cannot be, unless they are to be used.
    pub(super) fn judge_times(
        &mut self,
        source: usize,
        partition: &TopicPartition,
        records: &mut Records,
    ) -> Result<()> {
        self.bad_times.dead.clear();
        let settings = self.rules[source];
        let way = match (settings.on_bad_time, self.goes_by_time(source)) {
            (Some(way), _) => way,
            (None, false) => return Ok(()),
            (None, true) if self.pipeline.dead_letters.is_some() => OnBadTime::DeadLetter,
            (None, true) => OnBadTime::Fail,
        };
        let rule = TimeRule::of(settings, clock::wall_ms());
        let bad = records.timestamps.iter().filter(|at| !rule.can_be(**at)).count();
        if bad == 0 {
            return Ok(());
        }
        self.metrics.bad_times.increment(bad as u64);
        if way == OnBadTime::Use {
            return Ok(());
        }
        let mut left = Records::default();
        for (index, at) in records.timestamps.iter().enumerate() {
            match (rule.can_be(*at), way) {
                (true, _) => left.push_from(records, index),
                (false, OnBadTime::DeadLetter) => {
                    let why = dead_letter::DeathReason {
                        pipeline: &self.pipeline.name,
                        by: dead_letter::By::Source(self.pipeline.sources[source].name()),
                        kind: dead_letter::RefusalKind::BadTime,
                        partition,
                        reason: &rule.why(*at),
                    };
                    let most_bytes = self.left_out.most_bytes;
                    dead_letter::append(&mut self.bad_times.dead, records, index, &why, most_bytes);
                }
                (false, OnBadTime::Fail) => {
                    let what = format!("failed to process record {partition} offset {}", records.offsets[index]);
                    return Err(Error::new(Kind::Guest, what, rule.why(*at))
                        .hint("on-bad-time = \"use\", \"skip\" or \"dead-letter\" goes on, and `event-time` says where times come from"));
                }
                (false, _) => {}
            }
        }
        *records = left;
        Ok(())
    }
}
