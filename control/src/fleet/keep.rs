//! All pipelines that are kept, by tenant and name.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio::sync::{broadcast, watch};

use super::ask::{Answered, AskPermits, AskedPlace, Question};
use super::grants::Grants;
use super::home::PipelineHome;
use super::keeper::{KeepOrder, Keeper};
use super::process::{self, StartOrder};
use super::socket;
use crate::clock;
use crate::model::{State, Status, WantedPipeline};
use crate::names::{Digest, Name};
use crate::plugins::PluginFiles;
use crate::problem::{Problem, ProblemKind, Result};

/// Changes that whoever follows them may be behind.
const CHANGES: usize = 1024;
/// Digits of the name of a socket's folder.
const SOCKET_DIGITS: usize = 24;
/// What a socket is called in its folder.
const SOCKET: &str = "s";
/// Bytes of the path of a socket, at most, as unix(7) says.
const SOCKET_BYTES: usize = 107;

/// The pipelines of a daemon. Clones are the same.
#[derive(Clone)]
pub struct Fleet(Arc<Kept>);

struct Kept {
    data: PathBuf,
    program: PathBuf,
    grants: Grants,
    keepers: Mutex<HashMap<(Name, Name), KeptPipeline>>,
    changes: broadcast::Sender<Status>,
    asks: AskPermits,
}

struct KeptPipeline {
    orders: watch::Sender<KeepOrder>,
    status: watch::Receiver<Status>,
    task: tokio::task::JoinHandle<std::io::Result<()>>,
}

impl Fleet {
    /// No pipelines yet, for a data folder and the program whose `run` they are. The folder is the daemon's alone. If
    /// isolation is required, a process ends that the kernel cannot shut in.
    ///
    /// # Errors
    /// `Failed`: the folder cannot be made.
    pub fn open(data: &Path, program: &Path, plugins: PluginFiles, is_isolation_required: bool) -> Result<Self> {
        let sockets = data.join("sockets");
        let longest = sockets.join("0".repeat(SOCKET_DIGITS)).join(SOCKET);
        if longest.as_os_str().len() > SOCKET_BYTES {
            let why = format!(
                "the path of a socket has {SOCKET_BYTES} bytes at most, as {} has not",
                longest.display()
            );
            let what = format!("failed to use the folder {}", data.display());
            return Err(Problem::new(ProblemKind::Invalid, what, why).hint("give a shorter one with --data"));
        }
        // What a check left that its daemon did not live to see.
        let _it_may_not_be_there = std::fs::remove_dir_all(data.join("checks"));
        std::fs::create_dir_all(&sockets).map_err(|error| {
            Problem::new(
                ProblemKind::Failed,
                format!("failed to make {}", sockets.display()),
                error,
            )
        })?;
        let grants = Grants::open(data, plugins, is_isolation_required).map_err(|error| {
            let what = format!("failed to make {}", data.join("code.key").display());
            Problem::new(ProblemKind::Failed, what, error)
        })?;
        Ok(Self(Arc::new(Kept {
            data: data.to_owned(),
            program: program.to_owned(),
            grants,
            keepers: Mutex::default(),
            changes: broadcast::Sender::new(CHANGES),
            asks: AskPermits::default(),
        })))
    }

    /// From now on a pipeline is kept as it is wanted. Has to be called within a Tokio runtime.
    ///
    /// # Errors
    /// `Failed`: its folder cannot be made.
    pub fn keep(&self, pipeline: &WantedPipeline) -> Result<()> {
        self.keep_as(pipeline, false)
    }

    /// The same of one that is not wanted any more and ends by itself, because it was asked to drain: nothing cuts that
    /// short until it is kept in another way.
    pub(crate) fn keep_draining(&self, pipeline: &WantedPipeline) -> Result<()> {
        self.keep_as(pipeline, true)
    }

    fn keep_as(&self, pipeline: &WantedPipeline, is_draining: bool) -> Result<()> {
        let (tenant, name) = (&pipeline.tenant, &pipeline.name);
        let socket = self.socket_folder(tenant, name);
        let grants = &self.0.grants;
        let both = grants
            .to_run((tenant, name), &pipeline.plugins, &socket)
            .and_then(|run| Ok((run, grants.to_check((tenant, name), &pipeline.plugins)?)));
        let start = match both {
            Ok((run, check)) => Ok(StartOrder {
                program: self.0.program.clone(),
                run: Arc::new(run),
                check: Arc::new(check),
            }),
            Err(error) => Err(format!("it cannot be granted what it needs: {error}")),
        };
        let key = (tenant.clone(), name.clone());
        let mut keepers = self.keepers();
        if let Some(kept) = keepers.get(&key).filter(|kept| !kept.task.is_finished()) {
            kept.orders.send_modify(|order| {
                order.pipeline = Some(pipeline.clone());
                order.start = start;
                order.is_draining = is_draining;
            });
            return Ok(());
        }
        let order = KeepOrder {
            pipeline: Some(pipeline.clone()),
            start,
            again: 0,
            is_draining,
        };
        let kept = self.new_keeper(tenant, name, order)?;
        keepers.insert(key, kept);
        Ok(())
    }

