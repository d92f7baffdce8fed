//! Collection: what no committed pointer reaches any more is deleted.
//!
//! An object goes only if all of this holds:
//!
//! - no committed pointer reaches it, nor one of the `keep` - 1 states before each. The pointers are read *after* the
//!   listing, which the types below enforce: a commit between the two is then seen, and its objects are not.
//! - it is older than an age, by the store's own clock as far as that is believed (`age`), and by the monotonic clock
//!   if this process wrote it: whoever wrote it can commit it no more.
//! - a base has a newer base of its task before it. One that waits to be named by the next commit, however long, is
//!   newer than that.
//! - a file is named by no base that stays, and no file that came with it is young.
//!
//! A committed pointer that does not resolve stops the collection before anything is deleted.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::base::STANDSTILL;
use super::history::RestoreOrigin;
use super::objects::ListedObject as Object;
use super::store::CheckpointStore;
use crate::clock;
use crate::error::Result;
use crate::kill;
use crate::offset_metadata::Pointer;

/// Manifests that are read at once.
const AT_ONCE: usize = 16;

/// What the store held at one moment. Committed pointers are read after this was made.
#[derive(Debug)]
pub struct Listing {
    store: CheckpointStore,
    begun: Instant,
    /// Files by the base that brought them. Listed first: a base that comes later names young ones only, or those of a
    /// base that stays.
    files: BTreeMap<String, Vec<Object>>,
    bases: Vec<Object>,
    bundles: Vec<Object>,
    probes: Vec<Object>,
}

/// What was deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Collected {
    /// Objects of all kinds.
    pub objects: usize,
    /// Their bytes.
    pub bytes: u64,
}

/// What has to stay.
#[derive(Debug, Default)]
struct Alive {
    bundles: BTreeSet<String>,
    bases: BTreeSet<String>,
    /// The number of the oldest state that a living base of the task holds.
    oldest: BTreeMap<String, u64>,
    /// Files of bases that came after the listing.
    files: BTreeSet<String>,
}

impl CheckpointStore {
    /// Lists what there is. Read the committed pointers after it, then collect.
    pub fn list_for_collection(&self) -> Result<Listing> {
        let begun = clock::now();
        // The store's own time before anything is listed.
        self.now()?;
        let folders = self.objects.folders(&self.path("files"))?;
        let files = folders.into_iter().map(|base| {
            let listed = self.objects.list(&self.file_path(&base))?;
            Ok((base, listed))
        });
        Ok(Listing {
            store: self.clone(),
            begun,
            files: files.collect::<Result<_>>()?,
            bases: self.objects.list(&self.path("bases"))?,
            bundles: self.objects.list(&self.path("bundles"))?,
            probes: self.objects.list(&self.path("probes"))?,
        })
    }
}

impl Listing {
    /// Deletes what is not reached from `committed` (the pointers of ALL tasks of the pipeline), nor from the `keep` -
    /// 1 states before each, and is older than `min_age`: at least twice the time that a transaction may take.
    ///
    /// # Errors
    /// `Corrupt`: a committed pointer does not resolve, and nothing was deleted; or the store cannot be read or
    /// written.
    pub fn collect(self, committed: &[Pointer], keep: usize, min_age: Duration) -> Result<Collected> {
        // By the clock of now: what is listed was written before.
        let oldest_kept = self.store.ages.old_before(min_age);
        let own = self.store.ages.young(min_age);
        let alive = self.alive(committed, keep, oldest_kept)?;
        let old = |object: &&Object| object.modified < oldest_kept;
        let mut collected = Collected::default();
        for bundle in self.bundles.iter().filter(old) {
            if !alive.bundles.contains(&bundle.name) && !own.contains(&bundle.name) {
                self.delete(&self.store.bundle_path(&bundle.name), bundle, &mut collected)?;
                self.store.forget(&bundle.name);
            }
        }
        let named = self.collect_bases(&alive, oldest_kept, &mut collected)?;
        for (base, files) in &self.files {
            if own.contains(base) || !files.iter().all(|file| old(&file)) {
                continue;
            }
            for file in files {
                let object = format!("{base}/{}", file.name);
                if !named.contains(&object) {
                    self.delete(&self.store.file_path(&object), file, &mut collected)?;
                }
            }
        }
        for probe in self.probes.iter().filter(old) {
            self.delete(
                &self.store.path(&format!("probes/{}", probe.name)),
                probe,
                &mut collected,
            )?;
        }
        self.sweep(oldest_kept);
        if self.is_stale() {
            tracing::warn!(
                objects = collected.objects,
                "a collection of old checkpoints took longer than {} s; the next one goes on",
                STANDSTILL.as_secs()
            );
        }
        Ok(collected)
    }

