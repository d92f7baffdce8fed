//! Checked settings: what the stations are told. Made once, by `spec`, from what a person wrote; a value that
//! stands here is valid.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::clock::LATEST_EVENT_TIME;
use crate::error::{Error, Kind};
use crate::login::Login;

/// How to reach a Kafka cluster.
#[derive(Clone, PartialEq, Eq)]
pub struct Cluster {
    /// `host:port`, comma-separated.
    pub brokers: String,
    /// Passed to librdkafka; secrets are resolved, properties that the host owns were refused.
    pub properties: BTreeMap<String, String>,
    /// How its clients sign in, if that changes.
    pub login: Login,
}

/// Values of properties may be secrets: they are not shown.
impl fmt::Debug for Cluster {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Cluster")
            .field("brokers", &self.brokers)
            .field("properties", &self.properties.keys())
            .finish()
    }
}

impl Cluster {
    /// The properties for a new client, with what stands in files now.
    pub fn client_properties(&self) -> BTreeMap<String, String> {
        let mut properties = self.properties.clone();
        self.login.renew(&mut properties);
        properties
    }

    /// Why a cluster could not be reached, from the last that its client heard; `refused`: it answered, and turned the
    /// client away.
    pub fn unreachable(&self, heard: &str, refused: bool) -> Error {
        let why = if heard.is_empty() { "no broker answered" } else { heard };
        if refused {
            return Error::new(
                Kind::Kafka,
                format!("failed to connect to {}: authentication failed", self.brokers),
                why,
            )
            .hint("check security.protocol and the sasl.* and ssl.* properties");
        }
        let what = if heard.contains("Connection refused") {
            ": connection refused"
        } else {
            ""
        };
        Error::new(Kind::Kafka, format!("failed to connect to {}{what}", self.brokers), why)
            .hint("check that a broker runs there: `sandbar broker` starts one")
    }
}

/// Which partitions a source reads.
#[derive(Debug, Clone)]
pub enum Subscription {
    /// All partitions of these topics, which must exist.
    Topics(Vec<String>),
    /// All partitions of the topics whose whole name matches, now and later; internal topics (`__…`) never match.
    Pattern(regex::Regex),
    /// These partitions and no others, assigned by hand.
    Partitions(BTreeMap<String, Vec<i32>>),
}

/// Offsets by topic and partition, as `start = { offsets }` and `offsets export` have them.
pub type Offsets = BTreeMap<String, BTreeMap<i32, i64>>;

/// How many partitions each of some topics has.
pub type PartitionCounts = BTreeMap<String, i32>;

/// Where a partition starts that has no committed position of this pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// At the group's offset, whoever committed it.
    GroupOffsets,
    /// At the first record of the log.
    Earliest,
    /// At the last stable offset.
    Latest,
    /// At the first record whose timestamp (milliseconds since 1970) is this or later, in log order.
    Timestamp(i64),
    /// At these offsets; a partition that is not listed takes the group's, else `otherwise`.
    Offsets(Offsets),
}

/// What to do if nothing else says where to start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Otherwise {
    /// At the first record of the log.
    Earliest,
    /// At the last stable offset.
    Latest,
    /// Nowhere: it is an error.
    Fail,
}

/// Where a bounded run ends; exclusive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// At the group's offsets; a partition without one is an error.
    GroupOffsets,
    /// At the last stable offset of now.
    Latest,
    /// At the first record of this time or later, the end if there is none.
    Timestamp(i64),
    /// At these offsets; a partition that is not listed has no stop.
    Offsets(Offsets),
}

/// What to do when the log no longer (or not yet) holds the position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutOfRange {
    /// Stop with an error.
    Fail,
    /// Go on at the first record of the log.
    Earliest,
    /// Go on at the end.
    Latest,
}

/// When positions are committed to the group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommitOffsets {
    /// With each checkpoint.
    OnCheckpoint,
    /// Each `auto_commit_interval`, without checkpoints.
    Periodic,
    /// Never.
    Never,
}

