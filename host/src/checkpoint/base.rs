//! Bases: all files of a task's state, so that a restore need not begin with the first delta.
//!
//! A base is an object that lists files. Files are named by the base that brought them and by their content; a base
//! lists those of the base before it too, so that only new files are uploaded. Whether a file is known is decided by
//! the base that the committed state stands on, which cannot be collected under it, and never by what happens to lie in
//! the store.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::bundle::{BaseRef, hex, is_sha256, sha256};
use super::history::RestoreOrigin;
use super::objects::PIECE;
use super::store::{CheckpointStore, Upload, new_name};
use crate::clock;
use crate::error::{Error, Kind, Result};
use crate::kill;
use crate::offset_metadata::{self, Pointer};

/// The version of the fields below.
const FORMAT: u32 = 1;
/// An upload that stood still for so long does not go on: what it brought may have been collected as a leftover since.
/// Less than the age below which nothing is collected.
pub(super) const STANDSTILL: Duration = Duration::from_secs(300);
/// Pieces on their way at once.
const AHEAD: usize = 4;

/// What a base says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Base {
    format: u32,
    /// The state that it holds.
    at: String,
    /// When it was written, by the writer's clock. For people.
    created: i64,
    pub(super) files: Vec<StoredFile>,
}

/// A file of a base.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct StoredFile {
    /// Its path in the task's folder.
    path: String,
    /// Where it is stored: `<base>/<sha256>`.
    pub(super) object: String,
    pub(super) sha256: String,
    pub(super) length: u64,
}

impl CheckpointStore {
    /// Begins to write a base: the files of a task's state at the committed pointer `at`, as they lie in a folder. The
    /// folder must not change.
    pub fn put_base(&self, task: &str, at: &Pointer, files: &Path) -> Upload<BaseRef> {
        let (store, task, at, files) = (self.clone(), task.to_owned(), at.clone(), files.to_owned());
        Upload::new(
            self.objects
                .begin_blocking(move || store.put_base_now(&task, &at, &files)),
        )
    }

    fn put_base_now(&self, task: &str, at: &Pointer, files: &Path) -> Result<BaseRef> {
        let name = new_name(0);
        self.ages.begin(&name);
        let what = || format!("failed to write base `{name}` of {task}");
        if at.task != task || at.bundle.is_none() {
            return Err(Error::new(Kind::Bug, what(), format!("`{at}` names no state of it")));
        }
        let known = self.known_files(at)?;
        let mut upload = BaseUpload {
            store: self,
            name: &name,
            known,
            moved: clock::now(),
            files: Vec::new(),
        };
        for path in files_below(files).map_err(|error| Error::new(Kind::Corrupt, what(), error))? {
            upload.file(files, &path)?;
            kill::point("mid-base");
        }
        let base = Base {
            format: FORMAT,
            at: at.to_string(),
            created: clock::wall_ms(),
            files: std::mem::take(&mut upload.files),
        };
        let text = serde_json::to_vec(&base).map_err(|error| Error::new(Kind::Bug, what(), error))?;
        upload.check_moving()?;
        self.objects.put(&self.base_path(&name), Bytes::from(text.clone()))?;
        self.check_files(&name, &base)?;
        Ok(BaseRef {
            sha256: sha256(&text),
            length: text.len() as u64,
            at: at.clone(),
            name,
        })
    }

    /// The files of the base that the state stands on, by content.
    fn known_files(&self, at: &Pointer) -> Result<BTreeMap<String, StoredFile>> {
        let RestoreOrigin::Base(base) = self.history(at, None)?.origin else {
            return Ok(BTreeMap::new());
        };
        let files = self.base(&base)?.files.into_iter();
        Ok(files.map(|file| (file.sha256.clone(), file)).collect())
    }

    /// That all files which a base brought are there: the last look before it is used.
    fn check_files(&self, name: &str, base: &Base) -> Result<()> {
        let there = self.objects.list(&self.file_path(name))?;
        let there: BTreeMap<&str, u64> = there.iter().map(|file| (file.name.as_str(), file.length)).collect();
        for file in &base.files {
            let brought = file.object.strip_prefix(name).and_then(|rest| rest.strip_prefix('/'));
            if brought.is_some_and(|brought| there.get(brought) != Some(&file.length)) {
                return Err(self.objects.missing(&self.file_path(&file.object)));
            }
        }
        Ok(())
    }

