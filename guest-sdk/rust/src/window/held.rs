//! The open windows of each key of a batch: read when they are first needed, written when the call ends.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::state::{Changes, Postcard, codec};
use crate::{Column, Failure, Refusal};

/// More room than for so many windows is not kept from one batch to the next.
const SPARE_MAX: usize = 16;

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
    /// Room for windows, which the batches before made.
    spare: Vec<Vec<Pane<S>>>,
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
        for mut slot in self.keys.drain(..).flatten() {
            if slot.of.panes.capacity() <= SPARE_MAX {
                slot.of.panes.clear();
                self.spare.push(slot.of.panes);
            }
        }
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
            let room = self.spare.pop().unwrap_or_default();
            let of = match stored {
                Some(bytes) => OfKey::read(bytes, room).map_err(|why| codec::unreadable(self.name, &why))?,
                None => OfKey {
                    panes: room,
                    ..OfKey::default()
                },
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

impl<S: DeserializeOwned> OfKey<S> {
    /// As postcard reads it, but into room that is there.
    fn read(bytes: &[u8], mut panes: Vec<Pane<S>>) -> Result<Self, String> {
        let error = |error: postcard::Error| error.to_string();
        let ((arrivals, timer, count), mut rest) =
            postcard::take_from_bytes::<(u64, Option<i64>, u64)>(bytes).map_err(error)?;
        for _ in 0..count {
            let (pane, behind) = postcard::take_from_bytes(rest).map_err(error)?;
            panes.push(pane);
            rest = behind;
        }
        match rest.len() {
            0 => Ok(Self { arrivals, timer, panes }),
            left => Err(format!("{left} bytes are left over")),
        }
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
            spare: Vec::new(),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_postcard_writes_is_read_and_what_it_would_not_read_is_not() {
        let pane = |end: i64| Pane {
            start: -5,
            end,
            mark: Some(end - 3),
            times: None,
            state: (7u64, "x".to_owned()),
            shown: Vec::new(),
        };
        for count in [0, 1, 3] {
            let of = OfKey {
                arrivals: 900,
                timer: Some(-1),
                panes: (0..count).map(pane).collect(),
            };
            let mut bytes = Vec::new();
            codec::write::<_, Postcard>("store", &of, &mut bytes).unwrap();
            let read = OfKey::<(u64, String)>::read(&bytes, Vec::new()).unwrap();
            assert_eq!(format!("{read:?}"), format!("{of:?}"));
            bytes.push(0);
            for end in (0..bytes.len() - 1).chain([bytes.len()]) {
                assert!(
                    OfKey::<(u64, String)>::read(&bytes[..end], Vec::new()).is_err(),
                    "{end} bytes"
                );
            }
        }
        let endless = [0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
        assert!(OfKey::<(u64, String)>::read(&endless, Vec::new()).is_err());
    }
}
