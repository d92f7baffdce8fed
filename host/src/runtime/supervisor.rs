//! Starts a pipeline's parts in their order, keeps its workers, and ends with what they end with.
//!
//! ```text
//! plugins → wiring → state folder → sinks → positions, resolved and told → workers → the end
//! ```

use super::batch::Tasks;
use super::collector::collect_until;
use super::commit::transaction_timeout;
use super::lifecycle::{PassedOver, RunEvent, StopRequest, StoppedRun};
use super::start::partition_counts::Recorded;
use super::start::{Import, check_committed, kept};
use super::tasks::Checkpoints;
use super::watchdog;
use super::worker::{Allowance, DrainGate, RunShared, STOP_BATCH_LIMIT, Worker, panicked};
use crate::checkpoint::savepoint::SavepointPlace;
use crate::clock;
use crate::config::{self, Cluster, CommitOffsets, Delivery, KafkaSource, OnError, Pipeline, Source, Start};
use crate::error::{Error, Kind, Result};
use crate::metrics::Progress;
use crate::offset_metadata::Pointer;
use crate::plugin::{Engine, Operator, Plugin};
use crate::sink::{self, Files, Transactional, Writer};
use crate::source::{self, KeyedSources, MergedFiles, Plan};
use crate::topology::{self, Ports, Route, StatefulOperators};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How often a start looks whether it was asked to stop.
const START_LOOK: Duration = Duration::from_millis(5);
/// After a signal, the workers have so long; then the process ends without them, as if it were killed: what is
/// committed is whole.
const STOP_LIMIT: Duration = Duration::from_secs(9);
/// How long restores that nobody waits for any more may take to end their piece.
const RESTORE_END: Duration = Duration::from_millis(500);
/// How often the terminal is told about progress.
const TICK: Duration = Duration::from_millis(250);

/// What a person sees of a run.
pub trait RunObserver {
    /// Something happened.
    fn notice(&mut self, notice: &RunEvent);
    /// A moment went by.
    fn tick(&mut self, progress: &Progress);
}

/// Loads the plugins of a pipeline and checks the wiring: everything that can be known without Kafka.
pub fn load(engine: &Engine, pipeline: &Pipeline) -> Result<(Vec<Plugin>, Vec<Route>)> {
    let plugins: Vec<Plugin> = pipeline
        .operators
        .iter()
        .map(|operator| engine.load(&operator.plugin))
        .collect::<Result<_>>()?;
    let routes = topology::routes(pipeline, &ports(&plugins))?;
    Ok((plugins, routes))
}

/// What plugins declare that matters to their places in a pipeline.
pub fn ports(plugins: &[Plugin]) -> Vec<Ports> {
    let described = plugins.iter().map(Plugin::description);
    described
        .map(|it| Ports {
            inputs: it.inputs.clone(),
            outputs: it.outputs.clone(),
            stores: it.kept().into_iter().map(|store| store.name).collect(),
            has_timers: !it.timers.is_empty(),
            keeps_key: it.needs.keeps_key,
        })
        .collect()
}

