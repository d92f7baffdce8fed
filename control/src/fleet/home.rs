//! The folder of a pipeline, and how its process is found in it.
//!
//! ```text
//! FOLDER/lock           the process holds a lock on it as long as it lives: it is its fourth file
//! FOLDER/pipeline.toml  the version that it runs, or ran last
//! FOLDER/run.json       which version that is, when it began, and how it ended, once that is known
//! FOLDER/log.jsonl      what it says, a JSON object a line; log.1.jsonl what it said before
//! FOLDER/state/         its working copy
//! FOLDER/asked.toml     the version that was looked at last; what that needed besides is in asked/
//! FOLDER/gone           it is about to be deleted
//! ```
//!
//! Always: the lock goes with the process, however it ends, and whoever started it; so whether one is there is never
//! guessed from a number that another process may have by now.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufRead, Read, Seek, SeekFrom};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::ending::{Ending, LogLine};
use super::used::{CountedUse, Excess};
use crate::plugins::without_place;

/// Bytes of a log, above which it begins anew.
const LOG_BYTES: u64 = 8 << 20;
/// Bytes of a line of a log that are looked at together.
const LINE_BYTES: u64 = 64 << 10;

/// What is known of the newest process of a pipeline.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub(super) struct RunCard {
    /// The version of the pipeline that it runs.
    pub(super) version: i64,
    /// Stands for what it was granted.
    pub(super) mark: String,
    /// When it began.
    pub(super) began: i64,
    /// The check that the version passed: with which program, and what it was granted then. Empty: none.
    pub(super) passed: String,
    /// Starts before it, since the pipeline was last told to run.
    pub(super) restarts: u64,
    /// It was asked to end by us.
    pub(super) is_asked_to_end: bool,
    /// What was counted of it; `None`: nobody did, and what it did before the first look is unknown.
    pub(super) counted: Option<CountedUse>,
    /// It is ended because it uses more than it may.
    pub(super) excess: Option<Excess>,
    /// How it ended, once that is known.
    pub(super) ended: Option<Ending>,
    /// The savepoint that was taken last, between two versions.
    pub(super) saved: String,
    /// Of how many tasks that is: of none, nothing was committed.
    pub(super) saved_tasks: u64,
    /// The savepoint that could not be taken, and why.
    pub(super) not_saved: Option<(String, String)>,
    /// The order by which the process began from a savepoint; 0: it went on at the last commit.
    pub(super) begins: i64,
    /// The last such order that was carried out: the savepoint's positions and state are committed.
    pub(super) begun: i64,
}

impl RunCard {
    /// Whether the process was told to begin from a savepoint, and it is not known that it did.
    pub(super) fn is_to_begin(&self) -> bool {
        self.begins != 0 && self.begins != self.begun
    }
}

/// The folder of a pipeline.
#[derive(Debug, Clone)]
pub(super) struct PipelineHome {
    folder: PathBuf,
    socket: PathBuf,
    tenant: PathBuf,
}

/// The log of a pipeline's processes.
#[derive(Debug, Clone)]
pub(crate) struct PipelineLog {
    /// Its file.
    pub(crate) path: PathBuf,
    /// The folder of its tenant.
    pub(crate) tenant: PathBuf,
}

impl PipelineLog {
    /// Some of its text, as the tenant may read it.
    pub(crate) fn told(&self, text: String) -> String {
        without_place(text, &self.tenant)
    }
}

impl PipelineHome {
    /// A folder, made if it is not there, for its owner alone; and the socket that its process answers on, which is
    /// elsewhere, because the path of a socket has 107 bytes at most; and the folder of its tenant.
    pub(super) fn open(folder: PathBuf, socket: PathBuf, tenant: PathBuf) -> io::Result<Self> {
        for folder in [Some(folder.as_path()), socket.parent()].into_iter().flatten() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        Ok(Self::at(folder, socket, tenant))
    }

