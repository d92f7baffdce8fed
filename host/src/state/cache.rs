//! What RocksDB said about values: a cache in front of it, for keys that come again after a commit.
//!
//! A lookup of RocksDB costs microseconds, one here a tenth of it. Entries stand in a ring, in the order in which they
//! came; what is in the way of a new one is forgotten, or, if it was used, moved to the front (the "second chance" of a
//! clock). So what is used stays, without a list to keep in order, and an entry costs its key, its value and some
//! twelve bytes.
//!
//! A store that fits is kept *whole*: what is not here is not in RocksDB either, and nothing has to be asked.
//!
//! Always: an entry says what is applied. Reads that missed add entries; an apply changes those that are there, and
//! adds what a whole store does not have yet; whatever else changes the database clears it. A store ceases to be whole
//! when an entry of any is forgotten. Only values are here: lists and maps are never looked up through it.

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
        let bytes = self.bytes / self.caches.load(Ordering::Relaxed).max(1);
        bytes.clamp(SHARE_MIN, u32::MAX as usize / 2)
    }
}

/// See the file's header.
pub(super) struct StateCache {
    budget: Arc<Budget>,
    hasher: RandomState,
    ring: Ring,
    /// Where entries begin.
    table: HashTable<u32>,
    /// The entries that were last fetched; kept for its memory.
    fetched: Vec<u32>,
    /// What the keys of the stores begin with that are here as a whole.
    whole: Vec<Box<[u8]>>,
    /// Misses since a store was last loaded, and the part of the applied entries that is loaded when so many were
    /// missed.
    misses: u64,
    reluctance: u64,
}

/// Entries one behind the other: length of key, room for the value in eights, uses and length of the value (u16 LE),
/// key, room.
#[derive(Default)]
struct Ring {
    arena: Vec<u8>,
    /// Where the next one is written: behind all others, or, when they reached the end of the arena and began anew at
    /// its start, before the oldest.
    next: usize,
    began_anew: bool,
    /// Where the oldest one begins, and where those of before the beginning anew end; 0 without.
    oldest: usize,
    end: usize,
}

/// What so many entries take stays in the processor's own cache until they are used.
pub(super) const FETCHED_AT_ONCE: usize = 512;
const HEAD: usize = 4;
/// Length of a value that is absent; the uses stand above it.
const ABSENT: u16 = 0x3fff;
const USE: u16 = 0x4000;
/// Rooms are so many bytes or a multiple of it: an absent value has room for a count or a timestamp.
const ROOM_UNIT: usize = 8;
/// Longer keys and values are as well read from RocksDB's blocks.
const KEY_MAX: usize = u8::MAX as usize;
const VALUE_MAX: usize = u8::MAX as usize * ROOM_UNIT;
/// Entries that one that comes moves to the front at most: it never walks the whole ring.
const MOVED_MAX: usize = 8;
/// A share below this holds no entry of the largest size.
const SHARE_MIN: usize = 64 << 10;
/// A store is loaded when misses amount to this part of what is applied. A key that is asked for costs some sixteen
/// times one that is read in order, so by then the misses have cost half of what loading will.
const MISSED_PART: u64 = 32;
/// More are never read at once: the worker stands still meanwhile, for a few seconds at most, once.
const WHOLE_MAX: u64 = 8 << 20;
/// A cache of this size stays in the processor's own, where there is nothing to wait for.
const IN_THE_PROCESSOR: usize = 1 << 20;
/// The key of a small entry.
const KEY_SMALL: usize = 8;
/// What the table takes for an entry, on average of its growth.
const PLACE: usize = 8;

impl StateCache {
    /// An empty cache that takes its part of the budget as long as it lives.
    pub(super) fn new(budget: &Arc<Budget>) -> Self {
        budget.caches.fetch_add(1, Ordering::Relaxed);
        Self {
            budget: Arc::clone(budget),
            hasher: RandomState::default(),
            ring: Ring::default(),
            table: HashTable::new(),
            fetched: Vec::new(),
            whole: Vec::new(),
            misses: 0,
            reluctance: 1,
        }
    }

