//! A worker's groups and outputs, as ports.

use super::checkpointing::LOOK;
use super::in_flight::InFlight;
use super::ports::{Clock, Groups, Memberships, Outputs, Partition};
use crate::checkpoint::Event;
use crate::clock;
use crate::error::{Error, Kind, Result};
use crate::kafka::consumer::CommitRefusal;
use crate::kill;
use crate::offset_metadata::Pointer;
use crate::record::{Committable, TopicPartition};
use crate::runtime::input::{GroupInput, WorkerInput};
use crate::runtime::worker::STOP_CLOSE_LIMIT;
use crate::runtime::worker::Worker;
use crate::sink::{CommitOutcome, OffsetsSent};
use crate::source::{GroupOffset, Reader};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long a worker sleeps that waits for its groups.
const PAUSE: Duration = Duration::from_millis(1);

impl Clock for Worker {
    fn now(&self) -> Duration {
        clock::now().duration_since(self.began)
    }

    fn stopping(&self) -> Option<Duration> {
        self.shared.stop.since()
    }
}

impl Groups for Worker {
    fn poll_groups(&mut self) -> Result<()> {
        self.pulse.beat();
        self.poll_all()
    }

    fn next_event(&mut self) -> Option<Event> {
        self.checkpointing.as_mut()?.events.pop_front()
    }

    fn is_revoking(&self) -> bool {
        self.members().any(|(_, member)| !member.revoking.is_empty())
    }

    fn partitions(&self) -> Vec<Partition> {
        let mut partitions = Vec::new();
        for (input, member) in self.members() {
            let Some(reader) = &member.reader else { continue };
            for owned in reader.owned() {
                let task = member.task_ids.task(&owned.partition);
                partitions.push(Partition {
                    input,
                    has_state: self.owned.has(&task),
                    task,
                    stop: reader.kept_stop(&owned.partition),
                    at: owned.partition,
                    next: owned.next,
                    leader_epoch: owned.leader_epoch,
                    start: owned.start,
                    committed: owned.committed,
                    assignment_epoch: owned.assignment_epoch,
                });
            }
        }
        partitions
    }

    fn memberships(&mut self) -> Result<Option<Memberships>> {
        let readers = self.readers();
        let asked: Result<Vec<_>> = readers
            .map(|(input, reader)| Ok((input, reader.group_metadata()?)))
            .collect();
        if asked.is_err() {
            std::thread::sleep(PAUSE);
        }
        Ok(asked.ok())
    }

    fn has_loss(&self) -> bool {
        self.readers().any(|(_, reader)| reader.has_loss())
    }

    fn committed(&mut self, limit: Duration) -> Result<Option<Vec<GroupOffset>>> {
        let asked: Result<Vec<_>> = self.readers().map(|(_, reader)| reader.committed_now(limit)).collect();
        match asked {
            Ok(committed) => Ok(Some(committed.concat())),
            Err(error) if error.kind == Kind::TimedOut => self.poll_groups().map(|()| None),
            Err(error) => Err(error),
        }
    }

    fn metadata(&self, of: &Partition, pointer: &Pointer) -> String {
        let reader = self.readers().find(|(input, _)| *input == of.input);
        let metadata = reader.map_or_else(
            || pointer.to_string(),
            |(_, reader)| reader.metadata_for(&of.at, pointer),
        );
        let member = self.members().find(|(input, _)| *input == of.input);
        match member.and_then(|(_, member)| member.idleness.time(&of.at)) {
            Some(time) => time.behind(metadata),
            None => metadata,
        }
    }

    fn begin_commit(&mut self, positions: Vec<(usize, Vec<Committable>)>) {
        let mut positions: BTreeMap<_, _> = positions.into_iter().collect();
        let offsets_in_checkpoint = self.checkpointing.as_ref().is_some_and(|of| of.offsets_in_checkpoint);
        for (number, input) in self.inputs.iter_mut().enumerate() {
            let WorkerInput::Kafka(member) = input else { continue };
            let positions = positions.remove(&number).unwrap_or_default();
            let has_begun = match &mut member.reader {
                // The bundle is durable, and that is the commit. The groups are told for the eyes of monitoring, and
                // not waited for.
                Some(reader) if offsets_in_checkpoint => {
                    reader.kept(positions);
                    false
                }
                Some(reader) => reader.begin_commit_of(positions),
                None => false,
            };
            member.answer = (!has_begun).then_some(Ok(()));
        }
    }

    fn commit_answer(&mut self) -> Option<Event> {
        let refused = self.members().find_map(|(_, member)| member.answer.clone()?.err());
        if let Some(CommitRefusal { reason, is_lasting }) = refused {
            self.checkpoint_failed(Kind::Kafka, reason);
            return Some(match is_lasting {
                true => Event::OffsetsRefused,
                false => Event::CommitRefused,
            });
        }
        if self.members().all(|(_, member)| member.answer.is_some()) {
            return Some(Event::Committed);
        }
        std::thread::sleep(PAUSE);
        None
    }

    fn committed_by_transaction(&mut self, of: &InFlight) {
        self.may_owe_time = true;
        for (number, input) in self.inputs.iter_mut().enumerate() {
            let WorkerInput::Kafka(member) = input else { continue };
            let of_input = of.covered.iter().filter(|of| of.input == number);
            let positions: Vec<_> = of_input.map(|of| (of.at.clone(), of.next)).collect();
            if let Some(reader) = &mut member.reader {
                reader.committed_by_others(&positions);
            }
        }
    }

