//! State and the plugins that come after the one that wrote it: what they cannot read stops them, what is dropped is
//! gone, and what gets a time to live goes on.

use crate::flow::stop;
use sandbar_tests::client::{Isolation, Record};
use sandbar_tests::counted::Counted;
use sandbar_tests::kafka::Kafka;
use sandbar_tests::process::{self, Process, component};
use sandbar_tests::wait::{self, PATIENCE};
use std::path::PathBuf;

/// The guest `ages` with another schema version.
pub fn aged(version: u32, reads: u32) -> Vec<u8> {
    let mut bytes = std::fs::read(component("ages")).unwrap();
    let told = b"schema version 1, reads 1";
    let places: Vec<usize> = (0..bytes.len() - told.len())
        .filter(|at| bytes[*at..].starts_with(told))
        .collect();
    assert_eq!(places.len(), 1, "its file tells its version once");
    let new = format!("schema version {version}, reads {reads}");
    bytes[places[0]..places[0] + told.len()].copy_from_slice(new.as_bytes());
    bytes
}

fn version(counted: &Counted, version: u32, reads: u32) -> PathBuf {
    let path = counted.file.path(&format!("ages-{version}-{reads}.wasm"));
    std::fs::write(&path, aged(version, reads)).unwrap();
    path
}

fn send(counted: &Counted, rows: &[(&str, &str)]) {
    let records = rows
        .iter()
        .map(|(key, value)| Record::keyed(&counted.input, key, value));
    counted.client.producer().send(&records.collect::<Vec<_>>());
}

/// Runs until the output has so many records, and what they say.
fn put_out(counted: &Counted, run: Process, count: usize) -> Vec<String> {
    let mut run = run;
    let read = || counted.client.read(&counted.output, Isolation::Committed);
    wait::until_true("every record is there", PATIENCE, || {
        assert!(run.is_running(), "{}", run.lines().join("\n"));
        read().len() >= count
    });
    stop(run);
    read().iter().map(|record| record.text().to_owned()).collect()
}

#[test]
fn bytes_of_a_version_that_a_plugin_cannot_read_stop_it_also_at_the_second_upgrade() {
    let mut counted = Counted::on(Kafka::shared(), "upgrades", 1, 1);
    counted.file.plugin = version(&counted, 1, 1);
    send(&counted, &[("touched", ""), ("untouched", "")]);
    assert_eq!(put_out(&counted, counted.file.run(), 2), ["0", "0"]);
    counted.file.plugin = version(&counted, 2, 1);
    send(&counted, &[("touched", "")]);
    assert_eq!(put_out(&counted, counted.file.run(), 3)[2], "1");
    // Its first commit says version 2, and a key has the bytes of version 1 still.
    counted.file.plugin = version(&counted, 3, 2);
    send(&counted, &[("untouched", "")]);
    let path = counted.file.write("");
    let ended = process::run(&["run".as_ref(), path.as_os_str()]);
    assert_eq!(ended.code, Some(6), "{}", ended.text);
    assert!(
        ended.text.contains("version 1 or later") && ended.text.contains("reads versions 2 to 3"),
        "{}",
        ended.text
    );
    counted.file.plugin = version(&counted, 3, 1);
    assert_eq!(put_out(&counted, counted.file.run(), 4)[3], "1");
}

