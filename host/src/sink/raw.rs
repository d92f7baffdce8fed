//! librdkafka's producer, called directly: everything of this station that the compiler cannot check.
//!
//! Never decides anything: errors leave as librdkafka's code and text, and [`super::producer`] judges them. Always: a handle's topics are released before the
//! handle, and its reports (which callbacks point at) after it.
//!
//! The `rdkafka` crate's own producer is not used because it makes an event of each delivered record; here a success costs nothing
//! (`delivery.report.only.error`), and what is in flight is librdkafka's own count.
#![expect(unsafe_code, reason = "the producer is driven through librdkafka's C interface")]

use std::ffi::{CStr, CString, c_char, c_int, c_uint, c_void};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Duration;

use super::codes::{self, ALL_BROKERS_DOWN, UNKNOWN_TOPIC};
use super::delivery::{Print, Refusal, Refusals, follows, is_refusal};
use super::origin::time_in;
use crate::login::Native;
use rdkafka::TopicPartitionList;
use rdkafka_sys as sys;
use rdkafka_sys::rd_kafka_resp_err_t as code;
use rdkafka_sys::rd_kafka_vtype_t as vtype;

/// How much longer than its limit a call may take before it counts as one that never comes back.
const HELD: Duration = Duration::from_secs(1);
const PURGED_IN_QUEUE: i32 = code::RD_KAFKA_RESP_ERR__PURGE_QUEUE as i32;
const PURGED_IN_FLIGHT: i32 = code::RD_KAFKA_RESP_ERR__PURGE_INFLIGHT as i32;
const AUTHENTICATION: i32 = code::RD_KAFKA_RESP_ERR__AUTHENTICATION as i32;
const SSL: i32 = code::RD_KAFKA_RESP_ERR__SSL as i32;
const NO_ERROR: i32 = code::RD_KAFKA_RESP_ERR_NO_ERROR as i32;

/// librdkafka's code of an error and its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) code: i32,
    pub(super) text: String,
}

/// A record that can never be delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Undelivered {
    pub(super) topic: String,
    pub(super) partition: i32,
    pub(super) failure: Failure,
}

/// What callbacks told since the last look.
#[derive(Debug, Default)]
pub(super) struct Reports {
    /// The first record that was not delivered and will not be; later ones follow from it. A record that was only thrown away with its transaction
    /// makes room for one that tells why.
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

impl Reports {
    /// The cluster answered: what was told of connections is past.
    pub(super) fn forget_connections(&mut self) {
        (self.all_down, self.refused, self.broken) = (false, None, None);
    }
}

/// One record on its way out, borrowed from its batch.
pub(super) struct Message<'a> {
    pub(super) key: Option<&'a [u8]>,
    pub(super) value: Option<&'a [u8]>,
    /// Milliseconds since 1970; librdkafka takes 0 for "now".
    pub(super) timestamp: i64,
    /// Comes back with a report of it.
    pub(super) tag: u64,
}

/// A producer and its topics.
pub(super) struct Handle {
    client: NonNull<sys::rd_kafka_t>,
    topics: Vec<NonNull<sys::rd_kafka_topic_t>>,
    reports: Box<Mutex<Reports>>,
    /// A call of ours stays in the client for as long as it likes: it must outlive everything.
    is_held: AtomicBool,
}

// SAFETY: librdkafka's client and topic handles may be used from any thread, and nothing else in a handle is bound to one.
unsafe impl Send for Handle {}

// SAFETY: the client lives as long as its handle.
unsafe impl Native for Handle {
    fn pointer(&self) -> *mut sys::rd_kafka_t {
        self.client.as_ptr()
    }
}