    fn rewind(&mut self, to: &[(usize, TopicPartition, i64)]) -> Result<()> {
        for (number, input) in self.inputs.iter_mut().enumerate() {
            let WorkerInput::Kafka(member) = input else { continue };
            let of_input = to.iter().filter(|(of, ..)| *of == number);
            let positions: Vec<_> = of_input.map(|(_, at, next)| (at.clone(), *next)).collect();
            member.idleness.rewound(clock::now());
            if let Some(reader) = &mut member.reader {
                reader.rewind(&positions)?;
            }
        }
        Ok(())
    }

    fn release(&mut self) -> Result<()> {
        kill::point("in-revocation");
        for input in &mut self.inputs {
            let WorkerInput::Kafka(member) = input else { continue };
            let revoked = std::mem::take(&mut member.revoking);
            if revoked.is_empty() {
                continue;
            }
            self.owned.give_up(&member.task_ids, &revoked);
            if let Some(reader) = &mut member.reader {
                reader.release(None)?;
            }
        }
        Ok(())
    }

    fn leave(&mut self) -> Result<()> {
        let mut left = Ok(());
        for input in &mut self.inputs {
            if let WorkerInput::Kafka(member) = input {
                let close = self.shared.stop.left(STOP_CLOSE_LIMIT);
                left = left.and(member.leave(None, close).map(|_not_committed| ()));
            }
        }
        left
    }
}

impl Outputs for Worker {
    fn has_transaction(&self) -> bool {
        self.writer.has_transaction()
    }

    fn drain(&mut self) -> Result<Option<Event>> {
        kill::point("before-flush");
        match self.writer.drain(LOOK) {
            Ok(is_drained) => Ok(is_drained.then_some(Event::Drained)),
            Err(error) => self.lost(error).map(Some),
        }
    }

    fn in_flight(&self) -> usize {
        self.writer.in_flight()
    }

    fn is_disconnected(&self) -> bool {
        self.disconnected
    }

    fn send_offsets(&mut self, positions: &[Committable], membership: &[u8], limit: Duration) -> Result<Event> {
        let (kind, reason, event) = match self.writer.send_offsets(positions, membership, limit) {
            OffsetsSent::Done => return Ok(Event::OffsetsSent),
            OffsetsSent::Slow => return Ok(Event::OffsetsSlow),
            OffsetsSent::Denied(reason) => return Err(denied(&reason)),
            OffsetsSent::Hung(reason) => return Err(hung(&reason)),
            OffsetsSent::Stale(reason) => (Kind::Kafka, reason, Event::Stale),
            OffsetsSent::Refused(reason) => (Kind::Kafka, reason, Event::OffsetsRefused),
            OffsetsSent::Fenced(reason) => (Kind::Fenced, reason, Event::Fenced),
        };
        self.checkpoint_failed(kind, reason);
        Ok(event)
    }

    fn commit_transaction(&mut self, limit: Duration) -> Result<Event> {
        let (kind, reason, event) = match self.writer.commit(limit) {
            CommitOutcome::Clean => return Ok(Event::Committed),
            CommitOutcome::Slow => return Ok(Event::CommittedSlow),
            // Nobody knows for sure what a refusal left: what is committed says.
            CommitOutcome::Refused(reason) | CommitOutcome::Unknown(reason) => {
                (Kind::Kafka, reason, Event::CommitUnknown)
            }
            CommitOutcome::Fenced(reason) => (Kind::Fenced, reason, Event::Fenced),
        };
        self.checkpoint_failed(kind, reason);
        Ok(event)
    }

    fn abort(&mut self, limit: Duration) -> Result<()> {
        self.writer.abort(limit);
        Ok(())
    }

    fn reinitialise(&mut self, limit: Duration) -> Result<Event> {
        match self.writer.reinitialise(limit) {
            Ok(()) => Ok(Event::Reinitialised),
            // A run that is to stop leaves now: the next start aborts what is open.
            Err(error) if error.kind == Kind::TimedOut => {
                self.checkpoint_failed(Kind::Kafka, error.to_string());
                Ok(Event::ReinitialiseFailed)
            }
            Err(error) => Err(error),
        }
    }
}

impl Worker {
    pub(in crate::runtime) fn members(&self) -> impl Iterator<Item = (usize, &GroupInput)> {
        self.inputs.iter().enumerate().filter_map(|(index, input)| match input {
            WorkerInput::Kafka(member) => Some((index, &**member)),
            WorkerInput::Files { .. } => None,
        })
    }

    fn readers(&self) -> impl Iterator<Item = (usize, &Reader)> {
        self.members()
            .filter_map(|(input, member)| Some((input, member.reader.as_ref()?)))
    }
}

/// What this user may not do now it may not do later.
fn denied(reason: &str) -> Error {
    Error::new(
        Kind::Kafka,
        "failed to commit positions: Kafka does not allow it",
        reason,
    )
    .hint("grant READ on the group and on its topics, and WRITE on the transactional id, to this user")
}

/// Only the end of the process frees what hangs.
fn hung(reason: &str) -> Error {
    Error::new(
        Kind::Kafka,
        "failed to commit positions: the Kafka client does not answer any more",
        reason,
    )
    .hint("nothing is lost: the next start goes on at the last commit")
}