    /// The list of a base's files, checked.
    pub(super) fn base(&self, base: &BaseRef) -> Result<Base> {
        let path = self.base_path(&base.name);
        let text = self.objects.get(&path)?.ok_or_else(|| self.objects.missing(&path))?;
        let damaged = |flaw: &str| self.objects.damaged(&path, flaw);
        if text.len() as u64 != base.length || sha256(&text) != base.sha256 {
            return Err(damaged("its bytes are not those that the bundle names"));
        }
        let read: Base = serde_json::from_slice(&text).map_err(|error| damaged(&error.to_string()))?;
        if read.format != FORMAT || read.at != base.at.to_string() {
            return Err(damaged(
                "it holds another state than the bundle says, or has a form that this build does not know",
            ));
        }
        match read.files.iter().find(|file| !file.is_sound()) {
            None => Ok(read),
            Some(file) => Err(damaged(&format!(
                "it lists `{}`, which cannot be one of its files",
                file.path
            ))),
        }
    }

    /// Any base, known by its name alone: of what state it is, and its files.
    pub(super) fn base_by_name(&self, name: &str) -> Result<(Pointer, Base)> {
        let path = self.base_path(name);
        let text = self.objects.get(&path)?.ok_or_else(|| self.objects.missing(&path))?;
        let damaged = |flaw: &str| self.objects.damaged(&path, flaw);
        let base: Base = serde_json::from_slice(&text).map_err(|error| damaged(&error.to_string()))?;
        let at = base.at.parse().map_err(|error: Error| damaged(&error.what))?;
        Ok((at, base))
    }

    /// Bytes of all files of a base.
    pub fn base_bytes(&self, base: &BaseRef) -> Result<u64> {
        Ok(self.base(base)?.bytes())
    }

    /// Writes a base's files into a folder, which is made; each is checked. `progress` is told bytes done and bytes in
    /// all.
    ///
    /// # Errors
    /// `Corrupt`: an object is missing or damaged, or the folder is not writable.
    pub fn fetch_base(&self, base: &BaseRef, into: &Path, mut progress: impl FnMut(u64, u64)) -> Result<()> {
        let listed = self.base(base)?;
        let (mut done, total) = (0, listed.bytes());
        progress(done, total);
        let writing = |path: &Path, error: io::Error| {
            Error::new(Kind::Corrupt, format!("failed to write `{}`", path.display()), error)
        };
        std::fs::create_dir_all(into).map_err(|error| writing(into, error))?;
        for file in &listed.files {
            let path = into.join(&file.path);
            let folder = path.parent().unwrap_or(into);
            std::fs::create_dir_all(folder).map_err(|error| writing(folder, error))?;
            let mut target = File::create(&path).map_err(|error| writing(&path, error))?;
            self.read_file(file, |piece| {
                target.write_all(piece).map_err(|error| writing(&path, error))?;
                done += piece.len() as u64;
                progress(done, total);
                Ok(())
            })?;
            kill::point("mid-restore");
        }
        Ok(())
    }

    /// Hands over a stored file piece by piece; an error at the end if they were not what they should be.
    pub(super) fn read_file(&self, file: &StoredFile, mut piece: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let path = self.file_path(&file.object);
        let mut hash = Sha256::new();
        self.read_pieces(&path, file.length, |bytes| {
            hash.update(&bytes);
            piece(&bytes)
        })?;
        if hex(&hash.finalize()) == file.sha256 {
            return Ok(());
        }
        Err(self.objects.damaged(&path, "it has another SHA-256 than its base says"))
    }

    /// An object of known length, in order, with a few pieces on their way.
    pub(super) fn read_pieces(
        &self,
        path: &str,
        length: u64,
        mut piece: impl FnMut(Bytes) -> Result<()>,
    ) -> Result<()> {
        match self.objects.look(path)? {
            None => return Err(self.objects.missing(path)),
            Some(found) if found.length != length => {
                let flaw = format!("it has {} bytes instead of {length}", found.length);
                return Err(self.objects.damaged(path, &flaw));
            }
            Some(_) => {}
        }
        let mut ranges = (0..length.div_ceil(PIECE)).map(|index| index * PIECE..length.min((index + 1) * PIECE));
        let mut coming = VecDeque::new();
        loop {
            while coming.len() < AHEAD
                && let Some(range) = ranges.next()
            {
                coming.push_back(self.objects.begin_range(path, range));
            }
            let Some(next) = coming.pop_front() else { return Ok(()) };
            let gone = |_| Err(self.objects.damaged(path, "the thread that reads it is gone"));
            piece(next.recv().unwrap_or_else(gone)?)?;
        }
    }
}

