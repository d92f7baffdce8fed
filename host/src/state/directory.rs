//! The state folder of a process: its lock, its name, and the folders of its tasks.
//!
//! ```text
//! DIR/lock          held by one process, which writes its pid there
//! DIR/instance      a name that stays, so that a restarted process is the member of the group that it was
//! DIR/tasks/TASK    a task's RocksDB; the '/' of a task's name is a '-' there
//! ```
//!
//! Always: a task's folder appears and goes as a whole, by a rename; what begins with a dot is rubbish and swept away
//! at the next start.

use super::rocks::{self, SharedDatabases};
use super::task::TaskState;
use crate::clock;
use crate::error::{Error, Kind, Result};
use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How long a task may still be open in this process: somebody looks at it, or another worker lost it, and is in a
/// commit that may wait for Kafka for as long as a request, an abort and a new producer may take.
const LET_GO: Duration = Duration::from_secs(15);

/// The state folder of this process, locked until the last clone is gone.
#[derive(Clone)]
pub struct StateDirectory {
    inner: Arc<Inner>,
}

struct Inner {
    tasks: PathBuf,
    instance: String,
    shared: SharedDatabases,
    /// The lock goes when it is closed, also by kill -9.
    _lock: File,
}

impl StateDirectory {
    /// Opens the folder, or makes it. `cache_bytes` limits the memory of all tasks' caches and write buffers together.
    ///
    /// [`Kind::Corrupt`] if another process has it, if it cannot be written, or if the disk is full.
    pub fn open(dir: &Path, cache_bytes: u64) -> Result<StateDirectory> {
        let what = || format!("failed to open the state folder {}", dir.display());
        let tasks = dir.join("tasks");
        fs::create_dir_all(&tasks).map_err(|error| unwritable(what(), &error))?;
        let lock = lock(dir, what)?;
        let instance = instance(dir).map_err(|error| unwritable(what(), &error))?;
        sweep(&tasks).map_err(|error| unwritable(what(), &error))?;
        Ok(StateDirectory {
            inner: Arc::new(Inner {
                tasks,
                instance,
                shared: SharedDatabases::new(cache_bytes),
                _lock: lock,
            }),
        })
    }

    /// A name that stays with the folder: 16 hex digits.
    pub fn instance(&self) -> &str {
        &self.inner.instance
    }

    /// Opens a task's state, or makes an empty one.
    ///
    /// [`Kind::Corrupt`] if its local files are damaged or of a layout that this program does not read:
    /// [`forget`](Self::forget) and restore.
    pub fn task(&self, task: &str) -> Result<TaskState> {
        let folder = self.folder(task)?;
        let what = || format!("failed to open the local state of task `{task}`");
        let until = clock::now() + LET_GO;
        let opened = loop {
            match self.inner.shared.open(&folder) {
                Ok(opened) => break opened,
                Err(error) if is_looked_at(&error) && clock::now() < until => {
                    clock::sleep_unless(Duration::from_millis(5), || false);
                }
                Err(error) => return Err(rocks::error(what(), &error)),
            }
        };
        TaskState::new(task, opened, &self.inner.shared.values)
    }

    /// Deletes a task's local files. It must not be open.
    pub fn forget(&self, task: &str) -> Result<()> {
        let folder = self.folder(task)?;
        let gone = self.inner.tasks.join(format!(".gone-{:016x}", clock::random()));
        let what = || format!("failed to delete the local state of task `{task}`");
        match fs::rename(&folder, &gone) {
            Ok(()) => fs::remove_dir_all(&gone).map_err(|error| Error::new(Kind::Failed, what(), error)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(Error::new(Kind::Failed, what(), error)),
        }
    }

    /// Makes the files of a base, a folder on the same disk (see [`scratch`](Self::scratch)), the task's local state
    /// and opens it. What the task had is deleted; `files` is moved.
    pub fn install(&self, task: &str, files: &Path) -> Result<TaskState> {
        self.forget(task)?;
        let what = || format!("failed to move a base into the local state of task `{task}`");
        fs::rename(files, self.folder(task)?).map_err(|error| Error::new(Kind::Failed, what(), error))?;
        self.task(task)
    }

    /// A new path on the disk of the tasks, for a base that is fetched or taken; what is left there is swept away at
    /// the next start.
    pub fn scratch(&self) -> PathBuf {
        self.inner.tasks.join(format!(".scratch-{:016x}", clock::random()))
    }

    /// The tasks that have local files, in order of their names.
    pub fn tasks(&self) -> Result<Vec<String>> {
        let what = || format!("failed to list {}", self.inner.tasks.display());
        let listed = fs::read_dir(&self.inner.tasks).and_then(|entries| {
            let names = entries.map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned()));
            names.collect::<io::Result<Vec<String>>>()
        });
        let mut tasks: Vec<String> = listed
            .map_err(|error| Error::new(Kind::Failed, what(), error))?
            .iter()
            .filter(|name| !name.starts_with('.'))
            .filter_map(|name| name.rsplit_once('-'))
            .map(|(source, number)| format!("{source}/{number}"))
            .collect();
        tasks.sort();
        Ok(tasks)
    }

    /// Bytes of blocks, indexes, filters and write buffers that all tasks hold in memory.
    pub fn memory_bytes(&self) -> u64 {
        self.inner.shared.memory_bytes()
    }

    fn folder(&self, task: &str) -> Result<PathBuf> {
        let name = task.replace('/', "-");
        if name.is_empty() || name.starts_with('.') || name.contains('\0') {
            return Err(Error::new(Kind::Bug, format!("`{task}` is no name of a task"), ""));
        }
        Ok(self.inner.tasks.join(name))
    }
}

