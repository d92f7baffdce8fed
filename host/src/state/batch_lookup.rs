//! A batch's lookup of keys, and where each was found: memory that is used again.

use super::keys::StoreId;
use super::overlay::{Candidate, Overlay};

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
    /// Of every key that is there, its slot in the overlay; and what it was found by.
    pub(super) slots: Vec<Option<u32>>,
    pub(super) candidates: Vec<Candidate>,
}

impl BatchLookup {
    pub(super) fn clear(&mut self) {
        self.keys.clear();
        self.ends.clear();
        self.found.clear();
        self.cached.clear();
        self.misses.clear();
        self.slots.clear();
    }

    pub(super) fn key(&self, at: usize) -> &[u8] {
        let start = at.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.keys[start..self.ends[at]]
    }

    /// Fills `slots`.
    pub(super) fn find_in(&mut self, overlay: &Overlay) {
        let Self {
            keys,
            ends,
            slots,
            candidates,
            ..
        } = self;
        let starts = std::iter::once(&0).chain(ends.iter());
        let whole = starts.zip(ends.iter()).map(|(start, end)| &keys[*start..*end]);
        overlay.find_entries(whole, candidates, slots);
    }

    /// The keys that the overlay does not know.
    pub(super) fn unknown(&self) -> impl Iterator<Item = &[u8]> {
        let slots = self.slots.iter().enumerate();
        slots.filter(|(_, slot)| slot.is_none()).map(|(at, _)| self.key(at))
    }

    /// The keys that RocksDB has to be asked for.
    pub(super) fn missed(&self) -> impl Iterator<Item = &[u8]> {
        self.misses.iter().map(|&at| self.key(at))
    }
}

/// The overlay's slots of the keys whose values were looked up last. Hints: the overlay changes behind them.
#[derive(Default)]
pub(super) struct LikelySlots {
    store: Option<StoreId>,
    slots: Vec<Option<u32>>,
}

impl LikelySlots {
    /// The keys of a look-up, of which the first one stands at that place among all.
    pub(super) fn add(&mut self, store: StoreId, first: usize, lookup: &BatchLookup) {
        if first == 0 || self.store != Some(store) {
            self.slots.clear();
        }
        self.store = Some(store);
        self.slots.resize(first, None);
        self.slots.extend(lookup.found.iter().map(|found| match found {
            Where::Overlay(slot) => Some(*slot),
            Where::Nowhere | Where::Cache(..) | Where::RocksDb => None,
        }));
    }

    /// Where the key at that place among all is, if it is still there.
    pub(super) fn slot(&self, store: StoreId, place: usize) -> Option<u32> {
        let slots = (self.store == Some(store)).then_some(&self.slots)?;
        slots.get(place).copied().flatten()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::store_id;

    #[test]
    fn each_key_is_found_in_the_slot_that_the_overlay_has_for_it() {
        let (mut overlay, mut lookup) = (Overlay::default(), BatchLookup::default());
        let key = |number: u32| (number * 7).to_string().into_bytes();
        (0..1000).for_each(|number| overlay.put(&key(number), b"v", None));
        overlay.delete(&key(500));
        overlay.clear_map(&key(1001));
        for number in (0..1100).rev() {
            lookup.keys.extend(key(number));
            lookup.ends.push(lookup.keys.len());
        }
        lookup.find_in(&overlay);
        let expected = (0..1100).rev().map(|number| (number < 1000).then_some(number));
        assert_eq!(lookup.slots, expected.collect::<Vec<_>>());
        assert_eq!(lookup.unknown().count(), 100);
    }

    #[test]
    fn what_was_looked_up_in_parts_is_likely_where_it_was_found_and_of_no_other_store() {
        let mut likely = LikelySlots::default();
        let of = |found: &[Where]| BatchLookup {
            found: found.to_vec(),
            ..BatchLookup::default()
        };
        let (one, other) = (store_id("op", "one"), store_id("op", "other"));
        likely.add(one, 0, &of(&[Where::Overlay(7), Where::Nowhere]));
        likely.add(one, 2, &of(&[Where::RocksDb, Where::Overlay(8)]));
        let slots = |likely: &LikelySlots, store| (0..5).map(|place| likely.slot(store, place)).collect::<Vec<_>>();
        assert_eq!(slots(&likely, one), [Some(7), None, None, Some(8), None]);
        assert_eq!(slots(&likely, other), [None; 5]);
        likely.add(other, 1, &of(&[Where::Overlay(9)]));
        assert_eq!(slots(&likely, other), [None, Some(9), None, None, None]);
        likely.add(other, 0, &of(&[Where::Overlay(1)]));
        assert_eq!(slots(&likely, other), [Some(1), None, None, None, None]);
    }
}
