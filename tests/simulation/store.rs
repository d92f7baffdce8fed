//! The simulated checkpoint store: bundles with real deltas, bases with real files, and a collector.

use crate::broker::{Broker, PARTITIONS, TASKS};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// What a bundle holds of a task.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    pub(crate) seq: u64,
    pub(crate) parent: String,
    pub(crate) next: [u64; PARTITIONS],
    pub(crate) delta: Vec<u8>,
}

#[derive(Debug)]
pub(crate) struct Bundle {
    pub(crate) written: u64,
    pub(crate) frames: BTreeMap<usize, Frame>,
    pub(crate) is_durable: bool,
}

#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) bundles: BTreeMap<u64, Bundle>,
    /// By the pointer that they are the state of.
    bases: BTreeMap<String, PathBuf>,
    folder: PathBuf,
    /// What the collector is about to delete.
    pub(crate) garbage: BTreeSet<u64>,
}

/// The pointer to a task's frame in a bundle.
pub(crate) fn pointer(bundle: u64, task: usize, seq: u64) -> String {
    format!("sb1:{bundle:012}:in/{task}:{seq}:0123456789abcdef")
}

/// The pointer that names no bundle.
pub(crate) fn first(task: usize) -> String {
    format!("sb1:-:in/{task}:0:-")
}

fn bundle_of(pointer: &str) -> Option<u64> {
    pointer.split(':').nth(1)?.parse().ok()
}

/// How far the chain from a pointer back to another goes.
pub(crate) struct Chain {
    /// Pointers, the oldest first, whose deltas are to be redone.
    pub(crate) redo: Vec<String>,
    /// The base below them.
    pub(crate) base: Option<PathBuf>,
    /// The chain begins at what the caller has.
    pub(crate) is_local: bool,
}

impl Store {
    pub(crate) fn new(folder: &Path) -> Self {
        Self {
            bundles: BTreeMap::new(),
            bases: BTreeMap::new(),
            folder: folder.to_owned(),
            garbage: BTreeSet::new(),
        }
    }

    /// The durable frame that a pointer names.
    pub(crate) fn frame(&self, pointer: &str, task: usize) -> Option<&Frame> {
        let bundle = self.bundles.get(&bundle_of(pointer)?)?;
        bundle.frames.get(&task).filter(|_| bundle.is_durable)
    }

    /// The way from `local`, or a base, or nothing, to `pointer`; an error names the bundle that is missing.
    pub(crate) fn chain(&self, pointer: &str, task: usize, local: Option<&str>) -> Result<Chain, String> {
        let mut at = pointer.to_owned();
        let mut redo = Vec::new();
        loop {
            let is_local = local == Some(&at);
            let base = self.bases.get(&at).filter(|_| !is_local).cloned();
            if is_local || base.is_some() || bundle_of(&at).is_none() {
                redo.reverse();
                return Ok(Chain { redo, base, is_local });
            }
            let frame = self
                .frame(&at, task)
                .ok_or_else(|| format!("{pointer} reaches {at}, which is not in the store"))?;
            redo.push(std::mem::replace(&mut at, frame.parent.clone()));
        }
    }

    /// Whether `pointer` is `of` or before it.
    pub(crate) fn is_ancestor(&self, pointer: &str, of: &str, task: usize) -> bool {
        let mut at = of.to_owned();
        loop {
            if at == pointer {
                return true;
            }
            let Some(frame) = self.frame(&at, task) else {
                return false;
            };
            at = frame.parent.clone();
        }
    }

    /// Where a base's files are to be put.
    pub(crate) fn base_folder(&self, number: u64) -> PathBuf {
        self.folder.join(format!("base-{number}"))
    }

    /// A base is whole: it counts from now on, and the task's oldest goes when there are more than two.
    pub(crate) fn add_base(&mut self, pointer: &str, task: usize, files: PathBuf) {
        self.bases.insert(pointer.to_owned(), files);
        let of_task = |pointer: &String| self.frame(pointer, task).map(|frame| frame.seq);
        let mut bases: Vec<(u64, String)> = self
            .bases
            .keys()
            .filter_map(|pointer| Some((of_task(pointer)?, pointer.clone())))
            .filter(|(_, pointer)| pointer.contains(&format!(":in/{task}:")))
            .collect();
        bases.sort();
        for (_, old) in bases.iter().rev().skip(2) {
            if let Some(files) = self.bases.remove(old) {
                let _gone = std::fs::remove_dir_all(files);
            }
        }
    }

    /// Lists, then reads what is committed: what is old and not reached will be deleted.
    pub(crate) fn list(&mut self, broker: &Broker, now: u64, age: u64) {
        let old = |bundle: &Bundle| bundle.written + age < now;
        let mut garbage: BTreeSet<u64> = self
            .bundles
            .iter()
            .filter(|(_, bundle)| old(bundle))
            .map(|(name, _)| *name)
            .collect();
        for task in 0..TASKS {
            let mut at = broker.committed[&(task, 0)].1.clone();
            while let Some(name) = bundle_of(&at) {
                garbage.remove(&name);
                let Some(frame) = self.frame(&at, task) else { break };
                at = frame.parent.clone();
            }
        }
        self.garbage = garbage;
    }
}
