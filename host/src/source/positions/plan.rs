//! The plan of a run: every partition's start and stop as a number, resolved once, for all of them at once, before
//! anything is processed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::agreement::Onlooker;
use super::checkpointed::{self, CheckpointedPositions};
use super::counts::{self, KeyedSources};
use super::start::{self, Facts, StartOrigin, Unresolved};
use super::topics::{self, Layout, Sharing};
use crate::config::{CommitOffsets, KafkaSource, PartitionCounts, Start, Stop, Truth};
use crate::error::{Error, Kind, Result};
use crate::kafka::consumer::{self, Client, Identity, MemberLimits, lock};
use crate::kafka::lookup::{CommittedOffset, Lookup, PATIENCE, Which};
use crate::offset_metadata::{self, KeptStop, Pointer};
use crate::record::{Committable, TopicPartition};
use crate::source::member::commit;
use crate::source::merge::MergedSource;
use crate::task_id::TaskIds;

/// The members commit what was not committed in this time.
const FIRST_POINTERS: Duration = Duration::from_secs(5);
/// What librdkafka may keep of a partition that is held back for others, at the least.
const LEAST_QUEUE: u64 = 256 << 10;

/// Who reads: what the members of a process have in common, and what it knows of the subtopology that they read.
#[derive(Debug, Clone)]
pub struct MemberSettings {
    /// The pipeline's name.
    pub pipeline: String,
    /// A stable id of this process among the pipeline's members; set: static group membership.
    pub instance: Option<String>,
    /// Threads, each a member of the group.
    pub workers: usize,
    /// Bytes that one consumer may hold of records read and not yet handed over.
    pub queue_bytes: u64,
    /// Where the subtopology's records come to state.
    pub keyed: KeyedSources,
    /// The pipeline's sources of other subtopologies that are read in the same group.
    pub beside: Vec<KafkaSource>,
    /// How long a worker may go without asking the group for anything; after that its partitions are somebody else's.
    pub poll_interval: Duration,
    /// For each source which one it is among those that meet, if partitions of one number are merged by event time.
    pub merged: Option<Vec<usize>>,
}

/// A partition, where it starts and why, and where it stops.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedStart {
    /// Index of its source in the subtopology.
    pub source: usize,
    /// The partition.
    pub partition: TopicPartition,
    /// The first offset to read.
    pub from: i64,
    /// Why there.
    pub origin: StartOrigin,
    /// The first offset that is not read; `None`: it never stops.
    pub stop: Option<i64>,
    /// What rides with the group's offset there; `None`: the group has none, or not one of ours.
    pub metadata: Option<String>,
    /// What somebody else committed to the group, if the settings pass over it.
    pub passed_over: Option<i64>,
    /// The epoch of the leader that took the record before `from`, if the group's offset says so.
    pub leader_epoch: Option<i32>,
}

/// Where the partitions of a subtopology start and stop, and what the workers of this process tell each other about
/// them.
#[derive(Debug)]
pub struct Plan {
    pub(in crate::source) sources: Vec<KafkaSource>,
    pub(in crate::source) member: MemberSettings,
    pub(in crate::source) sharing: Sharing,
    /// There is one if the group shares out one topic and others follow it.
    pub(in crate::source) onlooker: Option<Onlooker>,
    /// Topics whose number of partitions must stay as it is.
    counts: PartitionCounts,
    placed: BTreeMap<TopicPartition, ResolvedStart>,
    /// Positions that a worker gave up, for the next one: all there is if nothing is committed.
    handed_over: Mutex<BTreeMap<TopicPartition, i64>>,
    /// Partitions that a worker of this process has read up to their stop.
    complete: Mutex<BTreeSet<TopicPartition>>,
    /// What the checkpoints hold, if the truth is in them.
    pub(super) kept: Option<Mutex<CheckpointedPositions>>,
}

/// Gives what checkpoints hold of partitions.
pub type AskKept<'a> = dyn Fn(&[TopicPartition]) -> Result<CheckpointedPositions> + 'a;

