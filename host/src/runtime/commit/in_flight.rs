//! What a checkpoint commits, as it was when it began.

use super::partition::{Memberships, Partition};
use crate::offset_metadata::Pointer;
use crate::record::TopicPartition;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A checkpoint under way.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub struct InFlight {
    /// What it covers, as it stood then.
    pub covered: Vec<Partition>,
    /// One a task, once the bundle is durable.
    pub pointers: Vec<Pointer>,
    /// Taken after the bundle is durable.
    pub memberships: Memberships,
    /// When it began, by the clock of the ports.
    pub begun: Duration,
    /// Of the changes.
    pub bytes: usize,
}

/// The present assignment of each partition, by input.
pub(super) struct Assignments(BTreeMap<(usize, TopicPartition), u64>);

impl Assignments {
    pub(super) fn of(partitions: &[Partition]) -> Self {
        let epoch = |of: &Partition| ((of.input, of.at.clone()), of.assignment_epoch);
        Self(partitions.iter().map(epoch).collect())
    }

    /// Whether the partition is still read under the assignment under which it was covered.
    fn has(&self, of: &Partition) -> bool {
        self.0.get(&(of.input, of.at.clone())) == Some(&of.assignment_epoch)
    }
}

impl InFlight {
    /// Whether every partition is read under the assignment under which it was covered.
    pub(super) fn is_current(&self, now: &Assignments) -> bool {
        self.covered.iter().all(|of| now.has(of))
    }

    /// Leaves out the tasks that were lost since: if they came back, others may have gone on with them, and what was
    /// taken over then is what is committed now.
    pub(super) fn forget_lost(&mut self, now: &Assignments) {
        let is_lost = |of: &&Partition| !now.has(of);
        let lost: BTreeSet<String> = (self.covered.iter().filter(is_lost))
            .map(|of| of.task.clone())
            .collect();
        self.covered.retain(|of| !lost.contains(&of.task));
        self.pointers.retain(|pointer| !lost.contains(&pointer.task));
    }

    /// The numbers of the inputs that it covers partitions of.
    pub(super) fn inputs(&self) -> BTreeSet<usize> {
        self.covered.iter().map(|of| of.input).collect()
    }
}
