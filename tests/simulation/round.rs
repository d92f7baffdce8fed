//! A round of the simulated worker: what it does about the commands that are answered.

use crate::broker::{KEYS, Offsets, PARTITIONS, Refusal, Request, SESSION, TRANSACTION_TIMEOUT};
use crate::store::{Bundle, Frame, first, pointer};
use crate::worker::{Process, Sealed, SealedTask, Task, count_of, counts, key, task_name};
use crate::world::{Crash, Env, LeftOut};
use sandbar::checkpoint::{Command, Event};
use sandbar::record::Column;
use std::path::Path;

/// A task's base is taken every so many commits.
const BASE_EVERY: u64 = 16;
/// How often what is committed is asked for.
const TRIES: u32 = 10;

impl Process {
    /// Begins the bundle: the deltas of all tasks. Nothing if nothing was processed.
    pub(crate) fn seal(&mut self, env: &mut Env) -> Result<(), Crash> {
        self.sealed = None;
        if !self.is_dirty() {
            return Ok(());
        }
        let bundle = env.broker.new_id();
        let mut frames = std::collections::BTreeMap::new();
        let mut tasks = std::collections::BTreeMap::new();
        for (number, task) in &self.tasks {
            let mut delta = Vec::new();
            task.state.delta(&mut delta);
            let seq = task.seq + 1;
            let (parent, next) = (task.applied.clone(), task.next);
            frames.insert(
                *number,
                Frame {
                    seq,
                    parent,
                    next,
                    delta,
                },
            );
            let pointer = pointer(bundle, *number, seq);
            let incarnation = task.incarnation;
            tasks.insert(
                *number,
                SealedTask {
                    pointer,
                    incarnation,
                    seq,
                    next,
                },
            );
        }
        env.store.bundles.insert(
            bundle,
            Bundle {
                written: env.now,
                frames,
                is_durable: false,
            },
        );
        self.sealed = Some(Sealed {
            bundle,
            durable_at: env.now + env.random.between(0, 40),
            tasks,
        });
        env.point("mid-bundle")
    }

    /// What came of the command; `None`: nothing yet.
    pub(crate) fn carry_out(&mut self, env: &mut Env, command: Command) -> Result<Option<Event>, Crash> {
        match command {
            Command::Drain => self.drain(env),
            Command::AwaitBundle => self.await_bundle(env),
            Command::CheckMembership => Ok(Some(self.check_membership(env))),
            Command::SendOffsets => self.send_offsets(env).map(Some),
            Command::CommitTransaction => self.commit_transaction(env).map(Some),
            Command::CommitOffsets => Ok(Some(self.commit_plainly(env))),
            Command::Apply => self.apply(env).map(Some),
            Command::Recycle => self.recycle(env).map(Some),
            Command::Settle => Ok(self.settle(env)),
            Command::Rewind => self.rewind(env),
            other => panic!("{other:?} is not answered"),
        }
    }

    fn drain(&mut self, env: &mut Env) -> Result<Option<Event>, Crash> {
        if self.sealed.is_none() {
            return Ok(Some(Event::NothingNew));
        }
        if self.tries == 1 {
            env.point("before-flush")?;
        }
        if env.fails_once_in(400) {
            return Ok(Some(Event::DrainTimedOut));
        }
        self.deliver(env, 6)?;
        let is_drained = self.asked == Some(Command::Drain) && self.staged.is_empty();
        Ok(is_drained.then_some(Event::Drained))
    }

    fn await_bundle(&mut self, env: &mut Env) -> Result<Option<Event>, Crash> {
        let Some(sealed) = &self.sealed else {
            return Ok(Some(Event::StoreFailed));
        };
        if env.fails_once_in(250) {
            // It may be there all the same: an orphan.
            if env.random.once_in(2) {
                make_durable(env, sealed.bundle);
            }
            return Ok(Some(Event::StoreFailed));
        }
        if sealed.durable_at > env.now {
            return Ok((!env.keeps(LeftOut::BundleFirst)).then_some(Event::Stored));
        }
        make_durable(env, sealed.bundle);
        env.point("after-bundle")?;
        Ok(Some(Event::Stored))
    }

    fn check_membership(&mut self, env: &mut Env) -> Event {
        self.metadata = self.member;
        let Some(sealed) = &self.sealed else {
            return Event::Stale;
        };
        let is_current = |(number, sealed): (&usize, &SealedTask)| {
            let task = self.tasks.get(number);
            task.is_some_and(|task| task.is_current && task.incarnation == sealed.incarnation)
        };
        if sealed.tasks.iter().all(is_current) && !env.fails_once_in(100) {
            Event::Current
        } else {
            Event::Stale
        }
    }

    fn offsets(&self) -> Offsets {
        let tasks = self.sealed.iter().flat_map(|sealed| &sealed.tasks);
        tasks
            .flat_map(|(number, task)| {
                let position = |partition: usize| (task.next[partition], task.pointer.clone());
                (0..PARTITIONS).map(move |partition| ((*number, partition), position(partition)))
            })
            .collect()
    }

