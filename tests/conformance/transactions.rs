//! Transactions as readers see them: all of a commit, nothing of an abort, and nothing before.

use crate::client::{LIMIT, Record, fresh, next, numbered, owned, producer, read, reader, send, topic, until};
use crate::transactional_wire::{NONE, Producer as Raw, fetch, init, offset_at};
use crate::wire;
use rdkafka::Message;
use rdkafka::consumer::BaseConsumer;
use rdkafka::producer::{BaseProducer, Producer};
use std::time::Duration;

const UNKNOWN_TOPIC: i16 = 3;
const INVALID_REQUEST: i16 = 42;
const OUT_OF_ORDER: i16 = 45;
const INVALID_TXN_STATE: i16 = 48;
const INVALID_PRODUCER_ID_MAPPING: i16 = 49;
const INVALID_TRANSACTION_TIMEOUT: i16 = 50;
const TRANSACTIONAL_ID_AUTHORIZATION_FAILED: i16 = 53;
const OPERATION_NOT_ATTEMPTED: i16 = 55;
const LATEST: i64 = -1;

/// A transactional producer that is ready.
pub(crate) fn transactional(bootstrap: &str, id: &str) -> BaseProducer<crate::client::Reports> {
    let (producer, _) = producer(bootstrap, &[("transactional.id", id), ("linger.ms", "5")]);
    producer.init_transactions(LIMIT).unwrap();
    producer
}

fn committed_reader(bootstrap: &str, topic: &str, partition: i32) -> BaseConsumer {
    // An idle fetch is answered only after twice the time that a case may take.
    let more = [
        ("isolation.level", "read_committed"),
        ("fetch.wait.max.ms", "120000"),
        ("socket.timeout.ms", "130000"),
    ];
    reader(bootstrap, topic, partition, 0, &more)
}

fn send_all(producer: &BaseProducer<crate::client::Reports>, topic: &str, partition: i32, records: &[Record]) {
    for record in records {
        send(producer, topic, partition, record);
    }
    producer.flush(LIMIT).unwrap();
}

pub(crate) fn a_commit_is_seen_at_once_and_nothing_before(bootstrap: &str) {
    let topic = topic(bootstrap, 2);
    let producer = transactional(bootstrap, &fresh("id"));
    let readers = [0, 1].map(|partition| committed_reader(bootstrap, &topic, partition));
    producer.begin_transaction().unwrap();
    for partition in [0, 1] {
        send_all(&producer, &topic, partition, &numbered(20));
        assert_eq!(
            read_uncommitted(bootstrap, &topic, partition, 20),
            numbered(20),
            "who asks for everything sees it"
        );
    }
    for reader in &readers {
        assert!(reader.poll(Duration::from_millis(700)).is_none(), "nothing is decided");
    }
    producer.commit_transaction(LIMIT).unwrap();
    for reader in &readers {
        for record in numbered(20) {
            assert_eq!(owned(&next(reader).unwrap()), record);
        }
    }
}

fn read_uncommitted(bootstrap: &str, topic: &str, partition: i32, count: usize) -> Vec<Record> {
    let reader = reader(
        bootstrap,
        topic,
        partition,
        0,
        &[("isolation.level", "read_uncommitted")],
    );
    (0..count).map(|_| owned(&next(&reader).unwrap())).collect()
}

pub(crate) fn an_abort_is_never_seen(bootstrap: &str) {
    let topic = topic(bootstrap, 1);
    let producer = transactional(bootstrap, &fresh("id"));
    producer.begin_transaction().unwrap();
    send_all(&producer, &topic, 0, &numbered(10));
    producer.abort_transaction(LIMIT).unwrap();
    producer.begin_transaction().unwrap();
    send_all(&producer, &topic, 0, &numbered(3));
    producer.commit_transaction(LIMIT).unwrap();
    let reader = committed_reader(bootstrap, &topic, 0);
    let offsets: Vec<i64> = (0..3).map(|_| next(&reader).unwrap().offset()).collect();
    assert_eq!(offsets, [11, 12, 13], "ten records and a marker were passed over");
    let all = read_uncommitted(bootstrap, &topic, 0, 13);
    assert_eq!(all[9].offset, 9);
    assert_eq!(all[10].offset, 11);
}

pub(crate) fn a_transaction_of_many_batches_is_whole(bootstrap: &str) {
    let topic = topic(bootstrap, 3);
    let more = [
        ("transactional.id", fresh("id")),
        ("batch.num.messages", "50".to_owned()),
        ("compression.type", "lz4".to_owned()),
    ];
    let more: Vec<(&str, &str)> = more.iter().map(|(key, value)| (*key, value.as_str())).collect();
    let (producer, reports) = producer(bootstrap, &more);
    producer.init_transactions(LIMIT).unwrap();
    for commits in [true, false, true] {
        producer.begin_transaction().unwrap();
        for partition in 0..3 {
            send_all(&producer, &topic, partition, &numbered(500));
        }
        match commits {
            true => producer.commit_transaction(LIMIT).unwrap(),
            false => producer.abort_transaction(LIMIT).unwrap(),
        }
    }
    assert!(reports.0.lock().unwrap().iter().all(Result::is_ok));
    for partition in 0..3 {
        let reader = committed_reader(bootstrap, &topic, partition);
        let offsets: Vec<i64> = (0..1000).map(|_| next(&reader).unwrap().offset()).collect();
        assert!(offsets.iter().copied().eq((0..500).chain(1002..1502)));
    }
}

