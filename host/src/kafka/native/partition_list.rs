//! librdkafka's list of partitions: positions in, what Kafka filled in out.

use std::ffi::CStr;
use std::{ptr, slice};

use rdkafka::error::KafkaResult;
use rdkafka::types::RDKafkaErrorCode as Code;
use rdkafka::{Offset, TopicPartitionList};
use rdkafka_sys as sys;

use super::layout::{NO_ERROR, RawElement, bytes, code};
use crate::record::{Committable, TopicPartition};

/// A list for librdkafka.
pub(crate) fn list(of: &[TopicPartition], offset: Offset) -> KafkaResult<TopicPartitionList> {
    let mut list = TopicPartitionList::with_capacity(of.len());
    for at in of {
        list.add_partition(&at.topic, at.partition).set_offset(offset)?;
    }
    Ok(list)
}

/// Positions for librdkafka. Metadata is set once: a second time leaks the first.
pub(crate) fn positions(positions: &[Committable]) -> KafkaResult<TopicPartitionList> {
    let mut list = TopicPartitionList::with_capacity(positions.len());
    for of in positions {
        let mut element = list.add_partition(&of.partition.topic, of.partition.partition);
        element.set_offset(Offset::Offset(of.next))?;
        element.set_metadata(&of.metadata);
        set_leader_epoch(&mut list, of.leader_epoch);
    }
    Ok(list)
}

/// An element of a list that Kafka filled in.
#[derive(Debug)]
pub(crate) struct Element {
    pub(crate) topic: String,
    pub(crate) partition: i32,
    /// Negative: none.
    pub(crate) offset: i64,
    pub(crate) metadata: String,
    /// Of the leader that took the record before the offset.
    pub(crate) leader_epoch: Option<i32>,
    pub(crate) error: Option<Code>,
}

/// The elements of a list. rdkafka's own way panics on metadata that is no UTF-8, which anyone may have committed.
pub(crate) fn elements(list: &TopicPartitionList) -> Vec<Element> {
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
pub(crate) fn set_leader_epoch(list: &mut TopicPartitionList, epoch: Option<i32>) {
    let (Some(last), Some(epoch)) = (list.count().checked_sub(1), epoch) else {
        return;
    };
    // SAFETY: the list has an element of that number.
    unsafe { sys::rd_kafka_topic_partition_set_leader_epoch((*list.ptr()).elems.add(last), epoch) };
}

/// Metadata as another program may have written it: its last byte is cut off, so that it need not be text any more.
#[cfg(test)]
pub(crate) fn cut_metadata(list: &mut TopicPartitionList) {
    assert!(list.count() > 0);
    // SAFETY: the list has an element, whose metadata has bytes; fewer of them are said to be there.
    unsafe { (*(*list.ptr()).elems).metadata_size -= 1 };
}
