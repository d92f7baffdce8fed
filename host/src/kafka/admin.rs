//! Topics of a cluster: create, list, delete. For people and demos; a pipeline creates no topic.

use std::future::Future;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication, TopicResult};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::Metadata;

use crate::clock;
use crate::config::Cluster;
use crate::error::{Error, Kind, Result};
use crate::kafka::sign_in::SignedIn;

use super::connect::{ConnectClient, REQUEST, config, connect, refused_property, words};

/// A topic of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic {
    /// Its name.
    pub name: String,
    /// How many partitions it has.
    pub partitions: usize,
    /// On how many brokers each partition lies.
    pub replicas: usize,
}

/// The cluster's topics by name; Kafka's own (`__…`) are left out.
pub fn list(cluster: &Cluster) -> Result<Vec<Topic>> {
    Ok(topics(&connect(cluster)?.1))
}

/// The topic of that name, which must exist.
pub fn find(cluster: &Cluster, name: &str) -> Result<Topic> {
    list(cluster)?
        .into_iter()
        .find(|topic| topic.name == name)
        .ok_or_else(|| {
            let why = "the cluster has no topic of that name, or this user may not see it";
            Error::new(Kind::Kafka, format!("topic `{name}` does not exist"), why)
                .hint(format!("sandbar topics create {name} --partitions 4"))
        })
}

/// Creates a topic; `replicas` of `None` leaves the number to the cluster. Returns when every partition has a leader.
pub fn create(
    cluster: &Cluster,
    name: &str,
    partitions: u16,
    replicas: Option<u16>,
    settings: &[(String, String)],
) -> Result<()> {
    let what = || format!("failed to create topic `{name}`");
    let (client, _) = connect(cluster)?;
    let replicas = TopicReplication::Fixed(replicas.map_or(-1, i32::from));
    let topic = settings.iter().fold(
        NewTopic::new(name, i32::from(partitions), replicas),
        |topic, (name, value)| topic.set(name, value),
    );
    let results = block_on(admin(cluster)?.create_topics([&topic], &options()))?;
    judge(results, what)?;
    wait_until(&client, what, |metadata| {
        let created = metadata.topics().iter().find(|topic| topic.name() == name);
        created.is_some_and(|topic| {
            topic.partitions().len() == usize::from(partitions)
                && topic.partitions().iter().all(|partition| partition.leader() >= 0)
        })
    })
}

/// Deletes a topic and all its records. Returns when the cluster no longer shows it.
pub fn delete(cluster: &Cluster, name: &str) -> Result<()> {
    let what = || format!("failed to delete topic `{name}`");
    let (client, _) = connect(cluster)?;
    let results = block_on(admin(cluster)?.delete_topics(&[name], &options()))?;
    judge(results, what)?;
    wait_until(&client, what, |metadata| {
        metadata.topics().iter().all(|topic| topic.name() != name)
    })
}

fn topics(metadata: &Metadata) -> Vec<Topic> {
    let visible = metadata.topics().iter().filter(|topic| !topic.name().starts_with("__"));
    let mut topics: Vec<Topic> = visible
        .map(|topic| Topic {
            name: topic.name().to_owned(),
            partitions: topic.partitions().len(),
            replicas: topic
                .partitions()
                .first()
                .map_or(0, |partition| partition.replicas().len()),
        })
        .collect();
    topics.sort_by(|a, b| a.name.cmp(&b.name));
    topics
}

/// A cluster says "done" before all its brokers know: asks until it shows what was done.
fn wait_until(client: &ConnectClient, what: impl Fn() -> String, shown: impl Fn(&Metadata) -> bool) -> Result<()> {
    let deadline = clock::now() + REQUEST;
    while clock::now() < deadline {
        if client
            .fetch_metadata(None, REQUEST)
            .is_ok_and(|metadata| shown(&metadata))
        {
            return Ok(());
        }
        client.poll(Duration::from_millis(20));
    }
    Err(Error::new(
        Kind::Kafka,
        what(),
        "the cluster accepted it and does not show it yet",
    ))
}

fn options() -> AdminOptions {
    AdminOptions::new()
        .operation_timeout(Some(REQUEST))
        .request_timeout(Some(REQUEST))
}

fn admin(cluster: &Cluster) -> Result<AdminClient<DefaultClientContext>> {
    let admin: AdminClient<_> = config(cluster)
        .create()
        .map_err(|error| refused_property(cluster, &error))?;
    SignedIn::begin(&cluster.login, admin.inner())?;
    Ok(admin)
}

/// The admin client answers through a future; nothing here needs a runtime beyond this one wait.
fn block_on(answer: impl Future<Output = Result<Vec<TopicResult>, KafkaError>>) -> Result<Vec<TopicResult>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .map_err(|error| Error::new(Kind::Failed, "failed to wait for the cluster", error))?;
    runtime
        .block_on(answer)
        .map_err(|error| Error::new(Kind::Kafka, "failed to ask the cluster", words(&error)))
}

fn judge(results: Vec<TopicResult>, what: impl Fn() -> String) -> Result<()> {
    match results.into_iter().find_map(Result::err) {
        Some((_, RDKafkaErrorCode::TopicAlreadyExists)) => Err(Error::new(Kind::Kafka, what(), "it exists already")),
        Some((_, RDKafkaErrorCode::UnknownTopicOrPartition)) => {
            Err(Error::new(Kind::Kafka, what(), "it does not exist"))
        }
        Some((_, code)) => Err(Error::new(Kind::Kafka, what(), code)),
        None => Ok(()),
    }
}