pub(crate) fn interleaved_transactions_have_their_aborted_list(bootstrap: &str) {
    let topic = topic(bootstrap, 1);
    let [one, two] = [(); 2].map(|()| Raw::new(bootstrap, &fresh("id"), 60_000));
    assert_eq!(one.write(&topic, 0, 0, 1), 0);
    assert_eq!(two.write(&topic, 0, 0, 1), 1);
    assert_eq!(one.write(&topic, 0, 1, 1), 2);
    assert_eq!(two.end(2, false), NONE);
    until("the marker is there", || {
        fetch(bootstrap, &topic, 0, 0, false).high_watermark == 4
    });
    let open = fetch(bootstrap, &topic, 0, 0, true);
    assert_eq!((open.code, open.last_stable_offset, open.records.len()), (NONE, 0, 0));
    assert_eq!(one.write(&topic, 0, 2, 1), 4);
    assert_eq!(one.end(2, true), NONE);
    until("the marker is there", || {
        fetch(bootstrap, &topic, 0, 0, false).high_watermark == 6
    });
    assert_eq!(two.write(&topic, 0, 1, 1), 6);
    assert_eq!(two.end(2, false), NONE);
    until("all is decided", || {
        fetch(bootstrap, &topic, 0, 0, true).last_stable_offset == 8
    });

    // A page of Kafka ends where a file of its log does, and the list with it.
    let first_page = fetch(bootstrap, &topic, 0, 0, true).aborted.unwrap();
    assert_eq!(first_page[0], (two.producer_id, 1));
    assert!(first_page[1..].iter().all(|other| *other == (two.producer_id, 6)));
    let rest = fetch(bootstrap, &topic, 0, 4, true);
    assert_eq!(rest.aborted, Some(vec![(two.producer_id, 6)]));
    assert_eq!(fetch(bootstrap, &topic, 0, 0, false).aborted, None);
    let reader = committed_reader(bootstrap, &topic, 0);
    let offsets: Vec<i64> = (0..3).map(|_| next(&reader).unwrap().offset()).collect();
    assert_eq!(offsets, [0, 2, 4]);
}

