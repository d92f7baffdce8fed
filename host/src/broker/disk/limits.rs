//! What a topic lets into its logs, beyond what every log asks of a batch.

use super::batch::{self, BatchHeader};
use super::log::BATCH_LIMIT;
use crate::clock;
use kafka_protocol::error::ResponseError;

/// The time of a record that has none.
const NO_TIME: i64 = -1;

/// The limits of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::broker) struct TopicLimits {
    /// Bytes of a batch.
    pub batch_bytes: usize,
    /// How much earlier than now a record's time may be.
    pub before_ms: i64,
    /// How much later than now it may be.
    pub after_ms: i64,
}

impl Default for TopicLimits {
    fn default() -> Self {
        Self {
            batch_bytes: BATCH_LIMIT,
            before_ms: i64::MAX,
            after_ms: i64::MAX,
        }
    }
}

impl TopicLimits {
    /// Whether a batch may come in.
    pub(in crate::broker) fn check(&self, batch: &[u8], header: &BatchHeader) -> Result<(), ResponseError> {
        if batch.len() > self.batch_bytes {
            return Err(ResponseError::MessageTooLarge);
        }
        if self.before_ms == i64::MAX && self.after_ms == i64::MAX {
            return Ok(());
        }
        match batch::find_record(batch, header, |_, time| self.is_outside(time, clock::wall_ms())) {
            Ok(None) => Ok(()),
            Ok(Some(_)) => Err(ResponseError::InvalidTimestamp),
            Err(_) => Err(ResponseError::InvalidRecord),
        }
    }

    fn is_outside(&self, time: i64, now: i64) -> bool {
        time != NO_TIME && (now.saturating_sub(time) > self.before_ms || time.saturating_sub(now) > self.after_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_outside_on_either_side_and_never_overflows() {
        let limits = TopicLimits {
            before_ms: 10,
            after_ms: 5,
            ..TopicLimits::default()
        };
        let outside = |time| limits.is_outside(time, 1000);
        assert!(outside(989) && outside(1006) && outside(i64::MIN) && outside(i64::MAX));
        assert!(!outside(990) && !outside(1005) && !outside(NO_TIME));
    }
}
