//! The order of durable steps, as a pure state machine: events in, commands out; no clock, no I/O.
//!
//! One round, for one member of a group:
//!
//! 1. stop at a batch boundary (the events below come only there)
//! 2. drain: every output staged so far is acknowledged
//! 3. commit the positions of the records processed so far
//!
//! A round is asked for by the interval, by a partition that is taken away, or by the end of the run. An interval's commit is answered
//! later and nobody waits for it; the commit of a revocation or of the end is waited for, with a limit, by who carries it out.
//! A failed commit changes nothing: the next one supersedes it.
//!
//! Invariants, held by the tests below over every sequence of eight events:
//!
//! - P1: no positions are committed unless everything was drained since the last record was processed.
//! - P2: partitions that were lost are never committed.
//! - P3: a run that left does nothing any more.

/// What happened, at a batch boundary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Event {
    /// The interval came round.
    Due,
    /// The group takes partitions away and waits for the answer.
    Revoking,
    /// The group gave partitions to somebody else already.
    Lost,
    /// The run is to end: a signal, or every partition reached its stop.
    Stopping,
    /// Every staged output is acknowledged.
    Drained,
    /// The outputs were not all acknowledged within the limit.
    DrainTimedOut,
    /// The group answered an interval's commit, well or badly.
    Answered,
}

/// What is to be done, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Command {
    /// Wait until every staged output is acknowledged; answer with `Drained` or `DrainTimedOut`.
    Drain,
    /// Begin to commit the positions of what was processed; the answer comes as `Answered`.
    Commit,
    /// Commit the revoked partitions, wait for it, and give them up.
    CommitAndRelease,
    /// Give the revoked partitions up; their next owner starts at the commit before.
    Release,
    /// Forget the lost partitions: nothing of them may be committed.
    Forget,
    /// Commit, wait for it, and leave the group.
    CommitAndLeave,
    /// Leave the group; the next start begins at the commit before.
    Leave,
    /// Process records.
    Process,
}

/// Where a round stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Phase {
    Processing,
    Draining(Why),
    Left,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Why {
    Interval,
    Revocation,
    End,
}

/// The state machine of one member.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Protocol {
    phase: Phase,
    /// A commit was begun and not answered: another one waits for the next interval, so that at most one is under way.
    unanswered: bool,
}

impl Default for Protocol {
    fn default() -> Self {
        Self {
            phase: Phase::Processing,
            unanswered: false,
        }
    }
}

impl Protocol {
    /// What to do about `event`. An event that means nothing where the round stands asks for nothing.
    pub fn on(&mut self, event: Event) -> &'static [Command] {
        use Command::*;
        use Phase::*;
        match (self.phase, event) {
            (Left, _) => &[],
            (_, Event::Answered) => {
                self.unanswered = false;
                &[]
            }
            (_, Event::Lost) => &[Forget],
            (_, Event::Stopping) => self.drain(Why::End),
            (Draining(Why::End), Event::Revoking) => &[],
            (_, Event::Revoking) => self.drain(Why::Revocation),
            (Processing, Event::Due) if !self.unanswered => self.drain(Why::Interval),
            (Draining(why), Event::Drained) => self.settle(why, true),
            (Draining(why), Event::DrainTimedOut) => self.settle(why, false),
            (Draining(_), Event::Due) | (Processing, Event::Due | Event::Drained | Event::DrainTimedOut) => &[],
        }
    }

    fn drain(&mut self, why: Why) -> &'static [Command] {
        self.phase = Phase::Draining(why);
        &[Command::Drain]
    }

    fn settle(&mut self, why: Why, drained: bool) -> &'static [Command] {
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
