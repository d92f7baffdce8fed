//! The daemon: what it keeps in its folder, and how it begins and ends.
//!
//! ```text
//! DATA/serve.lock      the daemon holds a lock on it: one a folder
//! DATA/secrets.key     the key that the secrets of tenants are sealed with, for its owner alone
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
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::sync::mpsc::{self, UnboundedReceiver};

use crate::catalog::Catalog;
use crate::clock;
use crate::fleet::{Fleet, PipelineUse};
use crate::means::{KEY_VARIABLE, UsageDelta, key_of_daemon};
use crate::model::Role;
use crate::names::Name;
use crate::plugins::PluginFiles;
use crate::problem::{Problem, ProblemKind, Result};
use crate::rest::{Interface, router};

/// So long the last answers may take when it is told to end.
const LAST_ANSWERS: Duration = Duration::from_secs(3);

/// How often what pipelines used is written down.
const NOTE_USAGE: Duration = Duration::from_secs(10);
/// Uses that are added up at once.
const MOST_USES: usize = 100_000;

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
    let pipelines = keep_all(&catalog, &fleet).await?;
    let listener = TcpListener::bind(options.listen)
        .await
        .map_err(failed(format!("failed to listen on {}", options.listen)))?;
    let address = listener.local_addr().map_err(failed("failed to listen".to_owned()))?;
    tell(&Serving {
        address,
        new_token,
        pipelines,
    });
    let service = router(Interface {
        catalog,
        plugins,
        fleet,
    })
    .into_make_service_with_connect_info::<SocketAddr>();
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
async fn keep_all(catalog: &Catalog, fleet: &Fleet) -> Result<usize> {
    let all = catalog.all_pipelines().await?;
    for pipeline in &all {
        let (tenant, name) = (&pipeline.tenant, &pipeline.name);
        let kept = match catalog.means(tenant).await {
            Ok(means) => fleet.keep(pipeline, &means),
            Err(problem) => Err(problem),
        };
        if let Err(problem) = kept {
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
