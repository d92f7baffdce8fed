//! Guests that keep state, over a task's real state.

use super::kept::{Kept, count_by_key, keyed};
use super::*;

in_both_worlds! {
    a_count_goes_on_from_batch_to_batch_and_through_a_commit,
    count_by_key_counts_the_records_of_its_case,
    what_is_undone_was_never_counted,
    a_plugin_that_keeps_state_is_not_called_without_one,
    nothing_is_kept_under_a_key_that_is_too_long,
    a_call_that_asks_for_another_time_says_what_it_left_behind,
    a_refused_record_leaves_no_change_and_nobody_sees_what_it_wrote,
    a_map_of_many_pages_is_scanned_whole,
    the_state_is_read_once_a_batch_however_often_the_plugin_asks,
}

fn a_count_goes_on_from_batch_to_batch_and_through_a_commit(world: World) {
    let (mut kept, mut operator) = (Kept::new(), count_by_key(world));
    let mut batch = keyed(&[
        (Some("a"), ""),
        (Some("b"), ""),
        (None, ""),
        (Some("a"), ""),
        (Some(""), ""),
    ]);
    for (round, counts) in [["1", "1", "2", "1"], ["3", "2", "4", "2"], ["5", "3", "6", "3"]]
        .into_iter()
        .enumerate()
    {
        let outcome = kept.call(&mut operator, &mut batch).unwrap();
        assert_eq!(values(&outcome.outputs[0]), counts);
        let keys: Vec<_> = outcome.outputs[0].keys.iter().collect();
        assert_eq!(keys, [Some(&b"a"[..]), Some(b"b"), Some(b"a"), Some(b"")]);
        assert_eq!(outcome.outputs[0].timestamps, [0, 1, 3, 4]);
        assert_eq!(refusals(&outcome), [(2, Refusal::DeadLetter)]);
        assert_eq!(outcome.refused[0].reason, "the record has no key");
        kept.state().keep();
        if round == 1 {
            kept.state().apply("sb1:-:views/0:0:-").unwrap();
        }
    }
    assert_eq!(kept.value("total", b"a"), Some(vec![6]));
}

/// The records of a case, with their indexes as offsets.
fn of_case(name: &str) -> Records {
    let file =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("../plugins/count-by-key/cases/basic/{name}.jsonl"));
    let mut records = Records::default();
    for (at, line) in std::fs::read_to_string(file).unwrap().lines().enumerate() {
        crate::json_lines::read(line.as_bytes(), 0, &mut records).unwrap();
        records.offsets.truncate(at);
        records.offsets.push(at as i64);
    }
    records
}

fn count_by_key_counts_the_records_of_its_case(world: World) {
    let outcome = Kept::new()
        .call(&mut count_by_key(world), &mut of_case("input"))
        .unwrap();
    let (output, expected) = (&outcome.outputs[0], of_case("output"));
    assert_eq!((&output.keys, &output.values), (&expected.keys, &expected.values));
    assert_eq!(output.timestamps, expected.timestamps);
    assert!(output.headers.is_empty());
    assert_eq!(refusals(&outcome), [(3, Refusal::DeadLetter)]);
}

/// A `get` of the plugin's is answered from what was looked up for the whole batch.
fn the_state_is_read_once_a_batch_however_often_the_plugin_asks(world: World) {
    let (mut kept, mut operator) = (Kept::new(), count_by_key(world));
    let keys: Vec<String> = (0..1000).map(|number| format!("key-{}", number % 100)).collect();
    let rows: Vec<_> = keys.iter().map(|key| (Some(key.as_str()), "")).collect();
    let mut batch = keyed(&rows);
    kept.call(&mut operator, &mut batch).unwrap();
    kept.state().keep();
    kept.state().apply("sb1:-:views/0:0:-").unwrap();
    kept.open_again();
    let outcome = kept.call(&mut operator, &mut batch).unwrap();
    assert_eq!(values(&outcome.outputs[0]).last(), Some(&"20"));
    let read = kept.state().stats();
    assert_eq!(
        (read.multi_gets, read.multi_get_keys),
        (1, 100),
        "for a thousand reads of a hundred keys"
    );
}

