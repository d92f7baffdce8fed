//! Why a call came to nothing, judged from the error that wasmtime gave.

use std::time::Duration;

use wasmtime::{Error, Trap, WasmBacktrace};

use super::host_calls::Guest;
use super::limits::{REASON_BYTES, size, tame};

/// A guest's fault: the instance is gone, and what the call did with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) kind: FaultKind,
    /// A sentence about the plugin, begun by "it", and the guest's backtrace if there is one.
    pub(super) reason: String,
    /// The event that the call was at, if that is known.
    pub(super) row: Option<usize>,
}

/// The kinds of a fault, as they are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FaultKind {
    Trap,
    Deadline,
    MemoryLimit,
    BadOutcome,
}

impl Fault {
    /// The guest returned, and what it returned is not what it may return.
    pub(super) fn bad_outcome(why: &str) -> Self {
        Self {
            kind: FaultKind::BadOutcome,
            reason: tame(&format!("returned an outcome that {why}"), REASON_BYTES),
            row: None,
        }
    }

    /// The guest did not return.
    pub(super) fn judge(error: &Error, guest: &Guest, time: Duration) -> Self {
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
            let why = error.root_cause();
            (
                FaultKind::BadOutcome,
                format!("returned an outcome that cannot be read: {why}"),
            )
        };
        let reason = match backtrace {
            Some(backtrace) => format!("{what}\n{}", frames(backtrace)),
            None => what,
        };
        Self {
            kind,
            reason: tame(&reason, REASON_BYTES),
            row: None,
        }
    }
}

/// A line a frame, the innermost first, without wasmtime's own headline.
fn frames(backtrace: &WasmBacktrace) -> String {
    let text = backtrace.to_string();
    text.split_once('\n')
        .map_or(String::new(), |(_, frames)| frames.to_owned())
}
