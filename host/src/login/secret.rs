//! A value that may change and must not be shown: a text, a file, or what a command prints.

use std::fmt;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use super::process_group::end_group;
use crate::clock;

/// A secret is no longer than this.
const MOST_BYTES: u64 = 1 << 20;
/// How long a command may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where a value comes from.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// It is this.
    Text(String),
    /// It stands in this file; a line break at its end is left out.
    File(PathBuf),
    /// This program prints it, with these arguments.
    Command(Vec<String>),
}

/// It is not shown; where it comes from may be.
impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Secret::Text(_) => out.write_str("…"),
            Secret::File(path) => write!(out, "{}", path.display()),
            Secret::Command(command) => write!(out, "{command:?}"),
        }
    }
}

impl Secret {
    /// Its value now; the error says why there is none, never what it is.
    pub fn read(&self) -> Result<String, String> {
        match self {
            Secret::Text(text) => Ok(text.clone()),
            Secret::File(path) => file(path),
            Secret::Command(command) => output(command),
        }
    }
}

fn file(path: &Path) -> Result<String, String> {
    let read = || {
        let mut text = String::new();
        std::fs::File::open(path)?.take(MOST_BYTES).read_to_string(&mut text)?;
        Ok::<_, std::io::Error>(text)
    };
    let text = read().map_err(|error| format!("`{}`: {error}", path.display()))?;
    Ok(without_line_break(&text).to_owned())
}

fn without_line_break(text: &str) -> &str {
    let line = text.strip_suffix('\n').unwrap_or(text);
    line.strip_suffix('\r').unwrap_or(line)
}

fn output(command: &[String]) -> Result<String, String> {
    let [program, arguments @ ..] = command else {
        return Err("the command has no program".to_owned());
    };
    let failed = |why: String| format!("`{program}`: {why}");
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        // What it starts is ended with it: it would keep the pipe open, and our reader waiting.
        .process_group(0)
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    match printed(&mut child) {
        Ok((text, status)) if status.success() => Ok(without_line_break(&text).to_owned()),
        Ok((_, status)) => Err(failed(format!("it ended with {status}"))),
        Err(why) => {
            // It is not reaped yet, so its id is nobody else's.
            end_group(child.id());
            let _it_is_gone = child.kill();
            let _it_is_reaped = child.wait();
            Err(failed(why))
        }
    }
}

/// What a child prints to its end, and how it ended, in time. If this fails the child is not reaped.
fn printed(child: &mut Child) -> Result<(String, ExitStatus), String> {
    let Some(out) = child.stdout.take() else {
        return Err("it has no output".to_owned());
    };
    let (answer, answered) = std::sync::mpsc::channel();
    let reading = std::thread::Builder::new().name("command".to_owned()).spawn(move || {
        let mut text = String::new();
        let read = out.take(MOST_BYTES).read_to_string(&mut text).map(|_| text);
        let _nobody_waits_any_more = answer.send(read);
    });
    reading.map_err(|error| error.to_string())?;
    let until = clock::now() + PATIENCE;
    let text = answered
        .recv_timeout(PATIENCE)
        .map_err(|_| format!("it printed nothing to its end within {PATIENCE:?}"))?
        .map_err(|error| error.to_string())?;
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Ok((text, status)),
            Ok(None) if clock::now() < until => std::thread::sleep(Duration::from_millis(5)),
            Ok(None) => return Err(format!("it did not end within {PATIENCE:?}")),
            Err(error) => return Err(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(text: &str) -> Result<String, String> {
        Secret::Command(["sh", "-c", text].map(str::to_owned).to_vec()).read()
    }

    #[test]
    fn a_secret_is_read_where_it_stands_each_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        let secret = Secret::File(path.clone());
        assert!(secret.read().unwrap_err().contains("password"));
        for value in ["one", "two"] {
            std::fs::write(&path, format!("{value}\r\n")).unwrap();
            assert_eq!(secret.read().unwrap(), value);
        }
        assert_eq!(Secret::Text("three".into()).read().unwrap(), "three");
    }

    #[test]
    fn a_command_that_does_not_answer_well_is_told_and_shows_nothing() {
        assert_eq!(command("echo token").unwrap(), "token");
        let error = command("echo hunter2; exit 3").unwrap_err();
        assert!(error.contains('3') && !error.contains("hunter2"), "{error}");
        assert!(Secret::Command(vec!["no-such-program".into()]).read().is_err());
        assert!(Secret::Command(Vec::new()).read().is_err());
        let shown = format!("{:?}", Secret::Text("hunter2".into()));
        assert!(!shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn a_command_that_hangs_is_ended_with_all_that_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("grandchild");
        // The grandchild keeps the pipe open; `sh` itself ends at once.
        let error = command(&format!("sleep 600 & echo $! > '{}'", path.display())).unwrap_err();
        assert!(error.contains("within"), "{error}");
        let grandchild = std::fs::read_to_string(&path).unwrap();
        let stat = PathBuf::from(format!("/proc/{}/stat", grandchild.trim()));
        // One that nobody reaped is gone as well.
        let is_gone = || std::fs::read_to_string(&stat).map_or(true, |stat| stat.contains(") Z "));
        assert!(!clock::sleep_unless(Duration::from_secs(60), is_gone), "it lives");
    }
}
