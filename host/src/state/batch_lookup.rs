//! A batch's lookup of keys, and where each was found: memory that is used again.

/// A batch's lookup: its whole keys, where each was found, and those that RocksDB has to be asked for.
#[derive(Default)]
pub(super) struct BatchLookup {
    /// One behind the other, and where each ends; without those that are absent.
    pub(super) keys: Vec<u8>,
    pub(super) ends: Vec<usize>,
    /// Of every key, the absent ones too.
    pub(super) found: Vec<Where>,
    /// Values that the cache knew, one behind the other.
    pub(super) cached: Vec<u8>,
    pub(super) misses: Vec<usize>,
}

impl BatchLookup {
    pub(super) fn clear(&mut self) {
        self.keys.clear();
        self.ends.clear();
        self.found.clear();
        self.cached.clear();
        self.misses.clear();
    }

    pub(super) fn key(&self, at: usize) -> &[u8] {
        let start = at.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.keys[start..self.ends[at]]
    }

    /// The keys that RocksDB has to be asked for.
    pub(super) fn missed(&self) -> impl Iterator<Item = &[u8]> {
        self.misses.iter().map(|&at| self.key(at))
    }
}

#[derive(Clone, Copy)]
pub(super) enum Where {
    Nowhere,
    Overlay(u32),
    /// From here to there in `cached`.
    Cache(usize, usize),
    RocksDb,
}
