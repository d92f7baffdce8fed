//! What goes together: `[checkpoint]`, `delivery`, `offsets` and `commit-offsets`. Whatever the table of the contract
//! does not list is refused.

use std::time::Duration;

use crate::config::{self, Cluster, Sink, Source, Subscription, Target};
use crate::error::{Error, Result as Checked};

use super::file::{CommitOffsetsKey, DeliveryKey, File, TruthKey};
use super::text::document::Span;
use super::text::scope::Scope;

/// A combination that is refused: what, why, and what to write instead.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct RefusedCombination {
    pub(super) what: &'static str,
    pub(super) why: &'static str,
    pub(super) hint: &'static str,
}

impl RefusedCombination {
    /// The error that a person reads, with the place of the key that asked for it.
    pub(super) fn at(&self, span: Option<&Span>, scope: &Scope<'_>) -> Error {
        scope.refuse(span, self.what, self.why).hint(self.hint)
    }
}

/// What a crash may do, given whether there are checkpoints. Never weaker than what was asked for.
pub(super) fn delivery(checkpoint: bool, wanted: Option<DeliveryKey>) -> Result<config::Delivery, RefusedCombination> {
    match (checkpoint, wanted) {
        (true, Some(DeliveryKey::AtLeastOnce)) => Ok(config::Delivery::AtLeastOnce),
        (true, None | Some(DeliveryKey::ExactlyOnce)) => Ok(config::Delivery::ExactlyOnce),
        (true, Some(DeliveryKey::None)) => Err(RefusedCombination {
            what: "`delivery = \"none\"` does not go with `[checkpoint]`",
            why: "a checkpoint makes state and positions agree, which is at least once",
            hint: "set delivery = \"at-least-once\", or remove [checkpoint]",
        }),
        (false, None | Some(DeliveryKey::None)) => Ok(config::Delivery::None),
        (false, Some(DeliveryKey::AtLeastOnce)) => Err(RefusedCombination {
            what: "`delivery = \"at-least-once\"` needs `[checkpoint]`",
            why: "without checkpoints state is empty after a crash and when a partition moves; outputs are still \
                none lost, for a position is committed only after its outputs were acknowledged",
            hint: "add [checkpoint], or remove `delivery`",
        }),
        (false, Some(DeliveryKey::ExactlyOnce)) => Err(RefusedCombination {
            what: "`delivery = \"exactly-once\"` needs `[checkpoint]`",
            why: "outputs, state and positions are committed together, and without checkpoints there is no state \
                that could be",
            hint: "add [checkpoint], or remove `delivery`",
        }),
    }
}

/// Where the truth about positions is, and when they are committed.
pub(super) fn positions(
    delivery: config::Delivery,
    truth: TruthKey,
    wanted: Option<CommitOffsetsKey>,
) -> Result<(config::Truth, config::CommitOffsets), RefusedCombination> {
    use config::{CommitOffsets as Commit, Delivery as By, Truth as At};
    match (delivery, truth, wanted) {
        (By::None, TruthKey::Checkpoint, _) => Err(RefusedCombination {
            what: "`offsets = \"checkpoint\"` needs `[checkpoint]`",
            why: "without checkpoints there is nothing that could hold the positions",
            hint: "add [checkpoint], or set offsets = \"group\"",
        }),
        (By::ExactlyOnce, TruthKey::Checkpoint, _) => Err(RefusedCombination {
            what: "`offsets = \"checkpoint\"` does not go with `delivery = \"exactly-once\"`",
            why: "outputs become visible with a commit to Kafka, and only positions that are in the same commit \
                agree with them",
            hint: "set offsets = \"group\", or delivery = \"at-least-once\"",
        }),
        (By::AtLeastOnce | By::ExactlyOnce, _, Some(CommitOffsetsKey::Periodic)) => Err(RefusedCombination {
            what: "`commit-offsets = \"periodic\"` does not go with `[checkpoint]`",
            why: "a position that is committed between two checkpoints belongs to neither",
            hint: "set commit-offsets = \"on-checkpoint\"; how often is `interval` of [checkpoint]",
        }),
        (By::AtLeastOnce | By::ExactlyOnce, TruthKey::Group, Some(CommitOffsetsKey::Never)) => {
            Err(RefusedCombination {
                what: "`commit-offsets = \"never\"` does not go with `[checkpoint]` and `offsets = \"group\"`",
                why: "the positions of a checkpoint would be kept nowhere",
                hint: "set commit-offsets = \"on-checkpoint\"",
            })
        }
        (By::AtLeastOnce | By::ExactlyOnce, TruthKey::Group, None | Some(CommitOffsetsKey::OnCheckpoint)) => {
            Ok((At::Group, Commit::OnCheckpoint))
        }
        (By::AtLeastOnce, TruthKey::Checkpoint, None | Some(CommitOffsetsKey::OnCheckpoint)) => {
            Ok((At::Checkpoint, Commit::OnCheckpoint))
        }
        (By::AtLeastOnce, TruthKey::Checkpoint, Some(CommitOffsetsKey::Never)) => Ok((At::Checkpoint, Commit::Never)),
        (By::None, TruthKey::Group, Some(CommitOffsetsKey::OnCheckpoint)) => Err(RefusedCombination {
            what: "`commit-offsets = \"on-checkpoint\"` needs `[checkpoint]`",
            why: "without checkpoints no position would ever be committed",
            hint: "add [checkpoint], or set commit-offsets = \"periodic\"",
        }),
        (By::None, TruthKey::Group, None | Some(CommitOffsetsKey::Periodic)) => Ok((At::Group, Commit::Periodic)),
        (By::None, TruthKey::Group, Some(CommitOffsetsKey::Never)) => Ok((At::Group, Commit::Never)),
    }
}

