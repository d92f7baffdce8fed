//! World `processor` of version 0.1: its types from the host's and back. Columns are moved, never copied.

use std::mem::take;

use wasmtime::{Error, Store};

use super::bindings::v0_1::Processor;
use super::bindings::v0_1::sandbar::plugin::batches as wit;
use super::bindings::v0_1::sandbar::plugin::log::{Host as LogHost, Level};
use super::bindings::v0_1::sandbar::plugin::state_reader::{Entries, Host as StateReaderHost};
use super::bindings::v0_1::sandbar::plugin::types::{self, BytesColumn, HeadersColumn, NullableColumn};
use crate::plugin::call::{
    Advance, Changes, Declined, Due, Emitted, Events, Lent, Measured, Refusal, RefusedEvent, Returned, TimerChange,
};
use crate::plugin::guest_log::LogLevel;
use crate::plugin::host_calls::Guest;
use crate::plugin::load::{Metric, MetricKind, Needs, Said, SaidStore, StoreKind, Timer, TimerClock};
use crate::record::{Column, Headers};

/// Asks a plugin what it is.
pub(super) fn describe(guest: &Processor, store: &mut Store<Guest>) -> wasmtime::Result<Said> {
    guest.call_describe(store).map(said)
}

/// Calls a plugin with a batch.
pub(super) fn process(
    guest: &Processor,
    store: &mut Store<Guest>,
    lent: &mut Lent,
) -> wasmtime::Result<Result<Returned, Declined>> {
    let first = lent.events.timestamp.first().copied();
    let surroundings = &mut store.data_mut().surroundings;
    surroundings.begin(first.unwrap_or(lent.watermark), lent.seed);
    let batch = batch(take(lent));
    let answer = guest.call_process(store, &batch);
    *lent = lent_again(batch);
    Ok(answer?.map(returned).map_err(declined))
}

pub(super) fn said(said: types::Description) -> Said {
    Said {
        name: said.name,
        version: said.version,
        inputs: said.inputs,
        outputs: said.outputs,
        stores: said.stores.into_iter().map(said_store).collect(),
        timers: said.timers.into_iter().map(timer).collect(),
        metrics: said.metrics.into_iter().map(metric).collect(),
        config_schema: said.config_schema,
        needs: Needs {
            coordinates: said.needs.contains(types::Needs::COORDINATES),
            headers: said.needs.contains(types::Needs::HEADERS),
            keeps_key: said.needs.contains(types::Needs::KEEPS_KEY),
        },
    }
}

fn said_store(said: types::Store) -> SaidStore {
    SaidStore {
        name: said.name,
        kind: match said.kind {
            types::StoreKind::Value => StoreKind::Value,
            types::StoreKind::ListOf => StoreKind::List,
            types::StoreKind::MapOf => StoreKind::Map,
        },
        codec: said.codec,
        schema_version: said.schema_version,
        readable_from: said.readable_from,
        ttl: said.ttl,
        refresh_on_read: said.refresh_on_read,
    }
}

fn timer(said: types::Timer) -> Timer {
    Timer {
        name: said.name,
        clock: match said.clock {
            types::TimerClock::EventTime => TimerClock::EventTime,
            types::TimerClock::ProcessingTime => TimerClock::ProcessingTime,
        },
    }
}

fn metric(said: types::Metric) -> Metric {
    Metric {
        name: said.name,
        kind: match said.kind {
            types::MetricKind::Counter => MetricKind::Counter,
            types::MetricKind::Gauge => MetricKind::Gauge,
        },
        help: said.help,
    }
}

fn batch(lent: Lent) -> wit::Batch {
    let events = lent.events;
    wit::Batch {
        keys: bytes(lent.keys),
        events: wit::Events {
            input: events.input,
            key: events.key,
            timestamp: events.timestamp,
            value: nullable(events.value),
            partition: events.partition,
            offset: events.offset,
            headers: HeadersColumn {
                of: events.headers.of,
                name: bytes(events.headers.names),
                value: nullable(events.headers.values),
            },
        },
        // The list itself lies where it lay, too: an entry is as large there as here.
        values: lent.values.into_iter().map(nullable).collect(),
        watermark: lent.watermark,
        advances: lent.advances.iter().map(advance).collect(),
        due: lent.due.iter().map(due).collect(),
        processing_time: lent.processing_time,
        seed: lent.seed,
    }
}

