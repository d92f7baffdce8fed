//! Why a call came to nothing, judged from the error that wasmtime gave.

use std::time::Duration;

use wasmtime::{Error, Trap, WasmBacktrace};

use super::backtrace::Backtrace;
use super::source_lines::SourceLines;
use crate::plugin::host_calls::Guest;
use crate::plugin::limits::{REASON_BYTES, size, tame};

/// A guest's fault: the instance is gone, and what the call did with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::plugin) struct Fault {
    pub(in crate::plugin) kind: FaultKind,
    /// A sentence about the plugin, begun by "it".
    pub(in crate::plugin) reason: String,
    /// Where the guest was; empty if it was not in its code.
    pub(in crate::plugin) backtrace: Backtrace,
    /// The event that the call was at, if that is known.
    pub(in crate::plugin) row: Option<usize>,
    /// The name of the file that its core dump is in, if one was taken.
    pub(in crate::plugin) core_dump: Option<String>,
}

/// The kinds of a fault, as they are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::plugin) enum FaultKind {
    Trap,
    Deadline,
    MemoryLimit,
    BadOutcome,
}

impl Fault {
    /// The guest returned, and what it returned is not what it may return.
    pub(in crate::plugin) fn bad_outcome(why: &str) -> Self {
        Self {
            kind: FaultKind::BadOutcome,
            reason: tame(&format!("returned an outcome that {why}"), REASON_BYTES),
            backtrace: Backtrace::default(),
            row: None,
            core_dump: None,
        }
    }

    /// The guest was not called, for it would reach its memory limit.
    pub(in crate::plugin) fn not_called(why: &str) -> Self {
        Self {
            kind: FaultKind::MemoryLimit,
            reason: format!("was not called: {why}"),
            backtrace: Backtrace::default(),
            row: None,
            core_dump: None,
        }
    }

    /// The guest did not return.
    pub(in crate::plugin) fn judge(error: &Error, guest: &Guest, time: Duration) -> Self {
        let trap = error.downcast_ref::<Trap>();
        let backtrace = error.downcast_ref::<WasmBacktrace>();
        let (kind, what) = if trap == Some(&Trap::Interrupt) {
            (
                FaultKind::Deadline,
                format!("did not return within its call-time of {time:?}"),
            )
        } else if guest.ceiling.refused() {
            (
                FaultKind::MemoryLimit,
                format!("reached its memory limit of {}", size(guest.ceiling.limit())),
            )
        } else if trap.is_some() || backtrace.is_some() {
            // What the host refused says itself why.
            let words = guest.log.last_error().filter(|_| trap.is_some());
            let why = words.map_or_else(|| error.root_cause().to_string(), str::to_owned);
            (FaultKind::Trap, format!("trapped: {why}"))
        } else {
            // No frame of the guest's was on the stack: it had returned, and what it returned could not be read.
            let why = error.root_cause().to_string();
            let what = match why.strip_prefix("realloc return: ") {
                Some(why) => format!("gave no room for what it is called with: its `realloc` answered badly: {why}"),
                None => format!("returned an outcome that cannot be read: {why}"),
            };
            (FaultKind::BadOutcome, what)
        };
        Self {
            kind,
            reason: tame(&what, REASON_BYTES),
            backtrace: backtrace.map(Backtrace::of).unwrap_or_default(),
            row: None,
            core_dump: None,
        }
    }

    /// The same of an instance that could not be made, and so had nothing to return.
    pub(in crate::plugin) fn not_made(error: &Error, guest: &Guest, time: Duration) -> Self {
        let fault = Self::judge(error, guest, time);
        match fault.kind {
            FaultKind::BadOutcome => Self {
                reason: tame(
                    &format!("asks for what it may not have: {}", error.root_cause()),
                    REASON_BYTES,
                ),
                ..fault
            },
            _ => fault,
        }
    }

    /// Where the guest was, and its core dump; empty if neither is known.
    pub(in crate::plugin) fn traced(&self, lines: &SourceLines) -> String {
        let dump = self.core_dump.as_ref().map(|name| format!("  core dump: {name}"));
        let parts = [self.backtrace.text(lines), dump.unwrap_or_default()];
        let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        parts.join("\n")
    }

    /// The reason, and below it where the guest was.
    pub(in crate::plugin) fn told(&self, lines: &SourceLines) -> String {
        match self.traced(lines) {
            text if text.is_empty() => self.reason.clone(),
            text => format!("{}\n{text}", self.reason),
        }
    }
}
