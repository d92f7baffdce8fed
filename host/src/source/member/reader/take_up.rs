//! Partitions whose positions nobody can tell yet: answered to the group at once, taken up later.

use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::consumer::Consumer;

use super::poll::Reader;
use super::polled::Polled;
use crate::clock;
use crate::error::{Error, Kind, Result};
use crate::kafka::consumer::words;
use crate::record::TopicPartition;

impl Reader {
    /// Gives the group its answer, without the partitions.
    pub(super) fn put_off(&mut self, partitions: Vec<TopicPartition>, why: &Error) -> Result<()> {
        tracing::info!(?partitions, %why, "partitions wait for their offsets; the others go on");
        self.client
            .incremental_assign(&TopicPartitionList::new())
            .map_err(|error| Error::new(Kind::Kafka, "failed to take over partitions", words(&error)))?;
        self.group.pending.push(partitions);
        Ok(())
    }

    /// Takes those up whose positions can be told by now.
    pub(super) fn take_up(&mut self) -> Result<Option<Polled>> {
        if !self.group.rebalance_events.is_empty() {
            return Ok(None);
        }
        let Some(partitions) = self.group.pending.due() else {
            return Ok(None);
        };
        let begun = clock::now();
        let resolved = match self.resolve(&partitions, self.group.pending.look) {
            Ok(resolved) => resolved,
            Err(error) if error.kind == Kind::TimedOut => {
                let is_reading = self.record_buffer.slots().next().is_some();
                self.group.pending.looked(begun, is_reading);
                tracing::debug!(%error, "partitions wait on");
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        // The look may have taken a while, and the membership may have ended in it.
        self.serve(Duration::ZERO)?;
        if !self.group.rebalance_events.is_empty() || self.group.pending.is_empty() {
            return Ok(None);
        }
        self.group.pending.taken_up();
        self.begin(resolved).map(|placed| Some(Polled::Assigned(placed)))
    }
}
