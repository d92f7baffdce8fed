//! The queue that all fetched messages of a consumer go through, and the few other things that rdkafka hides: the one file with unsafe code.
//!
//! A message is copied out of librdkafka's memory while it is served, and freed at once: a message that is kept pins its whole fetch
//! response. We serve by callback and not by `rd_kafka_consume_batch_queue`: the latter counts an end-of-partition event as a record (librdkafka
//! 2.12.1, its issue 4844), and the next rebalance would then resume behind a record that nobody read. It also waits until a batch is full.
#![expect(
    unsafe_code,
    reason = "librdkafka's queues, message fields and offset metadata have no safe interface in rdkafka"
)]

use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_int, c_void};
use std::marker::PhantomData;
use std::ptr;
use std::slice;
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::message::BorrowedMessage;
use rdkafka::types::{RDKafkaErrorCode, RDKafkaRespErr};
use rdkafka_sys as sys;

use crate::error::{Error, Kind, Result};

/// What takes messages in.
pub(in crate::source) trait Intake {
    /// Copies what it wants of the message. `false`: enough for now, what is still queued stays there, in order.
    fn take(&mut self, message: &Message<'_>) -> bool;
}

/// A message, or an error that came in its place, in librdkafka's memory.
pub(in crate::source) struct Message<'a>(&'a sys::rd_kafka_message_t);

/// Tells whether two messages lie in the same partition without comparing names. Valid among the messages of one serving only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::source) struct Place(usize, i32);

impl<'a> Message<'a> {
    /// The same view of a message that came by another way than the queue.
    pub(in crate::source) fn of(message: &'a BorrowedMessage<'a>) -> Self {
        // SAFETY: the borrowed message owns what its pointer shows, for `'a`.
        Message(unsafe { &*message.ptr() })
    }

    /// Why there is no message: the code, and librdkafka's words.
    pub(in crate::source) fn error(&self) -> Option<(RDKafkaErrorCode, String)> {
        if self.0.err == RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
            return None;
        }
        let text = self.payload().map(|text| String::from_utf8_lossy(text).into_owned());
        Some((self.0.err.into(), text.unwrap_or_default()))
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

    /// Milliseconds since 1970; -1 where the message has none.
    pub(in crate::source) fn timestamp(&self) -> i64 {
        let mut kind = sys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        // SAFETY: reads fields of a live message; `kind` outlives the call.
        let at = unsafe { sys::rd_kafka_message_timestamp(self.0, &mut kind) };
        match kind {
            sys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE => -1,
            _ => at,
        }
    }

    /// Gives each header's name and value, in order.
    pub(in crate::source) fn each_header(&self, mut give: impl FnMut(&[u8], Option<&[u8]>)) {
        let mut headers = ptr::null_mut();
        // SAFETY: reads a live message; the headers that it gives belong to the message.
        let found = unsafe { sys::rd_kafka_message_headers(self.0, &mut headers) };
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
/// It is served through the queue of one of the partitions that are led into it: only that way librdkafka takes a limited number of messages
/// out at a time (`consume.callback.max.messages`). Served directly, it takes all of them out, looks empty to the fetchers meanwhile, and
/// they fetch more and more.
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
    /// To be called before the partition is assigned, and after the main thread of librdkafka has carried out an earlier revocation of
    /// it, which would undo this. Then no message goes the other way.
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

    /// Waits until something is queued, at most `wait`, then hands over what is there until `intake` has enough. `false`: no partition is led
    /// here, and nothing was waited for.
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
            // SAFETY: the topic's handle is alive; the callback gets `serving` back, which outlives the call, on this thread only.
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
    let (message, serving) = unsafe { (&*message, &mut *serving.cast::<Serving<'_, I>>()) };
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
) -> Result<(), RDKafkaErrorCode> {
    let client = consumer.client().native_ptr();
    // SAFETY: the client and the list are alive; librdkafka copies the list, and keeps its own reference to the queue.
    let error = unsafe {
        let queue = sys::rd_kafka_queue_get_consumer(client);
        if queue.is_null() {
            return Err(RDKafkaErrorCode::UnknownGroup);
        }
        let error = sys::rd_kafka_commit_queue(client, list.ptr(), queue, None, ptr::null_mut());
        sys::rd_kafka_queue_destroy(queue);
        error
    };
    match error {
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR => Ok(()),
        error => Err(error.into()),
    }
}

/// This member's membership, as bytes for the producer that commits its positions; `None` while it is no member.
pub(in crate::source) fn membership<C: ConsumerContext>(consumer: &BaseConsumer<C>) -> Option<Vec<u8>> {
    // SAFETY: the client is alive; what it gives is ours to destroy.
    unsafe {
        let membership = sys::rd_kafka_consumer_group_metadata(consumer.client().native_ptr());
        if membership.is_null() {
            return None;
        }
        let is_member = sys::rd_kafka_consumer_group_metadata_generation_id(membership) >= 0
            && *sys::rd_kafka_consumer_group_metadata_member_id(membership) != 0;
        let written = is_member.then(|| written(membership));
        sys::rd_kafka_consumer_group_metadata_destroy(membership);
        written?
    }
}

/// What stands for a membership where partitions are assigned by hand: the group's name.
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
    pub(in crate::source) error: Option<RDKafkaErrorCode>,
}

/// The elements of a list. rdkafka's own way panics on metadata that is no UTF-8, which anyone may have committed.
pub(in crate::source) fn elements(list: &TopicPartitionList) -> Vec<Element> {
    let count = list.count();
    if count == 0 {
        return Vec::new();
    }
    // SAFETY: the list is alive and has `count` elements; names end with NUL; metadata is null or `metadata_size` bytes.
    unsafe {
        slice::from_raw_parts((*list.ptr()).elems, count)
            .iter()
            .map(|element| Element {
                topic: CStr::from_ptr(element.topic).to_string_lossy().into_owned(),
                partition: element.partition,
                offset: element.offset,
                metadata: bytes(element.metadata, element.metadata_size)
                    .map(|text| String::from_utf8_lossy(text).into_owned())
                    .unwrap_or_default(),
                error: (element.err != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR).then(|| element.err.into()),
            })
            .collect()
    }
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

#[cfg(test)]
mod tests {
    use super::*;

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
    fn a_reader_can_be_moved_to_its_thread() {
        fn moves<T: Send>() {}
        moves::<crate::source::Reader>();
    }
}
