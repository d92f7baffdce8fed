//! Writes to the topics of one cluster: idempotent, acknowledged by all in-sync replicas, each partition in order.
//!
//! A broker that goes away never fails a record: it waits (`message.timeout.ms = 0`) and the queue fills, which is what
//! holds the worker back. What can never be delivered is an error that stops the worker, because to go on would lose
//! it. In transactions (`super::transaction`) a record waits for as long as its transaction may; what is lost with a
//! transaction is told as `TimedOut`, for the transaction can be aborted and done again.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::{Duration, Instant};

use super::delivery::RefusedRecord;
use super::origin::{PlaceNumber, tag};
use super::reports::DeliveryReports;
use super::transactional::{ProducerTransactions, Transactional};
use crate::clock;
use crate::config::{Cluster, Partitioner};
use crate::error::{Error, Kind, Result};
use crate::kafka::bootstrap::Bootstrap;
use crate::kafka::codes;
use crate::kafka::native::producer::{NativeProducer, OutgoingRecord};
use crate::kafka::sign_in::SignedIn;
use crate::login::Login;
use crate::record::Records;

/// How long a start waits for the cluster.
const REACH: Duration = Duration::from_secs(10);
/// One question to the cluster while starting.
const ASK: Duration = Duration::from_millis(500);
/// How often a cluster has to say that a topic is missing before we believe it: a topic just created is not known to
/// every broker at once.
const DENIALS: u32 = 4;
/// Between two of these questions.
const PAUSE: Duration = Duration::from_millis(250);
/// The same, if the cluster has answered before.
const SHORT_PAUSE: Duration = Duration::from_millis(10);
/// One step of a flush: librdkafka wakes on errors only, so a longer one would be slept through.
const FLUSH: Duration = Duration::from_millis(1);
/// How often a lost cluster is asked whether it is back, and for how long.
const PROBE_EVERY: Duration = Duration::from_secs(1);
const PROBE: Duration = Duration::from_millis(20);
/// How long a cluster may take to say what its topics take; it is done without.
const LIMITS: Duration = Duration::from_secs(1);
/// librdkafka's own default of `batch.size`.
const BATCH_BYTES: usize = 1_000_000;
/// A queue holds two records of the size that topics take if nobody says otherwise, however many workers share the
/// memory.
const LEAST_QUEUE: u64 = 2 << 20;
/// How long a cause may take to follow the records that were thrown away because of it.
const CAUSE: Duration = Duration::from_millis(100);

pub(super) struct Producer {
    pub(super) handle: NativeProducer<DeliveryReports>,
    pub(super) brokers: String,
    pub(super) topics: Vec<ProducerTopic>,
    pub(super) queue_bytes: u64,
    probed: Option<Instant>,
    bootstrap: Bootstrap,
    /// What the handle was made with, for the next one.
    settings: Vec<(String, String)>,
    login: Login,
    signed_in: SignedIn,
    pub(super) transactions: Option<ProducerTransactions>,
    /// Requests that commit positions and did not come back, of this handle and those before it.
    pub(super) left_behind: Arc<AtomicUsize>,
    /// Each record is sent by itself, so that a refusal says which it was.
    pub(super) is_careful: bool,
}

pub(super) struct ProducerTopic {
    pub(super) sink: String,
    pub(super) name: String,
    partitioner: Partitioner,
    /// Bytes that it takes at once; `None`: the cluster did not say.
    largest_batch: Option<usize>,
}

impl ProducerTopic {
    fn add_to(&self, handle: &mut NativeProducer<DeliveryReports>) -> Result<usize> {
        let Self {
            sink,
            name,
            partitioner,
            ..
        } = self;
        handle.add_topic(name, librdkafka_name(*partitioner)).map_err(|why| {
            let what = format!("failed to open sink `{sink}`: topic `{name}`");
            Error::new(Kind::Kafka, what, why)
        })
    }
}

impl fmt::Debug for Producer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Producer({})", self.brokers)
    }
}

impl Producer {
    /// A producer that connects by itself; nothing is asked of the cluster yet.
    pub(super) fn new(
        cluster: &Cluster,
        queue_bytes: u64,
        client_id: &str,
        transactional: Option<&Transactional>,
    ) -> Result<Self> {
        let queue_bytes = queue_bytes.max(LEAST_QUEUE);
        let kbytes = (queue_bytes / 1024).min(i32::MAX as u64).to_string();
        let mut settings = properties(cluster, &kbytes, client_id);
        if let Some(transactional) = transactional {
            transactional.adjust(&mut settings);
        }
        let handle = handle(&settings, &cluster.brokers)?;
        Ok(Self {
            signed_in: SignedIn::begin(&cluster.login, &handle)?,
            login: cluster.login.clone(),
            handle,
            brokers: cluster.brokers.clone(),
            topics: Vec::new(),
            queue_bytes,
            probed: None,
            bootstrap: Bootstrap::begun(),
            settings,
            transactions: transactional.map(ProducerTransactions::new),
            left_behind: Arc::default(),
            is_careful: false,
        })
    }

