//! A worker's tasks and its store, as ports, and whom it tells.

use super::checkpointing::LOOK;
use super::in_flight::InFlight;
use super::ports::{Clock, Observer, Partition, TaskPartition, TaskStates};
use crate::checkpoint::{Command, Event, Halt, Stops};
use crate::clock::Interval;
use crate::config::Offsets;
use crate::error::{Error, Kind, Result};
use crate::offset_metadata::Pointer;
use crate::record::TopicPartition;
use crate::runtime::lifecycle::RunEvent;
use crate::runtime::start::kept;
use crate::runtime::tasks::committed::CommittedPartition;
use crate::runtime::worker::Worker;
use std::collections::BTreeMap;
use std::time::Duration;

/// How often a process that must be alone looks whether it is.
const LOOK_FOR_OTHERS: Duration = Duration::from_secs(5);

impl TaskStates for Worker {
    fn owes_checkpoint(&self) -> bool {
        self.owned.owes_checkpoint()
    }

    fn freeze(&mut self, covered: &[Partition]) -> Result<usize> {
        let Some(checkpointing) = &mut self.checkpointing else {
            return Ok(0);
        };
        let frames = self.owned.frames(by_task(covered, checkpointing.offsets_in_checkpoint));
        let bytes = frames.iter().map(|frame| frame.delta.len()).sum();
        (checkpointing.frozen, checkpointing.upload) = (frames, None);
        Ok(bytes)
    }

    /// If checkpoints are the truth about positions, no group shares the tasks out, so nobody but this process may
    /// write them.
    fn begin_upload(&mut self) -> Result<()> {
        let Some(of) = &mut self.checkpointing else {
            return Ok(());
        };
        if of.offsets_in_checkpoint && of.look_for_others.as_mut().is_none_or(Interval::due) {
            of.look_for_others.get_or_insert(Interval::new(LOOK_FOR_OTHERS));
            // A store that cannot be read does not take the bundle either.
            if let Ok(Some(bundle)) = of.store.foreign_bundle() {
                return Err(kept::not_alone(of.store.place(), &bundle));
            }
        }
        of.upload = Some(of.store.put(self.index, std::mem::take(&mut of.frozen)));
        Ok(())
    }

    fn upload(&mut self) -> Result<Option<Result<Vec<Pointer>>>> {
        let upload = self.checkpointing.as_mut().and_then(|of| of.upload.as_mut());
        Ok(upload.and_then(|upload| upload.wait(LOOK)))
    }

    fn apply(&mut self, of: &InFlight) -> Result<()> {
        self.owned.apply(&of.pointers)?;
        let next = |at: &TopicPartition| Some(of.covered.iter().find(|of| of.at == *at)?.next);
        self.tasks.left_out.forget(next);
        if let Some(checkpointing) = &mut self.checkpointing {
            checkpointing.failure = None;
        }
        let took = self.now().saturating_sub(of.begun);
        self.metrics.commits.increment(1);
        self.metrics.checkpoint_seconds.record(took.as_secs_f64());
        self.metrics.checkpoint_bytes.record(of.bytes as f64);
        self.shared.tell(RunEvent::Checkpoint {
            worker: self.index,
            partitions: of.covered.len(),
            seconds: Some(took.as_secs_f64()),
        });
        Ok(())
    }

    fn drop_overlays(&mut self) -> Result<()> {
        self.owned.drop_overlays();
        if let Some(checkpointing) = &mut self.checkpointing {
            checkpointing.frozen.clear();
            checkpointing.upload = None;
        }
        self.learn_refusals()
    }

    fn go_back(&mut self, task: &str, partitions: &[TaskPartition]) -> Result<bool> {
        let held = |(at, next, metadata): &TaskPartition| (at.clone(), Some(*next), metadata.clone());
        let partitions: Vec<CommittedPartition> = partitions.iter().map(held).collect();
        match self.owned.go_back(task, &partitions) {
            Ok(()) => Ok(true),
            Err(error) if error.kind == Kind::TimedOut => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl Observer for Worker {
    fn decided(&mut self, event: Event, commands: &[Command]) {
        tracing::trace!(worker = self.index, ?event, ?commands, "checkpoint");
    }

    fn failed(&mut self, error: Error) {
        self.checkpoint_failed(error.kind, error.why);
    }

    fn halt(&mut self, why: Halt) -> Error {
        let last = self.checkpointing.as_mut().and_then(|of| of.failure.take());
        halted(why, last)
    }
}

/// What a bundle says of each task's partitions; their stops only if it is the truth, since the group's offsets
/// carry them else.
fn by_task(covered: &[Partition], with_stops: bool) -> BTreeMap<String, (Offsets, Stops)> {
    let mut held: BTreeMap<String, (Offsets, Stops)> = BTreeMap::new();
    for of in covered {
        let (offsets, stops) = held.entry(of.task.clone()).or_default();
        let (topic, number) = (of.at.topic.as_ref(), of.at.partition);
        offsets.entry(topic.to_owned()).or_default().insert(number, of.next);
        if let Some(stop) = of.stop.clone().filter(|_| with_stops) {
            stops.entry(topic.to_owned()).or_default().insert(number, stop);
        }
    }
    held
}

fn too_many(last: Option<Error>) -> Error {
    let (kind, reason) = last.map_or((Kind::Failed, String::new()), |last| (last.kind, last.why));
    let why = format!(
        "more of them failed one after the other than checkpoint.tolerable-failures allows; the last one: {reason}"
    );
    Error::new(kind, "failed to take a checkpoint", why)
        .hint("nothing is lost: a restart goes on at the last checkpoint that was taken")
}

/// Why a checkpoint ended the run; `last`: the failure before.
fn halted(why: Halt, last: Option<Error>) -> Error {
    match why {
        Halt::Fenced => Error::new(
            Kind::Fenced,
            "failed to commit: another process with the same instance id took over",
            "two members of a pipeline must differ by their instance",
        )
        .hint("set `instance`, --instance, or a state.dir of its own"),
        Halt::TooManyFailures => too_many(last),
        Halt::Foreign => Error::new(
            Kind::Corrupt,
            "failed to go on: the group's offsets were written by somebody else",
            "their metadata does not name a checkpoint of this pipeline",
        )
        .hint("start from a savepoint with --from, or from the beginning with `sandbar offsets set`"),
    }
}
