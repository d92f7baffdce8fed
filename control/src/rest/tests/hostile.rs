//! Requests as nobody should send them.

use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::super::asked::{JSON_BYTES, Patience};
use super::daemon::{Daemon, FILE, json_request, raw};
use crate::model::Role;

const VIEWS: &str = "/v1/tenants/alpha/pipelines/views";
const SHORT: Duration = Duration::from_millis(200);

#[tokio::test(flavor = "multi_thread")]
async fn paths_that_are_no_names_are_not_found() {
    let daemon = Daemon::new().await;
    let (own, platform) = (
        daemon.token(Some("alpha"), Role::Admin).await,
        daemon.token(None, Role::Admin).await,
    );
    let long = "x".repeat(300);
    let parts = [
        "..", "%2e%2e", ".", "%2E", "a%2fb", "a%5cb", "%00", "a%00", "%ff", "%0d%0a", "A", "%20", "*", &long,
    ];
    for part in parts {
        let paths = [
            format!("/v1/tenants/{part}"),
            format!("/v1/tenants/{part}/pipelines"),
            format!("/v1/tenants/{part}/pipelines/views"),
            format!("/v1/tenants/alpha/pipelines/{part}"),
            format!("/v1/tenants/alpha/pipelines/{part}/logs"),
            format!("/v1/tenants/alpha/plugins/{part}"),
            format!("/v1/tenants/alpha/clusters/{part}"),
            format!("/v1/{part}/tenants"),
            format!("/v1/tenants/alpha/pipelines/{part}/../../../bravo"),
        ];
        for (path, token) in paths.iter().flat_map(|path| [(path, &own), (path, &platform)]) {
            let answer = daemon.get(path, token).await;
            assert_eq!(
                (answer.status, answer.kind().as_str()),
                (StatusCode::NOT_FOUND, "not-found"),
                "{path}"
            );
        }
        let pipeline = format!("/v1/tenants/alpha/pipelines/{part}");
        let answer = daemon
            .tell(&Method::PUT, &pipeline, &own, &json!({ "file": FILE }))
            .await;
        let refused = [StatusCode::UNPROCESSABLE_ENTITY, StatusCode::NOT_FOUND];
        assert!(refused.contains(&answer.status), "{part}: {answer:?}");
        for method in [Method::DELETE, Method::PUT] {
            let path = format!("/v1/tenants/{part}");
            let answer = daemon.ask(&method, &path, Some(&platform)).await;
            assert!(refused.contains(&answer.status), "{method} {path}: {answer:?}");
            answer.kind();
        }
    }
    for path in [
        "/",
        "/v1",
        "/v1/",
        "/v2/tenants",
        "/v1/tenants/",
        "/v1/tenants/alpha/",
        "//v1/whoami",
        "/V1/whoami",
    ] {
        let answer = daemon.get(path, &platform).await;
        assert_eq!(
            (answer.status, answer.kind().as_str()),
            (StatusCode::NOT_FOUND, "not-found"),
            "{path}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn methods_that_a_path_has_not_are_refused_with_those_it_has() {
    let daemon = Daemon::new().await;
    let token = daemon.token(None, Role::Admin).await;
    for method in ["PATCH", "OPTIONS", "TRACE", "POST", "FOO"] {
        let answer = daemon.ask(&method.parse().unwrap(), VIEWS, Some(&token)).await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{method}");
        assert_eq!(answer.headers[header::ALLOW], "GET, PUT, DELETE");
        answer.kind();
    }
    let answer = daemon.ask(&Method::HEAD, "/v1/tenants/alpha", Some(&token)).await;
    assert!(answer.status == StatusCode::OK && answer.body.is_empty());
    let answer = daemon.ask(&Method::HEAD, "/v1/tenants/alpha", None).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_is_one_header_with_a_bearer_token() {
    let daemon = Daemon::new().await;
    let token = daemon.token(None, Role::Admin).await;
    let bearer = format!("Bearer {token}");
    let whoami = |values: Vec<String>| {
        let request = Request::builder().uri("/v1/whoami");
        let add = |request: axum::http::request::Builder, value| request.header(header::AUTHORIZATION, value);
        daemon.send(values.into_iter().fold(request, add).body(Body::empty()).unwrap())
    };
    assert_eq!(whoami(vec![bearer.clone()]).await.status, StatusCode::OK);
    let wrong = [
        vec![bearer.clone(), bearer.clone()],
        vec!["Bearer x".to_owned(), bearer.clone()],
        vec![token.clone()],
        vec![format!("Basic {token}")],
        vec![format!("Bearer {token} ")],
        vec![format!("Bearer {token}x")],
        vec![format!("Bearer {}", &token[..token.len() - 1])],
        vec![format!("Bearer {}", "x".repeat(10_000))],
        vec![String::new()],
    ];
    for values in wrong {
        let answer = whoami(values.clone()).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{values:?}");
        assert!(!answer.text().contains(&token[4..]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_not_as_it_should_be_changes_nothing() {
    let daemon = Daemon::new().await;
    let token = daemon.token(Some("alpha"), Role::Admin).await;
    let big = json!({ "file": "x".repeat(2 << 20) }).to_string();
    let deep = format!("{{\"file\":{}", "[".repeat(100_000));
    for (body, status, kind) in [
        (big.as_str(), StatusCode::PAYLOAD_TOO_LARGE, "too-large"),
        ("{\"file\":", StatusCode::UNPROCESSABLE_ENTITY, "invalid"),
        ("", StatusCode::UNPROCESSABLE_ENTITY, "invalid"),
        ("[]", StatusCode::UNPROCESSABLE_ENTITY, "invalid"),
        (&deep, StatusCode::UNPROCESSABLE_ENTITY, "invalid"),
        ("{\"file\":\"\"} {}", StatusCode::UNPROCESSABLE_ENTITY, "invalid"),
        (
            "{\"file\":\"\",\"file\":\"\"}",
            StatusCode::UNPROCESSABLE_ENTITY,
            "invalid",
        ),
        (
            "{\"file\":\"\",\"unknown\":1}",
            StatusCode::UNPROCESSABLE_ENTITY,
            "invalid",
        ),
        (
            "{\"file\":\"\",\"plugins\":{\"a\":\"../x\"}}",
            StatusCode::UNPROCESSABLE_ENTITY,
            "invalid",
        ),
        ("{\"file\":\"\\ud800\"}", StatusCode::UNPROCESSABLE_ENTITY, "invalid"),
    ] {
        let answer = daemon
            .send(json_request(&Method::PUT, VIEWS, &token, body.to_owned()))
            .await;
        let said = &body[..body.len().min(50)];
        assert_eq!((answer.status, answer.kind().as_str()), (status, kind), "{said}");
    }
    for content_type in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/jsonx",
        "",
    ] {
        let mut request = json_request(&Method::PUT, VIEWS, &token, json!({ "file": FILE }).to_string());
        request
            .headers_mut()
            .insert(header::CONTENT_TYPE, content_type.parse().unwrap());
        let answer = daemon.send(request).await;
        assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{content_type}");
        answer.kind();
    }
    assert_eq!(daemon.get(VIEWS, &token).await.status, StatusCode::NOT_FOUND);
    // As much as there may be is read.
    let most = json_request(&Method::PUT, VIEWS, &token, " ".repeat(JSON_BYTES));
    assert_eq!(daemon.send(most).await.status, StatusCode::UNPROCESSABLE_ENTITY);
}

/// What `schemathesis` found: serde takes a list for a structure, by the order of its fields.
#[tokio::test(flavor = "multi_thread")]
async fn a_body_is_an_object_and_null_is_none_where_none_may_be() {
    let daemon = Daemon::new().await;
    let token = daemon.token(None, Role::Admin).await;
    assert_eq!(daemon.apply("views", &token, FILE).await.status, StatusCode::CREATED);
    let tell = async |method: Method, path: &str, body: serde_json::Value| {
        daemon
            .tell(&method, &format!("/v1/tenants/alpha/{path}"), &token, &body)
            .await
    };
    for path in ["access", "quotas"] {
        let answer = tell(Method::PUT, path, json!([null, null])).await;
        assert_eq!(answer.kind(), "invalid", "{path}");
    }
    let stopped = tell(Method::POST, "pipelines/views/stop", json!([false, false])).await;
    assert_eq!(stopped.kind(), "invalid");
    let stopped = tell(Method::POST, "pipelines/views/stop", serde_json::Value::Null).await;
    assert_eq!(stopped.status, StatusCode::ACCEPTED);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_is_not_known_or_not_within_limits_is_refused() {
    let daemon = Daemon::new().await;
    let token = daemon.token(None, Role::Admin).await;
    assert_eq!(daemon.apply("views", &token, FILE).await.status, StatusCode::CREATED);
    for path in [
        "/v1/tenants?most=0",
        "/v1/tenants?most=501",
        "/v1/tenants?most=-1",
        "/v1/tenants?most=1&most=2",
        "/v1/tenants?after=..",
        "/v1/tenants?other=1",
        "/v1/audit?after=-1",
        "/v1/audit?most=99999999999999999999",
        "/v1/tenants/alpha/plugins?after=x",
        "/v1/tenants/alpha/pipelines/views/logs?last=10001",
        "/v1/tenants/alpha/pipelines/views/logs?follow=maybe",
    ] {
        let answer = daemon.get(path, &token).await;
        assert_eq!(
            (answer.status, answer.kind().as_str()),
            (StatusCode::UNPROCESSABLE_ENTITY, "invalid"),
            "{path}"
        );
    }
    for query in ["dry-run=perhaps", "dryrun=true", "dry_run=true"] {
        let path = format!("{VIEWS}?{query}");
        let answer = daemon
            .tell(&Method::PUT, &path, &token, &json!({ "file": "x = 1" }))
            .await;
        assert_eq!(answer.kind(), "invalid", "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_lengths_of_a_body_are_refused() {
    let daemon = Daemon::new().await;
    let token = daemon.token(Some("alpha"), Role::Admin).await;
    let address = daemon.serve().await;
    let body = json!({ "file": FILE }).to_string();
    let len = body.len();
    let head = format!(
        "PUT {VIEWS} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n\
         Connection: close\r\n"
    );
    for lengths in [
        format!("Content-Length: {len}\r\nContent-Length: {}\r\n", len + 1),
        format!("Content-Length: {len}, {}\r\n", len + 1),
        "Content-Length: -1\r\n".to_owned(),
        format!("Content-Length: {len}\r\nTransfer-Encoding: gzip\r\n"),
    ] {
        let answer = raw(address, format!("{head}{lengths}\r\n{body}").as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{lengths}: {answer}");
    }
    assert_eq!(daemon.get(VIEWS, &token).await.status, StatusCode::NOT_FOUND);
    let answer = raw(address, format!("{head}Content-Length: {len}\r\n\r\n{body}").as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
    let entries = daemon.audit().await;
    assert_eq!(entries.last().unwrap().from, "127.0.0.1");
}

fn short() -> Patience {
    Patience {
        json: SHORT,
        piece: SHORT,
        plugin: SHORT * 3,
        ..Patience::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_comes_slowly_is_cut() {
    let daemon = Daemon::with_patience(short()).await;
    let token = daemon.token(Some("alpha"), Role::Admin).await;
    let address = daemon.serve().await;
    for (path, content_type, status) in [
        (VIEWS, "application/json", "408"),
        ("/v1/tenants/alpha/plugins", "application/wasm", "408"),
    ] {
        let method = if path == VIEWS { "PUT" } else { "POST" };
        // One that says nothing more, and one that says a byte now and then.
        for drip in [false, true] {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let head = format!(
                "{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Type: \
                 {content_type}\r\nContent-Length: 1000\r\n\r\n"
            );
            stream.write_all(head.as_bytes()).await.unwrap();
            let (mut from, mut to) = stream.into_split();
            let dripping = tokio::spawn(async move {
                let bytes = *b"\0asm\x0d\0\x01\0";
                for at in 0.. {
                    tokio::time::sleep(SHORT / 4).await;
                    let byte = [bytes.get(at).copied().unwrap_or(0)];
                    if drip && to.write_all(&byte).await.is_err() {
                        return;
                    }
                }
            });
            let mut answer = [0; 12];
            let read = from.read_exact(&mut answer);
            tokio::time::timeout(SHORT * 20, read)
                .await
                .expect("it is cut")
                .unwrap();
            assert_eq!(
                String::from_utf8_lossy(&answer),
                format!("HTTP/1.1 {status}"),
                "{path} {drip}"
            );
            dripping.abort();
        }
    }
    let usual = Patience::default();
    assert_eq!(
        (usual.json, usual.piece),
        (Duration::from_secs(30), Duration::from_secs(30))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_whose_asker_goes_away_is_done_and_noted_all_the_same() {
    let daemon = Daemon::new().await;
    let token = daemon.token(Some("alpha"), Role::Admin).await;
    let text = json!({ "file": FILE }).to_string();
    let body = Body::from_stream(futures_util::stream::once(async move {
        tokio::time::sleep(SHORT).await;
        Ok::<_, std::convert::Infallible>(text)
    }));
    let (parts, _) = json_request(&Method::PUT, VIEWS, &token, String::new()).into_parts();
    let asked = daemon.send(Request::from_parts(parts, body));
    // What is dropped here is what a server drops when a connection is gone.
    assert!(tokio::time::timeout(SHORT / 4, asked).await.is_err());
    for _ in 0..200 {
        if let Some(entry) = daemon.audit().await.first() {
            assert_eq!(
                (entry.verb.as_str(), entry.object.as_str()),
                ("apply", "pipelines/views")
            );
            assert_eq!(entry.result, "ok");
            assert_eq!(daemon.get(VIEWS, &token).await.status, StatusCode::OK);
            return;
        }
        tokio::time::sleep(SHORT / 4).await;
    }
    panic!("it was not noted");
}
