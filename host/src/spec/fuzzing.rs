//! The door for the fuzzers: a text as a person's file, and as a tenant's under grants that differ.
//!
//! Always: what a tenant's file gives reaches nothing of the machine and nothing of another tenant, however it is
//! written.

use std::collections::BTreeMap;
use std::path::Path;

use super::load::parse_under;
use crate::config::{Cluster, Location, Pipeline, Sink, Source, Subscription, Target, is_ready_made};
use crate::process::grant::{Grant, GrantedCluster, GrantedCode, GrantedLimits, is_allowed_property};

/// The folder of the pipeline, which is not there.
const HOME: &str = "/nowhere";
/// Where plugins of the tenant lie.
const PUSHED: &str = "/d/0707.wasm";
/// What the daemon says of a cluster, and nobody else.
const OF_CLUSTER: &str = "sasl.username";

/// Reads a text as the file of whoever it may be of.
pub fn pipeline_file(text: &str) {
    let path = Path::new(HOME).join("fuzzed.toml");
    let _is_read = parse_under(None, text, &path, &[]);
    for grant in [open(), narrow(), with_clusters()] {
        if let Ok(pipeline) = parse_under(Some(&grant), text, &path, &[]) {
            stays_within(&pipeline, &grant);
        }
    }
}

fn open() -> Grant {
    Grant {
        tenant: "team".parse().expect("a name"),
        pipeline: "views".parse().expect("a name"),
        plugins: BTreeMap::new(),
        code: GrantedCode {
            folder: "/d/code".into(),
            key: [7; 32],
            is_made_here: false,
        },
        clusters: None,
        secrets: BTreeMap::from([("pass".to_owned(), "hunter2".to_owned())]),
        reads: None,
        writes: None,
        folders: Vec::new(),
        canary: None,
        limits: GrantedLimits::default(),
        is_isolation_required: false,
    }
}

fn narrow() -> Grant {
    Grant {
        plugins: BTreeMap::from([("count".to_owned(), PUSHED.into())]),
        reads: Some(vec!["views".to_owned(), "team.*".to_owned()]),
        writes: Some(vec!["out".to_owned(), "team.*".to_owned()]),
        limits: GrantedLimits {
            workers: Some(2),
            memory: Some(64 << 20),
            ..GrantedLimits::default()
        },
        ..open()
    }
}

fn with_clusters() -> Grant {
    let cluster = GrantedCluster {
        brokers: "granted:9092".to_owned(),
        properties: BTreeMap::from([(OF_CLUSTER.to_owned(), "team".to_owned())]),
        missing_secret: None,
    };
    Grant {
        clusters: Some(BTreeMap::from([("main".to_owned(), cluster)])),
        ..open()
    }
}

fn stays_within(pipeline: &Pipeline, grant: &Grant) {
    assert_eq!(pipeline.name, grant.whole_name());
    assert_eq!(pipeline.state_dir, Path::new(HOME).join("state"));
    assert_eq!(pipeline.core_dumps, None);
    if let Some(most) = grant.limits.workers {
        assert!(pipeline.workers as u64 <= most, "{} workers", pipeline.workers);
    }
    if let Some(checkpoint) = &pipeline.checkpoint {
        assert_eq!(
            checkpoint.location,
            Location::Folder(Path::new(HOME).join("checkpoints"))
        );
    }
    for source in &pipeline.sources {
        source_stays_within(source, grant);
    }
    for operator in &pipeline.operators {
        let is_pushed = grant.plugins.get(&operator.name) == Some(&operator.plugin);
        let is_ours = operator.plugin.to_str().is_some_and(is_ready_made);
        assert!(is_pushed || is_ours, "{:?}", operator.plugin);
    }
    for sink in pipeline.sinks.iter().chain(&pipeline.dead_letters) {
        sink_stays_within(sink, grant);
    }
}

fn source_stays_within(source: &Source, grant: &Grant) {
    let Source::Kafka(source) = source else {
        panic!("it reads a file: {source:?}")
    };
    let own = [format!("sandbar.{}", grant.whole_name()), format!("{}.", grant.tenant)];
    let is_own = own.iter().any(|begin| source.group.starts_with(begin));
    assert!(is_own, "group {:?}", source.group);
    match &source.subscription {
        Subscription::Topics(topics) => {
            assert!(topics.iter().all(|topic| grant.may_read(topic)), "{topics:?}");
        }
        Subscription::Partitions(apart) => {
            assert!(apart.keys().all(|topic| grant.may_read(topic)), "{apart:?}");
        }
        Subscription::Pattern(pattern) => assert!(grant.reads.is_none(), "a pattern: {pattern}"),
    }
    cluster_stays_within(&source.cluster, grant);
}

fn sink_stays_within(sink: &Sink, grant: &Grant) {
    let Target::Kafka { cluster, topic, .. } = &sink.target else {
        panic!("it writes a file: {sink:?}")
    };
    assert!(grant.may_write(topic) && !topic.starts_with("__"), "topic {topic:?}");
    cluster_stays_within(cluster, grant);
}

fn cluster_stays_within(cluster: &Cluster, grant: &Grant) {
    let is_allowed = |name: &&String| is_allowed_property(name);
    let strange = cluster.properties.keys().find(|name| !is_allowed(name));
    assert_eq!(strange, None, "a property that nobody granted");
    if grant.clusters.is_some() {
        assert_eq!(cluster.brokers, "granted:9092");
        assert_eq!(cluster.properties.get(OF_CLUSTER).map(String::as_str), Some("team"));
    }
}
