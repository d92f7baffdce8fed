//! A worker: a thread with a member of each group, a writer and instances of its own.
//!
//! ```text
//! loop: poll the lanes → process the batch → when the interval comes round: drain, commit
//! ```
//!
//! The order of drain, commit and release is `checkpoint::protocol`'s; here it is carried out.

use super::lifecycle::{Notice, Stop};
use super::task::{Done, Tasks};
use crate::checkpoint::{Command, Event, Protocol};
use crate::clock::{self, Interval};
use crate::config::{CommitOffsets, Pipeline, Source};
use crate::error::{Error, Kind, Result};
use crate::metrics::{self, PartitionMetrics, Progress, WorkerMetrics};
use crate::record::TopicPartition;
use crate::sink::Writer;
use crate::source::{Batch, FileReader, Plan, Polled, Reader};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Sender;
use std::time::Duration;

/// How long a worker with nothing to do waits for records.
const IDLE_WAIT: Duration = Duration::from_millis(50);
/// How long the acknowledgements may take when partitions are taken away: the group waits meanwhile.
const REVOCATION_LIMIT: Duration = Duration::from_secs(20);
/// After a signal: outputs, then the last commit. Together they stay below the 10 s that a stop may take.
const STOP_DRAIN_LIMIT: Duration = Duration::from_secs(5);
const STOP_COMMIT_LIMIT: Duration = Duration::from_secs(2);
/// How often lag and positions are told.
const TELL_INTERVAL: Duration = Duration::from_secs(1);

/// What the workers of a process share.
#[derive(Clone)]
pub struct Shared {
    /// The pipeline.
    pub pipeline: Arc<Pipeline>,
    /// The request to stop.
    pub stop: Arc<Stop>,
    /// What the terminal and `/ready` show.
    pub progress: Arc<Progress>,
    /// Where notices go.
    pub notices: Sender<Notice>,
}

/// One worker.
pub struct Worker {
    index: usize,
    shared: Shared,
    lanes: Vec<Lane>,
    tasks: Tasks,
    writer: Writer,
    batch: Batch,
    metrics: WorkerMetrics,
    tell: Interval,
    lag_told: i64,
    reader_lost: Option<String>,
    disconnected: bool,
}

/// A set of sources that one consumer reads, or a file.
enum Lane {
    Kafka(Box<Member>),
    File {
        source: usize,
        reader: FileReader,
        partition: TopicPartition,
        ended: bool,
    },
}

struct Member {
    /// `None` once it left the group.
    reader: Option<Reader>,
    /// Indexes in the pipeline's sources.
    sources: Vec<usize>,
    protocol: Protocol,
    interval: Option<Interval>,
    drain_limit: Duration,
    partitions: HashMap<TopicPartition, PartitionMetrics>,
    commit_failed_before: bool,
    finished: bool,
}

impl Worker {
    /// A worker that joins the groups of `plans`, each with the sources that it serves, and reads `files`.
    pub fn join(
        index: usize,
        shared: Shared,
        plans: &[(Vec<usize>, Arc<Plan>)],
        files: Vec<(usize, FileReader)>,
        tasks: Tasks,
        writer: Writer,
    ) -> Result<Self> {
        let mut lanes = Vec::new();
        for (sources, plan) in plans {
            let reader = Reader::join(plan.clone(), index)?;
            lanes.push(Lane::Kafka(Box::new(Member::new(
                &shared.pipeline,
                sources.clone(),
                reader,
            ))));
        }
        for (source, reader) in files {
            let partition = TopicPartition::new(shared.pipeline.sources[source].name(), 0);
            lanes.push(Lane::File {
                source,
                reader,
                partition,
                ended: false,
            });
        }
        Ok(Self {
            metrics: metrics::worker(&shared.pipeline.name),
            batch: Batch::default(),
            tell: Interval::new(TELL_INTERVAL),
            lag_told: 0,
            reader_lost: None,
            disconnected: false,
            index,
            shared,
            lanes,
            tasks,
            writer,
        })
    }

