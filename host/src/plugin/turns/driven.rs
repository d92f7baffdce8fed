//! A batch on its way through a plugin that is called for a turn at a time.

use std::mem::take;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::emitted::{self, TurnMessage};
use super::kept::{KeptWrites, KeyOf};
use super::order::{TurnOf, TurnOrder};
use super::scan::{PageAsked, PageEntries};
use super::waiting::WaitingTimers;
use crate::clock;
use crate::plugin::call::{
    Declared, Lent, Measured, NO_KEY, Refusal, RefusedEvent, Returned, StateReader, TimerChange, chance, entry,
};
use crate::plugin::limits::{KEY_BYTES, TEXT_BYTES, size, tame};
use crate::plugin::load::{Description, StoreKind};

/// What is said of a record that was to have state, and has no key to keep it by. The Rust SDK says the same.
const NO_KEY_REASON: &str = "the record has no key";

/// A batch on its way, and what its turns came to. Between batches it is empty.
///
/// Always: what a turn put out, wrote and set counts from [`keep`](Self::keep) on, or never.
#[derive(Debug, Default)]
pub(in crate::plugin) struct Driven {
    lent: Lent,
    order: TurnOrder,
    waiting: WaitingTimers,
    writes: KeptWrites,
    returned: Returned,
    limits: TurnLimits,
    /// Bytes that the batch's turns handed over so far.
    bytes: usize,
    /// When it began, and when it last came to an event.
    began: Option<Instant>,
    at_event: Option<Instant>,
    took_long: bool,
    turn: Underway,
}

/// What ends a batch before its end.
#[derive(Debug, Default, Clone, Copy)]
struct TurnLimits {
    /// Time of one turn, and about that of the batch.
    time: Duration,
    /// Bytes that a batch may hand over.
    bytes: usize,
    outputs: usize,
    metrics: usize,
}

/// The turn that is underway.
#[derive(Debug, Default)]
struct Underway {
    key: Option<u32>,
    cause: u32,
    timestamp: i64,
    /// Outputs before it, and measurements.
    before: usize,
    measured_before: usize,
    asked: Vec<TimerChange>,
    seed: u64,
    /// It used state, and has no key.
    is_without_key: bool,
}

impl Driven {
    /// For a plugin that says this of itself and has these stores.
    pub(in crate::plugin) fn new(
        description: &Description,
        stores: Arc<[Declared]>,
        time: Duration,
        bytes: usize,
    ) -> Self {
        Self {
            waiting: WaitingTimers::new(&description.timers),
            writes: KeptWrites::new(stores),
            limits: TurnLimits {
                time,
                bytes,
                outputs: description.outputs.len(),
                metrics: description.metrics.len(),
            },
            ..Self::default()
        }
    }

    /// A batch begins.
    pub(in crate::plugin) fn begin(&mut self, lent: Lent) {
        let reach = lent.advances.last().map_or(lent.watermark, |last| last.watermark);
        self.order.begin(lent.events.timestamp.len(), lent.watermark);
        self.waiting.begin(&lent.due, reach, &lent.keys);
        self.writes.begin();
        self.returned = Returned::default();
        self.lent = lent;
        (self.bytes, self.took_long) = (0, false);
        self.began = Some(clock::now());
        self.at_event = self.began;
    }

    /// What is lent for the batch.
    pub(in crate::plugin) fn lent(&self) -> &Lent {
        &self.lent
    }

    /// Begins the next turn. None: the batch is over; or enough was done of it, and the rest is another batch.
    pub(in crate::plugin) fn next(&mut self) -> Option<TurnOf> {
        if self.order.is_between_events() {
            self.took_long = self.began.is_some_and(|began| began.elapsed() >= self.limits.time);
            if self.took_long || self.bytes >= self.limits.bytes / 2 {
                self.returned.rows = Some(self.order.row());
                return None;
            }
        }
        let of = self
            .order
            .next(&self.lent.advances, &mut self.waiting, &self.lent.keys)?;
        if let TurnOf::Event(_) = of {
            self.at_event = Some(clock::now());
        }
        let (key, cause, timestamp, seed) = match of {
            TurnOf::Event(index) => {
                let (events, at) = (&self.lent.events, index as usize);
                let key = (events.key[at] != NO_KEY).then_some(events.key[at]);
                let input = events.input.get(at).copied().unwrap_or_default();
                let seed = chance::of_record(events.offset[at], events.partition[at], input);
                (key, index, events.timestamp[at], seed)
            }
            TurnOf::Timer(due) => {
                let key = key_of(&self.lent, due.key).bytes;
                let seed = chance::of_timer(due.timer, key, due.at);
                (Some(due.key), self.order.cause_of_timer(), due.at, seed)
            }
        };
        self.turn = Underway {
            key,
            cause,
            timestamp,
            before: self.returned.outputs.output.len(),
            measured_before: self.returned.measured.len(),
            seed,
            ..Underway::default()
        };
        Some(of)
    }

    /// Whether the last batch was cut because of its time: it is not to hold its worker up.
    pub(in crate::plugin) fn took_long(&self) -> bool {
        self.took_long
    }

