//! Which restores of a process are under way.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

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
    pub(super) fn claim(self: &Arc<Self>, task: &str) -> Claim {
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

pub(super) struct Claim {
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
    use std::sync::mpsc;

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