    /// What was listed long ago says nothing any more.
    fn is_stale(&self) -> bool {
        clock::now().saturating_duration_since(self.begun) > STANDSTILL
    }

    fn sweep(&self, oldest_kept: i64) {
        let mut folders = ["bundles", "bases", "files", "probes"]
            .map(|below| self.store.path(below))
            .to_vec();
        folders.extend(self.files.keys().map(|base| self.store.file_path(base)));
        self.store.objects.sweep(&folders, oldest_kept);
    }

    /// Deletes bases that are passed; the files that the others name.
    fn collect_bases(&self, alive: &Alive, oldest_kept: i64, collected: &mut Collected) -> Result<BTreeSet<String>> {
        let mut named = alive.files.clone();
        for object in &self.bases {
            let (at, base) = self.store.base_by_name(&object.name)?;
            let is_passed = alive.oldest.get(&at.task).is_some_and(|&oldest| at.seq < oldest);
            if is_passed && object.modified < oldest_kept && !alive.bases.contains(&object.name) {
                self.delete(&self.store.base_path(&object.name), object, collected)?;
            } else {
                named.extend(base.files.into_iter().map(|file| file.object));
            }
        }
        Ok(named)
    }

    fn delete(&self, path: &str, object: &Object, collected: &mut Collected) -> Result<()> {
        if self.is_stale() {
            return Ok(());
        }
        self.store.objects.delete(path)?;
        collected.objects += 1;
        collected.bytes += object.length;
        kill::point("mid-collection");
        Ok(())
    }

    fn alive(&self, committed: &[Pointer], keep: usize, oldest_kept: i64) -> Result<Alive> {
        let mut alive = Alive::default();
        let mut tasks = BTreeSet::new();
        for pointer in committed.iter().filter(|pointer| pointer.bundle.is_some()) {
            self.keep_alive(pointer, &mut alive)?;
            self.keep_ancestors(pointer, keep, &mut alive)?;
            tasks.insert(pointer.task.clone());
        }
        // A task whose committed pointer is gone, or names no bundle: a person may want its newest states back.
        for (task, mut states) in self.states(&tasks, oldest_kept)? {
            if !tasks.contains(&task) {
                states.sort_by_key(|pointer| std::cmp::Reverse(pointer.seq));
                for pointer in states.iter().take(keep.max(1)) {
                    if self.is_whole(pointer)? {
                        self.keep_alive(pointer, &mut alive)?;
                    }
                }
            }
        }
        Ok(alive)
    }

    /// All that the state of a pointer is built from.
    fn keep_alive(&self, pointer: &Pointer, alive: &mut Alive) -> Result<()> {
        let history = self.store.history(pointer, None)?;
        // Its offsets count even if there is no state.
        alive.bundles.extend(pointer.bundle.clone());
        alive
            .bundles
            .extend(history.deltas.into_iter().filter_map(|delta| delta.pointer.bundle));
        if let RestoreOrigin::Base(base) = history.origin {
            let oldest = alive.oldest.entry(base.at.task.clone()).or_insert(base.at.seq);
            *oldest = base.at.seq.min(*oldest);
            alive
                .files
                .extend(self.store.base(&base)?.files.into_iter().map(|file| file.object));
            alive.bases.insert(base.name);
        }
        Ok(())
    }

    fn keep_ancestors(&self, pointer: &Pointer, keep: usize, alive: &mut Alive) -> Result<()> {
        let mut at = pointer.clone();
        for _ in 1..keep {
            let Some(entry) = self.store.resolve(&at)? else {
                return Ok(());
            };
            at = entry.parent;
            // Collected earlier: there is nothing older to keep.
            if !self.is_whole(&at)? {
                return Ok(());
            }
            self.keep_alive(&at, alive)?;
        }
        Ok(())
    }