    /// A new handle in place of the old one, with the same topics under the same numbers. What the old one still had in
    /// its queue is lost.
    pub(super) fn renew(&mut self) -> Result<()> {
        let mut settings = self.settings.clone();
        if self.is_careful {
            settings.push(("batch.num.messages".to_owned(), "1".to_owned()));
        }
        let mut newer = BTreeMap::new();
        self.login.renew(&mut newer);
        settings.extend(newer);
        let mut fresh = handle(&settings, &self.brokers)?;
        self.signed_in = SignedIn::begin(&self.login, &fresh)?;
        for topic in &self.topics {
            topic.add_to(&mut fresh)?;
        }
        let old = std::mem::replace(&mut self.handle, fresh);
        // It takes as long as its requests to be taken down, for ever if a broker hangs; nobody waits for it. If
        // no thread is to be had, it is taken down here.
        let taken_down = std::thread::Builder::new().spawn(move || drop(old));
        if let Err(error) = taken_down {
            tracing::debug!(%error, "no thread for an old producer");
        }
        Ok(())
    }

    /// The index of a topic to write to; two sinks may share one.
    pub(super) fn add_topic(&mut self, sink: &str, name: &str, partitioner: Partitioner) -> Result<usize> {
        if let Some(known) = self.topics.iter().position(|topic| topic.name == name) {
            let other = &self.topics[known];
            if other.partitioner == partitioner {
                return Ok(known);
            }
            let what = format!(
                "sinks `{}` and `{sink}` write topic `{name}` with different partitioners",
                other.sink
            );
            return Err(Error::new(
                Kind::Invalid,
                what,
                "a key would be in two partitions of it",
            ));
        }
        let topic = ProducerTopic {
            sink: sink.to_owned(),
            name: name.to_owned(),
            partitioner,
            largest_batch: None,
        };
        let index = topic.add_to(&mut self.handle)?;
        self.topics.push(topic);
        Ok(index)
    }

    /// Waits until the cluster answers and checks that it has every topic.
    pub(super) fn check_topics(&mut self) -> Result<()> {
        let deadline = clock::now() + REACH;
        (0..self.topics.len()).try_for_each(|topic| self.check_topic(topic, deadline))?;
        self.await_named_broker(deadline);
        self.fit_batches(deadline)?;
        // Brokers that were tried in vain on the way here are no news any more.
        self.handle.poll(Duration::ZERO);
        self.handle.reports().forget_connections();
        Ok(())
    }

    /// Batches that a topic takes: of records that are small enough each, none is refused for their company.
    fn fit_batches(&mut self, deadline: Instant) -> Result<()> {
        let names: Vec<&str> = self.topics.iter().map(|topic| &*topic.name).collect();
        let largest = self.handle.largest_batches(&names, LIMITS);
        for (topic, largest) in self.topics.iter_mut().zip(&largest) {
            topic.largest_batch = *largest;
        }
        let said = self.settings.iter().rev().find(|(name, _)| name == "batch.size");
        let said = said.and_then(|(_, value)| value.parse().ok()).unwrap_or(BATCH_BYTES);
        match largest.into_iter().flatten().min() {
            Some(least) if least < said => {
                self.settings.push(("batch.size".to_owned(), least.max(1).to_string()));
                self.renew()?;
                self.await_named_broker(deadline);
            }
            _ => {}
        }
        Ok(())
    }

    /// The first answer came from an address of the file, which librdkafka leaves for the brokers that the answer
    /// named. Whatever it wants of those before one is connected, the producer's id and the coordinator, it wants again
    /// half a second later; so one more answer is waited for.
    fn await_named_broker(&self, deadline: Instant) {
        while !self.topics.is_empty() && self.handle.look_up(0, ASK).is_err() && clock::now() < deadline {
            std::thread::sleep(SHORT_PAUSE);
        }
    }

