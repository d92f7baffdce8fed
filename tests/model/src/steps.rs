//! What can happen: each action and the world after it.

use super::carry_out::outcomes;
use super::effects::{Effect, Turn};
use super::world::{Case, Late, PARTITIONS, Pointer, Request, TASKS, Task, WORKERS, Worker, World, producer_of};
use super::{Event, Mode, Protocol};

/// One step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// A worker processes a partition's next record: worker, task, partition.
    Process(usize, usize, usize),
    /// A worker's interval comes round.
    Due(usize),
    /// The group asks a worker for a task.
    Revoke(usize, usize),
    /// A worker is asked to stop.
    Stop(usize),
    /// A worker's process ends.
    Crash(usize),
    /// It starts again.
    Restart(usize),
    /// The group takes a worker for dead; it does not know.
    Kick(usize),
    /// It polls, and so is a member again.
    Rejoin(usize),
    /// It is told what it lost meanwhile.
    TellLost(usize),
    /// A worker gets a task and reads what is committed.
    Adopt(usize, usize),
    /// A worker carries out the command that its protocol waits for.
    Answer(usize, Outcome),
    /// The broker aborts a producer's transaction because it is old.
    TimeOut(usize),
    /// A request that was held up arrives.
    Arrive(usize),
    /// An upload ends, long after it was named (only without condition 7).
    Upload(Pointer),
    /// The collector lists the bundles, then reads the committed pointers: it will delete what is old and not reached.
    List,
    /// It deletes a bundle of that list.
    Collect(Pointer),
}

/// What becomes of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// What the world says.
    Well,
    /// As `Well`, but late: a second request is on its way.
    Slow,
    /// It was done, the answer is lost.
    Unanswered,
    /// It is on its way, and no answer came in time.
    Held,
    /// It failed, or was not done in time.
    Fails,
}

/// What a worker hears of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    /// Nothing.
    Nothing,
    /// Something happened to it.
    Tell(usize, Event),
    /// It carries out the command that its protocol waits for.
    Answer(usize, Outcome),
}

impl Case {
    /// What can happen now.
    pub(crate) fn list_actions(&self, world: &World, actions: &mut Vec<Action>) {
        if world.broken.is_some() {
            return;
        }
        for worker in 0..WORKERS {
            self.actions_of(world, worker, actions);
        }
        let late = 0..world.broker.late.len();
        actions.extend(late.map(Action::Arrive));
        for producer in 0..WORKERS {
            if world.left.time_outs > 0 && world.broker.producers[producer].open.is_some() {
                actions.push(Action::TimeOut(producer));
            }
        }
        for pointer in 1..=world.store.len() as Pointer {
            let Some(bundle) = world.bundle(pointer) else { continue };
            if world.garbage & 1 << pointer != 0 {
                actions.push(Action::Collect(pointer));
            }
            if !self.conditions.bundle_first && !bundle.is_durable && world.workers.iter().any(|w| w.is_up) {
                actions.push(Action::Upload(pointer));
            }
        }
        if world.left.collections > 0 {
            actions.push(Action::List);
        }
    }

    /// The world after `action`, and what the worker did that it is about.
    pub(crate) fn step(&self, before: &World, action: Action) -> Option<(World, Vec<Effect>)> {
        let mut world = before.clone();
        let effects = match self.happen(&mut world, action)? {
            Then::Nothing => Vec::new(),
            Then::Tell(worker, event) => {
                let mut turn = Turn::of(self, &mut world, worker);
                turn.tell(event);
                turn.effects
            }
            Then::Answer(worker, outcome) => {
                let mut turn = Turn::of(self, &mut world, worker);
                turn.answer(outcome);
                turn.effects
            }
        };
        Some((world, effects))
    }

