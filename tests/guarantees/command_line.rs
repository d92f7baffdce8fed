//! The verbs besides `run`, as a person and as a program use them.

use crate::flow::{Flow, stop};
use sandbar_tests::guard::Folder;
use sandbar_tests::kafka::Kafka;
use sandbar_tests::pipeline_file::unique;
use sandbar_tests::process::{self, Ended};
use serde_json::Value;

fn sandbar(arguments: &[&str]) -> Ended {
    process::run(arguments)
}

fn ok(arguments: &[&str]) -> String {
    let ended = sandbar(arguments);
    assert_eq!(ended.code, Some(0), "{arguments:?}:\n{}", ended.text);
    ended.text
}

fn json(arguments: &[&str]) -> Value {
    serde_json::from_str(ok(arguments).trim()).expect("one JSON value")
}

#[test]
fn topics_are_created_listed_filled_read_and_deleted() {
    let brokers = Kafka::shared().bootstrap();
    let (topic, folder) = (unique("verbs"), Folder::new("sandbar-verbs-"));
    let file = folder.path().join("in.jsonl");
    let lines = [
        "{\"key\":\"a\",\"value\":{\"n\":1},\"timestamp\":1700000000000,\"headers\":{\"h\":\"x\"}}",
        "{\"value\":\"text\",\"timestamp\":1700000000001}",
    ];
    std::fs::write(&file, lines.join("\n")).unwrap();
    ok(&["topics", "create", &topic, "--partitions", "1", "--brokers", &brokers]);
    assert!(ok(&["topics", "list", "--brokers", &brokers]).contains(&topic));
    assert_eq!(
        json(&[
            "produce",
            &topic,
            "--brokers",
            &brokers,
            "--file",
            &file.display().to_string(),
            "-o",
            "json"
        ])["produced"],
        2
    );
    let read = ok(&["consume", &topic, "--brokers", &brokers]);
    let read: Vec<Value> = read.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(
        (&read[0]["key"], &read[0]["value"]["n"], &read[0]["headers"]["h"]),
        (&"a".into(), &1.into(), &"x".into())
    );
    assert_eq!((&read[1]["value"], &read[1]["offset"]), (&"text".into(), &1.into()));
    assert_eq!(
        ok(&["consume", &topic, "--brokers", &brokers, "--max", "1"])
            .lines()
            .count(),
        1
    );
    ok(&["topics", "delete", &topic, "--brokers", &brokers]);
    assert_eq!(sandbar(&["consume", &topic, "--brokers", &brokers]).code, Some(5));
}

#[test]
fn a_wrong_line_is_told_with_its_number_and_the_lines_before_it_arrive() {
    let brokers = Kafka::shared().bootstrap();
    let flow = Flow::new("wrong-line", 1, "start = \"earliest\"");
    let folder = Folder::new("sandbar-verbs-");
    let file = folder.path().join("in.jsonl");
    std::fs::write(&file, "{\"value\":1}\n{\"value\":2}\n{\"valeu\":3}\n").unwrap();
    let ended = sandbar(&[
        "produce",
        &flow.input,
        "--brokers",
        &brokers,
        "--file",
        &file.display().to_string(),
    ]);
    assert_eq!(ended.code, Some(1), "{}", ended.text);
    assert!(
        ended.text.contains(":3") && ended.text.contains("valeu"),
        "{}",
        ended.text
    );
    assert_eq!(ok(&["consume", &flow.input, "--brokers", &brokers]).lines().count(), 2);
}

#[test]
fn positions_are_shown_moved_exported_and_read_back_as_a_start() {
    let mut flow = Flow::new("positions", 2, "start = \"earliest\"\nstop = \"latest\"");
    flow.send(0..20);
    flow.finish();
    let file = flow.file.write("").display().to_string();
    let shown = ok(&["offsets", "show", &file]);
    assert!(shown.contains("ours") && shown.contains(&flow.input), "{shown}");
    let exported = json(&["offsets", "export", &file, "-o", "json"]);
    assert_eq!(exported[&flow.input], serde_json::json!({ "0": 10, "1": 10 }));
    ok(&["offsets", "set", &file, "--to", "earliest"]);
    assert_eq!(
        json(&["offsets", "export", &file, "-o", "json"])[&flow.input],
        serde_json::json!({ "0": 0, "1": 0 })
    );
    let export = flow.file.path("offsets.json");
    std::fs::write(&export, exported.to_string()).unwrap();
    flow.file.source = format!(
        "topics = [\"{}\"]\nstart = {{ file = \"offsets.json\" }}\nstop = \"latest\"\ngroup = \"{}-again\"",
        flow.input, flow.file.name
    );
    flow.send(20..24);
    flow.finish();
    let mut numbers = flow.sorted();
    assert_eq!(numbers.split_off(20), (20..24).collect::<Vec<_>>());
}

