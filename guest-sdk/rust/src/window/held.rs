//! The open windows of each key of a batch: read when they are first needed, written when the call ends.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::aggregate::Aggregate;
use crate::state::{Changes, Codec, Postcard, codec, wire};
use crate::{Column, Failure, Refusal};

/// More room than for so many windows, or for so many bytes of state, is not kept from one batch to the next.
const SPARE_MAX: usize = 16;
const SPARE_BYTES_MAX: usize = 512;

/// An open window.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Pane<S> {
    pub(super) start: i64,
    /// Of a count window the number of its last record.
    pub(super) end: i64,
    /// When it is put out next before it closes.
    pub(super) mark: Option<i64>,
    /// Only if it does not go by time. Most do, and keep no more than the pointer for it.
    pub(super) times: Option<Box<Times>>,
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
    /// Room for windows and their states, which the batches before made.
    spare: Vec<Vec<Pane<S>>>,
}

#[derive(Debug)]
struct Slot<S> {
    of: OfKey<S>,
    is_changed: bool,
    /// As many bytes as it was last read from, or written to.
    bytes: usize,
}

impl<S> Held<S> {
    pub(super) fn begin(&mut self, store: u8, name: &'static str, keys: usize, stored: Column) {
        (self.store, self.name, self.stored) = (store, name, stored);
        self.changed.clear();
        for slot in self.keys.drain(..).flatten() {
            if slot.bytes <= SPARE_BYTES_MAX && slot.of.panes.capacity() <= SPARE_MAX {
                self.spare.push(slot.of.panes);
            }
        }
        self.spare.truncate(keys);
        self.keys.resize_with(keys, || None);
    }

    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    /// What was read of a key.
    pub(super) fn known(&mut self, key: u32) -> Option<&mut OfKey<S>> {
        self.keys[key as usize].as_mut().map(|slot| &mut slot.of)
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
}

impl<S: Serialize + DeserializeOwned + 'static> Held<S> {
    /// What is kept of a key, to be looked at.
    #[inline]
    pub(super) fn of<A: Aggregate<State = S>>(&mut self, key: u32, aggregate: &A) -> Result<&mut OfKey<S>, Refusal> {
        let slot = &mut self.keys[key as usize];
        if slot.is_none() {
            let room = self.spare.pop().unwrap_or_default();
            *slot = Some(match stored_of(&self.stored, key) {
                Some(bytes) => Slot {
                    of: OfKey::read(bytes, room, aggregate).map_err(|why| codec::unreadable(self.name, &why))?,
                    is_changed: false,
                    bytes: bytes.len(),
                },
                None => Slot::new(room),
            });
        }
        let slot = slot.as_mut().ok_or_else(|| crate::fail("a key is not known"))?;
        Ok(&mut slot.of)
    }

    pub(super) fn finish<A: Aggregate<State = S>>(&mut self, aggregate: &A, into: &mut Changes) -> Result<(), Failure> {
        into.reserve(self.changed.len(), self.stored.bytes.len());
        for &key in &self.changed {
            let Some(slot) = &mut self.keys[key as usize] else {
                continue;
            };
            if !slot.of.panes.is_empty() {
                let write = |bytes: &mut Vec<u8>| {
                    let start = bytes.len();
                    slot.of.write(aggregate, bytes)?;
                    slot.bytes = bytes.len() - start;
                    Ok(())
                };
                into.put_written(self.store, key, write)
                    .map_err(|why: String| Failure::Fail(codec::unwritable(self.name, &why).reason().to_owned()))?;
            } else if stored_of(&self.stored, key).is_some() {
                into.delete(self.store, key, None);
            }
        }
        Ok(())
    }
}

impl<S> Slot<S> {
    /// Of a key of which nothing is known.
    fn new(mut room: Vec<Pane<S>>) -> Self {
        room.clear();
        Self {
            of: OfKey {
                panes: room,
                ..OfKey::default()
            },
            is_changed: false,
            bytes: 0,
        }
    }
}

fn stored_of(stored: &Column, key: u32) -> Option<&[u8]> {
    match stored.is_empty() {
        true => None,
        false => stored.get(key as usize),
    }
}

impl<S: Serialize + DeserializeOwned + 'static> OfKey<S> {
    /// As postcard reads it, but into room that is there.
    fn read<A: Aggregate<State = S>>(bytes: &[u8], room: Vec<Pane<S>>, aggregate: &A) -> Result<Self, String> {
        let mut of = Self {
            panes: room,
            ..Self::default()
        };
        match of.read_quickly(bytes, aggregate) {
            Some(()) => Ok(of),
            None => Postcard::read(bytes),
        }
    }

    /// `None`: it is wrong, or something in it is seldom.
    fn read_quickly<A: Aggregate<State = S>>(&mut self, bytes: &[u8], aggregate: &A) -> Option<()> {
        let from = &mut { bytes };
        self.arrivals = wire::read_u64(from)?;
        self.timer = wire::read_option(from, wire::read_i64)?;
        let count = usize::try_from(wire::read_u64(from)?).ok()?;
        self.panes.truncate(count);
        for at in 0..count {
            if at == self.panes.len() {
                self.panes.push(Pane::new(0, 0, aggregate.empty()));
            }
            self.panes[at].read(from, aggregate)?;
        }
        from.is_empty().then_some(())
    }

    fn write<A: Aggregate<State = S>>(&self, aggregate: &A, into: &mut Vec<u8>) -> Result<(), String> {
        wire::write_u64(self.arrivals, into);
        wire::write_option(self.timer, into, wire::write_i64);
        wire::write_u64(self.panes.len() as u64, into);
        let mut panes = self.panes.iter();
        panes.try_for_each(|pane| pane.write(aggregate, into))
    }
}

