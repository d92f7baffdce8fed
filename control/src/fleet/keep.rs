//! All pipelines that are kept, by tenant and name.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::{broadcast, watch};

use super::asking::{Answered, AskDoor, AskPermits, AskedPlace, Question, socket};
use super::grants::{GrantedPipeline, Grants};
use super::home::{PipelineHome, PipelineLog};
use super::keeper::{KeepOrder, Keeper};
use super::meter::{Meter, PipelineUse};
use super::process::{self, StartOrder};
use super::saving::SaveOrder;
use super::takeover::{SavepointOrder, Takeover, TakeoverSeen};
use crate::clock;
use crate::grant::Grant;
use crate::means::TenantMeans;
use crate::model::names::{Digest, Name};
use crate::model::problem::{Problem, ProblemKind, Result};
use crate::model::{State, Status, WantedPipeline};
use crate::plugins::PluginFiles;

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
    used: UnboundedSender<PipelineUse>,
    asks: AskPermits,
}

struct KeptPipeline {
    orders: watch::Sender<KeepOrder>,
    status: watch::Receiver<Status>,
    door: AskDoor,
    task: tokio::task::JoinHandle<io::Result<()>>,
}

impl Fleet {
    /// No pipelines yet, for a data folder and the program whose `run` they are. The folder is the daemon's alone. If
    /// isolation is required, a process ends that the kernel cannot shut in. What the pipelines use is sent to `used`.
    ///
    /// # Errors
    /// `Failed`: the folder cannot be made.
    pub fn open(
        data: &Path,
        program: &Path,
        plugins: PluginFiles,
        is_isolation_required: bool,
        used: UnboundedSender<PipelineUse>,
    ) -> Result<Self> {
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
            used,
            asks: AskPermits::default(),
        })))
    }

    /// From now on a pipeline is kept as it is wanted, with what its tenant has, and its current version takes over in
    /// this way: if what the tenant has changes, its process is started anew. Has to be called within a Tokio runtime.
    ///
    /// # Errors
    /// `Failed`: its folder cannot be made.
    pub(crate) fn keep(&self, pipeline: &WantedPipeline, means: &TenantMeans, takeover: Takeover) -> Result<()> {
        let (tenant, name) = (&pipeline.tenant, &pipeline.name);
        let granted = self.granted(pipeline, means, takeover.save.as_ref());
        let (start, save) = match granted {
            Ok((start, save)) => (Ok(start), save),
            Err(error) => (Err(format!("it cannot be granted what it needs: {error}")), None),
        };
        let order = KeepOrder {
            pipeline: Some(pipeline.clone()),
            start,
            save,
            takeover,
            again: 0,
        };
        let key = (tenant.clone(), name.clone());
        let mut keepers = self.keepers();
        if let Some(kept) = keepers.get(&key).filter(|kept| !kept.task.is_finished()) {
            kept.orders.send_modify(|before| {
                let again = before.again;
                *before = KeepOrder { again, ..order };
            });
            return Ok(());
        }
        let kept = self.new_keeper(tenant, name, order)?;
        keepers.insert(key, kept);
        Ok(())
    }

    /// What a pipeline's processes are granted, and that which takes a savepoint of the version before.
    fn granted(
        &self,
        pipeline: &WantedPipeline,
        means: &TenantMeans,
        save: Option<&SavepointOrder>,
    ) -> io::Result<(StartOrder, Option<SaveOrder>)> {
        let of = GrantedPipeline {
            tenant: &pipeline.tenant,
            name: &pipeline.name,
            file: &pipeline.file,
            plugins: &pipeline.plugins,
            means,
        };
        let (grants, socket) = (&self.0.grants, self.socket_folder(of.tenant, of.name));
        let start = StartOrder {
            program: self.0.program.clone(),
            run: Arc::new(grants.to_run(&of, &socket)?),
            check: Arc::new(grants.to_check(&of)?),
            mark: grants.mark(&of)?,
        };
        let Some(save) = save else { return Ok((start, None)) };
        let before = GrantedPipeline {
            file: &save.file,
            plugins: &save.plugins,
            ..of
        };
        let save = SaveOrder {
            name: save.name.clone(),
            file: save.file.clone(),
            grant: Arc::new(grants.to_run(&before, &socket)?),
        };
        Ok((start, Some(save)))
    }

    /// What is there of a takeover; `None`: the pipeline is not kept.
    ///
    /// # Errors
    /// `Failed`: its folder cannot be made.
    pub(crate) fn takeover(&self, tenant: &Name, name: &Name) -> Result<Option<TakeoverSeen>> {
        let Some(status) = self.status(tenant, name) else {
            return Ok(None);
        };
        // It may be deleted at this moment: nothing is made here.
        let card = PipelineHome::at(
            self.folder(tenant, name),
            self.socket(tenant, name),
            self.tenant(tenant),
        )
        .card();
        Ok(Some(TakeoverSeen {
            status,
            started: card.version,
            saved: (card.saved, card.saved_tasks),
            not_saved: card.not_saved,
            begun: card.begun,
        }))
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
        let meter = Meter::new(tenant.clone(), name.clone(), self.0.used.clone());
        let keeper = Keeper::new(home, orders, tell, self.0.changes.clone(), meter);
        Ok(KeptPipeline {
            orders: to,
            status,
            door: AskDoor::default(),
            task: tokio::spawn(keeper.keep()),
        })
    }

    /// Starts a pipeline again that finished or failed for good.
    pub fn start_again(&self, tenant: &Name, name: &Name) {
        if let Some(kept) = self.keepers().get(&(tenant.clone(), name.clone())) {
            kept.orders.send_modify(|order| order.again += 1);
        }
    }

    /// Stops a pipeline, and takes away all that it has in the data folder. Comes back when that is done: after the
    /// question that is asked about it, if there is one.
    ///
    /// # Errors
    /// `Failed`: its folder cannot be removed.
    pub async fn forget(&self, tenant: &Name, name: &Name) -> Result<()> {
        let (fleet, tenant, pipeline) = (self.clone(), tenant.clone(), name.clone());
        // To its end, although whoever asked for it may be gone.
        let forgotten = tokio::spawn(async move { fleet.forget_wholly(&tenant, &pipeline).await });
        forgotten.await.map_err(|error| {
            let what = format!("failed to remove pipeline `{name}`");
            Problem::new(ProblemKind::Failed, what, error)
        })?
    }

    async fn forget_wholly(&self, tenant: &Name, name: &Name) -> Result<()> {
        let door = self.door(tenant, name);
        if let Some(door) = door {
            door.close().await;
        }
        let kept = self.keepers().remove(&(tenant.clone(), name.clone()));
        let kept = match kept.filter(|kept| !kept.task.is_finished()) {
            Some(kept) => kept,
            None if self.folder(tenant, name).exists() => {
                let order = KeepOrder {
                    pipeline: None,
                    start: Err("it is to be gone".to_owned()),
                    save: None,
                    takeover: Takeover::default(),
                    again: 0,
                };
                self.new_keeper(tenant, name, order)?
            }
            None => return Ok(()),
        };
        kept.orders.send_modify(|order| {
            order.pipeline = None;
            order.takeover.is_draining = false;
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
    pub(crate) fn log(&self, tenant: &Name, name: &Name) -> PipelineLog {
        PipelineLog {
            path: self.folder(tenant, name).join("log.jsonl"),
            tenant: self.tenant(tenant),
        }
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
        means: &TenantMeans,
    ) -> Result<()> {
        let failed =
            |why: io::Error| Problem::new(ProblemKind::Failed, format!("failed to check pipeline `{name}`"), why);
        let of = GrantedPipeline {
            tenant,
            name,
            file,
            plugins,
            means,
        };
        let grant = self.0.grants.to_check(&of).map_err(failed)?;
        let folder = self.new_folder().map_err(failed)?;
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
    /// `TooMany`: others are asked for too long. `Unavailable`: it takes too long, or the pipeline is not kept.
    /// `NotFound`: it is about to be deleted. `Failed`: it cannot be asked.
    pub(crate) async fn ask(
        &self,
        pipeline: &WantedPipeline,
        means: &TenantMeans,
        question: &Question,
        limit: Duration,
    ) -> Result<Answered> {
        let of = GrantedPipeline {
            tenant: &pipeline.tenant,
            name: &pipeline.name,
            file: &pipeline.file,
            plugins: &pipeline.plugins,
            means,
        };
        let grant = self.0.grants.to_look(&of).map_err(|error| {
            let what = format!("failed to ask about pipeline `{}`", pipeline.name);
            Problem::new(ProblemKind::Failed, what, error)
        })?;
        let Some(door) = self.door(of.tenant, of.name) else {
            let what = format!("failed to ask about pipeline `{}`", pipeline.name);
            return Err(Problem::new(ProblemKind::Unavailable, what, "it is not kept here"));
        };
        let place = AskedPlace {
            program: self.0.program.clone(),
            folder: self.folder(of.tenant, of.name),
            door,
            grant,
            file: pipeline.file.clone(),
        };
        self.0.asks.ask(place, question, limit).await
    }

    fn door(&self, tenant: &Name, name: &Name) -> Option<AskDoor> {
        let keepers = self.keepers();
        Some(keepers.get(&(tenant.clone(), name.clone()))?.door.clone())
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
    pub(crate) async fn metrics(&self, tenant: &Name, name: &Name) -> io::Result<String> {
        socket::metrics(&self.socket(tenant, name)).await
    }

    /// Asks the process of a pipeline to drain, and waits until its run has ended.
    ///
    /// # Errors
    /// No process answers, or it does not end in order.
    pub(crate) async fn drain(&self, tenant: &Name, name: &Name) -> io::Result<()> {
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

    /// What a process is granted that compares these plugins: nothing else of the tenant.
    pub(super) fn compare_grant(
        &self,
        tenant: &Name,
        name: &Name,
        plugins: &BTreeMap<String, Digest>,
    ) -> io::Result<Grant> {
        self.0.grants.to_check(&GrantedPipeline {
            tenant,
            name,
            file: "",
            plugins,
            means: &TenantMeans::default(),
        })
    }

    /// A new folder for a process that checks something; whoever asks takes it away.
    pub(super) fn new_folder(&self) -> io::Result<PathBuf> {
        let folder = self.0.data.join("checks").join(format!("{:016x}", random()?));
        std::fs::create_dir_all(&folder)?;
        Ok(folder)
    }

    pub(super) fn program(&self) -> &Path {
        &self.0.program
    }

    /// The file of a plugin.
    pub(super) fn plugin(&self, tenant: &Name, digest: &Digest) -> PathBuf {
        self.0.grants.plugin(tenant, digest)
    }

    pub(super) fn home(&self, tenant: &Name, name: &Name) -> Result<PipelineHome> {
        let (folder, socket) = (self.folder(tenant, name), self.socket(tenant, name));
        // The tenant reads it.
        let what = || format!("failed to make the folder of pipeline `{name}`");
        PipelineHome::open(folder, socket, self.tenant(tenant))
            .map_err(|error| Problem::new(ProblemKind::Failed, what(), error))
    }

    /// The folder of a run of a pipeline's canary, and its socket.
    pub(super) fn canary_home(&self, tenant: &Name, name: &Name, of: &str) -> io::Result<PipelineHome> {
        // No name of a pipeline has a dot.
        let socket = self.short_folder(&format!("{tenant}--{name}.{of}")).join(SOCKET);
        PipelineHome::open(self.canary_folder(tenant, name).join(of), socket, self.tenant(tenant))
    }

    /// The folder of a pipeline's canary.
    pub(super) fn canary_folder(&self, tenant: &Name, name: &Name) -> PathBuf {
        self.canaries(tenant).join(name.as_str())
    }

    /// The folder of the canaries of a tenant.
    pub(super) fn canaries(&self, tenant: &Name) -> PathBuf {
        self.tenant(tenant).join("canaries")
    }

    fn tenant(&self, tenant: &Name) -> PathBuf {
        self.tenants().join(tenant.as_str())
    }

    /// The folder of all tenants.
    pub(super) fn tenants(&self) -> PathBuf {
        self.0.data.join("tenants")
    }

    pub(super) fn grants(&self) -> &Grants {
        &self.0.grants
    }

    /// Counts what a pipeline's process uses besides the one that is kept.
    pub(super) fn new_meter(&self, tenant: &Name, name: &Name) -> Meter {
        Meter::new(tenant.clone(), name.clone(), self.0.used.clone())
    }

    fn socket_folder(&self, tenant: &Name, name: &Name) -> PathBuf {
        self.short_folder(&format!("{tenant}--{name}"))
    }

    /// A short name, because the path of a socket has 107 bytes at most.
    fn short_folder(&self, of: &str) -> PathBuf {
        let hash = Sha256::digest(of);
        let bytes = hash.iter().take(SOCKET_DIGITS / 2);
        let short: String = bytes.map(|byte| format!("{byte:02x}")).collect();
        self.0.data.join("sockets").join(short)
    }

    pub(super) fn folder(&self, tenant: &Name, name: &Name) -> PathBuf {
        self.tenant(tenant).join("pipelines").join(name.as_str())
    }

    fn keepers(&self) -> MutexGuard<'_, HashMap<(Name, Name), KeptPipeline>> {
        self.0.keepers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn random() -> io::Result<u64> {
    let mut bytes = [0; 8];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    Ok(u64::from_le_bytes(bytes))
}
