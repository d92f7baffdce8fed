//! `offsets = "checkpoint"`: the newest bundles are the truth about positions, and a checkpoint is committed by its
//! durable bundle.
//!
//! Always: a bundle is written only after the outputs of its records were acknowledged, and before the first record is
//! processed there is one.

use crate::checkpoint::bundle::ManifestEntry;
use crate::checkpoint::{CheckpointStore, Stops, TaskFrame};
use crate::config::{KafkaSource, Offsets, PartitionCounts, Pipeline, Source, Truth};
use crate::error::{Error, Kind, Result};
use crate::offset_metadata::Pointer;
use crate::record::TopicPartition;
use crate::source::{self, CheckpointedPositions, MemberSettings, Plan};
use crate::state;
use crate::task_id::TaskIds;
use crate::task_id::source_of;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

/// Whether checkpoints are the truth about positions: for all sources of a pipeline or for none, as `spec`
/// sees to.
pub(crate) fn offsets_in_checkpoint(pipeline: &Pipeline) -> bool {
    let is_kept = |source: &Source| matches!(source, Source::Kafka(source) if source.truth == Truth::Checkpoint);
    pipeline.sources.iter().any(is_kept)
}

/// Plans a subtopology, from the newest bundles if they are the truth. What they do not hold yet is resolved once and
/// written.
pub(in crate::runtime) fn plan(
    pipeline: &Pipeline,
    sources: &[KafkaSource],
    member: &MemberSettings,
    store: Option<&CheckpointStore>,
) -> Result<Plan> {
    let Some(store) = store.filter(|_| offsets_in_checkpoint(pipeline)) else {
        return source::plan(sources, member, None);
    };
    let task_ids = TaskIds::of(sources);
    let newest = RefCell::new(Vec::new());
    let kept = |partitions: &[TopicPartition]| {
        let tasks: BTreeSet<String> = partitions.iter().map(|at| task_ids.task(at)).collect();
        let found = store.newest_until(|found| tasks.iter().all(|task| found.contains(task.as_str())))?;
        let kept = held(&task_ids, &found);
        refuse_renamed(&task_ids, partitions, &kept, &found)?;
        newest.replace(found);
        Ok(kept)
    };
    let plan = source::plan(sources, member, Some(&kept))?;
    source::refuse_changed("failed to start", &recorded(sources, &newest.borrow()), plan.counts())?;
    begin(pipeline, store, &task_ids, &newest.take(), &plan)?;
    Ok(plan)
}

/// How many partitions the topics of a subtopology had when the newest of its bundles that tells was written.
fn recorded(sources: &[KafkaSource], newest: &[(Pointer, ManifestEntry)]) -> PartitionCounts {
    let is_of_set = |entry: &&ManifestEntry| {
        sources
            .first()
            .is_some_and(|first| first.name == source_of(&entry.task))
    };
    let mut of_set = newest.iter().map(|(_, entry)| entry).filter(is_of_set);
    let told = of_set.find(|entry| !entry.partition_counts.is_empty());
    told.map(|entry| entry.partition_counts.clone()).unwrap_or_default()
}

/// The positions of the subtopology's tasks.
fn held(task_ids: &TaskIds, newest: &[(Pointer, ManifestEntry)]) -> CheckpointedPositions {
    let mut kept = CheckpointedPositions::new();
    for (pointer, entry) in newest {
        for (topic, partitions) in &entry.offsets {
            for (number, next) in partitions {
                let at = TopicPartition::new(topic.as_str(), *number);
                if task_ids.task(&at) == entry.task {
                    let stop = entry.stops.get(topic).and_then(|of| of.get(number));
                    kept.insert(at, (*next, with_stop(pointer, stop)));
                }
            }
        }
    }
    kept
}

/// Positions that stand under another task's name are not begun anew: its source was called otherwise, or met others.
fn refuse_renamed(
    task_ids: &TaskIds,
    partitions: &[TopicPartition],
    kept: &CheckpointedPositions,
    newest: &[(Pointer, ManifestEntry)],
) -> Result<()> {
    for at in partitions.iter().filter(|at| !kept.contains_key(at)) {
        let has_it = |entry: &ManifestEntry| {
            let of_topic = entry.offsets.get(at.topic.as_ref());
            of_topic.is_some_and(|of| of.contains_key(&at.partition))
        };
        if let Some((pointer, _)) = newest.iter().find(|(_, entry)| has_it(entry)) {
            let task = task_ids.task(at);
            return Err(Error::new(
                Kind::Corrupt,
                format!(
                    "failed to start task `{task}`: its offsets belong to task `{}`",
                    pointer.task
                ),
                format!(
                    "the newest checkpoint with {at} is {pointer}; tasks are called after the first of the \
                    sources that meet"
                ),
            )
            .hint(
                "give the source its old name and place in the file; or begin without what was kept, under another \
                pipeline name or store",
            ));
        }
    }
    Ok(())
}

