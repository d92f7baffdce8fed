//! Which stores a plugin has, and what a call does with them from its first event to its last.

use crate::bindings::sandbar::plugin::{batches, types};
use crate::time::TimerField;
use crate::window::{Aggregate, Windowed};
use crate::{Batch, Column, Failure, Fired, Refusal, Timer};

/// The stores of a plugin, declared by [`Plugin::stores`](crate::Plugin::stores).
pub struct Stores<P> {
    all: Vec<Declared<P>>,
    /// The timers that stores have.
    timers: Vec<(&'static str, Box<dyn TimerField<P>>)>,
}

/// A store as it is declared.
pub struct Declared<P> {
    name: &'static str,
    /// Stands behind the name if the store is another one's companion.
    suffix: &'static str,
    kind: types::StoreKind,
    codec: &'static str,
    version: u32,
    readable_from: u32,
    schema: fn() -> serde_json::Value,
    field: Box<dyn Field<P>>,
}

/// A typed store: [`Value`](crate::Value), [`List`](crate::List) or [`Map`](crate::Map).
pub trait Store: Kept {
    #[doc(hidden)]
    const KIND: types::StoreKind;
    #[doc(hidden)]
    const CODEC: &'static str;
    /// An object: `value` with `enums`, and `user-key`, if they are known.
    #[doc(hidden)]
    fn schema() -> serde_json::Value;
}

/// What the glue does with a store.
pub trait Kept: 'static {
    /// A call begins: the store's number and name, the number of keys, and, if values travel, a value for each key.
    #[doc(hidden)]
    fn begin(&mut self, store: u8, name: &'static str, keys: usize, values: Column);
    /// The writes of this turn were never made; it is the last one that wrote, or wrote nothing. A turn is an event or
    /// a firing.
    #[doc(hidden)]
    fn undo(&mut self, turn: u32);
    /// A timer fires. True: it is one that the store sees to itself, and the plugin does not hear of it.
    ///
    /// # Errors
    /// State cannot be read.
    #[doc(hidden)]
    fn fire(&mut self, fired: &Fired) -> Result<bool, Refusal> {
        let _ = fired;
        Ok(false)
    }
    /// The call ends.
    ///
    /// # Errors
    /// Something cannot be written.
    #[doc(hidden)]
    fn finish(&mut self, into: &mut Changes) -> Result<(), Failure>;
}

/// Finds a store in its plugin.
trait Field<P> {
    fn of<'a>(&self, plugin: &'a mut P) -> &'a mut dyn Kept;
}

impl<P, S: Kept> Field<P> for fn(&mut P) -> &mut S {
    fn of<'a>(&self, plugin: &'a mut P) -> &'a mut dyn Kept {
        self(plugin)
    }
}

/// A store that has a timer of event time.
pub trait Timed: Store {
    #[doc(hidden)]
    fn timer(&mut self) -> &mut Timer;
}

/// Finds the timer of a store.
struct OfStore<P, S>(fn(&mut P) -> &mut S);

impl<P, S: Timed> TimerField<P> for OfStore<P, S> {
    fn of<'a>(&self, plugin: &'a mut P) -> &'a mut Timer {
        (self.0)(plugin).timer()
    }
}

