//! Who may write under a transactional id: the latest producer, and nobody whose time is over.

use crate::client::{LIMIT, fresh, numbered, send, topic, until};
use crate::transactional_wire::{NONE, Producer as Raw, fetch, init_again, position};
use crate::transactions::transactional;
use rdkafka::error::KafkaError;
use rdkafka::producer::Producer;
use rdkafka::types::RDKafkaErrorCode as Code;

const INVALID_EPOCH: i16 = 47;
const FENCED: i16 = 90;
const UNSTABLE: i16 = 88;

/// Everything that a producer whose epoch is over can try.
fn assert_fenced(old: &Raw, topic: &str) {
    assert_eq!(old.send(topic, 0, 1, 1).0, INVALID_EPOCH);
    assert_eq!(old.add(2, topic, &[0]), [FENCED]);
    assert_eq!(old.add(0, topic, &[0]), [INVALID_EPOCH], "the older word for it");
    assert_eq!(old.add_group(2, "g"), FENCED);
    assert_eq!(old.add_group(0, "g"), INVALID_EPOCH);
    assert_eq!(old.commit_offset("g", topic, 0, 1, ""), INVALID_EPOCH);
    assert_eq!(old.end(2, true), FENCED);
    assert_eq!(old.end(0, true), INVALID_EPOCH);
}

pub(crate) fn a_second_producer_fences_the_first(bootstrap: &str) {
    let (topic, id, group) = (topic(bootstrap, 1), fresh("id"), fresh("group"));
    let first = Raw::new(bootstrap, &id, 60_000);
    assert_eq!(first.write(&topic, 0, 0, 2), 0);
    first.take_offset(&group, &topic, 0, 7);
    let second = Raw::new(bootstrap, &id, 60_000);
    assert_eq!(second.producer_id, first.producer_id);
    assert!(second.epoch > first.epoch);
    until("what it left open is aborted", || {
        let page = fetch(bootstrap, &topic, 0, 0, true);
        page.last_stable_offset == 3 && page.aborted == Some(vec![(first.producer_id, 0)])
    });
    until("and so are its positions", || {
        position(bootstrap, &group, &topic, 0, true) == (NONE, -1, -1, String::new())
    });
    assert_fenced(&first, &topic);
    assert_eq!(init_again(&first, 60_000).0, FENCED);
    assert_eq!(second.write(&topic, 0, 0, 1), 3, "a new epoch counts from 0");
    assert_eq!(second.end(2, true), NONE);
}

pub(crate) fn a_producer_without_a_transaction_is_fenced_too(bootstrap: &str) {
    let (topic, id) = (topic(bootstrap, 1), fresh("id"));
    let first = Raw::new(bootstrap, &id, 60_000);
    first.write(&topic, 0, 0, 1);
    assert_eq!(first.end(2, true), NONE);
    let second = Raw::new(bootstrap, &id, 60_000);
    assert!(second.epoch > first.epoch);
    assert_fenced(&first, &topic);
    assert_eq!(init_again(&first, 60_000).0, FENCED);
    until("the commit of the first stands", || {
        let page = fetch(bootstrap, &topic, 0, 0, true);
        page.last_stable_offset == 2 && page.aborted == Some(Vec::new())
    });
}

pub(crate) fn a_fenced_client_is_told_so(bootstrap: &str) {
    let (topic, id) = (topic(bootstrap, 1), fresh("id"));
    let first = transactional(bootstrap, &id);
    first.begin_transaction().unwrap();
    send(&first, &topic, 0, &numbered(1)[0]);
    first.flush(LIMIT).unwrap();
    let second = transactional(bootstrap, &id);
    let error = first.commit_transaction(LIMIT).unwrap_err();
    let KafkaError::Transaction(error) = error else {
        panic!("{error}")
    };
    assert!(error.is_fatal());
    assert!(matches!(error.code(), Code::Fenced | Code::ProducerFenced), "{error}");
    second.begin_transaction().unwrap();
    send(&second, &topic, 0, &numbered(1)[0]);
    second.commit_transaction(LIMIT).unwrap();
}

pub(crate) fn a_producer_gets_its_own_next_epoch(bootstrap: &str) {
    let (topic, id) = (topic(bootstrap, 1), fresh("id"));
    let first = Raw::new(bootstrap, &id, 60_000);
    first.write(&topic, 0, 0, 1);
    assert_eq!(first.end(2, false), NONE);
    let (code, producer_id, epoch) = init_again(&first, 60_000);
    assert_eq!((code, producer_id, epoch), (NONE, first.producer_id, first.epoch + 1));
    assert_eq!(
        init_again(&first, 60_000),
        (NONE, producer_id, epoch),
        "whose answer was lost asks again and gets the same"
    );
    let next = Raw { epoch, ..first.clone() };
    assert_eq!(next.write(&topic, 0, 0, 1), 2);
    let (code, _, epoch) = init_again(&next, 60_000);
    if crate::is_before_kafka_4(bootstrap) {
        // It aborts what the producer left open by an epoch that it then does not give out.
        return assert_eq!(code, FENCED);
    }
    assert_eq!((code, epoch), (NONE, next.epoch + 1));
    until("what it left open itself is aborted", || {
        fetch(bootstrap, &topic, 0, 2, true).aborted == Some(vec![(first.producer_id, 2)])
    });
    let last = Raw { epoch, ..first.clone() };
    assert_eq!(last.write(&topic, 0, 0, 1), 4);
    assert_eq!(last.end(2, true), NONE);
}

pub(crate) fn a_timeout_aborts_and_frees_the_readers(bootstrap: &str) {
    let (topic, id, group) = (topic(bootstrap, 1), fresh("id"), fresh("group"));
    let slow = Raw::new(bootstrap, &id, 15_000);
    slow.write(&topic, 0, 0, 2);
    slow.take_offset(&group, &topic, 0, 7);
    assert_eq!(position(bootstrap, &group, &topic, 0, true).0, UNSTABLE);
    let page = fetch(bootstrap, &topic, 0, 0, true);
    assert_eq!((page.last_stable_offset, page.high_watermark), (0, 2));
    until("the time is over", || {
        fetch(bootstrap, &topic, 0, 0, true).last_stable_offset == 3
    });
    let page = fetch(bootstrap, &topic, 0, 0, true);
    assert_eq!(page.aborted, Some(vec![(slow.producer_id, 0)]));
    until("the positions are free", || {
        position(bootstrap, &group, &topic, 0, true).0 == NONE
    });
    assert_eq!(position(bootstrap, &group, &topic, 0, true).1, -1);
    assert_fenced(&slow, &topic);
    let again = init_again(&slow, 60_000);
    if crate::is_before_kafka_4(bootstrap) {
        assert_eq!(again.0, FENCED, "only as a new producer");
    } else {
        let next = (NONE, slow.producer_id, slow.epoch + 1);
        assert_eq!(again, next, "it may begin anew as long as nobody else came");
    }
    let next = Raw::new(bootstrap, &id, 60_000);
    assert_eq!(next.write(&topic, 0, 0, 1), 3);
    assert_eq!(next.end(2, true), NONE);
}
