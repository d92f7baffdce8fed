//! What a plugin's call costs a record: `sandbar-call-bench [RECORDS [PLUGIN…]]`, after `make plugins`.
//!
//! Batches of 1,000 records of some 110 bytes, keys drawn evenly, 10,000 records a second of event time with up to 5 s
//! of disorder. `window` and `join` have 10,000 keys and a million: with 10,000 a window of 10 s has ten records of
//! each key, with a million one of 100 s has one; every other left record of `join` has a partner. State is kept after
//! each batch and applied every 100,000 records. Best of three rounds, behind one that is not counted; "call" is the
//! guest with the copies into and out of it. With less than a million records a round does not close each window.

#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "it prints a table and measures time"
)]

use sandbar::config::Limits;
use sandbar::plugin::{Advance, Call, CallTime, Engine, Operator, Outcome};
use sandbar::record::Records;
use sandbar::state::{StateDirectory, TaskState};
use sandbar_tests::root;
use std::time::{Duration, Instant};

const BATCH: usize = 1000;
const COMMIT: usize = 100_000;
const ROUNDS: usize = 3;
const RECORDS_PER_MS: u64 = 10;
const DISORDER_MS: u64 = 5_000;
const FIRST_MS: i64 = 1_700_000_000_000;

const PAD: &str = "abcdefghijklmnopqrstuvwxyzabcdef";

/// What is measured.
struct Case {
    plugin: &'static str,
    config: &'static str,
    keys: u64,
}

