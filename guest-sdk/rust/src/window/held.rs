//! The open windows of each key of a batch: read when they are first needed, written when the call ends.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::state::{Changes, Postcard, codec};
use crate::{Column, Failure, Refusal};

/// An open window.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Pane<S> {
    pub(super) start: i64,
    /// Of a count window the number of its last record.
    pub(super) end: i64,
    /// When it is put out next before it closes.
    pub(super) mark: Option<i64>,
    /// Only if it does not go by time.
    pub(super) times: Option<Times>,
    pub(super) state: S,
    /// What was put out of it, if that will have to be retracted; several if sessions became one.
    pub(super) shown: Vec<Shown<S>>,
}

/// The times of a window's first and last record, in the order of their arrival, and the newest of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Times {
    pub(super) first: i64,
    pub(super) last: i64,
    pub(super) newest: i64,
}

/// A window as it was put out.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Shown<S> {
    pub(super) start: i64,
    pub(super) end: i64,
    pub(super) time: i64,
    pub(super) state: S,
}

/// All that is kept of a key.
///
/// Always: the windows are in the order of their ends, then of their starts; `timer` is set, and is not later than the
/// next moment at which something becomes of one of them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct OfKey<S> {
    /// How many records counted since there was no window last.
    pub(super) arrivals: u64,
    pub(super) timer: Option<i64>,
    pub(super) panes: Vec<Pane<S>>,
}

/// The keys of a batch.
#[derive(Debug)]
pub(super) struct Held<S> {
    store: u8,
    name: &'static str,
    stored: Column,
    keys: Vec<Option<Slot<S>>>,
    /// The keys that were changed, in the order of their first change.
    changed: Vec<u32>,
}

#[derive(Debug)]
struct Slot<S> {
    of: OfKey<S>,
    is_changed: bool,
}

impl<S> Held<S> {
    pub(super) fn begin(&mut self, store: u8, name: &'static str, keys: usize, stored: Column) {
        (self.store, self.name, self.stored) = (store, name, stored);
        self.changed.clear();
        self.keys.clear();
        self.keys.resize_with(keys, || None);
    }

    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    /// What was read of a key.
    pub(super) fn known(&mut self, key: u32) -> Option<&mut OfKey<S>> {
        self.keys[key as usize].as_mut().map(|slot| &mut slot.of)
    }
}

impl<S: Serialize + DeserializeOwned + 'static> Held<S> {
    /// What is kept of a key, to be looked at.
    #[inline]
    pub(super) fn of(&mut self, key: u32) -> Result<&mut OfKey<S>, Refusal> {
        self.slot(key).map(|slot| &mut slot.of)
    }

    /// From here on it is another than it was.
    #[inline]
    pub(super) fn change(&mut self, key: u32) {
        if let Some(slot) = &mut self.keys[key as usize]
            && !slot.is_changed
        {
            slot.is_changed = true;
            self.changed.push(key);
        }
    }

    #[inline]
    fn slot(&mut self, key: u32) -> Result<&mut Slot<S>, Refusal> {
        let slot = &mut self.keys[key as usize];
        if slot.is_none() {
            let stored = if self.stored.is_empty() {
                None
            } else {
                self.stored.get(key as usize)
            };
            let of = match stored {
                Some(bytes) => codec::read::<OfKey<S>, Postcard>(self.name, bytes)?,
                None => OfKey::default(),
            };
            *slot = Some(Slot { of, is_changed: false });
        }
        slot.as_mut().ok_or_else(|| crate::fail("a key is not known"))
    }

    pub(super) fn finish(&mut self, into: &mut Changes) -> Result<(), Failure> {
        into.reserve(self.changed.len(), self.stored.bytes.len());
        for &key in &self.changed {
            let Some(slot) = &self.keys[key as usize] else {
                continue;
            };
            if !slot.of.panes.is_empty() {
                let write = |bytes: &mut Vec<u8>| codec::write::<OfKey<S>, Postcard>(self.name, &slot.of, bytes);
                into.put_written(self.store, key, write)
                    .map_err(|refusal| Failure::Fail(refusal.reason().to_owned()))?;
            } else if !self.stored.is_empty() && self.stored.get(key as usize).is_some() {
                into.delete(self.store, key, None);
            }
        }
        Ok(())
    }
}

impl<S> Default for Held<S> {
    fn default() -> Self {
        Self {
            store: 0,
            name: "",
            stored: Column::default(),
            keys: Vec::new(),
            changed: Vec::new(),
        }
    }
}

impl<S> Default for OfKey<S> {
    fn default() -> Self {
        Self {
            arrivals: 0,
            timer: None,
            panes: Vec::new(),
        }
    }
}
