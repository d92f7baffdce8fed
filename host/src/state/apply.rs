//! The step from a task's overlay into its RocksDB: for a commit that went through, and for one that is restored.
//!
//! Always: the changes of a commit and its pointer reach RocksDB in one write batch.
//!
//! Applies are numbered. Each merges its number into an entry of its own, and every 256th (and the first of a process)
//! starts that entry anew and is synced, with all before it. So a power cut can only lose the last applies, or leave a
//! gap in the numbers, which opening finds.

use super::cache::FETCHED_AT_ONCE;
use super::overlay::KeyChange;
use super::scan::EntryRange;
use super::task::{STEPS_UNSYNCED, TaskState};
use super::{delta, keys, rocks};
use crate::error::{Error, Kind, Result};
use crate::kill;
use rocksdb::{WriteBatch, WriteOptions};

/// A cleared map with more entries than this is deleted as a range: a range costs every later read a little, an entry
/// only itself.
const ENTRIES_DELETED_ONE_BY_ONE: usize = 1024;

impl TaskState {
    /// Appends the overlay, encoded: a whole number of batches, each kept.
    pub fn delta(&self, into: &mut Vec<u8>) {
        debug_assert!(!self.overlay.is_pending(), "a delta is taken between batches");
        delta::encode(self.overlay.changes(), into);
    }

    /// Writes the overlay and the pointer in one write batch; the overlay is empty then. For a commit that went
    /// through.
    pub fn apply(&mut self, pointer: &str) -> Result<()> {
        if self.overlay.is_pending() {
            return Err(Error::new(
                Kind::Bug,
                self.writing(),
                "a batch is neither kept nor undone",
            ));
        }
        let overlay = std::mem::take(&mut self.overlay);
        let written = self.write(overlay.changes().collect(), overlay.bytes(), pointer);
        self.overlay = overlay;
        written?;
        self.overlay.clear();
        self.floors.apply();
        Ok(())
    }

    /// Forgets all changes since the last commit.
    pub fn drop_overlay(&mut self) {
        self.overlay.clear();
        self.floors.forget();
    }

    /// Applies a stored delta with its pointer, when a task is restored. The bytes are checked before any of them is
    /// used.
    pub fn redo(&mut self, delta: &[u8], pointer: &str) -> Result<()> {
        if !self.is_clean() {
            return Err(Error::new(
                Kind::Bug,
                self.writing(),
                "there are changes since the last commit",
            ));
        }
        let what = || format!("failed to redo the delta of `{pointer}` for task `{}`", self.task);
        let changes = delta::decode(delta).map_err(|why| Error::new(Kind::Corrupt, what(), why))?;
        self.floors.forget();
        self.write(changes, delta.len(), pointer)
    }

    fn write(&mut self, mut changes: Vec<KeyChange<'_>>, bytes: usize, pointer: &str) -> Result<()> {
        // In the order of the keys each search of the write buffer begins where the one before ended.
        changes.sort_unstable_by_key(KeyChange::order);
        let mut batch = WriteBatch::with_capacity_bytes(bytes + 256);
        for change in &changes {
            match *change {
                KeyChange::Put { key, value } => batch.put(key, value),
                KeyChange::Delete { key } => batch.delete(key),
                KeyChange::Append { key, frames } => batch.merge(key, frames),
                KeyChange::ClearMap { prefix } => self.clear_applied(prefix, &mut batch)?,
                KeyChange::DropStore { prefix } => drop_applied(prefix, &mut batch),
            }
        }
        batch.put(keys::META_LAYOUT, [keys::LAYOUT]);
        batch.put(keys::META_TASK, &self.task);
        batch.put(keys::META_POINTER, pointer);
        let syncs = self.unsynced >= STEPS_UNSYNCED;
        match syncs {
            true => batch.put(keys::META_STEPS, self.step.to_le_bytes()),
            false => batch.merge(keys::META_STEPS, self.step.to_le_bytes()),
        }
        let mut options = WriteOptions::default();
        options.set_sync(syncs);
        kill::point("mid-apply");
        if let Err(error) = self.db.write_opt(batch, &options) {
            self.cache.clear();
            return Err(rocks::error(self.writing(), &error));
        }
        kill::point("after-apply");
        self.tell_cache(&changes);
        self.step += 1;
        self.unsynced = if syncs { 1 } else { self.unsynced + 1 };
        self.pointer = Some(pointer.to_owned());
        self.stats.applies += 1;
        Ok(())
    }

    /// The cache follows what was just written.
    fn tell_cache(&mut self, changes: &[KeyChange<'_>]) {
        for changes in changes.chunks(FETCHED_AT_ONCE) {
            self.cache.fetch(changes.iter().map(|change| change.order().1));
            for change in changes {
                match *change {
                    KeyChange::Put { key, value } => {
                        self.cache.applied(key, Some(value));
                        self.too_long.forget(key, true);
                    }
                    KeyChange::Delete { key } => {
                        self.cache.applied(key, None);
                        self.too_long.forget(key, true);
                    }
                    KeyChange::Append { key, .. } => self.cache.forget(key),
                    // Of maps it has nothing.
                    KeyChange::ClearMap { .. } => {}
                    // It comes before whatever was put since.
                    KeyChange::DropStore { prefix } => {
                        self.cache.clear();
                        self.too_long.forget(prefix, false);
                    }
                }
            }
        }
    }

    /// Adds the deletion of all applied entries of a map to the batch.
    fn clear_applied(&self, prefix: &[u8], batch: &mut WriteBatch) -> Result<()> {
        let mut entries = EntryRange::new(prefix, &[], None).applied(&self.db);
        for _ in 0..ENTRIES_DELETED_ONE_BY_ONE {
            match entries.key() {
                Some(key) => batch.delete(key),
                None => return entries.status().map_err(|error| self.unread(&error)),
            }
            entries.next();
        }
        drop_applied(prefix, batch);
        Ok(())
    }

    fn writing(&self) -> String {
        format!("failed to apply a commit to the state of task `{}`", self.task)
    }
}

/// Adds the deletion of all applied entries that begin so to the batch.
fn drop_applied(prefix: &[u8], batch: &mut WriteBatch) {
    if let Some(behind) = keys::behind(prefix) {
        batch.delete_range(prefix, &behind);
    }
}
