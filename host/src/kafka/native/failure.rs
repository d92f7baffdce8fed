//! librdkafka's own words for what went wrong.

use super::layout::words;
use rdkafka_sys::rd_kafka_resp_err_t as code;

const PURGED_IN_QUEUE: i32 = code::RD_KAFKA_RESP_ERR__PURGE_QUEUE as i32;
const PURGED_IN_FLIGHT: i32 = code::RD_KAFKA_RESP_ERR__PURGE_INFLIGHT as i32;

/// librdkafka's code of an error and its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) code: i32,
    pub(crate) text: String,
}

impl Failure {
    /// The record was thrown away with its transaction: another one tells why.
    pub(crate) fn is_purge(&self) -> bool {
        matches!(self.code, PURGED_IN_QUEUE | PURGED_IN_FLIGHT)
    }

    /// What librdkafka says about one of its own codes.
    pub(crate) fn of(code: i32) -> Self {
        let text = words(code);
        Self { code, text }
    }
}