impl Handle {
    /// A producer with these properties. It connects by itself in threads of its own.
    pub(super) fn new(properties: &[(String, String)]) -> Result<Self, String> {
        let reports: Box<Mutex<Reports>> = Box::default();
        let mut text = [0 as c_char; 512];
        // SAFETY: `conf` is fresh and owned here until `rd_kafka_new` takes it; the strings outlive each call; the reports behind the opaque pointer
        // are boxed, so they do not move, and `Drop` releases the client before them. `text` is as long as we say.
        unsafe {
            let conf = sys::rd_kafka_conf_new();
            for (name, value) in properties {
                let (name, value) = (terminated(name)?, terminated(value)?);
                let set = sys::rd_kafka_conf_set(conf, name.as_ptr(), value.as_ptr(), text.as_mut_ptr(), text.len());
                if set != sys::rd_kafka_conf_res_t::RD_KAFKA_CONF_OK {
                    sys::rd_kafka_conf_destroy(conf);
                    return Err(owned(text.as_ptr()));
                }
            }
            sys::rd_kafka_conf_set_opaque(conf, ptr::from_ref(&*reports).cast_mut().cast());
            sys::rd_kafka_conf_set_dr_msg_cb(conf, Some(on_delivery));
            sys::rd_kafka_conf_set_error_cb(conf, Some(on_error));
            sys::rd_kafka_conf_set_log_cb(conf, Some(on_log));
            let kind = sys::rd_kafka_type_t::RD_KAFKA_PRODUCER;
            match NonNull::new(sys::rd_kafka_new(kind, conf, text.as_mut_ptr(), text.len())) {
                Some(client) => Ok(Self {
                    client,
                    topics: Vec::new(),
                    reports,
                    is_held: AtomicBool::new(false),
                }),
                None => {
                    sys::rd_kafka_conf_destroy(conf);
                    Err(owned(text.as_ptr()))
                }
            }
        }
    }

    /// Adds a topic and gives its index. librdkafka keeps the first partitioner that a topic is added with.
    pub(super) fn add_topic(&mut self, name: &str, partitioner: &str) -> Result<usize, String> {
        let (name, value) = (terminated(name)?, terminated(partitioner)?);
        let mut text = [0 as c_char; 512];
        // SAFETY: the client lives; the copy of its topic settings is ours until `rd_kafka_topic_new` takes it, which it does whatever it returns.
        let topic = unsafe {
            let conf = sys::rd_kafka_default_topic_conf_dup(self.client.as_ptr());
            let property = c"partitioner".as_ptr();
            let set = sys::rd_kafka_topic_conf_set(conf, property, value.as_ptr(), text.as_mut_ptr(), text.len());
            if set != sys::rd_kafka_conf_res_t::RD_KAFKA_CONF_OK {
                sys::rd_kafka_topic_conf_destroy(conf);
                return Err(owned(text.as_ptr()));
            }
            NonNull::new(sys::rd_kafka_topic_new(self.client.as_ptr(), name.as_ptr(), conf))
        };
        self.topics
            .push(topic.ok_or_else(|| "librdkafka refused the topic".to_owned())?);
        Ok(self.topics.len() - 1)
    }

