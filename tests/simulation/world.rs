//! One simulated world: what there is beside the workers, and whose turn it is.

use crate::audit::Audit;
use crate::broker::{Broker, Ending, INPUTS, Late, Offsets, PARTITIONS, Request, TASKS, TRANSACTION_TIMEOUT, places};
use crate::random::Random;
use crate::store::{Store, first};
use crate::worker::Worker;
use sandbar::checkpoint::Mode;
use sandbar::error::{Error, Kind, Result};
use std::collections::{BTreeMap, VecDeque};
use std::path::Path;

const WORKERS: usize = 3;
/// How many steps a world may take to become quiet once nothing goes wrong any more.
const QUIET_WITHIN: u64 = 60_000;
/// Collected is what is older than twice the longest transaction.
const AGE: u64 = 2 * TRANSACTION_TIMEOUT;

/// What was hit, and how often.
pub(crate) type Table = BTreeMap<String, u64>;

/// A condition that the workers do not keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LeftOut {
    /// The group tells offsets that a transaction is about to change.
    RequireStable,
    /// The store says that a bundle is durable before it is.
    BundleFirst,
    /// One of the coordinator's own.
    ByCoordinator(sandbar::runtime::commit::BrokenCondition),
}

/// A process ended: whoever gets this stops where it is.
pub(crate) fn killed(how: &str) -> Error {
    Error::new(Kind::Failed, format!("killed {how}"), "it is simulated")
}

/// Everything but the workers.
pub(crate) struct Env {
    pub(crate) mode: Mode,
    pub(crate) random: Random,
    pub(crate) now: u64,
    pub(crate) broker: Broker,
    pub(crate) store: Store,
    pub(crate) audit: Audit,
    pub(crate) table: Table,
    /// Things go wrong.
    pub(crate) has_faults: bool,
    /// A condition that is left out, to see that this is found.
    pub(crate) left_out: Option<LeftOut>,
    /// Commits are often in doubt, and resolved when others have gone on with the tasks.
    pub(crate) resolves_late: bool,
    /// Workers often stand still in the middle of a checkpoint.
    pub(crate) stands_still_often: bool,
    /// The last things that happened.
    pub(crate) history: VecDeque<String>,
}

impl Env {
    pub(crate) fn is_exact(&self) -> bool {
        self.mode == Mode::ExactlyOnce
    }

    pub(crate) fn hit(&mut self, what: &str) {
        if let Some(times) = self.table.get_mut(what) {
            *times += 1;
        } else {
            self.table.insert(what.to_owned(), 1);
        }
    }

    pub(crate) fn tell(&mut self, what: String) {
        if self.history.len() == 80 {
            self.history.pop_front();
        }
        self.history.push_back(format!("{}: {what}", self.now));
    }

    /// Something goes wrong, once in `times`.
    pub(crate) fn fails_once_in(&mut self, times: u64) -> bool {
        self.has_faults && self.random.once_in(times)
    }

    pub(crate) fn keeps(&self, condition: LeftOut) -> bool {
        self.left_out != Some(condition)
    }

    /// Whether the committed offsets of a task have to be waited for.
    pub(crate) fn is_pending(&self, task: usize) -> bool {
        self.keeps(LeftOut::RequireStable) && self.broker.is_pending(task)
    }

    /// A place at which a process may end.
    pub(crate) fn point(&mut self, name: &str) -> Result<()> {
        let odds = match name {
            "mid-base" | "mid-collection" | "in-revocation" => 40,
            "mid-restore" | "in-reinitialise" => 150,
            "mid-produce" | "in-guest-call" => 6000,
            _ => 1500,
        };
        if !self.fails_once_in(odds) {
            return Ok(());
        }
        self.hit(&format!("killed {name}"));
        self.tell(format!("killed {name}"));
        Err(killed(name))
    }

    /// The commit of a transaction arrives.
    pub(crate) fn commit(&mut self, id: &str) {
        if let Some((_, offsets)) = self.broker.end(id, Ending::Committed) {
            self.commit_offsets(offsets);
        }
    }

    pub(crate) fn commit_offsets(&mut self, offsets: Offsets) {
        let before = self.broker.committed.clone();
        self.tell(format!("committed {offsets:?}"));
        self.broker.committed.extend(offsets.clone());
        self.audit.committed(&self.broker, &self.store, &before, &offsets);
    }

    pub(crate) fn hold_up(&mut self, id: &str, epoch: u32, what: Request) {
        // Soon, or when everybody has forgotten it.
        let longest = if self.random.once_in(2) {
            20
        } else {
            TRANSACTION_TIMEOUT
        };
        let arrives = self.now + self.random.between(1, longest);
        self.broker.late.push(Late {
            arrives,
            id: id.to_owned(),
            epoch,
            what,
        });
    }

    fn step(&mut self) {
        if self.has_faults && self.random.once_in(6) {
            let task = self.random.between(0, TASKS as u64) as usize;
            let partition = self.random.between(0, PARTITIONS as u64) as usize;
            let records = self.random.between(1, 5);
            self.broker.append_input((task, partition), records);
        }
        self.arrivals();
        self.time_outs();
        self.collection();
        if self.random.once_in(20) {
            self.broker.balance(&mut self.random);
        }
        if self.random.once_in(10) {
            self.audit.read(&mut self.broker);
            if self.broker.producers.values().all(|producer| producer.open.is_none()) {
                self.audit.all_read(&mut self.broker);
            }
        }
    }

