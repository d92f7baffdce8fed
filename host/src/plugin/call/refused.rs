//! A record or a timer that was not processed as usual, and why: what a guest may say of one, and what the host says of
//! a fault.

/// A record that was not processed as usual.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Index into the call's records.
    pub record: u32,
    /// What the plugin said, or did.
    pub how: Refusal,
    /// Why, for people; at most some kilobytes, without control characters. May have several lines.
    pub reason: String,
    /// Where a guest at fault was: a function of its stack a line, with its source line below if that is known. Bounded
    /// as the reason is; empty if there was none.
    pub backtrace: String,
}

/// A timer that was at fault when it fired, alone and in a fresh instance: it is gone, and nothing came of it.
/// `on-error` decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedTimer {
    /// Its name in the plugin.
    pub name: String,
    /// The key that it was set for.
    pub key: Vec<u8>,
    /// When it was due, in milliseconds since 1970.
    pub at: i64,
    /// As that of [`Refused`].
    pub reason: String,
    /// As that of [`Refused`].
    pub backtrace: String,
}

impl Refused {
    /// The reason, and below it where the guest was.
    pub fn told(&self) -> String {
        told(&self.reason, &self.backtrace)
    }
}

impl RefusedTimer {
    /// The reason, and below it where the guest was.
    pub fn told(&self) -> String {
        told(&self.reason, &self.backtrace)
    }
}

fn told(reason: &str, backtrace: &str) -> String {
    match backtrace {
        "" => reason.to_owned(),
        _ => format!("{reason}\n{backtrace}"),
    }
}

/// Why a record was not processed as usual.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// The plugin wants it left out.
    Skip,
    /// The plugin wants it among the dead letters.
    DeadLetter,
    /// The plugin wants the pipeline to stop.
    Fail,
    /// The plugin trapped, broke a limit or returned nonsense on it, alone and in a fresh instance. `on-error` decides.
    Fault,
}
