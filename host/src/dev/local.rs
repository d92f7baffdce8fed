//! A pipeline as a session runs it: every topic on the session's own broker, a checkpoint five times a second, and
//! nothing that a record could stop.

use std::path::Path;
use std::time::Duration;

use super::event::Way;
use crate::config::{
    Checkpoint, Cluster, CommitOffsets, CompileCache, Delivery, FileSource, KafkaSource, Location, OnError, OnRefused,
    Otherwise, OutOfRange, Partitioner, Pipeline, Sink, Source, Start, Subscription, Target, Truth,
};
use crate::error::{Error, Kind, Result};
use crate::kafka::topic_reader::ReadFrom;

/// From one checkpoint to the next: so long an output waits until it is seen.
const INTERVAL: Duration = Duration::from_millis(200);
const TIMEOUT: Duration = Duration::from_secs(60);
const KEEP: usize = 2;
/// Where dead letters go if the file has no place for them.
const DEAD_LETTERS: &str = "dead-letters";

/// A topic that records of the session go through.
#[derive(Debug, Clone)]
pub(super) struct LocalTopic {
    /// The source or sink.
    pub(super) name: String,
    pub(super) topic: String,
    pub(super) cluster: Cluster,
    pub(super) way: Way,
    /// Its partitions, if it is made here; 0: it is a cluster's own.
    pub(super) partitions: u16,
    /// What is put into it at first.
    pub(super) feed: Option<FileSource>,
    /// From where on a person sees it.
    pub(super) from: ReadFrom,
    /// The brokers that the file has for it; none, if it has a file.
    home: Option<String>,
}

impl LocalTopic {
    /// Whether it is this one, by another name.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.topic == other.topic && self.cluster == other.cluster
    }
}

/// The pipeline, and its topics.
pub(super) fn local(
    mut pipeline: Pipeline,
    broker: &Cluster,
    folder: &Path,
    connect: Option<u64>,
) -> Result<(Pipeline, Vec<LocalTopic>)> {
    let is_file = |source: &Source| matches!(source, Source::File(_));
    if connect.is_some() && pipeline.sources.iter().any(is_file) {
        let what = format!("pipeline `{}` reads a file", pipeline.name);
        return Err(Error::new(
            Kind::Usage,
            what,
            "--connect is for pipelines whose sources are all topics of Kafka",
        ));
    }
    let mut topics = Vec::new();
    for source in &mut pipeline.sources {
        let placed = match &*source {
            Source::File(file) => of_file(file, broker, &mut topics),
            Source::Kafka(kafka) => match connect {
                Some(session) => of_cluster(kafka, session, &mut topics)?,
                None => of_topics(kafka, broker, &mut topics)?,
            },
        };
        *source = Source::Kafka(placed);
    }
    for sink in &mut pipeline.sinks {
        place(sink, Way::Out, broker, &mut topics);
    }
    let dead_letters = pipeline.dead_letters.get_or_insert_with(|| Sink {
        name: DEAD_LETTERS.to_owned(),
        from: Vec::new(),
        target: Target::File(None),
        on_refused: OnRefused::Fail,
    });
    place(dead_letters, Way::Dead, broker, &mut topics);
    for operator in &mut pipeline.operators {
        operator.on_error = OnError::DeadLetter;
    }
    let pipeline = Pipeline {
        delivery: match connect {
            Some(_) => Delivery::AtLeastOnce,
            None => Delivery::ExactlyOnce,
        },
        workers: 1,
        instance: None,
        checkpoint: Some(Checkpoint {
            interval: INTERVAL,
            timeout: TIMEOUT,
            keep: KEEP,
            tolerable_failures: 0,
            location: Location::Folder(folder.join("checkpoints")),
        }),
        state_dir: folder.join("state"),
        compile_cache: CompileCache::own(folder.join("state/compiled")),
        ..pipeline
    };
    Ok((pipeline, topics))
}

fn of_file(file: &FileSource, broker: &Cluster, topics: &mut Vec<LocalTopic>) -> KafkaSource {
    // Standard input is what a person types.
    let feed = file.path.is_some().then(|| file.clone());
    add(topics, here(&file.name, &file.name, broker, Way::In, 1, feed));
    KafkaSource {
        name: file.name.clone(),
        cluster: broker.clone(),
        subscription: Subscription::Topics(vec![file.name.clone()]),
        group: "dev".to_owned(),
        start: Start::Earliest,
        otherwise: Otherwise::Earliest,
        stop: None,
        on_out_of_range: OutOfRange::Fail,
        truth: Truth::Group,
        commit_offsets: CommitOffsets::OnCheckpoint,
        auto_commit_interval: Duration::from_secs(5),
        session_timeout: Duration::from_secs(45),
        max_batch: file.max_batch,
        discovery_interval: Duration::from_secs(300),
        event_time: file.event_time.clone(),
        time: file.time,
    }
}

