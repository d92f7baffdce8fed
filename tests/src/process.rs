//! The program as a person runs it: a process, its lines, its exit code.

use crate::guard::Guarded;
use crate::wait;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// The program: `SANDBAR_BIN`, else what `make build` made.
pub fn binary() -> PathBuf {
    let path = std::env::var_os("SANDBAR_BIN").map_or_else(|| crate::target().join("release/sandbar"), PathBuf::from);
    assert!(
        path.is_file(),
        "the program is missing at {}: run `make build`",
        path.display()
    );
    path
}

/// A component by name: of `SANDBAR_PLUGINS`, else what `make plugins` made.
pub fn component(name: &str) -> PathBuf {
    let of = |folder: PathBuf| folder.join(format!("{name}.wasm"));
    let given = std::env::var_os("SANDBAR_PLUGINS").map(|folder| of(PathBuf::from(folder)));
    let made = ["plugins", "guests"].map(|folder| of(crate::target().join(folder)));
    let found = given.into_iter().chain(made.clone()).find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("the component is missing at {}: run `make plugins`", made[0].display()))
}

#[derive(Default)]
struct Output {
    lines: Mutex<Vec<String>>,
    grown: Condvar,
}

/// How a process ended.
#[derive(Debug, Clone)]
pub struct Ended {
    /// The exit code; `None` after a signal.
    pub code: Option<i32>,
    /// Everything that it printed, both streams.
    pub text: String,
}

/// A running `sandbar`. Dropped: killed.
pub struct Process {
    process: Guarded,
    output: Arc<Output>,
    readers: Vec<std::thread::JoinHandle<()>>,
}

impl Process {
    /// Starts `sandbar ARGS`.
    pub fn start<S: AsRef<OsStr>>(arguments: &[S]) -> Self {
        Self::start_with(arguments, &[])
    }

    /// Starts `sandbar ARGS` with variables in its environment.
    pub fn start_with<S: AsRef<OsStr>>(arguments: &[S], environment: &[(&str, &str)]) -> Self {
        let mut command = Command::new(binary());
        command.args(arguments).envs(environment.iter().copied());
        Self::of(command)
    }

    /// Starts `sandbar ARGS` in front of somebody who types: [`type_line`](Self::type_line).
    pub fn start_typed<S: AsRef<OsStr>>(arguments: &[S]) -> Self {
        let mut command = Command::new(binary());
        command.args(arguments);
        Self::with_input(command, Stdio::piped())
    }

    /// Types a line.
    pub fn type_line(&mut self, line: &str) {
        let input = self.process.child().stdin.as_mut().expect("a process that is typed to");
        writeln!(input, "{line}")
            .and_then(|()| input.flush())
            .expect("it reads");
    }

    /// Starts `sandbar ARGS` as a process that may have so many files open unless it asks for more.
    pub fn start_with_open_files<S: AsRef<OsStr>>(arguments: &[S], files: u32) -> Self {
        let mut command = Command::new("sh");
        command
            .args(["-c", &format!("ulimit -Sn {files} && exec \"$0\" \"$@\"")])
            .arg(binary())
            .args(arguments);
        Self::of(command)
    }

    /// Starts a command that becomes `sandbar`.
    pub(crate) fn of(command: Command) -> Self {
        Self::with_input(command, Stdio::null())
    }

    fn with_input(mut command: Command, input: Stdio) -> Self {
        // The tests' own S3 server has no certificate.
        command.env("AWS_ALLOW_HTTP", "true");
        command.stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = Guarded::spawn(&mut command);
        let output = Arc::new(Output::default());
        let stdout = process.child().stdout.take().expect("a pipe");
        let stderr = process.child().stderr.take().expect("a pipe");
        let readers = vec![follow(stdout, output.clone()), follow(stderr, output.clone())];
        Self {
            process,
            output,
            readers,
        }
    }

    /// The process's id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// What it printed so far.
    pub fn lines(&self) -> Vec<String> {
        self.output.lines.lock().unwrap().clone()
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.ended().is_none()
    }

    /// How it ended, if it did; then all that it printed is there.
    fn ended(&mut self) -> Option<ExitStatus> {
        let status = self.process.ended()?;
        self.readers.drain(..).for_each(|reader| reader.join().unwrap());
        Some(status)
    }

    /// Waits until the condition holds for what it printed; fails with all of that when it does not, or when the
    /// process ends before.
    pub fn wait_for(&mut self, what: &str, limit: Duration, holds: impl Fn(&[String]) -> bool) {
        let deadline = Instant::now() + limit;
        loop {
            let ended = self.ended().is_some();
            let lines = self.output.lines.lock().unwrap();
            if holds(&lines) {
                return;
            }
            assert!(!ended, "{what}: sandbar ended before:\n{}", lines.join("\n"));
            assert!(
                Instant::now() < deadline,
                "{what}: not within {limit:?}:\n{}",
                lines.join("\n")
            );
            drop(
                self.output
                    .grown
                    .wait_timeout(lines, Duration::from_millis(50))
                    .unwrap(),
            );
        }
    }

