//! What a running process shows over HTTP: readiness that follows the cluster, and figures that are true.

use crate::flow::{Flow, stop};
use sandbar_tests::client::Record;
use sandbar_tests::kafka::Kafka;
use sandbar_tests::pipeline_file::PipelineFile;
use sandbar_tests::process::Process;
use sandbar_tests::wait::{self, PATIENCE};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{SystemTime, UNIX_EPOCH};

/// Status and body of a GET.
pub fn get(address: &str, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).expect("the server");
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )
    .expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let status = answer
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .expect("a status");
    (
        status,
        answer
            .split_once("\r\n\r\n")
            .map(|(_, body)| body.to_owned())
            .unwrap_or_default(),
    )
}

/// Starts the pipeline with `--http` on a free port.
pub fn serve(file: &PipelineFile) -> (Process, String) {
    let file = file.write("");
    let mut run = Process::start(&["run", &file.display().to_string(), "--http", "127.0.0.1:0"]);
    let address = |lines: &[String]| {
        let line = lines.iter().find_map(|line| line.strip_prefix("serving http://"))?;
        Some(line.trim_end_matches("/metrics").to_owned())
    };
    run.wait_for("the server's address", PATIENCE, |lines| address(lines).is_some());
    let address = address(&run.lines()).expect("an address");
    (run, address)
}

/// The value of the first metric whose line begins with `name{` and has all of `labels`.
pub fn metric(body: &str, name: &str, labels: &[&str]) -> Option<f64> {
    let mut lines = body.lines().filter(|line| line.starts_with(&format!("{name}{{")));
    let line = lines.find(|line| labels.iter().all(|label| line.contains(label)))?;
    line.rsplit(' ').next()?.parse().ok()
}

#[test]
fn metrics_count_what_was_read_written_and_committed() {
    let mut flow = Flow::new("metrics", 1, "start = \"earliest\"\nauto-commit-interval = \"100ms\"");
    flow.file.top += "\n";
    flow.send(0..70);
    let (run, address) = serve(&flow.file);
    flow.wait_count(70, &run);
    flow.wait_committed(&[70]);
    let topic = format!("topic=\"{}\"", flow.input);
    wait::until_true("the figures stand", PATIENCE, || {
        let (_, body) = get(&address, "/metrics");
        let of_partition = |name: &str| metric(&body, name, &[&topic, "partition=\"0\"", "source=\"in\""]);
        of_partition("sandbar_records_in_total") == Some(70.0)
            && of_partition("sandbar_current_offset") == Some(70.0)
            && of_partition("sandbar_committed_offset") == Some(70.0)
            && of_partition("sandbar_lag_records") == Some(0.0)
            && metric(&body, "sandbar_records_out_total", &["sink=\"out\""]) == Some(70.0)
            && metric(&body, "sandbar_plugin_calls_total", &["operator=\"op\""]).is_some_and(|calls| calls >= 1.0)
            && metric(&body, "sandbar_commits_total", &[]).is_some_and(|commits| commits >= 1.0)
    });
    assert_eq!(get(&address, "/health").0, 200);
    assert_eq!(get(&address, "/nothing").0, 404);
    stop(run);
}

#[test]
fn the_lag_of_event_time_is_by_the_time_in_the_value() {
    const HOUR_MS: i64 = 3_600_000;
    let flow = Flow::new("event-lag", 1, "start = \"earliest\"\nevent-time = \"/at\"");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970");
    let now = now.as_millis() as i64;
    // The newest stands in the middle: Kafka's own timestamps are the present.
    let values = [10, 2, 5].map(|hours| format!("{{\"at\":{}}}", now - hours * HOUR_MS));
    let records = values.map(|value| Record::placed(&flow.input, 0, &value));
    flow.client.producer().send(&records);
    let (run, address) = serve(&flow.file);
    flow.wait_count(3, &run);
    let topic = format!("topic=\"{}\"", flow.input);
    wait::until_true("the lag is told", PATIENCE, || {
        let (_, body) = get(&address, "/metrics");
        let lag = metric(&body, "sandbar_event_time_lag_seconds", &[&topic, "source=\"in\""]);
        lag.is_some_and(|lag| (7200.0..4.0 * 3600.0).contains(&lag))
    });
    stop(run);
}

#[test]
fn readiness_turns_red_while_the_broker_is_away_and_green_when_it_is_back() {
    let kafka = Kafka::start(1);
    let flow = Flow::on(&kafka, "ready", 1, "start = \"earliest\"");
    flow.send(0..10);
    let (run, address) = serve(&flow.file);
    flow.wait_count(10, &run);
    let ready = |status: u16| {
        wait::until_true(&format!("/ready says {status}"), PATIENCE, || {
            get(&address, "/ready").0 == status
        })
    };
    ready(200);
    kafka.kill(1);
    ready(503);
    kafka.restart(1);
    ready(200);
    flow.send(10..20);
    flow.wait_count(20, &run);
    stop(run);
}

#[test]
fn an_address_in_use_ends_with_1() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let flow = Flow::new("taken", 1, "start = \"earliest\"\nstop = \"latest\"");
    let file = flow.file.write("");
    let address = taken.local_addr().expect("an address").to_string();
    let ended = sandbar_tests::process::run(&["run", &file.display().to_string(), "--http", &address]);
    assert_eq!(ended.code, Some(1), "{}", ended.text);
    assert!(ended.text.contains(&address), "{}", ended.text);
}
