//! The tasks of a worker: which it owns, and how the state of each comes back.
//!
//! Always: between two commits a task's overlay holds exactly the changes of the records behind its committed offsets.

use super::checkpoints::{Checkpoints, Restored};
use super::committed::{CommittedPartition, by_pointer, common_pointer};
use super::owned::OwnedTask;
use super::restore::{RestoreEvent, Restoring};
use crate::checkpoint::{Stops, TaskFrame};
use crate::clock;
use crate::config::{Offsets, PartitionCounts};
use crate::error::Result;
use crate::metrics;
use crate::offset_metadata::Pointer;
use crate::record::TopicPartition;
use crate::runtime::lifecycle::RunEvent;
use crate::source::{ResolvedStart, StartOrigin};
use crate::state::TaskState;
use crate::task_id::{self, TaskIds};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// Overlays of one worker that are larger than this do not wait for the interval.
pub(in crate::runtime) const OVERLAY_LIMIT: usize = 32 << 20;

/// The tasks of one worker, by name.
pub(in crate::runtime) struct TaskManager {
    shared: Checkpoints,
    tell: Box<dyn Fn(RunEvent) + Send>,
    tasks: BTreeMap<String, OwnedTask>,
    /// How many partitions the topics of a set have whose keys have state; by the source that its tasks are called
    /// after.
    counts: BTreeMap<String, PartitionCounts>,
    /// Tasks that are taken over and have no state yet, in their turn.
    restoring: VecDeque<Restoring>,
    /// How many pieces of all restores were done when this worker last looked.
    pieces: u64,
    /// The state of what is no task.
    none: Option<TaskState>,
}

impl TaskManager {
    /// `tell` hears of restores that take long.
    pub(in crate::runtime) fn new(shared: Checkpoints, tell: impl Fn(RunEvent) + Send + 'static) -> Self {
        Self {
            shared,
            tell: Box::new(tell),
            tasks: BTreeMap::new(),
            counts: BTreeMap::new(),
            restoring: VecDeque::new(),
            pieces: 0,
            none: None,
        }
    }

    /// Notes how many partitions the topics of a set have, for its bundles.
    pub(in crate::runtime) fn note_counts(&mut self, task_ids: &TaskIds, counts: PartitionCounts) {
        self.counts.insert(task_ids.source().to_owned(), counts);
    }

    /// Takes over the tasks of partitions that were assigned. The state of each is brought back by
    /// [`restore`](Self::restore), as far as that takes time.
    ///
    /// Errors: `Corrupt`, the offsets of a task name different checkpoints.
    pub(in crate::runtime) fn take(&mut self, task_ids: &TaskIds, placed: &[ResolvedStart]) -> Result<()> {
        let mut arrived: BTreeMap<String, Vec<CommittedPartition>> = BTreeMap::new();
        for placed in placed {
            let is_moved = matches!(placed.origin, StartOrigin::OutOfRange(_));
            let held = (
                placed.partition.clone(),
                (!is_moved).then_some(placed.from),
                placed.metadata.clone(),
            );
            arrived.entry(task_ids.task(&placed.partition)).or_default().push(held);
        }
        arrived.retain(|name, _| !self.has_joined_by(name));
        arrived
            .iter()
            .try_for_each(|(name, partitions)| self.go_back(name, partitions))
    }

    /// Whether a task of that name is here already; then partitions joined it.
    fn has_joined_by(&mut self, name: &str) -> bool {
        if let Some(task) = self.tasks.get_mut(name) {
            task.has_joined = task.pointer.bundle.is_some();
            return true;
        }
        match self.restoring.iter_mut().find(|of| of.task == name) {
            Some(of) => {
                of.has_joined = of.pointer.bundle.is_some();
                true
            }
            None => false,
        }
    }

    /// Whether a task waits for its state. Nothing is processed meanwhile.
    pub(in crate::runtime) fn is_restoring(&self) -> bool {
        !self.restoring.is_empty()
    }