impl<P: 'static> Stores<P> {
    pub(crate) fn declared_by(declare: fn(&mut Self)) -> Self {
        let mut stores = Self {
            all: Vec::new(),
            timers: Vec::new(),
        };
        declare(&mut stores);
        stores
    }

    /// Declares the store that `field` finds in the plugin. The name is what its state is found by in later versions of
    /// the plugin.
    pub fn add<S: Store>(&mut self, name: &'static str, field: fn(&mut P) -> &mut S) -> &mut Declared<P> {
        self.declare::<S>(name, Box::new(field))
    }

    fn declare<S: Store>(&mut self, name: &'static str, field: Box<dyn Field<P>>) -> &mut Declared<P> {
        let at = self.all.len();
        self.all.push(Declared {
            name,
            suffix: "",
            kind: S::KIND,
            codec: S::CODEC,
            version: 1,
            readable_from: 1,
            schema: S::schema,
            field,
        });
        &mut self.all[at]
    }

    /// Declares windows: a store of this name, and a timer of event time of this name.
    pub fn windowed<A: Aggregate>(
        &mut self,
        name: &'static str,
        field: fn(&mut P) -> &mut Windowed<A>,
    ) -> &mut Declared<P> {
        self.timed(name, field)
    }

    /// Declares a store that has a timer, and this: both have this name.
    pub fn timed<S: Timed>(&mut self, name: &'static str, field: fn(&mut P) -> &mut S) -> &mut Declared<P> {
        self.timers.push((name, Box::new(OfStore(field))));
        self.add(name, field)
    }

    /// Declares a store that has a timer, and behind it companions that are parts of its field, by
    /// [`add_companion`](Self::add_companion).
    pub(crate) fn timed_with<S: Timed>(
        &mut self,
        name: &'static str,
        field: fn(&mut P) -> &mut S,
        add_companions: impl FnOnce(&mut Self),
    ) -> &mut Declared<P> {
        let at = self.all.len();
        self.timed(name, field);
        add_companions(self);
        &mut self.all[at]
    }

    /// Declares a companion of a store: part of the field that `whole` finds, and of the same name with `suffix` behind
    /// it.
    pub(crate) fn add_companion<W: 'static, S: Store>(
        &mut self,
        name: &'static str,
        suffix: &'static str,
        whole: fn(&mut P) -> &mut W,
        companion: fn(&mut W) -> &mut S,
    ) {
        let part = PartOf { whole, part: companion };
        self.declare::<S>(name, Box::new(part)).suffix = suffix;
    }

    /// Declares a store that is part of the field that `whole` finds.
    pub(crate) fn add_part<W: 'static, S: Store>(
        &mut self,
        name: &'static str,
        whole: fn(&mut P) -> &mut W,
        part: fn(&mut W) -> &mut S,
    ) {
        self.declare::<S>(name, Box::new(PartOf { whole, part }));
    }

    /// Declares a timer of event time that is part of the field that `whole` finds.
    pub(crate) fn add_timer<W: 'static>(
        &mut self,
        name: &'static str,
        whole: fn(&mut P) -> &mut W,
        part: fn(&mut W) -> &mut Timer,
    ) {
        self.timers.push((name, Box::new(PartOf { whole, part })));
    }

    pub(crate) fn take_timers(&mut self) -> Vec<(&'static str, Box<dyn TimerField<P>>)> {
        std::mem::take(&mut self.timers)
    }

    pub(crate) fn describe(&self) -> Vec<types::Store> {
        let stores = self.all.iter();
        stores
            .map(|store| types::Store {
                name: [store.name, store.suffix].concat(),
                kind: store.kind,
                codec: store.codec.to_owned(),
                schema_version: store.version,
                readable_from: store.readable_from,
                ttl: 0,
                refresh_on_read: false,
            })
            .collect()
    }

    /// How the stores' bytes are to be shown, one text a store.
    pub(crate) fn schemas(&self) -> Vec<String> {
        self.all.iter().map(|store| (store.schema)().to_string()).collect()
    }

    /// Hands each store what travelled with the batch.
    pub(crate) fn begin(&self, plugin: &mut P, batch: &mut Batch) {
        let keys = batch.keys.len();
        let mut values = std::mem::take(&mut batch.states).into_iter();
        for (number, store) in self.all.iter().enumerate() {
            let values = match store.kind {
                types::StoreKind::Value => values.next().unwrap_or_default(),
                _ => Column::default(),
            };
            let field = store.field.of(plugin);
            field.begin(number as u8, store.name, keys, values);
        }
    }

    pub(crate) fn undo(&self, plugin: &mut P, turn: u32) {
        for store in &self.all {
            store.field.of(plugin).undo(turn);
        }
    }

    /// Whether one of the stores sees to the timer that fires.
    pub(crate) fn fire(&self, plugin: &mut P, fired: &Fired) -> Result<bool, Refusal> {
        for store in &self.all {
            if store.field.of(plugin).fire(fired)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    pub(crate) fn finish(&self, plugin: &mut P, into: &mut Changes) -> Result<(), Failure> {
        let mut stores = self.all.iter();
        stores.try_for_each(|store| store.field.of(plugin).finish(into))
    }
}

/// Finds a store or a timer in a field of the plugin that is made of several.
struct PartOf<P, W, S> {
    whole: fn(&mut P) -> &mut W,
    part: fn(&mut W) -> &mut S,
}

impl<P, W: 'static, S: Kept> Field<P> for PartOf<P, W, S> {
    fn of<'a>(&self, plugin: &'a mut P) -> &'a mut dyn Kept {
        (self.part)((self.whole)(plugin))
    }
}

