//! What timers cost: `sandbar-bench timers [PENDING [DUE]]`.
//!
//! First many pending ones in a task's state, without Kafka: what each takes to be set and to fire, and what memory all
//! of them take. Then a jump of event time, in a pipeline on Kafka: as many windows as `DUE` are open in one task, one
//! a key, and one record makes all of them due: once a tenth of them, once all, and once all with records of the same
//! batch behind that one.

use crate::jobs::{self, Between};
use crate::measure::Usage;
use crate::{CORE, KAFKA_CORE, load, pin, program, workload};
use sandbar::record::Column;
use sandbar::state::{KeptTimer, Most, StateDirectory, TaskState, store_id};
use sandbar_tests::client::{Client, Isolation};
use sandbar_tests::kafka::Kafka;
use sandbar_tests::wait;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const BATCH: usize = 1000;
const COMMIT: usize = 100_000;
/// So many of the pending ones fire.
const FIRED: usize = 1_000_000;
const LIMIT: Duration = Duration::from_secs(600);
/// A window of the job `windows`.
const WINDOW_MS: i64 = 10_000;

/// Prints both tables.
pub(crate) fn run(pending: usize, due: usize) {
    pend(pending);
    let kafka = Kafka::start(1);
    pin(&kafka, KAFKA_CORE);
    println!(
        "| timers due at once | records behind | s | CPU-s | ns each | RSS MiB before | peak MiB | calls \
         | longest call | faults | rebalances |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|");
    for (due, behind) in [(due / 10, 0), (due, 0), (due, BATCH / 10)] {
        jump(&kafka, due, behind);
    }
    println!("load of the machine: {}", load());
}

/// Sets so many, and lets some of them fire.
fn pend(count: usize) {
    let folder = tempfile::tempdir().expect("a folder");
    let home = StateDirectory::open(folder.path(), 64 << 20).expect("the state opens");
    let mut state = home.task("timers/0").expect("the task opens");
    let store = store_id("job", "timers");
    let begins = Usage::of("self");
    for number in 0..count {
        // A number that is prime to every power of ten: they come in no order, each a millisecond of its own.
        let at = (number as u64).wrapping_mul(999_999_937) % count as u64;
        let timer = KeptTimer {
            at: at as i64,
            name: "windows",
            key: &format!("u{at}").into_bytes(),
        };
        state.set_timer(store, timer);
        keep(&mut state, number, count);
    }
    let set = Usage::of("self");
    let fired = FIRED.min(count);
    let (mut found, mut done) = (Column::default(), 0);
    let most = Most {
        entries: BATCH,
        bytes: 1 << 20,
    };
    while done < fired {
        state
            .due_timers(store, fired as i64 - 1, most, &mut found)
            .expect("they are read");
        assert!(!found.is_empty(), "{done} of {fired} fired");
        for user_key in found.iter().flatten() {
            state.clear_timer(store, KeptTimer::read(user_key).expect("a timer"));
            keep(&mut state, done, fired);
            done += 1;
        }
    }
    let ends = Usage::of("self");
    let each = |from: Usage, to: Usage, count: usize| (to.cpu_seconds - from.cpu_seconds) * 1e9 / count as f64;
    println!("| timers pending | set, CPU-ns each | fired, CPU-ns each | RSS MiB: none set, all set, fired |");
    println!("|---|---|---|---|");
    println!(
        "| {count} | {:.0} | {:.0} | {:.0}, {:.0}, {:.0} |",
        each(begins, set, count),
        each(set, ends, fired),
        begins.rss_mib,
        set.rss_mib,
        ends.rss_mib
    );
}

fn keep(state: &mut TaskState, number: usize, count: usize) {
    if (number + 1).is_multiple_of(BATCH) {
        state.keep();
    }
    if (number + 1).is_multiple_of(COMMIT) || number + 1 == count {
        state.keep();
        state.apply("sb1:b:timers/0:1:0").expect("it is applied");
    }
}

