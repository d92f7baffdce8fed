//! Paths, heads and bodies as nobody should send them, over TLS.

use std::time::Duration;

use axum::http::StatusCode;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::dialing::{BehindTls, said};
use crate::door::DoorPatience;
use crate::model::Role;
use crate::rest::asked::Patience;
use crate::rest::tests::daemon::{Daemon, FILE};

const VIEWS: &str = "/v1/tenants/alpha/pipelines/views";

#[tokio::test(flavor = "multi_thread")]
async fn heads_with_tricks_get_no_further_than_plain_ones() {
    let daemon = Daemon::new().await;
    let (own, other) = (
        daemon.token(Some("alpha"), Role::Admin).await,
        daemon.token(Some("bravo"), Role::Viewer).await,
    );
    let door = BehindTls::new(daemon, None, DoorPatience::default()).await;
    let ask = async |line: &str, token: &str, more: &str| {
        let head = format!("{line}\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n{more}\r\n");
        door.ask(head.as_bytes()).await
    };
    let plain = ask("GET /v1/whoami HTTP/1.1", &own, "").await;
    assert!(plain.starts_with("HTTP/1.1 200 "), "{plain}");
    let many = (0..200).map(|n| format!("X-{n}: 1\r\n")).collect::<String>();
    for (line, more, status) in [
        ("GET /v1/tenants/bravo/../alpha/pipelines HTTP/1.1", "", "404"),
        ("GET /v1/tenants/bravo/%2e%2e/alpha HTTP/1.1", "", "404"),
        ("GET /v1//whoami HTTP/1.1", "", "404"),
        ("GET /v1/whoami%00 HTTP/1.1", "", "404"),
        ("GET /v1/tenants/alpha;/tokens HTTP/1.1", "", "404"),
        ("GET /v1/whoami HTTP/1.1", "X: a\r\n b\r\n", "400"),
        ("GET /v1/whoami HTTP/1.1", "X\0: a\r\n", "400"),
        ("GET /v1/whoami HTTP/1.1", "X : a\r\n", "400"),
        ("GET /v1/whoami HTTP/9.1", "", "400"),
        ("GET  /v1/whoami HTTP/1.1", "", "400"),
        ("PRI * HTTP/2.0", "", "400"),
        ("GET /v1/whoami HTTP/1.1", many.as_str(), "431"),
        ("CONNECT /v1/whoami HTTP/1.1", "", "4"),
        ("CONNECT bravo:1 HTTP/1.1", "", "4"),
        (
            "GET /v1/tenants HTTP/1.1",
            "X-Forwarded-For: 127.0.0.1\r\nX-Original-URL: /v1/whoami\r\n",
            "403",
        ),
        (
            "GET /v1/tenants/bravo/tokens HTTP/1.1",
            "X-HTTP-Method-Override: GET\r\n",
            "404",
        ),
    ] {
        let answer = ask(line, &own, more).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{line} {}: {answer}",
            &more[..more.len().min(50)]
        );
    }
    // A request that hides in the body of another is no request.
    let hidden = "GET /v1/tenants/alpha/tokens HTTP/1.1\r\nHost: x\r\n\r\n";
    let more = format!("Content-Type: application/json\r\nContent-Length: {}\r\n", hidden.len());
    let head = format!("PUT {VIEWS} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {own}\r\nConnection: close\r\n{more}");
    let answer = door.ask(format!("{head}\r\n{hidden}").as_bytes()).await;
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
    // Whose connection it was says nothing of whose request it is.
    let first = format!("GET /v1/tenants/alpha HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {own}\r\n\r\n");
    let second = format!(
        "GET /v1/tenants/alpha HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {other}\r\nConnection: close\r\n\r\n"
    );
    let answer = door.ask(format!("{first}{second}").as_bytes()).await;
    assert!(
        answer.starts_with("HTTP/1.1 200 ") && answer.contains("HTTP/1.1 404 "),
        "{answer}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_is_too_long_is_not_read_to_its_end() {
    let daemon = Daemon::new().await;
    let token = daemon.token(None, Role::Admin).await;
    let door = BehindTls::new(daemon, None, DoorPatience::default()).await;
    let long = "x".repeat(1 << 20);
    for (query, header) in [(long.as_str(), ""), ("", long.as_str())] {
        let head = format!(
            "GET /v1/whoami?{query} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\
             X: {header}\r\n\r\n"
        );
        // What was said may be lost with the connection, which ends while there is more to come.
        let answer = said(door.dial().await, head.as_bytes()).await.unwrap_or_default();
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_by_a_forwarding_header_is_not_where_it_came_from() {
    let daemon = Daemon::new().await;
    let token = daemon.token(Some("alpha"), Role::Admin).await;
    let door = BehindTls::new(daemon, None, DoorPatience::default()).await;
    let head = format!(
        "DELETE {VIEWS} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nX-Forwarded-For: 10.9.8.7\r\n\
         Forwarded: for=10.9.8.7\r\nConnection: close\r\n\r\n"
    );
    assert!(door.ask(head.as_bytes()).await.starts_with("HTTP/1.1 404 "));
    assert_eq!(door.daemon.audit().await.last().unwrap().from, "127.0.0.1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_slower_than_it_may_be_is_cut() {
    let patience = Patience {
        json: Duration::from_millis(200),
        ..Patience::default()
    };
    let daemon = Daemon::with_patience(patience).await;
    let token = daemon.token(Some("alpha"), Role::Admin).await;
    let door = BehindTls::new(daemon, None, DoorPatience::default()).await;
    let head = format!(
        "PUT {VIEWS} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n\
         Content-Length: 1000\r\n\r\n{{"
    );
    let mut stream = door.dial().await;
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 408");
    assert_eq!(door.daemon.get(VIEWS, &token).await.status, StatusCode::NOT_FOUND);
    let body = json!({ "file": FILE });
    let made = door.daemon.tell(&axum::http::Method::PUT, VIEWS, &token, &body).await;
    assert_eq!(made.status, StatusCode::CREATED);
}
