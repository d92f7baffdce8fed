//! The queue that all fetched messages of a consumer go through, and the few other things that rdkafka hides: the one
//! file with unsafe code.
//!
//! Error codes are read as numbers. The generated bindings and the `rdkafka` crate read them as an enum with gaps, and
//! a broker that is newer than they are may send one that lies in a gap: such a value must not exist in Rust at all.
//! Here it becomes `Code::Unknown`, and is told with its number.
//!
//! A message is copied out of librdkafka's memory while it is served, and freed at once: a message that is kept pins
//! its whole fetch response. We serve by callback and not by `rd_kafka_consume_batch_queue`: the latter counts an
//! end-of-partition event as a record (librdkafka 2.12.1, its issue 4844), and the next rebalance would then resume
//! behind a record that nobody read. It also waits until a batch is full.
#![expect(
    unsafe_code,
    reason = "librdkafka's queues, message fields and offset metadata have no safe interface in rdkafka"
)]

use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::marker::PhantomData;
use std::ptr;
use std::slice;
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::BorrowedMessage;
use rdkafka::types::{RDKafkaErrorCode as Code, RDKafkaRespErr};
use rdkafka_sys as sys;

use crate::error::{Error, Kind, Result};

/// What takes messages in.
pub(in crate::source) trait Intake {
    /// Copies what it wants of the message. `false`: enough for now, what is still queued stays there, in order.
    fn take(&mut self, message: &Message<'_>) -> bool;
}

/// A message, or an error that came in its place, in librdkafka's memory.
pub(in crate::source) struct Message<'a>(&'a RawMessage);

/// Tells whether two messages lie in the same partition without comparing names. Valid among the messages of one
/// serving only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::source) struct Place(usize, i32);

impl<'a> Message<'a> {
    /// The same view of a message that came by another way than the queue.
    pub(in crate::source) fn of(message: &'a BorrowedMessage<'a>) -> Self {
        // SAFETY: the borrowed message owns what its pointer shows, for `'a`.
        Message(unsafe { &*message.ptr().cast::<RawMessage>() })
    }

    /// Why there is no message: the code, and librdkafka's words.
    pub(in crate::source) fn error(&self) -> Option<(Code, String)> {
        if self.0.err == NO_ERROR {
            return None;
        }
        let text = self.payload().map(|text| String::from_utf8_lossy(text).into_owned());
        Some((code(self.0.err), text.unwrap_or_default()))
    }

    fn native(&self) -> *const sys::rd_kafka_message_t {
        ptr::from_ref(self.0).cast()
    }

    pub(in crate::source) fn place(&self) -> Place {
        Place(self.0.rkt as usize, self.0.partition)
    }

    pub(in crate::source) fn topic(&self) -> &str {
        if self.0.rkt.is_null() {
            return "";
        }
        // SAFETY: the topic handle lives as long as the message that refers to it, and its name ends with NUL.
        let name = unsafe { CStr::from_ptr(sys::rd_kafka_topic_name(self.0.rkt)) };
        name.to_str().unwrap_or_default()
    }

    pub(in crate::source) fn partition(&self) -> i32 {
        self.0.partition
    }

    pub(in crate::source) fn offset(&self) -> i64 {
        self.0.offset
    }

    pub(in crate::source) fn key(&self) -> Option<&[u8]> {
        // SAFETY: librdkafka gives pointer and length of one allocation that lives as long as the message.
        unsafe { bytes(self.0.key, self.0.key_len) }
    }

    pub(in crate::source) fn payload(&self) -> Option<&[u8]> {
        // SAFETY: as in `key`.
        unsafe { bytes(self.0.payload, self.0.len) }
    }

    /// Milliseconds since 1970; -1 if the message has none.
    pub(in crate::source) fn timestamp(&self) -> i64 {
        let mut kind = sys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        // SAFETY: reads fields of a live message; `kind` outlives the call.
        let at = unsafe { sys::rd_kafka_message_timestamp(self.native(), &mut kind) };
        match kind {
            sys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE => -1,
            _ => at,
        }
    }

    /// The epoch of the partition's leader that took the record; `None`: the broker is too old to tell.
    pub(in crate::source) fn leader_epoch(&self) -> Option<i32> {
        // SAFETY: reads a field of a live message.
        let epoch = unsafe { sys::rd_kafka_message_leader_epoch(self.native()) };
        (epoch >= 0).then_some(epoch)
    }

