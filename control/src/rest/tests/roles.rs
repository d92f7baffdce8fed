//! Every route of the document, for every role, in its own tenant, in another one, and in one that is not there.

use std::collections::BTreeSet;

use axum::http::{Method, StatusCode};

use super::super::openapi::{openapi, operations};
use super::daemon::{Answer, Daemon, FILE, ROLES, name};
use crate::model::Role;

/// Who may, written down once more: roles of the tenant, and of the platform, by their first letters.
const WHO_MAY: &[(&str, &str, &str, &str)] = &[
    ("GET", "/v1/openapi.json", "vaoA", "vaoA"),
    ("GET", "/v1/whoami", "vaoA", "vaoA"),
    ("GET", "/v1/audit", "", "A"),
    ("GET", "/v1/tenants", "", "A"),
    ("GET", "/v1/tenants/{tenant}", "vaoA", "vaoA"),
    ("PUT", "/v1/tenants/{tenant}", "", "A"),
    ("DELETE", "/v1/tenants/{tenant}", "", "A"),
    ("GET", "/v1/tenants/{tenant}/audit", "A", "A"),
    ("GET", "/v1/tenants/{tenant}/tokens", "A", "A"),
    ("POST", "/v1/tenants/{tenant}/tokens", "A", "A"),
    ("DELETE", "/v1/tenants/{tenant}/tokens/{token}", "A", "A"),
    ("GET", "/v1/tenants/{tenant}/secrets", "oA", "oA"),
    ("PUT", "/v1/tenants/{tenant}/secrets/{secret}", "A", "A"),
    ("DELETE", "/v1/tenants/{tenant}/secrets/{secret}", "A", "A"),
    ("GET", "/v1/tenants/{tenant}/clusters", "vaoA", "vaoA"),
    ("GET", "/v1/tenants/{tenant}/clusters/{cluster}", "vaoA", "vaoA"),
    ("PUT", "/v1/tenants/{tenant}/clusters/{cluster}", "", "A"),
    ("DELETE", "/v1/tenants/{tenant}/clusters/{cluster}", "", "A"),
    ("PUT", "/v1/tenants/{tenant}/access", "", "A"),
    ("GET", "/v1/tenants/{tenant}/quotas", "vaoA", "vaoA"),
    ("PUT", "/v1/tenants/{tenant}/quotas", "", "A"),
    ("GET", "/v1/tenants/{tenant}/signing-keys", "vaoA", "vaoA"),
    ("POST", "/v1/tenants/{tenant}/signing-keys", "A", "A"),
    ("DELETE", "/v1/tenants/{tenant}/signing-keys/{key}", "A", "A"),
    ("PUT", "/v1/tenants/{tenant}/signatures", "A", "A"),
    ("GET", "/v1/usage", "", "A"),
    ("GET", "/v1/tenants/{tenant}/usage", "vaoA", "vaoA"),
    ("GET", "/v1/tenants/{tenant}/plugins", "vaoA", "vaoA"),
    ("POST", "/v1/tenants/{tenant}/plugins", "aA", "aA"),
    ("GET", "/v1/tenants/{tenant}/plugins/{digest}", "vaoA", "vaoA"),
    ("GET", "/v1/tenants/{tenant}/pipelines", "vaoA", "vaoA"),
    ("GET", "/v1/tenants/{tenant}/pipelines/{pipeline}", "vaoA", "vaoA"),
    ("PUT", "/v1/tenants/{tenant}/pipelines/{pipeline}", "oA", "oA"),
    ("DELETE", "/v1/tenants/{tenant}/pipelines/{pipeline}", "oA", "oA"),
    (
        "GET",
        "/v1/tenants/{tenant}/pipelines/{pipeline}/status",
        "vaoA",
        "vaoA",
    ),
    (
        "GET",
        "/v1/tenants/{tenant}/pipelines/{pipeline}/versions",
        "vaoA",
        "vaoA",
    ),
    ("GET", "/v1/tenants/{tenant}/pipelines/{pipeline}/logs", "vaoA", "vaoA"),
    (
        "GET",
        "/v1/tenants/{tenant}/pipelines/{pipeline}/events",
        "vaoA",
        "vaoA",
    ),
    ("POST", "/v1/tenants/{tenant}/pipelines/{pipeline}/pause", "oA", "oA"),
    ("POST", "/v1/tenants/{tenant}/pipelines/{pipeline}/resume", "oA", "oA"),
    ("POST", "/v1/tenants/{tenant}/pipelines/{pipeline}/stop", "oA", "oA"),
    ("POST", "/v1/tenants/{tenant}/pipelines/{pipeline}/start", "oA", "oA"),
    (
        "GET",
        "/v1/tenants/{tenant}/pipelines/{pipeline}/positions",
        "vaoA",
        "vaoA",
    ),
    (
        "POST",
        "/v1/tenants/{tenant}/pipelines/{pipeline}/completed",
        "vaoA",
        "vaoA",
    ),
    ("POST", "/v1/tenants/{tenant}/pipelines/{pipeline}/seek", "oA", "oA"),
    (
        "GET",
        "/v1/tenants/{tenant}/pipelines/{pipeline}/checkpoints",
        "vaoA",
        "vaoA",
    ),
    (
        "GET",
        "/v1/tenants/{tenant}/pipelines/{pipeline}/savepoints",
        "vaoA",
        "vaoA",
    ),
    (
        "POST",
        "/v1/tenants/{tenant}/pipelines/{pipeline}/savepoints",
        "oA",
        "oA",
    ),
    (
        "DELETE",
        "/v1/tenants/{tenant}/pipelines/{pipeline}/savepoints/{savepoint}",
        "oA",
        "oA",
    ),
    ("GET", "/v1/tenants/{tenant}/pipelines/{pipeline}/state", "oA", "oA"),
    (
        "GET",
        "/v1/tenants/{tenant}/pipelines/{pipeline}/dead-letters",
        "vaoA",
        "vaoA",
    ),
    (
        "GET",
        "/v1/tenants/{tenant}/pipelines/{pipeline}/dead-letters/{letter}",
        "oA",
        "oA",
    ),
    (
        "POST",
        "/v1/tenants/{tenant}/pipelines/{pipeline}/dead-letters/replay",
        "oA",
        "oA",
    ),
    (
        "GET",
        "/v1/tenants/{tenant}/pipelines/{pipeline}/metrics",
        "vaoA",
        "vaoA",
    ),
    (
        "GET",
        "/v1/tenants/{tenant}/pipelines/{pipeline}/support",
        "vaoA",
        "vaoA",
    ),
    ("GET", "/v1/metrics", "", "vaoA"),
    (
        "GET",
        "/v1/tenants/{tenant}/pipelines/{pipeline}/upgrade",
        "vaoA",
        "vaoA",
    ),
    ("POST", "/v1/tenants/{tenant}/pipelines/{pipeline}/upgrade", "oA", "oA"),
    (
        "POST",
        "/v1/tenants/{tenant}/pipelines/{pipeline}/upgrade/promote",
        "oA",
        "oA",
    ),
    (
        "POST",
        "/v1/tenants/{tenant}/pipelines/{pipeline}/upgrade/drop",
        "oA",
        "oA",
    ),
    ("POST", "/v1/tenants/{tenant}/pipelines/{pipeline}/rollback", "oA", "oA"),
];