/// Runs a pipeline until it is asked to stop or to drain, or until every partition reached its stop; gives how it
/// ended, which it tells the audience too. `from`: it begins at that savepoint, whatever it has committed since; it
/// needs checkpoints.
///
/// Errors: whatever hinders the start, a record that stops the pipeline, an output that can never be delivered.
pub fn run(
    pipeline: Pipeline,
    from: Option<SavepointPlace>,
    stop: Arc<StopRequest>,
    progress: Arc<Progress>,
    audience: &mut dyn RunObserver,
) -> Result<StoppedRun> {
    let begun = clock::now();
    let pipeline = Arc::new(pipeline);
    let (sender, notices) = mpsc::channel();
    let Some(ready) = ready_unless_stopped(&pipeline, from, &stop, &progress, sender)? else {
        return Ok(stopped(&stop, &progress, begun, audience));
    };
    let ReadyRun {
        engine: _engine,
        shared,
        tasks,
        writers,
        import,
        plans,
        mut files,
    } = ready;
    tell_start(&pipeline, &plans, import.as_ref(), audience);

    let mut workers = Vec::new();
    for (index, (tasks, writer)) in tasks.into_iter().zip(writers).enumerate() {
        // A file is read by the first worker alone.
        workers.push(Worker::join(
            index,
            shared.clone(),
            &plans,
            std::mem::take(&mut files),
            tasks,
            writer,
        )?);
    }
    // Only now, when none of them can fail to join: nobody would wait for those that run already.
    let workers: Vec<_> = workers
        .into_iter()
        .enumerate()
        .map(|(index, worker)| spawn(index, worker, shared.clone()))
        .collect();
    watchdog::start(&shared)?;
    let collecting = collect(&shared)?;
    let (failure, under_way) = (shared.failure.clone(), shared.checkpoints.under_way.clone());
    drop(shared);
    progress.running.store(true, Ordering::Relaxed);
    let ended = match watch(&notices, &progress, &stop, audience) {
        Watched::Ended => workers
            .into_iter()
            .map(|worker| worker.and_then(end))
            .fold(Ok(()), Result::and),
        Watched::Overdue => Err(overdue(&workers)),
    };
    progress.running.store(false, Ordering::Relaxed);
    under_way.end(RESTORE_END);
    // A run that finished by itself asks nobody to stop: the collector goes with the process.
    drop(collecting);
    failure.get().cloned().map_or(ended, Err)?;
    Ok(stopped(&stop, &progress, begun, audience))
}

fn stopped(stop: &StopRequest, progress: &Progress, begun: Instant, audience: &mut dyn RunObserver) -> StoppedRun {
    let reason = match (stop.is_requested(), stop.is_draining()) {
        (true, _) => "signal",
        (false, true) => "drained",
        (false, false) => "finished",
    };
    let stopped = StoppedRun {
        reason: reason.to_owned(),
        records_in: progress.records_in.load(Ordering::Relaxed),
        records_out: progress.records_out.load(Ordering::Relaxed),
        seconds: clock::now().duration_since(begun).as_secs_f64(),
    };
    audience.notice(&RunEvent::Stopped(stopped.clone()));
    stopped
}

/// What a run has before its first worker joins.
struct ReadyRun {
    /// It ends calls that take too long, for as long as it is there.
    engine: Engine,
    shared: RunShared,
    tasks: Vec<Tasks>,
    writers: Vec<Writer>,
    /// The savepoint that it begins at.
    import: Option<Import>,
    plans: Plans,
    files: Vec<MergedFiles>,
}

/// The sets, each by its sources, and where their partitions start.
type Plans = Vec<(Vec<usize>, Arc<Plan>)>;

/// Makes everything ready. A cluster or a store that does not answer may take its time, and nothing is owed to anybody
/// yet: whoever asks the run to stop meanwhile does not wait for them. `None`: it was asked to; what is under way ends
/// with the process.
fn ready_unless_stopped(
    pipeline: &Arc<Pipeline>,
    from: Option<SavepointPlace>,
    stop: &Arc<StopRequest>,
    progress: &Arc<Progress>,
    notices: Sender<RunEvent>,
) -> Result<Option<ReadyRun>> {
    let (pipeline, progress, of_thread) = (pipeline.clone(), progress.clone(), stop.clone());
    let starting = std::thread::Builder::new()
        .name("start".to_owned())
        .spawn(move || make_ready(&pipeline, from.as_ref(), of_thread, progress, notices))
        .map_err(|error| Error::new(Kind::Failed, "failed to start", error))?;
    while !starting.is_finished() {
        if stop.is_requested() {
            return Ok(None);
        }
        std::thread::sleep(START_LOOK);
    }
    starting
        .join()
        .unwrap_or_else(|payload| Err(panicked(payload.as_ref())))
        .map(Some)
}