    fn new_keeper(&self, tenant: &Name, name: &Name, order: KeepOrder) -> Result<KeptPipeline> {
        let home = self.home(tenant, name)?;
        if order.pipeline.is_some() {
            home.unmark_gone().map_err(|error| {
                Problem::new(ProblemKind::Failed, format!("failed to keep pipeline `{name}`"), error)
            })?;
        }
        let first = Status {
            name: name.clone(),
            tenant: tenant.clone(),
            state: State::Starting,
            reason: String::new(),
            since: clock::now(),
            restarts: 0,
            version: order.pipeline.as_ref().map_or(0, |pipeline| pipeline.version),
            records_in: None,
            records_out: None,
            lag: None,
            workers: None,
            pid: None,
        };
        let (to, orders) = watch::channel(order);
        let (tell, status) = watch::channel(first);
        let keeper = Keeper::new(home, orders, tell, self.0.changes.clone());
        Ok(KeptPipeline {
            orders: to,
            status,
            task: tokio::spawn(keeper.keep()),
        })
    }

    /// Starts a pipeline again that finished or failed for good.
    pub fn start_again(&self, tenant: &Name, name: &Name) {
        if let Some(kept) = self.keepers().get(&(tenant.clone(), name.clone())) {
            kept.orders.send_modify(|order| order.again += 1);
        }
    }

    /// Stops a pipeline, and takes away all that it has in the data folder. Comes back when that is done.
    ///
    /// # Errors
    /// `Failed`: its folder cannot be removed.
    pub async fn forget(&self, tenant: &Name, name: &Name) -> Result<()> {
        let kept = self.keepers().remove(&(tenant.clone(), name.clone()));
        let kept = match kept.filter(|kept| !kept.task.is_finished()) {
            Some(kept) => kept,
            None if self.folder(tenant, name).exists() => {
                let order = KeepOrder {
                    pipeline: None,
                    start: Err("it is to be gone".to_owned()),
                    again: 0,
                    is_draining: false,
                };
                self.new_keeper(tenant, name, order)?
            }
            None => return Ok(()),
        };
        kept.orders.send_modify(|order| {
            order.pipeline = None;
            order.is_draining = false;
        });
        let failed =
            |why: String| Problem::new(ProblemKind::Failed, format!("failed to remove pipeline `{name}`"), why);
        let ended = kept.task.await.map_err(|error| failed(error.to_string()))?;
        ended.map_err(|error| failed(error.to_string()))
    }

    /// Notes that a pipeline is about to be deleted, so that a daemon that dies meanwhile leaves nothing of it.
    ///
    /// # Errors
    /// `Failed`: its folder cannot be written.
    pub fn mark_gone(&self, tenant: &Name, name: &Name) -> Result<()> {
        self.home(tenant, name)?.mark_gone().map_err(|error| {
            Problem::new(
                ProblemKind::Failed,
                format!("failed to remove pipeline `{name}`"),
                error,
            )
        })
    }

    /// Pipelines that were about to be deleted, and are not among these any more: a daemon that died meanwhile left
    /// them. A folder without that note is left alone, for the catalog may be the wrong one.
    pub fn left_over(&self, known: &[WantedPipeline]) -> Vec<(Name, Name)> {
        let names = |folder: &Path| -> Vec<Name> {
            let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
            entries
                .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
                .collect()
        };
        let tenants = self.0.data.join("tenants");
        let of = |tenant: Name| {
            let pipelines = names(&tenants.join(tenant.as_str()).join("pipelines"));
            pipelines.into_iter().map(move |name| (tenant.clone(), name))
        };
        let all = names(&tenants).into_iter().flat_map(of);
        let is_marked = |(tenant, name): &(Name, Name)| self.folder(tenant, name).join("gone").exists();
        let is_known = |(tenant, name): &(Name, Name)| {
            known
                .iter()
                .any(|pipeline| pipeline.tenant == *tenant && pipeline.name == *name)
        };
        all.filter(|pair| is_marked(pair) && !is_known(pair)).collect()
    }

    /// What a pipeline does; `None`: it is not kept.
    pub fn status(&self, tenant: &Name, name: &Name) -> Option<Status> {
        let keepers = self.keepers();
        let kept = keepers.get(&(tenant.clone(), name.clone()))?;
        Some(kept.status.borrow().clone())
    }

    /// Each change of a state from now on, of all tenants.
    pub fn changes(&self) -> broadcast::Receiver<Status> {
        self.0.changes.subscribe()
    }

    /// The log of a pipeline's processes: JSON lines of events, and lines of text of the log.
    pub fn log(&self, tenant: &Name, name: &Name) -> PathBuf {
        self.folder(tenant, name).join("log.jsonl")
    }

