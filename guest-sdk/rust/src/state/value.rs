//! One value a key.

use std::marker::PhantomData;

use super::codec::{self, Codec, Postcard};
use super::stores::{Changes, Kept, Store};
use crate::bindings::sandbar::plugin::types::StoreKind;
use crate::{Column, Failure, Keyed, Refusal};

/// Bytes that were overwritten in a batch are given up once they are half of so many and more.
const GARBAGE: usize = 256 << 10;

/// A value for each key. It travels with the batch: reading costs no call of the host.
pub struct Value<T, C = Postcard> {
    latest: Latest,
    of: PhantomData<fn() -> (T, C)>,
}

impl<T, C> Value<T, C> {
    /// Whether it was declared, and a call has begun.
    pub(super) fn is_begun(&self) -> bool {
        !self.latest.name.is_empty()
    }
}

impl<T: 'static, C: Codec<T>> Value<T, C> {
    /// The value of the key; `None`: it has none.
    ///
    /// # Errors
    /// A record without a key is a dead letter. Bytes that are no such value stop the pipeline.
    #[inline]
    pub fn get(&self, of: &impl Keyed) -> Result<Option<T>, Refusal> {
        let bytes = self.latest.get(of.key_index()?);
        bytes
            .map(|bytes| codec::read::<T, C>(self.latest.name, bytes))
            .transpose()
    }

    /// Sets the value of the key.
    ///
    /// # Errors
    /// A record without a key is a dead letter. A value that cannot be written stops the pipeline.
    #[inline]
    pub fn set(&mut self, of: &impl Keyed, value: &T) -> Result<(), Refusal> {
        let key = of.key_index()?;
        self.latest.note(of.turn(), key);
        let start = self.latest.own.len();
        codec::write::<T, C>(self.latest.name, value, &mut self.latest.own)?;
        self.latest.replace(
            key,
            Now::Own {
                start,
                end: self.latest.own.len(),
            },
        );
        Ok(())
    }

    /// Takes the value of the key away.
    ///
    /// # Errors
    /// A record without a key is a dead letter.
    pub fn delete(&mut self, of: &impl Keyed) -> Result<(), Refusal> {
        let key = of.key_index()?;
        self.latest.note(of.turn(), key);
        self.latest.replace(key, Now::Absent);
        Ok(())
    }
}

/// The latest bytes of each key of a batch.
#[derive(Debug, Default)]
struct Latest {
    store: u8,
    name: &'static str,
    /// What travelled with the batch.
    before: Vec<u8>,
    keys: Vec<Key>,
    /// What the batch wrote, and how much of it no key stands at any more.
    own: Vec<u8>,
    garbage: usize,
    /// The keys that were changed, in the order of their first change.
    changed: Vec<u32>,
    /// The turn that wrote last, its key, and what that was before the turn.
    undo: Option<(u32, u32, Now)>,
}

#[derive(Debug, Clone, Copy)]
struct Key {
    now: Now,
    /// The state held a value before the batch.
    is_stored: bool,
    is_changed: bool,
}

#[derive(Debug, Clone, Copy)]
enum Now {
    Absent,
    Before { start: usize, end: usize },
    Own { start: usize, end: usize },
}

impl Now {
    /// Bytes among those that the batch wrote.
    #[inline]
    fn own_bytes(self) -> usize {
        match self {
            Now::Own { start, end } => end - start,
            Now::Absent | Now::Before { .. } => 0,
        }
    }
}

impl Latest {
    #[inline]
    fn get(&self, key: u32) -> Option<&[u8]> {
        match self.keys[key as usize].now {
            Now::Absent => None,
            Now::Before { start, end } => Some(&self.before[start..end]),
            Now::Own { start, end } => Some(&self.own[start..end]),
        }
    }

    /// Before a turn's first write remembers what was.
    #[inline]
    fn note(&mut self, turn: u32, key: u32) {
        if self.undo.is_some_and(|(last, _, _)| last == turn) {
            return;
        }
        // What the turns before overwrote nobody needs any more.
        if self.garbage > GARBAGE && self.garbage > self.own.len() / 2 {
            self.compact();
        }
        self.undo = Some((turn, key, self.keys[key as usize].now));
    }

    /// A key stands at bytes that were just written, or at none.
    #[inline]
    fn replace(&mut self, key: u32, now: Now) {
        let slot = &mut self.keys[key as usize];
        self.garbage += slot.now.own_bytes();
        slot.now = now;
        if !slot.is_changed {
            slot.is_changed = true;
            self.changed.push(key);
        }
    }

    /// A key stands again where it stood: these bytes are no garbage any more.
    fn put_back(&mut self, key: u32, before: Now) {
        self.replace(key, before);
        self.garbage -= before.own_bytes();
    }