    /// Goes on with what is to be brought back, and waits up to `limit` for it. Whether it came nearer.
    ///
    /// Errors: `Corrupt`, a checkpoint cannot be had.
    pub(in crate::runtime) fn restore(&mut self, limit: Duration) -> Result<bool> {
        let Some(next) = self.restoring.front_mut() else {
            return Ok(false);
        };
        match next.hear(&self.shared, limit)? {
            None => {
                let pieces = self.shared.under_way.pieces();
                Ok(std::mem::replace(&mut self.pieces, pieces) != pieces)
            }
            Some(RestoreEvent::Progress(notice)) => {
                (self.tell)(notice);
                Ok(true)
            }
            Some(RestoreEvent::Done(restored)) => {
                if let Some(done) = self.restoring.pop_front() {
                    self.put(done, restored?);
                }
                Ok(true)
            }
        }
    }

    fn put(&mut self, done: Restoring, restored: Restored) {
        let mut task = OwnedTask::new(restored, done.pointer);
        task.seq = task.seq.max(done.seq);
        task.has_joined = done.has_joined;
        self.tasks.insert(done.task, task);
    }

    /// Takes over a task that has no committed offsets, with no state.
    pub(in crate::runtime) fn begin(&mut self, name: &str) -> Result<()> {
        self.go_back(name, &[])
    }

    /// Without checkpoints nothing else empties the overlays: they go to the local files when they are large.
    pub(in crate::runtime) fn spill(&mut self) -> Result<()> {
        if self.overlay_bytes() < OVERLAY_LIMIT {
            return Ok(());
        }
        for task in self.tasks.values_mut() {
            if let Some(state) = &mut task.state {
                state.apply(&task.pointer.to_string())?;
            }
        }
        Ok(())
    }

    /// Whether a task waits for a checkpoint though nothing was read: a partition joined it, stores of it are dropped,
    /// or its state changed because time moved.
    pub(in crate::runtime) fn owes_checkpoint(&self) -> bool {
        self.tasks.values().any(OwnedTask::owes_checkpoint)
    }

    /// Whether that task does.
    pub(in crate::runtime) fn owes(&self, name: &str) -> bool {
        self.tasks.get(name).is_some_and(OwnedTask::owes_checkpoint)
    }

    /// What is known of a task's partitions goes to the group with the next checkpoint, whether or not anything is
    /// read.
    pub(in crate::runtime) fn tell_group(&mut self, name: &str) {
        if let Some(task) = self.tasks.get_mut(name) {
            task.has_news = true;
        }
    }

    /// Whether a task is here, with its state.
    pub(in crate::runtime) fn has(&self, name: &str) -> bool {
        self.tasks.contains_key(name)
    }

    /// The state of a task.
    pub(in crate::runtime) fn state(&mut self, name: &str) -> &mut Option<TaskState> {
        self.tasks.get_mut(name).map_or(&mut self.none, |task| &mut task.state)
    }

    /// What a bundle holds: every task, idle ones too.
    pub(in crate::runtime) fn frames(&mut self, mut held: BTreeMap<String, (Offsets, Stops)>) -> Vec<TaskFrame> {
        let counts = &self.counts;
        let frame = |(name, task): (&String, &mut OwnedTask)| {
            task.seq += 1;
            let mut delta = Vec::new();
            if let Some(state) = &task.state {
                state.delta(&mut delta);
            }
            task.delta_bytes += delta.len() as u64;
            let (offsets, stops) = held.remove(name).unwrap_or_default();
            TaskFrame {
                task: name.clone(),
                seq: task.seq,
                parent: task.pointer.clone(),
                base: task.base.clone(),
                offsets,
                stops,
                partition_counts: counts.get(task_id::source_of(name)).cloned().unwrap_or_default(),
                stores: task.stores.clone(),
                delta,
            }
        };
        self.tasks.iter_mut().map(frame).collect()
    }

    /// A commit went through: what it covered is no longer uncommitted.
    pub(in crate::runtime) fn apply(&mut self, pointers: &[Pointer]) -> Result<()> {
        for pointer in pointers {
            if let Some(task) = self.tasks.get_mut(&pointer.task) {
                if let Some(state) = &mut task.state {
                    state.apply(&pointer.to_string())?;
                }
                task.pointer = pointer.clone();
                task.committed = clock::now();
                (task.has_joined, task.has_news) = (false, false);
                task.dropped.clear();
                task.deltas += 1;
                task.renew_base(&pointer.task, &self.shared);
            }
        }
        Ok(())
    }

