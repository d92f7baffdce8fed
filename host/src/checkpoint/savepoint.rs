//! Savepoints: the state and positions of a pipeline at one moment, complete in itself, and never collected.
//!
//! A savepoint has the objects of a store, below a folder of its own, and `savepoint.json`, which is written last:
//! without it there is none. No path in it leads out of it, so it can be moved as a whole. It may be taken while the
//! pipeline runs: what committed pointers reach is copied, and pointers are read again if something was collected
//! meanwhile.

use std::collections::BTreeSet;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::base::StoredFile;
use super::bundle::{BaseRef, StoreSchema};
use super::history::RestoreOrigin;
use super::objects::Objects;
use super::store::{CheckpointStore, new_name};
use crate::clock;
use crate::config::{Location, Offsets};
use crate::error::{Error, Kind, Result};
use crate::offset_metadata::Pointer;

const FORMAT: u32 = 1;
const MANIFEST: &str = "savepoint.json";
/// How often committed pointers are read anew when objects went away under the copy.
const ATTEMPTS: usize = 5;

/// What a savepoint says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Savepoint {
    format: u32,
    /// The pipeline that it was taken of.
    pub pipeline: String,
    /// When, in milliseconds since 1970 by the clock of who took it.
    pub created: i64,
    /// The tasks, in order.
    pub tasks: Vec<SavedTask>,
}

/// A task of a savepoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct SavedTask {
    /// The task: `<source>/<number>`.
    pub task: String,
    /// Names its state.
    #[serde(with = "super::bundle::as_text")]
    pub pointer: Pointer,
    /// The positions that belong to it.
    pub offsets: Offsets,
    /// The stores that it has.
    pub stores: Vec<StoreSchema>,
}

/// Where a savepoint is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SavepointPlace {
    /// Below the pipeline's own store, under this name.
    Named(String),
    /// Anywhere else.
    At(Location),
}

/// A task's committed pointer, and the positions that its group holds: those of a task that has no bundle yet stand
/// nowhere else.
pub type CommittedTask = (Pointer, Offsets);

impl CheckpointStore {
    /// A name for a savepoint that nobody named: it begins with the time.
    pub fn new_savepoint_name() -> String {
        new_name(0)
    }

    /// Takes a savepoint of what is committed. `committed` reads the committed pointers of all tasks; it is asked again
    /// if something that they reached was collected under the copy.
    ///
    /// # Errors
    /// `Corrupt`: there is a savepoint of that name, a pointer does not resolve, or one of the two places cannot be
    /// read or written.
    pub fn save(
        &self,
        place: &SavepointPlace,
        mut committed: impl FnMut() -> Result<Vec<CommittedTask>>,
    ) -> Result<Savepoint> {
        let target = self.savepoint_store(place)?;
        if target.objects.look(&target.path(MANIFEST))?.is_some() {
            let what = format!("failed to create savepoint `{place}`");
            return Err(Error::new(Kind::Corrupt, what, "there is one already").hint("give another name"));
        }
        let mut before = Vec::new();
        for _ in 0..ATTEMPTS {
            let now = committed()?;
            let error = match self.copy_all(&target, &now) {
                Ok(tasks) => return target.seal(self.pipeline(), tasks),
                Err(error) => error,
            };
            // The same pointers fail the same way.
            if now == before {
                return Err(error);
            }
            before = now;
        }
        let what = format!("failed to create savepoint `{place}`");
        Err(Error::new(
            Kind::TimedOut,
            what,
            "checkpoints are collected faster than they are copied",
        )
        .hint("raise `keep` of [checkpoint]"))
    }

    fn copy_all(&self, target: &CheckpointStore, committed: &[CommittedTask]) -> Result<Vec<SavedTask>> {
        let (mut tasks, mut done) = (Vec::new(), BTreeSet::new());
        for (pointer, offsets) in committed {
            let entry = self.resolve(pointer)?;
            self.copy_reached(target, pointer, &mut done)?;
            tasks.push(SavedTask {
                task: pointer.task.clone(),
                pointer: pointer.clone(),
                offsets: entry
                    .as_ref()
                    .map_or_else(|| offsets.clone(), |entry| entry.offsets.clone()),
                stores: entry.map(|entry| entry.stores).unwrap_or_default(),
            });
        }
        tasks.sort_by(|one, other| one.task.cmp(&other.task));
        Ok(tasks)
    }