fn what_is_undone_was_never_counted(world: World) {
    let (mut kept, mut operator) = (Kept::new(), count_by_key(world));
    kept.call(&mut operator, &mut keyed(&[(Some("a"), "")])).unwrap();
    kept.state().keep();
    kept.call(&mut operator, &mut keyed(&[(Some("a"), ""), (Some("b"), "")]))
        .unwrap();
    kept.state().undo();
    let outcome = kept
        .call(&mut operator, &mut keyed(&[(Some("a"), ""), (Some("b"), "")]))
        .unwrap();
    assert_eq!(values(&outcome.outputs[0]), ["2", "1"]);
}

fn a_plugin_that_keeps_state_is_not_called_without_one(world: World) {
    let mut outcome = Outcome::default();
    let call = Call {
        records: &mut keyed(&[(Some("a"), "")]),
        inputs: &[],
        time: &CallTime::default(),
        most_timers: 1000,
        cut_behind: 0..0,
        partition: 0,
        room: usize::MAX,
    };
    let error = count_by_key(world).process(call, &mut None, &mut outcome).unwrap_err();
    assert!(
        matches!(&error, CallError::State(error) if error.kind == Kind::Bug),
        "{error:?}"
    );
}

fn nothing_is_kept_under_a_key_that_is_too_long(world: World) {
    let (mut kept, mut operator) = (Kept::new(), count_by_key(world));
    let (most, long) = ("k".repeat(4096), "k".repeat(4097));
    let outcome = kept
        .call(
            &mut operator,
            &mut keyed(&[(Some(&most), ""), (Some(&long), ""), (Some("a"), "")]),
        )
        .unwrap();
    assert_eq!(refusals(&outcome), [(1, Refusal::Fault)]);
    let reason = &outcome.refused[0].reason;
    assert!(
        reason.contains("under a key of 4097 bytes; 4096 are the most"),
        "{reason}"
    );
    assert_eq!(values(&outcome.outputs[0]), ["1", "1"]);
    assert_eq!(kept.value("total", long.as_bytes()), None);
    assert_eq!(kept.value("total", most.as_bytes()), Some(vec![1]));
}

#[expect(
    clippy::too_many_lines,
    reason = "a table: each lie, and the sentence that finds it out"
)]
#[test]
fn every_lie_about_state_is_found_out_and_leaves_no_change() {
    for (lie, sentence) in [
        ("store-beyond", "changes store 3, but the plugin declares 3"),
        ("kind-beyond", "has a change of kind 4 of store `one`"),
        (
            "append-to-value",
            "appends to store `one`, which a value store does not know",
        ),
        ("clear-value", "clears store `one`, which a value store does not know"),
        (
            "put-into-list",
            "puts into store `many`, which a list store does not know",
        ),
        (
            "delete-from-list",
            "deletes from store `many`, which a list store does not know",
        ),
        (
            "append-to-map",
            "appends to store `by`, which a map store does not know",
        ),
        ("put-nothing", "puts into store `one` without a value"),
        ("append-nothing", "appends to store `many` without a value"),
        ("delete-something", "deletes from store `one` with a value"),
        ("value-by-user-key", "puts into store `one` with a user key"),
        ("list-by-user-key", "appends to store `many` with a user key"),
        ("map-without-user-key", "puts into store `by` without a user key"),
        ("key-beyond", "changes store `one` under key 1 of 1"),
        ("no-key", "changes store `one` under key 4294967295 of 1"),
        ("long-user-key", "under a user key of 4097 bytes"),
        ("large-value", "puts into store `one` a value of 1048577 bytes"),
        ("large-item", "appends to store `many` a value of 1048577 bytes"),
        ("kinds-missing", "has 1 changes, but 0 kinds of changes"),
        ("keys-missing", "has 1 changes, but 0 keys of changes"),
        ("user-keys-missing", "has 1 changes, but 0 user keys of changes"),
        ("values-missing", "has 1 changes, but 0 values of changes"),
        ("stores-left-over", "has 2 changes, but 1 kinds of changes"),
        ("value-ends-beyond", "bytes of changed values, but they end at"),
        ("user-key-absent-beyond", "has an absent user key at 4294967295 of 1"),
        ("read-store-beyond", "it read store 3, but declares 3"),
        (
            "read-value-as-map",
            "it read store `one` as a map store; it is a value store",
        ),
        (
            "read-map-as-list",
            "it read store `by` as a list store; it is a map store",
        ),
        ("scan-list", "it read store `many` as a map store; it is a list store"),
        ("read-long-key", "it read store `many` under a key of 4097 bytes"),
        (
            "user-keys-fall",
            "it asked for a column that has user key ends that fall",
        ),
        ("page-of-none", "it asked for a page of no entries"),
    ] {
        let (mut kept, mut operator) = (Kept::new(), operator("lies-about-state"));
        let mut batch = keyed(&[
            (Some("a"), "1"),
            (Some("b"), "2"),
            (Some("liar"), lie),
            (Some("a"), "3"),
        ]);
        let outcome = kept.call(&mut operator, &mut batch).unwrap();
        assert_eq!(refusals(&outcome), [(2, Refusal::Fault)], "{lie}");
        let reason = &outcome.refused[0].reason;
        assert!(reason.contains(sentence), "{lie}: {reason}");
        assert_eq!(values(&outcome.outputs[0]), ["1", "2", "3"], "{lie}");
        assert_eq!(kept.value("one", b"a"), Some(b"3".to_vec()), "{lie}");
        assert_eq!(kept.value("one", b"b"), Some(b"2".to_vec()), "{lie}");
        assert_eq!(kept.value("one", b"liar"), None, "{lie}");
        let stats = operator.stats();
        let reads = lie.starts_with("read") || ["scan-list", "user-keys-fall", "page-of-none"].contains(&lie);
        assert!(
            if reads { stats.traps > 0 } else { stats.bad_outcomes > 0 },
            "{lie}: {stats:?}"
        );
    }
}

