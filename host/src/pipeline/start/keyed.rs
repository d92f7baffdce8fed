//! Where records come to state, as the source station wants to know it: which topics meet, and how many partitions they
//! had.

use crate::checkpoint::Store;
use crate::config::{KafkaSource, PartitionCounts, Pipeline, Source};
use crate::error::Result;
use crate::offset_metadata::Metadata;
use crate::source::offsets::Survey;
use crate::source::{Keyed, Meeting};
use crate::task_id::source_of;
use std::collections::{BTreeMap, BTreeSet};

/// The operators that keep state, each with the sources whose records come to it: see `flow::keepers`.
pub(in crate::pipeline) type Keepers = [(usize, Vec<usize>)];

/// How many partitions topics had when the newest checkpoints were written; by the source that the tasks are called
/// after.
pub(in crate::pipeline) type Recorded = BTreeMap<String, PartitionCounts>;

/// What a set has to do with state. `set`: indexes of its sources in the pipeline.
pub(in crate::pipeline) fn keyed(pipeline: &Pipeline, keepers: &Keepers, recorded: &Recorded, set: &[usize]) -> Keyed {
    let meetings = keepers.iter().filter_map(|(operator, sources)| {
        let place = |source: &usize| set.iter().position(|of_set| of_set == source);
        let sources: Vec<_> = sources.iter().filter_map(place).collect();
        (!sources.is_empty()).then(|| Meeting {
            operator: pipeline.operators[*operator].name.clone(),
            sources,
        })
    });
    let first = set.first().map(|source| pipeline.sources[*source].name());
    Keyed {
        meetings: meetings.collect(),
        recorded: first.and_then(|first| recorded.get(first)).cloned().unwrap_or_default(),
    }
}

/// The sources whose records come to state, by name.
pub(in crate::pipeline) fn names<'a>(pipeline: &'a Pipeline, keepers: &Keepers) -> BTreeSet<&'a str> {
    let sources = keepers.iter().flat_map(|(_, sources)| sources);
    sources.map(|source| pipeline.sources[*source].name()).collect()
}

/// The other sources of a pipeline that are read in the group of a set: from them it does not take a topic.
pub(in crate::pipeline) fn beside(pipeline: &Pipeline, set: &[usize]) -> Vec<KafkaSource> {
    let kafka = |source: &Source| match source {
        Source::Kafka(source) => Some(source.clone()),
        Source::File(_) => None,
    };
    let Some(first) = set.first().and_then(|index| kafka(&pipeline.sources[*index])) else {
        return Vec::new();
    };
    let others = pipeline
        .sources
        .iter()
        .enumerate()
        .filter(|(index, _)| !set.contains(index));
    let in_group =
        |source: &KafkaSource| (&source.group, &source.cluster.brokers) == (&first.group, &first.cluster.brokers);
    others
        .filter_map(|(_, source)| kafka(source))
        .filter(in_group)
        .collect()
}

/// What the checkpoints that the committed offsets name say of the numbers of partitions. Those of all tasks of a set
/// say the same, so one is enough; one that was written by an older program says nothing.
///
/// Errors: `Corrupt`, a checkpoint is missing or damaged.
pub(super) fn recorded(store: &Store, survey: &Survey) -> Result<Recorded> {
    let mut recorded = Recorded::new();
    for one in &survey.marked {
        let Ok(Metadata::Ours(pointer)) = Metadata::read(Some(one.metadata.as_bytes())) else {
            continue;
        };
        let source = source_of(&pointer.task);
        if recorded.contains_key(source) {
            continue;
        }
        if let Some(entry) = store.resolve(&pointer)?
            && !entry.partition_counts.is_empty()
        {
            recorded.insert(source.to_owned(), entry.partition_counts);
        }
    }
    Ok(recorded)
}
