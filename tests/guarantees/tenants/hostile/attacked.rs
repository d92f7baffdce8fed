//! A tenant with a hostile plugin: it ships it, and what comes of it is compared with what has to.

use std::fs;

use sandbar_tests::client::{Client, Isolation, Record};
use sandbar_tests::daemon::Daemon;
use sandbar_tests::pipeline_file::unique;
use sandbar_tests::process::{Ended, event, memory_kib};
use sandbar_tests::wait::{self, seconds};
use serde_json::Value;

use super::attacks::{Attack, By, Ends, Values, file};

/// What a process may take beyond its guest's 64 MiB: what the guest hands over, twice, queues, caches, the program.
const PROCESS_KIB: u64 = 640 << 10;
/// Bytes of the log that a pipeline may have written meanwhile.
const LOG_BYTES: usize = 1 << 20;
/// Each record a day after the one before, so that event time passes whatever timers were set.
const DAY_MS: i64 = 86_400_000;
const BEGAN_MS: i64 = 1_700_000_000_000;
/// Keys that look like the beginnings of each other, and like what a host might put between them.
const KEYS: [&str; 5] = ["a", "ab", "\0", "by", "a\0"];

/// The tenant.
pub(super) struct Attacked<'a> {
    daemon: &'a Daemon,
    client: &'a Client,
    brokers: &'a str,
    attack: &'a Attack,
    tenant: String,
    topic: String,
}

impl<'a> Attacked<'a> {
    /// Makes the tenant, and its topics.
    pub(super) fn new(daemon: &'a Daemon, client: &'a Client, brokers: &'a str, attack: &'a Attack) -> Self {
        let world = match attack.by {
            By::Guest { in_records: true } => "-in-records",
            _ => "",
        };
        let tenant = format!("t{}-{}{world}", attack.number, attack.name);
        let topic = unique(&tenant);
        daemon.done(&["tenant", "create", &tenant]);
        for part in ["in", "out", "dead"] {
            client.create_topic(&format!("{topic}-{part}"), 1);
        }
        Self {
            daemon,
            client,
            brokers,
            attack,
            tenant,
            topic,
        }
    }

    /// Ships the plugin, sends the records, and judges what comes of it.
    pub(super) fn judge(&self) {
        let Attack { ends, says, .. } = *self.attack;
        let applied = self.apply();
        if ends == Ends::Refused {
            assert_ne!(applied.code, Some(0), "{}: {}", self.tenant, applied.text);
            self.says(says, &applied.text);
            let status = ["status", "p", "--tenant", &self.tenant];
            assert_ne!(
                self.daemon.ask(&self.daemon.admin(), &status).code,
                Some(0),
                "{}",
                self.tenant
            );
            return;
        }
        assert_eq!(applied.code, Some(0), "{}: {}", self.tenant, applied.text);
        self.client.producer().send(&self.records());
        match ends {
            Ends::In(state) => {
                let status = self.daemon.wait_until(&self.tenant, "p", state);
                self.says(says, status["reason"].as_str().unwrap_or_default());
            }
            _ => self.runs_on(),
        }
        self.judge_topics();
        self.judge_log();
        self.daemon.done(&["delete", "p", "--tenant", &self.tenant]);
    }

    fn says(&self, words: &str, text: &str) {
        assert!(text.contains(words), "{}: `{words}` in\n{text}", self.tenant);
    }

    fn apply(&self) -> Ended {
        let token = self.daemon.token(&self.tenant, "admin");
        let file = self.daemon.write(&format!("{}.toml", self.tenant), &self.pipeline());
        self.daemon.ask(&token, &["apply", &file.display().to_string()])
    }

    fn pipeline(&self) -> String {
        let Attack {
            by, operator, source, ..
        } = *self.attack;
        let plugin = by.built().unwrap_or_else(|| {
            let path = self.daemon.write(&format!("{}.wasm", self.tenant), "");
            fs::write(&path, file(self.attack.name)).expect("the plugin is written");
            path
        });
        let config = match by {
            By::Guest { .. } => format!("config = {{ attack = \"{}\" }}", self.attack.name),
            By::Other(_) | By::Made => String::new(),
        };
        format!(
            "name = \"p\"\nworkers = 1\n[kafka]\nbrokers = \"{brokers}\"\n\
             [source.in]\ntopics = [\"{topic}-in\"]\nstart = \"earliest\"\nmax-out-of-orderness = \"0s\"\n{source}\n\
             [operator.op]\nplugin = \"{plugin}\"\ninputs = [\"in\"]\n{config}\n{operator}\n\
             [sink.out]\nfrom = [\"op\"]\ntopic = \"{topic}-out\"\n\
             [dead-letters]\ntopic = \"{topic}-dead\"\n[checkpoint]\ninterval = \"200ms\"\n",
            brokers = self.brokers,
            topic = self.topic,
            plugin = plugin.display(),
        )
    }