#[test]
fn positions_of_a_live_pipeline_are_not_moved() {
    let flow = Flow::new("live", 1, "start = \"earliest\"\nauto-commit-interval = \"100ms\"");
    flow.send(0..5);
    let run = flow.start();
    flow.wait_count(5, &run);
    let file = flow.file.write("").display().to_string();
    let ended = sandbar(&["offsets", "set", &file, "--to", "earliest"]);
    assert_eq!(ended.code, Some(5), "{}", ended.text);
    stop(run);
}

#[test]
fn check_inspect_schema_and_completion_tell_what_they_know() {
    let flow = Flow::new("check", 3, "start = \"earliest\"");
    let file = flow.file.write("").display().to_string();
    assert!(ok(&["check", &file, "--connect"]).contains("3 partitions"));
    let plugin = process::component("filter").display().to_string();
    let inspected = ok(&["inspect", &plugin]);
    for words in ["filter 0.1.0", "describe, open, process", "64 MiB"] {
        assert!(inspected.contains(words), "{words}: {inspected}");
    }
    assert_eq!(json(&["schema", "pipeline", "-o", "json"])["type"], "object");
    assert!(ok(&["completion", "bash"]).contains("sandbar"));
    assert_eq!(sandbar(&["rnu"]).code, Some(2));
    assert_eq!(sandbar(&["inspect", "nowhere.wasm"]).code, Some(4));
}

#[test]
fn errors_are_one_json_object_for_a_program() {
    let ended = sandbar(&["check", "nowhere.toml", "-o", "json"]);
    let error: Value = serde_json::from_str(ended.text.trim()).expect("one JSON object");
    assert_eq!(
        (&error["error"]["kind"], &error["error"]["exit"]),
        (&"invalid".into(), &3.into())
    );
    assert_eq!(ended.code, Some(3));
}

#[test]
fn a_configuration_that_its_plugin_does_not_take_is_told_with_its_place_in_the_file() {
    let folder = Folder::new("sandbar-config-");
    let plugin = process::component("window").display().to_string();
    let pipeline = format!(
        "name = \"files\"\n[source.in]\nfile = \"in.jsonl\"\n[operator.op]\nplugin = \"{plugin}\"\n\
         inputs = [\"in\"]\nconfig = {{ window = {{ tumblin = \"10s\" }}, aggregates = {{ n = \"count\" }} }}\n\
         [sink.out]\nfrom = [\"op\"]\nfile = \"-\"\n"
    );
    let file = folder.path().join("pipeline.toml");
    std::fs::write(&file, pipeline).unwrap();
    std::fs::write(folder.path().join("in.jsonl"), "{\"value\":1}\n").unwrap();
    for verb in ["run", "check"] {
        let ended = sandbar(&[verb, &file.display().to_string()]);
        assert_eq!(ended.code, Some(3), "{}", ended.text);
        for words in ["config/window", "{ tumbling }", "pipeline.toml:7:", "tumblin = \"10s\""] {
            assert!(ended.text.contains(words), "{words}: {}", ended.text);
        }
    }
}

#[test]
fn a_file_flows_to_a_file() {
    let folder = Folder::new("sandbar-files-");
    std::fs::write(
        folder.path().join("in.jsonl"),
        "{\"key\":\"a\",\"value\":{\"ms\":9},\"timestamp\":5}\n{\"value\":{\"ms\":1},\"timestamp\":6}\n",
    )
    .unwrap();
    let plugin = process::component("filter").display().to_string();
    let pipeline = format!(
        "name = \"files\"\n[source.in]\nfile = \"in.jsonl\"\n[operator.slow]\nplugin = \"{plugin}\"\n\
         inputs = [\"in\"]\nconfig = {{ field = \"/ms\", at-least = 5 }}\n[sink.out]\nfrom = [\"slow\"]\n\
         file = \"out.jsonl\"\n"
    );
    let file = folder.path().join("pipeline.toml");
    std::fs::write(&file, pipeline).unwrap();
    ok(&["run", &file.display().to_string()]);
    let out = std::fs::read_to_string(folder.path().join("out.jsonl")).unwrap();
    assert_eq!(
        serde_json::from_str::<Value>(out.trim()).unwrap(),
        serde_json::json!({ "key": "a", "value": { "ms": 9 }, "timestamp": 5 })
    );
}
