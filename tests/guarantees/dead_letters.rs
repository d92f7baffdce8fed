//! `sandbar dead-letters`: what went wrong is listed with its places, shown whole, and sent through again once; on the
//! broker of our own too.

use std::process::Command;

use sandbar_tests::client::{Client, Isolation, Record};
use sandbar_tests::kafka::Kafka;
use sandbar_tests::pipeline_file::{PipelineFile, unique};
use sandbar_tests::process::{self, Ended, Process};
use sandbar_tests::root;
use sandbar_tests::wait::{PATIENCE, seconds};
use serde_json::Value;

/// A bounded pipeline of one operator with dead letters.
struct Dying {
    client: Client,
    file: PipelineFile,
    input: String,
    dead: String,
}

impl Dying {
    fn new(brokers: &str, guest: &str) -> Self {
        let (client, name) = (Client::new(brokers), unique("dying"));
        let [input, output, dead] = ["in", "out", "dead"].map(|part| format!("{name}-{part}"));
        for topic in [&input, &output] {
            client.create_topic(topic, 1);
        }
        client.create_topic(&dead, 2);
        let source = format!("topics = [\"{input}\"]\nstart = \"earliest\"\nstop = \"latest\"");
        let mut file = PipelineFile::new(brokers, &name, &source, &output);
        file.plugin = process::component(guest);
        file.operator = "on-error = \"dead-letter\"".into();
        file.tables = format!("[dead-letters]\ntopic = \"{dead}\"");
        Self {
            client,
            file,
            input,
            dead,
        }
    }

    fn send(&self, values: &[&str]) {
        let record = |value: &&str| Record {
            key: Some(vec![0, 255]),
            headers: vec![("trace".into(), Some(vec![1, 255]))],
            ..Record::placed(&self.input, 0, value).at(1_700_000_000_000)
        };
        self.client
            .producer()
            .send(&values.iter().map(record).collect::<Vec<_>>());
    }

    fn run(&self) {
        let ended = self.file.run().wait(PATIENCE * 2);
        assert_eq!(ended.code, Some(0), "{}", ended.text);
    }

    fn verb(&self, verb: &str, more: &[&str]) -> Ended {
        let path = self.file.write("").display().to_string();
        Process::start(&[&["dead-letters", verb, &path][..], more].concat()).wait(seconds(120))
    }

    /// Where the letters lie, as `list` has them.
    fn listed(&self) -> Vec<Value> {
        let ended = self.verb("list", &["-o", "json"]);
        assert_eq!(ended.code, Some(0), "{}", ended.text);
        serde_json::from_str(&ended.text).unwrap_or_else(|why| panic!("{why}: {}", ended.text))
    }

    fn read(&self) -> Vec<Record> {
        self.client.read(&self.input, Isolation::Committed)
    }
}

fn place(letter: &Value) -> String {
    format!("{}/{}", letter["partition"], letter["offset"])
}

fn says(ended: &Ended, code: i32, words: &[&str]) {
    assert_eq!(ended.code, Some(code), "{}", ended.text);
    for word in words {
        assert!(ended.text.contains(word), "{word} in\n{}", ended.text);
    }
}

/// The line of the guest's source that traps.
fn line_of_trap() -> String {
    let source = std::fs::read_to_string(root().join("tests/guests/traps/src/lib.rs")).unwrap();
    let line = source.lines().position(|line| line.contains("panic!(")).unwrap() + 1;
    format!("tests/guests/traps/src/lib.rs:{line}:")
}

