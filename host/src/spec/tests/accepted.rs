//! Files that are right, and what they mean.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::config::{
    CommitOffsets, Delivery, EventTime, FileFormat, KafkaSource, Location, OnError, OnRefused, Otherwise, Partitioner,
    Pipeline, Source, Start, Stop, Subscription, Target,
};

use super::parse;

const LEAST: &str = r#"
name = "p"
[kafka]
brokers = "127.0.0.1:9092"
[source.a]
topics = ["t"]
[sink.out]
from = ["a"]
topic = "o"
"#;

fn kafka(pipeline: &Pipeline, index: usize) -> &KafkaSource {
    match &pipeline.sources[index] {
        Source::Kafka(source) => source,
        Source::File(file) => panic!("{} reads a file", file.name),
    }
}

#[test]
fn the_least_file_has_the_defaults_of_the_contract() {
    let pipeline = parse(LEAST, &[]).unwrap();
    let source = kafka(&pipeline, 0);
    assert_eq!(source.group, "sandbar.p");
    assert_eq!(source.start, Start::GroupOffsets);
    assert_eq!(source.otherwise, Otherwise::Earliest);
    assert_eq!(source.stop, None);
    assert_eq!(source.commit_offsets, CommitOffsets::Periodic);
    assert_eq!(source.auto_commit_interval, Duration::from_secs(5));
    assert_eq!(source.session_timeout, Duration::from_secs(10));
    assert_eq!(source.discovery_interval, Duration::from_secs(300));
    assert_eq!(source.max_batch, 1000);
    assert_eq!(source.event_time, EventTime::Record);
    assert_eq!(pipeline.delivery, Delivery::None);
    assert_eq!(pipeline.sinks[0].on_refused, OnRefused::Fail);
    assert_eq!(pipeline.queue_bytes, 64 << 20);
    assert_eq!(pipeline.batch_bytes, 256 << 20);
    assert_eq!(pipeline.state_dir, PathBuf::from(".sandbar/p"));
    assert!(pipeline.workers >= 1);
}

#[test]
fn every_key_of_the_contract_is_read() {
    let pipeline = parse(include_str!("whole.toml"), &[]).unwrap();
    assert_eq!((pipeline.name.as_str(), pipeline.workers), ("page-views", 2));
    assert_eq!(pipeline.instance.as_deref(), Some("a"));
    assert_eq!(pipeline.queue_bytes, 32 << 20);
    assert_eq!(pipeline.batch_bytes, 96 << 20);
    assert_eq!(pipeline.delivery, Delivery::AtLeastOnce);
    let names: Vec<_> = pipeline.sources.iter().map(Source::name).collect();
    assert_eq!(names, ["views", "clicks", "some"]);

    let views = kafka(&pipeline, 0);
    assert_eq!(views.cluster.properties["sasl.password"], "sandbar");
    assert_eq!(views.cluster.properties["socket.keepalive.enable"], "true");
    assert_eq!(views.cluster.properties["fetch.max.bytes"], "52428800");
    assert_eq!(views.stop, Some(Stop::Latest));

    let clicks = kafka(&pipeline, 1);
    assert_eq!(clicks.cluster.brokers, "10.0.0.1:9092,10.0.0.2:9092");
    assert_eq!(clicks.cluster.properties["security.protocol"], "plaintext");
    assert_eq!(clicks.cluster.properties["sasl.password"], "sandbar");
    assert_eq!(clicks.start, Start::Timestamp(1_795_305_600_000));
    assert_eq!(clicks.stop, Some(Stop::Timestamp(1_795_305_600_000)));
    assert_eq!(clicks.event_time, EventTime::Pointer("/created_at".to_owned()));

    let some = kafka(&pipeline, 2);
    let Subscription::Partitions(partitions) = &some.subscription else {
        panic!()
    };
    assert_eq!(partitions["views"], [0, 3]);
    assert_eq!(
        some.start,
        Start::Offsets([("views".to_owned(), [(0, 23), (3, 31)].into())].into())
    );
}

