//! What the workers of a process share of checkpoints: the state folder, the store, and how a task's state is brought
//! back.
//!
//! Always: a task is processed only on the state that its committed offsets name; if that cannot be had, the run
//! stops and says so.

use super::stores::{StoreFate, fate, shape};
use super::under_way::UnderWay;
use crate::checkpoint::{BaseRef, CheckpointStore, RestoreOrigin, StoreSchema};
use crate::clock::{self, Interval};
use crate::config::{self, Offsets, Pipeline};
use crate::error::{Error, Kind, Result};
use crate::offset_metadata::Pointer;
use crate::plugin::{self, Plugin};
use crate::runtime::lifecycle::RunEvent;
use crate::state::{StateDirectory, StoreId, TaskState, store_id};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A restore that takes longer is told.
const LONG: Duration = Duration::from_secs(1);

/// Shared by the workers of a process.
#[derive(Clone)]
pub struct Checkpoints {
    /// Absent if nothing is kept: neither state nor checkpoints.
    home: Option<StateDirectory>,
    /// Absent: no checkpoints, and a task's state is as old as its assignment.
    store: Option<CheckpointStore>,
    shapes: Arc<[StoreSchema]>,
    declared: Arc<[(String, plugin::Store)]>,
    allow_dropped: bool,
    /// The restores of this process that are under way.
    pub(in crate::runtime) under_way: Arc<UnderWay>,
}

/// A task's state, at the checkpoint that its committed offsets name.
pub(in crate::runtime) struct Restored {
    /// `None`: no operator keeps any.
    pub(in crate::runtime) state: Option<TaskState>,
    /// What later checkpoints build on.
    pub(in crate::runtime) base: Option<BaseRef>,
    /// What it has of the stores that are declared.
    pub(in crate::runtime) stores: Vec<StoreSchema>,
    /// Stores whose entries it has still, and which its checkpoint must not have any more.
    pub(in crate::runtime) dropped: Vec<StoreId>,
}

impl Checkpoints {
    /// Opens the state folder and the store of checkpoints.
    ///
    /// Errors: `Corrupt`, the folder is in use or cannot be written, the store cannot be written; `Invalid`, two stores
    /// have one id.
    pub fn open(pipeline: &Pipeline, plugins: &[Plugin]) -> Result<Self> {
        let declared = declared(pipeline, plugins);
        let keeps = pipeline.checkpoint.is_some() || !declared.is_empty();
        let home = keeps
            .then(|| StateDirectory::open(&pipeline.state_dir, pipeline.state_memory))
            .transpose()?;
        let store = match &pipeline.checkpoint {
            Some(checkpoint) => Some(CheckpointStore::open(&checkpoint.location, &pipeline.name)?),
            None => None,
        };
        Ok(Self {
            home,
            store,
            shapes: declared
                .iter()
                .map(|(operator, store)| shape(operator, store))
                .collect(),
            declared: declared.into(),
            allow_dropped: pipeline.allow_dropped_state,
            under_way: Arc::default(),
        })
    }

    /// Whether some operator keeps state.
    pub(in crate::runtime) fn keeps_state(&self) -> bool {
        !self.declared.is_empty()
    }

    /// Where the checkpoints are.
    pub fn store(&self) -> Option<&CheckpointStore> {
        self.store.as_ref()
    }

    /// A stable id of this process, kept in the state folder; empty if there is none.
    pub fn instance(&self) -> &str {
        self.home.as_ref().map_or("", StateDirectory::instance)
    }

    /// Where bases go, and a new folder to take one in.
    pub(in crate::runtime) fn scratch(&self) -> Option<(&CheckpointStore, PathBuf)> {
        Some((self.store.as_ref()?, self.home.as_ref()?.scratch()))
    }

