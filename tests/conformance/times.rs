//! Look-ups by time, exact to the record.

use crate::client::{LIMIT, Record, admin, numbered, options, produce, reader, topic, wait};
use rdkafka::consumer::Consumer;
use rdkafka::{Offset, TopicPartitionList};

fn offset_at(bootstrap: &str, topic: &str, partition: i32, time: i64) -> Offset {
    let client = reader(bootstrap, topic, partition, 0, &[]);
    let mut asked = TopicPartitionList::new();
    asked.add_partition_offset(topic, partition, Offset::Offset(time)).unwrap();
    let found = client.offsets_for_times(asked, LIMIT).unwrap();
    found.elements()[0].offset()
}

pub(crate) fn a_time_finds_the_first_record_not_older(bootstrap: &str) {
    let topic = topic(bootstrap, 1);
    let times = [5000, 3000, 9000, 7000, 9000, 1000];
    let record = |time: &i64| Record { timestamp: *time, ..Record::default() };
    // Two batches, so that one is passed over as a whole.
    produce(bootstrap, &topic, 0, &times[..2].iter().map(record).collect::<Vec<_>>(), &[]);
    produce(bootstrap, &topic, 0, &times[2..].iter().map(record).collect::<Vec<_>>(), &[]);
    for (time, offset) in [(0, 0), (1000, 0), (4999, 0), (5000, 0), (5001, 2), (8999, 2), (9000, 2)] {
        assert_eq!(offset_at(bootstrap, &topic, 0, time), Offset::Offset(offset), "{time}");
    }
    assert_eq!(offset_at(bootstrap, &topic, 0, 9001), Offset::End);
    let client = reader(bootstrap, &topic, 0, 0, &[]);
    assert_eq!(client.fetch_watermarks(&topic, 0, LIMIT).unwrap(), (0, 6));
}

pub(crate) fn a_time_is_exact_inside_every_codec(bootstrap: &str) {
    let topic = topic(bootstrap, 5);
    for (partition, codec) in (0..).zip(["none", "gzip", "snappy", "lz4", "zstd"]) {
        let records = numbered(300);
        produce(bootstrap, &topic, partition, &records, &[("compression.type", codec)]);
        for wanted in [0usize, 1, 150, 299] {
            let time = records[wanted].timestamp;
            let offset = Offset::Offset(wanted as i64);
            assert_eq!(offset_at(bootstrap, &topic, partition, time), offset, "{codec}");
            assert_eq!(offset_at(bootstrap, &topic, partition, time - 1), offset, "{codec}");
        }
        assert_eq!(offset_at(bootstrap, &topic, partition, records[299].timestamp + 1), Offset::End, "{codec}");
    }
}

pub(crate) fn an_empty_partition_has_no_times(bootstrap: &str) {
    let topic = topic(bootstrap, 1);
    assert_eq!(offset_at(bootstrap, &topic, 0, 0), Offset::End);
    let client = reader(bootstrap, &topic, 0, 0, &[]);
    assert_eq!(client.fetch_watermarks(&topic, 0, LIMIT).unwrap(), (0, 0));
}

pub(crate) fn a_time_before_the_deleted_records_finds_the_beginning(bootstrap: &str) {
    let topic = topic(bootstrap, 1);
    let records = numbered(100);
    produce(bootstrap, &topic, 0, &records, &[]);
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&topic, 0, Offset::Offset(40)).unwrap();
    wait(admin(bootstrap).delete_records(&list, &options())).unwrap();
    assert_eq!(offset_at(bootstrap, &topic, 0, records[10].timestamp), Offset::Offset(40));
    assert_eq!(offset_at(bootstrap, &topic, 0, records[41].timestamp), Offset::Offset(41));
}
