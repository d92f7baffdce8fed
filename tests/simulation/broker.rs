//! The simulated broker: inputs, outputs with their transactions, the groups and their offsets. It judges nothing;
//! `audit` does.

use crate::random::Random;
use std::collections::{BTreeMap, VecDeque};

/// Tasks; each has two partitions, so that one of them is idle at times.
pub(crate) const TASKS: usize = 4;
/// Groups that share the tasks out, each its own; every worker has a member of each.
pub(crate) const INPUTS: usize = 2;
/// Partitions of a task.
pub(crate) const PARTITIONS: usize = 2;
/// Keys of a partition.
pub(crate) const KEYS: usize = 5;
/// A member that does nothing for so many steps is taken for dead.
pub(crate) const SESSION: u64 = 400;
/// A transaction that is older is aborted.
pub(crate) const TRANSACTION_TIMEOUT: u64 = 900;

/// A task and one of its partitions.
pub(crate) type Place = (usize, usize);
/// Next offset, and the pointer that rides with it.
pub(crate) type Position = (u64, String);
/// What a commit says.
pub(crate) type Offsets = BTreeMap<Place, Position>;

/// The group that shares a task out.
pub(crate) fn input_of(task: usize) -> usize {
    task % INPUTS
}

/// Every place.
pub(crate) fn places() -> impl Iterator<Item = Place> {
    (0..TASKS).flat_map(|task| (0..PARTITIONS).map(move |partition| (task, partition)))
}

/// An output: the record that caused it, and the count that its key had then.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    pub(crate) place: Place,
    pub(crate) offset: u64,
    pub(crate) count: u32,
}

/// An output in the log, and the transaction that it is in.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) output: Output,
    pub(crate) transaction: Option<u64>,
}

/// How a transaction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    Committed,
    Aborted,
}

#[derive(Debug)]
pub(crate) struct Transaction {
    pub(crate) id: u64,
    pub(crate) began: u64,
    pub(crate) offsets: Option<Offsets>,
}

#[derive(Debug, Default)]
pub(crate) struct Producer {
    pub(crate) epoch: u32,
    pub(crate) open: Option<Transaction>,
}

/// A refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The epoch is not the producer's.
    Epoch,
    /// The member is not one.
    Member,
}

/// A request that was held up, or sent a second time.
#[derive(Debug)]
pub(crate) struct Late {
    pub(crate) arrives: u64,
    pub(crate) id: String,
    pub(crate) epoch: u32,
    pub(crate) what: Request,
}

#[derive(Debug)]
pub(crate) enum Request {
    Commit,
    Offsets { member: u64, offsets: Offsets },
    PlainOffsets { member: u64, offsets: Offsets },
}

/// A member of a group.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Member {
    pub(crate) id: u64,
    pub(crate) beat: u64,
}

#[derive(Debug)]
pub(crate) struct Broker {
    /// For each record of each partition the count that its key has with it.
    pub(crate) input: BTreeMap<Place, Vec<u32>>,
    pub(crate) outputs: BTreeMap<Place, VecDeque<Stored>>,
    pub(crate) committed: BTreeMap<Place, Position>,
    pub(crate) producers: BTreeMap<String, Producer>,
    pub(crate) endings: BTreeMap<u64, Ending>,
    pub(crate) late: Vec<Late>,
    /// By worker and group.
    pub(crate) members: BTreeMap<(usize, usize), Member>,
    pub(crate) owner: [Option<usize>; TASKS],
    /// Who is to get a task once its owner gave it up.
    pub(crate) wanted: [Option<usize>; TASKS],
    ids: u64,
}

