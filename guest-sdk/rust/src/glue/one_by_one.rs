//! A plugin in world `record-processor`: each event, and each timer that fires, is a batch of its own, whose state is
//! asked of the host.

use std::cell::OnceCell;

use crate::bindings::sandbar::plugin::batches::{self, Changes, Outcome};
use crate::bindings::sandbar::plugin::types::{Failure, NullableColumn, StoreKind};
use crate::guest::{self, Slot};
use crate::record_bindings::sandbar::plugin::output::{self, Message};
use crate::record_bindings::sandbar::plugin::{chance, state, timers};
use crate::record_bindings::{Event, Verdict};
use crate::{BatchPlugin, Column, Headers};

/// The interface's number of a `change-kind`.
const PUT: u8 = 0;
const DELETE: u8 = 1;
const APPEND: u8 = 2;

/// Processes an event.
///
/// # Errors
/// The call's failure.
pub fn process<P: BatchPlugin>(slot: &Slot<P>, event: Event) -> Result<Verdict, Failure> {
    let (mut keys, mut values, mut headers) = (Column::default(), Column::default(), Headers::default());
    if let Some(key) = &event.key {
        keys.push(Some(key));
    }
    values.push(event.value.as_deref());
    let given = event.headers.iter();
    given.for_each(|header| headers.push(0, header.name.as_bytes(), header.value.as_deref()));
    let events = batches::Events {
        input: vec![event.input],
        key: vec![if event.key.is_some() { 0 } else { u32::MAX }],
        timestamp: vec![event.timestamp],
        value: values.into(),
        partition: vec![event.partition],
        offset: vec![event.offset],
        headers: headers.into(),
    };
    hand_over(guest::process(slot, batch::<P>(keys, events, Vec::new()))?)
}

/// Fires a timer.
///
/// # Errors
/// The call's failure.
pub fn fire<P: BatchPlugin>(slot: &Slot<P>, timer: u8, key: &[u8], at: i64) -> Result<(), Failure> {
    let mut keys = Column::default();
    keys.push(Some(key));
    let events = batches::Events {
        input: Vec::new(),
        key: Vec::new(),
        timestamp: Vec::new(),
        value: Column::default().into(),
        partition: Vec::new(),
        offset: Vec::new(),
        headers: Headers::default().into(),
    };
    let due = vec![batches::Due { timer, key: 0, at }];
    hand_over(guest::process(slot, batch::<P>(keys, events, due))?).map(|_verdict| ())
}

thread_local! {
    /// The value stores of the one plugin of this component.
    static VALUE_STORES: OnceCell<Vec<u8>> = const { OnceCell::new() };
}

fn batch<P: BatchPlugin>(keys: Column, events: batches::Events, due: Vec<batches::Due>) -> batches::Batch {
    let has_key = !keys.is_empty();
    let of_key = |store: &u8| {
        let mut value = Column::default();
        if has_key {
            value.push(state::get(*store).as_deref());
        }
        NullableColumn::from(value)
    };
    let values = VALUE_STORES.with(|stores| stores.get_or_init(value_stores::<P>).iter().map(of_key).collect());
    batches::Batch {
        keys: keys.into(),
        events,
        values,
        watermark: timers::watermark(),
        advances: Vec::new(),
        due,
        processing_time: timers::processing_time(),
        seed: chance::seed(),
    }
}

fn value_stores<P: BatchPlugin>() -> Vec<u8> {
    let stores = guest::describe::<P>("", "").stores.into_iter().zip(0..);
    let values = stores.filter(|(store, _)| store.kind == StoreKind::Value);
    values.map(|(_, index)| index).collect()
}

/// Performs what the host of world `processor` is handed.
fn hand_over(outcome: Outcome) -> Result<Verdict, Failure> {
    for one in outcome.measured {
        output::measure(one.metric, one.value);
    }
    if let Some(refused) = outcome.refused.into_iter().next() {
        return Ok(Verdict::Refuse((refused.how, refused.reason)));
    }
    let outputs = outcome.outputs;
    let (keys, values, headers) = (
        Column::from(outputs.key),
        Column::from(outputs.value),
        Headers::from(outputs.headers),
    );
    let owned = |bytes: Option<&[u8]>| bytes.map(<[u8]>::to_vec);
    for (row, &output) in outputs.output.iter().enumerate() {
        let of_row = headers.of(row).map(|(name, value)| output::Header {
            name: String::from_utf8_lossy(name).into_owned(),
            value: owned(value),
        });
        output::emit(&Message {
            output,
            key: owned(keys.get(row)),
            value: owned(values.get(row)),
            timestamp: Some(outputs.timestamp[row]),
            headers: of_row.collect(),
        });
    }
    change(outcome.changes);
    for timer in outcome.timers {
        match timer.set {
            true => timers::set(timer.timer, timer.at),
            false => timers::clear(timer.timer, timer.at),
        }
    }
    Ok(Verdict::Done)
}

fn change(changes: Changes) {
    let (user_keys, values) = (Column::from(changes.user_key), Column::from(changes.value));
    for (at, (&store, &kind)) in changes.store.iter().zip(&changes.kind).enumerate() {
        let value = values.get(at).unwrap_or_default();
        match (kind, user_keys.get(at)) {
            (PUT, None) => state::put(store, value),
            (PUT, Some(user_key)) => state::put_entry(store, user_key, value),
            (DELETE, None) => state::delete(store),
            (DELETE, Some(user_key)) => state::delete_entry(store, user_key),
            (APPEND, _) => state::append(store, value),
            _ => state::clear(store),
        }
    }
}