    /// What is not committed did not happen.
    pub(in crate::runtime) fn drop_overlays(&mut self) {
        for task in self.tasks.values_mut() {
            if let Some(state) = &mut task.state {
                state.drop_overlay();
            }
            task.drop_stores();
        }
    }

    /// Brings a task to what is committed for its partitions: at once if it stands there, or is on its way there, or
    /// begins empty.
    pub(in crate::runtime) fn go_back(&mut self, name: &str, partitions: &[CommittedPartition]) -> Result<()> {
        let pointer = common_pointer(name, partitions)?;
        let stands = |at: &Pointer| *at == pointer || pointer.bundle.is_none() && at.bundle.is_none();
        let is_on_its_way = |of: &Restoring| of.task == name && stands(&of.pointer);
        if self.tasks.get(name).is_some_and(|task| stands(&task.pointer)) || self.restoring.iter().any(is_on_its_way) {
            return Ok(());
        }
        let (own, joined) = by_pointer(partitions, &pointer);
        // The folder is opened once only.
        let seq = self.forget(name);
        let has_joined = pointer.bundle.is_some() && !joined.is_empty();
        let to = Restoring {
            task: name.to_owned(),
            pointer,
            seq,
            has_joined,
            own,
            joined,
            heard: None,
        };
        if self.shared.takes_time(name, &to.pointer) {
            self.restoring.push_back(to);
            return Ok(());
        }
        let restored = self
            .shared
            .restore(name, &to.pointer, &to.own, &to.joined, &*self.tell)?;
        self.put(to, restored);
        Ok(())
    }

    /// Gives a task up; gives the number of the last bundle that it was given.
    fn forget(&mut self, name: &str) -> u64 {
        let known = self.tasks.remove(name).map_or(0, |task| task.seq);
        let on_its_way = self.restoring.iter().find(|of| of.task == name).map_or(0, |of| of.seq);
        self.restoring.retain(|of| of.task != name);
        known.max(on_its_way)
    }

    /// These partitions are somebody else's: their tasks go, with whatever was not committed.
    pub(in crate::runtime) fn give_up(&mut self, task_ids: &TaskIds, partitions: &[TopicPartition]) {
        for at in partitions {
            self.forget(&task_ids.task(at));
        }
    }

    /// Tells how old the tasks' commits are, and how much they keep.
    pub(in crate::runtime) fn tell(&self, pipeline: &str) {
        for (name, task) in &self.tasks {
            let told = metrics::task(pipeline, name);
            told.age.set(clock::now().duration_since(task.committed).as_secs_f64());
            if let Some(state) = &task.state {
                let stats = state.stats();
                told.keys.set(stats.keys as f64);
                told.bytes.set(stats.disk_bytes as f64);
            }
        }
    }

    pub(in crate::runtime) fn overlay_bytes(&self) -> usize {
        let states = self.tasks.values().filter_map(|task| task.state.as_ref());
        states.map(TaskState::overlay_bytes).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use crate::plugin::{self, StoreKind};
    use crate::record::Column;
    use crate::runtime::tasks::owned::DELTAS_A_BASE;
    use crate::state::{StoreId, store_id};
    use std::path::Path;

    const WAIT: Duration = Duration::from_secs(60);
    const TASK: &str = "views/0";

    fn owned(shared: &Checkpoints) -> TaskManager {
        let mut owned = TaskManager::new(shared.clone(), |_| {});
        owned.begin(TASK).unwrap();
        owned
    }

    fn commit(owned: &mut TaskManager) {
        let offsets = Offsets::from([("views".to_owned(), [(0, 1)].into())]);
        let frames = owned.frames(BTreeMap::from([(TASK.to_owned(), (offsets, Stops::new()))]));
        let store = owned.shared.store().unwrap().clone();
        let pointers = store.put(0, frames).wait(WAIT).unwrap().unwrap();
        owned.apply(&pointers).unwrap();
    }

    fn scratches(folder: &Path) -> usize {
        let names = std::fs::read_dir(folder.join("state/tasks")).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.starts_with(".scratch-")).count()
    }

