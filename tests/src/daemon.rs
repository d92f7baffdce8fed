//! A `sandbar serve` with a folder of its own, and the verbs of its clients.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use crate::guard::{Folder, ProcessesIn};
use crate::process::{Ended, Process, event};
use crate::wait::{self, seconds};

/// How long a verb may take.
const VERB: Duration = seconds(180);

/// A daemon. Dropped: killed, with the processes of its pipelines.
pub struct Daemon {
    process: Option<Process>,
    url: String,
    options: Vec<String>,
    _processes: ProcessesIn,
    folder: Folder,
}

impl Daemon {
    /// Starts one, and waits until it serves.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// The same with options.
    pub fn start_with(options: &[&str]) -> Self {
        let folder = Folder::new("sandbar-serve-");
        let mut daemon = Self {
            process: None,
            url: String::new(),
            options: options.iter().map(|option| (*option).to_owned()).collect(),
            _processes: ProcessesIn::new(folder.path()),
            folder,
        };
        daemon.start_again();
        daemon
    }

    /// Starts it on the folder that it has.
    pub fn start_again(&mut self) {
        let data = self.data().display().to_string();
        let mut words = vec!["serve", "--data", &data, "--listen", "127.0.0.1:0", "-o", "json"];
        words.extend(self.options.iter().map(String::as_str));
        let mut process = Process::start(&words);
        process.wait_for("it serves", seconds(60), |lines| {
            lines.iter().any(|line| event(line, "serving").is_some())
        });
        let serving = process
            .lines()
            .iter()
            .find_map(|line| event(line, "serving"))
            .expect("it serves");
        self.url = serving["url"].as_str().expect("its address").to_owned();
        self.process = Some(process);
    }

    /// Kills it; the processes of its pipelines go on.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill();
        }
    }

    /// Ends it in order.
    pub fn stop(&mut self) -> Ended {
        self.process.take().expect("a daemon that runs").stop(seconds(60))
    }

    /// Its process.
    pub fn process(&self) -> &Process {
        self.process.as_ref().expect("a daemon that runs")
    }

    /// Its folder.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Where it listens.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The file of the administrator's token.
    pub fn admin(&self) -> PathBuf {
        self.data().join("admin.token")
    }

    /// A file beside its folder.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, text).expect("the file is written");
        path
    }

    /// A verb, with the token of a file.
    pub fn ask(&self, token: &Path, words: &[&str]) -> Ended {
        let token = token.display().to_string();
        let all = [words, &["--url", &self.url, "--token-file", &token]].concat();
        Process::start(&all).wait(VERB)
    }

    /// A verb that has to succeed, of the administrator; what it printed as JSON.
    pub fn done(&self, words: &[&str]) -> Value {
        let ended = self.ask(&self.admin(), &[words, &["-o", "json"]].concat());
        assert_eq!(ended.code, Some(0), "{words:?}: {}", ended.text);
        serde_json::from_str(ended.text.trim()).unwrap_or(Value::Null)
    }

    /// A new token of a tenant, in a file.
    pub fn token(&self, tenant: &str, role: &str) -> PathBuf {
        let made = self.done(&["token", "create", "--tenant", tenant, "--role", role]);
        let token = made["token"].as_str().unwrap_or_else(|| panic!("no token in {made}"));
        self.write(&format!("{tenant}-{role}.token"), token)
    }

    /// What a pipeline of a tenant does.
    pub fn status(&self, tenant: &str, name: &str) -> Value {
        self.done(&["status", name, "--tenant", tenant])
    }

    /// Waits until a pipeline is in a state; its status.
    pub fn wait_until(&self, tenant: &str, name: &str, state: &str) -> Value {
        let mut status = Value::Null;
        wait::until_true(&format!("{name} is {state}"), seconds(180), || {
            status = self.status(tenant, name);
            status["state"] == state
        });
        status
    }

    /// The processes that work below its folder.
    pub fn children(&self) -> Vec<u32> {
        let data = self.data().canonicalize().expect("its folder");
        let processes = fs::read_dir("/proc").expect("the processes").flatten();
        let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        let is_its = |id: &u32| fs::read_link(format!("/proc/{id}/cwd")).is_ok_and(|cwd| cwd.starts_with(&data));
        let mut ids: Vec<u32> = ids.filter(is_its).collect();
        ids.sort_unstable();
        ids
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
    }
}