/// Looks the topics of a subtopology up, resolves all starts and stops to numbers and commits each partition's first
/// pointer, so that a crash before the first commit starts at the same place. Once a process, before its workers join.
///
/// `kept`: if checkpoints are the truth, gives what the newest ones hold of the subtopology's partitions. Nothing is
/// committed then, and what the group holds is no position of ours.
///
/// Errors are of kind `Kafka`: no broker answers within 15 s, a topic, partition or offset that the file names does not
/// exist, nothing says where to start, topics that meet have numbers of partitions that do not fit, the group's members
/// do not agree with this process. `Corrupt`: a topic has another number of partitions than its state was made with.
/// `Invalid`: sources that cannot be read together.
pub fn plan(sources: &[KafkaSource], member: &MemberSettings, kept: Option<&AskKept<'_>>) -> Result<Plan> {
    // At the start there is no later: what only took too long is a broker that is not there.
    resolve(sources, member, kept).map_err(|error| match error.kind {
        Kind::TimedOut => Error {
            kind: Kind::Kafka,
            ..error
        },
        _ => error,
    })
}

fn resolve(sources: &[KafkaSource], member: &MemberSettings, kept: Option<&AskKept<'_>>) -> Result<Plan> {
    let Some(first) = sources.first() else {
        return Err(Error::new(
            Kind::Bug,
            "failed to plan: no source",
            "a set has at least one",
        ));
    };
    let client = Arc::new(consumer::non_member(first)?);
    let lookup = |source: usize| lookup(&client, &sources[source]);
    let layout = topics::lay_out(sources, &member.beside, &lookup)?;
    let counts = counts::fixed(sources, &member.keyed, &layout)?;
    let all: Vec<_> = layout.partitions.iter().map(|(_, at)| at.clone()).collect();
    let kept = kept.map(|kept| kept(&all)).transpose()?;
    let (sharing, onlooker) = shared(sources, &layout, &client, kept.is_some())?;
    let mut facts = read_facts(sources, &layout, &lookup(0), kept.as_ref())?;
    measure_open_ends(sources, &layout, &mut facts)?;
    let placed = place(sources, &layout, &facts)?;
    let plan = Plan {
        sources: sources.to_vec(),
        member: member.clone(),
        sharing,
        onlooker,
        counts,
        placed: placed
            .into_iter()
            .map(|placed| (placed.partition.clone(), placed))
            .collect(),
        handed_over: Mutex::default(),
        complete: Mutex::default(),
        kept: kept.map(Mutex::new),
    };
    plan.check_pointers()?;
    plan.commit_first_pointers(&client, &layout.partitions, &facts);
    Ok(plan)
}

/// Whether a subtopology can be read with the topics as they are now; nothing is committed. Errors: as [`plan`].
pub fn check(sources: &[KafkaSource], member: &MemberSettings) -> Result<()> {
    let Some(first) = sources.first() else { return Ok(()) };
    let client = Arc::new(consumer::non_member(first)?);
    let layout = topics::lay_out(sources, &member.beside, &|source: usize| {
        lookup(&client, &sources[source])
    })?;
    counts::fixed(sources, &member.keyed, &layout)?;
    let is_kept = first.truth == Truth::Checkpoint;
    shared(sources, &layout, &client, is_kept).map(|_sharing| ())
}

/// How the subtopology is shared out, and who looks whether the group's members agree on that.
fn shared(
    sources: &[KafkaSource],
    layout: &Layout,
    client: &Arc<Client>,
    is_kept: bool,
) -> Result<(Sharing, Option<Onlooker>)> {
    // Without a group that would share them out, the workers do.
    if is_kept {
        return Ok((Sharing::ByHand, None));
    }
    match Onlooker::of(client, sources, &layout.sharing) {
        Some(onlooker) => Ok((onlooker.share(sources, &layout.counts)?, Some(onlooker))),
        None => Ok((layout.sharing.clone(), None)),
    }
}