    fn send_offsets(&mut self, env: &mut Env) -> Result<Event, Crash> {
        env.point("before-send-offsets")?;
        if env.fails_once_in(150) {
            return Ok(if env.random.once_in(3) {
                Event::OffsetsRefused
            } else {
                Event::Stale
            });
        }
        self.began.get_or_insert(env.now);
        let offsets = self.offsets();
        let sent = env
            .broker
            .add_offsets(&self.id, self.epoch, env.now, self.metadata, offsets.clone());
        match sent {
            Err(Refusal::Epoch) => return Ok(self.refused(env)),
            Err(Refusal::Member) => return Ok(Event::Stale),
            Ok(()) => {}
        }
        env.point("after-send-offsets")?;
        if env.fails_once_in(300) {
            // A SIGSTOP at the worst moment: past the session, not past the transaction.
            self.stands_still = Some(env.random.between(SESSION, TRANSACTION_TIMEOUT - 100));
            env.hit("a worker stood still with its offsets sent");
        }
        if env.fails_once_in(40) {
            let member = self.metadata;
            env.hold_up(&self.id, self.epoch, Request::Offsets { member, offsets });
            return Ok(Event::OffsetsSlow);
        }
        Ok(Event::OffsetsSent)
    }

    fn commit_transaction(&mut self, env: &mut Env) -> Result<Event, Crash> {
        if env
            .broker
            .producers
            .get(&self.id)
            .is_none_or(|producer| producer.epoch != self.epoch)
        {
            return Ok(self.refused(env));
        }
        let fate = match env.settles_late && env.fails_once_in(4) {
            true => 3,
            false if env.has_faults => env.random.between(0, 100),
            false => 99,
        };
        let event = match fate {
            0..3 => {
                env.commit(&self.id);
                env.hold_up(&self.id, self.epoch, Request::Commit);
                Event::CommittedSlow
            }
            3..6 => {
                env.commit(&self.id);
                Event::CommitUnknown
            }
            6..9 => {
                env.hold_up(&self.id, self.epoch, Request::Commit);
                Event::CommitUnknown
            }
            9..11 => Event::CommitUnknown,
            11 => Event::CommitRefused,
            _ => {
                env.commit(&self.id);
                Event::Committed
            }
        };
        let event = match event {
            Event::CommitUnknown if !env.keeps(LeftOut::Settle) => Event::Committed,
            event => event,
        };
        env.point("end-txn-sent")?;
        let one_in = if env.settles_late { 1 } else { 10 };
        if event == Event::CommitUnknown && env.fails_once_in(one_in) {
            // Past the session, before it is settled, and then nobody tells it for a while: others go on with its
            // tasks.
            let stands_still = env.random.between(SESSION, 3 * SESSION);
            self.stands_still = Some(stands_still);
            self.settles_at = env.now + stands_still + env.random.between(0, SESSION);
        }
        if event == Event::Committed {
            self.began = None;
        }
        env.point("after-commit")?;
        Ok(event)
    }

    /// At least once: the group takes it from a member, and may answer late or not at all.
    fn commit_plainly(&mut self, env: &mut Env) -> Event {
        if !env.broker.is_member(self.metadata) || env.fails_once_in(100) {
            return Event::CommitRefused;
        }
        let (member, offsets) = (self.metadata, self.offsets());
        if env.fails_once_in(40) {
            env.hold_up(&self.id, self.epoch, Request::PlainOffsets { member, offsets });
            return Event::CommitUnknown;
        }
        env.commit_offsets(offsets);
        if env.fails_once_in(40) {
            Event::CommitUnknown
        } else {
            Event::Committed
        }
    }

    fn apply(&mut self, env: &mut Env) -> Result<Event, Crash> {
        let Some(sealed) = self.sealed.take() else {
            return Ok(Event::Applied);
        };
        for (number, sealed) in sealed.tasks {
            let Some(task) = self.tasks.get_mut(&number) else {
                continue;
            };
            // It was lost and came back: others may have gone on with it.
            if task.incarnation != sealed.incarnation {
                env.hit("a task came back before its commit was settled");
                if env.keeps(LeftOut::IncarnationsAtApply) {
                    continue;
                }
            }
            task.state.apply(&sealed.pointer).expect("the overlay is applied");
            (task.applied, task.seq, task.committed) = (sealed.pointer, sealed.seq, sealed.next);
            env.point("mid-apply")?;
        }
        env.point("after-apply")?;
        self.take_bases(env)?;
        Ok(Event::Applied)
    }

    fn take_bases(&mut self, env: &mut Env) -> Result<(), Crash> {
        for (number, task) in &self.tasks {
            if !task.seq.is_multiple_of(BASE_EVERY) || task.seq == 0 {
                continue;
            }
            let files = env.store.base_folder(env.broker.new_id());
            task.state.snapshot(&files).expect("a snapshot");
            env.point("mid-base")?;
            env.store.add_base(&task.applied, *number, files);
            env.hit("a base was stored");
        }
        Ok(())
    }

