//! The daemon: what it keeps in its folder, and how it begins and ends.
//!
//! ```text
//! DATA/serve.lock      the daemon holds a lock on it: one a folder
//! DATA/admin.token     the first token, of the platform's administrator, for its owner alone
//! DATA/catalog.db      the catalog, unless --catalog names another
//! DATA/tenants/T/      plugins and pipelines of a tenant
//! DATA/sockets/        where the processes answer
//! ```
//!
//! Always: it ends without ending a process, and begins by finding them again.

use std::fs::{self, File, OpenOptions};
use std::future::Future;
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::Notify;

use crate::catalog::Catalog;
use crate::fleet::Fleet;
use crate::model::Role;
use crate::plugins::PluginFiles;
use crate::problem::{Problem, ProblemKind, Result};
use crate::rest::{Interface, router};
use crate::takeover::Upgrades;

/// So long the last answers may take when it is told to end.
const LAST_ANSWERS: Duration = Duration::from_secs(3);

/// What a daemon is started with.
#[derive(Debug, Clone)]
pub struct ServeOptions {
    /// Its folder, made if it is not there.
    pub data: PathBuf,
    /// Where it listens; port 0 is any that is free.
    pub listen: SocketAddr,
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
    /// Where it listens.
    pub address: SocketAddr,
    /// The file of the administrator's token, if it was made just now.
    pub new_token: Option<PathBuf>,
    /// Pipelines that it keeps.
    pub pipelines: usize,
}

/// Serves until `stop` is done; says when it listens.
///
/// # Errors
/// `Invalid`: it would listen for other machines, which needs TLS. `Conflict`: another daemon has the folder. `Failed`:
/// the folder, the catalog or the address cannot be used.
pub async fn serve(
    options: ServeOptions,
    tell: impl FnOnce(&Serving),
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<()> {
    if !options.listen.ip().is_loopback() {
        return Err(Problem::new(
            ProblemKind::Invalid,
            format!("failed to listen on {}", options.listen),
            "tokens would go over the network as they are: TLS is not built yet",
        )
        .hint("listen on 127.0.0.1, and put a proxy that speaks TLS in front"));
    }
    let data = options.data.as_path();
    let failed = |what: String| move |error: std::io::Error| Problem::new(ProblemKind::Failed, what, error);
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(data)
        .map_err(failed(format!("failed to make {}", data.display())))?;
    // It may have been there, and open to others.
    fs::set_permissions(data, fs::Permissions::from_mode(0o700))
        .map_err(failed(format!("failed to close {} to others", data.display())))?;
    let _as_long_as_it_serves = lock(data)?;
    let data = &data
        .canonicalize()
        .map_err(failed(format!("failed to open {}", data.display())))?;
    let url = options
        .catalog
        .unwrap_or_else(|| format!("sqlite:{}", data.join("catalog.db").display()));
    let catalog = Catalog::open(&url).await?;
    let new_token = first_token(data, &catalog).await?;
    let plugins = PluginFiles::new(data.join("tenants"));
    plugins.sweep().await?;
    let fleet = Fleet::open(data, &options.program, plugins.clone(), options.is_isolation_required)?;
    let interface = Interface {
        upgrades: Upgrades::new(catalog.clone(), fleet.clone()),
        catalog,
        plugins,
        fleet,
    };
    let pipelines = keep_all(&interface).await?;
    let listener = TcpListener::bind(options.listen)
        .await
        .map_err(failed(format!("failed to listen on {}", options.listen)))?;
    let address = listener.local_addr().map_err(failed("failed to listen".to_owned()))?;
    tell(&Serving {
        address,
        new_token,
        pipelines,
    });
    let service = router(interface).into_make_service_with_connect_info::<SocketAddr>();
    let stopping = Arc::new(Notify::new());
    let told = stopping.clone();
    let graceful = async move {
        stop.await;
        told.notify_one();
    };
    // An answer that goes on, such as a log that is followed, has no end of its own.
    let late = async {
        stopping.notified().await;
        tokio::time::sleep(LAST_ANSWERS).await;
    };
    tokio::select! {
        ended = axum::serve(listener, service).with_graceful_shutdown(graceful) => {
            ended.map_err(failed("the interface ended".to_owned()))
        }
        () = late => Ok(()),
    }
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
