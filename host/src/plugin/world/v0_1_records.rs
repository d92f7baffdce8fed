//! World `record-processor` of version 0.1: a batch becomes a call an event, or a timer.

use std::mem::take;

use wasmtime::{Error, Store, Trap};

use super::bindings::v0_1_records::sandbar::plugin::{chance, output, state, timers};
use super::bindings::v0_1_records::{Event, RecordProcessor, Verdict};
use super::v0_1::{declined, refusal, said};
use crate::plugin::call::{Declined, Lent, NO_KEY, Returned, entry};
use crate::plugin::host_calls::Guest;
use crate::plugin::load::Said;
use crate::plugin::turns::{TurnMessage, TurnOf};

/// Asks a plugin what it is.
pub(super) fn describe(guest: &RecordProcessor, store: &mut Store<Guest>) -> wasmtime::Result<Said> {
    guest.call_describe(store).map(said)
}

/// Takes a plugin through a batch. A trap behind events that had their turn ends the batch before it: the guest keeps
/// why.
pub(super) fn process(
    guest: &RecordProcessor,
    store: &mut Store<Guest>,
    lent: &mut Lent,
    before_turn: impl Fn(&mut Store<Guest>),
) -> wasmtime::Result<Result<Returned, Declined>> {
    store.data_mut().driven.begin(take(lent));
    let answer = turns(guest, store, before_turn);
    let data = store.data_mut();
    let answer = match answer {
        Err(trap) if data.driven.cut_before_turn() => {
            data.spoilt = Some(trap);
            Ok(Ok(()))
        }
        answer => answer,
    };
    let returned;
    (*lent, returned) = data.driven.end();
    Ok(answer?.map(|()| returned))
}

fn turns(
    guest: &RecordProcessor,
    store: &mut Store<Guest>,
    before_turn: impl Fn(&mut Store<Guest>),
) -> wasmtime::Result<Result<(), Declined>> {
    while let Some(turn) = store.data_mut().driven.next() {
        if store.data().driven.is_overdue() {
            return Err(Trap::Interrupt.into());
        }
        before_turn(store);
        let data = store.data_mut();
        data.surroundings.begin(data.driven.timestamp(), data.driven.seed());
        let said = match turn {
            TurnOf::Event(index) => {
                let event = event(store.data().driven.lent(), index);
                guest.call_process(&mut *store, &event)?
            }
            TurnOf::Timer(due) => {
                let key = entry(&store.data().driven.lent().keys, due.key).to_vec();
                guest
                    .call_fire(&mut *store, due.timer, &key, due.at)?
                    .map(|()| Verdict::Done)
            }
        };
        let driven = &mut store.data_mut().driven;
        match said {
            Ok(Verdict::Done) => driven.keep(),
            Ok(Verdict::Refuse((how, reason))) => driven.refuse(refusal(how), &reason),
            Err(failure) => return Ok(Err(declined(failure))),
        }
    }
    Ok(Ok(()))
}

fn event(lent: &Lent, index: u32) -> Event {
    let (events, at) = (&lent.events, index as usize);
    let owned = |bytes: Option<&[u8]>| bytes.map(<[u8]>::to_vec);
    let headers = events.headers.of(index).map(|(name, value)| output::Header {
        name: String::from_utf8_lossy(name).into_owned(),
        value: owned(value),
    });
    Event {
        input: events.input.get(at).copied().unwrap_or_default(),
        key: (events.key[at] != NO_KEY).then(|| entry(&lent.keys, events.key[at]).to_vec()),
        value: owned(events.value.get(at)),
        timestamp: events.timestamp[at],
        partition: events.partition.get(at).copied().unwrap_or_default(),
        offset: events.offset.get(at).copied().unwrap_or_default(),
        headers: headers.collect(),
    }
}

impl state::Host for Guest {
    fn get(&mut self, store: u8) -> wasmtime::Result<Option<Vec<u8>>> {
        self.driven.get(store).map_err(Error::msg)
    }

    fn put(&mut self, store: u8, value: Vec<u8>) -> wasmtime::Result<()> {
        self.driven.put(store, Some(value)).map_err(Error::msg)
    }

    fn delete(&mut self, store: u8) -> wasmtime::Result<()> {
        self.driven.put(store, None).map_err(Error::msg)
    }

    fn append(&mut self, store: u8, item: Vec<u8>) -> wasmtime::Result<()> {
        self.driven.append(store, item).map_err(Error::msg)
    }

    fn items(&mut self, store: u8) -> wasmtime::Result<Vec<Vec<u8>>> {
        self.driven.items(store, &mut self.reader).map_err(Error::msg)
    }

    fn get_entry(&mut self, store: u8, user_key: Vec<u8>) -> wasmtime::Result<Option<Vec<u8>>> {
        let found = self.driven.get_entry(store, user_key, &mut self.reader);
        found.map_err(Error::msg)
    }

    fn put_entry(&mut self, store: u8, user_key: Vec<u8>, value: Vec<u8>) -> wasmtime::Result<()> {
        self.driven.put_entry(store, user_key, Some(value)).map_err(Error::msg)
    }

    fn delete_entry(&mut self, store: u8, user_key: Vec<u8>) -> wasmtime::Result<()> {
        self.driven.put_entry(store, user_key, None).map_err(Error::msg)
    }

    fn scan(
        &mut self,
        store: u8,
        prefix: Vec<u8>,
        after: Option<Vec<u8>>,
        limit: u32,
    ) -> wasmtime::Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let page = self
            .driven
            .scan(store, &prefix, after.as_deref(), limit, &mut self.reader);
        page.map_err(Error::msg)
    }

    fn clear(&mut self, store: u8) -> wasmtime::Result<()> {
        self.driven.clear(store).map_err(Error::msg)
    }
}

impl timers::Host for Guest {
    fn set(&mut self, timer: u8, at: i64) -> wasmtime::Result<()> {
        self.driven.ask(timer, at, true).map_err(Error::msg)
    }

    fn clear(&mut self, timer: u8, at: i64) -> wasmtime::Result<()> {
        self.driven.ask(timer, at, false).map_err(Error::msg)
    }

    fn watermark(&mut self) -> wasmtime::Result<i64> {
        Ok(self.driven.watermark())
    }

    fn processing_time(&mut self) -> wasmtime::Result<i64> {
        Ok(self.driven.processing_time())
    }
}

impl chance::Host for Guest {
    fn seed(&mut self) -> wasmtime::Result<u64> {
        Ok(self.driven.seed())
    }
}

impl output::Host for Guest {
    fn emit(&mut self, given: output::Message) -> wasmtime::Result<()> {
        let headers = given.headers.into_iter().map(|header| (header.name, header.value));
        let message = TurnMessage {
            output: given.output,
            key: given.key,
            value: given.value,
            timestamp: given.timestamp,
            headers: headers.collect(),
        };
        self.driven.emit(&message).map_err(Error::msg)
    }

    fn measure(&mut self, metric: u8, value: f64) -> wasmtime::Result<()> {
        self.driven.measure(metric, value).map_err(Error::msg)
    }
}
