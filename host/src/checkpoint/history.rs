//! The way back: from a pointer through its parents to an origin that its state can be built on, and the deltas from
//! there.
//!
//! A pointer carries the hash of its bundle, and each bundle the pointer to its parent: the way back is a chain of
//! hashes. Numbers only fall on it, so it ends. What is missing or damaged on it is an error; it is never taken for the
//! end.

use super::bundle::{self, BaseRef, ManifestEntry, StoreSchema};
use super::store::CheckpointStore;
use crate::config::Offsets;
use crate::error::{Error, Result};
use crate::kill;
use crate::offset_metadata::Pointer;

/// What a task's state is built on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RestoreOrigin {
    /// Nothing: the task was empty.
    Empty,
    /// The local files, as they are.
    Local,
    /// A base; local files are of no use.
    Base(BaseRef),
}

/// How to build the state that a pointer names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    /// What it is built on.
    pub origin: RestoreOrigin,
    /// The newest base that the state's bundles name, whatever the origin is: later bundles go on naming it.
    pub base: Option<BaseRef>,
    /// What changed since, the oldest first.
    pub deltas: Vec<Delta>,
    /// The positions that belong to the state; empty if the pointer names no bundle.
    pub offsets: Offsets,
    /// The stores that the state has.
    pub stores: Vec<StoreSchema>,
}

/// One change on the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delta {
    /// The state that it leads to.
    pub pointer: Pointer,
    /// Its bytes.
    pub length: u64,
}

impl CheckpointStore {
    /// How to build the state of `pointer`, given what the local files hold: they are the origin if they are that state
    /// or an ancestor of it, else the newest base on the way.
    ///
    /// # Errors
    /// `Corrupt`: an object on the way is missing or damaged, or the store cannot be read.
    pub fn history(&self, pointer: &Pointer, local: Option<&Pointer>) -> Result<History> {
        self.history_step_by_step(pointer, local, &|| {})
    }

    /// The same; `step` is called at each checkpoint on the way, for whoever watches whether it goes on.
    ///
    /// # Errors
    /// As [`CheckpointStore::history`].
    pub fn history_step_by_step(&self, pointer: &Pointer, local: Option<&Pointer>, step: &dyn Fn()) -> Result<History> {
        let (mut at, mut deltas) = (pointer.clone(), Vec::new());
        let (offsets, stores, named) = match self.resolve(pointer)? {
            Some(entry) => (entry.offsets, entry.stores, entry.base),
            None => (Offsets::new(), Vec::new(), None),
        };
        // The newest base on the way, and how many deltas stand on it.
        let mut base: Option<(BaseRef, usize)> = None;
        let origin = loop {
            step();
            if local == Some(&at) {
                break RestoreOrigin::Local;
            }
            let found = base.as_ref().filter(|(base, _)| at.seq <= base.at.seq);
            if let Some((found, _)) = found
                && local.is_none_or(|local| local.seq >= at.seq)
            {
                break RestoreOrigin::Base(found.clone());
            }
            let entry = match (self.resolve(&at), found) {
                (Ok(Some(entry)), _) => entry,
                (Ok(None), None) => break RestoreOrigin::Empty,
                (Err(error), None) => return Err(error),
                // Older than the base: needed only to find out whether the local files are an ancestor.
                (Ok(None) | Err(_), Some((found, _))) => break RestoreOrigin::Base(found.clone()),
            };
            // No operator kept anything: there is nothing to build on, and no reason to go further back.
            if entry.keeps_nothing() {
                break RestoreOrigin::Empty;
            }
            deltas.push(Delta {
                pointer: at,
                length: entry.frame.length,
            });
            if base.is_none() {
                base = entry.base.map(|base| (base, 0));
            }
            if let Some((base, standing)) = &mut base
                && *standing == 0
                && entry.parent.seq <= base.at.seq
            {
                self.check_on_the_way(base, &entry.parent)?;
                *standing = deltas.len();
            }
            at = entry.parent;
        };
        if let (RestoreOrigin::Base(_), Some((_, standing))) = (&origin, &base) {
            deltas.truncate(*standing);
        }
        deltas.reverse();
        Ok(History {
            origin,
            base: named.or(base.map(|(base, _)| base)),
            deltas,
            offsets,
            stores,
        })
    }

    /// A base has to be of a state on the way: the way must not jump over it.
    fn check_on_the_way(&self, base: &BaseRef, parent: &Pointer) -> Result<()> {
        if base.at == *parent {
            return Ok(());
        }
        let flaw = format!("it holds `{}`, which is not on the way from what names it", base.at);
        Err(self.objects.damaged(&self.base_path(&base.name), &flaw))
    }

    /// The bytes of a change, checked.
    pub fn delta(&self, delta: &Delta) -> Result<Vec<u8>> {
        kill::point("mid-restore");
        let lost = || self.lost(&delta.pointer);
        let entry = self.resolve(&delta.pointer)?.ok_or_else(lost)?;
        let name = delta.pointer.bundle.as_ref().ok_or_else(lost)?;
        self.frame(name, &entry)
    }

    /// The delta of a task in a bundle, checked.
    pub(super) fn frame(&self, name: &str, entry: &ManifestEntry) -> Result<Vec<u8>> {
        let path = self.bundle_path(name);
        let bytes = self
            .objects
            .range(&path, self.manifest(name)?.delta_range(&entry.frame))?;
        bundle::check_delta(&bytes, &entry.frame).map_err(|flaw| self.objects.damaged(&path, &flaw))?;
        Ok(bytes.into())
    }

