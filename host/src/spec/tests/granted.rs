//! What the file of a tenant may say under a grant, and what it is told when it may not.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::config::{CommitOffsets, Delivery, Location, Pipeline, Source, Start, Stop, Subscription, Target, Truth};
use crate::error::Result;
use crate::process::grant::{CanaryGrant, Grant, GrantedCluster, GrantedCode, GrantedLimits};

use super::super::load::parse_under;

const FILE: &str = r#"
name = "views"
kafka.brokers = "127.0.0.1:9092"
source.in.topics = ["views"]
[operator.count]
plugin = "count.wasm"
inputs = ["in"]
[operator.window]
plugin = "window"
inputs = ["count"]
[sink.out]
from = ["window"]
topic = "out"
[checkpoint]
interval = "1s"
"#;

fn grant() -> Grant {
    Grant {
        tenant: "team".parse().unwrap(),
        pipeline: "views".parse().unwrap(),
        plugins: BTreeMap::from([("count".to_owned(), PathBuf::from("/d/0707.wasm"))]),
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

fn under(grant: &Grant, file: &str) -> Result<Pipeline> {
    parse_under(Some(grant), file, Path::new("views.toml"), &[])
}

/// The error of a file with something in the place of something that it has.
fn said(grant: &Grant, from: &str, to: &str) -> String {
    assert!(FILE.contains(from), "{from}");
    let file = FILE.replacen(from, to, 1);
    match under(grant, &file) {
        Ok(_) => format!("taken: {file}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn what_is_the_daemons_is_written_into_it() {
    let pipeline = under(&grant(), FILE).unwrap();
    assert_eq!(pipeline.name, "team--views");
    assert_eq!(pipeline.state_dir, PathBuf::from("state"));
    assert_eq!(pipeline.operators[0].plugin, PathBuf::from("/d/0707.wasm"));
    assert_eq!(pipeline.operators[1].plugin, PathBuf::from("window"));
    let checkpoint = pipeline.checkpoint.unwrap();
    assert_eq!(checkpoint.location, Location::Folder("checkpoints".into()));
    match &pipeline.sources[0] {
        Source::Kafka(source) => assert_eq!(source.group, "sandbar.team--views"),
        Source::File(file) => panic!("{} reads a file", file.name),
    }
    let own_group = FILE.replace("source.in.topics", "source.in.group = \"team.x\"\nsource.in.topics");
    assert!(under(&grant(), &own_group).is_ok());
}

/// In front of the tables, so that each is a key of the whole file.
#[test]
fn whatever_reaches_the_machine_or_another_tenant_is_refused_by_name() {
    let name = "name = \"views\"";
    for (line, word) in [
        ("source.two.file = \"/etc/passwd\"", "`source.two.file` is not granted"),
        ("sink.two = { from = [\"in\"], file = \"/x\" }", "`sink.two.file`"),
        ("dead-letters.file = \"x\"", "`dead-letters.file`"),
        ("dead-letters.topic = \"__consumer_offsets\"", "`dead-letters.topic`"),
        ("source.in.group = \"sandbar.other--views\"", "`source.in.group`"),
        ("source.in.group = \"teamx.a\"", "begin with `team.`"),
        ("source.in.start.file = \"/etc/passwd\"", "`source.in.start`"),
        ("source.in.stop = { file = \"x\" }", "`source.in.stop`"),
        (
            "kafka.properties.\"sasl.password\" = { file = \"/etc/shadow\" }",
            "a file of the machine",
        ),
        (
            "kafka.properties.\"sasl.password\" = { env = \"HOME\" }",
            "a variable of the machine",
        ),
        (
            "kafka.properties.\"sasl.oauthbearer.token\" = { command = [\"sh\"] }",
            "a program of the machine",
        ),
        (
            "kafka.properties.\"sasl.mechanism\" = { secret = \"pass\" }",
            "is no password",
        ),
        (
            "kafka.properties.\"sasl.password\" = { secret = \"none\" }",
            "no secret `none`",
        ),
        (
            "kafka.properties.\"plugin.library.paths\" = \"x.so\"",
            "plugin.library.paths",
        ),
        ("kafka.properties.\"ssl.ca.location\" = \"/root\"", "ssl.ca.location"),
        (
            "source.in.kafka.properties.debug = \"all\"",
            "source.in.kafka.properties.debug",
        ),
        (
            "sink.two = { from = [\"in\"], kafka.properties.\"ssl.key.location\" = \"k\" }",
            "sink.two.kafka",
        ),
        ("state.dir = \"/tmp\"", "`state.dir`"),
        (
            "operator.two = { plugin = \"../x.wasm\", inputs = [\"in\"] }",
            "`operator.two.plugin`",
        ),
        (
            "operator.two = { plugin = \"a.wasm\", inputs = [\"in\"] }",
            "`operator.two.plugin`",
        ),
        ("kafka.cluster = \"main\"", "does not go with `brokers`"),
    ] {
        // What is a table further below cannot be begun above it.
        let tables = ["operator.two", "sink.two"];
        let said = match tables.iter().any(|table| line.starts_with(table)) {
            true => said(&grant(), "[checkpoint]", &section_of(line)),
            false => said(&grant(), name, &format!("{name}\n{line}")),
        };
        assert!(said.contains(word), "{line}: {said}");
        assert!(!said.contains("hunter2"), "{line}: {said}");
    }
    for line in ["store = \"s3://other/x\"", "properties.region = \"x\""] {
        let said = said(&grant(), "interval = \"1s\"", line);
        assert!(said.contains("the daemon's to say"), "{line}: {said}");
    }
}

/// `a.b = { … }` as the table `[a.b]` in front of `[checkpoint]`.
fn section_of(line: &str) -> String {
    let (table, keys) = line.split_once(" = { ").unwrap();
    let keys = keys.trim_end_matches(" }").replace(", ", "\n");
    format!("[{table}]\n{keys}\n[checkpoint]")
}

#[test]
fn a_list_hides_nothing_that_a_table_would_show() {
    for (from, to) in [
        (
            "kafka.brokers = \"127.0.0.1:9092\"",
            "kafka = [\"h:9\", { p = { file = \"/etc/shadow\" } }]",
        ),
        ("[checkpoint]\ninterval = \"1s\"", "[[checkpoint]]\nstore = \"/x\""),
        ("name = \"views\"", "name = \"views\"\nstate = [\"/etc/x\"]"),
    ] {
        let said = said(&grant(), from, to);
        assert!(said.contains("expected a table"), "{to}: {said}");
    }
    for key in ["$__toml_private_datetime", "$x"] {
        let line = format!("name = \"views\"\nkafka.properties.\"{key}\" = {{ file = \"/etc/shadow\" }}");
        let said = said(&grant(), "name = \"views\"", &line);
        assert!(said.contains("a file of the machine"), "{key}: {said}");
    }
}

#[test]
fn topics_are_read_and_written_as_granted() {
    let mut grant = grant();
    grant.reads = Some(vec!["views".into(), "team.*".into()]);
    grant.writes = Some(vec!["out".into()]);
    assert!(under(&grant, FILE).is_ok());
    let topics = "topics = [\"views\"]";
    let refused = said(&grant, topics, "topics = [\"views\", \"pay\"]");
    assert!(refused.contains("`pay` in `source.in` is not granted"), "{refused}");
    assert!(refused.contains("may read views, team.*"), "{refused}");
    assert!(said(&grant, topics, "partitions = { pay = [0] }").contains("`pay`"));
    assert!(said(&grant, topics, "topic-pattern = \"team.*\"").contains("list those that you read"));
    assert!(said(&grant, "topic = \"out\"", "topic = \"other\"").contains("may write out"));
    grant.writes = Some(Vec::new());
    assert!(said(&grant, "topic = \"out\"", "topic = \"out\" ").contains("may write none"));
}

#[test]
fn a_cluster_brings_its_brokers_and_how_to_sign_in() {
    let mut grant = grant();
    let properties = [
        ("sasl.password", "hunter2"),
        ("security.protocol", "sasl_ssl"),
        ("sasl.mechanism", "PLAIN"),
    ];
    let properties = properties.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let main = GrantedCluster {
        brokers: "kafka:9093".to_owned(),
        properties: BTreeMap::from(properties),
        missing_secret: None,
    };
    grant.clusters = Some(BTreeMap::from([("main".to_owned(), main)]));
    let brokers = "kafka.brokers = \"127.0.0.1:9092\"";
    let file = FILE.replace(brokers, "kafka.cluster = \"main\"\nkafka.properties.\"linger.ms\" = 5");
    let pipeline = under(&grant, &file).unwrap();
    let Target::Kafka { cluster, .. } = &pipeline.sinks[0].target else {
        panic!("no topic")
    };
    assert_eq!(cluster.brokers, "kafka:9093");
    assert_eq!(
        (&*cluster.properties["sasl.password"], &*cluster.properties["linger.ms"]),
        ("hunter2", "5")
    );
    assert!(said(&grant, brokers, brokers).contains("name one with `cluster`"));
    assert!(said(&grant, brokers, "kafka.cluster = \"other\"").contains("the tenant has main"));
    for property in ["security.protocol", "ssl.ca.pem", "sasl.username"] {
        let line = format!("kafka.cluster = \"main\"\nkafka.properties.\"{property}\" = \"plaintext\"");
        assert!(
            said(&grant, brokers, &line).contains("is the cluster's to say"),
            "{property}"
        );
    }
}

#[test]
fn a_secret_is_used_and_shown_nowhere() {
    let line = "name = \"views\"\nkafka.properties.\"sasl.password\" = { secret = \"pass\" }";
    let pipeline = under(&grant(), &FILE.replacen("name = \"views\"", line, 1)).unwrap();
    let Target::Kafka { cluster, .. } = &pipeline.sinks[0].target else {
        panic!("no topic")
    };
    assert_eq!(cluster.properties["sasl.password"], "hunter2");
    assert!(!format!("{pipeline:?}").contains("hunter2"));
}

#[test]
fn names_of_the_daemon_mean_nothing_without_it() {
    for (line, word) in [
        ("kafka.cluster = \"main\"", "write `brokers`"),
        (
            "kafka.brokers = \"h:9\"\nkafka.properties.\"sasl.password\" = { secret = \"pass\" }",
            "kept by `sandbar serve`",
        ),
    ] {
        let file = FILE.replace("kafka.brokers = \"127.0.0.1:9092\"", line);
        let error = super::parse(&file, &[]).unwrap_err().to_string();
        assert!(error.contains(word), "{error}");
    }
}

#[test]
fn workers_are_as_many_as_the_quota_says_at_most() {
    let mut grant = grant();
    grant.limits.workers = Some(1);
    assert_eq!(under(&grant, FILE).unwrap().workers, 1);
    let refused = said(&grant, "name = \"views\"", "name = \"views\"\nworkers = 2");
    assert!(refused.contains("`pipeline-workers` is 1"), "{refused}");
}

#[test]
fn a_tenant_that_is_called_as_the_default_groups_begin_has_no_group_of_its_own() {
    let mut grant = grant();
    grant.tenant = "sandbar".parse().unwrap();
    let group = "source.in.group = \"sandbar.team--views\"\nsource.in.topics";
    assert!(said(&grant, "source.in.topics", group).contains("`source.in.group`"));
}

#[test]
fn a_plugin_for_nothing_and_a_name_that_is_too_long_are_told() {
    assert!(said(&grant(), "[operator.count]", "[operator.other]").contains("`operator.other.plugin`"));
    let mut more = grant();
    more.plugins.insert("nobody".to_owned(), "/d/1.wasm".into());
    assert!(said(&more, "name = \"views\"", "name = \"views\"").contains("no operator `nobody`"));
    let mut long = grant();
    long.tenant = "x".repeat(60).parse().unwrap();
    assert!(said(&long, "name = \"views\"", "name = \"views\"").contains("64 letters are the most"));
}

/// A run of a canary under the same grant as the pipeline.
fn canary_grant() -> Grant {
    let at = |offset: i64| BTreeMap::from([("views".to_owned(), BTreeMap::from([(0, offset), (1, offset)]))]);
    let of = |offset: i64| BTreeMap::from([("in".to_owned(), at(offset))]);
    Grant {
        canary: Some(CanaryGrant {
            starts: of(5),
            stops: of(9),
            outputs: "/d/outputs".into(),
            output_bytes: 1 << 20,
        }),
        ..grant()
    }
}

#[test]
fn a_run_of_a_canary_has_its_records_given_and_its_outputs_kept_back() {
    let more = "[dead-letters]\ntopic = \"dead\"\n";
    let sink = "topic = \"out\"\npartitioner = \"crc32\"\non-refused = \"skip\"";
    for (checkpoint, way) in [
        ("[checkpoint]\ninterval = \"1s\"", ""),
        ("", "commit-offsets = \"periodic\""),
    ] {
        let file = FILE
            .replace("[checkpoint]\ninterval = \"1s\"", checkpoint)
            .replace("topic = \"out\"", sink);
        let file = file.replace(
            "source.in.topics = [\"views\"]",
            "[source.in]\ntopics = [\"views\"]\nWAY",
        );
        let pipeline = under(&canary_grant(), &(file.replace("WAY", way) + more)).unwrap();
        assert_eq!((pipeline.workers, pipeline.delivery), (1, Delivery::AtLeastOnce));
        assert_eq!(pipeline.keeps_outputs, Some(1 << 20));
        let Source::Kafka(source) = &pipeline.sources[0] else {
            panic!("{pipeline:?}")
        };
        assert_eq!(
            (source.truth, source.commit_offsets),
            (Truth::Checkpoint, CommitOffsets::Never)
        );
        let Subscription::Partitions(read) = &source.subscription else {
            panic!("{source:?}")
        };
        assert_eq!(read["views"], [0, 1]);
        assert!(
            matches!(&source.start, Start::Offsets(at) if at["views"][&1] == 5),
            "{source:?}"
        );
        assert!(
            matches!(&source.stop, Some(Stop::Offsets(at)) if at["views"][&1] == 9),
            "{source:?}"
        );
        let targets = pipeline
            .sinks
            .iter()
            .chain(&pipeline.dead_letters)
            .map(|sink| &sink.target);
        let files: Vec<_> = targets
            .map(|target| match target {
                Target::File(Some(path)) => path.display().to_string(),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(files, ["/d/outputs/out.jsonl", "/d/outputs/dead-letters.jsonl"]);
        assert!(pipeline.checkpoint.is_some(), "its positions are there alone");
    }
}

#[test]
fn a_canary_reads_nothing_that_the_version_before_does_not() {
    for (to, why) in [
        (
            "source.in.topics = [\"views\", \"clicks\"]",
            "topic `clicks` of source `in`",
        ),
        (
            "source.in.partitions = { clicks = [0] }",
            "topic `clicks` of source `in`",
        ),
    ] {
        let said = said(&canary_grant(), "source.in.topics = [\"views\"]", to);
        assert!(said.contains(why), "{said}");
    }
    let file = FILE.replace("source.in.", "source.other.");
    let file = file.replace("inputs = [\"in\"]", "inputs = [\"other\"]");
    let error = under(&canary_grant(), &file).unwrap_err().to_string();
    assert!(error.contains("source `other`"), "{error}");
    // What its tenant may not have is refused as ever.
    let wall = said(&canary_grant(), "[checkpoint]", "[checkpoint]\nstore = \"/elsewhere\"");
    assert!(wall.contains("checkpoint.store"), "{wall}");
}
