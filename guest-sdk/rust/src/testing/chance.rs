//! Numbers by chance for the SDK's own tests.

/// A small generator with a fixed seed (xorshift), so that a failure comes again.
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    /// A number below the limit, from 0.
    pub(crate) fn below(&mut self, limit: u64) -> i64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit) as i64
    }
}
