//! Passes every record twice, and returns an outcome that cannot be if a record's value names one of the lies below.

use sandbar_sdk::bindings::sandbar::plugin::batches::{
    Batch, Changes, Measured, Outcome, Outputs, Refused, TimerChange,
};
use sandbar_sdk::bindings::sandbar::plugin::types::{
    self, BytesColumn, Description, Failure, HeadersColumn, NullableColumn,
};
use sandbar_sdk::bindings::{Guest, export};

struct Lies;

impl Guest for Lies {
    fn describe() -> Description {
        sandbar_sdk::Description::new("lies", "0.1.0").into_bindings()
    }

    fn open(_: String) -> Result<(), String> {
        Ok(())
    }

    fn process(batch: Batch) -> Result<Outcome, Failure> {
        let mut outcome = honest(&batch);
        let count = batch.events.timestamp.len();
        for event in 0..count {
            lie(&mut outcome, value(&batch, event), event, count);
        }
        Ok(outcome)
    }
}

fn value(batch: &Batch, event: usize) -> &[u8] {
    let column = &batch.events.value;
    let start = if event == 0 { 0 } else { column.ends[event - 1] as usize };
    &column.bytes[start..column.ends[event] as usize]
}

/// Each event's value twice, with a null key.
fn honest(batch: &Batch) -> Outcome {
    let mut outcome = empty();
    for event in 0..batch.events.timestamp.len() {
        for _ in 0..2 {
            let out = &mut outcome.outputs;
            out.value.bytes.extend_from_slice(value(batch, event));
            out.value.ends.push(out.value.bytes.len() as u32);
            out.key.absent.push(out.key.ends.len() as u32);
            out.key.ends.push(0);
            out.output.push(0);
            out.timestamp.push(batch.events.timestamp[event]);
            out.cause.push(event as u32);
        }
    }
    outcome
}

/// `event` has the outputs `2 * event` and the next; `count` is the number of events.
fn lie(outcome: &mut Outcome, which: &[u8], event: usize, count: usize) {
    let row = 2 * event;
    let out = &mut outcome.outputs;
    match which {
        b"ends-fall" => out.value.ends.swap(row, row + 1),
        b"ends-beyond" => out.value.ends[row + 1..].iter_mut().for_each(|end| *end += 1_000_000),
        b"ends-huge" => out.value.ends[row + 1..].fill(u32::MAX),
        b"bytes-left-over" => out.value.bytes.push(0),
        b"key-ends-unequal" => out.key.ends.push(0),
        b"cause-beyond" => out.cause[row] = count as u32,
        b"cause-timer" => out.cause[row] = u32::MAX,
        b"output-beyond" => out.output[row] = 1,
        b"unequal" => drop(out.timestamp.pop()),
        b"absent-beyond" => out.key.absent.push(2 * count as u32),
        b"absent-falls" => out.key.absent.swap(row, row + 1),
        b"absent-not-empty" => out.value.absent.push(row as u32),
        b"header-beyond" => header(out, 2 * count as u32),
        b"header-falls" => {
            header(out, row as u32 + 1);
            header(out, row as u32);
        }
        b"header-unequal" => out.headers.of.push(row as u32),
        b"refused-beyond" => refuse(outcome, count as u32),
        b"refused-twice" => (0..2).for_each(|_| refuse(outcome, event as u32)),
        b"change" => change(&mut outcome.changes, 0),
        b"change-key-beyond" => change(&mut outcome.changes, u32::MAX - 1),
        b"change-unequal" => outcome.changes.store.push(0),
        b"timer" => outcome.timers.push(TimerChange {
            timer: 0,
            key: 0,
            at: 0,
            set: true,
        }),
        b"metric-beyond" => outcome.measured.push(Measured { metric: 7, value: 1.0 }),
        _ => {}
    }
}

fn header(out: &mut Outputs, of: u32) {
    out.headers.of.push(of);
    out.headers.name.bytes.push(b'h');
    out.headers.name.ends.push(out.headers.name.bytes.len() as u32);
    out.headers.value.ends.push(0);
}

fn refuse(outcome: &mut Outcome, event: u32) {
    outcome.refused.push(Refused {
        event,
        how: types::Refusal::Skip,
        reason: "a lie".to_owned(),
    });
}

fn change(changes: &mut Changes, key: u32) {
    changes.store.push(0);
    changes.kind.push(0);
    changes.key.push(key);
    changes.user_key.absent.push(changes.user_key.ends.len() as u32);
    changes.user_key.ends.push(0);
    changes.value.ends.push(0);
}

fn empty() -> Outcome {
    Outcome {
        outputs: Outputs {
            output: Vec::new(),
            key: nothing(),
            value: nothing(),
            timestamp: Vec::new(),
            headers: HeadersColumn {
                of: Vec::new(),
                name: BytesColumn {
                    bytes: Vec::new(),
                    ends: Vec::new(),
                },
                value: nothing(),
            },
            cause: Vec::new(),
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

export!(Lies with_types_in sandbar_sdk::bindings);
