//! A reader and a writer in one commit, on a real Kafka: positions and outputs of a member, and what becomes of one
//! that is a member no more.

use std::sync::Arc;
use std::time::Duration;

use crate::clock;
use crate::config::{Cluster, KafkaSource, Partitioner};
use crate::kafka::topic_reader::{ReadFrom, TopicPoll, TopicReader};
use crate::offset_metadata::Pointer;
use crate::record::{Committable, Records};
use crate::sink::on_kafka::{push, sink, write};
use crate::sink::{CommitOutcome, Files, OffsetsSent, Options, Transactional, Writer};
use crate::source::on_kafka::{LIMIT, kafka, member, produce, source, topic, unique};
use crate::source::{Batch, Polled, Reader, plan};

fn joined(source: &KafkaSource) -> Reader {
    let plan = plan(std::slice::from_ref(source), &member(1), None).unwrap();
    Reader::join(Arc::new(plan), 0).unwrap()
}

fn writer(source: &KafkaSource, topic: &str) -> Writer {
    let brokers = &source.cluster.brokers;
    let options = Options {
        queue_bytes: 8 << 20,
        client_id: "commit-test".to_owned(),
        files: Files::default(),
        transactional: Some(Transactional {
            id: unique("id"),
            timeout: Duration::from_secs(30),
            cluster: Cluster {
                brokers: brokers.clone(),
                properties: source.cluster.properties.clone(),
                login: Default::default(),
            },
        }),
    };
    Writer::open(&[sink(brokers, topic, Partitioner::Murmur2, &[])], &options).unwrap()
}

/// Polls every reader until `enough`, answering the group.
fn poll_group(readers: &mut [&mut Reader], enough: impl Fn(&[&mut Reader]) -> bool) {
    let (mut batch, until) = (Batch::default(), clock::now() + LIMIT);
    while !enough(readers) {
        assert!(clock::now() < until, "not in time");
        for reader in readers.iter_mut() {
            match reader.poll(Duration::from_millis(10), &mut batch).unwrap() {
                Polled::Batch => reader.processed(),
                Polled::Revoking(_) => reader.release(None).unwrap(),
                _ => {}
            }
        }
    }
}

fn has_read(reader: &Reader, records: i64) -> bool {
    reader.owned().iter().map(|owned| owned.next).sum::<i64>() == records
}

const POINTER: &str = "sb1:0123-w0:s/0:1:0123456789abcdef";

fn positions(reader: &Reader, pointer: &Pointer) -> Vec<Committable> {
    let owned = reader.owned().into_iter();
    owned
        .map(|owned| Committable {
            metadata: reader.metadata_for(&owned.partition, pointer),
            partition: owned.partition,
            next: owned.next,
            leader_epoch: owned.leader_epoch,
        })
        .collect()
}

fn reinitialise(writer: &mut Writer) {
    let until = clock::now() + LIMIT;
    while let Err(error) = writer.reinitialise(LIMIT) {
        assert!(clock::now() < until, "{error}");
    }
}

/// An output and the reader's positions in one transaction.
fn sent(writer: &mut Writer, reader: &Reader, group: &[u8]) -> OffsetsSent {
    let mut records = Records::default();
    push(&mut records, None, Some(b"output"), 1);
    write(writer, &records).unwrap();
    assert!(writer.drain(LIMIT).unwrap());
    writer.send_offsets(&positions(reader, &POINTER.parse().unwrap()), group, LIMIT)
}

fn is_refused(writer: &mut Writer, reader: &Reader, group: &[u8]) {
    let sent = sent(writer, reader, group);
    assert!(matches!(sent, OffsetsSent::Stale(_)), "{sent:?}");
    writer.abort(LIMIT);
    reinitialise(writer);
}

