//! A bad plugin hurts the record at fault and nothing else, and a ready-made plugin does what its README says.

use crate::flow::{Flow, stop};
use crate::http;
use sandbar_tests::client::{Isolation, Record};
use sandbar_tests::process;
use sandbar_tests::root;
use sandbar_tests::wait::{self, PATIENCE};
use serde_json::Value;
use std::path::Path;

const BOUNDED: &str = "start = \"earliest\"\nstop = \"latest\"";

/// A bounded flow through a guest that sins, with `on-error` and a dead-letter topic of its own.
struct Sin {
    flow: Flow,
    dead: String,
}

impl Sin {
    fn new(guest: &str, on_error: &str) -> Self {
        let mut flow = Flow::new(guest, 1, BOUNDED);
        let dead = format!("{}-dead", flow.file.name);
        flow.client.create_topic(&dead, 1);
        flow.file.plugin = process::component(guest);
        // Only a loop has to be ended by it.
        let call_time = if guest == "loops-forever" { "200ms" } else { "5s" };
        flow.file.operator =
            format!("on-error = \"{on_error}\"\nlimits = {{ call-time = \"{call_time}\", memory = \"16MiB\" }}");
        flow.file.tables = format!("[dead-letters]\ntopic = \"{dead}\"");
        Self { flow, dead }
    }

    fn send(&self, values: &[&str]) {
        let records: Vec<_> = values
            .iter()
            .map(|value| Record {
                key: Some("k".into()),
                ..Record::placed(&self.flow.input, 0, value)
            })
            .collect();
        self.flow.client.producer().send(&records);
    }

    fn texts(&self, topic: &str) -> Vec<String> {
        self.flow
            .client
            .read(topic, Isolation::Committed)
            .iter()
            .map(Record::text)
            .collect()
    }

    fn outputs(&self) -> Vec<String> {
        self.texts(&self.flow.output)
    }
}

fn header(record: &Record, name: &str) -> String {
    let found = record.headers.iter().rev().find(|(is, _)| is == name);
    let (_, value) = found.unwrap_or_else(|| panic!("header {name} among {:?}", record.headers));
    String::from_utf8(value.clone().expect("a value")).expect("text")
}

#[test]
fn a_trap_stops_the_pipeline_with_10_and_the_records_coordinates() {
    let sin = Sin::new("traps-with-lines", "fail");
    sin.send(&["a", "b", "trap here", "c"]);
    let ended = sin.flow.file.run().wait(PATIENCE);
    assert_eq!(ended.code, Some(10), "{}", ended.text);
    let place = format!("{}/0 offset 2", sin.flow.input);
    for words in [
        place.as_str(),
        "operator `op`",
        "trap",
        "at tests/guests/traps/src/lib.rs:",
        "on-error = ",
    ] {
        assert!(ended.text.contains(words), "{words}:\n{}", ended.text);
    }
}

#[test]
fn a_record_that_traps_is_left_out_where_the_file_says_skip() {
    let sin = Sin::new("traps", "skip");
    sin.send(&["a", "trap", "b", "trap", "trap", "c"]);
    sin.flow.finish();
    assert_eq!(sin.outputs(), ["a", "b", "c"]);
    assert_eq!(sin.texts(&sin.dead), [""; 0]);
}

#[test]
fn a_record_at_fault_goes_to_the_dead_letters_untouched_and_with_its_coordinates() {
    for (guest, value, reason) in [
        ("traps", "trap", "trap"),
        ("loops-forever", "loop", "200"),
        ("eats-memory", "eat", "memory"),
        ("lies", "ends-fall", "outcome"),
        ("floods-output", "flood", ""),
    ] {
        let sin = Sin::new(guest, "dead-letter");
        sin.send(&["a", value, "b"]);
        sin.flow.finish();
        let mut outputs = sin.outputs();
        outputs.dedup();
        assert_eq!(outputs, ["a", "b"], "{guest}");
        let dead = sin.flow.client.read(&sin.dead, Isolation::Committed);
        assert_eq!(dead.len(), 1, "{guest}");
        assert_eq!(
            (dead[0].key.as_deref(), dead[0].text().as_str()),
            (Some(&b"k"[..]), value)
        );
        assert_eq!(header(&dead[0], "sandbar-topic"), sin.flow.input);
        assert_eq!(
            (
                header(&dead[0], "sandbar-partition").as_str(),
                header(&dead[0], "sandbar-offset").as_str()
            ),
            ("0", "1")
        );
        assert_eq!(
            (
                header(&dead[0], "sandbar-operator").as_str(),
                header(&dead[0], "sandbar-kind").as_str()
            ),
            ("op", "fault")
        );
        assert!(
            header(&dead[0], "sandbar-reason").contains(reason),
            "{guest}: {}",
            header(&dead[0], "sandbar-reason")
        );
    }
}