/// Where the truth about positions is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Truth {
    /// In the consumer group.
    Group,
    /// In the newest checkpoints; what the group holds is for the eyes of monitoring.
    Checkpoint,
}

/// Where a record's event time comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventTime {
    /// Kafka's timestamp.
    Record,
    /// A JSON pointer into the value: a number of milliseconds since 1970, or an RFC 3339 time.
    Pointer(String),
}

/// A Kafka source.
#[derive(Debug, Clone)]
pub struct KafkaSource {
    /// Its name in the pipeline.
    pub name: String,
    /// Where it reads.
    pub cluster: Cluster,
    /// What it reads.
    pub subscription: Subscription,
    /// The consumer group.
    pub group: String,
    /// Where a partition starts.
    pub start: Start,
    /// What to do if nothing else says where to start.
    pub otherwise: Otherwise,
    /// Where the run ends; `None`: never.
    pub stop: Option<Stop>,
    /// What to do when a position is not in the log.
    pub on_out_of_range: OutOfRange,
    /// Where the truth about positions is.
    pub truth: Truth,
    /// When positions are committed.
    pub commit_offsets: CommitOffsets,
    /// Spacing of periodic commits.
    pub auto_commit_interval: Duration,
    /// How long the group waits for a silent member.
    pub session_timeout: Duration,
    /// Records in one call of a plugin, at most.
    pub max_batch: usize,
    /// How often new partitions and topics are looked for.
    pub discovery_interval: Duration,
    /// Where event time comes from.
    pub event_time: EventTime,
    /// How its records move event time.
    pub time: TimeSettings,
}

/// How the records of a source move event time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeSettings {
    /// How much later than the newest event an event may come and still be in time.
    pub out_of_orderness: Duration,
    /// After how long a silent partition no longer holds event time back.
    pub idle_after: Duration,
    /// How long a partition that brings nothing is waited for beyond the end of its log, before records of others that
    /// meet it go on.
    pub max_wait: Duration,
    /// What is further ahead of the clock does not move event time; `None`: no limit.
    pub max_ahead: Option<Duration>,
    /// What becomes of a record whose event time cannot be; `None`: it is a dead letter, or stops the pipeline if there
    /// are none, once something in the pipeline goes by time.
    pub on_bad_time: Option<OnBadTime>,
}

impl Default for TimeSettings {
    fn default() -> Self {
        Self {
            out_of_orderness: Duration::from_secs(5),
            idle_after: Duration::from_secs(60),
            max_wait: Duration::ZERO,
            max_ahead: None,
            on_bad_time: None,
        }
    }
}

impl TimeSettings {
    /// The latest event time that moves anything while the clock stands at `clock`, both in milliseconds since 1970.
    pub fn latest(&self, clock: i64) -> i64 {
        let ms = |of: Duration| i64::try_from(of.as_millis()).unwrap_or(i64::MAX);
        let ahead = self.max_ahead.map(|ahead| clock.saturating_add(ms(ahead)));
        ahead.unwrap_or(LATEST_EVENT_TIME).min(LATEST_EVENT_TIME)
    }
}

/// What becomes of a record whose event time cannot be. It moves event time in no case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnBadTime {
    /// It is processed.
    Use,
    /// It is left out, and counted.
    Skip,
    /// It goes to the dead letters.
    DeadLetter,
    /// The pipeline stops.
    Fail,
}

/// How records lie in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileFormat {
    /// One JSON object a line: key, value, timestamp, headers.
    Json,
    /// A line is a value.
    Lines,
}

/// A source that reads a file, `-` for standard input. For development.
#[derive(Debug, Clone)]
pub struct FileSource {
    /// Its name in the pipeline.
    pub name: String,
    /// The file; `None`: standard input.
    pub path: Option<PathBuf>,
    /// How records lie in it.
    pub format: FileFormat,
    /// Records in one call of a plugin, at most.
    pub max_batch: usize,
    /// Where event time comes from; `Record` is the line's `timestamp`, else the time of reading.
    pub event_time: EventTime,
    /// How its records move event time.
    pub time: TimeSettings,
}