fn lookup<'a>(client: &'a Client, source: &KafkaSource) -> Lookup<'a> {
    Lookup::new(client, format!("failed to start source `{}`", source.name), PATIENCE)
}

/// Ends are read before anything is looked up by time: a record that arrives in between lies behind the end, never
/// before the start.
fn read_facts(
    sources: &[KafkaSource],
    layout: &Layout,
    lookup: &Lookup<'_>,
    kept: Option<&CheckpointedPositions>,
) -> Result<Vec<Facts>> {
    let all: Vec<_> = layout.partitions.iter().map(|(_, at)| at.clone()).collect();
    let (committed, own) = checkpointed::committed(sources, &all, lookup, kept)?;
    let begins = lookup.offsets(&all, Which::Begin)?;
    let ends = lookup.offsets(&all, Which::End)?;
    let mut facts: Vec<_> = committed
        .into_iter()
        .zip(own)
        .zip(begins.into_iter().zip(ends))
        .map(|((committed, kept), (begin, end))| {
            let (begin, end) = (begin.unwrap_or(0), end.unwrap_or(0));
            Facts {
                begin,
                end,
                high: end,
                committed,
                kept,
                ..Facts::default()
            }
        })
        .collect();
    for (index, source) in sources.iter().enumerate() {
        let of_source: Vec<_> = (0..all.len()).filter(|&at| layout.partitions[at].0 == index).collect();
        if let Start::Timestamp(time) = source.start {
            let wanted = of_source
                .iter()
                .copied()
                .filter(|&at| facts[at].own().is_none())
                .collect::<Vec<_>>();
            for (at, found) in by_time(&wanted, &all, time, lookup)? {
                facts[at].at_start_time = found;
            }
        }
        if let Some(Stop::Timestamp(time)) = source.stop {
            for (at, found) in by_time(&of_source, &all, time, lookup)? {
                facts[at].at_stop_time = found;
            }
        }
    }
    Ok(facts)
}

fn by_time(
    wanted: &[usize],
    all: &[TopicPartition],
    time: i64,
    lookup: &Lookup<'_>,
) -> Result<Vec<(usize, Option<i64>)>> {
    let partitions: Vec<_> = wanted.iter().map(|&at| all[at].clone()).collect();
    Ok(wanted
        .iter()
        .copied()
        .zip(lookup.offsets(&partitions, Which::Time(time))?)
        .collect())
}

/// A position behind the last stable offset is in the log all the same while transactions are open: only then the true
/// end is asked for.
fn measure_open_ends(sources: &[KafkaSource], layout: &Layout, facts: &mut [Facts]) -> Result<()> {
    let beyond: Vec<_> = layout
        .partitions
        .iter()
        .zip(&*facts)
        .enumerate()
        .filter(|(_, ((source, at), facts))| {
            let unbounded = Facts {
                high: i64::MAX,
                ..(*facts).clone()
            };
            start::start(&sources[*source], at, &unbounded).is_ok_and(|(from, _)| from > facts.end)
        })
        .map(|(index, _)| index)
        .collect();
    if beyond.is_empty() {
        return Ok(());
    }
    let client = consumer::uncommitted_non_member(&sources[0])?;
    let partitions: Vec<_> = beyond.iter().map(|&index| layout.partitions[index].1.clone()).collect();
    let highs = lookup(&client, &sources[0]).offsets(&partitions, Which::End)?;
    for (index, high) in beyond.into_iter().zip(highs) {
        facts[index].high = high.unwrap_or(0).max(facts[index].end);
    }
    Ok(())
}

