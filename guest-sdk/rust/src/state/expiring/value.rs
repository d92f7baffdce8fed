//! A value with a time to live as a plugin has it: a field, declared as a store.

use super::Refresh;
use super::life::{Life, Stamp};
use crate::bindings::sandbar::plugin::types::StoreKind;
use crate::state::stores::{Changes, Declared, Kept, Timed};
use crate::state::{Codec, Postcard, Value};
use crate::window::Span;
use crate::{Column, Failure, Fired, Keyed, Refusal, Store, Stores, Timer};

/// A [`Value`] for each key that has an end. A field of the plugin, declared by [`Stores::expiring`], and opened in
/// [`Plugin::open`](crate::Plugin::open). The values that have ended are taken away without the plugin's doing.
pub struct ExpiringValue<T, C = Postcard> {
    life: Life,
    value: Value<T, C>,
    stamps: Value<Stamp>,
    timer: Timer,
}

impl<P: 'static> Stores<P> {
    /// Declares a value with a time to live: a value store and a timer of event time of this name, and a value store of
    /// the name with `.ttl` behind it for when the values were written.
    ///
    /// A store of this name that a [`Value`] was declared for before goes on as it is: what it holds counts as written
    /// when the plugin first gets or sets it.
    pub fn expiring<T: 'static, C: Codec<T>>(
        &mut self,
        name: &'static str,
        field: fn(&mut P) -> &mut ExpiringValue<T, C>,
    ) -> &mut Declared<P> {
        self.timed_with(name, field, |stores| {
            stores.add_companion(name, ".ttl", field, |value| &mut value.stamps);
        })
    }
}

impl<T: 'static, C: Codec<T>> ExpiringValue<T, C> {
    /// Says how long after it was written a value is gone. If a later version of the plugin says another time, it holds
    /// for what is there too.
    ///
    /// # Errors
    /// The time to live is less than a millisecond.
    pub fn open(&mut self, time_to_live: Span, refresh: Refresh) -> Result<(), Refusal> {
        self.life = Life::opened(time_to_live, refresh)?;
        Ok(())
    }

    /// The value of the key; `None`: it has none, or its time is over.
    ///
    /// # Errors
    /// A record without a key is a dead letter. Bytes that are no such value stop the pipeline.
    #[inline]
    pub fn get(&mut self, of: &impl Keyed) -> Result<Option<T>, Refusal> {
        let (life, refresh) = self.life.get(self.stamps.is_begun())?;
        let stamp = self.stamps.get(of)?;
        if stamp.is_some_and(|stamp| stamp.end(life) <= of.event_time()) {
            return Ok(None);
        }
        let value = self.value.get(of)?;
        // What has no stamp was written before there was a time to live.
        if value.is_some() && (stamp.is_none() || refresh == Refresh::OnReadAndWrite) {
            self.refresh(of, stamp, life)?;
        }
        Ok(value)
    }

    /// Sets the value of the key.
    ///
    /// # Errors
    /// A record without a key is a dead letter. A value that cannot be written stops the pipeline.
    #[inline]
    pub fn set(&mut self, of: &impl Keyed, value: &T) -> Result<(), Refusal> {
        let (life, _) = self.life.get(self.stamps.is_begun())?;
        self.value.set(of, value)?;
        self.refresh(of, self.stamps.get(of)?, life)
    }

    /// Takes the value of the key away.
    ///
    /// # Errors
    /// A record without a key is a dead letter.
    pub fn delete(&mut self, of: &impl Keyed) -> Result<(), Refusal> {
        self.value.delete(of)?;
        if let Some(stamp) = self.stamps.get(of)? {
            self.timer.clear(of, stamp.timer)?;
            self.stamps.delete(of)?;
        }
        Ok(())
    }

    /// The life of the key's value begins anew.
    fn refresh(&mut self, of: &impl Keyed, before: Option<Stamp>, life: i64) -> Result<(), Refusal> {
        let stamp = Stamp::renewed(before, of.event_time(), life);
        if before == Some(stamp) {
            return Ok(());
        }
        match before {
            Some(before) if before.timer == stamp.timer => {}
            Some(before) => {
                // The time to live was longer once.
                self.timer.clear(of, before.timer)?;
                self.timer.set(of, stamp.timer)?;
            }
            None => self.timer.set(of, stamp.timer)?,
        }
        self.stamps.set(of, &stamp)
    }
}

impl<T: 'static, C: Codec<T>> Store for ExpiringValue<T, C> {
    const KIND: StoreKind = <Value<T, C> as Store>::KIND;
    const CODEC: &'static str = <Value<T, C> as Store>::CODEC;

    fn schema() -> serde_json::Value {
        <Value<T, C> as Store>::schema()
    }
}

impl<T: 'static, C: Codec<T>> Timed for ExpiringValue<T, C> {
    fn timer(&mut self) -> &mut Timer {
        &mut self.timer
    }
}

impl<T: 'static, C: Codec<T>> Kept for ExpiringValue<T, C> {
    fn begin(&mut self, store: u8, name: &'static str, keys: usize, values: Column) {
        self.value.begin(store, name, keys, values);
    }

    fn undo(&mut self, turn: u32) {
        self.value.undo(turn);
    }

    fn fire(&mut self, fired: &Fired) -> Result<bool, Refusal> {
        if !fired.is(&self.timer) {
            return Ok(false);
        }
        let (life, _) = self.life.get(self.stamps.is_begun())?;
        if let Some(stamp) = self.stamps.get(fired)? {
            let timer = stamp.end(life);
            if timer <= fired.at() {
                self.value.delete(fired)?;
                self.stamps.delete(fired)?;
            } else {
                self.timer.set(fired, timer)?;
                self.stamps.set(fired, &Stamp { timer, ..stamp })?;
            }
        }
        Ok(true)
    }

    fn finish(&mut self, into: &mut Changes) -> Result<(), Failure> {
        self.value.finish(into)
    }
}

impl<T, C> Default for ExpiringValue<T, C> {
    fn default() -> Self {
        Self {
            life: Life::default(),
            value: Value::default(),
            stamps: Value::default(),
            timer: Timer::default(),
        }
    }
}

impl<T, C> std::fmt::Debug for ExpiringValue<T, C> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("ExpiringValue")
            .field("life", &self.life)
            .field("value", &self.value)
            .finish_non_exhaustive()
    }
}