    /// The state of a task at `pointer`, to which the committed offsets `own` belong; those of `joined` came to the
    /// task later.
    ///
    /// The local files serve if they stand at the pointer or before it; else the newest base does. Then the deltas
    /// follow. `tell` hears of one that takes long.
    pub(in crate::runtime) fn restore(
        &self,
        task: &str,
        pointer: &Pointer,
        own: &Offsets,
        joined: &Offsets,
        tell: &dyn Fn(RunEvent),
    ) -> Result<Restored> {
        let home = self.home.as_ref().filter(|_| !self.declared.is_empty());
        let (Some(store), Some(_)) = (&self.store, &pointer.bundle) else {
            let state = home.map(|home| empty(home, task)).transpose()?;
            return Ok(self.anew(state));
        };
        let local = home.map(|home| local(home, task)).transpose()?.flatten();
        let applied: Option<Pointer> = local
            .as_ref()
            .and_then(TaskState::applied)
            .and_then(|text| text.parse().ok());
        self.under_way.moved();
        let history = store.history_step_by_step(pointer, applied.as_ref(), &|| self.under_way.moved())?;
        check_offsets(task, pointer, &history.offsets, own)?;
        check_joined(task, pointer, &history.offsets, joined)?;
        self.check_stores(task, &history.stores)?;
        let Some(home) = home else {
            return Ok(self.anew(None));
        };
        self.under_way.moved();
        let deltas = history.deltas.iter().map(|delta| delta.length).sum();
        let mut progress = RestoreProgress::new(task, deltas, tell, &self.under_way);
        let (mut state, base) = match (history.origin, local) {
            (RestoreOrigin::Local, Some(local)) => (local, history.base),
            (RestoreOrigin::Base(base), local) => {
                drop(local);
                (from_base(home, task, store, &base, &mut progress)?, Some(base))
            }
            (RestoreOrigin::Empty | RestoreOrigin::Local, local) => {
                drop(local);
                (empty(home, task)?, None)
            }
        };
        for delta in &history.deltas {
            if self.under_way.is_over() {
                let what = format!("failed to restore task `{task}`");
                return Err(Error::new(Kind::TimedOut, what, "the run is over"));
            }
            state.redo(&store.delta(delta)?, &delta.pointer.to_string())?;
            progress.redone(delta.length);
        }
        progress.end();
        let (stores, dropped) = self.stores(&state, &history.stores)?;
        let state = Some(state);
        Ok(Restored {
            state,
            base,
            stores,
            dropped,
        })
    }

    /// A task that begins with nothing.
    fn anew(&self, state: Option<TaskState>) -> Restored {
        Restored {
            state,
            base: None,
            stores: self.shapes.to_vec(),
            dropped: Vec::new(),
        }
    }

    /// What the state has of the declared stores, given what its checkpoint says, and the stores of which it has
    /// entries that belong to none: nobody declares them any more, or nobody did before.
    fn stores(&self, state: &TaskState, stored: &[StoreSchema]) -> Result<(Vec<StoreSchema>, Vec<StoreId>)> {
        let gone = stored.iter().filter(|stored| !self.declares(stored));
        let mut dropped: Vec<StoreId> = gone.map(id).collect();
        let mut stores = self.shapes.to_vec();
        for shape in &mut stores {
            match stored.iter().find(|stored| stored.is_of(shape)) {
                Some(stored) if state.has_entries(id(shape))? => shape.age(stored),
                Some(_) => {}
                None => dropped.push(id(shape)),
            }
        }
        let mut left = Vec::new();
        for store in dropped {
            if state.has_entries(store)? {
                left.push(store);
            }
        }
        Ok((stores, left))
    }

    /// Whether to bring a task to `pointer` takes more than to make an empty folder.
    pub(in crate::runtime) fn takes_time(&self, task: &str, pointer: &Pointer) -> bool {
        self.store.is_some() && pointer.bundle.is_some() || self.under_way.has(task)
    }

    /// Whether an operator has that store.
    pub(in crate::runtime) fn declares(&self, stored: &StoreSchema) -> bool {
        self.shapes.iter().any(|shape| shape.is_of(stored))
    }

    /// What was stored must be readable by what is declared now.
    pub(in crate::runtime) fn check_stores(&self, task: &str, stored: &[StoreSchema]) -> Result<()> {
        for stored in stored {
            let declared = self
                .declared
                .iter()
                .find(|(operator, store)| *operator == stored.operator && store.name == stored.store);
            let what = || {
                format!(
                    "failed to restore task `{task}`: store `{}` of operator `{}`",
                    stored.store, stored.operator
                )
            };
            match fate(stored, declared.map(|(_, store)| store)) {
                StoreFate::Restored => {}
                StoreFate::Unreadable(why) => {
                    return Err(Error::new(Kind::Corrupt, what(), why)
                        .hint("run the plugin that wrote it, or one that can read it"));
                }
                StoreFate::Dropped if self.allow_dropped => {}
                StoreFate::Dropped => {
                    let why = "the checkpoint has it, and no operator declares it";
                    return Err(Error::new(Kind::Corrupt, what(), why)
                        .hint("--allow-dropped-state drops it; an operator that was renamed needs its old name"));
                }
            }
        }
        Ok(())
    }
}

