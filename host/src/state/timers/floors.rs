//! A timer's key in the state, and where the timers of a store begin and end: nothing is read as long as nothing can be
//! due, what fired is not gone through again, and a timer that comes and goes within a commit leaves nothing to apply.
//!
//! ```text
//! user key: time, i64 BE with its sign turned | name | 0x00 | key
//! ```
//!
//! Always: below a store's floor there is no timer; none that is applied is due later than [`Last`] says.

use crate::state::StoreId;

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
    pub(in crate::state) fn write(&self, into: &mut Vec<u8>) {
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

/// What is known of the timers of each store without reading them. There are few stores: they are gone through.
#[derive(Debug, Default)]
pub(in crate::state) struct TimerFloors {
    stores: Vec<KnownTimers>,
    has_moved: bool,
}

/// The user key below which a store has no timer: as it is now, and as it was after the last batch that was kept;
/// nothing as long as it is not known. And when its last ones are due, which no undo takes back: too late a time is
/// never wrong, it only makes less of what is set new.
#[derive(Debug)]
struct KnownTimers {
    store: StoreId,
    now: Option<Floor>,
    kept: Option<Floor>,
    last: Last,
}

/// When the last timer of a store is due.
#[derive(Debug, Clone, Copy)]
struct Last {
    /// Of those that are applied, the least number if there are none; nothing as long as it is not known.
    applied: Option<i64>,
    /// Of all that were set since the last commit, also if they were cleared again.
    set: i64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::state) enum Floor {
    From(Vec<u8>),
    /// There is no timer at all.
    None,
}

impl TimerFloors {
    /// The changes since the last call stay.
    pub(in crate::state) fn keep(&mut self) {
        if std::mem::take(&mut self.has_moved) {
            self.stores.iter_mut().for_each(|of| of.kept.clone_from(&of.now));
        }
    }

    /// The changes since the last `keep` were never made.
    pub(in crate::state) fn undo(&mut self) {
        if std::mem::take(&mut self.has_moved) {
            self.stores.iter_mut().for_each(|of| of.now.clone_from(&of.kept));
        }
    }

    /// Nothing is known any more.
    pub(in crate::state) fn forget(&mut self) {
        *self = Self::default();
    }

    pub(in crate::state) fn set(&mut self, store: StoreId, floor: Floor) {
        self.of_or_new(store).now = Some(floor);
        self.has_moved = true;
    }

    /// A timer is set: if it lies below the floor, the floor is there now. True: none that is due at that time is
    /// applied.
    pub(in crate::state) fn add(&mut self, store: StoreId, user_key: &[u8], at: i64) -> bool {
        let of = self.of_or_new(store);
        of.last.set = of.last.set.max(at);
        let is_new = of.last.applied.is_some_and(|applied| at > applied);
        let is_below = match &of.now {
            Some(Floor::From(floor)) => user_key < &floor[..],
            Some(Floor::None) => true,
            // Everything is above an unknown one.
            None => false,
        };
        if is_below {
            self.set(store, Floor::From(user_key.to_vec()));
        }
        is_new
    }

    /// Whether it is known when the last timer that is applied is due.
    pub(in crate::state) fn knows_last_applied(&self, store: StoreId) -> bool {
        self.known(store).is_some_and(|of| of.last.applied.is_some())
    }

    /// When the last timer that is applied is due; the least number: there is none.
    pub(in crate::state) fn set_last_applied(&mut self, store: StoreId, at: i64) {
        self.of_or_new(store).last.applied = Some(at);
    }

    /// All that was set is applied.
    pub(in crate::state) fn apply(&mut self) {
        for KnownTimers { last, .. } in &mut self.stores {
            let set = std::mem::replace(&mut last.set, i64::MIN);
            last.applied = last.applied.map(|applied| applied.max(set));
        }
    }

    /// Whether the store may have a timer at `until` or before.
    pub(in crate::state) fn may_have(&self, store: StoreId, until: i64) -> bool {
        match self.floor(store) {
            Some(Floor::From(floor)) => floor[..] < *behind(until),
            Some(Floor::None) => false,
            None => true,
        }
    }

    pub(in crate::state) fn from(&self, store: StoreId) -> Vec<u8> {
        match self.floor(store) {
            Some(Floor::From(floor)) => floor.clone(),
            _ => Vec::new(),
        }
    }

    fn floor(&self, store: StoreId) -> Option<&Floor> {
        self.known(store).and_then(|of| of.now.as_ref())
    }

    fn known(&self, store: StoreId) -> Option<&KnownTimers> {
        self.stores.iter().find(|of| of.store == store)
    }

    fn of_or_new(&mut self, store: StoreId) -> &mut KnownTimers {
        let place = self.stores.iter().position(|of| of.store == store);
        let place = place.unwrap_or_else(|| {
            self.stores.push(KnownTimers::unknown(store));
            self.stores.len() - 1
        });
        &mut self.stores[place]
    }
}

impl KnownTimers {
    fn unknown(store: StoreId) -> Self {
        Self {
            store,
            now: None,
            kept: None,
            last: Last {
                applied: None,
                set: i64::MIN,
            },
        }
    }
}

/// The first user key behind all timers at `until`.
pub(in crate::state) fn behind(until: i64) -> Vec<u8> {
    match until.checked_add(1) {
        Some(next) => turned(next).to_be_bytes().to_vec(),
        // No timer's key begins with more.
        None => vec![0xff; 9],
    }
}
