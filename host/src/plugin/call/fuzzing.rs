//! The door for the fuzzers: an answer made of their bytes, checked as a guest's is, and taken in if it passes.
//!
//! Always: what passed the check is read without another; that is what is tried here.

use std::cell::RefCell;

use super::column::check_column;
use super::outcome::{Asked, check, memory};
use super::returned::{Changes, Emitted, Measured, RefusedEvent, Returned, TimerChange};
use super::timers::{DeclaredTimers, DueTimers, change_timers};
use super::{Advance, CallTime, Declared, Outcome, Refusal, apply, check_lists};
use crate::plugin::load::{Description, Metric, MetricKind, Needs, Store, StoreKind, Timer, TimerClock};
use crate::record::{Column, Headers, Records};
use crate::state::{StateDirectory, TaskState};

/// Numbers and lists of whatever bytes there are; behind their end there are zeros.
struct GuestBytes<'a>(&'a [u8]);

impl GuestBytes<'_> {
    fn number<const N: usize>(&mut self) -> [u8; N] {
        let mut number = [0; N];
        let (taken, rest) = self.0.split_at(self.0.len().min(N));
        number[..taken.len()].copy_from_slice(taken);
        self.0 = rest;
        number
    }

    fn byte(&mut self) -> u8 {
        u8::from_le_bytes(self.number())
    }

    /// Usually small, as an index is; now and then any.
    fn index(&mut self) -> u32 {
        match self.byte() {
            255 => u32::from_le_bytes(self.number()),
            small => u32::from(small),
        }
    }

    fn long(&mut self) -> i64 {
        match self.byte() {
            255 => i64::from_le_bytes(self.number()),
            small => i64::from(small) - 2,
        }
    }

    fn list<T>(&mut self, mut one: impl FnMut(&mut Self) -> T) -> Vec<T> {
        let length = self.byte() % 12;
        (0..length).map(|_| one(self)).collect()
    }

    fn bytes(&mut self) -> Vec<u8> {
        self.list(Self::byte)
    }

    /// As a guest may give one: often whole, never sure to be.
    fn column(&mut self) -> Column {
        if self.byte() < 32 {
            return Column {
                bytes: self.bytes(),
                ends: self.list(Self::index),
                absent: self.list(Self::index),
            };
        }
        let mut column = Column::default();
        for entry in self.list(|bytes| (bytes.byte() > 32).then(|| bytes.bytes())) {
            column.push(entry.as_deref());
        }
        column
    }

    fn returned(&mut self) -> Returned {
        Returned {
            outputs: self.emitted(),
            changes: Changes {
                store: self.list(Self::byte),
                kind: self.list(Self::byte),
                key: self.list(Self::index),
                user_key: self.column(),
                value: self.column(),
            },
            timers: self.list(|bytes| TimerChange {
                timer: bytes.byte(),
                key: bytes.index(),
                at: bytes.long(),
                set: bytes.byte() > 99,
            }),
            refused: self.list(|bytes| RefusedEvent {
                event: bytes.index(),
                how: Refusal::DeadLetter,
                reason: String::from_utf8_lossy(&bytes.bytes()).into_owned(),
            }),
            measured: self.list(|bytes| Measured {
                metric: bytes.byte(),
                value: f64::from_le_bytes(bytes.number()),
            }),
            rows: None,
        }
    }

    fn emitted(&mut self) -> Emitted {
        Emitted {
            output: self.list(Self::byte),
            key: self.column(),
            value: self.column(),
            timestamp: self.list(Self::long),
            headers: Headers {
                of: self.list(Self::index),
                names: self.column(),
                values: self.column(),
            },
            cause: self.list(|bytes| match bytes.byte() {
                255 => super::BY_ADVANCE + bytes.index() % 4,
                small => u32::from(small),
            }),
        }
    }
}

