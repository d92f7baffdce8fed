//! A task's state: its overlay over its RocksDB. The step from the one into the other is in [`apply`](super::apply).
//!
//! Always: reads see the writes.

use super::batch_lookup::{BatchLookup, LikelySlots, Where};
use super::cache::{Budget, FETCHED_AT_ONCE, StateCache};
use super::files::Grant;
use super::keys::{self, StoreId};
use super::lists::{self, TooLong};
use super::overlay::{Known, Overlay};
use super::rocks;
use super::rocks::Opened;
use super::scan::{self, EntryRange, Most};
use super::timers::TimerFloors;
use super::view::View;
use crate::error::{Error, Kind, Result};
use crate::record::Column;
use rocksdb::checkpoint::Checkpoint;
use rocksdb::{DB, ReadOptions};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// Applies between two that are synced.
pub(super) const STEPS_UNSYNCED: usize = 256;
/// One of so many multi-gets of values leaves the blocks that it read in RocksDB's cache. Those of keys that are seldom
/// asked for would drive filters and indexes out, which every multi-get reads; what is asked for again is in the cache
/// of values anyway.
const MULTI_GETS_CACHED: u64 = 8;
/// What a task's state amounts to and was asked, for metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TaskStats {
    /// Entries that are applied, as RocksDB estimates them.
    pub keys: u64,
    /// Bytes of its table files.
    pub disk_bytes: u64,
    /// Bytes of the changes since the last commit.
    pub overlay_bytes: u64,
    /// Bytes of the cache of values.
    pub cache_bytes: u64,
    /// Multi-gets: one at most a call of `values`, `values_of` or `entries`.
    pub multi_gets: u64,
    /// Keys that they asked for: those that neither overlay nor cache knew.
    pub multi_get_keys: u64,
    /// Commits that were applied or redone.
    pub applies: u64,
}

/// A task's keyed state; owned by one worker.
pub struct TaskState {
    pub(super) task: String,
    pub(super) db: Arc<DB>,
    /// Its lists that are too long.
    pub(super) too_long: TooLong,
    /// The files that the database may have open.
    _files: Grant,
    pub(super) overlay: Overlay,
    pub(super) cache: StateCache,
    pub(super) pointer: Option<String>,
    /// Number of the next apply, and how many of those before it are not synced.
    pub(super) step: u64,
    pub(super) unsynced: usize,
    /// The key at hand, and what a lookup found: kept for their memory.
    key: Vec<u8>,
    lookup: BatchLookup,
    likely: LikelySlots,
    pub(super) timer_key: Vec<u8>,
    /// Where its timers begin, and end.
    pub(super) floors: TimerFloors,
    pub(super) stats: TaskStats,
}

/// What is asked for keys that the overlay does not know.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Below {
    Nothing,
    RocksDb,
    /// The cache, then RocksDB.
    Cache,
}

impl TaskState {
    /// A task's state over its database: reads the pointer, and makes sure of layout, name and that no apply is
    /// missing.
    pub(super) fn new(task: &str, opened: Opened, budget: &Arc<Budget>) -> Result<Self> {
        let Opened { db, too_long, files } = opened;
        let what = || format!("failed to open the local state of task `{task}`");
        let meta = |name| rocks::meta(&db, name).map_err(|error| rocks::error(what(), &error));
        let (layout, name) = (meta(keys::META_LAYOUT)?, meta(keys::META_TASK)?);
        let (pointer, steps) = (meta(keys::META_POINTER)?, meta(keys::META_STEPS)?.unwrap_or_default());
        match layout.as_deref() {
            None => {}
            Some([keys::LAYOUT]) if name.as_deref() == Some(task.as_bytes()) => {}
            Some([keys::LAYOUT]) => {
                let name = String::from_utf8_lossy(name.as_deref().unwrap_or_default()).into_owned();
                return Err(rocks::damaged(what(), &format!("these are the files of task `{name}`")));
            }
            Some(other) => {
                let why = format!("its layout is version {other:?}, this program reads {}", keys::LAYOUT);
                return Err(rocks::damaged(what(), &why));
            }
        }
        let last =
            last_step(&steps).ok_or_else(|| rocks::damaged(what(), "a commit is missing before the last one"))?;
        let pointer = pointer.map(String::from_utf8).transpose();
        Ok(Self {
            pointer: pointer.map_err(|_| rocks::damaged(what(), "its pointer is no text"))?,
            task: task.to_owned(),
            db: Arc::new(db),
            too_long,
            _files: files,
            overlay: Overlay::default(),
            cache: StateCache::new(budget),
            step: last + 1,
            unsynced: STEPS_UNSYNCED,
            key: Vec::new(),
            lookup: BatchLookup::default(),
            likely: LikelySlots::default(),
            timer_key: Vec::new(),
            floors: TimerFloors::default(),
            stats: TaskStats::default(),
        })
    }

