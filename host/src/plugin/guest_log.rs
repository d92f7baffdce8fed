//! What a guest writes to its log: so much a second, and no character that moves a cursor.
//!
//! Always: all guests of a process together write no more lines than the quota of its tenant gives; what the host says
//! is not counted.

use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::limits::{LOG_BURST, LOG_PER_SECOND, TEXT_BYTES, tame};
use crate::clock;
use crate::process::grant::granted;

/// The quota of this process; `None`: it has none.
static QUOTA: LazyLock<Option<LineQuota>> = LazyLock::new(|| Some(LineQuota::new(granted()?.limits.log_lines?)));

/// Lines that the guests of a process may log, all together.
#[derive(Debug)]
struct LineQuota {
    per_second: u64,
    second: Mutex<LoggedSecond>,
}

/// What was logged in a second, from its first line on.
#[derive(Debug)]
struct LoggedSecond {
    began: Instant,
    lines: u64,
    left_out: u64,
}

impl LineQuota {
    fn new(per_second: u64) -> Self {
        let second = Mutex::new(LoggedSecond {
            began: clock::now(),
            lines: 0,
            left_out: 0,
        });
        Self { per_second, second }
    }

    /// Begins a new second if one is over; the lines that were left out since the last time that this was told.
    fn left_out(&self, now: Instant) -> Option<u64> {
        let mut second = self.second.lock().unwrap_or_else(PoisonError::into_inner);
        if now.saturating_duration_since(second.began) < Duration::from_secs(1) {
            return None;
        }
        let left_out = second.left_out;
        *second = LoggedSecond {
            began: now,
            lines: 0,
            left_out: 0,
        };
        (left_out > 0).then_some(left_out)
    }

    /// Whether there is room for a line in this second, which it takes.
    fn takes_line(&self) -> bool {
        let mut second = self.second.lock().unwrap_or_else(PoisonError::into_inner);
        let takes = second.lines < self.per_second;
        second.lines += u64::from(takes);
        takes
    }

    /// Whether there is room for a guest's message; without, it is left out.
    fn takes_message(&self) -> bool {
        self.tell();
        let takes = self.takes_line();
        if !takes {
            self.second.lock().unwrap_or_else(PoisonError::into_inner).left_out += 1;
        }
        takes
    }

    /// Says what was left out, at most once a second.
    fn tell(&self) {
        if let Some(left_out) = self.left_out(clock::now()) {
            let most = self.per_second;
            tracing::warn!("{left_out} lines were left out: the tenant's quota `log-lines` is {most} a second");
        }
    }
}

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

    /// A new call begins: what was logged before does not explain what goes wrong in it. A guest that logged too much
    /// may have become silent, and what was left out is told all the same.
    pub(super) fn forget_error(&mut self) {
        self.last_error = None;
        if let Some(quota) = QUOTA.as_ref() {
            quota.tell();
        }
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
        let quota = QUOTA.as_ref().filter(|_| is_written(level));
        if !self.allowed() {
            self.dropped += 1;
            self.dropped_untold += 1;
        } else if quota.is_some_and(|quota| !quota.takes_message()) {
            self.dropped += 1;
        } else {
            // It is a line of the log too.
            if self.dropped_untold > 0 && QUOTA.as_ref().is_none_or(LineQuota::takes_line) {
                tracing::warn!(
                    target: "sandbar::plugin::log",
                    operator = self.operator,
                    "{} messages dropped",
                    self.dropped_untold
                );
                self.dropped_untold = 0;
            }
            emit(level, &self.operator, &message);
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

/// Whether a message comes into the log at all: those for whoever looks for a mistake usually do not.
fn is_written(level: LogLevel) -> bool {
    level != LogLevel::Debug || tracing::enabled!(target: "sandbar::plugin::log", tracing::Level::DEBUG)
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
    fn a_second_takes_so_many_lines_and_the_next_one_tells_once_what_was_left_out() {
        let quota = LineQuota::new(2);
        let begin = quota.second.lock().unwrap().began;
        let messages = |count: usize| (0..count).filter(|_| quota.takes_message()).count();
        // Of a minute that has not begun: no second ends while messages come.
        quota.second.lock().unwrap().began = begin + Duration::from_secs(60);
        assert_eq!(messages(5), 2);
        let at = |millis: u64| begin + Duration::from_secs(60) + Duration::from_millis(millis);
        assert_eq!(quota.left_out(at(999)), None);
        assert_eq!(quota.left_out(at(1000)), Some(3));
        assert_eq!(quota.left_out(at(1500)), None, "once a second");
        assert_eq!(messages(1), 1);
        assert!(
            quota.takes_line() && !quota.takes_line(),
            "a line that tells something takes room"
        );
        assert_eq!(quota.left_out(at(2500)), None, "and is not left out");
        assert!(!LineQuota::new(0).takes_line());
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
