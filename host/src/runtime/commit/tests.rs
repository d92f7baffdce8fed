//! The coordinator does what the protocol asks for, in that order and nothing else, whatever the ports answer and
//! whenever the groups say something.

use super::ports::{Clock, Groups, Memberships, Observer, Outputs, Partition, TaskPartition, TaskStates};
use super::{CommitLimits, Coordinator, InFlight};
use crate::checkpoint::{Command, Event, Halt, Mode};
use crate::error::{Error, Kind, Result};
use crate::offset_metadata::Pointer;
use crate::record::{Committable, TopicPartition};
use crate::source::GroupOffset;
use std::collections::VecDeque;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
/// A second for each step.
pub(super) const LIMITS: CommitLimits = CommitLimits {
    checkpoint: SECOND,
    revocation: SECOND,
    membership: SECOND,
    commit: SECOND,
    abort: SECOND,
    reinitialise: SECOND,
    resolve: SECOND,
    last_drain: SECOND,
    last_commit: SECOND,
    least: Duration::ZERO,
};

/// Ports that answer by chance, and hold every call against what the protocol asked for last.
struct Chance {
    dice: u64,
    now: Duration,
    stopped: Option<Duration>,
    /// What is to be called next; of the commands that are answered the last.
    due: VecDeque<Command>,
    heard: VecDeque<Event>,
    assignment_epoch: u64,
    calls: usize,
}

fn at() -> TopicPartition {
    TopicPartition::new("views", 0)
}

impl Chance {
    fn roll(&mut self, sides: u64) -> u64 {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        self.dice % sides
    }

    fn one_of(&mut self, events: &[Event]) -> Event {
        events[self.roll(events.len() as u64) as usize]
    }

    /// A port is called for `command`.
    fn called(&mut self, command: Command) {
        self.calls += 1;
        assert_eq!(self.due.front(), Some(&command), "{:?} is due", self.due);
        if !command.is_answered() {
            self.due.pop_front();
        }
    }

    fn pointer() -> Pointer {
        Pointer {
            bundle: Some("bundle".into()),
            task: "views/0".into(),
            seq: 1,
            hash: Some("0123456789abcdef".into()),
        }
    }
}

impl Clock for Chance {
    fn now(&self) -> Duration {
        self.now
    }

    fn stopping(&self) -> Option<Duration> {
        self.stopped.map(|at| self.now - at)
    }
}

impl Groups for Chance {
    fn poll_groups(&mut self) -> Result<()> {
        self.now += SECOND / 10;
        if self.roll(300) == 0 {
            return Err(Error::new(Kind::Kafka, "away", "the group refuses this member"));
        }
        let event = match self.roll(12) {
            0 => Event::Due,
            1 => Event::Revoking,
            2 => {
                self.assignment_epoch += 1;
                Event::Lost
            }
            3 if self.roll(8) == 0 => {
                self.stopped.get_or_insert(self.now);
                Event::Stopping
            }
            4 => Event::Expired,
            _ => return Ok(()),
        };
        self.heard.push_back(event);
        Ok(())
    }

    fn next_event(&mut self) -> Option<Event> {
        self.heard.pop_front()
    }

    fn is_revoking(&self) -> bool {
        false
    }

    fn partitions(&self) -> Vec<Partition> {
        vec![Partition {
            input: 0,
            at: at(),
            task: "views/0".into(),
            has_state: true,
            next: 7,
            leader_epoch: None,
            start: 0,
            committed: Some(3),
            stop: None,
            assignment_epoch: self.assignment_epoch,
        }]
    }

    fn memberships(&mut self) -> Result<Option<Memberships>> {
        self.called(Command::CheckMembership);
        Ok((self.roll(3) > 0).then(|| vec![(0, b"member".to_vec())]))
    }

    fn has_loss(&self) -> bool {
        false
    }

    fn committed(&mut self, _limit: Duration) -> Result<Option<Vec<GroupOffset>>> {
        let of = *self.due.front().unwrap();
        assert!(matches!(of, Command::Resolve | Command::Rewind), "{of:?} is due");
        self.called(of);
        let held = match self.roll(4) {
            0 => return Ok(None),
            1 => (3, Pointer::first("views/0").to_string()),
            _ => (7, Self::pointer().to_string()),
        };
        Ok(Some(vec![(at(), Some(held))]))
    }

    fn metadata(&self, _of: &Partition, pointer: &Pointer) -> String {
        pointer.to_string()
    }

    fn begin_commit(&mut self, positions: Vec<(usize, Vec<Committable>)>) {
        self.called(Command::CommitOffsets);
        assert_eq!(positions.len(), 1);
    }

    fn commit_answer(&mut self) -> Option<Event> {
        let answer = self.one_of(&[Event::Committed, Event::CommitRefused, Event::OffsetsRefused]);
        (self.roll(3) > 0).then_some(answer)
    }

    fn committed_by_transaction(&mut self, _of: &InFlight) {}

    fn rewind(&mut self, to: &[(usize, TopicPartition, i64)]) -> Result<()> {
        assert_eq!(to.len(), 1);
        Ok(())
    }

    fn release(&mut self) -> Result<()> {
        // In the middle of a rewind it is asked for beside the command that waits.
        let rewinds = self.due.front() == Some(&Command::Rewind) && self.due.back() == Some(&Command::Release);
        if rewinds {
            self.due.pop_back();
        } else {
            self.called(Command::Release);
        }
        Ok(())
    }

