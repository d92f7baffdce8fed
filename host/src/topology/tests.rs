//! The wiring of small pipelines, and what is refused.

use super::*;
use crate::config::*;
use crate::error::Kind;
use crate::state::store_id;
use std::collections::HashMap;
use std::path::PathBuf;

fn input(text: &str) -> Input {
    match text.split_once('.') {
        Some((from, output)) => Input {
            from: from.into(),
            output: Some(output.into()),
        },
        None => Input {
            from: text.into(),
            output: None,
        },
    }
}

fn kafka_source(name: &str) -> Source {
    Source::Kafka(KafkaSource {
        name: name.into(),
        cluster: Cluster {
            brokers: "127.0.0.1:9092".into(),
            properties: Default::default(),
            login: Default::default(),
        },
        subscription: Subscription::Topics(vec![name.into()]),
        group: "g".into(),
        start: Start::GroupOffsets,
        otherwise: Otherwise::Earliest,
        stop: None,
        on_out_of_range: OutOfRange::Fail,
        truth: Truth::Group,
        commit_offsets: CommitOffsets::Periodic,
        auto_commit_interval: std::time::Duration::from_secs(5),
        session_timeout: std::time::Duration::from_secs(10),
        max_batch: 1000,
        discovery_interval: std::time::Duration::from_secs(300),
        event_time: EventTime::Record,
        time: TimeSettings::default(),
    })
}

pub(crate) fn pipeline(sources: &[&str], operators: &[(&str, &[&str])], sinks: &[(&str, &[&str])]) -> Pipeline {
    Pipeline {
        name: "p".into(),
        delivery: Delivery::None,
        workers: 1,
        instance: None,
        queue_bytes: 64 << 20,
        batch_bytes: BATCH_BYTES,
        sources: sources.iter().map(|name| kafka_source(name)).collect(),
        operators: operators
            .iter()
            .map(|(name, inputs)| OperatorConfig {
                name: (*name).into(),
                plugin: PathBuf::new(),
                inputs: inputs.iter().map(|text| input(text)).collect(),
                config: String::new(),
                config_place: String::new(),
                on_error: OnError::Fail,
                limits: Limits::default(),
            })
            .collect(),
        sinks: sinks
            .iter()
            .map(|(name, from)| Sink {
                name: (*name).into(),
                from: from.iter().map(|text| input(text)).collect(),
                target: Target::File(None),
                on_refused: OnRefused::Fail,
            })
            .collect(),
        dead_letters: None,
        checkpoint: None,
        state_memory: 0,
        allow_dropped_state: false,
        core_dumps: None,
        quotas: RateQuotas::default(),
        keeps_outputs: None,
        state_dir: PathBuf::new(),
        compile_cache: CompileCache::own(PathBuf::new()),
    }
}

fn ports(inputs: usize, outputs: &[&str]) -> Ports {
    Ports {
        inputs: (0..inputs).map(|index| format!("in{index}")).collect(),
        outputs: outputs.iter().map(|name| (*name).to_owned()).collect(),
        ..Ports::default()
    }
}

/// A plugin with these stores.
fn keeping(stores: &[&str]) -> Ports {
    Ports {
        stores: stores.iter().map(|name| (*name).to_owned()).collect(),
        ..ports(1, &[])
    }
}

fn read(input: u8, from: RecordsFrom) -> CallInput {
    CallInput { input, from }
}

/// The operators that a route calls, each with the inputs that get something.
fn called(route: &Route) -> Vec<(usize, Vec<u8>)> {
    let inputs = |call: &OperatorCall| call.inputs.iter().map(|read| read.input).collect();
    route.calls.iter().map(|call| (call.operator, inputs(call))).collect()
}

#[test]
fn an_operator_is_called_once_with_all_that_its_inputs_get() {
    let pipeline = pipeline(
        &["a"],
        &[("parse", &["a"]), ("both", &["parse", "a", "parse.rest"])],
        &[("s", &["both"])],
    );
    let routes = routes(&pipeline, &[ports(1, &["ok", "rest"]), ports(3, &[])]).unwrap();
    assert_eq!(called(&routes[0]), [(0, vec![0]), (1, vec![0, 1, 2])]);
    assert_eq!(routes[0].stages.len(), 1);
}

