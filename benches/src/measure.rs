//! Runs a program pinned to one core and tells what it cost.

use std::io::{Read, Seek};
use std::process::Command;
use std::time::{Duration, Instant};

/// What a run cost.
#[derive(Debug, Clone)]
pub(crate) struct Cost {
    /// User and system time.
    pub(crate) cpu_seconds: f64,
    pub(crate) wall_seconds: f64,
    /// Highest resident memory.
    pub(crate) rss_mib: f64,
    /// The highest resident memory in each fifth of the run, to see whether it is flat.
    pub(crate) rss_over_time_mib: [f64; 5],
    /// What it printed.
    pub(crate) lines: Vec<String>,
}

/// What a process took so far.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    /// User and system time of all its threads.
    pub(crate) cpu_seconds: f64,
    pub(crate) rss_mib: f64,
    /// The highest since `forget_peak`.
    pub(crate) peak_mib: f64,
}

impl Usage {
    /// Of a process, by its id or as `self`.
    pub(crate) fn of(process: &str) -> Self {
        let read = |name: &str| std::fs::read_to_string(format!("/proc/{process}/{name}")).expect("a process");
        let (status, stat) = (read("status"), read("stat"));
        Self {
            cpu_seconds: ticks(&stat) / TICKS_PER_SECOND,
            rss_mib: kib(&status, "VmRSS:") / 1024.0,
            peak_mib: kib(&status, "VmHWM:") / 1024.0,
        }
    }

    /// The peak of a process is what it has now.
    pub(crate) fn forget_peak(process: &str) {
        std::fs::write(format!("/proc/{process}/clear_refs"), "5").expect("the peak is forgotten");
    }
}

/// Clock ticks of /proc a second: 100 on every Linux that we know (`getconf CLK_TCK`).
const TICKS_PER_SECOND: f64 = 100.0;

/// Runs `program` on core `core` to its end, which must be a good one.
pub(crate) fn run(core: u32, program: &str, arguments: &[&str]) -> Cost {
    let started = Instant::now();
    let mut output = tempfile::tempfile().expect("a file for what it prints");
    let mut child = Command::new("taskset")
        .args(["-c", &core.to_string(), program])
        .args(arguments)
        .stdout(output.try_clone().expect("its file"))
        .spawn()
        .expect("the program starts");
    let (mut samples, mut peak) = (Vec::new(), 0.0f64);
    // A child that ended and was not waited for still has its times in /proc.
    loop {
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).expect("the child's status");
        if status
            .lines()
            .any(|line| line.starts_with("State:") && line.contains('Z'))
        {
            break;
        }
        peak = peak.max(kib(&status, "VmHWM:") / 1024.0);
        samples.push(kib(&status, "VmRSS:") / 1024.0);
        std::thread::sleep(Duration::from_millis(20));
    }
    let wall_seconds = started.elapsed().as_secs_f64();
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).expect("the child's times");
    let cpu_seconds = ticks(&stat) / TICKS_PER_SECOND;
    let ended = child.wait().expect("the child's end");
    assert!(ended.success(), "{program} {arguments:?} ended with {ended}");
    let mut text = String::new();
    output.rewind().expect("its file");
    output.read_to_string(&mut text).expect("what it printed");
    let highest = |fifth: usize| {
        let (begin, end) = (samples.len() * fifth / 5, samples.len() * (fifth + 1) / 5);
        samples[begin..end].iter().copied().fold(0.0, f64::max)
    };
    Cost {
        cpu_seconds,
        wall_seconds,
        rss_mib: peak,
        rss_over_time_mib: std::array::from_fn(highest),
        lines: text.lines().map(str::to_owned).collect(),
    }
}

fn kib(status: &str, name: &str) -> f64 {
    let line = status.lines().find(|line| line.starts_with(name));
    line.and_then(|line| line.split_whitespace().nth(1))
        .and_then(|number| number.parse().ok())
        .unwrap_or(0.0)
}

/// utime and stime: fields 14 and 15 of proc(5), counted behind the name in parentheses.
fn ticks(stat: &str) -> f64 {
    let behind = stat.rsplit(')').next().unwrap_or_default();
    behind
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<f64>().ok())
        .sum()
}