/// Checks an answer made of these bytes, and takes it in if it passes.
pub fn answer(bytes: &[u8]) {
    let mut said = GuestBytes(bytes);
    let keeps_key = said.byte() > 127;
    let description = description(keeps_key);
    let (stores, timers) = (
        Declared::all("op", &description),
        DeclaredTimers::of("op", &description),
    );
    let (records, time) = (records(), time());
    let keys = records.keys.clone();
    let given = said.returned();
    let asked = Asked {
        description: &description,
        stores: &stores,
        timers: &timers,
        records: &records,
        time: Some(&time),
        keys: &keys,
        keeps_key,
    };
    match check(&given, &asked) {
        Ok(()) => take_in(given, &asked),
        Err(why) => assert!(why.len() < 4096, "a sentence, and not the answer: {why}"),
    }
}

/// As `settle` does with what passed the check.
fn take_in(given: Returned, asked: &Asked<'_>) {
    thread_local! {
        static STATE: RefCell<TaskState> = RefCell::new(open());
    }
    STATE.with_borrow_mut(|task| change(task, &given, asked));
    let _bytes = memory(&given, asked.keys);
    let mut outcome = Outcome::default();
    outcome.clear(asked.description.outputs.len());
    outcome.absorb(given, asked.records, asked.time.unwrap_or(&CallTime::default()), 0);
    for output in &outcome.outputs {
        check_column("key", &output.keys).expect("a whole column");
        check_column("value", &output.values).expect("a whole column");
        let of = &output.headers.of;
        assert!(
            of.is_sorted() && of.last().is_none_or(|last| (*last as usize) < output.len()),
            "{of:?}"
        );
        assert_eq!(
            (output.len(), output.keys.len()),
            (output.offsets.len(), output.values.len())
        );
    }
}

/// Nothing of it is ever written: each answer is undone. Its folder is removed, and its open files go with the process.
fn open() -> TaskState {
    let folder = tempfile::tempdir().expect("a folder");
    let task = StateDirectory::open(folder.path(), 8 << 20).and_then(|state| state.task("fuzzed/0"));
    task.expect("its state")
}

fn change(task: &mut TaskState, given: &Returned, asked: &Asked<'_>) {
    let may_grow = check_lists(&given.changes, asked.keys, asked.stores, task).expect("its state");
    if may_grow.is_ok() {
        apply(&given.changes, asked.keys, asked.stores, task);
        change_timers(&DueTimers::default(), &given.timers, asked.keys, asked.timers, task);
    }
    task.undo();
}

fn description(keeps_key: bool) -> Description {
    let store = |name: &str, kind| Store {
        name: name.to_owned(),
        kind,
        codec: "bytes".to_owned(),
        schema_version: 1,
        readable_from: 1,
    };
    Description {
        name: "fuzzed".to_owned(),
        version: "1".to_owned(),
        inputs: Vec::new(),
        outputs: vec!["kept".to_owned(), "rest".to_owned()],
        stores: vec![
            store("one", StoreKind::Value),
            store("many", StoreKind::List),
            store("named", StoreKind::Map),
        ],
        timers: TimerClock::ALL
            .map(|clock| Timer {
                name: clock.as_str().to_owned(),
                clock,
            })
            .to_vec(),
        metrics: vec![Metric {
            name: "seen".to_owned(),
            kind: MetricKind::Counter,
            help: String::new(),
        }],
        config_schema: String::new(),
        needs: Needs {
            coordinates: true,
            headers: true,
            keeps_key,
        },
    }
}

/// The records of the call: three with keys, one of them empty.
fn records() -> Records {
    let mut records = Records::default();
    for (at, key) in [(0, &b"a"[..]), (1, b""), (2, b"key")] {
        records.keys.push(Some(key));
        records.values.push(Some(b"value"));
        records.timestamps.push(at);
        records.offsets.push(at);
    }
    records
}

fn time() -> CallTime {
    let advance = |before: u32| Advance {
        before,
        watermark: i64::from(before) * 10,
        offset: i64::from(before),
    };
    CallTime {
        watermark: -1,
        offset: 0,
        advances: [1, 3].map(advance).to_vec(),
        clock: None,
    }
}