    /// Everything about `action` but what a worker does about it.
    pub(crate) fn happen(&self, world: &mut World, action: Action) -> Option<Then> {
        match action {
            Action::Process(worker, task, partition) => return Some(self.process(world, worker, task, partition)),
            Action::Due(worker) => return Some(Then::Tell(worker, Event::Due)),
            Action::Revoke(worker, task) => {
                world.left.revocations -= 1;
                world.workers[worker].tasks[task].as_mut()?.is_revoked = true;
                return Some(Then::Tell(worker, Event::Revoking));
            }
            Action::Stop(worker) => {
                world.left.stops -= 1;
                return Some(Then::Tell(worker, Event::Stopping));
            }
            Action::TellLost(worker) => {
                world.workers[worker].has_lost_untold = false;
                return Some(Then::Tell(worker, Event::Lost));
            }
            Action::Answer(worker, outcome) => return Some(Then::Answer(worker, outcome)),
            Action::Crash(worker) => {
                world.left.crashes -= 1;
                end_process(world, worker);
            }
            Action::Restart(worker) => self.restart(world, worker),
            Action::Kick(worker) => {
                world.left.kicks -= u8::from(world.workers[worker].is_up);
                kick(world, worker);
            }
            Action::Rejoin(worker) => self.rejoin(world, worker),
            Action::Adopt(worker, task) => adopt(world, worker, task),
            Action::TimeOut(producer) => {
                world.left.time_outs -= 1;
                world.broker.producers[producer].open = None;
                world.broker.producers[producer].epoch += 1;
            }
            Action::Arrive(index) => self.arrive(world, index),
            Action::Upload(pointer) => world.store[usize::from(pointer) - 1].as_mut()?.is_durable = true,
            Action::List => {
                world.left.collections -= 1;
                let bundles = 1..=world.store.len() as Pointer;
                let garbage = bundles.filter(|pointer| self.is_garbage(world, *pointer));
                world.garbage = garbage.fold(0, |all, pointer| all | 1 << pointer);
            }
            Action::Collect(pointer) => {
                world.garbage &= !(1 << pointer);
                world.store[usize::from(pointer) - 1].as_mut()?.is_deleted = true;
            }
        }
        Some(Then::Nothing)
    }

    fn actions_of(&self, world: &World, index: usize, actions: &mut Vec<Action>) {
        let worker = &world.workers[index];
        let member = world.broker.members[index];
        if !worker.is_up {
            if member.is_in {
                actions.push(Action::Kick(index));
            }
            if world.left.restarts > 0 {
                actions.push(Action::Restart(index));
            }
            return;
        }
        let may_begin = worker.checkpoints < self.checkpoints;
        if worker.protocol.is_processing() {
            self.actions_between_checkpoints(world, index, actions);
        }
        if let Some(asked) = worker.asked {
            let outcomes = outcomes(self, world, index, asked);
            actions.extend(outcomes.map(|outcome| Action::Answer(index, outcome)));
        }
        for task in 0..self.tasks {
            if world.left.revocations > 0
                && may_begin
                && worker.tasks[task].is_some_and(|task| !task.is_revoked)
                && member.is_in
            {
                actions.push(Action::Revoke(index, task));
            }
        }
        if world.left.stops > 0 && may_begin {
            actions.push(Action::Stop(index));
        }
        if world.left.crashes > 0 {
            actions.push(Action::Crash(index));
        }
        if world.left.kicks > 0 && member.is_in {
            actions.push(Action::Kick(index));
        }
        if !member.is_in {
            actions.push(Action::Rejoin(index));
        }
        if worker.has_lost_untold {
            actions.push(Action::TellLost(index));
        }
    }

    fn actions_between_checkpoints(&self, world: &World, index: usize, actions: &mut Vec<Action>) {
        let worker = &world.workers[index];
        for task in 0..self.tasks {
            let is_mine = world.broker.members[index].is_in && !worker.has_lost_untold;
            match worker.tasks[task] {
                None if is_mine && world.broker.owner[task].is_none() && self.may_read(world, task) => {
                    actions.push(Action::Adopt(index, task));
                }
                Some(state) => {
                    let partitions = (0..self.partitions).filter(|partition| state.next[*partition] < self.records);
                    actions.extend(partitions.map(|partition| Action::Process(index, task, partition)));
                }
                None => {}
            }
        }
        if worker.checkpoints < self.checkpoints && is_dirty(world, index) {
            actions.push(Action::Due(index));
        }
    }