#[test]
fn every_key_of_operators_sinks_and_checkpoints_is_read() {
    let pipeline = parse(include_str!("whole.toml"), &[]).unwrap();
    let operators: Vec<_> = pipeline
        .operators
        .iter()
        .map(|operator| operator.name.as_str())
        .collect();
    assert_eq!(operators, ["parse", "count"]);
    let count = &pipeline.operators[1];
    assert_eq!(
        count.config,
        r#"{"top":10,"since":"2026-11-22T00:00:00Z","deep":[{"a":1.5},true]}"#
    );
    assert_eq!(count.inputs[2].output.as_deref(), Some("rejected"));
    assert_eq!(
        (count.on_error, count.limits.memory_bytes),
        (OnError::DeadLetter, 128 << 20)
    );
    assert_eq!(count.limits.call_time, Duration::from_millis(500));
    assert_eq!(
        count.limits.batch_bytes,
        96 << 20,
        "the worker's, for each operator the same"
    );
    assert_eq!(pipeline.operators[0].config, "");

    let Target::Kafka { topic, partitioner, .. } = &pipeline.sinks[0].target else {
        panic!("it is a topic")
    };
    assert_eq!((topic.as_str(), partitioner), ("totals", &Partitioner::Crc32));
    assert!(matches!(&pipeline.sinks[1].target, Target::File(None)));
    let dead = pipeline.dead_letters.unwrap();
    assert_eq!(pipeline.sinks[0].on_refused, OnRefused::DeadLetter);
    assert_eq!(pipeline.sinks[1].on_refused, OnRefused::Fail);
    assert!(matches!(&dead.target, Target::Kafka { cluster, .. } if cluster.brokers == "10.0.0.3:9092"));
    let checkpoint = pipeline.checkpoint.unwrap();
    assert_eq!(
        (checkpoint.interval, checkpoint.timeout),
        (Duration::from_secs(1), Duration::from_secs(60))
    );
    assert_eq!((checkpoint.keep, checkpoint.tolerable_failures), (5, 0));
    let Location::S3 {
        bucket,
        prefix,
        properties,
    } = &checkpoint.location
    else {
        panic!("{:?}", checkpoint.location)
    };
    assert_eq!((bucket.as_str(), prefix.as_str()), ("bucket", "prefix"));
    assert_eq!(properties["aws_secret_access_key"], "sandbar");
    assert!(!format!("{checkpoint:?}").contains("sandbar"), "a secret is not shown");
}

#[test]
fn checkpoints_are_kept_beside_the_file_unless_it_says_where() {
    let at = |store: &str| {
        let text = format!("{LEAST}\n[checkpoint]\n{store}\n").replacen('\n', "\ndelivery = \"at-least-once\"\n", 1);
        parse(&text, &[]).unwrap().checkpoint.unwrap().location.to_string()
    };
    let default = at("");
    assert!(default.ends_with("checkpoints"), "{default}");
    assert_eq!(at("store = \"checkpoints\""), default);
    assert_eq!(at("store = \"/var/lib/c\""), "/var/lib/c");
    assert_eq!(at("store = \"file:///var/lib/c\""), "/var/lib/c");
    assert_eq!(at("store = \"s3://b\""), "s3://b");
    assert_eq!(at("store = \"s3://b/p/q/\""), "s3://b/p/q");
}