    /// Asks the cluster whether the topic is there, for `limit` at most.
    pub(super) fn look_up(&self, topic: usize, limit: Duration) -> Result<(), Failure> {
        let mut answer: *const sys::rd_kafka_metadata = ptr::null();
        let rkt = self.topics[topic].as_ptr();
        // SAFETY: client and topic live; on success `answer` is ours to read and to release, with `topic_cnt` entries behind `topics`. The entry's error is
        // read as a number because a broker may send one that the generated enum does not know.
        let code = unsafe {
            let asked = sys::rd_kafka_metadata(self.client.as_ptr(), 0, rkt, &mut answer, milliseconds(limit));
            if asked as i32 != NO_ERROR {
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
    pub(super) fn produce<'h>(
        &self,
        topic: usize,
        message: &Message<'_>,
        headers: impl Iterator<Item = (&'h [u8], Option<&'h [u8]>)>,
    ) -> Result<(), i32> {
        let headers = header_list(headers)?;
        let (key, key_len) = parts(message.key);
        let (value, value_len) = parts(message.value);
        let flags: c_int = sys::RD_KAFKA_MSG_F_COPY;
        // SAFETY: the list of types and values ends with END and each value has its type's C form; key and value live during the call, which copies them;
        // the headers become librdkafka's when it succeeds, and stay ours when it does not.
        let code = unsafe {
            sys::rd_kafka_producev(
                self.client.as_ptr(),
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
    pub(super) fn poll(&self, limit: Duration) {
        // SAFETY: the client lives; callbacks touch the reports only, through their lock.
        unsafe { sys::rd_kafka_poll(self.client.as_ptr(), milliseconds(limit)) };
    }

    /// Serves the callbacks for `limit` at most and sends meanwhile what waits for company in a batch.
    pub(super) fn flush(&self, limit: Duration) {
        // SAFETY: as `poll`. What it returns says whether the queue is empty, which `in_flight` says as well.
        unsafe { sys::rd_kafka_flush(self.client.as_ptr(), milliseconds(limit)) };
    }

    /// Records not acknowledged, and reports not served.
    pub(super) fn in_flight(&self) -> usize {
        // SAFETY: the client lives.
        let count = unsafe { sys::rd_kafka_outq_len(self.client.as_ptr()) };
        usize::try_from(count).unwrap_or(0)
    }

    /// What the callbacks told.
    pub(super) fn reports(&self) -> MutexGuard<'_, Reports> {
        self.reports.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The error after which this producer sends nothing more, if there was one.
    pub(super) fn fatal(&self) -> Option<Failure> {
        let mut text = [0 as c_char; 512];
        // SAFETY: the client lives and `text` is as long as we say.
        let code = unsafe { sys::rd_kafka_fatal_error(self.client.as_ptr(), text.as_mut_ptr(), text.len()) } as i32;
        (code != NO_ERROR).then(|| Failure {
            code,
            // SAFETY: librdkafka ended the text with a zero when it gave an error.
            text: unsafe { owned(text.as_ptr()) },
        })
    }
}

/// A step of a transaction that did not succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Setback {
    pub(super) failure: Failure,
    /// The same call may succeed a little later.
    pub(super) is_retriable: bool,
    /// This producer does nothing more.
    pub(super) is_fatal: bool,
}

/// Transactions. Each call waits for `limit` at most.
impl Handle {
    /// Makes this producer the only one of its transactional id: what the one before left open is aborted, or its commit waited for. May be called again.
    pub(super) fn init_transactions(&self, limit: Duration) -> Result<(), Setback> {
        // SAFETY: the client lives; the error that it gives is ours.
        unsafe {
            outcome(sys::rd_kafka_init_transactions(
                self.client.as_ptr(),
                milliseconds(limit),
            ))
        }
    }

    /// Begins a transaction; asks nobody.
    pub(super) fn begin_transaction(&self) -> Result<(), Setback> {
        // SAFETY: as `init_transactions`.
        unsafe { outcome(sys::rd_kafka_begin_transaction(self.client.as_ptr())) }
    }

    /// Makes offsets part of the transaction. `group`: a membership as the consumer wrote it.
    ///
    /// Where no broker is left librdkafka waits for one without limit (`rd_kafka_coord_req_fsm` of 2.12.1), whatever it is told. So it is asked in a
    /// thread that may stay behind; the client is never destroyed then, and another one has to go on.
    pub(super) fn send_offsets(
        &self,
        offsets: &TopicPartitionList,
        group: &[u8],
        limit: Duration,
    ) -> Result<(), Setback> {
        let (client, offsets, group) = (Client(self.client), offsets.clone(), group.to_vec());
        let (answer, answered) = mpsc::channel();
        let asking = std::thread::Builder::new()
            .name("send-offsets".to_owned())
            .spawn(move || {
                let _nobody_waits_any_more = answer.send(send_offsets(&client, &offsets, &group, limit));
            });
        if asking.is_ok()
            && let Ok(outcome) = answered.recv_timeout(limit + HELD)
        {
            return outcome;
        }
        self.is_held.store(asking.is_ok(), Ordering::Relaxed);
        Err(Setback {
            failure: Failure::of(code::RD_KAFKA_RESP_ERR__TIMED_OUT),
            is_retriable: true,
            is_fatal: false,
        })
    }

    /// Commits the transaction. May be called again.
    pub(super) fn commit_transaction(&self, limit: Duration) -> Result<(), Setback> {
        // SAFETY: as `init_transactions`.
        unsafe {
            outcome(sys::rd_kafka_commit_transaction(
                self.client.as_ptr(),
                milliseconds(limit),
            ))
        }
    }

    /// Aborts the transaction; what waits is thrown away. May be called again.
    pub(super) fn abort_transaction(&self, limit: Duration) -> Result<(), Setback> {
        // SAFETY: as `init_transactions`.
        unsafe {
            outcome(sys::rd_kafka_abort_transaction(
                self.client.as_ptr(),
                milliseconds(limit),
            ))
        }
    }
}

unsafe extern "C" {
    /// librdkafka's own function. The generated one gives an enum, and a broker may send a number that is none of its values.
    #[link_name = "rd_kafka_error_code"]
    fn error_code(error: *const sys::rd_kafka_error_t) -> i32;
}

/// What a call that gives an error object came to.
///
/// # Safety
/// `error` is null or an error object that nothing else knows; it is destroyed here.
unsafe fn outcome(error: *mut sys::rd_kafka_error_t) -> Result<(), Setback> {
    if error.is_null() {
        return Ok(());
    }
    // SAFETY: the caller's promise; the text is copied before its owner goes.
    unsafe {
        let setback = Setback {
            failure: Failure {
                code: error_code(error),
                text: owned(sys::rd_kafka_error_string(error)),
            },
            is_retriable: sys::rd_kafka_error_is_retriable(error) != 0,
            is_fatal: sys::rd_kafka_error_is_fatal(error) != 0,
        };
        sys::rd_kafka_error_destroy(error);
        Err(setback)
    }
}

/// A client that outlives the call, as `Handle::is_held` sees to.
struct Client(NonNull<sys::rd_kafka_t>);

// SAFETY: librdkafka's clients may be used from any thread.
unsafe impl Send for Client {}

fn send_offsets(client: &Client, offsets: &TopicPartitionList, group: &[u8], limit: Duration) -> Result<(), Setback> {
    let mut membership = ptr::null_mut();
    // SAFETY: the client lives; the list lives during the call, which copies it; the membership is made of as many bytes as we say, and is ours to
    // destroy where it was made.
    unsafe {
        outcome(sys::rd_kafka_consumer_group_metadata_read(
            &mut membership,
            group.as_ptr().cast(),
            group.len(),
        ))?;
        let sent = outcome(sys::rd_kafka_send_offsets_to_transaction(
            client.0.as_ptr(),
            offsets.ptr(),
            membership,
            milliseconds(limit),
        ));
        sys::rd_kafka_consumer_group_metadata_destroy(membership);
        sent
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if *self.is_held.get_mut() {
            // The reports go on being written to.
            Box::leak(std::mem::take(&mut self.reports));
            return;
        }
        // SAFETY: each handle is released once, topics first; no callback runs after `rd_kafka_destroy`, so the reports may go after it.
        unsafe {
            for topic in self.topics.drain(..) {
                sys::rd_kafka_topic_destroy(topic.as_ptr());
            }
            sys::rd_kafka_destroy(self.client.as_ptr());
        }
    }
}

impl Failure {
    /// The record was thrown away with its transaction: another one tells why.
    pub(super) fn is_purge(&self) -> bool {
        matches!(self.code, PURGED_IN_QUEUE | PURGED_IN_FLIGHT)
    }

    /// What librdkafka says about one of its own codes.
    pub(super) fn of(error: sys::rd_kafka_resp_err_t) -> Self {
        // SAFETY: librdkafka has a text that lives forever for each code.
        let text = unsafe { owned(sys::rd_kafka_err2str(error)) };
        Self {
            code: error as i32,
            text,
        }
    }
}

/// A list of headers for one record, null where it has none.
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

/// Pointer and length, null where there is nothing: that is how Kafka's null is told from an empty entry.
fn parts(bytes: Option<&[u8]>) -> (*const c_void, usize) {
    bytes.map_or((ptr::null(), 0), |bytes| (bytes.as_ptr().cast(), bytes.len()))
}

fn milliseconds(limit: Duration) -> c_int {
    c_int::try_from(limit.as_millis()).unwrap_or(c_int::MAX)
}

fn terminated(text: &str) -> Result<CString, String> {
    CString::new(text).map_err(|_| format!("`{}` has a zero byte", text.replace('\0', "\\0")))
}

/// A copy of a C string.
///
/// # Safety
/// `text` is null or ends with a zero byte.
unsafe fn owned(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

/// # Safety
/// `opaque` is what [`Handle::new`] set: reports that live as long as the client.
unsafe fn reports_behind<'a>(opaque: *mut c_void) -> MutexGuard<'a, Reports> {
    // SAFETY: the caller's promise.
    let reports = unsafe { &*opaque.cast::<Mutex<Reports>>() };
    reports.lock().unwrap_or_else(PoisonError::into_inner)
}

/// librdkafka calls this for each record that can never be delivered.
unsafe extern "C" fn on_delivery(
    _client: *mut sys::rd_kafka_t,
    message: *const sys::rd_kafka_message_t,
    opaque: *mut c_void,
) {
    // SAFETY: librdkafka hands a message that lives during the call, with its topic, and the opaque pointer that we set. The error is read as a number
    // because a broker may send one that the generated enum does not know.
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
                failure: failure(message, code),
            });
        }
    }
}

/// # Safety
/// As [`on_delivery`].
unsafe fn failure(message: *const sys::rd_kafka_message_t, code: i32) -> Failure {
    // SAFETY: the message lives, and its text is copied.
    let text = unsafe { owned(sys::rd_kafka_message_errstr(message)) };
    Failure { code, text }
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
            failure: failure(message, code),
            is_local: false,
        }
    }
}