/// What rides with a position, as in a group.
fn with_stop(pointer: &Pointer, stop: Option<&String>) -> String {
    match stop {
        Some(stop) => format!("{pointer}:{stop}"),
        None => pointer.to_string(),
    }
}

/// Two processes on one store, each with a state folder of its own.
pub(in crate::runtime) fn not_alone(place: &str, bundle: &str) -> Error {
    let what = format!("another process writes the checkpoints of this pipeline in `{place}`");
    let why = format!(
        "bundle `{bundle}` is neither this process's nor of before its start; with offsets = \"checkpoint\" one \
         process reads all partitions"
    );
    Error::new(Kind::Corrupt, what, why).hint(
        "stop one of the two; what both put out since may be there twice. Several processes need offsets = \"group\"",
    )
}

/// A partition of which the first bundle tells.
struct First {
    at: TopicPartition,
    is_known: bool,
    next: i64,
    stop: Option<String>,
}

/// Writes where partitions start of which no bundle tells, so that a crash before the first checkpoint starts at the
/// same places.
fn begin(
    pipeline: &Pipeline,
    store: &CheckpointStore,
    task_ids: &TaskIds,
    newest: &[(Pointer, ManifestEntry)],
    plan: &Plan,
) -> Result<()> {
    let mut tasks: BTreeMap<String, Vec<First>> = BTreeMap::new();
    for placed in plan.lines() {
        let known = plan.kept_at(&placed.partition);
        let task = tasks.entry(task_ids.task(&placed.partition)).or_default();
        task.push(First {
            is_known: known.is_some(),
            next: known.unwrap_or(placed.from),
            stop: plan.stop_to_keep(&placed),
            at: placed.partition,
        });
    }
    tasks.retain(|_, partitions| !partitions.iter().all(|first| first.is_known));
    if tasks.is_empty() {
        return Ok(());
    }
    let frames = tasks.iter().map(|(task, partitions)| {
        let before = newest.iter().find(|(pointer, _)| pointer.task == *task);
        let parent = before.map_or_else(|| Pointer::first(task), |(pointer, _)| pointer.clone());
        let (mut offsets, mut stops) = (Offsets::new(), Stops::new());
        for First { at, next, stop, .. } in partitions {
            let topic = at.topic.as_ref();
            offsets.entry(topic.to_owned()).or_default().insert(at.partition, *next);
            if let Some(stop) = stop {
                let of_topic = stops.entry(topic.to_owned()).or_default();
                of_topic.insert(at.partition, stop.clone());
            }
        }
        TaskFrame {
            task: task.clone(),
            seq: parent.seq + 1,
            parent,
            base: before.and_then(|(_, entry)| entry.base.clone()),
            offsets,
            stops,
            partition_counts: plan.counts().clone(),
            stores: before.map_or_else(Vec::new, |(_, entry)| entry.stores.clone()),
            delta: state::unchanged(),
        }
    });
    let written = write(pipeline, store, frames.collect())?;
    for pointer in written {
        let partitions = tasks.remove(&pointer.task).unwrap_or_default();
        let first = |first: First| (first.at, first.next, with_stop(&pointer, first.stop.as_ref()));
        plan.keep(partitions.into_iter().map(first));
    }
    Ok(())
}

/// Writes a bundle before any worker runs, and waits for it.
pub(super) fn write(pipeline: &Pipeline, store: &CheckpointStore, frames: Vec<TaskFrame>) -> Result<Vec<Pointer>> {
    let timeout = pipeline.checkpoint.as_ref().map(|checkpoint| checkpoint.timeout);
    let mut upload = store.put(0, frames);
    upload.wait(timeout.unwrap_or_default()).unwrap_or_else(|| {
        let why = "the store did not take it within checkpoint.timeout";
        Err(Error::new(Kind::Corrupt, "failed to write the first checkpoint", why))
    })
}
