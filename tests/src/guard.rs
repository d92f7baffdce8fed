//! Processes that never outlive the test: a watcher holds a pipe to us and cleans up when it closes, however we end.

use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::wait::{self, seconds};

/// A machine with much to do lets a thread wait for a core.
const STOP_LIMIT: Duration = seconds(30);

/// Runs a shell line as soon as this value is dropped or the test process is gone, even by kill -9.
struct Watcher(Child);

impl Watcher {
    fn new(script: &str, argument: &str) -> Self {
        let script = format!("trap '' INT TERM; read _; {script}");
        let watcher = Command::new("sh")
            .args(["-c", &script, "watcher", argument])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("sh starts");
        Self(watcher)
    }

    /// Ends it without running its line.
    fn dismiss(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        self.0.wait().ok();
    }
}

/// A folder that is removed when this value is dropped or the test process is gone.
pub struct Folder {
    path: tempfile::TempDir,
    _watcher: Watcher,
}

impl Folder {
    /// A new folder under the system's place for temporary files.
    pub fn new(name: &str) -> Self {
        let path = tempfile::Builder::new()
            .prefix(name)
            .tempdir()
            .expect("a temporary folder");
        let watcher = Watcher::new("sleep 1; rm -rf \"$1\"", path.path().to_str().expect("a path in UTF-8"));
        Self {
            path,
            _watcher: watcher,
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.path.path()
    }
}

/// Processes that nobody's child are: those that work in a folder are killed when this value is dropped or the test
/// process is gone.
pub struct ProcessesIn {
    _watcher: Watcher,
}

impl ProcessesIn {
    /// Those below this folder.
    pub fn new(folder: &Path) -> Self {
        let script = "for process in /proc/[0-9]*; do case \"$(readlink \"$process/cwd\")\" in \
                      \"$1\"/*) kill -9 \"${process#/proc/}\" ;; esac; done 2>/dev/null";
        Self {
            _watcher: Watcher::new(script, folder.to_str().expect("a path in UTF-8")),
        }
    }
}

/// A child process that is killed when this value is dropped or the test process is gone.
pub struct Guarded {
    child: Child,
    watcher: Watcher,
    status: Option<ExitStatus>,
}

impl Guarded {
    /// Starts the command.
    pub fn spawn(command: &mut Command) -> Self {
        let child = command
            .spawn()
            .unwrap_or_else(|error| panic!("failed to start {command:?}: {error}"));
        let watcher = Watcher::new("kill -9 \"$1\"", &child.id().to_string());
        Self {
            child,
            watcher,
            status: None,
        }
    }

    /// The process's id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The child, to take its pipes.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// How it ended, if it did. The watcher goes first, so that it never kills a stranger who got the same id.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        if self.status.is_none() {
            self.status = self.child.try_wait().expect("a child can be asked");
            if self.status.is_some() {
                self.watcher.dismiss();
            }
        }
        self.status
    }

    /// How it ended, waiting for it.
    pub fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + limit;
        while self.ended().is_none() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        self.status
    }

    /// Sends a signal by name: `TERM`, `STOP`, `CONT`, `KILL`. After `STOP` it stands still.
    pub fn signal(&mut self, name: &str) {
        if self.ended().is_none() {
            let id = self.child.id().to_string();
            let sent = Command::new("kill")
                .args(["-s", name, &id])
                .status()
                .expect("kill starts");
            assert!(sent.success(), "signal {name} reaches process {id}");
            // A thread stops when it is next on a core, and until then it answers.
            if name == "STOP" {
                wait::until_true("each of its threads is stopped", STOP_LIMIT, || is_stopped(&id));
            }
        }
    }

    /// kill -9, and waits until it is gone.
    pub fn kill(&mut self) {
        if self.ended().is_none() {
            self.child.kill().ok();
            self.wait(Duration::from_secs(10));
        }
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Whether the system says of each thread of process `id` that it is stopped; a process that died meanwhile is.
fn is_stopped(id: &str) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{id}/task")).into_iter().flatten();
    let states = threads.map(|thread| std::fs::read_to_string(thread?.path().join("stat")));
    // The state stands behind the name, which is in brackets. A thread that ended has none, or is a zombie.
    let stands = |stat: String| {
        stat.rsplit_once(") ")
            .is_none_or(|(_, state)| state.starts_with(['T', 'Z']))
    };
    states.flatten().all(stands)
}
