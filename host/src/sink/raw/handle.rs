//! The producer and its topics: everything that is asked of librdkafka, and librdkafka's own words for what went wrong.
//!
//! Always: a handle's topics are released before the client, and the client's reports (which callbacks point at) after
//! it.

use std::ffi::{CStr, CString, c_char, c_int, c_uint, c_void};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Duration;

use super::reports::{Reports, on_delivery, on_error, on_log};
use crate::login::Native;
use crate::sink::codes::{HUNG, UNKNOWN_TOPIC};
use rdkafka::TopicPartitionList;
use rdkafka_sys as sys;
use rdkafka_sys::rd_kafka_resp_err_t as code;
use rdkafka_sys::rd_kafka_vtype_t as vtype;

/// How much longer than its limit a call may take before it is left behind.
const HELD: Duration = Duration::from_secs(1);
/// So many calls of one producer may be left behind at a time: each holds a client, with its threads and connections,
/// until it comes back.
const LEFT_BEHIND: usize = 8;
const PURGED_IN_QUEUE: i32 = code::RD_KAFKA_RESP_ERR__PURGE_QUEUE as i32;
const PURGED_IN_FLIGHT: i32 = code::RD_KAFKA_RESP_ERR__PURGE_INFLIGHT as i32;
pub(super) const NO_ERROR: i32 = code::RD_KAFKA_RESP_ERR_NO_ERROR as i32;

/// librdkafka's code of an error and its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::sink) struct Failure {
    pub(in crate::sink) code: i32,
    pub(in crate::sink) text: String,
}

/// One record on its way out, borrowed from its batch.
pub(in crate::sink) struct Message<'a> {
    pub(in crate::sink) key: Option<&'a [u8]>,
    pub(in crate::sink) value: Option<&'a [u8]>,
    /// Milliseconds since 1970; librdkafka takes 0 for "now".
    pub(in crate::sink) timestamp: i64,
    /// Comes back with a report of it.
    pub(in crate::sink) tag: u64,
}

/// A producer and its topics.
pub(in crate::sink) struct Handle {
    topics: Vec<NonNull<sys::rd_kafka_topic_t>>,
    client: Arc<Client>,
}

// SAFETY: librdkafka's client and topic handles may be used from any thread, and nothing else in a handle is bound to
// one.
unsafe impl Send for Handle {}

/// librdkafka's producer. The last of those who hold it destroys it: its handle, or a call that was left behind.
struct Client {
    native: NonNull<sys::rd_kafka_t>,
    reports: Box<Mutex<Reports>>,
}

// SAFETY: librdkafka's clients may be used from any thread, by several at a time; the reports have a lock.
unsafe impl Send for Client {}
// SAFETY: as above.
unsafe impl Sync for Client {}

// SAFETY: the client lives as long as its handle.
unsafe impl Native for Handle {
    fn pointer(&self) -> *mut sys::rd_kafka_t {
        self.client.native.as_ptr()
    }
}

