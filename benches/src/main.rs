//! One command prints the table: `make bench`, or `sandbar-bench [RECORDS [ROUNDS [JOB…]]]`; others what a start costs
//! with a large state: `sandbar-bench restore [MIB]`, what timers cost: `sandbar-bench timers`, what each language
//! costs: `sandbar-bench languages [RECORDS]`, and what a neighbour feels of hostile plugins: `sandbar-bench neighbours
//! [SECONDS [ROUNDS]]`.
//!
//! Each figure is a ratio against a hand-written rdkafka loop that does the same job without a plugin, in the same run:
//! Kafka on one core, the process on the other. `SANDBAR_BESIDE`, the path of another `sandbar`, is measured in the
//! same rounds, such as the one of the tree before.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    clippy::panic,
    reason = "it prints a table and how far it is, measures time, and stops at whatever goes wrong"
)]

mod bare_loop;
mod bare_windows;
mod jobs;
mod languages;
mod measure;
mod neighbours;
mod outputs;
mod restore;
mod timers;
mod workload;

use jobs::{Between, Goal, JOBS, Job};
use measure::Cost;
use outputs::Outputs;
use sandbar_tests::client::{Client, Isolation, Record};
use sandbar_tests::kafka::Kafka;
use sandbar_tests::root;
use std::cell::Cell;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const KAFKA_CORE: u32 = 0;
const CORE: u32 = 1;
/// With a plugin that was compiled before.
const START_UP_SECONDS_MAX: f64 = 0.5;
const PARTITIONS: i32 = 4;
/// What every run reads that has no input of its own.
const INPUT: &str = "bench-in";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [mode, brokers, from, to, plugin, begins] = &arguments[..]
        && mode == "bare-loop"
    {
        return bare_loop::run(brokers, from, to, bare_loop::Job::named(plugin), &numbers(begins));
    }
    if arguments.first().is_some_and(|mode| mode == "restore") {
        let mib = arguments.get(1);
        return restore::run(mib.map_or(1024, |mib| mib.parse().expect("a number of MiB")));
    }
    let number = |at: usize, usual: usize| {
        let given = arguments.get(at);
        given.map_or(usual, |number| number.parse().expect("a number"))
    };
    if arguments.first().is_some_and(|mode| mode == "languages") {
        return languages::run(number(1, 1_000_000));
    }
    if arguments.first().is_some_and(|mode| mode == "neighbours") {
        return neighbours::run(number(1, 30), number(2, 3));
    }
    if arguments.first().is_some_and(|mode| mode == "timers") {
        return timers::run(number(1, 10_000_000), number(2, 1_000_000));
    }
    table(
        number(0, 2_000_000),
        number(1, 3),
        arguments.get(2..).unwrap_or_default(),
    );
}

fn numbers(text: &str) -> Vec<i64> {
    text.split(',')
        .map(|number| number.parse().expect("an offset"))
        .collect()
}

struct Bench {
    kafka: Kafka,
    client: Client,
    folder: tempfile::TempDir,
    /// Records that a run reads.
    count: usize,
    rounds: usize,
    /// Another `sandbar` that does the same jobs.
    beside: Option<String>,
    /// CPU-seconds of the job `count`.
    counted: Cell<Option<f64>>,
}

fn table(count: usize, rounds: usize, asked: &[String]) {
    let kafka = Kafka::start(1);
    pin(&kafka, KAFKA_CORE);
    let bench = Bench {
        client: kafka.client(),
        kafka,
        folder: tempfile::tempdir().expect("a folder"),
        count,
        rounds,
        beside: std::env::var("SANDBAR_BESIDE").ok(),
        counted: Cell::default(),
    };
    bench.client.create_topic(INPUT, PARTITIONS);
    start_up(bench.folder.path(), &bench.kafka);
    println!("producing {count} records …");
    let records = workload::Records::new(42, workload::USERS);
    workload::fill(&bench.kafka.bootstrap(), INPUT, records.take(count));
    println!(
        "| job | who | k rec/s | CPU-s per M records | ratio | RSS MiB | RSS over the run | commits: pause p50, p99, \
         longest ms |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for job in &JOBS {
        if asked.is_empty() || asked.iter().any(|name| name == job.name) {
            bench.job(job);
        }
    }
    println!("load of the machine: {}", load());
}

