//! The overlay: a task's changes since the last commit, in memory. It is the delta that a checkpoint stores.
//!
//! Keys and values lie in one arena, found through a hash table of slots, so that a change of a value costs no
//! allocation of its own; only the entries of maps, which are read in order, have a tree beside it.
//!
//! Always: `undo` leaves exactly what the last `keep` left. What a batch changes first is logged: slots that it made
//! stand behind `kept_slots`, the arena's bytes of before are untouched or in the log, and each slot is logged once a
//! batch.

use super::keys;
use foldhash::quality::RandomState;
use hashbrown::HashTable;
use std::collections::BTreeMap;
use std::hash::BuildHasher;
use std::ops::Bound;

/// One change of one key, as it is encoded and applied. Keys are whole keys of the layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyChange<'a> {
    /// The entry has this value.
    Put { key: &'a [u8], value: &'a [u8] },
    /// The entry is gone; of a list: all its items.
    Delete { key: &'a [u8] },
    /// The list has these frames behind what it had.
    Append { key: &'a [u8], frames: &'a [u8] },
    /// All entries of the map that begin with `prefix` are gone; what is put behind it is put anew.
    ClearMap { prefix: &'a [u8] },
    /// All entries of the store are gone; what is put behind it is put anew.
    DropStore { prefix: &'a [u8] },
}

/// What the overlay says about a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known<'a> {
    /// Nothing: what is applied counts.
    Unknown,
    /// It is gone.
    Absent,
    /// It has this value, whatever is applied.
    Value(&'a [u8]),
    /// These frames stand behind what is applied.
    Appended(&'a [u8]),
}

impl<'a> KeyChange<'a> {
    /// Orders changes for RocksDB: what is dropped or cleared first, then by key.
    pub(super) fn order(&self) -> (bool, &'a [u8]) {
        match *self {
            KeyChange::ClearMap { prefix } | KeyChange::DropStore { prefix } => (false, prefix),
            KeyChange::Put { key, .. } | KeyChange::Delete { key } | KeyChange::Append { key, .. } => (true, key),
        }
    }
}

impl<'a> Known<'a> {
    /// The value of an entry that is known.
    pub(super) fn value(self) -> Option<&'a [u8]> {
        match self {
            Known::Value(value) | Known::Appended(value) => Some(value),
            Known::Absent | Known::Unknown => None,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OverlayState {
    Put,
    Deleted,
    Appended,
    /// Not an entry: the mark of a map that was cleared; its key is the prefix of the map's entries.
    Cleared,
}

/// A place in the arena that holds `length` bytes and has room for `capacity`.
#[derive(Debug, Clone, Copy, Default)]
struct Room {
    start: usize,
    length: usize,
    capacity: usize,
}

#[derive(Debug)]
struct OverlaySlot {
    key: Room,
    value: Room,
    state: OverlayState,
    /// The batch that changed it last.
    batch: u32,
    /// Whether that batch may write over the value's bytes: it made them, or the log has them.
    writable: bool,
    /// Nothing is applied of its key: if it is deleted, there is nothing to apply. It is known when the slot is made,
    /// and holds until the next commit, which ends the slot.
    is_new: bool,
}

/// What a slot was before the batch.
#[derive(Debug)]
struct Logged {
    slot: u32,
    state: OverlayState,
    value: Room,
    /// Where the log has the value's bytes, if the batch may write over them.
    saved: Option<usize>,
}

/// Where the table would have a key, before anybody looked whether it is there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidate {
    hash: u64,
    slot: Option<u32>,
}

/// See the file's header.
#[derive(Debug, Default)]
pub(super) struct Overlay {
    arena: Vec<u8>,
    slots: Vec<OverlaySlot>,
    table: HashTable<u32>,
    hasher: RandomState,
    /// Entries of maps by their keys.
    ordered: BTreeMap<Box<[u8]>, u32>,
    ordered_bytes: usize,
    /// Marks among the slots.
    marks: usize,
    /// What the keys of the stores begin with that are dropped. No batch does it, and none undoes it.
    dropped: Vec<Vec<u8>>,
    batch: u32,
    log: Vec<Logged>,
    saved: Vec<u8>,
    kept_slots: usize,
    kept_arena: usize,
}

impl Overlay {
    /// What it says about an entry of a value or list store, or about an entry of a map that no mark hides.
    pub(super) fn get(&self, key: &[u8]) -> Known<'_> {
        self.find(false, key).map_or(Known::Unknown, |slot| self.known(slot))
    }

    /// The slot of each entry, if it knows it, added to `into`. The memory is asked for all keys at once, step by step:
    /// one key after the other would wait for it three times.
    pub(super) fn find_entries<'k>(
        &self,
        keys: impl Iterator<Item = &'k [u8]> + Clone,
        candidates: &mut Vec<Candidate>,
        into: &mut Vec<Option<u32>>,
    ) {
        if self.slots.is_empty() {
            return into.extend(keys.map(|_| None));
        }
        candidates.clear();
        candidates.extend(keys.clone().map(|key| {
            let hash = self.hasher.hash_one(key);
            let slot = self.table.iter_hash(hash).next().copied();
            Candidate { hash, slot }
        }));
        let slots = candidates.iter().filter_map(|candidate| candidate.slot);
        let lines = slots.map(|slot| self.arena.get(self.slots[slot as usize].key.start));
        std::hint::black_box(lines.fold(0, |sum: u8, byte| sum.wrapping_add(byte.copied().unwrap_or(0))));
        into.extend(keys.zip(candidates.iter()).map(|(key, candidate)| {
            let slot = candidate.slot?;
            match self.is_entry(slot, key) {
                true => Some(slot),
                false => self.find_hashed(candidate.hash, false, key),
            }
        }));
    }

    /// Whether the map's applied entries are hidden.
    pub(super) fn is_cleared(&self, prefix: &[u8]) -> bool {
        self.marks > 0 && self.find(true, prefix).is_some()
    }

    /// Whether the applied entries of a key's store are hidden.
    pub(super) fn is_dropped(&self, key: &[u8]) -> bool {
        self.dropped.iter().any(|prefix| key.starts_with(prefix))
    }

    /// Takes all applied entries of a store away, which nothing was changed of yet.
    pub(super) fn drop_store(&mut self, prefix: &[u8]) {
        self.dropped.push(prefix.to_vec());
    }

    /// The entries of a map that it knows, in order: those that begin with `prefix` and stand behind `after`, with
    /// their whole keys.
    pub(super) fn ordered<'a>(
        &'a self,
        prefix: &'a [u8],
        after: Bound<&[u8]>,
    ) -> impl Iterator<Item = (&'a [u8], Known<'a>)> + use<'a> {
        self.ordered
            .range::<[u8], _>((after, Bound::Unbounded))
            .take_while(move |(key, _)| key.starts_with(prefix))
            .map(|(key, &slot)| (&**key, self.known(slot)))
    }

    /// Sets an entry of a value store. `likely` is the slot that a look-up found, whatever was done since.
    pub(super) fn put(&mut self, key: &[u8], value: &[u8], likely: Option<u32>) {
        let slot = likely.filter(|slot| self.is_entry(*slot, key));
        match slot.or_else(|| self.find(false, key)) {
            Some(slot) => self.overwrite(slot, value),
            None => _ = self.insert(key, OverlayState::Put, value),
        }
    }

    /// Takes an entry of a value store away, or all items of a list.
    pub(super) fn delete(&mut self, key: &[u8]) {
        match self.find(false, key) {
            Some(slot) => self.bury(slot),
            None => _ = self.insert(key, OverlayState::Deleted, &[]),
        }
    }

    /// Adds an item to a list.
    pub(super) fn append(&mut self, key: &[u8], item: &[u8]) {
        let slot = match self.find(false, key) {
            Some(slot) => slot,
            None => self.insert(key, OverlayState::Appended, &[]),
        };
        self.log(slot, false);
        let length = keys::frame_length(item);
        self.grow(slot, length);
        let slot = &mut self.slots[slot as usize];
        if slot.state == OverlayState::Deleted {
            slot.state = OverlayState::Put;
        }
        let end = slot.value.start + slot.value.length;
        slot.value.length += length;
        keys::frame(item, &mut self.arena[end..end + length]);
    }

    /// Sets an entry of a map; `is_new` says that nothing is applied of its key, if that is known.
    pub(super) fn put_entry(&mut self, key: &[u8], value: &[u8], is_new: bool) {
        match self.find(false, key) {
            Some(slot) => self.overwrite(slot, value),
            None => {
                let slot = self.insert_entry(key, OverlayState::Put, value);
                self.slots[slot as usize].is_new = is_new;
            }
        }
    }

    /// Takes an entry of a map away.
    pub(super) fn delete_entry(&mut self, key: &[u8]) {
        match self.find(false, key) {
            Some(slot) => self.bury(slot),
            None => _ = self.insert_entry(key, OverlayState::Deleted, &[]),
        }
    }

    /// Takes all entries of a map under one key away.
    pub(super) fn clear_map(&mut self, prefix: &[u8]) {
        let entries = self
            .ordered
            .range::<[u8], _>((Bound::Included(prefix), Bound::Unbounded));
        let slots: Vec<u32> = entries
            .take_while(|(key, _)| key.starts_with(prefix))
            .map(|(_, &slot)| slot)
            .collect();
        for slot in slots {
            self.bury(slot);
        }
        if self.find(true, prefix).is_none() {
            self.insert(prefix, OverlayState::Cleared, &[]);
            self.marks += 1;
        }
    }

    /// The changes since the last keep stay.
    pub(super) fn keep(&mut self) {
        self.log.clear();
        self.saved.clear();
        self.batch = self.batch.wrapping_add(1);
        self.kept_slots = self.slots.len();
        self.kept_arena = self.arena.len();
    }

    /// The changes since the last keep were never made.
    pub(super) fn undo(&mut self) {
        while let Some(was) = self.log.pop() {
            let slot = &mut self.slots[was.slot as usize];
            (slot.state, slot.value) = (was.state, was.value);
            if let Some(from) = was.saved {
                let Room { start, length, .. } = was.value;
                self.arena[start..start + length].copy_from_slice(&self.saved[from..from + length]);
            }
        }
        while self.slots.len() > self.kept_slots {
            self.forget_last();
        }
        self.arena.truncate(self.kept_arena);
        self.keep();
    }

    /// Whether a batch's changes are neither kept nor undone.
    pub(super) fn is_pending(&self) -> bool {
        !self.log.is_empty() || self.slots.len() > self.kept_slots
    }

    /// Whether nothing was changed.
    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty() && self.dropped.is_empty()
    }

    /// The memory that its changes take, roughly.
    pub(super) fn bytes(&self) -> usize {
        self.arena.len() + self.ordered_bytes + self.slots.len() * (size_of::<OverlaySlot>() + 8)
    }

    /// The changes, in the order in which they have to be applied: what is cleared first.
    pub(super) fn changes(&self) -> impl Iterator<Item = KeyChange<'_>> {
        let dropped = self.dropped.iter().map(|prefix| KeyChange::DropStore { prefix });
        let marks = self.slots.iter().filter(|slot| slot.state == OverlayState::Cleared);
        let marks = marks.take(self.marks);
        let entries = self.slots.iter().filter(|slot| match slot.state {
            OverlayState::Put | OverlayState::Appended => true,
            OverlayState::Deleted => !slot.is_new,
            OverlayState::Cleared => false,
        });
        let changed = marks.chain(entries).map(|slot| {
            let (key, value) = (self.bytes_of(slot.key), self.bytes_of(slot.value));
            match slot.state {
                OverlayState::Put => KeyChange::Put { key, value },
                OverlayState::Deleted => KeyChange::Delete { key },
                OverlayState::Appended => KeyChange::Append { key, frames: value },
                OverlayState::Cleared => KeyChange::ClearMap { prefix: key },
            }
        });
        dropped.chain(changed)
    }

    /// Forgets everything and keeps about as much memory as was in use, or half of what it has: commits of a task may
    /// be large by turns.
    pub(super) fn clear(&mut self) {
        let bytes = (2 * self.arena.len()).max(self.arena.capacity() / 2);
        let slots = (2 * self.slots.len()).max(self.slots.capacity() / 2);
        self.arena.clear();
        self.arena.shrink_to(bytes);
        self.slots.clear();
        self.slots.shrink_to(slots);
        self.table.clear();
        self.table.shrink_to(slots, |_| 0);
        self.ordered.clear();
        (self.ordered_bytes, self.marks) = (0, 0);
        self.dropped.clear();
        self.keep();
    }

    fn bytes_of(&self, room: Room) -> &[u8] {
        &self.arena[room.start..room.start + room.length]
    }

    /// What it says in a slot.
    pub(super) fn known(&self, slot: u32) -> Known<'_> {
        let slot = &self.slots[slot as usize];
        match slot.state {
            OverlayState::Put => Known::Value(self.bytes_of(slot.value)),
            OverlayState::Appended => Known::Appended(self.bytes_of(slot.value)),
            OverlayState::Deleted | OverlayState::Cleared => Known::Absent,
        }
    }

    /// The slot of an entry, or of a mark.
    fn find(&self, mark: bool, key: &[u8]) -> Option<u32> {
        self.find_hashed(self.hasher.hash_one(key), mark, key)
    }

    fn find_hashed(&self, hash: u64, mark: bool, key: &[u8]) -> Option<u32> {
        self.table.find(hash, |&slot| self.is(slot, mark, key)).copied()
    }

    /// Whether the slot, if there is one, is that of an entry of this key.
    fn is_entry(&self, slot: u32, key: &[u8]) -> bool {
        (slot as usize) < self.slots.len() && self.is(slot, false, key)
    }

    fn is(&self, slot: u32, mark: bool, key: &[u8]) -> bool {
        let slot = &self.slots[slot as usize];
        (slot.state == OverlayState::Cleared) == mark && self.bytes_of(slot.key) == key
    }

    fn insert(&mut self, key: &[u8], state: OverlayState, value: &[u8]) -> u32 {
        let index = self.slots.len() as u32;
        let key = self.room(key, key.len());
        let value = self.room(value, value.len());
        self.slots.push(OverlaySlot {
            key,
            value,
            state,
            batch: self.batch,
            writable: true,
            is_new: false,
        });
        let Self {
            table,
            slots,
            arena,
            hasher,
            ..
        } = self;
        let hash = |index: &u32| {
            let Room { start, length, .. } = slots[*index as usize].key;
            hasher.hash_one(&arena[start..start + length])
        };
        table.insert_unique(hash(&index), index, hash);
        index
    }

    fn insert_entry(&mut self, key: &[u8], state: OverlayState, value: &[u8]) -> u32 {
        let slot = self.insert(key, state, value);
        self.ordered.insert(key.into(), slot);
        self.ordered_bytes += key.len() + TREE_ENTRY_BYTES;
        slot
    }

    /// Takes back the last slot that was made.
    fn forget_last(&mut self) {
        let Some(slot) = self.slots.pop() else { return };
        let index = self.slots.len() as u32;
        let key = &self.arena[slot.key.start..slot.key.start + slot.key.length];
        if let Ok(entry) = self.table.find_entry(self.hasher.hash_one(key), |&at| at == index) {
            entry.remove();
        }
        if slot.state == OverlayState::Cleared {
            self.marks -= 1;
        } else if self.ordered.remove(key).is_some() {
            self.ordered_bytes -= key.len() + TREE_ENTRY_BYTES;
        }
    }

    /// Remembers what the slot was before this batch, with its value's bytes if `save` says so.
    fn log(&mut self, index: u32, save: bool) {
        let slot = &mut self.slots[index as usize];
        if slot.batch == self.batch {
            return;
        }
        (slot.batch, slot.writable) = (self.batch, save);
        let Room { start, length, .. } = slot.value;
        let saved = save.then_some(self.saved.len());
        if save {
            self.saved.extend_from_slice(&self.arena[start..start + length]);
        }
        self.log.push(Logged {
            slot: index,
            state: slot.state,
            value: slot.value,
            saved,
        });
    }

    fn overwrite(&mut self, index: u32, value: &[u8]) {
        self.log(index, true);
        let slot = &mut self.slots[index as usize];
        slot.state = OverlayState::Put;
        if slot.writable && value.len() <= slot.value.capacity {
            slot.value.length = value.len();
            let start = slot.value.start;
            self.arena[start..start + value.len()].copy_from_slice(value);
        } else {
            // A count grows by a digit now and then: a little room spares the next one a new place.
            let room = self.room(value, value.len().next_multiple_of(8));
            let slot = &mut self.slots[index as usize];
            (slot.value, slot.writable) = (room, true);
        }
    }

    /// Its bytes stay where they are: a later value takes a new place.
    fn bury(&mut self, index: u32) {
        self.log(index, false);
        let slot = &mut self.slots[index as usize];
        (slot.state, slot.value) = (OverlayState::Deleted, Room::default());
    }

    /// Makes room for so many bytes more behind the value. Bytes that it has are never written over, so the log needs
    /// no copy.
    fn grow(&mut self, index: u32, more: usize) {
        let value = self.slots[index as usize].value;
        let needed = value.length + more;
        if needed > value.capacity {
            let start = self.arena.len();
            let capacity = needed.max(2 * value.capacity);
            self.arena.resize(start + capacity, 0);
            self.arena.copy_within(value.start..value.start + value.length, start);
            self.slots[index as usize].value = Room {
                start,
                length: value.length,
                capacity,
            };
        }
    }

    fn room(&mut self, bytes: &[u8], capacity: usize) -> Room {
        let start = self.arena.len();
        self.arena.extend_from_slice(bytes);
        self.arena.resize(start + capacity, 0);
        Room {
            start,
            length: bytes.len(),
            capacity,
        }
    }
}

/// What an entry of the tree takes beside its key, roughly.
const TREE_ENTRY_BYTES: usize = 40;