/// A place that records come from.
#[derive(Debug, Clone)]
#[expect(
    clippy::large_enum_variant,
    reason = "there are a few of them in a process, and most are Kafka"
)]
pub enum Source {
    /// Kafka.
    Kafka(KafkaSource),
    /// A file or standard input.
    File(FileSource),
}

impl Source {
    /// How its records move event time.
    pub fn time(&self) -> TimeSettings {
        match self {
            Source::Kafka(source) => source.time,
            Source::File(source) => source.time,
        }
    }

    /// Its name in the pipeline.
    pub fn name(&self) -> &str {
        match self {
            Source::Kafka(source) => &source.name,
            Source::File(source) => &source.name,
        }
    }
}

/// Whether an operator's plugin is the name of one that comes with Sandbar, and not a path.
pub fn is_ready_made(plugin: &str) -> bool {
    !plugin.contains(['/', '\\', '.'])
}

/// Where those may lie, from the program's folder on: installed beside it, as a built tree has them, as packages have
/// them.
const READY_MADE_FOLDERS: [&str; 3] = ["plugins", "../plugins", "../share/sandbar/plugins"];

/// The folders in which plugins may lie that come with this program.
///
/// # Errors
/// The system does not say where the program is.
pub fn ready_made_folders() -> std::io::Result<Vec<PathBuf>> {
    let program = std::env::current_exe().and_then(std::fs::canonicalize)?;
    let beside = program.parent().unwrap_or(std::path::Path::new("."));
    Ok(READY_MADE_FOLDERS.iter().map(|folder| beside.join(folder)).collect())
}

/// What happens to a record on which a plugin traps or breaks a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnError {
    /// The pipeline stops with exit code 10.
    Fail,
    /// The record is left out, and counted.
    Skip,
    /// The record goes to the dead letters.
    DeadLetter,
}

/// A batch is read in pieces of 2 MiB and less, and what a plugin hands over at once is no more than its memory of 64
/// MiB: so much lets a batch grow a hundredfold, or four plugins in a row hand over as much as they can.
pub const BATCH_BYTES: u64 = 256 << 20;

/// What an instance of a plugin may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of linear memory.
    pub memory_bytes: u64,
    /// Time of one call.
    pub call_time: Duration,
    /// Bytes that a batch may take on its way through all plugins of a worker, until it is handed to the sinks.
    pub batch_bytes: u64,
    /// When it is replaced by a new one, though nothing went wrong.
    pub recycling: Recycling,
}

/// When an instance of a plugin is worn out: the runtimes of some languages lose memory with each call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recycling {
    /// Bytes of linear memory, if it grew since its first call.
    pub memory_bytes: u64,
    /// Records that it was called with.
    pub records: Option<u64>,
    /// Time since it was made.
    pub age: Option<Duration>,
}

impl Recycling {
    /// What is left of the memory an instance may use as long as a call of it takes.
    pub fn usual_memory(limit_bytes: u64) -> u64 {
        limit_bytes / 4 * 3
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_bytes: 64 << 20,
            call_time: Duration::from_secs(1),
            batch_bytes: BATCH_BYTES,
            recycling: Recycling {
                memory_bytes: Recycling::usual_memory(64 << 20),
                records: None,
                age: None,
            },
        }
    }
}

/// What an operator or a sink reads: a source, or an output of an operator.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Input {
    /// Name of the source or operator.
    pub from: String,
    /// The operator's output by name; `None`: its first, or a source.
    pub output: Option<String>,
}

/// A plugin placed in a pipeline.
#[derive(Debug, Clone)]
pub struct OperatorConfig {
    /// Its name in the pipeline.
    pub name: String,
    /// The component's file.
    pub plugin: PathBuf,
    /// What it reads, in the order of the plugin's inputs.
    pub inputs: Vec<Input>,
    /// Handed to the plugin, as JSON text; empty if the file has none.
    pub config: String,
    /// The place of that in the pipeline file, as an error shows it; empty if the file has none.
    pub config_place: String,
    /// What happens to a record on which it fails.
    pub on_error: OnError,
    /// What it may use.
    pub limits: Limits,
}