#[test]
fn a_members_positions_are_taken_and_a_zombies_are_refused() {
    let Some(kafka) = kafka() else { return };
    let (input, output) = (topic(&kafka, "eos-in", 2), topic(&kafka, "eos-out", 1));
    produce(&kafka, &input, 0, 0..100);
    let mut source = source(&kafka, &[&input]);
    source.stop = None;
    let mut first = joined(&source);
    let mut writer = writer(&source, &output);
    poll_group(&mut [&mut first], |readers| has_read(readers[0], 100));

    let group = first.group_metadata().unwrap();
    assert!(!first.is_asked().unwrap());
    let sent_by_member = sent(&mut writer, &first, &group);
    assert!(
        matches!(sent_by_member, OffsetsSent::Done | OffsetsSent::Slow),
        "{sent_by_member:?}"
    );
    let ended = writer.commit(LIMIT);
    assert!(matches!(ended, CommitOutcome::Clean | CommitOutcome::Slow), "{ended:?}");
    reinitialise(&mut writer);
    let held = first.committed_now(LIMIT).unwrap();
    let held_at = |number: usize| held[number].1.clone().unwrap();
    assert_eq!(held_at(0), (100, POINTER.to_owned()));
    assert_eq!(held_at(1), (0, POINTER.to_owned()), "an idle partition too");

    // Another generation: the old membership is refused, the fresh one is not.
    let mut second = joined(&source);
    poll_group(&mut [&mut first, &mut second], |readers| {
        readers.iter().all(|reader| reader.owned().len() == 1)
    });
    is_refused(&mut writer, &first, &group);
    poll_group(&mut [&mut first, &mut second], |readers| {
        readers.iter().all(|reader| reader.group_metadata().is_ok())
    });
    let fresh = second.group_metadata().unwrap();
    let sent_afresh = sent(&mut writer, &second, &fresh);
    assert!(
        matches!(sent_afresh, OffsetsSent::Done | OffsetsSent::Slow),
        "{sent_afresh:?}"
    );
    writer.abort(LIMIT);
    reinitialise(&mut writer);

    // It left: what it still wants to commit is refused.
    let positions_of_second = positions(&second, &Pointer::first("s/0"));
    second.leave(None, Duration::from_secs(7)).unwrap();
    poll_group(&mut [&mut first], |readers| readers[0].owned().len() == 2);
    let zombie = writer.send_offsets(&positions_of_second, &fresh, LIMIT);
    assert!(matches!(zombie, OffsetsSent::Stale(_)), "{zombie:?}");
    writer.abort(LIMIT);
    reinitialise(&mut writer);
    assert_eq!(first.committed_now(LIMIT).unwrap(), held);
    first.leave(None, Duration::from_secs(7)).unwrap();
}

#[test]
fn a_headers_name_that_is_no_text_ends_no_process() {
    let Some(kafka) = kafka() else { return };
    let (input, output) = (topic(&kafka, "odd-in", 1), topic(&kafka, "odd-out", 1));
    let source = source(&kafka, &[&input]);
    let mut writer = writer(&source, &output);
    let mut records = Records::default();
    push(&mut records, None, Some(b"odd"), 1);
    records.headers.push(0, b"\xff\xfe", Some(b"value"));
    write(&mut writer, &records).unwrap();
    assert!(writer.drain(LIMIT).unwrap());
    let ended = writer.commit(LIMIT);
    assert!(matches!(ended, CommitOutcome::Clean | CommitOutcome::Slow), "{ended:?}");
    // On and on: the marker that shows the record may be written after the commit was answered.
    let mut reader = TopicReader::open(&source.cluster, &output, &[], ReadFrom::Earliest, true).unwrap();
    let (mut read, until) = (Records::default(), clock::now() + LIMIT);
    while reader.poll(Duration::from_millis(100), &mut read).unwrap() != TopicPoll::Record(0) {
        assert!(clock::now() < until, "not in time");
    }
    assert_eq!(read.headers.names.get(0), Some(&b"\xff\xfe"[..]));
}