    /// Gives each header's name and value, in order.
    pub(in crate::source) fn each_header(&self, mut give: impl FnMut(&[u8], Option<&[u8]>)) {
        let mut headers = ptr::null_mut();
        // SAFETY: reads a live message; the headers that it gives belong to the message.
        let found = unsafe { sys::rd_kafka_message_headers(self.native(), &mut headers) };
        if found != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
            return;
        }
        for index in 0.. {
            let (mut name, mut value, mut size) = (ptr::null(), ptr::null(), 0);
            // SAFETY: an index past the last header gives an error and leaves the three untouched.
            let found = unsafe { sys::rd_kafka_header_get_all(headers, index, &mut name, &mut value, &mut size) };
            if found != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
                return;
            }
            // SAFETY: name ends with NUL; value and size are one allocation; both live as long as the message.
            unsafe { give(CStr::from_ptr(name).to_bytes(), bytes(value, size)) };
        }
    }
}

/// SAFETY: `start` is null, or `size` bytes can be read there for `'a`.
unsafe fn bytes<'a>(start: *const c_void, size: usize) -> Option<&'a [u8]> {
    // SAFETY: as the caller promises.
    (!start.is_null()).then(|| unsafe { slice::from_raw_parts(start.cast::<u8>(), size) })
}

/// One queue for the messages of all partitions. Must be dropped before the consumer that it was made of.
///
/// It is served through the queue of one of the partitions that are led into it: only that way librdkafka takes a
/// limited number of messages out at a time (`consume.callback.max.messages`). Served directly, it takes all of them
/// out, looks empty to the fetchers meanwhile, and they fetch more and more.
pub(in crate::source) struct Queue {
    queue: ptr::NonNull<sys::rd_kafka_queue_t>,
    client: *mut sys::rd_kafka_t,
    topics: BTreeMap<CString, ptr::NonNull<sys::rd_kafka_topic_t>>,
    /// The partitions that are led here.
    led: Vec<(CString, i32)>,
    _of_one_thread: PhantomData<*const ()>,
}

// SAFETY: librdkafka's queues and clients may be used from any thread; `&mut` and `!Sync` keep it to one at a time.
unsafe impl Send for Queue {}

impl Queue {
    fn new<C: ConsumerContext>(consumer: &BaseConsumer<C>) -> Option<Self> {
        let client = consumer.client().native_ptr();
        // SAFETY: the client is alive; the queue is destroyed in `drop`, before the client.
        let queue = ptr::NonNull::new(unsafe { sys::rd_kafka_queue_new(client) })?;
        Some(Self {
            queue,
            client,
            topics: BTreeMap::new(),
            led: Vec::new(),
            _of_one_thread: PhantomData,
        })
    }

    /// The same, or why not.
    pub(in crate::source) fn of<C: ConsumerContext>(consumer: &BaseConsumer<C>) -> Result<Self> {
        Self::new(consumer)
            .ok_or_else(|| Error::new(Kind::Kafka, "failed to join the group", "librdkafka has no queue"))
    }

    /// Leads a partition's messages here instead of into the consumer's own queue.
    ///
    /// To be called before the partition is assigned, and after the main thread of librdkafka has carried out an
    /// earlier revocation of it, which would undo this. Then no message goes the other way.
    pub(in crate::source) fn lead(&mut self, topic: &str, partition: i32) -> bool {
        let Ok(topic) = CString::new(topic) else {
            return false;
        };
        // SAFETY: the client is alive; the partition's queue is ours to destroy, forwarding keeps its own reference.
        unsafe {
            let from = sys::rd_kafka_queue_get_partition(self.client, topic.as_ptr(), partition);
            if from.is_null() {
                return false;
            }
            sys::rd_kafka_queue_forward(from, self.queue.as_ptr());
            sys::rd_kafka_queue_destroy(from);
        }
        if !self.topics.contains_key(&topic) {
            // SAFETY: the client is alive; the handle is destroyed in `drop`, before the client.
            let handle = unsafe { sys::rd_kafka_topic_new(self.client, topic.as_ptr(), ptr::null_mut()) };
            let Some(handle) = ptr::NonNull::new(handle) else {
                return false;
            };
            self.topics.insert(topic.clone(), handle);
        }
        self.forget(&topic, partition);
        self.led.push((topic, partition));
        true
    }

