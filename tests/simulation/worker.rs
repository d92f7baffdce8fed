//! A simulated worker: the twin of `pipeline::worker`, with the real protocol and the real state.

use crate::broker::{Output, PARTITIONS, Place, SESSION, TASKS, TRANSACTION_TIMEOUT, key_of};
use crate::store::first;
use crate::world::{Crash, Env, LeftOut};
use sandbar::checkpoint::{Command, Event, Protocol};
use sandbar::record::Column;
use sandbar::state::{Home, StoreId, TaskState, store_id};
use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};

const TOLERABLE_FAILURES: u32 = 1;
/// How many steps there are between two commits, about.
const INTERVAL: u64 = 60;
const CACHE: u64 = 8 << 20;

/// A worker, whether its process runs or not.
pub(crate) struct Worker {
    pub(crate) index: usize,
    /// Its transactional id; after an operator's mistake another's.
    pub(crate) id: String,
    folder: PathBuf,
    /// It stands still until then.
    paused_until: u64,
    restarts_at: u64,
    process: Option<Process>,
}

/// What a process has in memory, and its state folder.
pub(crate) struct Process {
    pub(crate) index: usize,
    pub(crate) id: String,
    pub(crate) epoch: u32,
    pub(crate) home: Home,
    pub(crate) protocol: Protocol,
    /// The command under way, and how often it was tried.
    pub(crate) asked: Option<Command>,
    pub(crate) tries: u32,
    pub(crate) tasks: BTreeMap<usize, Task>,
    pub(crate) member: u64,
    /// The membership that this commit goes with.
    pub(crate) metadata: u64,
    /// Outputs that are staged and not delivered.
    pub(crate) staged: VecDeque<Output>,
    pub(crate) sealed: Option<Sealed>,
    pub(crate) has_lost_untold: bool,
    /// When its transaction began.
    pub(crate) began: Option<u64>,
    /// It stands still from now on, for so long.
    pub(crate) stands_still: Option<u64>,
    /// Nobody tells it before that what became of a commit.
    pub(crate) settles_at: u64,
    due: u64,
    is_over: bool,
}

pub(crate) struct Task {
    pub(crate) state: TaskState,
    pub(crate) next: [u64; PARTITIONS],
    pub(crate) committed: [u64; PARTITIONS],
    pub(crate) applied: String,
    pub(crate) seq: u64,
    /// The incarnation that it read under is the reader's.
    pub(crate) is_current: bool,
    /// A number that is new each time that the task is taken over.
    pub(crate) incarnation: u64,
    pub(crate) is_revoked: bool,
}

pub(crate) struct Sealed {
    pub(crate) bundle: u64,
    pub(crate) durable_at: u64,
    pub(crate) tasks: BTreeMap<usize, SealedTask>,
}

pub(crate) struct SealedTask {
    pub(crate) pointer: String,
    pub(crate) incarnation: u64,
    pub(crate) seq: u64,
    pub(crate) next: [u64; PARTITIONS],
}

/// The store of counts.
pub(crate) fn counts() -> StoreId {
    store_id("count", "counts")
}

pub(crate) fn key(partition: usize, key: usize) -> [u8; 2] {
    [partition as u8, key as u8]
}

pub(crate) fn task_name(task: usize) -> String {
    format!("in/{task}")
}

impl Worker {
    pub(crate) fn new(index: usize, folder: &Path) -> Self {
        Self {
            index,
            id: format!("worker-{index}"),
            folder: folder.join(format!("worker-{index}")),
            paused_until: 0,
            restarts_at: 0,
            process: None,
        }
    }

    pub(crate) fn step(&mut self, env: &mut Env, ids: &[String]) {
        if env.now < self.paused_until && env.has_faults {
            return;
        }
        let Some(process) = &mut self.process else {
            if self.restarts_at <= env.now {
                self.restart(env, ids);
            }
            return;
        };
        if env.fails_once_in(4000) {
            // A SIGSTOP: past the session, past the transaction, or neither.
            self.paused_until = env.now + env.random.between(SESSION / 2, 2 * TRANSACTION_TIMEOUT);
            env.hit("a worker stood still");
            env.tell(format!("worker {} stands still", self.index));
            return;
        }
        let crashed = process.step(env).is_err();
        if let Some(steps) = process.stands_still.take() {
            self.paused_until = env.now + steps;
        }
        if crashed || process.is_over {
            self.process = None;
            self.restarts_at = env.now + env.random.between(10, SESSION * 2);
        }
    }

