//! The producer and its topics: everything that is asked of librdkafka, and librdkafka's own words for what went wrong.
//!
//! The `rdkafka` crate's own producer is not used because it makes an event of each delivered record; here a success
//! costs nothing (`delivery.report.only.error`), and what is in flight is librdkafka's own count.
//!
//! Never decides anything: errors leave as librdkafka's code and text. Always: a producer's topics are released before
//! the client, and the client's reports (which callbacks point at) after it.

use std::ffi::{c_char, c_int, c_uint, c_void};
use std::ptr::{self, NonNull};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::credentials::NativeClient;
use super::failure::Failure;
use super::layout::{NO_ERROR, milliseconds, owned, terminated};
use super::reports::{Reports, on_delivery, on_error, on_log};
use super::requests::raw_metadata;
use crate::kafka::codes::UNKNOWN_TOPIC;
use rdkafka_sys as sys;
use rdkafka_sys::rd_kafka_vtype_t as vtype;

/// One record on its way out, borrowed from its batch.
pub(crate) struct OutgoingRecord<'a> {
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) value: Option<&'a [u8]>,
    /// Milliseconds since 1970; librdkafka takes 0 for "now".
    pub(crate) timestamp: i64,
    /// Comes back with a report of it.
    pub(crate) tag: u64,
}

/// A producer and its topics.
pub(crate) struct NativeProducer<R: Reports> {
    topics: Vec<NonNull<sys::rd_kafka_topic_t>>,
    pub(super) client: Arc<ProducerClient<R>>,
}

// SAFETY: librdkafka's client and topic handles may be used from any thread, and nothing else in a handle is bound to
// one.
unsafe impl<R: Reports> Send for NativeProducer<R> {}

/// librdkafka's producer. The last of those who hold it destroys it: its handle, or a call that was left behind.
pub(super) struct ProducerClient<R: Reports> {
    pub(super) native: NonNull<sys::rd_kafka_t>,
    reports: Arc<Mutex<R>>,
}

// SAFETY: librdkafka's clients may be used from any thread, by several at a time; the reports have a lock, and may be
// sent by their trait, since callbacks run in whichever thread polls.
unsafe impl<R: Reports> Send for ProducerClient<R> {}
// SAFETY: as above.
unsafe impl<R: Reports> Sync for ProducerClient<R> {}

// SAFETY: the client lives as long as its handle.
unsafe impl<R: Reports> NativeClient for NativeProducer<R> {
    fn pointer(&self) -> *mut sys::rd_kafka_t {
        self.client.native.as_ptr()
    }
}

impl<R: Reports> NativeProducer<R> {
    /// A producer with these properties. It connects by itself in threads of its own.
    pub(crate) fn new(properties: &[(String, String)]) -> Result<Self, String> {
        let reports: Arc<Mutex<R>> = Arc::default();
        let mut text = [0 as c_char; 512];
        let terminated = |(name, value): &(String, String)| Ok((terminated(name)?, terminated(value)?));
        let properties = properties.iter().map(terminated).collect::<Result<Vec<_>, String>>()?;
        // SAFETY: `conf` is fresh and owned here until `rd_kafka_new` takes it; the strings outlive each call; the
        // reports behind the opaque pointer are shared, so they do not move, and `Drop` releases the client before
        // them. `text` is as long as we say.
        unsafe {
            let conf = sys::rd_kafka_conf_new();
            for (name, value) in &properties {
                let set = sys::rd_kafka_conf_set(conf, name.as_ptr(), value.as_ptr(), text.as_mut_ptr(), text.len());
                if set != sys::rd_kafka_conf_res_t::RD_KAFKA_CONF_OK {
                    sys::rd_kafka_conf_destroy(conf);
                    return Err(owned(text.as_ptr()));
                }
            }
            sys::rd_kafka_conf_set_opaque(conf, Arc::as_ptr(&reports).cast_mut().cast());
            sys::rd_kafka_conf_set_dr_msg_cb(conf, Some(on_delivery::<R>));
            sys::rd_kafka_conf_set_error_cb(conf, Some(on_error::<R>));
            sys::rd_kafka_conf_set_log_cb(conf, Some(on_log));
            let kind = sys::rd_kafka_type_t::RD_KAFKA_PRODUCER;
            match NonNull::new(sys::rd_kafka_new(kind, conf, text.as_mut_ptr(), text.len())) {
                Some(native) => Ok(Self {
                    topics: Vec::new(),
                    client: Arc::new(ProducerClient { native, reports }),
                }),
                None => {
                    sys::rd_kafka_conf_destroy(conf);
                    Err(owned(text.as_ptr()))
                }
            }
        }
    }

