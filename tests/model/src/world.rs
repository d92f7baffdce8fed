//! What there is: records to read, a broker with its transactions, a store, and workers.

use super::steps::adopt;
use super::{Command, Mode, Protocol};

/// At most; a case says how many there are.
pub(crate) const TASKS: usize = 2;
/// Partitions of a task, at most.
pub(crate) const PARTITIONS: usize = 2;
/// Records of a partition, at most.
pub(crate) const RECORDS: usize = 3;
/// Rounds of a worker, at most.
pub(crate) const CHECKPOINTS: usize = 4;
/// Always.
pub(crate) const WORKERS: usize = 2;

/// 0 names no bundle; the others are a worker's n-th bundle.
pub(crate) type Pointer = u8;
/// An offset and the pointer that rides with it.
pub(crate) type Position = (u8, Pointer);
/// What one commit says of each partition; `None`: nothing.
pub(crate) type Offsets = [[Option<Position>; PARTITIONS]; TASKS];

/// What a bundle says of each task that its worker has.
pub(crate) type Frames = [Option<Frame>; TASKS];

/// The conditions of exactly-once, each of which can be left out.
#[derive(Debug, Clone, Copy)]
pub struct Conditions {
    /// 1: who reads committed offsets waits for pending ones.
    pub require_stable: bool,
    /// 2: the member's id and generation go with the offsets.
    pub group_metadata: bool,
    /// 3: a commit carries the assignment epoch that it read under.
    pub assignment_epochs: bool,
    /// 4: a commit covers the idle partitions of a task.
    pub all_partitions: bool,
    /// 5: a new producer after anything but a clean commit.
    pub reinitialise: bool,
    /// 6: an unknown outcome is resolved; without: taken for a success.
    pub resolve: bool,
    /// 7: the bundle is durable before its name is sent.
    pub bundle_first: bool,
    /// 9: what may still be committed is not collected.
    pub age: bool,
    /// Who is fenced stops; without: logs it and goes on.
    pub stop_when_fenced: bool,
}

impl Conditions {
    /// The design.
    pub const ALL: Self = Self {
        require_stable: true,
        group_metadata: true,
        assignment_epochs: true,
        all_partitions: true,
        reinitialise: true,
        resolve: true,
        bundle_first: true,
        age: true,
        stop_when_fenced: true,
    };
}

/// How often each fault may still happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Faults {
    /// A worker's process ends.
    pub crashes: u8,
    /// A worker that ended starts again.
    pub restarts: u8,
    /// The group takes a member for dead.
    pub kicks: u8,
    /// The group takes a task away in order.
    pub revocations: u8,
    /// A request is retried although it arrived, or held up: it arrives later, or never.
    pub late: u8,
    /// The answer to a commit is lost.
    pub unanswered: u8,
    /// The broker aborts an old transaction.
    pub time_outs: u8,
    /// The store, the drain, the offsets, a new producer or a look at what is committed fails.
    pub failures: u8,
    /// The store is cleaned up.
    pub collections: u8,
    /// A worker is asked to stop.
    pub stops: u8,
}

/// One model: how much there is, what may go wrong, which conditions hold.
#[derive(Debug, Clone)]
pub struct Case {
    /// Exactly once or at least once.
    pub mode: Mode,
    /// 1 or 2.
    pub tasks: usize,
    /// Of each task: 1 or 2.
    pub partitions: usize,
    /// Of each partition.
    pub records: u8,
    /// Of each worker, at most.
    pub checkpoints: u8,
    /// Both workers were given the same transactional id.
    pub same_id: bool,
    /// What may go wrong.
    pub faults: Faults,
    /// What holds.
    pub conditions: Conditions,
}

/// Everything.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct World {
    pub(crate) broker: Broker,
    pub(crate) store: [Option<Bundle>; WORKERS * CHECKPOINTS],
    pub(crate) workers: [Worker; WORKERS],
    /// What the collector is about to delete: a bit for each pointer.
    pub(crate) garbage: u16,
    pub(crate) left: Faults,
    /// The first invariant that a step broke.
    pub(crate) broken: Option<&'static str>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Broker {
    pub(crate) committed: [[Position; PARTITIONS]; TASKS],
    /// How often a read-committed reader sees each record's output.
    pub(crate) visible: [[[u8; RECORDS]; PARTITIONS]; TASKS],
    pub(crate) producers: [Producer; WORKERS],
    /// Requests that will arrive some day.
    pub(crate) late: Vec<Late>,
    pub(crate) owner: [Option<u8>; TASKS],
    pub(crate) members: [Membership; WORKERS],
}

