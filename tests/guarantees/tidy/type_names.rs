//! A type's name stands for one thing in the host.

use super::Rule;
use super::files::{File, identifier, rust};
use std::collections::BTreeMap;

/// Names that a reason gives to several types: why, and each name with the files of its types below `host/src`.
const SHARED: &[(&str, &[(&str, &str)])] = &[
    (
        "A key of the file as it is written, and what it means after the checks. A third type is not told apart \
         yet.",
        &[
            ("Checkpoint", "cli/checkpoint.rs config.rs spec/file.rs"),
            ("CommitOffsets", "config.rs spec/file.rs"),
            ("Delivery", "config.rs spec/file.rs"),
            (
                "Limits",
                "broker/disk/limits.rs config.rs runtime/commit/coordinator.rs spec/file.rs",
            ),
            ("OnError", "config.rs spec/file.rs"),
            ("OnRefused", "config.rs spec/file.rs"),
            ("Operator", "config.rs plugin/operator.rs spec/file.rs"),
            ("Otherwise", "config.rs spec/file.rs"),
            ("OutOfRange", "config.rs spec/file.rs"),
            ("Partitioner", "config.rs spec/file.rs"),
            ("Sink", "config.rs spec/file.rs"),
            ("Source", "config.rs login/present.rs spec/file.rs"),
            ("Start", "config.rs spec/position.rs"),
            ("Stop", "cli/signals.rs config.rs runtime/lifecycle.rs spec/position.rs"),
            ("Truth", "config.rs spec/file.rs"),
        ],
    ),
    (
        "The actions of a verb: each is seen by its own file only.",
        &[(
            "Action",
            "cli/checkpoint.rs cli/offsets.rs cli/savepoint.rs cli/state.rs cli/topics.rs",
        )],
    ),
    (
        "Not told apart yet.",
        &[
            ("Asked", "broker/configs/alter.rs plugin/call/outcome.rs"),
            ("Broker", "broker/start.rs cli/broker.rs"),
            ("Cache", "plugin/cache.rs state/cache.rs"),
            (
                "Call",
                "broker/api.rs plugin/operator.rs sink/raw/handle.rs topology/wiring.rs",
            ),
            ("Change", "plugin/call/changes.rs state/overlay.rs"),
            (
                "Client",
                "broker/groups/member.rs kafka/connect.rs sink/raw/handle.rs source/client.rs",
            ),
            ("Cluster", "cli/cluster.rs config.rs"),
            (
                "Committed",
                "checkpoint/savepoint.rs sink/transaction.rs source/offsets.rs source/positions/start.rs",
            ),
            ("Entries", "plugin/call/changes.rs spec/text/values.rs state/scan.rs"),
            (
                "Entry",
                "broker/disk/log.rs checkpoint/bundle.rs cli/state.rs spec/text/document.rs",
            ),
            ("Event", "broker/disk/journal.rs checkpoint/event.rs source/client.rs"),
            ("Fault", "plugin/fault.rs spec/text/reading.rs"),
            ("Files", "sink/file.rs state/files.rs"),
            ("Format", "cli/output.rs cli/produce.rs spec/file.rs"),
            (
                "Found",
                "broker/disk/log.rs cli/check.rs source/positions/kept.rs spec/text/reading.rs",
            ),
            ("Header", "broker/disk/batch.rs json_lines.rs"),
            ("Headers", "json_lines.rs record.rs"),
            ("Heard", "kafka/connect.rs runtime/tasks/restore.rs"),
            (
                "Held",
                "cli/state.rs runtime/tasks/owned.rs source/member/transfer.rs state/view.rs",
            ),
            ("Input", "config.rs source/file.rs"),
            ("Intake", "source/member/intake.rs source/member/queue.rs"),
            ("Keyed", "plugin/call/batch.rs source/positions/counts.rs"),
            ("Keys", "spec/places.rs spec/text/reading.rs"),
            ("Kind", "broker/configs/known.rs error.rs sink/dead_letter.rs"),
            ("Known", "runtime/batch/refused.rs state/overlay.rs"),
            ("LeftOut", "runtime/batch/refused.rs runtime/commit/coordinator.rs"),
            ("Line", "cli/args.rs json_lines.rs"),
            ("Listed", "checkpoint/collect.rs checkpoint/objects.rs spec/position.rs"),
            ("Log", "broker/disk/log.rs plugin/host_calls.rs"),
            ("Lookup", "source/positions/lookup.rs state/task.rs"),
            (
                "Member",
                "broker/groups/member.rs runtime/input.rs source/positions/plan.rs",
            ),
            ("Message", "sink/raw/handle.rs source/member/queue.rs"),
            ("Named", "source/event_time.rs spec/text/values.rs"),
            ("Names", "checkpoint/store.rs plugin/component.rs"),
            ("Node", "broker/start.rs spec/text/document.rs"),
            ("Offsets", "cli/offsets.rs config.rs"),
            ("Origin", "plugin/call/batch.rs source/positions/start.rs"),
            (
                "Outcome",
                "broker/disk/batch.rs plugin/call/outcome.rs source/member/commit.rs",
            ),
            ("Part", "spec/graph.rs spec/source.rs"),
            (
                "Phase",
                "broker/groups/group.rs broker/transactions/transaction.rs checkpoint/protocol.rs",
            ),
            ("Pipeline", "cli/checkpoint.rs cli/offsets.rs config.rs"),
            (
                "Place",
                "checkpoint/savepoint.rs cli/state.rs runtime/batch/refused.rs sink/origin.rs source/event_time.rs \
                 source/member/queue.rs spec/text/reading.rs",
            ),
            ("Placed", "runtime/batch/task.rs source/positions/plan.rs"),
            ("Pointer", "offset_metadata.rs source/event_time.rs"),
            (
                "Position",
                "broker/disk/journal.rs source/member/reader.rs source/offsets.rs",
            ),
            ("Producer", "broker/disk/idempotence.rs sink/producer.rs"),
            ("Reader", "plugin/call/reader.rs source/member/reader.rs"),
            (
                "Refusal",
                "broker/topics.rs login/settings.rs plugin/call/outcome.rs sink/delivery.rs \
                 source/member/commit.rs spec/delivery.rs",
            ),
            ("Result", "broker/shape.rs error.rs"),
            ("Savepoint", "checkpoint/savepoint.rs cli/savepoint.rs"),
            ("Scalar", "cli/shown.rs spec/text/values.rs"),
            ("Schema", "cli/schema.rs cli/shown.rs"),
            ("Seen", "checkpoint/age.rs source/positions/agreement.rs"),
            ("Sent", "plugin/call/batch.rs sink/transaction.rs"),
            ("Serving", "source/member/intake.rs source/member/queue.rs"),
            ("Settings", "broker/start.rs source/client.rs"),
            (
                "Shared",
                "login/present.rs plugin/engine.rs runtime/worker/shared.rs sink/file.rs state/rocks.rs",
            ),
            ("Slot", "plugin/call/keys.rs source/member/intake.rs state/overlay.rs"),
            (
                "State",
                "broker/state.rs cli/state.rs login/present.rs sink/transaction.rs spec/file.rs state/overlay.rs",
            ),
            ("Stats", "plugin/operator.rs state/task.rs"),
            ("Store", "checkpoint/store.rs cli/state.rs plugin/stores.rs"),
            ("Stored", "checkpoint/audit.rs plugin/stores.rs"),
            ("Table", "cli/output.rs spec/text/document.rs"),
            ("Target", "cli/offsets.rs config.rs runtime/start/savepoint.rs"),
            ("Task", "runtime/batch/task.rs runtime/tasks/owned.rs"),
            (
                "Topic",
                "broker/state.rs cli/produce.rs kafka/admin.rs sink/producer.rs source/member/queue.rs",
            ),
            ("Transactions", "broker/disk/stability.rs sink/transaction.rs"),
            ("Waiting", "runtime/commit/coordinator.rs runtime/worker/run.rs"),
            ("Why", "checkpoint/protocol.rs sink/dead_letter.rs"),
        ],
    ),
];

