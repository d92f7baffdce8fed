//! The door for the fuzzers: the log of a process, whose lines stem from plugins too.

use super::ending::{Ending, LogLine};

/// Reads a log for how its process ended, and its first line for what it is.
pub(crate) fn log(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let _ended = Ending::of(&text, 7, None);
    let _line = LogLine::of(bytes.split(|byte| *byte == b'\n').next().unwrap_or_default());
}
