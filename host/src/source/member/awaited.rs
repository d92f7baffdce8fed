//! Partitions that the group gave to this member while nobody can tell where they stand: a member that died in a transaction left offsets that are
//! open for as long as that transaction lives.
//!
//! Always: the group has its answer meanwhile, so that the partitions that stay go on. Nothing that is awaited is owned; what is revoked or lost is
//! awaited no more, and nothing is taken up while the group waits for another answer, which it would count as that one.

use std::time::Duration;

use super::reader::{Polled, Reader};
use crate::clock::Interval;
use crate::error::{Error, Kind, Result};
use crate::record::TopicPartition;
use crate::source::client::words;
use rdkafka::TopicPartitionList;
use rdkafka::consumer::Consumer;

/// How often it is asked where they stand.
const LOOK: Duration = Duration::from_millis(500);

/// See the file's header: one list an assignment, so that none waits for another one's transaction.
#[derive(Debug)]
pub(in crate::source) struct Awaited {
    assignments: Vec<Vec<TopicPartition>>,
    look: Interval,
}

impl Awaited {
    pub(in crate::source) fn new() -> Self {
        Self {
            assignments: Vec::new(),
            look: Interval::new(LOOK),
        }
    }

    pub(in crate::source) fn is_empty(&self) -> bool {
        self.assignments.is_empty()
    }

    pub(in crate::source) fn push(&mut self, assignment: Vec<TopicPartition>) {
        self.assignments.push(assignment);
        self.look = Interval::new(LOOK);
    }

    /// These are somebody else's now.
    pub(in crate::source) fn forget(&mut self, partitions: &[TopicPartition]) {
        for assignment in &mut self.assignments {
            assignment.retain(|at| !partitions.contains(at));
        }
        self.assignments.retain(|assignment| !assignment.is_empty());
    }

    /// Forgets all: the membership is gone.
    pub(in crate::source) fn clear(&mut self) {
        self.assignments.clear();
    }

    /// What to look at now: a turn each.
    fn due(&mut self) -> Option<Vec<TopicPartition>> {
        if self.assignments.is_empty() || !self.look.due() {
            return None;
        }
        self.assignments.rotate_left(1);
        self.assignments.last().cloned()
    }

    fn taken_up(&mut self) {
        self.assignments.pop();
    }
}

impl Reader {
    /// Gives the group its answer, without the partitions.
    pub(in crate::source) fn put_off(&mut self, partitions: Vec<TopicPartition>, why: &Error) -> Result<()> {
        tracing::info!(?partitions, %why, "partitions wait for their offsets; the others go on");
        self.client
            .incremental_assign(&TopicPartitionList::new())
            .map_err(|error| Error::new(Kind::Kafka, "failed to take over partitions", words(&error)))?;
        self.awaited.push(partitions);
        Ok(())
    }

    /// Takes those up whose positions can be told by now.
    pub(in crate::source) fn take_up(&mut self) -> Result<Option<Polled>> {
        if !self.demands.is_empty() {
            return Ok(None);
        }
        let Some(partitions) = self.awaited.due() else {
            return Ok(None);
        };
        let resolved = match self.resolve(&partitions) {
            Ok(resolved) => resolved,
            Err(error) if error.kind == Kind::TimedOut => {
                tracing::debug!(%error, "partitions wait on");
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        // The look may have taken a while, and the membership may have ended in it.
        self.serve(Duration::ZERO)?;
        if !self.demands.is_empty() || self.awaited.is_empty() {
            return Ok(None);
        }
        self.awaited.taken_up();
        self.begin(resolved).map(|placed| Some(Polled::Assigned(placed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(numbers: &[i32]) -> Vec<TopicPartition> {
        numbers.iter().map(|number| TopicPartition::new("t", *number)).collect()
    }

    fn awaited(assignments: &[&[i32]]) -> Awaited {
        let mut awaited = Awaited::new();
        assignments
            .iter()
            .for_each(|assignment| awaited.push(places(assignment)));
        awaited.look = Interval::new(Duration::ZERO);
        awaited
    }

    #[test]
    fn assignments_take_turns_and_none_waits_for_another() {
        let mut awaited = awaited(&[&[1, 2], &[3]]);
        assert_eq!(awaited.due(), Some(places(&[1, 2])));
        assert_eq!(awaited.due(), Some(places(&[3])));
        assert_eq!(awaited.due(), Some(places(&[1, 2])));
        awaited.taken_up();
        assert_eq!(awaited.due(), Some(places(&[3])));
        awaited.taken_up();
        assert!(awaited.is_empty() && awaited.due().is_none());
    }

    #[test]
    fn what_is_revoked_is_awaited_no_more() {
        let mut awaited = awaited(&[&[1, 2], &[3]]);
        awaited.forget(&places(&[2, 3]));
        assert_eq!(awaited.due(), Some(places(&[1])));
        awaited.forget(&places(&[1]));
        assert!(awaited.is_empty());
    }
}
