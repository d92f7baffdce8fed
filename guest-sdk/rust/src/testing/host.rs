//! The model of the host.

use std::collections::{BTreeMap, BTreeSet};

use super::record::{Output, Record};
use super::served;
use super::state::{Held, Pending, Snapshot};
use crate::bindings::sandbar::plugin::{batches, types};
use crate::guest::{self, Slot};
use crate::{Codec, Column, Failure, Headers, Plugin, Refusal};

/// Timers that a call gets behind its last event.
const DUE_AT_ONCE: usize = 1000;

/// Runs a plugin.
pub struct Host<P> {
    plugin: Slot<P>,
    description: types::Description,
    held: Held,
    timers: BTreeSet<Pending>,
    watermark: i64,
    clock: i64,
    due_at_once: usize,
    /// What was pushed since the last call, and how event time moves in between.
    records: Vec<Record>,
    advances: Vec<batches::Advance>,
    outputs: Vec<Output>,
    refused: Vec<Refusal>,
}

impl<P: Plugin> Host<P> {
    /// Opens the plugin with a configuration, a text in JSON; an empty text is none.
    ///
    /// # Errors
    /// What the plugin has against the configuration.
    pub fn open(config: &str) -> Result<Self, String> {
        let plugin = Slot::default();
        guest::open::<P>(&plugin, config)?;
        Ok(Self {
            plugin,
            description: guest::describe::<P>("", ""),
            held: Held::default(),
            timers: BTreeSet::new(),
            watermark: i64::MIN,
            clock: 0,
            due_at_once: DUE_AT_ONCE,
            records: Vec::new(),
            advances: Vec::new(),
            outputs: Vec::new(),
            refused: Vec::new(),
        })
    }

    /// So many timers fire at most in a call behind its last event; the others fire in calls of their own.
    pub fn due_at_once(&mut self, timers: usize) {
        self.due_at_once = timers.max(1);
    }

    /// A record comes.
    pub fn push(&mut self, record: Record) {
        self.records.push(record);
    }

    /// Event time moves, behind what was pushed; back it never moves.
    pub fn advance(&mut self, watermark: i64) {
        let last = self.advances.last().map_or(self.watermark, |last| last.watermark);
        if watermark > last {
            let before = self.records.len() as u32;
            self.advances.push(batches::Advance { before, watermark });
        }
    }

    /// Calls the plugin with what was pushed since the last call, and then until no timer of event time is due.
    ///
    /// # Errors
    /// The call's failure; nothing of it is applied, and what was pushed is gone.
    pub fn run(&mut self) -> Result<(), Failure> {
        let (records, advances) = (std::mem::take(&mut self.records), std::mem::take(&mut self.advances));
        let end = advances.partition_point(|advance| (advance.before as usize) < records.len());
        let last = advances.last().map_or(self.watermark, |last| last.watermark);
        let at_end = self.due(last).count();
        if at_end <= self.due_at_once {
            self.call(&records, &advances, at_end)?;
            return self.fire_rest();
        }
        // Too many for one call: each move behind the last event is a call of its own.
        if !records.is_empty() {
            let before = advances[..end].last().map_or(self.watermark, |last| last.watermark);
            let due = self.due(before).count();
            self.call(&records, &advances[..end], due)?;
            self.fire_rest()?;
        }
        for advance in &advances[end..] {
            let moves = batches::Advance { before: 0, ..*advance };
            self.call(&[], &[moves], self.due_at_once)?;
            self.fire_rest()?;
        }
        Ok(())
    }

    /// The host's clock moves, behind what was pushed.
    ///
    /// # Errors
    /// As [`Host::run`].
    pub fn clock(&mut self, now: i64) -> Result<(), Failure> {
        self.run()?;
        self.clock = now;
        loop {
            let due = self.of_clock(types::TimerClock::ProcessingTime, now);
            let due: Vec<Pending> = due.take(self.due_at_once).cloned().collect();
            if due.is_empty() {
                return Ok(());
            }
            self.call_with(&[], &[], &due)?;
            self.fire_rest()?;
        }
    }

