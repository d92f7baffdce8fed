//! A static member that its predecessor's late request to join fenced, on a real Kafka.

use rdkafka::consumer::Consumer as _;

use super::transfer::{assigned, leave, poll, poll_until};
use super::*;

#[test]
fn a_member_that_is_fenced_while_it_gives_partitions_up_loses_them_all_and_goes_on() {
    let Some(kafka) = kafka() else { return };
    let name = topic(&kafka, "fenced-revocation", 2);
    produce(&kafka, &name, 0, 0..10);
    produce(&kafka, &name, 1, 0..10);
    let mut source = source(&kafka, &[&name]);
    source.stop = None;
    source.session_timeout = Duration::from_secs(30);
    let of = |instance: &str| {
        let member = MemberSettings {
            instance: Some(instance.to_owned()),
            ..member(1)
        };
        Arc::new(plan(std::slice::from_ref(&source), &member, None).unwrap())
    };
    let plan = of("a");
    let mut first = Reader::join(plan.clone(), 0).unwrap();
    assigned(&mut first, 2);
    poll_until(&mut first, |reader, _, _| {
        reader.owned().iter().all(|owned| owned.next == 10)
    });
    let mut second = Reader::join(of("b"), 0).unwrap();
    let (mut batch, until) = (Batch::default(), clock::now() + LIMIT);
    loop {
        assert!(clock::now() < until, "no revocation");
        second.poll(Duration::from_millis(10), &mut batch).unwrap();
        let polled = first.poll(Duration::from_millis(10), &mut batch).unwrap();
        if first.has_batch() {
            first.processed();
        }
        if matches!(polled, Polled::Revoking(_)) {
            break;
        }
    }
    // Its own predecessor's request to join comes late, and nobody is behind it.
    let late = Reader::join(plan, 0).unwrap();
    let until = clock::now() + LIMIT;
    while first.client.client().fatal_error().is_none() {
        assert!(clock::now() < until, "librdkafka learns of it");
        late.client.poll(Duration::from_millis(20));
        first.client.poll(Duration::from_millis(20));
    }
    std::mem::forget(late);
    assert!(
        first.group.fenced.is_none(),
        "the reader learns of it while it gives the partitions up"
    );
    first.release(Some(Duration::from_secs(5))).unwrap();
    assert!(first.group.fenced.is_some());
    let mut has_lost = false;
    let until = clock::now() + LIMIT;
    // The group may give what was released to nobody until its members change again: a static member's return is no
    // change to Kafka.
    while !has_lost || first.owned().is_empty() {
        assert!(clock::now() < until, "it goes on: {has_lost} {:?}", first.owned());
        for reader in [&mut first, &mut second] {
            let polled = poll(reader, &mut batch);
            has_lost |= matches!(&polled, Polled::Lost(lost) if !lost.is_empty());
            if reader.has_batch() {
                reader.processed();
            }
        }
    }
    [first, second].into_iter().for_each(leave);
}

#[test]
fn a_member_that_its_predecessors_late_join_fenced_joins_again_once() {
    let Some(kafka) = kafka() else { return };
    let name = topic(&kafka, "late-join", 2);
    let mut source = source(&kafka, &[&name]);
    source.stop = None;
    source.session_timeout = Duration::from_secs(30);
    let with_instance = MemberSettings {
        instance: Some("a".to_owned()),
        ..member(1)
    };
    let plan = plan(std::slice::from_ref(&source), &with_instance, None).unwrap();
    let plan = Arc::new(plan);
    let mut reader = Reader::join(plan.clone(), 0).unwrap();
    assigned(&mut reader, 2);
    let assignment_epoch = reader.owned()[0].assignment_epoch;
    // The predecessor joins, and nobody is behind it any more.
    let predecessor = |plan: &Arc<Plan>| {
        let mut late = Reader::join(plan.clone(), 0).unwrap();
        let until = clock::now() + LIMIT;
        while late.group_metadata().is_err() {
            assert!(clock::now() < until, "it joins");
            late.poll(Duration::from_millis(20), &mut Batch::default()).unwrap();
        }
        std::mem::forget(late);
    };
    predecessor(&plan);
    let mut has_lost = false;
    poll_until(&mut reader, |reader, polled, _| {
        has_lost |= matches!(polled, Polled::Lost(lost) if lost.len() == 2);
        has_lost && reader.owned().len() == 2
    });
    assert!(
        reader
            .owned()
            .iter()
            .all(|owned| owned.assignment_epoch > assignment_epoch)
    );
    produce(&kafka, &name, 0, 0..10);
    poll_until(&mut reader, |reader, _, _| {
        reader.owned().iter().any(|owned| owned.next == 10)
    });
    // A second time at once is another process.
    predecessor(&plan);
    let until = clock::now() + LIMIT;
    let error = loop {
        assert!(clock::now() < until, "it is fenced");
        if let Err(error) = reader.poll(Duration::from_millis(20), &mut Batch::default()) {
            break error;
        }
        if reader.has_batch() {
            reader.processed();
        }
    };
    assert_eq!(error.kind, Kind::Fenced, "{error}");
    assert!(error.what.contains("instance id"), "{error}");
}

#[test]
fn a_member_that_is_fenced_while_offsets_are_open_takes_each_partition_up_once() {
    let Some(kafka) = kafka() else { return };
    let name = topic(&kafka, "fenced-pending", 2);
    let mut source = source(&kafka, &[&name]);
    source.stop = None;
    source.session_timeout = Duration::from_secs(30);
    let with_instance = MemberSettings {
        instance: Some("a".to_owned()),
        ..member(1)
    };
    let plan = Arc::new(plan(std::slice::from_ref(&source), &with_instance, None).unwrap());
    // Whoever reads the offsets of both partitions waits for the end of this transaction.
    let producer = transaction(&kafka, &name, 0, 0..10, None);
    let mut offsets = rdkafka::TopicPartitionList::new();
    for partition in 0..2 {
        offsets
            .add_partition_offset(&name, partition, rdkafka::Offset::Offset(0))
            .unwrap();
    }
    let client = consumer::non_member(&source).unwrap();
    let group = client.group_metadata().unwrap();
    producer.send_offsets_to_transaction(&offsets, &group, LIMIT).unwrap();

    let mut reader = Reader::join(plan.clone(), 0).unwrap();
    poll_until(&mut reader, |reader, _, _| !reader.group.pending.is_empty());
    fenced_by_its_predecessor(&mut reader, &plan);
    poll_until(&mut reader, |reader, _, _| !reader.group.pending.is_empty());
    producer.commit_transaction(LIMIT).unwrap();
    let mut taken = Vec::new();
    poll_until(&mut reader, |reader, polled, _| {
        if let Polled::Assigned(resolved) = polled {
            taken.extend(resolved.iter().map(|of| of.partition.partition));
        }
        reader.group.pending.is_empty()
    });
    taken.sort_unstable();
    assert_eq!(taken, [0, 1]);
    poll_until(&mut reader, |reader, _, _| {
        reader.owned().iter().any(|owned| owned.next >= 10)
    });
    leave(reader);
}

/// The predecessor joins, with nobody behind it any more, until the reader learns of it.
fn fenced_by_its_predecessor(reader: &mut Reader, plan: &Arc<Plan>) {
    let late = Reader::join(plan.clone(), 0).unwrap();
    let until = clock::now() + LIMIT;
    while reader.group.fenced.is_none() {
        assert!(clock::now() < until, "it is fenced");
        late.client.poll(Duration::from_millis(20));
        poll(reader, &mut Batch::default());
    }
    std::mem::forget(late);
}
