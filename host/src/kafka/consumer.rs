//! Consumers: their settings, and what librdkafka tells beside records.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, RebalanceProtocol};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::types::{RDKafkaErrorCode, RDKafkaRespErr};
use rdkafka::{ClientContext, TopicPartitionList};

use super::connect;
use super::errors::is_cut_off;
use super::native::partition_list;
use super::sign_in::SignedIn;
use crate::config::{Cluster, KafkaSource};
use crate::error::{Error, Kind, Result};

pub(crate) type Client = BaseConsumer<Context>;

/// Something that happened to a consumer, in the order in which it happened.
pub(crate) enum ConsumerEvent {
    /// The group gives partitions; to be answered by an incremental assignment.
    Assign(Vec<(String, i32)>),
    /// The group takes partitions; to be answered by an incremental unassignment.
    Revoke {
        partitions: Vec<(String, i32)>,
        is_lost: bool,
    },
    /// A commit came back.
    Committed(Result<(), CommitRefusal>),
    /// A member of another kind of group, or something as final.
    Error(RDKafkaErrorCode, String),
}

/// Why the group did not take a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitRefusal {
    /// In Kafka's words.
    pub reason: String,
    /// Whether it will be refused again, however often it is asked for: not by a rebalance, or a broker that is away.
    pub is_lasting: bool,
}

impl CommitRefusal {
    pub(crate) fn of(reason: String, code: Option<RDKafkaErrorCode>) -> Self {
        let is_lasting = matches!(
            code,
            Some(
                RDKafkaErrorCode::OffsetMetadataTooLarge
                    | RDKafkaErrorCode::InvalidCommitOffsetSize
                    | RDKafkaErrorCode::InvalidGroupId
                    | RDKafkaErrorCode::GroupAuthorizationFailed
                    | RDKafkaErrorCode::TopicAuthorizationFailed
                    | RDKafkaErrorCode::ClusterAuthorizationFailed
            )
        );
        Self { reason, is_lasting }
    }

    /// Nobody knows better.
    pub(crate) fn passing(reason: &str) -> Self {
        Self::of(reason.to_owned(), None)
    }
}

/// Receives librdkafka's callbacks and only keeps them: the reader answers, later and from its own thread.
///
/// Always: once `is_closing`, rebalances are answered on the spot, because a consumer with an unanswered one never
/// closes. Once `is_ending`, the first one is, and with it all: librdkafka gives everything up then, and a question
/// behind that may never be answered (its issue 4884).
#[derive(Default)]
pub(crate) struct Context {
    events: Mutex<VecDeque<ConsumerEvent>>,
    /// Grows with each callback: `BaseConsumer::poll` gives `None` both for "nothing" and for "served an event".
    served: AtomicU64,
    is_closing: AtomicBool,
    is_ending: AtomicBool,
    /// A rebalance was answered since it is ending.
    is_given_up: AtomicBool,
    /// The last words about why brokers cannot be reached, by code.
    reasons: Mutex<BTreeMap<i32, String>>,
    signed_in: OnceLock<SignedIn>,
}

impl Context {
    pub(crate) fn next_event(&self) -> Option<ConsumerEvent> {
        lock(&self.events).pop_front()
    }

    pub(crate) fn served(&self) -> u64 {
        self.served.load(Ordering::Relaxed)
    }

    pub(crate) fn close(&self) {
        self.is_closing.store(true, Ordering::Relaxed);
    }

    /// The consumer is about to be closed.
    pub(crate) fn end(&self) {
        self.is_ending.store(true, Ordering::Relaxed);
    }

    fn keep(&self, event: ConsumerEvent) {
        lock(&self.events).push_back(event);
        self.served.fetch_add(1, Ordering::Relaxed);
    }

    /// A broker answered: why none did before is past.
    pub(crate) fn forget_reasons(&self) {
        lock(&self.reasons).clear();
    }

