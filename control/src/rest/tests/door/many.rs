//! A thousand streams at once.

use std::net::SocketAddr;
use std::time::Duration;

use axum::http::{Method, StatusCode};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::TcpStream;

use super::dialing::whoami;
use crate::model::Role;
use crate::rest::tests::daemon::{Daemon, name, raw};

const STREAMS: usize = 1000;
/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(60);
/// Fewer than a tenant may have.
const OF_A_TENANT: usize = 60;

type EventLines = Lines<BufReader<TcpStream>>;

/// A stream of events, after its first one.
async fn events(address: SocketAddr, tenant: &str, token: &str) -> EventLines {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let path = format!("/v1/tenants/{tenant}/pipelines/views/events");
    let head = format!("GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut lines = BufReader::new(stream).lines();
    until(&mut lines, "data: ").await;
    lines
}

async fn until(lines: &mut EventLines, word: &str) {
    while let Some(line) = line(lines).await {
        if line.contains(word) {
            return;
        }
    }
    panic!("the stream ended before {word}");
}

async fn line(lines: &mut EventLines) -> Option<String> {
    let line = tokio::time::timeout(LONG, lines.next_line()).await;
    line.expect("a line, or the end").unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_idle_streams_stay_open_while_others_are_answered() {
    crate::serve::room();
    let daemon = Daemon::new().await;
    let platform = daemon.token(None, Role::Admin).await;
    let address = daemon.serve().await;
    let mut streams = Vec::new();
    let mut operators = Vec::new();
    for number in 0..STREAMS.div_ceil(OF_A_TENANT) {
        let tenant = format!("t{number}");
        daemon.catalog.create_tenant(&name(&tenant)).await.unwrap();
        let path = format!("/v1/tenants/{tenant}/pipelines/views");
        let body = serde_json::json!({ "file": crate::rest::tests::daemon::FILE, "plugins": {} });
        let operator = daemon.token(Some(&tenant), Role::Operator).await;
        let answer = daemon.tell(&Method::PUT, &path, &operator, &body).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
        for _ in 0..OF_A_TENANT.min(STREAMS - streams.len()) {
            streams.push((number, events(address, &tenant, &operator).await));
        }
        operators.push((path, operator));
    }
    assert_eq!(streams.len(), STREAMS);
    for _ in 0..50 {
        let answer = raw(address, &whoami(&platform)).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
    // The last and the first hear of what happens, each of its own.
    for number in [operators.len() - 1, 0] {
        let (path, operator) = &operators[number];
        let answer = daemon
            .ask(&Method::POST, &format!("{path}/pause"), Some(operator))
            .await;
        assert_eq!(answer.status, StatusCode::ACCEPTED);
        for (_, stream) in streams.iter_mut().filter(|(of, _)| *of == number) {
            until(stream, "\"paused\"").await;
        }
    }
    let deleted = operators
        .iter()
        .map(|(path, operator)| daemon.ask(&Method::DELETE, path, Some(operator)));
    for answer in futures_util::future::join_all(deleted).await {
        assert_eq!(answer.status, StatusCode::NO_CONTENT);
    }
    // Each one is still there to hear that it ends.
    for (_, mut stream) in streams {
        while line(&mut stream).await.is_some() {}
    }
}
