//! What the keyed state of a running count costs a record: `sandbar-state-bench [CACHE-MIB [RECORDS [KEYS…]]]`.
//!
//! Four tasks, batches of 1,000 records; each looks the distinct keys' values up, puts the new counts, keeps them;
//! every 100,000 records are a commit of all tasks. With few keys the overlay answers, with many RocksDB does. Keys are
//! drawn evenly, the worst that can be for caches, or, if the number begins with `w`, as in `make bench`: the r-th
//! with weight 1/r^0.6.

#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "it prints a table and measures time"
)]

use sandbar::record::Column;
use sandbar::state::{StateDirectory, StoreId, TaskState, store_id};
use std::collections::HashMap;
use std::time::{Duration, Instant};

const TASKS: usize = 4;
const BATCH: usize = 1000;
const COMMIT: usize = 100_000;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, usual: usize| {
        let given = arguments.get(at);
        given.map_or(usual, |number| number.parse().expect("a number"))
    };
    let (cache_mib, records) = (number(0, 64), number(1, 2_000_000));
    let usual = ["w10000", "w1000000", "w10000000", "1000000", "10000000"].map(str::to_owned);
    let draws = arguments.get(2..).filter(|draws| !draws.is_empty()).unwrap_or(&usual);
    println!(
        "{cache_mib} MiB, {records} records, {TASKS} tasks, batches of {BATCH}, a commit every {COMMIT}; ns a record"
    );
    println!(
        "| keys | values | put, keep | delta | apply | all, wall | all, CPU | apply, longest ms | known % | disk MiB \
         | RSS MiB |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|");
    for draw in draws {
        count(&Draw::new(draw), records, (cache_mib as u64) << 20);
    }
}

/// How keys are drawn.
struct Draw {
    keys: u64,
    is_weighted: bool,
}

impl Draw {
    fn new(text: &str) -> Self {
        let number = text.strip_prefix('w');
        Self {
            keys: number.unwrap_or(text).parse().expect("a number of keys"),
            is_weighted: number.is_some(),
        }
    }

    /// The user of a number below one.
    fn user(&self, point: f64) -> u64 {
        let part = match self.is_weighted {
            // The weights' sum up to rank r grows with r^0.4.
            true => point.powf(2.5),
            false => point,
        };
        (part * self.keys as f64) as u64
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

fn count(draw: &Draw, records: usize, cache_bytes: u64) {
    let folder = tempfile::tempdir().expect("a folder");
    let home = StateDirectory::open(folder.path(), cache_bytes).expect("the state opens");
    let open = || (0..TASKS).map(|number| home.task(&format!("bench/{number}")).expect("the task opens"));
    let store = store_id("count", "counts");
    let mut tasks: Vec<TaskState> = open().collect();
    fill(&mut tasks, store, draw.keys);
    settle();
    // With caches that know nothing yet, as after a restart.
    drop(tasks);
    let mut tasks: Vec<TaskState> = open().collect();
    let mut spent = Spent::default();
    let (cpu_before, asked_before) = (cpu_seconds(), asked_keys(&tasks));
    let mut grouping = Duration::ZERO;
    let (mut chance, mut looked_up) = (1u64, 0);
    let mut counts: Vec<HashMap<u64, u64>> = vec![HashMap::new(); TASKS];
    let (mut asked, mut read, mut delta) = (Column::default(), Column::default(), Vec::new());
    for group in 0..records / BATCH / TASKS {
        let began = Instant::now();
        counts.iter_mut().for_each(HashMap::clear);
        for _ in 0..BATCH * TASKS {
            chance = chance
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            let user = draw.user((chance >> 11) as f64 / (1u64 << 53) as f64);
            *counts[task_of(user)].entry(user).or_insert(0u64) += 1;
        }
        grouping += began.elapsed();
        for (state, counts) in tasks.iter_mut().zip(&counts) {
            asked.clear();
            counts
                .keys()
                .for_each(|&user| asked.push(Some(format!("u{user}").as_bytes())));
            looked_up += counts.len();
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
        }
        if (group + 1) % (COMMIT / BATCH / TASKS) == 0 {
            for state in &mut tasks {
                delta.clear();
                timed(&mut spent.delta, || state.delta(&mut delta));
                let apply = timed(&mut spent.apply, || {
                    state.apply("sb1:b:bench/0:1:0").expect("it is applied")
                });
                spent.longest_apply = spent.longest_apply.max(apply);
            }
        }
    }
    let cpu = Duration::from_secs_f64(cpu_seconds() - cpu_before).saturating_sub(grouping);
    let known = 1.0 - (asked_keys(&tasks) - asked_before) as f64 / looked_up as f64;
    print(draw, records, &tasks, &spent, cpu, known);
}

fn print(draw: &Draw, records: usize, tasks: &[TaskState], spent: &Spent, cpu: Duration, known: f64) {
    let each = |span: Duration| span.as_nanos() as usize / records;
    println!(
        "| {} {} | {} | {} | {} | {} | {} | {} | {:.0} | {:.0} | {} | {} |",
        draw.keys,
        if draw.is_weighted { "weighted" } else { "evenly" },
        each(spent.values),
        each(spent.put),
        each(spent.delta),
        each(spent.apply),
        each(spent.values + spent.put + spent.delta + spent.apply),
        each(cpu),
        spent.longest_apply.as_secs_f64() * 1e3,
        known * 100.0,
        tasks.iter().map(|state| state.stats().disk_bytes).sum::<u64>() >> 20,
        resident_mib(),
    );
}

/// Keys that RocksDB was asked for.
fn asked_keys(tasks: &[TaskState]) -> u64 {
    tasks.iter().map(|state| state.stats().multi_get_keys).sum()
}

fn task_of(user: u64) -> usize {
    (user.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 62) as usize
}

/// Every key has a count, and has sunk to where it would lie.
fn fill(tasks: &mut [TaskState], store: StoreId, keys: u64) {
    for number in 0..keys {
        // A number that is prime to every power of ten: the keys come in no order, each once.
        let user = number.wrapping_mul(999_999_937) % keys;
        tasks[task_of(user)].put(store, format!("u{user}").as_bytes(), &1u64.to_le_bytes());
        if (number + 1) % COMMIT as u64 == 0 || number + 1 == keys {
            for state in &mut *tasks {
                state.keep();
                state.apply("sb1:b:bench/0:0:0").expect("it is applied");
            }
        }
    }
}

/// Waits until the background work that filling left is done.
fn settle() {
    let mut before = -1.0;
    while cpu_seconds() - before > 0.02 {
        before = cpu_seconds();
        std::thread::sleep(Duration::from_millis(500));
    }
}

fn timed(span: &mut Duration, work: impl FnOnce()) -> Duration {
    let began = Instant::now();
    work();
    let took = began.elapsed();
    *span += took;
    took
}

/// User and system time of all threads, the background ones too: fields 14 and 15 of proc(5), in hundredths of a
/// second.
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
