//! Carries out a checkpoint: what the protocol decides, step by step.
//!
//! Polling the groups only queues events; [`Coordinator::step`] alone tells the protocol of them, so no command is
//! carried out inside another one. Two commands hear what their own poll brought, a look at the membership and a new
//! producer: there it asks for nothing but to forget.

use super::in_flight::{Assignments, InFlight};
use super::ports::{CommitPorts, Partition};
use crate::checkpoint::{Command, Event, Mode, Protocol};
use crate::error::{Error, Kind, Result};
use crate::record::Committable;
use std::time::Duration;

/// How long the steps of a checkpoint may take.
#[derive(Debug, Clone, Copy)]
pub struct CommitLimits {
    /// The acknowledgements, and the bundle.
    pub checkpoint: Duration,
    /// The acknowledgements, if a group waits for them.
    pub revocation: Duration,
    /// Being a member of its groups again.
    pub membership: Duration,
    /// One request of a commit: a run that is asked to stop meanwhile has ten seconds. What takes longer is resolved by
    /// what is committed.
    pub commit: Duration,
    /// The abort of a transaction: one that is not answered is left to the next producer, which waits for it.
    pub abort: Duration,
    /// A new producer: it waits for, or aborts, what the old one left. The groups are polled between two tries.
    pub reinitialise: Duration,
    /// One question about what is committed.
    pub resolve: Duration,
    /// The acknowledgements and the bundle of the last checkpoint, from when the run was asked to stop.
    pub last_drain: Duration,
    /// Its requests, from then.
    pub last_commit: Duration,
    /// The least time of a step, even if its deadline has passed.
    pub least: Duration,
}

/// A condition that a coordinator does not keep, to see that the simulation finds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BrokenCondition {
    /// Outputs are acknowledged before anything is committed.
    Drain,
    /// What is committed is still this worker's, as far as its groups said.
    Losses,
    /// The same, of losses that the Kafka client knows of and has not told.
    UntoldLosses,
    /// Changes are applied only to tasks that are held under the same assignment still.
    AssignmentEpochsAtApply,
    /// After anything but a clean commit the producer is a new one.
    Reinitialise,
    /// A commit that nobody knows of is resolved.
    Resolve,
    /// Tasks go back to what is committed.
    GoBack,
}

/// The command that waits for its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct AwaitedAnswer {
    command: Command,
    since: Duration,
    is_begun: bool,
}

/// Carries out the checkpoints of one worker, over all its groups and tasks.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub struct Coordinator {
    protocol: Protocol,
    limits: CommitLimits,
    /// The durable bundle is the commit: none may be written whose outputs are not acknowledged.
    offsets_in_checkpoint: bool,
    waiting: Option<AwaitedAnswer>,
    pub(super) in_flight: Option<InFlight>,
    /// A port failed, and the run ends: nothing is done any more.
    has_failed: bool,
    left_out: Option<BrokenCondition>,
}

impl Coordinator {
    /// A coordinator that halts when more than `tolerable_failures` checkpoints fail one after the other.
    pub fn new(mode: Mode, tolerable_failures: u32, limits: CommitLimits, offsets_in_checkpoint: bool) -> Self {
        Self {
            protocol: Protocol::new(mode, tolerable_failures),
            limits,
            offsets_in_checkpoint,
            waiting: None,
            in_flight: None,
            has_failed: false,
            left_out: None,
        }
    }

    /// The same without a condition.
    pub fn without(mut self, condition: Option<BrokenCondition>) -> Self {
        self.left_out = condition;
        self
    }

    /// Whether records may be processed now.
    pub fn is_processing(&self) -> bool {
        self.protocol.is_processing()
    }

    /// Tells the protocol what the groups said and carries out what it decides, until nothing is waited for any more.
    ///
    /// Errors: those of the ports, and a checkpoint that halts the run.
    pub fn run(&mut self, ports: &mut impl CommitPorts) -> Result<()> {
        loop {
            if self.step(ports)? {
                continue;
            }
            if self.waiting.is_none() {
                return Ok(());
            }
            let polled = ports.poll_groups();
            self.ending_if_failed(polled)?;
        }
    }

    /// Tells the protocol what the groups said, and tries once what it waits for. Whether anything came of it.
    ///
    /// Errors: as [`run`](Self::run).
    pub fn step(&mut self, ports: &mut impl CommitPorts) -> Result<bool> {
        if self.has_failed {
            return Ok(false);
        }
        let stepped = self.try_step(ports);
        self.ending_if_failed(stepped)
    }

