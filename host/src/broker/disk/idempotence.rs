//! What a partition remembers of its idempotent producers: enough to write each of their batches once and in order.

use super::batch::BatchHeader;
use kafka_protocol::error::ResponseError;
use std::collections::{HashMap, VecDeque};

/// A producer has at most five requests under way, so no older batch can come again.
const REMEMBERED: usize = 5;
/// Above this many producers the half that wrote longest ago is forgotten; what they repeat then counts as new, as in
/// Kafka after `producer.id.expiration.ms`.
const PRODUCERS: usize = 10_000;

/// The producers of one partition. Always what a walk through the partition's log would give.
#[derive(Debug, Default)]
pub(in crate::broker) struct Producers {
    known: HashMap<i64, ProducerState>,
}

#[derive(Debug)]
struct ProducerState {
    epoch: i16,
    batches: VecDeque<Written>,
}

impl ProducerState {
    fn remember(&mut self, batch: &BatchHeader) {
        if self.batches.len() == REMEMBERED {
            self.batches.pop_front();
        }
        self.batches.push_back(Written {
            first: batch.base_sequence,
            last: batch.last_sequence(),
            base_offset: batch.base_offset,
        });
    }
}

#[derive(Debug, Clone, Copy)]
struct Written {
    first: i32,
    last: i32,
    base_offset: i64,
}

impl Producers {
    /// Whether a batch may be written: `Some(offset)` if it already is, nothing if it is the next one. A producer
    /// that never wrote here, as each without an id, may begin anywhere.
    pub(in crate::broker) fn check(&self, batch: &BatchHeader) -> Result<Option<i64>, ResponseError> {
        let Some(producer) = self.known.get(&batch.producer_id) else {
            return Ok(None);
        };
        if batch.producer_epoch < producer.epoch {
            return Err(ResponseError::InvalidProducerEpoch);
        }
        if batch.producer_epoch > producer.epoch {
            return match batch.base_sequence {
                0 => Ok(None),
                _ => Err(ResponseError::OutOfOrderSequenceNumber),
            };
        }
        let same = |written: &&Written| written.first == batch.base_sequence && written.last == batch.last_sequence();
        if let Some(written) = producer.batches.iter().find(same) {
            return Ok(Some(written.base_offset));
        }
        // Without a batch it is known from a marker alone.
        let next = producer
            .batches
            .back()
            .map_or(0, |last| last.last.wrapping_add(1) & i32::MAX);
        match batch.base_sequence == next {
            true => Ok(None),
            false => Err(ResponseError::OutOfOrderSequenceNumber),
        }
    }

    /// Remembers a batch that was written. A marker says only which epoch is the latest.
    pub(in crate::broker) fn remember(&mut self, batch: &BatchHeader) {
        if batch.producer_id < 0 {
            return;
        }
        let producer = self.known.entry(batch.producer_id).or_insert(ProducerState {
            epoch: batch.producer_epoch,
            batches: VecDeque::new(),
        });
        if producer.epoch != batch.producer_epoch {
            producer.epoch = batch.producer_epoch;
            producer.batches.clear();
        }
        if !batch.is_control() {
            producer.remember(batch);
        }
        if self.known.len() > PRODUCERS {
            self.forget_half();
        }
    }

    fn forget_half(&mut self) {
        let last = |producer: &ProducerState| producer.batches.back().map_or(-1, |batch| batch.base_offset);
        let mut offsets: Vec<i64> = self.known.values().map(last).collect();
        let (_, middle, _) = offsets.select_nth_unstable(PRODUCERS / 2);
        let middle = *middle;
        self.known.retain(|_, producer| last(producer) >= middle);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(producer_id: i64, base_sequence: i32, base_offset: i64) -> BatchHeader {
        BatchHeader {
            base_offset,
            size: 100,
            magic: 2,
            crc: 0,
            attributes: 0,
            last_offset_delta: 9,
            base_timestamp: 0,
            max_timestamp: 0,
            producer_id,
            producer_epoch: 0,
            base_sequence,
            count: 10,
        }
    }

    #[test]
    fn the_count_goes_on_at_zero_after_its_largest_number() {
        let mut producers = Producers::default();
        producers.remember(&batch(1, i32::MAX - 9, 0));
        assert_eq!(producers.check(&batch(1, 0, 0)), Ok(None));
        producers.remember(&batch(2, i32::MAX - 4, 10));
        assert_eq!(producers.check(&batch(2, 5, 0)), Ok(None));
        assert_eq!(
            producers.check(&batch(2, 6, 0)),
            Err(ResponseError::OutOfOrderSequenceNumber)
        );
    }

    #[test]
    fn a_marker_lets_the_count_go_on_and_a_newer_one_begins_it_anew() {
        let mut producers = Producers::default();
        producers.remember(&batch(1, 0, 0));
        let mut marker = BatchHeader {
            attributes: 0x30,
            base_sequence: -1,
            last_offset_delta: 0,
            ..batch(1, 0, 10)
        };
        producers.remember(&marker);
        assert_eq!(producers.check(&batch(1, 10, 11)), Ok(None));
        marker.producer_epoch = 1;
        producers.remember(&marker);
        assert_eq!(
            producers.check(&batch(1, 10, 11)),
            Err(ResponseError::InvalidProducerEpoch)
        );
        let next = |base_sequence| BatchHeader {
            producer_epoch: 1,
            ..batch(1, base_sequence, 12)
        };
        assert_eq!(producers.check(&next(10)), Err(ResponseError::OutOfOrderSequenceNumber));
        assert_eq!(producers.check(&next(0)), Ok(None));
    }

    #[test]
    fn the_producers_that_wrote_longest_ago_are_forgotten() {
        let mut producers = Producers::default();
        for id in 0..=PRODUCERS as i64 {
            producers.remember(&batch(id, 0, 10 * id));
        }
        assert!(producers.known.len() <= PRODUCERS / 2 + 1);
        let newest = PRODUCERS as i64;
        assert_eq!(producers.check(&batch(newest, 0, 0)), Ok(Some(10 * newest)));
        assert_eq!(producers.check(&batch(0, 0, 0)), Ok(None));
    }
}