fn letter(role: Role) -> char {
    match role {
        Role::Viewer => 'v',
        Role::Author => 'a',
        Role::Operator => 'o',
        Role::Admin => 'A',
    }
}

fn is_open(path: &str) -> bool {
    path == "/v1/openapi.json"
}

/// A path of a pattern. Nothing below the tenant is there, but the pipeline `views`.
fn path_of(pattern: &str, tenant: &str, pipeline: &str) -> String {
    let digest = format!("sha256:{}", "0".repeat(64));
    let pairs = [
        ("{tenant}", tenant),
        ("{pipeline}", pipeline),
        ("{token}", "none"),
        ("{secret}", "none"),
        ("{cluster}", "none"),
        ("{key}", "0123456789ABCDEF"),
        ("{digest}", &digest),
        ("{savepoint}", "none"),
        ("{letter}", "0-0"),
    ];
    pairs
        .iter()
        .fold(pattern.to_owned(), |path, (key, value)| path.replace(key, value))
}

async fn daemon() -> Daemon {
    let daemon = Daemon::new().await;
    for tenant in ["alpha", "bravo"] {
        let (tenant, pipeline) = (name(tenant), name("views"));
        let plugins = Default::default();
        let applied = daemon.catalog.apply(&tenant, &pipeline, FILE, &plugins, "test", None);
        applied.await.unwrap();
    }
    daemon
}

