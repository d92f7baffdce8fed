//! What a plugin's call costs a record: `sandbar-call-bench [RECORDS [KEYS]]`, after `make plugins`.
//!
//! Batches of 1,000 records of 120 bytes; `count-by-key` with so many distinct keys in all, of which a batch has nearly
//! all. State is kept after each batch and applied every 100,000 records. Best of five rounds; "call" is the guest with
//! the copies into and out of it.

#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "it prints a table and measures time"
)]

use sandbar::config::Limits;
use sandbar::plugin::{Call, Engine, Operator, Outcome};
use sandbar::record::Records;
use sandbar::state::{StateDirectory, TaskState};
use sandbar_tests::root;
use std::time::{Duration, Instant};

const BATCH: usize = 1000;
const COMMIT: usize = 100_000;
const ROUNDS: usize = 5;

fn main() {
    let numbers: Vec<usize> = std::env::args()
        .skip(1)
        .map(|number| number.parse().expect("a number"))
        .collect();
    let records = numbers.first().copied().unwrap_or(1_000_000);
    let keys = numbers.get(1).copied().unwrap_or(700);
    let folder = tempfile::tempdir().expect("a folder");
    let home = StateDirectory::open(folder.path(), 64 << 20).expect("the state opens");
    println!("{records} records, {keys} keys, batches of {BATCH}; ns a record");
    println!("| plugin | all | call | the host's part | state: apply |");
    println!("|---|---|---|---|---|");
    for plugin in ["pass-through", "count-by-key"] {
        let mut state = Some(home.task(&format!("{plugin}/0")).expect("the task opens"));
        let mut operator = operator(plugin);
        let best = (0..ROUNDS)
            .map(|_| round(&mut operator, &mut state, records, keys))
            .min()
            .expect("a round");
        let each = |span: Duration| span.as_nanos() as usize / records;
        println!(
            "| {plugin} | {} | {} | {} | {} |",
            each(best.all),
            each(best.call),
            each(best.all - best.call),
            each(best.apply)
        );
    }
}

fn operator(plugin: &str) -> Operator {
    let engine = Engine::new(None).expect("an engine");
    let file = root().join(format!("target/plugins/{plugin}.wasm"));
    let plugin = engine.load(&file).expect("a plugin: run `make plugins`");
    plugin.operator("op", "", Limits::default()).expect("it opens")
}

/// Where the time of a round went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Spent {
    all: Duration,
    call: Duration,
    apply: Duration,
}

fn round(operator: &mut Operator, state: &mut Option<TaskState>, records: usize, keys: usize) -> Spent {
    let mut batches: Vec<Records> = (0..8).map(|seed| batch(seed, keys)).collect();
    let mut outcome = Outcome::default();
    let before = operator.stats().call_nanos;
    let (mut all, mut apply) = (Duration::ZERO, Duration::ZERO);
    for number in 0..records / BATCH {
        let began = Instant::now();
        let call = Call {
            records: &mut batches[number % 8],
            input: 0,
            partition: 0,
            room: usize::MAX,
        };
        operator.process(call, state, &mut outcome).expect("it processes");
        let state = state.as_mut().expect("a state");
        state.keep();
        all += began.elapsed();
        assert_eq!(outcome.outputs[0].len(), BATCH);
        if (number + 1) % (COMMIT / BATCH) == 0 {
            let began = Instant::now();
            state.apply("sb1:b:bench/0:1:0").expect("it is applied");
            apply += began.elapsed();
        }
    }
    let call = Duration::from_nanos(operator.stats().call_nanos - before);
    Spent { all, call, apply }
}

fn batch(seed: u64, keys: usize) -> Records {
    let (mut records, mut chance) = (Records::default(), seed);
    for at in 0..BATCH {
        chance = chance
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let key = format!("user-{:09}", (chance >> 33) as usize % keys);
        records.keys.push(Some(key.as_bytes()));
        records.values.push(Some(&[b'v'; 106]));
        records.timestamps.push(1_700_000_000_000 + at as i64);
        records.offsets.push(at as i64);
    }
    records
}
