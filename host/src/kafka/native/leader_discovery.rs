//! Keeps librdkafka from reading memory that nobody wrote, when a broker says that partitions have no leader.
//!
//! An answer to a fetch names the new leaders of partitions (KIP-951). librdkafka makes a list with room for all of
//! them, leaves those without a leader out, and does not make its count smaller
//! (`rd_kafka_handle_Fetch_metadata_update` of 2.12.1, its issue 5280). Whatever the memory held is taken for a
//! partition's number then: the program crashed, or could write anywhere. So the linker leads the call that makes the
//! list through here (`--wrap` in `build.rs`).
//!
//! Always: a place of that list which is not filled in has a number that no topic has, and is passed over: its log says
//! that partition 2147483647 is not found.

use std::ffi::{c_char, c_int, c_void};

use rdkafka_sys as sys;

/// As many partitions as no topic has: librdkafka passes over whatever is not below a topic's count.
const NO_PARTITION: i32 = i32::MAX;

/// librdkafka's id of a topic, as its `rdkafka_proto.h` lays it out.
#[derive(Clone, Copy)]
#[repr(C)]
pub(super) struct TopicId {
    high: i64,
    low: i64,
    text: [c_char; 23],
}

// The linker's own name for the function. Weak: a program that it does not lead through here, as a test, has none.
std::arch::global_asm!(".weak __real_rd_kafkap_leader_discovery_set_topic");

unsafe extern "C" {
    fn __real_rd_kafkap_leader_discovery_set_topic(
        memory: *mut c_void,
        metadata: *mut sys::rd_kafka_metadata_t,
        topic: c_int,
        id: TopicId,
        name: *mut c_char,
        partitions: c_int,
    );
}

/// Begins the topic of that index, with room for so many partitions. `metadata` is what librdkafka's own, larger
/// structure begins with.
///
/// # Safety
/// Called by librdkafka alone, as the function that it stands in for.
#[unsafe(no_mangle)]
unsafe extern "C" fn __wrap_rd_kafkap_leader_discovery_set_topic(
    memory: *mut c_void,
    metadata: *mut sys::rd_kafka_metadata_t,
    topic: c_int,
    id: TopicId,
    name: *mut c_char,
    partitions: c_int,
) {
    // SAFETY: the arguments are librdkafka's own. Behind its call the topic has room for so many, which are written
    // alone: what they hold may be no value of the generated types.
    unsafe {
        __real_rd_kafkap_leader_discovery_set_topic(memory, metadata, topic, id, name, partitions);
        let topic = (*metadata).topics.offset(topic as isize);
        for place in 0..partitions {
            let partition = (*topic).partitions.offset(place as isize);
            (&raw mut (*partition).id).write(NO_PARTITION);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::mem::{MaybeUninit, size_of};
    use std::ptr;

    /// librdkafka's buffer (rd_tmpabuf_t): memory that is given out from its front.
    #[repr(C)]
    struct Memory {
        size: usize,
        given: usize,
        bytes: *mut u8,
        failed: c_int,
        fails_hard: u8,
    }

    /// librdkafka's metadata, and the list behind them that its larger structure has.
    #[repr(C)]
    struct Metadata {
        known: sys::rd_kafka_metadata_t,
        brokers: [*mut c_void; 2],
        topics: *mut c_void,
        rest: [*mut c_void; 2],
    }

    #[repr(C)]
    struct Leader {
        broker: i32,
        epoch: i32,
    }

    unsafe extern "C" {
        fn rd_kafkap_leader_discovery_metadata_init(metadata: *mut Metadata, broker: i32);
        fn rd_kafkap_leader_discovery_set_topic_cnt(memory: *mut Memory, metadata: *mut Metadata, topics: c_int);
        fn rd_kafkap_leader_discovery_set_topic(
            memory: *mut Memory,
            metadata: *mut Metadata,
            topic: c_int,
            id: TopicId,
            name: *mut c_char,
            partitions: c_int,
        );
        fn rd_kafkap_leader_discovery_set_CurrentLeader(
            memory: *mut Memory,
            metadata: *mut Metadata,
            topic: c_int,
            index: c_int,
            partition: i32,
            leader: *mut Leader,
        );
    }

    /// As librdkafka does it when three partitions are named, two of them without a leader.
    #[test]
    fn a_partition_without_a_leader_is_not_read_from_memory_that_nobody_wrote() {
        let mut room = vec![0x5a5a_5a5a_5a5a_5a5a_u64; 512];
        let mut memory = Memory {
            size: room.len() * size_of::<u64>(),
            given: 0,
            bytes: room.as_mut_ptr().cast(),
            failed: 0,
            fails_hard: 1,
        };
        let id = TopicId {
            high: 1,
            low: 2,
            text: [0; 23],
        };
        let mut leader = Leader { broker: 7, epoch: 3 };
        let mut metadata = MaybeUninit::uninit();
        // SAFETY: the structures are laid out as librdkafka's, the memory is large enough for two topics, and the
        // numbers of the partitions are written.
        let [first, second] = unsafe {
            rd_kafkap_leader_discovery_metadata_init(metadata.as_mut_ptr(), 1);
            rd_kafkap_leader_discovery_set_topic_cnt(&mut memory, metadata.as_mut_ptr(), 2);
            for topic in 0..2 {
                let metadata = metadata.as_mut_ptr();
                rd_kafkap_leader_discovery_set_topic(&mut memory, metadata, topic, id, ptr::null_mut(), 3);
            }
            rd_kafkap_leader_discovery_set_CurrentLeader(&mut memory, metadata.as_mut_ptr(), 1, 0, 5, &mut leader);
            let topics = (*metadata.as_ptr()).known.topics;
            [0, 1].map(|topic| {
                let partitions = (*topics.offset(topic)).partitions;
                [0, 1, 2].map(|place| (&raw const (*partitions.offset(place)).id).read())
            })
        };
        assert_eq!(memory.failed, 0);
        assert_eq!(first, [NO_PARTITION; 3], "none of them has a leader");
        assert_eq!(second, [5, NO_PARTITION, NO_PARTITION]);
    }
}