    /// Runs until every lane is finished or the run is to stop; then commits and leaves.
    pub fn run(mut self) -> Result<()> {
        while !self.shared.stop.is_requested() && !self.lanes.iter().all(Lane::is_finished) {
            self.turn()?;
            self.writer.poll(Duration::ZERO)?;
            self.watch_connection();
            if self.tell.due() {
                self.tell_positions();
            }
        }
        for lane in 0..self.lanes.len() {
            self.on(lane, Event::Stopping)?;
        }
        self.drain(|stop| stop.is_overdue(STOP_DRAIN_LIMIT))?;
        self.tell_positions();
        Ok(())
    }

    /// Polls every lane once. Only the last one waits, so that none holds another up.
    fn turn(&mut self) -> Result<()> {
        let wait = IDLE_WAIT / self.lanes.len().max(1) as u32;
        for lane in 0..self.lanes.len() {
            match &mut self.lanes[lane] {
                Lane::Kafka(_) => self.turn_member(lane, wait)?,
                Lane::File { .. } => self.turn_file(lane)?,
            }
        }
        Ok(())
    }

    fn turn_file(&mut self, lane: usize) -> Result<()> {
        let Lane::File {
            source,
            reader,
            partition,
            ended,
        } = &mut self.lanes[lane]
        else {
            return Ok(());
        };
        if *ended {
            return Ok(());
        }
        self.batch.records.clear();
        *ended = !reader.poll(&mut self.batch.records)?;
        count_in(&self.shared.progress, &self.batch);
        let (source, partition) = (*source, partition.clone());
        // A file has no position that an abandoned batch could spoil.
        self.tasks
            .process(source, &partition, &mut self.batch.records, &mut self.writer)
            .map(|_done| ())
    }

    fn turn_member(&mut self, lane: usize, wait: Duration) -> Result<()> {
        let Lane::Kafka(member) = &mut self.lanes[lane] else {
            return Ok(());
        };
        let Some(reader) = &mut member.reader else {
            return Ok(());
        };
        match reader.poll(wait, &mut self.batch)? {
            Polled::Idle => {}
            Polled::Batch => self.process(lane)?,
            Polled::Finished => member.finished = true,
            Polled::Assigned(placed) => {
                let partitions: Vec<_> = placed.iter().map(|placed| placed.partition.clone()).collect();
                for placed in placed {
                    let name = self.shared.pipeline.sources[member.sources[placed.source]].name();
                    let metrics = metrics::partition(&self.shared.pipeline.name, name, &placed.partition);
                    member.partitions.insert(placed.partition, metrics);
                }
                self.rebalanced(&partitions, &[], &[]);
            }
            Polled::Revoking(partitions) => {
                self.on(lane, Event::Revoking)?;
                self.rebalanced(&[], &partitions, &[]);
            }
            Polled::Lost(partitions) => {
                self.on(lane, Event::Lost)?;
                self.rebalanced(&[], &[], &partitions);
            }
            Polled::Committed(outcome) => self.committed(lane, outcome)?,
            Polled::Disconnected(reason) => self.reader_lost = Some(reason),
            Polled::Connected => self.reader_lost = None,
        }
        self.commit_when_due(lane)
    }

    fn process(&mut self, lane: usize) -> Result<()> {
        let Lane::Kafka(member) = &mut self.lanes[lane] else {
            return Ok(());
        };
        let source = member.sources[self.batch.source];
        count_in(&self.shared.progress, &self.batch);
        if let Some(metrics) = member.partitions.get(&self.batch.partition) {
            metrics.records.increment(self.batch.records.len() as u64);
            metrics.bytes.increment(self.batch.records.byte_count() as u64);
            if let Some(newest) = self.batch.records.timestamps.last() {
                metrics.event_time_lag.set((clock::wall_ms() - newest) as f64 / 1000.0);
            }
        }
        let done = self
            .tasks
            .process(source, &self.batch.partition, &mut self.batch.records, &mut self.writer)?;
        if let (Done::Processed, Some(reader)) = (done, &mut member.reader) {
            reader.processed();
        }
        Ok(())
    }

