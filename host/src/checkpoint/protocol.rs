//! The order of durable steps, as a pure state machine: events in, commands out; no clock, no I/O.
//!
//! **Positions only** (`Mode::Positions`), one machine for each member of a group:
//!
//! 1. stop at a batch boundary (the events below come only there)
//! 2. drain: every output staged so far is acknowledged
//! 3. commit the positions of the records processed so far
//!
//! A commit is asked for by the interval, by a partition that is taken away, or by the end of the run. An interval's
//! commit is answered later and nobody waits for it; the commit of a revocation or of the end is waited for, with a
//! limit, by who carries it out. A failed commit changes nothing: the next one supersedes it.
//!
//! **With checkpoints** (`Mode::AtLeastOnce`, `Mode::ExactlyOnce`), one machine a worker, over all its groups and
//! tasks. Nothing is processed while a checkpoint is under way:
//!
//! ```text
//!              at least once                exactly once
//!   1  Seal    begin the upload of the bundle
//!   2  Drain   every output is acknowledged
//!   3  AwaitBundle                          durable, length and hash verified
//!   4  CheckMembership                      assignment epochs unchanged, group metadata fresh
//!   5                                       SendOffsets
//!   6  CommitOffsets                        CommitTransaction
//!   7  Apply   the overlays become the local state
//! ```
//!
//! At least once, a checkpoint that fails leaves everything as it is: the next one carries the same changes and more,
//! so nothing is dropped but when a batch was given up half put out, or an output refused. Exactly once, it takes the
//! outputs back: the transaction is aborted, the overlays are dropped, the producer is re-initialised, and the tasks
//! that stay go on from what is committed. One that may have gone through is resolved: re-initialised first, so that
//! Kafka has decided, then the committed pointers say which of the two it was.
//!
//! Invariants, held by the tests below and by `protocol_tests` over every sequence of events (of eight for positions,
//! of any length with checkpoints):
//!
//! - P1: nothing is committed unless everything was drained since the last record was processed.
//! - P2: no commit begins over a task that was lost since the checkpoint began, or that another assignment owns.
//! - P3: a run that left or halted does nothing any more.
//! - P4: no offsets are sent and none committed before the checkpoint's bundle is durable.
//! - P5: exactly once, after anything but a clean commit nothing is processed before the producer was re-initialised.
//! - P6: exactly once, after an unknown outcome nothing is processed before it was resolved, or everything was read
//!   again from what is committed.
//! - P7: overlays are applied only if the commit is known to have gone through.
//! - P8: when overlays were dropped, nothing is processed before the positions went back to what is committed.
//! - P9: a revocation is answered by one `Release`, and not while a transaction is open; or the run ends.
//! - P10: at most `tolerable_failures` checkpoints fail one after the other; the next failure halts. Outputs that are
//!   not acknowledged in time are no failure: a cluster that is away ends no run.

use super::command::{Command, Halt};
use super::event::Event;

/// How far the commits of a worker go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    /// No checkpoints: only positions are committed.
    Positions,
    /// Bundles and positions; outputs may repeat after a failure.
    AtLeastOnce,
    /// Bundles, positions and outputs in one transaction.
    ExactlyOnce,
}

/// Where a checkpoint stands: which answer it waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Phase {
    Processing,
    /// Positions only.
    DrainingFor(Why),
    Draining,
    AwaitingBundle,
    Checking,
    SendingOffsets,
    Committing,
    Applying,
    Reinitialising(Then),
    Resolving,
    Rewinding,
    Left,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Why {
    Interval,
    Revocation,
    End,
}

/// What follows a new producer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Then {
    /// The commit was clean but slow.
    GoOn,
    Rewind,
    Resolve,
}

/// The state machine of one member, or with checkpoints of one worker.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Protocol {
    mode: Mode,
    tolerable_failures: u32,
    phase: Phase,
    /// A commit was begun and not answered: another one waits for the next interval, so that at most one is under way.
    unanswered: bool,
    /// With checkpoints: a revocation waits for its answer.
    is_revoking: bool,
    /// With checkpoints: this checkpoint is the last.
    is_ending: bool,
    /// Something was lost since the checkpoint began: it must not commit.
    has_lost: bool,
    /// Offsets or commit were slow: a retry of theirs may be under way.
    is_slow: bool,
    /// Checkpoints that failed one after the other.
    failures: u32,
}

