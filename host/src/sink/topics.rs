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
use crate::login::SignedIn;
use crate::outage::is_cut_off;

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
    Ok(topics(&reach(cluster)?.1))
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
    let (client, _) = reach(cluster)?;
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
    let (client, _) = reach(cluster)?;
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

/// The first contact: a client of a cluster that answered and what it said about its topics, or why it says nothing.
fn reach(cluster: &Cluster) -> Result<(BaseProducer<Ear>, Metadata)> {
    let client: BaseProducer<Ear> = config(cluster)
        .create_with_context(Ear::default())
        .map_err(|error| refused_property(cluster, &error))?;
    SignedIn::begin(&cluster.login, client.client())?;
    let deadline = clock::now() + PATIENCE;
    loop {
        if let Ok(metadata) = client.client().fetch_metadata(None, Duration::from_secs(1)) {
            return Ok((client, metadata));
        }
        client.poll(Duration::ZERO);
        let (refused, last) = client.client().context().told();
        if refused || clock::now() >= deadline {
            return Err(cluster.unreachable(&last, refused));
        }
    }
}

/// A cluster says "done" before all its brokers know: asks until it shows what was done.
fn wait_until(client: &BaseProducer<Ear>, what: impl Fn() -> String, shown: impl Fn(&Metadata) -> bool) -> Result<()> {
    let deadline = clock::now() + REQUEST;
    while clock::now() < deadline {
        if client
            .client()
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

fn config(cluster: &Cluster) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("socket.keepalive.enable", "true");
    for (name, value) in cluster.client_properties() {
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
        let of_log_in = matches!(
            code,
            Some(RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SaslAuthenticationFailed | RDKafkaErrorCode::SSL)
        );
        let refused = of_log_in && !is_cut_off(reason);
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