    /// A partition is no more led here, from before the moment when it is unassigned.
    pub(in crate::source) fn forget_led(&mut self, topic: &str, partition: i32) {
        if let Ok(topic) = CString::new(topic) {
            self.forget(&topic, partition);
        }
    }

    fn forget(&mut self, topic: &CStr, partition: i32) {
        self.led
            .retain(|(of, number)| (of.as_c_str(), *number) != (topic, partition));
    }

    /// Waits until something is queued, at most `wait`, then hands over what is there until `intake` has enough.
    /// `false`: no partition is led here, and nothing was waited for.
    pub(in crate::source) fn serve<I: Intake>(&mut self, wait: Duration, intake: &mut I) -> bool {
        let gate = self
            .led
            .first()
            .and_then(|(topic, partition)| Some((self.topics.get(topic)?, *partition)));
        let Some((topic, partition)) = gate else {
            return false;
        };
        let mut serving = Serving {
            intake,
            client: self.client,
            is_full: false,
        };
        let mut wait = c_int::try_from(wait.as_millis()).unwrap_or(c_int::MAX);
        loop {
            // SAFETY: the topic's handle is alive; the callback gets `serving` back, which outlives the call, on this
            // thread only.
            let served = unsafe {
                sys::rd_kafka_consume_callback(
                    topic.as_ptr(),
                    partition,
                    wait,
                    Some(take::<I>),
                    ptr::from_mut(&mut serving).cast(),
                )
            };
            if served < 0 {
                return false;
            }
            if served == 0 || serving.is_full {
                return true;
            }
            wait = 0;
        }
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        for topic in self.topics.values() {
            // SAFETY: made in `lead`, destroyed once.
            unsafe { sys::rd_kafka_topic_destroy(topic.as_ptr()) };
        }
        // SAFETY: made in `new`, destroyed once.
        unsafe { sys::rd_kafka_queue_destroy(self.queue.as_ptr()) };
    }
}

struct Serving<'a, I> {
    intake: &'a mut I,
    client: *mut sys::rd_kafka_t,
    is_full: bool,
}

