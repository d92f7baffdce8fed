//! A plugin's state in memory.

use std::collections::{BTreeMap, BTreeSet};

use crate::Column;
use crate::bindings::sandbar::plugin::batches;

/// What the stores hold, by their numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) values: BTreeMap<(u8, Vec<u8>), Vec<u8>>,
    pub(super) items: BTreeMap<(u8, Vec<u8>), Vec<Vec<u8>>>,
    pub(super) entries: BTreeMap<(u8, Vec<u8>, Vec<u8>), Vec<u8>>,
}

/// A timer: its time, name and key.
pub(super) type Pending = (i64, String, Vec<u8>);

/// All that is kept of a plugin: what [`Host::restore`](super::Host::restore) takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    pub(super) held: Held,
    pub(super) timers: BTreeSet<Pending>,
    pub(super) watermark: i64,
}

impl Snapshot {
    /// The same while event time stands at another moment: keys may move to a task whose event time is behind.
    #[must_use]
    pub fn at_watermark(mut self, watermark: i64) -> Self {
        self.watermark = watermark;
        self
    }
}

impl Held {
    /// Applies what a call changes; `is_map` says which stores are maps.
    pub(super) fn apply(&mut self, changes: batches::Changes, keys: &[Vec<u8>], is_map: impl Fn(u8) -> bool) {
        let (user_keys, values) = (Column::from(changes.user_key), Column::from(changes.value));
        for at in 0..changes.store.len() {
            let (store, key) = (changes.store[at], keys[changes.key[at] as usize].clone());
            let own = user_keys.get(at).map(<[u8]>::to_vec);
            let value = values.get(at).map(<[u8]>::to_vec).unwrap_or_default();
            match (Kind::of(changes.kind[at]), own) {
                (Kind::Put, None) => drop(self.values.insert((store, key), value)),
                (Kind::Put, Some(own)) => drop(self.entries.insert((store, key, own), value)),
                (Kind::Delete, None) => drop(self.values.remove(&(store, key))),
                (Kind::Delete, Some(own)) => drop(self.entries.remove(&(store, key, own))),
                (Kind::Append, _) => self.items.entry((store, key)).or_default().push(value),
                (Kind::Clear, _) if is_map(store) => self
                    .entries
                    .retain(|(of, under, _), _| (*of, &under[..]) != (store, &key[..])),
                (Kind::Clear, _) => drop(self.items.remove(&(store, key))),
            }
        }
    }
}

/// A kind of change.
enum Kind {
    Put,
    Delete,
    Append,
    Clear,
}

impl Kind {
    fn of(number: u8) -> Self {
        match number {
            0 => Self::Put,
            1 => Self::Delete,
            2 => Self::Append,
            _ => Self::Clear,
        }
    }
}