/// Whether it says that the tenant is not there.
fn is_no_tenant(answer: &Answer) -> bool {
    let is_problem = answer.status == StatusCode::NOT_FOUND;
    is_problem
        && answer.json()["title"]
            .as_str()
            .unwrap()
            .starts_with("failed to find the tenant ")
}

fn is_let_in(answer: &Answer) -> bool {
    let refused = [
        StatusCode::UNAUTHORIZED,
        StatusCode::FORBIDDEN,
        StatusCode::METHOD_NOT_ALLOWED,
    ];
    !refused.contains(&answer.status) && !is_no_tenant(answer) && answer.status != StatusCode::INTERNAL_SERVER_ERROR
}

#[test]
fn every_route_of_the_document_is_in_the_table_and_the_other_way_round() {
    let mut document = openapi();
    let mut documented = BTreeSet::new();
    for (path, item) in &mut document.paths.paths {
        documented.extend(operations(item).map(|(method, _)| (method.to_string(), path.clone())));
    }
    let of_table = |(method, path, ..): &(&str, &str, &str, &str)| ((*method).to_owned(), (*path).to_owned());
    let table: BTreeSet<_> = WHO_MAY.iter().map(of_table).collect();
    assert_eq!(documented, table);
    let routes = super::super::sign_in::ROUTES;
    assert_eq!(routes.len(), table.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_has_what_the_table_says_in_its_own_tenant() {
    let daemon = daemon().await;
    for role in ROLES {
        let own = daemon.token(Some("alpha"), role).await;
        let platform = daemon.token(None, role).await;
        for (method, pattern, of_tenant, of_platform) in WHO_MAY {
            let method: Method = method.parse().unwrap();
            let path = path_of(pattern, "alpha", "absent");
            for (token, may) in [(&own, of_tenant), (&platform, of_platform)] {
                let answer = daemon.ask(&method, &path, Some(token)).await;
                let said = format!("{method} {path} {role:?} {may}: {answer:?}");
                assert_eq!(is_let_in(&answer), may.contains(letter(role)), "{said}");
                if !is_let_in(&answer) {
                    assert_eq!(
                        (answer.status, answer.kind().as_str()),
                        (StatusCode::FORBIDDEN, "not-allowed")
                    );
                }
            }
        }
    }
    assert!(daemon.catalog.tenant(&name("alpha")).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn another_tenant_answers_byte_for_byte_as_one_that_is_not_there() {
    let daemon = daemon().await;
    let platform = daemon.token(None, Role::Admin).await;
    for role in ROLES {
        let own = daemon.token(Some("alpha"), role).await;
        for (method, pattern, ..) in WHO_MAY.iter().filter(|(_, path, ..)| path.contains("{tenant}")) {
            let method: Method = method.parse().unwrap();
            let other = daemon
                .ask(&method, &path_of(pattern, "bravo", "views"), Some(&own))
                .await;
            let ghost = daemon
                .ask(&method, &path_of(pattern, "ghost", "views"), Some(&own))
                .await;
            assert!(is_no_tenant(&other), "{method} {pattern} {role:?}: {other:?}");
            let renamed = Answer {
                body: other.text().replace("bravo", "ghost").into(),
                ..other
            };
            assert_eq!(renamed, ghost, "{method} {pattern} {role:?}");
            if (&method, *pattern) != (&Method::PUT, "/v1/tenants/{tenant}") {
                let to_platform = daemon
                    .ask(&method, &path_of(pattern, "ghost", "views"), Some(&platform))
                    .await;
                assert_eq!(to_platform, ghost, "{method} {pattern}");
            }
        }
    }
    let bravo = name("bravo");
    let is_there = daemon.catalog.pipeline(&bravo, &name("views")).await.unwrap().is_some();
    assert!(is_there && daemon.catalog.tenant(&bravo).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_known_token_nothing_is_answered_but_the_document() {
    let daemon = daemon().await;
    let revoked = daemon.token(Some("alpha"), Role::Admin).await;
    let id = daemon.who(&revoked).await.token;
    assert!(daemon.catalog.revoke(Some(&name("alpha")), &id).await.unwrap());
    let unknown = format!("sbt_{}", "A".repeat(43));
    for (method, pattern, ..) in WHO_MAY {
        let method: Method = method.parse().unwrap();
        let mut answers = Vec::new();
        for token in [None, Some(unknown.as_str()), Some(revoked.as_str())] {
            for tenant in ["alpha", "ghost"] {
                answers.push(daemon.ask(&method, &path_of(pattern, tenant, "views"), token).await);
            }
        }
        for answer in &answers {
            match is_open(pattern) {
                true => assert_eq!(answer.status, StatusCode::OK),
                false => {
                    let kind = answer.kind();
                    assert_eq!(
                        (answer.status, kind.as_str()),
                        (StatusCode::UNAUTHORIZED, "not-signed-in")
                    );
                    assert_eq!(answer.headers["www-authenticate"], "Bearer");
                }
            }
        }
        assert_eq!(answers[0], answers[1], "{pattern}");
        assert!(answers[2..].iter().all(|answer| *answer == answers[2]), "{pattern}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_change_and_refused_change_is_noted_once_and_with_whoever_asked() {
    let daemon = daemon().await;
    let mut before = daemon.audit().await.len();
    let tokens = [
        (Some("alpha"), daemon.token(Some("alpha"), Role::Viewer).await),
        (Some("alpha"), daemon.token(Some("alpha"), Role::Admin).await),
        (None, daemon.token(None, Role::Admin).await),
        (None, String::new()),
    ];
    for (method, pattern, ..) in WHO_MAY {
        let method: Method = method.parse().unwrap();
        for ((of, token), tenant) in tokens
            .iter()
            .flat_map(|one| [(one, "alpha"), (one, "bravo"), (one, "ghost")])
        {
            let is_making = method == Method::PUT && *pattern == "/v1/tenants/{tenant}";
            if is_making && tenant == "ghost" && of.is_none() {
                continue;
            }
            // Of those that nobody signed in for, so many are counted and not noted.
            if token.is_empty() && tenant != "alpha" {
                continue;
            }
            let path = path_of(pattern, tenant, "absent");
            let answer = daemon
                .ask(&method, &path, Some(token.as_str()).filter(|token| !token.is_empty()))
                .await;
            let entries = daemon.audit().await;
            let noted = &entries[before..];
            before = entries.len();
            let is_change = method != Method::GET && !path.ends_with("/completed");
            assert_eq!(noted.len(), usize::from(is_change), "{method} {path}");
            let Some(entry) = noted.first() else { continue };
            let (who, result) = match (token.as_str(), answer.status.is_success()) {
                ("", _) => (String::new(), "not-signed-in".to_owned()),
                (token, true) => (daemon.who(token).await.token, "ok".to_owned()),
                (token, false) => (daemon.who(token).await.token, answer.kind()),
            };
            assert_eq!(
                (&entry.who, &entry.result),
                (&who, &result),
                "{method} {path} {entry:?}"
            );
            let is_of_platform = of.is_none() && (token.is_empty() || tenant == "ghost" || pattern.len() < 22);
            let stands_with = of.unwrap_or(tenant);
            let expected = Some(stands_with).filter(|_| !is_of_platform);
            assert_eq!(
                entry.tenant.as_ref().map(|name| name.as_str()),
                expected,
                "{method} {path} {entry:?}"
            );
        }
    }
}