/// The task's local files; damaged ones are deleted, for everything in them is in the store.
fn local(home: &StateDirectory, task: &str) -> Result<Option<TaskState>> {
    match home.task(task) {
        Ok(state) => Ok(Some(state)),
        Err(error) if error.kind == Kind::Corrupt => {
            tracing::warn!(task, %error, "the local files are damaged; the state is fetched from the checkpoints");
            home.forget(task).map(|()| None)
        }
        Err(error) => Err(error),
    }
}

/// A task's state at a checkpoint, built in a folder of its own beside what runs.
///
/// Errors: `Corrupt`, something in the store is missing or damaged.
pub(crate) fn rebuild(home: &StateDirectory, store: &CheckpointStore, pointer: &Pointer) -> Result<TaskState> {
    let (history, task) = (store.history(pointer, None)?, &*pointer.task);
    let untold = UnderWay::default();
    let mut state = match &history.origin {
        RestoreOrigin::Base(base) => {
            let mut progress = RestoreProgress::new(task, 0, &|_| {}, &untold);
            from_base(home, task, store, base, &mut progress)?
        }
        RestoreOrigin::Empty | RestoreOrigin::Local => empty(home, task)?,
    };
    for delta in &history.deltas {
        state.redo(&store.delta(delta)?, &delta.pointer.to_string())?;
    }
    Ok(state)
}

fn empty(home: &StateDirectory, task: &str) -> Result<TaskState> {
    home.forget(task)?;
    home.task(task)
}

fn from_base(
    home: &StateDirectory,
    task: &str,
    store: &CheckpointStore,
    base: &BaseRef,
    progress: &mut RestoreProgress<'_>,
) -> Result<TaskState> {
    home.forget(task)?;
    let folder = home.scratch();
    store.fetch_base(base, &folder, |done, of| progress.fetched(done, of))?;
    home.install(task, &folder)
}

/// How far a restore is: bytes of its base, then of the deltas behind it. Told if it takes long.
struct RestoreProgress<'a> {
    task: &'a str,
    tell: &'a dyn Fn(RunEvent),
    under_way: &'a UnderWay,
    begun: Instant,
    due: Interval,
    base: (u64, u64),
    deltas: (u64, u64),
}

impl<'a> RestoreProgress<'a> {
    fn new(task: &'a str, deltas: u64, tell: &'a dyn Fn(RunEvent), under_way: &'a UnderWay) -> Self {
        Self {
            task,
            tell,
            under_way,
            begun: clock::now(),
            due: Interval::new(LONG),
            base: (0, 0),
            deltas: (0, deltas),
        }
    }

    fn fetched(&mut self, done: u64, of: u64) {
        self.base = (done, of);
        self.tell_if_due();
    }

    fn redone(&mut self, bytes: u64) {
        self.deltas.0 += bytes;
        self.tell_if_due();
    }

    fn tell_if_due(&mut self) {
        self.under_way.moved();
        if self.due.due() {
            self.tell_now();
        }
    }

    fn end(self) {
        if self.begun.elapsed() >= LONG {
            self.tell_now();
        }
    }

    fn tell_now(&self) {
        (self.tell)(RunEvent::Restore {
            task: self.task.to_owned(),
            done: self.base.0 + self.deltas.0,
            total: self.base.1 + self.deltas.1,
            seconds: self.begun.elapsed().as_secs_f64(),
        });
    }
}

/// A bundle holds the offsets that belong to its state: the committed ones must be those.
fn check_offsets(task: &str, pointer: &Pointer, stored: &Offsets, committed: &Offsets) -> Result<()> {
    for (topic, partitions) in committed {
        for (number, committed) in partitions {
            let stored = stored.get(topic).and_then(|of| of.get(number));
            if stored != Some(committed) {
                let held = stored.map_or("no offset".to_owned(), |at| format!("offset {at}"));
                return Err(Error::new(
                    Kind::Corrupt,
                    format!(
                        "failed to restore task `{task}`: the committed offset is not the one that its state belongs to"
                    ),
                    format!(
                        "{topic}/{number} is committed at {committed}, and checkpoint {} has {held}",
                        pointer.seq
                    ),
                )
                .hint("somebody moved offsets of this group; start from a savepoint with --from"));
            }
        }
    }
    Ok(())
}

/// What the bundle knows did not come later: its offset was taken away, or set to another place.
fn check_joined(task: &str, pointer: &Pointer, stored: &Offsets, joined: &Offsets) -> Result<()> {
    for (topic, number) in joined
        .iter()
        .flat_map(|(topic, of)| of.keys().map(move |number| (topic, number)))
    {
        if let Some(held) = stored.get(topic).and_then(|of| of.get(number)) {
            return Err(Error::new(
                Kind::Corrupt,
                format!("failed to restore task `{task}`: {topic}/{number} has lost its committed offset"),
                format!(
                    "checkpoint {} of the task has it at {held}, and the group holds none that names it",
                    pointer.seq
                ),
            )
            .hint(
                "start from a savepoint with --from; or `sandbar offsets set` for all partitions of the task \
                begins with no state",
            ));
        }
    }
    Ok(())
}

