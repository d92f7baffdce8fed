//! What a guest sees of the world around it, which is none but the record's.

use crate::plugin::call::chance;
use crate::plugin::guest_log::Log;
use crate::plugin::limits::TEXT_BYTES;

/// A reading of the monotonic clock takes a microsecond of its time, so that what waits for it to pass sees it pass.
const READING: u64 = 1_000;

/// Time, chance, and the lines that were written so far.
#[derive(Debug, Default)]
pub(in crate::plugin) struct Surroundings {
    /// The record's time, in milliseconds since 1970.
    time: i64,
    /// The state of splitmix64, <https://prng.di.unimi.it/splitmix64.c>.
    chance: u64,
    /// Nanoseconds.
    monotonic: u64,
    out: Vec<u8>,
    err: Vec<u8>,
}

/// Where a guest writes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standard {
    Out,
    Err,
}

impl Surroundings {
    /// A call begins, for a record of this time, with this seed.
    pub(in crate::plugin) fn begin(&mut self, time: i64, seed: u64) {
        (self.time, self.chance) = (time, seed);
    }

    /// Seconds since 1970, and nanoseconds. WASI knows no time before.
    pub(super) fn wall_clock(&self) -> (u64, u32) {
        let time = self.time.max(0).cast_unsigned();
        (time / 1000, (time % 1000) as u32 * 1_000_000)
    }

    /// Nanoseconds since some moment.
    pub(super) fn monotonic_clock(&mut self) -> u64 {
        self.monotonic = self.monotonic.saturating_add(READING);
        self.monotonic
    }

    /// Nobody waits: so much time has passed.
    pub(super) fn pass(&mut self, nanoseconds: u64) {
        self.monotonic = self.monotonic.saturating_add(nanoseconds);
    }

    /// The monotonic clock comes to this moment, if it is not there.
    pub(super) fn pass_until(&mut self, moment: u64) {
        self.monotonic = self.monotonic.max(moment);
    }

    pub(super) fn chance(&mut self) -> u64 {
        self.chance = self.chance.wrapping_add(0x9e37_79b9_7f4a_7c15);
        chance::mixed(self.chance)
    }

    /// Writes to the log, a line at a time; a line that is too long in pieces.
    pub(super) fn write(&mut self, to: Standard, bytes: &[u8], log: &mut Log) {
        let line = match to {
            Standard::Out => &mut self.out,
            Standard::Err => &mut self.err,
        };
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            for part in piece.chunks(TEXT_BYTES) {
                line.extend_from_slice(part);
                if line.last() == Some(&b'\n') || line.len() >= TEXT_BYTES {
                    say(to, line, log);
                }
            }
        }
    }

    /// Writes what has no end of line yet.
    pub(in crate::plugin) fn flush(&mut self, log: &mut Log) {
        say(Standard::Out, &mut self.out, log);
        say(Standard::Err, &mut self.err, log);
    }
}

fn say(to: Standard, line: &mut Vec<u8>, log: &mut Log) {
    let text = String::from_utf8_lossy(line);
    let text = text.trim_end();
    if !text.is_empty() {
        match to {
            Standard::Out => log.output(text),
            Standard::Err => log.complaint(text),
        }
    }
    line.clear();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chance_is_the_same_for_the_same_seed() {
        let drawn = |seed| {
            let mut surroundings = Surroundings::default();
            surroundings.begin(0, seed);
            [surroundings.chance(), surroundings.chance()]
        };
        assert_eq!(drawn(7), drawn(7));
        assert_ne!(drawn(7), drawn(8));
        assert_ne!(drawn(7)[0], drawn(7)[1]);
    }

    #[test]
    fn time_is_the_records_and_the_monotonic_clock_only_grows() {
        let mut surroundings = Surroundings::default();
        surroundings.begin(1_700_000_000_123, 0);
        assert_eq!(surroundings.wall_clock(), (1_700_000_000, 123_000_000));
        let before = surroundings.monotonic_clock();
        surroundings.pass_until(before - 1);
        assert!(surroundings.monotonic_clock() > before);
        surroundings.pass(u64::MAX);
        surroundings.begin(-1, 0);
        assert_eq!(surroundings.wall_clock(), (0, 0));
        assert_eq!(surroundings.monotonic_clock(), u64::MAX);
    }
}