impl Handle {
    /// A producer with these properties. It connects by itself in threads of its own.
    pub(in crate::sink) fn new(properties: &[(String, String)]) -> Result<Self, String> {
        let reports: Box<Mutex<Reports>> = Box::default();
        let mut text = [0 as c_char; 512];
        // SAFETY: `conf` is fresh and owned here until `rd_kafka_new` takes it; the strings outlive each call; the
        // reports behind the opaque pointer are boxed, so they do not move, and `Drop` releases the client before them.
        // `text` is as long as we say.
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
                Some(native) => Ok(Self {
                    topics: Vec::new(),
                    client: Arc::new(Client { native, reports }),
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
    pub(in crate::sink) fn add_topic(&mut self, name: &str, partitioner: &str) -> Result<usize, String> {
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
    pub(in crate::sink) fn look_up(&self, topic: usize, limit: Duration) -> Result<(), Failure> {
        let mut answer: *const sys::rd_kafka_metadata = ptr::null();
        let rkt = self.topics[topic].as_ptr();
        // SAFETY: client and topic live; on success `answer` is ours to read and to release, with `topic_cnt` entries
        // behind `topics`. The entry's error is read as a number because a broker may send one that the generated enum
        // does not know.
        let code = unsafe {
            let asked = sys::rd_kafka_metadata(self.native(), 0, rkt, &mut answer, milliseconds(limit));
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
    pub(in crate::sink) fn produce<'h>(
        &self,
        topic: usize,
        message: &Message<'_>,
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
    pub(in crate::sink) fn poll(&self, limit: Duration) {
        // SAFETY: the client lives; callbacks touch the reports only, through their lock.
        unsafe { sys::rd_kafka_poll(self.native(), milliseconds(limit)) };
    }

    /// Serves the callbacks for `limit` at most and sends meanwhile what waits for company in a batch.
    pub(in crate::sink) fn flush(&self, limit: Duration) {
        // SAFETY: as `poll`. What it returns says whether the queue is empty, which `in_flight` says as well.
        unsafe { sys::rd_kafka_flush(self.native(), milliseconds(limit)) };
    }

    /// Records not acknowledged, and reports not served.
    pub(in crate::sink) fn in_flight(&self) -> usize {
        // SAFETY: the client lives.
        let count = unsafe { sys::rd_kafka_outq_len(self.native()) };
        usize::try_from(count).unwrap_or(0)
    }

    /// What the callbacks told.
    pub(in crate::sink) fn reports(&self) -> MutexGuard<'_, Reports> {
        self.client.reports.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The error after which this producer sends nothing more, if there was one.
    pub(in crate::sink) fn fatal(&self) -> Option<Failure> {
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

/// A step of a transaction that did not succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::sink) struct Setback {
    pub(in crate::sink) failure: Failure,
    /// The same call may succeed a little later.
    pub(in crate::sink) is_retriable: bool,
    /// This producer does nothing more.
    pub(in crate::sink) is_fatal: bool,
}

/// Transactions. Each call waits for `limit` at most.
impl Handle {
    /// Makes this producer the only one of its transactional id: what the one before left open is aborted, or its
    /// commit waited for. May be called again.
    pub(in crate::sink) fn init_transactions(&self, limit: Duration) -> Result<(), Setback> {
        // SAFETY: the client lives; the error that it gives is ours.
        unsafe { outcome(sys::rd_kafka_init_transactions(self.native(), milliseconds(limit))) }
    }

    /// Begins a transaction; asks nobody.
    pub(in crate::sink) fn begin_transaction(&self) -> Result<(), Setback> {
        // SAFETY: as `init_transactions`.
        unsafe { outcome(sys::rd_kafka_begin_transaction(self.native())) }
    }

    /// Makes offsets part of the transaction. `group`: a membership as the consumer wrote it.
    ///
    /// If no broker is left, librdkafka waits for one without limit (`rd_kafka_coord_req_fsm` of 2.12.1), whatever it
    /// is told. So it is asked in a thread that may stay behind and holds the client until it comes back; another one
    /// has to go on. `left_behind` counts those that did not come back yet; if they are too many, the setback is
    /// fatal.
    pub(in crate::sink) fn send_offsets(
        &self,
        offsets: &TopicPartitionList,
        group: &[u8],
        limit: Duration,
        left_behind: &Arc<AtomicUsize>,
    ) -> Result<(), Setback> {
        let hanging = left_behind.load(Ordering::Relaxed);
        if hanging >= LEFT_BEHIND {
            return Err(hung(hanging));
        }
        let (client, offsets, group) = (self.client.clone(), offsets.clone(), group.to_vec());
        let call = Call::begin(left_behind);
        let (answer, answered) = mpsc::channel();
        let asking = std::thread::Builder::new()
            .name("send-offsets".to_owned())
            .spawn(move || {
                let outcome = send_offsets(&client, &offsets, &group, limit);
                drop((client, call));
                let _nobody_waits_any_more = answer.send(outcome);
            });
        if asking.is_ok()
            && let Ok(outcome) = answered.recv_timeout(limit + HELD)
        {
            return outcome;
        }
        Err(Setback {
            failure: Failure::of(code::RD_KAFKA_RESP_ERR__TIMED_OUT),
            is_retriable: true,
            is_fatal: false,
        })
    }

    /// Commits the transaction. May be called again.
    pub(in crate::sink) fn commit_transaction(&self, limit: Duration) -> Result<(), Setback> {
        // SAFETY: as `init_transactions`.
        unsafe { outcome(sys::rd_kafka_commit_transaction(self.native(), milliseconds(limit))) }
    }

    /// Aborts the transaction; what waits is thrown away. May be called again.
    pub(in crate::sink) fn abort_transaction(&self, limit: Duration) -> Result<(), Setback> {
        // SAFETY: as `init_transactions`.
        unsafe { outcome(sys::rd_kafka_abort_transaction(self.native(), milliseconds(limit))) }
    }
}

unsafe extern "C" {
    /// librdkafka's own function. The generated one gives an enum, and a broker may send a number that is none of its
    /// values.
    #[link_name = "rd_kafka_error_code"]
    fn error_code(error: *const sys::rd_kafka_error_t) -> i32;

    /// As above.
    #[link_name = "rd_kafka_fatal_error"]
    fn fatal_error(client: *mut sys::rd_kafka_t, text: *mut c_char, size: usize) -> i32;
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

/// Sets the leader epoch of the list's last element.
pub(in crate::sink) fn set_leader_epoch(list: &mut TopicPartitionList, epoch: Option<i32>) {
    let (Some(last), Some(epoch)) = (list.count().checked_sub(1), epoch) else {
        return;
    };
    // SAFETY: the list has an element of that number.
    unsafe { sys::rd_kafka_topic_partition_set_leader_epoch((*list.ptr()).elems.add(last), epoch) };
}

/// A call that is under way, counted until it comes back.
struct Call(Arc<AtomicUsize>);

impl Call {
    fn begin(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count.clone())
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn hung(calls: usize) -> Setback {
    Setback {
        failure: Failure {
            code: HUNG,
            text: format!(
                "{calls} requests that commit positions hang in the Kafka client, and none of them comes back"
            ),
        },
        is_retriable: false,
        is_fatal: true,
    }
}

fn send_offsets(client: &Client, offsets: &TopicPartitionList, group: &[u8], limit: Duration) -> Result<(), Setback> {
    let mut membership = ptr::null_mut();
    // SAFETY: the client lives; the list lives during the call, which copies it; the membership is made of as many
    // bytes as we say, and is ours to destroy if it was made.
    unsafe {
        outcome(sys::rd_kafka_consumer_group_metadata_read(
            &mut membership,
            group.as_ptr().cast(),
            group.len(),
        ))?;
        let sent = outcome(sys::rd_kafka_send_offsets_to_transaction(
            client.native.as_ptr(),
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
        for topic in self.topics.drain(..) {
            // SAFETY: each topic is released once, while the client lives.
            unsafe { sys::rd_kafka_topic_destroy(topic.as_ptr()) };
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // SAFETY: nobody else holds it, so that it is destroyed once; no callback runs after it, so the reports may go
        // then.
        unsafe { sys::rd_kafka_destroy(self.native.as_ptr()) };
    }
}

impl Failure {
    /// The record was thrown away with its transaction: another one tells why.
    pub(in crate::sink) fn is_purge(&self) -> bool {
        matches!(self.code, PURGED_IN_QUEUE | PURGED_IN_FLIGHT)
    }

    /// What librdkafka says about one of its own codes.
    pub(in crate::sink) fn of(error: sys::rd_kafka_resp_err_t) -> Self {
        // SAFETY: librdkafka has a text that lives forever for each code.
        let text = unsafe { owned(sys::rd_kafka_err2str(error)) };
        Self {
            code: error as i32,
            text,
        }
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

/// What stands for a membership in tests: a group that nobody joined.
#[cfg(test)]
pub(in crate::sink) fn no_membership(group: &str) -> Vec<u8> {
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
    use rdkafka::mocking::MockCluster;

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
    fn what_hangs_is_counted_until_it_comes_back_and_is_bounded() {
        const LIMIT: Duration = Duration::from_secs(60);
        let cluster = MockCluster::new(1).unwrap();
        let properties = [
            ("bootstrap.servers".to_owned(), cluster.bootstrap_servers()),
            ("transactional.id".to_owned(), "id".to_owned()),
        ];
        let handle = Handle::new(&properties).unwrap();
        handle.init_transactions(LIMIT).unwrap();
        handle.begin_transaction().unwrap();
        let mut list = TopicPartitionList::new();
        list.add_partition_offset("t", 0, rdkafka::Offset::Offset(1)).unwrap();
        let send =
            |limit, left_behind: &Arc<AtomicUsize>| handle.send_offsets(&list, &no_membership("g"), limit, left_behind);
        let too_many = Arc::new(AtomicUsize::new(LEFT_BEHIND));
        let setback = send(LIMIT, &too_many).unwrap_err();
        assert!(
            setback.is_fatal && !setback.is_retriable && setback.failure.code == HUNG,
            "{setback:?}"
        );
        assert_eq!(too_many.load(Ordering::Relaxed), LEFT_BEHIND, "none was added");

        let left_behind = Arc::<AtomicUsize>::default();
        cluster.broker_down(1).unwrap();
        assert!(send(Duration::from_millis(300), &left_behind).is_err());
        assert!(left_behind.load(Ordering::Relaxed) <= 1);
        cluster.broker_up(1).unwrap();
        let until = crate::clock::now() + LIMIT;
        while left_behind.load(Ordering::Relaxed) > 0 {
            assert!(crate::clock::now() < until, "it comes back with the broker");
            std::thread::sleep(Duration::from_millis(20));
        }
        let client = Arc::downgrade(&handle.client);
        drop(handle);
        assert!(client.upgrade().is_none(), "nobody holds the client any more");
    }

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
