//! The process of a pipeline: started shut off from the daemon, asked how it does through its socket, asked to end.
//!
//! Always: a signal goes to our child, or to the process that holds the pipeline's lock, never to a number.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::Deserialize;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};

use super::home::PipelineHome;
use crate::names::Name;
use crate::problem::{Problem, ProblemKind, Result};

/// Bytes of an answer, at most.
const ANSWER_BYTES: u64 = 64 << 10;
/// How long an answer may take: the server of a run has a thread of its own.
const ANSWER: Duration = Duration::from_secs(2);

/// What a running process says of itself, at `/status`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct ProcessStatus {
    /// Positions are resolved and the workers run.
    pub(super) running: bool,
    /// A cluster is out of reach.
    pub(super) disconnected: bool,
    /// A worker that stands still, and for how long.
    pub(super) standstill: Option<String>,
    /// The words of a plugin that asks for its call again.
    #[serde(default)]
    pub(super) asks_again: Option<String>,
    pub(super) records_in: u64,
    pub(super) records_out: u64,
    pub(super) lag: u64,
    pub(super) workers: u64,
}

/// What is set for a process over its pipeline file, and with which program it runs.
#[derive(Debug, Clone)]
pub(super) struct StartOrder {
    pub(super) program: PathBuf,
    /// `KEY=VALUE`, each.
    pub(super) sets: Vec<String>,
}

/// Starts a process that holds this lock. It has no terminal, no environment and no signal of the daemon's, and goes on
/// when the daemon ends.
pub(super) fn start(home: &PipelineHome, order: &StartOrder, lock: File) -> io::Result<Child> {
    let log = home.open_log()?;
    let mut command = std::process::Command::new(&order.program);
    command
        .args(["run", "pipeline.toml", "-o", "json", "--http"])
        .arg(format!("unix:{}", home.socket().display()))
        .args(order.sets.iter().flat_map(|set| ["--set", set]))
        .current_dir(home.folder())
        .env_clear()
        .env("SANDBAR_LOG", "info")
        .stdin(Stdio::from(lock))
        .stdout(Stdio::from(log.try_clone()?))
        .stderr(Stdio::from(log))
        .process_group(0);
    Command::from(command).kill_on_drop(false).spawn()
}

/// Runs `sandbar check` over the pipeline file of a folder, for so long at most.
pub(super) async fn check(program: &Path, folder: &Path, sets: &[String], most: Duration) -> io::Result<CheckSaid> {
    let mut command = Command::new(program);
    command
        .args(["check", "pipeline.toml", "-o", "json"])
        .args(sets.iter().flat_map(|set| ["--set", set]))
        .current_dir(folder)
        .env_clear()
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = tokio::time::timeout(most, command.output()).await;
    let output =
        output.map_err(|_| io::Error::new(io::ErrorKind::TimedOut, format!("it took more than {most:?}")))??;
    Ok(CheckSaid {
        code: output.status.code(),
        text: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// What `sandbar check` said.
#[derive(Debug)]
pub(super) struct CheckSaid {
    pub(super) code: Option<i32>,
    pub(super) text: String,
}

impl CheckSaid {
    /// Nothing if it found nothing wrong; else its words.
    pub(super) fn judge(&self, name: &Name) -> Result<()> {
        if self.code == Some(0) {
            return Ok(());
        }
        let what = format!("pipeline `{name}` cannot be run");
        let line = self
            .text
            .lines()
            .rev()
            .find_map(|line| serde_json::from_str::<Value>(line).ok());
        let Some(error) = line.as_ref().and_then(|line| line.get("error")) else {
            let why = format!("its check ended with {:?} and without a word", self.code);
            return Err(Problem::new(ProblemKind::Failed, what, why));
        };
        let text = |name: &str| error[name].as_str().unwrap_or_default();
        let kind = match self.code {
            Some(3) => ProblemKind::Invalid,
            Some(4) => ProblemKind::PluginRefused,
            _ => ProblemKind::Failed,
        };
        let problem = Problem::new(kind, text("what"), text("why"));
        Err(match text("hint") {
            "" => problem,
            hint => problem.hint(hint),
        })
    }
}

/// The process that answers on the socket, and what it says; `None`: nobody answers, or not in time.
pub(super) async fn ask(home: &PipelineHome) -> Option<(u32, ProcessStatus)> {
    let asked = async {
        let mut stream = UnixStream::connect(home.socket()).await?;
        let pid = stream.peer_cred()?.pid().unwrap_or_default();
        stream.write_all(b"GET /status HTTP/1.0\r\n\r\n").await?;
        let mut answer = String::new();
        stream.take(ANSWER_BYTES).read_to_string(&mut answer).await?;
        let body = answer.split_once("\r\n\r\n").map(|(_, body)| body).unwrap_or_default();
        let status = serde_json::from_str(body).map_err(io::Error::other)?;
        let pid = u32::try_from(pid).map_err(io::Error::other)?;
        io::Result::Ok((pid, status))
    };
    tokio::time::timeout(ANSWER, asked).await.ok()?.ok()
}

/// Asks a process to end: it finishes the batch, takes a checkpoint and leaves the group. `false`: it cannot be reached
/// yet, or any more.
pub(super) async fn ask_to_end(home: &PipelineHome, child: Option<&Child>) -> io::Result<bool> {
    signal(home, child, Signal::TERM).await
}

/// Ends it at once.
pub(super) async fn kill(home: &PipelineHome, child: Option<&Child>) -> io::Result<bool> {
    signal(home, child, Signal::KILL).await
}

/// A child that nobody waited for keeps its number. Any other process is found by the lock that it holds, before it is
/// opened and after: so the signal goes to no process that came by its number.
async fn signal(home: &PipelineHome, child: Option<&Child>, signal: Signal) -> io::Result<bool> {
    let id = child.and_then(Child::id).and_then(|id| i32::try_from(id).ok());
    let own = id.and_then(Pid::from_raw);
    let Some(pid) = own.or_else(|| holder(home)) else {
        return Ok(false);
    };
    let process = match pidfd_open(pid, PidfdFlags::empty()) {
        Err(rustix::io::Errno::SRCH) => return Ok(false),
        opened => opened?,
    };
    if own.is_none() && !holds(home, pid) {
        return Ok(false);
    }
    match pidfd_send_signal(process, signal) {
        Err(rustix::io::Errno::SRCH) => Ok(false),
        sent => sent.map(|()| true).map_err(io::Error::from),
    }
}

/// The process whose standard input is the lock of the pipeline.
fn holder(home: &PipelineHome) -> Option<Pid> {
    let processes = std::fs::read_dir("/proc").ok()?.flatten();
    let mut ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok().and_then(Pid::from_raw));
    ids.find(|pid| holds(home, *pid))
}

fn holds(home: &PipelineHome, pid: Pid) -> bool {
    let place = |path: &Path| std::fs::metadata(path).map(|about| (about.dev(), about.ino())).ok();
    let input = format!("/proc/{}/fd/0", pid.as_raw_nonzero());
    place(Path::new(&input)).is_some_and(|input| Some(input) == place(&home.lock_file()))
}
