//! Plugins that go to a registry and come from it: a real one, and one that is hostile.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::Uri;
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::runtime::{Builder, Runtime};

use super::*;
use crate::means::PluginSignature;
use crate::model::names::Digest;
use crate::model::problem::{Problem, ProblemKind};

const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0 and what it does";
/// Of the user `me` with the password `hunter2`.
const HTPASSWD: &str = "me:$2y$05$abcdefghijklmnopqrstuuoXuKqgZXLiJqzfmMXDDhSFPIvxV7t8.\n";
/// Longer than a registry takes to start on a machine that does something else.
const LONG: Duration = Duration::from_secs(60);

/// A registry of a port and a folder of its own.
struct Registry {
    process: Child,
    address: String,
    folder: tempfile::TempDir,
}

/// Notes that a test could not run, and why; `make test` prints it at its end.
fn skip(test: &str, why: &str) {
    use std::io::Write as _;
    eprintln!("skipped: {test}: {why}");
    if let Some(path) = std::env::var_os("SANDBAR_SKIPPED") {
        let mut file = std::fs::File::options().append(true).create(true).open(path).unwrap();
        writeln!(file, "test {test}: {why}").unwrap();
    }
}

impl Registry {
    /// `None`: there is no registry on this machine.
    fn start(is_closed: bool) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address = format!("127.0.0.1:{port}");
        let path = |name: &str| folder.path().join(name);
        let auth = match is_closed {
            true => format!(
                "auth: {{ htpasswd: {{ realm: test, path: '{}' }} }}\n",
                path("htpasswd").display()
            ),
            false => String::new(),
        };
        let config = format!(
            "version: 0.1\nlog: {{ accesslog: {{ disabled: true }}, level: error }}\nhttp: {{ addr: '{address}' }}\n\
             storage: {{ filesystem: {{ rootdirectory: '{}' }} }}\n{auth}",
            path("storage").display()
        );
        std::fs::write(path("config.yml"), config).unwrap();
        std::fs::write(path("htpasswd"), HTPASSWD).unwrap();
        let unpacked = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/clients/registry/usr/bin/docker-registry");
        let program = if unpacked.exists() {
            unpacked
        } else {
            PathBuf::from("docker-registry")
        };
        let mut command = Command::new(program);
        let command = command.arg("serve").arg(path("config.yml"));
        let Ok(process) = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn() else {
            skip(
                "a registry takes and gives plugins",
                "there is no docker-registry: tests/setup clients",
            );
            return None;
        };
        let registry = Self {
            process,
            address,
            folder,
        };
        let until = tokio::time::Instant::now() + LONG;
        while std::net::TcpStream::connect(&registry.address).is_err() {
            assert!(tokio::time::Instant::now() < until, "the registry does not start");
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(registry)
    }

    fn reference(&self, below: &str) -> OciReference {
        format!("oci://{}/{below}", self.address).parse().unwrap()
    }

    /// Who signs in with this password.
    fn with_password(&self, password: &str) -> Registries {
        let path = self.folder.path().join(format!("{password}.json"));
        let auth = STANDARD.encode(format!("me:{password}"));
        let file = json!({ "auths": { self.address.clone(): { "auth": auth } } });
        std::fs::write(&path, file.to_string()).unwrap();
        Registries {
            credentials: Some(path),
        }
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn digest(bytes: &[u8]) -> String {
    Digest::of_hash(&Sha256::digest(bytes)).to_string()
}

fn signature() -> PluginSignature {
    let pair = minisign::KeyPair::generate_unencrypted_keypair().unwrap();
    let signed = minisign::sign(None, &pair.sk, std::io::Cursor::new(COMPONENT), Some("c"), None).unwrap();
    signed.into_string().parse().unwrap()
}

fn manifest_of(reference: &str) -> (Value, String) {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let request = reqwest::Client::new().get(reference);
        let request = request.header("accept", "application/vnd.oci.image.manifest.v1+json");
        let bytes = request.send().await.unwrap().bytes().await.unwrap();
        (serde_json::from_slice(&bytes).unwrap(), digest(&bytes))
    })
}