fn listed_shown_and_replayed_once(brokers: &str) {
    let mut dying = Dying::new(brokers, "traps-with-lines");
    dying.send(&["a", "trap", "b"]);
    dying.run();
    let [letter] = &dying.listed()[..] else {
        panic!("one letter")
    };
    let at = place(letter);
    assert_eq!((&letter["operator"], &letter["kind"]), (&"op".into(), &"fault".into()));
    assert_eq!(
        (&letter["record"]["topic"], &letter["record"]["offset"]),
        (&dying.input.clone().into(), &1.into())
    );
    let from = format!("{}/0 offset 1", dying.input);
    says(&dying.verb("list", &[]), 0, &[&at, "op", &from, "fault", "trapped: "]);
    let line = line_of_trap();
    says(
        &dying.verb("show", &[&at]),
        0,
        &["reason    trapped: ", &line, "key       0x00ff", "value     trap"],
    );
    // The build that failed fails again, and says the line; another one does not.
    says(
        &dying.verb("replay", &[&at, "--local"]),
        7,
        &["fault: trapped: ", &line, "1 died again"],
    );
    let broken = std::mem::replace(&mut dying.file.plugin, process::component("pass-through"));
    says(
        &dying.verb("replay", &[&at, "--local"]),
        0,
        &["processed", "\"value\":\"trap\"", "0 died again"],
    );
    says(
        &dying.verb("replay", &[&at, "--dry-run"]),
        0,
        &["would be sent", "1 would be replayed"],
    );
    assert_eq!(dying.read().len(), 3, "nothing was sent");
    says(
        &dying.verb("replay", &[&at]),
        0,
        &["sent to", "offset 3", "1 replayed, 0 not"],
    );
    sent_as_it_was(&dying, &at);
    assert_eq!(dying.listed()[0]["replayed"], true);
    says(&dying.verb("replay", &[&at]), 1, &["replayed before", "--again"]);
    says(&dying.verb("replay", &["--all"]), 0, &["0 replayed, 0 not"]);
    assert_eq!(dying.read().len(), 4);
    // It dies again: the letter says that it is of a replay.
    dying.file.plugin = broken;
    dying.run();
    let second = dying.listed().pop().expect("a letter");
    assert_eq!(second["replay-of"], format!("{}/{at}", dying.dead));
    says(&dying.verb("replay", &["--all"]), 1, &["died again"]);
    says(&dying.verb("replay", &["--again", &at]), 0, &["offset 4"]);
}

/// Key, value, time and headers are those of the record, and one header says which letter it is of.
fn sent_as_it_was(dying: &Dying, at: &str) {
    let records = dying.read();
    let (before, sent) = (&records[1], &records[3]);
    assert_eq!(
        (&sent.key, &sent.value, sent.timestamp, sent.partition),
        (&before.key, &before.value, before.timestamp, before.partition)
    );
    let mut headers = before.headers.clone();
    headers.push((
        "sandbar-replayed".into(),
        Some(format!("{}/{at}", dying.dead).into_bytes()),
    ));
    assert_eq!(sent.headers, headers);
}

#[test]
fn a_dead_letter_is_listed_shown_and_replayed_once() {
    listed_shown_and_replayed_once(&Kafka::shared().bootstrap());
}

#[test]
fn on_the_embedded_broker_a_dead_letter_is_replayed_once_too() {
    let mut broker = Process::start(&["broker", "--listen", "127.0.0.1:0", "-o", "json"]);
    broker.wait_for("the broker's address", seconds(60), |lines| !lines.is_empty());
    let said: Value = serde_json::from_str(&broker.lines()[0]).expect("the broker says where it listens");
    listed_shown_and_replayed_once(said["listening"].as_str().expect("an address"));
}

#[test]
fn a_record_that_left_its_topic_is_replayed_from_the_letter_if_that_has_it_whole() {
    let mut dying = Dying::new(&Kafka::shared().bootstrap(), "traps");
    dying.send(&["trap"]);
    dying.run();
    dying.client.delete_records(&dying.input, 0, 1);
    let at = place(&dying.listed()[0]);
    says(&dying.verb("replay", &[&at]), 0, &["the letter's copy"]);
    let [sent] = &dying.read()[..] else {
        panic!("one record")
    };
    assert_eq!((sent.text(), sent.timestamp), ("trap".into(), Some(1_700_000_000_000)));
    assert_eq!(sent.key, Some(vec![0, 255]));
    // An operator that stands behind another has what that one made of the record.
    dying.file.inputs = "\"first\"".into();
    let first = process::component("pass-through");
    dying.file.tables += &format!(
        "\n[operator.first]\nplugin = \"{}\"\ninputs = [\"in\"]",
        first.display()
    );
    says(
        &dying.verb("replay", &[&at, "--again"]),
        1,
        &["not replayed", "no longer at", "what an operator made"],
    );
    assert_eq!(dying.read().len(), 1);
    says(&dying.verb("replay", &[&at, "--local"]), 7, &["fault: trapped"]);
}

