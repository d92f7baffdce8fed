//! A daemon's interface in a folder of its own, with tenants `alpha` and `bravo`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::watch;
use tower::ServiceExt as _;

use super::super::asked::Patience;
use super::super::router::{Interface, with_patience};
use crate::catalog::Catalog;
use crate::door::oidc::TokenIssuer;
use crate::door::{Certificates, Crowd, Door, DoorPatience, Entrance};
use crate::fleet::{Fleet, PipelineUse};
use crate::means::SealingKey;
use crate::model::names::Name;
use crate::model::{AuditEntry, Identity, Role};
use crate::plugins::PluginFiles;
use crate::takeover::Upgrades;

pub(super) const ROLES: [Role; 4] = [Role::Viewer, Role::Author, Role::Operator, Role::Admin];
/// A file that a tenant may have.
pub(super) const FILE: &str = "name = \"views\"\nkafka.brokers = \"127.0.0.1:9\"\n";

pub(super) struct Daemon {
    pub(super) catalog: Catalog,
    pub(super) router: Router,
    /// How it is kept.
    interface: Interface,
    /// What its pipelines used.
    uses: Mutex<UnboundedReceiver<PipelineUse>>,
    /// Dropped last, and with it what the processes live on.
    _folder: Option<tempfile::TempDir>,
    path: PathBuf,
}

/// An answer, read whole.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8(self.body.to_vec()).unwrap()
    }

    /// The kind of the problem that it is, whose parts all are there.
    pub(super) fn kind(&self) -> String {
        let problem = self.json();
        assert_eq!(
            self.headers[header::CONTENT_TYPE],
            "application/problem+json",
            "{self:?}"
        );
        assert_eq!(problem["type"], "about:blank");
        assert_eq!(problem["status"], self.status.as_u16());
        assert!(problem["title"].is_string() && problem["detail"].is_string());
        problem["kind"].as_str().unwrap().to_owned()
    }
}

pub(super) fn name(text: &str) -> Name {
    text.parse().unwrap()
}

impl Daemon {
    pub(super) async fn new() -> Self {
        Self::with(Patience::default(), None).await
    }

    pub(super) async fn with_patience(patience: Patience) -> Self {
        Self::with(patience, None).await
    }

    pub(super) async fn with(patience: Patience, issuer: Option<TokenIssuer>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/rest/tests/program.sh");
        let daemon = Self::within_as(folder.path(), &program, patience, issuer).await;
        Self {
            _folder: Some(folder),
            ..daemon
        }
    }

    /// One of a folder that others had or will have, and of another program.
    pub(super) async fn within(folder: &Path, program: &Path, patience: Patience) -> Self {
        Self::within_as(folder, program, patience, None).await
    }

    async fn within_as(folder: &Path, program: &Path, patience: Patience, issuer: Option<TokenIssuer>) -> Self {
        let url = format!("sqlite:{}", folder.join("catalog.db").display());
        let catalog = Catalog::open(&url).await.unwrap();
        let catalog = catalog.sealed_with(SealingKey::new([7; 32])).await.unwrap();
        let plugins = PluginFiles::new(folder.join("tenants"));
        let (used, uses) = tokio::sync::mpsc::unbounded_channel();
        let fleet = Fleet::open(folder, program, plugins.clone(), false, used).unwrap();
        for tenant in ["alpha", "bravo"] {
            catalog.create_tenant(&name(tenant)).await.unwrap();
        }
        let interface = Interface {
            catalog: catalog.clone(),
            plugins,
            upgrades: Upgrades::new(catalog.clone(), fleet.clone()),
            fleet,
            issuer,
        };
        Self {
            catalog,
            router: with_patience(interface.clone(), patience),
            interface,
            uses: Mutex::new(uses),
            _folder: None,
            path: folder.to_owned(),
        }
    }

    /// Records that its pipelines read, as it would bill them, since somebody asked last.
    pub(super) fn billed_records(&self) -> u64 {
        let mut uses = self.uses.lock().unwrap_or_else(PoisonError::into_inner);
        std::iter::from_fn(|| uses.try_recv().ok())
            .map(|one| one.used.records_in)
            .sum()
    }

