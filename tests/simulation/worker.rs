//! A simulated worker: a process that runs the product's coordinator and the product's state, and can end or stand
//! still anywhere.

use crate::broker::{INPUTS, Output, PARTITIONS, Place, SESSION, TASKS, TRANSACTION_TIMEOUT, input_of, key_of};
use crate::ports::Run;
use crate::store::{Frame, first};
use crate::world::{Env, LeftOut};
use sandbar::checkpoint::Event;
use sandbar::error::{Kind, Result};
use sandbar::offset_metadata::Pointer;
use sandbar::record::Column;
use sandbar::runtime::commit::{CommitLimits, Coordinator};
use sandbar::state::{StateDirectory, StoreId, TaskState, store_id};
use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::time::Duration;

const TOLERABLE_FAILURES: u32 = 1;
/// How many steps there are between two commits, about.
const INTERVAL: u64 = 60;
const CACHE: u64 = 8 << 20;
/// A step takes a millisecond.
const LIMITS: CommitLimits = CommitLimits {
    checkpoint: Duration::from_millis(150),
    revocation: Duration::from_millis(100),
    membership: Duration::from_millis(30),
    commit: Duration::from_millis(60),
    abort: Duration::ZERO,
    reinitialise: Duration::ZERO,
    resolve: Duration::ZERO,
    last_drain: Duration::from_millis(150),
    last_commit: Duration::from_millis(200),
    least: Duration::from_millis(10),
};

/// A worker, whether its process runs or not.
pub(crate) struct Worker {
    pub(crate) index: usize,
    /// Its transactional id; after an operator's mistake another's.
    pub(crate) id: String,
    folder: PathBuf,
    /// It stands still until then.
    paused_until: u64,
    restarts_at: u64,
    process: Option<(Coordinator, Process)>,
}

/// What a process has in memory, and its state folder.
pub(crate) struct Process {
    pub(crate) index: usize,
    pub(crate) id: String,
    pub(crate) epoch: u32,
    pub(crate) home: StateDirectory,
    /// What the coordinator was not told yet.
    pub(crate) events: VecDeque<Event>,
    pub(crate) tasks: BTreeMap<usize, Task>,
    /// What it is in each group.
    pub(crate) members: [u64; INPUTS],
    /// Outputs that are staged and not delivered.
    pub(crate) staged: VecDeque<Output>,
    /// Nothing is delivered before that.
    pub(crate) stalled_until: u64,
    /// What is to be written next.
    pub(crate) frozen: BTreeMap<usize, Frame>,
    /// Under which assignments that was read.
    pub(crate) frozen_under: BTreeMap<usize, u64>,
    pub(crate) upload: Option<Upload>,
    /// What each group said to a commit at least once; `None`: nothing.
    pub(crate) answers: [Option<Event>; INPUTS],
    /// By group.
    pub(crate) has_lost_untold: [bool; INPUTS],
    /// When its transaction began.
    pub(crate) began: Option<u64>,
    /// When it was asked to stop.
    pub(crate) stopping: Option<u64>,
    /// It stands still from now on, for so long.
    pub(crate) stands_still: Option<u64>,
    /// It gets no new producer before that, so that nobody tells it what became of a commit.
    pub(crate) resolves_at: u64,
    due: u64,
    pub(crate) is_over: bool,
}

pub(crate) struct Task {
    pub(crate) state: TaskState,
    pub(crate) next: [u64; PARTITIONS],
    pub(crate) committed: [u64; PARTITIONS],
    /// Where this assignment began to read.
    pub(crate) start: [u64; PARTITIONS],
    pub(crate) applied: String,
    /// The number of the last bundle that it was given.
    pub(crate) seq: u64,
    /// The assignment that it read under is the reader's.
    pub(crate) is_current: bool,
    /// A number that is new each time that the task is taken over.
    pub(crate) assignment_epoch: u64,
    pub(crate) is_revoked: bool,
}

/// A bundle that is being written.
pub(crate) struct Upload {
    pub(crate) bundle: u64,
    pub(crate) durable_at: u64,
    pub(crate) pointers: Vec<Pointer>,
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
        let Some((coordinator, process)) = &mut self.process else {
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
        let ended = process.step(coordinator, env);
        if let Some(steps) = process.stands_still.take() {
            self.paused_until = env.now + steps;
        }
        if let Err(error) = &ended {
            env.tell(format!("worker {} ends: {}", self.index, error.what));
            assert!(error.kind != Kind::Bug, "{error}");
        }
        if ended.is_err() || process.is_over {
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
        let members = std::array::from_fn(|input| env.broker.join(self.index, input, env.now));
        let left_out = match env.left_out {
            Some(LeftOut::ByCoordinator(condition)) => Some(condition),
            _ => None,
        };
        let coordinator = Coordinator::new(env.mode, TOLERABLE_FAILURES, LIMITS, false).without(left_out);
        let process = Process {
            index: self.index,
            id: self.id.clone(),
            epoch,
            home: StateDirectory::open(&self.folder, CACHE).expect("a state folder"),
            events: VecDeque::new(),
            tasks: BTreeMap::new(),
            members,
            staged: VecDeque::new(),
            stalled_until: 0,
            frozen: BTreeMap::new(),
            frozen_under: BTreeMap::new(),
            upload: None,
            answers: [None; INPUTS],
            has_lost_untold: [false; INPUTS],
            began: None,
            stopping: None,
            stands_still: None,
            resolves_at: 0,
            due: env.now + INTERVAL,
            is_over: false,
        };
        self.process = Some((coordinator, process));
    }
}

impl Process {
    /// What the product's loop does: polls the groups, lets the coordinator work, or processes.
    fn step(&mut self, coordinator: &mut Coordinator, env: &mut Env) -> Result<()> {
        for input in 0..INPUTS {
            if let Some(member) = env.broker.members.get_mut(&(self.index, input))
                && member.id == self.members[input]
            {
                member.beat = env.now;
            }
        }
        if self.stopping.is_none() && env.fails_once_in(3000) {
            // In the middle of a checkpoint nobody is told: the coordinator sees it.
            self.stopping = Some(env.now);
            if coordinator.is_processing() {
                self.events.push_back(Event::Stopping);
            } else {
                env.hit("a stop in the middle of a checkpoint");
            }
        } else if env.random.once_in(4) {
            self.poll(env)?;
        } else if coordinator.is_processing() {
            self.process_or_begin(env)?;
        }
        let stepped = coordinator.step(&mut Run { process: self, env });
        if stepped.is_err() {
            // As the product leaves: nothing is done any more.
            self.events.push_back(Event::Stopping);
            let left = coordinator.step(&mut Run { process: self, env });
            assert!(left.is_ok_and(|has_worked| !has_worked), "it works on after an error");
        }
        stepped.map(|_| ())
    }

