//! The process of a pipeline: started shut off from the daemon, asked how it does through its socket, asked to end.
//!
//! Always: a signal goes to our child, or to the process that holds the pipeline's lock, never to a number.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use command_fds::{CommandFdExt, FdMapping};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};

use super::asking::told;
use super::home::PipelineHome;
use crate::grant::Grant;
use crate::model::names::Name;
use crate::model::problem::{Problem, ProblemKind, Result};

/// Bytes of an answer, at most.
const ANSWER_BYTES: u64 = 64 << 10;
/// How long an answer may take: the server of a run has a thread of its own.
const ANSWER: Duration = Duration::from_secs(2);

/// What a running process says of itself, at `/status`. One of an older version, which goes on when the daemon is
/// upgraded, leaves out what is new.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub(super) struct ProcessStatus {
    /// Positions are resolved and the workers run.
    pub(super) running: bool,
    /// A cluster is out of reach.
    pub(super) disconnected: bool,
    /// A worker that stands still, and for how long.
    pub(super) standstill: Option<String>,
    /// The words of a plugin that asks for its call again.
    pub(super) asks_again: Option<String>,
    pub(super) records_in: u64,
    pub(super) records_out: u64,
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
    /// The quota that it is held at: it reads nothing until that is made up for.
    pub(super) held_at: Option<String>,
    pub(super) lag: u64,
    pub(super) workers: u64,
}

/// Numbers of signals, as signal(7) has them.
const SIGABRT: i32 = 6;
const SIGBUS: i32 = 7;
const SIGKILL: i32 = 9;
const SIGSEGV: i32 = 11;
const SIGXCPU: i32 = 24;
/// Where the process of a pipeline has its lock.
const LOCK: i32 = 3;

/// How long a check may take: it compiles the plugins.
const CHECK: Duration = Duration::from_secs(120);

/// With which program a process runs, and what it is granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StartOrder {
    pub(super) program: PathBuf,
    /// What the process of the pipeline is granted.
    pub(super) run: Arc<Grant>,
    /// What the process is granted that checks it before.
    pub(super) check: Arc<Grant>,
    /// Stands for what is granted: a process that was granted something else is not the one that is wanted.
    pub(super) mark: String,
}

impl StartOrder {
    /// What a check of a version depends on besides: the program, which compiled the plugins, and what is granted.
    pub(super) fn check_of(&self, version: i64) -> io::Result<String> {
        let program = std::fs::metadata(&self.program)?;
        let mut hash = Sha256::new();
        for number in [version, program.mtime(), program.mtime_nsec()] {
            hash.update(number.to_le_bytes());
        }
        hash.update(program.len().to_le_bytes());
        hash.update(serde_json::to_vec(self.check.as_ref())?);
        Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

/// Starts a process that holds this lock, with these arguments besides. It has no terminal, no environment and no
/// signal of the daemon's, and goes on when the daemon ends.
pub(super) fn start(home: &PipelineHome, order: &StartOrder, more: &[String], lock: File) -> io::Result<Child> {
    let log = home.open_log()?;
    let mut command = std::process::Command::new(&order.program);
    command
        .args(["run", "pipeline.toml", "--granted", "-o", "json", "--http"])
        .arg(format!("unix:{}", home.socket().display()))
        .args(more)
        .current_dir(home.folder())
        .env_clear()
        .env("SANDBAR_LOG", "info")
        .stdin(Stdio::from(order.run.hand_over()?))
        .stdout(Stdio::from(log.try_clone()?))
        .stderr(Stdio::from(log))
        .process_group(0);
    let lock = FdMapping {
        parent_fd: lock.into(),
        child_fd: LOCK,
    };
    command.fd_mappings(vec![lock]).map_err(io::Error::other)?;
    Command::from(command).kill_on_drop(false).spawn()
}

/// Runs `sandbar check` over the pipeline file of a folder, which compiles its plugins. Dropped, it ends.
pub(super) async fn check(program: &Path, folder: &Path, grant: &Grant) -> io::Result<CheckSaid> {
    let mut command = Command::new(program);
    command
        .args(["check", "pipeline.toml", "--granted", "-o", "json"])
        .current_dir(folder)
        .env_clear()
        .stdin(Stdio::from(grant.hand_over()?))
        .kill_on_drop(true);
    let output = tokio::time::timeout(CHECK, command.output()).await;
    let output =
        output.map_err(|_| io::Error::new(io::ErrorKind::TimedOut, format!("it took more than {CHECK:?}")))??;
    Ok(CheckSaid {
        status: output.status,
        text: grant.told(String::from_utf8_lossy(&output.stderr).into_owned()),
    })
}

/// What `sandbar check` said.
#[derive(Debug)]
pub(super) struct CheckSaid {
    status: ExitStatus,
    text: String,
}

impl CheckSaid {
    /// Nothing if it found nothing wrong; else its words.
    pub(super) fn judge(&self, name: &Name) -> Result<()> {
        let code = self.status.code();
        if code == Some(0) {
            return Ok(());
        }
        let kind = match code {
            Some(3) => ProblemKind::Invalid,
            Some(4) => ProblemKind::PluginRefused,
            _ => ProblemKind::Failed,
        };
        Err(told(&self.text, kind).unwrap_or_else(|| {
            let what = format!("pipeline `{name}` cannot be run");
            Problem::new(ProblemKind::PluginRefused, what, self.without_a_word())
        }))
    }
}

impl CheckSaid {
    /// Why a check ended that said nothing: plugins are compiled in it, within limits.
    fn without_a_word(&self) -> String {
        match self.status.signal() {
            Some(SIGXCPU | SIGKILL) => "its plugins took more CPU to compile than a check may".to_owned(),
            Some(SIGABRT | SIGSEGV | SIGBUS) if self.text.contains("memory") => {
                "its plugins took more memory to compile than a check may".to_owned()
            }
            Some(signal) => format!("its check was ended by signal {signal}"),
            None => format!("its check ended with {}", self.status),
        }
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

/// The process that has the lock of the pipeline open where it was given it.
fn holder(home: &PipelineHome) -> Option<Pid> {
    let processes = std::fs::read_dir("/proc").ok()?.flatten();
    let mut ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok().and_then(Pid::from_raw));
    ids.find(|pid| holds(home, *pid))
}

fn holds(home: &PipelineHome, pid: Pid) -> bool {
    let place = |path: &Path| std::fs::metadata(path).map(|about| (about.dev(), about.ino())).ok();
    let lock = format!("/proc/{}/fd/{LOCK}", pid.as_raw_nonzero());
    place(Path::new(&lock)).is_some_and(|lock| Some(lock) == place(&home.lock_file()))
}
