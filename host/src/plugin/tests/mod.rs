//! The cage against real guests: those of `tests/guests`, each of which has one sin, and the ready-made plugins.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use super::*;
use crate::config::Limits;
use crate::error::{Error, Kind};
use crate::record::Records;

mod state;

fn engine() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(|| Engine::new(None).unwrap())
}

fn built(folder: &str, name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("../target/{folder}/{name}.wasm"));
    assert!(
        path.exists(),
        "target/{folder}/{name}.wasm is missing: run `make plugins`"
    );
    path
}

fn guest(name: &str) -> Plugin {
    engine().load(&built("guests", name)).unwrap()
}

fn refused(name: &str) -> Error {
    engine().load(&built("guests", name)).unwrap_err()
}

fn limits() -> Limits {
    Limits {
        memory_bytes: 64 << 20,
        call_time: Duration::from_secs(30),
    }
}

fn operator(name: &str) -> Operator {
    guest(name).operator("op", "", limits()).unwrap()
}

/// Records with these values, keys `k`, a header each, and offsets from 1000 on.
fn records(values: &[&str]) -> Records {
    let mut records = Records::default();
    for (at, value) in values.iter().enumerate() {
        records.keys.push(Some(b"k"));
        records.values.push(Some(value.as_bytes()));
        records.timestamps.push(1_700_000_000_000 + at as i64);
        records.headers.push(at as u32, b"trace", Some(b"1"));
        records.offsets.push(1000 + at as i64);
    }
    records
}

fn process(operator: &mut Operator, values: &[&str]) -> Result<Outcome, CallError> {
    let mut outcome = Outcome::default();
    let mut records = records(values);
    let before = records.clone();
    let call = Call {
        records: &mut records,
        input: 0,
        partition: 3,
    };
    let done = operator.process(call, &mut None, &mut outcome);
    assert_eq!(records, before, "a call gives the records back as they were");
    done.map(|()| outcome)
}

fn values(records: &Records) -> Vec<&str> {
    records
        .values
        .iter()
        .map(|value| std::str::from_utf8(value.unwrap()).unwrap())
        .collect()
}

/// What was refused: where and how.
fn refusals(outcome: &Outcome) -> Vec<(u32, Refusal)> {
    outcome
        .refused
        .iter()
        .map(|refused| (refused.record, refused.how))
        .collect()
}

mod loading {
    use super::*;

    fn load(bytes: &[u8]) -> Error {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("p.wasm");
        std::fs::write(&path, bytes).unwrap();
        engine().load(&path).unwrap_err()
    }

    #[test]
    fn each_file_that_is_no_plugin_has_its_own_sentence() {
        let core = b"\0asm\x01\0\0\0";
        for (bytes, sentence) in [
            (&b""[..], "the file is empty"),
            (b"[package]\nname = \"filter\"\n", "it is a text file"),
            (b"\x7fELF\x02\x01\x01\0", "it is a native binary"),
            (b"\x89PNG\r\n\x1a\n\0\0", "it is not WebAssembly at all"),
            (core, "it is a core WebAssembly module, not a component"),
            (b"\0asm\x07\0\0\0", "it is WebAssembly of another version"),
            (b"\0asm\x0d\0\x01\0", "it does not export `describe`, `open`, `process`"),
        ] {
            let error = load(bytes);
            assert_eq!(error.kind, Kind::Plugin);
            assert!(error.what.starts_with("failed to load plugin `"), "{}", error.what);
            assert!(error.why.contains(sentence), "{} instead of {sentence}", error.why);
        }
    }

    #[test]
    fn a_missing_file_and_a_folder_are_told() {
        let dir = tempfile::tempdir().unwrap();
        let error = engine().load(&dir.path().join("none.wasm")).unwrap_err();
        assert_eq!(
            (error.kind, error.why.as_str()),
            (Kind::Plugin, "there is no such file")
        );
        assert!(engine().load(dir.path()).unwrap_err().why.contains("it is a folder"));
    }

    #[test]
    fn a_component_cut_anywhere_is_refused_and_nothing_panics() {
        let whole = std::fs::read(built("plugins", "pass-through")).unwrap();
        for cut in (0..whole.len()).step_by(whole.len() / 97) {
            assert_eq!(load(&whole[..cut]).kind, Kind::Plugin);
        }
    }

    #[test]
    fn a_component_with_any_byte_changed_is_refused_or_works_and_nothing_panics() {
        let whole = std::fs::read(built("guests", "lies")).unwrap();
        for at in (8..whole.len()).step_by(whole.len() / 31) {
            let mut changed = whole.clone();
            changed[at] ^= 0x55;
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("p.wasm");
            std::fs::write(&path, &changed).unwrap();
            let _ = engine().load(&path);
        }
    }

