//! How a running process is reached through its state folder, by whoever may write there.
//!
//! ```text
//! DIR/running/ID        a process, which holds a lock on it as long as it lives: its pid and its pipeline
//! DIR/running/ID.stop   what somebody asks of it; it takes the file away
//! DIR/running/ID.end    how it ended
//! ```
//!
//! Always: a file appears as a whole, by a rename; ID is new at each start, so what is meant for one process reaches no
//! other, whatever their pids are.

use super::order::{RunEnd, StopOrder};
use crate::clock;
use crate::error::{Error, Kind, Result};
use crate::runtime::StopRequest;
use serde::{Deserialize, Serialize};
use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

/// How often a process looks whether it is asked something.
const LOOK: Duration = Duration::from_millis(500);
/// What a dead process left stays for so long, so that whoever waited for its end can read of it.
const KEPT_MS: u128 = 10 * 60 * 1000;

/// What a process says of itself.
#[derive(Debug, Serialize, Deserialize)]
struct ProcessCard {
    pid: u32,
    pipeline: String,
}

/// This process, as others find it in its state folder.
#[derive(Debug)]
pub struct RunningHere {
    folder: PathBuf,
    id: String,
    /// It goes with the process, also by kill -9.
    lock: File,
}

impl RunningHere {
    /// From now on it is found there, and what it is asked reaches `stop`.
    ///
    /// # Errors
    /// The folder cannot be written: the process is not found there.
    pub fn announce(state_dir: &Path, pipeline: &str, stop: &Arc<StopRequest>) -> io::Result<Self> {
        let folder = state_dir.join("running");
        fs::create_dir_all(&folder)?;
        sweep(&folder)?;
        let id = format!("{:016x}", clock::random());
        let card = ProcessCard {
            pid: std::process::id(),
            pipeline: pipeline.to_owned(),
        };
        let new = folder.join(format!(".{id}"));
        let mut lock = File::create_new(&new)?;
        lock.lock()?;
        lock.write_all(serde_json::to_string(&card)?.as_bytes())?;
        fs::rename(&new, folder.join(&id))?;
        listen(folder.join(format!("{id}.stop")), card.pipeline, stop)?;
        Ok(Self { folder, id, lock })
    }

    /// Tells whoever waits how the run ended. The process is to end at once.
    pub fn tell(self, end: &RunEnd) {
        if let Err(error) = put(&self.folder, &format!("{}.end", self.id), &end.to_json()) {
            tracing::warn!(%error, "nobody can be told how the run ended");
        }
        // Its end is the process's.
        std::mem::forget(self.lock);
    }
}

fn listen(order: PathBuf, pipeline: String, stop: &Arc<StopRequest>) -> io::Result<()> {
    let stop = Arc::downgrade(stop);
    let look = move || {
        while let Some(stop) = stop.upgrade() {
            if let Some(why) = take(&order, &pipeline, &stop) {
                tracing::warn!(order = %order.display(), %why, "what somebody asked is not understood");
            }
            drop(stop);
            std::thread::sleep(LOOK);
        }
    };
    let thread = std::thread::Builder::new().name("stop-orders".to_owned());
    thread.spawn(look).map(drop)
}

/// Takes the order away and carries it out, if there is one. Why not.
fn take(order: &Path, pipeline: &str, stop: &StopRequest) -> Option<String> {
    let text = fs::read(order).ok()?;
    // If it stays, it is carried out again, and nothing comes of that.
    let _ = fs::remove_file(order);
    let order: Result<StopOrder, String> = serde_json::from_slice(&text).map_err(|error| error.to_string());
    order.and_then(|order| order.carry_out(pipeline, stop)).err()
}

/// A process that runs with a state folder.
#[derive(Debug)]
pub struct RunningProcess {
    /// Its id, as it sees it: in a container it has another one outside.
    pub pid: u32,
    /// The name of its pipeline.
    pub pipeline: String,
    folder: PathBuf,
    id: String,
}

/// Whether a process goes on.
#[derive(Debug, PartialEq)]
pub enum Lives {
    /// It does.
    Yes,
    /// It ended; `None`: it was killed, and says nothing.
    No(Option<RunEnd>),
}

impl RunningProcess {
    /// The processes that run with this state folder.
    ///
    /// # Errors
    /// `Failed`: the folder cannot be read.
    pub fn all(state_dir: &Path) -> Result<Vec<Self>> {
        let folder = state_dir.join("running");
        let names = match fs::read_dir(&folder).and_then(names) {
            Ok(names) => names,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => {
                return Err(Error::new(
                    Kind::Failed,
                    format!("failed to look into {}", folder.display()),
                    error,
                ));
            }
        };
        let is_process = |name: &String| !name.contains('.') && is_locked(&folder.join(name));
        let cards = names.into_iter().filter(is_process).filter_map(|id| {
            let card: ProcessCard = serde_json::from_slice(&fs::read(folder.join(&id)).ok()?).ok()?;
            Some(Self {
                pid: card.pid,
                pipeline: card.pipeline,
                folder: folder.clone(),
                id,
            })
        });
        Ok(cards.collect())
    }

