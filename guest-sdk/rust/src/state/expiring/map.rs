//! Entries with a time to live as a plugin has them: a field, declared as a store.

use std::iter::Peekable;

use super::Refresh;
use super::life::{Life, Stamp};
use crate::bindings::sandbar::plugin::types::StoreKind;
use crate::state::map::bytes;
use crate::state::stores::{Changes, Declared, Kept, Timed};
use crate::state::{Codec, EndKey, Map, MapKey, Postcard, Scan};
use crate::window::Span;
use crate::{Column, Failure, Fired, Keyed, Refusal, Store, Stores, Timer, dead_letter, fail};

/// So many entries that end at one moment are asked of the host at once.
const ENDS_AT_ONCE: usize = 1000;

/// A [`Map`] of which each entry has an end of its own. A field of the plugin, declared by [`Stores::expiring_map`],
/// and opened in [`Plugin::open`](crate::Plugin::open). The entries that have ended are taken away without the plugin's
/// doing. An entry's own key may have 4,088 bytes.
pub struct ExpiringMap<K, V, C = Postcard> {
    life: Life,
    entries: Map<K, V, C>,
    stamps: Map<K, Stamp>,
    /// By the times of the stamps' timers, the entries to be looked at then.
    ends: Map<EndKey, ()>,
    timer: Timer,
}

impl<P: 'static> Stores<P> {
    /// Declares entries with a time to live: a map store and a timer of event time of this name, and two map stores of
    /// the name with `.ttl` and `.ends` behind it, for when the entries were written and when they are looked at.
    ///
    /// A store of this name that a [`Map`] was declared for before goes on as it is: an entry that it holds counts as
    /// written when the plugin first gets or puts it. One that is neither got nor put stays.
    pub fn expiring_map<K: MapKey, V: 'static, C: Codec<V>>(
        &mut self,
        name: &'static str,
        field: fn(&mut P) -> &mut ExpiringMap<K, V, C>,
    ) -> &mut Declared<P> {
        self.timed_with(name, field, |stores| {
            stores.add_companion(name, ".ttl", field, |map| &mut map.stamps);
            stores.add_companion(name, ".ends", field, |map| &mut map.ends);
        })
    }
}

