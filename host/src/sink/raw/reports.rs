//! What librdkafka tells of its own accord: records that were not delivered, connections that failed, its log.
//!
//! Callbacks run in whichever thread polls, and in librdkafka's own; they note, and decide nothing.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::handle::{Failure, NO_ERROR, owned};
use crate::kafka::errors::is_cut_off;
use crate::sink::codes::{self, ALL_BROKERS_DOWN};
use crate::sink::delivery::{Print, Refusal, Refusals, follows, is_refusal};
use crate::sink::origin::time_in;
use rdkafka_sys as sys;
use rdkafka_sys::rd_kafka_resp_err_t as code;

const AUTHENTICATION: i32 = code::RD_KAFKA_RESP_ERR__AUTHENTICATION as i32;
const SSL: i32 = code::RD_KAFKA_RESP_ERR__SSL as i32;

/// A record that can never be delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::sink) struct Undelivered {
    pub(in crate::sink) topic: String,
    pub(in crate::sink) partition: i32,
    pub(in crate::sink) failure: Failure,
}

/// What callbacks told since the last look.
#[derive(Debug, Default)]
pub(in crate::sink) struct Reports {
    /// The first record that was not delivered and will not be; later ones follow from it. A record that was only
    /// thrown away with its transaction makes room for one that tells why.
    pub(in crate::sink) undelivered: Option<Undelivered>,
    /// What was refused for good.
    pub(in crate::sink) refusals: Refusals,
    /// A broker refused the log-in or its encryption failed.
    pub(in crate::sink) refused: Option<String>,
    /// Why the last connection failed.
    pub(in crate::sink) broken: Option<String>,
    /// No broker is connected.
    pub(in crate::sink) all_down: bool,
}

impl Reports {
    /// The cluster answered: what was told of connections is past.
    pub(in crate::sink) fn forget_connections(&mut self) {
        (self.all_down, self.refused, self.broken) = (false, None, None);
    }
}

/// # Safety
/// `opaque` is what [`Handle::new`] set: reports that live as long as the client.
unsafe fn reports_behind<'a>(opaque: *mut c_void) -> MutexGuard<'a, Reports> {
    // SAFETY: the caller's promise.
    let reports = unsafe { &*opaque.cast::<Mutex<Reports>>() };
    reports.lock().unwrap_or_else(PoisonError::into_inner)
}

/// librdkafka calls this for each record that can never be delivered.
pub(super) unsafe extern "C" fn on_delivery(
    _client: *mut sys::rd_kafka_t,
    message: *const sys::rd_kafka_message_t,
    opaque: *mut c_void,
) {
    // SAFETY: librdkafka hands a message that lives during the call, with its topic, and the opaque pointer that we
    // set. The error is read as a number because a broker may send one that the generated enum does not know.
    unsafe {
        let code = ptr::addr_of!((*message).err).cast::<i32>().read();
        if code == NO_ERROR {
            return;
        }
        let mut reports = reports_behind(opaque);
        if is_refusal(code) {
            reports.refusals.told.push(refusal(message, code));
        } else if code == codes::BESIDE_A_BAD_RECORD {
            let place = (owned(sys::rd_kafka_topic_name((*message).rkt)), (*message).partition);
            reports.refusals.exact.insert(place);
        }
        let tells_why = |known: &Undelivered| !follows(&known.failure);
        if !reports.undelivered.as_ref().is_some_and(tells_why) {
            reports.undelivered = Some(Undelivered {
                topic: owned(sys::rd_kafka_topic_name((*message).rkt)),
                partition: (*message).partition,
                failure: failure(code),
            });
        }
    }
}

/// What librdkafka says of a code. Not what it says of the message (`rd_kafka_message_errstr`): of a record that was on
/// its way out it takes the value for the text.
fn failure(code: i32) -> Failure {
    // SAFETY: librdkafka has a text for each number, which is copied here.
    let text = unsafe { owned(text_of(code)) };
    Failure { code, text }
}

unsafe extern "C" {
    /// librdkafka's own function. The generated one takes an enum, and a broker may send a number that is none of its
    /// values.
    #[link_name = "rd_kafka_err2str"]
    fn text_of(code: i32) -> *const c_char;
}

/// # Safety
/// As [`on_delivery`].
unsafe fn refusal(message: *const sys::rd_kafka_message_t, code: i32) -> Refusal {
    // SAFETY: key and value are as long as the message says, and live as long as it does; so do the headers.
    unsafe {
        let key = bytes((*message).key, (*message).key_len);
        let value = bytes((*message).payload, (*message).len);
        let headers = headers(message);
        // Of a record that failed librdkafka tells no time.
        let tag = (*message)._private as usize as u64;
        let of_headers = |(name, value): &(&[u8], Option<&[u8]>)| name.len() + value.map_or(0, <[u8]>::len);
        Refusal {
            topic: owned(sys::rd_kafka_topic_name((*message).rkt)),
            partition: (*message).partition,
            tag,
            bytes: key.map_or(0, <[u8]>::len)
                + value.map_or(0, <[u8]>::len)
                + headers.iter().map(of_headers).sum::<usize>(),
            print: Print::of(key, value, headers.into_iter(), time_in(tag)),
            failure: failure(code),
            is_local: false,
        }
    }
}

/// # Safety
/// As [`on_delivery`]; what is returned lives as long as the message.
unsafe fn headers<'a>(message: *const sys::rd_kafka_message_t) -> Vec<(&'a [u8], Option<&'a [u8]>)> {
    let (mut list, mut found) = (ptr::null_mut(), Vec::new());
    // SAFETY: the message lives; a list that is given stays the message's. Each name ends with a zero byte, each value
    // is as long as is said.
    unsafe {
        if sys::rd_kafka_message_headers(message, &mut list) as i32 != NO_ERROR {
            return found;
        }
        let (mut name, mut value, mut length): (*const c_char, *const c_void, usize) = (ptr::null(), ptr::null(), 0);
        while sys::rd_kafka_header_get_all(list, found.len(), &mut name, &mut value, &mut length) as i32 == NO_ERROR {
            found.push((CStr::from_ptr(name).to_bytes(), bytes(value, length)));
        }
    }
    found
}

/// # Safety
/// `start` is null, or has as many bytes as is said for as long as they are used.
unsafe fn bytes<'a>(start: *const c_void, length: usize) -> Option<&'a [u8]> {
    // SAFETY: the caller's promise.
    (!start.is_null()).then(|| unsafe { std::slice::from_raw_parts(start.cast(), length) })
}

/// librdkafka calls this when something fails that belongs to no record.
pub(super) unsafe extern "C" fn on_error(
    _client: *mut sys::rd_kafka_t,
    code: c_int,
    reason: *const c_char,
    opaque: *mut c_void,
) {
    // SAFETY: librdkafka hands a text that lives during the call and the opaque pointer that we set.
    let (reason, mut reports) = unsafe { (owned(reason), reports_behind(opaque)) };
    match code {
        ALL_BROKERS_DOWN => reports.all_down = true,
        AUTHENTICATION | SSL if !is_cut_off(&reason) => reports.refused = Some(reason),
        _ => reports.broken = Some(reason),
    }
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
