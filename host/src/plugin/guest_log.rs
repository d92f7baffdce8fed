//! What a guest writes to its log: so much a second, and no character that moves a cursor.

use std::time::Instant;

use super::limits::{LOG_BURST, LOG_PER_SECOND, TEXT_BYTES, tame};
use crate::clock;

/// An operator's log. It outlives instances, so that a guest does not get a new allowance by trapping.
#[derive(Debug)]
pub(super) struct Log {
    operator: String,
    allowance: f64,
    refilled: Instant,
    dropped: u64,
    dropped_untold: u64,
    last_error: Option<String>,
}

/// How much a message matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LogLevel {
    Debug,
    Info,
    Warn,
    Error,
}

impl Log {
    /// The log of an operator.
    pub(super) fn new(operator: &str) -> Self {
        Self {
            operator: operator.to_owned(),
            allowance: LOG_BURST,
            refilled: clock::now(),
            dropped: 0,
            dropped_untold: 0,
            last_error: None,
        }
    }

    /// Messages that were too many, in all.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// A new call begins: what was logged before does not explain what goes wrong in it.
    pub(super) fn forget_error(&mut self) {
        self.last_error = None;
    }

    /// The last error that the guest logged in this call: if it trapped, that is its panic message.
    pub(super) fn last_error(&self) -> Option<&str> {
        self.last_error.as_deref()
    }

    /// A line of its standard output.
    pub(super) fn output(&mut self, line: &str) {
        self.write(LogLevel::Info, line);
    }

    /// A line of its standard error: if the guest traps, that is why.
    pub(super) fn complaint(&mut self, line: &str) {
        self.write(LogLevel::Warn, line);
        self.last_error = Some(tame(line, TEXT_BYTES));
    }

    /// Writes a message of the guest's, or drops it if there were too many.
    pub(super) fn write(&mut self, level: LogLevel, message: &str) {
        let message = tame(message, TEXT_BYTES);
        if self.allowed() {
            if self.dropped_untold > 0 {
                tracing::warn!(
                    target: "sandbar::plugin::log",
                    operator = self.operator,
                    "{} messages dropped",
                    self.dropped_untold
                );
                self.dropped_untold = 0;
            }
            emit(level, &self.operator, &message);
        } else {
            self.dropped += 1;
            self.dropped_untold += 1;
        }
        if let LogLevel::Error = level {
            self.last_error = Some(message);
        }
    }

    fn allowed(&mut self) -> bool {
        let now = clock::now();
        let earned = (now - self.refilled).as_secs_f64() * LOG_PER_SECOND;
        self.allowance = (self.allowance + earned).min(LOG_BURST);
        self.refilled = now;
        let allowed = self.allowance >= 1.0;
        if allowed {
            self.allowance -= 1.0;
        }
        allowed
    }
}

/// Goes out with the operator's name; the pipeline's comes from the span that the worker runs in.
fn emit(level: LogLevel, operator: &str, message: &str) {
    match level {
        LogLevel::Debug => tracing::debug!(target: "sandbar::plugin::log", operator, "{message}"),
        LogLevel::Info => tracing::info!(target: "sandbar::plugin::log", operator, "{message}"),
        LogLevel::Warn => tracing::warn!(target: "sandbar::plugin::log", operator, "{message}"),
        LogLevel::Error => tracing::error!(target: "sandbar::plugin::log", operator, "{message}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_messages_is_dropped_and_counted() {
        let mut log = Log::new("op");
        for _ in 0..2000 {
            log.write(LogLevel::Info, "again");
        }
        // What the clock earned meanwhile is let through as well: 100 a second.
        assert!(log.dropped() > 1000 && log.dropped() <= 1500, "{}", log.dropped());
    }

    #[test]
    fn the_last_error_is_remembered_even_where_it_was_dropped() {
        let mut log = Log::new("op");
        log.allowance = 0.0;
        log.write(LogLevel::Error, "panicked at src/lib.rs:3");
        assert_eq!(log.last_error(), Some("panicked at src/lib.rs:3"));
        log.forget_error();
        assert_eq!(log.last_error(), None);
    }
}
