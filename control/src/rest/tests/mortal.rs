//! A daemon that dies and begins again, with a pipeline of the program that stands for the real one.

use std::path::PathBuf;
use std::time::Duration;

use axum::http::{Method, header};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::runtime::{Builder, Runtime};
use tokio::time::Instant;

use super::daemon::{Answer, Daemon};
use super::program::{outputs, program};
use crate::model::Role;
use crate::model::names::Digest;

pub(super) const VIEWS: &str = "/v1/tenants/alpha/pipelines/views";
pub(super) const FILE: &str = "name = \"views\"\n[operator.count]\n[checkpoint]\n";
/// Longer than any of it takes on a machine that does something else.
pub(super) const LONG: Duration = Duration::from_secs(60);

/// A daemon that can die, and begin again in the same folder.
pub(super) struct Mortal {
    folder: tempfile::TempDir,
    alive: Option<(Runtime, Daemon)>,
    /// What daemons billed that died.
    billed: u64,
    pub(super) token: String,
}

impl Mortal {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        program(folder.path());
        let mut mortal = Self {
            folder,
            alive: None,
            billed: 0,
            token: String::new(),
        };
        mortal.begin();
        mortal.token = mortal.wait(|daemon| Box::pin(daemon.token(Some("alpha"), Role::Admin)));
        mortal
    }

    /// Starts it, as one that finds what another left.
    pub(super) fn begin(&mut self) {
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let folder = self.folder.path().to_owned();
        let program = folder.join("program");
        let daemon = runtime.block_on(async {
            let daemon = Daemon::within(&folder, &program, super::super::asked::Patience::default()).await;
            daemon.keep_all().await;
            daemon
        });
        self.alive = Some((runtime, daemon));
    }

    /// It ends at whatever it is; its processes go on.
    pub(super) fn die(&mut self) {
        let (runtime, daemon) = self.alive.take().unwrap();
        runtime.shutdown_timeout(Duration::from_secs(10));
        self.billed += daemon.billed_records();
    }

    /// Records that all its daemons billed, and those that its process was seen to read.
    pub(super) fn billed_and_counted(&mut self) -> (u64, u64) {
        let (_, daemon) = self.alive.as_ref().unwrap();
        self.billed += daemon.billed_records();
        let card = std::fs::read(self.home().join("run.json")).unwrap_or_default();
        let card: Value = serde_json::from_slice(&card).unwrap_or_default();
        let counted = card["counted"]["records-in"].as_u64();
        (self.billed, counted.unwrap_or_default())
    }

    pub(super) fn wait<T>(
        &self,
        ask: impl for<'a> FnOnce(&'a Daemon) -> std::pin::Pin<Box<dyn Future<Output = T> + 'a>>,
    ) -> T {
        let (runtime, daemon) = self.alive.as_ref().unwrap();
        runtime.block_on(ask(daemon))
    }

    pub(super) fn tell(&self, method: Method, path: &str, body: &Value) -> Answer {
        let (path, token, body) = (path.to_owned(), self.token.clone(), body.clone());
        self.wait(move |daemon| Box::pin(async move { daemon.tell(&method, &path, &token, &body).await }))
    }

    pub(super) fn get(&self, path: &str) -> Value {
        let (path, token) = (path.to_owned(), self.token.clone());
        self.wait(move |daemon| Box::pin(async move { daemon.get(&path, &token).await }))
            .json()
    }

    /// Pushes a plugin that says this.
    pub(super) fn plugin(&self, says: &str) -> Digest {
        let bytes = [b"\0asm\x0d\0\x01\0", format!(" {says} ").as_bytes()].concat();
        let request = axum::http::Request::post("/v1/tenants/alpha/plugins")
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token))
            .header(header::CONTENT_TYPE, "application/wasm");
        let request = request.body(axum::body::Body::from(bytes.clone())).unwrap();
        let answer = self.wait(move |daemon| Box::pin(daemon.send(request)));
        assert!(answer.status.is_success(), "{answer:?}");
        Digest::of_hash(&Sha256::digest(&bytes))
    }

    pub(super) fn apply(&self, says: &str) {
        let body = json!({ "file": FILE, "plugins": { "count": self.plugin(says) } });
        let answer = self.tell(Method::PUT, VIEWS, &body);
        assert!(answer.status.is_success(), "{answer:?}");
    }

    pub(super) fn upgrade(&self, says: &str, more: &Value) -> Answer {
        let mut body = json!({ "plugins": { "count": self.plugin(says) } });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.tell(Method::POST, &format!("{VIEWS}/upgrade"), &body)
    }

    pub(super) fn status(&self) -> Value {
        self.get(&format!("{VIEWS}/status"))
    }

    pub(super) fn now(&self) -> Value {
        self.get(&format!("{VIEWS}/upgrade"))
    }

    pub(super) fn until(&self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        let end = Instant::now() + LONG;
        while !holds(self) {
            let (status, upgrade) = (self.status(), self.now());
            assert!(Instant::now() < end, "{what}: {status} {upgrade}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub(super) fn until_running(&self, version: i64) {
        self.until("it runs", |mortal| {
            let status = mortal.status();
            status["state"] == "running" && status["version"] == version
        });
    }

    pub(super) fn until_phase(&self, phase: &str) -> Value {
        self.until(phase, |mortal| mortal.now()["phase"] == phase);
        self.now()
    }

    pub(super) fn home(&self) -> PathBuf {
        self.folder.path().join("tenants/alpha/pipelines/views")
    }

    /// Waits until more is put out, and checks that it is each number once and in order.
    pub(super) fn is_exact(&self) {
        let before = outputs(&self.home()).len();
        self.until("it puts out", |mortal| outputs(&mortal.home()).len() > before);
        let all = outputs(&self.home());
        assert!(all.iter().copied().eq(0..all.len() as u64), "{all:?}");
    }

    pub(super) fn versions(&self) -> usize {
        self.get(&format!("{VIEWS}/versions"))["items"]
            .as_array()
            .unwrap()
            .len()
    }

    pub(super) fn audit(&self) -> Vec<String> {
        let entries = self.get("/v1/tenants/alpha/audit?most=500");
        let of = |entry: &Value, key: &str| entry[key].as_str().unwrap().to_owned();
        let all = entries["items"].as_array().unwrap().iter();
        all.map(|entry| format!("{} {}", of(entry, "verb"), of(entry, "result")))
            .collect()
    }
}

impl Drop for Mortal {
    /// Its processes end when their files are gone.
    fn drop(&mut self) {
        if self.alive.is_some() {
            self.die();
        }
    }
}