    /// Waits until every one of `count` partitions says where it starts.
    pub fn wait_placed(&mut self, count: usize, limit: Duration) -> Vec<Placed> {
        self.wait_for("the start positions are printed", limit, |lines| {
            placed(lines).len() >= count
        });
        placed(&self.lines())
    }

    /// Waits for its end.
    pub fn wait(mut self, limit: Duration) -> Ended {
        self.process.wait(limit);
        let Some(status) = self.ended() else {
            panic!("sandbar ends: not within {limit:?}:\n{}", self.lines().join("\n"));
        };
        Ended {
            code: status.code(),
            text: self.lines().join("\n"),
        }
    }

    /// Asks it to stop (SIGTERM) and waits for its end.
    pub fn stop(mut self, limit: Duration) -> Ended {
        self.signal("TERM");
        self.wait(limit)
    }

    /// Sends a signal by name. SIGTERM would kill a process that has just begun, so it waits for a handler.
    pub fn signal(&mut self, name: &str) {
        if name == "TERM" {
            let is_heard = || !self.is_running() || self.handles_term();
            wait::until_true("it handles SIGTERM", wait::PATIENCE, is_heard);
        }
        self.process.signal(name);
    }

    /// Whether the system says that it has a handler for SIGTERM, which is signal 15.
    fn handles_term(&self) -> bool {
        let caught = status_line(self.id(), "SigCgt:").and_then(|mask| u64::from_str_radix(&mask, 16).ok());
        caught.is_some_and(|mask| mask >> 14 & 1 == 1)
    }

    /// kill -9.
    pub fn kill(&mut self) {
        self.process.kill();
        self.ended();
    }

    /// Resident memory in KiB, and the highest it ever was.
    pub fn memory_kib(&self) -> (u64, u64) {
        memory_kib(self.id())
    }
}

/// Resident memory of any process in KiB, and the highest it ever was; nothing of one that is gone.
pub fn memory_kib(id: u32) -> (u64, u64) {
    let of = |name: &str| status_line(id, name)?.parse().ok();
    (of("VmRSS:").unwrap_or(0), of("VmHWM:").unwrap_or(0))
}

/// What the system says of a process under a name.
fn status_line(id: u32, name: &str) -> Option<String> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with(name))?;
    line.split_whitespace().nth(1).map(str::to_owned)
}

/// Runs `sandbar ARGS` to its end.
pub fn run<S: AsRef<OsStr>>(arguments: &[S]) -> Ended {
    Process::start(arguments).wait(wait::seconds(60))
}

/// Where a partition starts, as `run` prints it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// `topic/partition`.
    pub partition: String,
    /// The first offset.
    pub from: i64,
    /// Why there: `committed`, `group offset`, `latest`, ….
    pub origin: String,
}

/// The start positions among the lines: `views/3  from 4711  committed`, or with `-o json` objects whose event is
/// `start`.
pub fn placed(lines: &[String]) -> Vec<Placed> {
    lines
        .iter()
        .filter_map(|line| placed_in_json(line).or_else(|| placed_in_text(line)))
        .collect()
}

fn placed_in_text(line: &str) -> Option<Placed> {
    let (partition, rest) = line.trim().split_once("  from ")?;
    let (from, origin) = rest.split_once("  ")?;
    let (_, number) = partition.rsplit_once('/')?;
    number.parse::<i32>().ok()?;
    Some(Placed {
        partition: partition.into(),
        from: from.parse().ok()?,
        origin: origin.trim().into(),
    })
}

fn placed_in_json(line: &str) -> Option<Placed> {
    let event = event(line, "start")?;
    Some(Placed {
        partition: format!("{}/{}", event["topic"].as_str()?, event["partition"].as_i64()?),
        from: event["from"].as_i64()?,
        origin: event["origin"].as_str()?.into(),
    })
}

/// The line as a JSON object, if it tells of this event.
pub fn event(line: &str, name: &str) -> Option<serde_json::Value> {
    let object: serde_json::Value = serde_json::from_str(line).ok()?;
    (object["event"] == name).then_some(object)
}

fn follow(pipe: impl Read + Send + 'static, output: Arc<Output>) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).split(b'\n') {
            let Ok(line) = line else { return };
            output
                .lines
                .lock()
                .unwrap()
                .push(String::from_utf8_lossy(&line).into_owned());
            output.grown.notify_all();
        }
    })
}

/// Sends a signal to any process.
pub fn signal(pid: u32, name: &str) {
    let sent = Command::new("kill")
        .args([&format!("-{name}"), &pid.to_string()])
        .status();
    assert!(sent.is_ok_and(|sent| sent.success()), "SIG{name} to {pid}");
}