    /// The task's name.
    pub fn task(&self) -> &str {
        &self.task
    }

    /// The pointer text of the last apply; `None`: nothing was applied yet.
    pub fn applied(&self) -> Option<&str> {
        self.pointer.as_deref()
    }

    /// Looks the keys' values up: one entry a key, absent if there is none. What neither overlay nor cache knows is
    /// ONE multi-get. `into` is cleared first.
    pub fn values(&mut self, store: StoreId, keys: &Column, into: &mut Column) -> Result<()> {
        into.clear();
        self.values_of(store, keys, 0..keys.len(), into)
    }

    /// The same of some of the keys, whose entries come behind those that `into` has. If all of them are looked up so,
    /// one part behind the other, each is found sooner when it is put.
    pub fn values_of(&mut self, store: StoreId, keys: &Column, some: Range<usize>, into: &mut Column) -> Result<()> {
        self.key.clear();
        keys::store(store, &mut self.key);
        let below = match self.overlay.is_dropped(&self.key) {
            true => Below::Nothing,
            false => Below::Cache,
        };
        let first = some.start;
        self.look_up(keys, some, below, into)?;
        self.likely.add(store, first, &self.lookup);
        Ok(())
    }

    /// Looks entries of the map under `key` up by their user keys, as [`values`](Self::values) does.
    pub fn entries(&mut self, store: StoreId, key: &[u8], user_keys: &Column, into: &mut Column) -> Result<()> {
        self.set_map(store, key);
        let below = match self.is_hidden() {
            true => Below::Nothing,
            false => Below::RocksDb,
        };
        into.clear();
        self.look_up(user_keys, 0..user_keys.len(), below, into)
    }

    /// The entries of the map under `key` in order of their user keys, which begin with `prefix` and stand behind
    /// `after`: as much of them as is wanted. True: there are more. `user_keys` and `values` are cleared first.
    #[expect(clippy::too_many_arguments, reason = "a scan's bounds and its two columns")]
    pub fn scan(
        &mut self,
        store: StoreId,
        key: &[u8],
        prefix: &[u8],
        after: Option<&[u8]>,
        most: Most,
        user_keys: &mut Column,
        values: &mut Column,
    ) -> Result<bool> {
        self.set_map(store, key);
        let entries = EntryRange::new(&self.key, prefix, after);
        let applied = (!self.is_hidden()).then(|| entries.applied(&self.db));
        let changed = entries.changed(&self.overlay);
        scan::merged(applied, changed, self.key.len(), most, (user_keys, values)).map_err(|error| self.unread(&error))
    }

    /// The same of the map under no key, from the user key `from` on.
    pub(super) fn entries_from(
        &mut self,
        store: StoreId,
        from: &[u8],
        most: Most,
        columns: (&mut Column, &mut Column),
    ) -> Result<bool> {
        self.set_map(store, &[]);
        let entries = EntryRange::from(&self.key, from);
        let applied = (!self.is_hidden()).then(|| entries.applied(&self.db));
        let changed = entries.changed(&self.overlay);
        scan::merged(applied, changed, self.key.len(), most, columns).map_err(|error| self.unread(&error))
    }

    /// The user key of the last timer of a store that is applied.
    pub(super) fn last_applied_timer(&mut self, store: StoreId) -> Result<Option<Box<[u8]>>> {
        self.set_map(store, &[]);
        scan::last_applied(&self.db, &self.key).map_err(|error| self.unread(&error))
    }

