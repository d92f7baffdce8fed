//! Numbers that look like chance, the same for a seed.

/// See the file's header.
#[derive(Debug, Clone)]
pub(super) struct Chance(u64);

impl Chance {
    /// That of a seed.
    pub(super) fn of(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `end`, which is not 0.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end.max(1)
    }
}