/// # Safety
/// As [`on_delivery`]; what is returned lives as long as the message.
unsafe fn headers<'a>(message: *const sys::rd_kafka_message_t) -> Vec<(&'a [u8], Option<&'a [u8]>)> {
    let (mut list, mut found) = (ptr::null_mut(), Vec::new());
    // SAFETY: the message lives; a list that is given stays the message's. Each name ends with a zero byte, each value is as long as is said.
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

/// What topics take.
impl Handle {
    /// How many bytes a batch of each topic may have; `None`: the cluster does not say.
    pub(super) fn largest_batches(&self, topics: &[&str], limit: Duration) -> Vec<Option<usize>> {
        let mut found = vec![None; topics.len()];
        let names: Vec<CString> = topics.iter().filter_map(|name| CString::new(*name).ok()).collect();
        if names.is_empty() || names.len() != topics.len() {
            return found;
        }
        // SAFETY: the client lives; queue, options and resources are made here and released here, after the answer; what is read of the answer lives
        // until it is destroyed, and is copied.
        unsafe {
            let kind = sys::rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_TOPIC;
            let queue = sys::rd_kafka_queue_new(self.client.as_ptr());
            let options = sys::rd_kafka_AdminOptions_new(
                self.client.as_ptr(),
                sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS,
            );
            sys::rd_kafka_AdminOptions_set_request_timeout(options, milliseconds(limit), ptr::null_mut(), 0);
            let mut asked: Vec<_> = names
                .iter()
                .map(|name| sys::rd_kafka_ConfigResource_new(kind, name.as_ptr()))
                .collect();
            sys::rd_kafka_DescribeConfigs(self.client.as_ptr(), asked.as_mut_ptr(), asked.len(), options, queue);
            let event = sys::rd_kafka_queue_poll(queue, milliseconds(limit));
            if !event.is_null() {
                read(event, topics, &mut found);
                sys::rd_kafka_event_destroy(event);
            }
            sys::rd_kafka_ConfigResource_destroy_array(asked.as_mut_ptr(), asked.len());
            sys::rd_kafka_AdminOptions_destroy(options);
            sys::rd_kafka_queue_destroy(queue);
        }
        found
    }
}

