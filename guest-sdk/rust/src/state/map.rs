//! Entries a key, each with a key of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::iter::Peekable;
use std::marker::PhantomData;
use std::ops::Bound;

use super::codec::{self, Codec, Postcard};
use super::map_key::MapKey;
use super::reader::{self, Page};
use super::stores::{Changes, Kept, Store};
use crate::bindings::sandbar::plugin::types::StoreKind;
use crate::{Column, Failure, Keyed, Refusal, fail};

/// Entries for each key of the stream, under keys of their own, in the order of those. An entry is asked of the host
/// when it is read first in a batch; writing reads nothing.
pub struct Map<K, V, C = Postcard> {
    store: u8,
    name: &'static str,
    entries: BTreeMap<Place, Entry>,
    /// Keys whose stored entries the batch took away.
    cleared: BTreeSet<u32>,
    undo: Undo,
    of: Of<(K, V, C)>,
}

/// It makes such things, and holds none.
type Of<T> = PhantomData<fn() -> T>;

/// The index of a key, and the bytes of an entry's own.
type Place = (u32, Vec<u8>);

/// Bytes of an entry; absent if there is none.
type Bytes = Option<Vec<u8>>;

/// What is known of an entry.
#[derive(Debug, Default)]
struct Entry {
    /// What the state holds, once it was read.
    stored: Option<Bytes>,
    /// What the batch wrote.
    written: Option<Bytes>,
}

/// What the last turn that wrote found.
#[derive(Debug, Default)]
struct Undo {
    turn: Option<u32>,
    written: Vec<(Place, Option<Bytes>)>,
    newly_cleared: Option<u32>,
}

impl<K, V, C> Map<K, V, C> {
    /// Whether it was declared, and a call has begun.
    pub(super) fn is_begun(&self) -> bool {
        !self.name.is_empty()
    }
}

