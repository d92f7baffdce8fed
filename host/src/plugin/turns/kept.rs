//! What the turns of a batch wrote to the state, over what the state holds: read by the turns behind, handed over when
//! the batch is over.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::scan::{self, MapWrites, PageEntries};
use crate::plugin::call::{ChangeKind, Changes, Declared, StateReader};
use crate::plugin::limits::{KEY_BYTES, VALUE_BYTES};
use crate::plugin::load::StoreKind;
use crate::record::Column;

/// A store and the index of a key.
type StorePlace = (u8, u32);
type Bytes = Option<Vec<u8>>;

/// Writes of a batch, and how those of the turn that is underway are taken back. The error of each method is a sentence
/// about the plugin, begun by "it".
#[derive(Debug, Default)]
pub(super) struct KeptWrites {
    stores: Arc<[Declared]>,
    values: BTreeMap<StorePlace, Bytes>,
    lists: BTreeMap<StorePlace, ListWrites>,
    maps: BTreeMap<StorePlace, MapWrites>,
    undo: Vec<Undo>,
}

/// What a batch does to a list.
#[derive(Debug, Default)]
struct ListWrites {
    is_cleared: bool,
    pushed: Vec<Vec<u8>>,
}

/// Takes one write back.
#[derive(Debug)]
enum Undo {
    Value(StorePlace, Option<Bytes>),
    Push(StorePlace),
    List(StorePlace, ListWrites),
    Entry(StorePlace, Vec<u8>, Option<Bytes>),
    Map(StorePlace, MapWrites),
}

/// The key of a turn: its index and its bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct KeyOf<'a> {
    pub(super) index: u32,
    pub(super) bytes: &'a [u8],
}

impl KeptWrites {
    pub(super) fn new(stores: Arc<[Declared]>) -> Self {
        Self {
            stores,
            ..Self::default()
        }
    }

    /// A batch begins.
    pub(super) fn begin(&mut self) {
        self.values.clear();
        self.lists.clear();
        self.maps.clear();
        self.undo.clear();
    }

    /// The value of a key; what travelled with the batch is in `values`, a column a value store.
    pub(super) fn get(&self, store: u8, key: KeyOf<'_>, values: &[Column]) -> Result<Bytes, String> {
        if let Some(written) = self.values.get(&(store, key.index)) {
            return Ok(written.clone());
        }
        let before = &self.stores[..usize::from(store)];
        let column = before.iter().filter(|store| store.kind == StoreKind::Value).count();
        let stored = values.get(column).and_then(|column| column.get(key.index as usize));
        Ok(stored.map(<[u8]>::to_vec))
    }

    pub(super) fn put(&mut self, store: u8, key: KeyOf<'_>, value: Bytes) -> Result<(), String> {
        self.writable(store, value.as_deref())?;
        let place = (store, key.index);
        let before = self.values.insert(place, value);
        self.undo.push(Undo::Value(place, before));
        Ok(())
    }

    pub(super) fn append(&mut self, store: u8, key: KeyOf<'_>, item: Vec<u8>) -> Result<(), String> {
        self.writable(store, Some(&item))?;
        let place = (store, key.index);
        self.lists.entry(place).or_default().pushed.push(item);
        self.undo.push(Undo::Push(place));
        Ok(())
    }

    pub(super) fn items(
        &mut self,
        store: u8,
        key: KeyOf<'_>,
        reader: &mut StateReader,
    ) -> Result<Vec<Vec<u8>>, String> {
        let writes = self.lists.get(&(store, key.index));
        let mut items = Vec::new();
        if writes.is_none_or(|writes| !writes.is_cleared) {
            let stored = reader.items(store, key.bytes)?;
            items.extend(stored.iter().flatten().map(<[u8]>::to_vec));
        }
        items.extend(writes.into_iter().flat_map(|writes| writes.pushed.iter().cloned()));
        Ok(items)
    }

    pub(super) fn get_entry(
        &mut self,
        store: u8,
        key: KeyOf<'_>,
        user_key: Vec<u8>,
        reader: &mut StateReader,
    ) -> Result<Bytes, String> {
        self.short_enough(store, &user_key)?;
        if let Some(writes) = self.maps.get(&(store, key.index)) {
            match writes.written.get(&user_key) {
                Some(written) => return Ok(written.clone()),
                None if writes.is_cleared => return Ok(None),
                None => {}
            }
        }
        let mut asked = Column::default();
        asked.push(Some(&user_key));
        let found = reader.get_many(store, key.bytes, asked)?;
        Ok(found.get(0).map(<[u8]>::to_vec))
    }

    pub(super) fn put_entry(
        &mut self,
        store: u8,
        key: KeyOf<'_>,
        user_key: Vec<u8>,
        value: Bytes,
    ) -> Result<(), String> {
        self.writable(store, value.as_deref())?;
        self.short_enough(store, &user_key)?;
        let place = (store, key.index);
        let writes = self.maps.entry(place).or_default();
        let before = writes.written.insert(user_key.clone(), value);
        self.undo.push(Undo::Entry(place, user_key, before));
        Ok(())
    }