    /// Why no broker answers: the reason that tells most, and whether waiting cannot help.
    pub(crate) fn reason(&self) -> Option<(String, bool)> {
        let reasons = lock(&self.reasons);
        let by = |code: RDKafkaErrorCode| reasons.get(&(code as i32)).cloned();
        let refused = [
            RDKafkaErrorCode::Authentication,
            RDKafkaErrorCode::SaslAuthenticationFailed,
        ];
        if let Some(text) = refused.into_iter().filter_map(by).find(|text| !is_cut_off(text)) {
            return Some((format!("authentication failed: {text}"), true));
        }
        [
            RDKafkaErrorCode::Authentication,
            RDKafkaErrorCode::SSL,
            RDKafkaErrorCode::Resolve,
            RDKafkaErrorCode::BrokerTransportFailure,
        ]
        .into_iter()
        .find_map(by)
        .or_else(|| reasons.values().next().cloned())
        .map(|text| (text, false))
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        match level {
            RDKafkaLogLevel::Debug | RDKafkaLogLevel::Info | RDKafkaLogLevel::Notice => {
                tracing::debug!(target: "sandbar::kafka", facility, "{message}");
            }
            _ => tracing::info!(target: "sandbar::kafka", facility, "{message}"),
        }
        self.served.fetch_add(1, Ordering::Relaxed);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown);
        lock(&self.reasons).insert(code as i32, reason.to_owned());
        self.keep(ConsumerEvent::Error(code, reason.to_owned()));
    }
}

impl ConsumerContext for Context {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, err: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let is_assign = err == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        if self.is_ending.load(Ordering::Relaxed) {
            if !self.is_given_up.swap(true, Ordering::Relaxed) {
                let _ = consumer.unassign();
            }
            return;
        }
        if self.is_closing.load(Ordering::Relaxed) {
            self.served.fetch_add(1, Ordering::Relaxed);
            let answered = match (is_assign, consumer.rebalance_protocol()) {
                (true, _) => consumer.incremental_assign(&TopicPartitionList::new()),
                // Not the list: it may name partitions that were not taken when they were given.
                (false, RebalanceProtocol::Cooperative) => consumer
                    .assignment()
                    .and_then(|assigned| consumer.incremental_unassign(&assigned)),
                (false, _) => consumer.unassign(),
            };
            if answered.is_err() {
                let _ = consumer.unassign();
            }
            return;
        }
        let partitions = partition_list::elements(list)
            .into_iter()
            .map(|of| (of.topic, of.partition))
            .collect();
        self.keep(match is_assign {
            true => ConsumerEvent::Assign(partitions),
            false => ConsumerEvent::Revoke {
                partitions,
                is_lost: consumer.assignment_lost(),
            },
        });
    }

    fn commit_callback(&self, result: KafkaResult<()>, list: &TopicPartitionList) {
        let failed = partition_list::elements(list)
            .into_iter()
            .find_map(|of| Some((of.error?, of.topic, of.partition)));
        self.keep(ConsumerEvent::Committed(match (result, failed) {
            (Err(error), _) => Err(CommitRefusal::of(words(&error), error.rdkafka_error_code())),
            (Ok(()), Some((code, topic, partition))) => {
                Err(CommitRefusal::of(format!("{topic}/{partition}: {code}"), Some(code)))
            }
            (Ok(()), None) => Ok(()),
        }));
    }
}

/// A consumer of a group that never joins it: for look-ups, and for positions while nobody is there.
pub(crate) fn non_member(source: &KafkaSource) -> Result<Client> {
    create(&source.cluster, &common(source))
}

/// The same, and it sees what is not committed yet: for the true end of a log.
pub(crate) fn uncommitted_non_member(source: &KafkaSource) -> Result<Client> {
    let mut settings = common(source);
    settings.push(("isolation.level", "read_uncommitted".to_owned()));
    create(&source.cluster, &settings)
}

/// What tells one member of a group from another.
pub(crate) struct Identity {
    pub(crate) client_id: String,
    /// Set: static membership.
    pub(crate) instance: Option<String>,
}

/// How much a member may hold, and how long it may take.
#[derive(Clone, Copy)]
pub(crate) struct MemberLimits {
    /// For what is fetched and not read yet.
    pub(crate) queue_bytes: u64,
    /// From one poll to the next; the group takes a member that needs longer for dead.
    pub(crate) poll_interval: Duration,
}

/// A consumer that reads records.
pub(crate) fn member(source: &KafkaSource, identity: Identity, limits: MemberLimits) -> Result<Client> {
    let mut settings = common(source);
    settings.extend(reading(source));
    settings.extend(memory(limits.queue_bytes));
    // librdkafka takes none that is shorter than the session.
    let poll_interval = limits.poll_interval.max(source.session_timeout);
    settings.push(("max.poll.interval.ms", poll_interval.as_millis().to_string()));
    settings.push(("client.id", identity.client_id));
    settings.extend(identity.instance.map(|instance| ("group.instance.id", instance)));
    create(&source.cluster, &settings)
}

