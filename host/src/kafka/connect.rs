//! The first connection of a client that joins no group: a cluster that answers, or a sentence that says why it does
//! not.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::Metadata;

use crate::clock;
use crate::config::Cluster;
use crate::error::{Error, Kind, Result};
use crate::kafka::errors::is_cut_off;
use crate::kafka::sign_in::SignedIn;

/// How long a cluster may take to answer for the first time.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long one request to a cluster that answered may take.
pub(crate) const REQUEST: Duration = Duration::from_secs(10);

/// A client of a cluster that never joins its group and never commits by itself.
pub(crate) type ConnectClient = BaseConsumer<ConnectContext>;

/// A client of a cluster that answered, and what it said about its topics.
pub(crate) fn connect(cluster: &Cluster) -> Result<(ConnectClient, Metadata)> {
    connect_as(cluster, &reading(cluster))
}

/// The same for the offsets of a group, which it does not join.
pub(crate) fn connect_to_group(cluster: &Cluster, group: &str) -> Result<(ConnectClient, Metadata)> {
    connect_as(cluster, reading(cluster).set("group.id", group))
}

/// The same without waiting for transactions: it sees the offsets as they were before.
pub(crate) fn connect_to_group_impatiently(cluster: &Cluster, group: &str) -> Result<(ConnectClient, Metadata)> {
    let mut config = reading(cluster);
    config.set("group.id", group).set("isolation.level", "read_uncommitted");
    connect_as(cluster, &config)
}

fn connect_as(cluster: &Cluster, config: &ClientConfig) -> Result<(ConnectClient, Metadata)> {
    let client: ConnectClient = config
        .create_with_context(ConnectContext::default())
        .map_err(|error| refused_property(cluster, &error))?;
    // It lives for a few requests.
    SignedIn::begin(&cluster.login, client.client())?;
    let deadline = clock::now() + PATIENCE;
    loop {
        let answer = client.fetch_metadata(None, Duration::from_secs(1));
        if let Ok(metadata) = answer {
            return Ok((client, metadata));
        }
        // Error events reach the context only through a poll; nothing is assigned yet, so no record can come.
        while client.poll(Duration::ZERO).is_some() {}
        let context = client.context();
        if context.heard_refusal() || clock::now() >= deadline {
            return Err(cluster.unreachable(&context.last(), context.heard_refusal()));
        }
    }
}

/// An error of a request to a cluster that answered before.
pub(crate) fn failed(what: impl Into<String>, error: &KafkaError) -> Error {
    Error::new(Kind::Kafka, what, words(error))
}

/// What librdkafka says of an error, without the name of the call that met it.
pub(crate) fn words(error: &KafkaError) -> String {
    let code = error.rdkafka_error_code();
    code.map_or_else(|| error.to_string(), |code| code.to_string())
}

/// What every client of a cluster is told.
pub(super) fn config(cluster: &Cluster) -> ClientConfig {
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

/// What a client that may read is told besides.
fn reading(cluster: &Cluster) -> ClientConfig {
    let mut config = config(cluster);
    config
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("enable.partition.eof", "true")
        .set("auto.offset.reset", "error")
        .set("isolation.level", "read_committed")
        .set("allow.auto.create.topics", "false")
        .set("fetch.queue.backoff.ms", "5")
        .set("queued.max.messages.kbytes", "16384");
    config
}

pub(super) fn refused_property(cluster: &Cluster, error: &KafkaError) -> Error {
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

/// Keeps what librdkafka tells about connections.
#[derive(Default)]
pub(crate) struct ConnectContext {
    heard: Mutex<ConnectionNews>,
}

#[derive(Default)]
struct ConnectionNews {
    refused: bool,
    last: String,
}

impl ConnectContext {
    fn heard_refusal(&self) -> bool {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).refused
    }

    fn last(&self) -> String {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).last.clone()
    }
}

impl ClientContext for ConnectContext {
    fn error(&self, error: KafkaError, reason: &str) {
        let code = error.rdkafka_error_code();
        let of_log_in = matches!(
            code,
            Some(RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SaslAuthenticationFailed | RDKafkaErrorCode::SSL)
        );
        let refused = of_log_in && !is_cut_off(reason);
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        // "All brokers down" repeats what the broker's own line said better, and never hides a refusal.
        if refused || !(heard.refused || code == Some(RDKafkaErrorCode::AllBrokersDown)) {
            heard.last = reason.to_owned();
        }
        heard.refused |= refused;
    }

    fn log(&self, _: rdkafka::config::RDKafkaLogLevel, _: &str, _: &str) {}
}

impl ConsumerContext for ConnectContext {}