    fn process_or_begin(&mut self, env: &mut Env) -> Result<()> {
        if env.now >= self.due {
            self.due = env.now + env.random.between(INTERVAL / 2, INTERVAL * 2);
            self.events.push_back(Event::Due);
            return Ok(());
        }
        if env.fails_once_in(2000) {
            env.hit("a batch was given up");
            self.events.push_back(Event::Expired);
            return Ok(());
        }
        self.process(env)?;
        if let Some(event) = self.deliver(env, 3)? {
            self.events.push_back(event);
        }
        Ok(())
    }

    /// Sees to the groups.
    pub(crate) fn poll(&mut self, env: &mut Env) -> Result<()> {
        (0..INPUTS).try_for_each(|input| self.poll_group(env, input))
    }

    /// Joins again, hears what was lost, gives up and takes over.
    fn poll_group(&mut self, env: &mut Env, input: usize) -> Result<()> {
        if !env.broker.is_member(self.index, input, self.members[input]) {
            self.members[input] = env.broker.join(self.index, input, env.now);
            env.tell(format!("worker {} joins group {input} again", self.index));
            for (_, task) in self.tasks.iter_mut().filter(|(task, _)| input_of(**task) == input) {
                task.is_current = false;
                self.has_lost_untold[input] = true;
            }
            env.hit("a zombie joined again");
            return Ok(());
        }
        if self.has_lost_untold[input] {
            if env.random.once_in(2) {
                return Ok(());
            }
            self.has_lost_untold[input] = false;
            self.tasks.retain(|task, at| at.is_current || input_of(*task) != input);
            self.events.push_back(Event::Lost);
            return Ok(());
        }
        let mut is_asked = false;
        for task in (0..TASKS).filter(|task| input_of(*task) == input) {
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
            self.events.push_back(Event::Revoking);
        }
        Ok(())
    }

    /// A batch of one partition: counts its keys, stages the outputs. Now and then the guest fails, which leaves no
    /// change.
    fn process(&mut self, env: &mut Env) -> Result<()> {
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

    /// Delivers some of what is staged. A transaction that is gone is told to the protocol; any other output that is
    /// not taken ends the run.
    pub(crate) fn deliver(&mut self, env: &mut Env, most: usize) -> Result<Option<Event>> {
        for _ in 0..most {
            let Some(output) = self.staged.pop_front() else { break };
            if env.fails_once_in(4000) {
                env.hit("an output was not delivered");
                // It takes along what else is on its way.
                self.staged.clear();
                return match env.is_exact() || env.random.once_in(2) {
                    true => Ok(Some(Event::Expired)),
                    false => Err(crate::world::killed("by an output that is not taken")),
                };
            }
            if !env.is_exact() {
                env.broker.store(output, None);
            } else if env.broker.produce(&self.id, self.epoch, env.now, output).is_err() {
                return self.refused(env).map(Some);
            } else if self.began.is_none() {
                self.began = Some(env.now);
                env.point("after-begin")?;
            }
            env.point("mid-produce")?;
        }
        Ok(None)
    }

    /// What the refusal of the epoch means to an output: the broker's time-out, if it has passed, or another instance,
    /// which ends the run.
    fn refused(&self, env: &Env) -> Result<Event> {
        match self.refusal(env) {
            Event::Expired => Ok(Event::Expired),
            _ => Err(crate::world::killed("by another instance")),
        }
    }

    /// The same to a commit.
    pub(crate) fn refusal(&self, env: &Env) -> Event {
        match self.began {
            Some(began) if began + TRANSACTION_TIMEOUT < env.now => Event::Expired,
            _ => Event::Fenced,
        }
    }

    /// Takes a task over: restores it to what is committed.
    fn adopt(&mut self, env: &mut Env, task: usize) -> Result<()> {
        env.tell(format!("worker {} takes task {task} over", self.index));
        let state = self.home.task(&task_name(task)).expect("the local state opens");
        let applied = state.applied().map_or_else(|| first(task), str::to_owned);
        let next = std::array::from_fn(|partition| env.broker.committed[&(task, partition)].0);
        let (_, pointer) = env.broker.committed[&(task, 0)].clone();
        let at = Task {
            state,
            next,
            committed: next,
            start: next,
            applied,
            seq: 0,
            is_current: true,
            assignment_epoch: env.broker.new_id(),
            is_revoked: false,
        };
        let mut restored = self.restore(env, task, at, &pointer)?;
        crate::restore::verify(env, task, &mut restored);
        self.tasks.insert(task, restored);
        Ok(())
    }
}

/// A stored count.
pub(crate) fn count_of(value: Option<&[u8]>) -> u32 {
    value.map_or(0, |value| u32::from_le_bytes(value.try_into().expect("four bytes")))
}
