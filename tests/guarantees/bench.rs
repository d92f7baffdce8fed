//! `sandbar bench`: its figures are there and fit together, whatever the machine does besides; it names the function
//! that takes the time; and what it cannot measure, it says.

use sandbar_tests::guard::Folder;
use sandbar_tests::process::{self, Ended};
use serde_json::Value;
use std::fs;

/// Few rounds and little time: what is asked of a figure does not depend on them.
const SHORT: [&str; 4] = ["--rounds", "2", "--time", "50ms"];

fn bench(plugin: &str, more: &[&str]) -> Ended {
    let plugin = process::component(plugin).display().to_string();
    let short = if more.contains(&"--time") { 2 } else { 4 };
    process::run(&[&["bench", &plugin], &SHORT[..short], more].concat())
}

fn report(plugin: &str, more: &[&str]) -> Value {
    let ended = bench(plugin, &[more, &["-o", "json"]].concat());
    assert_eq!(ended.code, Some(0), "{}", ended.text);
    let line = ended.text.lines().find(|line| line.starts_with('{'));
    serde_json::from_str(line.expect("a report")).unwrap()
}

fn of<'a>(report: &'a Value, role: &str) -> &'a Value {
    let mut plugins = report["plugins"].as_array().unwrap().iter();
    plugins.find(|plugin| plugin["role"] == role).expect("a plugin")
}

fn figure(of: &Value, name: &str) -> f64 {
    of[name]
        .as_f64()
        .unwrap_or_else(|| panic!("`{name}` is no number in {of}"))
}

/// A file in a folder of its own, and its path.
fn file(content: &str) -> (Folder, String) {
    let folder = Folder::new("sandbar-bench-");
    let path = folder.path().join("given");
    fs::write(&path, content).unwrap();
    let path = path.display().to_string();
    (folder, path)
}

#[test]
fn every_figure_is_there_and_they_fit_together() {
    let report = report("count-by-key", &[]);
    for role in ["plugin", "pass-through"] {
        let plugin = of(&report, role);
        let rounds = plugin["rounds"].as_array().unwrap();
        assert_eq!(rounds.len(), 2);
        for round in rounds {
            let (records, calls) = (figure(round, "records"), figure(round, "calls"));
            assert!(records >= 1000.0 && calls >= 1.0 && calls <= records, "{round}");
            let (a_record, a_call) = (figure(round, "wall-ns-per-record"), figure(round, "wall-ns-per-call"));
            assert!((a_record * records / (a_call * calls) - 1.0).abs() < 1e-6, "{round}");
            assert!(
                (figure(round, "records-per-second") * a_record / 1e9 - 1.0).abs() < 1e-6,
                "{round}"
            );
            // A call is a part of the way of a batch.
            assert!(figure(round, "called-ns-per-record") <= a_record, "{round}");
            assert!(figure(round, "cpu-ns-per-record") > 0.0, "{round}");
        }
        let least = rounds.iter().map(|round| figure(round, "cpu-ns-per-record"));
        assert_eq!(
            figure(&plugin["best"], "cpu-ns-per-record"),
            least.fold(f64::MAX, f64::min)
        );
        let in_rounds: f64 = rounds.iter().map(|round| figure(round, "records")).sum();
        assert!(figure(plugin, "records") > in_rounds, "{plugin}");
        // Both put out a record for each.
        assert_eq!(plugin["records"], plugin["outputs"], "{plugin}");
        assert!(figure(plugin, "memory-bytes") >= 65536.0, "{plugin}");
        assert!(
            figure(plugin, "highest-memory-bytes") >= figure(plugin, "memory-bytes"),
            "{plugin}"
        );
        for none in [
            "instances-recycled",
            "refused",
            "traps",
            "deadlines",
            "memory-limits",
            "bad-outcomes",
        ] {
            assert_eq!(plugin[none], 0, "{none} of {plugin}");
        }
    }
    assert!(figure(&report["ratios"]["pass-through"], "cpu") > 0.0);
}

#[test]
fn instructions_are_the_same_each_time_and_more_of_a_plugin_that_does_more() {
    let (one, other) = (report("count-by-key", &[]), report("count-by-key", &["--max", "3000"]));
    for role in ["plugin", "pass-through"] {
        let counted = |report: &Value| {
            let plugin = of(report, role);
            (
                plugin["instructions"].as_u64().unwrap(),
                plugin["instructions-records"].as_u64().unwrap(),
            )
        };
        assert_eq!(counted(&one), counted(&other), "{role}");
        assert!(counted(&one).0 > 0 && counted(&one).1 >= 1000);
    }
    let a_record = |role| figure(of(&one, role), "instructions-per-record");
    assert!(a_record("plugin") > a_record("pass-through"), "{one}");
    let ratio = a_record("plugin") / a_record("pass-through");
    assert_eq!(figure(&one["ratios"]["pass-through"], "instructions"), ratio);
}

#[test]
fn a_plugin_against_itself_is_the_same_component_with_the_same_instructions() {
    let count = process::component("count-by-key").display().to_string();
    let against = report("count-by-key", &["--against", &count]);
    assert_eq!(of(&against, "plugin")["digest"], of(&against, "against")["digest"]);
    assert_eq!(against["ratios"]["against"]["instructions"], 1.0);
    let told = bench("count-by-key", &["--against", &count]);
    assert_eq!(told.code, Some(0), "{}", told.text);
    let same = "times the CPU time of against, 1.000 times its instructions; it is the same component";
    assert!(told.text.contains(same), "{}", told.text);
    let bars = told.text.lines().filter(|line| line.contains('█'));
    assert_eq!(bars.count(), 3, "{}", told.text);

    let other = report("count-by-key", &["--against", "pass-through"]);
    assert_ne!(of(&other, "plugin")["digest"], of(&other, "against")["digest"]);
    assert!(figure(&other["ratios"]["against"], "instructions") > 1.0);
}

