//! The limits of a guest, and the attack that each one stops.

use std::time::Duration;

use wasmtime::{ResourceLimiter, Result};

/// Bytes of a component's file. Stops the upload that fills memory before it is looked at, and bounds what compiling
/// can cost.
pub(super) const COMPONENT_BYTES: u64 = 64 << 20;

/// Time of `describe`, of `open` and of start functions. They may prepare tables, and they run once, so they get more
/// than a call; a guest that loops there would otherwise hang the start of a pipeline.
pub(super) const OPEN_TIME: Duration = Duration::from_secs(10);

/// Bytes of a configuration schema. Stops a description that costs more to check than a plugin to run.
pub(super) const SCHEMA_BYTES: usize = 256 << 10;

/// Bytes of what a plugin says about one of its stores' values. Stops a schema that costs more to read than what it
/// describes.
pub(super) const STATE_SCHEMA_BYTES: usize = 64 << 10;

/// Inputs, outputs or metrics that a plugin declares. They become columns' indexes and metric series, which are one
/// byte and not free.
pub(super) const DECLARED: usize = 64;

/// Characters of a name that a plugin declares. Names become labels of metrics and parts of messages.
pub(super) const NAME_CHARS: usize = 64;

/// Bytes of a reason or a message that a guest gives. Stops a panic message of a gigabyte in a header of a dead letter.
pub(super) const TEXT_BYTES: usize = 4 << 10;

/// Bytes of a fault's reason, most of which is the guest's text.
pub(super) const REASON_BYTES: usize = 8 << 10;

/// Bytes of a backtrace, and of a name or a path in it: all of them are the guest's.
pub(super) const BACKTRACE_BYTES: usize = 2 << 10;
/// Those of a name.
pub(super) const NAME_BYTES: usize = 128;

/// Bytes of a section of a line table. The host keeps them, and goes through them when the guest traps.
pub(super) const LINE_TABLE_BYTES: usize = 8 << 20;

/// Bytes of a key or a user key that something is kept under. RocksDB holds keys in memory in many places; a record
/// with a longer key is refused if a plugin would keep something for it.
pub(super) const KEY_BYTES: usize = 4 << 10;

/// Bytes of a value or an item. It travels with each batch that has its key, and lies in the overlay and in a delta as
/// a whole.
pub(super) const VALUE_BYTES: usize = 1 << 20;

/// Entries and bytes of a page of a scan, at most; one entry comes in any case. Stops the page that takes what a whole
/// store takes.
pub(super) const PAGE_ENTRIES: usize = 1000;
/// The bytes of it.
pub(super) const PAGE_BYTES: usize = 1 << 20;

/// Bytes of the timers that fire in one call, which are the host's memory and the guest's. The first one comes whatever
/// it has.
pub(super) const DUE_BYTES: usize = 1 << 20;

/// Log messages a second, and at once. Stops the guest that fills the disk.
pub(super) const LOG_PER_SECOND: f64 = 100.0;
/// The messages that may come at once.
pub(super) const LOG_BURST: f64 = 500.0;

/// Core instances and memories of one component, far more than any tool makes. Their records are the host's memory,
/// which the cap on linear memory does not count.
const INSTANCES: usize = 64;
const MEMORIES: usize = 16;
/// Tables and the elements of one. An element is eight bytes of the host's memory.
const TABLES: usize = 64;
const TABLE_ELEMENTS: usize = 20_000;

/// Counts what a guest has of memory, and says no at its limit.
///
/// A refused `memory.grow` returns -1, as the specification has it, and the guest may live with that. One that cannot
/// aborts, so the refusal is remembered: the trap that follows is then told as what it is, a memory limit.
#[derive(Debug)]
pub(super) struct Ceiling {
    memory_bytes: usize,
    used: usize,
    refused: bool,
}

impl Ceiling {
    /// Nothing used yet, of so much linear memory in all.
    pub(super) fn new(memory_bytes: u64) -> Self {
        Self {
            memory_bytes: usize::try_from(memory_bytes).unwrap_or(usize::MAX),
            used: 0,
            refused: false,
        }
    }

    /// Bytes of linear memory in use.
    pub(super) fn used(&self) -> u64 {
        self.used as u64
    }

    /// The most it may use, in bytes.
    pub(super) fn limit(&self) -> u64 {
        self.memory_bytes as u64
    }

    /// Whether memory was refused since the last `forget`.
    pub(super) fn refused(&self) -> bool {
        self.refused
    }

    /// A new call begins.
    pub(super) fn forget(&mut self) {
        self.refused = false;
    }
}

impl ResourceLimiter for Ceiling {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> Result<bool> {
        let used = self.used.saturating_add(desired.saturating_sub(current));
        let fits = used <= self.memory_bytes;
        if fits && maximum.is_none_or(|maximum| desired <= maximum) {
            self.used = used;
        }
        self.refused |= !fits;
        Ok(fits)
    }

    fn table_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> Result<bool> {
        Ok(desired <= TABLE_ELEMENTS)
    }

    fn instances(&self) -> usize {
        INSTANCES
    }

    fn tables(&self) -> usize {
        TABLES
    }

    fn memories(&self) -> usize {
        MEMORIES
    }
}

/// Text of a guest's, fit for a log line, a terminal or a header: at most `bytes` long, and without control characters
/// save line breaks, so that it cannot move a cursor or forge a line.
pub(crate) fn tame(text: &str, bytes: usize) -> String {
    let end = text.floor_char_boundary(bytes);
    let mut tamed: String = text[..end]
        .chars()
        .map(|char| if char.is_control() && char != '\n' { ' ' } else { char })
        .collect();
    if end < text.len() {
        tamed.push('…');
    }
    tamed
}

/// A size as pipeline files write it.
pub(super) fn size(bytes: u64) -> String {
    match bytes {
        bytes if bytes >= 1 << 20 && bytes.is_multiple_of(1 << 20) => format!("{}MiB", bytes >> 20),
        bytes if bytes >= 1 << 10 && bytes.is_multiple_of(1 << 10) => format!("{}KiB", bytes >> 10),
        bytes => format!("{bytes}B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_refused_at_the_limit_over_all_memories() {
        let mut ceiling = Ceiling::new(10 << 16);
        assert!(ceiling.memory_growing(0, 6 << 16, None).unwrap());
        assert!(ceiling.memory_growing(0, 4 << 16, None).unwrap());
        assert!(!ceiling.refused());
        assert!(!ceiling.memory_growing(4 << 16, 5 << 16, None).unwrap());
        assert!(ceiling.refused());
        assert_eq!(ceiling.used(), 10 << 16);
        assert!(!ceiling.memory_growing(0, usize::MAX, None).unwrap());
    }

    #[test]
    fn a_guests_text_is_cut_at_a_character_and_cannot_move_the_cursor() {
        assert_eq!(tame("a\u{1b}[2Jb\r\nc", 100), "a [2Jb \nc");
        assert_eq!(tame("ääää", 5), "ää…");
    }
}
