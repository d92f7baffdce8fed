//! The checkpoint store of one pipeline: which objects there are, under which paths, and the upload of a commit's
//! bundle.
//!
//! ```text
//! <store>/<pipeline>/bundles/<name>          what a commit changed
//! <store>/<pipeline>/bases/<name>            lists the files of a task's whole state
//! <store>/<pipeline>/files/<base>/<sha256>   one of those files; later bases name it too
//! <store>/<pipeline>/probes/<name>           written and deleted to see that it works, and what time it is there
//! <store>/<pipeline>/savepoints/<name>/…     bundles, bases and files of its own, and savepoint.json
//! ```
//!
//! Names are never used twice, and objects never change: two attempts at a commit, or two processes, cannot meet in one
//! object.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::age::Ages;
use super::bundle::{self, Checked, ManifestEntry, TaskFrame};
use super::manifests::Manifests;
use super::objects::Objects;
use crate::clock;
use crate::config::Location;
use crate::error::{Error, Kind, Result};
use crate::offset_metadata::Pointer;

/// What is read of a bundle to see its manifest; more only if that is longer.
const MANIFEST_START: u64 = 64 << 10;

/// The checkpoint store of one pipeline, or a savepoint, which has the same objects.
#[derive(Debug, Clone)]
pub struct CheckpointStore {
    pub(super) objects: Objects,
    root: Arc<str>,
    pipeline: Arc<str>,
    manifests: Arc<Mutex<Manifests>>,
    names: Arc<BundleNames>,
    pub(super) ages: Arc<Ages>,
}

/// What the names of this process's bundles are made of, and which names are not its own.
#[derive(Debug)]
struct BundleNames {
    /// Half of the chance in each name: so a process knows its own.
    process: u32,
    /// The time in the last name, in milliseconds since 1970: the next one is later, whatever the clock does.
    last: AtomicI64,
    /// Names of others that were there when the newest states were read.
    before: Mutex<BTreeSet<String>>,
}

/// Something on its way into the store. Dropped, it goes on, and nobody learns of its end.
#[derive(Debug)]
pub struct Upload<T = Vec<Pointer>> {
    answer: Receiver<Result<T>>,
}

impl<T> Upload<T> {
    pub(super) fn new(answer: Receiver<Result<T>>) -> Self {
        Self { answer }
    }

    /// Waits until it is durable and was read back, or failed; `None`: not within the limit.
    pub fn wait(&mut self, limit: Duration) -> Option<Result<T>> {
        match self.answer.recv_timeout(limit) {
            Ok(answer) => Some(answer),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => {
                let what = "failed to write to the checkpoint store";
                Some(Err(Error::new(Kind::Bug, what, "the upload ended without an answer")))
            }
        }
    }
}

impl CheckpointStore {
    /// Opens the store of a pipeline, and writes, reads and deletes an object to see that it works.
    ///
    /// # Errors
    /// `Corrupt`: it cannot be reached, or this user may not write there; `Invalid`: a setting is wrong.
    pub fn open(location: &Location, pipeline: &str) -> Result<Self> {
        let store = Self::look_into(location, pipeline)?;
        store.now().map_err(|error| Error {
            what: format!("checkpoint store `{location}` is not writable"),
            why: format!("{}: {}", error.what, error.why),
            ..error
        })?;
        Ok(store)
    }

    /// Opens the store of a pipeline for reading: nothing is asked or written yet.
    pub fn look_into(location: &Location, pipeline: &str) -> Result<Self> {
        Ok(Self::at(Objects::open(location)?, pipeline, pipeline))
    }

    pub(super) fn at(objects: Objects, root: &str, pipeline: &str) -> Self {
        Self {
            objects,
            root: root.into(),
            pipeline: pipeline.into(),
            manifests: Arc::default(),
            ages: Arc::default(),
            names: Arc::new(BundleNames {
                process: (clock::random() >> 32) as u32,
                last: AtomicI64::new(0),
                before: Mutex::default(),
            }),
        }
    }