pub(crate) fn a_marker_has_these_bytes(bootstrap: &str) {
    let topic = topic(bootstrap, 1);
    let producer = Raw::new(bootstrap, &fresh("id"), 60_000);
    for (sequence, commits, kind) in [(0, true, 1), (1, false, 0)] {
        let offset = producer.write(&topic, 0, sequence, 1);
        assert_eq!(producer.end(2, commits), NONE);
        until("the marker is there", || {
            fetch(bootstrap, &topic, 0, 0, true).last_stable_offset == offset + 2
        });
        let mut marker = fetch(bootstrap, &topic, 0, offset + 1, false).records;
        let crc = crc32c::crc32c(&marker[21..]);
        assert_eq!(marker[17..21], crc.to_be_bytes());
        // The checksum was right; it and what differs from run to run are left out: the times.
        marker[17..21].fill(0);
        marker[27..43].fill(0);
        let mut expected = (offset + 1).to_be_bytes().to_vec();
        expected.extend(66i32.to_be_bytes());
        expected.extend([0, 0, 0, 0, 2, 0, 0, 0, 0]);
        expected.extend(0x30i16.to_be_bytes());
        expected.extend([0; 20]);
        expected.extend(producer.producer_id.to_be_bytes());
        expected.extend(producer.epoch.to_be_bytes());
        expected.extend((-1i32).to_be_bytes());
        expected.extend(1i32.to_be_bytes());
        expected.extend([32, 0, 0, 0, 8, 0, 0, 0, kind, 12, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(marker, expected);
    }
}

pub(crate) fn the_stable_end_is_not_the_end(bootstrap: &str) {
    let topic = topic(bootstrap, 1);
    wire::produce(bootstrap, &topic, 0, &wire::batch(-1, -1, -1, 2));
    let producer = Raw::new(bootstrap, &fresh("id"), 60_000);
    producer.write(&topic, 0, 0, 3);
    wire::produce(bootstrap, &topic, 0, &wire::batch(-1, -1, -1, 2));
    assert_eq!(offset_at(bootstrap, &topic, 0, LATEST, false), 7);
    assert_eq!(offset_at(bootstrap, &topic, 0, LATEST, true), 2);
    let page = fetch(bootstrap, &topic, 0, 0, true);
    assert_eq!((page.high_watermark, page.last_stable_offset), (7, 2));
    let beyond = fetch(bootstrap, &topic, 0, 5, true);
    assert_eq!(
        (beyond.code, beyond.records.len()),
        (NONE, 0),
        "not yet, but not out of range"
    );
    assert_eq!(producer.end(2, true), NONE);
    until("the end is stable", || {
        offset_at(bootstrap, &topic, 0, LATEST, true) == 8
    });
    assert_eq!(read(bootstrap, &topic, 0, 0, 7).len(), 7);
}

pub(crate) fn a_time_finds_no_record_that_is_not_decided(bootstrap: &str) {
    let topic = topic(bootstrap, 1);
    let producer = Raw::new(bootstrap, &fresh("id"), 60_000);
    producer.write(&topic, 0, 0, 1);
    // All records by hand are of the time 1000.
    assert_eq!(offset_at(bootstrap, &topic, 0, 500, false), 0);
    assert_eq!(offset_at(bootstrap, &topic, 0, 500, true), -1);
    assert_eq!(producer.end(2, true), NONE);
    until("it is decided", || offset_at(bootstrap, &topic, 0, 500, true) == 0);
}

pub(crate) fn an_empty_transaction_is_one(bootstrap: &str) {
    let topic = topic(bootstrap, 1);
    let producer = transactional(bootstrap, &fresh("id"));
    for _ in 0..2 {
        producer.begin_transaction().unwrap();
        producer.commit_transaction(LIMIT).unwrap();
        producer.begin_transaction().unwrap();
        producer.abort_transaction(LIMIT).unwrap();
    }
    let raw = Raw::new(bootstrap, &fresh("id"), 60_000);
    assert_eq!(raw.end(2, true), INVALID_TXN_STATE, "nothing was begun");
    assert_eq!(raw.add(2, &topic, &[0]), [NONE]);
    assert_eq!(raw.add(2, &topic, &[0]), [NONE], "again is as once");
    assert_eq!(raw.end(2, true), NONE);
    assert_eq!(raw.end(2, true), NONE, "again is as once");
    assert_eq!(raw.end(2, false), INVALID_TXN_STATE, "what is committed stays so");
    until("the marker is there", || {
        offset_at(bootstrap, &topic, 0, LATEST, true) == 1
    });
    assert_eq!(raw.write(&topic, 0, 0, 1), 1, "a marker alone leaves the count at 0");
}

pub(crate) fn what_does_not_belong_to_the_transaction_is_refused(bootstrap: &str) {
    let topic = topic(bootstrap, 3);
    let producer = Raw::new(bootstrap, &fresh("id"), 60_000);
    assert_eq!(producer.send(&topic, 0, 0, 1).0, INVALID_TXN_STATE, "none is open");
    producer.write(&topic, 0, 0, 1);
    assert_eq!(
        producer.send(&topic, 1, 0, 1).0,
        INVALID_TXN_STATE,
        "the partition is not in it"
    );
    assert_eq!(
        producer.send_with(0, &topic, 0, 1, 1).0,
        INVALID_TXN_STATE,
        "a batch beside the transaction"
    );
    assert_eq!(
        producer.add(2, &topic, &[1, 9]),
        [OPERATION_NOT_ATTEMPTED, UNKNOWN_TOPIC],
        "all partitions or none"
    );
    assert_eq!(producer.send(&topic, 1, 0, 1).0, INVALID_TXN_STATE);
    let unnamed = wire::batch_with(0x10, producer.producer_id, producer.epoch, 1, 1);
    let (code, _) = wire::produce(bootstrap, &topic, 0, &unnamed);
    assert_eq!(code, TRANSACTIONAL_ID_AUTHORIZATION_FAILED);
    let stranger = Raw {
        id: fresh("never-seen"),
        ..producer.clone()
    };
    assert_eq!(stranger.add(2, &topic, &[0]), [INVALID_PRODUCER_ID_MAPPING]);
    assert_eq!(stranger.end(2, true), INVALID_PRODUCER_ID_MAPPING);
    assert_eq!(stranger.send(&topic, 2, 0, 1).0, INVALID_PRODUCER_ID_MAPPING);
    assert_eq!(producer.end(2, false), NONE);
}

pub(crate) fn a_transaction_counts_its_batches(bootstrap: &str) {
    let topic = topic(bootstrap, 1);
    let producer = Raw::new(bootstrap, &fresh("id"), 60_000);
    assert_eq!(producer.write(&topic, 0, 0, 3), 0);
    assert_eq!(producer.send(&topic, 0, 0, 3), (NONE, 0), "a repetition is known");
    assert_eq!(producer.send(&topic, 0, 5, 1).0, OUT_OF_ORDER);
    assert_eq!(producer.send(&topic, 0, 3, 1), (NONE, 3));
    assert_eq!(producer.end(2, true), NONE);
    assert_eq!(
        producer.write(&topic, 0, 4, 1),
        5,
        "the count goes on behind the marker"
    );
    assert_eq!(producer.end(2, true), NONE);
}

pub(crate) fn a_timeout_has_limits(bootstrap: &str) {
    let id = fresh("id");
    for timeout_ms in [0, -1, 900_001, i32::MAX] {
        assert_eq!(init(bootstrap, &id, timeout_ms).0, INVALID_TRANSACTION_TIMEOUT);
    }
    assert_eq!(init(bootstrap, "", 1000).0, INVALID_REQUEST);
    assert_eq!(init(bootstrap, &id, 900_000).0, NONE);
}
