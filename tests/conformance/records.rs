//! Records in and out.

use crate::client::{LIMIT, Record, admin, next, numbered, options, owned, produce, read, reader, topic, wait};
use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode as Code;
use rdkafka::{Message, Offset, TopicPartitionList};
use std::time::Duration;

pub(crate) fn records_come_back_as_they_went_in(bootstrap: &str) {
    let topic = topic(bootstrap, 2);
    let large: Vec<u8> = (0..1_000_000u32).map(|index| (index % 251) as u8).collect();
    let some = |text: &str| Some(text.as_bytes().to_vec());
    let headers = vec![("a".to_owned(), some("1")), ("a".to_owned(), None), ("empty".to_owned(), some(""))];
    let records = [
        Record { offset: 0, key: some("key"), value: some("value"), timestamp: 1234, headers },
        Record { offset: 1, key: None, value: some("no key"), timestamp: 1235, ..Record::default() },
        Record { offset: 2, key: some("no value"), value: None, timestamp: 1233, ..Record::default() },
        Record { offset: 3, key: some(""), value: some(""), timestamp: 1236, ..Record::default() },
        Record { offset: 4, key: None, value: Some(large), timestamp: 1237, ..Record::default() },
    ];
    let reports = produce(bootstrap, &topic, 1, &records, &[("message.max.bytes", "1040000")]);
    assert_eq!(reports, (0..5).map(|offset| Ok((1, offset))).collect::<Vec<_>>());
    assert_eq!(read(bootstrap, &topic, 1, 0, 5), records);
}

pub(crate) fn every_codec_comes_back(bootstrap: &str) {
    let topic = topic(bootstrap, 5);
    for (partition, codec) in (0..).zip(["none", "gzip", "snappy", "lz4", "zstd"]) {
        let records = numbered(500);
        produce(bootstrap, &topic, partition, &records, &[("compression.type", codec)]);
        assert_eq!(read(bootstrap, &topic, partition, 0, 500), records, "{codec}");
    }
}

pub(crate) fn a_reader_starts_in_the_middle_of_a_batch(bootstrap: &str) {
    let topic = topic(bootstrap, 1);
    let records = numbered(1000);
    produce(bootstrap, &topic, 0, &records, &[("compression.type", "lz4")]);
    for from in [0, 1, 499, 998, 999] {
        assert_eq!(read(bootstrap, &topic, 0, from, 1), [records[from as usize].clone()]);
    }
    let consumer = reader(bootstrap, &topic, 0, 900, &[]);
    assert_eq!(next(&consumer).unwrap().offset(), 900);
    consumer.seek(&topic, 0, Offset::Offset(123), LIMIT).unwrap();
    assert_eq!(next(&consumer).unwrap().offset(), 123);
}

pub(crate) fn a_waiting_reader_hears_of_a_new_record_at_once(bootstrap: &str) {
    let topic = topic(bootstrap, 1);
    // The broker would answer an idle fetch only after twice the time that this case may take.
    let patient = [("fetch.wait.max.ms", "120000"), ("socket.timeout.ms", "130000")];
    let consumer = reader(bootstrap, &topic, 0, 0, &patient);
    assert!(consumer.poll(Duration::from_secs(1)).is_none());
    produce(bootstrap, &topic, 0, &numbered(1), &[]);
    assert_eq!(owned(&next(&consumer).unwrap()), numbered(1)[0]);
}

pub(crate) fn deleted_records_are_out_of_range(bootstrap: &str) {
    let topic = topic(bootstrap, 1);
    produce(bootstrap, &topic, 0, &numbered(100), &[]);
    let delete_before = |offset: Offset| {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&topic, 0, offset).unwrap();
        let deleted = wait(admin(bootstrap).delete_records(&list, &options())).unwrap();
        let element = &deleted.elements()[0];
        element.error().map(|()| element.offset())
    };
    assert_eq!(delete_before(Offset::Offset(40)), Ok(Offset::Offset(40)));
    assert_eq!(delete_before(Offset::Offset(30)), Ok(Offset::Offset(40)), "the beginning never goes back");
    assert!(delete_before(Offset::Offset(101)).is_err());

    let consumer = reader(bootstrap, &topic, 0, 10, &[]);
    assert_eq!(consumer.fetch_watermarks(&topic, 0, LIMIT).unwrap(), (40, 100));
    let error = next(&consumer).map(|message| message.offset()).unwrap_err();
    assert_eq!(error, KafkaError::MessageConsumption(Code::AutoOffsetReset));
    let beyond = reader(bootstrap, &topic, 0, 101, &[]);
    assert!(next(&beyond).is_err());
    assert_eq!(read(bootstrap, &topic, 0, 40, 1)[0].offset, 40);

    assert_eq!(delete_before(Offset::End), Ok(Offset::Offset(100)));
    produce(bootstrap, &topic, 0, &numbered(1), &[]);
    assert_eq!(read(bootstrap, &topic, 0, 100, 1)[0].offset, 100);
}