/// Called for each message. A panic here ends the process, as in any function that C calls.
unsafe extern "C" fn take<I: Intake>(message: *mut sys::rd_kafka_message_t, serving: *mut c_void) {
    // SAFETY: both come from `serve`: a live message, and the `Serving` that nothing else uses meanwhile.
    let (message, serving) = unsafe { (&*message.cast::<RawMessage>(), &mut *serving.cast::<Serving<'_, I>>()) };
    serving.is_full = !serving.intake.take(&Message(message));
    if serving.is_full {
        // SAFETY: the client is alive; this only asks the serving loop of this thread to put the rest back.
        unsafe { sys::rd_kafka_yield(serving.client) };
    }
}

/// Begins to commit a list; the outcome comes to the consumer's queue, so out of its poll and into `commit_callback`.
///
/// rdkafka's own asynchronous commit tells nobody how it went.
pub(in crate::source) fn commit<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    list: &TopicPartitionList,
) -> Result<(), Code> {
    let client = consumer.client().native_ptr();
    // SAFETY: the client and the list are alive; librdkafka copies the list, and keeps its own reference to the queue.
    let error = unsafe {
        let queue = sys::rd_kafka_queue_get_consumer(client);
        if queue.is_null() {
            return Err(Code::UnknownGroup);
        }
        let error = raw_commit_queue(client, list.ptr(), queue, ptr::null(), ptr::null_mut());
        sys::rd_kafka_queue_destroy(queue);
        error
    };
    match error {
        NO_ERROR => Ok(()),
        number => Err(code(number)),
    }
}

/// A membership of a group, as librdkafka has it at one moment.
pub(in crate::source) struct Membership {
    /// What the group calls the member: another one after it was taken for gone and joined anew.
    pub(in crate::source) member_id: Vec<u8>,
    /// For the producer that commits the member's positions.
    pub(in crate::source) bytes: Vec<u8>,
}

/// This client's membership; `None` while it is no member.
pub(in crate::source) fn membership<C: ConsumerContext>(consumer: &BaseConsumer<C>) -> Option<Membership> {
    // SAFETY: the client is alive; what it gives is ours to destroy, and its member id lives as long and ends with a
    // zero.
    unsafe {
        let membership = sys::rd_kafka_consumer_group_metadata(consumer.client().native_ptr());
        if membership.is_null() {
            return None;
        }
        let is_joined = sys::rd_kafka_consumer_group_metadata_generation_id(membership) >= 0;
        let member_id = CStr::from_ptr(sys::rd_kafka_consumer_group_metadata_member_id(membership))
            .to_bytes()
            .to_vec();
        let is_member = is_joined && !member_id.is_empty();
        let bytes = is_member.then(|| written(membership)).flatten();
        sys::rd_kafka_consumer_group_metadata_destroy(membership);
        bytes.map(|bytes| Membership { member_id, bytes })
    }
}

/// What stands for a membership when partitions are assigned by hand: the group's name.
pub(in crate::source) fn no_membership(group: &str) -> Option<Vec<u8>> {
    let group = CString::new(group).ok()?;
    // SAFETY: the name outlives the call, which copies it; what it gives is ours to destroy.
    unsafe {
        let membership = sys::rd_kafka_consumer_group_metadata_new(group.as_ptr());
        let written = written(membership);
        sys::rd_kafka_consumer_group_metadata_destroy(membership);
        written
    }
}

/// SAFETY: `membership` is alive.
unsafe fn written(membership: *const sys::rd_kafka_consumer_group_metadata_t) -> Option<Vec<u8>> {
    let (mut start, mut size) = (ptr::null_mut(), 0);
    // SAFETY: as the caller promises; on success the bytes are ours to free, and on failure the error is.
    unsafe {
        let error = sys::rd_kafka_consumer_group_metadata_write(membership, &mut start, &mut size);
        if !error.is_null() {
            sys::rd_kafka_error_destroy(error);
            return None;
        }
        let written = bytes(start, size).map(<[u8]>::to_vec);
        sys::rd_kafka_mem_free(ptr::null_mut(), start);
        written
    }
}

/// An element of a list that Kafka filled in.
#[derive(Debug)]
pub(in crate::source) struct Element {
    pub(in crate::source) topic: String,
    pub(in crate::source) partition: i32,
    /// Negative: none.
    pub(in crate::source) offset: i64,
    pub(in crate::source) metadata: String,
    /// Of the leader that took the record before the offset.
    pub(in crate::source) leader_epoch: Option<i32>,
    pub(in crate::source) error: Option<Code>,
}

/// The elements of a list. rdkafka's own way panics on metadata that is no UTF-8, which anyone may have committed.
pub(in crate::source) fn elements(list: &TopicPartitionList) -> Vec<Element> {
    let count = list.count();
    if count == 0 {
        return Vec::new();
    }
    // SAFETY: the list is alive and has `count` elements; names end with NUL; metadata is null or `metadata_size`
    // bytes.
    unsafe {
        slice::from_raw_parts((*list.ptr()).elems.cast::<RawElement>(), count)
            .iter()
            .map(|element| Element {
                topic: CStr::from_ptr(element.topic).to_string_lossy().into_owned(),
                partition: element.partition,
                offset: element.offset,
                metadata: bytes(element.metadata, element.metadata_size)
                    .map(|text| String::from_utf8_lossy(text).into_owned())
                    .unwrap_or_default(),
                leader_epoch: Some(sys::rd_kafka_topic_partition_get_leader_epoch(
                    ptr::from_ref(element).cast(),
                ))
                .filter(|epoch| *epoch >= 0),
                error: (element.err != NO_ERROR).then(|| code(element.err)),
            })
            .collect()
    }
}

/// Sets the leader epoch of the list's last element.
pub(in crate::source) fn set_leader_epoch(list: &mut TopicPartitionList, epoch: Option<i32>) {
    let (Some(last), Some(epoch)) = (list.count().checked_sub(1), epoch) else {
        return;
    };
    // SAFETY: the list has an element of that number.
    unsafe { sys::rd_kafka_topic_partition_set_leader_epoch((*list.ptr()).elems.add(last), epoch) };
}

/// Metadata as another program may have written it: its last byte is cut off, so that it need not be text any more.
#[cfg(test)]
pub(in crate::source) fn cut_metadata(list: &mut TopicPartitionList) {
    assert!(list.count() > 0);
    // SAFETY: the list has an element, whose metadata has bytes; fewer of them are said to be there.
    unsafe { (*(*list.ptr()).elems).metadata_size -= 1 };
}

/// The log's begin and end as the last fetch told them; asks nobody.
pub(in crate::source) fn known_end<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topic: &str,
    partition: i32,
) -> Option<i64> {
    let topic = CString::new(topic).ok()?;
    let (mut low, mut high) = (-1, -1);
    // SAFETY: the client is alive, the two numbers outlive the call.
    unsafe {
        sys::rd_kafka_get_watermark_offsets(
            consumer.client().native_ptr(),
            topic.as_ptr(),
            partition,
            &mut low,
            &mut high,
        );
    }
    (high >= 0).then_some(high)
}