    #[test]
    fn a_file_that_is_too_large_is_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("p.wasm");
        std::fs::File::create(&path).unwrap().set_len(1 << 40).unwrap();
        assert!(engine().load(&path).unwrap_err().why.contains("larger than 64MiB"));
    }

    #[test]
    fn a_component_of_the_other_world_is_refused_with_a_sentence() {
        let error = refused("record-world");
        assert_eq!(error.kind, Kind::Plugin);
        assert!(error.why.contains("world `record-processor`"), "{}", error.why);
    }

    #[test]
    fn a_foreign_import_is_refused_by_name() {
        let error = refused("foreign-import");
        assert_eq!(error.kind, Kind::Plugin);
        assert!(error.why.contains("`evil:net/sockets`"), "{}", error.why);
        assert!(!error.why.contains("sandbar:plugin/log"), "{}", error.why);
    }

    #[test]
    fn another_version_of_the_interface_is_told_as_such() {
        let mut bytes = std::fs::read(built("plugins", "pass-through")).unwrap();
        let name = b"sandbar:plugin/log@0.1.0";
        let places: Vec<usize> = bytes
            .windows(name.len())
            .enumerate()
            .filter(|(_, at)| at == name)
            .map(|(at, _)| at)
            .collect();
        assert!(!places.is_empty());
        places.iter().for_each(|at| bytes[at + name.len() - 3] = b'7');
        let error = load(&bytes);
        assert!(
            error
                .why
                .contains("version 0.7.0 of the plugin interface; this host serves 0.1.0"),
            "{}",
            error.why
        );
    }

    #[test]
    fn an_insane_description_is_refused() {
        let error = refused("bad-describe");
        assert_eq!(error.kind, Kind::Plugin);
        assert_eq!(error.why, "its name is empty");
    }

    #[test]
    fn a_plugin_tells_what_it_is() {
        let plugin = engine().load(&built("plugins", "filter")).unwrap();
        assert_eq!(plugin.description().name, "filter");
        assert_eq!(plugin.description().outputs.len(), 1);
        assert!(plugin.exports().iter().any(|name| name == "process"));
        assert!(plugin.imports().iter().all(|name| name.starts_with("sandbar:plugin/")));
        assert_eq!(plugin.digest().len(), 64);
    }
}

mod configured {
    use super::*;