    fn lost(&self, pointer: &Pointer) -> Error {
        self.objects.damaged(
            &self.path("bundles"),
            &format!("the pointer `{pointer}` names no delta"),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Chain, folder_store};
    use super::*;
    use crate::error::Kind;

    fn names(history: &History) -> Vec<u64> {
        history.deltas.iter().map(|delta| delta.pointer.seq).collect()
    }

    #[test]
    fn a_task_without_a_bundle_is_empty() {
        let (_folder, store) = folder_store();
        let first = Pointer::first("views/0");
        assert_eq!(store.history(&first, None).unwrap().origin, RestoreOrigin::Empty);
        assert_eq!(
            store.history(&first, Some(&first)).unwrap().origin,
            RestoreOrigin::Local
        );
    }

    #[test]
    fn without_a_base_all_deltas_are_replayed_in_order() {
        let (_folder, store) = folder_store();
        let mut chain = Chain::new(&store, "views/0");
        for _ in 0..5 {
            chain.commit();
        }
        let history = store.history(&chain.at, None).unwrap();
        assert_eq!(
            (history.origin.clone(), names(&history)),
            (RestoreOrigin::Empty, vec![1, 2, 3, 4, 5])
        );
        let bytes: Vec<Vec<u8>> = history.deltas.iter().map(|delta| store.delta(delta).unwrap()).collect();
        assert_eq!(bytes[2], b"views/0 at 3");
        assert_eq!(history.offsets["views"][&0], 5);
    }

    #[test]
    fn local_files_are_the_ground_where_they_are_an_ancestor() {
        let (_folder, store) = folder_store();
        let mut chain = Chain::new(&store, "views/0");
        let pointers: Vec<Pointer> = (0..4).map(|_| chain.commit()).collect();
        let history = store.history(&chain.at, Some(&pointers[1])).unwrap();
        assert_eq!(
            (history.origin.clone(), names(&history)),
            (RestoreOrigin::Local, vec![3, 4])
        );
        let history = store.history(&chain.at, Some(&pointers[3])).unwrap();
        assert_eq!(
            (history.origin.clone(), names(&history)),
            (RestoreOrigin::Local, vec![])
        );
        // Of another attempt at the same number, and ahead of what was committed: not on the way.
        let mut stranger = pointers[1].clone();
        stranger.hash = Some("0000000000000000".into());
        assert_eq!(
            store.history(&chain.at, Some(&stranger)).unwrap().origin,
            RestoreOrigin::Empty
        );
        assert_eq!(
            store.history(&pointers[2], Some(&chain.at)).unwrap().origin,
            RestoreOrigin::Empty
        );
    }

    #[test]
    fn the_newest_base_on_the_way_is_the_ground() {
        let (folder, store) = folder_store();
        let mut chain = Chain::new(&store, "views/0");
        let old = chain.commit();
        chain.commit();
        let base = chain.base(folder.path());
        chain.commit();
        chain.commit_on(Some(&base));
        chain.commit();
        let history = store.history(&chain.at, None).unwrap();
        assert_eq!(
            (history.origin.clone(), names(&history)),
            (RestoreOrigin::Base(base.clone()), vec![3, 4, 5])
        );
        // Older local files are an ancestor still, as long as the deltas between are there.
        let history = store.history(&chain.at, Some(&old)).unwrap();
        assert_eq!(
            (history.origin.clone(), names(&history)),
            (RestoreOrigin::Local, vec![2, 3, 4, 5])
        );
        store
            .objects
            .delete(&store.bundle_path(base.at.bundle.as_deref().unwrap()))
            .unwrap();
        store.forget(base.at.bundle.as_deref().unwrap());
        let history = store.history(&chain.at, Some(&old)).unwrap();
        assert_eq!(
            (history.origin.clone(), names(&history)),
            (RestoreOrigin::Base(base), vec![3, 4, 5])
        );
    }

    #[test]
    fn what_is_missing_or_damaged_on_the_way_is_an_error_that_names_it() {
        let (folder, store) = folder_store();
        let mut chain = Chain::new(&store, "views/0");
        let middle = (0..3).map(|_| chain.commit()).nth(1).unwrap();
        let name = middle.bundle.clone().unwrap();
        let file = folder.path().join("store/pages/bundles").join(&name);
        let bytes = std::fs::read(&file).unwrap();

        let reopened = || super::super::tests::reopen(&folder);
        let mut damaged = bytes.clone();
        damaged[60] ^= 1;
        std::fs::write(&file, &damaged).unwrap();
        let error = reopened().history(&chain.at, None).unwrap_err();
        assert!(
            error.kind == Kind::Corrupt && error.what.contains(&name) && error.what.contains("damaged"),
            "{error}"
        );

        let mut damaged = bytes.clone();
        *damaged.last_mut().unwrap() ^= 1;
        std::fs::write(&file, &damaged).unwrap();
        let history = reopened().history(&chain.at, None).unwrap();
        let error = reopened().delta(&history.deltas[1]).unwrap_err();
        assert!(error.kind == Kind::Corrupt && error.what.contains(&name), "{error}");

        std::fs::remove_file(&file).unwrap();
        let error = reopened().history(&chain.at, None).unwrap_err();
        assert!(
            error.kind == Kind::Corrupt && error.what.contains(&name) && error.what.contains("missing"),
            "{error}"
        );
        assert!(error.hint.unwrap().contains("--from SAVEPOINT"));
    }
}
