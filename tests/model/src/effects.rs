//! What a worker does to the world: the broker, the group, the store and its own files answer, and nothing here decides
//! what comes first.
//!
//! Each effect is noted. The model's executor (`carry_out`) acts by these alone, and so do the ports on which a test of
//! the host runs its coordinator: so the two can be compared, effect by effect.

use super::steps::{Outcome, commit_offsets, end_process, end_transaction, leave};
use super::world::{
    Bundle, Case, Frames, Late, Offsets, PARTITIONS, Pointer, Position, Producer, Request, TASKS, World, pointer,
    producer_of,
};
use super::{Event, Halt};

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// The protocol was told.
    Told(Event),
    /// The changes of all tasks were frozen as this bundle.
    Froze(Pointer),
    /// Its upload began.
    BeganUpload(Pointer),
    /// It was waited for.
    AwaitedBundle(Pointer),
    /// The outputs were waited for.
    AwaitedOutputs,
    /// The membership was taken.
    TookMembership,
    /// Offsets were sent to the transaction, as this member.
    SentOffsets(Offsets, u8),
    /// The transaction's commit was asked for.
    CommittedTransaction,
    /// Offsets were committed without one.
    CommittedOffsets(Offsets),
    /// A task's overlay became its local state.
    Applied(usize, Pointer),
    /// The overlays were dropped.
    DroppedOverlays,
    /// The transaction was aborted.
    Aborted,
    /// The producer was replaced.
    Reinitialised,
    /// What is committed was asked for.
    ReadCommitted,
    /// A task's state was brought to this.
    WentBack(usize, Pointer),
    /// A partition is read on from here: task, partition, offset.
    Rewound(usize, usize, u8),
    /// The revoked tasks were given up.
    Released,
    /// The worker left.
    Left,
    /// The run ended.
    Halted(Halt),
}

/// A worker that is about to do something, and what it did.
pub(crate) struct Turn<'a> {
    pub(crate) case: &'a Case,
    pub(crate) world: &'a mut World,
    pub(crate) worker: usize,
    pub(crate) effects: Vec<Effect>,
}

impl<'a> Turn<'a> {
    pub(crate) fn of(case: &'a Case, world: &'a mut World, worker: usize) -> Self {
        Self {
            case,
            world,
            worker,
            effects: Vec::new(),
        }
    }

