//! What must hold, judged as it happens.

use crate::broker::{Broker, Ending, Offsets, PARTITIONS, Place, TASKS, places};
use crate::store::Store;
use std::collections::BTreeMap;

/// A read-committed reader of all outputs, and a judge of every commit.
#[derive(Debug)]
pub(crate) struct Audit {
    is_exact: bool,
    /// The offset of the next record whose output it waits for.
    next: BTreeMap<Place, u64>,
    seqs: [u64; TASKS],
}

impl Audit {
    pub(crate) fn new(is_exact: bool) -> Self {
        Self {
            is_exact,
            next: places().map(|place| (place, 0)).collect(),
            seqs: [0; TASKS],
        }
    }

    /// Reads up to the last stable offset. I1: each output once and in order, and right; at least once: none left out.
    /// I9: none that was aborted.
    pub(crate) fn read(&mut self, broker: &mut Broker) {
        for place in places() {
            let log = broker.outputs.get_mut(&place).expect("a log");
            let next = self.next.get_mut(&place).expect("a place");
            while let Some(stored) = log.front() {
                let ending = stored
                    .transaction
                    .map_or(Some(Ending::Committed), |id| broker.endings.get(&id).copied());
                let Some(ending) = ending else { break };
                let output = stored.output;
                log.pop_front();
                if ending == Ending::Aborted {
                    continue;
                }
                let is_next = output.offset == *next || !self.is_exact && output.offset < *next;
                assert!(
                    is_next,
                    "I1: {place:?}: the output of {} where that of {next} is due",
                    output.offset
                );
                assert_eq!(
                    output.count, broker.input[&place][output.offset as usize],
                    "I1: {place:?}: a wrong count at {}",
                    output.offset
                );
                *next = (*next).max(output.offset + 1);
            }
        }
    }

    /// A commit was made: `before` is what was committed before it.
    pub(crate) fn committed(&mut self, broker: &Broker, store: &Store, before: &Offsets, now: &Offsets) {
        let tasks: std::collections::BTreeSet<usize> = now.keys().map(|place| place.0).collect();
        for task in tasks {
            self.judge_task(broker, store, before, task);
        }
    }

    fn judge_task(&mut self, broker: &Broker, store: &Store, before: &Offsets, task: usize) {
        let (_, pointer) = &broker.committed[&(task, 0)];
        let (_, former) = &before[&(task, 0)];
        for partition in 0..PARTITIONS {
            let (next, other) = &broker.committed[&(task, partition)];
            assert_eq!(other, pointer, "I2: the partitions of task {task} carry two pointers");
            if self.is_exact {
                assert!(
                    *next >= before[&(task, partition)].0,
                    "I4: the offsets of task {task} went back"
                );
            }
        }
        let frame = store.frame(pointer, task);
        let frame = frame.unwrap_or_else(|| panic!("I3: {pointer} is committed and not in the store"));
        for partition in 0..PARTITIONS {
            let (next, _) = broker.committed[&(task, partition)];
            assert_eq!(frame.next[partition], next, "I2: {pointer} belongs to another offset");
        }
        if self.is_exact && pointer != former {
            assert_eq!(
                &frame.parent, former,
                "I5: {pointer} follows another one than the one committed"
            );
            assert!(
                frame.seq > self.seqs[task],
                "I4: the sequence of task {task} does not grow"
            );
            self.seqs[task] = frame.seq;
        }
    }

    /// When nothing is open any more: what the reader saw is what is committed.
    pub(crate) fn all_read(&mut self, broker: &mut Broker) {
        self.read(broker);
        for place in places() {
            let (committed, _) = broker.committed[&place];
            let seen = self.next[&place];
            let is_right = if self.is_exact {
                seen == committed
            } else {
                seen >= committed
            };
            assert!(
                is_right,
                "I1: {place:?}: outputs up to {seen}, {committed} is committed"
            );
        }
    }
}