fn a_call_that_asks_for_another_time_says_what_it_left_behind(world: World) {
    let (mut kept, mut operator) = (Kept::new(), operator_in(world, "keeps"));
    let whole = [(Some("a"), "push:1"), (Some("a"), "push:2 retry")];
    let error = kept.call(&mut operator, &mut keyed(&whole)).unwrap_err();
    assert_eq!(error, CallError::Retry("told to retry".into()));
    assert!(!operator.left_changes() && kept.items("list", b"a").is_empty());
    // A trap cuts the batch, so that its first part has changed something when the last one wants another time.
    let cut = [
        (Some("a"), "push:1"),
        (Some("a"), "trap"),
        (Some("a"), "push:2"),
        (Some("a"), "retry"),
    ];
    kept.call(&mut operator, &mut keyed(&cut)).unwrap_err();
    assert!(operator.left_changes() && !kept.items("list", b"a").is_empty());
    kept.state().undo();
    assert!(kept.items("list", b"a").is_empty());
    kept.call(&mut operator, &mut keyed(&[(Some("a"), "push:1")])).unwrap();
    assert!(!operator.left_changes());
}

fn a_refused_record_leaves_no_change_and_nobody_sees_what_it_wrote(world: World) {
    let (mut kept, mut operator) = (Kept::new(), operator_in(world, "keeps"));
    kept.call(
        &mut operator,
        &mut keyed(&[(Some("a"), "push:0 put:x=0 put:y=0 set:0")]),
    )
    .unwrap();
    let batch = [
        (Some("a"), "push:1 put:x=1 set:1"),
        (
            Some("a"),
            "clear-list clear-map unset push:9 put:x=9 put:z=9 set:9 refuse",
        ),
        (Some("a"), "items scan value"),
        (Some("b"), "push:9 put:x=9 set:9 clear-map refuse"),
        (Some("b"), "items scan value"),
        (Some("a"), "clear-map put:y=2 unset"),
        (Some("a"), "put:x=9 delete:y refuse"),
        (Some("a"), "scan get:x get:y value"),
    ];
    let outcome = kept.call(&mut operator, &mut keyed(&batch)).unwrap();
    assert_eq!(
        values(&outcome.outputs[0]),
        [
            "",
            r#"["0", "1"]x=1,y=0,Some("1")"#,
            "[]None",
            "",
            r#"y=2,NoneSome("2")None"#
        ]
    );
    assert_eq!(kept.entries("map", b"a").len(), 1);
    assert_eq!(kept.value("value", b"a"), None);
    assert!(kept.entries("map", b"b").is_empty() && kept.items("list", b"b").is_empty());
    assert_eq!(kept.value("value", b"b"), None);
}