    pub(super) fn native(&self) -> *mut sys::rd_kafka_t {
        self.client.native.as_ptr()
    }

    /// Adds a topic and gives its index. librdkafka keeps the first partitioner that a topic is added with.
    pub(crate) fn add_topic(&mut self, name: &str, partitioner: &str) -> Result<usize, String> {
        let (name, value) = (terminated(name)?, terminated(partitioner)?);
        let mut text = [0 as c_char; 512];
        // SAFETY: the client lives; the copy of its topic settings is ours until `rd_kafka_topic_new` takes it, which
        // it does whatever it returns.
        let topic = unsafe {
            let conf = sys::rd_kafka_default_topic_conf_dup(self.native());
            let property = c"partitioner".as_ptr();
            let set = sys::rd_kafka_topic_conf_set(conf, property, value.as_ptr(), text.as_mut_ptr(), text.len());
            if set != sys::rd_kafka_conf_res_t::RD_KAFKA_CONF_OK {
                sys::rd_kafka_topic_conf_destroy(conf);
                return Err(owned(text.as_ptr()));
            }
            NonNull::new(sys::rd_kafka_topic_new(self.native(), name.as_ptr(), conf))
        };
        self.topics
            .push(topic.ok_or_else(|| "librdkafka refused the topic".to_owned())?);
        Ok(self.topics.len() - 1)
    }

    /// Asks the cluster whether the topic is there, for `limit` at most.
    pub(crate) fn look_up(&self, topic: usize, limit: Duration) -> Result<(), Failure> {
        let mut answer: *const sys::rd_kafka_metadata = ptr::null();
        let rkt = self.topics[topic].as_ptr();
        // SAFETY: client and topic live; on success `answer` is ours to read and to release, with `topic_cnt` entries
        // behind `topics`. Errors are read as numbers because a broker may send one that the generated enum does not
        // know.
        let code = unsafe {
            let asked = raw_metadata(self.native(), 0, rkt, &mut answer, milliseconds(limit));
            if asked != NO_ERROR {
                return Err(Failure::of(asked));
            }
            let code = match (*answer).topic_cnt {
                1.. => ptr::addr_of!((*(*answer).topics).err).cast::<i32>().read(),
                _ => UNKNOWN_TOPIC,
            };
            sys::rd_kafka_metadata_destroy(answer);
            code
        };
        match code {
            NO_ERROR => Ok(()),
            code => Err(Failure {
                code,
                text: format!("the cluster answers with error {code}"),
            }),
        }
    }

    /// Copies a record into the queue; it never waits.
    pub(crate) fn produce<'h>(
        &self,
        topic: usize,
        message: &OutgoingRecord<'_>,
        headers: impl Iterator<Item = (&'h [u8], Option<&'h [u8]>)>,
    ) -> Result<(), i32> {
        let headers = header_list(headers)?;
        let (key, key_len) = parts(message.key);
        let (value, value_len) = parts(message.value);
        let flags: c_int = sys::RD_KAFKA_MSG_F_COPY;
        // SAFETY: the list of types and values ends with END and each value has its type's C form; key and value live
        // during the call, which copies them; the headers become librdkafka's when it succeeds, and stay ours when it
        // does not.
        let code = unsafe {
            sys::rd_kafka_producev(
                self.native(),
                vtype::RD_KAFKA_VTYPE_RKT as c_uint,
                self.topics[topic].as_ptr(),
                vtype::RD_KAFKA_VTYPE_MSGFLAGS as c_uint,
                flags,
                vtype::RD_KAFKA_VTYPE_KEY as c_uint,
                key,
                key_len,
                vtype::RD_KAFKA_VTYPE_VALUE as c_uint,
                value,
                value_len,
                vtype::RD_KAFKA_VTYPE_TIMESTAMP as c_uint,
                message.timestamp,
                vtype::RD_KAFKA_VTYPE_OPAQUE as c_uint,
                ptr::without_provenance_mut::<c_void>(message.tag as usize),
                vtype::RD_KAFKA_VTYPE_HEADERS as c_uint,
                headers,
                vtype::RD_KAFKA_VTYPE_END as c_uint,
            )
        } as i32;
        if code == NO_ERROR {
            return Ok(());
        }
        if !headers.is_null() {
            // SAFETY: the call failed, so the list is still ours, and nothing else knows it.
            unsafe { sys::rd_kafka_headers_destroy(headers) };
        }
        Err(code)
    }

    /// Serves the callbacks, for `limit` at most.
    pub(crate) fn poll(&self, limit: Duration) {
        // SAFETY: the client lives; callbacks touch the reports only, through their lock.
        unsafe { sys::rd_kafka_poll(self.native(), milliseconds(limit)) };
    }

    /// Serves the callbacks for `limit` at most and sends meanwhile what waits for company in a batch.
    pub(crate) fn flush(&self, limit: Duration) {
        // SAFETY: as `poll`. What it returns says whether the queue is empty, which `in_flight` says as well.
        unsafe { sys::rd_kafka_flush(self.native(), milliseconds(limit)) };
    }

    /// Records not acknowledged, and reports not served.
    pub(crate) fn in_flight(&self) -> usize {
        // SAFETY: the client lives.
        let count = unsafe { sys::rd_kafka_outq_len(self.native()) };
        usize::try_from(count).unwrap_or(0)
    }

    /// What the callbacks told.
    pub(crate) fn reports(&self) -> MutexGuard<'_, R> {
        self.client.reports.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The error after which this producer sends nothing more, if there was one.
    pub(crate) fn fatal(&self) -> Option<Failure> {
        let mut text = [0 as c_char; 512];
        // SAFETY: the client lives and `text` is as long as we say.
        let code = unsafe { fatal_error(self.native(), text.as_mut_ptr(), text.len()) };
        (code != NO_ERROR).then(|| Failure {
            code,
            // SAFETY: librdkafka ended the text with a zero when it gave an error.
            text: unsafe { owned(text.as_ptr()) },
        })
    }
}