    fn records(&self) -> Vec<Record> {
        let keyed = |index: usize, key: &str, value: &str| {
            Record::keyed(&format!("{}-in", self.topic), key, value).at(BEGAN_MS + DAY_MS * index as i64)
        };
        let these = |values: &[&str]| -> Vec<Record> {
            let each = values.iter().enumerate();
            each.map(|(index, value)| keyed(index, "k", value)).collect()
        };
        match self.attack.values {
            Values::Usual => these(&["a", "strike", "b"]),
            Values::These(values) => these(values),
            Values::Strikes(count) => (0..count)
                .map(|index| keyed(index, KEYS[index % KEYS.len()], &format!("strike {index}")))
                .collect(),
        }
    }

    fn runs_on(&self) {
        let records = self.records().len();
        let mut status = Value::Null;
        wait::until_true(
            &format!("{} goes through its records", self.tenant),
            seconds(240),
            || {
                status = self.daemon.status(&self.tenant, "p");
                assert_ne!(status["state"], "failed", "{}: {status}", self.tenant);
                status["state"] == "running" && status["records-in"] == records && status["lag"] == 0
            },
        );
        assert_eq!(status["restarts"], 0, "{}: {status}", self.tenant);
        let pid = status["pid"].as_u64().expect("a process") as u32;
        let (_, highest) = memory_kib(pid);
        assert!(highest < PROCESS_KIB, "{}: {} MiB", self.tenant, highest >> 10);
        wait::until_true(&format!("{} put its records out", self.tenant), seconds(120), || {
            std::thread::sleep(std::time::Duration::from_millis(100));
            self.shown("out").len() >= *self.attack.outputs.start() && self.shown("dead").len() >= self.attack.dead
        });
    }

    /// What a reader sees who sees what was committed.
    fn shown(&self, part: &str) -> Vec<Record> {
        self.client
            .read(&format!("{}-{part}", self.topic), Isolation::Committed)
    }

    fn judge_topics(&self) {
        let Attack { ends, says, dead, .. } = *self.attack;
        let outputs = self.shown("out");
        assert!(
            self.attack.outputs.contains(&outputs.len()),
            "{}: {} outputs where {:?} are owed",
            self.tenant,
            outputs.len(),
            self.attack.outputs
        );
        assert_eq!(self.shown("dead").len(), dead, "{}: dead letters", self.tenant);
        let texts: Vec<String> = outputs.iter().map(Record::text).collect();
        match ends {
            Ends::RunsOn => assert!(
                says.is_empty() || texts.iter().any(|text| text.contains(says)),
                "{}: {says} in {texts:?}",
                self.tenant
            ),
            // Nothing of the record at fault is visible; what was before it, and is not committed, comes again.
            _ => assert!(
                texts.first().is_none_or(|text| text == "a"),
                "{}: {texts:?}",
                self.tenant
            ),
        }
    }

    /// Whatever a plugin logs: it is no event of its run, it moves no cursor, and there is an end to it.
    fn judge_log(&self) {
        let logs = ["logs", "p", "--tenant", &self.tenant, "-o", "json"];
        let log = self.daemon.ask(&self.daemon.admin(), &logs).text;
        assert!(log.len() < LOG_BYTES, "{}: {} bytes of log", self.tenant, log.len());
        assert!(!log.contains('\u{1b}'), "{}: an escape in\n{log}", self.tenant);
        let is_end = |line: &str| event(line, "stopped").is_some() || line.starts_with("{\"error\"");
        if self.attack.ends == Ends::RunsOn {
            assert!(
                !log.lines().any(is_end),
                "{}: it runs, and its log says\n{log}",
                self.tenant
            );
        }
        let began = log.lines().filter(|line| event(line, "process").is_some()).count();
        let starts = self.daemon.status(&self.tenant, "p")["restarts"].as_u64().unwrap_or(0) + 1;
        assert!(
            began as u64 <= starts,
            "{}: {began} processes, {starts} were started",
            self.tenant
        );
    }
}