fn make_ready(
    pipeline: &Arc<Pipeline>,
    from: Option<&SavepointPlace>,
    stop: Arc<StopRequest>,
    progress: Arc<Progress>,
    notices: Sender<RunEvent>,
) -> Result<ReadyRun> {
    let engine = Engine::of(pipeline)?;
    let (plugins, routes) = load(&engine, pipeline)?;
    let stateful = topology::stateful_operators(&routes, &ports(&plugins));
    let checkpoints = Checkpoints::open(pipeline, &plugins)?;
    let allowance = Arc::new(Allowance::of(&pipeline.quotas, &progress));
    let shared = RunShared {
        pipeline: pipeline.clone(),
        checkpoints: checkpoints.clone(),
        stop,
        progress,
        notices,
        failure: Arc::default(),
        allowance,
        drained: Arc::new(DrainGate::of(pipeline.workers)),
    };
    let import = match from {
        Some(place) => Import::prepare(pipeline, &checkpoints, &stateful, place, &shared.stop)?,
        None => None,
    };
    let tasks = (0..pipeline.workers)
        .map(|_| tasks(&shared, &plugins, &routes))
        .collect::<Result<Vec<_>>>()?;
    let outputs = pipeline.keeps_outputs.map_or_else(Files::default, Files::kept_back);
    let writers = (0..pipeline.workers)
        .map(|worker| writer(pipeline, worker, &outputs, &checkpoints))
        .collect::<Result<Vec<_>>>()?;
    let recorded = match (&import, checkpoints.store()) {
        (Some(import), Some(store)) => {
            import.carry_out(pipeline, store)?;
            Recorded::new()
        }
        (_, store) => check_committed(pipeline, &stateful, store)?,
    };
    let keyed = |set: &[usize]| topology::keyed(pipeline, &stateful, &recorded, set);
    let plans = plans(pipeline, &checkpoints, &keyed)?;
    Ok(ReadyRun {
        engine,
        shared,
        tasks,
        writers,
        import,
        plans,
        files: open_files(pipeline, &stateful)?,
    })
}

/// Why the workers are not watched any more.
enum Watched {
    Ended,
    Overdue,
}

/// Passes on what the workers tell until the last of them is gone, or should be.
fn watch(
    notices: &Receiver<RunEvent>,
    progress: &Progress,
    stop: &StopRequest,
    audience: &mut dyn RunObserver,
) -> Watched {
    loop {
        match notices.recv_timeout(TICK) {
            Ok(notice) => audience.notice(&notice),
            Err(RecvTimeoutError::Timeout) => audience.tick(progress),
            Err(RecvTimeoutError::Disconnected) => return Watched::Ended,
        }
        if stop.is_overdue(STOP_LIMIT) {
            return Watched::Overdue;
        }
    }
}

fn overdue(workers: &[Result<JoinHandle<Result<()>>>]) -> Error {
    let busy = workers.iter().enumerate().filter_map(|(index, worker)| {
        let is_busy = worker.as_ref().is_ok_and(|worker| !worker.is_finished());
        is_busy.then(|| format!("worker {index}"))
    });
    Error::new(
        Kind::TimedOut,
        format!("failed to stop within {STOP_LIMIT:?}"),
        format!(
            "{} still waits for Kafka, the checkpoint store or the disk",
            busy.collect::<Vec<_>>().join(", ")
        ),
    )
    .hint("nothing is lost: the next start goes on at the last commit")
}

fn tasks(shared: &RunShared, plugins: &[Plugin], routes: &[Route]) -> Result<Tasks> {
    let before_state = topology::before_state(routes, &ports(plugins));
    let operators = shared.pipeline.operators.iter().zip(plugins).zip(before_state);
    let operators = operators
        .map(|((config, plugin), before_state)| {
            let operator = place(config, plugin, shared.stop.clone())?;
            Ok(if before_state { operator.watch_keys() } else { operator })
        })
        .collect::<Result<_>>()?;
    Tasks::new(
        shared.pipeline.clone(),
        routes.to_vec(),
        operators,
        shared.progress.clone(),
    )
}

/// If a fault stops the pipeline, the records behind it need not be tried.
fn place(config: &config::OperatorConfig, plugin: &Plugin, stop: Arc<StopRequest>) -> Result<Operator> {
    let operator = plugin
        .operator_of(config)?
        .give_up_when(move || stop.is_overdue(STOP_BATCH_LIMIT));
    Ok(if config.on_error == OnError::Fail {
        operator.stop_at_fault()
    } else {
        operator
    })
}