unsafe extern "C" {
    /// librdkafka's own function. The generated one gives an enum, and a broker may send a number that is none of its
    /// values.
    #[link_name = "rd_kafka_fatal_error"]
    fn fatal_error(client: *mut sys::rd_kafka_t, text: *mut c_char, size: usize) -> i32;
}

impl<R: Reports> Drop for NativeProducer<R> {
    fn drop(&mut self) {
        for topic in self.topics.drain(..) {
            // SAFETY: each topic is released once, while the client lives.
            unsafe { sys::rd_kafka_topic_destroy(topic.as_ptr()) };
        }
    }
}

impl<R: Reports> Drop for ProducerClient<R> {
    fn drop(&mut self) {
        // SAFETY: nobody else holds it, so that it is destroyed once; no callback runs after it, so the reports may go
        // then.
        unsafe { sys::rd_kafka_destroy(self.native.as_ptr()) };
    }
}

/// A list of headers for one record, null if it has none.
fn header_list<'h>(
    headers: impl Iterator<Item = (&'h [u8], Option<&'h [u8]>)>,
) -> Result<*mut sys::rd_kafka_headers_t, i32> {
    let mut list: *mut sys::rd_kafka_headers_t = ptr::null_mut();
    for (name, value) in headers {
        let (value, value_len) = parts(value);
        // SAFETY: the list is ours; name and value live during the call, which copies them, and are as long as we say.
        unsafe {
            if list.is_null() {
                list = sys::rd_kafka_headers_new(8);
            }
            let (name, name_len) = (name.as_ptr().cast(), name.len() as isize);
            let code = sys::rd_kafka_header_add(list, name, name_len, value, value_len as isize) as i32;
            if code != NO_ERROR {
                sys::rd_kafka_headers_destroy(list);
                return Err(code);
            }
        }
    }
    Ok(list)
}

/// Pointer and length, null if there is nothing: that is how Kafka's null is told from an empty entry.
fn parts(bytes: Option<&[u8]>) -> (*const c_void, usize) {
    bytes.map_or((ptr::null(), 0), |bytes| (bytes.as_ptr().cast(), bytes.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Kafka's own vectors (`UtilsTest.testMurmur2`); a Java producer takes the hash without its sign, modulo the
    /// number of partitions.
    const JAVA: [(&[u8], i32); 6] = [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ];

    #[test]
    fn a_key_goes_to_the_partition_that_java_takes() {
        for (key, hash) in JAVA {
            for partitions in [1, 2, 3, 7, 12, 32, 1000] {
                // SAFETY: the function reads the key and the count only; it takes no topic.
                let ours = unsafe {
                    sys::rd_kafka_msg_partitioner_murmur2_random(
                        ptr::null(),
                        key.as_ptr().cast(),
                        key.len(),
                        partitions,
                        ptr::null_mut(),
                        ptr::null_mut(),
                    )
                };
                assert_eq!(ours, (hash & 0x7fff_ffff) % partitions, "{key:?} over {partitions}");
            }
        }
    }
}