    /// Whether the committed offsets of `task` are answered.
    pub(crate) fn may_read(&self, world: &World, task: usize) -> bool {
        !self.conditions.require_stable || !world.is_pending(task)
    }

    fn process(&self, world: &mut World, worker: usize, task: usize, partition: usize) -> Then {
        let producer = producer_of(self, worker);
        let epoch = world.workers[worker].epoch;
        let Some(at) = &mut world.workers[worker].tasks[task] else {
            return Then::Nothing;
        };
        let record = at.next[partition];
        let broker = &mut world.broker;
        if self.mode == Mode::AtLeastOnce {
            let seen = &mut broker.visible[task][partition][usize::from(record)];
            *seen = (*seen + 1).min(2);
        } else if broker.producers[producer].epoch == epoch {
            let open = broker.producers[producer].open.get_or_insert_default();
            open.outputs.push((task as u8, partition as u8, record));
            open.outputs.sort_unstable();
        } else if self.conditions.stop_when_fenced {
            return Then::Tell(worker, self.fenced());
        }
        at.next[partition] += 1;
        at.state += 1;
        Then::Nothing
    }

    /// What a refused epoch means: with ids of their own nobody else can have taken it.
    pub(crate) fn fenced(&self) -> Event {
        if self.same_id { Event::Fenced } else { Event::Expired }
    }

    fn restart(&self, world: &mut World, worker: usize) {
        world.left.restarts -= 1;
        kick(world, worker);
        let producer = &mut world.broker.producers[producer_of(self, worker)];
        producer.epoch += 1;
        producer.open = None;
        let before = &world.workers[worker];
        let after = Worker {
            checkpoints: before.checkpoints,
            disk: before.disk,
            member: world.broker.members[worker].id,
            ..Worker::new(self, producer.epoch)
        };
        world.workers[worker] = after;
        world.broker.members[worker].is_in = true;
    }

    fn rejoin(&self, world: &mut World, worker: usize) {
        let member = &mut world.broker.members[worker];
        member.is_in = true;
        let worker = &mut world.workers[worker];
        worker.member = member.id;
        if self.conditions.assignment_epochs {
            for task in worker.tasks.iter_mut().flatten() {
                task.is_current = false;
                worker.has_lost_untold = true;
            }
        }
    }

    fn arrive(&self, world: &mut World, index: usize) {
        let Late { producer, epoch, what } = world.broker.late.remove(index);
        if self.mode == Mode::ExactlyOnce && world.broker.producers[producer].epoch != epoch {
            return;
        }
        match what {
            Request::Commit => end_transaction(self, world, producer),
            Request::Offsets {
                worker,
                member,
                offsets,
            } => {
                let is_member = world.broker.members[worker].is_in && world.broker.members[worker].id == member;
                if self.conditions.group_metadata && !is_member {
                    return;
                }
                if self.mode == Mode::AtLeastOnce {
                    commit_offsets(self, world, offsets);
                } else if let Some(open) = &mut world.broker.producers[producer].open {
                    open.offsets = Some(offsets);
                }
            }
        }
    }

    /// Whether the collector may delete it: no committed pointer reaches it, and it is so old that nobody can commit it
    /// any more.
    fn is_garbage(&self, world: &World, pointer: Pointer) -> bool {
        let is_listed = world.bundle(pointer).is_some_and(|bundle| bundle.is_durable);
        let is_reached =
            (0..self.tasks).any(|task| world.is_ancestor(pointer, world.broker.committed[task][0].1, task));
        is_listed && !is_reached && (!self.conditions.age || is_over(world, pointer))
    }
}