impl<P, W: 'static> TimerField<P> for PartOf<P, W, Timer> {
    fn of<'a>(&self, plugin: &'a mut P) -> &'a mut Timer {
        (self.part)((self.whole)(plugin))
    }
}

impl<P> Declared<P> {
    /// The version of what the bytes mean; 1 unless it is said. It reads no older one unless
    /// [`Declared::readable_from`] says so: the host refuses to start on state of a version that the plugin does not
    /// read.
    pub fn version(&mut self, version: u32) -> &mut Self {
        (self.version, self.readable_from) = (version, version);
        self
    }

    /// The oldest version whose bytes the store's type reads as well.
    pub fn readable_from(&mut self, version: u32) -> &mut Self {
        self.readable_from = version;
        self
    }
}

impl<P> std::fmt::Debug for Stores<P> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_tuple("Stores").field(&self.all).finish()
    }
}

impl<P> std::fmt::Debug for Declared<P> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Declared")
            .field("name", &self.name)
            .field("suffix", &self.suffix)
            .field("kind", &self.kind)
            .field("codec", &self.codec)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

/// What a call changes, in columns.
#[derive(Debug, Default)]
pub struct Changes {
    store: Vec<u8>,
    kind: Vec<u8>,
    key: Vec<u32>,
    user_key: Column,
    value: Column,
}

impl Changes {
    pub(super) fn put(&mut self, store: u8, key: u32, user_key: Option<&[u8]>, value: &[u8]) {
        self.push(store, batches::ChangeKind::Put, key, user_key, Some(value));
    }

    /// Puts what `write` adds to the bytes that it gets; nothing, if it fails.
    pub(crate) fn put_written<E>(
        &mut self,
        store: u8,
        key: u32,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        let start = self.value.bytes.len();
        if let Err(error) = write(&mut self.value.bytes) {
            self.value.bytes.truncate(start);
            return Err(error);
        }
        self.value.ends.push(self.value.bytes.len() as u32);
        self.store.push(store);
        self.kind.push(batches::ChangeKind::Put as u8);
        self.key.push(key);
        self.user_key.push(None);
        Ok(())
    }

    pub(crate) fn delete(&mut self, store: u8, key: u32, user_key: Option<&[u8]>) {
        self.push(store, batches::ChangeKind::Delete, key, user_key, None);
    }

    pub(super) fn append(&mut self, store: u8, key: u32, item: &[u8]) {
        self.push(store, batches::ChangeKind::Append, key, None, Some(item));
    }

    pub(super) fn clear(&mut self, store: u8, key: u32) {
        self.push(store, batches::ChangeKind::Clear, key, None, None);
    }

    pub(crate) fn reserve(&mut self, changes: usize, bytes: usize) {
        self.store.reserve(changes);
        self.kind.reserve(changes);
        self.key.reserve(changes);
        self.user_key.reserve(changes, 0);
        self.value.reserve(changes, bytes);
    }

    #[inline]
    fn push(&mut self, store: u8, kind: batches::ChangeKind, key: u32, user_key: Option<&[u8]>, value: Option<&[u8]>) {
        self.store.push(store);
        self.kind.push(kind as u8);
        self.key.push(key);
        self.user_key.push(user_key);
        self.value.push(value);
    }
}

impl From<Changes> for batches::Changes {
    fn from(changes: Changes) -> Self {
        Self {
            store: changes.store,
            kind: changes.kind,
            key: changes.key,
            user_key: changes.user_key.into(),
            value: changes.value.into(),
        }
    }
}
