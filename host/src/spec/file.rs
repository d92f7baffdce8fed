//! The keys of a pipeline file. What stands here is what is read, what is refused as unknown, and what the schema says.
//! The schema has its own names for these types, and they stay: people's editors and tools know them.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::position::{StartKey, StopKey};
use super::property::Property;
use super::text::json::JsonText;
use super::text::values::{At, Brokers, Instance, Name, Named, Period, Size, Text, Topic, Whole};

const HOUR: u64 = 3_600_000;
const DAY: u64 = 24 * HOUR;
const YEAR: u64 = 365 * DAY;

const MIB: u64 = 1 << 20;

/// A pipeline of Sandbar: where records come from, which plugins see them, and where they go.
///
/// Durations are texts such as "500ms", "5s", "1m", "2h"; sizes such as "10KiB", "64MiB". A path is relative to this
/// file.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct File {
    /// The pipeline's name; the default group of its sources is `sandbar.<name>`.
    pub(super) name: At<Name>,
    /// What a crash may do to the outputs. Default: "exactly-once" with `[checkpoint]`, "none" without.
    pub(super) delivery: Option<At<DeliveryKey>>,
    /// Threads, each a member of the group. Default: one a core.
    pub(super) workers: Option<At<Whole<1, 512>>>,
    /// A stable id of this process; members of one pipeline on one machine differ by it.
    pub(super) instance: Option<At<Instance>>,
    /// Memory that the queues of the process may hold: records read and not processed, outputs not acknowledged.
    #[serde(default)]
    pub(super) queue_memory: At<Size<{ 4 << 20 }, { 1 << 40 }, { 64 * MIB }>>,
    /// Memory of a worker that a batch may take on its way: what all plugins hand over for it, until it is handed to
    /// the sinks. A batch that takes more is cut; a record that does so alone is at fault, and `on-error` of the
    /// operator that went beyond decides.
    #[serde(default)]
    pub(super) batch_memory: At<Size<{ MIB }, { 2 << 30 }, { 256 * MIB }>>,
    /// The cluster that every source and sink inherits.
    #[serde(default)]
    pub(super) kafka: Kafka,
    /// Where records come from, by name.
    #[serde(default)]
    pub(super) source: Named<SourceTable>,
    /// Plugins placed in the pipeline, by name.
    #[serde(default)]
    pub(super) operator: Named<OperatorTable>,
    /// Where records go, by name.
    #[serde(default)]
    pub(super) sink: Named<SinkTable>,
    /// Where records go that a plugin refused, or on which it failed, and outputs that Kafka refused. What does not fit
    /// there is cut.
    pub(super) dead_letters: Option<At<DeadLetters>>,
    /// Checkpoints; absent: none, and the state of a partition begins empty after a crash and whenever the partition
    /// moves to another worker or process.
    pub(super) checkpoint: Option<At<CheckpointTable>>,
    /// The local working copy.
    #[serde(default)]
    pub(super) state: StateTable,
}

/// What a crash may do to the outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "Delivery")]
pub(super) enum DeliveryKey {
    /// Outputs, state and positions of one prefix. With `[checkpoint]`.
    ExactlyOnce,
    /// State and positions agree; outputs may repeat. With `[checkpoint]`.
    AtLeastOnce,
    /// A position is committed only after its outputs were acknowledged; an output may repeat, none is lost. Without
    /// `[checkpoint]`.
    None,
}

/// How to reach a Kafka cluster.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Kafka {
    /// `host:port` of one or more brokers, comma-separated.
    pub(super) brokers: Option<At<Brokers>>,
    /// In place of `brokers`: the name of a cluster that the daemon has for the tenant, with how to sign in there. For
    /// pipelines of `sandbar serve`.
    pub(super) cluster: Option<At<Text>>,
    /// Passed to librdkafka; those that the host owns, and ways to sign in that are not built, are refused by name. A
    /// secret is `{ env = "NAME" }` or `{ file = "path" }`, which is read again when it changes, and `{ secret =
    /// "NAME" }` in pipelines of `sandbar serve`; `sasl.oauthbearer.token` may be `{ command = ["program", "argument"]
    /// }`.
    #[serde(default)]
    pub(super) properties: Named<Property>,
}