    fn ending_if_failed<T>(&mut self, result: Result<T>) -> Result<T> {
        if result.is_err() {
            self.has_failed = true;
            self.waiting = None;
        }
        result
    }

    fn try_step(&mut self, ports: &mut impl CommitPorts) -> Result<bool> {
        let has_heard = self.hear(ports)?;
        let Some(waiting) = self.waiting else {
            return Ok(has_heard);
        };
        let answer = self.attempt(ports, waiting)?;
        // What was heard meanwhile may have put an end to it.
        if self.waiting.map(|now| (now.command, now.since)) != Some((waiting.command, waiting.since)) {
            return Ok(true);
        }
        let Some(answer) = answer else { return Ok(has_heard) };
        self.waiting = None;
        self.tell(ports, answer)?;
        Ok(true)
    }

    pub(super) fn hear(&mut self, ports: &mut impl CommitPorts) -> Result<bool> {
        let mut has_heard = false;
        while let Some(event) = ports.next_event() {
            self.tell(ports, event)?;
            has_heard = true;
        }
        Ok(has_heard)
    }

    fn tell(&mut self, ports: &mut impl CommitPorts, event: Event) -> Result<()> {
        // Whoever is asked to stop in the middle of a checkpoint ends with it, whatever becomes of it.
        if ports.stopping().is_some() && !self.protocol.is_processing() {
            self.protocol.on(Event::Stopping);
        }
        let commands = self.protocol.on(event);
        ports.decided(event, commands);
        commands.iter().try_for_each(|command| self.execute(ports, *command))?;
        self.check(event)
    }

    /// A command is awaited if, and only if, the protocol waits for an answer.
    fn check(&self, event: Event) -> Result<()> {
        if self.waiting.is_some() != self.protocol.is_waiting() {
            let why = format!("after {event:?} it waits for {:?}: {:?}", self.waiting, self.protocol);
            return Err(defect(why));
        }
        Ok(())
    }

    fn execute(&mut self, ports: &mut impl CommitPorts, command: Command) -> Result<()> {
        match command {
            Command::Seal => self.freeze(ports)?,
            Command::DropOverlays => {
                self.in_flight = None;
                ports.drop_overlays()?;
            }
            Command::Abort => ports.abort(self.time_left(ports, self.limits.abort))?,
            Command::Release => ports.release()?,
            Command::Leave => {
                self.waiting = None;
                ports.leave()?;
            }
            Command::Halt(why) => return Err(ports.halt(why)),
            Command::Process => self.waiting = None,
            // What was lost was forgotten when it was heard.
            Command::Forget => {}
            command if command.is_answered() => {
                self.waiting = Some(AwaitedAnswer {
                    command,
                    since: ports.now(),
                    is_begun: false,
                });
            }
            command => return Err(defect(format!("{command:?} goes with positions only"))),
        }
        Ok(())
    }

    /// What came of the command; `None`: nothing yet.
    fn attempt(&mut self, ports: &mut impl CommitPorts, waiting: AwaitedAnswer) -> Result<Option<Event>> {
        match waiting.command {
            Command::Drain => self.drain(ports, waiting),
            Command::AwaitBundle => self.await_bundle(ports, waiting),
            Command::CheckMembership => self.check_membership(ports, waiting),
            Command::SendOffsets => self.send_offsets(ports).map(Some),
            Command::CommitTransaction => self.commit_transaction(ports).map(Some),
            Command::CommitOffsets => self.commit_offsets(ports, waiting),
            Command::Apply => self.apply(ports).map(Some),
            Command::Reinitialise => self.reinitialise(ports),
            Command::Resolve => self.resolve_in_doubt(ports).map(Some),
            Command::Rewind => self.rewind(ports).map(Some),
            command => Err(defect(format!("{command:?} is not answered"))),
        }
    }

    /// Freezes what is to be committed, and begins to write it, unless its durable bundle is the commit. Nothing if
    /// nothing was read since the last commit.
    fn freeze(&mut self, ports: &mut impl CommitPorts) -> Result<()> {
        let begun = ports.now();
        self.in_flight = None;
        let covered: Vec<_> = ports.partitions().into_iter().filter(|of| of.has_state).collect();
        let is_new = covered.iter().any(|of| of.committed != Some(of.next));
        if !is_new && !ports.owes_checkpoint() && !ports.has_transaction() {
            return Ok(());
        }
        let bytes = ports.freeze(&covered)?;
        if !self.offsets_in_checkpoint {
            ports.begin_upload()?;
        }
        self.in_flight = Some(InFlight {
            covered,
            pointers: Vec::new(),
            memberships: Vec::new(),
            begun,
            bytes,
        });
        Ok(())
    }