    /// Copies what a pointer reaches, each object once; every bundle and list of files is checked on the way.
    fn copy_reached(&self, target: &CheckpointStore, pointer: &Pointer, done: &mut BTreeSet<String>) -> Result<()> {
        let history = self.history(pointer, None)?;
        if let RestoreOrigin::Base(base) = &history.origin {
            self.copy_base(target, base, done)?;
        }
        // If nothing is kept, there is no delta, and yet the pointer has to resolve.
        let pointers = history.deltas.iter().map(|delta| &delta.pointer).chain([pointer]);
        for name in pointers.filter_map(|pointer| pointer.bundle.as_ref()) {
            if done.insert(name.clone()) {
                target.objects.put(&target.bundle_path(name), self.read_bundle(name)?)?;
            }
        }
        Ok(())
    }

    fn copy_base(&self, target: &CheckpointStore, base: &BaseRef, done: &mut BTreeSet<String>) -> Result<()> {
        for file in self.base(base)?.files {
            if done.insert(file.object.clone()) {
                self.copy_file(target, &file)?;
            }
        }
        if done.insert(base.name.clone()) {
            let path = self.base_path(&base.name);
            let bytes = self.objects.get(&path)?.ok_or_else(|| self.objects.missing(&path))?;
            target.objects.put(&target.base_path(&base.name), bytes)?;
        }
        Ok(())
    }

    /// Within one place nothing is transferred. Into a store everything is written anew, so that it is young there: it
    /// must not be collected before it is committed. What is transferred is checked on the way.
    fn copy_file(&self, target: &CheckpointStore, file: &StoredFile) -> Result<()> {
        let (from, to) = (self.file_path(&file.object), target.file_path(&file.object));
        if self.objects.is_same_place(&target.objects) && target.is_savepoint() {
            return self.objects.copy(&from, &to);
        }
        let (sender, pieces) = std::sync::mpsc::sync_channel::<Result<Bytes>>(2);
        let (source, file) = (self.clone(), file.clone());
        let reading = self.objects.begin_blocking(move || {
            let read = source.read_file(&file, |piece| {
                // Whoever wrote has given up: so does this.
                let gone = |_| Error::new(Kind::Failed, "failed to copy", "the other side is gone");
                sender.send(Ok(Bytes::copy_from_slice(piece))).map_err(gone)
            });
            if let Err(error) = read {
                let _ = sender.send(Err(error));
            }
        });
        target
            .objects
            .stream(&to, || pieces.recv().unwrap_or_else(|_| Ok(Bytes::new())))?;
        drop(pieces);
        // The last piece came: so does the end.
        let _ = reading.recv();
        Ok(())
    }

    fn seal(&self, pipeline: &str, tasks: Vec<SavedTask>) -> Result<Savepoint> {
        let savepoint = Savepoint {
            format: FORMAT,
            pipeline: pipeline.to_owned(),
            created: clock::wall_ms(),
            tasks,
        };
        let text = serde_json::to_vec_pretty(&savepoint);
        let text = text.map_err(|error| Error::new(Kind::Bug, "failed to write a savepoint", error))?;
        self.objects.put(&self.path(MANIFEST), text.into())?;
        Ok(savepoint)
    }

    /// The savepoints below this store, by name; the error if one cannot be read or was never finished.
    pub fn savepoints(&self) -> Result<Vec<(String, Result<Savepoint>)>> {
        let mut found = Vec::new();
        for name in self.objects.folders(&self.path("savepoints"))? {
            let place = SavepointPlace::Named(name.clone());
            let savepoint = self.savepoint(&place);
            // A folder keeps the folders of what was deleted.
            if savepoint.is_ok() || !self.savepoint_store(&place)?.bundles()?.is_empty() {
                found.push((name, savepoint));
            }
        }
        Ok(found)
    }

