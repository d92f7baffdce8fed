//! A partition that a worker owns: where it stands, and the records of it that were taken in.

use std::time::Instant;

use crate::clock;
use crate::record::{Records, TopicPartition};

/// A partition that this worker owns.
#[derive(Debug)]
pub(in crate::source) struct BufferedPartition {
    pub(in crate::source) source: usize,
    pub(in crate::source) at: TopicPartition,
    /// The next offset to take in. Everything before it was taken in, or is no record.
    pub(in crate::source) next: i64,
    pub(in crate::source) stop: Option<i64>,
    /// Where this assignment began to read.
    pub(in crate::source) start: i64,
    /// The assignment that it is read under: a new number each time that partitions are taken.
    pub(in crate::source) assignment_epoch: u64,
    /// Next offset behind the last record that was processed.
    pub(super) processed: i64,
    /// A position, and the epoch of the leader that took the record before it.
    pub(super) leader_epoch: Option<(i64, i32)>,
    /// What the group holds as ours.
    pub(in crate::source) committed: Option<i64>,
    /// Set while its fetching is paused, because it stands at its stop.
    pub(in crate::source) is_paused: bool,
    /// Set while it waits to be read on from elsewhere: what still comes is dropped.
    pub(in crate::source) is_moving: bool,
    /// Records taken in, in offset order, of which so many were handed over, and of so many the event time is told.
    pub(super) run: Option<Records>,
    pub(super) handed_over: usize,
    pub(super) told: usize,
    /// The leader epochs of the first record of the run, and of the last that was taken in.
    pub(super) oldest_epoch: Option<i32>,
    pub(super) newest_epoch: Option<i32>,
    /// Where the end of the log was last reached.
    pub(super) end: Option<i64>,
    /// Since when there is no run.
    pub(super) empty_since: Instant,
    /// Set while what comes of it stays in a queue of its own.
    pub(in crate::source) is_parked: bool,
}

impl BufferedPartition {
    pub(in crate::source) fn new(
        source: usize,
        at: TopicPartition,
        from: i64,
        stop: Option<i64>,
        committed: Option<i64>,
    ) -> Self {
        Self {
            source,
            at,
            next: from,
            stop,
            start: from,
            assignment_epoch: 0,
            processed: from,
            leader_epoch: None,
            committed,
            is_paused: false,
            is_moving: false,
            run: None,
            handed_over: 0,
            told: 0,
            oldest_epoch: None,
            newest_epoch: None,
            end: None,
            empty_since: clock::now(),
            is_parked: false,
        }
    }

    /// The same, if the record before its first position is known to be of that leader epoch.
    pub(in crate::source) fn behind(mut self, leader_epoch: Option<i32>) -> Self {
        self.leader_epoch = leader_epoch.map(|epoch| (self.start, epoch));
        self
    }

    /// The leader epoch that belongs to a position: that of the record right before it. Behind a transaction's marker
    /// or a gap of compaction nobody tells it, and an older one would make a truncation of a new leader's first
    /// records.
    pub(in crate::source) fn leader_epoch_at(&self, position: i64) -> Option<i32> {
        let (at, epoch) = self.leader_epoch?;
        (at == position).then_some(epoch)
    }

    /// Everything that it is to bring was taken in; some of it may be at hand still.
    pub(in crate::source) fn is_at_stop(&self) -> bool {
        self.stops_at(self.next)
    }

    /// Whether nothing more comes at this position.
    pub(in crate::source) fn stops_at(&self, position: i64) -> bool {
        self.stop.is_some_and(|stop| position >= stop)
    }

    /// Records that are taken in and not handed over.
    pub(in crate::source) fn left(&self) -> usize {
        self.run.as_ref().map_or(0, |run| run.len() - self.handed_over)
    }

    /// Nothing more comes of it, as far as is known: it stands at its stop, or at the end of its log, which is at
    /// `known_end` or before.
    pub(super) fn is_at_end(&self, known_end: Option<i64>) -> bool {
        self.is_at_stop() || self.end == Some(self.next) || known_end.is_some_and(|end| self.next >= end)
    }

    /// The whole run was handed over.
    pub(super) fn forget_handed_over(&mut self) {
        (self.handed_over, self.told, self.empty_since) = (0, 0, clock::now());
    }

    /// If most of the run was handed over, the rest moves to memory of its size.
    pub(super) fn make_room(&mut self, spare: &mut Vec<Records>) {
        let Some(run) = self.run.as_mut().filter(|run| self.handed_over > run.len() / 2) else {
            return;
        };
        let mut rest = spare.pop().unwrap_or_default();
        (self.handed_over..run.len()).for_each(|row| rest.push_from(run, row));
        self.told -= self.handed_over;
        self.handed_over = 0;
        std::mem::swap(run, &mut rest);
        rest.clear();
        spare.push(rest);
    }

    pub(super) fn forget_run(&mut self) {
        (self.run, self.handed_over, self.told) = (None, 0, 0);
        (self.end, self.empty_since) = (None, clock::now());
    }

    /// The position is behind everything before `offset`; a bounded run's never goes past its stop.
    pub(super) fn reach(&mut self, offset: i64) {
        if self.is_moving {
            return;
        }
        let end = self.stop.unwrap_or(i64::MAX).max(self.next);
        self.next = self.next.max(offset.min(end));
    }
}