    fn leave(&mut self) -> Result<()> {
        self.called(Command::Leave);
        Ok(())
    }
}

impl Outputs for Chance {
    fn has_transaction(&self) -> bool {
        true
    }

    fn drain(&mut self) -> Result<Option<Event>> {
        self.called(Command::Drain);
        let event = self.one_of(&[Event::Drained, Event::Drained, Event::Drained, Event::Expired]);
        Ok((self.roll(3) > 0).then_some(event))
    }

    fn in_flight(&self) -> usize {
        1
    }

    fn is_disconnected(&self) -> bool {
        false
    }

    fn send_offsets(&mut self, positions: &[Committable], membership: &[u8], _limit: Duration) -> Result<Event> {
        self.called(Command::SendOffsets);
        assert_eq!((positions[0].next, membership), (7, &b"member"[..]));
        let sent = [
            Event::OffsetsSent,
            Event::OffsetsSlow,
            Event::Stale,
            Event::OffsetsRefused,
            Event::Expired,
        ];
        Ok(self.one_of(&sent))
    }

    fn commit_transaction(&mut self, _limit: Duration) -> Result<Event> {
        self.called(Command::CommitTransaction);
        Ok(self.one_of(&[
            Event::Committed,
            Event::CommittedSlow,
            Event::CommitUnknown,
            Event::Expired,
        ]))
    }

    fn abort(&mut self, _limit: Duration) -> Result<()> {
        self.called(Command::Abort);
        Ok(())
    }

    fn reinitialise(&mut self, _limit: Duration) -> Result<Event> {
        self.called(Command::Reinitialise);
        Ok(self.one_of(&[Event::Reinitialised, Event::Reinitialised, Event::ReinitialiseFailed]))
    }
}

impl TaskStates for Chance {
    fn owes_checkpoint(&self) -> bool {
        false
    }

    fn freeze(&mut self, covered: &[Partition]) -> Result<usize> {
        self.called(Command::Seal);
        assert_eq!(covered.len(), 1);
        Ok(10)
    }

    fn begin_upload(&mut self) -> Result<()> {
        Ok(())
    }

    fn upload(&mut self) -> Result<Option<Result<Vec<Pointer>>>> {
        self.called(Command::AwaitBundle);
        Ok(match self.roll(5) {
            0 => None,
            1 => Some(Err(Error::new(Kind::Corrupt, "failed to write", "the disk is full"))),
            _ => Some(Ok(vec![Self::pointer()])),
        })
    }

    fn apply(&mut self, of: &InFlight) -> Result<()> {
        self.called(Command::Apply);
        assert_eq!(of.pointers.len(), of.covered.len(), "what was lost is left out of both");
        Ok(())
    }

    fn drop_overlays(&mut self) -> Result<()> {
        self.called(Command::DropOverlays);
        Ok(())
    }

    fn go_back(&mut self, _task: &str, _partitions: &[TaskPartition]) -> Result<bool> {
        Ok(self.roll(4) > 0)
    }
}

impl Observer for Chance {
    fn decided(&mut self, _event: Event, commands: &[Command]) {
        // What was answered, or has come to nothing, is not due any more.
        let goes_on = commands
            .iter()
            .all(|command| matches!(command, Command::Forget | Command::Release));
        let goes_on = goes_on && self.due.front().copied().is_some_and(Command::is_answered);
        if !commands.is_empty() && !goes_on {
            assert!(
                self.due.iter().all(|command| command.is_answered()),
                "{:?} was not done",
                self.due
            );
            self.due.clear();
        }
        let is_called = |command: &&Command| !matches!(command, Command::Forget | Command::Process);
        self.due.extend(commands.iter().filter(is_called));
    }

    fn failed(&mut self, _error: Error) {}

    fn halt(&mut self, why: Halt) -> Error {
        self.called(Command::Halt(why));
        Error::new(Kind::Failed, "halted", format!("{why:?}"))
    }
}

#[test]
fn ports_are_called_for_what_the_protocol_asks_for_and_in_that_order() {
    let mut calls = 0;
    for seed in 1..=4000_u64 {
        let is_exact = seed % 2 == 0;
        let mode = if is_exact { Mode::ExactlyOnce } else { Mode::AtLeastOnce };
        let mut coordinator = Coordinator::new(mode, 2, LIMITS, false);
        let mut ports = Chance {
            dice: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            now: Duration::ZERO,
            stopped: None,
            due: VecDeque::new(),
            heard: VecDeque::new(),
            assignment_epoch: 0,
            calls: 0,
        };
        // As the simulation steps, and as the product runs.
        let steps = seed % 4 < 2;
        for _ in 0..200 {
            let went = match (steps, ports.poll_groups()) {
                (true, Ok(())) => coordinator.step(&mut ports).map(|_| ()),
                (true, Err(_)) => Ok(()),
                (false, _) => {
                    ports.heard.push_back(Event::Due);
                    coordinator.run(&mut ports)
                }
            };
            if let Err(error) = went {
                assert!(error.kind != Kind::Bug, "seed {seed}: {error}");
                let (before, had) = (ports.calls, ports.heard.len());
                ports.heard.push_back(Event::Stopping);
                coordinator.run(&mut ports).unwrap();
                assert_eq!(ports.calls, before, "nothing is done any more");
                assert_eq!(ports.heard.len(), had + 1);
                break;
            }
        }
        calls += ports.calls;
    }
    assert!(calls > 100_000, "{calls} calls");
}