    /// A savepoint's own words.
    pub fn savepoint(&self, place: &SavepointPlace) -> Result<Savepoint> {
        let none = || {
            let why = format!("there is no `{MANIFEST}`: it was never made, never finished, or was deleted");
            let error = Error::new(Kind::Corrupt, format!("there is no savepoint `{place}`"), why);
            error.hint(
                "`sandbar savepoint list PIPELINE` tells which there are; one elsewhere is given by its \
                place, such as ./folder",
            )
        };
        // Looking at a folder that is not there must not make it.
        if let SavepointPlace::At(Location::Folder(folder)) = place
            && !folder.is_dir()
        {
            return Err(none());
        }
        let store = self.savepoint_store(place)?;
        let path = store.path(MANIFEST);
        let text = store.objects.get(&path)?.ok_or_else(none)?;
        let savepoint: Savepoint =
            serde_json::from_slice(&text).map_err(|error| store.objects.damaged(&path, &error.to_string()))?;
        match savepoint.format {
            FORMAT => Ok(savepoint),
            other => {
                let flaw = format!("it has format {other}, and this build knows {FORMAT}");
                Err(store.objects.damaged(&path, &flaw))
            }
        }
    }

    /// Deletes a savepoint; what it was copied from stays.
    pub fn delete_savepoint(&self, place: &SavepointPlace) -> Result<()> {
        if matches!(place, SavepointPlace::At(_)) {
            // Only what is a savepoint is deleted by its place.
            self.savepoint(place)?;
        }
        let store = self.savepoint_store(place)?;
        let mut objects: Vec<String> = Vec::new();
        let files = store.objects.folders(&store.path("files"))?;
        let folders = files.into_iter().map(|base| format!("files/{base}"));
        for folder in ["bundles".to_owned(), "bases".to_owned()].into_iter().chain(folders) {
            let listed = store.objects.list(&store.path(&folder))?;
            objects.extend(
                listed
                    .into_iter()
                    .map(|object| store.path(&format!("{folder}/{}", object.name))),
            );
        }
        if objects.is_empty() {
            self.savepoint(place)?;
        }
        // First what makes it one: half of a savepoint is none.
        store.objects.delete(&store.path(MANIFEST))?;
        objects.iter().try_for_each(|object| store.objects.delete(object))
    }

    /// Copies a savepoint's objects into this store, so that its pointers resolve here. They are to be committed at
    /// once: until then they are kept by their age alone.
    pub fn import(&self, place: &SavepointPlace) -> Result<Savepoint> {
        let savepoint = self.savepoint(place)?;
        let source = self.savepoint_store(place)?;
        let mut done = BTreeSet::new();
        for task in &savepoint.tasks {
            source.copy_reached(self, &task.pointer, &mut done)?;
        }
        Ok(savepoint)
    }

    fn savepoint_store(&self, place: &SavepointPlace) -> Result<CheckpointStore> {
        match place {
            SavepointPlace::Named(name) => {
                check_name(name)?;
                let root = self.path(&format!("savepoints/{name}"));
                Ok(CheckpointStore::at(self.objects.clone(), &root, self.pipeline()))
            }
            SavepointPlace::At(location) => Ok(CheckpointStore::at(Objects::open(location)?, "", self.pipeline())),
        }
    }

    fn is_savepoint(&self) -> bool {
        self.path("") != format!("{}/", self.pipeline())
    }
}

impl std::fmt::Display for SavepointPlace {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            SavepointPlace::Named(name) => out.write_str(name),
            SavepointPlace::At(location) => location.fmt(out),
        }
    }
}