#[test]
fn what_a_plugin_wrote_before_it_had_a_time_to_live_lives_on_from_when_its_key_comes_next() {
    const MINUTE: i64 = 60_000;
    let mut counted = Counted::on(Kafka::shared(), "time-to-live", 1, 1);
    let send = |counted: &Counted, rows: &[(&str, i64)]| {
        let records = rows
            .iter()
            .map(|(key, minute)| Record::keyed(&counted.input, key, "").at(minute * MINUTE));
        counted.client.producer().send(&records.collect::<Vec<_>>());
    };
    send(&counted, &[("a", 0), ("a", 1), ("b", 2)]);
    assert_eq!(put_out(&counted, counted.file.run(), 3), ["1", "2", "1"]);
    counted.file.plugin = component("forgets");
    send(&counted, &[("a", 600), ("a", 659)]);
    assert_eq!(put_out(&counted, counted.file.run(), 5)[3..], ["3", "4"]);
    // The stamps and timers come from the store.
    std::fs::remove_dir_all(counted.file.path("state").join("tasks")).unwrap();
    send(&counted, &[("a", 718), ("c", 779), ("a", 780), ("b", 780)]);
    assert_eq!(put_out(&counted, counted.file.run(), 9)[5..], ["5", "1", "1", "2"]);
}

fn run_dropping(counted: &Counted) -> Process {
    let path = counted.file.write("");
    Process::start(&["run".as_ref(), path.as_os_str(), "--allow-dropped-state".as_ref()])
}

#[test]
fn a_store_that_was_dropped_is_empty_when_it_comes_back() {
    for is_local in [true, false] {
        let mut counted = Counted::on(Kafka::shared(), "dropped", 1, 1);
        counted.file.plugin = component("keeps");
        let write = "push:1 put:k=1 set:1 set-other:1 items scan: value other";
        send(&counted, &[("key", write)]);
        let whole = r#"["1"]k=1,Some("1")Some("1")"#;
        assert_eq!(put_out(&counted, counted.file.run(), 1), [whole]);
        // Another plugin stands under the operator's name for a while, and nothing is read meanwhile.
        counted.file.plugin = component("count-by-key");
        let pointer = || {
            let committed = counted.client.committed(&counted.file.group(), &counted.input);
            committed.values().next().map(|of| of.metadata.clone())
        };
        let before = pointer();
        let mut run = run_dropping(&counted);
        wait::until_true("the drop is committed", PATIENCE, || {
            assert!(run.is_running(), "{}", run.lines().join("\n"));
            pointer() != before
        });
        stop(run);
        send(&counted, &[("key", "")]);
        assert_eq!(put_out(&counted, counted.file.run(), 2)[1], "1");
        counted.file.plugin = component("keeps");
        if !is_local {
            std::fs::remove_dir_all(counted.file.path("state")).unwrap();
        }
        send(&counted, &[("key", "items scan: value other")]);
        let said = put_out(&counted, run_dropping(&counted), 3);
        assert_eq!(said[2], "[]NoneNone", "local files: {is_local}");
        counted.file.plugin = component("count-by-key");
        send(&counted, &[("key", "")]);
        assert_eq!(
            put_out(&counted, run_dropping(&counted), 4)[3],
            "1",
            "the count began anew"
        );
    }
}

#[test]
fn a_savepoint_is_taken_over_without_the_stores_that_are_dropped() {
    let mut counted = Counted::on(Kafka::shared(), "dropped-from", 1, 1);
    counted.file.plugin = component("keeps");
    send(&counted, &[("key", "push:1 set:1")]);
    put_out(&counted, counted.file.run(), 1);
    let path = counted.file.write("");
    let made = process::run(&[
        "savepoint".as_ref(),
        "create".as_ref(),
        path.as_os_str(),
        "-o".as_ref(),
        "json".as_ref(),
    ]);
    assert_eq!(made.code, Some(0), "{}", made.text);
    let made: serde_json::Value = serde_json::from_str(made.text.trim()).unwrap();
    counted.file.plugin = component("count-by-key");
    let path = counted.file.write("");
    let from = made["savepoint"].as_str().unwrap();
    let words = ["run", path.to_str().unwrap(), "--allow-dropped-state", "--from", from];
    send(&counted, &[("key", "")]);
    put_out(&counted, Process::start(&words), 2);
    counted.file.plugin = component("keeps");
    send(&counted, &[("key", "items value")]);
    assert_eq!(put_out(&counted, run_dropping(&counted), 3)[2], "[]None");
}
