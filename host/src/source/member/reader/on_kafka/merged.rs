//! Partitions of one number are read as one, by event time, on a real Kafka.

use super::transfer::{leave, poll, poll_until};
use super::*;

/// Reads two topics as two sources that are merged, the second first if times are equal.
fn reader(kafka: &str, topics: [&str; 2], max_wait: Duration, queue_bytes: u64) -> Reader {
    let first = source(kafka, &topics[..1]);
    let mut second = source(kafka, &topics[1..]);
    second.name = "t".to_owned();
    second.group.clone_from(&first.group);
    let sources = [first, second].map(|source| KafkaSource {
        stop: None,
        max_batch: 100,
        time: TimeSettings {
            max_wait,
            ..source.time
        },
        ..source
    });
    let merged = MemberSettings {
        merged: Some(vec![1, 0]),
        queue_bytes,
        ..member(1)
    };
    Reader::join(Arc::new(plan(&sources, &merged, None).unwrap()), 0).unwrap()
}

/// Reads so many records of a partition number: of each the time, in thousands, and whether it is of the first topic.
fn read_merged(reader: &mut Reader, number: i32, topics: [&str; 2], count: usize) -> Vec<(i64, bool)> {
    let mut seen = Vec::new();
    poll_until(reader, |_, polled, batch| {
        if *polled == Polled::Batch && batch.partition.partition == number {
            assert!(batch.records.len() <= 100);
            let is_first = &*batch.partition.topic == topics[0];
            seen.extend(batch.records.timestamps.iter().map(|at| (at / 1000, is_first)));
        }
        seen.len() >= count
    });
    reader.processed();
    seen
}

#[test]
fn a_backlog_comes_in_the_order_of_its_times_and_nothing_is_lost() {
    let Some(kafka) = kafka() else { return };
    let (first, second) = (topic(&kafka, "merge-a", 2), topic(&kafka, "merge-b", 2));
    // Far ahead, far behind, side by side, and at the same times.
    let ranges = [
        (&first, vec![0..30_000, 60_000..60_500]),
        (&second, vec![29_950..30_050, 59_000..61_000]),
    ];
    let mut expected = Vec::new();
    for (topic, numbers) in ranges {
        for range in numbers {
            expected.extend(range.clone().map(|number| (number, topic == &first)));
            produce(&kafka, topic, 0, range);
        }
        produce(&kafka, topic, 1, 0..10);
    }
    expected.sort_by_key(|(number, is_first)| (*number, *is_first));
    // librdkafka may keep less of a partition than the first one is ahead.
    let mut reader = reader(&kafka, [&first, &second], Duration::ZERO, 512 << 10);
    let seen = read_merged(&mut reader, 0, [&first, &second], expected.len());
    assert!(
        seen == expected,
        "{:?}",
        seen.iter().zip(&expected).find(|(seen, of)| seen != of)
    );
    poll_until(&mut reader, |reader, _, _| {
        reader
            .positions()
            .iter()
            .filter(|of| of.partition.partition == 1)
            .all(|of| of.next == 10)
    });
    leave(reader);
}

#[test]
fn what_was_held_back_is_read_again_after_a_rewind() {
    let Some(kafka) = kafka() else { return };
    let (first, second) = (topic(&kafka, "merge-c", 1), topic(&kafka, "merge-d", 1));
    produce(&kafka, &first, 0, 0..5_000);
    produce(&kafka, &second, 0, 0..5_000);
    let mut reader = reader(&kafka, [&first, &second], Duration::ZERO, 512 << 10);
    let both: Vec<_> = (0..5_000)
        .flat_map(|number| [(number, false), (number, true)])
        .collect();
    for rewinds in 0..5_usize {
        let seen = read_merged(&mut reader, 0, [&first, &second], 1_000 + 700 * rewinds);
        assert!(seen == both[..seen.len()], "after {rewinds} rewinds");
        let to = [&first, &second].map(|topic| (TopicPartition::new(topic.as_str(), 0), 0));
        reader.rewind(&to).unwrap();
    }
    assert!(read_merged(&mut reader, 0, [&first, &second], both.len()) == both);
    leave(reader);
}

#[test]
fn an_input_at_its_end_is_waited_for_as_long_as_the_file_says() {
    let Some(kafka) = kafka() else { return };
    let (first, second) = (topic(&kafka, "merge-e", 1), topic(&kafka, "merge-f", 1));
    produce(&kafka, &first, 0, 0..10);
    produce(&kafka, &second, 0, 5..6);
    let topics = [first.as_str(), &second];
    let seen = |reader: &mut Reader, count| {
        let seen = read_merged(reader, 0, topics, count);
        seen.into_iter().map(|(number, _)| number).collect::<Vec<_>>()
    };
    let in_order = [0, 1, 2, 3, 4, 5, 5, 6, 7, 8, 9];
    let mut at_once = reader(&kafka, topics, Duration::ZERO, 1 << 20);
    assert_eq!(seen(&mut at_once, 11), in_order);
    leave(at_once);
    let mut waits = reader(&kafka, topics, Duration::from_secs(3600), 1 << 20);
    assert_eq!(
        seen(&mut waits, 6),
        in_order[..6],
        "of the second it is not known what comes behind"
    );
    let mut batch = Batch::default();
    for _ in 0..20 {
        assert_ne!(poll(&mut waits, &mut batch), Polled::Batch);
    }
    produce(&kafka, &second, 0, 20..21);
    assert_eq!(seen(&mut waits, 5), in_order[6..]);
    // If nothing more is read, nobody is waited for.
    produce(&kafka, &second, 0, 30..31);
    poll_until(&mut waits, |reader, _, _| {
        reader.record_buffer.slots().any(|slot| slot.left() == 2)
    });
    assert_ne!(poll(&mut waits, &mut batch), Polled::Batch);
    waits.read_no_more();
    assert_eq!(seen(&mut waits, 2), [20, 30]);
    poll_until(&mut waits, |_, polled, _| *polled == Polled::Finished);
    leave(waits);
}
