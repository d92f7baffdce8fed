//! Which tokens are taken, and which are not.

use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::sign::Signer;
use serde_json::{Value, json};

use super::TestKey;
use super::test_issuer::TestIssuer;
use super::test_key::base64;
use crate::door::oidc::issuer::{Claimed, TokenIssuer};
use crate::door::oidc::provider::Provider;
use crate::model::Role;
use crate::model::problem::ProblemKind;

fn all_keys() -> Vec<TestKey> {
    ["RS256", "ES256", "EdDSA"]
        .map(|algorithm| TestKey::new(algorithm, algorithm))
        .into()
}

/// The claims with others in their place; `null` is none.
fn with(mut claims: Value, other: Value) -> Value {
    for (key, value) in other.as_object().unwrap() {
        claims[key] = value.clone();
    }
    claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    claims
}

async fn why_not(issuer: &TokenIssuer, token: &str) -> String {
    let problem = issuer.check(token).await.expect_err(token);
    assert_eq!(problem.kind, ProblemKind::NotSignedIn, "{problem}");
    problem.why
}

#[tokio::test]
async fn a_token_of_each_algorithm_is_taken() {
    let server = TestIssuer::start(all_keys());
    let issuer = TokenIssuer::new(server.options()).unwrap();
    let taken = Claimed {
        who: "oidc:ann".to_owned(),
        tenant: Some("alpha".parse().unwrap()),
        role: Role::Operator,
    };
    for key in server.with(|state| state.keys.clone()) {
        assert_eq!(
            issuer.check(&key.sign(&server.claims())).await,
            Ok(taken.clone()),
            "{}",
            key.id
        );
    }
    let several = with(server.claims(), json!({ "aud": ["other", "sandbar"] }));
    let token = server.with(|state| state.keys[0].sign(&several));
    assert_eq!(issuer.check(&token).await, Ok(taken));
    assert_eq!(server.with(|state| state.asked), 1);
}

#[tokio::test]
async fn what_a_token_says_decides_whether_it_is_taken() {
    let server = TestIssuer::start(all_keys());
    let issuer = TokenIssuer::new(server.options()).unwrap();
    let now = crate::clock::now() / 1000;
    for (other, why) in [
        (json!({ "exp": now - 120 }), "it ended"),
        (json!({ "exp": null }), "exp"),
        (json!({ "exp": "never" }), ""),
        (json!({ "nbf": now + 120 }), "not begun"),
        (json!({ "aud": "another" }), "audience"),
        (json!({ "aud": [] }), "audience"),
        (json!({ "aud": null }), "aud"),
        (json!({ "iss": "https://another.example" }), "issuer"),
        (json!({ "iss": null }), "iss"),
        (json!({ "sub": null }), ""),
        (json!({ "sub": "" }), "subject"),
        (json!({ "sandbar_tenant": null }), "`sandbar_tenant`"),
        (json!({ "sandbar_tenant": 7 }), "`sandbar_tenant`"),
        (json!({ "sandbar_tenant": "../alpha" }), "`sandbar_tenant`"),
        (json!({ "sandbar_tenant": "*" }), "`sandbar_tenant`"),
        (json!({ "sandbar_role": null }), "`sandbar_role`"),
        (json!({ "sandbar_role": "root" }), "`sandbar_role`"),
    ] {
        let claims = with(server.claims(), other);
        for key in server.with(|state| state.keys.clone()) {
            let said = why_not(&issuer, &key.sign(&claims)).await;
            assert!(said.contains(why), "{claims}: {said}");
        }
    }
    // Clocks differ.
    let late = with(server.claims(), json!({ "exp": now - 20, "nbf": now + 20 }));
    let token = server.with(|state| state.keys[0].sign(&late));
    assert!(issuer.check(&token).await.is_ok());
}