    /// The pipeline whose store it is.
    pub fn pipeline(&self) -> &str {
        &self.pipeline
    }

    /// The place, as a person wrote it.
    pub fn place(&self) -> &str {
        self.objects.place()
    }

    /// Begins to write one commit of a worker: what its tasks changed, as one object. The pointers come in the order of
    /// the tasks.
    pub fn put(&self, worker: usize, tasks: Vec<TaskFrame>) -> Upload {
        let store = self.clone();
        Upload::new(self.objects.begin_blocking(move || store.put_now(worker, tasks)))
    }

    fn put_now(&self, worker: usize, tasks: Vec<TaskFrame>) -> Result<Vec<Pointer>> {
        let name = self.names.next(worker);
        self.ages.begin(&name);
        let encoded = bundle::encode(&self.pipeline, clock::wall_ms(), worker, tasks);
        let encoded =
            encoded.map_err(|flaw| Error::new(Kind::Bug, format!("failed to write bundle `{name}`"), flaw))?;
        let writing = self.objects.create(self.bundle_path(&name), encoded.bytes.into());
        let gone = |_| {
            Err(Error::new(
                Kind::Bug,
                format!("failed to write bundle `{name}`"),
                "its thread is gone",
            ))
        };
        self.objects.begin(writing).recv().unwrap_or_else(gone)?;
        let pointers = encoded.checked.pointers(&name);
        // What cannot be read back would be found out at the next start only.
        for pointer in &pointers {
            if pointer.to_string().parse().as_ref() != Ok(pointer) {
                let why = format!("its pointer `{pointer}` is not one that a start would read");
                return Err(Error::new(Kind::Bug, format!("failed to write bundle `{name}`"), why));
            }
        }
        self.remember(&name, Arc::new(encoded.checked));
        Ok(pointers)
    }

    /// The manifest of a bundle, checked.
    pub fn manifest(&self, name: &str) -> Result<Arc<Checked>> {
        let known = self.kept_manifests().get(name);
        if let Some(known) = known {
            return Ok(known);
        }
        let path = self.bundle_path(name);
        let checked = match self.objects.start(&path, MANIFEST_START)? {
            None => return Err(self.objects.missing(&path)),
            Some((start, total)) => self.read_manifest(&path, &start, total)?,
        };
        let checked = Arc::new(checked);
        self.remember(name, checked.clone());
        Ok(checked)
    }

    /// The manifests of a few bundles, all read at once: a bucket takes its time for each.
    pub(super) fn manifests(&self, names: &[&str]) -> Result<Vec<Arc<Checked>>> {
        let begin = |name: &&str| {
            let (store, name) = (self.clone(), (*name).to_owned());
            self.objects.begin_blocking(move || store.manifest(&name))
        };
        let begun: Vec<_> = names.iter().map(begin).collect();
        let gone = |_| {
            let what = "failed to read bundles";
            Err(Error::new(Kind::Bug, what, "the thread that reads them is gone"))
        };
        let answers = begun.into_iter().map(|answer| answer.recv().unwrap_or_else(gone));
        answers.collect()
    }

    fn read_manifest(&self, path: &str, start: &[u8], total: u64) -> Result<Checked> {
        let damaged = |flaw: String| self.objects.damaged(path, &flaw);
        let end = bundle::manifest_range(start).map_err(damaged)?.end as u64;
        if end <= start.len() as u64 || end > total {
            return bundle::read_manifest(start, total).map_err(damaged);
        }
        let whole = self.objects.range(path, 0..end)?;
        bundle::read_manifest(&whole, total).map_err(damaged)
    }

    fn remember(&self, name: &str, checked: Arc<Checked>) {
        self.kept_manifests().keep(name, checked);
    }

    pub(super) fn forget(&self, name: &str) {
        self.kept_manifests().forget(name);
    }

