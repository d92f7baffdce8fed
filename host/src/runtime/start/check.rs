//! The committed offsets against the checkpoints, before anything is planned: the plan would commit first positions for
//! what has none.

use super::partition_counts::{Recorded, recorded};
use crate::checkpoint::CheckpointStore;
use crate::checkpoint::bundle::ManifestEntry;
use crate::config::{KafkaSource, Offsets, Pipeline, Source, Subscription, Truth};
use crate::error::{Error, Kind, Result};
use crate::kafka::group_offsets::{self, Survey};
use crate::offset_metadata::Metadata;
use crate::record::TopicPartition;
use crate::topology::StatefulOperators;

/// If checkpoints of this pipeline exist, its offsets must be there, all that they know, and be its own: what to do
/// without them is for a person to say. What is there says how many partitions the topics had.
///
/// Errors: `Corrupt`; `Kafka`, the group cannot be read.
pub(in crate::runtime) fn check_committed(
    pipeline: &Pipeline,
    stateful: &StatefulOperators,
    store: Option<&CheckpointStore>,
) -> Result<Recorded> {
    let sources: Vec<KafkaSource> = (pipeline.sources.iter())
        .filter_map(|source| match source {
            Source::Kafka(source) if source.truth == Truth::Group => Some(source.clone()),
            Source::Kafka(_) | Source::File(_) => None,
        })
        .collect();
    let Some(store) = store.filter(|_| !sources.is_empty()) else {
        return Ok(Recorded::new());
    };
    if store.bundles()?.is_empty() {
        return Ok(Recorded::new());
    }
    group_offsets::wait_until_stable(&sources)?;
    let survey = group_offsets::survey(&sources)?;
    refuse_foreign(&sources, &survey)?;
    // A partition that another member has just found is there when it is looked for again: its first offset is older
    // than its first checkpoint.
    let lost = match lost(store, &unknown(&survey))? {
        None => None,
        Some(_) => lost(store, &unknown(&group_offsets::survey(&sources)?))?,
    };
    if let Some((at, next, entry)) = lost {
        return Err(not_theirs(format!(
            "the group has no offset of this pipeline for {at} any more; checkpoint {} of task {} has it at {next}",
            entry.seq, entry.task
        )));
    }
    match stateful.is_empty() {
        true => Ok(Recorded::new()),
        false => recorded(store, &survey),
    }
}

/// Topics that the file names were there when the checkpoints were written: without an offset of its own the pipeline
/// does not begin anew. What a pattern matches, or is named partition by partition, may be new.
fn refuse_foreign(sources: &[KafkaSource], survey: &Survey) -> Result<()> {
    let names_topics = |name: &str| {
        let mut named = sources
            .iter()
            .filter(|source| matches!(source.subscription, Subscription::Topics(_)));
        named.any(|source| source.name == name)
    };
    let mut of_named = survey.marked.iter().filter(|one| names_topics(&one.source));
    if let Some(foreign) = of_named.find(|one| !is_own(&one.metadata)) {
        return Err(not_theirs(format!(
            "the offset of {} was committed by somebody else",
            foreign.partition
        )));
    }
    if survey.marked.is_empty() && sources.iter().any(|source| names_topics(&source.name)) {
        return Err(not_theirs(
            "the group has no offset of this pipeline any more".to_owned(),
        ));
    }
    Ok(())
}

/// The partitions for which the group has no offset of this pipeline.
fn unknown(survey: &Survey) -> Vec<TopicPartition> {
    let foreign = survey.marked.iter().filter(|one| !is_own(&one.metadata));
    let foreign = foreign.map(|one| one.partition.clone());
    survey.without.iter().cloned().chain(foreign).collect()
}

fn is_own(metadata: &str) -> bool {
    matches!(Metadata::read(Some(metadata.as_bytes())), Ok(Metadata::Ours(_)))
}

/// A partition without an offset that a checkpoint has one of, however it is subscribed to. Any other was found since,
/// or is new to the pipeline. A checkpoint that was never committed counts too: its partitions had a first offset
/// before it was written. The checkpoints are looked through only if a partition has no offset at all.
fn lost(store: &CheckpointStore, without: &[TopicPartition]) -> Result<Option<(TopicPartition, i64, ManifestEntry)>> {
    if without.is_empty() {
        return Ok(None);
    }
    let known = store.newest()?;
    let at_of = |offsets: &Offsets, at: &TopicPartition| offsets.get(&*at.topic)?.get(&at.partition).copied();
    Ok(without.iter().find_map(|at| {
        let mut entries = known.iter().map(|(_, entry)| entry);
        entries.find_map(|entry| Some((at.clone(), at_of(&entry.offsets, at)?, entry.clone())))
    }))
}

fn not_theirs(why: String) -> Error {
    Error::new(
        Kind::Corrupt,
        "failed to start: there are checkpoints of this pipeline, and the committed offsets are not theirs",
        why,
    )
    .hint(
        "`sandbar run --from SAVEPOINT` goes back to a savepoint; `sandbar offsets set` begins at the positions \
        that it is given, with no state; or give the pipeline another store",
    )
}
