//! A PostgreSQL server of this test's own, in a temporary folder and on a Unix socket alone.
//!
//! Always: it is stopped when it is dropped, and runs as a user that is not root.

use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, getuid, kill_process};
use tempfile::TempDir;

use crate::place::Place;

/// A server.
pub(crate) struct Server {
    folder: TempDir,
    programs: PathBuf,
    process: Option<Child>,
}

impl Server {
    /// Starts one; `None`: PostgreSQL is not on this machine, which is noted.
    pub(crate) async fn start() -> Option<Self> {
        let Some(programs) = programs() else {
            skip(
                "the catalog on PostgreSQL",
                "initdb is neither in /usr/lib/postgresql/*/bin nor in PATH",
            );
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        if let Some((user, group)) = other_user() {
            chown(folder.path(), Some(user), Some(group)).unwrap();
        }
        let mut server = Self {
            folder,
            programs,
            process: None,
        };
        let mut initdb = server.command("initdb");
        initdb.args([
            "--no-sync",
            "--auth=scram-sha-256",
            "--username=sandbar",
            "--encoding=UTF8",
        ]);
        let password = server.folder.path().join("password");
        std::fs::write(&password, "hunter2").unwrap();
        initdb.arg("--pwfile").arg(&password).arg("--pgdata").arg(server.data());
        let done = initdb.output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        server.run().await;
        Some(server)
    }

    /// Starts its process, and waits until it answers.
    pub(crate) async fn run(&mut self) {
        let mut command = self.command("postgres");
        command.arg("-D").arg(self.data()).arg("-k").arg(self.folder.path());
        command.args(["-c", "listen_addresses=", "-c", "fsync=off", "-c", "log_statement=none"]);
        self.process = Some(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        for _ in 0..300 {
            let is_ready = self
                .command("pg_isready")
                .arg("-h")
                .arg(self.folder.path())
                .output()
                .unwrap();
            if is_ready.status.success() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("PostgreSQL did not answer within 30 s");
    }

    /// Ends its process, as quickly as is clean.
    pub(crate) fn stop(&mut self) {
        let Some(mut process) = self.process.take() else { return };
        let _ = kill_process(Pid::from_child(&process), Signal::INT);
        let _ = process.wait();
    }

    /// A database of this name.
    pub(crate) async fn place(&self, case: &str) -> Place {
        let made = self
            .command("createdb")
            .env("PGPASSWORD", "hunter2")
            .args(["-U", "sandbar", "-h"])
            .arg(self.folder.path())
            .arg(case)
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        Place::postgres(self.url(case, "hunter2"))
    }

    pub(crate) fn url(&self, database: &str, password: &str) -> String {
        format!(
            "postgres://sandbar:{password}@localhost/{database}?host={}",
            self.folder.path().display()
        )
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command.current_dir(self.folder.path());
        if let Some((user, group)) = other_user() {
            command.uid(user).gid(group);
        }
        command
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The folder with PostgreSQL's programs: that of the highest version, or one in PATH.
fn programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql")
        .ok()
        .into_iter()
        .flatten()
        .flatten();
    let of_packages = versions.map(|version| version.path().join("bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut found: Vec<PathBuf> = of_packages.filter(|folder| folder.join("initdb").is_file()).collect();
    found.sort();
    found
        .pop()
        .or_else(|| std::env::split_paths(&path).find(|folder: &PathBuf| folder.join("initdb").is_file()))
}

/// User and group to be, if this is root, whom PostgreSQL refuses.
fn other_user() -> Option<(u32, u32)> {
    if !getuid().is_root() {
        return None;
    }
    let users = std::fs::read_to_string(Path::new("/etc/passwd")).unwrap();
    let of = |wanted: &str| {
        let line = users.lines().find(|line| line.split(':').next() == Some(wanted))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    Some(of("postgres").or_else(|| of("nobody")).unwrap())
}

/// Notes that a test could not run, and why; `make test` prints it at its end.
fn skip(test: &str, why: &str) {
    use std::io::Write as _;
    eprintln!("skipped: {test}: {why}");
    if let Some(path) = std::env::var_os("SANDBAR_SKIPPED") {
        let mut file = std::fs::File::options().append(true).create(true).open(path).unwrap();
        writeln!(file, "test {test}: {why}").unwrap();
    }
}
