//! What a record carries goes through unchanged, and to the partition where Java clients would put it. Rows 51 and 53.

use crate::flow::Flow;
use sandbar_tests::client::{Isolation, Record};
use sandbar_tests::wait::PATIENCE;

#[test]
fn tombstones_nulls_headers_times_and_large_records_survive() {
    let flow = Flow::new("survive", 1, "start = \"earliest\"\nstop = \"latest\"");
    let null = Record {
        topic: flow.input.clone(),
        partition: Some(0),
        timestamp: Some(1_600_000_000_000),
        ..Record::default()
    };
    let header = |name: &str, value: Option<&str>| (name.to_owned(), value.map(|value| value.as_bytes().to_vec()));
    let large: Vec<u8> = (0..1_000_000u32).map(|n| (n * 31 % 251) as u8).collect();
    let records = [
        null.clone(),
        Record {
            key: Some("tombstone".into()),
            ..null.clone()
        },
        Record {
            value: Some("without a key".into()),
            ..null.clone()
        },
        Record {
            key: Some(vec![]),
            value: Some(vec![]),
            ..null.clone()
        },
        Record {
            value: Some(large.clone()),
            ..null.clone()
        },
        Record {
            key: Some(vec![0, 159, 146, 150]),
            value: Some(vec![255; 3]),
            timestamp: Some(1),
            ..null.clone()
        },
        Record {
            headers: vec![
                header("a", Some("1")),
                header("a", None),
                header("", Some("")),
                header("b", Some("2")),
            ],
            ..null.clone()
        },
        Record {
            key: Some("after".into()),
            value: Some("headers".into()),
            timestamp: Some(1_500_000_000_000),
            ..null
        },
    ];
    flow.client.producer().send(&records);
    flow.finish();
    let came = flow.client.read(&flow.output, Isolation::Committed);
    assert_eq!(came.len(), records.len());
    for (came, sent) in came.iter().zip(&records) {
        assert!(
            came.key == sent.key && came.value == sent.value,
            "offset {}",
            came.offset
        );
        assert_eq!(came.timestamp, sent.timestamp, "offset {}", came.offset);
        assert_eq!(came.headers, sent.headers, "offset {}", came.offset);
    }
}

#[test]
fn keys_go_to_the_partitions_of_murmur2() {
    let flow = Flow::new("murmur2", 1, "start = \"earliest\"\nstop = \"latest\"");
    let (wide, reference) = (format!("{}-wide", flow.output), format!("{}-reference", flow.output));
    flow.client.create_topic(&wide, 7);
    flow.client.create_topic(&reference, 7);
    let keyed = |topic: &str| {
        (0..500)
            .map(|n| Record::keyed(topic, &format!("key-{n}"), "x"))
            .collect::<Vec<_>>()
    };
    flow.client.producer().send(&keyed(&flow.input));
    flow.client.producer().send(&keyed(&reference));
    let mut file = flow.file;
    file.sink = format!("topic = \"{wide}\"");
    let ended = file.run().wait(PATIENCE);
    assert_eq!(ended.code, Some(0), "{}", ended.text);
    let places = |topic: &str| {
        let records = flow.client.read(topic, Isolation::Committed);
        records
            .into_iter()
            .map(|record| (record.key.clone(), record.place()))
            .collect::<std::collections::BTreeMap<_, _>>()
    };
    assert_eq!(places(&wide), places(&reference));
    assert_eq!(places(&wide).len(), 500);
}
