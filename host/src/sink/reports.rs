//! What a producer told since the last look: records that were not delivered, connections that failed.

use super::delivery::{Print, Refusals, RefusedRecord, follows, is_refusal};
use super::origin::time_in;
use crate::kafka::codes::{self, ALL_BROKERS_DOWN, AUTHENTICATION, SSL};
use crate::kafka::errors::is_cut_off;
use crate::kafka::native::failure::Failure;
use crate::kafka::native::reports::{self, FailedRecord};

/// A record that can never be delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Undelivered {
    pub(super) topic: String,
    pub(super) partition: i32,
    pub(super) failure: Failure,
}

/// What callbacks told since the last look.
#[derive(Debug, Default)]
pub(super) struct DeliveryReports {
    /// The first record that was not delivered and will not be; later ones follow from it. A record that was only
    /// thrown away with its transaction makes room for one that tells why.
    pub(super) undelivered: Option<Undelivered>,
    /// What was refused for good.
    pub(super) refusals: Refusals,
    /// A broker refused the log-in or its encryption failed.
    pub(super) refused: Option<String>,
    /// Why the last connection failed.
    pub(super) broken: Option<String>,
    /// No broker is connected.
    pub(super) all_down: bool,
}

impl DeliveryReports {
    /// The cluster answered: what was told of connections is past.
    pub(super) fn forget_connections(&mut self) {
        (self.all_down, self.refused, self.broken) = (false, None, None);
    }
}

impl reports::Reports for DeliveryReports {
    fn failed(&mut self, record: &FailedRecord<'_>) {
        let code = record.code();
        if is_refusal(code) {
            self.refusals.told.push(refusal(record));
        } else if code == codes::BESIDE_A_BAD_RECORD {
            self.refusals.exact.insert((record.topic(), record.partition()));
        }
        let tells_why = |known: &Undelivered| !follows(&known.failure);
        if !self.undelivered.as_ref().is_some_and(tells_why) {
            self.undelivered = Some(Undelivered {
                topic: record.topic(),
                partition: record.partition(),
                failure: record.failure(),
            });
        }
    }

    fn broken(&mut self, code: i32, reason: String) {
        match code {
            ALL_BROKERS_DOWN => self.all_down = true,
            AUTHENTICATION | SSL if !is_cut_off(&reason) => self.refused = Some(reason),
            _ => self.broken = Some(reason),
        }
    }
}

fn refusal(record: &FailedRecord<'_>) -> RefusedRecord {
    let (key, value, headers) = (record.key(), record.value(), record.headers());
    // Of a record that failed librdkafka tells no time.
    let tag = record.tag();
    let of_headers = |(name, value): &(&[u8], Option<&[u8]>)| name.len() + value.map_or(0, <[u8]>::len);
    RefusedRecord {
        topic: record.topic(),
        partition: record.partition(),
        tag,
        bytes: key.map_or(0, <[u8]>::len)
            + value.map_or(0, <[u8]>::len)
            + headers.iter().map(of_headers).sum::<usize>(),
        print: Print::of(key, value, headers.into_iter(), time_in(tag)),
        failure: record.failure(),
        is_local: false,
    }
}
