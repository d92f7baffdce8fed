//! The protocol's invariants, over every sequence of events of any length: each state that it can be in is visited
//! together with what an observer knows of the world, and each event is tried there, those that nobody asked for too.

use super::{Command, Event, Halt, Mode, Protocol};
use std::collections::HashSet;

const EVENTS: [Event; 31] = [
    Event::Due,
    Event::Revoking,
    Event::Lost,
    Event::Stopping,
    Event::Drained,
    Event::DrainTimedOut,
    Event::NothingNew,
    Event::Answered,
    Event::Stored,
    Event::StoreFailed,
    Event::Current,
    Event::Stale,
    Event::OffsetsSent,
    Event::OffsetsSlow,
    Event::OffsetsRefused,
    Event::Expired,
    Event::Fenced,
    Event::Committed,
    Event::CommittedSlow,
    Event::CommitRefused,
    Event::CommitUnknown,
    Event::Applied,
    Event::Reinitialised,
    Event::ReinitialiseFailed,
    Event::ResolvedNew,
    Event::ResolvedOld,
    Event::ResolvedOther,
    Event::Unresolved,
    Event::Foreign,
    Event::Rewound,
    Event::RewindFailed,
];
const TOLERABLE: u32 = 2;

/// What may answer `command`; empty if nothing does.
fn answers(command: Command) -> &'static [Event] {
    use Event::*;
    match command {
        Command::Drain => &[Drained, DrainTimedOut, NothingNew, Expired],
        Command::AwaitBundle => &[Stored, StoreFailed, Expired],
        Command::CheckMembership => &[Current, Stale, Expired],
        Command::SendOffsets => &[OffsetsSent, OffsetsSlow, Stale, OffsetsRefused, Expired],
        Command::CommitTransaction => &[Committed, CommittedSlow, CommitRefused, CommitUnknown, Expired],
        Command::CommitOffsets => &[
            Committed,
            CommittedSlow,
            CommitRefused,
            OffsetsRefused,
            CommitUnknown,
            Expired,
        ],
        Command::Apply => &[Applied],
        Command::Reinitialise => &[Reinitialised, ReinitialiseFailed],
        Command::Resolve => &[ResolvedNew, ResolvedOld, ResolvedOther, Unresolved, Foreign],
        Command::Rewind => &[Rewound, RewindFailed, Foreign],
        _ => &[],
    }
}

fn comes_by_itself(event: Event) -> bool {
    use Event::*;
    matches!(event, Due | Revoking | Lost | Stopping | Expired | Fenced | Foreign)
}

/// What somebody knows who sees every event and every command, and holds them against the invariants.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Observer {
    mode: Mode,
    /// The command that waits for its answer.
    asked: Option<Command>,
    may_process: bool,
    is_drained: bool,
    is_durable: bool,
    is_current: bool,
    has_lost: bool,
    has_sent: bool,
    is_known_through: bool,
    is_in_doubt: bool,
    must_recycle: bool,
    must_rewind: bool,
    /// The transaction may be open: from `Process` to a commit or an abort.
    is_open: bool,
    is_revoking: bool,
    is_ending: bool,
    failures: u32,
    is_over: bool,
}

impl Observer {
    fn new(mode: Mode) -> Self {
        Self {
            mode,
            asked: None,
            may_process: true,
            is_drained: false,
            is_durable: false,
            is_current: false,
            has_lost: false,
            has_sent: false,
            is_known_through: false,
            is_in_doubt: false,
            must_recycle: false,
            must_rewind: false,
            is_open: true,
            is_revoking: false,
            is_ending: false,
            failures: 0,
            is_over: false,
        }
    }

    fn is_exact(&self) -> bool {
        self.mode == Mode::ExactlyOnce
    }

    fn see(&mut self, event: Event, commands: &[Command]) {
        let is_answer = self.asked.is_some_and(|asked| answers(asked).contains(&event));
        if self.is_over {
            assert!(commands.is_empty(), "P3: {event:?} after the end asks for {commands:?}");
            return;
        }
        if !is_answer && !comes_by_itself(event) {
            assert!(
                commands.is_empty(),
                "{event:?}, that nobody asked for, asks for {commands:?}"
            );
            return;
        }
        self.hear(event, is_answer);
        if is_answer {
            self.learn(event);
        }
        for command in commands {
            assert!(!self.is_over, "{command:?} after the end");
            self.check(*command);
        }
        let waits = self.asked.is_some();
        assert!(
            self.is_over || waits != self.may_process,
            "it stands still, or processes in a checkpoint"
        );
    }

