//! `sandbar inspect`: what a plugin is and may do, and what differs between two builds of it.

use crate::upgrades::aged;
use sandbar_tests::guard::Folder;
use sandbar_tests::process::{self, Ended, component};
use sandbar_tests::target;
use serde_json::Value;
use std::path::{Path, PathBuf};

fn inspect(words: &[&dyn AsRef<std::ffi::OsStr>]) -> Ended {
    let words: Vec<&std::ffi::OsStr> = ["inspect".as_ref()]
        .into_iter()
        .chain(words.iter().map(|word| word.as_ref()))
        .collect();
    process::run(&words)
}

/// What stands on standard output, though an error follows it.
fn object(ended: &Ended) -> Value {
    let line = ended.text.lines().find(|line| !line.starts_with("{\"error\""));
    serde_json::from_str(line.expect("a line")).expect("a JSON object")
}

fn differences(ended: &Ended) -> Vec<(String, String)> {
    let object = object(ended);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let each = object["differences"].as_array().expect("a list").iter();
    each.map(|of| (text(&of["of"]), text(&of["name"]))).collect()
}

/// A file of another version of the guest `ages`, named after it.
fn version(folder: &Folder, version: u32, reads: u32) -> PathBuf {
    let path = folder.path().join(format!("ages-{version}-{reads}.wasm"));
    std::fs::write(&path, aged(version, reads)).unwrap();
    path
}

#[test]
fn a_plugin_is_shown_with_how_it_was_made_what_it_may_do_and_its_form() {
    let ended = inspect(&[&component("window")]);
    assert_eq!(ended.code, Some(0), "{}", ended.text);
    for words in [
        "  world     sandbar:plugin/processor@0.1.0\n",
        "  language  Rust\n",
        "rustc 1.",
        "wit-component 0.",
        "  traps     name their functions",
        "  stores    ",
        "it writes lines to its operator's log",
        "    allowed-lateness  text, optional, matches ^[0-9]+(ms|s|m|h|d)$: for how long a window takes records",
        "one of \"global\", { tumbling, offset? }",
    ] {
        assert!(ended.text.contains(words), "{words}:\n{}", ended.text);
    }
    let shown = object(&inspect(&[&component("window"), &"-o", &"json"]));
    let bytes = std::fs::metadata(component("window")).unwrap().len();
    assert_eq!(shown["file"]["bytes"], bytes);
    assert_eq!(shown["file"]["languages"][0]["name"], "Rust");
    assert_eq!(shown["world"], "processor");
    assert_eq!(
        shown["granted"].as_array().unwrap().len(),
        shown["imports"].as_array().unwrap().len()
    );
    let keys = shown["config"]["keys"].as_array().unwrap();
    let window = keys.iter().find(|key| key["name"] == "window").unwrap();
    assert_eq!(window["required"], true);
    assert_eq!(
        shown["config-schema"]["type"], "object",
        "the schema itself is there as before"
    );
}

#[test]
fn what_wasi_grants_is_told_as_virtual() {
    let text = inspect(&[&component("wasi")]).text;
    for words in [
        "the clock shows the time of the record",
        "there are no folders",
        "there is no network",
    ] {
        assert!(text.contains(words), "{words}:\n{text}");
    }
}

#[test]
fn a_file_does_not_differ_from_itself() {
    let plugin = component("count-by-key");
    let ended = inspect(&[&plugin, &"--diff", &plugin]);
    assert_eq!(ended.code, Some(0), "{}", ended.text);
    assert!(ended.text.contains("nothing differs"), "{}", ended.text);
    assert!(ended.text.contains("could go on with its state: yes"), "{}", ended.text);
}

/// Exit code 8, and the rules by which `upgrades` shows that a run goes on or ends.
#[test]
fn whether_a_pipeline_goes_on_with_its_state_is_told_as_a_restore_has_it() {
    let folder = Folder::new("sandbar-inspect-");
    let file = |(number, reads)| version(&folder, number, reads);
    for (old, new, goes_on, unless) in [
        ((1, 1), (2, 1), "yes", ""),
        (
            (2, 1),
            (3, 2),
            "yes",
            "store `written` has entries still that were written with schema version 1 or before",
        ),
        ((1, 1), (2, 2), "no", ""),
        ((2, 1), (1, 1), "no", ""),
    ] {
        let ended = inspect(&[&file(new), &"--diff", &file(old), &"-o", &"json"]);
        assert_eq!(ended.code, Some(8), "{old:?} {new:?}: {}", ended.text);
        let told = object(&ended);
        assert_eq!(told["goes-on"], goes_on, "{old:?} {new:?}: {told}");
        assert_eq!(
            told["unless"][0].as_str().unwrap_or_default(),
            unless,
            "{old:?} {new:?}: {told}"
        );
        assert!(
            differences(&ended).contains(&("store".to_owned(), "written".to_owned())),
            "{told}"
        );
    }
    let text = inspect(&[&file((2, 2)), &"--diff", &file((1, 1))]).text;
    for words in [
        "~ store written  value, postcard, schema 1 → value, postcard, schema 2",
        "store `written`: not restored: store `written` was written with schema version 1; the plugin has version 2",
        "a pipeline could go on with its state: no",
    ] {
        assert!(text.contains(words), "{words}:\n{text}");
    }
}