/// No error.
const NO_ERROR: i32 = 0;

/// librdkafka's message, as its header lays it out, but for the code, which is a number.
#[repr(C)]
struct RawMessage {
    err: i32,
    rkt: *mut sys::rd_kafka_topic_t,
    partition: i32,
    payload: *mut c_void,
    len: usize,
    key: *mut c_void,
    key_len: usize,
    offset: i64,
    private: *mut c_void,
}

/// An element of librdkafka's list of partitions, laid out likewise.
#[repr(C)]
struct RawElement {
    topic: *mut c_char,
    partition: i32,
    offset: i64,
    metadata: *mut c_void,
    metadata_size: usize,
    opaque: *mut c_void,
    err: i32,
    private: *mut c_void,
}

/// What is said of a topic, laid out likewise.
#[repr(C)]
struct RawTopic {
    topic: *mut c_char,
    partition_count: c_int,
    partitions: *mut RawPartition,
    err: i32,
}

#[repr(C)]
struct RawPartition {
    id: i32,
    err: i32,
    leader: i32,
    replica_count: c_int,
    replicas: *mut i32,
    in_sync_count: c_int,
    in_sync: *mut i32,
}

/// A layout that is not librdkafka's does not compile.
const _: () = {
    use std::mem::{offset_of, size_of};
    assert!(size_of::<RawMessage>() == size_of::<sys::rd_kafka_message_t>());
    assert!(offset_of!(RawMessage, err) == offset_of!(sys::rd_kafka_message_t, err));
    assert!(offset_of!(RawMessage, offset) == offset_of!(sys::rd_kafka_message_t, offset));
    assert!(size_of::<RawElement>() == size_of::<sys::rd_kafka_topic_partition_t>());
    assert!(offset_of!(RawElement, err) == offset_of!(sys::rd_kafka_topic_partition_t, err));
    assert!(offset_of!(RawElement, metadata_size) == offset_of!(sys::rd_kafka_topic_partition_t, metadata_size));
    assert!(size_of::<RawTopic>() == size_of::<sys::rd_kafka_metadata_topic>());
    assert!(offset_of!(RawTopic, err) == offset_of!(sys::rd_kafka_metadata_topic, err));
    assert!(size_of::<RawPartition>() == size_of::<sys::rd_kafka_metadata_partition>());
    assert!(offset_of!(RawPartition, leader) == offset_of!(sys::rd_kafka_metadata_partition, leader));
};

unsafe extern "C" {
    #[link_name = "rd_kafka_committed"]
    fn raw_committed(
        client: *mut sys::rd_kafka_t,
        list: *mut sys::rd_kafka_topic_partition_list_t,
        limit: c_int,
    ) -> i32;
    #[link_name = "rd_kafka_offsets_for_times"]
    fn raw_offsets_for_times(
        client: *mut sys::rd_kafka_t,
        list: *mut sys::rd_kafka_topic_partition_list_t,
        limit: c_int,
    ) -> i32;
    #[link_name = "rd_kafka_commit_queue"]
    fn raw_commit_queue(
        client: *mut sys::rd_kafka_t,
        list: *const sys::rd_kafka_topic_partition_list_t,
        queue: *mut sys::rd_kafka_queue_t,
        callback: *const c_void,
        opaque: *mut c_void,
    ) -> i32;
    #[link_name = "rd_kafka_metadata"]
    fn raw_metadata(
        client: *mut sys::rd_kafka_t,
        all: c_int,
        topic: *mut sys::rd_kafka_topic_t,
        answer: *mut *const sys::rd_kafka_metadata,
        limit: c_int,
    ) -> i32;
    #[link_name = "rd_kafka_err2str"]
    fn raw_words(code: i32) -> *const c_char;
}

/// A code by its number.
pub(in crate::source) fn code(number: i32) -> Code {
    match RDKafkaRespErr::try_from(number) {
        Ok(known) => known.into(),
        Err(_) => {
            tracing::warn!(number, "Kafka sent an error code that this version does not know");
            Code::Unknown
        }
    }
}