fn advance(advance: &Advance) -> wit::Advance {
    wit::Advance {
        before: advance.before,
        watermark: advance.watermark,
    }
}

fn due(due: &Due) -> wit::Due {
    wit::Due {
        timer: due.timer,
        key: due.key,
        at: due.at,
    }
}

fn timer_change(given: wit::TimerChange) -> TimerChange {
    TimerChange {
        timer: given.timer,
        key: given.key,
        at: given.at,
        set: given.set,
    }
}

/// Time is not taken back: it is written anew for each call.
fn lent_again(batch: wit::Batch) -> Lent {
    let events = batch.events;
    Lent {
        keys: whole(batch.keys),
        events: Events {
            input: events.input,
            key: events.key,
            timestamp: events.timestamp,
            value: column(events.value),
            partition: events.partition,
            offset: events.offset,
            headers: headers(events.headers),
        },
        values: batch.values.into_iter().map(column).collect(),
        watermark: batch.watermark,
        advances: vec![],
        due: vec![],
        processing_time: batch.processing_time,
        seed: batch.seed,
    }
}

fn returned(given: wit::Outcome) -> Returned {
    let (outputs, changes) = (given.outputs, given.changes);
    Returned {
        outputs: Emitted {
            output: outputs.output,
            key: column(outputs.key),
            value: column(outputs.value),
            timestamp: outputs.timestamp,
            headers: headers(outputs.headers),
            cause: outputs.cause,
        },
        changes: Changes {
            store: changes.store,
            kind: changes.kind,
            key: changes.key,
            user_key: column(changes.user_key),
            value: column(changes.value),
        },
        timers: given.timers.into_iter().map(timer_change).collect(),
        refused: given.refused.into_iter().map(refused).collect(),
        measured: given.measured.into_iter().map(measured).collect(),
        rows: None,
    }
}

fn refused(given: wit::Refused) -> RefusedEvent {
    RefusedEvent {
        event: given.event,
        how: refusal(given.how),
        reason: given.reason,
    }
}

pub(super) fn refusal(given: types::Refusal) -> Refusal {
    match given {
        types::Refusal::Skip => Refusal::Skip,
        types::Refusal::DeadLetter => Refusal::DeadLetter,
        types::Refusal::Fail => Refusal::Fail,
    }
}

fn measured(given: wit::Measured) -> Measured {
    Measured {
        metric: given.metric,
        value: given.value,
    }
}

pub(super) fn declined(given: types::Failure) -> Declined {
    match given {
        types::Failure::Retry(why) => Declined::Retry(why),
        types::Failure::Fail(why) => Declined::Fail(why),
    }
}

impl LogHost for Guest {
    fn write(&mut self, level: Level, message: String) -> wasmtime::Result<()> {
        let level = match level {
            Level::Debug => LogLevel::Debug,
            Level::Info => LogLevel::Info,
            Level::Warn => LogLevel::Warn,
            Level::Error => LogLevel::Error,
        };
        self.log.write(level, &message);
        Ok(())
    }
}

/// A read that cannot be is a fault of the guest's, as a trap is.
impl StateReaderHost for Guest {
    fn get_many(&mut self, store: u8, key: Vec<u8>, user_keys: BytesColumn) -> wasmtime::Result<NullableColumn> {
        let found = self.reader.get_many(store, &key, whole(user_keys));
        found.map(nullable).map_err(Error::msg)
    }

    fn scan(
        &mut self,
        store: u8,
        key: Vec<u8>,
        prefix: Vec<u8>,
        after: Option<Vec<u8>>,
        limit: u32,
    ) -> wasmtime::Result<Entries> {
        let page = self.reader.scan(store, &key, &prefix, after.as_deref(), limit);
        let page = page.map_err(Error::msg)?;
        Ok(Entries {
            user_key: bytes(page.user_keys),
            value: bytes(page.values),
            more: page.more,
        })
    }

    fn items(&mut self, store: u8, key: Vec<u8>) -> wasmtime::Result<BytesColumn> {
        self.reader.items(store, &key).map(bytes).map_err(Error::msg)
    }
}

impl types::Host for Guest {}
impl wit::Host for Guest {}

/// A column in which no entry is absent.
fn bytes(column: Column) -> BytesColumn {
    BytesColumn {
        bytes: column.bytes,
        ends: column.ends,
    }
}

fn whole(given: BytesColumn) -> Column {
    Column {
        bytes: given.bytes,
        ends: given.ends,
        absent: vec![],
    }
}

