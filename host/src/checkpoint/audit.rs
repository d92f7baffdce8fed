//! What there is and whether it is whole: for people who look, and for those who want to know before they need it.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::base::StoredFile;
use super::bundle::{self, Checked};
use super::history::RestoreOrigin;
use super::store::CheckpointStore;
use crate::error::{Error, Result};
use crate::offset_metadata::Pointer;

/// A checkpoint of the store: one commit of one worker.
#[derive(Debug, Clone)]
pub struct StoredCheckpoint {
    /// Its name.
    pub name: String,
    /// Bytes of its bundle.
    pub bytes: u64,
    /// When it was written, in milliseconds since 1970 by the store's clock.
    pub written: i64,
    /// What it says of itself; the error if it cannot be read.
    pub manifest: Result<Arc<Checked>>,
}

/// An object that was read from its first to its last byte.
#[derive(Debug, Clone)]
pub struct Verified {
    /// Its path in the store.
    pub object: String,
    /// Its bytes, as far as they are known.
    pub bytes: u64,
    /// What is wrong with it.
    pub flaw: Option<Error>,
}

impl CheckpointStore {
    /// All checkpoints, the oldest first.
    pub fn checkpoints(&self) -> Result<Vec<StoredCheckpoint>> {
        let listed = self.objects.list(&self.path("bundles"))?;
        let stored = listed.into_iter().map(|object| StoredCheckpoint {
            manifest: self.manifest(&object.name),
            name: object.name,
            bytes: object.length,
            written: object.modified,
        });
        Ok(stored.collect())
    }

    /// Reads every byte that these pointers reach and says of each object whether it is what it has to be; `told` hears
    /// of each as it is done.
    ///
    /// # Errors
    /// None for what is damaged or missing: that is a flaw of its object. A store that cannot be opened failed before.
    pub fn verify(&self, pointers: &[Pointer], mut told: impl FnMut(&Verified)) -> Vec<Verified> {
        let (mut seen, mut all) = (BTreeSet::new(), Vec::new());
        let mut look = |object: String, read: &mut dyn FnMut() -> Result<u64>| {
            if !seen.insert(object.clone()) {
                return;
            }
            let (bytes, flaw) = match read() {
                Ok(bytes) => (bytes, None),
                Err(error) => (0, Some(error)),
            };
            let verified = Verified { object, bytes, flaw };
            told(&verified);
            all.push(verified);
        };
        for pointer in pointers.iter().filter(|pointer| pointer.bundle.is_some()) {
            let history = match self.history(pointer, None) {
                Ok(history) => history,
                Err(error) => {
                    look(pointer.to_string(), &mut || Err(error.clone()));
                    continue;
                }
            };
            for name in history.deltas.iter().filter_map(|delta| delta.pointer.bundle.as_ref()) {
                look(self.bundle_path(name), &mut || {
                    self.read_bundle(name).map(|bytes| bytes.len() as u64)
                });
            }
            let RestoreOrigin::Base(base) = history.origin else {
                continue;
            };
            let mut files = Vec::new();
            look(self.base_path(&base.name), &mut || {
                files = self.base(&base)?.files;
                Ok(base.length)
            });
            for file in &files {
                look(self.file_path(&file.object), &mut || self.check_file(file));
            }
        }
        all
    }

    fn check_file(&self, file: &StoredFile) -> Result<u64> {
        self.read_file(file, |_| Ok(()))?;
        Ok(file.length)
    }

    /// A whole bundle, every byte checked.
    pub(super) fn read_bundle(&self, name: &str) -> Result<bytes::Bytes> {
        let path = self.bundle_path(name);
        let bytes = self.objects.get(&path)?.ok_or_else(|| self.objects.missing(&path))?;
        bundle::check_whole(&bytes).map_err(|flaw| self.objects.damaged(&path, &flaw))?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Chain, folder_store, reopen};
    use super::*;

    #[test]
    fn every_byte_that_is_reached_is_looked_at_once() {
        let (folder, store) = folder_store();
        let mut chain = Chain::new(&store, "views/0");
        chain.commit();
        let base = chain.base(folder.path());
        chain.commit_on(Some(&base));
        chain.commit();
        let pointers = [chain.at.clone(), chain.at.clone(), Pointer::first("views/1")];
        let flawed = |store: &CheckpointStore| -> Vec<String> {
            let all = store.verify(&pointers, |_| {});
            assert_eq!(all.len(), 2 + 1 + 1);
            all.into_iter()
                .filter(|one| one.flaw.is_some())
                .map(|one| one.object)
                .collect()
        };
        assert_eq!(flawed(&store), Vec::<String>::new());

        let file = store.base(&base).unwrap().files[0].object.clone();
        let bundle = chain.at.bundle.clone().unwrap();
        for object in [store.file_path(&file), store.bundle_path(&bundle)] {
            let path = folder.path().join("store").join(&object);
            let bytes = std::fs::read(&path).unwrap();
            let mut damaged = bytes.clone();
            *damaged.last_mut().unwrap() ^= 1;
            std::fs::write(&path, damaged).unwrap();
            assert_eq!(flawed(&reopen(&folder)), [object]);
            std::fs::write(&path, bytes).unwrap();
        }
    }

    #[test]
    fn a_checkpoint_that_cannot_be_read_is_listed_all_the_same() {
        let (folder, store) = folder_store();
        let mut chain = Chain::new(&store, "views/0");
        chain.commit();
        let name = chain.commit().bundle.unwrap();
        std::fs::write(folder.path().join("store/pages/bundles").join(&name), b"torn").unwrap();
        let listed = reopen(&folder).checkpoints().unwrap();
        assert_eq!(listed.len(), 2);
        assert!(listed[0].manifest.is_ok() && listed[1].manifest.is_err());
    }
}
