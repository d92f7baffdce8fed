//! Requests whose answers rdkafka reads as enums, or does not pass on: committed offsets, offsets of times, topics,
//! commits; and more brokers, which rdkafka does not take.

use std::ffi::{CStr, CString, c_int, c_void};
use std::ptr;
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::types::RDKafkaErrorCode as Code;
use rdkafka_sys as sys;

use super::credentials::NativeClient;
use super::layout::{NO_ERROR, RawTopic, checked, code, milliseconds, read};

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
    pub(super) fn raw_metadata(
        client: *mut sys::rd_kafka_t,
        all: c_int,
        topic: *mut sys::rd_kafka_topic_t,
        answer: *mut *const sys::rd_kafka_metadata,
        limit: c_int,
    ) -> i32;
}

/// The group's offsets, filled into `list`.
pub(crate) fn committed<C: ConsumerContext>(
    client: &BaseConsumer<C>,
    list: &TopicPartitionList,
    limit: Duration,
) -> KafkaResult<()> {
    // SAFETY: client and list live; librdkafka fills the list's own elements in.
    let number = unsafe { raw_committed(client.client().native_ptr(), list.ptr(), milliseconds(limit)) };
    checked(number, KafkaError::OffsetFetch)
}

/// An offset for each time that stands in `list` as an offset, filled in there.
pub(crate) fn offsets_for_times<C: ConsumerContext>(
    client: &BaseConsumer<C>,
    list: &TopicPartitionList,
    limit: Duration,
) -> KafkaResult<()> {
    // SAFETY: as `committed`.
    let number = unsafe { raw_offsets_for_times(client.client().native_ptr(), list.ptr(), milliseconds(limit)) };
    checked(number, KafkaError::OffsetFetch)
}

/// A topic of the cluster.
pub(crate) struct TopicMetadata {
    pub(crate) name: String,
    pub(crate) error: Option<Code>,
    /// The number of each partition, and its leader; negative: it has none.
    pub(crate) partitions: Vec<(i32, i32)>,
}

/// All topics, or one.
pub(crate) fn topics<C: ConsumerContext>(
    client: &BaseConsumer<C>,
    only: Option<&str>,
    limit: Duration,
) -> KafkaResult<Vec<TopicMetadata>> {
    let only = only.map(CString::new).transpose()?;
    let native = client.client().native_ptr();
    let mut answer: *const sys::rd_kafka_metadata = ptr::null();
    // SAFETY: the client lives; the topic's handle is ours and destroyed once; on success the answer is ours to read
    // and to release.
    unsafe {
        let topic = only.as_ref().map_or(ptr::null_mut(), |name| {
            sys::rd_kafka_topic_new(native, name.as_ptr(), ptr::null_mut())
        });
        if only.is_some() && topic.is_null() {
            return Err(KafkaError::MetadataFetch(Code::InvalidTopic));
        }
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
        let topics = topics.iter().map(|topic| TopicMetadata {
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

/// Begins to commit a list; the outcome comes to the consumer's queue, so out of its poll and into `commit_callback`.
///
/// rdkafka's own asynchronous commit tells nobody how it went.
pub(crate) fn commit<C: ConsumerContext>(consumer: &BaseConsumer<C>, list: &TopicPartitionList) -> Result<(), Code> {
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

/// Gives a client brokers to connect to, `host:port`, comma-separated, beside those that it has.
pub(crate) fn add_brokers(client: &impl NativeClient, brokers: &str) {
    if let Ok(brokers) = CString::new(brokers) {
        // SAFETY: the client lives; the text ends with a zero byte and lives during the call, which copies it.
        unsafe { sys::rd_kafka_brokers_add(client.pointer(), brokers.as_ptr()) };
    }
}

/// The log's end as the last fetch told it; asks nobody.
pub(crate) fn known_end<C: ConsumerContext>(consumer: &BaseConsumer<C>, topic: &str, partition: i32) -> Option<i64> {
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