    /// Asks it to end.
    ///
    /// # Errors
    /// `Failed`: its state folder cannot be written.
    pub fn ask(&self, order: &StopOrder) -> Result<()> {
        let text = serde_json::json!(order).to_string();
        put(&self.folder, &format!("{}.stop", self.id), &text).map_err(|error| {
            let what = format!("failed to ask process {} to stop", self.pid);
            let hint = "ask as the user who runs it, or over HTTP with --http";
            Error::new(Kind::Failed, what, format!("{}: {error}", self.folder.display())).hint(hint)
        })
    }

    /// Whether it goes on.
    pub fn lives(&self) -> Lives {
        if is_locked(&self.folder.join(&self.id)) {
            return Lives::Yes;
        }
        let text = fs::read(self.folder.join(format!("{}.end", self.id)));
        Lives::No(text.ok().and_then(|text| serde_json::from_slice(&text).ok()))
    }
}

fn names(entries: fs::ReadDir) -> io::Result<Vec<String>> {
    entries
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect()
}

/// Whether a process holds the lock on this file: it alone ever wants it for itself.
fn is_locked(path: &Path) -> bool {
    File::open(path).is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

fn put(folder: &Path, name: &str, text: &str) -> io::Result<()> {
    let new = folder.join(format!(".{:016x}", clock::random()));
    fs::write(&new, text)?;
    fs::rename(&new, folder.join(name))
}

/// Deletes what dead processes left a while ago.
fn sweep(folder: &Path) -> io::Result<()> {
    for name in names(fs::read_dir(folder)?)? {
        let (path, id) = (folder.join(&name), name.split_once('.').map_or(&*name, |(id, _)| id));
        if !is_locked(&folder.join(id)) && is_old(&path) {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

fn is_old(path: &Path) -> bool {
    let written = fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    let written = written.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    written.is_some_and(|at| at.as_millis() + KEPT_MS < clock::wall_ms().max(0) as u128)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(drain: bool) -> StopOrder {
        StopOrder {
            pipeline: "views".into(),
            drain,
        }
    }

    fn failed() -> RunEnd {
        RunEnd::Failed {
            what: "failed".into(),
            why: "so".into(),
        }
    }

    #[test]
    fn a_process_is_found_asked_and_tells_its_end() {
        let folder = tempfile::tempdir().unwrap();
        assert!(RunningProcess::all(folder.path()).unwrap().is_empty());
        let stop = Arc::new(StopRequest::default());
        let here = RunningHere::announce(folder.path(), "views", &stop).unwrap();
        let found = RunningProcess::all(folder.path()).unwrap();
        let [process] = &found[..] else { panic!("{found:?}") };
        assert_eq!((process.pid, &*process.pipeline), (std::process::id(), "views"));
        process.ask(&order(true)).unwrap();
        assert!(!clock::sleep_unless(Duration::from_secs(60), || stop.is_draining()));
        assert!(!stop.is_requested());
        process.ask(&order(false)).unwrap();
        assert!(!clock::sleep_unless(Duration::from_secs(60), || stop.is_requested()));
        assert_eq!(process.lives(), Lives::Yes);
        // The lock goes with the process, which does not end here.
        put(&here.folder, &format!("{}.end", here.id), &failed().to_json()).unwrap();
        drop(here);
        assert_eq!(process.lives(), Lives::No(Some(failed())));
        assert!(RunningProcess::all(folder.path()).unwrap().is_empty());
    }

    #[test]
    fn a_process_that_was_killed_says_nothing_and_its_orders_reach_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let killed = RunningHere::announce(folder.path(), "views", &Arc::default()).unwrap();
        let process = RunningProcess::all(folder.path()).unwrap().remove(0);
        drop(killed);
        process.ask(&order(false)).unwrap();
        let stop = Arc::new(StopRequest::default());
        let _next = RunningHere::announce(folder.path(), "views", &stop).unwrap();
        assert_eq!(process.lives(), Lives::No(None));
        assert!(
            clock::sleep_unless(LOOK * 3, || stop.is_requested()),
            "it was not asked"
        );
    }

    #[test]
    fn an_order_that_is_none_is_taken_away_and_told() {
        let folder = tempfile::tempdir().unwrap();
        let (path, stop) = (folder.path().join("x.stop"), StopRequest::default());
        for (text, why) in [
            ("{", "EOF"),
            ("{\"pipeline\":\"clicks\",\"drain\":true}", "`views`, not `clicks`"),
        ] {
            fs::write(&path, text).unwrap();
            let told = take(&path, "views", &stop).unwrap();
            assert!(told.contains(why) && !path.exists(), "{told}");
        }
        assert!(!stop.is_draining() && take(&path, "views", &stop).is_none());
    }

    #[test]
    fn what_dead_processes_left_is_swept_away_after_a_while() {
        let folder = tempfile::tempdir().unwrap();
        let here = RunningHere::announce(folder.path(), "views", &Arc::default()).unwrap();
        for (name, is_old) in [("a", true), ("a.end", true), ("b", false), (".c", true)] {
            let file = File::create(here.folder.join(name)).unwrap();
            if is_old {
                file.set_modified(UNIX_EPOCH).unwrap();
            }
        }
        sweep(&here.folder).unwrap();
        let mut left = names(fs::read_dir(&here.folder).unwrap()).unwrap();
        left.sort();
        let mut expected = vec!["b".to_owned(), here.id.clone()];
        expected.sort();
        assert_eq!(left, expected);
    }
}
