//! Where the files lie: a folder of its own that no second broker may open, or nameless files that vanish with the
//! process.

use crate::clock;
use crate::error::{Error, Kind, Result};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use uuid::Uuid;

/// The broker's files. A topic's folder carries the topic's id, so that a topic of the same name never sees its logs.
#[derive(Debug)]
pub(in crate::broker) enum Storage {
    /// Nameless files.
    Temporary,
    /// A folder, and the lock on it, held as long as this lives.
    Folder { path: PathBuf, _lock: File },
}

/// How long a predecessor may take to let go: it may be ending, or a child that it just started may still hold its
/// files.
const LOCK_PATIENCE: Duration = Duration::from_secs(1);

impl Storage {
    /// Opens a folder, made if it is missing, for this process alone.
    pub(in crate::broker) fn open(folder: Option<&Path>) -> Result<Self> {
        let Some(path) = folder else { return Ok(Self::Temporary) };
        let failed = |error: io::Error| Error::new(Kind::Failed, format!("failed to open {}", path.display()), error);
        fs::create_dir_all(path.join("topics")).map_err(failed)?;
        let lock = File::create(path.join("lock")).map_err(failed)?;
        if !lock_within(&lock, LOCK_PATIENCE).map_err(failed)? {
            let what = format!("failed to open {}", path.display());
            return Err(Error::new(Kind::Corrupt, what, "another broker has it open")
                .hint("stop the other broker, or give this one another folder"));
        }
        Ok(Self::Folder {
            path: path.to_owned(),
            _lock: lock,
        })
    }

    /// Where the journal is, if there is one.
    pub(in crate::broker) fn journal(&self) -> Option<PathBuf> {
        match self {
            Self::Temporary => None,
            Self::Folder { path, .. } => Some(path.join("journal")),
        }
    }

    /// Opens the file of a partition's log, made if it is missing.
    pub(in crate::broker) fn log(&self, topic: &str, id: Uuid, partition: usize) -> io::Result<File> {
        let Self::Folder { path, .. } = self else {
            return tempfile::tempfile();
        };
        let folder = path.join("topics").join(folder_name(topic, id));
        fs::create_dir_all(&folder)?;
        OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(folder.join(format!("{partition}.log")))
    }

    /// Removes a topic's logs.
    pub(in crate::broker) fn remove(&self, topic: &str, id: Uuid) -> io::Result<()> {
        match self {
            Self::Temporary => Ok(()),
            Self::Folder { path, .. } => fs::remove_dir_all(path.join("topics").join(folder_name(topic, id))),
        }
    }

    /// Removes the folders of topics that the journal does not know: their creation was never acknowledged, or their
    /// deletion was.
    pub(in crate::broker) fn sweep<'a>(&self, known: impl Iterator<Item = (&'a str, Uuid)>) -> io::Result<()> {
        let Self::Folder { path, .. } = self else { return Ok(()) };
        let known: Vec<String> = known.map(|(topic, id)| folder_name(topic, id)).collect();
        for folder in fs::read_dir(path.join("topics"))? {
            let folder = folder?;
            if !known.iter().any(|name| folder.file_name() == name.as_str()) {
                fs::remove_dir_all(folder.path())?;
            }
        }
        Ok(())
    }
}

/// Topic names are at most 249 bytes; the name comes second-hand, cut so that the id always fits into a file name.
fn folder_name(topic: &str, id: Uuid) -> String {
    format!("{}-{}", &topic[..topic.len().min(200)], id.simple())
}

/// Takes the lock; `false` if somebody else keeps it all the while.
fn lock_within(file: &File, patience: Duration) -> io::Result<bool> {
    let until = clock::now() + patience;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(true),
            Err(fs::TryLockError::Error(error)) => return Err(error),
            Err(fs::TryLockError::WouldBlock) if clock::now() >= until => return Ok(false),
            Err(fs::TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}
