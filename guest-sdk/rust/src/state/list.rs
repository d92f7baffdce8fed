//! Items a key, in the order of their pushing.

use std::marker::PhantomData;

use super::codec::{self, Codec, Postcard};
use super::reader;
use super::stores::{Changes, Kept, Store};
use crate::bindings::sandbar::plugin::types::StoreKind;
use crate::{Column, Failure, Keyed, Refusal};

/// Items for each key. Pushing reads nothing; the items are asked of the host when they are read first in a batch.
pub struct List<T, C = Postcard> {
    store: u8,
    name: &'static str,
    /// What is known of the keys that the batch touched.
    touched: Vec<Touched>,
    /// For each key its index in `touched`, or none.
    of_key: Vec<Option<u32>>,
    undo: Option<Undo>,
    of: PhantomData<fn() -> (T, C)>,
}

/// A key's items.
#[derive(Debug)]
struct Touched {
    key: u32,
    /// What the state holds, once it was read.
    stored: Option<Column>,
    /// The batch took that away.
    is_cleared: bool,
    /// What the batch pushed; those before `live` it took away again.
    pushed: Column,
    live: usize,
}

/// What the last turn that wrote found.
#[derive(Debug, Clone, Copy)]
struct Undo {
    turn: u32,
    touched: usize,
    is_cleared: bool,
    live: usize,
    pushed: usize,
}

impl<T: 'static, C: Codec<T>> List<T, C> {
    /// The items of the key.
    ///
    /// # Errors
    /// A record without a key is a dead letter. Bytes that are no such item stop the pipeline.
    pub fn items(&mut self, of: &impl Keyed) -> Result<Vec<T>, Refusal> {
        let touched = self.touch(of)?;
        let (store, name) = (self.store, self.name);
        let touched = &mut self.touched[touched];
        let none = Column::default();
        let stored = if touched.is_cleared {
            &none
        } else {
            let key = of.key().unwrap_or_default();
            touched.stored.get_or_insert_with(|| reader::items(store, key))
        };
        let items = stored.iter().chain(touched.pushed.iter().skip(touched.live));
        items
            .map(|item| codec::read::<T, C>(name, item.unwrap_or_default()))
            .collect()
    }

    /// Adds an item behind those of the key.
    ///
    /// # Errors
    /// A record without a key is a dead letter. An item that cannot be written stops the pipeline.
    pub fn push(&mut self, of: &impl Keyed, item: &T) -> Result<(), Refusal> {
        let name = self.name;
        let pushed = &mut self.write(of)?.pushed;
        codec::write::<T, C>(name, item, &mut pushed.bytes)?;
        pushed.ends.push(pushed.bytes.len() as u32);
        Ok(())
    }

    /// Takes all items of the key away.
    ///
    /// # Errors
    /// A record without a key is a dead letter.
    pub fn clear(&mut self, of: &impl Keyed) -> Result<(), Refusal> {
        let touched = self.write(of)?;
        (touched.is_cleared, touched.live) = (true, touched.pushed.len());
        Ok(())
    }

    /// Before a turn's first write remembers what was.
    fn write(&mut self, of: &impl Keyed) -> Result<&mut Touched, Refusal> {
        let at = self.touch(of)?;
        let turn = of.turn();
        let touched = &mut self.touched[at];
        if self.undo.is_none_or(|undo| undo.turn != turn) {
            self.undo = Some(Undo {
                turn,
                touched: at,
                is_cleared: touched.is_cleared,
                live: touched.live,
                pushed: touched.pushed.len(),
            });
        }
        Ok(touched)
    }

    fn touch(&mut self, of: &impl Keyed) -> Result<usize, Refusal> {
        let key = of.key_index()?;
        let index = *self.of_key[key as usize].get_or_insert_with(|| {
            self.touched.push(Touched {
                key,
                stored: None,
                is_cleared: false,
                pushed: Column::default(),
                live: 0,
            });
            self.touched.len() as u32 - 1
        });
        Ok(index as usize)
    }
}

impl<T: 'static, C: Codec<T>> Store for List<T, C> {
    const KIND: StoreKind = StoreKind::ListOf;
    const CODEC: &'static str = C::NAME;

    fn schema() -> serde_json::Value {
        C::schema().unwrap_or_else(|| serde_json::json!({}))
    }
}

impl<T: 'static, C: 'static> Kept for List<T, C> {
    fn begin(&mut self, store: u8, name: &'static str, keys: usize, _: Column) {
        (self.store, self.name, self.undo) = (store, name, None);
        self.touched.clear();
        self.of_key.clear();
        self.of_key.resize(keys, None);
    }

    fn undo(&mut self, turn: u32) {
        if let Some(undo) = self.undo.take_if(|undo| undo.turn == turn) {
            let touched = &mut self.touched[undo.touched];
            (touched.is_cleared, touched.live) = (undo.is_cleared, undo.live);
            touched.pushed.truncate(undo.pushed);
        }
    }

    fn finish(&mut self, into: &mut Changes) -> Result<(), Failure> {
        for touched in &self.touched {
            if touched.is_cleared {
                into.clear(self.store, touched.key);
            }
            for item in touched.pushed.iter().skip(touched.live) {
                into.append(self.store, touched.key, item.unwrap_or_default());
            }
        }
        Ok(())
    }
}

impl<T, C> Default for List<T, C> {
    fn default() -> Self {
        Self {
            store: 0,
            name: "",
            touched: Vec::new(),
            of_key: Vec::new(),
            undo: None,
            of: PhantomData,
        }
    }
}

impl<T, C> std::fmt::Debug for List<T, C> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_tuple("List").field(&self.name).finish()
    }
}