pub(super) const RULES: &[Rule] = &[Rule {
    sentence: "A type's name is given once in the host, so that a search finds the type and a sentence can name it.",
    find: |files| {
        let repeated = repeated(files).into_iter();
        let known = |name: &str, files: &[String]| shared().any(|(one, all)| one == name && all == files.join(" "));
        repeated
            .filter(|(name, files)| !known(name, files))
            .map(|(name, files)| format!("{name}: {}", files.join(" ")))
            .collect()
    },
    broken: &[
        ("host/src/sink/a.rs", "pub struct Batch;"),
        ("host/src/source/a.rs", "    pub(crate) enum Batch {}"),
    ],
}];

#[test]
fn every_name_that_may_be_shared_is() {
    let repeated = repeated(&super::repository());
    let gone = shared().filter(|(name, files)| repeated.get(*name).is_none_or(|all| all.join(" ") != *files));
    let gone: Vec<&str> = gone.map(|(name, _)| name).collect();
    assert!(
        gone.is_empty(),
        "take them from the list, or correct their files: {}",
        gone.join(", ")
    );
}

fn shared() -> impl Iterator<Item = (&'static str, &'static str)> {
    SHARED.iter().flat_map(|(_, names)| names.iter().copied())
}

/// The names that several types have, with their files below `host/src`; a file with two of them is named twice.
fn repeated(files: &[File]) -> BTreeMap<String, Vec<String>> {
    let mut names: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for file in rust(files) {
        let Some(path) = file.path.strip_prefix("host/src/") else {
            continue;
        };
        for name in file.code().lines().filter_map(declared) {
            names.entry(name).or_default().push(path.to_owned());
        }
    }
    names.retain(|_, files| files.len() > 1);
    names
}

/// The type that a line declares; an associated type, which stands in a block, is none.
fn declared(line: &str) -> Option<String> {
    let words = line.trim_start();
    let words = match words.strip_prefix("pub") {
        Some(rest) if rest.starts_with('(') => rest.split_once(") ")?.1,
        Some(rest) => rest.trim_start(),
        None => words,
    };
    let kinds = ["struct ", "enum ", "trait ", "union "];
    let rest = kinds.iter().find_map(|kind| words.strip_prefix(kind));
    let rest = rest.or_else(|| words.strip_prefix("type ").filter(|_| !line.starts_with(' ')))?;
    Some(identifier(rest)).filter(|name| name.starts_with(char::is_uppercase))
}