    /// The items of the list under `key`, oldest first. `into` is cleared first. `false`: as they are kept, each with
    /// its length, they have more than `most` bytes, and none is there.
    pub fn items(&mut self, store: StoreId, key: &[u8], most: usize, into: &mut Column) -> Result<bool> {
        into.clear();
        self.set_entry(store, key);
        let (asks, frames) = match self.overlay.get(&self.key) {
            Known::Unknown => (true, &[][..]),
            Known::Appended(frames) => (true, frames),
            Known::Value(frames) => (false, frames),
            Known::Absent => (false, &[][..]),
        };
        let Some(left) = most.checked_sub(frames.len()) else {
            return Ok(false);
        };
        let applied = match asks && !self.overlay.is_dropped(&self.key) {
            true => lists::read(&self.db, &self.key, left).map_err(|error| self.unread(&error))?,
            false => lists::Read::Frames(None),
        };
        let lists::Read::Frames(applied) = applied else {
            return Ok(false);
        };
        let applied = applied.as_deref().unwrap_or_default();
        let whole = keys::items(applied, |item| into.push(Some(item)))
            .and_then(|()| keys::items(frames, |item| into.push(Some(item))));
        whole.ok_or_else(|| rocks::damaged(self.reading(), "a list is cut off"))?;
        Ok(true)
    }

    /// Whether any list is: [`is_too_long`](Self::is_too_long) need not be asked otherwise.
    pub fn has_too_long(&self) -> bool {
        !self.too_long.is_empty()
    }

    /// Whether the list under `key` is so long that nothing may be appended to it: 256 MiB, as far as RocksDB noticed.
    pub fn is_too_long(&mut self, store: StoreId, key: &[u8]) -> Result<bool> {
        if self.too_long.is_empty() {
            return Ok(false);
        }
        self.set_entry(store, key);
        let asks = matches!(self.overlay.get(&self.key), Known::Unknown | Known::Appended(_));
        if !asks || self.overlay.is_dropped(&self.key) || !self.too_long.has(&self.key) {
            return Ok(false);
        }
        // What was merged in the background may have been cleared since.
        let read = lists::read(&self.db, &self.key, lists::LIST_BYTES).map_err(|error| self.unread(&error))?;
        let is_too_long = matches!(read, lists::Read::TooLong);
        drop(read);
        if !is_too_long {
            self.too_long.forget(&self.key, true);
        }
        Ok(is_too_long)
    }

    /// Takes all entries of a store away, of which nothing was changed since the last commit. It is no batch's change:
    /// it stays until it is applied, or the overlay dropped.
    pub fn drop_store(&mut self, store: StoreId) {
        self.overlay.drop_store(&keys::prefix(store));
    }

    /// Whether a store has an entry that is applied.
    pub fn has_entries(&self, store: StoreId) -> Result<bool> {
        let entries = EntryRange::new(&keys::prefix(store), &[], None).applied(&self.db);
        let is_there = entries.valid();
        entries.status().map_err(|error| self.unread(&error))?;
        Ok(is_there)
    }

    /// Sets the value under `key` of a value store.
    pub fn put(&mut self, store: StoreId, key: &[u8], value: &[u8]) {
        self.set_entry(store, key);
        self.overlay.put(&self.key, value, None);
    }

    /// The same of the key that stood at `place` among those whose values were looked up last: it is found sooner. If
    /// another one stood there, it only takes longer.
    pub fn put_looked_up(&mut self, store: StoreId, place: usize, key: &[u8], value: &[u8]) {
        self.set_entry(store, key);
        self.overlay.put(&self.key, value, self.likely.slot(store, place));
    }

    /// Takes the value under `key` of a value store away.
    pub fn delete(&mut self, store: StoreId, key: &[u8]) {
        self.set_entry(store, key);
        self.overlay.delete(&self.key);
    }

    /// Adds an item to the list under `key`.
    pub fn append(&mut self, store: StoreId, key: &[u8], item: &[u8]) {
        self.set_entry(store, key);
        self.overlay.append(&self.key, item);
    }

    /// Takes all items of the list under `key` away.
    pub fn clear_list(&mut self, store: StoreId, key: &[u8]) {
        self.delete(store, key);
    }

    /// Sets an entry of the map under `key`.
    pub fn put_entry(&mut self, store: StoreId, key: &[u8], user_key: &[u8], value: &[u8]) {
        debug_assert!(!self.floors.knows_last_applied(store), "timers are set as timers");
        self.set_map(store, key);
        self.key.extend_from_slice(user_key);
        self.overlay.put_entry(&self.key, value, false);
    }

