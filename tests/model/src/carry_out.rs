//! What a worker does about a command. The host's `Coordinator` does the same; a test of the host
//! (`runtime/commit/model_tests`) compares the two in every world of some cases.

use super::effects::{Effect, Turn};
use super::steps::{Outcome, is_dirty};
use super::world::{Case, Frame, Offsets, Pointer, TASKS, World};
use super::{Command, Event};

impl Turn<'_> {
    /// Tells the worker's protocol what happened and does what asks for no answer.
    pub(crate) fn tell(&mut self, event: Event) {
        self.note(Effect::Told(event));
        let commands = self.world.workers[self.worker].protocol.on(event);
        for command in commands {
            if command.is_answered() {
                self.world.workers[self.worker].asked = Some(*command);
            } else {
                self.carry_out(*command);
            }
        }
    }

    fn carry_out(&mut self, command: Command) {
        match command {
            Command::Seal => self.seal(),
            Command::Abort => self.abort(),
            Command::DropOverlays => {
                self.world.workers[self.worker].sealed = None;
                self.drop_overlays();
            }
            Command::Release => self.release(),
            Command::Forget => self.forget(),
            Command::Leave => self.leave(),
            Command::Halt(why) => self.halt(why),
            _ => {}
        }
    }

    fn seal(&mut self) {
        self.world.workers[self.worker].sealed = None;
        if !is_dirty(self.world, self.worker) {
            return;
        }
        let name = self.freeze();
        let worker = &mut self.world.workers[self.worker];
        worker.sealed = Some(name);
        let frames = std::array::from_fn::<_, TASKS, _>(|task| {
            worker.tasks[task].map(|task| Frame {
                next: task.next,
                state: task.state,
                parent: task.applied,
            })
        });
        self.begin_upload(name, frames);
    }

    /// Carries out the command that the protocol waits for, and tells it what came of it.
    pub(crate) fn answer(&mut self, outcome: Outcome) {
        let Some(command) = self.world.workers[self.worker].asked.take() else {
            return;
        };
        let sealed = self.world.workers[self.worker].sealed;
        let event = match (command, sealed) {
            (Command::Drain, None) => Event::NothingNew,
            (Command::Drain, _) if self.await_outputs(outcome) => Event::Drained,
            (Command::Drain, _) => Event::DrainTimedOut,
            (Command::AwaitBundle, Some(name)) => self.store(name, outcome),
            (Command::CheckMembership, Some(name)) => self.check_membership(name),
            (Command::SendOffsets, Some(name)) => self.send(name, outcome),
            (Command::CommitTransaction, _) => self.commit(outcome),
            (Command::CommitOffsets, Some(name)) => {
                let offsets = self.offsets_of(name);
                self.commit_offsets(offsets, outcome).unwrap_or(Event::CommitUnknown)
            }
            (Command::Apply, Some(name)) => self.apply_all(name),
            (Command::Recycle, _) => self.replace_producer(outcome),
            (Command::Settle, Some(name)) => self.settle(name, outcome),
            (Command::Rewind, _) => self.rewind_all(outcome),
            (command, _) => unreachable!("{command:?} is asked for and nothing is sealed"),
        };
        self.tell(event);
    }

    fn store(&mut self, name: Pointer, outcome: Outcome) -> Event {
        if self.case.conditions.bundle_first && !self.await_bundle(name, outcome) {
            return Event::StoreFailed;
        }
        Event::Stored
    }

    /// Stale if a task of the bundle is another one's, as far as the group said or is about to say.
    fn check_membership(&mut self, name: Pointer) -> Event {
        self.take_membership();
        let is_mine = |task: usize| self.world.workers[self.worker].tasks[task].is_some_and(|task| task.is_current);
        let is_stale = self.frames(name).any(|(task, _)| !is_mine(task));
        if is_stale && self.case.conditions.assignment_epochs {
            Event::Stale
        } else {
            Event::Current
        }
    }

    /// What the bundle says of each of its tasks.
    fn frames(&self, name: Pointer) -> impl Iterator<Item = (usize, Frame)> {
        let frames = self.world.bundle(name).map_or([None; TASKS], |bundle| bundle.frames);
        let frames = frames.into_iter().enumerate();
        frames.filter_map(|(task, frame)| Some((task, frame?)))
    }

    /// What the commit says: the bundle's position of all partitions, or without condition 4 of those that moved.
    fn offsets_of(&self, sealed: Pointer) -> Offsets {
        let mut offsets = Offsets::default();
        for (task, frame) in self.frames(sealed) {
            let before = self.world.frame(frame.parent, task).next;
            for (partition, position) in offsets[task].iter_mut().enumerate().take(self.case.partitions) {
                if frame.next[partition] != before[partition] || self.case.conditions.all_partitions {
                    *position = Some((frame.next[partition], sealed));
                }
            }
        }
        offsets
    }

    fn send(&mut self, name: Pointer, outcome: Outcome) -> Event {
        let (offsets, member) = (self.offsets_of(name), self.world.workers[self.worker].metadata);
        match self.send_offsets(offsets, member, outcome) {
            Event::Fenced | Event::Expired if !self.case.conditions.stop_when_fenced => Event::OffsetsSent,
            event => event,
        }
    }

    fn commit(&mut self, outcome: Outcome) -> Event {
        match self.commit_transaction(outcome) {
            Event::Fenced | Event::Expired if !self.case.conditions.stop_when_fenced => Event::Committed,
            Event::CommitUnknown if !self.case.conditions.settle => Event::Committed,
            event => event,
        }
    }

    fn apply_all(&mut self, name: Pointer) -> Event {
        self.world.workers[self.worker].sealed = None;
        for task in self.tasks() {
            self.apply(task, name);
        }
        Event::Applied
    }

    fn replace_producer(&mut self, outcome: Outcome) -> Event {
        let is_replaced = self.case.conditions.recycle || self.is_fenced();
        if is_replaced && !self.recycle(outcome) {
            return Event::RecycleFailed;
        }
        Event::Recycled
    }

    /// What is committed for the tasks of the bundle that are still this worker's, as far as it was told: a loss that
    /// it does not know of yet does not make its own pointer another one.
    fn settle(&mut self, name: Pointer, outcome: Outcome) -> Event {
        let Some(committed) = self.read_committed(outcome) else {
            return Event::Unsettled;
        };
        let is_mine = |task: usize| self.world.workers[self.worker].tasks[task].is_some();
        let mine = self.frames(name).filter(|(task, _)| is_mine(*task));
        let pointers: Vec<Pointer> = mine.map(|(task, _)| committed[task][0].1).collect();
        if pointers.contains(&name) {
            Event::SettledNew
        } else if pointers.is_empty() {
            Event::SettledOther
        } else {
            Event::SettledOld
        }
    }

    fn rewind_all(&mut self, outcome: Outcome) -> Event {
        let Some(committed) = self.read_committed(outcome) else {
            return Event::RewindFailed;
        };
        let tasks = self.tasks();
        for task in &tasks {
            self.go_back(*task, committed[*task][0].1);
        }
        for task in tasks {
            for (partition, (next, _)) in committed[task].iter().enumerate().take(self.case.partitions) {
                self.rewind(task, partition, *next);
            }
        }
        Event::Rewound
    }

    /// Those that the worker has.
    fn tasks(&self) -> Vec<usize> {
        let tasks = 0..self.case.tasks;
        tasks
            .filter(|task| self.world.workers[self.worker].tasks[*task].is_some())
            .collect()
    }
}

