//! Tasks whose state is being brought back: one after the other, each in a thread of its own, so that the worker sees
//! to its groups meanwhile.
//!
//! Always: a task's folder is used by one restore at a time, in the whole process. One that nobody waits for any more
//! goes on to its end, and whoever gets the task next finds its files.

use super::checkpoints::{Checkpoints, Restored};
use crate::config::Offsets;
use crate::error::{Error, Kind, Result};
use crate::offset_metadata::Pointer;
use crate::runtime::lifecycle::RunEvent;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A task that is to be brought back, and where to.
pub(in crate::runtime) struct Restoring {
    pub(in crate::runtime) task: String,
    pub(in crate::runtime) pointer: Pointer,
    /// Of the last bundle that this worker gave the task.
    pub(in crate::runtime) seq: u64,
    /// A partition joined it that its checkpoint does not know.
    pub(in crate::runtime) has_joined: bool,
    /// The offsets that belong to the pointer, and those of partitions that joined.
    pub(in crate::runtime) own: Offsets,
    pub(in crate::runtime) joined: Offsets,
    /// What the thread says, once it was begun.
    pub(in crate::runtime) heard: Option<Receiver<RestoreEvent>>,
}

/// What a restore says.
#[expect(clippy::large_enum_variant, reason = "one of them is on its way at a time")]
pub(in crate::runtime) enum RestoreEvent {
    /// How far it is.
    Progress(RunEvent),
    /// How it ended.
    Done(Result<Restored>),
}

impl Restoring {
    /// What it says within `limit`; it is begun if it was not. `None`: nothing.
    pub(in crate::runtime) fn hear(&mut self, shared: &Checkpoints, limit: Duration) -> Result<Option<RestoreEvent>> {
        if self.heard.is_none() {
            self.heard = Some(self.begin(shared.clone())?);
        }
        let Some(heard) = &self.heard else { return Ok(None) };
        match heard.recv_timeout(limit) {
            Ok(heard) => Ok(Some(heard)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(Error::new(
                Kind::Bug,
                format!("failed to restore task `{}`", self.task),
                "the thread that restores it ended without an answer",
            )),
        }
    }

    fn begin(&self, shared: Checkpoints) -> Result<Receiver<RestoreEvent>> {
        let (say, heard) = mpsc::channel();
        let (task, pointer) = (self.task.clone(), self.pointer.clone());
        let (own, joined) = (self.own.clone(), self.joined.clone());
        let restore = move || {
            let _alone = shared.under_way.claim(&task);
            let tell = |notice| {
                let _nobody_waits_any_more = say.send(RestoreEvent::Progress(notice));
            };
            let restored = shared.restore(&task, &pointer, &own, &joined, &tell);
            // A state that nobody takes is closed here, before another restore may open it.
            let _nobody_waits_any_more = say.send(RestoreEvent::Done(restored));
        };
        std::thread::Builder::new()
            .name("restore".to_owned())
            .spawn(restore)
            .map_err(|error| Error::new(Kind::Failed, format!("failed to restore task `{}`", self.task), error))?;
        Ok(heard)
    }
}

/// The restores of a process that are under way, whether or not somebody waits for them.
#[derive(Default)]
pub(in crate::runtime) struct UnderWay {
    tasks: Mutex<BTreeSet<String>>,
    ended: Condvar,
    /// Grows with each piece that one of them gets done.
    pieces: AtomicU64,
    /// The run is over.
    is_over: AtomicBool,
}

impl UnderWay {
    /// Waits until no restore of the task is under way, and begins one.
    fn claim(self: &Arc<Self>, task: &str) -> Claim {
        let is_taken = |tasks: &mut BTreeSet<String>| tasks.contains(task);
        let tasks = self.ended.wait_while(self.tasks(), is_taken);
        tasks.unwrap_or_else(PoisonError::into_inner).insert(task.to_owned());
        Claim {
            of: self.clone(),
            task: task.to_owned(),
        }
    }

    pub(in crate::runtime) fn has(&self, task: &str) -> bool {
        self.tasks().contains(task)
    }

    /// One more piece is done.
    pub(in crate::runtime) fn moved(&self) {
        self.pieces.fetch_add(1, Ordering::Relaxed);
    }

    /// How many pieces are done.
    pub(in crate::runtime) fn pieces(&self) -> u64 {
        self.pieces.load(Ordering::Relaxed)
    }

    /// The run is over: those that are under way end with the piece that they are at. Waits up to `limit` for it, so
    /// that the process does not end under a database that is written to.
    pub(in crate::runtime) fn end(&self, limit: Duration) {
        self.is_over.store(true, Ordering::Relaxed);
        let are_there = |tasks: &mut BTreeSet<String>| !tasks.is_empty();
        let _ended_or_not = self.ended.wait_timeout_while(self.tasks(), limit, are_there);
    }

    /// Whether nobody wants any more of them.
    pub(in crate::runtime) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    fn tasks(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Claim {
    of: Arc<UnderWay>,
    task: String,
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.of.tasks().remove(&self.task);
        self.of.ended.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_is_restored_by_one_at_a_time() {
        let under_way = Arc::<UnderWay>::default();
        let first = under_way.claim("views/0");
        let other = under_way.claim("views/1");
        assert!(under_way.has("views/0") && under_way.has("views/1"));
        drop(other);
        assert!(!under_way.has("views/1"));
        let (of_thread, (say, heard)) = (under_way.clone(), mpsc::channel());
        let second = std::thread::Builder::new().spawn(move || {
            let _claim = of_thread.claim("views/0");
            say.send(()).unwrap();
        });
        assert!(heard.recv_timeout(Duration::from_millis(200)).is_err(), "it waits");
        drop(first);
        heard.recv_timeout(Duration::from_secs(60)).unwrap();
        second.unwrap().join().unwrap();
        assert!(!under_way.has("views/0"));
    }
}
