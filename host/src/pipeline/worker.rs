//! A worker: a thread with a member of each group, a writer and instances of its own.
//!
//! ```text
//! loop: poll the lanes → process the batch → when the interval comes round: drain, commit
//! ```
//!
//! The order of drain, commit and release is `checkpoint::protocol`'s; it is carried out in `positions`, and with
//! checkpoints in `commit`.

use super::batch::{Done, Task, Tasks, most_bytes};
use super::commit::{Checkpointing, Coordinator};
use super::lane::{Lane, Member};
use super::lifecycle::{Notice, Stop};
use super::tasks::{Checkpoints, Owned};
use crate::checkpoint::Event;
use crate::clock::{self, Interval};
use crate::config::Pipeline;
use crate::error::{Error, Kind, Result};
use crate::metrics::{self, Progress, WorkerMetrics};
use crate::pulse::Pulse;
use crate::record::TopicPartition;
use crate::sink::Writer;
use crate::source::{Batch, FileReader, Plan, Polled, Reader};
use std::sync::atomic::Ordering;
use std::sync::mpsc::Sender;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// How long one wait for a task's state may last before the groups are seen to.
const RESTORE_LOOK: Duration = Duration::from_millis(20);
/// How long a worker with nothing to do waits for records.
const IDLE_WAIT: Duration = Duration::from_millis(50);
/// How long the acknowledgements may take when positions are committed.
pub(super) const DRAIN_LIMIT: Duration = Duration::from_secs(60);
/// How long the acknowledgements may take when partitions are taken away: the group waits meanwhile.
pub(super) const REVOCATION_LIMIT: Duration = Duration::from_secs(20);
/// How long the commit of a revocation may take. A signal that comes meanwhile waits for it, so it is short.
pub(super) const REVOCATION_COMMIT_LIMIT: Duration = Duration::from_secs(5);
/// After a signal, each counted from it, so that a stop takes less than 10 s whatever hangs and however many groups
/// there are: a batch that waits for a sink or a plugin is given up, then the outputs, the last commits, and the
/// groups' good-byes.
pub(super) const STOP_BATCH_LIMIT: Duration = Duration::from_secs(3);
pub(super) const STOP_DRAIN_LIMIT: Duration = Duration::from_secs(5);
pub(super) const STOP_COMMIT_LIMIT: Duration = Duration::from_secs(6);
pub(super) const STOP_CLOSE_LIMIT: Duration = Duration::from_secs(7);
/// How often lag and positions are told.
const TELL_INTERVAL: Duration = Duration::from_secs(1);

/// What the workers of a process share.
#[derive(Clone)]
pub struct Shared {
    /// The pipeline.
    pub pipeline: Arc<Pipeline>,
    /// The state folder and the store of checkpoints.
    pub checkpoints: Checkpoints,
    /// The request to stop.
    pub stop: Arc<Stop>,
    /// What the terminal and `/ready` show.
    pub progress: Arc<Progress>,
    /// Where notices go.
    pub notices: Sender<Notice>,
    /// What the run ends with: the failure that came first, not one that followed from it.
    pub failure: Arc<OnceLock<Error>>,
}

/// Whether a batch waits for a sink or a plugin, half put out: no checkpoint may begin over it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Waiting {
    #[default]
    Nothing,
    ForBatch,
    /// The group waits as well: the batch is given up.
    ForGroup,
}

/// One worker.
pub struct Worker {
    pub(super) index: usize,
    pub(super) shared: Shared,
    pub(super) lanes: Vec<Lane>,
    pub(super) tasks: Tasks,
    /// The tasks' state.
    pub(super) owned: Owned,
    /// If there is `[checkpoint]`.
    pub(super) checkpointing: Option<Checkpointing>,
    /// Carries checkpoints out; away while it is at work.
    pub(super) coordinator: Option<Coordinator>,
    /// The clock of the checkpoints.
    pub(super) began: Instant,
    pub(super) writer: Writer,
    batch: Batch,
    pub(super) metrics: WorkerMetrics,
    /// The last round over the lanes brought records: the next one does not wait.
    busy: bool,
    tell: Interval,
    lag_told: i64,
    reader_lost: Option<String>,
    pub(super) disconnected: bool,
    waiting: Waiting,
    /// A part of a batch was put out, and the run ends without the rest: nothing may be committed any more.
    is_torn: bool,
    pub(super) pulse: Arc<Pulse>,
}

