//! Topics that are read together: one of them leads, whatever each process saw of the cluster; a key's partition is the
//! task that has its state; and no topic belongs to two sources.

use crate::exactly_once::complete;
use crate::flow::{Flow, stop};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use sandbar_tests::client::{Isolation, Record};
use sandbar_tests::counted::Counted;
use sandbar_tests::kafka::Kafka;
use sandbar_tests::process::{self, Ended, Process, component, event};
use sandbar_tests::wait::{self, PATIENCE};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// `pass-through` over the topics `a` and `b`, exactly once; the file names them in the order given.
fn pair(name: &str, counts: [(&str, i32); 2], source: &str) -> (Flow, BTreeMap<String, String>) {
    let mut flow = Flow::new(name, 1, "");
    let names = counts.map(|(letter, count)| {
        let topic = format!("{}-{letter}", flow.input);
        flow.client.create_topic(&topic, count);
        (letter.to_owned(), topic)
    });
    flow.file.source = format!(
        "topics = [\"{}\", \"{}\"]\nstart = \"earliest\"\nsession-timeout = \"1s\"\n{source}",
        names[0].1, names[1].1
    );
    flow.file.tables = "[checkpoint]\ninterval = \"100ms\"\nstore = \"checkpoints\"".into();
    (flow, names.into())
}

/// What the output shows to a read-committed reader.
fn values(flow: &Flow) -> Vec<String> {
    let records = flow.client.read(&flow.output, Isolation::Committed);
    records.iter().map(Record::text).collect()
}

/// Waits until the output has so many records.
fn wait_values(flow: &Flow, count: usize, runs: &mut [&mut Process]) {
    wait::until_true("every record is put out", PATIENCE, || {
        for run in &mut *runs {
            assert!(run.is_running(), "{}", run.lines().join("\n"));
        }
        values(flow).len() >= count
    });
}

fn send(flow: &Flow, topics: &BTreeMap<String, String>, numbers: std::ops::Range<i64>) {
    let mut records = Vec::new();
    for topic in topics.values() {
        let partitions = flow.client.partitions(topic).len() as i64;
        records.extend(
            numbers
                .clone()
                .map(|number| Record::placed(topic, (number % partitions) as i32, &format!("{topic} {number}"))),
        );
    }
    flow.client.producer().send(&records);
}

#[test]
fn processes_that_saw_different_numbers_of_partitions_put_out_each_record_once() {
    let (flow, topics) = pair("grown-between", [("b", 6), ("a", 4)], "discovery-interval = \"500ms\"");
    send(&flow, &topics, 0..300);
    let mut first = flow.file.run_member("1");
    wait_values(&flow, 600, &mut [&mut first]);
    // The first process saw that `b` is larger, the second one sees that they are alike.
    flow.client.add_partitions(&topics["a"], 6);
    let mut second = flow.file.run_member("2");
    second.wait_for("the second process gets partitions", PATIENCE, |lines| {
        lines
            .iter()
            .any(|line| event(line, "rebalance").is_some_and(|it| it["assigned"][0].is_string()))
    });
    send(&flow, &topics, 300..900);
    wait_values(&flow, 1800, &mut [&mut first, &mut second]);
    stop(first);
    stop(second);
    assert_once(&flow, 1800);
}

/// Each of so many different records is in the output, and none twice.
fn assert_once(flow: &Flow, count: usize) {
    let (all, mut once) = (values(flow).len(), values(flow));
    once.sort();
    once.dedup();
    assert_eq!(
        (once.len(), all),
        (count, count),
        "each record is there, and none twice"
    );
}

#[test]
fn a_topic_with_more_partitions_than_the_one_that_it_follows_is_refused() {
    let (mut flow, topics) = pair("larger", [("a", 4), ("b", 6)], "discovery-interval = \"300ms\"");
    let (a, b) = (&topics["a"], &topics["b"]);
    let ended = flow.file.run().wait(PATIENCE);
    refused(
        &ended,
        5,
        &[
            &format!("{b} has 6 partitions and {a} has 4"),
            &format!("name {b} before {a}"),
        ],
    );
    // As the hint says.
    flow.file.source = flow
        .file
        .source
        .replace(&format!("\"{a}\", \"{b}\""), &format!("\"{b}\", \"{a}\""));
    let mut run = flow.file.run();
    run.wait_placed(10, PATIENCE);
    // It grows beyond the one that it follows while both are read.
    flow.client.add_partitions(a, 7);
    refused(
        &run.wait(PATIENCE),
        5,
        &[&format!("{a} has 7 partitions and {b} has 6")],
    );
}

