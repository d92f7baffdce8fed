//! What a worker's groups say, and what it does about it at once. What concerns the commit it passes on to `commit`.

use super::run::{Waiting, Worker};
use crate::checkpoint::Event;
use crate::clock::{self, Interval};
use crate::error::Result;
use crate::metrics;
use crate::record::TopicPartition;
use crate::runtime::input::WorkerInput;
use crate::runtime::lifecycle::RunEvent;
use crate::source::{Polled, Reader};

impl Worker {
    /// Lets the groups say what they want, and hands over no records.
    pub(in crate::runtime) fn poll_all(&mut self) -> Result<()> {
        for input in 0..self.inputs.len() {
            let WorkerInput::Kafka(member) = &mut self.inputs[input] else {
                continue;
            };
            let Some(reader) = &mut member.reader else { continue };
            if let Some(polled) = reader.poll_group()? {
                self.on_poll(input, polled)?;
            }
        }
        self.watch_connection();
        Ok(())
    }

    /// The same, and commits what is due, while the worker waits for something else.
    pub(in crate::runtime) fn poll_and_commit(&mut self) -> Result<()> {
        self.poll_all()?;
        for input in 0..self.inputs.len() {
            self.commit_when_due(input)?;
        }
        if self.tell.due() {
            self.tell_positions();
        }
        Ok(())
    }

    pub(in crate::runtime) fn commit_when_due(&mut self, input: usize) -> Result<()> {
        if self.checkpointing.is_some() {
            let is_free = self.waiting == Waiting::Nothing;
            return if is_free { self.checkpoint_when_due() } else { Ok(()) };
        }
        let WorkerInput::Kafka(member) = &mut self.inputs[input] else {
            return Ok(());
        };
        let due = member.interval.as_mut().is_some_and(Interval::due);
        // The end has a commit of its own.
        if due && !self.shared.stop.is_requested() {
            self.on_offsets(input, Event::Due)
        } else {
            Ok(())
        }
    }

    pub(in crate::runtime) fn on_poll(&mut self, input: usize, polled: Polled) -> Result<()> {
        let WorkerInput::Kafka(member) = &mut self.inputs[input] else {
            return Ok(());
        };
        match polled {
            Polled::Idle => {}
            Polled::Batch => self.process(input)?,
            Polled::Finished => self.finish(input)?,
            Polled::Assigned(placed) => {
                member.finished = false;
                self.owned.take(&member.task_ids, &placed)?;
                self.may_owe_time = true;
                let partitions: Vec<_> = placed.iter().map(|placed| placed.partition.clone()).collect();
                member.idleness.assigned(&member.task_ids, &partitions, clock::now());
                for placed in placed {
                    let name = self.shared.pipeline.sources[member.sources[placed.source]].name();
                    let metrics = metrics::partition(&self.shared.pipeline.name, name, &placed.partition);
                    member.partitions.insert(placed.partition, metrics);
                }
                self.rebalanced(input, &partitions, &[], &[]);
            }
            Polled::Revoking(partitions) => self.revoking(input, partitions)?,
            Polled::Lost(partitions) => {
                self.owned.give_up(&member.task_ids, &partitions);
                member.lost(&partitions);
                match self.checkpointing.is_some() && self.waiting != Waiting::Nothing {
                    true => self.waiting = Waiting::ForGroup,
                    false => self.tell_committer(input, Event::Lost)?,
                }
                self.rebalanced(input, &[], &[], &partitions);
            }
            Polled::Committed(outcome) if self.checkpointing.as_ref().is_some_and(|of| of.offsets_in_checkpoint) => {
                self.monitored(input, outcome.map_err(|refusal| refusal.reason));
            }
            Polled::Committed(outcome) if self.checkpointing.is_some() => {
                member.answer = Some(outcome.map(|_partitions| ()))
            }
            Polled::Committed(outcome) => self.committed(input, outcome.map_err(|refusal| refusal.reason))?,
            Polled::Disconnected(reason) => self.reader_lost = Some(reason),
            Polled::Connected => self.reader_lost = None,
        }
        Ok(())
    }

    /// The group takes partitions and waits; it says so again until they are released.
    fn revoking(&mut self, input: usize, partitions: Vec<TopicPartition>) -> Result<()> {
        let WorkerInput::Kafka(member) = &mut self.inputs[input] else {
            return Ok(());
        };
        if self.checkpointing.is_some() && self.waiting != Waiting::Nothing {
            // It is told again once the batch is out of the way.
            self.waiting = Waiting::ForGroup;
            return Ok(());
        }
        if self.checkpointing.is_some() {
            let is_news = member.revoking != partitions;
            member.revoking.clone_from(&partitions);
            if is_news {
                self.on_checkpoint(Event::Revoking)?;
                self.rebalanced(input, &[], &partitions, &[]);
            }
            return Ok(());
        }
        self.on_offsets(input, Event::Revoking)?;
        if let WorkerInput::Kafka(member) = &self.inputs[input] {
            self.owned.give_up(&member.task_ids, &partitions);
        }
        self.rebalanced(input, &[], &partitions, &[]);
        Ok(())
    }

    /// A run that ends by itself ends with its last positions committed: until they are, it commits, and goes on if
    /// the group disagrees.
    fn finish(&mut self, input: usize) -> Result<()> {
        // The end of the input is the end of time for it; what fires then is committed like everything else.
        if self.end_time(input)? {
            return Ok(());
        }
        let WorkerInput::Kafka(member) = &mut self.inputs[input] else {
            return Ok(());
        };
        // Only its own tasks: those of another input go on, and owe something after each batch.
        let tasks = member.idleness.tasks();
        let is_owed = self.checkpointing.is_some() && tasks.keys().any(|task| self.owned.owes(task));
        member.finished = !is_owed && member.reader.as_ref().is_none_or(Reader::is_committed);
        match member.finished {
            true => Ok(()),
            false => self.tell_committer(input, Event::Due),
        }
    }

    /// The group of one input gave or took partitions; another may have some of the same names.
    fn rebalanced(
        &mut self,
        input: usize,
        assigned: &[TopicPartition],
        revoked: &[TopicPartition],
        lost: &[TopicPartition],
    ) {
        if let WorkerInput::Kafka(member) = &mut self.inputs[input] {
            for gone in revoked.iter().chain(lost) {
                member.partitions.remove(gone);
                member.idleness.gone(gone);
            }
        }
        self.metrics.rebalances.increment(1);
        self.shared
            .tell(RunEvent::rebalance(self.index, assigned, revoked, lost));
    }

    /// What a group answered that was told for the eyes of monitoring: counted, told once for a row of failures, and
    /// never more.
    pub(in crate::runtime) fn monitored(&mut self, input: usize, outcome: Result<usize, String>) {
        let WorkerInput::Kafka(member) = &mut self.inputs[input] else {
            return;
        };
        let Err(reason) = outcome else {
            member.commit_failed_before = false;
            return;
        };
        self.metrics.commits_failed.increment(1);
        if !std::mem::replace(&mut member.commit_failed_before, true) {
            self.shared.tell(RunEvent::CommitFailed {
                worker: self.index,
                reason: format!("{reason}; the checkpoints hold the positions, the group is behind"),
            });
        }
    }
}