#[test]
fn what_recycling_costs_stands_beside_its_count_in_the_metrics() {
    let mut flow = Flow::new("recycled", 1, "start = \"earliest\"");
    flow.file.plugin = process::component("traps");
    flow.file.operator = "on-error = \"skip\"".into();
    let records = ["a", "trap", "b"].map(|value| Record::placed(&flow.input, 0, value));
    flow.client.producer().send(&records);
    let (run, address) = http::serve(&flow.file);
    wait::until_true("the figures stand", PATIENCE, || {
        let (_, body) = http::get(&address, "/metrics");
        let of = |name| http::metric(&body, name, &["operator="]);
        of("sandbar_plugin_instances_recycled_total").is_some_and(|count| count >= 1.0)
            && of("sandbar_plugin_recycle_seconds_sum").is_some_and(|seconds| seconds > 0.0)
    });
    stop(run);
}

#[test]
fn a_plugin_refuses_records_as_it_says() {
    let sin = Sin::new("refuses", "fail");
    sin.send(&["a", "skip", "dead because", "b"]);
    sin.flow.finish();
    assert_eq!(sin.outputs(), ["a", "b"]);
    assert_eq!(sin.texts(&sin.dead), ["dead because"]);
    sin.send(&["c", "fail now", "d"]);
    let ended = sin.flow.file.run().wait(PATIENCE);
    assert_eq!(ended.code, Some(10), "{}", ended.text);
    assert!(ended.text.contains("offset 5"), "{}", ended.text);
}

#[test]
fn a_call_that_a_plugin_wants_again_comes_again() {
    let sin = Sin::new("retries", "fail");
    sin.send(&["a", "b"]);
    sin.flow.finish();
    assert_eq!(sin.outputs(), ["a", "b"]);
}

/// Runs the plugin's case `basic` on Kafka, and compares: what `sandbar test` shows holds there too.
fn basic_case(plugin: &str) -> (Vec<Record>, Flow) {
    let folder = root().join("plugins").join(plugin);
    let mut flow = Flow::new(plugin, 1, BOUNDED);
    let dead = format!("{}-dead", flow.file.name);
    flow.client.create_topic(&dead, 1);
    flow.file.plugin = process::component(plugin);
    flow.file.tables = format!("[dead-letters]\ntopic = \"{dead}\"");
    if let Ok(config) = std::fs::read_to_string(folder.join("cases/basic/config.json")) {
        let config: serde_json::Map<String, Value> = serde_json::from_str(&config).expect("a configuration");
        let keys: Vec<_> = config.iter().map(|(key, value)| format!("{key} = {value}")).collect();
        flow.file.operator = format!("config = {{ {} }}", keys.join(", "));
    }
    produce(&flow, &folder.join("cases/basic/input.jsonl"));
    flow.finish();
    let expected = lines(&folder.join("cases/basic/output.jsonl"));
    let ended = process::run(&["consume", &flow.output, "--brokers", &flow.file.brokers]);
    let got: Vec<Value> = ended
        .text
        .lines()
        .map(|line| plain(serde_json::from_str(line).expect("a record")))
        .collect();
    assert_eq!(got, expected, "{plugin}");
    (flow.client.read(&dead, Isolation::Committed), flow)
}

fn produce(flow: &Flow, file: &Path) {
    let ended = process::run(&[
        "produce",
        &flow.input,
        "--brokers",
        &flow.file.brokers,
        "--file",
        &file.display().to_string(),
    ]);
    assert_eq!(ended.code, Some(0), "{}", ended.text);
}

fn lines(file: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(file).expect("a file of the case");
    text.lines()
        .map(|line| plain(serde_json::from_str(line).expect("a record")))
        .collect()
}

/// A record without its place; text that is JSON and JSON are the same bytes in Kafka.
fn plain(mut record: Value) -> Value {
    for place in ["topic", "partition", "offset"] {
        record.as_object_mut().expect("an object").remove(place);
    }
    if record["headers"].as_object().is_none_or(serde_json::Map::is_empty) && record["headers"].as_array().is_none() {
        record.as_object_mut().expect("an object").remove("headers");
    }
    for part in ["key", "value"] {
        let embedded = record[part]
            .as_str()
            .and_then(|text| serde_json::from_str::<Value>(text).ok())
            .filter(|value| value.is_object() || value.is_array());
        if let Some(embedded) = embedded {
            record[part] = embedded;
        }
    }
    record
}

#[test]
fn pass_through_passes_its_basic_case() {
    let (dead, _flow) = basic_case("pass-through");
    assert!(dead.is_empty());
}

#[test]
fn filter_passes_and_refuses_its_basic_case() {
    let (dead, _flow) = basic_case("filter");
    let refused = lines(&root().join("plugins/filter/cases/basic/refused.jsonl"));
    assert_eq!(dead.len(), refused.len());
    assert!(
        dead.iter()
            .all(|record| header(record, "sandbar-kind") == "dead-letter")
    );
}

#[test]
fn count_by_key_counts_and_refuses_its_basic_case() {
    let (dead, _flow) = basic_case("count-by-key");
    let refused = lines(&root().join("plugins/count-by-key/cases/basic/refused.jsonl"));
    assert_eq!(dead.len(), refused.len());
    let reason = refused[0]["reason"].as_str().expect("a reason");
    assert_eq!(header(&dead[0], "sandbar-reason"), reason);
}