    /// Asks the memory for what will be asked for next, all at once: one key after the other would wait for each,
    /// twice. A hint, no more.
    pub(super) fn fetch<'a>(&mut self, keys: impl Iterator<Item = &'a [u8]>) {
        if self.bytes() < IN_THE_PROCESSOR {
            return;
        }
        let Self {
            ring,
            table,
            hasher,
            fetched,
            ..
        } = self;
        fetched.clear();
        fetched.extend(keys.filter_map(|key| table.iter_hash(hasher.hash_one(key)).next()));
        let lines = fetched.iter().map(|&start| ring.arena[start as usize]);
        std::hint::black_box(lines.fold(0, u8::wrapping_add));
    }

    /// What is applied under a key, if it knows: the outer `None` says that it does not. An entry that is used often is
    /// moved to the front as often, three times at most, before it is forgotten.
    pub(super) fn get(&mut self, key: &[u8]) -> Option<Option<&[u8]>> {
        match self.find(key) {
            Some(start) => {
                self.ring.count_use(start);
                Some(self.ring.value(start))
            }
            None => self.is_whole(key).then_some(None),
        }
    }

    /// RocksDB was asked and said this.
    pub(super) fn learn(&mut self, key: &[u8], value: Option<&[u8]>) {
        if value.is_some_and(|value| value.len() > VALUE_MAX) || key.len() > KEY_MAX {
            self.cease_whole(key);
            return;
        }
        // A key that stands twice in a batch is asked for twice.
        if self.find(key).is_some() {
            return;
        }
        let start = self.make_room(HEAD + key.len() + room(value));
        self.ring.write(key, value);
        let Self {
            ring, table, hasher, ..
        } = self;
        table.insert_unique(hasher.hash_one(key), start as u32, |&start| {
            hasher.hash_one(ring.key(start as usize))
        });
    }

    /// This was applied: an entry that is there says it from now on, and a whole store has it.
    pub(super) fn applied(&mut self, key: &[u8], value: Option<&[u8]>) {
        match self.find(key) {
            Some(start) if self.ring.change(start, value) => {}
            Some(_) => {
                self.remove(key);
                self.learn(key, value);
            }
            None if value.is_some() && self.is_whole(key) => self.learn(key, value),
            None => {}
        }
    }

    /// What is applied under a key has changed in a way that it does not follow.
    pub(super) fn forget(&mut self, key: &[u8]) {
        self.remove(key);
        self.cease_whole(key);
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        (self.ring, self.table) = Default::default();
        self.whole.clear();
    }

    /// So many keys were not known, of about so many that are applied: whether reading a whole store would have been
    /// cheaper, and may fit.
    pub(super) fn wants_whole(&mut self, misses: usize, applied: u64) -> bool {
        self.misses += misses as u64;
        let is_due = self.misses >= applied / MISSED_PART * self.reluctance;
        // What is applied is counted too high: a key that was changed lately counts more than once.
        let may_fit = applied / 4 * (PLACE + HEAD + ROOM_UNIT) as u64 <= self.budget.of_one() as u64;
        is_due && may_fit && applied <= WHOLE_MAX
    }

    /// Every entry of the store whose keys begin with `prefix` is learnt next: so many or fewer.
    pub(super) fn begin_whole(&mut self, prefix: &[u8], entries: u64) {
        // A table that grows on the way asks the ring for each key again. More than these would not fit.
        let most = self.budget.of_one() / (PLACE + HEAD + KEY_SMALL + ROOM_UNIT);
        let Self {
            ring, table, hasher, ..
        } = self;
        table.reserve(most.min(entries as usize), |&start| {
            hasher.hash_one(ring.key(start as usize))
        });
        (self.misses, self.reluctance) = (0, self.reluctance.saturating_mul(4));
        self.whole.push(prefix.into());
    }

    /// All of a store was learnt, and fits.
    pub(super) fn end_whole(&mut self) {
        self.reluctance = 1;
    }

    /// Whether it knows everything about the store of a key.
    pub(super) fn is_whole(&self, key: &[u8]) -> bool {
        self.whole.iter().any(|prefix| key.starts_with(prefix))
    }

    fn cease_whole(&mut self, key: &[u8]) {
        self.whole.retain(|prefix| !key.starts_with(prefix));
    }

    fn remove(&mut self, key: &[u8]) {
        let Self {
            ring, table, hasher, ..
        } = self;
        // Its place in the ring is passed over when it is the oldest.
        if let Ok(entry) = table.find_entry(hasher.hash_one(key), |&start| ring.key(start as usize) == key) {
            entry.remove();
        }
    }

    /// The memory that it takes.
    pub(super) fn bytes(&self) -> usize {
        self.ring.arena.len() + self.table.len() * PLACE
    }

    fn find(&self, key: &[u8]) -> Option<usize> {
        let is_it = |&start: &u32| self.ring.key(start as usize) == key;
        let start = self.table.find(self.hasher.hash_one(key), is_it)?;
        Some(*start as usize)
    }

    /// Where so many bytes may be written.
    fn make_room(&mut self, length: usize) -> usize {
        let limit = self.budget.of_one();
        if self.bytes() > limit + limit / 4 {
            // Other tasks came and its share fell, or its entries became small and many: the arena never shrinks
            // otherwise.
            self.clear();
        }
        let mut moved = 0;
        loop {
            let for_arena = limit.saturating_sub((self.table.len() + 1) * PLACE);
            match self.ring.reserve(length, for_arena) {
                Some(start) => return start,
                None => moved += usize::from(self.pass_oldest(moved < MOVED_MAX)),
            }
        }
    }

    /// Takes the oldest entry out of the way; whether it was moved to the front.
    fn pass_oldest(&mut self, may_move: bool) -> bool {
        let Self {
            ring,
            table,
            hasher,
            whole,
            ..
        } = self;
        let oldest = ring.oldest as u32;
        let hash = hasher.hash_one(ring.key(ring.oldest));
        let Ok(mut entry) = table.find_entry(hash, |&start| start == oldest) else {
            ring.drop_oldest();
            return false;
        };
        match may_move.then(|| ring.move_oldest()).flatten() {
            Some(start) => *entry.get_mut() = start as u32,
            None => {
                entry.remove();
                if ring.value(ring.oldest).is_some() {
                    whole.clear();
                }
                ring.drop_oldest();
                return false;
            }
        }
        true
    }
}

