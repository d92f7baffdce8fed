//! One command prints the table: `make bench`, or `sandbar-bench [RECORDS]`.
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
use sandbar_tests::kafka::Kafka;
use std::path::Path;
use std::process::Command;

const KAFKA_CORE: u32 = 0;
const CORE: u32 = 1;
const ROUNDS: usize = 3;
/// What the design promises: the plugin and its sandbox cost a third at most.
const RATIO_MAX: f64 = 1.33;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [mode, brokers, from, to, job] = &arguments[..] {
        assert_eq!(mode, "bare-loop", "the loop is started by the table");
        return bare_loop::run(brokers, from, to, job == "filter");
    }
    let count = arguments
        .first()
        .map_or(5_000_000, |count| count.parse().expect("a number of records"));
    table(count);
}

fn table(count: usize) {
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
    println!("producing {count} records …");
    workload::fill(&kafka.bootstrap(), "bench-in", count);
    let folder = tempfile::tempdir().expect("a folder");
    println!("| job | who | k rec/s | CPU-s per M records | ratio | RSS MiB | RSS over the run |");
    println!("|---|---|---|---|---|---|---|");
    for job in ["pass-through", "filter"] {
        let mut costs = [Vec::new(), Vec::new()];
        for round in 0..ROUNDS {
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

fn bare(brokers: &str, to: &str, job: &str) -> Cost {
    let this = std::env::current_exe().expect("this program");
    measure::run(
        CORE,
        &this.to_string_lossy(),
        &["bare-loop", brokers, "bench-in", to, job],
    )
}

fn sandbar(folder: &Path, brokers: &str, to: &str, job: &str) -> Cost {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the project");
    let config = if job == "filter" {
        r#"config = { field = "/ms", at-least = 5 }"#
    } else {
        ""
    };
    let pipeline = format!(
        r#"
name = "{to}"
workers = 1
[kafka]
brokers = "{brokers}"
[source.in]
topics = ["bench-in"]
start = "earliest"
stop = "latest"
auto-commit-interval = "1s"
[operator.job]
plugin = "{}/target/plugins/{job}.wasm"
inputs = ["in"]
{config}
[sink.out]
from = ["job"]
topic = "{to}"
"#,
        root.display()
    );
    let file = folder.join(format!("{to}.toml"));
    std::fs::write(&file, pipeline).expect("a pipeline file");
    let program = root.join("target/release/sandbar");
    measure::run(CORE, &program.to_string_lossy(), &["run", &file.to_string_lossy()])
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