    fn commit_when_due(&mut self, lane: usize) -> Result<()> {
        let Lane::Kafka(member) = &mut self.lanes[lane] else {
            return Ok(());
        };
        let due = member.interval.as_mut().is_some_and(Interval::due);
        if due { self.on(lane, Event::Due) } else { Ok(()) }
    }

    /// Tells the protocol what happened and carries out what it decides.
    fn on(&mut self, lane: usize, event: Event) -> Result<()> {
        let Lane::Kafka(member) = &mut self.lanes[lane] else {
            return Ok(());
        };
        for command in member.protocol.on(event) {
            if let Some(then) = self.carry_out(lane, *command, event)? {
                self.on(lane, then)?;
            }
        }
        Ok(())
    }

    /// One command; what happened by it, where the protocol waits for that.
    fn carry_out(&mut self, lane: usize, command: Command, event: Event) -> Result<Option<Event>> {
        if command == Command::Drain {
            return self.drain_for(lane, event).map(Some);
        }
        let Lane::Kafka(member) = &mut self.lanes[lane] else {
            return Ok(None);
        };
        let Some(reader) = &mut member.reader else {
            return Ok(None);
        };
        match command {
            Command::Drain | Command::Process => {}
            // Without anything new to commit no answer will come: it counts as given.
            Command::Commit => return Ok((!reader.begin_commit()).then_some(Event::Answered)),
            Command::CommitAndRelease => reader.release(Some(REVOCATION_LIMIT))?,
            Command::Release => reader.release(None)?,
            Command::Forget => {}
            Command::CommitAndLeave => member.leave(Some(STOP_COMMIT_LIMIT))?,
            Command::Leave => member.leave(None)?,
        }
        Ok(None)
    }

    fn drain_for(&mut self, lane: usize, event: Event) -> Result<Event> {
        let Lane::Kafka(member) = &self.lanes[lane] else {
            return Ok(Event::DrainTimedOut);
        };
        let limit = if event == Event::Revoking {
            REVOCATION_LIMIT
        } else {
            member.drain_limit
        };
        let until = clock::now() + limit;
        let ending = event == Event::Stopping;
        let drained = self.drain(|stop| stop.is_overdue(STOP_DRAIN_LIMIT) || (!ending && clock::now() >= until))?;
        if !drained {
            self.shared.tell(Notice::CommitFailed {
                worker: self.index,
                reason: format!(
                    "{} outputs were not acknowledged in time; their records count as unprocessed",
                    self.writer.in_flight()
                ),
            });
            self.metrics.commits_failed.increment(1);
        }
        Ok(if drained { Event::Drained } else { Event::DrainTimedOut })
    }

    /// Waits until every staged output is acknowledged, or until `enough` says so.
    fn drain(&mut self, enough: impl Fn(&Stop) -> bool) -> Result<bool> {
        loop {
            if self.writer.drain(Duration::from_millis(100))? {
                return Ok(true);
            }
            self.watch_connection();
            if enough(&self.shared.stop) {
                return Ok(false);
            }
        }
    }

    fn committed(&mut self, lane: usize, outcome: Result<usize, String>) -> Result<()> {
        let Lane::Kafka(member) = &mut self.lanes[lane] else {
            return Ok(());
        };
        match outcome {
            Ok(partitions) => {
                self.metrics.commits.increment(1);
                member.commit_failed_before = false;
                self.shared.tell(Notice::Checkpoint {
                    worker: self.index,
                    partitions,
                });
            }
            Err(reason) => {
                self.metrics.commits_failed.increment(1);
                // Once for a row of failures: each is superseded by the next.
                if !std::mem::replace(&mut member.commit_failed_before, true) {
                    self.shared.tell(Notice::CommitFailed {
                        worker: self.index,
                        reason,
                    });
                }
            }
        }
        self.on(lane, Event::Answered)
    }

