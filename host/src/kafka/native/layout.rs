//! How librdkafka lays out what it fills in, and its error codes.
//!
//! Error codes are read as numbers. The generated bindings and the `rdkafka` crate read them as an enum with gaps, and
//! a broker that is newer than they are may send one that lies in a gap: such a value must not exist in Rust at all.
//! Here it becomes `Code::Unknown`, and is told with its number.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::slice;
use std::time::Duration;

use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::types::{RDKafkaErrorCode as Code, RDKafkaRespErr};
use rdkafka_sys as sys;

/// No error.
pub(super) const NO_ERROR: i32 = 0;

/// librdkafka's message, as its header lays it out, but for the code, which is a number.
#[repr(C)]
pub(super) struct RawMessage {
    pub(super) err: i32,
    pub(super) rkt: *mut sys::rd_kafka_topic_t,
    pub(super) partition: i32,
    pub(super) payload: *mut c_void,
    pub(super) len: usize,
    pub(super) key: *mut c_void,
    pub(super) key_len: usize,
    pub(super) offset: i64,
    pub(super) private: *mut c_void,
}

/// What a fetched message is the first field of, as librdkafka's `rdkafka_msg.h` lays it out (`rd_kafka_msg_t`).
#[repr(C)]
pub(super) struct RawFetched {
    message: RawMessage,
    links: [*mut c_void; 2],
    flags: c_int,
    timestamp_kind: c_int,
    timestamp: i64,
    parsed_headers: *mut c_void,
    status: c_int,
    broker: i32,
    headers_length: i32,
    headers: *const u8,
}

// Here and in `leader_discovery` stands what is in no public header of librdkafka: another version has to be compared
// first.
const _: () = assert!(sys::RD_KAFKA_VERSION == 0x020c_01ff);

/// The flag of a message that this program produces, of which the last two fields are others.
const PRODUCED: c_int = 0x4_0000;

impl RawFetched {
    /// Whether all that came of its headers is that there are none: their number, a byte that is zero.
    pub(super) fn has_no_headers(&self) -> bool {
        let is_a_byte = self.flags & PRODUCED == 0 && self.headers_length == 1 && !self.headers.is_null();
        // SAFETY: librdkafka gives pointer and length of bytes that live as long as the message.
        is_a_byte && unsafe { *self.headers } == 0
    }
}

/// An element of librdkafka's list of partitions, laid out likewise.
#[repr(C)]
pub(super) struct RawElement {
    pub(super) topic: *mut c_char,
    pub(super) partition: i32,
    pub(super) offset: i64,
    pub(super) metadata: *mut c_void,
    pub(super) metadata_size: usize,
    pub(super) opaque: *mut c_void,
    pub(super) err: i32,
    pub(super) private: *mut c_void,
}

/// Metadata of a topic, laid out likewise.
#[repr(C)]
pub(super) struct RawTopic {
    pub(super) topic: *mut c_char,
    pub(super) partition_count: c_int,
    pub(super) partitions: *mut RawPartition,
    pub(super) err: i32,
}

#[repr(C)]
pub(super) struct RawPartition {
    pub(super) id: i32,
    pub(super) err: i32,
    pub(super) leader: i32,
    pub(super) replica_count: c_int,
    pub(super) replicas: *mut i32,
    pub(super) in_sync_count: c_int,
    pub(super) in_sync: *mut i32,
}

/// A layout that is not librdkafka's does not compile.
const _: () = {
    use std::mem::{offset_of, size_of};
    assert!(size_of::<RawMessage>() == size_of::<sys::rd_kafka_message_t>());
    assert!(offset_of!(RawMessage, err) == offset_of!(sys::rd_kafka_message_t, err));
    assert!(offset_of!(RawMessage, rkt) == offset_of!(sys::rd_kafka_message_t, rkt));
    assert!(offset_of!(RawMessage, partition) == offset_of!(sys::rd_kafka_message_t, partition));
    assert!(offset_of!(RawMessage, payload) == offset_of!(sys::rd_kafka_message_t, payload));
    assert!(offset_of!(RawMessage, len) == offset_of!(sys::rd_kafka_message_t, len));
    assert!(offset_of!(RawMessage, key) == offset_of!(sys::rd_kafka_message_t, key));
    assert!(offset_of!(RawMessage, key_len) == offset_of!(sys::rd_kafka_message_t, key_len));
    assert!(offset_of!(RawMessage, offset) == offset_of!(sys::rd_kafka_message_t, offset));
    assert!(offset_of!(RawMessage, private) == offset_of!(sys::rd_kafka_message_t, _private));
    assert!(size_of::<RawElement>() == size_of::<sys::rd_kafka_topic_partition_t>());
    assert!(offset_of!(RawElement, err) == offset_of!(sys::rd_kafka_topic_partition_t, err));
    assert!(offset_of!(RawElement, metadata_size) == offset_of!(sys::rd_kafka_topic_partition_t, metadata_size));
    assert!(size_of::<RawTopic>() == size_of::<sys::rd_kafka_metadata_topic>());
    assert!(offset_of!(RawTopic, err) == offset_of!(sys::rd_kafka_metadata_topic, err));
    assert!(size_of::<RawPartition>() == size_of::<sys::rd_kafka_metadata_partition>());
    assert!(offset_of!(RawPartition, leader) == offset_of!(sys::rd_kafka_metadata_partition, leader));
};

unsafe extern "C" {
    #[link_name = "rd_kafka_err2str"]
    fn raw_words(code: i32) -> *const c_char;
}

/// A code by its number.
pub(crate) fn code(number: i32) -> Code {
    match RDKafkaRespErr::try_from(number) {
        Ok(known) => known.into(),
        Err(_) => {
            tracing::warn!(number, "Kafka sent an error code that this version does not know");
            Code::Unknown
        }
    }
}

/// librdkafka's words for a code; whatever the number, there are some.
pub(crate) fn words(code: i32) -> String {
    // SAFETY: for each number librdkafka gives a text; that of an unknown one lives until this thread asks again, and
    // is copied here.
    unsafe { owned(raw_words(code)) }
}

/// # Safety
/// `start` is null, or `size` bytes can be read there for `'a`.
pub(super) unsafe fn bytes<'a>(start: *const c_void, size: usize) -> Option<&'a [u8]> {
    // SAFETY: as the caller promises.
    (!start.is_null()).then(|| unsafe { slice::from_raw_parts(start.cast::<u8>(), size) })
}

/// # Safety
/// `start` is null, or `count` values can be read there for `'a`.
pub(super) unsafe fn read<'a, T>(start: *const T, count: c_int) -> &'a [T] {
    match usize::try_from(count) {
        // SAFETY: the caller's promise.
        Ok(count) if !start.is_null() => unsafe { slice::from_raw_parts(start, count) },
        _ => &[],
    }
}

pub(super) fn checked(number: i32, error: impl Fn(Code) -> KafkaError) -> KafkaResult<()> {
    match number {
        NO_ERROR => Ok(()),
        number => Err(error(code(number))),
    }
}

pub(super) fn milliseconds(limit: Duration) -> c_int {
    c_int::try_from(limit.as_millis()).unwrap_or(c_int::MAX)
}

pub(super) fn terminated(text: &str) -> Result<CString, String> {
    CString::new(text).map_err(|_| format!("`{}` has a zero byte", text.replace('\0', "\\0")))
}

/// A copy of a C string.
///
/// # Safety
/// `text` is null or ends with a zero byte.
pub(super) unsafe fn owned(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}