    /// Sets a timer by its user key; `is_new` says that none is applied that has it.
    pub(super) fn put_timer(&mut self, store: StoreId, user_key: &[u8], is_new: bool) {
        self.set_map(store, &[]);
        self.key.extend_from_slice(user_key);
        self.overlay.put_entry(&self.key, &[], is_new);
    }

    /// Takes an entry of the map under `key` away.
    pub fn delete_entry(&mut self, store: StoreId, key: &[u8], user_key: &[u8]) {
        self.set_map(store, key);
        self.key.extend_from_slice(user_key);
        self.overlay.delete_entry(&self.key);
    }

    /// Takes all entries of the map under `key` away.
    pub fn clear_map(&mut self, store: StoreId, key: &[u8]) {
        self.set_map(store, key);
        self.overlay.clear_map(&self.key);
    }

    /// The changes since the last keep stay: a batch is done.
    pub fn keep(&mut self) {
        self.overlay.keep();
        self.floors.keep();
    }

    /// The changes since the last keep were never made: a call failed.
    pub fn undo(&mut self) {
        self.overlay.undo();
        self.floors.undo();
    }

    /// The memory that the changes since the last commit take, roughly.
    pub fn overlay_bytes(&self) -> usize {
        self.overlay.bytes()
    }

    /// Whether nothing was changed since the last commit.
    pub fn is_clean(&self) -> bool {
        self.overlay.is_empty()
    }

    /// Makes a folder at `into`, which must not be there, with all files of what is applied: hard links if the disk
    /// allows them.
    pub fn snapshot(&self, into: &Path) -> Result<()> {
        let taken = Checkpoint::new(&self.db).and_then(|checkpoint| checkpoint.create_checkpoint(into));
        taken.map_err(|error| rocks::error(format!("failed to take a snapshot of task `{}`", self.task), &error))
    }

    /// A view of what is applied, for any thread, which ends with this state.
    pub fn view(&self) -> View {
        View::new(&self.task, &self.db)
    }

    /// What it amounts to and was asked.
    pub fn stats(&self) -> TaskStats {
        TaskStats {
            keys: self.applied_keys(),
            disk_bytes: self.property("rocksdb.total-sst-files-size"),
            overlay_bytes: self.overlay.bytes() as u64,
            cache_bytes: self.cache.bytes() as u64,
            ..self.stats
        }
    }

    /// Entries that are applied, as RocksDB estimates them.
    fn applied_keys(&self) -> u64 {
        self.property("rocksdb.estimate-num-keys")
    }

    fn property(&self, name: &str) -> u64 {
        self.db.property_int_value(name).ok().flatten().unwrap_or(0)
    }

    /// Looks up what stands behind the prefix in `self.key`.
    fn look_up(&mut self, keys: &Column, some: Range<usize>, below: Below, into: &mut Column) -> Result<()> {
        self.find(keys, some, below);
        let lookup = &self.lookup;
        let mut applied = Vec::new();
        if !lookup.misses.is_empty() {
            self.stats.multi_gets += 1;
            self.stats.multi_get_keys += lookup.misses.len() as u64;
            let mut options = ReadOptions::default();
            options.fill_cache(below == Below::RocksDb || self.stats.multi_gets.is_multiple_of(MULTI_GETS_CACHED));
            let family = rocks::family(&self.db)?;
            applied = self
                .db
                .batched_multi_get_cf_opt(family, lookup.missed(), false, &options);
        }
        let mut applied = lookup.missed().zip(applied);
        for at in &lookup.found {
            match *at {
                Where::Nowhere => into.push(None),
                Where::Overlay(slot) => into.push(self.overlay.known(slot).value()),
                Where::Cache(from, to) => into.push(Some(&lookup.cached[from..to])),
                Where::RocksDb => {
                    let Some((key, value)) = applied.next() else {
                        return Err(Error::new(
                            Kind::Bug,
                            reading(&self.task),
                            "RocksDB answered too few keys",
                        ));
                    };
                    let value = value.map_err(|error| rocks::error(reading(&self.task), &error))?;
                    into.push(value.as_deref());
                    if below == Below::Cache {
                        self.cache.learn(key, value.as_deref());
                    }
                }
            }
        }
        drop(applied);
        match (below, self.lookup.misses.len()) {
            (Below::Cache, 1..) => self.load_if_due(),
            _ => Ok(()),
        }
    }