impl Worker {
    /// A worker that joins the groups of `plans`, each with the sources that it serves, and reads `files`.
    pub fn join(
        index: usize,
        shared: Shared,
        plans: &[(Vec<usize>, Arc<Plan>)],
        files: Vec<(usize, FileReader)>,
        mut tasks: Tasks,
        writer: Writer,
    ) -> Result<Self> {
        let checkpoints = &shared.checkpoints;
        let is_kept = shared.pipeline.checkpoint.is_some();
        tasks.left_out.most_bytes = most_bytes(&shared.pipeline, &writer);
        // A file is not read again.
        tasks.left_out.can_do_again = files.is_empty() && (is_kept || !checkpoints.keeps_state());
        let teller = shared.clone();
        let mut owned = Owned::new(checkpoints.clone(), move |notice| teller.tell(notice));
        let mut lanes = Vec::new();
        for (sources, plan) in plans {
            let reader = Reader::join(plan.clone(), index)?;
            let member = Member::new(&shared.pipeline, sources.clone(), reader);
            owned.note_counts(&member.task_ids, plan.counts().clone());
            lanes.push(Lane::Kafka(Box::new(member)));
        }
        for (source, reader) in files {
            let partition = TopicPartition::new(shared.pipeline.sources[source].name(), 0);
            owned.begin(&partition.to_string())?;
            lanes.push(Lane::File {
                source,
                reader,
                partition,
                ended: false,
            });
        }
        let settings = shared.pipeline.checkpoint.as_ref().zip(checkpoints.store().cloned());
        Ok(Self {
            owned,
            coordinator: (settings.as_ref()).map(|(settings, _)| Coordinator::of(&shared.pipeline, settings)),
            checkpointing: settings.map(|(settings, store)| Checkpointing::new(&shared.pipeline, settings, store)),
            began: clock::now(),
            metrics: metrics::worker(&shared.pipeline.name),
            batch: Batch::default(),
            busy: false,
            tell: Interval::new(TELL_INTERVAL),
            lag_told: 0,
            reader_lost: None,
            disconnected: false,
            waiting: Waiting::Nothing,
            is_torn: false,
            pulse: shared.progress.pulses.add(),
            index,
            shared,
            lanes,
            tasks,
            writer,
        })
    }

    /// Runs until every lane is finished or the run is to stop; then commits and leaves. A failure does the same,
    /// without what failed: the records before it are not read again.
    pub fn run(mut self) -> Result<()> {
        let worked = self.work();
        if let Err(error) = &worked {
            self.shared.fail(error);
        }
        let left = self.leave();
        self.pulse.end();
        if self.shared.stop.is_requested() {
            // A producer whose broker hangs takes as long as its requests to be taken down in order; the end of the
            // process does it at once. The rest must go: the supervisor waits until no worker holds an end of its
            // channel.
            let Self { lanes, writer, .. } = self;
            std::mem::forget((lanes, writer));
        }
        worked.and(left)
    }

    fn work(&mut self) -> Result<()> {
        while !self.shared.stop.is_requested() && !self.lanes.iter().all(Lane::is_finished) {
            if self.owned.is_restoring() {
                self.bring_back()?;
            } else {
                self.turn()?;
                self.pulse.beat();
            }
            if let Err(error) = self.writer.poll(Duration::ZERO) {
                let lost = self.lost(error)?;
                self.on_checkpoint(lost)?;
            }
            self.watch_connection();
            if self.tell.due() {
                self.tell_positions();
            }
            if self.checkpointing.is_none() {
                self.owned.spill()?;
            }
        }
        Ok(())
    }

    /// The groups are seen to while tasks wait for their state. That alone is no turn: what they wait for has to come
    /// nearer.
    fn bring_back(&mut self) -> Result<()> {
        self.see_to_groups()?;
        if self.owned.restore(RESTORE_LOOK)? {
            self.pulse.beat();
        }
        Ok(())
    }

    /// Every lane leaves, whatever becomes of the others; the first failure is told.
    fn leave(&mut self) -> Result<()> {
        // With checkpoints all lanes leave by one last checkpoint; who is left over after it was not to commit.
        let mut left = if self.is_torn {
            Ok(())
        } else {
            self.on_checkpoint(Event::Stopping)
        };
        // What was not committed is not to hold readers back.
        self.writer.abort(STOP_CLOSE_LIMIT - STOP_DRAIN_LIMIT);
        for lane in 0..self.lanes.len() {
            left = left.and(self.leave_lane(lane));
        }
        left = left.and(self.drain_the_rest());
        self.tell_positions();
        left
    }

    fn leave_lane(&mut self, lane: usize) -> Result<()> {
        let stopped = match self.checkpointing {
            Some(_) => Ok(()),
            None => self.on(lane, Event::Stopping),
        };
        let Lane::Kafka(member) = &mut self.lanes[lane] else {
            return stopped;
        };
        // If that failed, an output can never be delivered. Nothing is committed, and the group need
        // not wait.
        let close_limit = self.shared.stop.left(STOP_CLOSE_LIMIT);
        let left = member.leave(None, close_limit).map(|_not_committed| ());
        stopped.and(left)
    }