unsafe extern "C" {
    /// librdkafka's own function. The generated one gives an enum, and a broker may send a number that is none of its values.
    #[link_name = "rd_kafka_ConfigResource_error"]
    fn resource_error(resource: *const sys::rd_kafka_ConfigResource_t) -> i32;
}

/// # Safety
/// `event` is one that librdkafka gave and nobody destroyed.
unsafe fn read(event: *mut sys::rd_kafka_event_t, topics: &[&str], found: &mut [Option<usize>]) {
    // SAFETY: the event lives, and so does all that is read of it; lists have as many entries as is said, names and values end with a zero byte.
    unsafe {
        let result = sys::rd_kafka_event_DescribeConfigs_result(event);
        if result.is_null() {
            return;
        }
        let mut count = 0;
        let resources = sys::rd_kafka_DescribeConfigs_result_resources(result, &mut count);
        for at in 0..count {
            let resource = *resources.add(at);
            if resource_error(resource) != NO_ERROR {
                continue;
            }
            let name = CStr::from_ptr(sys::rd_kafka_ConfigResource_name(resource)).to_bytes();
            let Some(topic) = topics.iter().position(|topic| topic.as_bytes() == name) else {
                continue;
            };
            let mut entries = 0;
            let configs = sys::rd_kafka_ConfigResource_configs(resource, &mut entries);
            for at in 0..entries {
                let entry = *configs.add(at);
                let (name, value) = (
                    sys::rd_kafka_ConfigEntry_name(entry),
                    sys::rd_kafka_ConfigEntry_value(entry),
                );
                if !value.is_null() && CStr::from_ptr(name) == c"max.message.bytes" {
                    found[topic] = CStr::from_ptr(value).to_str().ok().and_then(|value| value.parse().ok());
                }
            }
        }
    }
}

