//! `sandbar state`: what the operators keep, asked beside the process that runs, after it, and when only the
//! checkpoints are left.

use crate::flow::stop;
use sandbar_tests::client::{Isolation, Record};
use sandbar_tests::counted::Counted;
use sandbar_tests::kafka::Kafka;
use sandbar_tests::process::{self, Ended, component};
use sandbar_tests::wait::{self, PATIENCE};
use serde_json::Value;
use std::collections::BTreeMap;

#[test]
fn state_is_what_the_input_makes_of_it_live_offline_and_from_the_checkpoints() {
    let counted = Counted::on(Kafka::shared(), "state-verbs", 4, 50);
    counted.send(0, 1000);
    let mut run = counted.file.run();
    run.wait_placed(4, PATIENCE);
    let owed = owed(&counted);
    wait::until_true("the committed state is whole, live", PATIENCE, || {
        assert!(run.is_running(), "it runs: {}", run.lines().join("\n"));
        kept(&counted, &[]).is_some_and(|kept| kept == owed)
    });
    assert_eq!(
        kept(&counted, &["--stored"]),
        Some(owed.clone()),
        "beside the running process"
    );
    assert!(run.is_running(), "nobody disturbed it: {}", run.lines().join("\n"));
    stop(run);
    assert_eq!(kept(&counted, &[]), Some(owed.clone()), "after the stop");
    check_get_and_count(&counted, &owed);
    std::fs::remove_dir_all(counted.file.path("state")).unwrap();
    assert_eq!(kept(&counted, &[]), Some(owed), "without local files");
}

#[test]
fn values_are_shown_as_what_they_are() {
    let mut counted = Counted::on(Kafka::shared(), "state-shown", 1, 1);
    counted.send(0, 62);
    let mut run = counted.file.run();
    wait::until_true("62 are counted", PATIENCE, || {
        assert!(run.is_running(), "it runs: {}", run.lines().join("\n"));
        counted.visible() >= 62
    });
    stop(run);
    let path = counted.file.write("");
    let words = ["state", "get", path.to_str().unwrap(), "op", "total", "key-0"];
    // The broker may tell the group of a commit a moment after the outputs are visible.
    wait::until_true("the committed value is shown", PATIENCE, || {
        let shown = process::run(&words);
        shown.code == Some(0) && shown.text.split_whitespace().last() == Some("62")
    });
    assert_eq!(
        json(&state(&counted, "get", &["op", "total", "key-0"])).unwrap()[0]["value"],
        62
    );

    counted.file.plugin = component("keeps");
    counted.file.source = counted.file.source.replace("\"earliest\"", "\"latest\"");
    counted.file.name = format!("{}-kept", counted.file.name);
    std::fs::remove_dir_all(counted.file.path("state")).unwrap();
    let before = counted.visible();
    let mut run = counted.file.run();
    run.wait_placed(1, PATIENCE);
    let record = Record::keyed(&counted.input, "k", "push:a push:b put:u=v set:> set-other:text");
    counted.client.producer().send(&[record]);
    wait::until_true("it is kept", PATIENCE, || {
        assert!(run.is_running(), "it runs: {}", run.lines().join("\n"));
        counted.visible() > before
    });
    stop(run);
    let found = |store: &str| json(&state(&counted, "get", &["op", store, "k"]));
    wait::until_true("the committed list is shown", PATIENCE, || {
        found("list").is_some_and(|shown| shown[0]["items"] == serde_json::json!(["a", "b"]))
    });
    let shown = |store: &str| found(store).unwrap()[0].clone();
    assert_eq!(
        (&shown("map")["user-key"], &shown("map")["value"]),
        (&"u".into(), &"v".into())
    );
    assert_eq!(shown("other")["value"], "text");
    assert_eq!(shown("value")["value-hex"], "3e", "of raw bytes nothing is known");
}

#[test]
fn a_name_that_nobody_has_is_answered_with_those_there_are() {
    let counted = Counted::on(Kafka::shared(), "state-names", 1, 5);
    let ended = state(&counted, "scan", &["nobody", "total"]);
    assert!(
        ended.code == Some(2) && ended.text.contains("operators with state are op"),
        "{}",
        ended.text
    );
    let ended = state(&counted, "scan", &["op", "nothing"]);
    assert!(
        ended.code == Some(2) && ended.text.contains("its stores are total"),
        "{}",
        ended.text
    );
}

fn check_get_and_count(counted: &Counted, owed: &BTreeMap<String, u64>) {
    let (key, total) = owed.first_key_value().unwrap();
    let got = json(&state(counted, "get", &["op", "total", key])).unwrap();
    assert_eq!((got.as_array().unwrap().len(), number(&got[0])), (1, *total));
    let ended = state(counted, "get", &["op", "total", "nobody"]);
    assert_eq!(ended.code, Some(1), "{}", ended.text);
    let counts = json(&state(counted, "count", &[])).unwrap();
    let entries = counts
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["entries"].as_u64().unwrap());
    assert_eq!(entries.sum::<u64>() as usize, owed.len());
    let few = json(&state(
        counted,
        "scan",
        &["op", "total", "--prefix", "key-1", "--limit", "3"],
    ))
    .unwrap();
    let few = few.as_array().unwrap();
    assert!(few.len() == 3 && few.iter().all(|one| one["key"].as_str().unwrap().starts_with("key-1")));
}

fn state(counted: &Counted, verb: &str, more: &[&str]) -> Ended {
    let path = counted.file.write("");
    let path = path.to_str().unwrap();
    let words: Vec<&str> = ["state", verb, path]
        .into_iter()
        .chain(more.iter().copied())
        .chain(["-o", "json"])
        .collect();
    process::run(&words)
}

fn json(ended: &Ended) -> Option<Value> {
    (ended.code == Some(0)).then(|| serde_json::from_str(ended.text.trim()).expect("one JSON value"))
}

/// The counts by key; `None`: there is no state yet.
fn kept(counted: &Counted, more: &[&str]) -> Option<BTreeMap<String, u64>> {
    let words = [&["op", "total", "--limit", "10000"], more].concat();
    let found = json(&state(counted, "scan", &words))?;
    let entries = found.as_array().unwrap().iter();
    Some(
        entries
            .map(|entry| (entry["key"].as_str().unwrap().to_owned(), number(entry)))
            .collect(),
    )
}

fn number(entry: &Value) -> u64 {
    entry["value"].as_u64().expect("a count is a number")
}

/// How many records each key has.
fn owed(counted: &Counted) -> BTreeMap<String, u64> {
    let mut owed = BTreeMap::new();
    for record in counted.client.read(&counted.input, Isolation::Committed) {
        *owed.entry(String::from_utf8(record.key.unwrap()).unwrap()).or_default() += 1;
    }
    owed
}
