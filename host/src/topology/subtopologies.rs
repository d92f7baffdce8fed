//! Which sources are read together. Pure.

use crate::config::{Input, KafkaSource, Pipeline, Source};
use std::collections::BTreeSet;

/// The Kafka sources by the operators in which they meet: indexes in `Pipeline::sources`, each subtopology in the
/// file's order. Sources that never meet are subtopologies of their own.
pub fn subtopologies(pipeline: &Pipeline) -> Vec<Vec<usize>> {
    let mut found: Vec<(Vec<usize>, Vec<usize>)> = Vec::new();
    for (index, source) in pipeline.sources.iter().enumerate() {
        if matches!(source, Source::File(_)) {
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

/// The operators that the sources reach which are read together with a source, itself included: indexes in
/// `Pipeline::operators`.
pub(super) fn meeting(pipeline: &Pipeline, source: usize) -> BTreeSet<usize> {
    let together = subtopologies(pipeline).into_iter().find(|of| of.contains(&source));
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
