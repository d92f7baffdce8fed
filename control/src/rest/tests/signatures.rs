//! Plugins that are signed, and what becomes of those that are not, are altered, or are signed by somebody else.

use std::io::Cursor;

use axum::http::{Method, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use minisign::KeyPair;
use reqwest::Url;
use serde_json::{Value, json};

use super::daemon::{Answer, Daemon, FILE, name};
use crate::model::Role;

const KEYS: &str = "/v1/tenants/alpha/signing-keys";
const PLUGINS: &str = "/v1/tenants/alpha/plugins";
const VIEWS: &str = "/v1/tenants/alpha/pipelines/views";
const PLUGIN: &[u8] = b"\0asm\x0d\0\x01\0 and what it does";

/// A tenant `alpha` whose plugins have to be signed, and its admin.
struct Signing {
    daemon: Daemon,
    admin: String,
}

impl Signing {
    async fn new() -> Self {
        let daemon = Daemon::new().await;
        let admin = daemon.token(Some("alpha"), Role::Admin).await;
        let signing = Self { daemon, admin };
        signing.require(true).await;
        signing
    }

    async fn require(&self, required: bool) {
        let body = json!({ "required": required });
        let answer = self
            .daemon
            .tell(&Method::PUT, "/v1/tenants/alpha/signatures", &self.admin, &body)
            .await;
        assert_eq!(answer.json()["signatures-required"], json!(required), "{answer:?}");
    }

    /// Adds a key; its id.
    async fn add(&self, key: &str) -> Answer {
        let body = json!({ "key": key, "note": "of a test" });
        self.daemon.tell(&Method::POST, KEYS, &self.admin, &body).await
    }

    /// A new pair whose public key the tenant has, and its id.
    async fn pair(&self) -> (KeyPair, String) {
        let pair = KeyPair::generate_unencrypted_keypair().unwrap();
        let added = self.add(&pair.pk.to_box().unwrap().into_string()).await;
        assert_eq!(added.status, StatusCode::CREATED, "{added:?}");
        let id = added.json()["id"].as_str().unwrap().to_owned();
        (pair, id)
    }

    async fn remove(&self, id: &str) -> StatusCode {
        let path = format!("{KEYS}/{id}");
        self.daemon.ask(&Method::DELETE, &path, Some(&self.admin)).await.status
    }

    async fn push(&self, bytes: &[u8], minisig: Option<&str>) -> Answer {
        let signature = minisig.map(|text| ("signature", text));
        let url = Url::parse_with_params(&format!("http://x{PLUGINS}"), signature).unwrap();
        let path = url.as_str().strip_prefix("http://x").unwrap();
        let body = ("application/wasm", bytes);
        self.daemon.bring(&Method::POST, path, &self.admin, body).await
    }

    /// Applies a file whose operator has this plugin.
    async fn apply(&self, digest: &Value, below: &str) -> Answer {
        let body = json!({ "file": FILE, "plugins": { "count": digest } });
        let path = format!("{VIEWS}{below}");
        self.daemon.tell(&Method::PUT, &path, &self.admin, &body).await
    }

    async fn order(&self, order: &str) -> Answer {
        let path = format!("{VIEWS}/{order}");
        self.daemon.ask(&Method::POST, &path, Some(&self.admin)).await
    }

    fn files(&self) -> usize {
        std::fs::read_dir(self.daemon.folder().join("tenants/alpha/plugins")).map_or(0, Iterator::count)
    }
}

fn minisig(pair: &KeyPair, bytes: &[u8], comment: &str) -> String {
    let signed = minisign::sign(None, &pair.sk, Cursor::new(bytes), Some(comment), None);
    signed.unwrap().into_string()
}

/// That it is refused because of the plugin, and why.
fn refused(answer: &Answer) -> String {
    assert_eq!(
        (answer.status, answer.kind().as_str()),
        (StatusCode::UNPROCESSABLE_ENTITY, "plugin-refused"),
        "{answer:?}"
    );
    answer.json()["detail"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_signed_by_a_key_of_the_tenant_is_refused_and_leaves_nothing() {
    let signing = Signing::new().await;
    let (own, id) = signing.pair().await;
    let stranger = KeyPair::generate_unencrypted_keypair().unwrap();
    // Another tenant's key is no key of this one.
    let platform = signing.daemon.token(None, Role::Admin).await;
    let body = json!({ "key": stranger.pk.to_base64() });
    let of_bravo = signing
        .daemon
        .tell(&Method::POST, "/v1/tenants/bravo/signing-keys", &platform, &body)
        .await;
    assert_eq!(of_bravo.status, StatusCode::CREATED);

    assert!(refused(&signing.push(PLUGIN, None).await).contains("it is not signed"));
    let foreign = refused(&signing.push(PLUGIN, Some(&minisig(&stranger, PLUGIN, "c"))).await);
    assert!(
        foreign.contains(of_bravo.json()["id"].as_str().unwrap()) && foreign.contains("does not have"),
        "{foreign}"
    );
    let good = minisig(&own, PLUGIN, "release 7");
    let mut altered = PLUGIN.to_vec();
    *altered.last_mut().unwrap() ^= 1;
    for (bytes, text) in [
        (altered.as_slice(), good.clone()),
        (&PLUGIN[..PLUGIN.len() - 1], good.clone()),
        (PLUGIN, good.replace("release 7", "release 8")),
        (PLUGIN, minisig(&own, &altered, "release 7")),
    ] {
        let why = refused(&signing.push(bytes, Some(&text)).await);
        assert!(why.starts_with("its signature does not fit"), "{why}");
    }
    for none in ["", "hunter2", &good[..good.len() / 2]] {
        assert_eq!(signing.push(PLUGIN, Some(none)).await.kind(), "invalid", "{none}");
    }
    assert_eq!(signing.files(), 0);
    let plugins = signing.daemon.get(PLUGINS, &signing.admin).await.json();
    assert_eq!(plugins["items"], json!([]));

    let taken = signing.push(PLUGIN, Some(&good)).await;
    assert_eq!(taken.status, StatusCode::CREATED, "{taken:?}");
    let signature = &taken.json()["signatures"][0];
    assert_eq!(
        (&signature["key"], &signature["comment"], &signature["is-valid"]),
        (&json!(id), &json!("release 7"), &json!(true))
    );
    assert_eq!(signing.files(), 1);
    let noted = signing.daemon.audit().await;
    let refusals = noted
        .iter()
        .filter(|entry| entry.verb == "push-plugin" && entry.result == "plugin-refused");
    assert_eq!(refusals.count(), 6);
    let is_of_key = |object: &str| object == format!("signing-keys/{id}");
    assert!(
        noted
            .iter()
            .any(|entry| entry.verb == "add-signing-key" && is_of_key(&entry.object))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_key_counts_no_more_for_what_begins_and_what_runs_goes_on() {
    let signing = Signing::new().await;
    let (own, id) = signing.pair().await;
    let taken = signing.push(PLUGIN, Some(&minisig(&own, PLUGIN, "c"))).await;
    let digest = taken.json()["digest"].clone();
    assert_eq!(signing.apply(&digest, "").await.status, StatusCode::CREATED);
    assert_eq!(signing.remove(&id).await, StatusCode::NO_CONTENT);
    assert_eq!(signing.remove(&id).await, StatusCode::NOT_FOUND);

    let pipeline = async || {
        let tenant = name("alpha");
        signing
            .daemon
            .catalog
            .pipeline(&tenant, &name("views"))
            .await
            .unwrap()
            .unwrap()
    };
    let before = pipeline().await;
    let upgrade = json!({ "file": format!("{FILE}# 2\n") , "plugins": { "count": digest } });
    let path = format!("{VIEWS}/upgrade");
    for answer in [
        signing.apply(&digest, "").await,
        signing.apply(&digest, "?dry-run=true").await,
        signing
            .daemon
            .tell(&Method::POST, &path, &signing.admin, &upgrade)
            .await,
        signing.order("start").await,
        signing.order("resume").await,
    ] {
        let why = refused(&answer);
        assert!(why.contains(&id) && why.contains("any more"), "{why}");
    }
    assert_eq!(pipeline().await, before);
    signing.daemon.keep_all().await;
    assert!(signing.daemon.home("views").join("pipeline.toml").exists());
    let shown = signing.daemon.get(PLUGINS, &signing.admin).await.json();
    assert_eq!(shown["items"][0]["signatures"][0]["is-valid"], json!(false));
    assert_eq!(signing.order("pause").await.status, StatusCode::ACCEPTED);

    // Another key that says it has that id is not that key.
    let mut forged = KeyPair::generate_unencrypted_keypair().unwrap().pk.to_bytes();
    forged[2..10].copy_from_slice(&own.pk.to_bytes()[2..10]);
    let added = signing.add(&STANDARD.encode(forged)).await;
    assert_eq!((added.status, &added.json()["id"]), (StatusCode::CREATED, &json!(id)));
    refused(&signing.order("resume").await);
    assert_eq!(signing.add(&own.pk.to_base64()).await.kind(), "conflict");
    // A signature of somebody else, or the key itself, brings it back.
    let (other, _) = signing.pair().await;
    let again = signing.push(PLUGIN, Some(&minisig(&other, PLUGIN, "c"))).await;
    assert_eq!(
        (again.status, again.json()["signatures"].as_array().unwrap().len()),
        (StatusCode::OK, 2)
    );
    assert_eq!(signing.order("resume").await.status, StatusCode::ACCEPTED);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_taken_unsigned_is_not_applied_once_signatures_are_demanded() {
    let signing = Signing::new().await;
    signing.require(false).await;
    let (own, _) = signing.pair().await;
    let taken = signing.push(PLUGIN, None).await;
    assert_eq!(
        (taken.status, &taken.json()["signatures"]),
        (StatusCode::CREATED, &json!([]))
    );
    // A signature that comes is checked all the same.
    refused(&signing.push(PLUGIN, Some(&minisig(&own, b"other", "c"))).await);
    let digest = &taken.json()["digest"];
    assert_eq!(signing.apply(digest, "").await.status, StatusCode::CREATED);
    signing.require(true).await;
    let why = refused(&signing.apply(digest, "").await);
    assert!(why.contains("is not signed, and the tenant alpha demands"), "{why}");
    let signed = signing.push(PLUGIN, Some(&minisig(&own, PLUGIN, "c"))).await;
    assert_eq!(signed.status, StatusCode::OK);
    assert_eq!(signing.apply(digest, "").await.status, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_added_once_and_so_many_at_most() {
    let signing = Signing::new().await;
    let (pair, id) = signing.pair().await;
    assert_eq!(signing.add(&pair.pk.to_base64()).await.status, StatusCode::OK);
    for wrong in ["", "hunter2", &pair.sk.to_box(None).unwrap().into_string()] {
        let answer = signing.add(wrong).await;
        assert_eq!(answer.kind(), "invalid");
        assert!(!answer.text().contains("hunter2"), "{answer:?}");
    }
    for _ in 1..64 {
        signing.pair().await;
    }
    let more = KeyPair::generate_unencrypted_keypair().unwrap().pk.to_base64();
    assert_eq!(signing.add(&more).await.kind(), "too-many");
    let viewer = signing.daemon.token(Some("alpha"), Role::Viewer).await;
    let listed = signing.daemon.get(KEYS, &viewer).await.json();
    let items = listed["items"].as_array().unwrap();
    assert_eq!(items.len(), 64);
    let first = items.iter().find(|key| key["id"] == id.as_str()).unwrap();
    assert_eq!(
        (&first["key"], &first["note"]),
        (&json!(pair.pk.to_base64()), &json!("of a test"))
    );
}