    /// Whether timers fire for so long that no other may: one that sets itself again fires without end.
    pub(in crate::plugin) fn is_overdue(&self) -> bool {
        let most = self.limits.time * TIMER_TIMES;
        !self.is_event() && self.at_event.is_some_and(|since| since.elapsed() >= most)
    }

    /// The turn succeeded.
    pub(in crate::plugin) fn keep(&mut self) {
        if self.turn.is_without_key {
            return self.refuse(Refusal::DeadLetter, NO_KEY_REASON);
        }
        self.writes.keep();
        for asked in take(&mut self.turn.asked) {
            self.waiting.ask(asked, &self.lent.keys);
        }
    }

    /// The event whose turn it is was refused: nothing of the turn counts.
    pub(in crate::plugin) fn refuse(&mut self, how: Refusal, reason: &str) {
        let (how, reason) = match self.turn.is_without_key {
            true => (Refusal::DeadLetter, NO_KEY_REASON.to_owned()),
            false => (how, tame(reason, TEXT_BYTES)),
        };
        self.take_back();
        self.bytes += reason.len();
        self.returned.refused.push(RefusedEvent {
            event: self.turn.cause,
            how,
            reason,
        });
    }

    /// The event whose turn it is; none, if it is a timer's.
    pub(in crate::plugin) fn row(&self) -> Option<usize> {
        self.is_event().then_some(self.turn.cause as usize)
    }

    /// The turn that is underway came to nothing. Whether the turns before it stand as a batch of their own: they do
    /// not, if time moved between them and this one.
    pub(in crate::plugin) fn cut_before_turn(&mut self) -> bool {
        self.take_back();
        self.returned.measured.truncate(self.turn.measured_before);
        let rows = self.row().filter(|rows| *rows > 0 && self.waiting.is_without());
        self.returned.rows = rows;
        rows.is_some()
    }

    /// The batch is over, or given up: what was lent, and what came of it.
    pub(in crate::plugin) fn end(&mut self) -> (Lent, Returned) {
        self.returned.changes = self.writes.changes();
        self.returned.timers = self.waiting.changes(self.returned.rows.is_some());
        self.began = None;
        (take(&mut self.lent), take(&mut self.returned))
    }

    /// Puts a message out. The error, here and below, is a sentence about the plugin, begun by "it".
    pub(in crate::plugin) fn emit(&mut self, message: &TurnMessage) -> Result<(), String> {
        self.within_batch()?;
        let declared = self.limits.outputs;
        if usize::from(message.output) >= declared {
            return Err(format!(
                "it emitted to output {}, but declares {declared}",
                message.output
            ));
        }
        // -1 is Kafka's "no timestamp"; brokers refuse what is below.
        if let Some(timestamp) = message.timestamp.filter(|timestamp| *timestamp < -1) {
            return Err(format!("it emitted at timestamp {timestamp}"));
        }
        self.spend(message.bytes())?;
        let Underway { cause, timestamp, .. } = self.turn;
        emitted::push(&mut self.returned.outputs, message, cause, timestamp);
        Ok(())
    }

    /// Measures.
    pub(in crate::plugin) fn measure(&mut self, metric: u8, value: f64) -> Result<(), String> {
        self.within_batch()?;
        let declared = self.limits.metrics;
        if usize::from(metric) >= declared {
            return Err(format!("it measured metric {metric}, but declares {declared}"));
        }
        if !value.is_finite() {
            return Err(format!("it measured metric {metric} as {value}"));
        }
        self.spend(size_of::<Measured>())?;
        self.returned.measured.push(Measured { metric, value });
        Ok(())
    }

    /// Sets or clears a timer.
    pub(in crate::plugin) fn ask(&mut self, timer: u8, at: i64, set: bool) -> Result<(), String> {
        self.within_batch()?;
        let declared = self.waiting.declared();
        if usize::from(timer) >= declared {
            return Err(format!("it set timer {timer}, but declares {declared}"));
        }
        let Some(key) = self.key() else { return Ok(()) };
        let bytes = self.key_bytes(key)?;
        self.spend(TIMER_BYTES + bytes)?;
        self.turn.asked.push(TimerChange { timer, key, at, set });
        Ok(())
    }

    /// Where event time stands.
    pub(in crate::plugin) fn watermark(&self) -> i64 {
        self.order.watermark()
    }

    /// The host's clock.
    pub(in crate::plugin) fn processing_time(&self) -> i64 {
        self.lent.processing_time
    }

    /// The time of the turn: that of its event or timer.
    pub(in crate::plugin) fn timestamp(&self) -> i64 {
        self.turn.timestamp
    }

    /// The same in a replay of the turn.
    pub(in crate::plugin) fn seed(&self) -> u64 {
        self.turn.seed
    }

    /// The value of the key.
    pub(in crate::plugin) fn get(&mut self, store: u8) -> Result<Option<Vec<u8>>, String> {
        let Some(key) = self.key_in(store, Some(StoreKind::Value))? else {
            return Ok(None);
        };
        self.writes.get(store, key_of(&self.lent, key), &self.lent.values)
    }

