//! Which operators keep state, and what their place in a pipeline has to fulfil. Pure.

use super::route::{Ports, Route};
use crate::config::{Pipeline, Source, Subscription};
use crate::error::{Error, Kind, Result};
use crate::state::store_id;
use std::collections::HashMap;

/// Stores are found by a short hash of their names, so two of a pipeline may come to the same place.
pub(super) fn distinct_stores(pipeline: &Pipeline, ports: &[Ports]) -> Result<()> {
    let mut seen = HashMap::new();
    for (operator, ports) in pipeline.operators.iter().zip(ports) {
        for store in &ports.stores {
            let Some((other, its)) = seen.insert(store_id(&operator.name, store), (&operator.name, store)) else {
                continue;
            };
            return Err(Error::new(
                Kind::Invalid,
                format!("failed to place store `{store}` of operator `{}`", operator.name),
                format!("it has the same id as store `{its}` of operator `{other}`, by chance"),
            )
            .hint("give one of the two operators another name"));
        }
    }
    Ok(())
}

/// State lies with the task that has all records of its keys: a partition number of the source's topics.
pub(super) fn check_state(pipeline: &Pipeline, ports: &[Ports], source: &Source, route: &Route) -> Result<()> {
    for (index, call) in route.calls.iter().enumerate() {
        if ports[call.operator].stores.is_empty() || !route.is_reached(index) {
            continue;
        }
        let refused = |why: String| {
            let name = &pipeline.operators[call.operator].name;
            Error::new(
                Kind::Invalid,
                format!("failed to place operator `{name}`, whose plugin keeps state"),
                why,
            )
        };
        if let Source::Kafka(kafka) = source
            && let Subscription::Pattern(_) = kafka.subscription
        {
            return Err(refused(format!(
                "source `{}` matches its topics by pattern: which of their partitions belong together is not known",
                kafka.name
            ))
            .hint("name the source's topics"));
        }
        if let Some(other) = route
            .upstream(index)
            .into_iter()
            .rfind(|operator| !ports[*operator].keeps_key)
        {
            return Err(refused(format!(
                "it stands behind operator `{}`, whose plugin does not declare that its outputs keep the key of what \
                 caused them",
                pipeline.operators[other].name
            ))
            .hint(
                "write to a topic in between, so that records of one key meet in one partition; or let the plugin \
                declare `keeps-key`",
            ));
        }
    }
    Ok(())
}

/// A file is one task and a topic as many as it has partitions, so records of one key would not meet.
pub(super) fn check_kinds(pipeline: &Pipeline, stateful: &[(usize, Vec<usize>)]) -> Result<()> {
    for (operator, sources) in stateful {
        let of = sources.iter().map(|source| &pipeline.sources[*source]);
        let (files, kafka): (Vec<_>, Vec<_>) = of.partition(|source| matches!(source, Source::File(_)));
        if let (Some(file), Some(kafka)) = (files.first(), kafka.first()) {
            let name = &pipeline.operators[*operator].name;
            return Err(Error::new(
                Kind::Invalid,
                format!("failed to place operator `{name}`, whose plugin keeps state"),
                format!(
                    "source `{}` is a file and source `{}` is Kafka's: records of one key would not meet",
                    file.name(),
                    kafka.name()
                ),
            )
            .hint("`sandbar produce` writes a file into a topic"));
        }
    }
    Ok(())
}

/// For each operator whether one behind it keeps state: its outputs' keys have to be what it declares.
pub fn before_state(routes: &[Route], ports: &[Ports]) -> Vec<bool> {
    let mut before = vec![false; ports.len()];
    for route in routes {
        let keeps_state = |call: &usize| !ports[route.calls[*call].operator].stores.is_empty();
        let calls = (0..route.calls.len()).filter(keeps_state);
        for operator in calls.flat_map(|call| route.upstream(call)) {
            before[operator] = true;
        }
    }
    before
}

/// The operators that keep state, each with the sources whose records come to it: indexes in the pipeline.
pub fn stateful_operators(routes: &[Route], ports: &[Ports]) -> Vec<(usize, Vec<usize>)> {
    let keep_state = (0..ports.len()).filter(|operator| !ports[*operator].stores.is_empty());
    let with_sources = keep_state.map(|operator| {
        let comes_to = |route: &Route| {
            let call = route.calls.iter().position(|call| call.operator == operator);
            call.is_some_and(|call| route.is_reached(call))
        };
        let sources = (routes.iter().enumerate()).filter(|(_, route)| comes_to(route));
        (operator, sources.map(|(source, _)| source).collect())
    });
    with_sources.collect()
}
