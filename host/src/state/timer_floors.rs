//! A timer's key in the state, and where the timers of a store begin: nothing is read as long as nothing can be due,
//! and what fired is not gone through again.
//!
//! ```text
//! user key: time, i64 BE with its sign turned | name | 0x00 | key
//! ```
//!
//! Always: below a store's floor there is no timer.

use super::keys::StoreId;
use std::collections::HashMap;

/// A timer, as it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeptTimer<'a> {
    /// When it is due, in milliseconds since 1970.
    pub at: i64,
    /// Its name in the plugin.
    pub name: &'a str,
    /// The key that it was set for.
    pub key: &'a [u8],
}

impl<'a> KeptTimer<'a> {
    /// Writes the user key; `into` is cleared first.
    pub(super) fn write(&self, into: &mut Vec<u8>) {
        into.clear();
        into.extend_from_slice(&turned(self.at).to_be_bytes());
        into.extend_from_slice(self.name.as_bytes());
        into.push(0);
        into.extend_from_slice(self.key);
    }

    /// The timer that has this user key; `None`: it is none.
    pub fn read(user_key: &'a [u8]) -> Option<Self> {
        let (at, rest) = user_key.split_first_chunk::<8>()?;
        let end = rest.iter().position(|&byte| byte == 0)?;
        Some(Self {
            at: turned(i64::from_be_bytes(*at)),
            name: std::str::from_utf8(&rest[..end]).ok()?,
            key: &rest[end + 1..],
        })
    }
}

/// With its sign turned a number's bytes lie in the order of the numbers.
fn turned(at: i64) -> i64 {
    at ^ i64::MIN
}

/// For each store of timers the user key below which it has none: as it is now, and as it was after the last batch that
/// was kept.
#[derive(Debug, Default)]
pub(super) struct TimerFloors {
    now: HashMap<StoreId, Floor>,
    kept: HashMap<StoreId, Floor>,
    has_moved: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Floor {
    From(Vec<u8>),
    /// There is no timer at all.
    None,
}

impl TimerFloors {
    /// The changes since the last call stay.
    pub(super) fn keep(&mut self) {
        if std::mem::take(&mut self.has_moved) {
            self.kept.clone_from(&self.now);
        }
    }

    /// The changes since the last `keep` were never made.
    pub(super) fn undo(&mut self) {
        if std::mem::take(&mut self.has_moved) {
            self.now.clone_from(&self.kept);
        }
    }

    /// Nothing is known any more.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    pub(super) fn set(&mut self, store: StoreId, floor: Floor) {
        self.has_moved = true;
        self.now.insert(store, floor);
    }

    /// A timer is set: if it lies below the floor, the floor is there now.
    pub(super) fn lower(&mut self, store: StoreId, user_key: &[u8]) {
        let is_below = match self.now.get(&store) {
            Some(Floor::From(floor)) => user_key < &floor[..],
            Some(Floor::None) => true,
            // Everything is above an unknown one.
            None => false,
        };
        if is_below {
            self.set(store, Floor::From(user_key.to_vec()));
        }
    }

    /// Whether the store may have a timer at `until` or before.
    pub(super) fn may_have(&self, store: StoreId, until: i64) -> bool {
        match self.now.get(&store) {
            Some(Floor::From(floor)) => floor[..] < *behind(until),
            Some(Floor::None) => false,
            None => true,
        }
    }

    pub(super) fn from(&self, store: StoreId) -> Vec<u8> {
        match self.now.get(&store) {
            Some(Floor::From(floor)) => floor.clone(),
            _ => Vec::new(),
        }
    }
}

/// The first user key behind all timers at `until`.
pub(super) fn behind(until: i64) -> Vec<u8> {
    match until.checked_add(1) {
        Some(next) => turned(next).to_be_bytes().to_vec(),
        // No timer's key begins with more.
        None => vec![0xff; 9],
    }
}