impl<K: MapKey, V: 'static, C: Codec<V>> Map<K, V, C> {
    /// The entry of the key.
    ///
    /// # Errors
    /// A record without a key is a dead letter. Bytes that are no such value stop the pipeline.
    pub fn get(&mut self, of: &impl Keyed, key: &K::Borrowed) -> Result<Option<V>, Refusal> {
        let mut found = self.get_many(of, &[key])?;
        Ok(found.pop().flatten())
    }

    /// The entries of the key, asked of the host at once.
    ///
    /// # Errors
    /// As [`Map::get`].
    pub fn get_many(&mut self, of: &impl Keyed, keys: &[&K::Borrowed]) -> Result<Vec<Option<V>>, Refusal> {
        let index = of.key_index()?;
        let places: Vec<Place> = keys.iter().map(|key| (index, bytes::<K>(key))).collect();
        self.fetch(of, &places);
        let value = |place| {
            let bytes = self.entries.get(place).and_then(|entry| self.now(index, entry));
            bytes.map(|bytes| codec::read::<V, C>(self.name, bytes)).transpose()
        };
        places.iter().map(value).collect()
    }

    /// Sets an entry of the key.
    ///
    /// # Errors
    /// A record without a key is a dead letter. A value that cannot be written stops the pipeline.
    pub fn put(&mut self, of: &impl Keyed, key: &K::Borrowed, value: &V) -> Result<(), Refusal> {
        let place = (of.key_index()?, bytes::<K>(key));
        let mut written = Vec::new();
        codec::write::<V, C>(self.name, value, &mut written)?;
        self.write(of, place, Some(written));
        Ok(())
    }

    /// Takes an entry of the key away.
    ///
    /// # Errors
    /// A record without a key is a dead letter.
    pub fn delete(&mut self, of: &impl Keyed, key: &K::Borrowed) -> Result<(), Refusal> {
        self.write(of, (of.key_index()?, bytes::<K>(key)), None);
        Ok(())
    }

    /// Takes all entries of the key away.
    ///
    /// # Errors
    /// A record without a key is a dead letter.
    pub fn clear(&mut self, of: &impl Keyed) -> Result<(), Refusal> {
        let key = of.key_index()?;
        self.undo.begin(of.turn());
        for (place, entry) in self.entries.range_mut((key, Vec::new())..) {
            if place.0 != key {
                break;
            }
            if entry.written.is_some() {
                self.undo.written.push((place.clone(), entry.written.take()));
            }
        }
        if self.cleared.insert(key) {
            self.undo.newly_cleared = Some(key);
        }
        Ok(())
    }

    /// The entries of the key whose own keys' bytes begin with `prefix`, in the order of these bytes. They are
    /// fetched in pages as they are taken.
    ///
    /// # Errors
    /// A record without a key is a dead letter.
    pub fn scan<'a>(&'a self, of: &'a impl Keyed, prefix: &[u8]) -> Result<Scan<'a, K, V, C>, Refusal> {
        self.scan_after(of, prefix, None)
    }

    /// As [`Map::scan`], without the entries whose own keys' bytes lie at or before `after`; no entry need be there.
    ///
    /// # Errors
    /// A record without a key is a dead letter.
    pub fn scan_after<'a>(
        &'a self,
        of: &'a impl Keyed,
        prefix: &[u8],
        after: Option<&[u8]>,
    ) -> Result<Scan<'a, K, V, C>, Refusal> {
        let index = of.key_index()?;
        let from = match after {
            Some(after) if after >= prefix => Bound::Excluded((index, after.to_vec())),
            _ => Bound::Included((index, prefix.to_vec())),
        };
        let is_ours = {
            let prefix = prefix.to_vec();
            move |place: &Place| place.0 == index && place.1.starts_with(&prefix)
        };
        let written = self
            .entries
            .range((from, Bound::Unbounded))
            .take_while(move |(place, _)| is_ours(place))
            .filter_map(|(place, entry)| Some((&place.1[..], entry.written.as_ref()?.as_deref())));
        let written: Box<dyn Iterator<Item = Written<'a>> + 'a> = Box::new(written);
        Ok(Scan {
            map: self,
            key: of.key().unwrap_or_default(),
            prefix: prefix.to_vec(),
            written: written.peekable(),
            page: Page::first(!self.cleared.contains(&index), after.map(<[u8]>::to_vec)),
        })
    }

    /// Asks the host for what is not known.
    fn fetch(&mut self, of: &impl Keyed, places: &[Place]) {
        let unknown = |place: &&Place| match self.entries.get(*place) {
            _ if self.cleared.contains(&place.0) => false,
            Some(entry) => entry.written.is_none() && entry.stored.is_none(),
            None => true,
        };
        let unknown: Vec<&Place> = places.iter().filter(unknown).collect();
        if unknown.is_empty() {
            return;
        }
        let mut asked = Column::default();
        unknown.iter().for_each(|place| asked.push(Some(&place.1)));
        let found = reader::get_many(self.store, of.key().unwrap_or_default(), asked);
        for (at, place) in unknown.into_iter().enumerate() {
            let entry = self.entries.entry(place.clone()).or_default();
            entry.stored = Some(found.get(at).map(<[u8]>::to_vec));
        }
    }

    /// What an entry is after the writes so far.
    fn now<'a>(&self, key: u32, entry: &'a Entry) -> Option<&'a [u8]> {
        match (&entry.written, &entry.stored) {
            (Some(written), _) => written.as_deref(),
            (None, Some(stored)) if !self.cleared.contains(&key) => stored.as_deref(),
            _ => None,
        }
    }

    fn write(&mut self, of: &impl Keyed, place: Place, written: Bytes) {
        self.undo.begin(of.turn());
        let entry = self.entries.entry(place.clone()).or_default();
        let before = entry.written.replace(written);
        self.undo.written.push((place, before));
    }
}

impl Undo {
    /// What the turns before found nobody needs any more.
    fn begin(&mut self, turn: u32) {
        if self.turn != Some(turn) {
            self.turn = Some(turn);
            self.written.clear();
            self.newly_cleared = None;
        }
    }
}

/// A written entry: its own key, and its value unless it was taken away.
type Written<'a> = (&'a [u8], Option<&'a [u8]>);

