//! The jobs of the table, and a pipeline file for each.

use sandbar_tests::root;
use std::path::Path;

/// A job that the loop and Sandbar do.
pub(crate) struct Job {
    /// As it is asked for.
    pub(crate) name: &'static str,
    pub(crate) plugin: &'static str,
    /// The keys of the input.
    pub(crate) keys: usize,
    /// Each with a row of its own.
    pub(crate) deliveries: &'static [&'static str],
    /// What its figures should be.
    pub(crate) goals: &'static [Goal],
    /// `state.memory`.
    pub(crate) memory: &'static str,
    /// Whether its pipeline is set up for throughput: see [`pipeline`].
    pub(crate) is_tuned: bool,
    /// Whether one round is enough: it takes minutes.
    pub(crate) is_long: bool,
}

/// What is at most so much; of the last delivery's run.
pub(crate) enum Goal {
    /// CPU-seconds, as a multiple of the loop's.
    OfLoop(f64),
    /// CPU-seconds, as a multiple of those of the first delivery.
    OfFirst(f64),
    /// CPU-seconds per million records.
    CpuSeconds(f64),
    /// CPU-seconds, as a multiple of those of the job `count`.
    OfCount(f64),
    /// Resident MiB.
    Rss(f64),
}

const USERS: usize = crate::workload::USERS;

/// All of them.
pub(crate) const JOBS: [Job; 8] = [
    job("pass-through", "pass-through", &["none"], PLAIN),
    job("filter", "filter", &["none"], PLAIN),
    job(
        "commits",
        "pass-through",
        &["at-least-once", "exactly-once"],
        &[Goal::OfFirst(1.1)],
    ),
    job("count", COUNT, &["exactly-once"], &[Goal::CpuSeconds(1.35)]),
    job("windows", "window", &["exactly-once"], WINDOWS),
    Job {
        is_tuned: true,
        ..job("windows-tuned", "window", &["exactly-once"], WINDOWS)
    },
    large("count-1m", 1_000_000, "64MiB"),
    // Ten million entries of some 30 bytes, and RocksDB's blocks and memtables beside them.
    large("count-10m", 10_000_000, "1GiB"),
];

const PLAIN: &[Goal] = &[Goal::OfLoop(1.33), Goal::Rss(150.0)];
const WINDOWS: &[Goal] = &[Goal::OfLoop(2.4), Goal::Rss(150.0)];
const COUNT: &str = "count-by-key";

const fn job(
    name: &'static str,
    plugin: &'static str,
    deliveries: &'static [&'static str],
    goals: &'static [Goal],
) -> Job {
    Job {
        name,
        plugin,
        keys: USERS,
        deliveries,
        goals,
        memory: "64MiB",
        is_tuned: false,
        is_long: false,
    }
}

const fn large(name: &'static str, keys: usize, memory: &'static str) -> Job {
    Job {
        name,
        plugin: COUNT,
        keys,
        deliveries: &["exactly-once"],
        goals: &[Goal::OfCount(3.0)],
        memory,
        is_tuned: false,
        is_long: true,
    }
}

/// Where a pipeline reads and writes.
pub(crate) struct Between<'a> {
    pub(crate) brokers: &'a str,
    pub(crate) from: &'a str,
    pub(crate) to: &'a str,
    /// `state.memory`.
    pub(crate) memory: &'a str,
    pub(crate) is_tuned: bool,
}

/// Writes a pipeline of one worker that commits each second; its compiled plugins are kept in `folder`. `source` is
/// what its source has besides. A tuned one has larger calls, so that more of a call's records share a key, and shorter
/// queues, which stay in the processor's cache; any other has the defaults.
pub(crate) fn pipeline(folder: &Path, between: &Between<'_>, plugin: &str, delivery: &str, source: &str) -> String {
    let Between {
        brokers,
        from,
        to,
        memory,
        is_tuned,
    } = between;
    let (queues, calls) = match is_tuned {
        true => ("queue-memory = \"16MiB\"", "max-batch = 16000"),
        false => ("", ""),
    };
    let config = match plugin {
        "filter" => r#"config = { field = "/ms", at-least = 5 }"#,
        "window" => {
            r#"config = { window = { tumbling = "10s" }, aggregates = { count = "count", sum = { sum = "/ms" } } }"#
        }
        _ => "",
    };
    let checkpoint = match delivery {
        "none" => "",
        _ => "[checkpoint]\ninterval = \"1s\"\nstore = \"checkpoints\"",
    };
    let interval = match delivery {
        "none" => "auto-commit-interval = \"1s\"",
        _ => "",
    };
    let text = format!(
        r#"
name = "{to}"
workers = 1
{queues}
delivery = "{delivery}"
[state]
dir = "state"
memory = "{memory}"
[kafka]
brokers = "{brokers}"
[source.in]
topics = ["{from}"]
start = "earliest"
max-out-of-orderness = "5s"
{interval}
{calls}
{source}
[operator.job]
plugin = "{}/target/plugins/{plugin}.wasm"
inputs = ["in"]
{config}
[sink.out]
from = ["job"]
topic = "{to}"
{checkpoint}
"#,
        root().display()
    );
    let file = folder.join(format!("{to}.toml"));
    std::fs::write(&file, text).expect("a pipeline file");
    file.to_string_lossy().into_owned()
}