#[test]
fn a_profile_names_the_function_that_takes_the_time() {
    let folder = Folder::new("sandbar-bench-");
    let into = folder.path().join("profile");
    let told = report("burns", &["--time", "400ms", "--profile", &into.display().to_string()]);
    let profile = &told["profile"];
    assert!(profile["samples"].as_u64().unwrap() > 0, "{profile}");
    let hottest = &profile["hottest"][0];
    let name = hottest["function"].as_str().unwrap();
    assert!(name.contains("burn_the_time"), "{profile}");
    assert!(figure(hottest, "share") > 0.5, "{profile}");
    let flame = fs::read_to_string(into.join("flame.svg")).unwrap();
    assert!(flame.contains("burn_the_time") && flame.ends_with("</svg>\n"));
    let text = fs::read_to_string(into.join("profile.json")).unwrap();
    let written: Value = serde_json::from_str(&text).unwrap();
    let samples = written["threads"][0]["samples"]["length"].as_u64();
    assert_eq!(samples, profile["samples"].as_u64(), "the picture has the same samples");
    assert!(written["meta"].is_object() && text.contains("burn_the_time"));
}

#[test]
fn records_of_a_file_come_in_at_their_inputs_and_marks_of_a_case_are_passed_over() {
    let lines = [
        r#"{"key":"a","value":1,"timestamp":1000,"input":"left"}"#,
        r#"{"key":"a","value":2,"timestamp":1000,"input":"right"}"#,
        r#"{"watermark":5000}"#,
        r#"{"end":true}"#,
    ];
    let (_folder, records) = file(&lines.join("\n"));
    let config = r#"{"kind":"inner","within":{"after":"1s"}}"#;
    let report = report("join", &["--records", &records, "--config", config, "--max", "200"]);
    let (plugin, beside) = (of(&report, "plugin"), of(&report, "pass-through"));
    // Each repetition is a pair of its own, or meets those of the second before it.
    assert!(
        figure(plugin, "outputs") >= figure(plugin, "records") / 2.0 - 1.0,
        "{plugin}"
    );
    assert_eq!(beside["records"], beside["outputs"]);

    let (_folder, bad) = file("{\"key\":\"a\",\"value\":1}\n{\"key\":\"a\",\"valeu\":2}\n");
    let ended = bench("count-by-key", &["--records", &bad]);
    assert_eq!(ended.code, Some(1), "{}", ended.text);
    assert!(
        ended.text.contains(":2 is wrong") && ended.text.contains("valeu"),
        "{}",
        ended.text
    );
    let (_folder, empty) = file("\n");
    let ended = bench("count-by-key", &["--records", &empty]);
    assert!(
        ended.code == Some(1) && ended.text.contains("no record"),
        "{}",
        ended.text
    );
}

#[test]
fn what_is_no_plugin_or_a_config_that_is_refused_has_its_exit_code_and_a_sentence() {
    let (_folder, text) = file("not a component");
    let ended = process::run(&["bench", &text]);
    assert_eq!(ended.code, Some(4), "{}", ended.text);
    assert!(ended.text.contains("it is a text file"), "{}", ended.text);
    let ended = bench("count-by-key", &["--against", &text]);
    assert!(ended.code == Some(4) && ended.text.contains(&text), "{}", ended.text);

    let ended = bench("filter", &["--config", r#"{"fild":"/ms"}"#]);
    assert_eq!(ended.code, Some(3), "{}", ended.text);
    assert!(ended.text.contains("config: "), "{}", ended.text);
    let (_folder, config) = file(r#"{"field":"/ms","at-least":50}"#);
    let kept = report("filter", &["--config", &config]);
    let outputs = figure(of(&kept, "plugin"), "outputs-per-record");
    assert!(
        (0.3..0.7).contains(&outputs),
        "half of the records are passed: {outputs}"
    );
    let ended = bench("filter", &["--config", "no/such/file"]);
    assert!(
        ended.code == Some(1) && ended.text.contains("no/such/file"),
        "{}",
        ended.text
    );
}

#[test]
fn records_that_are_refused_are_told_and_a_trap_ends_it() {
    let line = |value: &str| format!("{{\"key\":\"a\",\"value\":\"{value}\"}}\n");
    let (_folder, some) = file(&[line("good"), line("dead one"), line("skip it"), line("good")].concat());
    let told = report("refuses", &["--records", &some, "--max", "400"]);
    let plugin = of(&told, "plugin");
    assert_eq!(figure(plugin, "refused") * 2.0, figure(plugin, "records"));
    assert_eq!(plugin["first-refusal"], "dead one");
    let ended = bench("refuses", &["--records", &some, "--max", "400"]);
    assert!(
        ended.code == Some(0) && ended.text.contains("records were refused") && ended.text.contains("dead one"),
        "{}",
        ended.text
    );

    let (_folder, all) = file(&line("dead all"));
    let ended = bench("refuses", &["--records", &all]);
    assert_eq!(ended.code, Some(10), "{}", ended.text);
    assert!(
        ended.text.contains("refused each of the first 1 records: dead all"),
        "{}",
        ended.text
    );

    let (_folder, trap) = file(&[line("good"), line("trap here")].concat());
    let ended = bench("traps", &["--records", &trap]);
    assert_eq!(ended.code, Some(10), "{}", ended.text);
    for part in [
        "failed to measure `guest-traps`",
        "offset 1",
        "told to trap",
        "--records",
    ] {
        assert!(ended.text.contains(part), "{part} in\n{}", ended.text);
    }
}
