//! What the coordinator works on here: a broker, its groups and a store that go wrong.

use crate::broker::{INPUTS, Offsets, PARTITIONS, Place, Refusal, Request, SESSION, TRANSACTION_TIMEOUT, input_of};
use crate::restore::verify;
use crate::store::{Bundle, Frame, first, pointer};
use crate::worker::{Process, Task, Upload, task_name};
use crate::world::{Env, LeftOut, killed};
use sandbar::checkpoint::{Command, Event, Halt};
use sandbar::error::{Error, Kind, Result};
use sandbar::offset_metadata::Pointer;
use sandbar::record::{Committable, TopicPartition};
use sandbar::runtime::commit::InFlight;
use sandbar::runtime::commit::ports::{
    Clock, Groups, Memberships, Observer, Outputs, Partition, TaskPartition, TaskStates,
};
use sandbar::source::GroupOffset;
use std::time::Duration;

/// A task's base is taken every so many commits.
const BASE_EVERY: u64 = 16;

/// A process at its turn.
pub(crate) struct Run<'a> {
    pub(crate) process: &'a mut Process,
    pub(crate) env: &'a mut Env,
}

/// A task's partition is that of a topic of its own.
fn at((task, partition): Place) -> TopicPartition {
    TopicPartition::new(format!("in-{partition}"), task as i32)
}

fn place(at: &TopicPartition) -> Place {
    let partition = at.topic.strip_prefix("in-").and_then(|number| number.parse().ok());
    (at.partition as usize, partition.expect("a topic of the simulation"))
}

fn task_number(task: &str) -> usize {
    let number = task.strip_prefix("in/").and_then(|number| number.parse().ok());
    number.expect("a task of the simulation")
}

fn offsets(positions: &[Committable]) -> Offsets {
    let offset = |of: &Committable| (place(&of.partition), (of.next as u64, of.metadata.clone()));
    positions.iter().map(offset).collect()
}

impl Clock for Run<'_> {
    fn now(&self) -> Duration {
        Duration::from_millis(self.env.now)
    }

    fn stopping(&self) -> Option<Duration> {
        let since = self.process.stopping?;
        Some(Duration::from_millis(self.env.now - since))
    }
}

impl Groups for Run<'_> {
    fn poll_groups(&mut self) -> Result<()> {
        self.process.poll(self.env)
    }

    fn next_event(&mut self) -> Option<Event> {
        self.process.events.pop_front()
    }

    fn is_revoking(&self) -> bool {
        self.process.tasks.values().any(|task| task.is_revoked)
    }

    fn partitions(&self) -> Vec<Partition> {
        let partition = |number: usize, task: &Task, partition: usize| Partition {
            input: input_of(number),
            at: at((number, partition)),
            task: task_name(number),
            has_state: true,
            next: task.next[partition] as i64,
            leader_epoch: None,
            start: task.start[partition] as i64,
            committed: Some(task.committed[partition] as i64),
            stop: None,
            assignment_epoch: task.assignment_epoch,
        };
        let tasks = self.process.tasks.iter();
        tasks
            .flat_map(|(number, task)| (0..PARTITIONS).map(move |index| partition(*number, task, index)))
            .collect()
    }

    fn memberships(&mut self) -> Result<Option<Memberships>> {
        if self.env.fails_once_in(100) {
            return Ok(None);
        }
        let members = self.process.members.iter().enumerate();
        Ok(Some(
            members
                .map(|(input, member)| (input, member.to_le_bytes().to_vec()))
                .collect(),
        ))
    }

    fn has_loss(&self) -> bool {
        self.process.has_lost_untold.contains(&true)
    }

    fn committed(&mut self, _limit: Duration) -> Result<Option<Vec<GroupOffset>>> {
        let (process, env) = (&self.process, &mut *self.env);
        let mine: Vec<usize> = process.tasks.keys().copied().collect();
        if mine.iter().any(|task| env.is_pending(*task)) || env.fails_once_in(6) {
            return Ok(None);
        }
        let places = mine
            .iter()
            .flat_map(|task| (0..PARTITIONS).map(move |partition| (*task, partition)));
        let held = |place: Place| {
            let (next, pointer) = env.broker.committed[&place].clone();
            (at(place), Some((next as i64, pointer)))
        };
        Ok(Some(places.map(held).collect()))
    }

    fn metadata(&self, _of: &Partition, pointer: &Pointer) -> String {
        pointer.to_string()
    }

    fn begin_commit(&mut self, positions: Vec<(usize, Vec<Committable>)>) {
        self.process.answers = [Some(Event::Committed); INPUTS];
        for (input, positions) in positions {
            let answer = self.commit_to(input, offsets(&positions));
            self.process.answers[input] = answer;
        }
        let answers = &self.process.answers;
        if answers.contains(&Some(Event::Committed)) && answers.contains(&Some(Event::CommitRefused)) {
            self.env.hit("one group of two took a commit");
        }
    }

    fn commit_answer(&mut self) -> Option<Event> {
        let answers = &self.process.answers;
        let refused = answers.iter().flatten().find(|answer| **answer != Event::Committed);
        match refused {
            Some(refusal) => Some(*refusal),
            None if answers.contains(&None) => None,
            None => Some(Event::Committed),
        }
    }

    fn committed_by_transaction(&mut self, of: &InFlight) {
        for of in &of.covered {
            let (task, partition) = place(&of.at);
            if let Some(task) = self.process.tasks.get_mut(&task) {
                task.committed[partition] = of.next as u64;
            }
        }
    }

    fn rewind(&mut self, to: &[(usize, TopicPartition, i64)]) -> Result<()> {
        for (_, at, next) in to {
            let (task, partition) = place(at);
            if let Some(task) = self.process.tasks.get_mut(&task) {
                task.next[partition] = *next as u64;
                task.committed[partition] = *next as u64;
                task.start[partition] = *next as u64;
            }
        }
        for (number, task) in &mut self.process.tasks {
            verify(self.env, *number, task);
        }
        Ok(())
    }

    fn release(&mut self) -> Result<()> {
        let index = self.process.index;
        let owner = &mut self.env.broker.owner;
        self.process.tasks.retain(|task, at| {
            if at.is_revoked && owner[*task] == Some(index) {
                owner[*task] = None;
            }
            !at.is_revoked
        });
        Ok(())
    }

    fn leave(&mut self) -> Result<()> {
        (0..INPUTS).for_each(|input| self.env.broker.remove(self.process.index, input));
        self.process.is_over = true;
        Ok(())
    }
}

