//! Ports on the model's world: what the coordinator asks for is done there, by the effects that the model's executor
//! has.

use super::effects::{Effect, Turn};
use super::steps::Outcome;
use super::world::{Frame, Frames, Offsets, PARTITIONS, TASKS, Task, producer_of};
use super::{Command, Event, Halt};
use crate::error::{Error, Kind, Result};
use crate::offset_metadata::{Metadata, Pointer};
use crate::record::{Committable, TopicPartition};
use crate::runtime::commit::InFlight;
use crate::runtime::commit::ports::{
    Clock, Groups, Memberships, Observer, Outputs, Partition, TaskPartition, TaskStates,
};
use crate::source::Held;
use std::collections::VecDeque;
use std::time::Duration;

/// Longer than any limit.
const LONG: Duration = Duration::from_secs(3600);

/// What a process keeps beside its coordinator.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Memory {
    /// What is to be written next.
    frozen: Option<(u8, Frames)>,
    /// The bundle that was written last.
    upload: Option<u8>,
    /// It was asked to stop.
    pub(super) is_stopping: bool,
}

/// The ports of a worker at its turn.
pub(super) struct Ports<'a> {
    pub(super) turn: Turn<'a>,
    pub(super) memory: &'a mut Memory,
    /// What becomes of the command that is waited for.
    pub(super) outcome: Outcome,
    pub(super) heard: VecDeque<Event>,
    /// The command's time is over.
    pub(super) is_late: bool,
    /// The answer to a commit at least once.
    pub(super) committed: Option<Event>,
}

fn task_name(task: usize) -> String {
    format!("in/{task}")
}

fn task_number(name: &str) -> usize {
    let number = name.strip_prefix("in/").and_then(|number| number.parse().ok());
    number.expect("a task of the model")
}

fn at(task: usize, partition: usize) -> TopicPartition {
    TopicPartition::new(format!("in-{partition}"), task as i32)
}

/// Task and partition.
fn place(at: &TopicPartition) -> (usize, usize) {
    let partition = at.topic.strip_prefix("in-").and_then(|number| number.parse().ok());
    (at.partition as usize, partition.expect("a topic of the model"))
}

fn pointer(task: usize, name: u8) -> Pointer {
    match name {
        0 => Pointer::first(task_name(task)),
        name => Pointer {
            bundle: Some(format!("bundle-{name}")),
            task: task_name(task),
            seq: name.into(),
            hash: Some("0123456789abcdef".to_owned()),
        },
    }
}

fn name_in(metadata: &str) -> u8 {
    match Metadata::read(Some(metadata.as_bytes())) {
        Ok(Metadata::Ours(pointer)) => pointer.seq as u8,
        other => panic!("{metadata}: {other:?}"),
    }
}

fn offsets(positions: &[Committable]) -> Offsets {
    let mut offsets = Offsets::default();
    for of in positions {
        let (task, partition) = place(&of.partition);
        offsets[task][partition] = Some((of.next as u8, name_in(&of.metadata)));
    }
    offsets
}

impl Ports<'_> {
    fn my_tasks(&self) -> impl Iterator<Item = (usize, &Task)> {
        let tasks = self.turn.world.workers[self.turn.worker].tasks.iter().enumerate();
        tasks.filter_map(|(index, task)| Some((index, task.as_ref()?)))
    }

    fn my_places(&self) -> Vec<(usize, usize)> {
        let partitions = self.turn.case.partitions;
        self.my_tasks()
            .flat_map(|(task, _)| (0..partitions).map(move |partition| (task, partition)))
            .collect()
    }
}

impl Clock for Ports<'_> {
    fn now(&self) -> Duration {
        if self.is_late { LONG } else { Duration::ZERO }
    }

    fn stopping(&self) -> Option<Duration> {
        self.memory.is_stopping.then_some(Duration::ZERO)
    }
}

impl Groups for Ports<'_> {
    fn poll_groups(&mut self) -> Result<()> {
        Ok(())
    }

    fn next_event(&mut self) -> Option<Event> {
        self.heard.pop_front()
    }

    fn is_revoking(&self) -> bool {
        self.my_tasks().any(|(_, task)| task.is_revoked)
    }

    fn partitions(&self) -> Vec<Partition> {
        let world = &self.turn.world;
        let tasks = self.my_tasks();
        let of_task = tasks.flat_map(|(index, task)| {
            let known = world.frame(task.applied, index).next;
            (0..self.turn.case.partitions).map(move |partition| Partition {
                input: 0,
                at: at(index, partition),
                task: task_name(index),
                has_state: true,
                next: task.next[partition].into(),
                leader_epoch: None,
                start: known[partition].into(),
                committed: Some(known[partition].into()),
                stop: None,
                assignment_epoch: 0,
            })
        });
        of_task.collect()
    }

    fn memberships(&mut self) -> Result<Option<Memberships>> {
        let member = self.turn.take_membership();
        Ok(Some(vec![(0, vec![member])]))
    }

    fn has_loss(&self) -> bool {
        self.turn.world.workers[self.turn.worker].has_lost_untold
    }

    fn committed(&mut self, _limit: Duration) -> Result<Option<Vec<Held>>> {
        let places = self.my_places();
        let committed = self.turn.read_committed(self.outcome);
        Ok(committed.map(|committed| {
            let held = |(task, partition): (usize, usize)| {
                let (next, name) = committed[task][partition];
                (
                    at(task, partition),
                    Some((i64::from(next), pointer(task, name).to_string())),
                )
            };
            places.into_iter().map(held).collect()
        }))
    }

    fn metadata(&self, _of: &Partition, pointer: &Pointer) -> String {
        pointer.to_string()
    }

    fn begin_commit(&mut self, positions: Vec<(usize, Vec<Committable>)>) {
        let positions: Vec<_> = positions.into_iter().flat_map(|(_, positions)| positions).collect();
        self.committed = self.turn.commit_offsets(offsets(&positions), self.outcome);
        self.is_late = self.committed.is_none();
    }

    fn commit_answer(&mut self) -> Option<Event> {
        self.committed
    }

    fn committed_by_transaction(&mut self, _of: &InFlight) {}

    fn rewind(&mut self, to: &[(usize, TopicPartition, i64)]) -> Result<()> {
        for (_, at, next) in to {
            let (task, partition) = place(at);
            self.turn.rewind(task, partition, *next as u8);
        }
        Ok(())
    }

    fn release(&mut self) -> Result<()> {
        self.turn.release();
        Ok(())
    }

    fn leave(&mut self) -> Result<()> {
        self.turn.leave();
        Ok(())
    }
}

