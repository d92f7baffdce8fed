//! What the tests of this station share: a store in a folder of its own, and a task that commits into it.

use std::path::Path;
use std::time::Duration;

use super::bundle::{BaseRef, TaskFrame};
use super::store::CheckpointStore;
use crate::config::{Location, Offsets};
use crate::offset_metadata::Pointer;

pub(super) const WAIT: Duration = Duration::from_secs(60);

pub(super) fn folder_store() -> (tempfile::TempDir, CheckpointStore) {
    let folder = tempfile::tempdir().unwrap();
    let store = reopen(&folder);
    (folder, store)
}

pub(super) fn reopen(folder: &tempfile::TempDir) -> CheckpointStore {
    CheckpointStore::open(&Location::Folder(folder.path().join("store")), "pages").unwrap()
}

/// A task that commits, one bundle a time.
pub(super) struct Chain<'a> {
    store: &'a CheckpointStore,
    pub(super) at: Pointer,
}

impl<'a> Chain<'a> {
    pub(super) fn new(store: &'a CheckpointStore, task: &str) -> Self {
        Self {
            store,
            at: Pointer::first(task),
        }
    }

    /// What the next commit would write.
    pub(super) fn frame(&self, base: Option<&BaseRef>) -> TaskFrame {
        let (source, number) = self.at.task.split_once('/').unwrap();
        let seq = self.at.seq + 1;
        TaskFrame {
            task: self.at.task.clone(),
            seq,
            parent: self.at.clone(),
            base: base.cloned(),
            offsets: Offsets::from([(source.to_owned(), [(number.parse().unwrap(), seq as i64)].into())]),
            stops: [].into(),
            partition_counts: [].into(),
            stores: Vec::new(),
            delta: format!("{} at {seq}", self.at.task).into_bytes(),
        }
    }

    /// Writes a bundle and goes on from it.
    pub(super) fn commit(&mut self) -> Pointer {
        self.commit_on(None)
    }

    pub(super) fn commit_on(&mut self, base: Option<&BaseRef>) -> Pointer {
        self.at = self.attempt(base);
        self.at.clone()
    }

    /// Writes a bundle and does not go on from it.
    pub(super) fn attempt(&self, base: Option<&BaseRef>) -> Pointer {
        let mut upload = self.store.put(0, vec![self.frame(base)]);
        upload.wait(WAIT).unwrap().unwrap().remove(0)
    }

    /// Writes a base of where the task stands.
    pub(super) fn base(&self, folder: &Path) -> BaseRef {
        let files = folder.join(format!("base-{}", self.at.seq));
        std::fs::create_dir_all(&files).unwrap();
        std::fs::write(files.join("state"), self.at.to_string()).unwrap();
        let mut upload = self.store.put_base(&self.at.task, &self.at, &files);
        upload.wait(WAIT).unwrap().unwrap()
    }
}

#[test]
fn the_newest_states_are_found_without_reading_what_is_older() {
    let (folder, store) = folder_store();
    let (mut one, mut other) = (Chain::new(&store, "views/0"), Chain::new(&store, "views/1"));
    let old = one.commit();
    one.commit();
    other.commit();
    // Whoever reads it fails.
    let old = folder.path().join("store/pages/bundles").join(old.bundle.unwrap());
    std::fs::write(&old, b"damaged").unwrap();
    let store = reopen(&folder);
    let newest = store.newest_until(|found| found.len() == 2).unwrap();
    let pointers: Vec<_> = newest.into_iter().map(|(pointer, _)| pointer).collect();
    assert_eq!(pointers, [one.at, other.at]);
    assert!(store.newest().is_err());
}
