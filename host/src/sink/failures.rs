//! What a producer cannot do, in sentences: why, and what a person can do about it.

use super::delivery::{Print, RefusedRecord};
use super::origin::time_in;
use super::producer::{Producer, ProducerTopic};
use super::reports::Undelivered;
use crate::error::{Error, Kind};
use crate::kafka::codes;
use crate::kafka::native::failure::Failure;
use crate::kafka::native::producer::OutgoingRecord;
use crate::record::Records;

impl Producer {
    pub(super) fn refused(&self, why: &str) -> Error {
        let what = format!("failed to log in to Kafka at `{}`: authentication failed", self.brokers);
        Error::new(Kind::Kafka, what, why)
            .hint("check user, password and `security.protocol` under `[kafka.properties]`")
    }

    pub(super) fn unreachable(&self, failure: &Failure) -> Error {
        let what = format!("failed to reach Kafka at `{}`", self.brokers);
        let reports = self.handle.reports();
        let why = reports.broken.as_deref().unwrap_or(&failure.text);
        Error::new(Kind::Kafka, what, why).hint("start a broker there (`sandbar broker` is one), or correct `brokers`")
    }

    pub(super) fn without_topic(&self, topic: &ProducerTopic, failure: &Failure) -> Error {
        let (sink, name) = (&topic.sink, &topic.name);
        let open = format!("failed to open sink `{sink}`");
        match failure.code {
            codes::TOPIC_NOT_ALLOWED => {
                let what = format!("{open}: not allowed to see topic `{name}`");
                Error::new(Kind::Kafka, what, "").hint("grant DESCRIBE and WRITE on it to this user")
            }
            codes::INVALID_TOPIC => {
                let what = format!("{open}: `{name}` is not a name that Kafka allows");
                Error::new(
                    Kind::Kafka,
                    what,
                    "a topic's name has 1 to 249 of the characters a-z A-Z 0-9 . _ -",
                )
            }
            _ => Error::new(
                Kind::Kafka,
                format!("{open}: no such topic `{name}`"),
                format!("Kafka at {}", self.brokers),
            )
            .hint(format!("sandbar topics create {name} --partitions 4")),
        }
    }

    /// A record that the queue did not take.
    pub(super) fn rejected(
        &self,
        topic: usize,
        message: &OutgoingRecord<'_>,
        records: &Records,
        index: usize,
        code: i32,
    ) -> Error {
        let length = |entry: Option<&[u8]>| entry.map_or(0, <[u8]>::len);
        let bytes = length(message.key) + length(message.value);
        let text = match code {
            codes::QUEUE_FULL => format!("it has {bytes} bytes, the whole queue {}", self.queue_bytes),
            codes::TOO_LARGE => format!("it has {bytes} bytes"),
            code => format!("librdkafka's error {code}"),
        };
        let failure = Failure {
            code,
            text: format!("the output of offset {}: {text}", records.offsets[index]),
        };
        let topic = self.topics[topic].name.clone();
        if code == codes::TOO_LARGE {
            let headers = records.headers.of(index as u32);
            self.handle.reports().refusals.told.push(RefusedRecord {
                topic: topic.clone(),
                partition: -1,
                tag: message.tag,
                print: Print::of(message.key, message.value, headers, time_in(message.tag)),
                bytes,
                failure: failure.clone(),
                is_local: true,
            });
        }
        self.undelivered(&Undelivered {
            topic,
            partition: -1,
            failure,
        })
    }

    pub(super) fn undelivered(&self, record: &Undelivered) -> Error {
        let place = match record.partition {
            ..0 => String::new(),
            partition => format!(", partition {partition}"),
        };
        let what = format!("failed to write to topic `{}`{place}", record.topic);
        let fatal = self.handle.fatal();
        let kind = self.kind_of_loss(record.failure.code, fatal.as_ref().map(|failure| failure.code));
        let why = fatal.map_or_else(|| record.failure.text.clone(), |failure| failure.text);
        let error = Error::new(kind, what, why);
        match advice(record.failure.code) {
            Some(advice) => error.hint(advice),
            None => error,
        }
    }
}

/// What a person can do about a record that cannot be delivered.
pub(super) fn advice(code: i32) -> Option<&'static str> {
    Some(match code {
        codes::UNKNOWN_TOPIC | codes::UNKNOWN_TOPIC_LOCALLY | codes::UNKNOWN_PARTITION | codes::PARTITION_GONE => {
            "the topic was deleted or shrunk; create it (`sandbar topics create`) and start again: the positions of \
             these records are not committed"
        }
        codes::QUEUE_FULL => "raise `queue-memory`: the workers of a process share half of it out among their outputs",
        codes::TOO_LARGE | codes::BATCH_TOO_LARGE => {
            "raise the topic's `max.message.bytes`, or set `batch.size` under `[kafka.properties]` below it where \
             each record alone is small enough"
        }
        codes::TOPIC_NOT_ALLOWED => "grant WRITE on the topic to this user",
        codes::CLUSTER_NOT_ALLOWED => {
            "grant WRITE on the topic (before Kafka 2.8: IDEMPOTENT_WRITE on the cluster) to this user"
        }
        codes::BAD_TIMESTAMP => {
            "the topic refuses event times this far from its clock: see its `message.timestamp.before.max.ms` and \
             `message.timestamp.after.max.ms`"
        }
        codes::BAD_RECORD => {
            "a compacted topic takes records with a key only; of several such records in one batch Kafka says the \
             same where their times are outside the topic's bounds"
        }
        codes::FATAL => {
            "start again: positions are committed only after their outputs were acknowledged, so nothing is lost"
        }
        _ => return None,
    })
}
