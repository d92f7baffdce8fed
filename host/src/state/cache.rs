//! What RocksDB said about values: a cache in front of it, for keys that come again after a commit.
//!
//! A lookup of RocksDB costs microseconds, one here a tenth of it. Two generations: what is looked up moves to the young one; when that is
//! full it becomes the old one, and what was old is forgotten. So what is used stays, without a list to keep in order.
//!
//! Always: an entry says what is applied. Reads that missed add entries; an apply changes those that are there; whatever else changes the
//! database clears it. Only values are here: lists and maps are never looked up through it.

use foldhash::quality::RandomState;
use hashbrown::HashTable;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The memory that the caches of a process share evenly.
#[derive(Debug)]
pub(super) struct Budget {
    bytes: usize,
    caches: AtomicUsize,
}

impl Budget {
    pub(super) fn new(bytes: usize) -> Arc<Self> {
        Arc::new(Self {
            bytes,
            caches: AtomicUsize::new(0),
        })
    }

    fn of_one(&self) -> usize {
        self.bytes / self.caches.load(Ordering::Relaxed).max(1)
    }
}

/// See the file's header.
pub(super) struct Cache {
    budget: Arc<Budget>,
    hasher: RandomState,
    young: Generation,
    old: Generation,
}

/// Entries in an arena: length of key, length of value, room for the value (u32 LE each), key, room.
#[derive(Default)]
struct Generation {
    arena: Vec<u8>,
    table: HashTable<Place>,
}

/// Where an entry begins. The hash stands beside it, so that a growing table reads no keys.
#[derive(Clone, Copy)]
struct Place {
    hash: u32,
    start: u32,
}

const HEAD: usize = 12;
/// Length of a value that is absent.
const ABSENT: u32 = u32::MAX;
/// An absent value has room for a count or a timestamp.
const ROOM_MIN: usize = 8;
/// Longer keys and values are as well read from RocksDB's blocks.
const LENGTH_MAX: usize = 4096;

impl Cache {
    /// An empty cache that takes its part of the budget as long as it lives.
    pub(super) fn new(budget: &Arc<Budget>) -> Self {
        budget.caches.fetch_add(1, Ordering::Relaxed);
        Self {
            budget: Arc::clone(budget),
            hasher: RandomState::default(),
            young: Generation::default(),
            old: Generation::default(),
        }
    }

    /// What is applied under a key, if it knows: the outer `None` says that it does not.
    pub(super) fn get(&mut self, key: &[u8]) -> Option<Option<&[u8]>> {
        let hash = self.hash(key);
        if let Some(start) = self.young.find(hash, key) {
            return Some(self.young.value(start));
        }
        let start = self.old.find(hash, key)?;
        if self.make_room() {
            // What was old is gone with the turn of generations.
            let start = self.old.find(hash, key)?;
            return Some(self.old.value(start));
        }
        self.young.insert(hash, key, self.old.value(start));
        Some(self.old.value(start))
    }

    /// RocksDB was asked and said this.
    pub(super) fn learn(&mut self, key: &[u8], value: Option<&[u8]>) {
        if value.is_some_and(|value| value.len() > LENGTH_MAX) || key.len() > LENGTH_MAX {
            return;
        }
        let hash = self.hash(key);
        self.make_room();
        // A key that stands twice in a batch is asked for twice.
        if self.young.find(hash, key).is_none() {
            self.young.insert(hash, key, value);
        }
    }

    /// This was applied: an entry that is there says it from now on.
    pub(super) fn applied(&mut self, key: &[u8], value: Option<&[u8]>) {
        let hash = self.hash(key);
        for generation in [&mut self.young, &mut self.old] {
            generation.change(hash, key, value);
        }
    }

    /// What is applied under a key has changed in a way that it does not follow.
    pub(super) fn forget(&mut self, key: &[u8]) {
        let hash = self.hash(key);
        for generation in [&mut self.young, &mut self.old] {
            generation.remove(hash, key);
        }
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        (self.young, self.old) = Default::default();
    }

    /// The memory that it takes.
    pub(super) fn bytes(&self) -> usize {
        self.young.bytes() + self.old.bytes()
    }

    /// Turns the generations if the young one is full; whether it did.
    fn make_room(&mut self) -> bool {
        let is_full = self.young.bytes() >= (self.budget.of_one() / 2).min(u32::MAX as usize / 2);
        if is_full {
            self.old = std::mem::take(&mut self.young);
        }
        is_full
    }