    pub(crate) fn note(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    fn producer(&mut self) -> &mut Producer {
        &mut self.world.broker.producers[producer_of(self.case, self.worker)]
    }

    /// Whether the broker knows a later producer than this worker's.
    pub(crate) fn is_fenced(&mut self) -> bool {
        self.producer().epoch != self.world.workers[self.worker].epoch
    }

    /// The name of the next bundle.
    pub(crate) fn freeze(&mut self) -> Pointer {
        let worker = &mut self.world.workers[self.worker];
        let name = pointer(self.worker, worker.checkpoints);
        worker.checkpoints += 1;
        self.note(Effect::Froze(name));
        name
    }

    pub(crate) fn begin_upload(&mut self, name: Pointer, frames: Frames) {
        self.note(Effect::BeganUpload(name));
        self.world.store[usize::from(name) - 1] = Some(Bundle {
            frames,
            is_durable: false,
            is_deleted: false,
        });
    }

    /// Whether it is durable.
    pub(crate) fn await_bundle(&mut self, name: Pointer, outcome: Outcome) -> bool {
        self.note(Effect::AwaitedBundle(name));
        if self.fails(outcome) {
            return false;
        }
        if let Some(Some(bundle)) = self.world.store.get_mut(usize::from(name).wrapping_sub(1)) {
            bundle.is_durable = true;
        }
        true
    }

    /// Whether all of them are acknowledged.
    pub(crate) fn await_outputs(&mut self, outcome: Outcome) -> bool {
        self.note(Effect::AwaitedOutputs);
        !self.fails(outcome)
    }

    fn fails(&mut self, outcome: Outcome) -> bool {
        let fails = outcome == Outcome::Fails;
        self.world.left.failures -= u8::from(fails);
        fails
    }

    /// The member that the worker is, as far as it knows.
    pub(crate) fn take_membership(&mut self) -> u8 {
        self.note(Effect::TookMembership);
        let worker = &mut self.world.workers[self.worker];
        worker.metadata = worker.member;
        worker.metadata
    }

    fn is_member(&self, id: u8) -> bool {
        let member = self.world.broker.members[self.worker];
        !self.case.conditions.group_metadata || member.is_in && member.id == id
    }

    pub(crate) fn send_offsets(&mut self, offsets: Offsets, member: u8, outcome: Outcome) -> Event {
        self.note(Effect::SentOffsets(offsets, member));
        if self.is_fenced() {
            return self.case.fenced();
        }
        if !self.is_member(member) {
            return Event::Stale;
        }
        if self.fails(outcome) {
            return Event::OffsetsRefused;
        }
        self.producer().open.get_or_insert_default().offsets = Some(offsets);
        if outcome != Outcome::Slow {
            return Event::OffsetsSent;
        }
        self.hold_up(self.request(offsets, member));
        Event::OffsetsSlow
    }

    fn request(&self, offsets: Offsets, member: u8) -> Request {
        Request::Offsets {
            worker: self.worker,
            member,
            offsets,
        }
    }

    fn hold_up(&mut self, what: Request) {
        self.world.left.late -= 1;
        let producer = producer_of(self.case, self.worker);
        let epoch = self.producer().epoch;
        self.world.broker.late.push(Late { producer, epoch, what });
    }

    pub(crate) fn commit_transaction(&mut self, outcome: Outcome) -> Event {
        self.note(Effect::CommittedTransaction);
        if self.is_fenced() {
            return self.case.fenced();
        }
        let producer = producer_of(self.case, self.worker);
        match outcome {
            Outcome::Well | Outcome::Slow => {
                end_transaction(self.case, self.world, producer);
                if outcome == Outcome::Slow {
                    self.hold_up(Request::Commit);
                    return Event::CommittedSlow;
                }
                return Event::Committed;
            }
            Outcome::Unanswered => end_transaction(self.case, self.world, producer),
            Outcome::Held => self.hold_up(Request::Commit),
            Outcome::Fails => {}
        }
        self.world.left.unanswered -= 1;
        Event::CommitUnknown
    }

    /// At least once: one request, which the group takes from a member only, of what the member has. `None`: no answer.
    pub(crate) fn commit_offsets(&mut self, mut offsets: Offsets, outcome: Outcome) -> Option<Event> {
        self.note(Effect::CommittedOffsets(offsets));
        let worker = &self.world.workers[self.worker];
        let member = worker.metadata;
        for (of_task, task) in offsets.iter_mut().zip(&worker.tasks) {
            if task.is_none() {
                *of_task = [None; PARTITIONS];
            }
        }
        let is_member = self.is_member(member);
        match outcome {
            Outcome::Well if is_member => {
                commit_offsets(self.case, self.world, offsets);
                return Some(Event::Committed);
            }
            Outcome::Well => return Some(Event::CommitRefused),
            Outcome::Unanswered if is_member => commit_offsets(self.case, self.world, offsets),
            Outcome::Held => self.hold_up(self.request(offsets, member)),
            _ => {}
        }
        self.world.left.unanswered -= 1;
        None
    }

    pub(crate) fn apply(&mut self, task: usize, name: Pointer) {
        self.note(Effect::Applied(task, name));
        let worker = &mut self.world.workers[self.worker];
        if let Some(at) = &mut worker.tasks[task] {
            at.applied = name;
            worker.disk[task] = name;
        }
    }

    /// Nothing is read any more before the tasks went back, so nobody sees what they hold.
    pub(crate) fn drop_overlays(&mut self) {
        self.note(Effect::DroppedOverlays);
    }

    pub(crate) fn abort(&mut self) {
        self.note(Effect::Aborted);
        if !self.is_fenced() {
            self.producer().open = None;
        }
    }

    /// Initialising a producer aborts what the one before left open, and gives it a new epoch. Whether it was done in
    /// time.
    pub(crate) fn reinitialise(&mut self, outcome: Outcome) -> bool {
        self.note(Effect::Reinitialised);
        if self.fails(outcome) {
            return false;
        }
        let producer = self.producer();
        producer.open = None;
        producer.epoch += 1;
        let epoch = producer.epoch;
        self.world.workers[self.worker].epoch = epoch;
        true
    }

    /// `None`: not in time.
    pub(crate) fn read_committed(&mut self, outcome: Outcome) -> Option<[[Position; PARTITIONS]; TASKS]> {
        self.note(Effect::ReadCommitted);
        (!self.fails(outcome)).then_some(self.world.broker.committed)
    }

    /// The state becomes the one that `name` says.
    pub(crate) fn go_back(&mut self, task: usize, name: Pointer) {
        self.note(Effect::WentBack(task, name));
        let state = self.world.frame(name, task).state;
        let worker = &mut self.world.workers[self.worker];
        if let Some(at) = &mut worker.tasks[task] {
            worker.disk[task] = name;
            (at.state, at.applied) = (state, name);
        }
    }

    pub(crate) fn rewind(&mut self, task: usize, partition: usize, next: u8) {
        self.note(Effect::Rewound(task, partition, next));
        if let Some(at) = &mut self.world.workers[self.worker].tasks[task] {
            at.next[partition] = next;
        }
    }

    pub(crate) fn release(&mut self) {
        self.note(Effect::Released);
        self.give_up(|task| task.is_revoked);
    }

    /// Not noted: the host's worker forgets when it hears of a loss, just before its protocol is told.
    pub(crate) fn forget(&mut self) {
        self.give_up(|task| !task.is_current);
    }

    fn give_up(&mut self, is_given_up: impl Fn(&super::world::Task) -> bool) {
        for task in 0..self.case.tasks {
            if !self.world.workers[self.worker].tasks[task]
                .as_ref()
                .is_some_and(&is_given_up)
            {
                continue;
            }
            self.world.workers[self.worker].tasks[task] = None;
            if self.world.broker.owner[task] == Some(self.worker as u8) {
                self.world.broker.owner[task] = None;
            }
        }
    }

    pub(crate) fn leave(&mut self) {
        self.note(Effect::Left);
        leave(self.world, self.worker);
    }

    pub(crate) fn halt(&mut self, why: Halt) {
        self.note(Effect::Halted(why));
        end_process(self.world, self.worker);
    }
}