/// The key of a record.
pub(crate) fn key_of(place: Place, offset: u64) -> usize {
    let mixed = (offset + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (place.0 * 7 + place.1) as u64;
    (mixed >> 32) as usize % KEYS
}

impl Broker {
    pub(crate) fn new(first: impl Fn(usize) -> String) -> Self {
        Self {
            input: places().map(|place| (place, Vec::new())).collect(),
            outputs: places().map(|place| (place, VecDeque::new())).collect(),
            committed: places().map(|place| (place, (0, first(place.0)))).collect(),
            producers: BTreeMap::new(),
            endings: BTreeMap::new(),
            late: Vec::new(),
            members: BTreeMap::new(),
            owner: [None; TASKS],
            wanted: [None; TASKS],
            ids: 0,
        }
    }

    /// A number that was never given before.
    pub(crate) fn new_id(&mut self) -> u64 {
        self.ids += 1;
        self.ids
    }

    pub(crate) fn append_input(&mut self, place: Place, records: u64) {
        let counts = self.input.entry(place).or_default();
        for _ in 0..records {
            let offset = counts.len() as u64;
            let key = key_of(place, offset);
            let before = (0..offset).rev().find(|before| key_of(place, *before) == key);
            counts.push(before.map_or(0, |before| counts[before as usize]) + 1);
        }
    }

    /// The counts of a partition's keys, of the records below `next`.
    pub(crate) fn fold(&self, place: Place, next: u64) -> [u32; KEYS] {
        std::array::from_fn(|key| {
            let last = (0..next).rev().find(|offset| key_of(place, *offset) == key);
            last.map_or(0, |offset| self.input[&place][offset as usize])
        })
    }

    /// Initialises a producer: what the one before left open is aborted.
    pub(crate) fn initialise(&mut self, id: &str) -> u32 {
        self.end(id, Ending::Aborted);
        let producer = self.producers.entry(id.to_owned()).or_default();
        producer.epoch += 1;
        producer.epoch
    }

    /// Ends the open transaction; what it committed.
    pub(crate) fn end(&mut self, id: &str, ending: Ending) -> Option<(u64, Offsets)> {
        let open = self.producers.get_mut(id)?.open.take()?;
        self.endings.insert(open.id, ending);
        Some((open.id, open.offsets.unwrap_or_default())).filter(|_| ending == Ending::Committed)
    }

    /// The open transaction of a producer; the first request begins it.
    fn open(&mut self, id: &str, epoch: u32, now: u64) -> Result<&mut Transaction, Refusal> {
        let fresh = self.new_id();
        let producer = self.producers.get_mut(id).filter(|producer| producer.epoch == epoch);
        let producer = producer.ok_or(Refusal::Epoch)?;
        Ok(producer.open.get_or_insert(Transaction {
            id: fresh,
            began: now,
            offsets: None,
        }))
    }

    pub(crate) fn produce(&mut self, id: &str, epoch: u32, now: u64, output: Output) -> Result<(), Refusal> {
        let transaction = self.open(id, epoch, now)?.id;
        self.store(output, Some(transaction));
        Ok(())
    }

    pub(crate) fn store(&mut self, output: Output, transaction: Option<u64>) {
        let log = self.outputs.entry(output.place).or_default();
        log.push_back(Stored { output, transaction });
    }

    pub(crate) fn add_offsets(
        &mut self,
        id: &str,
        epoch: u32,
        now: u64,
        member: u64,
        offsets: Offsets,
    ) -> Result<(), Refusal> {
        if self.producers.get(id).is_none_or(|producer| producer.epoch != epoch) {
            return Err(Refusal::Epoch);
        }
        if !self.takes(member, &offsets) {
            return Err(Refusal::Member);
        }
        let open = self.open(id, epoch, now)?;
        open.offsets.get_or_insert_default().extend(offsets);
        Ok(())
    }

    /// Whether the group of `member`, which is in it now, has these offsets.
    pub(crate) fn takes(&self, member: u64, offsets: &Offsets) -> bool {
        let input = self.members.iter().find(|(_, other)| other.id == member);
        input.is_some_and(|((_, input), _)| offsets.keys().all(|place| input_of(place.0) == *input))
    }

    /// Whether the member that the worker has for a group is in it now.
    pub(crate) fn is_member(&self, worker: usize, input: usize, member: u64) -> bool {
        self.members
            .get(&(worker, input))
            .is_some_and(|other| other.id == member)
    }

    /// Whether offsets of `task` wait for the end of a transaction.
    pub(crate) fn is_pending(&self, task: usize) -> bool {
        let open = self.producers.values().filter_map(|producer| producer.open.as_ref());
        open.filter_map(|open| open.offsets.as_ref())
            .any(|offsets| offsets.keys().any(|place| place.0 == task))
    }

    /// The worker is a member of a group from now on, a new one.
    pub(crate) fn join(&mut self, worker: usize, input: usize, now: u64) -> u64 {
        self.remove(worker, input);
        let id = self.new_id();
        self.members.insert((worker, input), Member { id, beat: now });
        id
    }

    /// The worker is no member of the group any more, and owns nothing of it.
    pub(crate) fn remove(&mut self, worker: usize, input: usize) {
        self.members.remove(&(worker, input));
        for task in (0..TASKS).filter(|task| input_of(*task) == input) {
            if self.owner[task] == Some(worker) {
                self.owner[task] = None;
            }
            if self.wanted[task] == Some(worker) {
                self.wanted[task] = None;
            }
        }
    }

    /// A group gives tasks that nobody owns to whoever has least, and asks for one of whoever has two more than
    /// another.
    pub(crate) fn balance(&mut self, random: &mut Random) {
        let input = random.between(0, INPUTS as u64) as usize;
        let tasks: Vec<usize> = (0..TASKS).filter(|task| input_of(*task) == input).collect();
        let members = self.members.keys().filter(|(_, of)| *of == input);
        let mut load: BTreeMap<usize, usize> = members.map(|(worker, _)| (*worker, 0)).collect();
        let least =
            |load: &BTreeMap<usize, usize>| load.iter().min_by_key(|(_, tasks)| **tasks).map(|(worker, _)| *worker);
        for task in &tasks {
            if let Some(worker) = self.wanted[*task].or(self.owner[*task]) {
                *load.entry(worker).or_default() += 1;
            }
        }
        for task in tasks.iter().copied() {
            if self.owner[task].is_none() {
                let next = self.wanted[task].take().or_else(|| least(&load));
                self.owner[task] = next;
                if let Some(worker) = next {
                    *load.entry(worker).or_default() += 1;
                }
            }
        }
        let task = tasks[random.between(0, tasks.len() as u64) as usize];
        if let (Some(owner), None, Some(poorest)) = (self.owner[task], self.wanted[task], least(&load))
            && (load[&owner] > load[&poorest] + 1 || owner != poorest && random.once_in(40))
        {
            self.wanted[task] = Some(poorest);
        }
    }
}
