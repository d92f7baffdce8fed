//! Keys that change, and an issuer that is out of reach.

use std::time::Duration;

use serde_json::json;

use super::TestKey;
use super::test_issuer::TestIssuer;
use crate::door::oidc::issuer::TokenIssuer;
use crate::door::oidc::keys::KeyPatience;
use crate::model::problem::ProblemKind;

const NEVER: Duration = Duration::from_secs(1 << 30);
/// Keys are good until they are asked for because one is not known.
const PATIENT: KeyPatience = KeyPatience {
    fresh: NEVER,
    stale: NEVER,
    pause: Duration::ZERO,
};

fn issuer(server: &TestIssuer, patience: KeyPatience) -> TokenIssuer {
    TokenIssuer::with_patience(server.options(), patience).unwrap()
}

async fn kind(issuer: &TokenIssuer, token: &str) -> Option<ProblemKind> {
    issuer.check(token).await.err().map(|problem| problem.kind)
}

#[tokio::test]
async fn a_key_that_is_new_is_asked_for_and_one_that_is_gone_ends() {
    let server = TestIssuer::start(vec![TestKey::new("old", "ES256")]);
    let issuer = issuer(&server, PATIENT);
    let old = server.token();
    assert_eq!(kind(&issuer, &old).await, None);
    server.with(|state| state.keys = vec![TestKey::new("new", "EdDSA")]);
    assert_eq!(kind(&issuer, &old).await, None);
    assert_eq!(kind(&issuer, &server.token()).await, None);
    assert_eq!(kind(&issuer, &old).await, Some(ProblemKind::NotSignedIn));
}

#[tokio::test]
async fn names_of_keys_that_are_not_known_do_not_make_it_ask_again_and_again() {
    let server = TestIssuer::start(vec![TestKey::new("a", "ES256")]);
    let issuer = issuer(
        &server,
        KeyPatience {
            pause: NEVER,
            ..PATIENT
        },
    );
    let foreign = TestKey::new("b", "ES256");
    for number in 0..50 {
        let head = json!({ "alg": "ES256", "kid": number.to_string() });
        let token = foreign.sign_as(&head, &server.claims());
        assert_eq!(kind(&issuer, &token).await, Some(ProblemKind::NotSignedIn));
    }
    assert_eq!(kind(&issuer, &server.token()).await, None);
    assert_eq!(server.with(|state| state.asked), 1);
}

#[tokio::test]
async fn known_keys_are_good_for_a_while_when_the_issuer_is_out_of_reach() {
    let mut server = TestIssuer::start(vec![TestKey::new("a", "ES256")]);
    let old = KeyPatience {
        fresh: Duration::ZERO,
        ..PATIENT
    };
    let too_old = KeyPatience {
        fresh: Duration::ZERO,
        stale: Duration::ZERO,
        ..PATIENT
    };
    let (good, ended) = (issuer(&server, old), issuer(&server, too_old));
    let token = server.token();
    assert_eq!(kind(&good, &token).await, None);
    // As old as it may be is too old here, so that nothing that was kept is taken.
    assert_ne!(kind(&ended, &token).await, None);
    server.stop();
    for _ in 0..3 {
        assert_eq!(kind(&good, &token).await, None);
    }
    let unknown = TestKey::new("b", "ES256").sign(&server.claims());
    assert_eq!(kind(&good, &unknown).await, Some(ProblemKind::Unavailable));
    assert_eq!(kind(&ended, &token).await, Some(ProblemKind::Unavailable));
    let never_seen = issuer(&server, PATIENT);
    let problem = never_seen.check(&token).await.unwrap_err();
    assert_eq!(problem.kind, ProblemKind::Unavailable);
    assert!(problem.what.contains(&server.url), "{problem}");
}

#[tokio::test]
async fn a_document_of_another_issuer_or_with_an_address_in_the_clear_is_refused() {
    for (key, value) in [
        ("issuer", json!("https://another.example")),
        ("jwks_uri", json!("http://issuer.example/keys")),
        ("jwks_uri", json!("file:///etc/passwd")),
        ("jwks_uri", json!(null)),
        ("jwks_uri", json!([])),
    ] {
        let server = TestIssuer::start(vec![TestKey::new("a", "ES256")]);
        server.with(|state| state.says.insert(key, value.clone()));
        let issuer = issuer(&server, PATIENT);
        assert_eq!(
            kind(&issuer, &server.token()).await,
            Some(ProblemKind::Failed),
            "{key} {value}"
        );
        assert_eq!(server.with(|state| state.asked), 0);
    }
}