/// So many windows of one task are over with one record; so many more come with it, and do no more.
fn jump(kafka: &Kafka, due: usize, behind: usize) {
    let (brokers, client) = (kafka.bootstrap(), kafka.client());
    let folder = tempfile::tempdir().expect("a folder");
    let (from, to) = (
        format!("timers-in-{due}-{behind}"),
        format!("timers-out-{due}-{behind}"),
    );
    client.create_topic(&from, 1);
    client.create_topic(&to, 1);
    let between = Between {
        brokers: &brokers,
        from: &from,
        to: &to,
        memory: "64MiB",
        is_tuned: false,
    };
    let file = jobs::pipeline(folder.path(), &between, "window", "exactly-once", "");
    let at = |record: workload::Record, timestamp_ms| workload::Record { timestamp_ms, ..record };
    let first = 1_700_000_000_000 / WINDOW_MS * WINDOW_MS;
    let users = workload::Records::each(due).take(due);
    workload::fill(&brokers, &from, users.map(|record| at(record, first)));

    let address = free_address();
    let mut process = start(&file, &address);
    let pid = process.id().to_string();
    let group = format!("sandbar.{to}");
    wait_for(&client, &group, &from, due as i64);
    let before = Usage::of(&pid);
    Usage::forget_peak(&pid);
    let (shown_before, began) = (metrics(&address), Instant::now());
    let last = workload::Records::each(1 + behind).take(1 + behind);
    workload::fill(&brokers, &from, last.map(|record| at(record, first + 10 * WINDOW_MS)));
    wait_for(&client, &group, &from, (due + 1 + behind) as i64);
    // A jump is committed on its way: its record's position may be committed before all windows are put out.
    let put_out = || client.bounds(&to, 0, Isolation::Committed).1 as usize;
    wait::until_true("all windows are put out", LIMIT, || put_out() > due);
    let (seconds, after, shown) = (began.elapsed().as_secs_f64(), Usage::of(&pid), metrics(&address));
    let more = |name: &str| shown.of(name) - shown_before.of(name);
    println!(
        "| {due} | {behind} | {seconds:.1} | {:.1} | {:.0} | {:.0} | {:.0} | {} | {} | {} | {} |",
        after.cpu_seconds - before.cpu_seconds,
        (after.cpu_seconds - before.cpu_seconds) * 1e9 / due as f64,
        before.rss_mib,
        after.peak_mib,
        more("sandbar_plugin_calls_total"),
        shown.longest_call(),
        more("sandbar_plugin_faults_total"),
        more("sandbar_rebalances_total"),
    );
    process.kill().expect("the program ends");
    process.wait().expect("the program's end");
}

fn start(file: &str, address: &str) -> Child {
    let mut command = Command::new("taskset");
    command.args(["-c", &CORE.to_string(), &program(), "run", file, "--http", address]);
    command.stdout(Stdio::null()).spawn().expect("the program starts")
}

fn wait_for(client: &Client, group: &str, topic: &str, position: i64) {
    let began = Instant::now();
    let committed = || client.committed(group, topic).values().map(|at| at.offset).sum::<i64>();
    while committed() < position {
        assert!(began.elapsed() < LIMIT, "{} of {position} are committed", committed());
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("its number").to_string()
}

/// What /metrics shows.
struct Metrics(String);

fn metrics(address: &str) -> Metrics {
    let mut stream = TcpStream::connect(address).expect("the program answers");
    write!(stream, "GET /metrics HTTP/1.0\r\n\r\n").expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    Metrics(answer)
}

impl Metrics {
    /// The sum of a metric over its labels.
    fn of(&self, name: &str) -> f64 {
        let lines = self.0.lines().filter(|line| line.starts_with(&format!("{name}{{")));
        lines
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    }

    /// Below which bound all calls of a plugin stayed.
    fn longest_call(&self) -> String {
        let name = "sandbar_plugin_call_seconds_bucket{";
        let buckets = self.0.lines().filter(|line| line.starts_with(name)).filter_map(|line| {
            let (_, bound) = line.split_once(r#"le=""#)?;
            Some((bound.split('"').next()?, line.rsplit(' ').next()?.parse::<u64>().ok()?))
        });
        let buckets: Vec<(&str, u64)> = buckets.collect();
        let all = buckets.last().map(|(_, count)| *count);
        let bound = buckets.iter().find(|(_, count)| Some(*count) == all);
        bound.map_or("-".to_owned(), |(bound, _)| format!("at most {bound} s"))
    }
}