/// What may become of `command` now; nothing: it waits.
pub(crate) fn outcomes(case: &Case, world: &World, worker: usize, command: Command) -> impl Iterator<Item = Outcome> {
    use Outcome::*;
    let left = &world.left;
    let (late, unanswered) = (left.late > 0, left.unanswered > 0);
    let is_sealed = world.workers[worker].sealed.is_some();
    let may_fail = left.failures > 0;
    let may_read = (0..case.tasks)
        .filter(|task| world.workers[worker].tasks[*task].is_some())
        .all(|task| case.may_read(world, task));
    let list: [(Outcome, bool); 5] = match command {
        Command::Drain => {
            [Well, Fails, Slow, Unanswered, Held].map(|o| (o, o == Well || o == Fails && may_fail && is_sealed))
        }
        Command::AwaitBundle | Command::Recycle => {
            [Well, Fails, Slow, Unanswered, Held].map(|o| (o, o == Well || o == Fails && may_fail))
        }
        Command::SendOffsets => [
            (Well, true),
            (Slow, late),
            (Fails, may_fail),
            (Unanswered, false),
            (Held, false),
        ],
        Command::CommitTransaction => [
            (Well, true),
            (Slow, late),
            (Unanswered, unanswered),
            (Held, unanswered && late),
            (Fails, unanswered),
        ],
        Command::CommitOffsets => [
            (Well, true),
            (Slow, false),
            (Unanswered, unanswered),
            (Held, unanswered && late),
            (Fails, unanswered),
        ],
        Command::Settle | Command::Rewind => {
            [Well, Fails, Slow, Unanswered, Held].map(|o| (o, o == Well && may_read || o == Fails && may_fail))
        }
        _ => [Well, Fails, Slow, Unanswered, Held].map(|o| (o, o == Well)),
    };
    list.into_iter().filter_map(|(outcome, may)| may.then_some(outcome))
}