#[test]
fn timers_fire_on_the_routes_of_all_sources_of_their_task_and_of_no_other() {
    let pipeline = pipeline(
        &["a", "b", "c"],
        &[
            ("window", &["a"]),
            ("late", &["window"]),
            ("join", &["window", "b"]),
            ("other", &["c"]),
        ],
        &[("s", &["join", "late", "other"])],
    );
    let timed = |inputs, stores: &[&str]| Ports {
        has_timers: true,
        keeps_key: true,
        stores: stores.iter().map(|name| (*name).to_owned()).collect(),
        ..ports(inputs, &[])
    };
    let ports = [
        timed(1, &["open"]),
        ports(1, &[]),
        timed(2, &["left"]),
        timed(1, &["x"]),
    ];
    let found = routes(&pipeline, &ports).unwrap();
    assert_eq!(called(&found[0]), [(0, vec![0]), (1, vec![0]), (2, vec![0])]);
    // No record of `b` comes to `window`, but what its timers put out goes on from there.
    assert_eq!(called(&found[1]), [(0, vec![]), (1, vec![0]), (2, vec![0, 1])]);
    assert_eq!(called(&found[2]), [(3, vec![0])]);
    assert_eq!(
        stateful_operators(&found, &ports),
        [(0, vec![0]), (2, vec![0, 1]), (3, vec![2])]
    );
    assert_eq!(before_state(&found, &ports), [true, false, false, false]);
}

#[test]
fn a_chain_with_a_named_output_is_routed() {
    let pipeline = pipeline(
        &["a"],
        &[("parse", &["a"]), ("count", &["parse"])],
        &[("good", &["count"]), ("bad", &["parse.rejected", "a"])],
    );
    let routes = routes(&pipeline, &[ports(0, &["ok", "rejected"]), ports(1, &[])]).unwrap();
    assert_eq!(
        routes[0].calls,
        [
            OperatorCall {
                operator: 0,
                inputs: vec![read(0, RecordsFrom::Source)]
            },
            OperatorCall {
                operator: 1,
                inputs: vec![read(0, RecordsFrom::Call { call: 0, output: 0 })]
            }
        ]
    );
    assert_eq!(
        routes[0].stages,
        [
            Stage {
                sink: 0,
                from: RecordsFrom::Call { call: 1, output: 0 }
            },
            Stage {
                sink: 1,
                from: RecordsFrom::Call { call: 0, output: 1 }
            },
            Stage {
                sink: 1,
                from: RecordsFrom::Source
            }
        ]
    );
}

#[test]
fn sources_meet_in_an_operator_however_far_behind_them() {
    let pipeline = pipeline(
        &["a", "b", "c"],
        &[("x", &["a"]), ("y", &["x", "c"]), ("z", &["b"])],
        &[("s", &["y", "z"])],
    );
    assert_eq!(subtopologies(&pipeline), [vec![0, 2], vec![1]]);
}

#[test]
fn wrong_wiring_is_told_by_name() {
    let pipeline = pipeline(&["a"], &[("parse", &["a"])], &[("s", &["parse.nope"])]);
    let error = routes(&pipeline, &[ports(1, &["ok"])]).unwrap_err();
    assert_eq!(error.kind, Kind::Invalid);
    assert!(error.what.contains("has no output `nope`"), "{error}");
    let error = routes(&pipeline, &[ports(2, &["ok"])]).unwrap_err();
    assert!(
        error.what.contains("it has 1 inputs and its plugin declares 2"),
        "{error}"
    );
}

#[test]
fn state_stands_behind_operators_that_keep_the_key_only() {
    let pipeline = pipeline(
        &["a"],
        &[("parse", &["a"]), ("pass", &["parse"]), ("count", &["pass"])],
        &[("s", &["count"])],
    );
    let keeper = Ports {
        keeps_key: true,
        ..ports(1, &[])
    };
    let mut ports = [keeper.clone(), keeper, keeping(&["total"])];
    let found = routes(&pipeline, &ports).unwrap();
    assert_eq!(before_state(&found, &ports), [true, true, false]);
    ports[0].keeps_key = false;
    let error = routes(&pipeline, &ports).unwrap_err();
    assert_eq!(error.kind, Kind::Invalid);
    assert!(error.what.contains("operator `count`"), "{error}");
    assert!(error.why.contains("behind operator `parse`"), "{error}");
}