impl Base {
    pub(super) fn bytes(&self) -> u64 {
        self.files
            .iter()
            .fold(0, |sum: u64, file| sum.saturating_add(file.length))
    }
}

impl StoredFile {
    /// Whether it may be written where it says: below the folder, and read from below ours.
    fn is_sound(&self) -> bool {
        let inside = |part: Component<'_>| matches!(part, Component::Normal(_));
        let path = Path::new(&self.path);
        let names_file = self
            .object
            .split_once('/')
            .is_some_and(|(base, content)| offset_metadata::is_name(base) && content == self.sha256);
        names_file && is_sha256(&self.sha256) && !self.path.is_empty() && path.components().all(inside)
    }
}

/// A base on its way.
struct BaseUpload<'a> {
    store: &'a CheckpointStore,
    name: &'a str,
    known: BTreeMap<String, StoredFile>,
    /// When the last file was done.
    moved: std::time::Instant,
    files: Vec<StoredFile>,
}

impl BaseUpload<'_> {
    fn file(&mut self, folder: &Path, path: &Path) -> Result<()> {
        let file = folder.join(path);
        let failed =
            |error: io::Error| Error::new(Kind::Corrupt, format!("failed to read `{}`", file.display()), error);
        let name = path
            .to_str()
            .ok_or_else(|| failed(io::Error::other("its name is not UTF-8")))?;
        let (content, length) = hash_of(&file).map_err(failed)?;
        let stored = match self.known.get(&content) {
            Some(known) if known.length == length => known.object.clone(),
            _ => self.bring(&file, &content, length)?,
        };
        let stored = StoredFile {
            path: name.to_owned(),
            object: stored,
            sha256: content.clone(),
            length,
        };
        self.known.insert(content, stored.clone());
        self.files.push(stored);
        Ok(())
    }

    fn bring(&mut self, file: &Path, content: &str, length: u64) -> Result<String> {
        self.check_moving()?;
        let object = format!("{}/{content}", self.name);
        let failed =
            |error: io::Error| Error::new(Kind::Corrupt, format!("failed to read `{}`", file.display()), error);
        let mut source = File::open(file).map_err(failed)?;
        let written = self.store.objects.stream(&self.store.file_path(&object), || {
            read_piece(&mut source).map_err(failed)
        })?;
        if written != length {
            return Err(failed(io::Error::other("it changed while it was read")));
        }
        self.check_moving()?;
        Ok(object)
    }

    fn check_moving(&mut self) -> Result<()> {
        let still = clock::now().saturating_duration_since(self.moved);
        self.moved = clock::now();
        if still < STANDSTILL {
            return Ok(());
        }
        let why = format!(
            "it stood still for {} s, and may have been collected as a leftover",
            still.as_secs()
        );
        Err(Error::new(
            Kind::TimedOut,
            format!("failed to write base `{}`", self.name),
            why,
        ))
    }
}

pub(super) fn read_piece(source: &mut impl Read) -> io::Result<Bytes> {
    let mut piece = Vec::with_capacity(PIECE as usize);
    source.take(PIECE).read_to_end(&mut piece)?;
    Ok(piece.into())
}

fn hash_of(path: &Path) -> io::Result<(String, u64)> {
    let (mut file, mut hash, mut length) = (File::open(path)?, Sha256::new(), 0);
    loop {
        let piece = read_piece(&mut file)?;
        if piece.is_empty() {
            return Ok((hex(&hash.finalize()), length));
        }
        hash.update(&piece);
        length += piece.len() as u64;
    }
}