    #[test]
    fn a_task_that_is_given_up_takes_the_files_of_its_base_along() {
        let folder = tempfile::tempdir().unwrap();
        let mut owned = owned(&Checkpoints::in_folder(folder.path()));
        (0..DELTAS_A_BASE).for_each(|_| commit(&mut owned));
        assert_eq!(scratches(folder.path()), 1, "a base is on its way");
        let task_ids = TaskIds::named("views");
        owned.give_up(&task_ids, &[TopicPartition::new("views", 0)]);
        assert_eq!(scratches(folder.path()), 0);
    }

    #[test]
    fn a_task_that_is_restored_from_its_local_files_still_has_its_base() {
        let folder = tempfile::tempdir().unwrap();
        let shared = Checkpoints::in_folder(folder.path());
        let mut before = owned(&shared);
        (0..DELTAS_A_BASE).for_each(|_| commit(&mut before));
        let until = clock::now() + WAIT;
        while before.tasks[TASK].base.is_none() {
            assert!(clock::now() < until, "no base was written");
            commit(&mut before);
        }
        commit(&mut before);
        let (base, pointer) = (before.tasks[TASK].base.clone(), before.tasks[TASK].pointer.to_string());
        drop(before);
        let mut after = TaskManager::new(shared, |_| {});
        let held = (TopicPartition::new("views", 0), Some(1), Some(pointer));
        after.go_back(TASK, &[held]).unwrap();
        assert!(after.is_restoring() && !after.has(TASK));
        while after.is_restoring() {
            after.restore(WAIT).unwrap();
        }
        commit(&mut after);
        assert_eq!(after.tasks[TASK].base, base);
        assert_eq!(scratches(folder.path()), 0, "no base is made anew");
    }

    fn store(name: &str, kind: StoreKind, (version, readable_from): (u32, u32)) -> plugin::Store {
        plugin::Store {
            name: name.to_owned(),
            kind,
            codec: "raw".to_owned(),
            schema_version: version,
            readable_from,
        }
    }

    fn id(name: &str) -> StoreId {
        store_id("count", name)
    }

    /// A pipeline that is stopped and started again, each time with other stores.
    struct Restarts {
        folder: tempfile::TempDir,
        committed: Option<String>,
    }

    impl Restarts {
        fn new() -> Self {
            Self {
                folder: tempfile::tempdir().unwrap(),
                committed: None,
            }
        }

        /// The task of a pipeline with these stores, on the state of before.
        fn start(&self, stores: Vec<plugin::Store>, allow_dropped: bool) -> Result<TaskManager> {
            let shared = Checkpoints::declaring(self.folder.path(), stores, allow_dropped);
            let mut owned = TaskManager::new(shared, |_| {});
            let held = |pointer: &String| (TopicPartition::new("views", 0), Some(1), Some(pointer.clone()));
            let held: Vec<CommittedPartition> = self.committed.iter().map(held).collect();
            owned.go_back(TASK, &held)?;
            while owned.is_restoring() {
                owned.restore(WAIT)?;
            }
            Ok(owned)
        }

        /// Changes something, and commits it.
        fn stop(&mut self, mut owned: TaskManager, act: impl FnOnce(&mut TaskState)) {
            let state = owned.state(TASK).as_mut().unwrap();
            act(state);
            state.keep();
            commit(&mut owned);
            self.committed = Some(owned.tasks[TASK].pointer.to_string());
        }

        /// What is kept is in the checkpoints alone.
        fn lose_local_files(&self) {
            std::fs::remove_dir_all(self.folder.path().join("state")).unwrap();
        }
    }

