//! A worker: a thread with a member of each group, a writer and instances of its own.
//!
//! ```text
//! loop: poll the inputs → process the batch → when the interval comes round: drain, commit
//! ```
//!
//! The order of drain, commit and release is `checkpoint::protocol`'s; it is carried out in `commit`.

use super::shared::{RecordsRead, RunShared};
use crate::clock::{self, Interval};
use crate::error::Result;
use crate::metrics::{self, WorkerMetrics};
use crate::pulse::Pulse;
use crate::runtime::batch::{MovedBy, Tasks, most_bytes};
use crate::runtime::commit::{Checkpointing, Coordinator};
use crate::runtime::input::{GroupInput, WorkerInput};
use crate::runtime::tasks::TaskManager;
use crate::sink::Writer;
use crate::source::{Batch, MergedFiles, Plan, Reader};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long one wait for a task's state may last before the groups are seen to.
const RESTORE_LOOK: Duration = Duration::from_millis(20);
/// How long a worker with nothing to do waits for records.
const IDLE_WAIT: Duration = Duration::from_millis(50);
/// How long one waits that had nothing to do for a while, and whose tasks do not go by time: a record wakes it at once.
const CALM_WAIT: Duration = Duration::from_millis(250);
/// That while: what was read before is committed, or waits for an interval that is long beside it.
const CALM_AFTER: Duration = Duration::from_secs(5);
/// How often a worker looks what time does by itself.
const TIME_LOOK: Duration = Duration::from_millis(100);
/// How often lag and positions are told.
const TELL_INTERVAL: Duration = Duration::from_secs(1);

/// Whether a batch waits for a sink or a plugin, half put out: no checkpoint may begin over it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::runtime) enum Waiting {
    #[default]
    Nothing,
    ForBatch,
    /// The group waits as well: the batch is given up.
    ForGroup,
}

/// One worker.
pub struct Worker {
    pub(in crate::runtime) index: usize,
    pub(in crate::runtime) shared: RunShared,
    pub(in crate::runtime) inputs: Vec<WorkerInput>,
    pub(in crate::runtime) tasks: Tasks,
    /// The tasks' state.
    pub(in crate::runtime) owned: TaskManager,
    /// If there is `[checkpoint]`.
    pub(in crate::runtime) checkpointing: Option<Checkpointing>,
    /// Carries checkpoints out; away while it is at work.
    pub(in crate::runtime) coordinator: Option<Coordinator>,
    /// The clock of the checkpoints.
    pub(in crate::runtime) began: Instant,
    pub(in crate::runtime) writer: Writer,
    pub(in crate::runtime) batch: Batch,
    pub(in crate::runtime) metrics: WorkerMetrics,
    /// The last round over the inputs brought records: the next one does not wait.
    pub(in crate::runtime) busy: bool,
    /// When a round brought records last.
    was_busy: Instant,
    pub(in crate::runtime) tell: Interval,
    /// When time is looked at that moves by itself.
    time_look: Interval,
    pub(in crate::runtime) lag_told: i64,
    pub(in crate::runtime) reader_lost: Option<String>,
    pub(in crate::runtime) disconnected: bool,
    /// What was read of the batch at hand.
    pub(super) read: RecordsRead,
    pub(in crate::runtime) waiting: Waiting,
    /// A task may have a move of time that is not done.
    pub(in crate::runtime) may_owe_time: bool,
    /// A part of a batch was put out, and the run ends without the rest: nothing may be committed any more.
    pub(in crate::runtime) is_torn: bool,
    pub(in crate::runtime) pulse: Arc<Pulse>,
}