    fn compact(&mut self) {
        let mut live = Vec::with_capacity(self.own.len() - self.garbage);
        for &key in &self.changed {
            if let Now::Own { start, end } = &mut self.keys[key as usize].now {
                let at = live.len();
                live.extend_from_slice(&self.own[*start..*end]);
                (*start, *end) = (at, live.len());
            }
        }
        (self.own, self.garbage) = (live, 0);
    }
}

impl<T: 'static, C: Codec<T>> Store for Value<T, C> {
    const KIND: StoreKind = StoreKind::Value;
    const CODEC: &'static str = C::NAME;

    fn schema() -> serde_json::Value {
        C::schema().unwrap_or_else(|| serde_json::json!({}))
    }
}

impl<T: 'static, C: 'static> Kept for Value<T, C> {
    fn begin(&mut self, store: u8, name: &'static str, keys: usize, values: Column) {
        let latest = &mut self.latest;
        (latest.store, latest.name) = (store, name);
        latest.own.clear();
        latest.changed.clear();
        (latest.garbage, latest.undo) = (0, None);
        latest.keys.clear();
        let mut start = 0;
        latest.keys.extend(values.ends.iter().map(|&end| {
            let now = Now::Before {
                start,
                end: end as usize,
            };
            start = end as usize;
            Key {
                now,
                is_stored: true,
                is_changed: false,
            }
        }));
        // If no values travelled, in a test of the author's, nothing is stored.
        let nothing = Key {
            now: Now::Absent,
            is_stored: false,
            is_changed: false,
        };
        latest.keys.resize(keys, nothing);
        for &absent in &values.absent {
            latest.keys[absent as usize] = nothing;
        }
        latest.before = values.bytes;
    }

    fn undo(&mut self, turn: u32) {
        if let Some((_, key, before)) = self.latest.undo.take_if(|(last, _, _)| *last == turn) {
            self.latest.put_back(key, before);
        }
    }

    fn finish(&mut self, into: &mut Changes) -> Result<(), Failure> {
        let latest = &self.latest;
        into.reserve(latest.changed.len(), latest.own.len() - latest.garbage);
        for &key in &latest.changed {
            let Key { now, is_stored, .. } = latest.keys[key as usize];
            match now {
                Now::Own { start, end } => into.put(latest.store, key, None, &latest.own[start..end]),
                Now::Absent if is_stored => into.delete(latest.store, key, None),
                // It is what it was: what was written was taken away again, or refused.
                Now::Absent | Now::Before { .. } => {}
            }
        }
        Ok(())
    }
}

impl<T, C> Default for Value<T, C> {
    fn default() -> Self {
        Self {
            latest: Latest::default(),
            of: PhantomData,
        }
    }
}

impl<T, C> std::fmt::Debug for Value<T, C> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_tuple("Value").field(&self.latest.name).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STORE: &str = "store";

    /// A batch of so many events, all of one key.
    fn batch(events: usize) -> crate::Batch {
        let mut keys = Column::default();
        keys.push(Some(b"hot"));
        let mut batch = crate::Batch::default();
        batch.keys = keys;
        batch.key_of = vec![0; events];
        batch.timestamps = vec![0; events];
        batch
    }

    fn begun(events: usize) -> (crate::Batch, Value<Vec<u8>, crate::Raw>) {
        let mut value = Value::default();
        value.begin(0, STORE, 1, Column::default());
        (batch(events), value)
    }

    #[test]
    fn refused_writes_of_a_hot_key_leave_it_as_it_was_however_many_they_are() {
        let (batch, mut value) = begun(60);
        let kept = vec![1; 100 << 10];
        value.set(&batch.event(0), &kept).unwrap();
        for refused in 1..59 {
            let event = batch.event(refused);
            value.set(&event, &vec![2; 100 << 10]).unwrap();
            value.set(&event, &vec![3; 1 << 10]).unwrap();
            value.undo(refused as u32);
            assert_eq!(
                value.get(&event),
                Ok(Some(kept.clone())),
                "after {refused} refused ones"
            );
            let latest = &value.latest;
            assert_eq!(latest.own.len() - latest.garbage, kept.len(), "what is live is counted");
            assert!(latest.own.len() < 4 * GARBAGE, "{} bytes are held", latest.own.len());
        }
        let last = batch.event(59);
        value.set(&last, &vec![4; 7]).unwrap();
        assert_eq!(value.get(&last), Ok(Some(vec![4; 7])));
        assert_eq!(value.latest.own.len() - value.latest.garbage, 7);
    }

    #[test]
    fn a_refused_delete_brings_the_bytes_back() {
        let (batch, mut value) = begun(3);
        value.set(&batch.event(0), &vec![1; 9]).unwrap();
        value.delete(&batch.event(1)).unwrap();
        value.undo(1);
        assert_eq!(value.get(&batch.event(2)), Ok(Some(vec![1; 9])));
        assert_eq!(value.latest.garbage, 0);
    }
}
