//! The daemon: what it keeps in its folder, and how it begins and ends.
//!
//! ```text
//! DATA/serve.lock      the daemon holds a lock on it: one a folder
//! DATA/secrets.key     the key that the secrets of tenants are sealed with, for its owner alone
//! DATA/serve.sock      where it answers whoever is on this machine
//! DATA/admin.token     the first token, of the platform's administrator, for its owner alone
//! DATA/catalog.db      the catalog, unless --catalog names another
//! DATA/tenants/T/      plugins and pipelines of a tenant
//! DATA/sockets/        where the processes answer
//! ```
//!
//! Always: it ends without ending a process, and begins by finding them again.

use std::collections::BTreeMap;
use std::env::VarError;
use std::fs::{self, File, OpenOptions};
use std::future::Future;
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio::sync::watch;

use crate::catalog::Catalog;
use crate::clock;
use crate::door::oidc::{OidcOptions, TokenIssuer};
use crate::door::{Certificates, Crowd, Door, DoorPatience, Entrance, MachineSocket, TlsFiles};
use crate::fleet::{Fleet, PipelineUse};
use crate::means::{KEY_VARIABLE, UsageDelta, key_of_daemon};
use crate::model::Role;
use crate::model::names::Name;
use crate::model::problem::{Problem, ProblemKind, Result};
use crate::plugins::PluginFiles;
use crate::rest::{Interface, router};
use crate::takeover::Upgrades;

/// Files that the daemon has open, at most, if the machine lets it.
const MOST_FILES: u64 = 65_536;

/// How often what pipelines used is written down.
const NOTE_USAGE: Duration = Duration::from_secs(10);
/// Uses that are added up at once.
const MOST_USES: usize = 100_000;

/// What a daemon is started with.
#[derive(Debug, Clone)]
pub struct ServeOptions {
    /// Its folder, made if it is not there.
    pub data: PathBuf,
    /// Where it listens besides its socket; port 0 is any that is free.
    pub listen: SocketAddr,
    /// Its certificate; none: it listens on this machine alone.
    pub tls: Option<TlsFiles>,
    /// Whose tokens sign in, besides its own.
    pub oidc: Option<OidcOptions>,
    /// `sqlite:PATH` or `postgres://…`; none: SQLite in its folder.
    pub catalog: Option<String>,
    /// The program whose `run` and `check` it starts.
    pub program: PathBuf,
    /// Whether a process ends that the kernel cannot shut in, instead of saying so.
    pub is_isolation_required: bool,
}

/// What a daemon that listens says of itself.
#[derive(Debug, Clone)]
pub struct Serving {
    /// Where it listens for the network, or for this machine alone.
    pub url: String,
    /// Where it listens for this machine.
    pub socket: PathBuf,
    /// The file of the administrator's token, if it was made just now.
    pub new_token: Option<PathBuf>,
    /// Pipelines that it keeps.
    pub pipelines: usize,
}

