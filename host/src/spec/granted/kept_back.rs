//! What a run of a canary has in the place of what the file says: its records are given, its outputs are kept back.
//!
//! Never commits to a group, is a member of one, has a transaction, or writes a topic. Always: two versions that run so
//! see the same records, whatever else their files say.

use std::path::{Path, PathBuf};

use crate::config::Offsets;
use crate::error::Result;
use crate::process::grant::CanaryGrant;

use crate::spec::file::{CheckpointTable, CommitOffsetsKey, DeliveryKey, File, OtherwiseKey, SourceTable, TruthKey};
use crate::spec::position::{ListedOffsets, StartKey, StopKey};
use crate::spec::text::scope::Scope;
use crate::spec::text::values::{At, Named, Whole};

/// Writes over the file of a tenant, which was confined before.
pub(super) fn keep_back(file: &mut File, canary: &CanaryGrant, scope: &Scope<'_>) -> Result<()> {
    // Files are no part of a transaction, and positions belong to nobody else.
    file.delivery = Some(DeliveryKey::AtLeastOnce.into());
    // One thread: what two partitions bring meets in the same way.
    file.workers = Some(Whole(1).into());
    for (name, source) in &mut file.source.0 {
        read_between(&name.value, source, canary, scope)?;
    }
    for (name, sink) in &mut file.sink.0 {
        sink.file = Some(place(canary, &name.value));
        (sink.topic, sink.kafka) = (None, None);
        (sink.partitioner, sink.on_refused) = (At::default(), At::default());
    }
    if let Some(At { value: letters, .. }) = &mut file.dead_letters {
        letters.file = Some(place(canary, "dead-letters"));
        (letters.topic, letters.kafka, letters.partitioner) = (None, None, At::default());
    }
    // Beside the file, as that of any tenant; a pipeline without has its positions there alone.
    if file.checkpoint.is_none() {
        let table = CheckpointTable {
            interval: At::default(),
            store: None,
            keep: At::default(),
            timeout: At::default(),
            tolerable_failures: At::default(),
            properties: Named::default(),
        };
        file.checkpoint = Some(table.into());
    }
    Ok(())
}

fn place(canary: &CanaryGrant, sink: &str) -> At<PathBuf> {
    canary.outputs.join(Path::new(sink).with_extension("jsonl")).into()
}

/// A source reads the partitions that the version before has read, from one position to another.
fn read_between(name: &str, source: &mut SourceTable, canary: &CanaryGrant, scope: &Scope<'_>) -> Result<()> {
    let refuse = |what: String| {
        let why = "a canary gives both versions the same records, and only those that the version before reads";
        let error = scope.refuse(None, what, why);
        Err(error.hint("upgrade without a canary if the inputs change"))
    };
    let Some(stops) = canary.stops.get(name) else {
        return refuse(format!(
            "source `{name}` is none of the version before that has read something"
        ));
    };
    let named: Vec<&str> = match (&source.topics, &source.partitions) {
        (Some(topics), _) => topics.value.iter().map(|topic| topic.0.as_str()).collect(),
        (_, Some(partitions)) => partitions
            .value
            .0
            .iter()
            .map(|(topic, _)| topic.value.as_str())
            .collect(),
        (None, None) => stops.keys().map(String::as_str).collect(),
    };
    if let Some(topic) = named.iter().find(|topic| !stops.contains_key(**topic)) {
        return refuse(format!(
            "topic `{topic}` of source `{name}` was not read by the version before"
        ));
    }
    let of_named = |offsets: &Offsets| -> Offsets {
        let each = offsets.iter().filter(|(topic, _)| named.contains(&topic.as_str()));
        each.map(|(topic, at)| (topic.clone(), at.clone())).collect()
    };
    let stops = of_named(stops);
    let starts = canary.starts.get(name).map(of_named).unwrap_or_default();
    let partitions = stops.iter().map(|(topic, at)| {
        let numbers = at.keys().map(|number| Whole(i64::from(*number))).collect();
        (topic.clone().into(), numbers)
    });
    let listed = source.topics.take().and_then(|topics| topics.span);
    let matched = source.topic_pattern.take().and_then(|pattern| pattern.span);
    let apart = source.partitions.take().and_then(|partitions| partitions.span);
    source.partitions = Some(At {
        value: Named(partitions.collect()),
        span: listed.or(matched).or(apart),
    });
    source.start = match starts.is_empty() {
        true => StartKey::Earliest.into(),
        false => StartKey::Offsets(ListedOffsets::from(&starts)).into(),
    };
    source.otherwise = OtherwiseKey::Earliest.into();
    source.stop = Some(StopKey::Offsets(ListedOffsets::from(&stops)).into());
    source.offsets = TruthKey::Checkpoint.into();
    source.commit_offsets = Some(CommitOffsetsKey::Never.into());
    Ok(())
}
