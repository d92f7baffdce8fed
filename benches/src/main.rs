//! One command prints the table: `make bench`, or `sandbar-bench [RECORDS [ROUNDS]]`.
//!
//! Each figure is a ratio against a hand-written rdkafka loop that does the same job without a plugin, in the same run: Kafka on one core,
//! the process on the other.

#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::panic,
    reason = "it prints a table, measures time, and stops at whatever goes wrong"
)]

mod bare_loop;
mod measure;
mod workload;

use measure::Cost;
use sandbar_tests::client::{Isolation, Record};
use sandbar_tests::kafka::Kafka;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const KAFKA_CORE: u32 = 0;
const CORE: u32 = 1;
/// What the design promises: the plugin and its sandbox cost a third at most.
const RATIO_MAX: f64 = 1.33;
/// With a plugin that was compiled before.
const START_UP_SECONDS_MAX: f64 = 0.5;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [mode, brokers, from, to, job] = &arguments[..] {
        assert_eq!(mode, "bare-loop", "the loop is started by the table");
        return bare_loop::run(brokers, from, to, job == "filter");
    }
    let number = |at: usize, usual: usize| {
        let given = arguments.get(at);
        given.map_or(usual, |number| number.parse().expect("a number"))
    };
    table(number(0, 5_000_000), number(1, 3));
}

fn table(count: usize, rounds: usize) {
    let kafka = Kafka::start(1);
    for pid in kafka.pids() {
        let pinned = Command::new("taskset")
            .args(["-a", "-cp", &KAFKA_CORE.to_string(), &pid.to_string()])
            .output();
        assert!(
            pinned.is_ok_and(|output| output.status.success()),
            "Kafka is pinned to core {KAFKA_CORE}"
        );
    }
    let client = kafka.client();
    client.create_topic("bench-in", 4);
    let folder = tempfile::tempdir().expect("a folder");
    start_up(folder.path(), &kafka);
    println!("producing {count} records …");
    workload::fill(&kafka.bootstrap(), "bench-in", count);
    println!("| job | who | k rec/s | CPU-s per M records | ratio | RSS MiB | RSS over the run |");
    println!("|---|---|---|---|---|---|---|");
    for job in ["pass-through", "filter"] {
        let mut costs = [Vec::new(), Vec::new()];
        for round in 0..rounds {
            let to = format!("bench-{job}-{round}");
            client.create_topic(&format!("{to}-loop"), 4);
            client.create_topic(&format!("{to}-sandbar"), 4);
            eprintln!("round {round} of {job}");
            costs[0].push(bare(&kafka.bootstrap(), &format!("{to}-loop"), job));
            eprintln!("  the loop: {:.1} s", costs[0][round].wall_seconds);
            costs[1].push(sandbar(
                folder.path(),
                &kafka.bootstrap(),
                &format!("{to}-sandbar"),
                job,
            ));
            eprintln!("  sandbar: {:.1} s", costs[1][round].wall_seconds);
        }
        // The best of the rounds: what else the machine did only ever adds.
        let [bare, ours] = costs.map(|costs| {
            costs
                .into_iter()
                .min_by(|a, b| a.cpu_seconds.total_cmp(&b.cpu_seconds))
                .expect("a round")
        });
        row(job, "bare loop", count, &bare, &bare);
        row(job, "sandbar", count, &ours, &bare);
        let ratio = ours.cpu_seconds / bare.cpu_seconds;
        println!(
            "{job}: {ratio:.2} times the bare loop, {} {RATIO_MAX}",
            if ratio <= RATIO_MAX { "at most" } else { "MORE THAN" }
        );
    }
}

/// From the start of the process to its first output, with a plugin that was compiled before; the best of a few.
fn start_up(folder: &Path, kafka: &Kafka) {
    let client = kafka.client();
    client.create_topic("start-in", 4);
    client.producer().send(&[Record::placed("start-in", 0, "first")]);
    let mut best = f64::INFINITY;
    for round in 0..5 {
        let to = format!("start-out-{round}");
        client.create_topic(&to, 1);
        let file = pipeline(folder, &kafka.bootstrap(), "start-in", &to, "pass-through", "");
        let started = Instant::now();
        let mut run = Command::new(program())
            .arg("run")
            .arg(&file)
            .stdout(Stdio::null())
            .spawn()
            .expect("the program starts");
        while client.bounds(&to, 0, Isolation::Committed).1 == 0 {
            assert!(started.elapsed().as_secs() < 30, "an output comes");
            std::thread::sleep(Duration::from_millis(1));
        }
        best = best.min(started.elapsed().as_secs_f64());
        run.kill().expect("the program ends");
        run.wait().expect("the program's end");
    }
    println!(
        "start-up to the first output: {best:.2} s, {} {START_UP_SECONDS_MAX}",
        if best <= START_UP_SECONDS_MAX {
            "at most"
        } else {
            "MORE THAN"
        }
    );
}

fn bare(brokers: &str, to: &str, job: &str) -> Cost {
    let this = std::env::current_exe().expect("this program");
    measure::run(
        CORE,
        &this.to_string_lossy(),
        &["bare-loop", brokers, "bench-in", to, job],
    )
}

fn sandbar(folder: &Path, brokers: &str, to: &str, job: &str) -> Cost {
    let file = pipeline(folder, brokers, "bench-in", to, job, "stop = \"latest\"");
    measure::run(CORE, &program(), &["run", &file])
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the project")
}

fn program() -> String {
    root().join("target/release/sandbar").to_string_lossy().into_owned()
}

/// Writes a pipeline of one worker that commits each second; its compiled plugins are kept in `folder`.
fn pipeline(folder: &Path, brokers: &str, from: &str, to: &str, job: &str, source: &str) -> String {
    let config = if job == "filter" {
        r#"config = { field = "/ms", at-least = 5 }"#
    } else {
        ""
    };
    let text = format!(
        r#"
name = "{to}"
workers = 1
[state]
dir = "state"
[kafka]
brokers = "{brokers}"
[source.in]
topics = ["{from}"]
start = "earliest"
auto-commit-interval = "1s"
{source}
[operator.job]
plugin = "{}/target/plugins/{job}.wasm"
inputs = ["in"]
{config}
[sink.out]
from = ["job"]
topic = "{to}"
"#,
        root().display()
    );
    let file = folder.join(format!("{to}.toml"));
    std::fs::write(&file, text).expect("a pipeline file");
    file.to_string_lossy().into_owned()
}

fn row(job: &str, who: &str, count: usize, cost: &Cost, bare: &Cost) {
    let millions = count as f64 / 1e6;
    println!(
        "| {job} | {who} | {:.0} | {:.2} | {:.2} | {:.0} | {} |",
        count as f64 / cost.wall_seconds / 1e3,
        cost.cpu_seconds / millions,
        cost.cpu_seconds / bare.cpu_seconds,
        cost.rss_mib,
        cost.rss_over_time_mib.map(|mib| format!("{mib:.0}")).join(" → ")
    );
}