impl OperatorConfig {
    /// An error of its configuration, with the place in the pipeline file; another one as it is.
    pub fn placed(&self, mut error: Error) -> Error {
        if error.kind == Kind::Invalid && !self.config_place.is_empty() {
            error.why = format!("{}\n{}", error.why, self.config_place);
        }
        error
    }
}

/// How a record's partition follows from its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Partitioner {
    /// As Java clients do.
    Murmur2,
    /// As librdkafka does by default.
    Crc32,
}

/// Where a sink's records go.
#[derive(Debug, Clone)]
pub enum Target {
    /// A Kafka topic.
    Kafka {
        /// Where it writes.
        cluster: Cluster,
        /// The topic, which must exist.
        topic: String,
        /// How partitions follow from keys.
        partitioner: Partitioner,
    },
    /// A file; `None`: standard output.
    File(Option<PathBuf>),
}

/// What happens to an output that Kafka refuses for good: for its time, its size, or a null key if the topic is
/// compacted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnRefused {
    /// The pipeline stops.
    Fail,
    /// The output is left out, and counted.
    Skip,
    /// The output goes to the dead letters.
    DeadLetter,
}

/// A place that records go to.
#[derive(Debug, Clone)]
pub struct Sink {
    /// Its name in the pipeline; `dead-letters` for the dead letters.
    pub name: String,
    /// What it takes; empty for the dead letters.
    pub from: Vec<Input>,
    /// Where they go.
    pub target: Target,
    /// What happens to what Kafka refuses; a file refuses nothing.
    pub on_refused: OnRefused,
}

/// What a crash may do to the outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// No checkpoints: positions are committed only after their outputs were acknowledged.
    None,
    /// State and positions agree; outputs may repeat.
    AtLeastOnce,
    /// Outputs, state and positions are those of one prefix of the input.
    ExactlyOnce,
}

/// `[checkpoint]`.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    /// From the start of one to the start of the next.
    pub interval: Duration,
    /// How long one may take.
    pub timeout: Duration,
    /// How many checkpoints of each task are kept, the last one among them.
    pub keep: usize,
    /// How many in a row may fail before the pipeline stops.
    pub tolerable_failures: u32,
    /// Where they are kept.
    pub location: Location,
}

/// Where checkpoints and savepoints are kept.
#[derive(Clone, PartialEq, Eq)]
pub enum Location {
    /// A folder.
    Folder(PathBuf),
    /// A bucket of S3, or of what speaks its language.
    S3 {
        /// The bucket.
        bucket: String,
        /// What stands before the names of all objects; empty or without slashes at its ends.
        prefix: String,
        /// Settings over those of the `AWS_*` variables; secrets are resolved.
        properties: BTreeMap<String, String>,
    },
}

impl Location {
    /// What a person wrote: a folder, `file://…` or `s3://bucket/prefix`; the error is why it is neither. `properties`
    /// are a bucket's.
    pub fn parse(text: &str, properties: BTreeMap<String, String>) -> Result<Self, &'static str> {
        match text.split_once("://") {
            None if text.is_empty() => Err("it is empty"),
            None => Ok(Location::Folder(text.into())),
            Some(("file", path)) if path.starts_with('/') => Ok(Location::Folder(path.into())),
            Some(("file", _)) => Err("a file:// address has no host: file:///path, or the folder alone"),
            Some(("s3", place)) => {
                let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
                let prefix = prefix.trim_matches('/');
                if bucket.is_empty() || prefix.split('/').any(|part| part == ".." || part == ".") {
                    return Err("it is a folder, file://… or s3://bucket/prefix");
                }
                Ok(Location::S3 {
                    bucket: bucket.to_owned(),
                    prefix: prefix.to_owned(),
                    properties,
                })
            }
            Some(_) => Err("it is a folder, file://… or s3://bucket/prefix"),
        }
    }
}