    /// A new process, now and then on a new machine, or with the id of another one.
    fn restart(&mut self, env: &mut Env, ids: &[String]) {
        if env.fails_once_in(8) {
            env.hit("a state folder was lost");
            let _gone = std::fs::remove_dir_all(&self.folder);
        }
        self.id = format!("worker-{}", self.index);
        if env.is_exact() && env.fails_once_in(25) {
            self.id = ids[(self.index + 1) % ids.len()].clone();
            env.hit("an id was given twice");
        }
        env.tell(format!("worker {} starts as {}", self.index, self.id));
        let epoch = env.broker.initialise(&self.id);
        let member = env.broker.join(self.index, env.now);
        self.process = Some(Process {
            index: self.index,
            id: self.id.clone(),
            epoch,
            home: Home::open(&self.folder, CACHE).expect("a state folder"),
            protocol: Protocol::new(env.mode, TOLERABLE_FAILURES),
            asked: None,
            tries: 0,
            tasks: BTreeMap::new(),
            member,
            metadata: 0,
            staged: VecDeque::new(),
            sealed: None,
            has_lost_untold: false,
            began: None,
            stands_still: None,
            settles_at: 0,
            due: env.now + INTERVAL,
            is_over: false,
        });
    }
}

impl Process {
    fn step(&mut self, env: &mut Env) -> Result<(), Crash> {
        if let Some(member) = env.broker.members.get_mut(&self.index)
            && member.id == self.member
        {
            member.beat = env.now;
        }
        // Groups are attended in the middle of a round, too.
        if env.random.once_in(4) {
            return self.poll(env);
        }
        if let Some(command) = self.asked {
            self.tries += 1;
            if let Some(event) = self.carry_out(env, command)? {
                self.asked = None;
                self.tell(env, event)?;
            }
            return Ok(());
        }
        if env.fails_once_in(3000) {
            return self.tell(env, Event::Stopping);
        }
        if env.now >= self.due {
            self.due = env.now + env.random.between(INTERVAL / 2, INTERVAL * 2);
            if self.is_dirty() {
                return self.tell(env, Event::Due);
            }
        }
        self.process(env)?;
        self.deliver(env, 3)
    }

    pub(crate) fn is_dirty(&self) -> bool {
        self.tasks.values().any(|task| task.next != task.committed)
    }

    /// Tells the protocol what happened and does what asks for no answer.
    pub(crate) fn tell(&mut self, env: &mut Env, event: Event) -> Result<(), Crash> {
        env.hit(&format!("event {event:?}"));
        let commands = self.protocol.on(event);
        env.tell(format!("worker {}: {event:?} asks for {commands:?}", self.index));
        for command in commands {
            env.hit(&format!("command {command:?}"));
            match command {
                Command::Seal => self.seal(env)?,
                Command::DropOverlays => self.drop_overlays(),
                Command::Abort => self.abort(env),
                Command::Forget => self.tasks.retain(|_, task| task.is_current),
                Command::Release => self.release(env),
                Command::Process => {}
                Command::Leave => {
                    env.broker.remove(self.index);
                    self.is_over = true;
                }
                Command::Halt(_) => self.is_over = true,
                answered => (self.asked, self.tries) = (Some(*answered), 0),
            }
        }
        Ok(())
    }

    fn drop_overlays(&mut self) {
        self.sealed = None;
        self.staged.clear();
        for task in self.tasks.values_mut() {
            task.state.drop_overlay();
        }
    }

    fn abort(&mut self, env: &mut Env) {
        // Lost now and then: the new producer sees to it.
        if env.fails_once_in(5) {
            return;
        }
        let is_mine = env
            .broker
            .producers
            .get(&self.id)
            .is_some_and(|producer| producer.epoch == self.epoch);
        if is_mine {
            env.broker.end(&self.id, crate::broker::Ending::Aborted);
        }
    }

    fn release(&mut self, env: &mut Env) {
        let index = self.index;
        self.tasks.retain(|task, at| {
            if at.is_revoked && env.broker.owner[*task] == Some(index) {
                env.broker.owner[*task] = None;
            }
            !at.is_revoked
        });
    }