impl Outputs for Run<'_> {
    fn has_transaction(&self) -> bool {
        self.process.began.is_some()
    }

    fn drain(&mut self) -> Result<Option<Event>> {
        if self.env.now < self.process.stalled_until && self.env.has_faults {
            return Ok(None);
        }
        if self.env.fails_once_in(400) {
            self.process.stalled_until = self.env.now + self.env.random.between(1, SESSION);
            return Ok(None);
        }
        if let Some(event) = self.process.deliver(self.env, 6)? {
            return Ok(Some(event));
        }
        Ok(self.process.staged.is_empty().then_some(Event::Drained))
    }

    fn in_flight(&self) -> usize {
        self.process.staged.len()
    }

    fn is_disconnected(&self) -> bool {
        false
    }

    fn send_offsets(&mut self, positions: &[Committable], membership: &[u8], _limit: Duration) -> Result<Event> {
        let (process, env) = (&mut *self.process, &mut *self.env);
        env.point("before-send-offsets")?;
        let open = env.broker.producers.get(&process.id).and_then(|of| of.open.as_ref());
        let is_second = open.is_some_and(|open| open.offsets.is_some());
        let is_half = |env: &mut Env| {
            if is_second {
                env.hit("one group of two took its offsets");
            }
        };
        if env.fails_once_in(150) {
            is_half(env);
            return Ok(match env.random.once_in(3) {
                true => Event::OffsetsRefused,
                false => Event::Stale,
            });
        }
        process.began.get_or_insert(env.now);
        let member = u64::from_le_bytes(membership.try_into().expect("a member's number"));
        let offsets = offsets(positions);
        let sent = env
            .broker
            .add_offsets(&process.id, process.epoch, env.now, member, offsets.clone());
        match sent {
            Err(Refusal::Epoch) => return Ok(process.refusal(env)),
            Err(Refusal::Member) => {
                is_half(env);
                return Ok(Event::Stale);
            }
            Ok(()) if is_second => env.hit("both groups took their offsets"),
            Ok(()) => {}
        }
        env.point("after-send-offsets")?;
        if env.fails_once_in(300) {
            // A SIGSTOP at the worst moment: past the session, not past the transaction.
            process.stands_still = Some(env.random.between(SESSION, TRANSACTION_TIMEOUT - 100));
            env.hit("a worker stood still with its offsets sent");
        }
        if env.fails_once_in(40) {
            env.hold_up(&process.id, process.epoch, Request::Offsets { member, offsets });
            return Ok(Event::OffsetsSlow);
        }
        Ok(Event::OffsetsSent)
    }

    fn commit_transaction(&mut self, _limit: Duration) -> Result<Event> {
        let (process, env) = (&mut *self.process, &mut *self.env);
        let producer = env.broker.producers.get(&process.id);
        if producer.is_none_or(|producer| producer.epoch != process.epoch) {
            return Ok(process.refusal(env));
        }
        let fate = match env.resolves_late && env.fails_once_in(4) {
            true => 3,
            false if env.has_faults => env.random.between(0, 100),
            false => 99,
        };
        let event = match fate {
            0..3 => {
                env.commit(&process.id);
                env.hold_up(&process.id, process.epoch, Request::Commit);
                Event::CommittedSlow
            }
            3..6 => {
                env.commit(&process.id);
                Event::CommitUnknown
            }
            6..9 => {
                env.hold_up(&process.id, process.epoch, Request::Commit);
                Event::CommitUnknown
            }
            9..11 => Event::CommitUnknown,
            11 => Event::CommitRefused,
            _ => {
                env.commit(&process.id);
                Event::Committed
            }
        };
        env.point("end-txn-sent")?;
        let one_in = if env.resolves_late { 1 } else { 10 };
        if event == Event::CommitUnknown && env.fails_once_in(one_in) {
            // Past the session, before it is resolved, and then nobody tells it for a while: others go on with its
            // tasks.
            let stands_still = env.random.between(SESSION, 3 * SESSION);
            process.stands_still = Some(stands_still);
            process.resolves_at = env.now + stands_still + env.random.between(0, SESSION);
        }
        if event == Event::Committed {
            process.began = None;
        }
        env.point("after-commit")?;
        Ok(event)
    }

    /// Lost now and then: the new producer sees to it.
    fn abort(&mut self, _limit: Duration) -> Result<()> {
        self.process.staged.clear();
        if self.env.fails_once_in(5) {
            return Ok(());
        }
        if self.is_current_producer() {
            self.env.broker.end(&self.process.id, crate::broker::Ending::Aborted);
        }
        Ok(())
    }

    fn reinitialise(&mut self, _limit: Duration) -> Result<Event> {
        self.env.point("in-reinitialise")?;
        let is_late = self.env.now < self.process.resolves_at && self.env.has_faults;
        if is_late || self.env.fails_once_in(20) {
            return Ok(Event::ReinitialiseFailed);
        }
        self.process.epoch = self.env.broker.initialise(&self.process.id);
        self.process.began = None;
        self.env.point("in-reinitialise")?;
        Ok(Event::Reinitialised)
    }
}