/// Serves until `stop` is done; says when it listens.
///
/// # Errors
/// `Invalid`: it would listen for other machines without TLS, or an option cannot be used. `Conflict`: another daemon
/// has the folder. `Failed`: the folder, the catalog or the address cannot be used.
pub async fn serve(
    options: ServeOptions,
    tell: impl FnOnce(&Serving),
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<()> {
    if options.tls.is_none() && !options.listen.ip().is_loopback() {
        return Err(Problem::new(
            ProblemKind::Invalid,
            format!("failed to listen on {}", options.listen),
            "without TLS, tokens would go over the network as they are",
        )
        .hint("give --tls-certificate and --tls-key, or listen on 127.0.0.1"));
    }
    let certificates = options.tls.map(Certificates::open).transpose()?;
    let issuer = options.oidc.map(TokenIssuer::new).transpose()?;
    let data = &folder(&options.data)?;
    let _as_long_as_it_serves = lock(data)?;
    let catalog = open_catalog(data, options.catalog).await?;
    let new_token = first_token(data, &catalog).await?;
    let plugins = PluginFiles::new(data.join("tenants"));
    plugins.sweep().await?;
    let (used, uses) = mpsc::unbounded_channel();
    let fleet = Fleet::open(
        data,
        &options.program,
        plugins.clone(),
        options.is_isolation_required,
        used,
    )?;
    tokio::spawn(note_usage(catalog.clone(), uses));
    let interface = Interface {
        upgrades: Upgrades::new(catalog.clone(), fleet.clone()),
        catalog,
        plugins,
        fleet,
        issuer,
    };
    let pipelines = keep_all(&interface).await?;
    let socket = MachineSocket::open(data)?;
    let failed = |error| {
        Problem::new(
            ProblemKind::Failed,
            format!("failed to listen on {}", options.listen),
            error,
        )
    };
    let listener = TcpListener::bind(options.listen).await.map_err(failed)?;
    let scheme = if certificates.is_some() { "https" } else { "http" };
    tell(&Serving {
        url: format!("{scheme}://{}", listener.local_addr().map_err(failed)?),
        socket: socket.path().to_owned(),
        new_token,
        pipelines,
    });
    let door = Door::new(router(interface), Crowd::new(room()), DoorPatience::default());
    answer(&door, listener, certificates, socket, stop).await;
    Ok(())
}

/// Answers at both entrances until `stop` is done.
async fn answer(
    door: &Door,
    listener: TcpListener,
    certificates: Option<Certificates>,
    socket: MachineSocket,
    stop: impl Future<Output = ()>,
) {
    let (stopping, stopped) = watch::channel(false);
    let looking = async {
        match &certificates {
            Some(certificates) => certificates.keep_looking().await,
            None => std::future::pending().await,
        }
    };
    let entrances = [
        Entrance::Port(listener, certificates.clone()),
        Entrance::Machine(socket),
    ];
    let attended = entrances.map(|entrance| door.clone().attend(entrance, stopped.clone()));
    let told = async {
        stop.await;
        stopping.send_replace(true);
        std::future::pending().await
    };
    tokio::select! {
        _ = futures_util::future::join_all(attended) => {}
        () = looking => {}
        () = told => {}
    }
}

/// The daemon's folder, for its owner alone.
fn folder(data: &Path) -> Result<PathBuf> {
    let failed = |what: &str| {
        let what = format!("failed to {what} {}", data.display());
        move |error: std::io::Error| Problem::new(ProblemKind::Failed, what, error)
    };
    let mut made = fs::DirBuilder::new();
    made.recursive(true).mode(0o700);
    made.create(data).map_err(failed("make"))?;
    // It may have been there, and open to others.
    fs::set_permissions(data, fs::Permissions::from_mode(0o700)).map_err(failed("close to others"))?;
    data.canonicalize().map_err(failed("open"))
}

/// As many open files as the machine lets it have; how many that is.
pub(crate) fn room() -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.unwrap_or(MOST_FILES).min(MOST_FILES);
    let current = limit.current.unwrap_or(MOST_FILES);
    let raised = Rlimit {
        current: Some(wanted),
        maximum: limit.maximum,
    };
    let most = match wanted > current {
        true if setrlimit(Resource::Nofile, raised).is_ok() => wanted,
        _ => current,
    };
    usize::try_from(most).unwrap_or(usize::MAX)
}

fn lock(data: &Path) -> Result<File> {
    let path = data.join("serve.lock");
    let opened = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path);
    let lock = opened
        .map_err(|error| Problem::new(ProblemKind::Failed, format!("failed to open {}", path.display()), error))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(why) => {
            let what = format!("failed to serve {}", data.display());
            Err(Problem::new(ProblemKind::Conflict, what, why)
                .hint("another `sandbar serve` has this folder: end it, or give another with --data"))
        }
    }
}

/// The catalog, with the key of its secrets.
async fn open_catalog(data: &Path, url: Option<String>) -> Result<Catalog> {
    let url = url.unwrap_or_else(|| format!("sqlite:{}", data.join("catalog.db").display()));
    let catalog = Catalog::open(&url).await?;
    let variable = match std::env::var(KEY_VARIABLE) {
        Ok(text) => Some(text),
        Err(VarError::NotPresent) => None,
        // It is no key, and says so.
        Err(VarError::NotUnicode(_)) => Some(String::new()),
    };
    let key = key_of_daemon(data, variable.as_deref(), catalog.is_sealed().await?)?;
    catalog.sealed_with(key).await
}