fn refused(ended: &Ended, code: i32, words: &[&str]) {
    assert_eq!(ended.code, Some(code), "{}", ended.text);
    for word in words {
        assert!(ended.text.contains(word), "`{word}` is missing:\n{}", ended.text);
    }
}

/// A member of the group as another program or another file would have it: polls until it is dropped.
struct Other {
    over: std::sync::Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Other {
    fn join(flow: &Flow, topic: &str) -> Self {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", Kafka::shared().bootstrap())
            .set("group.id", flow.file.group())
            .set("client.id", "another-version")
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("session.timeout.ms", "6000")
            .set("enable.auto.commit", "false")
            .create()
            .unwrap();
        consumer.subscribe(&[topic]).unwrap();
        let over = std::sync::Arc::new(AtomicBool::new(false));
        let (stops, joined) = (over.clone(), std::sync::Arc::new(AtomicBool::new(false)));
        let tells = joined.clone();
        let thread = std::thread::spawn(move || {
            while !stops.load(Ordering::Relaxed) {
                drop(consumer.poll(Duration::from_millis(20)));
                let has_any = consumer.assignment().is_ok_and(|assigned| assigned.count() > 0);
                tells.fetch_or(has_any, Ordering::Relaxed);
            }
        });
        wait::until_true("the other member has partitions", PATIENCE, || {
            joined.load(Ordering::Relaxed)
        });
        Self {
            over,
            thread: Some(thread),
        }
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        drop(self.thread.take().map(std::thread::JoinHandle::join));
    }
}

#[test]
fn a_member_that_follows_another_topic_ends_the_run_and_is_named() {
    let (flow, topics) = pair("another", [("a", 2), ("b", 2)], "");
    send(&flow, &topics, 0..100);
    let mut run = flow.start_pair();
    wait_values(&flow, 200, &mut [&mut run]);
    let other = Other::join(&flow, &topics["b"]);
    let ended = run.wait(PATIENCE);
    refused(
        &ended,
        5,
        &[
            "`another-version` at",
            &format!("follows `{}`", topics["a"]),
            &format!("reads `{}`", topics["b"]),
        ],
    );
    drop(other);
    // Nothing was committed that another one may have read too: all is there once, and it goes on.
    send(&flow, &topics, 100..200);
    let mut run = flow.start_pair();
    wait_values(&flow, 400, &mut [&mut run]);
    stop(run);
    assert_once(&flow, 400);
}

#[test]
fn a_process_follows_what_the_members_of_its_group_follow_and_does_not_join_those_that_do_not_agree() {
    let (flow, topics) = pair("joins-others", [("a", 2), ("b", 2)], "");
    let one = Other::join(&flow, &topics["b"]);
    let mut run = flow.start_pair();
    run.wait_for(
        "it gets partitions of the topic that the other one follows",
        PATIENCE,
        |lines| {
            let mut told = lines.iter().filter_map(|line| event(line, "rebalance"));
            told.any(|it| it["assigned"].as_array().is_some_and(|at| at.len() == 2))
        },
    );
    stop(run);
    let two = Other::join(&flow, &topics["a"]);
    let ended = flow.file.run().wait(PATIENCE);
    refused(&ended, 5, &["do not follow the same topic", "`another-version` at"]);
    drop((one, two));
}

impl Flow {
    /// Starts the pipeline over both topics.
    fn start_pair(&self) -> Process {
        let mut run = self.file.run();
        run.wait_placed(4, PATIENCE);
        run
    }
}

/// A running count per key over the input and a second topic.
fn counted_pair(name: &str, first: i32, second: i32) -> (Counted, String) {
    let mut counted = Counted::on(Kafka::shared(), name, first, 10);
    let other = format!("{}-second", counted.input);
    counted.client.create_topic(&other, second);
    let one = format!("[\"{}\"]", counted.input);
    let both = format!("[\"{}\", \"{other}\"]", counted.input);
    counted.file.source = counted.file.source.replace(&one, &both) + "\ndiscovery-interval = \"300ms\"";
    (counted, other)
}

#[test]
fn topics_that_meet_where_state_is_kept_have_equally_many_partitions() {
    let (counted, other) = counted_pair("unequal", 6, 4);
    counted.send(0, 100);
    let ended = counted.file.run().wait(PATIENCE);
    refused(
        &ended,
        5,
        &[
            "operator `op`",
            &format!("{} has 6 partitions and {other} has 4", counted.input),
        ],
    );
    assert_eq!(counted.visible(), 0, "no key has two counts");
    let path = counted.file.write("");
    let checked = process::run(&["check", path.to_str().unwrap(), "--connect"]);
    refused(&checked, 5, &["operator `op`"]);
    counted.client.add_partitions(&other, 6);
    complete(&counted, counted.file.run());
}

#[test]
fn partitions_that_a_topic_with_state_gets_between_two_runs_end_the_start() {
    let counted = Counted::on(Kafka::shared(), "more-between", 2, 10);
    counted.send(0, 200);
    complete(&counted, counted.file.run());
    counted.client.add_partitions(&counted.input, 4);
    for _ in 0..2 {
        let ended = counted.file.run().wait(PATIENCE);
        let grown = format!(
            "`{}` has 4 partitions, and the state of its keys was made with 2",
            counted.input
        );
        refused(&ended, 6, &[&grown, "sandbar offsets set"]);
    }
    // As the hint says: it begins where it is told, with no state.
    let path = counted.file.write("");
    let set = ["offsets", "set", path.to_str().unwrap(), "--to", "latest"];
    let ended = process::run(&set);
    assert_eq!(ended.code, Some(0), "{}", ended.text);
    let mut run = counted.file.run();
    run.wait_placed(4, PATIENCE);
    stop(run);
}

#[test]
fn partitions_that_a_topic_with_state_gets_while_it_is_read_end_the_run() {
    for of_leader in [true, false] {
        let (counted, other) = counted_pair("more-while", 2, 2);
        counted.send(0, 200);
        let run = counted.file.run();
        wait::until_true("it counts", PATIENCE, || counted.visible() > 0);
        let topic = if of_leader { &counted.input } else { &other };
        counted.client.add_partitions(topic, 3);
        let grown = format!("`{topic}` has 3 partitions, and the state of its keys was made with 2");
        refused(&run.wait(PATIENCE), 6, &[&grown]);
    }
}

#[test]
fn partitions_that_a_topic_with_state_gets_end_the_run_where_positions_are_in_checkpoints() {
    let mut counted = Counted::on(Kafka::shared(), "more-kept", 2, 10);
    counted.file.top = "delivery = \"at-least-once\"\nworkers = 2".into();
    counted.file.source += "\noffsets = \"checkpoint\"\ndiscovery-interval = \"300ms\"";
    counted.send(0, 200);
    let run = counted.file.run();
    wait::until_true("it counts", PATIENCE, || counted.is_complete());
    counted.client.add_partitions(&counted.input, 3);
    let grown = "has 3 partitions, and the state of its keys was made with 2";
    refused(&run.wait(PATIENCE), 6, &[grown]);
    refused(&counted.file.run().wait(PATIENCE), 6, &[grown]);
}

#[test]
fn a_savepoint_of_fewer_partitions_is_refused_where_it_has_state() {
    let counted = Counted::on(Kafka::shared(), "saved-fewer", 2, 10);
    counted.send(0, 200);
    complete(&counted, counted.file.run());
    let path = counted.file.write("");
    let created = process::run(&["savepoint", "create", path.to_str().unwrap(), "--name", "before"]);
    assert_eq!(created.code, Some(0), "{}", created.text);
    counted.client.add_partitions(&counted.input, 4);
    let ended = process::run(&["run", path.to_str().unwrap(), "--from", "before"]);
    refused(
        &ended,
        6,
        &[
            "savepoint `before`",
            "has 4 partitions, and the state of its keys was made with 2",
        ],
    );
}

/// Two sources by pattern in one group, each with an operator and the same sink.
fn patterns(name: &str, topics: &[&str], left: &str, right: &str) -> (Flow, std::path::PathBuf) {
    let flow = Flow::new(name, 1, "");
    for topic in topics {
        flow.client.create_topic(&format!("{}-{topic}", flow.input), 1);
    }
    let (plugin, input) = (component("pass-through"), &flow.input);
    let source = |name: &str, pattern: &str| {
        format!(
            "[source.{name}]\ntopic-pattern = \"{input}-({pattern})\"\nstart = \"earliest\"\n\
             discovery-interval = \"200ms\"\n\
             [operator.of-{name}]\nplugin = \"{}\"\ninputs = [\"{name}\"]\n",
            plugin.display()
        )
    };
    let path = flow.file.path("patterns.toml");
    let text = format!(
        "name = \"{}\"\nworkers = 1\n[kafka]\nbrokers = \"{}\"\n{}{}[sink.out]\nfrom = [\"of-left\", \"of-right\"]\n\
         topic = \"{}\"\n",
        flow.file.name,
        flow.file.brokers,
        source("left", left),
        source("right", right),
        flow.output
    );
    std::fs::write(&path, text).unwrap();
    (flow, path)
}

#[test]
fn a_topic_that_the_patterns_of_two_sources_match_ends_the_start_and_is_named() {
    let (flow, path) = patterns("overlap", &["a", "b", "c"], "[ab]", "a|c");
    let ended = process::run(&["run".as_ref(), path.as_os_str()]);
    let both = format!("sources `left` and `right` both read topic `{}-a`", flow.input);
    refused(&ended, 3, &[&both, "give one of them another `group`"]);
    assert_eq!(flow.count(), 0);
}

#[test]
fn a_topic_that_appears_later_and_two_patterns_match_ends_the_run_and_is_named() {
    let (flow, path) = patterns("overlap-later", &["b", "c"], "[ab]", "a|c");
    let mut run = Process::start(&["run".as_ref(), path.as_os_str(), "-o".as_ref(), "json".as_ref()]);
    run.wait_placed(2, PATIENCE);
    let records = ["b", "c"].map(|topic| Record::placed(&format!("{}-{topic}", flow.input), 0, topic));
    flow.client.producer().send(&records);
    flow.wait_count(2, &run);
    let late = format!("{}-a", flow.input);
    flow.client.create_topic(&late, 1);
    flow.client.producer().send(&[Record::placed(&late, 0, "late")]);
    let ended = run.wait(PATIENCE);
    refused(&ended, 3, &[&format!("both read topic `{late}`")]);
    assert_eq!(flow.count(), 2, "nobody read it");
}

#[test]
fn an_offset_of_somebody_else_that_a_fixed_start_passes_over_is_told_with_what_would_use_it() {
    let flow = Flow::new("passed-over", 2, "start = \"earliest\"\nstop = \"latest\"");
    flow.send(0..20);
    flow.client.commit(&flow.file.group(), &[(&flow.input, 0, 7)]);
    let path = flow.file.write("");
    let told = |format: &str| process::run(&["run".as_ref(), path.as_os_str(), "-o".as_ref(), format.as_ref()]);
    let ended = told("json");
    assert_eq!(ended.code, Some(0), "{}", ended.text);
    let starts: Vec<_> = ended.text.lines().filter_map(|line| event(line, "start")).collect();
    let passed: Vec<_> = starts.iter().map(|start| &start["passed-over"]["offset"]).collect();
    assert_eq!(
        passed,
        [&serde_json::json!(7), &serde_json::Value::Null],
        "{}",
        ended.text
    );
    assert_eq!(starts[0]["passed-over"]["used-by"], "start = \"group-offsets\"");

    // The first run's own positions are nobody else's; a new group has somebody's again.
    assert!(!told("human").text.contains("somebody else"));
    flow.client.delete_group(&flow.file.group());
    flow.client.commit(&flow.file.group(), &[(&flow.input, 0, 7)]);
    let text = told("human").text;
    let line = format!(
        "{}/0  from 0  earliest  until 10  (the group holds 7, which somebody else committed; start = \
         \"group-offsets\" begins there)",
        flow.input
    );
    assert!(text.contains(&line), "{text}");
}