    fn drain(&mut self, ports: &mut impl CommitPorts, waiting: AwaitedAnswer) -> Result<Option<Event>> {
        if self.in_flight.is_none() {
            return Ok(Some(Event::NothingNew));
        }
        let drained = match self.keeps(BrokenCondition::Drain) {
            true => ports.drain()?,
            false => Some(Event::Drained),
        };
        if let Some(event) = drained {
            if event == Event::Drained && self.offsets_in_checkpoint {
                ports.begin_upload()?;
            }
            return Ok(Some(event));
        }
        let is_asked = ports.is_revoking();
        // A cluster that is away is no failure of the checkpoint: the run waits for it, unless somebody waits for the
        // run.
        if ports.is_disconnected() && !is_asked && ports.stopping().is_none() {
            return Ok(None);
        }
        // A group that asks in the middle of it waits for what is left of its limit, and no longer.
        let limit = match is_asked {
            true => self.limits.checkpoint.min(self.limits.revocation),
            false => self.limits.checkpoint,
        };
        if !self.is_late(ports, waiting, limit) {
            return Ok(None);
        }
        let count = ports.in_flight();
        let why = format!("{count} outputs were not acknowledged in time; their records count as unprocessed");
        ports.failed(failure(Kind::Kafka, why));
        Ok(Some(Event::DrainTimedOut))
    }

    fn await_bundle(&mut self, ports: &mut impl CommitPorts, waiting: AwaitedAnswer) -> Result<Option<Event>> {
        let Some(in_flight) = &mut self.in_flight else {
            return Ok(Some(Event::StoreFailed));
        };
        match ports.upload()? {
            Some(Ok(pointers)) => {
                in_flight.pointers = pointers;
                return Ok(Some(Event::Stored));
            }
            Some(Err(error)) => {
                ports.failed(failure(error.kind, format!("{}: {}", error.what, error.why)));
                return Ok(Some(Event::StoreFailed));
            }
            None => {}
        }
        let limit = self.limits.checkpoint;
        if !self.is_late(ports, waiting, limit) {
            return Ok(None);
        }
        let why = format!("the checkpoint store did not take the bundle within {limit:?}");
        ports.failed(failure(Kind::Corrupt, why));
        Ok(Some(Event::StoreFailed))
    }

    /// Membership first, then what the group says: so a partition that was lost before the membership was taken is
    /// known to be.
    fn check_membership(&mut self, ports: &mut impl CommitPorts, waiting: AwaitedAnswer) -> Result<Option<Event>> {
        let Some(memberships) = ports.memberships()? else {
            if ports.now() < self.deadline(ports, waiting, self.limits.membership) {
                return Ok(None);
            }
            tracing::debug!("a rebalance is under way, or first positions are not answered yet");
            return Ok(Some(Event::Stale));
        };
        ports.poll_groups()?;
        self.hear(ports)?;
        let now = Assignments::of(&ports.partitions());
        let compares = self.keeps(BrokenCondition::Losses);
        let sees_loss = ports.has_loss() && compares && self.keeps(BrokenCondition::UntoldLosses);
        let Some(in_flight) = &mut self.in_flight else {
            return Ok(Some(Event::Stale));
        };
        // A membership that is valid again says nothing about what the one before it lost.
        if sees_loss || compares && !in_flight.is_current(&now) {
            return Ok(Some(Event::Stale));
        }
        in_flight.memberships = memberships;
        Ok(Some(Event::Current))
    }

    fn send_offsets(&mut self, ports: &mut impl CommitPorts) -> Result<Event> {
        let memberships = match &mut self.in_flight {
            Some(in_flight) => std::mem::take(&mut in_flight.memberships),
            None => Vec::new(),
        };
        let mut sent = Event::OffsetsSent;
        for (input, membership) in memberships {
            let positions = self.positions(ports, input);
            if positions.is_empty() {
                continue;
            }
            let limit = self.time_left(ports, self.limits.commit);
            match ports.send_offsets(&positions, &membership, limit)? {
                Event::OffsetsSent => {}
                Event::OffsetsSlow => sent = Event::OffsetsSlow,
                refusal => return Ok(refusal),
            }
        }
        Ok(sent)
    }

