//! Deadlines of calls: the thread that makes them pass, and how far off one is by its count.

use std::sync::mpsc::{self, RecvTimeoutError, Sender};
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

/// Counts the epoch up for as long as it lives, once in each such span.
pub(super) struct Ticker {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    pub(super) fn start(engine: &wasmtime::Engine, every: Duration) -> Result<Self> {
        let (stop, stopped) = mpsc::channel::<()>();
        let engine = engine.clone();
        let thread = std::thread::Builder::new()
            .name("epochs".to_owned())
            .spawn(move || {
                while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(every) {
                    engine.increment_epoch();
                }
            })
            .map_err(|why| Error::new(Kind::Failed, "failed to start the thread for plugins' deadlines", why))?;
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It only counts; it cannot have failed.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_never_shorter_than_asked_for() {
        assert_eq!(ticks(Duration::from_millis(1)), 2);
        assert_eq!(ticks(Duration::from_secs(1)), 101);
        assert_eq!(ticks(Duration::MAX), u64::MAX / 2 + 1);
    }
}