    /// An answer says what became of the command.
    fn learn(&mut self, event: Event) {
        use Event::*;
        let asked = self.asked;
        match event {
            Drained => self.is_drained = true,
            Stored => self.is_durable = true,
            Current => self.is_current = true,
            OffsetsSent | OffsetsSlow => self.has_sent = true,
            Committed | CommittedSlow | ResolvedNew => {
                (self.is_known_through, self.is_in_doubt, self.is_open) = (true, false, false);
            }
            ResolvedOld | ResolvedOther => self.is_in_doubt = false,
            CommitUnknown => (self.is_in_doubt, self.is_open) = (true, false),
            Expired if asked == Some(Command::CommitTransaction) => (self.is_in_doubt, self.is_open) = (true, false),
            Reinitialised => (self.must_recycle, self.is_open) = (false, false),
            Rewound => (self.must_rewind, self.is_in_doubt) = (false, false),
            Applied => self.failures = 0,
            _ => {}
        }
        let is_clean = matches!(
            event,
            NothingNew
                | Drained
                | Stored
                | Current
                | OffsetsSent
                | Committed
                | Applied
                | Reinitialised
                | ReinitialiseFailed
                | ResolvedNew
                | ResolvedOld
                | ResolvedOther
                | Unresolved
                | Rewound
                | RewindFailed
        );
        self.must_recycle |= self.is_exact() && !is_clean;
        self.asked = None;
    }

    /// What comes by itself, and what counts as a failure.
    fn hear(&mut self, event: Event, is_answer: bool) {
        use Event::*;
        match event {
            Revoking => self.is_revoking = true,
            Stopping => self.is_ending = true,
            Lost => self.has_lost |= !self.may_process,
            _ => {}
        }
        let is_failure = match event {
            StoreFailed | OffsetsRefused => is_answer,
            CommitRefused => is_answer && self.is_exact(),
            _ => false,
        };
        self.failures += u32::from(is_failure && !self.has_lost && !self.is_ending);
    }

    fn check(&mut self, command: Command) {
        if !answers(command).is_empty() {
            assert!(
                self.asked.is_none(),
                "{command:?} while {:?} is not answered",
                self.asked
            );
            (self.asked, self.may_process) = (Some(command), false);
        }
        match command {
            Command::SendOffsets | Command::CommitOffsets => {
                assert_eq!(self.is_exact(), command == Command::SendOffsets);
                assert!(self.is_drained, "P1");
                assert!(self.is_current && !self.has_lost, "P2");
                assert!(self.is_durable, "P4");
            }
            Command::CommitTransaction => assert!(self.is_exact() && self.has_sent && !self.has_lost, "P2"),
            Command::Apply => {
                assert!(self.is_known_through, "P7");
                self.is_known_through = false;
            }
            Command::DropOverlays => {
                assert!(!self.is_known_through, "P7: what went through is dropped");
                self.must_rewind = true;
            }
            Command::Abort => {
                assert!(!self.is_in_doubt, "what may have gone through cannot be aborted");
                (self.is_open, self.must_recycle) = (false, self.is_exact());
            }
            Command::Reinitialise => assert!(self.is_exact()),
            Command::Resolve => assert!(self.is_in_doubt || !self.is_open, "P6: nothing is in doubt"),
            Command::Rewind => assert!(self.must_rewind && !self.must_recycle),
            Command::Release => {
                assert!(self.is_revoking, "P9: nothing was revoked");
                assert!(
                    !self.is_exact() || !self.must_recycle,
                    "P9: a transaction may be open still"
                );
                self.is_revoking = false;
            }
            Command::Process => self.check_process(),
            Command::Leave => self.is_over = true,
            Command::Halt(why) => {
                assert_eq!(why == Halt::TooManyFailures, self.failures > TOLERABLE, "P10");
                self.is_over = true;
            }
            _ => {}
        }
    }

    fn check_process(&mut self) {
        assert!(!self.must_recycle, "P5");
        assert!(!self.is_in_doubt || !self.is_exact(), "P6");
        assert!(!self.is_known_through, "P7: committed and not applied");
        assert!(!self.must_rewind, "P8");
        assert!(!self.is_revoking, "P9: the group waits");
        assert!(!self.is_ending, "the run was to end");
        assert!(self.failures <= TOLERABLE, "P10");
        let (failures, mode) = (self.failures, self.mode);
        *self = Self {
            failures,
            ..Self::new(mode)
        };
    }
}

/// How many states there are.
fn visit_every_state(mode: Mode) -> usize {
    let mut seen = HashSet::new();
    let mut open = vec![(Protocol::new(mode, TOLERABLE), Observer::new(mode), Vec::new())];
    while let Some((protocol, observer, path)) = open.pop() {
        for event in EVENTS {
            let (mut protocol, mut observer, mut path) = (protocol.clone(), observer.clone(), path.clone());
            let commands = protocol.on(event);
            path.push((event, commands));
            let held = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| observer.see(event, commands)));
            assert!(held.is_ok(), "{mode:?}: {path:?}");
            if seen.insert((protocol.clone(), observer.clone())) {
                open.push((protocol, observer, path));
            }
        }
    }
    seen.len()
}

#[test]
fn every_invariant_holds_after_every_sequence_of_events_exactly_once() {
    let states = visit_every_state(Mode::ExactlyOnce);
    assert!(states > 1000, "{states} states");
}

#[test]
fn every_invariant_holds_after_every_sequence_of_events_at_least_once() {
    let states = visit_every_state(Mode::AtLeastOnce);
    assert!(states > 450, "{states} states");
}