fn a_map_of_many_pages_is_scanned_whole(world: World) {
    let (mut kept, mut operator) = (Kept::new(), operator_in(world, "keeps"));
    let put: Vec<String> = (0..2500).map(|at| format!("put:{at:05}={at}")).collect();
    kept.call(&mut operator, &mut keyed(&[(Some("a"), &put.join(" "))]))
        .unwrap();
    kept.state().keep();
    kept.state().apply("sb1:-:views/0:0:-").unwrap();
    let batch = [(
        Some("a"),
        "delete:01500 put:00999x=new put:02499x=last delete:02499 scan:",
    )];
    let outcome = kept.call(&mut operator, &mut keyed(&batch)).unwrap();
    let mut expected: Vec<String> = (0..2500).map(|at| format!("{at:05}={at}")).collect();
    expected[2499] = "02499x=last".to_owned();
    expected.remove(1500);
    expected.insert(1000, "00999x=new".to_owned());
    let said: Vec<_> = values(&outcome.outputs[0])[0]
        .split_terminator(',')
        .map(str::to_owned)
        .collect();
    assert_eq!(said, expected);
}

#[test]
fn an_output_with_another_key_is_a_fault_before_kept_state_only() {
    let batch = [(Some("a"), "1"), (Some("b"), "2")];
    let mut outcome = Outcome::default();
    // It emits null keys.
    let (mut kept, lies) = (Kept::new(), operator("lies-about-state"));
    let mut watched = lies.watch_keys();
    let call = Call {
        records: &mut keyed(&batch),
        inputs: &[],
        time: &CallTime::default(),
        most_timers: 1000,
        cut_behind: 0..0,
        partition: 0,
        room: usize::MAX,
    };
    watched.process(call, &mut kept.state, &mut outcome).unwrap();
    assert_eq!(refusals(&outcome), [(0, Refusal::Fault), (1, Refusal::Fault)]);
    assert!(
        outcome.refused[0].reason.contains("another key than that of event 0"),
        "{}",
        outcome.refused[0].reason
    );
    let mut keeper = count_by_key(World::Processor).watch_keys();
    let outcome = kept.call(&mut keeper, &mut keyed(&batch)).unwrap();
    assert_eq!(values(&outcome.outputs[0]), ["1", "1"]);
}

#[test]
fn a_plugin_tells_what_it_keeps() {
    let described = |plugin: &Plugin| plugin.description().stores.clone();
    let count = engine().load(&built("plugins", "count-by-key")).unwrap();
    let total = &described(&count)[0];
    assert_eq!(
        (total.name.as_str(), total.kind, total.codec.as_str()),
        ("total", StoreKind::Value, "postcard")
    );
    assert!(count.description().needs.keeps_key);
    let keeps = described(&guest("keeps"));
    let kinds: Vec<_> = keeps.iter().map(|store| store.kind).collect();
    assert_eq!(
        kinds,
        [StoreKind::List, StoreKind::Map, StoreKind::Value, StoreKind::Value]
    );
    assert_eq!(
        (keeps[2].schema_version, keeps[2].readable_from, keeps[2].codec.as_str()),
        (2, 1, "raw")
    );
}

#[test]
fn what_a_plugin_keeps_can_be_shown() {
    let said = |plugin: &Plugin| -> Vec<serde_json::Value> {
        let schemas = plugin.state_schemas().iter();
        schemas.map(|schema| serde_json::from_str(schema).unwrap()).collect()
    };
    let count = engine().load(&built("plugins", "count-by-key")).unwrap();
    assert_eq!(said(&count), [serde_json::json!({ "value": "u64", "enums": {} })]);
    let text = serde_json::json!({ "value": "string", "enums": {} });
    let map = serde_json::json!({ "value": "string", "enums": {}, "user-key": "string" });
    assert_eq!(said(&guest("keeps")), [text.clone(), map, serde_json::json!({}), text]);
    // It was built by hand, and has the world `processor` alone.
    assert!(guest("lies-about-state").state_schemas().is_empty());
}
