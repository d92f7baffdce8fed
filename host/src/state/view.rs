//! A view of what is applied, from any thread: for `state get`, `state scan` and `state count`, and for metrics.
//!
//! It sees no overlay: what it shows is what the last commit left. It never keeps a task's files open once the task is
//! closed; one that was [`look`]ed up in the state folder of another process, or of none, stands still at what was
//! applied when it was opened.

use super::keys::{self, StoreId};
use super::rocks;
use super::scan::{self, EntryRange, Most};
use crate::error::{Error, Kind, Result};
use crate::record::Column;
use rocksdb::DB;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Arc, Weak};

/// How often files that a running process replaces meanwhile are opened again.
const ATTEMPTS: u32 = 5;

/// A page ends at so many bytes.
const PAGE_BYTES: usize = 8 << 20;

/// See the file's header.
#[derive(Clone)]
pub struct View {
    task: String,
    db: Held,
}

#[derive(Clone)]
enum Held {
    /// The task's, while it is open.
    Lent(Weak<DB>),
    /// Opened for this view, read-only.
    Own(Arc<DB>),
}

/// What the tasks in a state folder hold, in order of their names: beside the process that has the folder, or without
/// one. Nothing there is changed or locked. A task that never committed is left out, and a folder that is not there
/// holds no task.
///
/// # Errors
/// `Corrupt`: a task's files are damaged or of another layout; `Failed`: they cannot be read.
pub fn look(dir: &Path) -> Result<Vec<View>> {
    let tasks = dir.join("tasks");
    let what = || format!("failed to list {}", tasks.display());
    let failed = |error: io::Error| Error::new(Kind::Failed, what(), error);
    let entries = match fs::read_dir(&tasks) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut views = Vec::new();
    for entry in entries {
        let entry = entry.map_err(failed)?;
        if !entry.file_name().to_string_lossy().starts_with('.') {
            views.extend(open(&entry.path())?);
        }
    }
    views.sort_by(|one, other| one.task.cmp(&other.task));
    Ok(views)
}

/// The task in this folder; `None`: it holds nothing yet, or was given up meanwhile.
fn open(folder: &Path) -> Result<Option<View>> {
    let what = || format!("failed to read the local state in {}", folder.display());
    let mut attempt = 1;
    let db = loop {
        match rocks::open_to_read(folder) {
            Ok(db) => break db,
            // A restore begins with deleting what was there, and a database begins without its list of files.
            Err(_) if !folder.join("CURRENT").exists() => return Ok(None),
            Err(error) if attempt == ATTEMPTS => return Err(rocks::error(what(), &error)),
            Err(_) => attempt += 1,
        }
    };
    let meta = |name| rocks::meta(&db, name).map_err(|error| rocks::error(what(), &error));
    let task = match (meta(keys::META_LAYOUT)?.as_deref(), meta(keys::META_TASK)?) {
        (None, _) | (_, None) => return Ok(None),
        (Some([keys::LAYOUT]), Some(task)) => String::from_utf8_lossy(&task).into_owned(),
        (Some(other), _) => {
            let why = format!("its layout is version {other:?}, this program reads {}", keys::LAYOUT);
            return Err(rocks::damaged(what(), &why));
        }
    };
    let db = Held::Own(Arc::new(db));
    Ok(Some(View { task, db }))
}

impl View {
    pub(super) fn new(task: &str, db: &Arc<DB>) -> Self {
        Self {
            task: task.to_owned(),
            db: Held::Lent(Arc::downgrade(db)),
        }
    }

    /// The task's name.
    pub fn task(&self) -> &str {
        &self.task
    }

    /// The pointer text of the last apply.
    pub fn applied(&self) -> Result<Option<String>> {
        let pointer = rocks::meta(&*self.db()?, keys::META_POINTER).map_err(|error| self.unread(&error))?;
        Ok(pointer.map(|pointer| String::from_utf8_lossy(&pointer).into_owned()))
    }

    /// The value under `key` of a value store.
    pub fn value(&self, store: StoreId, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let mut whole = Vec::new();
        keys::entry(store, key, &mut whole);
        self.db()?.get(&whole).map_err(|error| self.unread(&error))
    }

    /// The items of the list under `key`. `into` is cleared first.
    pub fn items(&self, store: StoreId, key: &[u8], into: &mut Column) -> Result<()> {
        into.clear();
        let frames = self.value(store, key)?.unwrap_or_default();
        keys::items(&frames, |item| into.push(Some(item)))
            .ok_or_else(|| rocks::damaged(self.reading(), "a list is cut off"))
    }

    /// The entries of the map under `key` behind the user key `after`, in order: at most `limit`, or 8 MiB of them.
    /// True: there are more.
    pub fn entries(
        &self,
        store: StoreId,
        key: &[u8],
        after: Option<&[u8]>,
        limit: usize,
        (user_keys, values): (&mut Column, &mut Column),
    ) -> Result<bool> {
        let mut map = Vec::new();
        keys::map(store, key, &mut map);
        self.page(&map, after, limit, (user_keys, values))
    }

    /// The entries of a store behind the store's own key `after`, in order: at most `limit`, or 8 MiB of them. True:
    /// there are more. Of a value store an entry is key and value, of a list store key and frames
    /// ([`frames`](Self::frames)), of a map store the own key is [`split`](Self::split).
    pub fn scan(
        &self,
        store: StoreId,
        after: Option<&[u8]>,
        limit: usize,
        (keys, values): (&mut Column, &mut Column),
    ) -> Result<bool> {
        let mut all = Vec::new();
        keys::store(store, &mut all);
        self.page(&all, after, limit, (keys, values))
    }

    /// Number of entries of a store, counted: a list is one, a map one an entry.
    pub fn count(&self, store: StoreId) -> Result<u64> {
        let mut all = Vec::new();
        keys::store(store, &mut all);
        let db = self.db()?;
        let mut entries = EntryRange::new(&all, &[], None).applied(&db);
        let mut count = 0;
        while entries.valid() {
            count += 1;
            entries.next();
        }
        entries.status().map_err(|error| self.unread(&error))?;
        Ok(count)
    }

    /// Key and user key of a map store's own key; `None`: it is none.
    pub fn split(own: &[u8]) -> Option<(&[u8], &[u8])> {
        keys::split_map(own)
    }

    /// The items of a list store's entry; `None`: it is none.
    pub fn frames(entry: &[u8], into: &mut Column) -> Option<()> {
        into.clear();
        keys::items(entry, |item| into.push(Some(item)))
    }

    fn page(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
        columns: (&mut Column, &mut Column),
    ) -> Result<bool> {
        let db = self.db()?;
        let applied = EntryRange::new(prefix, &[], after).applied(&db);
        let most = Most {
            entries: limit,
            bytes: PAGE_BYTES,
        };
        scan::merged(Some(applied), std::iter::empty(), prefix.len(), most, columns)
            .map_err(|error| self.unread(&error))
    }

    fn db(&self) -> Result<Arc<DB>> {
        let db = match &self.db {
            Held::Lent(db) => db.upgrade(),
            Held::Own(db) => Some(db.clone()),
        };
        db.ok_or_else(|| {
            Error::new(
                Kind::Failed,
                self.reading(),
                "this process does not have the task any more",
            )
            .hint("ask the process that took it over")
        })
    }

    fn reading(&self) -> String {
        format!("failed to read the state of task `{}`", self.task)
    }

    fn unread(&self, error: &rocksdb::Error) -> Error {
        rocks::error(self.reading(), error)
    }
}
