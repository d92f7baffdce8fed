//! Topics of a cluster: create, list, delete. For people and demos; a pipeline creates no topic.

use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication, TopicResult};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::Metadata;
use rdkafka::producer::{BaseProducer, Producer, ProducerContext};

use crate::clock;
use crate::config::Cluster;
use crate::error::{Error, Kind, Result};

/// How long a cluster may take to answer for the first time.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a request may take on a cluster that answered.
const REQUEST: Duration = Duration::from_secs(10);

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
    let metadata = reach(cluster)?;
    let mut topics: Vec<Topic> = metadata
        .topics()
        .iter()
        .filter(|topic| !topic.name().starts_with("__"))
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
    Ok(topics)
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

/// Creates a topic; `replicas` of `None` leaves the number to the cluster. Returns when the cluster shows it.
pub fn create(
    cluster: &Cluster,
    name: &str,
    partitions: usize,
    replicas: Option<usize>,
    settings: &[(String, String)],
) -> Result<()> {
    let what = || format!("failed to create topic `{name}`");
    let too_many = |_| Error::new(Kind::Usage, what(), "that many partitions or replicas cannot be");
    let partitions = i32::try_from(partitions).map_err(too_many)?;
    let replicas = replicas.map_or(Ok(-1), i32::try_from).map_err(too_many)?;
    reach(cluster)?;
    let admin = admin(cluster)?;
    let topic = settings.iter().fold(
        NewTopic::new(name, partitions, TopicReplication::Fixed(replicas)),
        |topic, (name, value)| topic.set(name, value),
    );
    let options = AdminOptions::new()
        .operation_timeout(Some(REQUEST))
        .request_timeout(Some(REQUEST));
    let results = block_on(admin.create_topics([&topic], &options))?;
    judge(results, what)
}

/// Deletes a topic and all its records.
pub fn delete(cluster: &Cluster, name: &str) -> Result<()> {
    reach(cluster)?;
    let options = AdminOptions::new()
        .operation_timeout(Some(REQUEST))
        .request_timeout(Some(REQUEST));
    let results = block_on(admin(cluster)?.delete_topics(&[name], &options))?;
    judge(results, || format!("failed to delete topic `{name}`"))
}

/// The first contact: what the cluster says about its topics, or why it says nothing.
fn reach(cluster: &Cluster) -> Result<Metadata> {
    let client: BaseProducer<Ear> = config(cluster)
        .create_with_context(Ear::default())
        .map_err(|error| refused_property(cluster, &error))?;
    let deadline = clock::now() + PATIENCE;
    loop {
        if let Ok(metadata) = client.client().fetch_metadata(None, Duration::from_secs(1)) {
            return Ok(metadata);
        }
        client.poll(Duration::ZERO);
        let (refused, last) = client.client().context().told();
        if refused || clock::now() >= deadline {
            return Err(cluster.unreachable(&last, refused));
        }
    }
}

fn admin(cluster: &Cluster) -> Result<AdminClient<DefaultClientContext>> {
    config(cluster)
        .create()
        .map_err(|error| refused_property(cluster, &error))
}

fn config(cluster: &Cluster) -> ClientConfig {
    let mut config = ClientConfig::new();
    for (name, value) in &cluster.properties {
        config.set(name, value);
    }
    config
        .set("bootstrap.servers", &cluster.brokers)
        .set("client.id", "sandbar")
        .set("reconnect.backoff.max.ms", "1000");
    config
}

fn refused_property(cluster: &Cluster, error: &KafkaError) -> Error {
    // The value stays out of the sentence: it may be a secret.
    let why = match error {
        KafkaError::ClientConfig(_, why, name, _) => format!("property `{name}`: {why}"),
        other => other.to_string(),
    };
    Error::new(
        Kind::Invalid,
        format!("failed to make a client for {}", cluster.brokers),
        why,
    )
}

/// The admin client answers through a future; nothing here needs a runtime beyond this one wait.
fn block_on(answer: impl Future<Output = Result<Vec<TopicResult>, KafkaError>>) -> Result<Vec<TopicResult>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .map_err(|error| Error::new(Kind::Failed, "failed to wait for the cluster", error))?;
    runtime
        .block_on(answer)
        .map_err(|error| Error::new(Kind::Kafka, "failed to ask the cluster", code_text(&error)))
}

fn code_text(error: &KafkaError) -> String {
    error
        .rdkafka_error_code()
        .map_or_else(|| error.to_string(), |code| code.to_string())
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

/// Hears what librdkafka tells about connections: whether it was refused, and its last words.
#[derive(Default)]
struct Ear {
    heard: Mutex<(bool, String)>,
}

impl Ear {
    fn told(&self) -> (bool, String) {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ClientContext for Ear {
    fn error(&self, error: KafkaError, reason: &str) {
        let code = error.rdkafka_error_code();
        let refused = matches!(
            code,
            Some(RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SaslAuthenticationFailed | RDKafkaErrorCode::SSL)
        );
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        // "All brokers down" repeats what the broker's own line said better, and never hides a refusal.
        if refused || !(heard.0 || code == Some(RDKafkaErrorCode::AllBrokersDown)) {
            heard.1 = reason.to_owned();
        }
        heard.0 |= refused;
    }

    fn log(&self, _: rdkafka::config::RDKafkaLogLevel, _: &str, _: &str) {}
}

impl ProducerContext for Ear {
    type DeliveryOpaque = ();
    fn delivery(&self, _: &rdkafka::producer::DeliveryResult<'_>, (): ()) {}
}