impl TaskStates for Run<'_> {
    fn owes_checkpoint(&self) -> bool {
        false
    }

    fn freeze(&mut self, covered: &[Partition]) -> Result<usize> {
        let mut bytes = 0;
        self.process.frozen.clear();
        self.process.frozen_under.clear();
        for (number, task) in &mut self.process.tasks {
            let mut next = [0; PARTITIONS];
            for of in covered {
                let (of_task, partition) = place(&of.at);
                if of_task == *number {
                    next[partition] = of.next as u64;
                }
            }
            let mut delta = Vec::new();
            task.state.delta(&mut delta);
            bytes += delta.len();
            task.seq += 1;
            let frame = Frame {
                seq: task.seq,
                parent: task.applied.clone(),
                next,
                delta,
            };
            self.process.frozen.insert(*number, frame);
            self.process.frozen_under.insert(*number, task.assignment_epoch);
        }
        self.env.point("before-flush")?;
        Ok(bytes)
    }

    fn begin_upload(&mut self) -> Result<()> {
        let bundle = self.env.broker.new_id();
        let frames = std::mem::take(&mut self.process.frozen);
        let pointers = frames
            .iter()
            .map(|(number, frame)| pointer(bundle, *number, frame.seq).parse().expect("a pointer"));
        self.process.upload = Some(Upload {
            bundle,
            durable_at: self.env.now + self.env.random.between(0, 40),
            pointers: pointers.collect(),
        });
        self.env.store.bundles.insert(
            bundle,
            Bundle {
                written: self.env.now,
                frames,
                is_durable: false,
            },
        );
        if self.env.stands_still_often && self.env.fails_once_in(10) {
            // Past the session, before its membership is looked at.
            let stands_still = self.env.random.between(SESSION, TRANSACTION_TIMEOUT - 200);
            self.process.stands_still = Some(stands_still);
        }
        self.env.point("mid-bundle")
    }

    fn upload(&mut self) -> Result<Option<Result<Vec<Pointer>>>> {
        let env = &mut *self.env;
        let Some(upload) = &self.process.upload else {
            return Ok(None);
        };
        if env.fails_once_in(250) {
            // It may be there all the same: an orphan.
            if env.random.once_in(2) {
                make_durable(env, upload.bundle);
            }
            return Ok(Some(Err(killed("by a store that does not take it"))));
        }
        if upload.durable_at > env.now {
            let lies = !env.keeps(LeftOut::BundleFirst);
            return Ok(lies.then(|| Ok(upload.pointers.clone())));
        }
        make_durable(env, upload.bundle);
        env.point("after-bundle")?;
        Ok(Some(Ok(upload.pointers.clone())))
    }

    fn apply(&mut self, of: &InFlight) -> Result<()> {
        let process = &self.process;
        let is_another = |(number, task): (&usize, &Task)| {
            let frozen = process.frozen_under.get(number);
            frozen.is_some_and(|epoch| *epoch != task.assignment_epoch)
        };
        if process.tasks.iter().any(is_another) {
            self.env.hit("a task came back before its commit was resolved");
        }
        for pointer in &of.pointers {
            let Some(task) = self.process.tasks.get_mut(&task_number(&pointer.task)) else {
                continue;
            };
            task.state.apply(&pointer.to_string()).expect("the overlay is applied");
            task.applied = pointer.to_string();
            self.env.point("mid-apply")?;
        }
        self.committed_by_transaction(of);
        self.env.point("after-apply")?;
        self.take_bases(&of.pointers)
    }

    fn drop_overlays(&mut self) -> Result<()> {
        (self.process.upload, self.process.frozen) = (None, Default::default());
        for task in self.process.tasks.values_mut() {
            task.state.drop_overlay();
        }
        Ok(())
    }

    fn go_back(&mut self, task: &str, partitions: &[TaskPartition]) -> Result<bool> {
        let number = task_number(task);
        let Some(task) = self.process.tasks.remove(&number) else {
            return Ok(true);
        };
        let pointer = partitions.iter().find_map(|(.., metadata)| metadata.clone());
        let pointer = pointer.unwrap_or_else(|| first(number));
        let restored = self.process.restore(self.env, number, task, &pointer)?;
        self.process.tasks.insert(number, restored);
        Ok(true)
    }
}