/// A source: topics of Kafka, or a file for development. Exactly one of `topics`, `topic-pattern`, `partitions` and
/// `file`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[schemars(rename = "Source")]
pub(super) struct SourceTable {
    /// All partitions of these topics, which must exist. The group shares out the first topic that the file names;
    /// partitions of the others go with those of the same number, so none has more of them than the first. Behind an
    /// operator that keeps state all have equally many, for good.
    pub(super) topics: Option<At<Vec<Topic>>>,
    /// All partitions of the topics whose whole name this regular expression matches, now and later. Two sources in one
    /// group must not match the same topic. No operator behind it may keep state: which of their partitions belong
    /// together is not known.
    pub(super) topic_pattern: Option<At<String>>,
    /// These partitions and no others: { views = [0, 3] }.
    pub(super) partitions: Option<At<Named<Vec<Whole<0, { i32::MAX as i64 }>>>>>,
    /// A file, "-" for standard input.
    pub(super) file: Option<At<PathBuf>>,
    /// How records lie in the file.
    #[serde(default)]
    pub(super) format: At<FormatKey>,
    /// Overrides `[kafka]`: the brokers are replaced, properties are merged.
    pub(super) kafka: Option<At<Kafka>>,
    /// The consumer group. Default: `sandbar.<name of the pipeline>`.
    pub(super) group: Option<At<Text>>,
    /// Where a partition starts that has no committed position of this pipeline.
    #[serde(default)]
    pub(super) start: At<StartKey>,
    /// What to do if nothing else says where to start.
    #[serde(default)]
    pub(super) otherwise: At<OtherwiseKey>,
    /// Where the run ends, exclusive; absent: never.
    pub(super) stop: Option<At<StopKey>>,
    /// What to do when the log no longer holds the position, or was truncated below it and holds other records there.
    #[serde(default)]
    pub(super) on_out_of_range: At<OutOfRangeKey>,
    /// Where the truth about positions is.
    #[serde(default)]
    pub(super) offsets: At<TruthKey>,
    /// When positions are committed to the group. Default: "on-checkpoint" with `[checkpoint]`, "periodic" without.
    pub(super) commit_offsets: Option<At<CommitOffsetsKey>>,
    /// Spacing of periodic commits.
    #[serde(default)]
    pub(super) auto_commit_interval: At<Period<10, DAY, 5_000>>,
    /// How long the group waits for a silent member.
    #[serde(default)]
    pub(super) session_timeout: At<Period<100, HOUR, 10_000>>,
    /// Records in one call of a plugin, at most. The state of a key travels once a call: larger calls cost less CPU
    /// time if keys come again, and more memory.
    #[serde(default)]
    pub(super) max_batch: At<Whole<1, 100_000, 1_000>>,
    /// How often new partitions and topics are looked for; they start at their beginning. Behind a topic whose keys
    /// have state, a new partition ends the run: keys come to other partitions than those that have their state.
    #[serde(default)]
    pub(super) discovery_interval: At<Period<10, HOUR, 300_000>>,
    /// Where event time comes from: "record" (Kafka's timestamp), or a JSON pointer into the value, such as
    /// "/created_at".
    #[serde(default = "record")]
    #[schemars(regex(pattern = r"^(record|/.*)$"))]
    pub(super) event_time: At<String>,
    /// How much later than the newest event an event may come and still be in time. Takes effect with timers and
    /// windows, as all keys of event time do.
    #[serde(default)]
    pub(super) max_out_of_orderness: At<Period<0, YEAR, 5_000>>,
    /// After how long a silent partition no longer holds event time back.
    #[serde(default)]
    pub(super) idle_after: At<Period<1, YEAR, 60_000>>,
    /// Records of sources that meet are merged by event time. So long an input that brings nothing is waited for beyond
    /// the end of its log before the others go on.
    #[serde(default)]
    pub(super) max_wait: At<Period<0, HOUR, 0>>,
    /// An event that is further ahead of the clock does not move event time; absent: no limit.
    pub(super) max_ahead: Option<At<Period<0, YEAR, 0>>>,
    /// What becomes of a record whose event time is before 1970, behind year 9999, or too far ahead. Default:
    /// "dead-letter" if there are dead letters, "fail" if not.
    pub(super) on_bad_time: Option<At<OnBadTimeKey>>,
}

