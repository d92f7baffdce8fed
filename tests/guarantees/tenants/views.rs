//! What a tenant sees of the inside of its pipeline over the daemon's interface, compared with what is in Kafka.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

use sandbar_tests::counted::Counted;
use sandbar_tests::daemon::Daemon;
use sandbar_tests::kafka::Kafka;
use sandbar_tests::process::{Process, component};
use sandbar_tests::wait::{self, seconds};
use serde_json::{Value, json};

use super::walk::file_of;
use crate::http::metric;

/// A client of the interface, for one tenant's pipeline.
struct Interface {
    address: String,
    token: String,
}

impl Interface {
    fn new(daemon: &Daemon, token: &Path) -> Self {
        Self {
            address: daemon.url().trim_start_matches("http://").to_owned(),
            token: fs::read_to_string(token).expect("a token").trim().to_owned(),
        }
    }

    /// Status and body of a request.
    fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, String) {
        let Self { address, token } = self;
        let body = body.map(Value::to_string).unwrap_or_default();
        let kind = match body.is_empty() {
            true => "",
            false => "Content-Type: application/json\r\n",
        };
        let mut stream = TcpStream::connect(address).expect("the daemon");
        let len = body.len();
        let head = format!("{method} {path} HTTP/1.0\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n");
        write!(stream, "{head}{kind}Content-Length: {len}\r\n\r\n{body}").expect("a request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        (status.expect("a status"), body.to_owned())
    }

    /// What is answered below the pipeline `counts` of the tenant `team`, which has to succeed.
    fn of_counts(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        let path = format!("/v1/tenants/team/pipelines/counts/{path}");
        let (status, answer) = self.ask(method, &path, body);
        assert!((200..300).contains(&status), "{method} {path}: {status} {answer}");
        serde_json::from_str(&answer).unwrap_or(Value::Null)
    }

    fn items(&self, path: &str) -> Vec<Value> {
        self.of_counts("GET", path, None)["items"]
            .as_array()
            .expect("a list")
            .clone()
    }
}

/// A daemon with the tenant `team` and its pipeline `counts`, which has put out 500 records of 10 keys.
fn counting(counted: &Counted) -> (Daemon, Interface) {
    let daemon = Daemon::start();
    daemon.done(&["tenant", "create", "team"]);
    let file = daemon.write("counts.toml", &file_of(counted, &component("count-by-key"), ""));
    daemon.done(&["apply", &file.display().to_string(), "--tenant", "team"]);
    daemon.wait_until("team", "counts", "running");
    counted.send(0, 500);
    wait::until_true("all is put out", seconds(180), || counted.is_complete());
    let interface = Interface::new(&daemon, &daemon.token("team", "operator"));
    (daemon, interface)
}

/// The sum of a field.
fn sum(items: &[Value], field: &str) -> i64 {
    items.iter().map(|item| item[field].as_i64().expect("a number")).sum()
}

#[test]
fn positions_state_and_metrics_are_those_of_what_was_put_out() {
    let counted = Counted::on(Kafka::shared(), "tenant-views", 2, 10);
    let (daemon, interface) = counting(&counted);
    wait::until_true("all is committed", seconds(60), || {
        let positions = interface.items("positions");
        assert!(positions.len() == 2 && positions.iter().all(|at| at["topic"] == json!(counted.input)));
        assert_eq!(sum(&positions, "end"), 500);
        positions.iter().all(|at| at["committed"].is_number()) && sum(&positions, "committed") == 500
    });
    let last = json!({ "topic": counted.input, "partition": 0, "offset": 0, "wait": 30 });
    assert_eq!(
        interface.of_counts("POST", "completed", Some(&last))["is-completed"],
        true
    );
    let positions = interface.items("positions");
    let first = positions.iter().find(|at| at["partition"] == 0);
    let next = &first.expect("partition 0")["committed"];
    let body = |wait: u64| json!({ "topic": counted.input, "partition": 0, "offset": next, "wait": wait });
    assert_eq!(
        interface.of_counts("POST", "completed", Some(&body(0)))["is-completed"],
        false
    );
    counted.send(500, 100);
    assert_eq!(
        interface.of_counts("POST", "completed", Some(&body(30)))["is-completed"],
        true
    );
    wait::until_true("all is put out", seconds(180), || counted.is_complete());

    // Each key came as often as another.
    wait::until_true("the state is committed", seconds(60), || {
        let state = interface.items("state?operator=op&store=total&limit=100");
        state.len() == 10 && sum(&state, "value") == 600
    });
    let one = interface.items("state?operator=op&store=total&key=key-3");
    assert_eq!(
        (one.len(), &one[0]["key"], &one[0]["value"]),
        (1, &json!("key-3"), &json!(60))
    );
    assert_eq!(sum(&interface.items("state?count=true"), "entries"), 10);
    let absent = "/v1/tenants/team/pipelines/counts/state?operator=op&store=total&key=none";
    assert_eq!(interface.ask("GET", absent, None).0, 404);

    let (_, own) = interface.ask("GET", "/v1/tenants/team/pipelines/counts/metrics", None);
    let labels = ["tenant=\"team\"", "pipeline=\"counts\"", "sink=\"out\""];
    assert_eq!(metric(&own, "sandbar_records_out_total", &labels), Some(600.0), "{own}");
    assert_eq!(interface.ask("GET", "/v1/metrics", None).0, 403);
    let platform = Interface::new(&daemon, &daemon.admin());
    let (_, all) = platform.ask("GET", "/v1/metrics", None);
    assert_eq!(metric(&all, "sandbar_records_out_total", &labels), Some(600.0), "{all}");
    assert_eq!(metric(&all, "sandbar_pipeline_up", &labels[..2]), Some(1.0), "{all}");

    let bundle = daemon.done(&["support", "counts", "--tenant", "team"]);
    assert_eq!(bundle["positions"].as_array().expect("positions").len(), 2, "{bundle}");
    assert!(
        bundle["machine"]["found"].is_array() && bundle["log"].to_string().contains("\"start\""),
        "{bundle}"
    );
    let shown = daemon.done(&["status", "counts", "--positions", "--tenant", "team"]);
    assert_eq!(sum(shown.as_array().expect("positions"), "end"), 600);
}