/// Half of the memory of the queues is the writers', in equal shares.
fn writer(pipeline: &Pipeline, worker: usize, files: &Files, checkpoints: &Checkpoints) -> Result<Writer> {
    let sinks: Vec<_> = pipeline.sinks.iter().chain(&pipeline.dead_letters).cloned().collect();
    let queue_bytes = pipeline.queue_bytes / 2 / pipeline.workers as u64;
    let client_id = format!("sandbar-{}-{worker}", pipeline.name);
    // Stable across restarts, so that a restart aborts at once what its predecessor left open.
    let instance = pipeline.instance.as_deref().unwrap_or(checkpoints.instance());
    let transactional = match (pipeline.delivery, &pipeline.checkpoint, cluster(pipeline)) {
        (Delivery::ExactlyOnce, Some(checkpoint), Some(cluster)) => Some(Transactional {
            id: format!("sandbar.{}.{instance}.{worker}", pipeline.name),
            timeout: transaction_timeout(checkpoint),
            cluster,
        }),
        _ => None,
    };
    Writer::open(
        &sinks,
        &sink::Options {
            queue_bytes,
            client_id,
            transactional,
            files: files.clone(),
        },
    )
}

/// Where the positions are; with transactions there is one cluster for everything.
fn cluster(pipeline: &Pipeline) -> Option<Cluster> {
    pipeline.sources.iter().find_map(|source| match source {
        Source::Kafka(source) => Some(source.cluster.clone()),
        Source::File(_) => None,
    })
}

/// Whether the topics of a pipeline, as they are now, can be read together: a start would say the same. Nothing is
/// changed.
///
/// Errors: `Kafka`, a cluster does not answer, a topic is missing, or numbers of partitions do not fit; `Invalid`, two
/// sources read one topic.
pub fn check_topics(pipeline: &Pipeline, plugins: &[Plugin], routes: &[Route]) -> Result<()> {
    let stateful = topology::stateful_operators(routes, &ports(plugins));
    for set in topology::subtopologies(pipeline) {
        let member = member(
            pipeline,
            &set,
            topology::keyed(pipeline, &stateful, &Recorded::new(), &set),
        );
        source::check(&kafka(pipeline, &set), &member)?;
    }
    Ok(())
}

/// The other half is the readers', in equal shares for each set that a worker reads.
fn member(pipeline: &Pipeline, set: &[usize], keyed: KeyedSources) -> source::MemberSettings {
    let sets = topology::subtopologies(pipeline).len().max(1);
    source::MemberSettings {
        pipeline: pipeline.name.clone(),
        instance: pipeline.instance.clone(),
        workers: pipeline.workers,
        queue_bytes: pipeline.queue_bytes / 2 / (pipeline.workers * sets) as u64,
        poll_interval: watchdog::poll_interval(pipeline),
        merged: topology::merged(pipeline, set, !keyed.meetings.is_empty()),
        keyed,
        beside: topology::in_same_group(pipeline, set),
    }
}

fn kafka(pipeline: &Pipeline, set: &[usize]) -> Vec<KafkaSource> {
    let sources = set.iter().filter_map(|index| match &pipeline.sources[*index] {
        Source::Kafka(source) => Some(source.clone()),
        Source::File(_) => None,
    });
    sources.collect()
}

fn plans(pipeline: &Pipeline, checkpoints: &Checkpoints, keyed: &dyn Fn(&[usize]) -> KeyedSources) -> Result<Plans> {
    let plan = |set: Vec<usize>| {
        let (sources, member) = (kafka(pipeline, &set), member(pipeline, &set, keyed(&set)));
        let plan = kept::plan(pipeline, &sources, &member, checkpoints.store())?;
        Ok((set, Arc::new(plan)))
    };
    topology::subtopologies(pipeline).into_iter().map(plan).collect()
}

fn open_files(pipeline: &Pipeline, stateful: &StatefulOperators) -> Result<Vec<MergedFiles>> {
    let open = |set: Vec<usize>| {
        let ranks = topology::ranks(pipeline, &set);
        let files = set
            .into_iter()
            .zip(ranks)
            .filter_map(|(index, rank)| match &pipeline.sources[index] {
                Source::File(source) => Some((index, source, rank)),
                Source::Kafka(_) => None,
            });
        MergedFiles::open(files)
    };
    topology::files(pipeline, stateful).into_iter().map(open).collect()
}