/// As a person writes it in `store`.
impl fmt::Display for Location {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Location::Folder(path) => write!(out, "{}", path.display()),
            Location::S3 { bucket, prefix, .. } if prefix.is_empty() => write!(out, "s3://{bucket}"),
            Location::S3 { bucket, prefix, .. } => write!(out, "s3://{bucket}/{prefix}"),
        }
    }
}

/// Values of properties may be secrets: they are not shown.
impl fmt::Debug for Location {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Location({self})")
    }
}

/// A pipeline, checked.
#[derive(Debug, Clone)]
pub struct Pipeline {
    /// Its name.
    pub name: String,
    /// What a crash may do.
    pub delivery: Delivery,
    /// Threads, each a member of the group.
    pub workers: usize,
    /// A stable id of this process among the pipeline's members on this machine; set: static group membership.
    pub instance: Option<String>,
    /// Bytes that the queues of this process may hold, of records read and not processed and of outputs not
    /// acknowledged.
    pub queue_bytes: u64,
    /// Bytes that a batch may take on its way through all plugins of a worker, until it is handed to the sinks.
    pub batch_bytes: u64,
    /// Where records come from.
    pub sources: Vec<Source>,
    /// What is done with them; an operator stands behind those that it reads.
    pub operators: Vec<OperatorConfig>,
    /// Where they go.
    pub sinks: Vec<Sink>,
    /// Where refused records go.
    pub dead_letters: Option<Sink>,
    /// Checkpoints, if there are any.
    pub checkpoint: Option<Checkpoint>,
    /// Folder of the local working copy: the state of the tasks, and usually compiled plugins.
    pub state_dir: PathBuf,
    /// Where compiled plugins are kept.
    pub compile_cache: CompileCache,
    /// Bytes that caches and write buffers of the state may hold, over all tasks of this process.
    pub state_memory: u64,
    /// A restore may drop stores that no operator declares any more.
    pub allow_dropped_state: bool,
    /// Where the core dump of a plugin goes that is at fault, if one is wanted.
    pub core_dumps: Option<PathBuf>,
    /// What it may use a second.
    pub quotas: RateQuotas,
    /// Bytes of a sink's file at most, if outputs are kept back to be compared: then each stands with the number of the
    /// partition that it stems from.
    pub keeps_outputs: Option<u64>,
}

/// What a run may use a second; `None`: nobody limits it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RateQuotas {
    /// Bytes of keys, values and headers that it reads.
    pub bytes_in: Option<u64>,
    /// The same that it writes.
    pub bytes_out: Option<u64>,
    /// Thousandths of a core.
    pub cpu_thousandths: Option<u64>,
}

impl Pipeline {
    /// The cluster of each source and sink that has one; the same may come again.
    pub fn clusters(&self) -> Vec<&Cluster> {
        let read = self.sources.iter().filter_map(|source| match source {
            Source::Kafka(source) => Some(&source.cluster),
            Source::File(_) => None,
        });
        let written = self.sinks.iter().chain(&self.dead_letters);
        let written = written.filter_map(|sink| match &sink.target {
            Target::Kafka { cluster, .. } => Some(cluster),
            Target::File(_) => None,
        });
        read.chain(written).collect()
    }
}

/// A folder of compiled plugins.
#[derive(Clone, PartialEq, Eq)]
pub struct CompileCache {
    /// The folder.
    pub folder: PathBuf,
    /// The key of the codes that bind an entry to its plugin, if others than this user may have written it.
    pub key: Option<[u8; 32]>,
    /// Whether what is not there is compiled, and put there.
    pub is_filled: bool,
}

impl CompileCache {
    /// One that only this user writes, and that is filled.
    pub fn own(folder: PathBuf) -> Self {
        Self {
            folder,
            key: None,
            is_filled: true,
        }
    }
}

/// The key is not shown.
impl fmt::Debug for CompileCache {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("CompileCache")
            .field("folder", &self.folder)
            .field("is_filled", &self.is_filled)
            .finish_non_exhaustive()
    }
}