#[test]
fn a_store_that_is_gone_needs_a_persons_word_and_timers_too() {
    let ended = inspect(&[
        &component("filter"),
        &"--diff",
        &component("window-count"),
        &"-o",
        &"json",
    ]);
    assert_eq!(ended.code, Some(8), "{}", ended.text);
    let told = object(&ended);
    assert_eq!(told["goes-on"], "allow-dropped-state", "{told}");
    let stores = told["stores"].as_array().unwrap();
    assert!(
        stores.iter().any(|store| store["store"] == "timers:event-time"),
        "{told}"
    );
    assert!(stores.iter().all(|store| store["fate"] == "dropped"), "{told}");
    let differs = differences(&ended);
    for (of, name) in [
        ("timer", "windows"),
        ("config", "size"),
        ("config", "field"),
        ("plugin", ""),
        ("size", ""),
    ] {
        assert!(
            differs.iter().any(|it| it == &(of.to_owned(), name.to_owned())),
            "{of} {name}: {differs:?}"
        );
    }
    let text = inspect(&[&component("filter"), &"--diff", &component("window-count")]).text;
    assert!(text.contains("timers on event-time: not restored"), "{text}");
    assert!(
        text.contains("could go on with its state: only with --allow-dropped-state"),
        "{text}"
    );
}

/// That state goes on with `forgets`, `upgrades` shows. A timer that nobody declares ends a run when it is due.
#[test]
fn timers_that_wait_for_nobody_are_told() {
    let told = |new: &str, old: &str| object(&inspect(&[&component(new), &"--diff", &component(old), &"-o", &"json"]));
    let forgets = told("forgets", "count-by-key");
    assert_eq!(
        (&forgets["goes-on"], &forgets["unless"]),
        (&"yes".into(), &Value::Array(Vec::new()))
    );
    let timed = told("window", "timed");
    let fate = |name: &str| {
        let stores = timed["stores"].as_array().unwrap();
        stores.iter().find(|store| store["store"] == name).unwrap()["fate"].clone()
    };
    assert_eq!(fate("timers:event-time"), "restored");
    assert_eq!(fate("timers:processing-time"), "dropped");
    let unless = timed["unless"].as_array().unwrap();
    assert_eq!(unless.len(), 2, "those on event time: {timed}");
    assert!(
        unless.contains(&"timer `a` is set for a key: nobody declares it when it is due".into()),
        "{timed}"
    );
}

#[test]
fn the_other_world_is_a_difference_and_no_reason_to_lose_state() {
    let (old, new) = (
        component("count-by-key"),
        target().join("record-plugins/count-by-key.wasm"),
    );
    let ended = inspect(&[&new, &"--diff", &old, &"-o", &"json"]);
    let differs = differences(&ended);
    assert!(differs.contains(&("world".to_owned(), String::new())), "{differs:?}");
    assert!(
        differs.contains(&("import".to_owned(), "sandbar:plugin/state@0.1.0".to_owned())),
        "{differs:?}"
    );
    assert_eq!(object(&ended)["goes-on"], "yes");
}

#[test]
fn a_configuration_is_tried_on_both() {
    let folder = Folder::new("sandbar-inspect-");
    let (old, new) = (component("window-count"), component("filter"));
    let tried = |config: &Path| inspect(&[&new, &"--diff", &old, &"--config", &config, &"-o", &"json"]);
    let json = folder.path().join("config.json");
    std::fs::write(&json, r#"{"size":"10s"}"#).unwrap();
    let told = object(&tried(&json));
    let of_both = |told: &Value| {
        [
            told["configs"][0]["old"]["accepted"].clone(),
            told["configs"][0]["new"]["accepted"].clone(),
        ]
    };
    assert_eq!(of_both(&told), [true, false], "{told}");
    let pipeline = folder.path().join("pipeline.toml");
    let operators = |last: &str| {
        format!(
            "name = \"two\"\n[source.in]\nfile = \"in.jsonl\"\n[operator.one]\nplugin = \"{}\"\ninputs = [\"in\"]\n\
             config = {{ field = \"/n\", at-least = 1 }}\n[operator.two]\nplugin = \"{last}\"\ninputs = [\"one\"]\n\
             [sink.out]\nfrom = [\"two\"]\nfile = \"-\"\n",
            new.display()
        )
    };
    std::fs::write(&pipeline, operators(&component("pass-through").display().to_string())).unwrap();
    let told = object(&tried(&pipeline));
    assert_eq!(told["configs"].as_array().unwrap().len(), 1, "{told}");
    assert_eq!(
        (&told["configs"][0]["of"], of_both(&told)),
        (&"one".into(), [false.into(), true.into()]),
        "{told}"
    );
    std::fs::write(
        &pipeline,
        operators("a.wasm").replace(&new.display().to_string(), "b.wasm"),
    )
    .unwrap();
    let ended = tried(&pipeline);
    assert_eq!(ended.code, Some(2), "{}", ended.text);
    assert!(ended.text.contains("has one of the two plugins"), "{}", ended.text);
}