impl<S: Serialize + DeserializeOwned + 'static> Pane<S> {
    /// A window without records.
    pub(super) fn new(start: i64, end: i64, state: S) -> Self {
        Self {
            start,
            end,
            mark: None,
            times: None,
            state,
            shown: Vec::new(),
        }
    }

    #[inline]
    fn read<A: Aggregate<State = S>>(&mut self, from: &mut &[u8], aggregate: &A) -> Option<()> {
        self.start = wire::read_i64(from)?;
        self.end = wire::read_i64(from)?;
        self.mark = wire::read_option(from, wire::read_i64)?;
        self.times = wire::read_option(from, Times::read)?.map(Box::new);
        aggregate.read_state(from, &mut self.state)?;
        match from.split_first()? {
            (0, rest) => {
                self.shown.clear();
                *from = rest;
            }
            _ => (self.shown, *from) = postcard::take_from_bytes(from).ok()?,
        }
        Some(())
    }

    #[inline]
    fn write<A: Aggregate<State = S>>(&self, aggregate: &A, into: &mut Vec<u8>) -> Result<(), String> {
        wire::write_i64(self.start, into);
        wire::write_i64(self.end, into);
        wire::write_option(self.mark, into, wire::write_i64);
        wire::write_option(self.times.as_deref(), into, Times::write);
        aggregate.write_state(&self.state, into)?;
        match self.shown.is_empty() {
            true => {
                into.push(0);
                Ok(())
            }
            false => Postcard::write(&self.shown, into),
        }
    }
}

impl Times {
    /// Of the first record.
    pub(super) fn of_one(time: i64) -> Self {
        Self {
            first: time,
            last: time,
            newest: time,
        }
    }

    fn read(from: &mut &[u8]) -> Option<Self> {
        Some(Self {
            first: wire::read_i64(from)?,
            last: wire::read_i64(from)?,
            newest: wire::read_i64(from)?,
        })
    }

    fn write(&self, into: &mut Vec<u8>) {
        [self.first, self.last, self.newest]
            .into_iter()
            .for_each(|time| wire::write_i64(time, into));
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
    use crate::window::{Count, Max};

    type States = (u64, Option<String>);

    fn read(bytes: &[u8], room: Vec<Pane<States>>) -> Result<OfKey<States>, String> {
        OfKey::read(bytes, room, &(Count, Max::<String>::default()))
    }

    fn pane(number: i64) -> Pane<States> {
        let time = |number: i64| (number % 3 == 0).then_some(number - 3);
        let state = (7 << number, (number % 2 == 0).then(|| "x".to_owned()));
        let shown = Shown {
            start: number,
            end: number + 1,
            time: -number,
            state: state.clone(),
        };
        Pane {
            start: -5,
            end: number << 40,
            mark: time(number),
            times: time(number + 1).map(|first| {
                Box::new(Times {
                    first,
                    last: first << 50,
                    newest: i64::MAX,
                })
            }),
            state,
            shown: vec![shown; number as usize % 2],
        }
    }

    #[test]
    fn what_postcard_writes_is_written_and_read_and_what_it_would_not_read_is_not() {
        for count in [0, 1, 3, 12] {
            let of = OfKey {
                arrivals: 900,
                timer: (count % 2 == 0).then_some(-1),
                panes: (0..count).map(pane).collect(),
            };
            let mut bytes = Vec::new();
            Postcard::write(&of, &mut bytes).unwrap();
            let mut written = Vec::new();
            of.write(&(Count, Max::default()), &mut written).unwrap();
            assert_eq!(written, bytes);
            // Of what stood in the room nothing is left.
            for room in [0, 1, 2, 20] {
                let room = (3..3 + room).map(pane).collect();
                assert_eq!(format!("{:?}", read(&bytes, room).unwrap()), format!("{of:?}"));
            }
            bytes.push(0);
            for end in (0..bytes.len() - 1).chain([bytes.len()]) {
                assert!(read(&bytes[..end], Vec::new()).is_err(), "{end} bytes");
            }
            bytes.pop();
            for at in 0..bytes.len() {
                for change in [1, 0x80, 0xff] {
                    let mut bytes = bytes.clone();
                    bytes[at] ^= change;
                    let expected = <Postcard as Codec<OfKey<States>>>::read(&bytes);
                    let is = read(&bytes, (0..2).map(pane).collect());
                    assert_eq!(format!("{is:?}"), format!("{expected:?}"), "{bytes:?}");
                }
            }
        }
        let endless = [0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
        assert!(read(&endless, Vec::new()).is_err());
    }
}
