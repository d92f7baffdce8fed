//! What a guest can take of the host is bounded in bytes, and what a process needs of the system it asks for.

use crate::exactly_once::complete;
use crate::flow::{Flow, stop};
use crate::http;
use sandbar_tests::client::{Isolation, Record};
use sandbar_tests::counted::Counted;
use sandbar_tests::kafka::Kafka;
use sandbar_tests::process::{self, Ended, Process, component};
use sandbar_tests::wait::{self, PATIENCE, seconds};
use std::time::Duration;

/// `batch-memory`, a guest's memory and what it hands over, queues, and the program itself.
const LIMIT_KIB: u64 = 320 << 10;

/// Records that change much.
const STRIKES: usize = 120;

/// A flow through `floods-output` into a file.
fn flooded(name: &str, memory: &str, values: &[&str]) -> Flow {
    let mut flow = Flow::new(name, 1, "start = \"earliest\"\nstop = \"latest\"");
    flow.file.plugin = component("floods-output");
    flow.file.top = format!("workers = 1\nbatch-memory = \"{memory}\"");
    flow.file.sink = "file = \"out.jsonl\"".into();
    let record = |value: &&str| Record::placed(&flow.input, 0, value);
    flow.client
        .producer()
        .send(&values.iter().map(record).collect::<Vec<_>>());
    flow
}

/// Runs to the end, with the most memory that it took.
fn ended(flow: &Flow) -> (Ended, u64) {
    let mut run = flow.file.run();
    let mut highest = 0;
    while run.is_running() {
        highest = highest.max(run.memory_kib().1);
        std::thread::sleep(Duration::from_millis(10));
    }
    (run.wait(seconds(5)), highest)
}

/// The first words of the outputs.
fn lines(flow: &Flow, name: &str) -> Vec<String> {
    let text = std::fs::read_to_string(flow.file.path(name)).unwrap_or_default();
    let lines = text.lines().map(|line| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        line["value"].as_str().unwrap_or_default().trim_end().to_owned()
    });
    lines.collect()
}

#[test]
fn a_batch_that_grows_beyond_its_memory_goes_its_way_in_pieces() {
    let values: Vec<String> = (0..24).map(|number| format!("fan 16 1024 {number}")).collect();
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    let flow = flooded("pieces", "48MiB", &values);
    let (ended, highest) = ended(&flow);
    assert_eq!(ended.code, Some(0), "{}", ended.text);
    eprintln!("384 MiB of one batch: {} MiB at most", highest >> 10);
    assert!(highest < LIMIT_KIB, "{} MiB", highest >> 10);
    let expected: Vec<String> = (0..24).flat_map(|number| vec![number.to_string(); 16]).collect();
    assert_eq!(lines(&flow, "out.jsonl"), expected, "all of it, in its order");
}

#[test]
fn two_operators_that_multiply_are_stopped_at_the_record_that_grew() {
    let mut flow = flooded(
        "twice",
        "20MiB",
        &[
            "before",
            "fan 12 1024 fan 12 1024 end",
            "fan 2 1 fan 2 1 small",
            "behind",
        ],
    );
    let plugin = component("floods-output");
    flow.file.tables = format!(
        "[operator.second]\nplugin = \"{}\"\ninputs = [\"op\"]\non-error = \"dead-letter\"\n\
         [sink.end]\nfrom = [\"second\"]\nfile = \"second.jsonl\"\n[dead-letters]\nfile = \"dead.jsonl\"",
        plugin.display()
    );
    let (ended, highest) = ended(&flow);
    assert_eq!(ended.code, Some(0), "{}", ended.text);
    eprintln!("one record that becomes 144 MiB: {} MiB at most", highest >> 10);
    assert!(highest < LIMIT_KIB, "{} MiB", highest >> 10);
    assert_eq!(
        lines(&flow, "second.jsonl"),
        ["before", "small", "small", "small", "small", "behind"],
        "nobody else pays"
    );
    assert_eq!(
        lines(&flow, "dead.jsonl"),
        ["fan 12 1024 fan 12 1024 end"],
        "the source's record, once"
    );
    let dead = std::fs::read_to_string(flow.file.path("dead.jsonl")).unwrap();
    assert!(dead.contains("20MiB that a batch may take on its way"), "{dead}");
    assert_eq!(
        lines(&flow, "out.jsonl").len(),
        1 + 12 + 2 + 1,
        "what the first one made of it stays"
    );
}

#[test]
fn a_record_that_grows_beyond_its_memory_stops_the_run_by_name_and_commits_nothing_of_its_own() {
    let kafka = Kafka::shared();
    let mut counted = Counted::on(kafka, "grows", 1, 1);
    counted.file.plugin = component("floods-output");
    counted.file.top = "workers = 1\nbatch-memory = \"12MiB\"".into();
    // Those before it went their way, and may be committed or not.
    let rows = ["fan 8 512 a", "fan 8 512 b", "fan 8 512 c", "fan 16 1000 d"];
    let record = |value: &&str| Record::placed(&counted.input, 0, value);
    counted
        .client
        .producer()
        .send(&rows.iter().map(record).collect::<Vec<_>>());
    let ended = counted.file.run().wait(PATIENCE);
    assert_eq!(ended.code, Some(10), "{}", ended.text);
    assert!(ended.text.contains("offset 3"), "{}", ended.text);
    let read = |isolation| counted.client.read(&counted.output, isolation).len();
    let kept = read(Isolation::Committed);
    assert!(kept <= 24 && kept % 8 == 0, "{kept}: a record is all or nothing");
    counted.file.top = "workers = 1".into();
    let mut run = counted.file.run();
    wait::until_true("every output is there, once", PATIENCE, || {
        assert!(run.is_running(), "{}", run.lines().join("\n"));
        read(Isolation::Committed) == 3 * 8 + 16
    });
    stop(run);
    assert_eq!(read(Isolation::Committed), 3 * 8 + 16);
}