    /// Whether everything that a state is built from is there. One that is not is no error here: it was collected, or
    /// never finished.
    fn is_whole(&self, pointer: &Pointer) -> Result<bool> {
        let mut at = pointer.clone();
        while let Some(name) = &at.bundle {
            if !self.has_bundle(name)? {
                return Ok(false);
            }
            let Some(entry) = self.store.resolve(&at)? else { break };
            if entry.keeps_nothing() {
                return Ok(true);
            }
            if let Some(base) = &entry.base {
                return Ok(self.store.objects.look(&self.store.base_path(&base.name))?.is_some());
            }
            at = entry.parent;
        }
        Ok(true)
    }

    fn has_bundle(&self, name: &str) -> Result<bool> {
        let listed = self
            .bundles
            .binary_search_by(|bundle| bundle.name.as_str().cmp(name))
            .is_ok();
        Ok(listed || self.store.objects.look(&self.store.bundle_path(name))?.is_some())
    }

    /// The states of each task that old bundles hold. Young ones stay whatever they hold, and are many when commits
    /// are frequent: they are read only if an old one is of a task that is not `committed`, for what those are built
    /// from has to stay as well.
    fn states(&self, committed: &BTreeSet<String>, oldest_kept: i64) -> Result<BTreeMap<String, Vec<Pointer>>> {
        let (old, young): (Vec<_>, Vec<_>) = (self.bundles.iter()).partition(|bundle| bundle.modified < oldest_kept);
        let mut states = BTreeMap::new();
        self.add_states(&old, &mut states)?;
        if states.keys().any(|task| !committed.contains(task)) {
            self.add_states(&young, &mut states)?;
        }
        Ok(states)
    }

