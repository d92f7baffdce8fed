//! Passes every record and keeps its value by key, and returns changes that cannot be, or reads what it may not, if
//! a record's value names one of the lies below.

use sandbar_sdk::bindings::sandbar::plugin::batches::{Batch, Changes, Outcome, Outputs};
use sandbar_sdk::bindings::sandbar::plugin::state_reader;
use sandbar_sdk::bindings::sandbar::plugin::types::{
    BytesColumn, Description, Failure, HeadersColumn, NullableColumn, Store, StoreKind,
};
use sandbar_sdk::bindings::{Guest, export};

struct LiesAboutState;

/// The stores by their numbers.
const ONE: u8 = 0;
const MANY: u8 = 1;
const BY: u8 = 2;

const PUT: u8 = 0;
const DELETE: u8 = 1;
const APPEND: u8 = 2;
const CLEAR: u8 = 3;

impl Guest for LiesAboutState {
    fn describe() -> Description {
        let store = |name: &str, kind| Store {
            name: name.to_owned(),
            kind,
            codec: "raw".to_owned(),
            schema_version: 1,
            readable_from: 1,
            ttl: 0,
            refresh_on_read: false,
        };
        Description {
            stores: vec![
                store("one", StoreKind::Value),
                store("many", StoreKind::ListOf),
                store("by", StoreKind::MapOf),
            ],
            ..sandbar_sdk::Description::new("lies-about-state", "0.1.0").into_bindings()
        }
    }

    fn open(_: String) -> Result<(), String> {
        Ok(())
    }

    fn process(batch: Batch) -> Result<Outcome, Failure> {
        let mut outcome = passed(&batch);
        let keys = batch.keys.ends.len() as u32;
        for event in 0..batch.events.timestamp.len() {
            let value = entry(&batch.events.value, event);
            let changes = &mut outcome.changes;
            change(changes, ONE, PUT, batch.events.key[event], None, Some(value));
            lie(changes, value, keys);
            read(value);
        }
        Ok(outcome)
    }
}

fn lie(changes: &mut Changes, which: &[u8], keys: u32) {
    let long = [0; 4097];
    let large = vec![0; (1 << 20) + 1];
    let value = Some(&b"v"[..]);
    let user_key = Some(&b"u"[..]);
    match which {
        b"store-beyond" => change(changes, 3, PUT, 0, None, value),
        b"kind-beyond" => change(changes, ONE, 4, 0, None, value),
        b"append-to-value" => change(changes, ONE, APPEND, 0, None, value),
        b"clear-value" => change(changes, ONE, CLEAR, 0, None, None),
        b"put-into-list" => change(changes, MANY, PUT, 0, None, value),
        b"delete-from-list" => change(changes, MANY, DELETE, 0, None, None),
        b"append-to-map" => change(changes, BY, APPEND, 0, user_key, value),
        b"put-nothing" => change(changes, ONE, PUT, 0, None, None),
        b"append-nothing" => change(changes, MANY, APPEND, 0, None, None),
        b"delete-something" => change(changes, ONE, DELETE, 0, None, value),
        b"value-by-user-key" => change(changes, ONE, PUT, 0, user_key, value),
        b"list-by-user-key" => change(changes, MANY, APPEND, 0, user_key, value),
        b"map-without-user-key" => change(changes, BY, PUT, 0, None, value),
        b"key-beyond" => change(changes, ONE, PUT, keys, None, value),
        b"no-key" => change(changes, ONE, PUT, u32::MAX, None, value),
        b"long-user-key" => change(changes, BY, PUT, 0, Some(&long), value),
        b"large-value" => change(changes, ONE, PUT, 0, None, Some(&large)),
        b"large-item" => change(changes, MANY, APPEND, 0, None, Some(&large)),
        b"kinds-missing" => drop(changes.kind.pop()),
        b"keys-missing" => drop(changes.key.pop()),
        b"user-keys-missing" => drop(changes.user_key.ends.pop()),
        b"values-missing" => drop(changes.value.ends.pop()),
        b"stores-left-over" => changes.store.push(ONE),
        b"value-ends-beyond" => changes.value.ends.iter_mut().for_each(|end| *end += 9),
        b"user-key-absent-beyond" => changes.user_key.absent.push(u32::MAX),
        _ => {}
    }
}

fn read(which: &[u8]) {
    let none = || BytesColumn {
        bytes: Vec::new(),
        ends: Vec::new(),
    };
    let falling = BytesColumn {
        bytes: vec![0; 2],
        ends: vec![2, 1],
    };
    match which {
        b"read-store-beyond" => drop(state_reader::items(3, b"k")),
        b"read-value-as-map" => drop(state_reader::get_many(ONE, b"k", &none())),
        b"read-map-as-list" => drop(state_reader::items(BY, b"k")),
        b"scan-list" => drop(state_reader::scan(MANY, b"k", b"", None, 1)),
        b"read-long-key" => drop(state_reader::items(MANY, &[0; 4097])),
        b"user-keys-fall" => drop(state_reader::get_many(BY, b"k", &falling)),
        b"page-of-none" => drop(state_reader::scan(BY, b"k", b"", None, 0)),
        _ => {}
    }
}

fn change(changes: &mut Changes, store: u8, kind: u8, key: u32, user_key: Option<&[u8]>, value: Option<&[u8]>) {
    changes.store.push(store);
    changes.kind.push(kind);
    changes.key.push(key);
    push(&mut changes.user_key, user_key);
    push(&mut changes.value, value);
}

fn push(column: &mut NullableColumn, entry: Option<&[u8]>) {
    match entry {
        Some(bytes) => column.bytes.extend_from_slice(bytes),
        None => column.absent.push(column.ends.len() as u32),
    }
    column.ends.push(column.bytes.len() as u32);
}

fn entry(column: &NullableColumn, index: usize) -> &[u8] {
    let start = if index == 0 { 0 } else { column.ends[index - 1] as usize };
    &column.bytes[start..column.ends[index] as usize]
}

/// Each event's value, with a null key.
fn passed(batch: &Batch) -> Outcome {
    let count = batch.events.timestamp.len();
    let mut keys = nothing();
    (0..count).for_each(|_| push(&mut keys, None));
    Outcome {
        outputs: Outputs {
            output: vec![0; count],
            key: keys,
            value: batch.events.value.clone(),
            timestamp: batch.events.timestamp.clone(),
            headers: HeadersColumn {
                of: Vec::new(),
                name: BytesColumn {
                    bytes: Vec::new(),
                    ends: Vec::new(),
                },
                value: nothing(),
            },
            cause: (0..count as u32).collect(),
        },
        changes: Changes {
            store: Vec::new(),
            kind: Vec::new(),
            key: Vec::new(),
            user_key: nothing(),
            value: nothing(),
        },
        timers: Vec::new(),
        refused: Vec::new(),
        measured: Vec::new(),
    }
}

fn nothing() -> NullableColumn {
    NullableColumn {
        bytes: Vec::new(),
        ends: Vec::new(),
        absent: Vec::new(),
    }
}

export!(LiesAboutState with_types_in sandbar_sdk::bindings);
