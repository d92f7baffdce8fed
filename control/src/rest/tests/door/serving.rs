//! A whole daemon, asked by the client that people have.

use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::authority::Authority;
use crate::client::{Choice, Connection, Context, Contexts, Endpoint, Surroundings, Trust};
use crate::door::TlsFiles;
use crate::model::problem::{ProblemKind, Result};
use crate::serve::{ServeOptions, Serving, serve};

struct RunningDaemon {
    serving: Serving,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<Result<()>>,
}

fn options(data: &Path, listen: &str, tls: Option<TlsFiles>) -> ServeOptions {
    ServeOptions {
        data: data.to_owned(),
        listen: listen.parse().unwrap(),
        tls,
        oidc: None,
        catalog: None,
        program: Path::new(env!("CARGO_MANIFEST_DIR")).join("src/rest/tests/program.sh"),
        is_isolation_required: false,
    }
}

impl RunningDaemon {
    async fn start(options: ServeOptions) -> Self {
        let (tell, told) = oneshot::channel();
        let (stop, stopped) = oneshot::channel::<()>();
        let daemon = serve(options, |serving| tell.send(serving.clone()).unwrap(), async {
            drop(stopped.await)
        });
        let ended = tokio::spawn(daemon);
        Self {
            serving: told.await.expect("it serves"),
            stop,
            ended,
        }
    }

    async fn end(self) {
        drop(self.stop);
        self.ended.await.unwrap().unwrap();
    }
}

/// Whether a context signs in.
async fn sign_in(contexts: &Path, context: Context) -> std::result::Result<(), ProblemKind> {
    let contexts = contexts.to_owned();
    let asked = move || {
        let name = "a".parse().unwrap();
        Contexts::add(&contexts, name, context)?;
        let around = Surroundings {
            contexts: Some(contexts),
            ..Surroundings::default()
        };
        Connection::open(&Endpoint::choose(&Choice::default(), &around)?)?.whoami()
    };
    let asked = tokio::task::spawn_blocking(asked).await.unwrap();
    asked.map(drop).map_err(|problem| problem.kind)
}

fn socket_url(path: &Path) -> String {
    format!("unix:{}", path.display())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_socket_is_there_for_its_owner_and_asks_for_a_token() {
    let folder = tempfile::tempdir().unwrap();
    let (data, contexts) = (folder.path().join("data"), folder.path().join("contexts"));
    std::fs::create_dir(&data).unwrap();
    // As a daemon that was killed leaves it.
    drop(std::os::unix::net::UnixListener::bind(data.join("serve.sock")).unwrap());
    let daemon = RunningDaemon::start(options(&data, "127.0.0.1:0", None)).await;
    let socket = &daemon.serving.socket;
    let file = std::fs::metadata(socket).unwrap();
    assert!(file.file_type().is_socket());
    assert_eq!(file.permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::metadata(&data).unwrap().permissions().mode() & 0o777, 0o700);
    let token = daemon.serving.new_token.clone().unwrap();
    for url in [&socket_url(socket), &daemon.serving.url] {
        assert_eq!(sign_in(&contexts, Context::of_token(url, &token)).await, Ok(()));
    }
    let wrong = folder.path().join("wrong");
    std::fs::write(&wrong, "sbt_none").unwrap();
    let refused = sign_in(&contexts, Context::of_token(&socket_url(socket), &wrong)).await;
    assert_eq!(refused, Err(ProblemKind::NotSignedIn));
    // Another daemon in the same folder leaves the socket to the one that lives.
    let other = serve(options(&data, "127.0.0.1:0", None), |_| {}, std::future::pending()).await;
    assert_eq!(other.unwrap_err().kind, ProblemKind::Conflict);
    assert_eq!(
        sign_in(&contexts, Context::of_token(&socket_url(socket), &token)).await,
        Ok(())
    );
    let path: PathBuf = socket.clone();
    daemon.end().await;
    assert!(!path.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn with_tls_a_client_shows_its_certificate_and_knows_the_daemons() {
    let folder = tempfile::tempdir().unwrap();
    let (authority, clients) = (Authority::new("daemons"), Authority::new("clients"));
    let file = |name: &str, bytes: Vec<u8>| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let (certificate, key) = authority.issue("daemon").write(folder.path(), "daemon");
    let tls = TlsFiles {
        certificate,
        key,
        client_ca: Some(file("clients", clients.pem())),
    };
    let data = folder.path().join("data");
    // With TLS it may listen for all machines.
    let daemon = RunningDaemon::start(options(&data, "0.0.0.0:0", Some(tls))).await;
    let url = daemon.serving.url.replace("0.0.0.0", "127.0.0.1");
    assert!(url.starts_with("https://"), "{url}");
    let token = daemon.serving.new_token.clone().unwrap();
    let trust = |ca: Option<PathBuf>, own: Option<(PathBuf, PathBuf)>| {
        let (certificate, key) = own.unzip();
        let trust = Trust { ca, certificate, key };
        Context {
            trust,
            ..Context::of_token(&url, &token)
        }
    };
    let ca = file("authority", authority.pem());
    let own = clients.issue("ann").write(folder.path(), "ann");
    let foreign = Authority::new("clients").issue("ann").write(folder.path(), "foreign");
    let contexts = folder.path().join("contexts");
    assert_eq!(
        sign_in(&contexts, trust(Some(ca.clone()), Some(own.clone()))).await,
        Ok(())
    );
    for (ca, own, kind) in [
        (None, Some(own.clone()), ProblemKind::Unavailable),
        (
            Some(file("other", clients.pem())),
            Some(own.clone()),
            ProblemKind::Unavailable,
        ),
        (Some(ca.clone()), None, ProblemKind::Unavailable),
        (Some(ca.clone()), Some(foreign), ProblemKind::Unavailable),
        (Some(ca.clone()), Some((own.0.clone(), ca.clone())), ProblemKind::Failed),
        (Some(own.1.clone()), Some(own.clone()), ProblemKind::Failed),
    ] {
        assert_eq!(sign_in(&contexts, trust(ca, own)).await, Err(kind));
    }
    daemon.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_tls_a_daemon_listens_on_this_machine_alone() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    for listen in ["0.0.0.0:0", "[::]:0", "10.0.0.1:0"] {
        let refused = serve(options(&data, listen, None), |_| {}, std::future::pending()).await;
        let problem = refused.unwrap_err();
        assert_eq!(problem.kind, ProblemKind::Invalid);
        assert!(problem.hint.unwrap().contains("--tls-certificate"));
    }
    assert!(!data.exists());
}