/// What becomes of a record whose event time cannot be. It moves event time in no case.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "OnBadTime")]
pub(super) enum OnBadTimeKey {
    /// It is processed.
    Use,
    /// It is left out, and counted.
    Skip,
    /// It goes to the dead letters.
    DeadLetter,
    /// The pipeline stops.
    Fail,
}

fn record() -> At<String> {
    "record".to_owned().into()
}

/// How records lie in a file.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "Format")]
pub(super) enum FormatKey {
    /// One JSON object a line: key, value, timestamp, headers.
    #[default]
    Json,
    /// A line is a value.
    Lines,
}

/// What to do if nothing else says where to start.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "Otherwise")]
pub(super) enum OtherwiseKey {
    /// At the first record of the log.
    #[default]
    Earliest,
    /// At the last stable offset.
    Latest,
    /// Nowhere: it is an error.
    Fail,
}

/// What to do when the log no longer holds the position, or was truncated below it and holds other records there.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "OutOfRange")]
pub(super) enum OutOfRangeKey {
    /// Stop with an error.
    #[default]
    Fail,
    /// Go on at the first record of the log.
    Earliest,
    /// Go on at the end.
    Latest,
}

/// Where the truth about positions is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "Truth")]
pub(super) enum TruthKey {
    /// In the consumer group.
    #[default]
    Group,
    /// In the newest checkpoints; one process reads, and what the group holds is for monitoring only.
    Checkpoint,
}

/// When positions are committed to the group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "CommitOffsets")]
pub(super) enum CommitOffsetsKey {
    /// With each checkpoint.
    OnCheckpoint,
    /// Each `auto-commit-interval`, without `[checkpoint]`.
    Periodic,
    /// Never.
    Never,
}

/// A plugin placed in the pipeline.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[schemars(rename = "Operator")]
pub(super) struct OperatorTable {
    /// The component's file; or the name, without slash and dot, of a plugin that comes with Sandbar, such as "window":
    /// `sandbar inspect --ready-made` lists them.
    pub(super) plugin: At<PathBuf>,
    /// What it reads, in the order of the plugin's inputs: sources, operators ("parse"), an operator's named output
    /// ("parse.rejected").
    pub(super) inputs: At<Vec<At<String>>>,
    /// Handed to the plugin as JSON, checked against the schema that it declares.
    pub(super) config: Option<At<JsonText>>,
    /// What happens to a record on which the plugin traps or breaks a limit.
    #[serde(default)]
    pub(super) on_error: At<OnErrorKey>,
    /// What an instance of the plugin may use.
    #[serde(default)]
    pub(super) limits: LimitsTable,
}

/// What happens to a record on which a plugin traps or breaks a limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "OnError")]
pub(super) enum OnErrorKey {
    /// The pipeline stops with exit code 10.
    #[default]
    Fail,
    /// The record is left out, and counted.
    Skip,
    /// The record goes to `[dead-letters]`.
    DeadLetter,
}

/// What an instance of a plugin may use.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[schemars(rename = "Limits")]
pub(super) struct LimitsTable {
    /// Linear memory.
    #[serde(default)]
    pub(super) memory: At<Size<{ 1 << 16 }, { 4 << 30 }, { 64 * MIB }>>,
    /// Time of one call.
    #[serde(default)]
    pub(super) call_time: At<Period<1, HOUR, 1_000>>,
    /// An instance is replaced by a new one between two calls when it has grown to so much linear memory; absent: three
    /// quarters of `memory`.
    pub(super) recycle_memory: Option<At<Size<{ 1 << 16 }, { 4 << 30 }, 0>>>,
    /// The same when it was called with so many records; absent: never.
    pub(super) recycle_records: Option<At<Whole<1, { i64::MAX }>>>,
    /// The same when it is so old; absent: never.
    pub(super) recycle_age: Option<At<Period<1, YEAR, 0>>>,
}