    fn hash(&self, key: &[u8]) -> u32 {
        self.hasher.hash_one(key) as u32
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        self.budget.caches.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Generation {
    fn bytes(&self) -> usize {
        self.arena.len() + self.table.len() * (size_of::<Place>() + 4)
    }

    fn find(&self, hash: u32, key: &[u8]) -> Option<u32> {
        let is_it = |place: &Place| place.hash == hash && self.key(place.start) == key;
        self.table.find(spread(hash), is_it).map(|place| place.start)
    }

    fn number(&self, at: usize) -> u32 {
        let bytes = self.arena[at..].first_chunk::<4>();
        bytes.map_or(0, |bytes| u32::from_le_bytes(*bytes))
    }

    fn key(&self, start: u32) -> &[u8] {
        let start = start as usize;
        &self.arena[start + HEAD..start + HEAD + self.number(start) as usize]
    }

    fn value(&self, start: u32) -> Option<&[u8]> {
        let at = start as usize;
        let from = at + HEAD + self.number(at) as usize;
        match self.number(at + 4) {
            ABSENT => None,
            length => Some(&self.arena[from..from + length as usize]),
        }
    }

    /// Adds an entry that is not there.
    fn insert(&mut self, hash: u32, key: &[u8], value: Option<&[u8]>) {
        let start = self.write(key, value);
        let place = Place { hash, start };
        self.table
            .insert_unique(spread(hash), place, |place| spread(place.hash));
    }

    fn write(&mut self, key: &[u8], value: Option<&[u8]>) -> u32 {
        let start = self.arena.len();
        let room = value.map_or(0, <[u8]>::len).next_multiple_of(ROOM_MIN).max(ROOM_MIN);
        let length = value.map_or(ABSENT, |value| value.len() as u32);
        for number in [key.len() as u32, length, room as u32] {
            self.arena.extend_from_slice(&number.to_le_bytes());
        }
        self.arena.extend_from_slice(key);
        self.arena.extend_from_slice(value.unwrap_or_default());
        self.arena.resize(start + HEAD + key.len() + room, 0);
        start as u32
    }

    /// Changes the value of an entry that is there; one that is too long for its place takes it away.
    fn change(&mut self, hash: u32, key: &[u8], value: Option<&[u8]>) {
        let Some(start) = self.find(hash, key) else { return };
        let at = start as usize;
        let bytes = value.unwrap_or_default();
        if bytes.len() > self.number(at + 8) as usize {
            return self.remove(hash, key);
        }
        let length = value.map_or(ABSENT, |value| value.len() as u32);
        self.arena[at + 4..at + 8].copy_from_slice(&length.to_le_bytes());
        let from = at + HEAD + key.len();
        self.arena[from..from + bytes.len()].copy_from_slice(bytes);
    }

    fn remove(&mut self, hash: u32, key: &[u8]) {
        let Self { arena, table } = self;
        let is_it = |place: &Place| {
            let at = place.start as usize + HEAD;
            place.hash == hash && arena[at..].starts_with(key) && {
                let length = arena[at - HEAD..].first_chunk::<4>();
                length.is_some_and(|length| u32::from_le_bytes(*length) as usize == key.len())
            }
        };
        if let Ok(entry) = table.find_entry(spread(hash), is_it) {
            entry.remove();
        }
    }
}

/// The table wants its bits all over.
fn spread(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache(bytes: usize) -> Cache {
        Cache::new(&Budget::new(bytes))
    }

    #[test]
    fn it_says_what_it_learnt_and_what_was_applied_since() {
        let mut cache = cache(1 << 20);
        assert_eq!(cache.get(b"k"), None);
        cache.applied(b"k", Some(b"1"));
        assert_eq!(cache.get(b"k"), None, "nobody asked for it");
        cache.learn(b"k", None);
        assert_eq!(cache.get(b"k"), Some(None));
        cache.applied(b"k", Some(b"12345678"));
        assert_eq!(cache.get(b"k"), Some(Some(&b"12345678"[..])));
        cache.applied(b"k", Some(b""));
        assert_eq!(cache.get(b"k"), Some(Some(&b""[..])));
        cache.applied(b"k", Some(b"too long for its place"));
        assert_eq!(cache.get(b"k"), None);
        cache.learn(b"k", Some(b"a"));
        cache.learn(b"k", Some(b"a"));
        cache.forget(b"k");
        assert_eq!(cache.get(b"k"), None);
    }

    #[test]
    fn what_is_used_stays_and_the_budget_holds() {
        const BUDGET: usize = 64 << 10;
        let mut cache = cache(BUDGET);
        cache.learn(b"used", Some(b"v"));
        for number in 0..100_000u32 {
            cache.learn(&number.to_le_bytes(), Some(&number.to_be_bytes()));
            assert_eq!(cache.get(b"used"), Some(Some(&b"v"[..])), "at {number}");
            assert!(cache.bytes() <= BUDGET + 200);
        }
        assert_eq!(cache.get(&7u32.to_le_bytes()), None);
        assert_eq!(
            cache.get(&99_999u32.to_le_bytes()),
            Some(Some(&99_999u32.to_be_bytes()[..]))
        );
    }

    #[test]
    fn caches_share_their_budget() {
        let budget = Budget::new(1000);
        let first = Cache::new(&budget);
        let second = Cache::new(&budget);
        assert_eq!(budget.of_one(), 500);
        drop(second);
        assert_eq!(budget.of_one(), 1000);
        drop(first);
    }

    /// An old entry that was learnt again in the young generation must not answer with what it was.
    #[test]
    fn a_change_reaches_both_generations() {
        let mut cache = cache(4096);
        cache.learn(b"k", Some(b"1"));
        while cache.young.find(cache.hash(b"k"), b"k").is_some() {
            let filler = cache.young.arena.len().to_le_bytes();
            cache.learn(&filler, None);
        }
        assert!(cache.old.find(cache.hash(b"k"), b"k").is_some());
        cache.applied(b"k", Some(b"2"));
        assert_eq!(cache.get(b"k"), Some(Some(&b"2"[..])));
        cache.applied(b"k", Some(b"3"));
        assert_eq!(cache.get(b"k"), Some(Some(&b"3"[..])));
    }
}
