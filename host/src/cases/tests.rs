//! The runner on real plugins: what it finds, and what it says of it.

use super::*;
use crate::error::Kind;
use std::path::PathBuf;

fn subject(component: &str) -> Subject {
    let target = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target");
    let made = ["plugins", "guests"].map(|folder| target.join(folder).join(format!("{component}.wasm")));
    let path = made.iter().find(|path| path.exists());
    Subject::of_plugin(path.unwrap_or_else(|| panic!("{component}.wasm is missing: run `make plugins`"))).unwrap()
}

fn case(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

fn verdict(component: &str, files: &[(&str, &str)], matrix: bool) -> CaseVerdict {
    let options = TestOptions {
        matrix: matrix.then_some(7),
        bless: false,
    };
    test(&subject(component), case(files).path(), options)
}

fn assert_ok(verdict: &CaseVerdict) {
    assert!(verdict.is_ok(), "{verdict:#?}");
}

const COUNTED: &str = "{\"key\":\"a\",\"value\":\"x\",\"timestamp\":1}\n\n{\"key\":\"b\",\"value\":\"x\"}\n\
    {\"key\":\"a\",\"value\":\"x\"}\n{\"key\":\"a\",\"value\":\"x\"}\n{\"key\":\"b\",\"value\":\"x\"}\n";

#[test]
fn what_is_not_as_expected_is_told_with_its_lines() {
    let right = "{\"key\":\"a\",\"value\":1,\"timestamp\":1}\n{\"value\":\"1\"}\n{\"value\":2}\n{\"value\":3}\n{}\n";
    assert_ok(&verdict(
        "count-by-key",
        &[("input.jsonl", COUNTED), ("output.jsonl", right)],
        true,
    ));
    let told = |output: &str| {
        let verdict = verdict(
            "count-by-key",
            &[("input.jsonl", COUNTED), ("output.jsonl", output)],
            false,
        );
        let [difference] = &verdict.runs[0].differences[..] else {
            panic!("{verdict:#?}")
        };
        (difference.place.clone(), difference.what.clone(), difference.after)
    };
    let said = |place: &str, what: &str, after| (place.to_owned(), what.to_owned(), after);
    let wrong = right.replace("{\"value\":2}", "{\"value\":4}");
    assert_eq!(told(&wrong), said("output.jsonl:3", "differs at value", Some(4)));
    assert_eq!(
        told(right.strip_suffix("{}\n").unwrap()),
        said("output.jsonl", "ends after 4 lines, and 5 came", Some(6))
    );
    assert_eq!(
        told(&format!("{right}{{}}")),
        said("output.jsonl:6", "did not come", None)
    );
}

#[test]
fn what_a_plugin_remembers_beside_its_state_is_found_and_the_place_is_named() {
    let verdict = verdict("remembers", &[("input.jsonl", COUNTED)], true);
    assert!(verdict.expects_nothing && verdict.runs[0].is_ok() && verdict.runs[1].is_ok());
    for name in [
        "checkpoint and restore after every line",
        "the instance killed before every call",
    ] {
        let run = verdict.runs.iter().find(|run| run.name == name).unwrap();
        let [difference] = &run.differences[..] else {
            panic!("{run:#?}")
        };
        assert_eq!(difference.place, "output.jsonl, line 3");
        assert_eq!(difference.after, Some(4), "the line of the input");
        let has = |line: &Option<String>, value: &str| line.as_ref().is_some_and(|line| line.contains(value));
        assert!(has(&difference.expected, "\"value\":\"2\"") && has(&difference.got, "\"value\":\"1\""));
    }
}

#[test]
fn every_kind_of_store_is_restored_and_moved_with_its_keys() {
    let mut input = String::new();
    for (at, words) in [
        "push:1 set:x put:a=1",
        "push:2 put:b=2 items",
        "scan: value",
        "delete:a push:3",
        "items scan:",
    ]
    .iter()
    .cycle()
    .take(30)
    .enumerate()
    {
        input += &format!("{{\"key\":\"k{}\",\"value\":\"{words}\"}}\n", at % 7);
        if at == 13 {
            input += "{\"restore\":true}\n";
        }
    }
    let verdict = verdict("keeps", &[("input.jsonl", &input)], true);
    assert_ok(&verdict);
    assert_eq!(verdict.runs.len(), 11);
    assert!(verdict.runs.iter().all(|run| run.left_out.is_none()));
}

#[test]
fn what_is_kept_in_the_end_is_compared_in_any_order() {
    let input = "{\"key\":\"b\",\"value\":\"push:1 push:2\"}\n{\"key\":\"a\",\"value\":\"put:x=1\"}\n";
    let state = "{\"store\":\"map\",\"key\":\"a\",\"user-key\":\"x\"}\n{\"store\":\"list\",\"key\":\"b\"}\n";
    assert_ok(&verdict(
        "keeps",
        &[("input.jsonl", input), ("state.jsonl", state)],
        false,
    ));
    let less = &state[..state.find('\n').unwrap()];
    let verdict = verdict("keeps", &[("input.jsonl", input), ("state.jsonl", less)], false);
    assert!(verdict.runs[0].differences[0].what.contains("1 more"), "{verdict:#?}");
}

#[test]
fn a_record_on_which_the_plugin_fails_fails_the_case_unless_it_is_expected() {
    let input =
        "{\"key\":\"a\",\"value\":\"x\"}\n{\"key\":\"a\",\"value\":\"trap\"}\n{\"key\":\"a\",\"value\":\"y\"}\n";
    let unexpected = verdict("traps", &[("input.jsonl", input)], false);
    let told = &unexpected.runs[0].differences[0];
    assert_eq!(told.place, "input.jsonl:2");
    let got = told.got.as_ref().unwrap();
    assert!(got.lines().count() > 2 && got.contains("guest_traps.wasm!"), "{got}");
    let fault = ("refused.jsonl", "{\"record\":1,\"how\":\"fault\"}\n");
    assert_ok(&verdict("traps", &[("input.jsonl", input), fault], true));

    let input = "{\"value\":\"dead 1\"}\n{\"value\":\"skip\"}\n{\"value\":\"fail 2\"}\n{\"value\":\"x\"}\n";
    assert!(
        !verdict("refuses", &[("input.jsonl", input)], false).is_ok(),
        "it stops there"
    );
    let refused = "{\"record\":0,\"how\":\"dead-letter\",\"reason\":\"dead 1\"}\n\
        {\"record\":2,\"how\":\"fail\",\"reason\":\"fail 2\"}\n";
    let files = [("input.jsonl", input), ("refused.jsonl", refused), ("output.jsonl", "")];
    assert_ok(&verdict("refuses", &files, true));
}

#[test]
fn the_clock_stands_where_the_case_sets_it() {
    let input = "{\"value\":\"when\"}\n{\"clock\":1700000000000}\n{\"value\":\"when\"}\n";
    let output = "{\"value\":0,\"timestamp\":0}\n{\"value\":1700000000000,\"timestamp\":1700000000000}\n";
    assert_ok(&verdict(
        "remembers",
        &[("input.jsonl", input), ("output.jsonl", output)],
        true,
    ));
}

#[test]
fn time_moves_by_the_records_unless_the_case_moves_it() {
    let record = |at: i64| format!("{{\"key\":\"a\",\"value\":1,\"timestamp\":{at}}}\n");
    let window = |start: i64, count: i64| {
        format!(
            "{{\"value\":{{\"start\":{start},\"end\":{},\"count\":{count}}}}}\n",
            start + 10
        )
    };
    let run = |input: &str, output: &str, late: &str| {
        let config = "{\"size\":\"10ms\"}";
        let files = [
            ("config.json", config),
            ("input.jsonl", input),
            ("output.jsonl", output),
            ("late.jsonl", late),
        ];
        assert_ok(&verdict("window-count", &files, true));
    };
    let records = [record(1), record(6_000), record(2)].concat();
    run(&records, &window(0, 1), &record(2));
    run(
        &format!("{records}{{\"end\":true}}"),
        &[window(0, 1), window(6_000, 1)].concat(),
        &record(2),
    );
    run(&format!("{records}{{\"watermark\":9}}"), &window(0, 2), "");
    let cut = [
        &record(1),
        "{\"watermark\":9}\n{\"restore\":true}\n",
        &record(2),
        &record(20),
    ]
    .concat();
    run(&cut, &window(0, 1), &record(2));
}

#[test]
fn a_case_that_is_wrong_is_told_with_its_line() {
    for (files, what, why) in [
        (&[("output.jsonl", "")][..], "failed to read", "No such file"),
        (
            &[("input.jsonl", "{\"value\":1}\n{\"vale\":1}")],
            "input.jsonl:2 is wrong",
            "unknown field `vale`",
        ),
        (
            &[("input.jsonl", "{\"watermark\":1,\"value\":1}")],
            "input.jsonl:1",
            "alone",
        ),
        (&[("input.jsonl", "{\"end\":false}")], "input.jsonl:1", "true"),
        (
            &[("input.jsonl", "{\"input\":\"left\"}")],
            "input.jsonl:1",
            "there is no input `left`",
        ),
        (
            &[("input.jsonl", "{\"partition\":-1}")],
            "input.jsonl:1",
            "the first is 0",
        ),
        (
            &[("input.jsonl", ""), ("config.json", "{")],
            "config.json is not JSON",
            "",
        ),
        (
            &[("input.jsonl", ""), ("outputs.jsonl", "")],
            "outputs.jsonl belongs to no output",
            "the outputs are",
        ),
        (
            &[("input.jsonl", ""), ("output.jsonl", "{\"valeu\":1}")],
            "output.jsonl:1",
            "`valeu`",
        ),
    ] {
        let verdict = verdict("count-by-key", files, false);
        let error = verdict.runs[0].error.as_ref().unwrap();
        assert_eq!(error.kind, Kind::Invalid);
        assert!(error.what.contains(what) && error.why.contains(why), "{error}");
    }
}

#[test]
fn what_comes_is_blessed_and_is_as_expected_then() {
    let folder = case(&[("input.jsonl", COUNTED), ("state.jsonl", "")]);
    let subject = subject("count-by-key");
    let bless = TestOptions {
        matrix: None,
        bless: true,
    };
    let verdict = test(&subject, folder.path(), bless);
    assert_eq!(verdict.blessed, ["output.jsonl", "state.jsonl"]);
    let state = std::fs::read_to_string(folder.path().join("state.jsonl")).unwrap();
    assert_eq!(
        state,
        "{\"store\":\"total\",\"key\":\"a\",\"value\":3}\n{\"store\":\"total\",\"key\":\"b\",\"value\":2}\n"
    );
    assert_ok(&test(&subject, folder.path(), TestOptions::default()));
}