    /// Sees to the group: rejoins, hears what was lost, gives up and takes over.
    fn poll(&mut self, env: &mut Env) -> Result<(), Crash> {
        if !env.broker.is_member(self.member) {
            self.member = env.broker.join(self.index, env.now);
            env.tell(format!("worker {} joins again", self.index));
            if env.keeps(LeftOut::Incarnations) {
                self.tasks.values_mut().for_each(|task| task.is_current = false);
                self.has_lost_untold = !self.tasks.is_empty();
            }
            env.hit("a zombie joined again");
            return Ok(());
        }
        if self.has_lost_untold {
            if env.random.once_in(2) {
                return Ok(());
            }
            self.has_lost_untold = false;
            return self.tell(env, Event::Lost);
        }
        let mut is_asked = false;
        for task in 0..TASKS {
            if env.broker.owner[task] != Some(self.index) {
                continue;
            }
            if env.broker.wanted[task].is_some_and(|wanted| wanted != self.index) {
                if let Some(at) = self.tasks.get_mut(&task).filter(|at| !at.is_revoked) {
                    at.is_revoked = true;
                    is_asked = true;
                } else if !self.tasks.contains_key(&task) {
                    env.broker.owner[task] = None;
                }
            } else if !self.tasks.contains_key(&task) && !env.is_pending(task) {
                self.adopt(env, task)?;
            }
        }
        if is_asked {
            env.point("in-revocation")?;
            self.tell(env, Event::Revoking)?;
        }
        Ok(())
    }

    /// A batch of one partition: counts its keys, stages the outputs. Now and then the guest fails, which leaves no
    /// change.
    fn process(&mut self, env: &mut Env) -> Result<(), Crash> {
        if self.tasks.is_empty() {
            return Ok(());
        }
        let chosen = env.random.between(0, self.tasks.len() as u64) as usize;
        let partition = env.random.between(0, PARTITIONS as u64) as usize;
        let Some((number, task)) = self.tasks.iter_mut().nth(chosen) else {
            return Ok(());
        };
        let place: Place = (*number, partition);
        let end = env.broker.input[&place].len() as u64;
        let from = task.next[partition];
        let to = end.min(from + env.random.between(1, 8));
        let fails = env.fails_once_in(100);
        let mut outputs = Vec::new();
        let (mut keys, mut values) = (Column::default(), Column::default());
        for offset in from..to {
            let key = key(partition, key_of(place, offset));
            keys.clear();
            keys.push(Some(&key));
            task.state
                .values(counts(), &keys, &mut values)
                .expect("the state is read");
            let count = count_of(values.get(0)) + 1;
            task.state.put(counts(), &key, &count.to_le_bytes());
            outputs.push(Output { place, offset, count });
            env.point("in-guest-call")?;
        }
        if fails {
            task.state.undo();
            env.hit("a guest call failed");
            return Ok(());
        }
        task.state.keep();
        task.next[partition] = to;
        self.staged.extend(outputs);
        Ok(())
    }

    /// Delivers some of what is staged. What the broker refuses is told to the protocol.
    pub(crate) fn deliver(&mut self, env: &mut Env, most: usize) -> Result<(), Crash> {
        for _ in 0..most {
            let Some(output) = self.staged.pop_front() else { break };
            if env.fails_once_in(4000) {
                self.asked = None;
                return self.tell(env, Event::OutputFailed);
            }
            if !env.is_exact() {
                env.broker.store(output, None);
            } else if env.broker.produce(&self.id, self.epoch, env.now, output).is_err() {
                self.asked = None;
                let event = self.refused(env);
                return self.tell(env, event);
            } else if self.began.is_none() {
                self.began = Some(env.now);
                env.point("after-begin")?;
            }
            env.point("mid-produce")?;
        }
        Ok(())
    }

    /// What the refusal of the epoch means: the broker's time-out, if it has passed, or another instance.
    pub(crate) fn refused(&self, env: &Env) -> Event {
        match self.began {
            Some(began) if began + TRANSACTION_TIMEOUT < env.now => Event::Expired,
            _ => Event::Fenced,
        }
    }

    /// Takes a task over: restores it to what is committed.
    fn adopt(&mut self, env: &mut Env, task: usize) -> Result<(), Crash> {
        let state = self.home.task(&task_name(task)).expect("the local state opens");
        let applied = state.applied().map_or_else(|| first(task), str::to_owned);
        let at = Task {
            state,
            next: [0; PARTITIONS],
            committed: [0; PARTITIONS],
            applied,
            seq: 0,
            is_current: true,
            incarnation: env.broker.new_id(),
            is_revoked: false,
        };
        env.tell(format!("worker {} takes task {task} over", self.index));
        let restored = self.restore(env, task, at)?;
        self.tasks.insert(task, restored);
        Ok(())
    }
}

/// A stored count.
pub(crate) fn count_of(value: Option<&[u8]>) -> u32 {
    value.map_or(0, |value| u32::from_le_bytes(value.try_into().expect("four bytes")))
}
