//! The end of a worker: when it has nothing left to do, its last commit, and good-bye to the groups.

use super::limits::{STOP_CLOSE_LIMIT, STOP_DRAIN_LIMIT};
use super::run::Worker;
use crate::checkpoint::Event;
use crate::error::Result;
use crate::runtime::input::WorkerInput;
use std::time::Duration;

impl Worker {
    /// Whether every input is finished, and, if the run drains, those of the other workers are too.
    pub(super) fn is_done(&self) -> bool {
        let is_finished = self.inputs.iter().all(WorkerInput::is_finished);
        if !self.shared.stop.is_draining() {
            return is_finished;
        }
        let generations = is_finished.then(|| self.settled_in()).flatten();
        self.shared.drained.tell(self.index, generations)
    }

    /// The generations of the groups, if all of them are at rest.
    fn settled_in(&self) -> Option<Vec<i32>> {
        let readers = self.inputs.iter().filter_map(|input| match input {
            WorkerInput::Kafka(member) => Some(member.reader.as_ref()),
            WorkerInput::Files { .. } => None,
        });
        readers.map(|reader| reader?.settled_in()).collect()
    }

    /// Every input leaves, whatever becomes of the others; the first failure is told.
    pub(in crate::runtime) fn leave_all(&mut self) -> Result<()> {
        // With checkpoints all inputs leave by one last checkpoint; who is left over after it was not to commit.
        let mut left = if self.is_torn {
            Ok(())
        } else {
            self.on_checkpoint(Event::Stopping)
        };
        // What was not committed is not to hold readers back.
        self.writer.abort(STOP_CLOSE_LIMIT - STOP_DRAIN_LIMIT);
        for input in 0..self.inputs.len() {
            left = left.and(self.leave_input(input));
        }
        left = left.and(self.drain_the_rest());
        self.tell_positions();
        left
    }

    fn leave_input(&mut self, input: usize) -> Result<()> {
        let stopped = match self.checkpointing {
            Some(_) => Ok(()),
            None => self.on_offsets(input, Event::Stopping),
        };
        let WorkerInput::Kafka(member) = &mut self.inputs[input] else {
            return stopped;
        };
        // If that failed, an output can never be delivered. Nothing is committed, and the group need
        // not wait.
        let close_limit = self.shared.stop.left(STOP_CLOSE_LIMIT);
        let left = member.leave(None, close_limit).map(|_not_committed| ());
        stopped.and(left)
    }

    /// What files put out has no input that waits for it.
    fn drain_the_rest(&mut self) -> Result<()> {
        while !self.writer.drain(Duration::from_millis(100))? && !self.shared.stop.is_overdue(STOP_DRAIN_LIMIT) {
            self.pulse.beat();
            self.watch_connection();
        }
        Ok(())
    }
}