/// The files below a folder, by their paths in it, in order.
fn files_below(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let (mut files, mut folders) = (Vec::new(), vec![PathBuf::new()]);
    while let Some(below) = folders.pop() {
        for entry in std::fs::read_dir(folder.join(&below))? {
            let entry = entry?;
            let path = below.join(entry.file_name());
            match entry.file_type()? {
                kind if kind.is_dir() => folders.push(path),
                _ => files.push(path),
            }
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Chain, folder_store, reopen};
    use super::*;

    fn write(folder: &Path, files: &[(&str, &[u8])]) {
        std::fs::create_dir_all(folder.join("sub")).unwrap();
        for (name, bytes) in files {
            std::fs::write(folder.join(name), bytes).unwrap();
        }
    }

    fn read(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
        let files = files_below(folder).unwrap().into_iter();
        files
            .map(|path| (path.clone(), std::fs::read(folder.join(path)).unwrap()))
            .collect()
    }

    fn stored(store: &CheckpointStore, base: &str) -> usize {
        store.objects.list(&store.file_path(base)).unwrap().len()
    }

    #[test]
    fn a_base_comes_back_as_it_was_and_brings_new_files_only() {
        let (folder, store) = folder_store();
        let mut chain = Chain::new(&store, "views/0");
        let big = vec![7_u8; 2 * PIECE as usize + 5];
        let files = folder.path().join("db");
        write(&files, &[("CURRENT", b"one"), ("1.sst", &big), ("sub/empty", b"")]);
        let at = chain.commit();
        let one = store
            .put_base("views/0", &at, &files)
            .wait(Duration::from_secs(60))
            .unwrap()
            .unwrap();
        assert_eq!(stored(&store, &one.name), 3);
        let at = chain.commit_on(Some(&one));
        write(&files, &[("CURRENT", b"two"), ("2.sst", b"new")]);
        let two = store
            .put_base("views/0", &at, &files)
            .wait(Duration::from_secs(60))
            .unwrap()
            .unwrap();
        assert_eq!(stored(&store, &two.name), 2, "the large file was known");

        let (into, mut told) = (folder.path().join("restored"), Vec::new());
        store
            .fetch_base(&two, &into, |done, total| told.push((done, total)))
            .unwrap();
        assert_eq!(read(&into), read(&files));
        let total = big.len() as u64 + 6;
        assert_eq!((told[0], *told.last().unwrap()), ((0, total), (total, total)));
    }

    #[test]
    fn a_damaged_or_missing_file_of_a_base_is_named() {
        let (folder, store) = folder_store();
        let mut chain = Chain::new(&store, "views/0");
        chain.commit();
        let base = chain.base(folder.path());
        let listed = store.base(&base).unwrap();
        let file = folder.path().join("store/pages/files").join(&listed.files[0].object);
        let mut bytes = std::fs::read(&file).unwrap();
        bytes[0] ^= 1;
        std::fs::write(&file, &bytes).unwrap();
        let fetch = || {
            reopen(&folder)
                .fetch_base(&base, &folder.path().join("into"), |_, _| {})
                .unwrap_err()
        };
        assert!(
            fetch().kind == Kind::Corrupt && fetch().what.contains(&listed.files[0].object),
            "{}",
            fetch()
        );
        bytes.pop();
        std::fs::write(&file, &bytes).unwrap();
        assert!(fetch().why.contains("bytes instead of"), "{}", fetch());
        std::fs::remove_file(&file).unwrap();
        assert!(fetch().what.contains("missing"), "{}", fetch());
        std::fs::remove_file(folder.path().join("store/pages/bases").join(&base.name)).unwrap();
        assert!(
            fetch().what.contains("missing") && fetch().what.contains(&base.name),
            "{}",
            fetch()
        );
    }

    #[test]
    fn a_list_of_files_that_leads_out_of_the_folder_is_refused() {
        let sound = StoredFile {
            path: "1.sst".into(),
            object: format!("0mhzqk3va-0-1y2p0ij32e8e7/{}", sha256(b"x")),
            sha256: sha256(b"x"),
            length: 1,
        };
        assert!(sound.is_sound());
        for path in ["", "/etc/passwd", "../x", "a/../../x"] {
            let file = StoredFile {
                path: path.into(),
                ..sound.clone()
            };
            assert!(!file.is_sound(), "{path}");
        }
        for object in ["", "x", "../../x/y", "0mhzqk3va-0-1y2p0ij32e8e7/other"] {
            let file = StoredFile {
                object: object.into(),
                ..sound.clone()
            };
            assert!(!file.is_sound(), "{object}");
        }
    }
}
