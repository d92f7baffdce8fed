//! Records sent to a partition that is named, each with the time that it has, for `sandbar dead-letters replay`. It is
//! not the way of a pipeline's outputs, which is `sink`.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::message::{DeliveryResult, Header, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};

use super::connect::{config, connect, refused_property, words};
use crate::clock;
use crate::config::Cluster;
use crate::error::{Error, Kind, Result};
use crate::kafka::sign_in::SignedIn;
use crate::record::{Records, TopicPartition};

/// How long an acknowledgement may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// One wait for it.
const STEP: Duration = Duration::from_millis(50);

/// A producer of single records.
pub struct Resender {
    producer: BaseProducer<Acknowledged>,
    brokers: String,
}

/// What became of the record on its way.
#[derive(Default)]
struct Acknowledged(Mutex<Option<Result<i64, String>>>);

impl ClientContext for Acknowledged {
    fn log(&self, _: rdkafka::config::RDKafkaLogLevel, _: &str, _: &str) {}
}

impl ProducerContext for Acknowledged {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let became = match result {
            Ok(message) => Ok(message.offset()),
            Err((error, _)) => Err(words(error)),
        };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(became);
    }
}

impl Resender {
    /// A producer for a cluster that answers. Every record is acknowledged by all in-sync replicas, and is there once.
    ///
    /// # Errors
    /// `Kafka`: the cluster does not answer, or refuses the log-in. `Invalid`: a property is refused.
    pub fn open(cluster: &Cluster) -> Result<Self> {
        connect(cluster)?;
        let mut settings = config(cluster);
        settings
            .set("enable.idempotence", "true")
            .set("linger.ms", "0")
            // The topic's own limit decides what is too large.
            .set("message.max.bytes", "100000000");
        let producer: BaseProducer<Acknowledged> = settings
            .create_with_context(Acknowledged::default())
            .map_err(|error| refused_property(cluster, &error))?;
        SignedIn::begin(&cluster.login, producer.client())?;
        Ok(Self {
            producer,
            brokers: cluster.brokers.clone(),
        })
    }

    /// Sends record `index`, and waits until it is acknowledged. The offset that it got.
    ///
    /// # Errors
    /// `Kafka`: the topic refuses it, or a header's name is no text. `TimedOut`: no acknowledgement came; the record
    /// may be there.
    pub fn send(&self, to: &TopicPartition, records: &Records, index: usize) -> Result<i64> {
        let what = || format!("failed to send a record to {to}");
        let mut headers = OwnedHeaders::new();
        for (name, value) in records.headers.of(index as u32) {
            let key = std::str::from_utf8(name)
                .map_err(|_| Error::new(Kind::Kafka, what(), "the name of one of its headers is no UTF-8"))?;
            headers = headers.insert(Header { key, value });
        }
        let mut record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(&to.topic)
            .partition(to.partition)
            .timestamp(sendable(records.timestamps[index]))
            .headers(headers);
        record.key = records.keys.get(index);
        record.payload = records.values.get(index);
        self.became().take();
        self.producer
            .send(record)
            .map_err(|(error, _)| Error::new(Kind::Kafka, what(), words(&error)))?;
        let deadline = clock::now() + PATIENCE;
        loop {
            self.producer.poll(STEP);
            if let Some(became) = self.became().take() {
                return became.map_err(|why| Error::new(Kind::Kafka, what(), why));
            }
            if clock::now() >= deadline {
                let why = format!("Kafka at `{}` did not acknowledge it within {PATIENCE:?}", self.brokers);
                return Err(Error::new(Kind::TimedOut, what(), why));
            }
        }
    }

    fn became(&self) -> std::sync::MutexGuard<'_, Option<Result<i64, String>>> {
        self.producer.context().0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// librdkafka takes 0 for "now": the start of 1970 becomes the millisecond after it.
fn sendable(timestamp: i64) -> i64 {
    match timestamp {
        ..0 => 0,
        0 => 1,
        known => known,
    }
}