/// The topics of a cluster, as empty ones of the session's broker.
fn of_topics(kafka: &KafkaSource, broker: &Cluster, topics: &mut Vec<LocalTopic>) -> Result<KafkaSource> {
    let named: Vec<(String, u16)> = match &kafka.subscription {
        Subscription::Topics(names) => names.iter().map(|name| (name.clone(), 1)).collect(),
        Subscription::Partitions(by_topic) => {
            let most = |partitions: &Vec<i32>| partitions.iter().max().map_or(1, |most| most.saturating_add(1));
            let each = by_topic.iter();
            each.map(|(topic, partitions)| (topic.clone(), u16::try_from(most(partitions)).unwrap_or(u16::MAX)))
                .collect()
        }
        Subscription::Pattern(pattern) => {
            let what = format!("source `{}` reads the topics that match `{pattern}`", kafka.name);
            let why = "without a cluster nobody knows which these are";
            return Err(Error::new(Kind::Invalid, what, why)
                .hint("add --connect to read them from the cluster that the file names, or name the topics"));
        }
    };
    for (topic, partitions) in &named {
        let own = here(&kafka.name, topic, broker, Way::In, *partitions, None);
        let home = Some(kafka.cluster.brokers.clone());
        add(topics, LocalTopic { home, ..own });
    }
    Ok(KafkaSource {
        cluster: broker.clone(),
        subscription: Subscription::Topics(named.into_iter().map(|(topic, _)| topic).collect()),
        start: Start::Earliest,
        stop: None,
        truth: Truth::Group,
        commit_offsets: CommitOffsets::OnCheckpoint,
        ..kafka.clone()
    })
}

/// The topics of the cluster that the file names. Positions are kept here, and a group of the session's own is joined.
fn of_cluster(kafka: &KafkaSource, session: u64, topics: &mut Vec<LocalTopic>) -> Result<KafkaSource> {
    let names: Vec<String> = match &kafka.subscription {
        Subscription::Topics(names) => names.clone(),
        Subscription::Partitions(by_topic) => by_topic.keys().cloned().collect(),
        Subscription::Pattern(pattern) => crate::kafka::admin::list(&kafka.cluster)?
            .into_iter()
            .map(|topic| topic.name)
            .filter(|name| pattern.is_match(name))
            .collect(),
    };
    let from = match &kafka.start {
        Start::Earliest => ReadFrom::Earliest,
        Start::Timestamp(time) => ReadFrom::Timestamp(*time),
        Start::Latest | Start::GroupOffsets | Start::Offsets(_) => ReadFrom::Latest,
    };
    for name in &names {
        let topic = here(&kafka.name, name, &kafka.cluster, Way::In, 0, None);
        add(topics, LocalTopic { from, ..topic });
    }
    Ok(KafkaSource {
        group: format!("{}-dev-{session:016x}", kafka.group),
        stop: None,
        truth: Truth::Checkpoint,
        commit_offsets: CommitOffsets::Never,
        ..kafka.clone()
    })
}

/// A sink's topic is one of the session's broker, wherever the file has it; another one than a source's of that name,
/// unless they are one in the file too.
fn place(sink: &mut Sink, way: Way, broker: &Cluster, topics: &mut Vec<LocalTopic>) {
    let (mut topic, partitioner, home) = match &sink.target {
        Target::Kafka {
            topic,
            partitioner,
            cluster,
        } => (topic.clone(), *partitioner, Some(cluster.brokers.clone())),
        Target::File(_) => (sink.name.clone(), Partitioner::Murmur2, None),
    };
    let is_other = |known: &LocalTopic| known.topic == topic && known.cluster == *broker && known.home != home;
    if topics.iter().any(is_other) {
        topic.push_str("-out");
    }
    let own = here(&sink.name, &topic, broker, way, 1, None);
    add(topics, LocalTopic { home, ..own });
    sink.target = Target::Kafka {
        cluster: broker.clone(),
        topic,
        partitioner,
    };
}

fn here(name: &str, topic: &str, cluster: &Cluster, way: Way, partitions: u16, feed: Option<FileSource>) -> LocalTopic {
    LocalTopic {
        name: name.to_owned(),
        topic: topic.to_owned(),
        cluster: cluster.clone(),
        way,
        partitions,
        feed,
        from: ReadFrom::Earliest,
        home: None,
    }
}

/// A topic that two name is one, and seen the first way.
fn add(topics: &mut Vec<LocalTopic>, new: LocalTopic) {
    if !topics.iter().any(|known| known.is_same(&new)) {
        topics.push(new);
    }
}
