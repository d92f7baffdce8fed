//! Single records of topics, by their places.

use std::time::Duration;

use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};

use super::connect::{self, ConnectClient};
use super::errors;
use super::group_offsets::log_range;
use super::topic_reader::push;
use crate::clock;
use crate::config::Cluster;
use crate::error::{Error, Kind, Result};
use crate::record::{Records, TopicPartition};

/// How long one record may take to come.
const PATIENCE: Duration = Duration::from_secs(10);
/// One wait for it.
const STEP: Duration = Duration::from_millis(100);

/// A client that reads single records. Sees committed ones only, and leaves no trace in the cluster.
pub struct RecordFinder {
    client: ConnectClient,
}

impl RecordFinder {
    /// A client of a cluster that answers.
    ///
    /// # Errors
    /// `Kafka`: it does not, or refuses the log-in.
    pub fn open(cluster: &Cluster) -> Result<Self> {
        let group = format!("sandbar-find-{:016x}", clock::random());
        let (client, _) = connect::connect_to_group(cluster, &group)?;
        Ok(Self { client })
    }

    /// The record at this offset; `None`: it is not in the log, or was compacted away.
    ///
    /// # Errors
    /// `Kafka`: the partition cannot be read. `TimedOut`: the record does not come.
    pub fn find(&self, at: &TopicPartition, offset: i64) -> Result<Option<Records>> {
        let failed = |error: &KafkaError| connect::failed(format!("failed to read {at} at offset {offset}"), error);
        let (begin, end) = log_range(&self.client, &at.topic, at.partition)?;
        if !(begin..end).contains(&offset) {
            return Ok(None);
        }
        let mut place = TopicPartitionList::new();
        place
            .add_partition_offset(&at.topic, at.partition, Offset::Offset(offset))
            .and_then(|()| self.client.assign(&place))
            .map_err(|error| failed(&error))?;
        let deadline = clock::now() + PATIENCE;
        while clock::now() < deadline {
            match self.client.poll(STEP) {
                None => {}
                // Left over from the place before.
                Some(Ok(message)) if message.partition() != at.partition || message.topic() != &*at.topic => {}
                Some(Ok(message)) if message.offset() < offset => {}
                Some(Ok(message)) => {
                    let mut record = Records::default();
                    push(&message, &mut record);
                    return Ok((message.offset() == offset).then_some(record));
                }
                Some(Err(KafkaError::PartitionEOF(partition))) if partition == at.partition => return Ok(None),
                Some(Err(KafkaError::PartitionEOF(_))) => {}
                Some(Err(error)) if errors::passes(error.rdkafka_error_code().map_or(0, |code| code as i32)) => {}
                Some(Err(error)) => return Err(failed(&error)),
            }
        }
        let what = format!("failed to read {at} at offset {offset}");
        Err(Error::new(
            Kind::TimedOut,
            what,
            format!("it did not come within {PATIENCE:?}"),
        ))
    }
}
