//! What the keyed state of a running count costs a record: `sandbar-state-bench [CACHE-MIB [RECORDS [KEYS…]]]`.
//!
//! Batches of 1,000 records with keys drawn evenly; each looks the distinct keys' values up, puts the new counts, keeps them; every 100,000
//! records are a commit. With few keys the overlay answers, with many RocksDB does.

#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "it prints a table and measures time"
)]

use sandbar::record::Column;
use sandbar::state::{Home, StoreId, TaskState, store_id};
use std::collections::HashMap;
use std::time::{Duration, Instant};

const BATCH: usize = 1000;
const COMMIT: usize = 100_000;

fn main() {
    let numbers: Vec<u64> = std::env::args()
        .skip(1)
        .map(|number| number.parse().expect("a number"))
        .collect();
    let number = |at: usize, usual: u64| numbers.get(at).copied().unwrap_or(usual);
    let (cache_mib, records) = (number(0, 512), number(1, 5_000_000));
    let keys = numbers.get(2..).filter(|keys| !keys.is_empty());
    println!("cache {cache_mib} MiB, {records} records, batches of {BATCH}, a commit every {COMMIT}; ns a record");
    println!(
        "| keys | values | put, keep | delta | apply | all, wall | all, CPU | apply, longest ms | disk MiB | RSS MiB |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for &keys in keys.unwrap_or(&[1_000, 1_000_000, 10_000_000]) {
        count(keys, records as usize, cache_mib << 20);
    }
}

/// Where the time of a run went.
#[derive(Default)]
struct Spent {
    values: Duration,
    put: Duration,
    delta: Duration,
    apply: Duration,
    longest_apply: Duration,
}

fn count(keys: u64, records: usize, cache_bytes: u64) {
    let folder = tempfile::tempdir().expect("a folder");
    let home = Home::open(folder.path(), cache_bytes).expect("the state opens");
    let mut state = home.task("bench/0").expect("the task opens");
    let store = store_id("count", "counts");
    fill(&mut state, store, keys);
    let mut spent = Spent::default();
    let cpu_before = cpu_seconds();
    let mut grouping = Duration::ZERO;
    let (mut chance, mut counts) = (1u64, HashMap::new());
    let (mut asked, mut read, mut delta) = (Column::default(), Column::default(), Vec::new());
    for batch in 0..records / BATCH {
        let began = Instant::now();
        counts.clear();
        asked.clear();
        for _ in 0..BATCH {
            chance = chance
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            *counts.entry((chance >> 20) % keys).or_insert(0u64) += 1;
        }
        counts.keys().for_each(|&number| asked.push(Some(&key(number))));
        grouping += began.elapsed();
        timed(&mut spent.values, || {
            state.values(store, &asked, &mut read).expect("they are read")
        });
        timed(&mut spent.put, || {
            for (index, more) in counts.values().enumerate() {
                let had = read
                    .get(index)
                    .map_or(0, |value| u64::from_le_bytes(value.try_into().expect("8 bytes")));
                state.put(store, asked.get(index).expect("a key"), &(had + more).to_le_bytes());
            }
            state.keep();
        });
        if (batch + 1) % (COMMIT / BATCH) == 0 {
            delta.clear();
            timed(&mut spent.delta, || state.delta(&mut delta));
            let apply = timed(&mut spent.apply, || {
                state.apply("sb1:b:bench/0:1:0").expect("it is applied")
            });
            spent.longest_apply = spent.longest_apply.max(apply);
        }
    }
    let cpu = Duration::from_secs_f64(cpu_seconds() - cpu_before).saturating_sub(grouping);
    print(keys, records, &state, &spent, cpu);
}

fn print(keys: u64, records: usize, state: &TaskState, spent: &Spent, cpu: Duration) {
    let each = |span: Duration| span.as_nanos() as usize / records;
    println!(
        "| {keys} | {} | {} | {} | {} | {} | {} | {:.0} | {} | {} |",
        each(spent.values),
        each(spent.put),
        each(spent.delta),
        each(spent.apply),
        each(spent.values + spent.put + spent.delta + spent.apply),
        each(cpu),
        spent.longest_apply.as_secs_f64() * 1e3,
        state.stats().disk_bytes >> 20,
        resident_mib(),
    );
}

/// Every key has a count, and has sunk to where it would lie.
fn fill(state: &mut TaskState, store: StoreId, keys: u64) {
    for number in 0..keys {
        // A number that is prime to every power of ten: the keys come in no order, each once.
        state.put(
            store,
            &key(number.wrapping_mul(999_999_937) % keys),
            &1u64.to_le_bytes(),
        );
        if (number + 1) % COMMIT as u64 == 0 || number + 1 == keys {
            state.keep();
            state.apply("sb1:b:bench/0:0:0").expect("it is applied");
        }
    }
}

fn key(number: u64) -> [u8; 16] {
    let mut key = *b"user-00000000000";
    let mut rest = number;
    for digit in key[5..].iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    key
}

fn timed(span: &mut Duration, work: impl FnOnce()) -> Duration {
    let began = Instant::now();
    work();
    let took = began.elapsed();
    *span += took;
    took
}

/// User and system time of all threads, the background ones too: fields 14 and 15 of proc(5), in hundredths of a second.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("the times of this process");
    let behind = stat.rsplit(')').next().unwrap_or_default();
    let fields = behind.split_whitespace().skip(11).take(2);
    fields.filter_map(|field| field.parse::<f64>().ok()).sum::<f64>() / 100.0
}

fn resident_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("the memory of this process");
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib: Option<u64> = line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
    kib.unwrap_or(0) >> 10
}