    /// The same, whether it is there or not.
    pub(super) fn at(folder: PathBuf, socket: PathBuf, tenant: PathBuf) -> Self {
        Self { folder, socket, tenant }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn socket(&self) -> &Path {
        &self.socket
    }

    pub(super) fn log(&self) -> PathBuf {
        self.folder.join("log.jsonl")
    }

    pub(super) fn lock_file(&self) -> PathBuf {
        self.folder.join("lock")
    }

    /// The lock for a process that is to start; `None`: one lives.
    pub(super) fn lock(&self) -> io::Result<Option<File>> {
        let lock = open(&self.lock_file())?;
        match lock.try_lock() {
            Ok(()) => Ok(Some(lock)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Whether a process lives.
    pub(super) fn is_alive(&self) -> io::Result<bool> {
        Ok(self.lock()?.is_none())
    }

    /// What is known of the newest process; nothing, if there was none or if what was written is no card.
    pub(super) fn card(&self) -> RunCard {
        let text = fs::read(self.folder.join("run.json")).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    /// Writes the card, as a whole.
    pub(super) fn write_card(&self, card: &RunCard) -> io::Result<()> {
        let text = serde_json::to_vec(card).map_err(io::Error::other)?;
        self.write("run.json", &text)
    }

    /// Writes the pipeline file of the version that starts.
    pub(super) fn write_file(&self, text: &str) -> io::Result<()> {
        self.write("pipeline.toml", text.as_bytes())
    }

    /// Writes another file beside it.
    pub(super) fn write_beside(&self, name: &str, text: &str) -> io::Result<()> {
        self.write(name, text.as_bytes())
    }

    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let new = self.folder.join(format!(".{name}"));
        fs::write(&new, bytes)?;
        fs::rename(new, self.folder.join(name))
    }

    /// The log, for what a process says: at its end.
    pub(super) fn open_log(&self) -> io::Result<File> {
        OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(self.log())
    }

    /// A log that is too long becomes the one before. Its process writes at the end of the file, wherever that is.
    pub(super) fn shorten_log(&self) -> io::Result<()> {
        let log = self.log();
        if fs::metadata(&log).map_or(0, |about| about.len()) <= LOG_BYTES {
            return Ok(());
        }
        fs::copy(&log, self.folder.join("log.1.jsonl"))?;
        OpenOptions::new().write(true).open(&log)?.set_len(0)
    }

    /// The last bytes of the log, at most so many, from the beginning of a line on, as the tenant may read them.
    pub(super) fn end_of_log(&self, most: u64) -> io::Result<String> {
        let mut log = match File::open(self.log()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(String::new()),
            opened => opened?,
        };
        let begin = log.metadata()?.len().saturating_sub(most);
        log.seek(SeekFrom::Start(begin))?;
        let mut bytes = Vec::new();
        log.take(most).read_to_end(&mut bytes)?;
        let text = without_place(String::from_utf8_lossy(&bytes).into_owned(), &self.tenant);
        Ok(match begin {
            0 => text,
            _ => text
                .split_once('\n')
                .map(|(_, whole)| whole.to_owned())
                .unwrap_or_default(),
        })
    }

    /// Whether the process that began at this time came to reading: its positions are resolved, and nothing of it is
    /// committed before it says so.
    pub(super) fn came_to_reading(&self, began: i64) -> io::Result<bool> {
        let log = match File::open(self.log()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            opened => opened?,
        };
        let (mut is_its_own, mut line) = (false, Vec::new());
        let mut lines = io::BufReader::new(log);
        loop {
            line.clear();
            if lines.by_ref().take(LINE_BYTES).read_until(b'\n', &mut line)? == 0 {
                return Ok(false);
            }
            match LogLine::of(&line) {
                LogLine::Began(at) => is_its_own = at == began,
                LogLine::Reads if is_its_own => return Ok(true),
                LogLine::Reads | LogLine::Other => {}
            }
        }
    }

    /// Notes that the pipeline is about to be deleted; whoever finds the note and no pipeline takes the rest away.
    pub(super) fn mark_gone(&self) -> io::Result<()> {
        self.write("gone", b"")
    }

    /// It is wanted after all.
    pub(super) fn unmark_gone(&self) -> io::Result<()> {
        match fs::remove_file(self.folder.join("gone")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Takes away all that the pipeline has here.
    pub(super) fn remove(&self) -> io::Result<()> {
        fs::remove_dir_all(&self.folder)?;
        match self.socket.parent().map(fs::remove_dir_all) {
            Some(Err(error)) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home() -> (tempfile::TempDir, PipelineHome) {
        let folder = tempfile::tempdir().unwrap();
        let home = PipelineHome::open(
            folder.path().join("t/p"),
            folder.path().join("s/s"),
            folder.path().join("t"),
        )
        .unwrap();
        (folder, home)
    }

    #[test]
    fn whoever_holds_the_lock_lives() {
        let (_folder, home) = home();
        assert!(!home.is_alive().unwrap());
        let lock = home.lock().unwrap().unwrap();
        assert!(home.is_alive().unwrap() && home.lock().unwrap().is_none());
        let with_the_child = lock.try_clone().unwrap();
        drop(lock);
        assert!(home.is_alive().unwrap(), "the child holds it");
        drop(with_the_child);
        assert!(!home.is_alive().unwrap());
    }

    #[test]
    fn a_card_is_read_as_it_was_written_and_junk_is_none() {
        let (_folder, home) = home();
        assert_eq!(home.card(), RunCard::default());
        let card = RunCard {
            version: 3,
            restarts: 7,
            ..RunCard::default()
        };
        home.write_card(&card).unwrap();
        assert_eq!(home.card(), card);
        home.write("run.json", b"{").unwrap();
        assert_eq!(home.card(), RunCard::default());
    }

    #[test]
    fn whether_a_process_came_to_reading_is_told_by_its_own_lines() {
        let (_folder, home) = home();
        assert!(!home.came_to_reading(2).unwrap());
        let (first, second) = (Ending::marker(1, 1), Ending::marker(1, 2));
        let start = r#"{"event":"start","source":"in","partition":0}"#;
        let long = "x".repeat(LINE_BYTES as usize * 2);
        fs::write(
            home.log(),
            format!("{first}\n{start}\n{second}\n{long}\n2026 {start}\n"),
        )
        .unwrap();
        assert!(home.came_to_reading(1).unwrap());
        assert!(!home.came_to_reading(2).unwrap());
        io::Write::write_all(&mut home.open_log().unwrap(), format!("{start}\n").as_bytes()).unwrap();
        assert!(home.came_to_reading(2).unwrap());
    }

    #[test]
    fn a_log_is_read_from_a_line_on_and_does_not_grow_for_ever() {
        let (_folder, home) = home();
        assert_eq!(home.end_of_log(10).unwrap(), "");
        fs::write(home.log(), "one\ntwo\nthree\n").unwrap();
        assert_eq!(home.end_of_log(100).unwrap(), "one\ntwo\nthree\n");
        assert_eq!(home.end_of_log(10).unwrap(), "three\n");
        fs::write(home.log(), vec![b'x'; LOG_BYTES as usize + 1]).unwrap();
        let mut process = home.open_log().unwrap();
        home.shorten_log().unwrap();
        io::Write::write_all(&mut process, b"more\n").unwrap();
        assert_eq!(fs::read_to_string(home.log()).unwrap(), "more\n");
    }
}