const CASES: [Case; 6] = [
    case("pass-through", 700, ""),
    case("count-by-key", 700, ""),
    case(
        "window",
        10_000,
        r#"{"window":{"tumbling":"10s"},"aggregates":{"count":"count","sum":{"sum":"/ms"}}}"#,
    ),
    case(
        "window",
        1_000_000,
        r#"{"window":{"tumbling":"100s"},"aggregates":{"count":"count","sum":{"sum":"/ms"}}}"#,
    ),
    case("join", 10_000, r#"{"kind":"inner","within":{"after":"1s"}}"#),
    case("join", 1_000_000, r#"{"kind":"inner","within":{"after":"100s"}}"#),
];

const fn case(plugin: &'static str, keys: u64, config: &'static str) -> Case {
    Case { plugin, config, keys }
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let records = arguments.next();
    let records = records.map_or(1_000_000, |number| number.parse().expect("a number"));
    let asked: Vec<String> = arguments.collect();
    println!("{records} records, batches of {BATCH}; ns a record");
    println!("| plugin | keys | all | call | the host's part | state: apply | outputs a record |");
    println!("|---|---|---|---|---|---|---|");
    for case in &CASES {
        if asked.is_empty() || asked.iter().any(|name| name == case.plugin) {
            measure(case, records);
        }
    }
}

fn measure(case: &Case, records: usize) {
    let folder = tempfile::tempdir().expect("a folder");
    let home = StateDirectory::open(folder.path(), 64 << 20).expect("the state opens");
    let mut state = Some(home.task("bench/0").expect("the task opens"));
    let (mut operator, mut input) = (operator(case), Input::new(case.keys));
    round(&mut operator, &mut state, &mut input, records);
    let best = (0..ROUNDS)
        .map(|_| round(&mut operator, &mut state, &mut input, records))
        .min()
        .expect("a round");
    let each = |span: Duration| span.as_nanos() as usize / records;
    println!(
        "| {} | {} | {} | {} | {} | {} | {:.2} |",
        case.plugin,
        case.keys,
        each(best.all),
        each(best.call),
        each(best.all - best.call),
        each(best.apply),
        best.outputs as f64 / records as f64
    );
}

fn operator(case: &Case) -> Operator {
    let engine = Engine::new(None).expect("an engine");
    let file = root().join(format!("target/plugins/{}.wasm", case.plugin));
    let plugin = engine.load(&file).expect("a plugin: run `make plugins`");
    plugin.operator("op", case.config, Limits::default()).expect("it opens")
}

/// Where the time of a round went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Spent {
    all: Duration,
    call: Duration,
    apply: Duration,
    outputs: usize,
}

fn round(operator: &mut Operator, state: &mut Option<TaskState>, input: &mut Input, records: usize) -> Spent {
    let before = operator.stats().call_nanos;
    let (mut all, mut apply, mut outputs) = (Duration::ZERO, Duration::ZERO, 0);
    for number in 0..records / BATCH {
        input.next_batch();
        let began = Instant::now();
        outputs += process(operator, state, input);
        all += began.elapsed();
        if (number + 1) % (COMMIT / BATCH) == 0 {
            let began = Instant::now();
            let state = state.as_mut().expect("a state");
            state.apply("sb1:b:bench/0:1:0").expect("it is applied");
            apply += began.elapsed();
        }
    }
    let call = Duration::from_nanos(operator.stats().call_nanos - before);
    Spent {
        all,
        call,
        apply,
        outputs,
    }
}

/// A batch, and the timers that it makes due, a thousand in a call. How many records were put out.
fn process(operator: &mut Operator, state: &mut Option<TaskState>, input: &mut Input) -> usize {
    let (mut outcome, mut outputs) = (Outcome::default(), 0);
    let mut time = input.time.clone();
    let mut of_inputs: &[u8] = &input.of_inputs;
    loop {
        let call = Call {
            records: &mut input.records,
            inputs: of_inputs,
            partition: 0,
            time: &time,
            most_timers: BATCH,
            cut_behind: 0..0,
            room: usize::MAX,
        };
        let reached = operator.process(call, state, &mut outcome).expect("it processes");
        assert!(outcome.refused.is_empty(), "{:?}", outcome.refused);
        outputs += outcome.outputs.iter().map(Records::len).sum::<usize>();
        state.as_mut().expect("a state").keep();
        if reached.is_complete && reached.watermark >= time.last() {
            return outputs;
        }
        time = time.behind(reached.watermark);
        input.records.clear();
        of_inputs = &[];
    }
}

/// Records one batch after the other.
struct Input {
    keys: u64,
    chance: u64,
    index: u64,
    newest: i64,
    records: Records,
    /// Of each record the input that it is of: by turns, for a plugin that has two.
    of_inputs: Vec<u8>,
    time: CallTime,
}

impl Input {
    fn new(keys: u64) -> Self {
        Self {
            keys,
            chance: 1,
            index: 0,
            newest: 0,
            records: Records::default(),
            of_inputs: (0..BATCH).map(|at| (at % 2) as u8).collect(),
            time: CallTime {
                watermark: i64::MIN,
                ..CallTime::default()
            },
        }
    }

    fn next_batch(&mut self) {
        self.time.watermark = self.time.last();
        self.time.advances.clear();
        self.records.clear();
        for at in 0..BATCH as u32 {
            let user = self.below(self.keys);
            let (page, ms) = (self.below(100), self.below(100));
            let behind = self.below(DISORDER_MS) as i64;
            let (offset, timestamp) = (
                self.index as i64,
                FIRST_MS + (self.index / RECORDS_PER_MS) as i64 - behind,
            );
            let value = format!(r#"{{"user":"u{user}","page":"/p/{page}","ms":{ms},"at":{timestamp},"pad":"{PAD}"}}"#);
            self.records.keys.push(Some(format!("u{user}").as_bytes()));
            self.records.values.push(Some(value.as_bytes()));
            self.records.timestamps.push(timestamp);
            self.records.offsets.push(offset);
            if timestamp > self.newest {
                self.newest = timestamp;
                self.time.advances.push(Advance {
                    before: at + 1,
                    watermark: timestamp - DISORDER_MS as i64 - 1,
                    offset,
                });
            }
            self.index += 1;
        }
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.chance = self
            .chance
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.chance >> 33) % bound
    }
}
