//! Secrets, clusters, topics and what was used, asked for by each role and by strangers.

use std::time::Duration;

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::daemon::{Answer, Daemon, FILE, ROLES, name};
use super::mortal::{LONG, Mortal};
use crate::means::UsageDelta;
use crate::model::Role;

const SECRETS: &str = "/v1/tenants/alpha/secrets";
const PASSWORD: &str = "/v1/tenants/alpha/secrets/password";
const MAIN: &str = "/v1/tenants/alpha/clusters/main";
const TEXT: &str = "text/plain; charset=utf-8";

async fn set(daemon: &Daemon, path: &str, token: &str, text: &[u8]) -> Answer {
    daemon.bring(&Method::PUT, path, token, (TEXT, text)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_goes_in_and_never_comes_out() {
    let daemon = Daemon::new().await;
    let admin = daemon.token(Some("alpha"), Role::Admin).await;
    let first = set(&daemon, PASSWORD, &admin, b"hunter2").await;
    assert_eq!((first.status, first.body.len()), (StatusCode::CREATED, 0));
    assert_eq!(
        set(&daemon, PASSWORD, &admin, b"hunter3").await.status,
        StatusCode::NO_CONTENT
    );
    let means = daemon.catalog.means(&name("alpha")).await.unwrap();
    assert_eq!(means.secrets["password"].reveal(), "hunter3");
    let who = daemon.who(&admin).await.token;
    for role in ROLES {
        let token = daemon.token(Some("alpha"), role).await;
        let may = matches!(role, Role::Operator | Role::Admin);
        let listed = daemon.get(SECRETS, &token).await;
        let expected = if may { StatusCode::OK } else { StatusCode::FORBIDDEN };
        assert_eq!(listed.status, expected, "{role:?}");
        if may {
            let item = &listed.json()["items"][0];
            assert_eq!((&item["name"], &item["by"]), (&json!("password"), &json!(who)));
        }
        let may = role == Role::Admin;
        let again = set(&daemon, PASSWORD, &token, b"hunter4").await;
        let expected = if may {
            StatusCode::NO_CONTENT
        } else {
            StatusCode::FORBIDDEN
        };
        assert_eq!(again.status, expected, "{role:?}");
        let shown = daemon.get(PASSWORD, &token).await;
        assert_eq!(shown.status, StatusCode::METHOD_NOT_ALLOWED);
        for answer in [listed, again, shown] {
            assert!(!answer.text().contains("hunter"), "{answer:?}");
        }
    }
    let noted = format!("{:?}", daemon.audit().await);
    assert!(
        noted.contains("set-secret") && noted.contains("secrets/password"),
        "{noted}"
    );
    assert!(!noted.contains("hunter"), "{noted}");
    assert_eq!(
        daemon.ask(&Method::DELETE, PASSWORD, Some(&admin)).await.status,
        StatusCode::NO_CONTENT
    );
    let gone = daemon.ask(&Method::DELETE, PASSWORD, Some(&admin)).await;
    assert_eq!(
        (gone.status, gone.kind().as_str()),
        (StatusCode::NOT_FOUND, "not-found")
    );
    assert_eq!(daemon.get(SECRETS, &admin).await.json()["items"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_secret_is_refused_and_not_repeated() {
    let daemon = Daemon::new().await;
    let admin = daemon.token(Some("alpha"), Role::Admin).await;
    let most = "x".repeat(64 << 10);
    assert_eq!(
        set(&daemon, PASSWORD, &admin, most.as_bytes()).await.status,
        StatusCode::CREATED
    );
    for (path, kind, body, status) in [
        (
            PASSWORD,
            TEXT,
            format!("{most}hunter2").into_bytes(),
            StatusCode::PAYLOAD_TOO_LARGE,
        ),
        (
            PASSWORD,
            TEXT,
            b"hunter2\xff".to_vec(),
            StatusCode::UNPROCESSABLE_ENTITY,
        ),
        (PASSWORD, TEXT, b"hunter2\0".to_vec(), StatusCode::UNPROCESSABLE_ENTITY),
        (PASSWORD, TEXT, Vec::new(), StatusCode::UNPROCESSABLE_ENTITY),
        (
            PASSWORD,
            "application/json",
            b"hunter2".to_vec(),
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
        ),
        (
            "/v1/tenants/alpha/secrets/A",
            TEXT,
            b"hunter2".to_vec(),
            StatusCode::UNPROCESSABLE_ENTITY,
        ),
        (
            "/v1/tenants/alpha/secrets/a%2fb",
            TEXT,
            b"hunter2".to_vec(),
            StatusCode::UNPROCESSABLE_ENTITY,
        ),
        (
            "/v1/tenants/bravo/secrets/password",
            TEXT,
            b"hunter2".to_vec(),
            StatusCode::NOT_FOUND,
        ),
    ] {
        let answer = daemon.bring(&Method::PUT, path, &admin, (kind, &body)).await;
        assert_eq!(answer.status, status, "{path} {answer:?}");
        answer.kind();
        assert!(!answer.text().contains("hunter2"), "{answer:?}");
    }
    assert_eq!(
        daemon.catalog.means(&name("alpha")).await.unwrap().secrets["password"].reveal(),
        most
    );
    assert!(daemon.catalog.secrets(&name("bravo")).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_platform_sets_clusters_and_a_tenant_sees_names_and_references() {
    let daemon = Daemon::new().await;
    let platform = daemon.token(None, Role::Admin).await;
    let body = json!({ "brokers": "kafka:9092", "properties": {
        "security.protocol": "sasl_ssl", "sasl.password": { "secret": "password" } } });
    let made = daemon.tell(&Method::PUT, MAIN, &platform, &body).await;
    assert_eq!(
        (made.status, &made.json()["properties"]),
        (StatusCode::CREATED, &body["properties"])
    );
    assert_eq!(
        daemon.tell(&Method::PUT, MAIN, &platform, &body).await.status,
        StatusCode::OK
    );
    assert_eq!(
        daemon.get(MAIN, &platform).await.json()["properties"],
        body["properties"]
    );
    for role in ROLES {
        let token = daemon.token(Some("alpha"), role).await;
        let list = daemon.get("/v1/tenants/alpha/clusters", &token).await.json();
        let shown = daemon.get(MAIN, &token).await.json();
        assert_eq!(list["items"], json!([shown]), "{role:?}");
        assert_eq!(
            (&shown["name"], &shown["brokers"]),
            (&json!("main"), &json!("kafka:9092"))
        );
        let properties = json!({ "security.protocol": null, "sasl.password": { "secret": "password" } });
        assert_eq!(shown["properties"], properties, "{role:?}");
        for answer in [
            daemon.tell(&Method::PUT, MAIN, &token, &body).await,
            daemon.ask(&Method::DELETE, MAIN, Some(&token)).await,
        ] {
            assert_eq!(
                (answer.status, answer.kind().as_str()),
                (StatusCode::FORBIDDEN, "not-allowed"),
                "{role:?}"
            );
        }
        let foreign = daemon.token(Some("bravo"), role).await;
        assert_eq!(daemon.get(MAIN, &foreign).await.status, StatusCode::NOT_FOUND);
    }
    for (property, value) in [
        ("ssl.ca.location", json!("/etc/passwd")),
        ("plugin.library.paths", json!("x.so")),
        ("sasl.password", json!("hunter2")),
        ("linger.ms", json!({ "file": "/etc/shadow" })),
        ("linger.ms", Value::Null),
    ] {
        let body = json!({ "brokers": "kafka:9092", "properties": { property: value } });
        let answer = daemon.tell(&Method::PUT, MAIN, &platform, &body).await;
        assert_eq!(
            (answer.status, answer.kind().as_str()),
            (StatusCode::UNPROCESSABLE_ENTITY, "invalid"),
            "{property}"
        );
        assert!(!answer.text().contains("hunter2"), "{answer:?}");
    }
    assert_eq!(
        daemon.ask(&Method::DELETE, MAIN, Some(&platform)).await.status,
        StatusCode::NO_CONTENT
    );
    assert_eq!(daemon.get(MAIN, &platform).await.kind(), "not-found");
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_are_shown_with_the_tenant_and_set_by_the_platform() {
    let daemon = Daemon::new().await;
    let platform = daemon.token(None, Role::Admin).await;
    let own = daemon.token(Some("alpha"), Role::Admin).await;
    let (tenant, path) = ("/v1/tenants/alpha", "/v1/tenants/alpha/access");
    assert_eq!(daemon.get(tenant, &own).await.json()["reads"], Value::Null);
    let access = json!({ "reads": ["alpha.*", "shared"], "writes": [] });
    let set = daemon.tell(&Method::PUT, path, &platform, &access).await;
    assert_eq!(set.status, StatusCode::OK);
    for shown in [set.json(), daemon.get(tenant, &own).await.json()] {
        assert_eq!(
            (&shown["reads"], &shown["writes"]),
            (&access["reads"], &access["writes"])
        );
    }
    assert_eq!(
        daemon.get("/v1/tenants", &platform).await.json()["items"][0]["writes"],
        json!([])
    );
    assert_eq!(
        daemon.tell(&Method::PUT, path, &own, &json!({})).await.kind(),
        "not-allowed"
    );
    for wrong in [
        json!({ "reads": ["a*b"] }),
        json!({ "reads": vec!["a"; 65] }),
        json!({ "writes": [""] }),
        json!({ "reads": "a" }),
        json!({ "topics": [] }),
    ] {
        assert_eq!(
            daemon.tell(&Method::PUT, path, &platform, &wrong).await.kind(),
            "invalid",
            "{wrong}"
        );
    }
    assert_eq!(daemon.get(tenant, &own).await.json()["reads"], access["reads"]);
    daemon.tell(&Method::PUT, path, &platform, &json!({})).await;
    assert_eq!(daemon.get(tenant, &own).await.json()["writes"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_sees_what_its_pipelines_used_and_the_platform_sees_all() {
    let daemon = Daemon::new().await;
    let platform = daemon.token(None, Role::Admin).await;
    let own = daemon.token(Some("alpha"), Role::Viewer).await;
    let now = crate::clock::now();
    let used = UsageDelta {
        cpu_ms: 7,
        state_byte_seconds: 7200,
        ..UsageDelta::default()
    };
    for (tenant, pipeline, moment) in [
        ("alpha", "views", now),
        ("alpha", "other", now),
        ("bravo", "views", now),
        // Of a tenant that had the name before.
        ("alpha", "views", now - (2 * 3_600_000)),
    ] {
        daemon
            .catalog
            .add_usage(&name(tenant), &name(pipeline), moment, &used)
            .await
            .unwrap();
    }
    let of_alpha = daemon.get("/v1/tenants/alpha/usage", &own).await.json();
    let figures = |list: &Value| -> Vec<String> {
        let items = list["items"].as_array().unwrap().iter();
        items
            .map(|item| format!("{}/{} {}", item["tenant"], item["pipeline"], item["cpu-ms"]).replace('"', ""))
            .collect()
    };
    assert_eq!(figures(&of_alpha), ["alpha/other 7", "alpha/views 7"]);
    assert_eq!(of_alpha["items"][0]["state-byte-hours"], 2);
    let all = daemon.get("/v1/usage", &platform).await.json();
    assert_eq!(figures(&all), ["alpha/other 7", "alpha/views 14", "bravo/views 7"]);
    let first = daemon.get("/v1/usage?most=1", &platform).await.json();
    assert_eq!(first["next"], "alpha/other");
    let second = daemon.get("/v1/usage?most=1&after=alpha/other", &platform).await.json();
    assert_eq!(figures(&second), ["alpha/views 14"]);
    let late = daemon
        .get(&format!("/v1/usage?from={}", now + 3_600_000), &platform)
        .await
        .json();
    assert_eq!(late["items"], json!([]));
    for query in [
        "from=-1",
        "from=2&to=1",
        "from=x",
        "most=0",
        "after=alpha",
        "after=../x",
        "days=1",
    ] {
        assert_eq!(
            daemon.get(&format!("/v1/usage?{query}"), &platform).await.kind(),
            "invalid",
            "{query}"
        );
    }
    assert_eq!(daemon.get("/v1/usage", &own).await.kind(), "not-allowed");
    assert_eq!(daemon.get("/v1/tenants/bravo/usage", &own).await.kind(), "not-found");
}

#[test]
fn all_that_a_process_does_is_billed_and_once_although_its_daemon_dies() {
    let mut mortal = Mortal::new();
    mortal.apply("one");
    let mut least = 0;
    for _ in 0..3 {
        let end = Instant::now() + LONG;
        least = loop {
            let (billed, counted) = mortal.billed_and_counted();
            // What is counted is written down a moment before it is billed.
            if billed > least && billed == counted {
                break billed;
            }
            assert!(Instant::now() < end, "{billed} of {counted}, of which {least} before");
            std::thread::sleep(Duration::from_millis(20));
        };
        mortal.die();
        mortal.begin();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fleet_is_told_whenever_the_means_of_its_pipelines_change() {
    let platform_sets = [
        (Method::PUT, "/v1/tenants/alpha/access", json!({ "reads": [] })),
        (Method::PUT, "/v1/tenants/alpha/quotas", json!({ "pipelines": 7 })),
        (Method::PUT, MAIN, json!({ "brokers": "kafka:9092" })),
        (Method::DELETE, MAIN, Value::Null),
        (Method::PUT, PASSWORD, Value::Null),
        (Method::DELETE, PASSWORD, Value::Null),
    ];
    for (method, path, body) in platform_sets {
        let daemon = Daemon::new().await;
        let platform = daemon.token(None, Role::Admin).await;
        if method == Method::DELETE {
            set(&daemon, PASSWORD, &platform, b"hunter2").await;
            daemon
                .tell(&Method::PUT, MAIN, &platform, &json!({ "brokers": "kafka:9092" }))
                .await;
        }
        // The catalog alone knows it, until somebody tells the fleet.
        let (alpha, views) = (name("alpha"), name("views"));
        let plugins = Default::default();
        daemon
            .catalog
            .apply(&alpha, &views, FILE, &plugins, "test", None)
            .await
            .unwrap();
        let kept = daemon.folder().join("tenants/alpha/pipelines/views");
        assert!(!kept.exists());
        let answer = match (&method, body) {
            (&Method::DELETE, _) => daemon.ask(&method, path, Some(&platform)).await,
            (_, Value::Null) => set(&daemon, path, &platform, b"hunter2").await,
            (_, body) => daemon.tell(&method, path, &platform, &body).await,
        };
        assert!(answer.status.is_success(), "{method} {path}: {answer:?}");
        let until = Instant::now() + Duration::from_secs(20);
        while !kept.exists() {
            assert!(Instant::now() < until, "{method} {path}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}