    /// What the daemon has on the disk.
    pub(super) fn folder(&self) -> &Path {
        &self.path
    }

    /// The folder of a pipeline of `alpha`.
    pub(super) fn home(&self, pipeline: &str) -> PathBuf {
        self.folder().join("tenants/alpha/pipelines").join(pipeline)
    }

    /// Keeps what the catalog has, as a daemon that begins.
    pub(super) async fn keep_all(&self) {
        crate::serve::keep_all(&self.interface).await.unwrap();
    }

    /// A new token of a tenant, or of the platform.
    pub(super) async fn token(&self, tenant: Option<&str>, role: Role) -> String {
        let tenant = tenant.map(name);
        let made = self.catalog.create_token(tenant.as_ref(), role, "test", None).await;
        made.unwrap().token
    }

    pub(super) async fn who(&self, token: &str) -> Identity {
        self.catalog.identify(token).await.unwrap().unwrap()
    }

    pub(super) async fn audit(&self) -> Vec<AuditEntry> {
        let (mut all, mut after) = (Vec::new(), 0);
        loop {
            let piece = self.catalog.audit(None, after, 500).await.unwrap();
            let Some(last) = piece.last() else { return all };
            after = last.number;
            all.extend(piece);
        }
    }

    pub(super) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        Answer {
            status: parts.status,
            headers: parts.headers,
            body: axum::body::to_bytes(body, usize::MAX).await.unwrap(),
        }
    }

    /// Asks without a body.
    pub(super) async fn ask(&self, method: &Method, path: &str, token: Option<&str>) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(token) = token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        self.send(request.body(Body::empty()).unwrap()).await
    }

    pub(super) async fn get(&self, path: &str, token: &str) -> Answer {
        self.ask(&Method::GET, path, Some(token)).await
    }

    /// Asks with a body that is JSON.
    pub(super) async fn tell(&self, method: &Method, path: &str, token: &str, body: &Value) -> Answer {
        self.send(json_request(method, path, token, body.to_string())).await
    }

    /// Asks with a body of this type.
    pub(super) async fn bring(&self, method: &Method, path: &str, token: &str, (of, body): (&str, &[u8])) -> Answer {
        let request = Request::builder().method(method).uri(path);
        let request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        let request = request.header(header::CONTENT_TYPE, of);
        self.send(request.body(Body::from(body.to_vec())).unwrap()).await
    }

    /// Applies a pipeline to `alpha`.
    pub(super) async fn apply(&self, pipeline: &str, token: &str, file: &str) -> Answer {
        let path = format!("/v1/tenants/alpha/pipelines/{pipeline}");
        let body = serde_json::json!({ "file": file, "plugins": {} });
        self.tell(&Method::PUT, &path, token, &body).await
    }

    /// Serves on a port of the loopback until the runtime ends.
    pub(super) async fn serve(&self) -> SocketAddr {
        self.serve_with(None, DoorPatience::default()).await
    }

    /// The same with TLS, and other limits of time.
    pub(super) async fn serve_with(&self, certificates: Option<Certificates>, patience: DoorPatience) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let door = Door::new(self.router.clone(), Crowd::new(10_000), patience);
        let (until_the_end, stop) = watch::channel(false);
        tokio::spawn(async move {
            door.attend(Entrance::Port(listener, certificates), stop).await;
            drop(until_the_end);
        });
        address
    }
}

pub(super) fn json_request(method: &Method, path: &str, token: &str, body: String) -> Request<Body> {
    let request = Request::builder().method(method).uri(path);
    let request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    let request = request.header(header::CONTENT_TYPE, "application/json");
    request.body(Body::from(body)).unwrap()
}

/// Sends these bytes and reads until the other side ends.
pub(super) async fn raw(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(60), stream.read_to_end(&mut answer)).await;
    read.expect("an end").unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}