fn place(sources: &[KafkaSource], layout: &Layout, facts: &[Facts]) -> Result<Vec<ResolvedStart>> {
    let mut placed = Vec::with_capacity(facts.len());
    for (index, source) in sources.iter().enumerate() {
        let (partitions, facts): (Vec<_>, Vec<_>) = layout
            .partitions
            .iter()
            .zip(facts)
            .filter(|((of, _), _)| *of == index)
            .map(|((_, at), facts)| (at.clone(), facts))
            .unzip();
        if let Start::Offsets(offsets) = &source.start {
            topics::refuse_unknown(source, offsets, &partitions)?;
        }
        if let Some(Stop::Offsets(offsets)) = &source.stop {
            topics::refuse_unknown(source, offsets, &partitions)?;
        }
        let stops = stops(source, &partitions, &facts)?;
        // Each partition of the first run got a pointer of ours, so that one without was found between two runs.
        let is_restart = facts.iter().any(|facts| facts.own().is_some());
        let start = if is_restart { start::restart } else { start::start };
        for ((partition, facts), stop) in partitions.into_iter().zip(facts).zip(stops) {
            let (from, origin) =
                start(source, &partition, facts).map_err(|why| unresolved(source, &partition, facts, why))?;
            let leader_epoch = match origin {
                StartOrigin::Committed => facts.own().and_then(|own| own.leader_epoch),
                StartOrigin::GroupOffset => facts.committed.as_ref().and_then(|held| held.leader_epoch),
                _ => None,
            };
            placed.push(ResolvedStart {
                source: index,
                partition,
                from,
                origin,
                stop,
                leader_epoch,
                metadata: facts.own().map(|own| own.metadata.clone()),
                passed_over: facts.passed_over(from, origin),
            });
        }
    }
    Ok(placed)
}

fn stops(source: &KafkaSource, partitions: &[TopicPartition], facts: &[&Facts]) -> Result<Vec<Option<i64>>> {
    let Some(setting) = &source.stop else {
        return Ok(vec![None; partitions.len()]);
    };
    let kept = start::kept_stops(
        offset_metadata::stop_setting(setting),
        facts.iter().map(|facts| facts.own()),
    );
    let resolved = kept
        .into_iter()
        .zip(partitions.iter().zip(facts))
        .map(|(kept, (at, facts))| match kept {
            Some(kept) => Ok(Some(kept)),
            None => start::stop(setting, at, facts).map_err(|why| unresolved(source, at, facts, why)),
        });
    resolved.collect()
}

fn unresolved(source: &KafkaSource, at: &TopicPartition, facts: &Facts, why: Unresolved) -> Error {
    let name = &source.name;
    match why {
        Unresolved::OutOfRange(offset) => no_offset(source, at, offset, facts, "start"),
        Unresolved::NoStart => Error::new(
            Kind::Kafka,
            format!("failed to start source `{name}`: nothing says where {at} starts"),
            format!(
                "the group {} has no offset there, and otherwise = \"fail\"",
                source.group
            ),
        )
        .hint("set otherwise = \"earliest\" or \"latest\", or commit an offset with `sandbar offsets set`"),
        Unresolved::NoStop => Error::new(
            Kind::Kafka,
            format!("failed to start source `{name}`: nothing says where {at} stops"),
            format!(
                "stop = \"group-offsets\", and the group {} has no offset there",
                source.group
            ),
        ),
    }
}

/// The log does not hold a position, and the source says that this is an error. `verb`: what failed, "start" or "read".
pub(in crate::source) fn no_offset(
    source: &KafkaSource,
    at: &TopicPartition,
    offset: i64,
    facts: &Facts,
    verb: &str,
) -> Error {
    let said = match (&source.start, facts.own()) {
        (_, Some(_)) if facts.kept.is_some() => format!("the newest checkpoint is at {offset}"),
        (_, Some(_)) => format!("the group {} has committed {offset}", source.group),
        (Start::Offsets(offsets), None) if offsets.get(&*at.topic).is_some_and(|of| of.contains_key(&at.partition)) => {
            format!(
                "start = {{ offsets = {{ {} = {{ {} = {offset} }} }} }}",
                at.topic, at.partition
            )
        }
        _ => format!("the group's offset in {} is {offset}", source.group),
    };
    Error::new(
        Kind::Kafka,
        format!(
            "failed to {verb} source `{}`: partition {} has no offset {offset}",
            source.name, at.partition
        ),
        format!("the log of {at} holds {}..{}; {said}", facts.begin, facts.high),
    )
    .hint("set on-out-of-range = \"earliest\" or \"latest\", or give an offset in that range")
}

