//! What a guest may ask of the host: to write to its log, and to read of the task's state what cannot travel with the
//! batch.

use std::time::Instant;

use wasmtime::{Error, Result};

use super::bindings::sandbar::plugin::batches::Host as BatchesHost;
use super::bindings::sandbar::plugin::log::{Host as LogHost, Level};
use super::bindings::sandbar::plugin::state_reader::{Entries, Host as StateReaderHost};
use super::bindings::sandbar::plugin::types::{BytesColumn, Host as TypesHost, NullableColumn};
use super::call::Reader;
use super::limits::{Ceiling, LOG_BURST, LOG_PER_SECOND, TEXT_BYTES, tame};
use crate::clock;

/// What the host keeps for one instance.
pub(super) struct Guest {
    pub(super) ceiling: Ceiling,
    pub(super) log: Log,
    pub(super) reader: Reader,
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

    fn write(&mut self, level: Level, message: &str) {
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
        if let Level::Error = level {
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
fn emit(level: Level, operator: &str, message: &str) {
    match level {
        Level::Debug => tracing::debug!(target: "sandbar::plugin::log", operator, "{message}"),
        Level::Info => tracing::info!(target: "sandbar::plugin::log", operator, "{message}"),
        Level::Warn => tracing::warn!(target: "sandbar::plugin::log", operator, "{message}"),
        Level::Error => tracing::error!(target: "sandbar::plugin::log", operator, "{message}"),
    }
}

impl LogHost for Guest {
    fn write(&mut self, level: Level, message: String) -> Result<()> {
        self.log.write(level, &message);
        Ok(())
    }
}

/// A read that cannot be is a fault of the guest's, as a trap is.
impl StateReaderHost for Guest {
    fn get_many(&mut self, store: u8, key: Vec<u8>, user_keys: BytesColumn) -> Result<NullableColumn> {
        self.reader.get_many(store, &key, user_keys).map_err(Error::msg)
    }

    fn scan(
        &mut self,
        store: u8,
        key: Vec<u8>,
        prefix: Vec<u8>,
        after: Option<Vec<u8>>,
        limit: u32,
    ) -> Result<Entries> {
        let page = self.reader.scan(store, &key, &prefix, after.as_deref(), limit);
        page.map_err(Error::msg)
    }

    fn items(&mut self, store: u8, key: Vec<u8>) -> Result<BytesColumn> {
        self.reader.items(store, &key).map_err(Error::msg)
    }
}

impl TypesHost for Guest {}
impl BatchesHost for Guest {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_messages_is_dropped_and_counted() {
        let mut log = Log::new("op");
        for _ in 0..2000 {
            log.write(Level::Info, "again");
        }
        // What the clock earned meanwhile is let through as well: 100 a second.
        assert!(log.dropped() > 1000 && log.dropped() <= 1500, "{}", log.dropped());
    }

    #[test]
    fn the_last_error_is_remembered_even_where_it_was_dropped() {
        let mut log = Log::new("op");
        log.allowance = 0.0;
        log.write(Level::Error, "panicked at src/lib.rs:3");
        assert_eq!(log.last_error(), Some("panicked at src/lib.rs:3"));
        log.forget_error();
        assert_eq!(log.last_error(), None);
    }
}