    fn commit_transaction(&mut self, ports: &mut impl CommitPorts) -> Result<Event> {
        let limit = self.time_left(ports, self.limits.commit);
        let committed = match ports.commit_transaction(limit)? {
            Event::CommitUnknown if !self.keeps(BrokenCondition::Resolve) => Event::Committed,
            event => event,
        };
        if let (Event::Committed | Event::CommittedSlow, Some(in_flight)) = (committed, &self.in_flight) {
            ports.committed_by_transaction(in_flight);
        }
        Ok(committed)
    }

    /// At least once: one offset commit an input, and the groups are polled until the answers.
    fn commit_offsets(&mut self, ports: &mut impl CommitPorts, waiting: AwaitedAnswer) -> Result<Option<Event>> {
        if !waiting.is_begun {
            let inputs = self.in_flight.as_ref().map(InFlight::inputs).unwrap_or_default();
            let positions = inputs.into_iter().map(|input| (input, self.positions(ports, input)));
            let positions = positions.collect();
            ports.begin_commit(positions);
            self.waiting = Some(AwaitedAnswer {
                is_begun: true,
                ..waiting
            });
        }
        if let Some(answer) = ports.commit_answer() {
            return Ok(Some(answer));
        }
        if ports.now() < self.deadline(ports, waiting, self.limits.commit) {
            return Ok(None);
        }
        ports.failed(failure(Kind::Kafka, "the group did not answer in time".to_owned()));
        Ok(Some(Event::CommitUnknown))
    }

    fn apply(&mut self, ports: &mut impl CommitPorts) -> Result<Event> {
        self.forget_lost(ports);
        if let Some(in_flight) = self.in_flight.take() {
            ports.apply(&in_flight)?;
        }
        Ok(Event::Applied)
    }

    pub(super) fn forget_lost(&mut self, ports: &impl CommitPorts) {
        if !self.keeps(BrokenCondition::AssignmentEpochsAtApply) {
            return;
        }
        let now = Assignments::of(&ports.partitions());
        if let Some(in_flight) = &mut self.in_flight {
            in_flight.forget_lost(&now);
        }
    }

    /// Next offset and pointer of every partition of one input.
    fn positions(&self, ports: &impl CommitPorts, input: usize) -> Vec<Committable> {
        let Some(in_flight) = &self.in_flight else {
            return Vec::new();
        };
        let of_input = in_flight.covered.iter().filter(|of| of.input == input);
        let position = |of: &Partition| {
            let pointer = in_flight.pointers.iter().find(|pointer| pointer.task == of.task)?;
            Some(Committable {
                partition: of.at.clone(),
                next: of.next,
                leader_epoch: of.leader_epoch,
                metadata: ports.metadata(of, pointer),
            })
        };
        of_input.filter_map(position).collect()
    }

    /// The protocol, and the command that waits for its answer.
    #[cfg(test)]
    pub(super) fn stands_at(&self) -> (Protocol, Option<Command>) {
        (self.protocol.clone(), self.waiting.map(|waiting| waiting.command))
    }

    pub(super) fn keeps(&self, condition: BrokenCondition) -> bool {
        self.left_out != Some(condition)
    }

    pub(super) fn limits(&self) -> &CommitLimits {
        &self.limits
    }

    /// `limit`, or what is left of it once the run is to stop.
    pub(super) fn time_left(&self, ports: &impl CommitPorts, limit: Duration) -> Duration {
        let left = ports
            .stopping()
            .map_or(limit, |since| self.limits.last_commit.saturating_sub(since));
        limit.min(left).max(self.limits.least)
    }

    /// Until when a command may take: its limit, or what the last commit of a run has.
    fn deadline(&self, ports: &impl CommitPorts, waiting: AwaitedAnswer, limit: Duration) -> Duration {
        let until = waiting.since + limit;
        let last = ports.stopping().map_or(until, |since| {
            ports.now().saturating_sub(since) + self.limits.last_commit
        });
        until.min(last).max(waiting.since + self.limits.least)
    }

    fn is_late(&self, ports: &impl CommitPorts, waiting: AwaitedAnswer, limit: Duration) -> bool {
        let is_overdue = ports.stopping().is_some_and(|since| since >= self.limits.last_drain);
        is_overdue || ports.now() >= waiting.since + limit
    }
}

fn defect(why: String) -> Error {
    Error::new(Kind::Bug, "failed in a checkpoint: Sandbar has a defect", why)
}

/// Why a checkpoint failed.
fn failure(kind: Kind, why: String) -> Error {
    Error::new(kind, "failed to take a checkpoint", why)
}
