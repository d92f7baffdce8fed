//! SIGINT and SIGTERM: the first one asks to stop, the second one ends the process at once.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use crate::error::{Error, Kind, Result};

/// Whether somebody asked the process to stop.
#[derive(Debug, Clone, Default)]
pub(super) struct StopSignal {
    asked: Arc<(Mutex<bool>, Condvar)>,
}

impl StopSignal {
    /// Listens from now on.
    pub(super) fn on_signal() -> Result<Self> {
        let stop = Self::default();
        let asked = stop.clone();
        listen(move || asked.ask())?;
        Ok(stop)
    }

    /// Whether somebody asked.
    pub(super) fn is_asked(&self) -> bool {
        *self.asked.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until somebody asks, this long at most; returns whether somebody did.
    pub(super) fn wait(&self, at_most: Duration) -> bool {
        let asked = self.asked.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (asked, _) = self
            .asked
            .1
            .wait_timeout_while(asked, at_most, |asked| !*asked)
            .unwrap_or_else(PoisonError::into_inner);
        *asked
    }

    /// Remembers that somebody asked; returns whether somebody had asked before.
    fn ask(&self) -> bool {
        let before = std::mem::replace(&mut *self.asked.0.lock().unwrap_or_else(PoisonError::into_inner), true);
        self.asked.1.notify_all();
        before
    }
}

/// Calls `ask` at each signal from now on; when it says that it had been asked before, the process ends at once with
/// 130 or 143.
pub(super) fn listen(ask: impl Fn() -> bool + Send + 'static) -> Result<()> {
    let failed = |error: std::io::Error| Error::new(Kind::Failed, "failed to listen for signals", error);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .map_err(failed)?;
    let (mut interrupt, mut terminate) = {
        let _inside = runtime.enter();
        (
            signal(SignalKind::interrupt()).map_err(failed)?,
            signal(SignalKind::terminate()).map_err(failed)?,
        )
    };
    let listen = move || {
        runtime.block_on(async move {
            loop {
                let code = tokio::select! {
                    _ = interrupt.recv() => 130,
                    _ = terminate.recv() => 143,
                };
                if ask() {
                    std::process::exit(code);
                }
            }
        });
    };
    let thread = std::thread::Builder::new().name("signals".into());
    thread.spawn(listen).map(drop).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_signal_is_told_from_the_first() {
        let stop = StopSignal::default();
        assert!(!stop.wait(Duration::ZERO));
        assert!(!stop.ask());
        assert!(stop.is_asked() && stop.wait(Duration::from_secs(60)));
        assert!(stop.ask());
    }
}