    /// Sets the value of the key; none: takes it away.
    pub(in crate::plugin) fn put(&mut self, store: u8, value: Option<Vec<u8>>) -> Result<(), String> {
        let Some(key) = self.key_in(store, Some(StoreKind::Value))? else {
            return Ok(());
        };
        self.spend(WRITE_BYTES + value.as_ref().map_or(0, Vec::len))?;
        self.writes.put(store, key_of(&self.lent, key), value)
    }

    /// Adds an item to the list of the key.
    pub(in crate::plugin) fn append(&mut self, store: u8, item: Vec<u8>) -> Result<(), String> {
        let Some(key) = self.key_in(store, Some(StoreKind::List))? else {
            return Ok(());
        };
        self.spend(WRITE_BYTES + item.len())?;
        self.writes.append(store, key_of(&self.lent, key), item)
    }

    /// The items of the key.
    pub(in crate::plugin) fn items(&mut self, store: u8, reader: &mut StateReader) -> Result<Vec<Vec<u8>>, String> {
        let Some(key) = self.key_in(store, Some(StoreKind::List))? else {
            return Ok(Vec::new());
        };
        self.writes.items(store, key_of(&self.lent, key), reader)
    }

    /// An entry of the key.
    pub(in crate::plugin) fn get_entry(
        &mut self,
        store: u8,
        user_key: Vec<u8>,
        reader: &mut StateReader,
    ) -> Result<Option<Vec<u8>>, String> {
        let Some(key) = self.key_in(store, Some(StoreKind::Map))? else {
            return Ok(None);
        };
        self.writes.get_entry(store, key_of(&self.lent, key), user_key, reader)
    }

    /// Sets an entry of the key; none: takes it away.
    pub(in crate::plugin) fn put_entry(
        &mut self,
        store: u8,
        user_key: Vec<u8>,
        value: Option<Vec<u8>>,
    ) -> Result<(), String> {
        let Some(key) = self.key_in(store, Some(StoreKind::Map))? else {
            return Ok(());
        };
        self.spend(WRITE_BYTES + user_key.len() + value.as_ref().map_or(0, Vec::len))?;
        self.writes.put_entry(store, key_of(&self.lent, key), user_key, value)
    }

    /// A page of the entries of the key.
    pub(in crate::plugin) fn scan(
        &mut self,
        store: u8,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: u32,
        reader: &mut StateReader,
    ) -> Result<PageEntries, String> {
        self.within_batch()?;
        let Some(key) = self.key() else {
            return Ok(PageEntries::new());
        };
        let asked = PageAsked { prefix, after, limit };
        self.writes.scan(store, key_of(&self.lent, key), asked, reader)
    }

    /// Takes all items or entries of the key away.
    pub(in crate::plugin) fn clear(&mut self, store: u8) -> Result<(), String> {
        let Some(key) = self.key_in(store, None)? else {
            return Ok(());
        };
        self.spend(WRITE_BYTES)?;
        self.writes.clear(store, key_of(&self.lent, key))
    }

    /// The key of the turn, to use this store with.
    fn key_in(&mut self, store: u8, kind: Option<StoreKind>) -> Result<Option<u32>, String> {
        self.within_batch()?;
        self.writes.check(store, kind)?;
        match self.key() {
            Some(key) => self.key_bytes(key).map(|_bytes| Some(key)),
            None => Ok(None),
        }
    }

    /// How long a key is, if it may have state.
    fn key_bytes(&self, key: u32) -> Result<usize, String> {
        match entry(&self.lent.keys, key).len() {
            bytes if bytes > KEY_BYTES => Err(format!(
                "it used state under a key of {bytes} bytes; {KEY_BYTES} are the most"
            )),
            bytes => Ok(bytes),
        }
    }

    /// The key of the turn; a turn that asks for it and has none is refused.
    fn key(&mut self) -> Option<u32> {
        self.turn.is_without_key |= self.turn.key.is_none();
        self.turn.key
    }

    fn is_event(&self) -> bool {
        (self.turn.cause as usize) < self.order.rows()
    }

    fn take_back(&mut self) {
        emitted::truncate(&mut self.returned.outputs, self.turn.before);
        self.writes.take_back();
        self.turn.asked.clear();
        self.turn.is_without_key = false;
    }

    fn within_batch(&self) -> Result<(), String> {
        match self.began {
            Some(_) => Ok(()),
            None => Err("it called the host outside of a turn".to_owned()),
        }
    }

    fn spend(&mut self, bytes: usize) -> Result<(), String> {
        self.bytes += bytes;
        match self.bytes <= self.limits.bytes {
            true => Ok(()),
            false => Err(format!(
                "it handed over more than the {} that a batch may take on its way (batch-memory)",
                size(self.limits.bytes as u64)
            )),
        }
    }
}

/// What a write takes of the host's memory beside its bytes, and a timer beside its key, about.
const WRITE_BYTES: usize = 64;
const TIMER_BYTES: usize = 128;

/// So many times as long as a call may take, timers may fire between two events.
const TIMER_TIMES: u32 = 10;

fn key_of(lent: &Lent, index: u32) -> KeyOf<'_> {
    KeyOf {
        index,
        bytes: entry(&lent.keys, index),
    }
}
