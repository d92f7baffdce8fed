//! Commits without checkpoints: the commands of `checkpoint::protocol` for one member of a group, which commits
//! positions and nothing else.

use crate::checkpoint::{Command, Event};
use crate::clock;
use crate::error::Result;
use crate::runtime::input::WorkerInput;
use crate::runtime::lifecycle::RunEvent;
use crate::runtime::worker::Worker;
use crate::runtime::worker::{
    DRAIN_LIMIT, REVOCATION_COMMIT_LIMIT, REVOCATION_LIMIT, STOP_CLOSE_LIMIT, STOP_COMMIT_LIMIT, STOP_DRAIN_LIMIT,
};
use std::time::Duration;

impl Worker {
    /// Tells the protocol what happened and carries out what it decides.
    pub(in crate::runtime) fn on_offsets(&mut self, input: usize, event: Event) -> Result<()> {
        let WorkerInput::Kafka(member) = &mut self.inputs[input] else {
            return Ok(());
        };
        for command in member.protocol.on(event) {
            if let Some(then) = self.carry_out(input, *command, event)? {
                self.on_offsets(input, then)?;
            }
        }
        Ok(())
    }

    /// One command; what happened by it, if the protocol waits for that.
    fn carry_out(&mut self, input: usize, command: Command, event: Event) -> Result<Option<Event>> {
        if command == Command::Drain {
            return self.drain_for(event).map(Some);
        }
        let WorkerInput::Kafka(member) = &mut self.inputs[input] else {
            return Ok(None);
        };
        let Some(reader) = &mut member.reader else {
            return Ok(None);
        };
        match command {
            Command::Drain | Command::Process => {}
            // Without anything new to commit no answer will come: it counts as given.
            Command::Commit => return Ok((!reader.begin_commit()).then_some(Event::Answered)),
            Command::CommitAndRelease => reader.release(Some(REVOCATION_COMMIT_LIMIT))?,
            Command::Release => reader.release(None)?,
            Command::Forget => {}
            Command::CommitAndLeave => self.commit_and_leave(input)?,
            Command::Leave => {
                member.leave(None, self.shared.stop.left(STOP_CLOSE_LIMIT))?;
            }
            // Only with checkpoints.
            _ => {}
        }
        Ok(None)
    }

    /// The last commit has no next one that would supersede it, so its failure is always told.
    fn commit_and_leave(&mut self, input: usize) -> Result<()> {
        let stop = &self.shared.stop;
        let (commit, close) = (stop.left(STOP_COMMIT_LIMIT), stop.left(STOP_CLOSE_LIMIT));
        let WorkerInput::Kafka(member) = &mut self.inputs[input] else {
            return Ok(());
        };
        if let Some(reason) = member.leave(Some(commit), close)? {
            self.metrics.commits_failed.increment(1);
            self.shared.tell(RunEvent::CommitFailed {
                worker: self.index,
                reason: format!("the last one before the end: {reason}; the next start reads these records again"),
            });
        }
        Ok(())
    }

    fn drain_for(&mut self, event: Event) -> Result<Event> {
        let limit = if event == Event::Revoking {
            REVOCATION_LIMIT
        } else {
            DRAIN_LIMIT
        };
        let until = clock::now() + limit;
        let ending = event == Event::Stopping;
        loop {
            match self.writer.drain(Duration::from_millis(100)) {
                Ok(true) => return Ok(Event::Drained),
                Ok(false) => {}
                Err(_) if self.was_refused()? => return Ok(Event::DrainTimedOut),
                Err(error) => return Err(error),
            }
            self.pulse.beat();
            self.watch_connection();
            // An interval's commit can wait: for the end's, and for a group that asks for partitions.
            if event == Event::Due && (self.shared.stop.is_requested() || self.is_group_waiting()?) {
                return Ok(Event::DrainTimedOut);
            }
            let late = !ending && clock::now() >= until;
            if late || self.shared.stop.is_overdue(STOP_DRAIN_LIMIT) {
                self.tell_undrained();
                return Ok(Event::DrainTimedOut);
            }
        }
    }

    fn tell_undrained(&self) {
        self.shared.tell(RunEvent::CommitFailed {
            worker: self.index,
            reason: format!(
                "{} outputs were not acknowledged in time; their records count as unprocessed",
                self.writer.in_flight()
            ),
        });
        self.metrics.commits_failed.increment(1);
    }

    /// Whether some group waits for an answer of this worker; then an interval's commit can wait.
    fn is_group_waiting(&mut self) -> Result<bool> {
        for input in &mut self.inputs {
            if let WorkerInput::Kafka(member) = input
                && let Some(reader) = &mut member.reader
                && reader.is_asked()?
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    pub(in crate::runtime) fn committed(&mut self, input: usize, outcome: Result<usize, String>) -> Result<()> {
        let WorkerInput::Kafka(member) = &mut self.inputs[input] else {
            return Ok(());
        };
        match outcome {
            Ok(partitions) => {
                self.metrics.commits.increment(1);
                member.commit_failed_before = false;
                self.shared.tell(RunEvent::Checkpoint {
                    worker: self.index,
                    partitions,
                    seconds: None,
                });
                self.forget_left_out(input);
            }
            Err(reason) => {
                self.metrics.commits_failed.increment(1);
                // Once for a series of failures: each is superseded by the next.
                if !std::mem::replace(&mut member.commit_failed_before, true) {
                    self.shared.tell(RunEvent::CommitFailed {
                        worker: self.index,
                        reason,
                    });
                }
            }
        }
        self.on_offsets(input, Event::Answered)
    }
}