#[test]
fn a_record_with_much_state_sees_its_own_and_nobody_elses() {
    let mut counted = Counted::on(Kafka::shared(), "much", 1, 1);
    counted.file.plugin = component("keeps");
    let put_out = |counted: &Counted, rows: &[(&str, &str)], count: usize| -> Vec<String> {
        let mut run = counted.file.run();
        let read = || counted.client.read(&counted.output, Isolation::Committed);
        for (number, (key, words)) in rows.iter().enumerate() {
            let record = Record::keyed(&counted.input, key, words);
            counted.client.producer().send(&[record]);
            // Each in a batch of its own.
            wait::until_true("its output is there", PATIENCE, || {
                assert!(run.is_running(), "{}", run.lines().join("\n"));
                read().len() == count + number + 1
            });
        }
        stop(run);
        let texts = read();
        texts.iter().map(|record| record.text().to_owned()).collect()
    };
    let large = format!("set:{}", "x".repeat(900_000));
    put_out(&counted, &[("large", &large), ("small", "set-other:smalls")], 0);
    // The value of the large key is more than a quarter of this, and what stands behind it was another key's.
    counted.file.operator = "[operator.op.limits]\nmemory = \"3MiB\"".into();
    let said = put_out(&counted, &[("small", "other"), ("large", "other")], 2);
    assert_eq!(said[2..], ["Some(\"smalls\")", "None"]);
}

#[test]
fn no_record_answers_for_what_others_of_its_batch_changed() {
    let mut counted = Counted::on(Kafka::shared(), "shares", 1, 1);
    counted.file.plugin = component("keeps");
    counted.file.top = "workers = 1\nbatch-memory = \"1MiB\"".into();
    // Each a tenth of what a batch may take, and all of them in one batch.
    let large = format!("set:{} other", "x".repeat(100_000));
    let record = |number: usize| Record::keyed(&counted.input, &format!("key-{number}"), &large);
    counted.client.producer().send(&(0..24).map(record).collect::<Vec<_>>());
    let mut run = counted.file.run();
    wait::until_true("each has its output", PATIENCE, || {
        assert!(run.is_running(), "{}", run.lines().join("\n"));
        counted.client.read(&counted.output, Isolation::Committed).len() == 24
    });
    stop(run);
}

#[test]
fn what_the_records_of_a_batch_change_is_never_in_memory_together() {
    let mut counted = Counted::on(Kafka::shared(), "changes", 1, 1);
    counted.file.plugin = component("hostile");
    counted.file.operator = "config = { attack = \"many-keys\" }".into();
    counted.file.top = "workers = 1\nbatch-memory = \"16MiB\"".into();
    // Each changes several MiB, and all of them come in one batch.
    let strike = |number: usize| Record::keyed(&counted.input, "k", &format!("strike {number}"));
    counted
        .client
        .producer()
        .send(&(0..STRIKES).map(strike).collect::<Vec<_>>());
    let (mut run, mut highest) = (counted.file.run(), 0);
    wait::until_true("each has its output", PATIENCE, || {
        assert!(run.is_running(), "{}", run.lines().join("\n"));
        highest = highest.max(run.memory_kib().1);
        counted.client.read(&counted.output, Isolation::Committed).len() == STRIKES
    });
    eprintln!(
        "{STRIKES} records that change 4 MiB each: {} MiB at most",
        highest >> 10
    );
    // With all of them in memory it would be 1.2 GiB.
    assert!(highest < 2 * LIMIT_KIB, "{} MiB", highest >> 10);
    stop(run);
}

#[test]
fn what_a_batch_may_take_stands_in_inspect_and_in_the_metrics() {
    let plugin = component("pass-through").display().to_string();
    let inspected = process::run(&["inspect", &plugin, "-o", "json"]);
    let inspected: serde_json::Value = serde_json::from_str(inspected.text.trim()).unwrap();
    assert_eq!(inspected["limits"]["batch-memory-bytes"], 256 << 20);
    let mut flow = Flow::new("told", 1, "start = \"earliest\"");
    flow.file.top = "workers = 1\nbatch-memory = \"48MiB\"".into();
    flow.send(0..70);
    let (run, address) = http::serve(&flow.file);
    flow.wait_count(70, &run);
    wait::until_true("the figures stand", PATIENCE, || {
        let (_, body) = http::get(&address, "/metrics");
        let of = |name: &str| http::metric(&body, name, &["pipeline="]);
        of("sandbar_batch_memory_limit_bytes") == Some(f64::from(48 << 20))
            && of("sandbar_batch_memory_bytes_sum").is_some_and(|bytes| bytes > 70.0)
            && of("sandbar_batches_cut_total").is_none_or(|cut| cut == 0.0)
    });
    stop(run);
}

#[test]
fn a_hundred_tasks_run_where_a_process_begins_with_few_open_files() {
    let mut counted = Counted::on(Kafka::shared(), "files", 100, 400);
    counted.file.top = "workers = 1".into();
    counted.send(0, 2000);
    let path = counted.file.write("");
    let words = ["run", path.to_str().unwrap(), "-o", "json"];
    let run = Process::start_with_open_files(&words, 256);
    complete(&counted, run);
}
