//! Quotas: set by the platform, seen by the tenant, told with figures when they are exceeded.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use super::daemon::{Daemon, FILE, ROLES, name};
use crate::model::Role;

const QUOTAS: &str = "/v1/tenants/alpha/quotas";
const PLUGINS: &str = "/v1/tenants/alpha/plugins";

async fn limited(daemon: &Daemon, quotas: &Value) {
    let platform = daemon.token(None, Role::Admin).await;
    let answer = daemon.tell(&Method::PUT, QUOTAS, &platform, quotas).await;
    assert_eq!((answer.status, &answer.json()), (StatusCode::OK, quotas));
}

/// A component of so many bytes, which differ by this one.
fn component(size: usize, byte: u8) -> Vec<u8> {
    let mut bytes = b"\0asm\x0d\0\x01\0".to_vec();
    bytes.resize(size, byte);
    bytes
}

fn files(daemon: &Daemon) -> usize {
    std::fs::read_dir(daemon.folder().join("tenants/alpha/plugins")).map_or(0, Iterator::count)
}

#[tokio::test(flavor = "multi_thread")]
async fn quotas_are_set_by_the_platform_and_seen_by_the_tenant() {
    let daemon = Daemon::new().await;
    let quotas = json!({ "pipelines": 3, "pipeline-cpu": 1500, "compile-time": 60 });
    limited(&daemon, &quotas).await;
    for role in ROLES {
        let token = daemon.token(Some("alpha"), role).await;
        assert_eq!(daemon.get(QUOTAS, &token).await.json(), quotas, "{role:?}");
        assert_eq!(
            daemon.tell(&Method::PUT, QUOTAS, &token, &json!({})).await.kind(),
            "not-allowed"
        );
        let foreign = daemon.token(Some("bravo"), role).await;
        assert_eq!(daemon.get(QUOTAS, &foreign).await.kind(), "not-found");
    }
    let platform = daemon.token(None, Role::Admin).await;
    for wrong in [
        json!({ "pipelines": -1 }),
        json!({ "pipelines": "3" }),
        json!({ "pipelines": 1.5 }),
        json!({ "versions": 0 }),
        json!({ "pipelines": u64::MAX }),
        json!({ "pods": 3 }),
    ] {
        assert_eq!(
            daemon.tell(&Method::PUT, QUOTAS, &platform, &wrong).await.kind(),
            "invalid",
            "{wrong}"
        );
    }
    assert_eq!(daemon.get(QUOTAS, &platform).await.json(), quotas);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_pipeline_too_many_is_told_to_the_tenant_and_in_the_audit() {
    let daemon = Daemon::new().await;
    limited(&daemon, &json!({ "pipelines": 1 })).await;
    let own = daemon.token(Some("alpha"), Role::Admin).await;
    assert_eq!(daemon.apply("views", &own, FILE).await.status, StatusCode::CREATED);
    let refused = daemon.apply("other", &own, FILE).await;
    assert_eq!(
        (refused.status, refused.kind().as_str()),
        (StatusCode::TOO_MANY_REQUESTS, "quota-exceeded")
    );
    let problem = refused.json();
    let why = "the tenant alpha has 1 pipelines, and its quota `pipelines` is 1";
    assert_eq!(problem["detail"], why);
    assert!(
        problem["hint"]
            .as_str()
            .unwrap()
            .contains("sandbar quota set alpha pipelines="),
        "{problem}"
    );
    let noted = daemon.get("/v1/tenants/alpha/audit?most=500", &own).await.json();
    let last = noted["items"].as_array().unwrap().last().unwrap();
    assert_eq!(
        (&last["verb"], &last["object"]),
        (&json!("apply"), &json!("pipelines/other"))
    );
    assert_eq!(last["result"], format!("quota-exceeded: {why}"));
    assert!(
        daemon
            .catalog
            .pipeline(&name("alpha"), &name("other"))
            .await
            .unwrap()
            .is_none()
    );
    assert_eq!(
        daemon.apply("views", &own, &format!("{FILE}# 2\n")).await.status,
        StatusCode::OK
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn plugins_that_are_too_many_or_too_large_leave_nothing() {
    let daemon = Daemon::new().await;
    limited(&daemon, &json!({ "plugins": 1, "plugin-bytes": 1000 })).await;
    let own = daemon.token(Some("alpha"), Role::Author).await;
    let push = async |bytes: Vec<u8>| {
        let wasm = ("application/wasm", bytes.as_slice());
        daemon.bring(&Method::POST, PLUGINS, &own, wasm).await
    };
    let large = push(component(1001, 1)).await;
    assert_eq!(
        (large.status, large.kind().as_str()),
        (StatusCode::PAYLOAD_TOO_LARGE, "quota-exceeded")
    );
    assert!(
        large
            .text()
            .contains("1000, which is the quota `plugin-bytes` of the tenant alpha"),
        "{large:?}"
    );
    assert_eq!(files(&daemon), 0);
    assert_eq!(push(component(1000, 1)).await.status, StatusCode::CREATED);
    assert_eq!(push(component(1000, 1)).await.status, StatusCode::OK);
    let second = push(component(1000, 2)).await;
    assert_eq!(
        (second.status, second.kind().as_str()),
        (StatusCode::TOO_MANY_REQUESTS, "quota-exceeded")
    );
    assert!(
        second.text().contains("1 plugins, and its quota `plugins` is 1"),
        "{second:?}"
    );
    assert_eq!(files(&daemon), 1);
    let results: Vec<String> = daemon.audit().await.into_iter().map(|entry| entry.result).collect();
    assert!(
        results
            .iter()
            .any(|one| one.starts_with("quota-exceeded: ") && one.contains("plugin-bytes"))
    );
    assert!(
        results
            .iter()
            .any(|one| one.starts_with("quota-exceeded: ") && one.contains("`plugins`"))
    );
}