    fn rebalanced(&mut self, assigned: &[TopicPartition], revoked: &[TopicPartition], lost: &[TopicPartition]) {
        for gone in revoked.iter().chain(lost) {
            for lane in &mut self.lanes {
                if let Lane::Kafka(member) = lane {
                    member.partitions.remove(gone);
                }
            }
        }
        self.metrics.rebalances.increment(1);
        self.shared.tell(Notice::rebalance(self.index, assigned, revoked, lost));
    }

    /// A cluster is out of reach when the reader or the writer says so; told when it changes.
    fn watch_connection(&mut self) {
        let lost = self.reader_lost.clone().or_else(|| self.writer.disconnected());
        let disconnected = lost.is_some();
        if std::mem::replace(&mut self.disconnected, disconnected) == disconnected {
            return;
        }
        if self.shared.progress.disconnected.swap(disconnected, Ordering::Relaxed) != disconnected {
            self.shared
                .tell(lost.map_or(Notice::Connected, |reason| Notice::Disconnected { reason }));
        }
    }

    fn tell_positions(&mut self) {
        let mut behind = 0;
        for lane in &mut self.lanes {
            let Lane::Kafka(member) = lane else { continue };
            let Some(reader) = &member.reader else { continue };
            for position in reader.positions() {
                let Some(metrics) = member.partitions.get(&position.partition) else {
                    continue;
                };
                let lag = position.end.map_or(0, |end| (end - position.next).max(0));
                behind += lag;
                metrics.lag.set(lag as f64);
                metrics.current.set(position.next as f64);
                if let Some(committed) = position.committed {
                    metrics.committed.set(committed as f64);
                }
            }
        }
        self.shared
            .progress
            .lag
            .fetch_add(behind - self.lag_told, Ordering::Relaxed);
        self.lag_told = behind;
    }
}

impl Shared {
    /// Passes a notice on; nobody listens any more once the run is over.
    pub fn tell(&self, notice: Notice) {
        let _nobody_listens = self.notices.send(notice);
    }
}

impl Lane {
    fn is_finished(&self) -> bool {
        match self {
            Lane::Kafka(member) => member.finished,
            Lane::File { ended, .. } => *ended,
        }
    }
}

impl Member {
    fn new(pipeline: &Pipeline, sources: Vec<usize>, reader: Reader) -> Self {
        let kafka = sources.iter().filter_map(|index| match &pipeline.sources[*index] {
            Source::Kafka(source) => Some(source),
            Source::File(_) => None,
        });
        // Sources that meet commit in the same way: `pipeline::spec` sees to it.
        let every = kafka
            .filter_map(|source| match source.commit_offsets {
                CommitOffsets::Periodic => Some(source.auto_commit_interval),
                CommitOffsets::OnCheckpoint => pipeline.checkpoint.as_ref().map(|checkpoint| checkpoint.interval),
                CommitOffsets::Never => None,
            })
            .min();
        let drain_limit = pipeline
            .checkpoint
            .as_ref()
            .map_or(Duration::from_secs(60), |checkpoint| checkpoint.timeout);
        Self {
            reader: Some(reader),
            sources,
            protocol: Protocol::default(),
            interval: every.map(Interval::new),
            drain_limit,
            partitions: HashMap::new(),
            commit_failed_before: false,
            finished: false,
        }
    }

    fn leave(&mut self, commit_limit: Option<Duration>) -> Result<()> {
        self.reader.take().map_or(Ok(()), |reader| reader.leave(commit_limit))
    }
}

fn count_in(progress: &Progress, batch: &Batch) {
    progress
        .records_in
        .fetch_add(batch.records.len() as u64, Ordering::Relaxed);
}

/// What a worker's panic becomes: a defect, told with its text.
pub fn panicked(payload: &(dyn std::any::Any + Send)) -> Error {
    let text = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    Error::new(
        Kind::Bug,
        "failed in a worker: Sandbar has a defect",
        text.unwrap_or("a panic without a text"),
    )
}
