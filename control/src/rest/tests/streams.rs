//! Logs that follow, and events, over a socket.

use std::net::SocketAddr;
use std::time::Duration;

use axum::http::{Method, StatusCode};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::TcpStream;

use super::daemon::{Daemon, FILE, name};
use crate::model::Role;

/// Longer than a stream takes to see that it is to end.
const LONG: Duration = Duration::from_secs(20);

struct Stream(Lines<BufReader<TcpStream>>);

impl Stream {
    /// Asks for a stream, and reads the head of its answer.
    async fn open(address: SocketAddr, path: &str, token: &str) -> (Self, Vec<String>) {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head =
            format!("GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut lines = Self(BufReader::new(stream).lines());
        let mut head = Vec::new();
        loop {
            match lines.line().await.unwrap() {
                line if line.is_empty() => return (lines, head),
                line => head.push(line),
            }
        }
    }

    async fn line(&mut self) -> Option<String> {
        let line = tokio::time::timeout(LONG, self.0.next_line()).await;
        line.expect("a line, or the end").unwrap()
    }

    /// The rest of a line after this beginning, of the next line that has it.
    async fn after(&mut self, begin: &str) -> Option<Value> {
        while let Some(line) = self.line().await {
            if let Some(rest) = line.strip_prefix(begin) {
                return Some(serde_json::from_str(rest).unwrap());
            }
        }
        None
    }
}

async fn running() -> (Daemon, String, SocketAddr) {
    let daemon = Daemon::new().await;
    let operator = daemon.token(Some("alpha"), Role::Operator).await;
    assert_eq!(daemon.apply("views", &operator, FILE).await.status, StatusCode::CREATED);
    let address = daemon.serve().await;
    (daemon, operator, address)
}

const VIEWS: &str = "/v1/tenants/alpha/pipelines/views";

#[tokio::test(flavor = "multi_thread")]
async fn events_come_as_the_pipeline_changes_and_end_with_it() {
    let (daemon, operator, address) = running().await;
    let viewer = daemon.token(Some("alpha"), Role::Viewer).await;
    let (mut stream, head) = Stream::open(address, &format!("{VIEWS}/events"), &viewer).await;
    assert!(head[0].starts_with("HTTP/1.1 200") && head.contains(&"content-type: text/event-stream".to_owned()));
    let first = stream.after("data: ").await.unwrap();
    assert_eq!((&first["name"], &first["tenant"]), (&"views".into(), &"alpha".into()));
    let answer = daemon
        .ask(&Method::POST, &format!("{VIEWS}/pause"), Some(&operator))
        .await;
    assert_eq!(answer.status, StatusCode::ACCEPTED);
    loop {
        let status = stream.after("data: ").await.expect("it pauses");
        if status["state"] == "paused" {
            break;
        }
    }
    let answer = daemon.ask(&Method::DELETE, VIEWS, Some(&operator)).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    while stream.line().await.is_some() {}
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_is_followed_comes_as_json_and_ends_with_its_token() {
    let (daemon, _, address) = running().await;
    let viewer = daemon.token(Some("alpha"), Role::Viewer).await;
    let (mut stream, head) = Stream::open(address, &format!("{VIEWS}/logs?follow=true"), &viewer).await;
    assert!(
        head.contains(&"content-type: application/x-ndjson".to_owned()),
        "{head:?}"
    );
    loop {
        let line = stream.line().await.expect("the text comes");
        if line.starts_with('{') {
            serde_json::from_str::<Value>(&line).unwrap();
        }
        if line == r#"{"message":"a line of text"}"# {
            break;
        }
    }
    let id = daemon.who(&viewer).await.token;
    assert!(daemon.catalog.revoke(Some(&name("alpha")), &id).await.unwrap());
    while stream.line().await.is_some() {}
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_is_not_followed_ends() {
    let (daemon, operator, _) = running().await;
    let path = format!("{VIEWS}/logs?last=2");
    for _ in 0..100 {
        let text = daemon.get(&path, &operator).await.text();
        if text.lines().count() == 2 && text.contains("message") {
            assert_eq!(text, "{\"event\":\"started\"}\n{\"message\":\"a line of text\"}\n");
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("it did not say what the program says");
}