    /// A page of the entries of a key, in the order of user keys.
    pub(super) fn scan(
        &self,
        store: u8,
        key: KeyOf<'_>,
        page: scan::PageAsked<'_>,
        reader: &mut StateReader,
    ) -> Result<PageEntries, String> {
        scan::page(store, key.bytes, page, self.maps.get(&(store, key.index)), reader)
    }

    pub(super) fn clear(&mut self, store: u8, key: KeyOf<'_>) -> Result<(), String> {
        let declared = self.declared(store)?;
        let place = (store, key.index);
        match declared.kind {
            StoreKind::Value => return Err(format!("it cleared store `{}`, which is a value store", declared.name)),
            StoreKind::List => {
                let cleared = ListWrites {
                    is_cleared: true,
                    ..ListWrites::default()
                };
                let before = self.lists.insert(place, cleared).unwrap_or_default();
                self.undo.push(Undo::List(place, before));
            }
            StoreKind::Map => {
                let cleared = MapWrites {
                    is_cleared: true,
                    ..MapWrites::default()
                };
                let before = self.maps.insert(place, cleared).unwrap_or_default();
                self.undo.push(Undo::Map(place, before));
            }
        }
        Ok(())
    }

    /// The turn that is underway succeeded.
    pub(super) fn keep(&mut self) {
        self.undo.clear();
    }

    /// What the turn that is underway wrote was never written.
    pub(super) fn take_back(&mut self) {
        while let Some(undo) = self.undo.pop() {
            match undo {
                Undo::Value(place, Some(before)) => drop(self.values.insert(place, before)),
                Undo::Value(place, None) => drop(self.values.remove(&place)),
                Undo::Push(place) => drop(self.lists.get_mut(&place).and_then(|list| list.pushed.pop())),
                Undo::List(place, before) => drop(self.lists.insert(place, before)),
                Undo::Entry(place, user_key, before) => {
                    let writes = self.maps.entry(place).or_default();
                    match before {
                        Some(before) => drop(writes.written.insert(user_key, before)),
                        None => drop(writes.written.remove(&user_key)),
                    }
                }
                Undo::Map(place, before) => drop(self.maps.insert(place, before)),
            }
        }
    }

    /// What the batch changes, when it is over.
    pub(super) fn changes(&mut self) -> Changes {
        let mut changes = Changes::default();
        for ((store, key), value) in std::mem::take(&mut self.values) {
            match value {
                Some(value) => changes.push(store, ChangeKind::Put, key, None, Some(&value)),
                None => changes.push(store, ChangeKind::Delete, key, None, None),
            }
        }
        for ((store, key), list) in std::mem::take(&mut self.lists) {
            if list.is_cleared {
                changes.push(store, ChangeKind::Clear, key, None, None);
            }
            let pushed = list.pushed.iter();
            pushed.for_each(|item| changes.push(store, ChangeKind::Append, key, None, Some(item)));
        }
        for ((store, key), map) in std::mem::take(&mut self.maps) {
            if map.is_cleared {
                changes.push(store, ChangeKind::Clear, key, None, None);
            }
            for (user_key, value) in &map.written {
                match value {
                    Some(value) => changes.push(store, ChangeKind::Put, key, Some(user_key), Some(value)),
                    None => changes.push(store, ChangeKind::Delete, key, Some(user_key), None),
                }
            }
        }
        changes
    }

    fn declared(&self, store: u8) -> Result<&Declared, String> {
        let declared = self.stores.len();
        self.stores
            .get(usize::from(store))
            .ok_or_else(|| format!("it used store {store}, but declares {declared}"))
    }

    /// Whether a store is there, and of this kind, if it has to be of one.
    pub(super) fn check(&self, store: u8, kind: Option<StoreKind>) -> Result<(), String> {
        let declared = self.declared(store)?;
        match kind.filter(|kind| *kind != declared.kind) {
            None => Ok(()),
            Some(kind) => Err(format!(
                "it used store `{}` as a {kind} store; it is a {} store",
                declared.name, declared.kind
            )),
        }
    }

    fn writable(&self, store: u8, value: Option<&[u8]>) -> Result<(), String> {
        match value.map_or(0, <[u8]>::len) {
            bytes if bytes > VALUE_BYTES => Err(format!(
                "it wrote to store `{}` a value of {bytes} bytes; {VALUE_BYTES} are the most",
                self.declared(store)?.name
            )),
            _ => Ok(()),
        }
    }

    fn short_enough(&self, store: u8, user_key: &[u8]) -> Result<(), String> {
        match user_key.len() {
            bytes if bytes > KEY_BYTES => Err(format!(
                "it used store `{}` under a user key of {bytes} bytes; {KEY_BYTES} are the most",
                self.declared(store)?.name
            )),
            _ => Ok(()),
        }
    }
}