    /// Checks a pipeline before it is taken: what `sandbar check` says of it under the tenant's grant, in a process of
    /// its own, which compiles its plugins.
    ///
    /// # Errors
    /// `Invalid`, `PluginRefused`: it is wrong, with the words of the command line. `Failed`: it could not be checked.
    pub async fn check(
        &self,
        tenant: &Name,
        name: &Name,
        file: &str,
        plugins: &BTreeMap<String, Digest>,
    ) -> Result<()> {
        let failed =
            |why: std::io::Error| Problem::new(ProblemKind::Failed, format!("failed to check pipeline `{name}`"), why);
        let grant = self.0.grants.to_check((tenant, name), plugins).map_err(failed)?;
        let folder = self
            .0
            .data
            .join("checks")
            .join(format!("{:016x}", random().map_err(failed)?));
        tokio::fs::create_dir_all(&folder).await.map_err(failed)?;
        let said = async {
            tokio::fs::write(folder.join("pipeline.toml"), file).await?;
            process::check(&self.0.program, &folder, &grant).await
        };
        let said = said.await;
        tokio::fs::remove_dir_all(&folder).await.map_err(failed)?;
        said.map_err(failed)?.judge(name)
    }

    /// Asks a verb of the program about a pipeline as it is wanted, in a process of its own. So long it waits for its
    /// turn at most, and so long the process may run.
    ///
    /// # Errors
    /// `TooMany`: others are asked for too long. `Unavailable`: it takes too long. `Failed`: it cannot be asked.
    pub(crate) async fn ask(
        &self,
        pipeline: &WantedPipeline,
        question: &Question,
        limit: Duration,
    ) -> Result<Answered> {
        let key = (&pipeline.tenant, &pipeline.name);
        let grant = self.0.grants.to_look(key, &pipeline.plugins).map_err(|error| {
            let what = format!("failed to ask about pipeline `{}`", pipeline.name);
            Problem::new(ProblemKind::Failed, what, error)
        })?;
        let place = AskedPlace {
            program: &self.0.program,
            folder: &self.folder(key.0, key.1),
            grant,
            file: &pipeline.file,
        };
        self.0.asks.ask(&place, question, limit).await
    }

    /// All pipelines that are kept, by tenant and name.
    pub(crate) fn names(&self) -> Vec<(Name, Name)> {
        let mut names: Vec<_> = self.keepers().keys().cloned().collect();
        names.sort_unstable();
        names
    }

    /// What the process of a pipeline measures, in the text format of Prometheus.
    ///
    /// # Errors
    /// No process answers.
    pub(crate) async fn metrics(&self, tenant: &Name, name: &Name) -> std::io::Result<String> {
        socket::metrics(&self.socket(tenant, name)).await
    }

    /// AskPermits the process of a pipeline to drain, and waits until its run has ended.
    ///
    /// # Errors
    /// No process answers, or it does not end in order.
    pub(crate) async fn drain(&self, tenant: &Name, name: &Name) -> std::io::Result<()> {
        socket::drain(&self.socket(tenant, name), &format!("{tenant}--{name}")).await
    }

    /// Waits until no process of a pipeline is there, as was wanted; what it does then. So long at most.
    pub(crate) async fn end_of(&self, tenant: &Name, name: &Name, limit: Duration) -> Option<Status> {
        let mut status = self.keepers().get(&(tenant.clone(), name.clone()))?.status.clone();
        let has_ended = |status: &Status| matches!(status.state, State::Stopped | State::Paused);
        let ended = tokio::time::timeout(limit, status.wait_for(has_ended)).await;
        Some(ended.ok()?.ok()?.clone())
    }

    fn socket(&self, tenant: &Name, name: &Name) -> PathBuf {
        self.socket_folder(tenant, name).join(SOCKET)
    }

    fn home(&self, tenant: &Name, name: &Name) -> Result<PipelineHome> {
        let folder = self.folder(tenant, name);
        PipelineHome::open(folder.clone(), self.socket(tenant, name)).map_err(|error| {
            Problem::new(
                ProblemKind::Failed,
                format!("failed to make {}", folder.display()),
                error,
            )
        })
    }

    /// A short name, because the path of a socket has 107 bytes at most.
    fn socket_folder(&self, tenant: &Name, name: &Name) -> PathBuf {
        let hash = Sha256::digest(format!("{tenant}--{name}"));
        let bytes = hash.iter().take(SOCKET_DIGITS / 2);
        let short: String = bytes.map(|byte| format!("{byte:02x}")).collect();
        self.0.data.join("sockets").join(short)
    }

    fn folder(&self, tenant: &Name, name: &Name) -> PathBuf {
        let tenants = self.0.data.join("tenants");
        tenants.join(tenant.as_str()).join("pipelines").join(name.as_str())
    }

    fn keepers(&self) -> MutexGuard<'_, HashMap<(Name, Name), KeptPipeline>> {
        self.0.keepers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn random() -> std::io::Result<u64> {
    let mut bytes = [0; 8];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    Ok(u64::from_le_bytes(bytes))
}