/// What a transaction asks for: members of a group, and one cluster for all that is read and written.
pub(super) fn transactional(file: &File, sources: &[Source], sinks: &[&Sink], scope: &Scope<'_>) -> Checked<()> {
    refuse_long_interval(file, scope)?;
    let mut first: Option<(&str, &Cluster)> = None;
    for source in sources {
        let Source::Kafka(source) = source else { continue };
        let name = &source.name;
        if matches!(source.subscription, Subscription::Partitions(_)) {
            let what = format!("`source.{name}.partitions` does not go with `delivery = \"exactly-once\"`");
            let why = "partitions given by hand have no group that would fence off an owner from before";
            let error = scope.refuse(span(file, name), what, why);
            return Err(error.hint("read whole `topics`, or set delivery = \"at-least-once\""));
        }
        match first {
            Some((other, cluster)) if *cluster != source.cluster => {
                let what = format!("sources `{other}` and `{name}` are on different clusters");
                return Err(apart(file, scope, name, what));
            }
            _ => first = Some((name, &source.cluster)),
        }
    }
    let Some((source, read)) = first else { return Ok(()) };
    for sink in sinks {
        let name = &sink.name;
        match &sink.target {
            Target::Kafka { cluster, .. } if cluster == read => {}
            Target::Kafka { .. } => {
                let what = format!("sink `{name}` writes to another cluster than source `{source}` reads from");
                return Err(apart(file, scope, name, what));
            }
            Target::File(_) => {
                let what = format!("sink `{name}` writes a file, which does not go with `delivery = \"exactly-once\"`");
                let why =
                    "a file is no part of a transaction: after a crash it would hold outputs that were never committed";
                let error = scope.refuse(span(file, name), what, why);
                return Err(error.hint("set delivery = \"at-least-once\", or write to a topic"));
            }
        }
    }
    Ok(())
}

/// A transaction lives from one commit to the next, and through the commit.
fn refuse_long_interval(file: &File, scope: &Scope<'_>) -> Checked<()> {
    const MOST: Duration = Duration::from_secs(14 * 60);
    let Some(checkpoint) = &file.checkpoint else {
        return Ok(());
    };
    let interval = &checkpoint.value.interval;
    if interval.value.duration() <= MOST {
        return Ok(());
    }
    let what = "`checkpoint.interval` is too long for `delivery = \"exactly-once\"`";
    let why = "a transaction lives from one commit to the next, and brokers abort one that is older than 15 minutes";
    let error = scope.refuse(interval.span.as_ref(), what, why);
    Err(error.hint("set it to \"14m\" or less, or delivery = \"at-least-once\""))
}

/// A checkpoint has one point at which it is committed: the group's answer, or the durable bundle.
pub(super) fn one_truth(file: &File, sources: &[Source], scope: &Scope<'_>) -> Checked<()> {
    let mut kafka = sources.iter().filter_map(|source| match source {
        Source::Kafka(source) => Some(source),
        Source::File(_) => None,
    });
    let Some(first) = kafka.next() else { return Ok(()) };
    let Some(other) = kafka.find(|source| source.truth != first.truth) else {
        return Ok(());
    };
    let what = format!("sources `{}` and `{}` differ in `offsets`", first.name, other.name);
    let why = "a checkpoint of a pipeline is committed at one place: in the groups, or in the store of checkpoints";
    let error = scope.refuse(span(file, &other.name), what, why);
    Err(error.hint("set the same `offsets` in all sources, or make two pipelines of them"))
}

/// Where the file names a source or a sink; parts have one space of names.
fn span<'a>(file: &'a File, name: &str) -> Option<&'a Span> {
    let sources = file.source.0.iter().map(|(at, _)| at);
    let sinks = file.sink.0.iter().map(|(at, _)| at);
    match sources.chain(sinks).find(|at| at.value == name) {
        Some(at) => at.span.as_ref(),
        None => file.dead_letters.as_ref().and_then(|at| at.span.as_ref()),
    }
}

fn apart(file: &File, scope: &Scope<'_>, name: &str, what: String) -> Error {
    let why = "`delivery = \"exactly-once\"` commits outputs and positions in one transaction, and a transaction \
        cannot span clusters";
    let error = scope.refuse(span(file, name), what, why);
    error.hint("set delivery = \"at-least-once\", or write to a topic of the same cluster and copy it from there")
}
