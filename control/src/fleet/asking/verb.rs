//! A verb of the program as a process of its own, under a grant, within limits of time and of what it says.
//!
//! Never goes on when nobody waits for it any more.

use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;

use crate::grant::Grant;
use crate::model::problem::{Problem, ProblemKind};

/// Bytes that a verb may say on each of its two outputs, at most.
const SAID_BYTES: u64 = 4 << 20;

/// What a verb said.
#[derive(Debug)]
pub(in crate::fleet) struct VerbSaid {
    status: ExitStatus,
    stdout: String,
    stderr: String,
}

/// Runs a verb in a folder, with JSON as its output. Dropped, it ends.
pub(in crate::fleet) async fn ask_program(
    program: &Path,
    words: &[&str],
    folder: &Path,
    grant: &Grant,
    limit: Duration,
) -> io::Result<VerbSaid> {
    let mut child = Command::new(program)
        .args(words)
        .args(["--granted", "-o", "json"])
        .current_dir(folder)
        .env_clear()
        .stdin(Stdio::from(grant.hand_over()?))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let said = async {
        let (stdout, stderr) = tokio::join!(text(out), text(err));
        io::Result::Ok(VerbSaid {
            status: child.wait().await?,
            stdout: grant.told(stdout?),
            stderr: grant.told(stderr?),
        })
    };
    match tokio::time::timeout(limit, said).await {
        Ok(said) => said,
        Err(_) => Err(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("it took more than {limit:?}"),
        )),
    }
}

async fn text(from: Option<impl AsyncRead + Unpin>) -> io::Result<String> {
    let mut bytes = Vec::new();
    if let Some(from) = from {
        from.take(SAID_BYTES).read_to_end(&mut bytes).await?;
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

impl VerbSaid {
    /// Its exit code, if it was not ended by a signal.
    pub(in crate::fleet) fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// What it printed.
    pub(in crate::fleet) fn value(&self) -> Option<Value> {
        last_json(&self.stdout)
    }

    /// The problem that it told.
    pub(in crate::fleet) fn problem(&self, what: &str) -> Problem {
        let line = last_json(&self.stderr);
        let Some(error) = line.as_ref().and_then(|line| line.get("error")) else {
            return Problem::new(ProblemKind::Failed, what, format!("it ended with {}", self.status));
        };
        let text = |name: &str| error[name].as_str().unwrap_or_default();
        let kind = match self.code() {
            Some(3) => ProblemKind::Invalid,
            Some(4) => ProblemKind::PluginRefused,
            _ => ProblemKind::Failed,
        };
        let problem = Problem::new(kind, text("what"), text("why"));
        match text("hint") {
            "" => problem,
            hint => problem.hint(hint),
        }
    }
}

fn last_json(text: &str) -> Option<Value> {
    text.lines().rev().find_map(|line| serde_json::from_str(line).ok())
}