/// A sink: a topic of Kafka, or a file for development. Exactly one of `topic` and `file`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[schemars(rename = "Sink")]
pub(super) struct SinkTable {
    /// What it takes: sources, operators ("parse"), an operator's named output ("parse.rejected").
    pub(super) from: At<Vec<At<String>>>,
    /// The topic, which must exist.
    pub(super) topic: Option<At<Topic>>,
    /// A file, "-" for standard output.
    pub(super) file: Option<At<PathBuf>>,
    /// How a record's partition follows from its key.
    #[serde(default)]
    pub(super) partitioner: At<PartitionerKey>,
    /// What happens to an output that Kafka refuses for good: for its time, its size, or a null key if the topic is
    /// compacted.
    #[serde(default)]
    pub(super) on_refused: At<OnRefusedKey>,
    /// Overrides `[kafka]`: the brokers are replaced, properties are merged.
    pub(super) kafka: Option<At<Kafka>>,
}

/// What happens to an output that Kafka refuses for good.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "OnRefused")]
pub(super) enum OnRefusedKey {
    /// The pipeline stops with exit code 5.
    #[default]
    Fail,
    /// The output is left out, and counted.
    Skip,
    /// The output goes to `[dead-letters]`.
    DeadLetter,
}

/// How a record's partition follows from its key.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "Partitioner")]
pub(super) enum PartitionerKey {
    /// As Java clients do.
    #[default]
    Murmur2,
    /// As librdkafka does by default.
    Crc32,
}

/// Where records go that a plugin refused, and outputs that Kafka refused; their topic takes 16 KiB at least. Exactly
/// one of `topic` and `file`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct DeadLetters {
    /// The topic, which must exist.
    pub(super) topic: Option<At<Topic>>,
    /// A file, "-" for standard output.
    pub(super) file: Option<At<PathBuf>>,
    /// How a record's partition follows from its key.
    #[serde(default)]
    pub(super) partitioner: At<PartitionerKey>,
    /// Overrides `[kafka]`: the brokers are replaced, properties are merged.
    pub(super) kafka: Option<At<Kafka>>,
}

/// Checkpoints.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[schemars(rename = "Checkpoint")]
pub(super) struct CheckpointTable {
    /// From the start of one to the start of the next.
    #[serde(default)]
    pub(super) interval: At<Period<10, DAY, 1_000>>,
    /// Where checkpoints are kept, for all members of the pipeline: a folder, file://…, s3://bucket/prefix (`AWS_*`
    /// variables or `properties`). Default: the folder `checkpoints`.
    pub(super) store: Option<At<Text>>,
    /// How many checkpoints of each task are kept, the last one among them.
    #[serde(default)]
    pub(super) keep: At<Whole<1, 1_000, 5>>,
    /// How long one may take.
    #[serde(default)]
    pub(super) timeout: At<Period<10, DAY, 60_000>>,
    /// How many checkpoints in a row may fail before the pipeline stops.
    #[serde(default)]
    pub(super) tolerable_failures: At<Whole<0, 1_000_000, 0>>,
    /// Settings of an S3 store, such as `region` and `endpoint`, over the `AWS_*` variables; a secret is `{ env =
    /// "NAME" }` or `{ file = "path" }`.
    #[serde(default)]
    pub(super) properties: Named<Property>,
}

/// The local working copy.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[schemars(rename = "State")]
pub(super) struct StateTable {
    /// Its folder; deleting it loses nothing. Default: `.sandbar/<name of the pipeline>`.
    pub(super) dir: Option<At<PathBuf>>,
    /// Memory for caches and write buffers, over all tasks of the process.
    #[serde(default)]
    pub(super) memory: At<Size<{ MIB }, { 1 << 40 }, { 64 * MIB }>>,
}