#[test]
fn what_was_pushed_is_pulled_by_tag_and_by_digest() {
    let Some(registry) = Registry::start(false) else { return };
    let (nobody, signature) = (Registries::default(), signature());
    let count = registry.reference("team/count:1.0");
    nobody.push(&count, COMPONENT.to_vec(), Some(&signature)).unwrap();
    let pulled = nobody.pull(&count).unwrap();
    assert_eq!(pulled.bytes, COMPONENT);
    assert_eq!(pulled.signature.unwrap().as_str(), signature.as_str());
    let (manifest, by_digest) = manifest_of(&format!("http://{}/v2/team/count/manifests/1.0", registry.address));
    assert_eq!(manifest["config"]["mediaType"], "application/vnd.wasm.config.v0+json");
    let layers = manifest["layers"].as_array().unwrap();
    assert_eq!((layers.len(), &layers[0]["mediaType"]), (1, &json!("application/wasm")));
    assert_eq!(layers[0]["digest"], digest(COMPONENT));

    let pinned = registry.reference(&format!("team/count@{by_digest}"));
    assert_eq!(nobody.pull(&pinned).unwrap().bytes, COMPONENT);
    assert_eq!(
        nobody.push(&pinned, COMPONENT.to_vec(), None).unwrap_err().kind,
        ProblemKind::Invalid
    );
    nobody.push(&count, COMPONENT.to_vec(), None).unwrap();
    assert!(nobody.pull(&count).unwrap().signature.is_none());
    let core = nobody.push(&count, b"\0asm\x01\0\0\0".to_vec(), None).unwrap_err();
    assert_eq!(core.kind, ProblemKind::PluginRefused);
    for missing in [
        "team/count:2.0".to_owned(),
        "team/other:1.0".to_owned(),
        format!("team/count@{}", digest(b"x")),
    ] {
        let problem = nobody.pull(&registry.reference(&missing)).unwrap_err();
        assert_eq!(problem.kind, ProblemKind::NotFound, "{problem}");
    }
}

#[test]
fn who_is_not_signed_in_is_refused_and_no_password_is_told() {
    let Some(registry) = Registry::start(true) else { return };
    let count = registry.reference("team/count:1.0");
    let (me, stranger) = (registry.with_password("hunter2"), registry.with_password("hunter3"));
    me.push(&count, COMPONENT.to_vec(), None).unwrap();
    assert_eq!(me.pull(&count).unwrap().bytes, COMPONENT);
    let elsewhere = Registries {
        credentials: Some(registry.folder.path().join("none.json")),
    };
    std::fs::write(registry.folder.path().join("wrong.json"), "{\"auths\": \"hunter2\"}").unwrap();
    for who in [stranger, elsewhere, Registries::default()] {
        let pulled = who.pull(&count).map(|_| ()).unwrap_err();
        let pushed = who.push(&count, COMPONENT.to_vec(), None).unwrap_err();
        for problem in [pulled, pushed] {
            assert_eq!(problem.kind, ProblemKind::NotSignedIn, "{problem}");
            assert!(!format!("{problem:?}").contains("hunter"), "{problem}");
        }
    }
    let wrong = Registries {
        credentials: Some(registry.folder.path().join("wrong.json")),
    };
    let problem = wrong.pull(&count).map(|_| ()).unwrap_err();
    assert!(
        problem.what.contains("wrong.json") && !problem.to_string().contains("hunter"),
        "{problem}"
    );
}

/// A registry that answers a manifest and a blob with these.
struct Hostile {
    address: String,
    _runtime: Runtime,
}

impl Hostile {
    fn new(manifest: fn() -> Body, blob: fn() -> Body) -> Self {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let answer = move |uri: Uri| async move {
            let body = match uri.path() {
                path if path.contains("/manifests/") => manifest(),
                path if path.contains("/blobs/") => blob(),
                _ => Body::empty(),
            };
            Response::new(body).into_response()
        };
        runtime.spawn(async move { axum::serve(listener, axum::Router::new().fallback(answer)).await });
        Self {
            address,
            _runtime: runtime,
        }
    }

    fn pulled(&self, named: &str) -> Problem {
        let reference = format!("oci://{}/team/count{named}", self.address);
        let pulled = Registries::default().pull(&reference.parse().unwrap());
        pulled.map(|_| ()).unwrap_err()
    }
}