/// The administrator's token, written once. A start that ended between the catalog and the file left nobody who could
/// ask for anything: the next one makes another.
async fn first_token(data: &Path, catalog: &Catalog) -> Result<Option<PathBuf>> {
    let path = data.join("admin.token");
    let is_made = catalog.has_tokens().await?;
    if is_made && (path.exists() || !catalog.tenants(None, 1).await?.is_empty()) {
        return Ok(None);
    }
    let made = catalog
        .create_token(None, Role::Admin, "made at the first start", None)
        .await?;
    let written = || {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&path)?;
        writeln!(file, "{}", made.token)?;
        file.sync_all()
    };
    written().map_err(|error| {
        Problem::new(
            ProblemKind::Failed,
            format!("failed to write {}", path.display()),
            error,
        )
    })?;
    Ok(Some(path))
}

/// Writes down what pipelines use, a little later: many small uses become one row.
async fn note_usage(catalog: Catalog, mut uses: UnboundedReceiver<PipelineUse>) {
    let mut pieces = Vec::new();
    while uses.recv_many(&mut pieces, MOST_USES).await > 0 {
        let mut sums: BTreeMap<(Name, Name), UsageDelta> = BTreeMap::new();
        for PipelineUse { tenant, pipeline, used } in pieces.drain(..) {
            sums.entry((tenant, pipeline)).or_default().add(&used);
        }
        for ((tenant, pipeline), used) in sums {
            if let Err(problem) = catalog.add_usage(&tenant, &pipeline, clock::now(), &used).await {
                tracing::warn!(%tenant, %pipeline, %problem, "what a pipeline used is not noted");
            }
        }
        tokio::time::sleep(NOTE_USAGE).await;
    }
}

/// Keeps every pipeline of the catalog. One that cannot be kept is told, and keeps no other from it.
pub(crate) async fn keep_all(interface: &Interface) -> Result<usize> {
    let fleet = &interface.fleet;
    let all = interface.catalog.all_pipelines().await?;
    for pipeline in &all {
        if let Err(problem) = interface.upgrades.keep(pipeline, false).await {
            let (tenant, name) = (&pipeline.tenant, &pipeline.name);
            tracing::error!(%tenant, pipeline = %name, %problem, "failed to keep a pipeline");
        }
    }
    let upgrades = interface.upgrades.clone();
    tokio::spawn(async move {
        if let Err(problem) = upgrades.clear_canaries().await {
            tracing::warn!(%problem, "failed to remove what canaries left");
        }
    });
    for (tenant, name) in fleet.left_over(&all) {
        tracing::info!(%tenant, pipeline = %name, "a pipeline that was deleted is removed");
        let fleet = fleet.clone();
        tokio::spawn(async move {
            if let Err(problem) = fleet.forget(&tenant, &name).await {
                tracing::error!(%tenant, pipeline = %name, %problem, "failed to remove a pipeline");
            }
        });
    }
    Ok(all.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Serves the folder until it listens.
    async fn served(data: &Path) -> Result<()> {
        let options = ServeOptions {
            data: data.to_owned(),
            listen: ([127, 0, 0, 1], 0).into(),
            catalog: None,
            program: PathBuf::from("none"),
            tls: None,
            oidc: None,
            is_isolation_required: false,
        };
        serve(options, |_| {}, async {}).await
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_key_of_the_secrets_is_made_once_and_another_one_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("secrets.key");
        served(folder.path()).await.unwrap();
        let made = fs::read(&key).unwrap();
        served(folder.path()).await.unwrap();
        assert_eq!(fs::read(&key).unwrap(), made);
        fs::write(&key, [7; 32]).unwrap();
        let other = served(folder.path()).await.unwrap_err();
        assert_eq!(other.kind, ProblemKind::Conflict);
        assert!(other.to_string().contains("sealed with another key"), "{other}");
        fs::remove_file(&key).unwrap();
        let missing = served(folder.path()).await.unwrap_err();
        assert!(missing.to_string().contains("it is not there"), "{missing}");
        assert!(!key.exists());
        fs::write(&key, made).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
        let open = served(folder.path()).await.unwrap_err();
        assert!(open.to_string().contains("others can read it"), "{open}");
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        served(folder.path()).await.unwrap();
    }
}
