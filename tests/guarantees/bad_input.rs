//! Bad input ends at once, with its exit code and a text that a person can use.

use crate::flow::{Flow, stop};
use sandbar_tests::kafka::{Kafka, SASL_USER};
use sandbar_tests::pipeline_file::{PipelineFile, unique};
use sandbar_tests::process::{self, Ended, Process};
use sandbar_tests::wait::{PATIENCE, promised};
use std::path::Path;

/// Every error is one sentence of what, why with the values, and mostly a hint; never a panic.
fn assert_refused(ended: &Ended, code: i32, words: &[&str]) {
    assert_eq!(ended.code, Some(code), "{}", ended.text);
    assert!(!ended.text.contains("panicked"), "{}", ended.text);
    for words in words {
        assert!(ended.text.contains(words), "the text says {words:?}:\n{}", ended.text);
    }
}

fn run(path: &Path) -> Ended {
    process::run(&["run".as_ref(), path.as_os_str()])
}

/// The same, within what is promised for a start that does not reach Kafka.
fn run_within_15_s(path: &Path) -> Ended {
    Process::start(&["run".as_ref(), path.as_os_str()]).wait(promised(15))
}

/// A pipeline whose topics need not exist, since it fails before.
fn offline() -> PipelineFile {
    PipelineFile::new("127.0.0.1:1", &unique("bad"), "topics = [\"in\"]", "out")
}

/// Runs what a person would have after this change of the text.
fn run_changed(file: &PipelineFile, from: &str, to: &str) -> Ended {
    let path = file.write("");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{text}");
    std::fs::write(&path, text.replacen(from, to, 1)).unwrap();
    run(&path)
}

#[test]
fn a_pipeline_file_that_is_missing() {
    assert_refused(
        &run(Path::new("nowhere/pipeline.toml")),
        3,
        &["error: ", "nowhere/pipeline.toml"],
    );
}

#[test]
fn wrong_toml_is_shown_at_its_line() {
    assert_refused(
        &run_changed(&offline(), "[source.in]", "[source.in"),
        3,
        &["error: ", "pipeline.toml:7:"],
    );
}

#[test]
fn an_unknown_key_is_told_with_the_one_that_was_meant() {
    assert_refused(
        &run_changed(&offline(), "topics = ", "topcis = "),
        3,
        &["error: ", "topcis", "topics", "pipeline.toml:8:"],
    );
}

#[test]
fn a_wrong_value_names_the_right_ones() {
    assert_refused(
        &run_changed(&offline(), "topics = ", "start = \"earlyest\"\ntopics = "),
        3,
        &["earlyest", "earliest"],
    );
}

#[test]
fn an_operator_that_reads_nothing_known() {
    assert_refused(
        &run_changed(&offline(), "inputs = [\"in\"]", "inputs = [\"inn\"]"),
        3,
        &["inn"],
    );
}

#[test]
fn a_property_that_the_host_owns_is_refused_by_name() {
    let mut file = offline();
    file.properties = "\"enable.auto.commit\" = \"true\"".into();
    assert_refused(&run(&file.write("")), 3, &["enable.auto.commit"]);
}

#[test]
fn exactly_once_from_one_cluster_to_another_is_refused() {
    let mut file = offline();
    file.sink.push_str("\nkafka = { brokers = \"127.0.0.1:2\" }");
    file.tables = "[checkpoint]\ninterval = \"1s\"\nstore = \"checkpoints\"".into();
    assert_refused(
        &run(&file.write("")),
        3,
        &["another cluster", "exactly-once", "at-least-once"],
    );
}

#[test]
fn a_plugin_that_is_missing() {
    let mut file = offline();
    file.plugin = "nowhere.wasm".into();
    assert_refused(&run(&file.write("")), 4, &["error: ", "nowhere.wasm"]);
}

#[test]
fn a_text_file_is_no_plugin() {
    let mut file = offline();
    file.plugin = file.path("text.wasm");
    std::fs::write(&file.plugin, "I am no component").unwrap();
    assert_refused(&run(&file.write("")), 4, &["error: ", "text.wasm"]);
}

#[test]
fn a_core_module_is_no_plugin() {
    let mut file = offline();
    file.plugin = file.path("core.wasm");
    std::fs::write(&file.plugin, b"\0asm\x01\0\0\0").unwrap();
    assert_refused(&run(&file.write("")), 4, &["error: ", "core.wasm", "module"]);
}

#[test]
fn a_component_without_exports_is_no_plugin() {
    let mut file = offline();
    file.plugin = file.path("empty.wasm");
    std::fs::write(&file.plugin, b"\0asm\x0d\0\x01\0").unwrap();
    assert_refused(&run(&file.write("")), 4, &["error: ", "empty.wasm"]);
}

#[test]
fn a_component_with_foreign_imports_is_refused_by_their_names() {
    let mut file = offline();
    file.plugin = file.path("foreign.wasm");
    std::fs::write(&file.plugin, FOREIGN).unwrap();
    assert_refused(
        &run(&file.write("")),
        4,
        &["error: ", "foreign.wasm", "wasi:cli/exit@0.3.0"],
    );
}

/// `(component (import "wasi:cli/exit@0.3.0" (instance)))`
const FOREIGN: &[u8] = b"\0asm\x0d\0\x01\0\x07\x03\x01\x42\0\x0a\x18\x01\0\x13wasi:cli/exit@0.3.0\x05\0";