    /// Polls every lane once. None waits while another has records, so that an idle one holds nothing up.
    fn turn(&mut self) -> Result<()> {
        let wait = if std::mem::take(&mut self.busy) {
            Duration::ZERO
        } else {
            IDLE_WAIT / self.lanes.len().max(1) as u32
        };
        for lane in 0..self.lanes.len() {
            // A lane without a broker may take seconds; and nothing is processed while a task waits for its state.
            if self.shared.stop.is_requested() || self.owned.is_restoring() {
                break;
            }
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
        self.batch.partition = partition.clone();
        let source = *source;
        self.busy |= !self.batch.records.is_empty();
        count_in(&self.shared.progress, &self.batch);
        // A file has no position that a batch given up could spoil.
        self.take_through(lane, source).map(|_done| ())
    }

    fn turn_member(&mut self, lane: usize, wait: Duration) -> Result<()> {
        let Lane::Kafka(member) = &mut self.lanes[lane] else {
            return Ok(());
        };
        let Some(reader) = &mut member.reader else {
            return Ok(());
        };
        let polled = reader.poll(wait, &mut self.batch)?;
        self.told(lane, polled)?;
        self.commit_when_due(lane)
    }

    pub(super) fn told(&mut self, lane: usize, polled: Polled) -> Result<()> {
        let Lane::Kafka(member) = &mut self.lanes[lane] else {
            return Ok(());
        };
        match polled {
            Polled::Idle => {}
            Polled::Batch => self.process(lane)?,
            Polled::Finished => self.finish(lane)?,
            Polled::Assigned(placed) => {
                member.finished = false;
                self.owned.take(&member.task_ids, &placed)?;
                let partitions: Vec<_> = placed.iter().map(|placed| placed.partition.clone()).collect();
                for placed in placed {
                    let name = self.shared.pipeline.sources[member.sources[placed.source]].name();
                    let metrics = metrics::partition(&self.shared.pipeline.name, name, &placed.partition);
                    member.partitions.insert(placed.partition, metrics);
                }
                self.rebalanced(&partitions, &[], &[]);
            }
            Polled::Revoking(partitions) => self.revoking(lane, partitions)?,
            Polled::Lost(partitions) => {
                self.owned.give_up(&member.task_ids, &partitions);
                member.lost(&partitions);
                match (&self.checkpointing, self.waiting) {
                    (Some(_), Waiting::Nothing) => self.on_checkpoint(Event::Lost)?,
                    (Some(_), _) => self.waiting = Waiting::ForGroup,
                    (None, _) => self.on(lane, Event::Lost)?,
                }
                self.rebalanced(&[], &[], &partitions);
            }
            Polled::Committed(outcome) if self.checkpointing.as_ref().is_some_and(|of| of.is_truth) => {
                self.monitored(lane, outcome.map_err(|refusal| refusal.reason));
            }
            Polled::Committed(outcome) if self.checkpointing.is_some() => {
                member.answer = Some(outcome.map(|_partitions| ()))
            }
            Polled::Committed(outcome) => self.committed(lane, outcome.map_err(|refusal| refusal.reason))?,
            Polled::Disconnected(reason) => self.reader_lost = Some(reason),
            Polled::Connected => self.reader_lost = None,
        }
        Ok(())
    }

    /// The group takes partitions and waits; it says so again until they are released.
    fn revoking(&mut self, lane: usize, partitions: Vec<TopicPartition>) -> Result<()> {
        let Lane::Kafka(member) = &mut self.lanes[lane] else {
            return Ok(());
        };
        if self.checkpointing.is_some() && self.waiting != Waiting::Nothing {
            // It is told again once the batch is out of the way.
            self.waiting = Waiting::ForGroup;
            return Ok(());
        }
        if self.checkpointing.is_some() {
            let is_news = member.revoking != partitions;
            member.revoking.clone_from(&partitions);
            if is_news {
                self.on_checkpoint(Event::Revoking)?;
                self.rebalanced(&[], &partitions, &[]);
            }
            return Ok(());
        }
        self.on(lane, Event::Revoking)?;
        if let Lane::Kafka(member) = &self.lanes[lane] {
            self.owned.give_up(&member.task_ids, &partitions);
        }
        self.rebalanced(&[], &partitions, &[]);
        Ok(())
    }

    /// A run that ends by itself ends with its last positions committed: until they are, it commits, and goes on if
    /// the group disagrees.
    fn finish(&mut self, lane: usize) -> Result<()> {
        let Lane::Kafka(member) = &mut self.lanes[lane] else {
            return Ok(());
        };
        member.finished = member.reader.as_ref().is_none_or(Reader::is_committed);
        match (member.finished, &self.checkpointing) {
            (true, _) => Ok(()),
            (false, Some(_)) => self.on_checkpoint(Event::Due),
            (false, None) => self.on(lane, Event::Due),
        }
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
        self.busy = true;
        let done = self.take_through(lane, source)?;
        if let (Done::Processed, Lane::Kafka(member)) = (done, &mut self.lanes[lane])
            && let Some(reader) = &mut member.reader
        {
            reader.processed();
        }
        Ok(())
    }

    /// Takes the batch through its route. While a sink or a plugin keeps it waiting, the groups are seen to: nobody
    /// else may have to wait for them. `Waiting`: it was given up, for a signal or because the group took its
    /// partition.
    fn take_through(&mut self, lane: usize, source: usize) -> Result<Done> {
        let task = self.lanes[lane].task(&self.batch.partition);
        let done = self.take_through_as(lane, source, &task);
        let done = match done {
            Err(error) if self.checkpointing.is_some() || self.writer.has_refusals() => {
                // A plugin is called before anything is put out; any other failure may leave a part of the batch there.
                let was_put_out = error.kind != Kind::Guest || self.tasks.has_put_out();
                self.lost(error)
                    .map(|_expired| Done::Waiting)
                    .inspect_err(|_| self.is_torn = was_put_out)
            }
            done => done,
        };
        if matches!(done, Ok(Done::Waiting)) {
            let batch = &self.batch;
            let mut of = Task {
                partition: &batch.partition,
                state: self.owned.state(&task),
            };
            self.tasks.give_up(&mut of);
            if self.checkpointing.is_some() {
                self.take_back()?;
            }
        }
        done
    }

    /// A batch that was given up may have put out a part of its outputs: no checkpoint may commit them. What was done
    /// since the last commit is done again; if the run is to stop, by the next start.
    fn take_back(&mut self) -> Result<()> {
        self.is_torn = self.shared.stop.is_requested();
        if self.is_torn {
            Ok(())
        } else {
            self.on_checkpoint(Event::Expired)
        }
    }

    fn take_through_as(&mut self, lane: usize, source: usize, task: &str) -> Result<Done> {
        let batch = &mut self.batch;
        let mut of = Task {
            partition: &batch.partition,
            state: self.owned.state(task),
        };
        let mut done = self
            .tasks
            .process(source, &mut of, &mut batch.records, &mut self.writer)?;
        while done == Done::Waiting {
            self.waiting = Waiting::ForBatch;
            self.pulse.beat();
            let seen_to = self.see_to_groups();
            let gives_up = std::mem::take(&mut self.waiting) == Waiting::ForGroup;
            seen_to?;
            if gives_up || self.shared.stop.is_overdue(STOP_BATCH_LIMIT) || !self.lanes[lane].has_batch() {
                break;
            }
            let batch = &mut self.batch;
            let mut of = Task {
                partition: &batch.partition,
                state: self.owned.state(task),
            };
            done = self
                .tasks
                .go_on(source, &mut of, &mut batch.records, &mut self.writer)?;
        }
        Ok(done)
    }

    fn see_to_groups(&mut self) -> Result<()> {
        for lane in 0..self.lanes.len() {
            let Lane::Kafka(member) = &mut self.lanes[lane] else {
                continue;
            };
            let Some(reader) = &mut member.reader else { continue };
            if let Some(polled) = reader.attend()? {
                self.told(lane, polled)?;
            }
            self.commit_when_due(lane)?;
        }
        self.watch_connection();
        if self.tell.due() {
            self.tell_positions();
        }
        Ok(())
    }

    fn commit_when_due(&mut self, lane: usize) -> Result<()> {
        if self.checkpointing.is_some() {
            let is_free = self.waiting == Waiting::Nothing;
            return if is_free { self.checkpoint_when_due() } else { Ok(()) };
        }
        let Lane::Kafka(member) = &mut self.lanes[lane] else {
            return Ok(());
        };
        let due = member.interval.as_mut().is_some_and(Interval::due);
        // The end has a commit of its own.
        if due && !self.shared.stop.is_requested() {
            self.on(lane, Event::Due)
        } else {
            Ok(())
        }
    }

    /// What files put out has no lane that waits for it.
    fn drain_the_rest(&mut self) -> Result<()> {
        while !self.writer.drain(Duration::from_millis(100))? && !self.shared.stop.is_overdue(STOP_DRAIN_LIMIT) {
            self.pulse.beat();
            self.watch_connection();
        }
        Ok(())
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
    pub(super) fn watch_connection(&mut self) {
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
        self.owned.tell(&self.shared.pipeline.name);
    }
}

impl Shared {
    /// Passes a notice on; nobody listens any more once the run is over.
    pub fn tell(&self, notice: Notice) {
        let _nobody_listens = self.notices.send(notice);
    }

    /// A worker that fails ends the others at their next batch boundary.
    pub fn fail(&self, error: &Error) {
        let _an_earlier_one_stays = self.failure.set(error.clone());
        self.stop.request();
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