impl Drop for StateCache {
    fn drop(&mut self) {
        self.budget.caches.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Ring {
    /// Where an entry of this length may be written, unless the oldest ones are in the way. The arena grows up to
    /// `limit`.
    fn reserve(&mut self, length: usize, limit: usize) -> Option<usize> {
        if !self.began_anew {
            let end = self.next + length;
            if end > self.arena.len() && end <= limit {
                self.arena.resize(end, 0);
            }
            if end <= self.arena.len() {
                return Some(self.next);
            }
            (self.end, self.next, self.began_anew) = (self.next, 0, true);
        }
        (self.next + length <= self.oldest).then_some(self.next)
    }

    fn write(&mut self, key: &[u8], value: Option<&[u8]>) {
        let (start, bytes) = (self.next, value.unwrap_or_default());
        let room = room(value);
        let entry = &mut self.arena[start..start + HEAD + key.len() + room];
        (entry[0], entry[1]) = (key.len() as u8, (room / ROOM_UNIT) as u8);
        entry[2..HEAD].copy_from_slice(&length(value).to_le_bytes());
        let (for_key, for_value) = entry[HEAD..].split_at_mut(key.len());
        for_key.copy_from_slice(key);
        for_value[..bytes.len()].copy_from_slice(bytes);
        self.next = start + HEAD + key.len() + room;
    }

    /// Moves the oldest entry to the front, if it has a use left, and says where it is now.
    fn move_oldest(&mut self) -> Option<usize> {
        let (from, to) = (self.oldest, self.next);
        let uses = self.number(from).checked_sub(USE)?;
        self.set_number(from, uses);
        let size = self.size(from);
        self.arena.copy_within(from..from + size, to);
        self.pass(size);
        self.next = to + size;
        Some(to)
    }

    fn drop_oldest(&mut self) {
        self.pass(self.size(self.oldest));
    }

    fn pass(&mut self, size: usize) {
        self.oldest += size;
        if self.oldest == self.end {
            (self.oldest, self.end, self.began_anew) = (0, 0, false);
        }
    }

    /// Writes another value into an entry; `false`: it is too long for its room.
    fn change(&mut self, start: usize, value: Option<&[u8]>) -> bool {
        let bytes = value.unwrap_or_default();
        if bytes.len() > self.room(start) {
            return false;
        }
        self.set_number(start, self.number(start) & !ABSENT | length(value));
        let from = start + HEAD + self.key_length(start);
        self.arena[from..from + bytes.len()].copy_from_slice(bytes);
        true
    }

    fn count_use(&mut self, start: usize) {
        if let Some(more) = self.number(start).checked_add(USE) {
            self.set_number(start, more);
        }
    }

    fn key(&self, start: usize) -> &[u8] {
        &self.arena[start + HEAD..start + HEAD + self.key_length(start)]
    }

    fn value(&self, start: usize) -> Option<&[u8]> {
        let from = start + HEAD + self.key_length(start);
        match self.number(start) & ABSENT {
            ABSENT => None,
            length => Some(&self.arena[from..from + usize::from(length)]),
        }
    }

    fn size(&self, start: usize) -> usize {
        HEAD + self.key_length(start) + self.room(start)
    }

    fn room(&self, start: usize) -> usize {
        usize::from(self.arena[start + 1]) * ROOM_UNIT
    }

    fn key_length(&self, start: usize) -> usize {
        usize::from(self.arena[start])
    }

    /// Uses and length of the value.
    fn number(&self, start: usize) -> u16 {
        u16::from_le_bytes([self.arena[start + 2], self.arena[start + 3]])
    }

    fn set_number(&mut self, start: usize, number: u16) {
        self.arena[start + 2..start + HEAD].copy_from_slice(&number.to_le_bytes());
    }
}

/// The room that a value is given.
fn room(value: Option<&[u8]>) -> usize {
    value.map_or(0, <[u8]>::len).next_multiple_of(ROOM_UNIT).max(ROOM_UNIT)
}

/// A value's length as it is written.
fn length(value: Option<&[u8]>) -> u16 {
    value.map_or(ABSENT, |value| value.len() as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache(bytes: usize) -> StateCache {
        StateCache::new(&Budget::new(bytes))
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
        assert_eq!(cache.get(b"k"), Some(Some(&b"too long for its place"[..])));
        cache.forget(b"k");
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
        let budget = Budget::new(2 * SHARE_MIN);
        let first = StateCache::new(&budget);
        let second = StateCache::new(&budget);
        assert_eq!(budget.of_one(), SHARE_MIN);
        drop(second);
        assert_eq!(budget.of_one(), 2 * SHARE_MIN);
        drop(first);
    }

    /// Against a map: whatever is learnt, applied and forgotten, an answer is right, also when entries moved and the
    /// ring began anew.
    #[test]
    fn no_answer_is_ever_wrong() {
        use std::collections::HashMap;
        let mut cache = StateCache::new(&Budget::new(SHARE_MIN));
        let mut applied: HashMap<Vec<u8>, Option<Vec<u8>>> = HashMap::new();
        let (mut chance, mut known) = (1u64, 0);
        for step in 0..300_000 {
            if step % 1000 == 0 {
                cache.begin_whole(b"", 1);
                let there = applied.iter().filter(|(_, value)| value.is_some());
                there.for_each(|(key, value)| cache.learn(key, value.as_deref()));
            }
            chance = chance
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            let number = (chance >> 33) % (1 + (chance >> 20) % 5000);
            let key = vec![b'k'; number as usize % 60].into_iter().chain(number.to_le_bytes());
            let key: Vec<u8> = key.collect();
            let is = applied.get(&key).cloned().unwrap_or_default();
            match (chance >> 55) % 8 {
                0..4 => match cache.get(&key) {
                    Some(value) => {
                        known += 1;
                        assert_eq!(value, is.as_deref());
                    }
                    None => cache.learn(&key, is.as_deref()),
                },
                4..7 => {
                    let length = if step % 30_000 < 29_000 {
                        8
                    } else {
                        (chance >> 40) % 2100
                    };
                    let value = (length % 9 > 0).then(|| vec![chance as u8; length as usize]);
                    cache.applied(&key, value.as_deref());
                    applied.insert(key, value);
                }
                _ => {
                    cache.forget(&key);
                    assert_eq!(cache.get(&key), None);
                }
            }
            assert!(cache.bytes() <= SHARE_MIN + SHARE_MIN / 4 + 4096);
        }
        assert!(known > 5000, "{known}");
    }

    #[test]
    fn a_whole_store_answers_for_keys_that_are_not_there_until_one_of_its_own_is_forgotten() {
        let mut cache = cache(SHARE_MIN);
        cache.begin_whole(b"s", 1);
        cache.learn(b"s1", Some(b"1"));
        cache.applied(b"s2", Some(b"2"));
        assert_eq!(cache.get(b"s2"), Some(Some(&b"2"[..])));
        assert_eq!(cache.get(b"s3"), Some(None));
        assert_eq!(cache.get(b"t1"), None);
        cache.applied(b"s1", None);
        assert_eq!(cache.get(b"s1"), Some(None));
        for number in 0..100_000u32 {
            cache.applied(&[b"s", &number.to_le_bytes()[..]].concat(), Some(b"value"));
            if !cache.is_whole(b"s") {
                break;
            }
        }
        assert!(!cache.is_whole(b"s"));
        assert_eq!(cache.get(b"s3"), None);
        for forgets in [
            |cache: &mut StateCache| cache.forget(b"s1"),
            |cache: &mut StateCache| cache.applied(b"s1", Some(&[0; VALUE_MAX + 1])),
            |cache: &mut StateCache| cache.applied(&[b's'; KEY_MAX + 1], Some(b"")),
            |cache: &mut StateCache| cache.clear(),
        ] {
            cache.begin_whole(b"s", 1);
            assert_eq!(cache.get(b"s!"), Some(None));
            forgets(&mut cache);
            assert_eq!(cache.get(b"s!"), None);
        }
    }

    #[test]
    fn a_share_that_fell_is_kept_to() {
        let budget = Budget::new(1 << 20);
        let mut cache = StateCache::new(&budget);
        let learn = |cache: &mut StateCache, number: u32| cache.learn(&number.to_le_bytes(), None);
        (0..100_000).for_each(|number| learn(&mut cache, number));
        let others = [(); 7].map(|()| StateCache::new(&budget));
        learn(&mut cache, 0);
        assert!(cache.bytes() <= 1 << 17);
        drop(others);
    }
}