    fn check_topic(&self, topic: usize, deadline: Instant) -> Result<()> {
        let mut denials = 0;
        loop {
            let Err(failure) = self.handle.look_up(topic, ASK) else {
                return Ok(());
            };
            self.handle.poll(Duration::ZERO);
            if let Some(why) = self.handle.reports().refused.take() {
                return Err(self.refused(&why));
            }
            denials += u32::from(failure.code == codes::UNKNOWN_TOPIC);
            let final_answer = matches!(failure.code, codes::INVALID_TOPIC | codes::TOPIC_NOT_ALLOWED);
            if final_answer || denials >= DENIALS {
                return Err(self.without_topic(&self.topics[topic], &failure));
            }
            if clock::now() >= deadline {
                return Err(self.unreachable(&failure));
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Queues records from `from` on until all are or the queue is full; gives the index of the first that is not.
    pub(super) fn stage(&mut self, topic: usize, place: PlaceNumber, records: &Records, from: usize) -> Result<usize> {
        self.begin()?;
        for index in from..records.len() {
            if cfg!(feature = "kill-points") && index == records.len() / 2 {
                crate::kill::point("mid-produce");
            }
            let message = message(place, records, index);
            match self.produce(topic, &message, records, index) {
                Ok(()) => (),
                Err(codes::QUEUE_FULL) if self.makes_room(topic, &message, records, index)? => return Ok(index),
                Err(codes::QUEUE_FULL) => (),
                Err(code) => return Err(self.rejected(topic, &message, records, index, code)),
            }
        }
        Ok(records.len())
    }

    fn produce(&self, topic: usize, message: &OutgoingRecord<'_>, records: &Records, index: usize) -> Result<(), i32> {
        match records.headers.is_empty() {
            true => self.handle.produce(topic, message, std::iter::empty()),
            false => self.handle.produce(topic, message, records.headers.of(index as u32)),
        }
    }

    /// After "queue full": `true` if acknowledgements will make room. If nothing is in flight, the record is tried
    /// again, and one that does not fit into an empty queue never will: that is an error, since to wait for it would be
    /// to hang.
    fn makes_room(
        &mut self,
        topic: usize,
        message: &OutgoingRecord<'_>,
        records: &Records,
        index: usize,
    ) -> Result<bool> {
        self.serve()?;
        if self.handle.in_flight() > 0 {
            return Ok(true);
        }
        match self.produce(topic, message, records, index) {
            Ok(()) => Ok(false),
            Err(code) => Err(self.rejected(topic, message, records, index, code)),
        }
    }

    /// Serves the reports that are there.
    pub(super) fn serve(&mut self) -> Result<()> {
        self.signed_in.tend(&self.handle);
        self.handle.poll(Duration::ZERO);
        self.judge()
    }

    /// Sends what waits for company and waits a moment for acknowledgements.
    pub(super) fn flush(&mut self) -> Result<()> {
        match self.handle.in_flight() {
            0 => self.serve(),
            _ => {
                self.signed_in.tend(&self.handle);
                self.handle.flush(FLUSH);
                self.judge()
            }
        }
    }

    fn judge(&self) -> Result<()> {
        let deadline = clock::now() + CAUSE;
        loop {
            let Some(mut lost) = self.handle.reports().undelivered.clone() else {
                return Ok(());
            };
            // Thrown away with its transaction: the record that this began with may be on its way, or librdkafka knows
            // why.
            if lost.failure.is_purge() && clock::now() < deadline {
                let Some(cause) = self.cause_of_loss() else {
                    self.handle.poll(Duration::from_millis(1));
                    continue;
                };
                lost.failure = cause;
            }
            return Err(self.undelivered(&lost));
        }
    }

    /// Whether something was refused for good since the last look.
    ///
    /// A producer that keeps the order without transactions says that it is at its end a moment before it says why.
    pub(super) fn has_refusals(&self) -> bool {
        let deadline = clock::now() + CAUSE;
        let mut patience = Duration::ZERO;
        loop {
            self.handle.poll(patience);
            let is_told = !self.handle.reports().refusals.told.is_empty();
            if is_told || self.handle.fatal().is_none() || clock::now() >= deadline {
                return is_told;
            }
            patience = Duration::from_millis(1);
        }
    }

    /// What was refused for good since the last look, each with whether it is known to be the one. If one is not,
    /// each record is sent by itself from the next handle on, until a commit.
    pub(super) fn take_refusals(&mut self) -> Vec<(RefusedRecord, bool)> {
        self.handle.poll(Duration::ZERO);
        let refusals = std::mem::take(&mut self.handle.reports().refusals);
        let exact = |refusal: &RefusedRecord| self.is_careful || refusals.is_exact(refusal);
        let taken: Vec<_> = (refusals.told.iter())
            .map(|refusal| (refusal.clone(), exact(refusal)))
            .collect();
        self.is_careful |= taken.iter().any(|(_, is_exact)| !is_exact);
        taken
    }

    /// Throws away what is on its way, if no transaction takes it back: it is done again.
    pub(super) fn take_back(&mut self) -> Result<()> {
        match self.transactions {
            Some(_) => Ok(()),
            None => self.renew(),
        }
    }

    /// Everything is acknowledged: from here on records travel in company again. With transactions the commit says so.
    pub(super) fn relax(&mut self) -> Result<()> {
        if !self.is_careful || self.transactions.is_some() {
            return Ok(());
        }
        self.is_careful = false;
        self.renew()
    }

    /// How many bytes a topic takes at once, as far as the cluster says.
    pub(super) fn largest_batch(&self, topic: usize) -> Option<usize> {
        self.topics[topic].largest_batch
    }

    pub(super) fn in_flight(&self) -> usize {
        self.handle.in_flight()
    }

    /// Why the cluster cannot be reached. librdkafka tells when all brokers are lost and not when one is back, so a
    /// lost one is asked.
    pub(super) fn disconnected(&mut self) -> Option<String> {
        self.handle.poll(Duration::ZERO);
        if !self.handle.reports().all_down {
            return None;
        }
        if !self.topics.is_empty() && self.probed.is_none_or(|probed| probed.elapsed() >= PROBE_EVERY) {
            self.probed = Some(clock::now());
            if self.handle.look_up(0, PROBE).is_ok() {
                self.handle.reports().forget_connections();
                self.bootstrap = Bootstrap::begun();
                return None;
            }
        }
        self.bootstrap.again(&self.handle, &self.brokers);
        let reports = self.handle.reports();
        let why = reports.refused.as_ref().or(reports.broken.as_ref());
        Some(format!(
            "Kafka at `{}`: {}",
            self.brokers,
            why.map_or("no broker is connected", |why| why)
        ))
    }
}

/// What librdkafka is told: our defaults, what the file says, and what the host owns, so that a later one wins.
fn properties(cluster: &Cluster, kbytes: &str, client_id: &str) -> Vec<(String, String)> {
    let defaults = [
        ("client.id", client_id),
        ("compression.type", "lz4"),
        ("linger.ms", "5"),
        // The topic's own limit decides what is too large; a batch stays below every broker's default limit by
        // `batch.size`.
        ("message.max.bytes", "100000000"),
        // Bytes are the bound. This one keeps small records in the processor's cache from their queuing to their
        // acknowledgement: a longer queue costs a third more for each.
        ("queue.buffering.max.messages", "20000"),
        ("topic.metadata.refresh.interval.ms", "60000"),
        // A connection that a wall between forgot is noticed, though nothing is sent on it.
        ("socket.keepalive.enable", "true"),
        // Half of it passes, too, before the connection to the broker that the first answer named.
        ("reconnect.backoff.ms", "20"),
    ];
    let owned = [
        ("bootstrap.servers", cluster.brokers.as_str()),
        ("enable.idempotence", "true"),
        // Nothing is written behind a record that was refused: it is done again, and in order.
        ("enable.gapless.guarantee", "true"),
        ("message.timeout.ms", "0"),
        ("allow.auto.create.topics", "false"),
        ("delivery.report.only.error", "true"),
        ("queue.buffering.max.kbytes", kbytes),
    ];
    let said = cluster.client_properties();
    let said = said.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let all = defaults.into_iter().chain(said).chain(owned);
    all.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn handle(settings: &[(String, String)], brokers: &str) -> Result<NativeProducer<DeliveryReports>> {
    NativeProducer::new(settings).map_err(|why| {
        let what = format!("failed to set up a producer for Kafka at `{brokers}`");
        Error::new(Kind::Invalid, what, why).hint("correct it under `[kafka.properties]`")
    })
}

fn librdkafka_name(partitioner: Partitioner) -> &'static str {
    match partitioner {
        Partitioner::Murmur2 => "murmur2_random",
        Partitioner::Crc32 => "consistent_random",
    }
}

fn message(place: PlaceNumber, records: &Records, index: usize) -> OutgoingRecord<'_> {
    let timestamp = librdkafka_time(records.timestamps[index]);
    OutgoingRecord {
        key: records.keys.get(index),
        value: records.values.get(index),
        timestamp,
        tag: tag(place, records.offsets[index], timestamp),
    }
}

/// A record without a time (Kafka's -1) gets the present, as from a Java producer. librdkafka takes 0 for "now", so the
/// start of 1970 becomes the millisecond after it, the nearest that can be sent.
pub(super) fn librdkafka_time(timestamp: i64) -> i64 {
    match timestamp {
        ..0 => 0,
        0 => 1,
        known => known,
    }
}