    fn kept_manifests(&self) -> MutexGuard<'_, Manifests> {
        self.manifests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the store holds of the state that a pointer names: its positions, its stores, where its delta lies. `None`:
    /// the pointer names no bundle.
    pub fn resolve(&self, pointer: &Pointer) -> Result<Option<ManifestEntry>> {
        let Some(name) = &pointer.bundle else { return Ok(None) };
        let checked = self.manifest(name)?;
        let path = self.bundle_path(name);
        if pointer.hash.as_deref() != Some(&checked.hash) {
            let flaw = format!(
                "its manifest has hash {}, and the pointer `{pointer}` names another",
                checked.hash
            );
            return Err(self.objects.damaged(&path, &flaw));
        }
        match checked.entry(&pointer.task).filter(|entry| entry.seq == pointer.seq) {
            Some(entry) => Ok(Some(entry.clone())),
            None => Err(self
                .objects
                .damaged(&path, &format!("it does not hold what the pointer `{pointer}` names"))),
        }
    }

    /// The newest state of each task, whoever wrote it: the truth if positions are kept in checkpoints. Tasks are in
    /// order.
    pub fn newest(&self) -> Result<Vec<(Pointer, ManifestEntry)>> {
        self.newest_until(|_tasks| false)
    }

    /// The same, and what is older is not read once `is_enough` says so of the tasks found: a bundle holds all tasks of
    /// its worker, so that a few of them tell of every task, however many there are. From now on what others write is a
    /// foreign writer's.
    ///
    /// Names tell the order: whoever goes on from a bundle gives its own ones later names, see [`BundleNames::next`].
    pub fn newest_until(&self, is_enough: impl Fn(&BTreeSet<&str>) -> bool) -> Result<Vec<(Pointer, ManifestEntry)>> {
        let mut newest: BTreeMap<String, (Pointer, ManifestEntry)> = BTreeMap::new();
        let names = self.bundles()?;
        self.names.are_before(&names);
        for name in names.iter().rev() {
            if is_enough(&newest.keys().map(String::as_str).collect()) {
                break;
            }
            let checked = self.manifest(name)?;
            for entry in &checked.manifest.tasks {
                let is_newer = newest
                    .get(&entry.task)
                    .is_none_or(|(pointer, _)| pointer.seq < entry.seq);
                if is_newer {
                    newest.insert(entry.task.clone(), (checked.pointer(name, entry), entry.clone()));
                }
            }
        }
        Ok(newest.into_values().collect())
    }

    /// A bundle that another process has written since this one read the newest states; `None`: there is none.
    pub fn foreign_bundle(&self) -> Result<Option<String>> {
        Ok(self.names.foreign_bundle_in(self.bundles()?))
    }

    /// The names of all bundles, the oldest first.
    pub fn bundles(&self) -> Result<Vec<String>> {
        let listed = self.objects.list(&self.path("bundles"))?;
        Ok(listed.into_iter().map(|listed| listed.name).collect())
    }

    /// Milliseconds since 1970 by the store's own clock: the time that it gives to what is written now.
    pub(super) fn now(&self) -> Result<i64> {
        let probe = self.path(&format!("probes/{}", new_name(0)));
        self.objects.put(&probe, bytes::Bytes::from_static(b"probe"))?;
        let looked = self.objects.look(&probe);
        self.objects.delete(&probe)?;
        let now = looked?.ok_or_else(|| self.objects.missing(&probe))?.modified;
        self.ages.look(now);
        Ok(now)
    }

    pub(super) fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.root)
    }

    pub(super) fn bundle_path(&self, name: &str) -> String {
        self.path(&format!("bundles/{name}"))
    }

    pub(super) fn base_path(&self, name: &str) -> String {
        self.path(&format!("bases/{name}"))
    }

    /// `file` as a base has it: `<base>/<sha256>`.
    pub(super) fn file_path(&self, file: &str) -> String {
        self.path(&format!("files/{file}"))
    }
}

