//! Groups a batch's events by key: the distinct keys in the order of their first event, and for each event the index of
//! its key.

use std::hash::{BuildHasher, Hasher};

use foldhash::fast::RandomState;

use crate::record::Column;

/// The key index of an event without a key.
pub(in crate::plugin) const NO_KEY: u32 = u32::MAX;

/// Finds the distinct keys of batches. Its memory is used again, so that nothing is allocated for a record.
#[derive(Default)]
pub(super) struct Grouping {
    /// Seeded by chance: no input is slow on purpose.
    hashes: RandomState,
    /// Open addressing: a power of two of slots, at most half of them taken.
    slots: Vec<Slot>,
}

/// The high half of a key's hash, and the index of the key; free if the index is none.
#[derive(Clone, Copy)]
struct Slot {
    tag: u32,
    key: u32,
}

const FREE: Slot = Slot { tag: 0, key: NO_KEY };

impl Grouping {
    /// Fills `distinct` and `of` from the keys of the events. An event without a key has the index `NO_KEY`. There is
    /// room for so many keys more.
    pub(super) fn group(&mut self, keys: &Column, more: usize, distinct: &mut Column, of: &mut Vec<u32>) {
        self.slots.clear();
        self.slots.resize((2 * (keys.len() + more)).next_power_of_two(), FREE);
        distinct.clear();
        of.clear();
        of.extend(keys.iter().map(|key| match key {
            Some(key) => self.index(key, distinct),
            None => NO_KEY,
        }));
    }

    /// The index of a key, which is new if none before was the same.
    pub(super) fn index(&mut self, key: &[u8], distinct: &mut Column) -> u32 {
        let mut hasher = self.hashes.build_hasher();
        hasher.write(key);
        let hash = hasher.finish();
        let tag = (hash >> 32) as u32;
        let mask = self.slots.len() - 1;
        let mut at = hash as usize & mask;
        loop {
            let slot = self.slots[at];
            if slot.key == NO_KEY {
                let index = distinct.len() as u32;
                self.slots[at] = Slot { tag, key: index };
                distinct.push(Some(key));
                return index;
            }
            if slot.tag == tag && entry(distinct, slot.key) == key {
                return slot.key;
            }
            at = (at + 1) & mask;
        }
    }
}

/// An entry of a column in which none is absent.
pub(in crate::plugin) fn entry(column: &Column, index: u32) -> &[u8] {
    let index = index as usize;
    let start = if index == 0 { 0 } else { column.ends[index - 1] as usize };
    &column.bytes[start..column.ends[index] as usize]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(keys: &[Option<&[u8]>]) -> Column {
        let mut column = Column::default();
        keys.iter().for_each(|key| column.push(*key));
        column
    }

    #[test]
    fn equal_keys_have_one_index_in_the_order_of_their_first_event() {
        let (mut grouping, mut distinct, mut of) = (Grouping::default(), Column::default(), Vec::new());
        for _ in 0..2 {
            let keys = [
                Some(&b"b"[..]),
                None,
                Some(b""),
                Some(b"a"),
                Some(b"b"),
                None,
                Some(b""),
            ];
            grouping.group(&column(&keys), 0, &mut distinct, &mut of);
            assert_eq!(distinct, column(&[Some(b"b"), Some(b""), Some(b"a")]));
            assert_eq!(of, [0, NO_KEY, 1, 2, 0, NO_KEY, 1]);
        }
        grouping.group(&column(&[]), 0, &mut distinct, &mut of);
        assert!(distinct.is_empty() && of.is_empty());
        grouping.group(&column(&[None]), 0, &mut distinct, &mut of);
        assert!(distinct.is_empty() && of == [NO_KEY]);
    }

    #[test]
    fn many_keys_are_told_apart() {
        let keys: Vec<String> = (0..10_000u32).map(|at| (at * at % 1999).to_string()).collect();
        let keys: Vec<_> = keys.iter().map(|key| Some(key.as_bytes())).collect();
        let (mut grouping, mut distinct, mut of) = (Grouping::default(), Column::default(), Vec::new());
        grouping.group(&column(&keys), 0, &mut distinct, &mut of);
        let back: Vec<_> = of.iter().map(|&index| distinct.get(index as usize)).collect();
        assert_eq!(back, keys);
        let once: std::collections::HashSet<_> = distinct.iter().collect();
        assert_eq!(once.len(), distinct.len());
    }
}