impl Observer for Run<'_> {
    fn decided(&mut self, event: Event, commands: &[Command]) {
        self.env.hit(&format!("event {event:?}"));
        let index = self.process.index;
        self.env
            .tell(format!("worker {index}: {event:?} asks for {commands:?}"));
        for command in commands {
            self.env.hit(&format!("command {command:?}"));
        }
    }

    fn failed(&mut self, error: Error) {
        let index = self.process.index;
        self.env.tell(format!("worker {index}: {}", error.why));
    }

    fn halt(&mut self, why: Halt) -> Error {
        Error::new(Kind::Failed, format!("halted: {why:?}"), "the protocol says so")
    }
}

impl Run<'_> {
    /// At least once: a group takes it from a member, and may answer late or not at all.
    fn commit_to(&mut self, input: usize, mut offsets: Offsets) -> Option<Event> {
        let (process, env) = (&mut *self.process, &mut *self.env);
        offsets.retain(|place, _| process.tasks.get(&place.0).is_some_and(|task| task.is_current));
        let member = process.members[input];
        if !env.broker.takes(member, &offsets) || env.fails_once_in(100) {
            return Some(Event::CommitRefused);
        }
        if env.fails_once_in(100) {
            return Some(Event::OffsetsRefused);
        }
        if env.fails_once_in(40) {
            env.hold_up(&process.id, process.epoch, Request::PlainOffsets { member, offsets });
            return None;
        }
        env.commit_offsets(offsets);
        (!env.fails_once_in(40)).then_some(Event::Committed)
    }

    fn is_current_producer(&self) -> bool {
        let producer = self.env.broker.producers.get(&self.process.id);
        producer.is_some_and(|producer| producer.epoch == self.process.epoch)
    }

    fn take_bases(&mut self, pointers: &[Pointer]) -> Result<()> {
        for pointer in pointers {
            let number = task_number(&pointer.task);
            let Some(task) = self.process.tasks.get(&number) else {
                continue;
            };
            if !pointer.seq.is_multiple_of(BASE_EVERY) {
                continue;
            }
            let files = self.env.store.base_folder(self.env.broker.new_id());
            task.state.snapshot(&files).expect("a snapshot");
            self.env.point("mid-base")?;
            self.env.store.add_base(&task.applied, number, files);
            self.env.hit("a base was stored");
        }
        Ok(())
    }
}

fn make_durable(env: &mut Env, bundle: u64) {
    let now = env.now;
    if let Some(bundle) = env.store.bundles.get_mut(&bundle) {
        bundle.is_durable = true;
        bundle.written = now;
    }
}
