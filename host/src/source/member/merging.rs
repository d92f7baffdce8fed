//! Which of a reader's partitions goes next, if those of one number are merged by event time.
//!
//! Always: records are handed over only once it is known that none of their task goes before them: the other partitions
//! of the number have records at hand too, or are not waited for.

use std::collections::BTreeMap;
use std::time::Instant;

use super::buffered_partition::BufferedPartition;
use crate::clock;
use crate::record::TopicPartition;
use crate::source::merge::{self, AtHand, MergedSource};

/// Tells the end of a partition's log as far as it is known.
pub(in crate::source) type KnownEnd<'a> = dyn Fn(&TopicPartition) -> Option<i64> + 'a;

/// See the file's header.
#[derive(Debug)]
pub(super) struct Merging {
    /// Of each source of the subtopology.
    sources: Vec<MergedSource>,
    /// The number of the partitions that went last: the others have their turn before.
    last: i32,
    /// What goes next: a slot, and how many of its records.
    next: Option<(usize, usize)>,
}

impl Merging {
    pub(super) fn new(sources: Vec<MergedSource>) -> Self {
        Self {
            sources,
            last: -1,
            next: None,
        }
    }

    /// Gives what goes next, once.
    pub(super) fn chosen(&mut self) -> Option<(usize, usize)> {
        self.next.take()
    }

    /// The partitions are others than when it was chosen.
    pub(super) fn forget(&mut self) {
        self.next = None;
    }

    /// Chooses what goes next; `false`: of each number a partition is waited for, or nothing is at hand.
    /// `known_end`: the end of a partition's log as far as it is known; `None`: nothing more is read, so nobody waits.
    /// `most`: records that are handed over at once.
    pub(super) fn choose(
        &mut self,
        slots: &mut [Option<BufferedPartition>],
        known_end: Option<&KnownEnd<'_>>,
        most: usize,
    ) -> bool {
        self.tell_times(slots);
        let mut numbers: BTreeMap<i32, Vec<(usize, &BufferedPartition)>> = BTreeMap::new();
        for (index, slot) in slots.iter().enumerate() {
            if let Some(slot) = slot {
                numbers.entry(slot.at.partition).or_default().push((index, slot));
            }
        }
        let now = clock::now();
        let (first, second) = (numbers.range(self.last + 1..), numbers.range(..=self.last));
        let chosen = first.chain(second).find_map(|(number, slots)| {
            let next = self.next_of(slots, now, known_end, most)?;
            Some((*number, next))
        });
        if let Some((number, next)) = chosen {
            (self.last, self.next) = (number, Some(next));
        }
        chosen.is_some()
    }

    /// Sets the timestamps of what was taken in to their event times.
    fn tell_times(&self, slots: &mut [Option<BufferedPartition>]) {
        for slot in slots.iter_mut().flatten() {
            if let Some(run) = &mut slot.run {
                self.sources[slot.source].tell_times(run, slot.told);
                slot.told = run.len();
            }
        }
    }

    /// What goes next of the partitions of one number; `None`: one is waited for, or nothing is at hand.
    fn next_of(
        &self,
        slots: &[(usize, &BufferedPartition)],
        now: Instant,
        known_end: Option<&KnownEnd<'_>>,
        most: usize,
    ) -> Option<(usize, usize)> {
        let mut at_hand = Vec::with_capacity(slots.len());
        for (index, slot) in slots {
            let source = &self.sources[slot.source];
            match &slot.run {
                Some(run) => {
                    let rest = AtHand {
                        source,
                        topic: &slot.at.topic,
                        run,
                        at: slot.handed_over,
                        most,
                    };
                    at_hand.push((*index, rest));
                }
                None => {
                    let waits = |known_end: &KnownEnd<'_>| {
                        source.is_waited_for(slot.is_at_end(known_end(&slot.at)), slot.empty_since, now)
                    };
                    if known_end.is_some_and(waits) {
                        return None;
                    }
                }
            }
        }
        merge::next(at_hand.into_iter())
    }
}