pub(in crate::runtime) fn id(shape: &StoreSchema) -> StoreId {
    store_id(&shape.operator, &shape.store)
}

/// The stores of all operators, each with the operator's name. No two have one id: the wiring sees to it.
fn declared(pipeline: &Pipeline, plugins: &[Plugin]) -> Vec<(String, plugin::Store)> {
    let of_operator = |(operator, plugin): (&config::OperatorConfig, &Plugin)| {
        let name = operator.name.clone();
        let stores = plugin.description().kept();
        stores.into_iter().map(move |store| (name.clone(), store))
    };
    pipeline.operators.iter().zip(plugins).flat_map(of_operator).collect()
}

#[cfg(test)]
impl Checkpoints {
    /// State folder and checkpoints of a pipeline with one store, in a folder.
    pub(in crate::runtime) fn in_folder(folder: &std::path::Path) -> Self {
        let counts = plugin::Store {
            name: "counts".to_owned(),
            kind: plugin::StoreKind::Value,
            codec: "u64".to_owned(),
            schema_version: 1,
            readable_from: 1,
        };
        Self::declaring(folder, vec![counts], false)
    }

    /// The same with these stores of operator `count`.
    pub(in crate::runtime) fn declaring(
        folder: &std::path::Path,
        stores: Vec<plugin::Store>,
        allow_dropped: bool,
    ) -> Self {
        let store = config::Location::Folder(folder.join("checkpoints"));
        Self {
            home: Some(home(&folder.join("state"))),
            store: Some(CheckpointStore::open(&store, "pages").unwrap()),
            under_way: Arc::default(),
            shapes: stores.iter().map(|store| shape("count", store)).collect(),
            declared: stores.into_iter().map(|store| ("count".to_owned(), store)).collect(),
            allow_dropped,
        }
    }
}

/// A state folder, once whoever had it lets go of it: the thread of a restore does so a moment after it said that it is
/// through.
#[cfg(test)]
fn home(folder: &std::path::Path) -> StateDirectory {
    let until = clock::now() + Duration::from_secs(60);
    loop {
        match StateDirectory::open(folder, 16 << 20) {
            Ok(home) => return home,
            Err(error) => assert!(clock::now() < until, "{error}"),
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offsets(of: &[(&str, i32, i64)]) -> Offsets {
        let mut offsets = Offsets::new();
        for (topic, number, at) in of {
            offsets.entry((*topic).to_owned()).or_default().insert(*number, *at);
        }
        offsets
    }

    #[test]
    fn a_committed_offset_that_is_not_the_bundles_is_refused() {
        let pointer = "sb1:0mhzqk3va-0-1y2p0ij32e8e7:views/3:2:9f86d081884c7d65"
            .parse()
            .unwrap();
        let stored = offsets(&[("views", 3, 7), ("clicks", 3, 9)]);
        let check = |committed: &[(&str, i32, i64)]| check_offsets("views/3", &pointer, &stored, &offsets(committed));
        assert_eq!(check(&[("views", 3, 7), ("clicks", 3, 9)]), Ok(()));
        assert_eq!(check(&[("clicks", 3, 9)]), Ok(()));
        for wrong in [("views", 3, 6), ("views", 3, 8), ("views", 4, 7), ("likes", 3, 7)] {
            let error = check(&[("clicks", 3, 9), wrong]).unwrap_err();
            assert_eq!(error.kind, Kind::Corrupt);
            assert!(error.why.contains(&format!("{}/{}", wrong.0, wrong.1)), "{error}");
        }
    }

    #[test]
    fn what_joined_later_is_not_in_the_bundle() {
        let pointer = "sb1:0mhzqk3va-0-1y2p0ij32e8e7:views/3:2:9f86d081884c7d65"
            .parse()
            .unwrap();
        let stored = offsets(&[("views", 3, 7)]);
        let check = |joined: &[(&str, i32, i64)]| check_joined("views/3", &pointer, &stored, &offsets(joined));
        assert_eq!(check(&[("clicks", 3, 0)]), Ok(()));
        let error = check(&[("clicks", 3, 0), ("views", 3, 0)]).unwrap_err();
        assert_eq!(error.kind, Kind::Corrupt);
        assert!(error.what.contains("views/3 has lost its committed offset"), "{error}");
    }
}
