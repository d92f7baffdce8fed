//! A membership of a group, as librdkafka hands it from a consumer to a producer.

use std::ffi::{CStr, CString};
use std::ptr;

use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka_sys as sys;

use super::layout::bytes;

/// A membership of a group, as librdkafka has it at one moment.
pub(crate) struct Membership {
    /// What the group calls the member: another one after it was taken for gone and joined anew.
    pub(crate) member_id: Vec<u8>,
    /// Counts how often the group shared its partitions out.
    pub(crate) generation: i32,
    /// For the producer that commits the member's positions.
    pub(crate) bytes: Vec<u8>,
}

/// This client's membership; `None` while it is no member.
pub(crate) fn membership<C: ConsumerContext>(consumer: &BaseConsumer<C>) -> Option<Membership> {
    // SAFETY: it is alive, and its member id lives as long and ends with a zero.
    with_metadata(consumer, |metadata| unsafe {
        let generation = sys::rd_kafka_consumer_group_metadata_generation_id(metadata);
        let member_id = CStr::from_ptr(sys::rd_kafka_consumer_group_metadata_member_id(metadata))
            .to_bytes()
            .to_vec();
        let is_member = generation >= 0 && !member_id.is_empty();
        let bytes = is_member.then(|| written(metadata)).flatten();
        bytes.map(|bytes| Membership {
            member_id,
            generation,
            bytes,
        })
    })
    .flatten()
}

/// Whether the group gave this client a member id: when it asks to join, before it has a place.
pub(crate) fn has_member_id<C: ConsumerContext>(consumer: &BaseConsumer<C>) -> bool {
    // SAFETY: as above.
    with_metadata(consumer, |metadata| unsafe {
        !CStr::from_ptr(sys::rd_kafka_consumer_group_metadata_member_id(metadata)).is_empty()
    })
    .unwrap_or(false)
}

/// Whether this client has an instance id.
pub(crate) fn is_static<C: ConsumerContext>(consumer: &BaseConsumer<C>) -> bool {
    // SAFETY: it is alive.
    with_metadata(consumer, |metadata| unsafe {
        !sys::rd_kafka_consumer_group_metadata_group_instance_id(metadata).is_null()
    })
    .unwrap_or(false)
}

/// Lends what librdkafka knows of this client in its group; `None`: it has no group.
fn with_metadata<C: ConsumerContext, T>(
    consumer: &BaseConsumer<C>,
    read: impl FnOnce(*const sys::rd_kafka_consumer_group_metadata_t) -> T,
) -> Option<T> {
    // SAFETY: the client is alive; what it gives is ours to destroy.
    unsafe {
        let metadata = sys::rd_kafka_consumer_group_metadata(consumer.client().native_ptr());
        if metadata.is_null() {
            return None;
        }
        let found = read(metadata);
        sys::rd_kafka_consumer_group_metadata_destroy(metadata);
        Some(found)
    }
}

/// What stands for a membership when partitions are assigned by hand: the group's name.
pub(crate) fn no_membership(group: &str) -> Option<Vec<u8>> {
    let group = CString::new(group).ok()?;
    // SAFETY: the name outlives the call, which copies it; what it gives is ours to destroy.
    unsafe {
        let membership = sys::rd_kafka_consumer_group_metadata_new(group.as_ptr());
        let written = written(membership);
        sys::rd_kafka_consumer_group_metadata_destroy(membership);
        written
    }
}

/// # Safety
/// `membership` is alive.
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
