//! What brokers and other programs may send, read without harm.

use std::time::Duration;

use super::layout::{RawElement, RawMessage, code, words};
use super::message::Message;
use super::partition_list::{cut_metadata, elements, set_leader_epoch};
use super::requests::{committed, topics};
use rdkafka::ClientConfig;
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode as Code;
use rdkafka_sys as sys;

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
            Message::native(&message).error()
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