impl<K: MapKey, V: 'static, C: Codec<V>> ExpiringMap<K, V, C> {
    /// Says how long after it was written an entry is gone. If a later version of the plugin says another time, it
    /// holds for what is there too.
    ///
    /// # Errors
    /// The time to live is less than a millisecond.
    pub fn open(&mut self, time_to_live: Span, refresh: Refresh) -> Result<(), Refusal> {
        self.life = Life::opened(time_to_live, refresh)?;
        Ok(())
    }

    /// The entry of the key; `None`: there is none, or its time is over.
    ///
    /// # Errors
    /// A record without a key is a dead letter, and so is one whose entry has too long a key. Bytes that are no such
    /// value stop the pipeline.
    pub fn get(&mut self, of: &impl Keyed, key: &K::Borrowed) -> Result<Option<V>, Refusal> {
        let (life, refresh) = self.life.get(self.stamps.is_begun())?;
        let stamp = self.stamps.get(of, key)?;
        if stamp.is_some_and(|stamp| stamp.end(life) <= of.event_time()) {
            return Ok(None);
        }
        let value = self.entries.get(of, key)?;
        // What has no stamp was written before there was a time to live.
        if value.is_some() && (stamp.is_none() || refresh == Refresh::OnReadAndWrite) {
            self.refresh(of, key, stamp, life)?;
        }
        Ok(value)
    }

    /// Sets an entry of the key.
    ///
    /// # Errors
    /// A record without a key is a dead letter, and so is one whose entry has too long a key. A value that cannot be
    /// written stops the pipeline.
    pub fn put(&mut self, of: &impl Keyed, key: &K::Borrowed, value: &V) -> Result<(), Refusal> {
        let (life, _) = self.life.get(self.stamps.is_begun())?;
        self.entries.put(of, key, value)?;
        let before = self.stamps.get(of, key)?;
        self.refresh(of, key, before, life)
    }

    /// Takes an entry of the key away.
    ///
    /// # Errors
    /// A record without a key is a dead letter.
    pub fn delete(&mut self, of: &impl Keyed, key: &K::Borrowed) -> Result<(), Refusal> {
        self.entries.delete(of, key)?;
        if let Some(stamp) = self.stamps.get(of, key)? {
            self.look_no_more(of, &end_of::<K>(stamp.timer, key)?)?;
            self.stamps.delete(of, key)?;
        }
        Ok(())
    }

    /// Takes all entries of the key away.
    ///
    /// # Errors
    /// A record without a key is a dead letter.
    pub fn clear(&mut self, of: &impl Keyed) -> Result<(), Refusal> {
        let mut last = None;
        for end in self.ends.scan(of, &[])? {
            let at = end?.0.at;
            if last.replace(at) != Some(at) {
                self.timer.clear(of, at)?;
            }
        }
        self.entries.clear(of)?;
        self.ends.clear(of)?;
        self.stamps.clear(of)
    }

    /// The entries of the key whose time is not over and whose own keys' bytes begin with `prefix`, in the order of
    /// these bytes. That prolongs no entry's life.
    ///
    /// # Errors
    /// A record without a key is a dead letter.
    pub fn scan<'a>(&'a self, of: &'a impl Keyed, prefix: &[u8]) -> Result<ExpiringScan<'a, K, V, C>, Refusal> {
        Ok(ExpiringScan {
            entries: self.entries.scan(of, prefix)?,
            stamps: self.stamps.scan(of, prefix)?.peekable(),
            life: self.life.get(self.stamps.is_begun())?.0,
            now: of.event_time(),
        })
    }

    /// The life of an entry begins anew.
    fn refresh(&mut self, of: &impl Keyed, key: &K::Borrowed, before: Option<Stamp>, life: i64) -> Result<(), Refusal> {
        let stamp = Stamp::renewed(before, of.event_time(), life);
        if before == Some(stamp) {
            return Ok(());
        }
        self.stamps.put(of, key, &stamp)?;
        if before.is_some_and(|before| before.timer == stamp.timer) {
            return Ok(());
        }
        if let Some(before) = before {
            // The time to live was longer once.
            self.look_no_more(of, &end_of::<K>(before.timer, key)?)?;
        }
        self.look_at(of, &end_of::<K>(stamp.timer, key)?)
    }

    fn look_at(&mut self, of: &impl Keyed, end: &EndKey) -> Result<(), Refusal> {
        self.ends.put(of, end, &())?;
        self.timer.set(of, end.at)
    }

    /// The timer stays if another entry is to be looked at by it.
    fn look_no_more(&mut self, of: &impl Keyed, end: &EndKey) -> Result<(), Refusal> {
        self.ends.delete(of, end)?;
        let is_needed = self
            .ends
            .scan(of, &EndKey::moment(end.at))?
            .next()
            .transpose()?
            .is_some();
        if is_needed {
            Ok(())
        } else {
            self.timer.clear(of, end.at)
        }
    }

    /// Takes the entries away whose time is over, and looks at the others again when theirs will be.
    fn end(&mut self, fired: &Fired, ends: &[EndKey], life: i64) -> Result<(), Refusal> {
        let read = |end: &EndKey| K::read(&end.id).ok_or_else(|| fail("a store has a key that cannot be read"));
        let keys: Vec<K> = ends.iter().map(read).collect::<Result<_, _>>()?;
        let keys: Vec<&K::Borrowed> = keys.iter().map(K::borrow).collect();
        let stamps = self.stamps.get_many(fired, &keys)?;
        for ((end, key), stamp) in ends.iter().zip(keys).zip(stamps) {
            self.ends.delete(fired, end)?;
            let Some(stamp) = stamp else { continue };
            let timer = stamp.end(life);
            if timer <= fired.at() {
                self.entries.delete(fired, key)?;
                self.stamps.delete(fired, key)?;
            } else {
                self.stamps.put(fired, key, &Stamp { timer, ..stamp })?;
                self.look_at(fired, &end_of::<K>(timer, key)?)?;
            }
        }
        Ok(())
    }
}