    fn add_states(&self, bundles: &[&Object], states: &mut BTreeMap<String, Vec<Pointer>>) -> Result<()> {
        for bundles in bundles.chunks(AT_ONCE) {
            let names: Vec<_> = bundles.iter().map(|bundle| bundle.name.as_str()).collect();
            for (name, manifest) in names.iter().zip(self.store.manifests(&names)?) {
                for pointer in manifest.pointers(name) {
                    states.entry(pointer.task.clone()).or_default().push(pointer);
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Chain, WAIT, folder_store, reopen};
    use super::*;
    use crate::error::Kind;

    const HOUR: Duration = Duration::from_secs(3600);

    /// As if two hours went by.
    fn age(folder: &tempfile::TempDir, store: &CheckpointStore) {
        set_back(folder);
        store.ages.pass(2 * HOUR);
    }

    fn set_back(folder: &tempfile::TempDir) {
        fn older(path: &std::path::Path) {
            for entry in std::fs::read_dir(path).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    older(&path);
                    continue;
                }
                let file = std::fs::File::options().append(true).open(&path).unwrap();
                let modified = file.metadata().unwrap().modified().unwrap();
                file.set_modified(modified - 2 * HOUR).unwrap();
            }
        }
        older(&folder.path().join("store"));
    }

    fn count(store: &CheckpointStore) -> usize {
        store.bundles().unwrap().len()
    }

    #[test]
    fn what_a_committed_pointer_reaches_stays_and_so_do_the_states_before_it() {
        let (folder, store) = folder_store();
        let mut chain = Chain::new(&store, "views/0");
        for _ in 0..6 {
            chain.commit();
        }
        let base = chain.base(folder.path());
        chain.commit_on(Some(&base));
        for _ in 0..4 {
            chain.commit();
        }
        age(&folder, &store);
        // The states at 11, 10 and 9 stand on the base at 6.
        store
            .list_for_collection()
            .unwrap()
            .collect(std::slice::from_ref(&chain.at), 3, HOUR)
            .unwrap();
        assert_eq!(count(&store), 5);
        let history = reopen(&folder).history(&chain.at, None).unwrap();
        assert_eq!(history.origin, RestoreOrigin::Base(base.clone()));
        assert!(history.deltas.iter().all(|delta| store.delta(delta).is_ok()));

        // A newer base passes the old one as soon as no kept state stands on it.
        let second = chain.base(folder.path());
        chain.commit_on(Some(&second));
        age(&folder, &store);
        let collect = |keep| {
            let listed = store.list_for_collection().unwrap();
            listed.collect(std::slice::from_ref(&chain.at), keep, HOUR).unwrap()
        };
        assert_eq!(collect(2).objects, 0);
        assert_eq!(collect(1).objects, 5 + 1 + 1, "bundles, the old base, its file");
        let into = folder.path().join("into");
        reopen(&folder).fetch_base(&second, &into, |_, _| {}).unwrap();
        assert_eq!(collect(1).objects, 0);
    }

    #[test]
    fn what_is_young_stays_whoever_wrote_it() {
        let (folder, store) = folder_store();
        let mut chain = Chain::new(&store, "views/0");
        chain.commit();
        let orphan = chain.attempt(None);
        let committed = chain.commit();
        let listed = store.list_for_collection().unwrap();
        assert_eq!(
            listed.collect(std::slice::from_ref(&committed), 1, HOUR).unwrap(),
            Collected::default()
        );
        age(&folder, &store);
        let listed = store.list_for_collection().unwrap();
        assert_eq!(
            listed
                .collect(std::slice::from_ref(&committed), 1, HOUR)
                .unwrap()
                .objects,
            1
        );
        assert!(!store.bundles().unwrap().contains(orphan.bundle.as_ref().unwrap()));
    }

    #[test]
    fn a_young_bundle_is_not_even_read() {
        let (folder, store) = folder_store();
        let mut chain = Chain::new(&store, "views/0");
        chain.commit();
        chain.attempt(None);
        chain.commit();
        age(&folder, &store);
        let half = store.bundle_path("0mhzqk3va-0-aaaaaaaaaaaaa");
        store
            .objects
            .put(&half, bytes::Bytes::from_static(b"no manifest"))
            .unwrap();
        let listed = reopen(&folder).list_for_collection().unwrap();
        let collected = listed.collect(std::slice::from_ref(&chain.at), 1, HOUR).unwrap();
        assert_eq!(collected.objects, 1);
        assert!(store.history(&chain.at, None).is_ok());
    }

    #[test]
    fn a_stalled_writer_loses_nothing_that_it_may_still_commit() {
        let (folder, store) = folder_store();
        let mut chain = Chain::new(&store, "views/0");
        let first = chain.commit();
        // It wrote a base and its bundle, and stands still with the commit of both before it.
        let base = chain.base(folder.path());
        let listed = store.list_for_collection().unwrap();
        let pending = chain.commit_on(Some(&base));
        listed.collect(std::slice::from_ref(&first), 1, HOUR).unwrap();
        assert!(store.history(&pending, None).is_ok());
        // The commit went through between the listing and the reading of the pointers: it counts, though the listing is
        // older.
        let listed = store.list_for_collection().unwrap();
        let later = chain.commit();
        listed.collect(std::slice::from_ref(&later), 1, Duration::ZERO).unwrap();
        let history = reopen(&folder).history(&later, None).unwrap();
        assert_eq!(
            (history.origin.clone(), history.deltas.len()),
            (RestoreOrigin::Base(base.clone()), 2)
        );
        store.fetch_base(&base, &folder.path().join("into"), |_, _| {}).unwrap();
    }

    #[test]
    fn a_clock_that_jumps_forward_makes_nothing_old_that_may_still_be_committed() {
        let (folder, store) = folder_store();
        let mut chain = Chain::new(&store, "views/0");
        let committed = chain.commit();
        // Commits are under way, of this process and of another one, and a base is on its way.
        let own = chain.attempt(None);
        let other = reopen(&folder);
        let mut of_other = Chain::new(&other, "views/1");
        let first = of_other.commit();
        let others = of_other.attempt(None);
        let base = store.file_path("0mhzqk3va-0-aaaaaaaaaaaaa/file");
        store.objects.put(&base, bytes::Bytes::from_static(b"x")).unwrap();
        set_back(&folder);
        store.ages.jump(2 * HOUR);
        let collect = || {
            let listed = store.list_for_collection().unwrap();
            listed
                .collect(&[committed.clone(), first.clone()], 1, HOUR)
                .unwrap()
                .objects
        };
        assert_eq!(collect(), 0);
        for pending in [own, others] {
            assert!(reopen(&folder).history(&pending, None).is_ok(), "{pending}");
        }
        // They were not committed after all.
        age(&folder, &store);
        assert_eq!(collect(), 3);
    }

    #[test]
    fn what_this_process_wrote_is_as_old_as_the_monotonic_clock_says() {
        let (folder, store) = folder_store();
        let mut chain = Chain::new(&store, "views/0");
        let committed = chain.commit();
        let pending = chain.attempt(None);
        // The clock jumped before it was ever looked at.
        set_back(&folder);
        store
            .list_for_collection()
            .unwrap()
            .collect(&[committed], 1, HOUR)
            .unwrap();
        assert!(reopen(&folder).history(&pending, None).is_ok());
    }

    #[test]
    fn a_base_that_waits_for_a_commit_to_name_it_stays_however_old_it_is() {
        let (folder, store) = folder_store();
        let mut chain = Chain::new(&store, "views/0");
        chain.commit();
        let old = chain.base(folder.path());
        chain.commit_on(Some(&old));
        let waiting = chain.base(folder.path());
        age(&folder, &store);
        let listed = store.list_for_collection().unwrap();
        listed.collect(std::slice::from_ref(&chain.at), 1, HOUR).unwrap();
        chain.commit_on(Some(&waiting));
        assert_eq!(
            store.history(&chain.at, None).unwrap().origin,
            RestoreOrigin::Base(waiting.clone())
        );
        store
            .fetch_base(&waiting, &folder.path().join("into"), |_, _| {})
            .unwrap();
    }

    #[test]
    fn files_of_an_upload_that_goes_on_stay_and_those_of_a_dead_one_go() {
        let (folder, store) = folder_store();
        let mut chain = Chain::new(&store, "views/0");
        chain.commit();
        let uploading = |name: &str| {
            let path = store.file_path(&format!("0mhzqk3va-0-aaaaaaaaaaaaa/{name}"));
            store.objects.put(&path, bytes::Bytes::from_static(b"x")).unwrap();
        };
        uploading("one");
        age(&folder, &store);
        uploading("two");
        let collect = || {
            let listed = store.list_for_collection().unwrap();
            listed
                .collect(std::slice::from_ref(&chain.at), 1, HOUR)
                .unwrap()
                .objects
        };
        assert_eq!(collect(), 0, "one of them is young");
        age(&folder, &store);
        assert_eq!(collect(), 2);
    }

    #[test]
    fn a_committed_pointer_that_does_not_resolve_stops_the_collection_before_it_deletes() {
        let (folder, store) = folder_store();
        let (mut one, mut other) = (Chain::new(&store, "views/0"), Chain::new(&store, "views/1"));
        let missing = one.commit();
        one.commit();
        other.commit();
        other.attempt(None);
        age(&folder, &store);
        store
            .objects
            .delete(&store.bundle_path(missing.bundle.as_ref().unwrap()))
            .unwrap();
        let store = reopen(&folder);
        let before = count(&store);
        let committed = [other.at.clone(), one.at.clone()];
        let error = store
            .list_for_collection()
            .unwrap()
            .collect(&committed, 1, HOUR)
            .unwrap_err();
        assert_eq!((error.kind, count(&store)), (Kind::Corrupt, before));
    }

    #[test]
    fn a_task_without_a_committed_pointer_keeps_its_newest_states() {
        let (folder, store) = folder_store();
        let mut chain = Chain::new(&store, "views/0");
        for _ in 0..3 {
            chain.commit();
        }
        age(&folder, &store);
        for committed in [&[][..], &[Pointer::first("views/0")]] {
            let listed = store.list_for_collection().unwrap();
            assert_eq!(listed.collect(committed, 1, HOUR).unwrap().objects, 0);
        }
    }

    #[test]
    fn a_write_that_a_crash_cut_short_is_swept_when_it_is_old() {
        let (folder, store) = folder_store();
        let mut chain = Chain::new(&store, "views/0");
        chain.commit();
        let staged = folder.path().join("store/pages/bundles/0mhzqk3va-0-aaaaaaaaaaaaa#1");
        std::fs::write(&staged, b"half").unwrap();
        let collect = || {
            let listed = store.list_for_collection().unwrap();
            listed.collect(std::slice::from_ref(&chain.at), 1, HOUR).unwrap()
        };
        collect();
        assert!(staged.exists());
        age(&folder, &store);
        collect();
        assert!(!staged.exists());
        let mut upload = store.put(0, vec![chain.frame(None)]);
        assert!(upload.wait(WAIT).unwrap().is_ok());
    }
}