fn check_name(name: &str) -> Result<()> {
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    if !name.is_empty() && name.len() <= 100 && !name.starts_with('.') && name.chars().all(allowed) {
        return Ok(());
    }
    let why = "it has letters, digits, `-`, `_` and `.`, at most 100, and does not begin with `.`";
    Err(
        Error::new(Kind::Usage, format!("`{name}` is no name of a savepoint"), why)
            .hint("a folder is given as ./folder"),
    )
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::tests::{Chain, folder_store, reopen};
    use super::*;

    fn named(name: &str) -> SavepointPlace {
        SavepointPlace::Named(name.into())
    }

    fn committed(chain: &Chain<'_>) -> Vec<CommittedTask> {
        let task = Pointer::first("views/9");
        let offsets = Offsets::from([("views".to_owned(), [(9, 7)].into())]);
        vec![(task, offsets), (chain.at.clone(), Offsets::new())]
    }

    /// A store with a task at 4 on a base at 2.
    fn four_commits<'a>(store: &'a CheckpointStore, folder: &Path) -> Chain<'a> {
        let mut chain = Chain::new(store, "views/0");
        chain.commit();
        chain.commit();
        let base = chain.base(folder);
        chain.commit_on(Some(&base));
        chain.commit();
        chain
    }

    fn restores(store: &CheckpointStore, folder: &Path, pointer: &Pointer) -> usize {
        let history = store.history(pointer, None).unwrap();
        let RestoreOrigin::Base(base) = &history.origin else {
            panic!("{history:?}")
        };
        store.fetch_base(base, &folder.join("restored"), |_, _| {}).unwrap();
        history
            .deltas
            .iter()
            .map(|delta| store.delta(delta).unwrap().len())
            .sum()
    }

    #[test]
    fn a_savepoint_is_complete_in_itself_and_can_be_moved() {
        let (folder, store) = folder_store();
        let chain = four_commits(&store, folder.path());
        let saved = store.save(&named("before-upgrade"), || Ok(committed(&chain))).unwrap();
        assert_eq!(saved.tasks.len(), 2);
        assert_eq!(saved.tasks[0].offsets["views"][&0], 4, "as the bundle has them");
        assert_eq!(saved.tasks[1].offsets["views"][&9], 7, "as the group has them");

        // The store goes, the savepoint is moved elsewhere.
        let moved = folder.path().join("elsewhere");
        std::fs::rename(folder.path().join("store/pages/savepoints/before-upgrade"), &moved).unwrap();
        std::fs::remove_dir_all(folder.path().join("store")).unwrap();
        let store = reopen(&folder);
        let imported = store.import(&SavepointPlace::At(Location::Folder(moved))).unwrap();
        assert_eq!(imported, saved);
        assert_eq!(
            restores(&store, folder.path(), &imported.tasks[0].pointer),
            2 * "views/0 at 3".len()
        );
    }

    #[test]
    fn a_savepoint_in_a_folder_of_its_own_is_read_by_any_store() {
        let (folder, store) = folder_store();
        let chain = four_commits(&store, folder.path());
        let place = SavepointPlace::At(Location::Folder(folder.path().join("mine")));
        let saved = store.save(&place, || Ok(committed(&chain))).unwrap();
        let other = CheckpointStore::open(&Location::Folder(folder.path().join("other")), "other-pipeline").unwrap();
        assert_eq!(other.import(&place).unwrap(), saved);
        restores(&other, folder.path(), &saved.tasks[0].pointer);
        other.delete_savepoint(&place).unwrap();
        assert!(other.savepoint(&place).unwrap_err().what.contains("no savepoint"));
        let nowhere = folder.path().join("nowhere");
        assert!(
            other
                .import(&SavepointPlace::At(Location::Folder(nowhere.clone())))
                .is_err()
                && !nowhere.exists()
        );
    }

    #[test]
    fn savepoints_are_listed_deleted_and_never_collected() {
        let (folder, store) = folder_store();
        let chain = four_commits(&store, folder.path());
        store.save(&named("a"), || Ok(committed(&chain))).unwrap();
        assert!(
            store
                .save(&named("a"), || Ok(committed(&chain)))
                .unwrap_err()
                .why
                .contains("already")
        );
        // One that a crash left unfinished.
        store
            .objects
            .put(&store.path("savepoints/b/bundles/x"), Bytes::from_static(b"x"))
            .unwrap();
        let list = || -> Vec<(String, bool)> {
            let listed = store.savepoints().unwrap().into_iter();
            listed.map(|(name, savepoint)| (name, savepoint.is_ok())).collect()
        };
        assert_eq!(list(), [("a".to_owned(), true), ("b".to_owned(), false)]);
        store
            .list_for_collection()
            .unwrap()
            .collect(&[], 1, std::time::Duration::ZERO)
            .unwrap();
        let other = CheckpointStore::open(&Location::Folder(folder.path().join("other")), "pages").unwrap();
        let place = SavepointPlace::At(Location::Folder(folder.path().join("store/pages/savepoints/a")));
        restores(&other, folder.path(), &other.import(&place).unwrap().tasks[0].pointer);
        store.delete_savepoint(&named("a")).unwrap();
        store.delete_savepoint(&named("b")).unwrap();
        assert_eq!(list(), []);
        assert!(store.delete_savepoint(&named("a")).is_err());
        assert!(store.history(&chain.at, None).is_ok());
    }

    /// Savepoint and bases as a later release may write them.
    #[test]
    fn a_savepoint_of_tomorrow_is_read_and_what_is_new_in_it_passed_over() {
        let (folder, store) = folder_store();
        let chain = four_commits(&store, folder.path());
        let place = folder.path().join("apart");
        let apart = SavepointPlace::At(Location::Folder(place.clone()));
        store.save(&apart, || Ok(committed(&chain))).unwrap();
        let file = place.join(MANIFEST);
        let today = std::fs::read(&file).unwrap();
        let mut tomorrow: serde_json::Value = serde_json::from_slice(&today).unwrap();
        for place in ["", "/tasks/0"] {
            let object = tomorrow.pointer_mut(place).unwrap().as_object_mut().unwrap();
            object.insert("new-tomorrow".into(), serde_json::json!(["x"]));
        }
        std::fs::write(&file, serde_json::to_vec(&tomorrow).unwrap()).unwrap();
        let other = CheckpointStore::open(&Location::Folder(folder.path().join("other")), "pages").unwrap();
        let read = other.import(&apart).unwrap();
        assert_eq!(read, serde_json::from_slice(&today).unwrap());
    }

    #[test]
    fn a_damaged_file_of_a_savepoint_is_found_before_it_is_of_any_use() {
        let (folder, store) = folder_store();
        let chain = four_commits(&store, folder.path());
        let place = folder.path().join("apart");
        let apart = SavepointPlace::At(Location::Folder(place.clone()));
        store.save(&apart, || Ok(committed(&chain))).unwrap();
        let base = std::fs::read_dir(place.join("files"))
            .unwrap()
            .next()
            .unwrap()
            .unwrap()
            .path();
        let file = std::fs::read_dir(base).unwrap().next().unwrap().unwrap();
        let mut bytes = std::fs::read(file.path()).unwrap();
        bytes[0] ^= 1;
        std::fs::write(file.path(), bytes).unwrap();
        let other = CheckpointStore::open(&Location::Folder(folder.path().join("other")), "pages").unwrap();
        let error = other.import(&apart).unwrap_err();
        assert_eq!(error.kind, Kind::Corrupt);
        assert!(error.what.contains(file.file_name().to_str().unwrap()), "{error}");
    }

    #[test]
    fn pointers_are_read_again_where_something_was_collected_meanwhile() {
        let (folder, store) = folder_store();
        let mut chain = four_commits(&store, folder.path());
        let gone = Pointer {
            bundle: Some("0mhzqk3va-0-aaaaaaaaaaaaa".into()),
            ..chain.at.clone()
        };
        chain.commit();
        let mut asked = 0;
        let saved = store.save(&named("a"), || {
            asked += 1;
            let pointer = if asked == 1 { gone.clone() } else { chain.at.clone() };
            Ok(vec![(pointer, Offsets::new())])
        });
        assert_eq!((asked, saved.unwrap().tasks[0].pointer.clone()), (2, chain.at.clone()));
        let error = store
            .save(&named("b"), || Ok(vec![(gone.clone(), Offsets::new())]))
            .unwrap_err();
        assert!(error.what.contains("0mhzqk3va-0-aaaaaaaaaaaaa"), "{error}");
        assert!(store.savepoint(&named("b")).is_err());
    }

    #[test]
    fn a_name_cannot_lead_out_of_the_store() {
        let (_folder, store) = folder_store();
        for name in ["", "..", "../x", "a/b", ".hidden", "ä"] {
            assert_eq!(store.savepoint(&named(name)).unwrap_err().kind, Kind::Usage, "{name}");
        }
    }
}