fn end_of<K: MapKey>(at: i64, key: &K::Borrowed) -> Result<EndKey, Refusal> {
    let id = bytes::<K>(key);
    if id.len() > EndKey::ID_BYTES_MAX {
        let (is, most) = (id.len(), EndKey::ID_BYTES_MAX);
        return Err(dead_letter(format!(
            "the own key of an entry that ends has {is} bytes; it may have {most}"
        )));
    }
    Ok(EndKey { at, id })
}

/// Goes through the entries of a key whose time is not over; see [`ExpiringMap::scan`].
pub struct ExpiringScan<'a, K: MapKey, V: 'static, C: Codec<V>> {
    entries: Scan<'a, K, V, C>,
    /// In the order of the entries, of which some may have none.
    stamps: Peekable<Scan<'a, K, Stamp, Postcard>>,
    life: i64,
    now: i64,
}

impl<K: MapKey, V: 'static, C: Codec<V>> ExpiringScan<'_, K, V, C> {
    fn is_over(&mut self, key: &K) -> Result<bool, Refusal> {
        let own = bytes::<K>(key.borrow());
        let lies_before = |found: &Result<(K, Stamp), Refusal>| match found {
            Ok((key, _)) => bytes::<K>(key.borrow()) <= own,
            Err(_) => true,
        };
        let mut last = None;
        while let Some(found) = self.stamps.next_if(lies_before) {
            last = Some(found?);
        }
        Ok(last.is_some_and(|(key, stamp)| bytes::<K>(key.borrow()) == own && stamp.end(self.life) <= self.now))
    }
}

impl<K: MapKey, V: 'static, C: Codec<V>> Iterator for ExpiringScan<'_, K, V, C> {
    type Item = Result<(K, V), Refusal>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let found = match self.entries.next()? {
                Ok(found) => found,
                Err(refusal) => return Some(Err(refusal)),
            };
            match self.is_over(&found.0) {
                Ok(true) => {}
                Ok(false) => return Some(Ok(found)),
                Err(refusal) => return Some(Err(refusal)),
            }
        }
    }
}

impl<K: MapKey, V: 'static, C: Codec<V>> Store for ExpiringMap<K, V, C> {
    const KIND: StoreKind = <Map<K, V, C> as Store>::KIND;
    const CODEC: &'static str = <Map<K, V, C> as Store>::CODEC;

    fn schema() -> serde_json::Value {
        <Map<K, V, C> as Store>::schema()
    }
}

impl<K: MapKey, V: 'static, C: Codec<V>> Timed for ExpiringMap<K, V, C> {
    fn timer(&mut self) -> &mut Timer {
        &mut self.timer
    }
}

impl<K: MapKey, V: 'static, C: Codec<V>> Kept for ExpiringMap<K, V, C> {
    fn begin(&mut self, store: u8, name: &'static str, keys: usize, values: Column) {
        self.entries.begin(store, name, keys, values);
    }

    fn undo(&mut self, turn: u32) {
        self.entries.undo(turn);
    }

    fn fire(&mut self, fired: &Fired) -> Result<bool, Refusal> {
        if !fired.is(&self.timer) {
            return Ok(false);
        }
        let (life, _) = self.life.get(self.stamps.is_begun())?;
        let ends = self.ends.scan(fired, &EndKey::moment(fired.at()))?;
        let ends: Vec<EndKey> = ends.map(|entry| Ok(entry?.0)).collect::<Result<_, Refusal>>()?;
        for some in ends.chunks(ENDS_AT_ONCE) {
            self.end(fired, some, life)?;
        }
        Ok(true)
    }

    fn finish(&mut self, into: &mut Changes) -> Result<(), Failure> {
        self.entries.finish(into)
    }
}

impl<K, V, C> Default for ExpiringMap<K, V, C> {
    fn default() -> Self {
        Self {
            life: Life::default(),
            entries: Map::default(),
            stamps: Map::default(),
            ends: Map::default(),
            timer: Timer::default(),
        }
    }
}

impl<K, V, C> std::fmt::Debug for ExpiringMap<K, V, C> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("ExpiringMap")
            .field("life", &self.life)
            .field("entries", &self.entries)
            .finish_non_exhaustive()
    }
}

impl<K: MapKey, V, C: Codec<V>> std::fmt::Debug for ExpiringScan<'_, K, V, C> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("ExpiringScan")
            .field("now", &self.now)
            .finish_non_exhaustive()
    }
}