impl Outputs for Ports<'_> {
    fn has_transaction(&self) -> bool {
        let turn = &self.turn;
        let producer = &turn.world.broker.producers[producer_of(turn.case, turn.worker)];
        producer.epoch == turn.world.workers[turn.worker].epoch && producer.open.is_some()
    }

    fn drain(&mut self) -> Result<Option<Event>> {
        let is_done = self.turn.await_outputs(self.outcome);
        self.is_late = !is_done;
        Ok(is_done.then_some(Event::Drained))
    }

    fn in_flight(&self) -> usize {
        1
    }

    fn is_disconnected(&self) -> bool {
        false
    }

    fn send_offsets(&mut self, positions: &[Committable], membership: &[u8], _limit: Duration) -> Result<Event> {
        Ok(self.turn.send_offsets(offsets(positions), membership[0], self.outcome))
    }

    fn commit_transaction(&mut self, _limit: Duration) -> Result<Event> {
        Ok(self.turn.commit_transaction(self.outcome))
    }

    fn abort(&mut self, _limit: Duration) -> Result<()> {
        self.turn.abort();
        Ok(())
    }

    fn recycle(&mut self, _limit: Duration) -> Result<Event> {
        Ok(match self.turn.recycle(self.outcome) {
            true => Event::Recycled,
            false => Event::RecycleFailed,
        })
    }
}

impl TaskStates for Ports<'_> {
    fn owes_checkpoint(&self) -> bool {
        false
    }

    /// The bytes are the bundle's name, by which the test knows it again.
    fn freeze(&mut self, covered: &[Partition]) -> Result<usize> {
        let mut frames: Frames = [None; TASKS];
        for (index, task) in self.my_tasks() {
            let mut next = [0; PARTITIONS];
            for of in covered.iter().filter(|of| place(&of.at).0 == index) {
                next[place(&of.at).1] = of.next as u8;
            }
            frames[index] = Some(Frame {
                next,
                state: task.state,
                parent: task.applied,
            });
        }
        let name = self.turn.freeze();
        self.memory.frozen = Some((name, frames));
        Ok(name.into())
    }

    fn begin_upload(&mut self) -> Result<()> {
        let (name, frames) = self.memory.frozen.take().expect("something is frozen");
        self.turn.begin_upload(name, frames);
        self.memory.upload = Some(name);
        Ok(())
    }

    fn upload(&mut self) -> Result<Option<Result<Vec<Pointer>>>> {
        let name = self.memory.upload.expect("an upload was begun");
        if !self.turn.await_bundle(name, self.outcome) {
            return Ok(Some(Err(Error::new(
                Kind::Corrupt,
                "failed to write",
                "the disk is full",
            ))));
        }
        let frames = self.turn.world.bundle(name).expect("a bundle").frames;
        let tasks = (0..TASKS).filter(|task| frames[*task].is_some());
        Ok(Some(Ok(tasks.map(|task| pointer(task, name)).collect())))
    }

    fn apply(&mut self, of: &InFlight) -> Result<()> {
        for pointer in &of.pointers {
            self.turn.apply(task_number(&pointer.task), pointer.seq as u8);
        }
        Ok(())
    }

    fn drop_overlays(&mut self) -> Result<()> {
        self.turn.drop_overlays();
        Ok(())
    }

    fn go_back(&mut self, task: &str, partitions: &[TaskPartition]) -> Result<bool> {
        let (.., metadata) = &partitions[0];
        let name = metadata.as_deref().map_or(0, name_in);
        self.turn.go_back(task_number(task), name);
        Ok(true)
    }
}

impl Observer for Ports<'_> {
    fn decided(&mut self, event: Event, _commands: &[Command]) {
        // What follows begins in time.
        self.is_late = false;
        self.turn.note(Effect::Told(event));
    }

    fn failed(&mut self, _error: Error) {}

    fn halt(&mut self, why: Halt) -> Error {
        self.turn.halt(why);
        Error::new(Kind::Failed, "halted", format!("{why:?}"))
    }
}