type Settings = Vec<(&'static str, String)>;

fn common(source: &KafkaSource) -> Settings {
    vec![
        ("bootstrap.servers", source.cluster.brokers.clone()),
        ("group.id", source.group.clone()),
        // Also makes the look-up of committed offsets wait for transactions that are about to move them.
        ("isolation.level", "read_committed".to_owned()),
        ("enable.auto.commit", "false".to_owned()),
        ("enable.auto.offset.store", "false".to_owned()),
        // A client that only looks must not make the topic that it looks for.
        ("allow.auto.create.topics", "false".to_owned()),
        // Half of it passes, too, before the connection to the broker that the first answer named.
        ("reconnect.backoff.ms", "20".to_owned()),
        ("reconnect.backoff.max.ms", "2000".to_owned()),
    ]
}

fn reading(source: &KafkaSource) -> Settings {
    let session = source.session_timeout.as_millis();
    vec![
        // A position that the log does not hold is an event with a policy of its own, never a silent jump.
        ("auto.offset.reset", "error".to_owned()),
        // Tells the position where there is no record: behind transaction markers, compaction gaps, deleted ranges.
        ("enable.partition.eof", "true".to_owned()),
        ("group.protocol", "classic".to_owned()),
        ("partition.assignment.strategy", "cooperative-sticky".to_owned()),
        ("session.timeout.ms", session.to_string()),
        ("heartbeat.interval.ms", (session / 3).clamp(1, 3000).to_string()),
        (
            "topic.metadata.refresh.interval.ms",
            source.discovery_interval.as_millis().clamp(100, 3_600_000).to_string(),
        ),
        // The default of a second makes a fast reader wait four fifths of its time.
        ("fetch.queue.backoff.ms", "2".to_owned()),
    ]
}

/// Half of the budget for what is queued. What is fetched at once is counted compressed, and may be many times that
/// when it is unpacked.
fn memory(queue_bytes: u64) -> Settings {
    let queued_kib = (queue_bytes / 2 / 1024).clamp(64, 2_000_000);
    let fetched = (queue_bytes / 16).clamp(64 << 10, 50 << 20);
    vec![
        ("queued.max.messages.kbytes", queued_kib.to_string()),
        // What is taken out at once is out of the queue's sight.
        ("consume.callback.max.messages", "1000".to_owned()),
        // A queued record costs some 400 bytes of bookkeeping, so small ones are bounded by number.
        (
            "queued.min.messages",
            (queue_bytes / 1024).clamp(100, 100_000).to_string(),
        ),
        ("fetch.max.bytes", fetched.to_string()),
        ("message.max.bytes", fetched.min(1_000_000).to_string()),
        ("max.partition.fetch.bytes", (fetched / 2).min(1 << 20).to_string()),
    ]
}

/// The host's settings stand last: what a correct reader needs is nobody's to change.
fn create(cluster: &Cluster, settings: &Settings) -> Result<Client> {
    let mut config = ClientConfig::new();
    // A connection that a wall between forgot is noticed, though nothing is sent on it.
    config.set("socket.keepalive.enable", "true");
    // A partition whose queue is full is left out of a request. If all others are at their ends, the broker holds that
    // request for as long as this, and the queue may be empty long before. Kafka's default is half a second.
    config.set("fetch.wait.max.ms", "100");
    for (name, value) in cluster.client_properties() {
        config.set(name, value);
    }
    for (name, value) in settings {
        config.set(*name, value);
    }
    config.set_log_level(RDKafkaLogLevel::Info);
    let client: Client = config.create_with_context(Context::default()).map_err(|error| {
        Error::new(Kind::Invalid, "failed to set up a Kafka consumer", words(&error))
            .hint("see the properties under [kafka.properties]")
    })?;
    let signed_in = SignedIn::begin(&cluster.login, client.client())?;
    let _it_is_the_first = client.context().signed_in.set(signed_in);
    Ok(client)
}

/// Sees to what a client signs in with; it has to be called now and then while it lives.
pub(crate) fn tend(client: &Client) {
    if let Some(signed_in) = client.context().signed_in.get() {
        signed_in.tend(client.client());
    }
}

/// Serves what is queued for a client: errors and logs are told, and answers given, only when it is polled.
pub(crate) fn serve(client: &Client) {
    loop {
        let before = client.context().served();
        if client.poll(Duration::ZERO).is_none() && client.context().served() == before {
            return;
        }
    }
}

/// librdkafka's words for an error, without the wrapper's.
pub(crate) fn words(error: &KafkaError) -> String {
    match error {
        KafkaError::ClientConfig(_, why, name, value) => format!("{why}: {name} = {value}"),
        KafkaError::ClientCreation(why) | KafkaError::Subscription(why) => why.clone(),
        other => connect::words(other),
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
