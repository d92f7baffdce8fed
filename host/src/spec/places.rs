//! Where records go: sinks and dead letters.

use crate::config;
use crate::error::Result;

use super::file::{CommitOffsetsKey, File, Kafka, OnRefusedKey, PartitionerKey};
use super::graph::Graph;
use super::properties;
use super::text::document::Span;
use super::text::scope::Scope;
use super::text::values::{At, Topic};

/// The sinks, in the order of the file.
pub(super) fn sinks(file: &File, graph: &Graph, scope: &Scope<'_>) -> Result<Vec<config::Sink>> {
    let place = |(index, (name, raw)): (usize, &(At<String>, super::file::SinkTable))| {
        let keys = DestinationKeys {
            part: format!("sink.{}", name.value),
            span: name.span.as_ref(),
            topic: raw.topic.as_ref(),
            file: raw.file.as_ref(),
            partitioner: &raw.partitioner,
            kafka: raw.kafka.as_ref(),
        };
        Ok(config::Sink {
            name: name.value.clone(),
            from: graph.sink_inputs(index),
            target: target(&keys, file, scope)?,
            on_refused: on_refused(&keys, &raw.on_refused, file, scope)?,
        })
    };
    file.sink.0.iter().enumerate().map(place).collect()
}

/// The dead letters, as a sink of that name.
pub(super) fn dead_letters(file: &File, scope: &Scope<'_>) -> Result<Option<config::Sink>> {
    let place = |raw: &At<super::file::DeadLetters>| {
        let keys = DestinationKeys {
            part: "dead-letters".to_owned(),
            span: raw.span.as_ref(),
            topic: raw.value.topic.as_ref(),
            file: raw.value.file.as_ref(),
            partitioner: &raw.value.partitioner,
            kafka: raw.value.kafka.as_ref(),
        };
        Ok(config::Sink {
            name: "dead-letters".to_owned(),
            from: Vec::new(),
            target: target(&keys, file, scope)?,
            // There is no place for the dead letters of dead letters; they are cut so that they fit.
            on_refused: config::OnRefused::Fail,
        })
    };
    file.dead_letters.as_ref().map(place).transpose()
}

/// What happens to an output that Kafka refuses. To go on without it the records since the last commit are done again.
fn on_refused(
    keys: &DestinationKeys<'_>,
    raw: &At<OnRefusedKey>,
    file: &File,
    scope: &Scope<'_>,
) -> Result<config::OnRefused> {
    let part = &keys.part;
    let refuse = |what: String, why: &str| scope.refuse(raw.span.as_ref(), what, why);
    if raw.value != OnRefusedKey::Fail && keys.file.is_some() {
        let what = format!("`{part}.on-refused` does not go with `file`");
        return Err(refuse(what, "a file refuses no output"));
    }
    let read_once = file.source.0.iter().find(|(_, source)| source.file.is_some());
    if let Some((name, _)) = read_once.filter(|_| raw.value != OnRefusedKey::Fail) {
        let what = format!(
            "`{part}.on-refused` does not go with source `{}`, which is a file",
            name.value
        );
        let why = "to go on without an output, the records since the last commit are read again, and a file is not";
        return Err(refuse(what, why).hint("read a topic, or remove `on-refused`"));
    }
    let is_never = |source: &super::file::SourceTable| {
        source.commit_offsets.as_ref().map(|commits| commits.value) == Some(CommitOffsetsKey::Never)
    };
    let never = file.source.0.iter().find(|(_, source)| is_never(source));
    if let Some((name, _)) = never.filter(|_| raw.value != OnRefusedKey::Fail && file.checkpoint.is_none()) {
        let what = format!(
            "`{part}.on-refused` does not go with `commit-offsets = \"never\"` of source `{}`",
            name.value
        );
        let why = "to go on without an output, the records since the last commit are read again, and there is none";
        return Err(refuse(what, why).hint("let it commit, add [checkpoint], or remove `on-refused`"));
    }
    match raw.value {
        OnRefusedKey::Fail => Ok(config::OnRefused::Fail),
        OnRefusedKey::Skip => Ok(config::OnRefused::Skip),
        OnRefusedKey::DeadLetter if file.dead_letters.is_some() => Ok(config::OnRefused::DeadLetter),
        OnRefusedKey::DeadLetter => {
            let what = format!("`{part}.on-refused` is \"dead-letter\" and there are no `[dead-letters]`");
            let hint = format!("add [dead-letters] with topic = \"{}.dead\"", file.name.value.0);
            Err(refuse(what, "a refused output would have no place to go").hint(hint))
        }
    }
}

/// The keys that say where records go.
struct DestinationKeys<'a> {
    part: String,
    span: Option<&'a Span>,
    topic: Option<&'a At<Topic>>,
    file: Option<&'a At<std::path::PathBuf>>,
    partitioner: &'a At<PartitionerKey>,
    kafka: Option<&'a At<Kafka>>,
}

fn target(keys: &DestinationKeys<'_>, file: &File, scope: &Scope<'_>) -> Result<config::Target> {
    let part = &keys.part;
    match (keys.topic, keys.file) {
        (Some(topic), None) => Ok(config::Target::Kafka {
            cluster: properties::cluster(part, &file.kafka, keys.kafka, scope)?,
            topic: topic.value.0.clone(),
            partitioner: match keys.partitioner.value {
                PartitionerKey::Murmur2 => config::Partitioner::Murmur2,
                PartitionerKey::Crc32 => config::Partitioner::Crc32,
            },
        }),
        (None, Some(path)) => {
            let kafka = keys
                .kafka
                .and_then(|kafka| kafka.span.as_ref())
                .map(|span| ("kafka", span));
            let partitioner = keys.partitioner.span.as_ref().map(|span| ("partitioner", span));
            match partitioner.or(kafka) {
                None => Ok(config::Target::File(scope.stream(&path.value))),
                Some((key, span)) => {
                    let what = format!("`{part}.{key}` does not go with `file`");
                    Err(scope.refuse(Some(span), what, "it is a setting of Kafka, and a file has none"))
                }
            }
        }
        (Some(topic), Some(_)) => {
            let what = format!("`{part}` has a `topic` and a `file`");
            Err(scope.refuse(topic.span.as_ref(), what, "it goes to exactly one of them"))
        }
        (None, None) => {
            let what = format!("`{part}` does not say where its records go");
            Err(scope.refuse(keys.span, what, "it has exactly one of `topic` and `file`"))
        }
    }
}