    fn recycle(&mut self, env: &mut Env) -> Result<Event, Crash> {
        env.point("in-recycle")?;
        if env.fails_once_in(20) {
            return Ok(Event::RecycleFailed);
        }
        let is_mine = env
            .broker
            .producers
            .get(&self.id)
            .is_some_and(|producer| producer.epoch == self.epoch);
        if env.keeps(LeftOut::Recycle) || !is_mine {
            self.epoch = env.broker.initialise(&self.id);
        }
        self.began = None;
        env.point("in-recycle")?;
        Ok(Event::Recycled)
    }

    fn settle(&mut self, env: &mut Env) -> Option<Event> {
        if env.now < self.settles_at && env.has_faults {
            return None;
        }
        let Some(sealed) = &self.sealed else {
            return Some(Event::SettledOther);
        };
        let mine: Vec<usize> = sealed
            .tasks
            .keys()
            .filter(|task| self.tasks.contains_key(task))
            .copied()
            .collect();
        if mine.iter().any(|task| env.is_pending(*task)) || env.fails_once_in(10) {
            return (self.tries >= TRIES || env.fails_once_in(3)).then_some(Event::Unsettled);
        }
        let committed = |task: &usize| &env.broker.committed[&(*task, 0)].1;
        let event = if mine.iter().any(|task| committed(task) == &sealed.tasks[task].pointer) {
            Event::SettledNew
        } else if mine.iter().any(|task| committed(task) == &self.tasks[task].applied) {
            Event::SettledOld
        } else {
            Event::SettledOther
        };
        Some(event)
    }

    /// Every task that stays goes on from what is committed.
    fn rewind(&mut self, env: &mut Env) -> Result<Option<Event>, Crash> {
        let numbers: Vec<usize> = self.tasks.keys().copied().collect();
        if numbers.iter().any(|task| env.is_pending(*task)) || env.fails_once_in(6) {
            return Ok((self.tries >= TRIES || env.fails_once_in(3)).then_some(Event::RewindFailed));
        }
        for number in numbers {
            if let Some(task) = self.tasks.remove(&number) {
                let restored = self.restore(env, number, task)?;
                self.tasks.insert(number, restored);
            }
        }
        Ok(Some(Event::Rewound))
    }

    /// Brings a task to what is committed: by deltas from its local files or from a base. What comes out must be the
    /// fold of the prefix.
    pub(crate) fn restore(&mut self, env: &mut Env, number: usize, mut task: Task) -> Result<Task, Crash> {
        let (_, pointer) = env.broker.committed[&(number, 0)].clone();
        let local = task.applied.clone();
        assert!(
            !env.is_exact() || env.store.is_ancestor(&local, &pointer, number),
            "I6: {local} is local, {pointer} is committed"
        );
        let chain = env
            .store
            .chain(&pointer, number, Some(&local))
            .unwrap_or_else(|why| panic!("I3: {why}"));
        if !chain.is_local {
            drop(task.state);
            task.state = self.fetch(chain.base.as_deref(), number);
            env.hit("a task was restored from the store");
        }
        for pointer in &chain.redo {
            let frame = env.store.frame(pointer, number).expect("a frame of the chain");
            task.state.redo(&frame.delta, pointer).expect("a delta is redone");
            env.hit("a delta was redone");
            env.point("mid-restore")?;
        }
        task.next = std::array::from_fn(|partition| env.broker.committed[&(number, partition)].0);
        task.committed = task.next;
        task.seq = env.store.frame(&pointer, number).map_or(0, |frame| frame.seq);
        task.applied = pointer;
        verify(env, number, &mut task);
        Ok(task)
    }

    fn fetch(&self, base: Option<&Path>, number: usize) -> sandbar::state::TaskState {
        let name = task_name(number);
        let Some(base) = base else {
            self.home.forget(&name).expect("local files go");
            return self.home.task(&name).expect("an empty state");
        };
        let files = self.home.scratch();
        std::fs::create_dir_all(&files).expect("a folder");
        for entry in std::fs::read_dir(base).expect("a base").flatten() {
            std::fs::copy(entry.path(), files.join(entry.file_name())).expect("a copy");
        }
        self.home.install(&name, &files).expect("a base is installed")
    }
}

fn make_durable(env: &mut Env, bundle: u64) {
    let now = env.now;
    if let Some(bundle) = env.store.bundles.get_mut(&bundle) {
        bundle.is_durable = true;
        bundle.written = now;
    }
}

/// I2: the state is the fold of the records below the committed offsets.
fn verify(env: &Env, number: usize, task: &mut Task) {
    let (mut keys, mut values) = (Column::default(), Column::default());
    for partition in 0..PARTITIONS {
        keys.clear();
        (0..KEYS).for_each(|index| keys.push(Some(&key(partition, index))));
        task.state
            .values(counts(), &keys, &mut values)
            .expect("the state is read");
        let found: Vec<u32> = (0..KEYS).map(|index| count_of(values.get(index))).collect();
        let due = env.broker.fold((number, partition), task.next[partition]);
        assert_eq!(
            found, due,
            "I2: task {number}, partition {partition} at {}: {}",
            task.next[partition], task.applied
        );
    }
    assert!(
        task.state.applied().map_or_else(|| first(number), str::to_owned) == task.applied,
        "I10"
    );
}