#[tokio::test]
async fn a_signature_is_one_of_the_issuer_and_of_the_keys_own_algorithm() {
    let server = TestIssuer::start(all_keys());
    let issuer = TokenIssuer::new(server.options()).unwrap();
    let (keys, claims) = (server.with(|state| state.keys.clone()), server.claims());
    let mut wrong = Vec::new();
    for key in &keys {
        // Of the same name, of another name, and none.
        wrong.push(TestKey::new(&key.id, "RS256").sign_as(&json!({ "alg": key.id, "kid": key.id }), &claims));
        wrong.push(TestKey::new(&key.id, "ES256").sign_as(&json!({ "alg": key.id, "kid": key.id }), &claims));
        wrong.push(TestKey::new("other", "EdDSA").sign(&claims));
        for alg in [
            "none", "None", "HS256", "RS512", "PS256", "ES384", "RS256", "ES256", "EdDSA",
        ] {
            if alg != key.id {
                wrong.push(key.sign_as(&json!({ "alg": alg, "kid": key.id }), &claims));
            }
        }
        let message = format!(
            "{}.{}",
            base64(json!({ "alg": "HS256", "kid": key.id }).to_string()),
            base64(claims.to_string())
        );
        for secret in [key.public_pem(), key.jwk().to_string().into_bytes()] {
            let secret = PKey::hmac(&secret).unwrap();
            let mut signer = Signer::new(MessageDigest::sha256(), &secret).unwrap();
            let signature = signer.sign_oneshot_to_vec(message.as_bytes()).unwrap();
            wrong.push(format!("{message}.{}", base64(signature)));
        }
        let unsigned = json!({ "alg": "none", "kid": key.id }).to_string();
        wrong.push(format!("{}.{}.", base64(unsigned), base64(claims.to_string())));
        let token = key.sign(&claims);
        let (head, rest) = token.split_once('.').unwrap();
        let signature = rest.split_once('.').unwrap().1;
        let more = with(claims.clone(), json!({ "sandbar_tenant": "bravo" }));
        wrong.push(format!("{head}.{}.{signature}", base64(more.to_string())));
        wrong.push(format!("{head}.{}.", base64(claims.to_string())));
        wrong.push(format!("{}.{}.{}", head, "!!!", signature));
        // A key that comes with the token is nobody's.
        let own = TestKey::new("own", "ES256");
        wrong.push(own.sign_as(&json!({ "alg": "ES256", "jwk": own.jwk() }), &claims));
    }
    wrong.extend(["..", "a.b.c"].map(str::to_owned));
    for token in wrong {
        why_not(&issuer, &token).await;
    }
    // Two of one algorithm, and a token that names neither.
    let unnamed = keys[1].sign_as(&json!({ "alg": "ES256" }), &claims);
    assert!(issuer.check(&unnamed).await.is_ok());
    server.with(|state| state.keys.push(TestKey::new("second", "ES256")));
    let issuer = TokenIssuer::new(server.options()).unwrap();
    why_not(&issuer, &unnamed).await;
}

#[tokio::test]
async fn the_platform_is_a_tenant_where_an_option_says_so_and_a_subject_is_plain() {
    let server = TestIssuer::start(vec![TestKey::new("a", "EdDSA")]);
    let mut options = server.options();
    options.is_for_platform = true;
    options.role_claim = "role".to_owned();
    let issuer = TokenIssuer::new(options).unwrap();
    let subject = format!("ann\n\u{202e}\u{0}ä b/{}", "x".repeat(500));
    let other = json!({ "sandbar_tenant": "*", "role": "admin", "sub": subject });
    let claims = with(server.claims(), other);
    let claimed = issuer
        .check(&server.with(|state| state.keys[0].sign(&claims)))
        .await
        .unwrap();
    assert_eq!((claimed.tenant, claimed.role), (None, Role::Admin));
    assert!(claimed.who.starts_with("oidc:ann___ä_b/xxx"), "{}", claimed.who);
    assert_eq!(claimed.who.chars().count(), 205);
}

#[test]
fn an_issuer_is_spoken_to_by_https_or_on_this_machine() {
    for wrong in [
        "http://issuer.example",
        "http://10.0.0.1",
        "ftp://issuer.example",
        "https://me:hunter2@issuer.example",
        "https://issuer.example?a=hunter2",
        "hunter2",
    ] {
        let problem = Provider::new(wrong, None).unwrap_err();
        assert_eq!(problem.kind, ProblemKind::Invalid);
        assert!(!problem.to_string().contains("hunter2"), "{problem}");
    }
    for right in [
        "https://issuer.example/realm",
        "http://127.0.0.1:1",
        "http://[::1]:1",
        "http://localhost:1",
    ] {
        assert!(Provider::new(right, None).is_ok(), "{right}");
    }
}
