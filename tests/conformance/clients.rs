//! Clients of other people: each writes, reads in a group, describes and alters. `tests/setup clients` installs them
//! into target/clients; what is not there is skipped, and said.

use crate::client::{LIMIT, fresh};
use sandbar_tests::kafka;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

pub(crate) fn kafka_python_works(bootstrap: &str) {
    let python = installed("python").join("bin/python");
    if !python.exists() {
        return skip("kafka-python", "python");
    }
    let script = sandbar_tests::root().join("tests/clients/python/exercise.py");
    run(
        "kafka-python",
        Command::new(python).arg(script).args([bootstrap, &fresh("python")]),
        "",
    );
}

pub(crate) fn kafkajs_works(bootstrap: &str) {
    let modules = installed("node").join("node_modules");
    if !modules.join("kafkajs").exists() {
        return skip("kafkajs", "node");
    }
    let script = sandbar_tests::root().join("tests/clients/node/exercise.js");
    let mut node = Command::new("node");
    node.arg(script)
        .args([bootstrap, &fresh("node")])
        .env("CLIENTS", modules);
    run("kafkajs", &mut node, "");
}

pub(crate) fn kafkas_own_tools_work(bootstrap: &str) {
    if !kafka::has_jars() {
        return eprintln!("SKIPPED: Kafka's own tools: their jars are not there; `make kafka-libs` installs them");
    }
    let (topic, group) = (fresh("tools"), fresh("tools-group"));
    let of_topic = ["--bootstrap-server", bootstrap, "--topic", &topic];
    let topics = |more: &[&str]| tool("TopicCommand", &[&of_topic, more].concat(), "");
    topics(&["--create", "--partitions", "3", "--config", "max.message.bytes=2000"]);
    let described = topics(&["--describe"]);
    for part in ["PartitionCount: 3", "ReplicationFactor: 1", "max.message.bytes=2000"] {
        assert!(described.contains(part), "{part}: {described}");
    }

    let lines = (0..30).fold(String::new(), |mut lines, number| {
        writeln!(lines, "record {number}").unwrap();
        lines
    });
    tool("ConsoleProducer", &of_topic, &lines);
    let reading = [
        "--group",
        &group,
        "--from-beginning",
        "--max-messages",
        "30",
        "--timeout-ms",
        "60000",
    ];
    let read = tool("consumer.ConsoleConsumer", &[&of_topic[..], &reading].concat(), "");
    let sorted = |lines: &str| {
        let mut lines: Vec<String> = lines.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(&read), sorted(&lines));
    let of_group = ["--bootstrap-server", bootstrap, "--group", &group, "--describe"];
    let positions = tool("consumer.group.ConsumerGroupCommand", &of_group, "");
    // Group, topic, partition, position, end, lag.
    let lags = positions.lines().filter(|line| line.starts_with(&group));
    let lags: Vec<&str> = lags.filter_map(|line| line.split_whitespace().nth(5)).collect();
    assert!(!lags.is_empty() && lags.iter().all(|lag| *lag == "0"), "{positions}");
    settings_are_told_and_altered(bootstrap, &topic);
    topics(&["--delete"]);
}

/// By Kafka's own tool: those of a topic, and those of the broker.
fn settings_are_told_and_altered(bootstrap: &str, topic: &str) {
    let of_entity = [
        "--bootstrap-server",
        bootstrap,
        "--entity-type",
        "topics",
        "--entity-name",
        topic,
    ];
    let configs = |more: &[&str]| tool("ConfigCommand", &[&of_entity, more].concat(), "");
    configs(&["--alter", "--add-config", "max.message.bytes=3000"]);
    assert!(configs(&["--describe"]).contains("max.message.bytes=3000"));
    configs(&["--alter", "--delete-config", "max.message.bytes"]);
    let all = configs(&["--describe", "--all"]);
    assert!(
        all.contains("max.message.bytes=1048588") && all.contains("cleanup.policy=delete"),
        "{all}"
    );
    let of_broker = [
        "--bootstrap-server",
        bootstrap,
        "--entity-type",
        "brokers",
        "--entity-name",
        "1",
    ];
    let broker = tool(
        "ConfigCommand",
        &[&of_broker[..], &["--describe", "--all"]].concat(),
        "",
    );
    assert!(broker.contains("message.max.bytes=1048588"), "{broker}");
}

/// Runs one of Kafka's tools: what it says. Where its class lies has changed between versions.
fn tool(name: &str, arguments: &[&str], input: &str) -> String {
    let packages = ["org.apache.kafka.tools", "kafka.admin", "kafka.tools"];
    for package in packages {
        let class = format!("{package}.{name}");
        let output = outcome(&class, kafka::tool(&class).args(arguments), input);
        let errors = String::from_utf8_lossy(&output.stderr);
        if errors.contains("Could not find or load main class") {
            continue;
        }
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{class} {arguments:?}: {said}{errors}");
        return said;
    }
    panic!("{name} is in none of {packages:?}");
}

fn run(client: &str, command: &mut Command, input: &str) {
    let output = outcome(client, command, input);
    let (said, errors) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(
        output.status.success() && said.contains("done"),
        "{client}: {said}{errors}"
    );
}

/// Runs a command to its end, which must come before twice the limit that the clients have for each of their waits.
fn outcome(what: &str, command: &mut Command, input: &str) -> Output {
    let command = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{what}: {error}"));
    let mut stdin = child.stdin.take().unwrap();
    // One that ends without reading tells why by its exit code.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    let (mut out, mut err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let start = Instant::now();
    std::thread::scope(|threads| {
        let stdout = threads.spawn(move || drain(&mut out));
        let stderr = threads.spawn(move || drain(&mut err));
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if start.elapsed() > 2 * LIMIT {
                child.kill().unwrap();
                child.wait().unwrap();
                let said = [stdout.join().unwrap(), stderr.join().unwrap()].concat();
                panic!("{what} did not end: {}", String::from_utf8_lossy(&said));
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        Output {
            status,
            stdout: stdout.join().unwrap(),
            stderr: stderr.join().unwrap(),
        }
    })
}

fn drain(from: &mut impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    from.read_to_end(&mut bytes).unwrap();
    bytes
}

fn installed(client: &str) -> PathBuf {
    sandbar_tests::target().join("clients").join(client)
}

fn skip(client: &str, with: &str) {
    eprintln!("SKIPPED: {client} is not in target/clients/{with}; `tests/setup clients` installs it");
}
