//! `sandbar test`: the cases of every ready-made plugin, and what the verb says of cases that are wrong.

use sandbar_tests::guard::Folder;
use sandbar_tests::kafka::Kafka;
use sandbar_tests::pipeline_file::unique;
use sandbar_tests::process::{self, Ended, Process};
use sandbar_tests::root;
use sandbar_tests::wait::seconds;
use serde_json::Value;
use std::path::{Path, PathBuf};

const INPUT: &str = "{\"key\":\"a\",\"value\":1}\n{\"key\":\"b\",\"value\":1}\n{\"key\":\"a\",\"value\":1}\n";

fn test(folder: &Path, more: &[&str]) -> Ended {
    let folder = folder.display().to_string();
    // A matrix syncs its state to disk hundreds of times.
    Process::start(&[&["test", &folder][..], more].concat()).wait(seconds(600))
}

/// A folder with a case `count`, which expects this; with the pipeline around the plugin or without.
fn folder(output: &str, pipeline: Option<&str>) -> Folder {
    let folder = Folder::new("sandbar-cases-");
    let case = folder.path().join("cases/count");
    std::fs::create_dir_all(&case).unwrap();
    std::fs::write(case.join("input.jsonl"), INPUT).unwrap();
    std::fs::write(case.join("output.jsonl"), output).unwrap();
    match pipeline {
        Some(text) => std::fs::write(folder.path().join("pipeline.toml"), text).unwrap(),
        None => {
            std::fs::copy(process::component("count-by-key"), folder.path().join("count.wasm")).unwrap();
        }
    }
    folder
}

fn counts(values: &[u64]) -> String {
    values.iter().map(|value| format!("{{\"value\":{value}}}\n")).collect()
}

/// The folders in a folder of the repository that have cases.
fn with_cases(folder: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root().join(folder)).unwrap();
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| path.join("cases").is_dir());
    found.sort();
    found
}

#[test]
fn the_cases_of_every_plugin_come_out_however_they_are_cut_restored_killed_and_moved() {
    let plugins = with_cases("plugins");
    assert!(plugins.len() >= 5, "only {plugins:?} have cases");
    for plugin in plugins {
        let name = plugin.file_name().unwrap().to_string_lossy().into_owned();
        // The same plugin in both worlds of the interface; jq is built for one of them.
        let in_world_of_records = format!("record-plugins/{name}.wasm");
        let mut components = vec![process::component(&name)];
        components.extend((name != "jq").then(|| sandbar_tests::target().join(in_world_of_records)));
        for component in components {
            let component = component.display().to_string();
            let ended = test(&plugin, &["--plugin", &component, "--matrix"]);
            assert_eq!(ended.code, Some(0), "{component}:\n{}", ended.text);
        }
    }
}

#[test]
fn the_cases_of_every_example_come_out_however_its_pipeline_is_cut_restored_killed_and_moved() {
    let examples = with_cases("examples");
    assert!(examples.len() >= 3, "only {examples:?} have cases");
    for example in examples {
        let ended = test(&example, &["--matrix"]);
        assert_eq!(ended.code, Some(0), "{}:\n{}", example.display(), ended.text);
    }
}

#[test]
fn a_case_that_fails_is_exit_code_7_and_names_the_line() {
    let right = folder(&counts(&[1, 1, 2]), None);
    let ended = test(right.path(), &[]);
    assert_eq!(ended.code, Some(0), "{}", ended.text);
    assert!(
        ended.text.contains("ok    count") && ended.text.contains("1 passed, 0 failed"),
        "{}",
        ended.text
    );

    let wrong = folder(&counts(&[1, 1, 3]), None);
    let ended = test(wrong.path(), &[]);
    assert_eq!(ended.code, Some(7), "{}", ended.text);
    for part in [
        "FAIL  count",
        "output.jsonl:3 differs at value, after input.jsonl:3",
        "1 of 1 cases failed",
    ] {
        assert!(ended.text.contains(part), "{part} in\n{}", ended.text);
    }

    let ended = test(wrong.path(), &["-o", "json"]);
    assert_eq!(ended.code, Some(7));
    let first = ended
        .text
        .lines()
        .find(|line| line.starts_with("{\"cases\""))
        .expect("the result");
    let told: Value = serde_json::from_str(first).unwrap();
    let difference = &told["cases"][0]["runs"][0]["differences"][0];
    assert_eq!((&told["failed"], &difference["input-line"]), (&1.into(), &3.into()));
    assert_eq!(difference["place"], "output.jsonl:3");

    let ended = test(wrong.path(), &["-o", "junit"]);
    assert!(
        ended.code == Some(7) && ended.text.contains("<failure message=\"output.jsonl:3"),
        "{}",
        ended.text
    );

    let ended = test(wrong.path(), &["--bless"]);
    assert_eq!(
        (ended.code, test(wrong.path(), &[]).code),
        (Some(0), Some(0)),
        "{}",
        ended.text
    );
}