impl Plan {
    /// How each source is merged with the others; `None`: no two partitions are of one task, or nothing depends on
    /// their order. Errors: an event-time pointer that is none (`Invalid`).
    pub(in crate::source) fn merged(&self) -> Result<Option<Vec<MergedSource>>> {
        let Some(ranks) = self.ranks() else { return Ok(None) };
        let sources = self.sources.iter().zip(ranks);
        let merged = sources.map(|(source, rank)| MergedSource::new(*rank, &source.event_time, source.time));
        merged.collect::<Result<_>>().map(Some)
    }

    fn ranks(&self) -> Option<&[usize]> {
        let topics: BTreeSet<_> = self.placed.keys().map(|at| &at.topic).collect();
        self.member.merged.as_deref().filter(|_| topics.len() > 1)
    }

    /// What a consumer may hold. Each partition that is held back for others has a queue of its own.
    pub(in crate::source) fn limits(&self) -> MemberLimits {
        let queues = match self.ranks() {
            Some(_) => self.placed.len().div_ceil(self.member.workers.max(1)).max(1) as u64,
            None => 1,
        };
        MemberLimits {
            queue_bytes: (self.member.queue_bytes / queues).max(LEAST_QUEUE.min(self.member.queue_bytes)),
            poll_interval: self.member.poll_interval,
        }
    }

    /// Every partition known when the run was planned, with its start and stop, by topic and number.
    pub fn lines(&self) -> Vec<ResolvedStart> {
        self.placed.values().cloned().collect()
    }

    /// How many partitions each topic has whose records come to state; the number must stay as it is.
    pub fn counts(&self) -> &PartitionCounts {
        &self.counts
    }

    /// Whether the run ends by itself: each source has a stop, and each partition got one.
    pub fn is_bounded(&self) -> bool {
        self.sources.iter().all(|source| source.stop.is_some())
            && self.placed.values().all(|placed| placed.stop.is_some())
    }

    /// What tells a worker of this process from the group's other members.
    pub(in crate::source) fn identity(&self, worker: usize) -> Identity {
        let MemberSettings { pipeline, instance, .. } = &self.member;
        // A process may have several sets in one group: the source's name tells its members apart.
        let source = &self.sources[0].name;
        Identity {
            client_id: format!("sandbar-{pipeline}-{worker}"),
            instance: instance
                .as_ref()
                .map(|instance| format!("{instance}-{source}-{worker}")),
        }
    }

    pub(in crate::source) fn placed(&self, at: &TopicPartition) -> Option<&ResolvedStart> {
        self.placed.get(at)
    }

    pub(in crate::source) fn stops(&self) -> impl Iterator<Item = (&TopicPartition, i64)> {
        self.placed
            .values()
            .filter_map(|placed| Some((&placed.partition, placed.stop?)))
    }

    /// The source that reads a topic.
    pub(in crate::source) fn source_of(&self, topic: &str) -> Option<usize> {
        let reads = |source: &KafkaSource| match &source.subscription {
            crate::config::Subscription::Topics(names) => names.iter().any(|name| name == topic),
            crate::config::Subscription::Partitions(named) => named.contains_key(topic),
            crate::config::Subscription::Pattern(_) => true,
        };
        self.sources.iter().position(reads)
    }

    /// Whether positions of this subtopology are committed to the group.
    pub(in crate::source) fn commits(&self) -> bool {
        self.kept.is_none()
            && self
                .sources
                .iter()
                .any(|source| source.commit_offsets != CommitOffsets::Never)
    }

