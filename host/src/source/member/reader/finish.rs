//! Whether a run that has stops, or is to read no more, is done, here and at the other members.

use std::time::Duration;

use super::poll::Reader;
use crate::error::{Kind, Result};
use crate::record::TopicPartition;
use crate::source::positions::plan::own;

impl Reader {
    /// From now on nothing is taken in. What was is handed over; then the reader has finished, as a bounded one has at
    /// its stops, and stays a member.
    pub fn read_no_more(&mut self) {
        self.reads_no_more = true;
    }

    /// Whether the whole run is done. Asked for only when nothing is taken in and not handed over.
    pub(super) fn has_finished(&mut self) -> Result<bool> {
        if self.reads_no_more {
            return Ok(self.settled_in().is_some() && self.moves.is_empty());
        }
        if !self.plan.is_bounded()
            || !self.group.rebalance_events.is_empty()
            || !self.group.pending.is_empty()
            || !self.moves.is_empty()
            || !self.record_buffer.slots().all(|slot| slot.is_at_stop())
        {
            return Ok(false);
        }
        for slot in self.record_buffer.slots() {
            self.plan.completed(&slot.at);
        }
        let incomplete = self.plan.incomplete();
        if incomplete.is_empty() {
            return Ok(true);
        }
        if !self.plan.commits() {
            return Ok(self.group.has_assignment);
        }
        if !self.finish_check.due() {
            return Ok(false);
        }
        self.others_have_finished(&incomplete)
    }

    fn others_have_finished(&self, incomplete: &[(TopicPartition, i64)]) -> Result<bool> {
        let partitions: Vec<_> = incomplete.iter().map(|(at, _)| at.clone()).collect();
        match self.lookup(Duration::from_secs(1)).committed(&partitions) {
            Ok(committed) => Ok(committed
                .iter()
                .zip(incomplete)
                .all(|(committed, (_, stop))| own(committed).is_some_and(|at| at >= *stop))),
            Err(error) if error.kind == Kind::TimedOut => Ok(false),
            Err(error) => Err(error),
        }
    }
}