/// What the age of a bundle stands for: its checkpoint is over, and its transaction is decided.
fn is_over(world: &World, pointer: Pointer) -> bool {
    let names =
        |offsets: &super::world::Offsets| offsets.iter().flatten().flatten().any(|(_, other)| *other == pointer);
    let sealed = world
        .workers
        .iter()
        .any(|worker| worker.is_up && worker.sealed == Some(pointer));
    let open = world
        .broker
        .producers
        .iter()
        .filter_map(|producer| producer.open.as_ref());
    let pending = open.filter_map(|open| open.offsets.as_ref()).any(names);
    let late = world
        .broker
        .late
        .iter()
        .any(|late| matches!(&late.what, Request::Offsets { offsets, .. } if names(offsets)));
    !sealed && !pending && !late
}

/// Whether something was processed since the last commit.
pub(crate) fn is_dirty(world: &World, worker: usize) -> bool {
    let tasks = world.workers[worker].tasks.iter().enumerate();
    tasks
        .filter_map(|(index, task)| Some((index, task.as_ref()?)))
        .any(|(index, task)| task.next != world.frame(task.applied, index).next)
}

fn kick(world: &mut World, worker: usize) {
    let member = &mut world.broker.members[worker];
    member.is_in = false;
    member.id += 1;
    for owner in &mut world.broker.owner {
        if *owner == Some(worker as u8) {
            *owner = None;
        }
    }
}

/// What it kept in memory is gone.
pub(crate) fn end_process(world: &mut World, worker: usize) {
    let worker = &mut world.workers[worker];
    worker.is_up = false;
    worker.asked = None;
    worker.tasks = [None; TASKS];
    worker.sealed = None;
    worker.has_lost_untold = false;
    worker.protocol = Protocol::default();
}

/// In order: the group knows at once.
pub(crate) fn leave(world: &mut World, worker: usize) {
    end_process(world, worker);
    kick(world, worker);
}

pub(crate) fn adopt(world: &mut World, worker: usize, task: usize) {
    world.broker.owner[task] = Some(worker as u8);
    restore(world, worker, task);
}

/// The task stands where what is committed says, with the state that it names.
pub(crate) fn restore(world: &mut World, worker: usize, task: usize) {
    let committed = world.broker.committed[task];
    let (_, pointer) = committed[0];
    let state = world.frame(pointer, task).state;
    let next = std::array::from_fn::<_, PARTITIONS, _>(|partition| committed[partition].0);
    let was_revoked = world.workers[worker].tasks[task].is_some_and(|task| task.is_revoked);
    let was_current = world.workers[worker].tasks[task].is_none_or(|task| task.is_current);
    world.workers[worker].disk[task] = pointer;
    world.workers[worker].tasks[task] = Some(Task {
        next,
        state,
        applied: pointer,
        is_current: was_current,
        is_revoked: was_revoked,
    });
}

/// The commit point: outputs and offsets become visible together.
pub(crate) fn end_transaction(case: &Case, world: &mut World, producer: usize) {
    let Some(open) = world.broker.producers[producer].open.take() else {
        return;
    };
    for (task, partition, record) in open.outputs {
        let seen = &mut world.broker.visible[usize::from(task)][usize::from(partition)][usize::from(record)];
        *seen = (*seen + 1).min(2);
    }
    if let Some(offsets) = open.offsets {
        commit_offsets(case, world, offsets);
    }
}

/// At least once, a request that was held up may put an older pair of offset and pointer back.
pub(crate) fn commit_offsets(case: &Case, world: &mut World, offsets: super::world::Offsets) {
    for (task, offsets) in offsets.iter().enumerate() {
        for (partition, position) in offsets.iter().enumerate() {
            let Some((next, pointer)) = *position else { continue };
            let (offset, before) = world.broker.committed[task][partition];
            let parent = world.frame(pointer, task).parent;
            if case.mode == Mode::ExactlyOnce && next < offset {
                world.break_by("I4");
            }
            if case.mode == Mode::ExactlyOnce && pointer != before && parent != before {
                world.break_by("I5");
            }
            world.broker.committed[task][partition] = (next, pointer);
        }
    }
}