#[test]
fn a_pattern_matches_whole_names_only() {
    let text = LEAST.replace(r#"topics = ["t"]"#, r#"topic-pattern = "a|views-.*""#);
    let pipeline = parse(&text, &[]).unwrap();
    let Subscription::Pattern(pattern) = &kafka(&pipeline, 0).subscription else {
        panic!()
    };
    assert!(pattern.is_match("a") && pattern.is_match("views-1"));
    assert!(!pattern.is_match("ab") && !pattern.is_match("old-views-1"));
}

#[test]
fn a_set_wins_over_the_file() {
    let sets = [
        "source.a.start=earliest",
        "source.a.stop.timestamp=2026-11-22T00:00:00Z",
        "source.a.session-timeout=45s",
        "source.a.topics=[\"x\", \"y\"]",
        "workers=3",
        "kafka.properties.\"client.id\"=a=b",
        "source.a.start={ offsets = { x = { 0 = 7 } } }",
    ];
    let pipeline = parse(LEAST, &sets).unwrap();
    let source = kafka(&pipeline, 0);
    assert_eq!(source.start, Start::Offsets([("x".to_owned(), [(0, 7)].into())].into()));
    assert_eq!(source.stop, Some(Stop::Timestamp(1_795_305_600_000)));
    assert_eq!(source.session_timeout, Duration::from_secs(45));
    assert!(matches!(&source.subscription, Subscription::Topics(topics) if topics == &["x", "y"]));
    assert_eq!(source.cluster.properties["client.id"], "a=b");
    assert_eq!(pipeline.workers, 3);
}

#[test]
fn paths_are_relative_to_the_file_that_names_them() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("offsets.json"), r#"{"t":{"0":23,"1":31}}"#).unwrap();
    std::fs::write(dir.path().join("password"), "hunter2\n").unwrap();
    let path = dir.path().join("pages.toml");
    let text = LEAST.replace(
        "[source.a]",
        "[kafka.properties]\n\"sasl.password\" = { file = \"password\" }\n[source.a]\n\
            start = { file = \"offsets.json\" }",
    ) + "[operator.o]\nplugin = \"o.wasm\"\ninputs = [\"a\"]\n";
    std::fs::write(&path, text).unwrap();
    let pipeline = super::super::load(&path, &[]).unwrap();
    let source = kafka(&pipeline, 0);
    assert_eq!(
        source.start,
        Start::Offsets([("t".to_owned(), [(0, 23), (1, 31)].into())].into())
    );
    assert_eq!(source.cluster.properties["sasl.password"], "hunter2");
    assert_eq!(pipeline.operators[0].plugin, dir.path().join("o.wasm"));
    assert_eq!(pipeline.state_dir, dir.path().join(".sandbar/p"));
    assert!(!format!("{pipeline:?}").contains("hunter2"));
}

#[test]
fn an_export_that_is_wrong_is_named_with_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let text = LEAST.replace("[sink.out]", "stop = { file = \"offsets.json\" }\n[sink.out]");
    for wrong in [
        "",
        "[]",
        "{\"t\":{\"0\":-1}}",
        "{\"t\":{\"x\":1}}",
        "{\"t\":{\"00\":1}}",
        "{\"t\":{}}",
        "{}",
        "{\"t\":{\"0\":99999999999999999999}}",
    ] {
        std::fs::write(dir.path().join("offsets.json"), wrong).unwrap();
        let error = super::super::parse(&text, &dir.path().join("pages.toml"), &[]).unwrap_err();
        assert!(
            error.what.ends_with("`source.a.stop` names a file that cannot be read"),
            "{error}"
        );
        assert!(error.why.contains("offsets.json"), "{error}");
    }
}

#[test]
fn a_file_and_the_standard_streams_do_for_development() {
    let text =
        "name = \"p\"\n[source.a]\nfile = \"-\"\nformat = \"lines\"\n[sink.o]\nfrom = [\"a\"]\nfile = \"out.jsonl\"\n";
    let pipeline = super::super::parse(text, Path::new("in/pages.toml"), &[]).unwrap();
    assert!(
        matches!(&pipeline.sources[0], Source::File(file) if file.path.is_none() && file.format == FileFormat::Lines)
    );
    assert!(matches!(&pipeline.sinks[0].target, Target::File(Some(path)) if path == Path::new("in/out.jsonl")));
}