#[test]
fn letters_of_others_are_left_out_and_cannot_be_replayed() {
    let mut dying = Dying::new(&Kafka::shared().bootstrap(), "refuses");
    dying.send(&["a", "dead because", "dead too", "dead again"]);
    dying.run();
    let stranger = Record::placed(&dying.dead, 0, "no letter");
    dying.client.producer().send(&[stranger]);
    let letters = dying.listed();
    assert_eq!(letters.len(), 3);
    let newest = dying.verb("list", &["--max", "1", "-o", "json"]);
    says(&newest, 0, &["dead again"]);
    assert!(!newest.text.contains("dead too"), "{}", newest.text);
    let first = dying.verb("list", &["--max", "1", "--from", "earliest", "-o", "json"]);
    says(&first, 0, &["dead because"]);
    says(&dying.verb("show", &["1/999"]), 5, &["has no offset 999"]);
    dying.file.name += "-other";
    assert!(dying.listed().is_empty());
    says(
        &dying.verb("show", &[&place(&letters[0])]),
        2,
        &["found no dead letter", "is none of pipeline"],
    );
    dying.file.tables = String::new();
    dying.file.operator = String::new();
    says(&dying.verb("list", &[]), 3, &["has no [dead-letters]"]);
}

#[test]
fn letters_in_a_file_are_shown_and_run_here_and_are_not_sent() {
    let mut dying = Dying::new(&Kafka::shared().bootstrap(), "refuses");
    dying.send(&["a", "dead because"]);
    dying.file.tables = "[dead-letters]\nfile = \"dead.jsonl\"".into();
    dying.run();
    says(&dying.verb("list", &[]), 0, &["0/0", "because"]);
    says(&dying.verb("show", &["0/0"]), 0, &["value     dead because"]);
    says(&dying.verb("replay", &["--all", "--local"]), 7, &["dead-letter: "]);
    says(&dying.verb("replay", &["--all"]), 3, &["a file cannot keep", "--local"]);
}

#[test]
fn a_run_and_a_replay_leave_core_dumps_that_the_letters_name() {
    let dying = Dying::new(&Kafka::shared().bootstrap(), "traps");
    dying.send(&["a", "trap one", "b", "trap two"]);
    let dumps = dying.file.path("dumps");
    let (file, into) = (dying.file.write("").display().to_string(), dumps.display().to_string());
    let ended = Process::start(&["run", &file, "--core-dump", &into]).wait(PATIENCE * 2);
    says(&ended, 0, &["finished: 4 records in"]);
    for (letter, name) in dying.listed().iter().zip(["op-0-1.coredump", "op-0-3.coredump"]) {
        says(
            &dying.verb("show", &[&place(letter)]),
            0,
            &["trapped: ", &format!("core dump: {name}")],
        );
        let dump = std::fs::read(dumps.join(name)).unwrap();
        assert!(dump.starts_with(b"\0asm"), "{name} is no module");
    }

    let again = dying.file.path("again");
    let into = again.display().to_string();
    let ended = dying.verb("replay", &["--all", "--local", "--core-dump", &into]);
    says(&ended, 7, &["2 died again", "core dump: "]);
    for name in ["op-0-1.coredump", "op-0-3.coredump"] {
        assert!(again.join(name).is_file(), "{name} is not there");
    }
    says(&dying.verb("replay", &["--all", "--core-dump", &into]), 2, &["--local"]);
}

/// The record that died runs again under a debugger, which stops at the line at fault and shows what led to it.
#[test]
fn a_debugger_stops_at_the_line_of_the_plugin_that_a_dead_letter_is_of() {
    let test = "a_debugger_stops_at_the_line_of_the_plugin_that_a_dead_letter_is_of";
    if Command::new("gdb").arg("--version").output().is_err() {
        return sandbar_tests::skip(test, "there is no gdb");
    }
    let dying = Dying::new(&Kafka::shared().bootstrap(), "traps-with-lines");
    dying.send(&["a", "trap here"]);
    dying.run();
    let line = line_of_trap();
    let at = line.trim_end_matches(':').rsplit('/').next().unwrap();
    let file = dying.file.write("").display().to_string();
    let gdb = Command::new("gdb")
        .args([
            "-batch",
            "-nx",
            "-ex",
            "set breakpoint pending on",
            "-ex",
            &format!("break {at}"),
        ])
        .args([
            "-ex",
            "run",
            "-ex",
            "backtrace 2",
            "-ex",
            "delete",
            "-ex",
            "handle SIGILL nostop",
        ])
        .args(["-ex", "continue", "--args"])
        .arg(process::binary())
        .args(["dead-letters", "replay", &file, "--all", "--local", "--debugger"])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&gdb.stdout);
    let stopped = told
        .find(&format!("at {line}"))
        .or_else(|| told.find(&format!("src/{at}")));
    let stopped =
        stopped.unwrap_or_else(|| panic!("no stop at {line}\n{told}\n{}", String::from_utf8_lossy(&gdb.stderr)));
    assert!(
        told[stopped..].contains("1 died again"),
        "it goes on to its end:\n{told}"
    );
}