/// Goes through the entries of a key; see [`Map::scan`].
pub struct Scan<'a, K, V, C> {
    map: &'a Map<K, V, C>,
    key: &'a [u8],
    prefix: Vec<u8>,
    written: Peekable<Box<dyn Iterator<Item = Written<'a>> + 'a>>,
    page: Page,
}

impl<K: MapKey, V: 'static, C: Codec<V>> Scan<'_, K, V, C> {
    fn entry(&self, key: &[u8], value: &[u8]) -> Result<(K, V), Refusal> {
        let name = self.map.name;
        let key = K::read(key).ok_or_else(|| fail(format!("store `{name}` has a key that cannot be read")))?;
        Ok((key, codec::read::<V, C>(name, value)?))
    }
}

impl<K: MapKey, V: 'static, C: Codec<V>> Iterator for Scan<'_, K, V, C> {
    type Item = Result<(K, V), Refusal>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            self.page.fill(self.map.store, self.key, &self.prefix);
            let written = self.written.peek().copied();
            let (key, value) = match (self.page.peek(), written) {
                (None, None) => return None,
                (Some((stored, value)), written) if written.is_none_or(|(own, _)| stored < own) => {
                    let entry = self.entry(stored, value);
                    self.page.step();
                    return Some(entry);
                }
                (stored, Some((own, value))) => {
                    let hides = stored.is_some_and(|(stored, _)| stored == own);
                    if hides {
                        self.page.step();
                    }
                    self.written.next();
                    (own, value)
                }
                (Some(_), None) => return None,
            };
            if let Some(value) = value {
                return Some(self.entry(key, value));
            }
        }
    }
}

/// The bytes of an entry's own key.
pub(super) fn bytes<K: MapKey>(key: &K::Borrowed) -> Vec<u8> {
    let mut bytes = Vec::new();
    K::write(key, &mut bytes);
    bytes
}

impl<K: MapKey, V: 'static, C: Codec<V>> Store for Map<K, V, C> {
    const KIND: StoreKind = StoreKind::MapOf;
    const CODEC: &'static str = C::NAME;

    fn schema() -> serde_json::Value {
        let mut schema = C::schema().unwrap_or_else(|| serde_json::json!({}));
        if let (Some(schema), Some(shown)) = (schema.as_object_mut(), K::SHOWN_AS) {
            schema.insert("user-key".to_owned(), shown.into());
        }
        schema
    }
}

impl<K: 'static, V: 'static, C: 'static> Kept for Map<K, V, C> {
    fn begin(&mut self, store: u8, name: &'static str, _: usize, _: Column) {
        (self.store, self.name) = (store, name);
        self.entries.clear();
        self.cleared.clear();
        self.undo = Undo::default();
    }

    fn undo(&mut self, turn: u32) {
        if self.undo.turn != Some(turn) {
            return;
        }
        let Undo {
            written, newly_cleared, ..
        } = std::mem::take(&mut self.undo);
        for (place, before) in written.into_iter().rev() {
            if let Some(entry) = self.entries.get_mut(&place) {
                entry.written = before;
            }
        }
        if let Some(key) = newly_cleared {
            self.cleared.remove(&key);
        }
    }

    fn finish(&mut self, into: &mut Changes) -> Result<(), Failure> {
        for &key in &self.cleared {
            into.clear(self.store, key);
        }
        for ((key, own), entry) in &self.entries {
            match &entry.written {
                Some(Some(value)) => into.put(self.store, *key, Some(own), value),
                Some(None) => into.delete(self.store, *key, Some(own)),
                None => {}
            }
        }
        Ok(())
    }
}

impl<K, V, C> Default for Map<K, V, C> {
    fn default() -> Self {
        Self {
            store: 0,
            name: "",
            entries: BTreeMap::new(),
            cleared: BTreeSet::new(),
            undo: Undo::default(),
            of: PhantomData,
        }
    }
}

impl<K, V, C> std::fmt::Debug for Map<K, V, C> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_tuple("Map").field(&self.name).finish()
    }
}

impl<K, V, C> std::fmt::Debug for Scan<'_, K, V, C> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_tuple("Scan").field(&self.map.name).finish()
    }
}
