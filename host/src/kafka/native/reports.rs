//! What librdkafka tells a producer's owner of its own accord: records that were not delivered, connections that
//! failed, its log.
//!
//! Callbacks run in whichever thread polls, and in librdkafka's own; they hand on, and decide nothing.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::failure::Failure;
use super::layout::{NO_ERROR, RawMessage, bytes, owned, words};
use rdkafka_sys as sys;

/// What keeps what the callbacks tell, until somebody looks.
pub(crate) trait Reports: Default + Send + 'static {
    /// A record can never be delivered.
    fn failed(&mut self, record: &FailedRecord<'_>);
    /// Something failed that belongs to no record: librdkafka's code and words.
    fn broken(&mut self, code: i32, reason: String);
}

/// A record that was not delivered, in librdkafka's memory, and why.
pub(crate) struct FailedRecord<'a>(&'a RawMessage);

impl<'a> FailedRecord<'a> {
    /// Kafka's code, or librdkafka's own.
    pub(crate) fn code(&self) -> i32 {
        self.0.err
    }

    pub(crate) fn topic(&self) -> String {
        // SAFETY: the message lives, and its topic with it: a record that was produced has one.
        unsafe { owned(sys::rd_kafka_topic_name(self.0.rkt)) }
    }

    pub(crate) fn partition(&self) -> i32 {
        self.0.partition
    }

    /// What it was sent with.
    pub(crate) fn tag(&self) -> u64 {
        self.0.private as usize as u64
    }

    pub(crate) fn key(&self) -> Option<&'a [u8]> {
        // SAFETY: the key is as long as the message says, and lives as long as it does.
        unsafe { bytes(self.0.key, self.0.key_len) }
    }

    pub(crate) fn value(&self) -> Option<&'a [u8]> {
        // SAFETY: as the key.
        unsafe { bytes(self.0.payload, self.0.len) }
    }

    /// Its headers, in order.
    pub(crate) fn headers(&self) -> Vec<(&'a [u8], Option<&'a [u8]>)> {
        let (mut list, mut found) = (ptr::null_mut(), Vec::new());
        // SAFETY: the message lives; a list that is given stays the message's. Each name ends with a zero byte, each
        // value is as long as is said.
        unsafe {
            if sys::rd_kafka_message_headers(ptr::from_ref(self.0).cast(), &mut list) as i32 != NO_ERROR {
                return found;
            }
            let (mut name, mut value, mut length) = (ptr::null(), ptr::null(), 0);
            while sys::rd_kafka_header_get_all(list, found.len(), &mut name, &mut value, &mut length) as i32 == NO_ERROR
            {
                found.push((CStr::from_ptr(name).to_bytes(), bytes(value, length)));
            }
        }
        found
    }

    /// What librdkafka says of the code. Not what it says of the message (`rd_kafka_message_errstr`): of a record that
    /// was on its way out it takes the value for the text.
    pub(crate) fn failure(&self) -> Failure {
        Failure {
            code: self.0.err,
            text: words(self.0.err),
        }
    }
}

/// # Safety
/// `opaque` is what the producer was made with: reports of this same type, which live as long as the client.
unsafe fn reports_behind<'a, R: Reports>(opaque: *mut c_void) -> MutexGuard<'a, R> {
    // SAFETY: the caller's promise.
    let reports = unsafe { &*opaque.cast::<Mutex<R>>() };
    reports.lock().unwrap_or_else(PoisonError::into_inner)
}

/// librdkafka calls this for each record that can never be delivered. A panic here ends the process, as in any function
/// that C calls.
pub(super) unsafe extern "C" fn on_delivery<R: Reports>(
    _client: *mut sys::rd_kafka_t,
    message: *const sys::rd_kafka_message_t,
    opaque: *mut c_void,
) {
    // SAFETY: librdkafka hands a message that lives during the call, with its topic, and the opaque pointer that we
    // set. The error is read as a number because a broker may send one that the generated enum does not know.
    unsafe {
        let message = &*message.cast::<RawMessage>();
        if message.err != NO_ERROR {
            reports_behind::<R>(opaque).failed(&FailedRecord(message));
        }
    }
}

/// librdkafka calls this when something fails that belongs to no record.
pub(super) unsafe extern "C" fn on_error<R: Reports>(
    _client: *mut sys::rd_kafka_t,
    code: c_int,
    reason: *const c_char,
    opaque: *mut c_void,
) {
    // SAFETY: librdkafka hands a text that lives during the call and the opaque pointer that we set.
    unsafe { reports_behind::<R>(opaque).broken(code, owned(reason)) };
}

/// librdkafka calls this, from any of its threads, to say what it does.
pub(super) unsafe extern "C" fn on_log(
    _client: *const sys::rd_kafka_t,
    level: c_int,
    facility: *const c_char,
    text: *const c_char,
) {
    // SAFETY: librdkafka hands texts that live during the call.
    let (facility, text) = unsafe { (owned(facility), owned(text)) };
    match level {
        // Properties are shared by sources and sinks, so some are always the other side's.
        _ if facility == "CONFWARN" => tracing::debug!(target: "librdkafka", "{facility}: {text}"),
        ..=4 => tracing::warn!(target: "librdkafka", "{facility}: {text}"),
        5..=6 => tracing::info!(target: "librdkafka", "{facility}: {text}"),
        _ => tracing::debug!(target: "librdkafka", "{facility}: {text}"),
    }
}