/// librdkafka calls this when something fails that belongs to no record.
unsafe extern "C" fn on_error(_client: *mut sys::rd_kafka_t, code: c_int, reason: *const c_char, opaque: *mut c_void) {
    // SAFETY: librdkafka hands a text that lives during the call and the opaque pointer that we set.
    let (reason, mut reports) = unsafe { (owned(reason), reports_behind(opaque)) };
    match code {
        ALL_BROKERS_DOWN => reports.all_down = true,
        AUTHENTICATION | SSL => reports.refused = Some(reason),
        _ => reports.broken = Some(reason),
    }
}

/// librdkafka calls this, from any of its threads, to say what it does.
unsafe extern "C" fn on_log(
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

/// What stands for a membership in tests: a group that nobody joined.
#[cfg(test)]
pub(super) fn no_membership(group: &str) -> Vec<u8> {
    let group = terminated(group).unwrap();
    let (mut start, mut size) = (ptr::null_mut(), 0);
    // SAFETY: the name outlives the call, which copies it; the membership and its bytes are ours to release.
    unsafe {
        let membership = sys::rd_kafka_consumer_group_metadata_new(group.as_ptr());
        assert!(sys::rd_kafka_consumer_group_metadata_write(membership, &mut start, &mut size).is_null());
        let written = std::slice::from_raw_parts(start.cast::<u8>(), size).to_vec();
        sys::rd_kafka_mem_free(ptr::null_mut(), start);
        sys::rd_kafka_consumer_group_metadata_destroy(membership);
        written
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Kafka's own vectors (`UtilsTest.testMurmur2`); a Java producer takes the hash without its sign, modulo the number of partitions.
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