/// Whether the database is still open in this process: somebody's look at it is not over.
fn is_looked_at(error: &rocksdb::Error) -> bool {
    error.to_string().contains("lock hold by current process")
}

/// Takes the folder's lock and writes the pid into it.
fn lock(dir: &Path, what: impl Fn() -> String) -> Result<File> {
    let failed = |error: &io::Error| unwritable(what(), error);
    let mut file = File::options()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(dir.join("lock"))
        .map_err(|error| failed(&error))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            let holder = match file.read_to_string(&mut pid) {
                Ok(_) if !pid.trim().is_empty() => format!("process {} has it", pid.trim()),
                _ => "another process has it".to_owned(),
            };
            return Err(Error::new(Kind::Corrupt, what(), holder)
                .hint("stop that process, or give each process a folder of its own with `state.dir`"));
        }
        Err(TryLockError::Error(error)) => return Err(failed(&error)),
    }
    let written = file
        .set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| writeln!(file, "{}", std::process::id()));
    written.map_err(|error| failed(&error))?;
    Ok(file)
}

/// The folder's name: read, or made and kept.
fn instance(dir: &Path) -> io::Result<String> {
    let path = dir.join("instance");
    match fs::read_to_string(&path) {
        Ok(text) if is_instance(text.trim()) => return Ok(text.trim().to_owned()),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    // A name that a crash cut off is no name: nobody can have joined under it, because it is synced before it is used.
    let name = format!("{:016x}", clock::random());
    let new = dir.join("instance.new");
    let mut file = File::create(&new)?;
    writeln!(file, "{name}")?;
    file.sync_all()?;
    fs::rename(&new, &path)?;
    File::open(dir)?.sync_all()?;
    Ok(name)
}

fn is_instance(text: &str) -> bool {
    text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Deletes what a crash left half moved or half deleted.
fn sweep(tasks: &Path) -> io::Result<()> {
    for entry in fs::read_dir(tasks)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with('.') {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

fn unwritable(what: String, error: &io::Error) -> Error {
    let hint = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "free some space on its disk: nothing is lost",
        _ => "make it a folder that the user who runs Sandbar may write, or name another one with `state.dir`",
    };
    Error::new(Kind::Corrupt, what, error).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CACHE: u64 = 16 << 20;

    #[test]
    fn one_process_at_a_time_has_the_folder() {
        let dir = tempfile::tempdir().unwrap();
        let first = StateDirectory::open(dir.path(), CACHE).unwrap();
        let error = StateDirectory::open(dir.path(), CACHE).err().unwrap();
        assert_eq!(error.kind, Kind::Corrupt);
        assert_eq!(error.why, format!("process {} has it", std::process::id()));
        drop(first);
        assert!(StateDirectory::open(dir.path(), CACHE).is_ok());
    }

    #[test]
    fn the_instance_is_the_folders() {
        let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let instance = |dir: &Path| StateDirectory::open(dir, CACHE).unwrap().instance().to_owned();
        let name = instance(here.path());
        assert_eq!(instance(here.path()), name);
        assert_ne!(instance(there.path()), name);
        fs::write(here.path().join("instance"), "cut").unwrap();
        assert_ne!(instance(here.path()), "cut");
    }

    #[test]
    fn what_is_no_folder_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        let error = StateDirectory::open(&file, CACHE).err().unwrap();
        assert_eq!(error.kind, Kind::Corrupt);
        assert!(error.hint.unwrap().contains("state.dir"));
    }

    #[test]
    fn tasks_are_listed_forgotten_and_never_leave_the_folder() {
        let dir = tempfile::tempdir().unwrap();
        let home = StateDirectory::open(dir.path(), CACHE).unwrap();
        for task in ["views/0", "views/10", "my-views/1"] {
            home.task(task).unwrap();
        }
        assert_eq!(home.tasks().unwrap(), ["my-views/1", "views/0", "views/10"]);
        home.forget("views/0").unwrap();
        home.forget("never/0").unwrap();
        assert_eq!(home.tasks().unwrap(), ["my-views/1", "views/10"]);
        for task in ["", "..", "../..", ".hidden/0"] {
            assert_eq!(home.forget(task).unwrap_err().kind, Kind::Bug);
        }
    }

    #[test]
    fn what_a_crash_left_half_done_is_swept_away() {
        let dir = tempfile::tempdir().unwrap();
        let home = StateDirectory::open(dir.path(), CACHE).unwrap();
        fs::create_dir_all(home.scratch()).unwrap();
        drop(home);
        let home = StateDirectory::open(dir.path(), CACHE).unwrap();
        assert_eq!(fs::read_dir(dir.path().join("tasks")).unwrap().count(), 0);
        assert!(home.tasks().unwrap().is_empty());
    }
}