/// What the group knows of a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Membership {
    pub(crate) id: u8,
    pub(crate) is_in: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Producer {
    pub(crate) epoch: u8,
    pub(crate) open: Option<Transaction>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Transaction {
    pub(crate) outputs: Vec<(u8, u8, u8)>,
    pub(crate) offsets: Option<Offsets>,
}

/// A request on its way.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Late {
    pub(crate) producer: usize,
    pub(crate) epoch: u8,
    pub(crate) what: Request,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Request {
    Commit,
    Offsets {
        worker: usize,
        member: u8,
        offsets: Offsets,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Bundle {
    pub(crate) frames: Frames,
    pub(crate) is_durable: bool,
    pub(crate) is_deleted: bool,
}

/// A task at a commit. The state is the number of records folded into it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Frame {
    pub(crate) next: [u8; PARTITIONS],
    pub(crate) state: u8,
    pub(crate) parent: Pointer,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Worker {
    pub(crate) is_up: bool,
    pub(crate) protocol: Protocol,
    /// The command under way.
    pub(crate) asked: Option<Command>,
    pub(crate) tasks: [Option<Task>; TASKS],
    /// The member id that it knows, and the one that it took for this commit.
    pub(crate) member: u8,
    pub(crate) metadata: u8,
    pub(crate) epoch: u8,
    pub(crate) checkpoints: u8,
    pub(crate) sealed: Option<Pointer>,
    pub(crate) has_lost_untold: bool,
    /// What survives a crash: the pointer of each task's local files.
    pub(crate) disk: [Pointer; TASKS],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Task {
    pub(crate) next: [u8; PARTITIONS],
    pub(crate) state: u8,
    pub(crate) applied: Pointer,
    /// The assignment epoch that it read under is the reader's.
    pub(crate) is_current: bool,
    pub(crate) is_revoked: bool,
}

impl World {
    /// Both workers are members, each owns the task of its number, nothing was read. Of one id only the first runs yet.
    pub(crate) fn new(case: &Case) -> Self {
        let worker = Worker::new(case, 0);
        let mut world = Self {
            broker: Broker {
                committed: Default::default(),
                visible: Default::default(),
                producers: Default::default(),
                late: Vec::new(),
                owner: [None; TASKS],
                members: [Membership { id: 0, is_in: true }; WORKERS],
            },
            store: [None; WORKERS * CHECKPOINTS],
            workers: [worker.clone(), worker],
            garbage: 0,
            left: case.faults,
            broken: None,
        };
        if case.same_id {
            world.workers[1].is_up = false;
            world.broker.members[1].is_in = false;
        }
        for task in 0..case.tasks {
            adopt(&mut world, if case.same_id { 0 } else { task }, task);
        }
        world
    }

    pub(crate) fn bundle(&self, pointer: Pointer) -> Option<&Bundle> {
        self.store[usize::from(pointer).checked_sub(1)?].as_ref()
    }

    /// The task as `pointer` says.
    pub(crate) fn frame(&self, pointer: Pointer, task: usize) -> Frame {
        const FIRST: Frame = Frame {
            next: [0; PARTITIONS],
            state: 0,
            parent: 0,
        };
        self.bundle(pointer)
            .and_then(|bundle| bundle.frames[task])
            .unwrap_or(FIRST)
    }

    /// Whether `pointer` is `of` or stands before it.
    pub(crate) fn is_ancestor(&self, pointer: Pointer, mut of: Pointer, task: usize) -> bool {
        while of != pointer && of != 0 {
            of = self.frame(of, task).parent;
        }
        of == pointer
    }

    /// Whether offsets of `task` are in a transaction that nobody decided yet.
    pub(crate) fn is_pending(&self, task: usize) -> bool {
        let open = self
            .broker
            .producers
            .iter()
            .filter_map(|producer| producer.open.as_ref());
        open.filter_map(|open| open.offsets)
            .any(|offsets| offsets[task].iter().any(Option::is_some))
    }

    pub(crate) fn break_by(&mut self, invariant: &'static str) {
        self.broken.get_or_insert(invariant);
    }
}

impl Worker {
    pub(crate) fn new(case: &Case, epoch: u8) -> Self {
        Self {
            is_up: true,
            protocol: Protocol::new(case.mode, case.faults.failures.into()),
            asked: None,
            tasks: [None; TASKS],
            member: 0,
            metadata: 0,
            epoch,
            checkpoints: 0,
            sealed: None,
            has_lost_untold: false,
            disk: [0; TASKS],
        }
    }
}

/// The name of a worker's n-th bundle.
pub(crate) fn pointer(worker: usize, checkpoint: u8) -> Pointer {
    1 + worker as u8 * CHECKPOINTS as u8 + checkpoint
}

/// The producer that a worker writes with.
pub(crate) fn producer_of(case: &Case, worker: usize) -> usize {
    if case.same_id { 0 } else { worker }
}