/// Bytes without an end.
fn endless() -> Body {
    let piece = || Ok::<_, std::io::Error>(Bytes::from_static(&[b' '; 1 << 16]));
    Body::from_stream(futures_util::stream::repeat_with(piece))
}

fn manifest(layers: &Value) -> Body {
    let config = json!({ "mediaType": "application/vnd.wasm.config.v0+json", "digest": digest(b"{}"), "size": 2 });
    Body::from(json!({ "schemaVersion": 2, "config": config, "layers": layers }).to_string())
}

fn layer(of: &[u8], size: i64) -> Value {
    json!({ "mediaType": "application/wasm", "digest": digest(of), "size": size })
}

fn of_component() -> Body {
    manifest(&json!([layer(COMPONENT, COMPONENT.len() as i64)]))
}

#[test]
fn whatever_a_registry_answers_is_taken_within_limits_or_refused() {
    let none = || Body::from("none");
    type Answer = fn() -> Body;
    let cases: &[(Answer, Answer, &str)] = &[
        (endless, none, "its manifest has more bytes than 1048576"),
        (none, none, "its manifest is none of one plugin"),
        (
            || Body::from("[".repeat(100_000)),
            none,
            "its manifest is none of one plugin",
        ),
        (
            || Body::from("{\"schemaVersion\":2,\"manifests\":[]}"),
            none,
            "none of one plugin",
        ),
        (|| manifest(&json!([])), none, "it has 0 layers"),
        (
            || manifest(&json!([layer(b"", 1), layer(b"", 1)])),
            none,
            "it has 2 layers",
        ),
        (|| manifest(&json!([layer(b"", -1)])), none, "it has -1 bytes"),
        (
            || manifest(&json!([layer(b"", (64 << 20) + 1)])),
            none,
            "it has 67108865 bytes",
        ),
        (
            || manifest(&json!([{ "mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": "x", "size": 1 }])),
            none,
            "and not application/wasm",
        ),
        (
            || manifest(&json!([{ "mediaType": "application/wasm", "digest": "sha256:../../x", "size": 1 }])),
            none,
            "is no digest",
        ),
        (of_component, endless, "it has more bytes than 25"),
        (of_component, none, "it has the digest"),
        (
            || manifest(&json!([layer(b"none", 4)])),
            none,
            "no WebAssembly component",
        ),
    ];
    for (manifest, blob, part) in cases {
        let problem = Hostile::new(*manifest, *blob).pulled(":1");
        assert_eq!(problem.kind, ProblemKind::PluginRefused, "{part}: {problem}");
        assert!(problem.why.contains(part), "{part}: {problem}");
    }
    let good = Hostile::new(of_component, || Body::from(COMPONENT));
    let problem = good.pulled(&format!("@{}", digest(b"another")));
    assert!(problem.why.starts_with("its manifest has the digest"), "{problem}");
    let reference = format!("oci://{}/team/count:1", good.address).parse().unwrap();
    assert_eq!(Registries::default().pull(&reference).unwrap().bytes, COMPONENT);
    let gone = format!(
        "oci://{}/team/count:1",
        TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
    );
    let problem = Registries::default()
        .pull(&gone.parse().unwrap())
        .map(|_| ())
        .unwrap_err();
    assert_eq!(problem.kind, ProblemKind::Unavailable, "{problem}");
}

#[test]
fn a_reference_names_its_registry() {
    let pinned = format!("oci://registry.example/team/count@{}", digest(b""));
    for text in [
        "oci://registry.example/count:1.0",
        "oci://localhost:5000/team/count:1",
        "oci://registry.example:8443/a/b/c",
        &pinned,
    ] {
        let reference: OciReference = text.parse().unwrap();
        assert!(reference.to_string().starts_with(text), "{reference}");
        assert!(OciReference::is_meant(text));
    }
    for none in [
        "",
        "count.wasm",
        "oci://",
        "oci://count:1.0",
        "oci://team/count:1.0",
        "oci://registry.example/Count",
        "oci://registry.example/../x:1",
        "oci://registry.example/count@sha256:00",
        "oci://me:hunter2@registry.example/count:1",
    ] {
        assert!(none.parse::<OciReference>().is_err(), "{none}");
    }
}