#[test]
fn a_damaged_component_is_refused() {
    let whole = std::fs::read(process::component("pass-through")).unwrap();
    for cut in [9, whole.len() / 3, whole.len() - 1] {
        let mut file = offline();
        file.plugin = file.path("cut.wasm");
        std::fs::write(&file.plugin, &whole[..cut]).unwrap();
        assert_refused(&run(&file.write("")), 4, &["error: ", "cut.wasm"]);
    }
}

#[test]
fn a_broker_that_is_away_at_the_start_ends_the_run_within_15_s() {
    let ended = run_within_15_s(&offline().write(""));
    assert_refused(&ended, 5, &["error: ", "127.0.0.1:1"]);
}

#[test]
fn a_source_topic_that_is_missing() {
    let mut flow = Flow::new("no-source", 1, "");
    flow.file.source = "topics = [\"no-such-topic\"]".into();
    assert_refused(&run(&flow.file.write("")), 5, &["error: ", "no-such-topic"]);
}

#[test]
fn a_source_partition_that_is_missing() {
    let mut flow = Flow::new("no-partition", 1, "");
    flow.file.source = format!("partitions = {{ {} = [0, 7] }}", flow.input);
    assert_refused(&run(&flow.file.write("")), 5, &["error: ", &flow.input, "7"]);
}

#[test]
fn a_sink_topic_that_is_missing() {
    let mut flow = Flow::new("no-sink", 1, "");
    flow.file.sink = "topic = \"no-such-sink\"".into();
    assert_refused(&run(&flow.file.write("")), 5, &["error: ", "no-such-sink"]);
}

#[test]
fn an_offset_beyond_the_end_is_told_with_what_the_log_holds() {
    let mut flow = Flow::new("beyond", 1, "");
    flow.send(0..10);
    let input = &flow.input;
    flow.file.source = format!("topics = [\"{input}\"]\nstart = {{ offsets = {{ {input} = {{ 0 = 9000 }} }} }}");
    assert_refused(&run(&flow.file.write("")), 5, &["error: ", "9000", "0..10", "hint: "]);
}

#[test]
fn an_offset_before_the_beginning_is_told_or_replaced_as_the_file_says() {
    let mut flow = Flow::new("before", 1, "");
    flow.send(0..10);
    flow.client.delete_records(&flow.input, 0, 5);
    let input = flow.input.clone();
    let with = |policy: &str| {
        format!(
            "topics = [\"{input}\"]\nstart = {{ offsets = {{ {input} = {{ 0 = 2 }} }} }}\nstop = \"latest\"\n\
             on-out-of-range = \"{policy}\""
        )
    };
    flow.file.source = with("fail");
    assert_refused(&run(&flow.file.write("")), 5, &["error: ", "5..10", "hint: "]);
    flow.file.source = with("earliest");
    flow.finish();
    assert_eq!(flow.numbers(), [5, 6, 7, 8, 9]);
}

#[test]
fn a_partition_without_any_start_is_an_error_if_otherwise_is_fail() {
    let flow = Flow::new("otherwise", 1, "start = \"group-offsets\"\notherwise = \"fail\"");
    assert_refused(&run(&flow.file.write("")), 5, &["error: ", &flow.input, "otherwise"]);
}

#[test]
fn a_stop_at_group_offsets_that_are_not_there_is_an_error() {
    let flow = Flow::new("no-stop", 1, "start = \"earliest\"\nstop = \"group-offsets\"");
    assert_refused(&run(&flow.file.write("")), 5, &["error: ", &flow.input]);
}

fn with_password(password: &str) -> Flow {
    let mut flow = Flow::new("password", 1, "start = \"earliest\"\nstop = \"latest\"");
    flow.file.brokers = Kafka::shared().sasl_bootstrap();
    std::fs::write(flow.file.path("password"), password).unwrap();
    flow.file.properties = format!(
        "\"security.protocol\" = \"sasl_plaintext\"\n\"sasl.mechanism\" = \"PLAIN\"\n\"sasl.username\" = \"{}\"\n\
         \"sasl.password\" = {{ file = \"password\" }}",
        SASL_USER.0
    );
    flow
}

#[test]
fn a_wrong_password_is_told_within_15_s() {
    let ended = run_within_15_s(&with_password("wrong").file.write(""));
    assert_refused(&ended, 5, &["error: ", "uthentication"]);
    assert!(!ended.text.contains("wrong\""), "{}", ended.text);
}

#[test]
fn the_right_password_from_a_file_opens_the_door() {
    let flow = with_password(SASL_USER.1);
    flow.send(0..5);
    flow.finish();
    assert_eq!(flow.numbers(), [0, 1, 2, 3, 4]);
}

#[test]
fn a_broker_that_goes_away_later_ends_nothing() {
    let kafka = Kafka::start(1);
    let flow = Flow::on(
        &kafka,
        "away",
        1,
        "start = \"earliest\"\nauto-commit-interval = \"200ms\"",
    );
    flow.send(0..10);
    let mut run = flow.start();
    flow.wait_count(10, &run);
    // What is not committed comes again after a rebalance: not what this is about.
    flow.wait_committed(&[10]);
    kafka.kill(1);
    run.wait_for("it says that the broker is away", PATIENCE, |lines| {
        lines.iter().any(|line| process::event(line, "disconnected").is_some())
    });
    assert!(run.is_running());
    kafka.restart(1);
    flow.send(10..20);
    flow.wait_count(20, &run);
    flow.wait_committed(&[20]);
    stop(run);
    assert_eq!(flow.numbers(), (0..20).collect::<Vec<_>>());
}
