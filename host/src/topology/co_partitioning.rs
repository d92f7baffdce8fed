//! Which stateful operators a subtopology feeds, as the source station wants to know it: which topics meet there, and
//! how many partitions they had.

use crate::config::{KafkaSource, PartitionCounts, Pipeline, Source};
use crate::source::{KeyedSources, Meeting};
use std::collections::{BTreeMap, BTreeSet};

/// The operators that keep state, each with the sources whose records come to it: see `stateful_operators`.
pub type StatefulOperators = [(usize, Vec<usize>)];

/// What a set has to do with state. `set`: indexes of its sources in the pipeline.
pub fn keyed(
    pipeline: &Pipeline,
    stateful: &StatefulOperators,
    recorded: &BTreeMap<String, PartitionCounts>,
    set: &[usize],
) -> KeyedSources {
    let meetings = stateful.iter().filter_map(|(operator, sources)| {
        let place = |source: &usize| set.iter().position(|of_set| of_set == source);
        let sources: Vec<_> = sources.iter().filter_map(place).collect();
        (!sources.is_empty()).then(|| Meeting {
            operator: pipeline.operators[*operator].name.clone(),
            sources,
        })
    });
    let first = set.first().map(|source| pipeline.sources[*source].name());
    KeyedSources {
        meetings: meetings.collect(),
        recorded: first.and_then(|first| recorded.get(first)).cloned().unwrap_or_default(),
    }
}

/// The sources whose records come to state, by name.
pub fn stateful_sources<'a>(pipeline: &'a Pipeline, stateful: &StatefulOperators) -> BTreeSet<&'a str> {
    let sources = stateful.iter().flat_map(|(_, sources)| sources);
    sources.map(|source| pipeline.sources[*source].name()).collect()
}

/// The other sources of a pipeline that are read in the group of a set: from them it does not take a topic.
pub fn in_same_group(pipeline: &Pipeline, set: &[usize]) -> Vec<KafkaSource> {
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