impl Bench {
    fn job(&self, job: &Job) {
        let mut costs = vec![Vec::new(); job.deliveries.len() + 1];
        let mut beside = vec![Vec::new(); job.deliveries.len()];
        let rounds = if job.is_long { 1 } else { self.rounds };
        for round in 0..rounds {
            eprintln!("round {round} of {}", job.name);
            self.round(job, round, &mut costs, &mut beside);
        }
        let best: Vec<&Cost> = costs.iter().filter_map(|costs| least(costs)).collect();
        let who = std::iter::once("bare loop").chain(job.deliveries.iter().copied());
        for (who, cost) in who.zip(&best) {
            row(job.name, who, self.count, cost, best[0]);
        }
        for ((delivery, beside), cost) in job.deliveries.iter().zip(&beside).zip(&best[1..]) {
            let Some(beside) = least(beside) else { continue };
            row(
                job.name,
                &format!("{delivery}, the program beside"),
                self.count,
                beside,
                best[0],
            );
            let times = cost.cpu_seconds / beside.cpu_seconds;
            println!("{}, {delivery}: {times:.2} times the program beside", job.name);
        }
        if job.name == "count" {
            self.counted.set(best.last().map(|cost| cost.cpu_seconds));
        }
        for goal in job.goals {
            self.judge(job, goal, &best);
        }
    }

    /// Prints whether a goal holds.
    fn judge(&self, job: &Job, goal: &Goal, costs: &[&Cost]) {
        let cost = costs[costs.len() - 1];
        let of = |other: f64| cost.cpu_seconds / other;
        let (what, figure, goal) = match *goal {
            Goal::OfLoop(goal) => ("times the loop", of(costs[0].cpu_seconds), goal),
            Goal::OfFirst(goal) => ("times at-least-once", of(costs[1].cpu_seconds), goal),
            Goal::CpuSeconds(goal) => ("CPU-s per M records", of(self.count as f64 / 1e6), goal),
            Goal::Rss(goal) => ("MiB resident", cost.rss_mib, goal),
            Goal::OfCount(goal) => match self.counted.get() {
                Some(counted) => ("times `count`", of(counted), goal),
                None => return println!("{}: ask for `count` as well to see whether its goal holds", job.name),
            },
        };
        verdict(job.name, what, figure, goal);
    }

    fn round(&self, job: &Job, round: usize, costs: &mut [Vec<Cost>], beside: &mut [Vec<Cost>]) {
        let name = |who: &str| format!("bench-{}-{round}-{who}", job.name);
        let create = |who: &str| {
            self.client.create_topic(&name(who), PARTITIONS);
            name(who)
        };
        let brokers = self.kafka.bootstrap();
        if job.keys == workload::USERS {
            costs[0].push(self.bare(INPUT, &create("loop"), job.plugin, [0; PARTITIONS as usize].into()));
            for (at, delivery) in job.deliveries.iter().enumerate() {
                let run = |program: &str, to: &str| {
                    self.forget_tasks();
                    let between = Between {
                        brokers: &brokers,
                        from: INPUT,
                        to,
                        memory: job.memory,
                        is_tuned: job.is_tuned,
                    };
                    self.sandbar(program, &between, job.plugin, delivery)
                };
                costs[at + 1].push(run(&program(), &create(delivery)));
                self.compare(job, &name("loop"), &name(delivery));
                if let Some(other) = &self.beside {
                    beside[at].push(run(other, &create(&format!("{delivery}-beside"))));
                }
            }
            return;
        }
        // Every key has a count before it begins.
        let (from, to) = (create("in"), create("out"));
        let between = Between {
            brokers: &brokers,
            from: &from,
            to: &to,
            memory: job.memory,
            is_tuned: job.is_tuned,
        };
        self.forget_tasks();
        workload::fill(&brokers, &from, workload::Records::each(job.keys).take(job.keys));
        let delivery = job.deliveries[0];
        let filled = self.sandbar(&program(), &between, job.plugin, delivery);
        row(job.name, "filling", job.keys, &filled, &filled);
        let begins = (0..PARTITIONS).map(|at| self.client.bounds(&from, at, Isolation::Committed).1);
        let begins: Vec<i64> = begins.collect();
        let records = workload::Records::new(42, job.keys);
        workload::fill(&brokers, &from, records.take(self.count));
        costs[0].push(self.bare(&from, &create("loop"), job.plugin, begins));
        costs[1].push(self.sandbar(&program(), &between, job.plugin, delivery));
    }