#[test]
fn a_plugin_that_keeps_something_beside_its_state_is_found_by_the_matrix_alone() {
    let folder = folder(&counts(&[1, 1, 2]), None);
    let component = process::component("remembers").display().to_string();
    let ended = test(folder.path(), &["--plugin", &component]);
    assert_eq!(ended.code, Some(0), "{}", ended.text);
    let ended = test(folder.path(), &["--plugin", &component, "--matrix", "--seed", "5"]);
    assert_eq!(ended.code, Some(7), "{}", ended.text);
    for part in [
        "in checkpoint and restore after every line:",
        "output.jsonl, line 3 is another",
        "seed 5",
    ] {
        assert!(ended.text.contains(part), "{part} in\n{}", ended.text);
    }
}

#[test]
fn a_pipeline_of_several_operators_is_tested_as_a_whole() {
    let file = |operators: &str, sink: &str| {
        let (count, pass) = (process::component("count-by-key"), process::component("pass-through"));
        let operators = operators
            .replace("COUNT", &count.display().to_string())
            .replace("PASS", &pass.display().to_string());
        format!(
            "name = \"p\"\n[source.events]\nfile = \"none.jsonl\"\n{operators}\n[sink.{sink}]\nfrom = [\"count\"]\n\
             file = \"-\"\n"
        )
    };
    let count = "[operator.count]\nplugin = \"COUNT\"\ninputs = [";
    let one = folder(
        &counts(&[1, 1, 2]),
        Some(&file(&format!("{count}\"events\"]"), "counts")),
    );
    let ended = test(one.path(), &["--matrix"]);
    assert_eq!(ended.code, Some(0), "{}", ended.text);

    let pass = "[operator.pass]\nplugin = \"PASS\"\ninputs = [\"events\"]\n";
    let two = folder(
        &counts(&[1, 1, 2]),
        Some(&file(&format!("{pass}{count}\"pass\"]"), "counts")),
    );
    let state = "{\"operator\":\"count\",\"store\":\"total\",\"key\":\"a\",\"value\":2}\n{\"key\":\"b\"}\n";
    std::fs::write(two.path().join("cases/count/state.jsonl"), state).unwrap();
    let ended = test(two.path(), &["--matrix"]);
    assert_eq!(ended.code, Some(0), "{}", ended.text);
}

#[test]
fn what_cannot_be_tested_is_told_with_what_was_looked_for() {
    let empty = Folder::new("sandbar-cases-");
    let ended = test(empty.path(), &[]);
    assert!(
        ended.code == Some(2) && ended.text.contains("found no cases"),
        "{}",
        ended.text
    );
    let nothing = folder("", None);
    std::fs::remove_file(nothing.path().join("count.wasm")).unwrap();
    let ended = test(nothing.path(), &[]);
    assert!(
        ended.code == Some(4) && ended.text.contains("--plugin FILE"),
        "{}",
        ended.text
    );
    let ended = test(folder("", None).path(), &["--case", "cuont"]);
    assert!(
        ended.code == Some(2) && ended.text.contains("the cases are count"),
        "{}",
        ended.text
    );
    assert_eq!(process::run(&["completion", "bash", "-o", "junit"]).code, Some(2));
}

#[test]
fn a_case_is_made_of_records_that_are_in_a_topic() {
    let (brokers, topic) = (Kafka::shared().bootstrap(), unique("cases"));
    let folder = folder(&counts(&[1, 1, 2]), None);
    let input = folder.path().join("cases/count/input.jsonl").display().to_string();
    for words in [
        &["topics", "create", &topic, "--partitions", "1", "--brokers", &brokers][..],
        &["produce", &topic, "--file", &input, "--brokers", &brokers],
    ] {
        let ended = process::run(words);
        assert_eq!(ended.code, Some(0), "{}", ended.text);
    }
    let made = [
        "--from-topic",
        &topic,
        "--case",
        "real",
        "--max",
        "2",
        "--brokers",
        &brokers,
    ];
    let ended = test(folder.path(), &made);
    assert_eq!(ended.code, Some(0), "{}", ended.text);
    let output = std::fs::read_to_string(folder.path().join("cases/real/output.jsonl")).unwrap();
    let values = output
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["value"].clone());
    assert_eq!(values.collect::<Vec<_>>(), ["1", "1"]);
    assert_eq!(test(folder.path(), &["--matrix"]).code, Some(0));
    assert_eq!(test(folder.path(), &made).code, Some(2), "it is not written over");
}