impl Worker {
    /// A worker that joins the groups of `plans`, each with the sources that it serves, and reads `files`.
    pub fn join(
        index: usize,
        shared: RunShared,
        plans: &[(Vec<usize>, Arc<Plan>)],
        files: Vec<MergedFiles>,
        mut tasks: Tasks,
        writer: Writer,
    ) -> Result<Self> {
        let checkpoints = &shared.checkpoints;
        let is_kept = shared.pipeline.checkpoint.is_some();
        tasks.left_out.most_bytes = most_bytes(&shared.pipeline, &writer);
        // A file is not read again.
        tasks.left_out.can_do_again = files.is_empty() && (is_kept || !checkpoints.keeps_state());
        let teller = shared.clone();
        let mut owned = TaskManager::new(checkpoints.clone(), move |notice| teller.tell(notice));
        let mut inputs = Vec::new();
        for (sources, plan) in plans {
            let reader = Reader::join(plan.clone(), index)?;
            let member = GroupInput::new(&shared.pipeline, sources.clone(), reader);
            owned.note_counts(&member.task_ids, plan.counts().clone());
            inputs.push(WorkerInput::Kafka(Box::new(member)));
        }
        for files in files {
            let task = files.partitions().map(|(at, ..)| at.to_string()).next();
            let task = task.unwrap_or_default();
            owned.begin(&task)?;
            inputs.push(WorkerInput::Files {
                files,
                task,
                finished: false,
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
            was_busy: clock::now(),
            tell: Interval::new(TELL_INTERVAL),
            time_look: Interval::new(TIME_LOOK),
            lag_told: 0,
            reader_lost: None,
            disconnected: false,
            read: RecordsRead::default(),
            waiting: Waiting::Nothing,
            may_owe_time: false,
            is_torn: false,
            pulse: shared.progress.pulses.add(),
            index,
            shared,
            inputs,
            tasks,
            writer,
        })
    }

    /// Runs until every input is finished, the run is drained or it is to stop; then commits and leaves. A failure does
    /// the same, without what failed: the records before it are not read again.
    pub fn run(mut self) -> Result<()> {
        let worked = self.work();
        self.shared.drained.leave(self.index);
        if let Err(error) = &worked {
            self.shared.fail(error);
        }
        let left = self.leave_all();
        self.pulse.end();
        if self.shared.stop.is_requested() {
            // A producer whose broker hangs takes as long as its requests to be taken down in order; the end of the
            // process does it at once. The rest must go: the supervisor waits until no worker holds an end of its
            // channel.
            let Self { inputs, writer, .. } = self;
            std::mem::forget((inputs, writer));
        }
        worked.and(left)
    }

    fn work(&mut self) -> Result<()> {
        while !self.shared.stop.is_requested() && !self.is_done() {
            if self.owned.is_restoring() {
                self.bring_back()?;
            } else {
                if !self.go_on_with_time()? {
                    self.turn()?;
                    if self.time_look.due() && !self.owned.is_restoring() {
                        self.see_to_time()?;
                    }
                }
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
        self.poll_and_commit()?;
        if self.owned.restore(RESTORE_LOOK)? {
            self.pulse.beat();
        }
        Ok(())
    }

    /// How long a round over the inputs may wait for records.
    fn wait(&mut self) -> Duration {
        if std::mem::take(&mut self.busy) {
            self.was_busy = clock::now();
            return Duration::ZERO;
        }
        let is_calm = self.was_busy.elapsed() >= CALM_AFTER && !self.goes_by_time();
        if is_calm { CALM_WAIT } else { IDLE_WAIT }
    }

    /// Polls every input once. None waits while another has records, so that an idle one holds nothing up.
    fn turn(&mut self) -> Result<()> {
        let wait = self.wait() / self.inputs.len().max(1) as u32;
        for input in 0..self.inputs.len() {
            // An input without a broker may take seconds; and nothing is processed while a task waits for its state.
            if self.shared.stop.is_requested() || self.owned.is_restoring() {
                break;
            }
            match &mut self.inputs[input] {
                WorkerInput::Kafka(_) => self.turn_member(input, wait)?,
                WorkerInput::Files { .. } => self.turn_files(input)?,
            }
        }
        Ok(())
    }

    fn turn_files(&mut self, input: usize) -> Result<()> {
        let WorkerInput::Files { files, finished, .. } = &mut self.inputs[input] else {
            return Ok(());
        };
        if *finished {
            return Ok(());
        }
        self.batch.records.clear();
        let is_draining = self.shared.stop.is_draining();
        if !is_draining {
            files.poll(&mut self.batch)?;
        }
        let (source, is_at_end) = (self.batch.source, is_draining || files.is_done());
        if !self.batch.records.is_empty() {
            // The end of a file is the end of time for it, before the next record of another.
            let others = files
                .partitions()
                .filter(|(at, _, is_done)| **at != self.batch.partition && !is_done);
            let moved_by = MovedBy::Records(others.map(|(at, ..)| at.clone()).collect());
            self.busy = true;
            self.shared.count_in(RecordsRead::of(&self.batch.records));
            // A file has no position that a batch given up could spoil.
            self.take_through(input, source, &moved_by)?;
        }
        if is_at_end {
            let has_fired = self.end_time(input)?;
            if let WorkerInput::Files { finished, .. } = &mut self.inputs[input] {
                // What fires in the end may be more than goes into one batch.
                *finished = !has_fired;
            }
        }
        Ok(())
    }

    fn turn_member(&mut self, input: usize, wait: Duration) -> Result<()> {
        let WorkerInput::Kafka(member) = &mut self.inputs[input] else {
            return Ok(());
        };
        let Some(reader) = &mut member.reader else {
            return Ok(());
        };
        if self.shared.stop.is_draining() {
            reader.read_no_more();
        }
        let polled = match self.shared.held() {
            None => reader.poll(wait, &mut self.batch)?,
            Some(held) => reader.poll_without_records(held.min(IDLE_WAIT))?,
        };
        self.on_poll(input, polled)?;
        self.commit_when_due(input)
    }
}