impl Default for Protocol {
    fn default() -> Self {
        Self::new(Mode::Positions, 0)
    }
}

impl Protocol {
    /// A machine that halts when more than `tolerable_failures` checkpoints fail one after the other; positions only,
    /// it never does.
    pub fn new(mode: Mode, tolerable_failures: u32) -> Self {
        Self {
            mode,
            tolerable_failures,
            phase: Phase::Processing,
            unanswered: false,
            is_revoking: false,
            is_ending: false,
            has_lost: false,
            is_slow: false,
            failures: 0,
        }
    }

    /// Whether records may be processed now.
    pub fn is_processing(&self) -> bool {
        self.phase == Phase::Processing
    }

    /// Whether the answer to a command is waited for.
    pub fn is_waiting(&self) -> bool {
        !matches!(self.phase, Phase::Processing | Phase::Left)
    }

    /// What to do about `event`. One that means nothing to the checkpoint as it is asks for nothing.
    pub fn on(&mut self, event: Event) -> &'static [Command] {
        if self.phase == Phase::Left {
            &[]
        } else if self.mode == Mode::Positions {
            self.on_with_positions(event)
        } else {
            self.on_with_checkpoints(event)
        }
    }

    fn on_with_positions(&mut self, event: Event) -> &'static [Command] {
        use Command::*;
        use Phase::*;
        match (self.phase, event) {
            (_, Event::Answered) => {
                self.unanswered = false;
                &[]
            }
            (_, Event::Lost) => &[Forget],
            (_, Event::Stopping) => self.drain(Why::End),
            (DrainingFor(Why::End), Event::Revoking) => &[],
            (_, Event::Revoking) => self.drain(Why::Revocation),
            (Processing, Event::Due) if !self.unanswered => self.drain(Why::Interval),
            (DrainingFor(why), Event::Drained) => self.settle_positions(why, true),
            (DrainingFor(why), Event::DrainTimedOut) => self.settle_positions(why, false),
            _ => &[],
        }
    }

    fn drain(&mut self, why: Why) -> &'static [Command] {
        self.wait(Phase::DrainingFor(why), &[Command::Drain])
    }

    fn settle_positions(&mut self, why: Why, drained: bool) -> &'static [Command] {
        use Command::*;
        self.phase = if why == Why::End {
            Phase::Left
        } else {
            Phase::Processing
        };
        match (why, drained) {
            (Why::Interval, true) => {
                self.unanswered = true;
                &[Commit, Process]
            }
            (Why::Interval, false) => &[Process],
            (Why::Revocation, true) => &[CommitAndRelease, Process],
            (Why::Revocation, false) => &[Release, Process],
            (Why::End, true) => &[CommitAndLeave],
            (Why::End, false) => &[Leave],
        }
    }

    fn on_with_checkpoints(&mut self, event: Event) -> &'static [Command] {
        match event {
            Event::Due => self.begin(),
            Event::Revoking => self.revoke(),
            Event::Stopping => self.stop(),
            Event::Lost => self.lose(),
            Event::Fenced => self.halt(Halt::Fenced),
            Event::Foreign => self.halt(Halt::Foreign),
            Event::Expired => self.expire(),
            answer => self.go_on(answer),
        }
    }

    /// Begins a checkpoint; one that is under way will do.
    fn begin(&mut self) -> &'static [Command] {
        if self.phase != Phase::Processing {
            return &[];
        }
        self.wait(Phase::Draining, &[Command::Seal, Command::Drain])
    }

    /// A checkpoint under way carries what was read of the revoked partitions; if everything was dropped already, they
    /// can go at once.
    fn revoke(&mut self) -> &'static [Command] {
        if self.phase == Phase::Rewinding {
            return &[Command::Release];
        }
        self.is_revoking = true;
        self.begin()
    }

    fn stop(&mut self) -> &'static [Command] {
        self.is_ending = true;
        self.begin()
    }

    /// Exactly once, the outputs of the lost tasks are in the transaction: it goes as a whole. A commit that began
    /// already is valid, or the group refuses it.
    fn lose(&mut self) -> &'static [Command] {
        use Command::*;
        match (self.mode, self.phase) {
            (Mode::ExactlyOnce, Phase::Processing) => self.wait(
                Phase::Reinitialising(Then::Rewind),
                &[Forget, Abort, DropOverlays, Reinitialise],
            ),
            (_, Phase::Processing) => &[Forget],
            _ => {
                self.has_lost = true;
                &[Forget]
            }
        }
    }

    /// What was done is to be done again: what was sealed over it is worth nothing.
    fn expire(&mut self) -> &'static [Command] {
        use Phase::*;
        match self.phase {
            Processing | Draining | AwaitingBundle | Checking | SendingOffsets => self.start_over(),
            Committing => self.go_on(Event::CommitUnknown),
            _ => &[],
        }
    }

    /// The answer to the command that the checkpoint waits for.
    fn go_on(&mut self, answer: Event) -> &'static [Command] {
        use Event::*;
        match (self.phase, answer) {
            (Phase::Draining, NothingNew) => self.finish(),
            // A broker that is away is no failure of the checkpoint: what was not acknowledged is done again.
            (Phase::Draining, DrainTimedOut) => self.give_up(),
            (Phase::AwaitingBundle, StoreFailed) => self.fail(Self::give_up),
            (Phase::Checking | Phase::SendingOffsets, Stale) => self.give_up(),
            (Phase::SendingOffsets, OffsetsRefused) => self.fail(Self::give_up),
            (Phase::Draining, Drained)
            | (Phase::AwaitingBundle, Stored)
            | (Phase::Checking, Current)
            | (Phase::SendingOffsets, OffsetsSent | OffsetsSlow)
                if self.has_lost =>
            {
                self.give_up()
            }
            (Phase::Draining, Drained) => self.wait(Phase::AwaitingBundle, &[Command::AwaitBundle]),
            (Phase::AwaitingBundle, Stored) => self.wait(Phase::Checking, &[Command::CheckMembership]),
            (Phase::Checking, Current) => self.commit(),
            (Phase::SendingOffsets, OffsetsSent | OffsetsSlow) => {
                self.is_slow |= answer == OffsetsSlow;
                self.wait(Phase::Committing, &[Command::CommitTransaction])
            }
            (Phase::Committing, Committed | CommittedSlow) => {
                self.is_slow |= answer == CommittedSlow;
                self.wait(Phase::Applying, &[Command::Apply])
            }
            (Phase::Committing, CommitRefused) => self.refuse(),
            (Phase::Committing, OffsetsRefused) if self.mode == Mode::AtLeastOnce => self.fail(Self::give_up),
            (Phase::Committing, CommitUnknown) => self.doubt(),
            (Phase::Applying, Applied) => self.applied(),
            _ => self.recover(answer),
        }
    }

    /// The answer to a command on the way back from a checkpoint that failed.
    fn recover(&mut self, answer: Event) -> &'static [Command] {
        use Event::*;
        match (self.phase, answer) {
            (Phase::Reinitialising(_), Reinitialised | ReinitialiseFailed) if self.is_ending => self.leave(),
            (Phase::Reinitialising(then), Reinitialised) => self.reinitialised(then),
            (Phase::Reinitialising(_), ReinitialiseFailed) => &[Command::Reinitialise],
            (Phase::Resolving, ResolvedNew) => self.wait(Phase::Applying, &[Command::Apply]),
            (Phase::Resolving, ResolvedOld | ResolvedOther | Unresolved) => self.drop_and_rewind(),
            (Phase::Rewinding, Rewound | RewindFailed) if self.is_ending => self.leave(),
            (Phase::Rewinding, Rewound) => self.wait(Phase::Processing, &[Command::Process]),
            (Phase::Rewinding, RewindFailed) => &[Command::Rewind],
            _ => &[],
        }
    }

    fn commit(&mut self) -> &'static [Command] {
        if self.mode == Mode::ExactlyOnce {
            self.wait(Phase::SendingOffsets, &[Command::SendOffsets])
        } else {
            self.wait(Phase::Committing, &[Command::CommitOffsets])
        }
    }

    /// At least once, a rebalance refuses a commit: ordinary. Exactly once, it was refused before; this is something
    /// else.
    fn refuse(&mut self) -> &'static [Command] {
        use Command::*;
        if self.mode == Mode::ExactlyOnce && !self.is_ending {
            self.fail(|protocol| protocol.wait(Phase::Reinitialising(Then::Resolve), &[Abort, Reinitialise]))
        } else {
            self.give_up()
        }
    }

    /// At least once, it does not matter which it was: the next commit carries these changes and more, whatever the
    /// pointer.
    fn doubt(&mut self) -> &'static [Command] {
        if self.mode == Mode::ExactlyOnce && !self.is_ending {
            self.wait(Phase::Reinitialising(Then::Resolve), &[Command::Reinitialise])
        } else if self.mode == Mode::ExactlyOnce {
            self.leave()
        } else {
            self.give_up()
        }
    }

    fn applied(&mut self) -> &'static [Command] {
        self.failures = 0;
        let is_slow = std::mem::take(&mut self.is_slow);
        if is_slow && self.mode == Mode::ExactlyOnce && !self.is_ending {
            self.wait(Phase::Reinitialising(Then::GoOn), &[Command::Reinitialise])
        } else {
            self.finish()
        }
    }

    fn reinitialised(&mut self, then: Then) -> &'static [Command] {
        use Command::*;
        self.is_slow = false;
        match then {
            Then::GoOn => self.finish(),
            Then::Resolve => self.wait(Phase::Resolving, &[Resolve]),
            Then::Rewind if std::mem::take(&mut self.is_revoking) => self.wait(Phase::Rewinding, &[Release, Rewind]),
            Then::Rewind => self.wait(Phase::Rewinding, &[Rewind]),
        }
    }

    fn drop_and_rewind(&mut self) -> &'static [Command] {
        use Command::*;
        if self.is_ending {
            self.wait(Phase::Left, &[DropOverlays, Leave])
        } else if std::mem::take(&mut self.is_revoking) {
            self.wait(Phase::Rewinding, &[DropOverlays, Release, Rewind])
        } else {
            self.wait(Phase::Rewinding, &[DropOverlays, Rewind])
        }
    }

    /// The checkpoint ended, and what it did stands.
    fn finish(&mut self) -> &'static [Command] {
        use Command::*;
        if self.is_ending {
            self.leave()
        } else if std::mem::take(&mut self.is_revoking) {
            self.wait(Phase::Processing, &[Release, Process])
        } else {
            self.wait(Phase::Processing, &[Process])
        }
    }

    /// The checkpoint did not commit. At least once, the next one will; exactly once, everything since the last commit
    /// is taken back.
    fn give_up(&mut self) -> &'static [Command] {
        if self.mode == Mode::ExactlyOnce {
            self.start_over()
        } else {
            self.finish()
        }
    }

    /// What was done since the last commit is taken back.
    fn start_over(&mut self) -> &'static [Command] {
        use Command::*;
        if self.mode != Mode::ExactlyOnce {
            self.drop_and_rewind()
        } else if self.is_ending {
            self.wait(Phase::Left, &[Abort, DropOverlays, Leave])
        } else {
            self.wait(
                Phase::Reinitialising(Then::Rewind),
                &[Abort, DropOverlays, Reinitialise],
            )
        }
    }

    /// Counts a failure that is not ordinary; the run ends if it is one too many, else `then`. A checkpoint that ends
    /// the run, or could not have committed any more, is not counted.
    fn fail(&mut self, then: impl FnOnce(&mut Self) -> &'static [Command]) -> &'static [Command] {
        if self.has_lost {
            return then(self);
        }
        self.failures += 1;
        if self.is_ending || self.failures <= self.tolerable_failures {
            then(self)
        } else {
            self.halt(Halt::TooManyFailures)
        }
    }

    fn leave(&mut self) -> &'static [Command] {
        self.wait(Phase::Left, &[Command::Leave])
    }

    fn halt(&mut self, why: Halt) -> &'static [Command] {
        let commands: &[Command] = match why {
            Halt::Fenced => &[Command::DropOverlays, Command::Halt(Halt::Fenced)],
            Halt::Foreign => &[Command::DropOverlays, Command::Halt(Halt::Foreign)],
            Halt::TooManyFailures => &[
                Command::Abort,
                Command::DropOverlays,
                Command::Halt(Halt::TooManyFailures),
            ],
        };
        self.wait(Phase::Left, commands)
    }

    fn wait(&mut self, phase: Phase, commands: &'static [Command]) -> &'static [Command] {
        self.has_lost &= phase != Phase::Processing;
        self.phase = phase;
        commands
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENTS: [Event; 7] = [
        Event::Due,
        Event::Revoking,
        Event::Lost,
        Event::Stopping,
        Event::Drained,
        Event::DrainTimedOut,
        Event::Answered,
    ];

    /// Calls `check` with every sequence of eight events and the commands that each of them brought.
    fn every_run(mut check: impl FnMut(&[(Event, &'static [Command])])) {
        fn go(
            protocol: &Protocol,
            run: &mut Vec<(Event, &'static [Command])>,
            check: &mut impl FnMut(&[(Event, &'static [Command])]),
        ) {
            if run.len() == 8 {
                return check(run);
            }
            for event in EVENTS {
                let mut next = protocol.clone();
                let commands = next.on(event);
                run.push((event, commands));
                go(&next, run, check);
                run.pop();
            }
        }
        go(&Protocol::default(), &mut Vec::new(), &mut check);
    }

    fn commits(command: &Command) -> bool {
        matches!(
            command,
            Command::Commit | Command::CommitAndRelease | Command::CommitAndLeave
        )
    }

    #[test]
    fn positions_are_committed_only_when_everything_was_drained_since_the_last_record() {
        every_run(|run| {
            // Records may be processed at the start and after each `Process`.
            let mut drained = false;
            for (event, commands) in run {
                drained |= *event == Event::Drained;
                for command in *commands {
                    assert!(!commits(command) || drained, "{run:?}");
                    drained &= *command != Command::Process;
                }
            }
        });
    }

    #[test]
    fn every_revocation_is_answered_once_unless_the_run_ends() {
        every_run(|run| {
            let mut asked = false;
            for (event, commands) in run {
                asked |= *event == Event::Revoking && !commands.is_empty();
                for command in *commands {
                    if matches!(command, Command::CommitAndRelease | Command::Release) {
                        assert!(asked, "{run:?}");
                        asked = false;
                    }
                }
            }
        });
    }

    #[test]
    fn a_run_that_left_does_nothing_any_more() {
        every_run(|run| {
            let left = run.iter().position(|(_, commands)| {
                commands
                    .iter()
                    .any(|c| matches!(c, Command::Leave | Command::CommitAndLeave))
            });
            if let Some(left) = left {
                assert!(
                    run[left + 1..].iter().all(|(_, commands)| commands.is_empty()),
                    "{run:?}"
                );
            }
        });
    }

    #[test]
    fn at_most_one_commit_is_unanswered() {
        every_run(|run| {
            let mut unanswered = 0;
            for (event, commands) in run {
                if *event == Event::Answered {
                    unanswered = 0;
                }
                unanswered += commands.iter().filter(|command| **command == Command::Commit).count();
                assert!(unanswered <= 1, "{run:?}");
            }
        });
    }

    #[test]
    fn a_failed_drain_of_the_interval_goes_on_without_a_commit() {
        let mut protocol = Protocol::default();
        assert_eq!(protocol.on(Event::Due), [Command::Drain]);
        assert_eq!(protocol.on(Event::DrainTimedOut), [Command::Process]);
        assert_eq!(protocol.on(Event::Due), [Command::Drain]);
        assert_eq!(protocol.on(Event::Drained), [Command::Commit, Command::Process]);
    }
}
