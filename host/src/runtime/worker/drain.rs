//! How the workers of a run that drains end together.
//!
//! Always: a run that drains ends once none of its tasks has time left. So no worker leaves while partitions are on
//! their way from one to another: whoever gets them ends time for their tasks too.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Which workers of a run have nothing left to do.
#[derive(Debug)]
pub struct DrainGate {
    /// Of each worker that has not left the generations of its groups in which it has nothing left to do; `None`: it
    /// has.
    workers: Mutex<BTreeMap<usize, Option<Vec<i32>>>>,
}

impl DrainGate {
    /// None of so many workers is done.
    pub fn of(workers: usize) -> Self {
        Self {
            workers: Mutex::new((0..workers).map(|worker| (worker, None)).collect()),
        }
    }

    /// A worker tells where it stands. Whether all are done, and in the same generations: then they have all partitions
    /// between them.
    pub(super) fn tell(&self, worker: usize, generations: Option<Vec<i32>>) -> bool {
        let mut workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        workers.insert(worker, generations.clone());
        generations.is_some() && workers.values().all(|told| *told == generations)
    }

    /// A worker leaves: nobody waits for it.
    pub(super) fn leave(&self, worker: usize) {
        let mut workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        workers.remove(&worker);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_are_done_together_and_in_one_generation() {
        let gate = DrainGate::of(2);
        assert!(!gate.tell(0, Some(vec![3])), "the other one has something left");
        assert!(
            !gate.tell(1, Some(vec![2])),
            "a partition may be on its way between them"
        );
        assert!(!gate.tell(0, None), "it came here");
        assert!(!gate.tell(1, Some(vec![3])));
        assert!(gate.tell(0, Some(vec![3])));
        gate.leave(0);
        assert!(!gate.tell(1, None), "what the other one had came here");
        assert!(gate.tell(1, Some(vec![4])));
    }

    #[test]
    fn nobody_waits_for_a_worker_that_had_nothing_to_read() {
        let gate = DrainGate::of(2);
        gate.leave(1);
        assert!(gate.tell(0, Some(Vec::new())));
    }
}