#[test]
fn state_is_told_with_all_sources_that_come_to_it_however_far_before_it() {
    let pipeline = pipeline(
        &["a", "b", "c"],
        &[("parse", &["a"]), ("count", &["parse", "b"]), ("pass", &["c"])],
        &[("s", &["count", "pass"])],
    );
    let keeper = Ports {
        keeps_key: true,
        ..ports(1, &[])
    };
    let both = Ports {
        stores: vec!["total".to_owned()],
        ..ports(2, &[])
    };
    let ports = [keeper, both, ports(1, &[])];
    let found = routes(&pipeline, &ports).unwrap();
    assert_eq!(stateful_operators(&found, &ports), [(1, vec![0, 1])]);
}

#[test]
fn state_behind_a_pattern_is_refused() {
    let mut pipeline = pipeline(&["a"], &[("count", &["a"])], &[("s", &["count"])]);
    assert!(routes(&pipeline, &[keeping(&["total"])]).is_ok());
    let Source::Kafka(source) = &mut pipeline.sources[0] else {
        unreachable!()
    };
    source.subscription = Subscription::Pattern(regex::Regex::new("a.*").unwrap());
    assert!(routes(&pipeline, &[ports(1, &[])]).is_ok());
    let error = routes(&pipeline, &[keeping(&["total"])]).unwrap_err();
    assert_eq!(error.kind, Kind::Invalid);
    assert!(
        error.why.contains("source `a` matches its topics by pattern"),
        "{error}"
    );
}

#[test]
fn two_stores_that_come_to_one_place_are_refused() {
    let mut seen = HashMap::new();
    let (one, other) = (0..)
        .map(|at: u32| at.to_string())
        .find_map(|name| {
            seen.insert(store_id("x", &name), name.clone())
                .map(|other| (other, name))
        })
        .unwrap();
    let pipeline = pipeline(&["a"], &[("x", &["a"])], &[("s", &["x"])]);
    let error = routes(&pipeline, &[keeping(&[&one, &other])]).unwrap_err();
    assert_eq!(error.kind, Kind::Invalid);
    assert!(
        error
            .why
            .contains(&format!("the same id as store `{one}` of operator `x`")),
        "{error}"
    );
}

fn file_source(name: &str) -> Source {
    Source::File(FileSource {
        name: name.into(),
        path: None,
        format: FileFormat::Json,
        max_batch: 1000,
        event_time: EventTime::Record,
        time: TimeSettings::default(),
    })
}

#[test]
fn sources_are_merged_in_the_order_of_the_inputs_in_which_they_meet() {
    let mut meeting = pipeline(
        &["a", "b", "c"],
        &[("parse", &["a"]), ("join", &["b", "parse"]), ("other", &["c"])],
        &[],
    );
    assert_eq!(ranks(&meeting, &[0, 1]), [1, 0]);
    assert_eq!(merged(&meeting, &[0, 1], true), Some(vec![1, 0]));
    assert_eq!(merged(&meeting, &[0, 1], false), None, "nothing depends on their order");
    let Source::Kafka(source) = &mut meeting.sources[0] else {
        unreachable!()
    };
    source.subscription = Subscription::Pattern(regex::Regex::new("a.*").unwrap());
    assert_eq!(
        merged(&meeting, &[0, 1], true),
        None,
        "each partition is a task of its own"
    );
}

#[test]
fn files_that_meet_in_state_are_read_together_and_none_meets_kafka_there() {
    let mut meeting = pipeline(&["a", "b", "c"], &[("join", &["b", "a"])], &[("s", &["join", "c"])]);
    meeting.sources = ["a", "b", "c"].map(file_source).into();
    let keeper = Ports {
        stores: vec!["rows".into()],
        ..ports(2, &[])
    };
    let stateful = |ports: &[Ports]| stateful_operators(&routes(&meeting, ports).unwrap(), ports);
    assert_eq!(
        files(&meeting, &stateful(std::slice::from_ref(&keeper))),
        [vec![0, 1], vec![2]]
    );
    assert_eq!(
        files(&meeting, &stateful(&[ports(2, &[])])),
        [vec![0], vec![1], vec![2]]
    );
    meeting.sources[0] = kafka_source("a");
    let error = routes(&meeting, &[keeper]).unwrap_err();
    assert!(
        error.why.contains("source `b` is a file and source `a` is Kafka's"),
        "{error}"
    );
    assert_eq!(error.kind, Kind::Invalid);
}
