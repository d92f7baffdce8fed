//! Which sources are read together. Pure.

use crate::config::{Input, KafkaSource, Pipeline, Source};
use crate::task_id::TaskIds;
use crate::topology::co_partitioning::StatefulOperators;
use std::collections::BTreeSet;

/// The Kafka sources by the operators in which they meet: indexes in `Pipeline::sources`, each subtopology in the
/// file's order. Sources that never meet are subtopologies of their own.
pub fn subtopologies(pipeline: &Pipeline) -> Vec<Vec<usize>> {
    meet(pipeline, |source| matches!(source, Source::Kafka(_)))
}

/// The same of the files. Those that meet without state behind them are read each by itself.
pub fn files(pipeline: &Pipeline, stateful: &StatefulOperators) -> Vec<Vec<usize>> {
    let found = meet(pipeline, |source| matches!(source, Source::File(_))).into_iter();
    let apart = found.map(|set| {
        let share_state = |sources: &Vec<usize>| set.iter().filter(|source| sources.contains(source)).count() > 1;
        match stateful.iter().any(|(_, sources)| share_state(sources)) {
            true => vec![set],
            false => set.into_iter().map(|source| vec![source]).collect(),
        }
    });
    apart.flatten().collect()
}

/// The sources of a kind by the operators in which they meet.
fn meet(pipeline: &Pipeline, is_of_kind: impl Fn(&Source) -> bool) -> Vec<Vec<usize>> {
    let mut found: Vec<(Vec<usize>, Vec<usize>)> = Vec::new();
    for (index, source) in pipeline.sources.iter().enumerate() {
        if !is_of_kind(source) {
            continue;
        }
        let mut operators = behind(pipeline, source.name());
        let (meeting, apart): (Vec<_>, Vec<_>) = found
            .into_iter()
            .partition(|(_, others)| others.iter().any(|operator| operators.contains(operator)));
        let mut sources = Vec::new();
        for (members, theirs) in meeting {
            sources.extend(members);
            operators.extend(theirs);
        }
        sources.push(index);
        found = apart;
        found.push((sources, operators));
    }
    let mut found: Vec<Vec<usize>> = found.into_iter().map(|(sources, _)| sources).collect();
    found.iter_mut().for_each(|sources| sources.sort_unstable());
    found.sort();
    found
}

/// The Kafka sources of each subtopology.
pub fn kafka_subtopologies(pipeline: &Pipeline) -> Vec<Vec<KafkaSource>> {
    let kafka = |index: &usize| match &pipeline.sources[*index] {
        Source::Kafka(source) => Some(source.clone()),
        Source::File(_) => None,
    };
    let found = subtopologies(pipeline).into_iter();
    found
        .map(|sources| sources.iter().filter_map(kafka).collect())
        .collect()
}

/// For each source of a set which one it is among those that meet, if their partitions of one number are to be merged
/// by event time: some operator keeps state (`is_keyed`), and the topics of the set are one task by their numbers.
pub fn merged(pipeline: &Pipeline, set: &[usize], is_keyed: bool) -> Option<Vec<usize>> {
    let kafka = |index: &usize| match &pipeline.sources[*index] {
        Source::Kafka(source) => Some(source),
        Source::File(_) => None,
    };
    let is_together = TaskIds::of(set.iter().filter_map(kafka).collect::<Vec<_>>()).is_together();
    (is_keyed && is_together).then(|| ranks(pipeline, set))
}

/// The order in which the sources of a set meet: that of the inputs of the first operator that has several of them.
pub fn ranks(pipeline: &Pipeline, set: &[usize]) -> Vec<usize> {
    let mut order: Vec<usize> = Vec::new();
    let (meeting, alone): (Vec<_>, Vec<_>) = pipeline
        .operators
        .iter()
        .partition(|operator| operator.inputs.len() > 1);
    for input in meeting.iter().chain(&alone).flat_map(|operator| &operator.inputs) {
        for source in sources_of(pipeline, input) {
            if !order.contains(&source) {
                order.push(source);
            }
        }
    }
    let rank = |source: &usize| order.iter().position(|of| of == source).unwrap_or(order.len());
    set.iter().map(rank).collect()
}

/// The sources whose records come to an input, in order.
fn sources_of(pipeline: &Pipeline, input: &Input) -> Vec<usize> {
    if let Some(source) = pipeline.sources.iter().position(|source| source.name() == input.from) {
        return vec![source];
    }
    let operator = pipeline.operators.iter().find(|operator| operator.name == input.from);
    let inputs = operator.into_iter().flat_map(|operator| &operator.inputs);
    inputs.flat_map(|input| sources_of(pipeline, input)).collect()
}

/// The operators that the sources reach which are read together with a source, itself included: indexes in
/// `Pipeline::operators`.
pub(super) fn meeting(pipeline: &Pipeline, source: usize) -> BTreeSet<usize> {
    let is_file = |of: &Source| matches!(of, Source::File(_));
    let kind = is_file(&pipeline.sources[source]);
    let together = meet(pipeline, |of| is_file(of) == kind)
        .into_iter()
        .find(|of| of.contains(&source));
    let sources = together.unwrap_or_else(|| vec![source]);
    let names = sources.iter().map(|source| pipeline.sources[*source].name());
    names.flat_map(|name| behind(pipeline, name)).collect()
}

/// The operators that records of a source reach. Operators stand behind what they read, so one pass finds them all.
fn behind(pipeline: &Pipeline, source: &str) -> Vec<usize> {
    let mut reached: Vec<usize> = Vec::new();
    for (index, operator) in pipeline.operators.iter().enumerate() {
        let reads = |input: &Input| match &input.output {
            None if input.from == source => true,
            _ => reached
                .iter()
                .any(|before| pipeline.operators[*before].name == input.from),
        };
        if operator.inputs.iter().any(reads) {
            reached.push(index);
        }
    }
    reached
}
