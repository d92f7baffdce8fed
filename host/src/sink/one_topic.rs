//! A topic that something else than a pipeline writes to: what a person sends.

use std::time::Duration;

use super::{Files, Options, Writer};
use crate::config::{Cluster, OnRefused, Partitioner, Sink, Target};
use crate::error::{Error, Kind, Result};
use crate::kafka::admin;
use crate::record::{Records, TopicPartition};

/// How long the cluster may take to acknowledge what is left.
const PATIENCE: Duration = Duration::from_secs(60);
/// Bytes that wait to be acknowledged.
const QUEUE_BYTES: u64 = 32 << 20;

/// See the file's header.
pub struct OneTopic {
    name: String,
    writer: Writer,
    /// What stands for the place that the records come from.
    input: TopicPartition,
    sent: usize,
}

impl OneTopic {
    /// Opens a topic, which must exist; `client_id` is what the cluster's logs call the writer.
    ///
    /// # Errors
    /// `Kafka`: the cluster is out of reach, or has no such topic.
    pub fn open(cluster: Cluster, topic: &str, client_id: &str) -> Result<Self> {
        admin::find(&cluster, topic)?;
        let target = Target::Kafka {
            cluster,
            topic: topic.to_owned(),
            partitioner: Partitioner::Murmur2,
        };
        let sink = Sink {
            name: topic.to_owned(),
            from: Vec::new(),
            target,
            on_refused: OnRefused::Fail,
        };
        let options = Options {
            queue_bytes: QUEUE_BYTES,
            client_id: client_id.to_owned(),
            files: Files::default(),
            transactional: None,
        };
        Ok(Self {
            name: topic.to_owned(),
            writer: Writer::open(&[sink], &options)?,
            input: TopicPartition::new(topic, -1),
            sent: 0,
        })
    }

    /// Hands records over, in order, and takes them out of `batch`.
    ///
    /// # Errors
    /// `Kafka`: a record can never be delivered.
    pub fn hand_over(&mut self, batch: &mut Records) -> Result<()> {
        let mut from = 0;
        while from < batch.len() {
            from = self.writer.stage(0, &self.input, batch, from)?;
            let wait = if from < batch.len() {
                Duration::from_millis(10)
            } else {
                Duration::ZERO
            };
            self.writer.poll(wait)?;
        }
        self.sent += batch.len();
        batch.clear();
        Ok(())
    }

    /// Waits until all is acknowledged. How many records were handed over so far.
    ///
    /// # Errors
    /// `TimedOut`: the cluster took a minute and did not. `Kafka`: a record can never be delivered.
    pub fn drain(&mut self) -> Result<usize> {
        if self.writer.drain(PATIENCE)? {
            return Ok(self.sent);
        }
        let why = format!(
            "{} of {} records are not acknowledged after {PATIENCE:?}",
            self.writer.in_flight(),
            self.sent
        );
        let what = format!("failed to produce all records to topic `{}`", self.name);
        Err(Error::new(Kind::TimedOut, what, why))
    }
}
