//! Tokens of an issuer at the interface.

use axum::http::{Method, StatusCode};
use serde_json::json;

use crate::door::oidc::TokenIssuer;
use crate::door::oidc::tests::TestKey;
use crate::door::oidc::tests::test_issuer::TestIssuer;
use crate::model::Role;
use crate::rest::asked::Patience;
use crate::rest::tests::daemon::{Daemon, FILE, name};

async fn daemon(server: &TestIssuer) -> Daemon {
    let issuer = TokenIssuer::new(server.options()).unwrap();
    Daemon::with(Patience::default(), Some(issuer)).await
}

fn signed(server: &TestIssuer, tenant: &str, role: &str) -> String {
    let mut claims = server.claims();
    claims["sandbar_tenant"] = json!(tenant);
    claims["sandbar_role"] = json!(role);
    server.with(|state| state.keys[0].sign(&claims))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_the_issuer_signs_in_as_its_claims_say_and_the_audit_has_its_subject() {
    let server = TestIssuer::start(vec![TestKey::new("a", "RS256")]);
    let daemon = daemon(&server).await;
    let token = signed(&server, "alpha", "operator");
    let said = daemon.get("/v1/whoami", &token).await.json();
    assert_eq!((&said["tenant"], &said["role"]), (&json!("alpha"), &json!("operator")));
    assert_eq!(said["token"], "oidc:ann");
    assert_eq!(daemon.apply("views", &token, FILE).await.status, StatusCode::CREATED);
    let entry = daemon.audit().await.pop().unwrap();
    assert_eq!((entry.who.as_str(), entry.result.as_str()), ("oidc:ann", "ok"));
    assert_eq!(entry.tenant, Some(name("alpha")));
    let refused = daemon.get("/v1/tenants/alpha/tokens", &token).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    // Another's tenant is one that is not there.
    let (theirs, none) = ("/v1/tenants/bravo/pipelines", "/v1/tenants/charly/pipelines");
    let (theirs, none) = (daemon.get(theirs, &token).await, daemon.get(none, &token).await);
    assert_eq!(theirs.status, StatusCode::NOT_FOUND);
    assert_eq!(theirs.text().replace("bravo", "charly"), none.text());
    // Tokens of the catalog go on to count.
    let own = daemon.token(Some("bravo"), Role::Viewer).await;
    assert_eq!(daemon.get("/v1/whoami", &own).await.status, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_signed_in_learns_nothing_of_tenants_and_changes_nothing() {
    let server = TestIssuer::start(vec![TestKey::new("a", "ES256")]);
    let daemon = daemon(&server).await;
    let foreign = TestKey::new("a", "ES256").sign(&server.claims());
    for token in [
        signed(&server, "charly", "admin"),
        signed(&server, "*", "admin"),
        signed(&server, "alpha", "owner"),
        foreign,
        "a.b.c".to_owned(),
    ] {
        let answer = daemon.get("/v1/whoami", &token).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
        assert_eq!(answer.kind(), "not-signed-in");
        assert!(!answer.text().contains(&token) && !answer.text().contains("charly"));
        let answer = daemon.ask(&Method::DELETE, "/v1/tenants/alpha", Some(&token)).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    }
    // A tenant that goes takes its tokens with it.
    let token = signed(&server, "bravo", "admin");
    assert_eq!(daemon.get("/v1/whoami", &token).await.status, StatusCode::OK);
    let platform = daemon.token(None, Role::Admin).await;
    let gone = daemon.ask(&Method::DELETE, "/v1/tenants/bravo", Some(&platform)).await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT);
    assert_eq!(daemon.get("/v1/whoami", &token).await.status, StatusCode::UNAUTHORIZED);
    // Without an issuer such a token is one that is not known.
    let without = Daemon::new().await;
    let answer = without.get("/v1/whoami", &signed(&server, "alpha", "admin")).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issuer_that_is_out_of_reach_is_told_as_that() {
    let mut server = TestIssuer::start(vec![TestKey::new("a", "ES256")]);
    let daemon = daemon(&server).await;
    let token = signed(&server, "alpha", "viewer");
    server.stop();
    let answer = daemon.get("/v1/whoami", &token).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    let own = daemon.token(Some("alpha"), Role::Viewer).await;
    assert_eq!(daemon.get("/v1/whoami", &own).await.status, StatusCode::OK);
}