    #[test]
    fn an_old_schema_version_is_carried_along_until_nothing_of_it_is_left() {
        let one = |versions| vec![store("one", StoreKind::Value, versions)];
        let mut runs = Restarts::new();
        let first = runs.start(one((1, 1)), false).unwrap();
        runs.stop(first, |state| {
            state.put(id("one"), b"a", b"1");
            state.put(id("one"), b"b", b"1");
        });
        for touched in [b"a", b"a"] {
            let second = runs.start(one((2, 1)), false).unwrap();
            runs.stop(second, |state| state.put(id("one"), touched, b"2"));
        }
        for is_local in [true, false] {
            if !is_local {
                runs.lose_local_files();
            }
            let error = runs.start(one((3, 2)), false).err().unwrap();
            assert_eq!(error.kind, Kind::Corrupt);
            assert_eq!(
                error.why,
                "store `one` was written with schema version 2, and entries that were not written since have version 1 \
                 or later; the plugin has version 3 and reads versions 2 to 3"
            );
            assert!(runs.start(one((1, 1)), false).is_err(), "nor is there a way back");
        }
        let third = runs.start(one((3, 1)), false).unwrap();
        runs.stop(third, |state| state.delete(id("one"), b"a"));
        assert!(
            runs.start(one((3, 2)), false).is_err(),
            "what nobody touched is still there"
        );
        let third = runs.start(one((3, 1)), false).unwrap();
        runs.stop(third, |state| state.delete(id("one"), b"b"));
        // Only a start looks whether anything is left.
        let third = runs.start(one((3, 1)), false).unwrap();
        runs.stop(third, |state| state.put(id("one"), b"c", b"3"));
        assert!(runs.start(one((3, 3)), false).is_ok());
    }

    #[test]
    fn a_store_that_was_dropped_comes_back_empty_and_may_be_of_another_kind() {
        let value = |name: &str| store(name, StoreKind::Value, (1, 1));
        let mut runs = Restarts::new();
        let first = runs.start(vec![value("gone"), value("stays")], false).unwrap();
        runs.stop(first, |state| {
            state.put(id("gone"), b"k", b"old");
            state.put(id("stays"), b"k", b"old");
        });
        assert!(
            runs.start(vec![value("stays")], false).is_err(),
            "it is not dropped unasked"
        );
        let mut second = runs.start(vec![value("stays")], true).unwrap();
        assert!(
            second.owes_checkpoint(),
            "it is dropped whether or not anything is read"
        );
        second.drop_overlays();
        assert!(second.owes_checkpoint(), "a commit that failed dropped nothing");
        runs.stop(second, |_| {});
        for is_local in [true, false] {
            if !is_local {
                runs.lose_local_files();
            }
            let third = runs.start(vec![store("gone", StoreKind::List, (1, 1)), value("stays")], false);
            let mut third = third.unwrap();
            assert!(!third.owes_checkpoint());
            let state = third.state(TASK).as_mut().unwrap();
            assert!(!state.has_entries(id("gone")).unwrap(), "local files: {is_local}");
            assert!(state.has_entries(id("stays")).unwrap());
        }
    }

    #[test]
    fn entries_of_no_store_are_nobodys_when_a_store_of_that_name_comes() {
        let value = |name: &str| store(name, StoreKind::Value, (1, 1));
        let mut runs = Restarts::new();
        // As it was left when dropping a store did not take its entries away.
        let first = runs.start(vec![value("stays")], false).unwrap();
        runs.stop(first, |state| {
            state.put(id("stays"), b"k", b"old");
            state.put(id("gone"), b"k", b"old");
        });
        let mut second = runs.start(vec![value("gone"), value("stays")], false).unwrap();
        let state = second.state(TASK).as_mut().unwrap();
        let (mut keys, mut found) = (Column::default(), Column::default());
        keys.push(Some(b"k"));
        state.values(id("gone"), &keys, &mut found).unwrap();
        assert_eq!(found.get(0), None, "from the first record on");
        runs.stop(second, |_| {});
        runs.lose_local_files();
        let mut third = runs.start(vec![value("gone"), value("stays")], false).unwrap();
        let state = third.state(TASK).as_mut().unwrap();
        assert!(!state.has_entries(id("gone")).unwrap());
    }
}