    fn arrivals(&mut self) {
        let Some(index) = self.broker.late.iter().position(|late| late.arrives <= self.now) else {
            return;
        };
        let Late { id, epoch, what, .. } = self.broker.late.swap_remove(index);
        let is_current = self
            .broker
            .producers
            .get(&id)
            .is_some_and(|producer| producer.epoch == epoch);
        let is_open = is_current && self.broker.producers[&id].open.is_some();
        match what {
            Request::Commit => {
                self.hit(if is_open {
                    "a late commit arrived"
                } else {
                    "a late commit met a new epoch"
                });
                if is_current {
                    self.commit(&id);
                }
            }
            Request::Offsets { member, offsets } => {
                self.hit(if is_open {
                    "late offsets arrived"
                } else {
                    "late offsets met a new epoch"
                });
                if is_open && self.broker.takes(member, &offsets) {
                    let _late = self.broker.add_offsets(&id, epoch, self.now, member, offsets);
                }
            }
            Request::PlainOffsets { member, offsets } => {
                let is_member = self.broker.takes(member, &offsets);
                self.hit(if is_member {
                    "a late commit arrived"
                } else {
                    "a late commit met a new member"
                });
                if is_member {
                    self.commit_offsets(offsets);
                }
            }
        }
    }

    fn time_outs(&mut self) {
        let now = self.now;
        let old = |open: &crate::broker::Transaction| open.began + TRANSACTION_TIMEOUT < now;
        let id = self
            .broker
            .producers
            .iter()
            .find(|(_, producer)| producer.open.as_ref().is_some_and(old))
            .map(|(id, _)| id.clone());
        if let Some(id) = id {
            self.hit("a transaction timed out");
            self.tell(format!("transaction of {id} timed out"));
            self.broker.initialise(&id);
        }
        let dead = self
            .broker
            .members
            .iter()
            .find(|(_, member)| member.beat + crate::broker::SESSION < now)
            .map(|(of, _)| *of);
        if let Some((worker, input)) = dead {
            self.hit("a member was taken for dead");
            self.tell(format!("worker {worker} is taken for dead by group {input}"));
            self.broker.remove(worker, input);
        }
        // The member of the other group goes on.
        if self.fails_once_in(3000) {
            let worker = self.random.between(0, WORKERS as u64) as usize;
            let input = self.random.between(0, INPUTS as u64) as usize;
            self.hit("one group of two took a member for dead");
            self.tell(format!("worker {worker} is taken for dead by group {input} alone"));
            self.broker.remove(worker, input);
        }
    }

    fn collection(&mut self) {
        if self.store.garbage.is_empty() {
            if self.random.once_in(700) {
                self.store.list(&self.broker, self.now, AGE);
            }
            return;
        }
        if !self.random.once_in(20) {
            return;
        }
        if self.point("mid-collection").is_err() {
            self.store.garbage.clear();
        } else if let Some(name) = self.store.garbage.pop_first() {
            self.store.bundles.remove(&name);
            self.hit("a bundle was collected");
        }
    }
}

/// A world with its workers.
pub(crate) struct World {
    pub(crate) env: Env,
    workers: Vec<Worker>,
}

impl World {
    pub(crate) fn new(mode: Mode, seed: u64, folder: &Path) -> Self {
        let stored = folder.join("store");
        std::fs::create_dir_all(&stored).expect("a folder");
        Self {
            env: Env {
                mode,
                random: Random::new(seed),
                now: 0,
                broker: Broker::new(first),
                store: Store::new(&stored),
                audit: Audit::new(mode == Mode::ExactlyOnce),
                table: Table::new(),
                has_faults: true,
                left_out: None,
                resolves_late: false,
                stands_still_often: false,
                history: VecDeque::new(),
            },
            workers: (0..WORKERS).map(|index| Worker::new(index, folder)).collect(),
        }
    }

    /// So many steps in which things go wrong; then, I12, everything is processed and committed.
    pub(crate) fn run(&mut self, steps: u64) {
        for _ in 0..steps {
            self.step();
        }
        self.env.has_faults = false;
        let until = self.env.now + QUIET_WITHIN;
        while !self.is_quiet() {
            assert!(self.env.now < until, "I12: without faults the lag does not go to 0");
            self.step();
        }
        self.env.audit.all_read(&mut self.env.broker);
    }

    fn step(&mut self) {
        self.env.now += 1;
        self.env.step();
        let index = self.env.random.between(0, self.workers.len() as u64) as usize;
        let ids: Vec<String> = self.workers.iter().map(|worker| worker.id.clone()).collect();
        self.workers[index].step(&mut self.env, &ids);
    }

    fn is_quiet(&self) -> bool {
        let broker = &self.env.broker;
        let is_open = broker.producers.values().any(|producer| producer.open.is_some());
        !is_open && places().all(|place| broker.committed[&place].0 == broker.input[&place].len() as u64)
    }
}