impl BundleNames {
    /// A name behind all that were seen.
    fn next(&self, worker: usize) -> String {
        let now = clock::wall_ms();
        let last = self.last.fetch_max(now, Ordering::Relaxed);
        let time = if last < now {
            now
        } else {
            self.last.fetch_add(1, Ordering::Relaxed) + 1
        };
        let chance = (u64::from(self.process) << 32) | (clock::random() >> 32);
        name(time, worker, chance)
    }

    fn are_before(&self, names: &[String]) {
        let last = names.iter().filter_map(|name| time_of(name)).max();
        self.last.fetch_max(last.unwrap_or_default(), Ordering::Relaxed);
        let others = names.iter().filter(|name| !self.is_own(name)).cloned().collect();
        *self.before.lock().unwrap_or_else(PoisonError::into_inner) = others;
    }

    fn foreign_bundle_in(&self, names: Vec<String>) -> Option<String> {
        let before = self.before.lock().unwrap_or_else(PoisonError::into_inner);
        let is_strange = |name: &String| !self.is_own(name) && !before.contains(name);
        names.into_iter().find(is_strange)
    }

    fn is_own(&self, name: &str) -> bool {
        let chance = name.rsplit_once('-').map(|(_, chance)| u64::from_str_radix(chance, 36));
        matches!(chance, Some(Ok(chance)) if (chance >> 32) as u32 == self.process)
    }
}

fn time_of(name: &str) -> Option<i64> {
    let (time, _) = name.split_once('-')?;
    i64::from_str_radix(time, 36).ok()
}

/// A name that nothing else has: the time, the worker, and chance. Names sort as they were made.
pub(super) fn new_name(worker: usize) -> String {
    name(clock::wall_ms(), worker, clock::random())
}

fn name(time_ms: i64, worker: usize, chance: u64) -> String {
    let time = base36(time_ms.max(0) as u64);
    let chance = base36(chance);
    let worker = base36((worker % 1296) as u64);
    format!("{time:0>9}-{worker}-{chance:0>13}")
}

fn base36(mut number: u64) -> String {
    let mut digits = Vec::new();
    loop {
        digits.push(char::from_digit((number % 36) as u32, 36).unwrap_or('0'));
        number /= 36;
        if number == 0 {
            return digits.into_iter().rev().collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::offset_metadata::{self, NAME_LENGTH};

    #[test]
    fn no_two_names_are_the_same_and_they_sort_by_time() {
        let names: Vec<String> = (0..1000).map(|worker| new_name(worker % 512)).collect();
        let distinct: BTreeSet<_> = names.iter().collect();
        assert_eq!(distinct.len(), names.len());
        for name in &names {
            assert!(offset_metadata::is_name(name) && name.len() <= NAME_LENGTH, "{name}");
        }
        let times: Vec<&str> = names.iter().map(|name| &name[..9]).collect();
        assert!(times.is_sorted());
    }

    #[test]
    fn a_process_knows_its_own_names_and_gives_none_before_one_that_it_saw() {
        let names = |process| BundleNames {
            process,
            last: AtomicI64::new(0),
            before: Mutex::default(),
        };
        let (mine, other) = (names(7), names(8));
        let before = [name(i64::MAX / 1_000_000, 0, 5), new_name(3)];
        mine.are_before(&before);
        let own: Vec<_> = (0..100).map(|_| mine.next(1)).collect();
        assert!(own.is_sorted() && own[0] > before[0] && own[0] != own[1], "{own:?}");
        let all = |more: &[String]| [&before[..], &own, more].concat();
        assert_eq!(mine.foreign_bundle_in(all(&[])), None);
        let strange = other.next(0);
        assert_eq!(
            mine.foreign_bundle_in(all(std::slice::from_ref(&strange))),
            Some(strange)
        );
    }
}
