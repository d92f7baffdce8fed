//! Deadlines of calls: the thread that makes them pass, and how far off one is by its count.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::error::{Error, Kind, Result};

/// How often deadlines are looked at. A call overruns its time by at most this, and by one bulk operation over its
/// whole memory.
pub(in crate::plugin) const TICK: Duration = Duration::from_millis(10);

/// Epochs from now until a call of this length is over: never less than its time, at most a tick more.
pub(in crate::plugin) fn ticks(time: Duration) -> u64 {
    let whole = time.as_nanos().div_ceil(TICK.as_nanos());
    u64::try_from(whole).unwrap_or(u64::MAX / 2).min(u64::MAX / 2) + 1
}

/// The thread that makes deadlines pass: it counts the epoch up, once in each such span, for as long as one is still
/// ahead. A process that does nothing is not woken.
pub(in crate::plugin) struct Ticker {
    deadlines: Arc<Deadlines>,
    thread: Option<JoinHandle<()>>,
}

/// Which deadlines are ahead, in epochs that this has counted.
#[derive(Default)]
struct Deadlines {
    passed: AtomicU64,
    /// The last of them.
    last: AtomicU64,
    is_asleep: AtomicBool,
    is_over: AtomicBool,
}

impl Ticker {
    pub(super) fn start(engine: &wasmtime::Engine, every: Duration) -> Result<Self> {
        let deadlines = Arc::new(Deadlines::default());
        let (engine, of_thread) = (engine.clone(), deadlines.clone());
        let thread = std::thread::Builder::new()
            .name("epochs".to_owned())
            .spawn(move || of_thread.pass(every, || engine.increment_epoch()))
            .map_err(|why| Error::new(Kind::Failed, "failed to start the thread for plugins' deadlines", why))?;
        Ok(Self {
            deadlines,
            thread: Some(thread),
        })
    }

    /// A deadline was set so many epochs from now.
    pub(in crate::plugin) fn expect(&self, epochs: u64) {
        self.deadlines.expect(epochs);
        // Whoever goes to sleep looks at the deadlines after it has said so: one of the two sees the other.
        if self.deadlines.is_asleep.load(Ordering::SeqCst)
            && let Some(thread) = &self.thread
        {
            thread.thread().unpark();
        }
    }
}

impl Deadlines {
    fn expect(&self, epochs: u64) {
        let last = self.passed.load(Ordering::SeqCst).saturating_add(epochs);
        self.last.fetch_max(last, Ordering::SeqCst);
    }

    fn is_ahead(&self) -> bool {
        self.last.load(Ordering::SeqCst) >= self.passed.load(Ordering::SeqCst)
    }

    /// The thread's whole life.
    fn pass(&self, every: Duration, tick: impl Fn()) {
        while !self.is_over.load(Ordering::SeqCst) {
            std::thread::sleep(every);
            tick();
            self.passed.fetch_add(1, Ordering::SeqCst);
            self.is_asleep.store(true, Ordering::SeqCst);
            while !self.is_ahead() && !self.is_over.load(Ordering::SeqCst) {
                std::thread::park();
            }
            self.is_asleep.store(false, Ordering::SeqCst);
        }
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.deadlines.is_over.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // It only counts; it cannot have failed.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    #[test]
    fn a_deadline_is_never_shorter_than_asked_for() {
        assert_eq!(ticks(Duration::from_millis(1)), 2);
        assert_eq!(ticks(Duration::from_secs(1)), 101);
        assert_eq!(ticks(Duration::MAX), u64::MAX / 2 + 1);
    }

    /// As long as a deadline is ahead it comes nearer, and no longer.
    #[test]
    fn time_passes_while_a_deadline_is_ahead_and_sleeps_when_none_is() {
        let engine = wasmtime::Engine::default();
        let ticker = Ticker::start(&engine, Duration::from_millis(1)).unwrap();
        let passed = || ticker.deadlines.passed.load(Ordering::SeqCst);
        let sleeps = || ticker.deadlines.is_asleep.load(Ordering::SeqCst) && !ticker.deadlines.is_ahead();
        let patience = Duration::from_secs(60);
        for epochs in [1, 5, 200] {
            let before = passed();
            ticker.expect(epochs);
            assert!(
                !clock::sleep_unless(patience, || passed() > before + epochs),
                "{epochs} epochs did not pass"
            );
            assert!(!clock::sleep_unless(patience, sleeps), "it does not sleep");
        }
        let before = passed();
        std::thread::sleep(Duration::from_millis(50));
        assert_eq!(passed(), before, "it passed while nobody waited");
    }
}