/// The sum of the positions that the savepoint `late` has of a topic.
fn saved_positions(interface: &Interface, topic: &str) -> i64 {
    let saved = interface.items("savepoints");
    let late = saved.iter().find(|one| one["savepoint"] == "late");
    let tasks = late.expect("a savepoint")["tasks"].as_array().expect("tasks");
    let offsets = tasks
        .iter()
        .flat_map(|task| task["offsets"][topic].as_object().into_iter().flatten());
    offsets.map(|(_, offset)| offset.as_i64().expect("an offset")).sum()
}

#[test]
fn a_savepoint_goes_back_with_state_and_a_seek_without() {
    let counted = Counted::on(Kafka::shared(), "tenant-savepoints", 2, 10);
    let (daemon, interface) = counting(&counted);
    let made = interface.of_counts("POST", "savepoints", Some(&json!({ "name": "early" })));
    assert_eq!(made["savepoint"], "early");
    assert_eq!(interface.items("savepoints").len(), 1);
    assert!(!interface.items("checkpoints").is_empty());
    let refused = interface.ask(
        "POST",
        "/v1/tenants/team/pipelines/counts/seek",
        Some(&json!({ "to": "earliest" })),
    );
    assert_eq!(refused.0, 409, "{}", refused.1);

    counted.send(500, 100);
    wait::until_true("all is put out", seconds(180), || counted.is_complete());
    let stopped = daemon.done(&["stop", "counts", "--drain", "--savepoint=late", "--tenant", "team"]);
    assert_eq!(
        (&stopped["state"], &stopped["savepoint"]),
        (&json!("stopped"), &json!("late"))
    );
    assert!(daemon.children().is_empty());
    assert_eq!(saved_positions(&interface, &counted.input), 600);

    // Whoever has the savepoint goes on from it, with its state: each count follows the one before.
    counted.send(600, 50);
    let folder = "tenants/team/pipelines/counts/checkpoints/team--counts/savepoints/late";
    let late = daemon.data().join(folder).display().to_string();
    let own = file_of(&counted, &component("count-by-key"), "stop = \"latest\"");
    let own = daemon.write("own.toml", &own.replace("name = \"counts\"", "name = \"team--counts\""));
    // What ended just now counts as a member of the group until its session is over.
    wait::until_true("a run begins with the savepoint", seconds(180), || {
        let ended = Process::start(&["run", &own.display().to_string(), "--from", &late]).wait(seconds(180));
        eprintln!("{}", ended.text);
        ended.code == Some(0)
    });
    assert!(counted.is_complete());
    assert_eq!(interface.of_counts("DELETE", "savepoints/early", None), Value::Null);
    assert_eq!(interface.items("savepoints").len(), 1);

    let to = json!({ "to": { "offsets": { (counted.input.clone()): { "0": 0 } } }, "dry-run": true });
    let dry = interface.of_counts("POST", "seek", Some(&to));
    assert_eq!(
        (&dry["is-dry-run"], &dry["moves"][0]["to"]),
        (&json!(true), &json!(0)),
        "{dry}"
    );
    assert_eq!(
        sum(&interface.items("positions"), "committed"),
        650,
        "a dry run sets nothing"
    );
    // The run beside it counts as a member of the group until its session is over.
    let seek = "/v1/tenants/team/pipelines/counts/seek";
    wait::until_true("the group has no member", seconds(60), || {
        interface.ask("POST", seek, Some(&json!({ "to": "earliest" }))).0 == 200
    });
    assert_eq!(sum(&interface.items("positions"), "committed"), 0);
    // It reads all once more, with a state that begins empty.
    daemon.done(&["resume", "counts", "--tenant", "team"]);
    wait::until_true("all is read once more", seconds(180), || {
        sum(&interface.items("positions"), "committed") == 650
    });
    assert_eq!(sum(&interface.items("state?operator=op&store=total"), "value"), 650);
}