/// librdkafka's words for a code; whatever the number, there are some.
pub(in crate::source) fn words(code: i32) -> &'static str {
    // SAFETY: for each number librdkafka gives a text; that of a known code lives forever, and nobody asks for another
    // one.
    unsafe { CStr::from_ptr(raw_words(code)) }.to_str().unwrap_or_default()
}

/// The group's offsets, filled into `list`.
pub(in crate::source) fn committed<C: ConsumerContext>(
    client: &BaseConsumer<C>,
    list: &TopicPartitionList,
    limit: Duration,
) -> KafkaResult<()> {
    // SAFETY: client and list live; librdkafka fills the list's own elements in.
    let number = unsafe { raw_committed(client.client().native_ptr(), list.ptr(), milliseconds(limit)) };
    checked(number, KafkaError::OffsetFetch)
}

/// An offset for each time that stands in `list` as an offset, filled in there.
pub(in crate::source) fn offsets_for_times<C: ConsumerContext>(
    client: &BaseConsumer<C>,
    list: &TopicPartitionList,
    limit: Duration,
) -> KafkaResult<()> {
    // SAFETY: as `committed`.
    let number = unsafe { raw_offsets_for_times(client.client().native_ptr(), list.ptr(), milliseconds(limit)) };
    checked(number, KafkaError::OffsetFetch)
}

/// A topic of the cluster.
pub(in crate::source) struct Topic {
    pub(in crate::source) name: String,
    pub(in crate::source) error: Option<Code>,
    /// The number of each partition, and its leader; negative: it has none.
    pub(in crate::source) partitions: Vec<(i32, i32)>,
}

/// All topics, or one.
pub(in crate::source) fn topics<C: ConsumerContext>(
    client: &BaseConsumer<C>,
    only: Option<&str>,
    limit: Duration,
) -> KafkaResult<Vec<Topic>> {
    let only = only.map(CString::new).transpose()?;
    let native = client.client().native_ptr();
    let mut answer: *const sys::rd_kafka_metadata = ptr::null();
    // SAFETY: the client lives; the topic's handle is ours and destroyed once; on success the answer is ours to read
    // and to release.
    unsafe {
        let topic = only.as_ref().map_or(ptr::null_mut(), |name| {
            sys::rd_kafka_topic_new(native, name.as_ptr(), ptr::null_mut())
        });
        let number = raw_metadata(
            native,
            c_int::from(only.is_none()),
            topic,
            &mut answer,
            milliseconds(limit),
        );
        if !topic.is_null() {
            sys::rd_kafka_topic_destroy(topic);
        }
        checked(number, KafkaError::MetadataFetch)?;
        let topics = read((*answer).topics.cast::<RawTopic>(), (*answer).topic_cnt);
        let topics = topics.iter().map(|topic| Topic {
            name: CStr::from_ptr(topic.topic).to_string_lossy().into_owned(),
            error: (topic.err != NO_ERROR).then(|| code(topic.err)),
            partitions: read(topic.partitions, topic.partition_count)
                .iter()
                .map(|partition| (partition.id, partition.leader))
                .collect(),
        });
        let topics = topics.collect();
        sys::rd_kafka_metadata_destroy(answer);
        Ok(topics)
    }
}

/// # Safety
/// `start` is null, or `count` values can be read there for `'a`.
unsafe fn read<'a, T>(start: *const T, count: c_int) -> &'a [T] {
    match usize::try_from(count) {
        // SAFETY: the caller's promise.
        Ok(count) if !start.is_null() => unsafe { slice::from_raw_parts(start, count) },
        _ => &[],
    }
}

fn checked(number: i32, error: impl Fn(Code) -> KafkaError) -> KafkaResult<()> {
    match number {
        NO_ERROR => Ok(()),
        number => Err(error(code(number))),
    }
}