    /// All that was put out since this was asked last.
    pub fn take_outputs(&mut self) -> Vec<Output> {
        std::mem::take(&mut self.outputs)
    }

    /// Why records were refused since this was asked last.
    pub fn take_refused(&mut self) -> Vec<Refusal> {
        std::mem::take(&mut self.refused)
    }

    /// The value of a key in a value store, read by the store's codec.
    ///
    /// # Errors
    /// The bytes are no such value, or there is no such store.
    pub fn value<T, C: Codec<T>>(&self, store: &str, key: &str) -> Result<Option<T>, String> {
        let stores = self.description.stores.iter();
        let number = stores.map(|store| &store.name).position(|name| name == store);
        let number = number.ok_or_else(|| format!("there is no store `{store}`"))?;
        let value = self.held.values.get(&(number as u8, key.as_bytes().to_vec()));
        value.map(|bytes| C::read(bytes)).transpose()
    }

    /// The timers that are set: time, name, key.
    pub fn timers(&self) -> impl Iterator<Item = (i64, &str, &[u8])> {
        self.timers.iter().map(|(at, name, key)| (*at, &name[..], &key[..]))
    }

    /// Event time as it stands.
    #[must_use]
    pub fn watermark(&self) -> i64 {
        self.watermark
    }

    /// All that is kept; what was pushed and not run is not.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            held: self.held.clone(),
            timers: self.timers.clone(),
            watermark: self.watermark,
        }
    }

    /// Goes back to what was kept.
    pub fn restore(&mut self, snapshot: &Snapshot) {
        let Snapshot {
            held,
            timers,
            watermark,
        } = snapshot.clone();
        (self.held, self.timers, self.watermark) = (held, timers, watermark);
        self.records.clear();
        self.advances.clear();
    }

    /// The timers on a clock that are due by then.
    fn of_clock(&self, clock: types::TimerClock, until: i64) -> impl Iterator<Item = &Pending> {
        let timers = self.timers.iter().take_while(move |(at, _, _)| *at <= until);
        timers.filter(move |(_, name, _)| {
            let mut declared = self.description.timers.iter();
            declared.any(|timer| timer.name == *name && timer.clock == clock)
        })
    }

    fn due(&self, until: i64) -> impl Iterator<Item = &Pending> {
        self.of_clock(types::TimerClock::EventTime, until)
    }

    /// What the call before left, because it stands behind the last timer that it got.
    fn fire_rest(&mut self) -> Result<(), Failure> {
        while self.due(self.watermark).next().is_some() {
            self.call(&[], &[], self.due_at_once)?;
        }
        Ok(())
    }

    /// One call, with the first so many of the timers that are due when it ends.
    fn call(&mut self, records: &[Record], advances: &[batches::Advance], most: usize) -> Result<(), Failure> {
        let last = advances.last().map_or(self.watermark, |last| last.watermark);
        let due: Vec<Pending> = self.due(last).take(most).cloned().collect();
        self.call_with(records, advances, &due)
    }

    fn call_with(&mut self, records: &[Record], advances: &[batches::Advance], due: &[Pending]) -> Result<(), Failure> {
        let (batch, keys) = self.batch(records, advances, due);
        let (plugin, held) = (&self.plugin, &mut self.held);
        let outcome = served::during(held, || guest::process(plugin, batch)).map_err(|failure| match failure {
            types::Failure::Retry(reason) => Failure::Retry(reason),
            types::Failure::Fail(reason) => Failure::Fail(reason),
        })?;
        self.watermark = advances.last().map_or(self.watermark, |last| last.watermark);
        for timer in due {
            self.timers.remove(timer);
        }
        for change in &outcome.timers {
            let name = self.description.timers[usize::from(change.timer)].name.clone();
            let timer = (change.at, name, keys[change.key as usize].clone());
            match change.set {
                true => self.timers.insert(timer),
                false => self.timers.remove(&timer),
            };
        }
        let stores = &self.description.stores;
        let is_map = |store: u8| stores[usize::from(store)].kind == types::StoreKind::MapOf;
        self.held.apply(outcome.changes, &keys, is_map);
        self.take(outcome.outputs, outcome.refused);
        Ok(())
    }

    fn take(&mut self, outputs: batches::Outputs, refused: Vec<batches::Refused>) {
        let (keys, values) = (Column::from(outputs.key), Column::from(outputs.value));
        let headers = Headers::from(outputs.headers);
        let owned = |bytes: Option<&[u8]>| bytes.map(<[u8]>::to_vec);
        for (at, output) in outputs.output.iter().enumerate() {
            let named = headers.of(at);
            let headers = named.map(|(name, value)| (String::from_utf8_lossy(name).into_owned(), owned(value)));
            self.outputs.push(Output {
                output: self.description.outputs[usize::from(*output)].clone(),
                key: owned(keys.get(at)),
                value: owned(values.get(at)),
                timestamp: outputs.timestamp[at],
                headers: headers.collect(),
            });
        }
        self.refused
            .extend(refused.into_iter().map(|refused| match refused.how {
                types::Refusal::Skip => Refusal::Skip(refused.reason),
                types::Refusal::DeadLetter => Refusal::DeadLetter(refused.reason),
                types::Refusal::Fail => Refusal::Fail(refused.reason),
            }));
    }

    /// A batch, and its keys.
    fn batch(
        &self,
        records: &[Record],
        advances: &[batches::Advance],
        due: &[Pending],
    ) -> (batches::Batch, Vec<Vec<u8>>) {
        let mut keys = Keys::default();
        let key = records.iter().map(|record| match &record.key {
            Some(key) => keys.index(key),
            None => crate::batch::NONE,
        });
        let key = key.collect();
        let number = |name: &str| self.description.timers.iter().position(|timer| timer.name == name);
        let due = due.iter().map(|(at, name, key)| batches::Due {
            timer: number(name).unwrap_or_default() as u8,
            key: keys.index(key),
            at: *at,
        });
        let due = due.collect();
        let (mut values, mut headers) = (Column::default(), Headers::default());
        for (at, record) in records.iter().enumerate() {
            values.push(record.value.as_deref());
            let named = record.headers.iter();
            named.for_each(|(name, value)| headers.push(at, name.as_bytes(), value.as_deref()));
        }
        let batch = batches::Batch {
            values: self.travelling(&keys.all),
            keys: column(&keys.all).into(),
            events: batches::Events {
                input: records.iter().map(|record| record.input).collect(),
                key,
                timestamp: records.iter().map(|record| record.timestamp).collect(),
                value: values.into(),
                partition: Vec::new(),
                offset: Vec::new(),
                headers: headers.into(),
            },
            watermark: self.watermark,
            advances: advances.to_vec(),
            due,
            processing_time: self.clock,
            seed: 0,
        };
        (batch, keys.all)
    }

    /// Of each value store a column.
    fn travelling(&self, keys: &[Vec<u8>]) -> Vec<types::NullableColumn> {
        let stores = (0..).zip(&self.description.stores);
        let values = stores.filter(|(_, store)| store.kind == types::StoreKind::Value);
        let column = |number: u8| {
            let mut column = Column::default();
            keys.iter()
                .for_each(|key| column.push(self.held.values.get(&(number, key.clone())).map(Vec::as_slice)));
            column.into()
        };
        values.map(|(number, _)| column(number)).collect()
    }
}

impl<P> std::fmt::Debug for Host<P> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Host")
            .field("held", &self.held)
            .field("timers", &self.timers)
            .field("watermark", &self.watermark)
            .finish_non_exhaustive()
    }
}

/// The distinct keys of a batch, in the order in which they were met.
#[derive(Default)]
struct Keys {
    all: Vec<Vec<u8>>,
    known: BTreeMap<Vec<u8>, u32>,
}

impl Keys {
    fn index(&mut self, key: &[u8]) -> u32 {
        if let Some(&known) = self.known.get(key) {
            return known;
        }
        let index = self.all.len() as u32;
        self.all.push(key.to_vec());
        self.known.insert(key.to_vec(), index);
        index
    }
}

fn column(keys: &[Vec<u8>]) -> Column {
    let mut column = Column::default();
    keys.iter().for_each(|key| column.push(Some(key)));
    column
}