    /// What rides with a partition's offset if there are no checkpoints: its task, and the stop of a bounded run.
    pub(in crate::source) fn pointer(&self, source: usize, at: &TopicPartition, stop: Option<i64>) -> String {
        Pointer::first(TaskIds::of(&self.sources).task(at)).with_stop(self.kept_stop(source, stop))
    }

    /// The first position of a partition, with a pointer of ours.
    pub(in crate::source) fn first(&self, placed: &ResolvedStart) -> Committable {
        Committable {
            partition: placed.partition.clone(),
            next: placed.from,
            leader_epoch: placed.leader_epoch,
            metadata: self.pointer(placed.source, &placed.partition, placed.stop),
        }
    }

    /// The stop as it is kept, and the setting that said so.
    pub(in crate::source) fn kept_stop(&self, source: usize, stop: Option<i64>) -> Option<KeptStop> {
        let setting = self.sources[source].stop.as_ref();
        setting.zip(stop).map(|(setting, at)| KeptStop {
            at,
            setting: offset_metadata::stop_setting(setting),
        })
    }

    fn check_pointers(&self) -> Result<()> {
        for source in &self.sources {
            let stop = source.stop.as_ref().map(|setting| KeptStop {
                at: i64::MAX,
                setting: offset_metadata::stop_setting(setting),
            });
            let longest = Pointer::first(format!("{}/{}", source.name, i32::MAX)).with_stop(stop);
            if longest.len() > offset_metadata::LIMIT {
                return Err(Error::new(
                    Kind::Invalid,
                    format!("source `{}` has too long a name", source.name),
                    format!(
                        "it rides with every committed offset, which holds at most {} bytes",
                        offset_metadata::LIMIT
                    ),
                ));
            }
        }
        Ok(())
    }

    /// Accepted only while the group is empty. If it lives, its members commit the first pointers of what they are
    /// assigned.
    fn commit_first_pointers(&self, client: &Client, partitions: &[(usize, TopicPartition)], facts: &[Facts]) {
        if !self.commits() {
            return;
        }
        let firsts = partitions
            .iter()
            .zip(facts)
            .filter(|(_, facts)| facts.own().is_none())
            .filter_map(|((_, at), _)| Some(self.first(self.placed(at)?)))
            .collect::<Vec<_>>();
        if firsts.is_empty() {
            return;
        }
        if let Err(error) = commit::and_wait(client, &firsts, FIRST_POINTERS) {
            tracing::debug!(error, "first positions are left to the members of the group");
        }
    }

    pub(in crate::source) fn hand_over(&self, at: &TopicPartition, next: i64) {
        lock(&self.handed_over).insert(at.clone(), next);
    }

    pub(in crate::source) fn handed_over(&self, at: &TopicPartition) -> Option<i64> {
        lock(&self.handed_over).get(at).copied()
    }

    pub(in crate::source) fn completed(&self, at: &TopicPartition) {
        lock(&self.complete).insert(at.clone());
    }

    /// A partition was taken away before its last position was committed: its next owner has to read it to its stop.
    pub(in crate::source) fn reopened(&self, at: &TopicPartition) {
        lock(&self.complete).remove(at);
    }

    /// The stops that no worker of this process has reached.
    pub(in crate::source) fn incomplete(&self) -> Vec<(TopicPartition, i64)> {
        let complete = lock(&self.complete);
        self.stops()
            .filter(|(at, _)| !complete.contains(*at))
            .map(|(at, stop)| (at.clone(), stop))
            .collect()
    }
}

/// What rides with a committed offset of this pipeline.
pub(in crate::source) fn own_metadata(committed: &CommittedOffset) -> Option<String> {
    committed.is_ours().then(|| committed.metadata.clone())
}

/// The position of this pipeline in a committed offset.
pub(in crate::source) fn own(committed: &Option<CommittedOffset>) -> Option<i64> {
    committed
        .as_ref()
        .filter(|committed| committed.is_ours())
        .map(|committed| committed.offset)
}