    /// Windows are put out in another order, and else the same.
    fn compare(&self, job: &Job, of_loop: &str, of_sandbar: &str) {
        if job.plugin == "window" {
            let [expected, seen] = [of_loop, of_sandbar].map(|topic| Outputs::of(&self.client, topic));
            assert_eq!(seen, expected, "{of_sandbar} is what {of_loop} is");
            eprintln!("{}: both put out the same {} windows", job.name, seen.records);
        }
    }

    fn bare(&self, from: &str, to: &str, plugin: &str, begins: Vec<i64>) -> Cost {
        let this = std::env::current_exe().expect("this program");
        let begins = begins.iter().map(i64::to_string).collect::<Vec<_>>().join(",");
        measure::run(
            CORE,
            &this.to_string_lossy(),
            &["bare-loop", &self.kafka.bootstrap(), from, to, plugin, &begins],
        )
    }

    fn sandbar(&self, program: &str, between: &Between<'_>, plugin: &str, delivery: &str) -> Cost {
        let file = jobs::pipeline(self.folder.path(), between, plugin, delivery, "stop = \"latest\"");
        measure::run(CORE, program, &["run", &file, "-o", "json"])
    }

    /// The pipelines share the folder where compiled plugins are, and with it the names of tasks.
    fn forget_tasks(&self) {
        let _there_may_be_none = std::fs::remove_dir_all(self.folder.path().join("state/tasks"));
    }
}

fn pin(kafka: &Kafka, core: u32) {
    for pid in kafka.pids() {
        let pinned = Command::new("taskset")
            .args(["-a", "-cp", &core.to_string(), &pid.to_string()])
            .output();
        assert!(
            pinned.is_ok_and(|output| output.status.success()),
            "Kafka is pinned to core {core}"
        );
    }
}

fn load() -> String {
    std::fs::read_to_string("/proc/loadavg")
        .unwrap_or_default()
        .trim()
        .to_owned()
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
        let between = Between {
            brokers: &kafka.bootstrap(),
            from: "start-in",
            to: &to,
            memory: "64MiB",
            is_tuned: false,
        };
        let file = jobs::pipeline(folder, &between, "pass-through", "none", "");
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
    verdict("start-up", "seconds to the first output", best, START_UP_SECONDS_MAX);
}

/// The best of the rounds: what else the machine did only ever adds.
fn least(costs: &[Cost]) -> Option<&Cost> {
    costs.iter().min_by(|a, b| a.cpu_seconds.total_cmp(&b.cpu_seconds))
}

fn verdict(name: &str, what: &str, figure: f64, goal: f64) {
    let holds = if figure <= goal { "holds" } else { "MISSED" };
    println!("{name}: {figure:.2} {what}, goal at most {goal}: {holds}");
}

fn program() -> String {
    root().join("target/release/sandbar").to_string_lossy().into_owned()
}

fn row(job: &str, who: &str, count: usize, cost: &Cost, bare: &Cost) {
    let millions = count as f64 / 1e6;
    println!(
        "| {job} | {who} | {:.0} | {:.2} | {:.2} | {:.0} | {} | {} |",
        count as f64 / cost.wall_seconds / 1e3,
        cost.cpu_seconds / millions,
        cost.cpu_seconds / bare.cpu_seconds,
        cost.rss_mib,
        cost.rss_over_time_mib.map(|mib| format!("{mib:.0}")).join(" → "),
        pauses(&cost.lines)
    );
}

/// How long intake stood still for a commit: from the seal to the end of the apply.
fn pauses(lines: &[String]) -> String {
    let behind = |line: &String| {
        let is_commit = line.contains(r#""event":"checkpoint""#);
        let (_, behind) = line.split_once(r#""seconds":"#).filter(|_| is_commit)?;
        behind.split([',', '}']).next()?.parse::<f64>().ok()
    };
    let mut seconds: Vec<f64> = lines.iter().filter_map(behind).collect();
    seconds.sort_by(f64::total_cmp);
    let at = |part: f64| seconds.get(((seconds.len() as f64 * part) as usize).min(seconds.len().saturating_sub(1)));
    let ms = |part: f64| at(part).map_or("-".to_owned(), |seconds| format!("{:.0}", seconds * 1e3));
    format!("{}: {}, {}, {}", seconds.len(), ms(0.5), ms(0.99), ms(1.0))
}