fn tell_start(
    pipeline: &Pipeline,
    plans: &[(Vec<usize>, Arc<Plan>)],
    import: Option<&Import>,
    audience: &mut dyn RunObserver,
) {
    for (sources, plan) in plans {
        for placed in plan.lines() {
            let source = pipeline.sources[sources[placed.source]].name();
            let imported = import.and_then(|import| import.origin(source, &placed.partition));
            audience.notice(&RunEvent::Start {
                source: source.to_owned(),
                topic: placed.partition.topic.to_string(),
                partition: placed.partition.partition,
                from: placed.from,
                origin: imported.unwrap_or_else(|| origin(&placed)),
                stop: placed.stop,
                passed_over: placed.passed_over.map(PassedOver::new),
            });
        }
    }
    if pipeline.checkpoint.is_none() {
        for source in &pipeline.sources {
            audience.notice(&RunEvent::AfterCrash {
                source: source.name().to_owned(),
                meaning: after_crash(source),
            });
        }
    }
}

/// Why a partition starts where it does; for a committed position with the checkpoint that it names.
fn origin(placed: &source::ResolvedStart) -> String {
    let pointer = placed.metadata.as_deref().and_then(|text| text.parse::<Pointer>().ok());
    match (&placed.origin, pointer) {
        (
            source::StartOrigin::Committed,
            Some(Pointer {
                bundle: Some(_), seq, ..
            }),
        ) => {
            format!("{} (checkpoint {seq})", placed.origin)
        }
        _ => placed.origin.to_string(),
    }
}

/// What becomes of state without checkpoints.
const STATE_AFTER: &str = "a partition's state begins empty then, and whenever it moves to another worker or process";

/// Without checkpoints a person should know before the crash what comes after it.
fn after_crash(source: &Source) -> String {
    let source = match source {
        Source::File(_) => {
            return "after a crash it is read again from its first line, and its state begins empty".to_owned();
        }
        Source::Kafka(source) => source,
    };
    if source.commit_offsets != CommitOffsets::Never {
        let seconds = source.auto_commit_interval.as_secs_f64();
        return format!(
            "after a crash it goes on at the positions last committed (every {seconds} s, group `{}`): outputs since \
             then repeat, none is lost; {STATE_AFTER}",
            source.group
        );
    }
    let again = match &source.start {
        Start::Earliest | Start::Timestamp(_) | Start::Offsets(_) => "outputs repeat, none is lost",
        Start::Latest => "records that arrive in between are skipped",
        Start::GroupOffsets => "what it skips or repeats depends on who commits to the group",
    };
    format!("after a crash it starts anew by its `start`, since nothing is committed: {again}; {STATE_AFTER}")
}

fn spawn(index: usize, worker: Worker, shared: RunShared) -> Result<JoinHandle<Result<()>>> {
    let of_thread = shared.clone();
    std::thread::Builder::new()
        .name(format!("worker-{index}"))
        .spawn(move || {
            // A worker that fails, however it fails, ends the others at their next batch boundary.
            let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| worker.run()));
            let ended = ended.unwrap_or_else(|payload| Err(panicked(payload.as_ref())));
            if let Err(error) = &ended {
                of_thread.fail(error);
            }
            ended
        })
        .map_err(|error| {
            let error = Error::new(Kind::Failed, format!("failed to start worker {index}"), error);
            shared.fail(&error);
            error
        })
}

/// Old checkpoints go while the workers work.
fn collect(shared: &RunShared) -> Result<Option<JoinHandle<()>>> {
    let Some(store) = shared.checkpoints.store().cloned() else {
        return Ok(None);
    };
    let (pipeline, stop) = (shared.pipeline.clone(), shared.stop.clone());
    let thread = std::thread::Builder::new().name("collector".to_owned());
    thread
        .spawn(move || collect_until(&stop, &pipeline, &store))
        .map(Some)
        .map_err(|error| Error::new(Kind::Failed, "failed to start the collector of checkpoints", error))
}

fn end(worker: JoinHandle<Result<()>>) -> Result<()> {
    worker.join().unwrap_or_else(|payload| Err(panicked(payload.as_ref())))
}
