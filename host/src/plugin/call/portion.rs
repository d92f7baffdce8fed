//! How much of the state is asked for at once, when the sizes of values are known only once they are there.

use crate::plugin::limits::VALUE_BYTES;

/// Fewer at once would cost a look-up each.
const LEAST: usize = 16;
/// More at once save nothing.
const MOST: usize = 128;

/// Goes by the values that came last: as many as fill what is left if the next ones are like them. At first each may
/// have what a value may have.
#[derive(Debug, Clone, Copy)]
pub(super) struct Portion {
    bytes_each: usize,
}

impl Portion {
    pub(super) fn new() -> Self {
        Self {
            bytes_each: VALUE_BYTES,
        }
    }

    /// Values to ask for if there is room for so many bytes.
    pub(super) fn next(self, room: usize) -> usize {
        (room / self.bytes_each.max(1)).clamp(LEAST, MOST)
    }

    /// So many values that came take so many bytes.
    pub(super) fn learn(&mut self, values: usize, bytes: usize) {
        if let Some(bytes_each) = bytes.checked_div(values) {
            self.bytes_each = bytes_each;
        }
    }
}