fn nullable(column: Column) -> NullableColumn {
    NullableColumn {
        bytes: column.bytes,
        ends: column.ends,
        absent: column.absent,
    }
}

fn column(given: NullableColumn) -> Column {
    Column {
        bytes: given.bytes,
        ends: given.ends,
        absent: given.absent,
    }
}

fn headers(given: HeadersColumn) -> Headers {
    Headers {
        of: given.of,
        names: whole(given.name),
        values: column(given.value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two(one: &[u8]) -> Column {
        let mut column = Column::default();
        column.push(Some(one));
        column.push(None);
        column
    }

    fn names(one: &[u8]) -> Column {
        let mut column = Column::default();
        column.push(Some(one));
        column
    }

    fn lent() -> Lent {
        Lent {
            keys: names(b"key"),
            events: Events {
                input: vec![1, 2],
                key: vec![0, 0],
                timestamp: vec![3, 4],
                value: two(b"value"),
                partition: vec![5, 6],
                offset: vec![7, 8],
                headers: Headers {
                    of: vec![1],
                    names: names(b"name"),
                    values: names(b"header"),
                },
            },
            values: vec![two(b"state"), two(b"other")],
            watermark: 8,
            advances: vec![],
            due: vec![],
            processing_time: 9,
            seed: 10,
        }
    }

    /// Where the bytes of a batch lie.
    fn places(lent: &Lent) -> Vec<*const u8> {
        let events = &lent.events;
        let columns = [
            &lent.keys,
            &events.value,
            &events.headers.names,
            &events.headers.values,
            &lent.values[0],
            &lent.values[1],
        ];
        let bytes = columns
            .iter()
            .flat_map(|column| [column.bytes.as_ptr(), column.ends.as_ptr().cast()]);
        bytes
            .chain([
                events.key.as_ptr().cast(),
                events.offset.as_ptr().cast(),
                lent.values.as_ptr().cast(),
            ])
            .collect()
    }

    #[test]
    fn a_batch_crosses_and_comes_back_without_a_copy() {
        let before = lent();
        let places_before = places(&before);
        let sent = batch(before);
        assert_eq!(sent.events.partition, [5, 6]);
        assert_eq!(sent.values[1].bytes, b"other");
        assert_eq!((sent.processing_time, sent.seed), (9, 10));
        let after = lent_again(sent);
        assert_eq!(after, lent());
        assert_eq!(places(&after), places_before, "moved, the list of values too");
    }

    const TIMER: wit::TimerChange = wit::TimerChange {
        timer: 1,
        key: 2,
        at: -3,
        set: true,
    };

    #[test]
    fn what_a_guest_returns_is_taken_over_as_it_is() {
        let given = wit::Outcome {
            outputs: wit::Outputs {
                output: vec![1],
                key: nullable(two(b"k")),
                value: nullable(names(b"v")),
                timestamp: vec![-7],
                headers: HeadersColumn {
                    of: vec![9],
                    name: bytes(names(b"n")),
                    value: nullable(two(b"h")),
                },
                cause: vec![u32::MAX],
            },
            changes: wit::Changes {
                store: vec![2],
                kind: vec![99],
                key: vec![3],
                user_key: nullable(two(b"u")),
                value: nullable(names(b"c")),
            },
            timers: vec![wit::TimerChange { ..TIMER }],
            refused: vec![wit::Refused {
                event: 4,
                how: types::Refusal::DeadLetter,
                reason: "no\u{7}".to_owned(),
            }],
            measured: vec![wit::Measured {
                metric: 5,
                value: f64::INFINITY,
            }],
        };
        let expected = Returned {
            outputs: Emitted {
                output: vec![1],
                key: two(b"k"),
                value: names(b"v"),
                timestamp: vec![-7],
                headers: Headers {
                    of: vec![9],
                    names: names(b"n"),
                    values: two(b"h"),
                },
                cause: vec![u32::MAX],
            },
            changes: Changes {
                store: vec![2],
                kind: vec![99],
                key: vec![3],
                user_key: two(b"u"),
                value: names(b"c"),
            },
            timers: vec![timer_change(TIMER)],
            refused: vec![RefusedEvent {
                event: 4,
                how: Refusal::DeadLetter,
                reason: "no\u{7}".to_owned(),
            }],
            measured: vec![Measured {
                metric: 5,
                value: f64::INFINITY,
            }],
            rows: None,
        };
        assert_eq!(returned(given), expected);
    }
}