    /// Takes the whole store of the prefix in `self.key` into the cache, if it fits and so much was missed that this is
    /// the cheaper way.
    fn load_if_due(&mut self) -> Result<()> {
        if !self.cache.wants_whole(self.lookup.misses.len(), self.applied_keys()) {
            return Ok(());
        }
        self.cache.begin_whole(&self.key, self.applied_keys());
        let mut entries = EntryRange::new(&self.key, &[], None).applied(&self.db);
        let (mut keys, mut values) = (Column::default(), Column::default());
        while self.cache.is_whole(&self.key) && entries.valid() {
            keys.clear();
            values.clear();
            while let (..FETCHED_AT_ONCE, Some((key, value))) = (keys.len(), entries.item()) {
                keys.push(Some(key));
                values.push(Some(value));
                entries.next();
            }
            self.cache.fetch(keys.iter().flatten());
            for (key, value) in keys.iter().flatten().zip(values.iter()) {
                self.cache.learn(key, value);
            }
        }
        entries.status().map_err(|error| {
            self.cache.clear();
            rocks::error(reading(&self.task), &error)
        })?;
        if self.cache.is_whole(&self.key) {
            self.cache.end_whole();
        }
        Ok(())
    }

    /// Fills `self.lookup`.
    fn find(&mut self, keys: &Column, some: Range<usize>, below: Below) {
        let lookup = &mut self.lookup;
        lookup.clear();
        for key in keys.some(some.clone()).flatten() {
            lookup.keys.extend_from_slice(&self.key);
            lookup.keys.extend_from_slice(key);
            lookup.ends.push(lookup.keys.len());
        }
        lookup.find_in(&self.overlay);
        if below == Below::Cache {
            self.cache.fetch(lookup.unknown());
        }
        let mut at = 0;
        for key in keys.some(some) {
            if key.is_none() {
                lookup.found.push(Where::Nowhere);
                continue;
            }
            let key = lookup.key(at);
            let found = match (lookup.slots[at], below) {
                (Some(slot), _) => Where::Overlay(slot),
                (None, Below::Nothing) => Where::Nowhere,
                (None, Below::RocksDb) => Where::RocksDb,
                (None, Below::Cache) => match self.cache.get(key) {
                    None => Where::RocksDb,
                    Some(None) => Where::Nowhere,
                    Some(Some(value)) => {
                        let from = lookup.cached.len();
                        lookup.cached.extend_from_slice(value);
                        Where::Cache(from, lookup.cached.len())
                    }
                },
            };
            if let Where::RocksDb = found {
                lookup.misses.push(at);
            }
            lookup.found.push(found);
            at += 1;
        }
    }

    /// Whether the applied entries of the map in `self.key` count for nothing.
    fn is_hidden(&self) -> bool {
        self.overlay.is_cleared(&self.key) || self.overlay.is_dropped(&self.key)
    }

    fn set_entry(&mut self, store: StoreId, key: &[u8]) {
        self.key.clear();
        keys::entry(store, key, &mut self.key);
    }

    fn set_map(&mut self, store: StoreId, key: &[u8]) {
        self.key.clear();
        keys::map(store, key, &mut self.key);
    }

    fn reading(&self) -> String {
        reading(&self.task)
    }

    pub(super) fn unread(&self, error: &rocksdb::Error) -> Error {
        rocks::error(self.reading(), error)
    }
}

fn reading(task: &str) -> String {
    format!("failed to read the state of task `{task}`")
}

/// The last of the steps' numbers, 0 if there is none; `None`: they have a gap.
fn last_step(steps: &[u8]) -> Option<u64> {
    let (numbers, rest) = steps.as_chunks::<8>();
    let mut last = None;
    for number in numbers {
        let number = u64::from_le_bytes(*number);
        if last.is_some_and(|last: u64| last.checked_add(1) != Some(number)) {
            return None;
        }
        last = Some(number);
    }
    rest.is_empty().then_some(last.unwrap_or(0))
}