fn milliseconds(limit: Duration) -> c_int {
    c_int::try_from(limit.as_millis()).unwrap_or(c_int::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rdkafka::ClientConfig;

    /// Between two known ones, behind the last one, and far below the first.
    const STRANGE: [i32; 4] = [120, 133, 4711, i32::MIN];

    #[test]
    fn numbers_that_nobody_knows_become_no_code_of_another_meaning() {
        assert!(STRANGE.iter().all(|number| code(*number) == Code::Unknown));
        assert_eq!(code(9), Code::ReplicaNotAvailable);
        assert_eq!(code(-139), Code::LogTruncation);
        assert_eq!(words(-139), "Local: Partition log truncation detected");
    }

    #[test]
    fn the_list_of_what_passes_has_the_numbers_that_it_means() {
        let meant = [
            Code::BrokerTransportFailure,
            Code::Resolve,
            Code::AllBrokersDown,
            Code::OperationTimedOut,
            Code::WaitingForCoordinator,
            Code::TimedOutQueue,
            Code::DestroyBroker,
            Code::LeaderNotAvailable,
            Code::NotLeaderForPartition,
            Code::RequestTimedOut,
            Code::BrokerNotAvailable,
            Code::NetworkException,
            Code::CoordinatorLoadInProgress,
            Code::CoordinatorNotAvailable,
            Code::NotCoordinator,
            Code::KafkaStorageError,
            Code::FencedLeaderEpoch,
            Code::UnknownLeaderEpoch,
            Code::OffsetNotAvailable,
            Code::UnstableOffsetCommit,
        ];
        let passes = |code: &Code| crate::kafka::errors::passes(*code as i32);
        assert_eq!(meant.iter().find(|code| !passes(code)), None);
        assert_eq!(
            (-300..200)
                .filter(|number| crate::kafka::errors::passes(*number))
                .count(),
            meant.len()
        );
    }

    unsafe extern "C" {
        fn rd_kafka_mock_push_request_errors_array(
            cluster: *mut sys::rd_kafka_mock_cluster_t,
            api: i16,
            count: usize,
            errors: *const i32,
        );
    }

    #[test]
    fn a_broker_that_is_newer_than_this_program_is_answered_with_an_error() {
        const OFFSET_FETCH: i16 = 9;
        let client: BaseConsumer = ClientConfig::new()
            .set("test.mock.num.brokers", "1")
            .set("group.id", "g")
            .create()
            .unwrap();
        let patience = Duration::from_secs(20);
        assert!(topics(&client, None, patience).is_ok());
        let mut list = TopicPartitionList::new();
        list.add_partition("t", 0);
        assert_eq!(committed(&client, &list, patience), Ok(()));
        for number in [120, 4711] {
            let errors = [number; 1];
            // SAFETY: the mock cluster lives as long as its client; the numbers are copied.
            unsafe {
                let brokers = sys::rd_kafka_handle_mock_cluster(client.client().native_ptr());
                rd_kafka_mock_push_request_errors_array(brokers, OFFSET_FETCH, 1, errors.as_ptr());
            }
            let answer = committed(&client, &list, patience);
            assert_eq!(answer, Err(KafkaError::OffsetFetch(Code::Unknown)), "{number}");
        }
    }

    #[test]
    fn metadata_that_is_no_text_does_not_end_the_process() {
        let mut list = TopicPartitionList::new();
        list.add_partition("views", 3).set_metadata("\u{0}é");
        // Half a character is left.
        cut_metadata(&mut list);
        let read = elements(&list);
        assert_eq!((read[0].topic.as_str(), read[0].partition), ("views", 3));
        assert_eq!(read[0].metadata, "\u{0}\u{fffd}");
        assert!(elements(&TopicPartitionList::new()).is_empty());
    }

    #[test]
    fn an_error_code_that_nobody_knows_is_read_as_a_number() {
        let mut list = TopicPartitionList::new();
        list.add_partition("views", 3);
        for strange in [99, 120, 4711, i32::MIN] {
            // SAFETY: the list has an element; the message is all zero but for its code.
            let error = unsafe {
                (*(*list.ptr()).elems.cast::<RawElement>()).err = strange;
                let mut message: RawMessage = std::mem::zeroed();
                message.err = strange;
                Message(&message).error()
            };
            assert_eq!(error, Some((Code::Unknown, String::new())));
            assert_eq!(elements(&list)[0].error, Some(Code::Unknown));
        }
    }

    #[test]
    fn a_leader_epoch_stays_with_its_element() {
        let mut list = TopicPartitionList::new();
        set_leader_epoch(&mut list, Some(1));
        for epoch in [None, Some(0), Some(7)] {
            list.add_partition("views", 3);
            set_leader_epoch(&mut list, epoch);
        }
        let read: Vec<_> = elements(&list).iter().map(|of| of.leader_epoch).collect();
        assert_eq!(read, [None, Some(0), Some(7)]);
    }

    #[test]
    fn a_reader_can_be_moved_to_its_thread() {
        fn moves<T: Send>() {}
        moves::<crate::source::Reader>();
    }
}