    #[test]
    fn the_schema_and_the_plugin_judge_the_config() {
        let filter = engine().load(&built("plugins", "filter")).unwrap();
        assert!(
            filter
                .operator("op", r#"{"field": "/ms", "at-least": 5}"#, limits())
                .is_ok()
        );
        for config in ["", "{}", r#"{"field": 1, "at-least": 5}"#, "{", "[]"] {
            assert_eq!(
                filter.operator("op", config, limits()).unwrap_err().kind,
                Kind::Invalid,
                "{config}"
            );
        }
        let error = guest("bad-config").operator("op", "", limits()).unwrap_err();
        assert_eq!(error.kind, Kind::Invalid);
        assert_eq!(error.why, "the plugin refused it: no configuration is good enough");
    }

    #[test]
    fn a_config_for_a_plugin_that_takes_none_is_refused() {
        let error = guest("traps").operator("op", r#"{"a": 1}"#, limits()).unwrap_err();
        assert_eq!(error.kind, Kind::Invalid);
    }

    #[test]
    fn a_plugin_larger_than_its_memory_is_refused_before_it_runs() {
        let tiny = Limits {
            memory_bytes: 64 << 10,
            ..limits()
        };
        let error = guest("traps").operator("op", "", tiny).unwrap_err();
        assert_eq!(error.kind, Kind::Plugin);
        assert_eq!(
            error.why.lines().next(),
            Some("the plugin reached its memory limit of 64KiB")
        );
    }
}

mod calls {
    use super::*;

    #[test]
    fn pass_through_passes_everything_unchanged() {
        let plugin = engine().load(&built("plugins", "pass-through")).unwrap();
        let mut operator = plugin.operator("op", "", limits()).unwrap();
        let mut mine = records(&["a", "", "ccc", "d"]);
        mine.keys = Default::default();
        mine.values = Default::default();
        for at in 0..4u8 {
            mine.keys.push((at % 2 == 0).then_some(&[at][..]));
            mine.values.push((at % 3 == 0).then_some(b"v"));
        }
        mine.timestamps[2] = -1;
        let mut outcome = Outcome::default();
        for _ in 0..3 {
            operator
                .process(
                    Call {
                        records: &mut mine,
                        input: 0,
                        partition: 0,
                    },
                    &mut None,
                    &mut outcome,
                )
                .unwrap();
            assert_eq!(outcome.outputs, [mine.clone()]);
        }
        assert_eq!(operator.stats().calls, 3);
        assert_eq!(operator.stats().recycled, 0);
    }

    #[test]
    fn filter_keeps_refuses_and_drops() {
        let plugin = engine().load(&built("plugins", "filter")).unwrap();
        let mut operator = plugin
            .operator("op", r#"{"field": "/ms", "at-least": 5}"#, limits())
            .unwrap();
        let outcome = process(
            &mut operator,
            &[r#"{"ms":7}"#, r#"{"ms":1}"#, "not json", r#"{"ms":5,"x":1}"#],
        )
        .unwrap();
        assert_eq!(values(&outcome.outputs[0]), [r#"{"ms":7}"#, r#"{"ms":5,"x":1}"#]);
        assert_eq!(outcome.outputs[0].offsets, [1000, 1003]);
        assert_eq!(refusals(&outcome), [(2, Refusal::DeadLetter)]);
        assert!(!outcome.refused[0].reason.is_empty());
    }

    #[test]
    fn no_records_are_no_call() {
        let mut operator = operator("traps");
        assert_eq!(process(&mut operator, &[]).unwrap().outputs.len(), 1);
        assert_eq!(operator.stats().calls, 0);
    }

    #[test]
    fn a_refused_record_has_no_output() {
        let outcome = process(
            &mut operator("refuses"),
            &["a", "skip me", "b", "dead one", "fail now", "c"],
        )
        .unwrap();
        assert_eq!(values(&outcome.outputs[0]), ["a", "b", "c"]);
        assert_eq!(
            refusals(&outcome),
            [(1, Refusal::Skip), (3, Refusal::DeadLetter), (4, Refusal::Fail)]
        );
        assert_eq!(outcome.refused[1].reason, "dead one");
    }

    #[test]
    fn a_retry_is_for_the_call_as_a_whole_and_keeps_the_instance() {
        let mut operator = operator("retries");
        assert_eq!(
            process(&mut operator, &["a"]),
            Err(CallError::Retry("1 more to come".into()))
        );
        assert_eq!(
            process(&mut operator, &["a"]),
            Err(CallError::Retry("0 more to come".into()))
        );
        assert_eq!(values(&process(&mut operator, &["a"]).unwrap().outputs[0]), ["a"]);
        assert_eq!(operator.stats().recycled, 0);
    }

    #[test]
    fn nothing_of_a_call_is_kept_when_a_part_of_it_asks_for_another_time() {
        let mut operator = operator("traps");
        process(&mut operator, &["a", "trap", "b"]).unwrap();
        let mut outcome = Outcome::default();
        let mut refuses = super::operator("refuses");
        let mut mine = records(&["a", "skip", "retry later"]);
        let error = refuses
            .process(
                Call {
                    records: &mut mine,
                    input: 0,
                    partition: 0,
                },
                &mut None,
                &mut outcome,
            )
            .unwrap_err();
        assert!(matches!(error, CallError::Retry(_)), "{error:?}");
        assert!(outcome.refused.is_empty() && outcome.outputs[0].is_empty());
    }
}

mod faults {
    use super::*;

    /// A batch with the sinner at every place: it is found, alone, and the others keep their outputs and order.
    fn finds(name: &str, sinner: &str, limits: Limits) -> (Operator, String) {
        let mut operator = guest(name).operator("op", "", limits).unwrap();
        let mut reason = String::new();
        for place in [0, 1, 6, 12] {
            let mut batch = vec![
                "v00", "v01", "v02", "v03", "v04", "v05", "v06", "v07", "v08", "v09", "v10", "v11", "v12",
            ];
            batch[place] = sinner;
            let outcome = process(&mut operator, &batch).unwrap();
            assert_eq!(
                refusals(&outcome),
                [(place as u32, Refusal::Fault)],
                "{:?}",
                outcome.refused
            );
            batch.remove(place);
            assert_eq!(values(&outcome.outputs[0]), batch);
            assert!(outcome.outputs[0].offsets.is_sorted());
            assert!(!outcome.outputs[0].offsets.contains(&(1000 + place as i64)));
            reason.clone_from(&outcome.refused[0].reason);
        }
        (operator, reason)
    }

    #[test]
    fn a_trap_is_blamed_on_its_record_with_the_panic_message_and_the_backtrace() {
        let (operator, reason) = finds("traps", "trap here", limits());
        let mut lines = reason.lines();
        let first = lines.next().unwrap();
        assert!(
            first.starts_with("trapped: ") && reason.contains("told to trap by"),
            "{reason}"
        );
        assert!(reason.contains("traps.wasm!"), "no backtrace in {reason}");
        assert!(operator.stats().traps > 0);
        assert_eq!(operator.stats().deadlines, 0);
    }

    #[test]
    fn a_loop_is_ended_by_the_deadline_and_blamed_on_its_record() {
        let quick = Limits {
            call_time: Duration::from_millis(100),
            ..limits()
        };
        let mut operator = guest("loops-forever").operator("op", "", quick).unwrap();
        let outcome = process(&mut operator, &["a", "loop", "b"]).unwrap();
        assert_eq!(refusals(&outcome), [(1, Refusal::Fault)]);
        assert_eq!(values(&outcome.outputs[0]), ["a", "b"]);
        assert!(
            outcome.refused[0]
                .reason
                .starts_with("did not return within its call-time of 100ms\n"),
            "{}",
            outcome.refused[0].reason
        );
        assert!(operator.stats().deadlines >= 2);
    }

    #[test]
    fn a_memory_limit_is_told_as_such_and_blamed_on_its_record() {
        let (operator, reason) = finds("eats-memory", "eat", limits());
        assert!(reason.starts_with("reached its memory limit of 64MiB\n"), "{reason}");
        assert!(operator.stats().memory_limits > 0);
        assert_eq!(operator.stats().traps, 0);
        assert!(operator.stats().memory_bytes <= 64 << 20);
    }

    #[test]
    fn a_flood_of_outputs_ends_at_the_limit() {
        let outcome = process(&mut operator("floods-output"), &["a", "flood-records", "b"]).unwrap();
        assert_eq!(refusals(&outcome), [(1, Refusal::Fault)]);
        assert_eq!(values(&outcome.outputs[0]), ["a", "b"]);
    }

    #[test]
    fn every_lie_is_found_out_and_blamed_on_its_record() {
        for (lie, sentence) in [
            ("ends-fall", "value"),
            ("ends-beyond", "bytes of values, but they end at"),
            ("ends-huge", "value"),
            ("bytes-left-over", "bytes of values, but they end at"),
            ("key-ends-unequal", "outputs, but"),
            ("cause-beyond", "has an output caused by event"),
            ("cause-timer", "has an output caused by event 4294967295"),
            ("output-beyond", "emits to output 1, but the plugin declares 1"),
            ("unequal", "timestamps"),
            ("absent-beyond", "absent key at"),
            ("absent-falls", "has absent keys that do not ascend"),
            ("absent-not-empty", "has bytes for the absent value at"),
            ("header-beyond", "has a header of output"),
            ("header-falls", "has headers that are not in the order of the outputs"),
            ("header-unequal", "headers, but"),
            ("refused-beyond", "refuses event"),
            ("refused-twice", "twice"),
            ("change", "changes state, but the plugin declares no store"),
            ("change-key-beyond", "changes state"),
            ("change-unequal", "has 1 changes, but 0 kinds of changes"),
            ("timer", "sets 1 timers, but the plugin declares none"),
            ("metric-beyond", "measures metric 7, but the plugin declares 0"),
        ] {
            let mut operator = operator("lies");
            let outcome = process(&mut operator, &["a", "b", lie, "c"]).unwrap();
            assert_eq!(refusals(&outcome), [(2, Refusal::Fault)], "{lie}");
            let reason = &outcome.refused[0].reason;
            assert!(
                reason.starts_with("returned an outcome that ") && reason.contains(sentence),
                "{lie}: {reason}"
            );
            assert_eq!(values(&outcome.outputs[0]), ["a", "a", "b", "b", "c", "c"], "{lie}");
            assert!(operator.stats().bad_outcomes > 0);
        }
    }

    #[test]
    fn several_at_fault_are_all_found_in_order() {
        let mut operator = operator("traps");
        let batch: Vec<String> = (0..200)
            .map(|at| {
                if at % 41 == 7 {
                    format!("trap{at}")
                } else {
                    format!("v{at}")
                }
            })
            .collect();
        let batch: Vec<&str> = batch.iter().map(String::as_str).collect();
        let outcome = process(&mut operator, &batch).unwrap();
        let blamed: Vec<u32> = outcome.refused.iter().map(|refused| refused.record).collect();
        assert_eq!(blamed, [7, 48, 89, 130, 171]);
        let good: Vec<&str> = batch
            .iter()
            .copied()
            .filter(|value| !value.starts_with("trap"))
            .collect();
        assert_eq!(values(&outcome.outputs[0]), good);
    }

    #[test]
    fn where_the_pipeline_stops_at_a_fault_nothing_behind_it_is_tried() {
        let mut operator = operator("traps").stop_at_fault();
        let outcome = process(&mut operator, &["a", "trap", "trap", "trap", "trap", "trap", "b", "c"]).unwrap();
        assert_eq!(refusals(&outcome), [(1, Refusal::Fault)]);
        assert_eq!(values(&outcome.outputs[0]), ["a"]);
    }

    #[test]
    fn an_operator_goes_on_after_a_fault_as_before() {
        let mut operator = operator("traps");
        process(&mut operator, &["trap"]).unwrap();
        let recycled = operator.stats().recycled;
        assert_eq!(values(&process(&mut operator, &["a"]).unwrap().outputs[0]), ["a"]);
        assert_eq!(operator.stats().recycled, recycled + 1);
    }

    #[test]
    fn a_flood_of_log_messages_is_cut_and_counted() {
        let mut operator = operator("big-log");
        let outcome = process(&mut operator, &["a", "shout", "long", "b"]).unwrap();
        assert_eq!(values(&outcome.outputs[0]), ["a", "shout", "long", "b"]);
        assert!(
            operator.stats().log_dropped > 50_000,
            "{}",
            operator.stats().log_dropped
        );
    }
}

mod cached {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    use std::path::Path;

    fn load(dir: &Path) -> Plugin {
        let engine = Engine::new(Some(dir.to_owned())).unwrap();
        engine.load(&built("plugins", "pass-through")).unwrap()
    }

    fn works(plugin: &Plugin) {
        let mut operator = plugin.operator("op", "", limits()).unwrap();
        assert_eq!(values(&process(&mut operator, &["a"]).unwrap().outputs[0]), ["a"]);
    }

    fn entry(dir: &Path) -> PathBuf {
        let entries: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(entries.len(), 1, "{entries:?}");
        entries[0].clone()
    }

    /// An entry that was taken is not written again: it keeps its inode.
    fn inode(path: &Path) -> u64 {
        fs::metadata(path).unwrap().ino()
    }

    #[test]
    fn a_plugin_is_compiled_once() {
        let dir = tempfile::tempdir().unwrap();
        let cache = dir.path().join("a/b");
        works(&load(&cache));
        let entry = entry(&cache);
        assert_eq!(fs::metadata(&cache).unwrap().mode() & 0o777, 0o700);
        assert_eq!(fs::metadata(&entry).unwrap().mode() & 0o777, 0o600);
        let before = inode(&entry);
        works(&load(&cache));
        assert_eq!(inode(&entry), before);
    }

    #[test]
    fn a_damaged_foreign_or_short_entry_is_not_run_but_made_again() {
        let dir = tempfile::tempdir().unwrap();
        let cache = dir.path().join("cache");
        load(&cache);
        let entry = entry(&cache);
        let whole = fs::read(&entry).unwrap();
        let mut flipped = whole.clone();
        flipped[whole.len() / 2] ^= 1;
        let mut other_key = whole.clone();
        other_key[20] ^= 1;
        for damaged in [
            &flipped,
            &other_key,
            &whole[..whole.len() - 1].to_vec(),
            &whole[..40].to_vec(),
            &Vec::new(),
        ] {
            fs::write(&entry, damaged).unwrap();
            let before = inode(&entry);
            works(&load(&cache));
            assert_ne!(inode(&entry), before, "taken as it was");
            assert_eq!(fs::read(&entry).unwrap(), whole);
        }
    }

    #[test]
    fn an_entry_that_others_could_have_written_is_not_run() {
        let dir = tempfile::tempdir().unwrap();
        let cache = dir.path().join("cache");
        load(&cache);
        let entry = entry(&cache);
        let before = inode(&entry);
        fs::set_permissions(&entry, fs::Permissions::from_mode(0o666)).unwrap();
        works(&load(&cache));
        assert_ne!(inode(&entry), before);
        let before = inode(&entry);
        fs::set_permissions(&cache, fs::Permissions::from_mode(0o777)).unwrap();
        works(&load(&cache));
        assert_eq!(inode(&entry), before, "nothing is written where others write");
    }

    #[test]
    fn a_cache_that_cannot_be_written_costs_nothing_but_time() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        works(&load(&file.join("cache")));
    }
}
