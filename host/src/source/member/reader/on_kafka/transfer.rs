//! A reader whose positions somebody else commits and moves, on a real Kafka.

use super::*;
use crate::kafka::group_offsets;
use crate::offset_metadata::Pointer;
use crate::source::member::reader::membership::TAKEN_FOR_GONE;

fn joined(source: &KafkaSource) -> Reader {
    let plan = plan(std::slice::from_ref(source), &member(1), None).unwrap();
    Reader::join(Arc::new(plan), 0).unwrap()
}

/// Polls until `enough` is told what was polled and says so; gives revoked partitions up without a commit. What was
/// polled last may be a batch that is not processed yet: whoever polls again is through with it.
pub(super) fn poll_until(reader: &mut Reader, mut enough: impl FnMut(&mut Reader, &Polled, &Batch) -> bool) {
    let (mut batch, until) = (Batch::default(), clock::now() + LIMIT);
    loop {
        assert!(clock::now() < until, "not in time");
        if reader.has_batch() {
            reader.processed();
        }
        let polled = poll(reader, &mut batch);
        if enough(reader, &polled, &batch) {
            return;
        }
    }
}

/// Polls once; gives revoked partitions up without a commit.
pub(super) fn poll(reader: &mut Reader, batch: &mut Batch) -> Polled {
    let polled = reader.poll(Duration::from_millis(20), batch).unwrap();
    if matches!(polled, Polled::Revoking(_)) {
        reader.release(None).unwrap();
    }
    polled
}

pub(super) fn assigned(reader: &mut Reader, count: usize) {
    poll_until(reader, |reader, _, _| reader.owned().len() == count);
}

pub(super) fn leave(reader: Reader) {
    reader.leave(None, Duration::from_secs(7)).unwrap();
}

#[test]
fn a_rewind_reads_again_exactly_from_the_position() {
    let Some(kafka) = kafka() else { return };
    let name = topic(&kafka, "rewind", 3);
    // One partition is large, one at its end soon, one empty.
    produce(&kafka, &name, 0, 0..50_000);
    produce(&kafka, &name, 1, 0..10);
    let mut source = source(&kafka, &[&name]);
    source.max_batch = 100;
    let mut reader = joined(&source);
    let mut next = BTreeMap::from([(0, 0), (1, 0), (2, 0)]);
    let mut random = 1_u64;
    let mut rewinds = 0;
    let mut batches = 0;
    poll_until(&mut reader, |reader, polled, batch| {
        if *polled == Polled::Batch {
            let expected = next.get_mut(&batch.partition.partition).unwrap();
            for offset in &batch.records.offsets {
                assert_eq!(offset, expected, "{} after {rewinds} rewinds", batch.partition);
                *expected += 1;
            }
            batches += 1;
        }
        let is_over = *polled == Polled::Finished;
        if rewinds < 20 && (batches == 40 || is_over) {
            batches = 0;
            rewinds += 1;
            // With a batch in hand, which is dropped; at the end too, when partitions stand at their stops.
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let from = next[&0] * (random >> 33) as i64 / (1 << 31);
            let to = [(0, from), (1, 5.min(next[&1])), (2, 0)];
            next.extend(to);
            let at = |number: i32| TopicPartition::new(&*name, number);
            reader.rewind(&to.map(|(number, next)| (at(number), next))).unwrap();
            assert!(!reader.has_batch());
            assert!(
                reader
                    .owned()
                    .iter()
                    .all(|owned| owned.next == next[&owned.partition.partition])
            );
            return false;
        }
        is_over
    });
    assert_eq!(rewinds, 20);
    assert_eq!(next, BTreeMap::from([(0, 50_000), (1, 10), (2, 0)]));
    leave(reader);
}

#[test]
fn what_rides_with_a_position_comes_back_to_its_next_owner() {
    let Some(kafka) = kafka() else { return };
    let name = topic(&kafka, "pointer", 2);
    produce(&kafka, &name, 0, 0..100);
    let source = source(&kafka, &[&name]);
    let mut reader = joined(&source);
    let at = |number| TopicPartition::new(&*name, number);
    let mut placed = Vec::new();
    poll_until(&mut reader, |reader, polled, _| {
        if let Polled::Assigned(of) = polled {
            placed.extend(of.clone());
        }
        reader.owned().iter().any(|owned| owned.next == 100)
    });
    // The first pointer was committed before anybody joined.
    let first: Vec<_> = placed.iter().map(|placed| placed.metadata.clone().unwrap()).collect();
    assert!(first.iter().all(|text| text.starts_with("sb1:-:s/")), "{first:?}");

    let pointer: Pointer = "sb1:0123-w0:s/0:7:0123456789abcdef".parse().unwrap();
    let metadata = reader.metadata_for(&at(0), &pointer);
    assert!(metadata.starts_with(&format!("{pointer}:100@")), "{metadata}");
    // Idle ones too, and what is not owned is left out.
    let position = |partition, next, metadata: &str| Committable {
        partition: at(partition),
        next,
        leader_epoch: None,
        metadata: metadata.to_owned(),
    };
    let positions = vec![position(0, 100, &metadata), position(1, 0, "sb1:x"), position(9, 5, "")];
    assert!(reader.begin_commit_of(positions));
    assert_eq!(reader.group_metadata().unwrap_err().kind, Kind::TimedOut);
    poll_until(&mut reader, |_, polled, _| match polled {
        Polled::Committed(outcome) => {
            assert_eq!(*outcome, Ok(2));
            true
        }
        _ => false,
    });
    let held = reader.committed_now(LIMIT).unwrap();
    let expected = [
        (at(0), Some((100, metadata.clone()))),
        (at(1), Some((0, "sb1:x".to_owned()))),
    ];
    assert_eq!(held, expected);
    assert!(!reader.begin_commit_of(vec![position(9, 5, "")]));
    leave(reader);

    let lines = plan(std::slice::from_ref(&source), &member(1), None).unwrap().lines();
    assert_eq!(lines[0].metadata.as_ref(), Some(&metadata));
    let mut next = joined(&source);
    poll_until(&mut next, |_, polled, _| match polled {
        Polled::Assigned(placed) => {
            let found: Vec<_> = placed
                .iter()
                .map(|placed| (placed.from, placed.metadata.clone()))
                .collect();
            assert_eq!(found, [(100, Some(metadata.clone())), (0, Some("sb1:x".to_owned()))]);
            true
        }
        _ => false,
    });
    leave(next);
}

#[test]
fn a_partition_that_comes_back_has_another_assignment_epoch_and_one_that_stays_has_not() {
    let Some(kafka) = kafka() else { return };
    let name = topic(&kafka, "assignment_epoch", 4);
    produce(&kafka, &name, 0, 0..10);
    let mut source = source(&kafka, &[&name]);
    source.stop = None;
    let mut first = joined(&source);
    assert_eq!(
        first.group_metadata().unwrap_err().kind,
        Kind::TimedOut,
        "no member yet"
    );
    assigned(&mut first, 4);
    assert!(!first.is_asked().unwrap());
    let membership = first.group_metadata().unwrap();
    let before = first.owned();

    let mut second = joined(&source);
    // Revoked, but not answered yet: the group asks, and the rewind waits for the answer.
    let (mut batch, until) = (Batch::default(), clock::now() + LIMIT);
    loop {
        assert!(clock::now() < until, "no revocation");
        second.poll(Duration::from_millis(10), &mut batch).unwrap();
        if matches!(
            first.poll(Duration::from_millis(10), &mut batch).unwrap(),
            Polled::Revoking(_)
        ) {
            break;
        }
        if first.has_batch() {
            first.processed();
        }
    }
    assert!(first.is_asked().unwrap());
    let zero = TopicPartition::new(&*name, 0);
    let everywhere: Vec<_> = before.iter().map(|owned| (owned.partition.clone(), 0)).collect();
    first.rewind(&everywhere).unwrap();
    first.release(None).unwrap();
    let until = clock::now() + LIMIT;
    let mut read = Vec::new();
    while second.owned().len() < 2 || read.len() < 10 {
        assert!(clock::now() < until, "{read:?}");
        for reader in [&mut first, &mut second] {
            if reader.poll(Duration::from_millis(10), &mut batch).unwrap() == Polled::Batch {
                read.extend(batch.records.offsets.iter().copied());
                reader.processed();
            }
        }
    }
    assert_eq!(
        read,
        (0..10).collect::<Vec<_>>(),
        "{zero} is read again from its beginning, once"
    );
    assert_ne!(first.group_metadata().unwrap(), membership, "another generation");

    leave(second);
    assigned(&mut first, 4);
    let mut kept = 0;
    for owned in first.owned() {
        let old = before.iter().find(|old| old.partition == owned.partition).unwrap();
        kept += usize::from(old.assignment_epoch == owned.assignment_epoch);
        assert!(owned.assignment_epoch >= old.assignment_epoch);
    }
    assert_eq!(kept, 2);
    leave(first);
}

#[test]
fn a_revocation_that_a_rewind_answered_unseen_is_a_loss() {
    let Some(kafka) = kafka() else { return };
    let name = topic(&kafka, "unseen", 2);
    produce(&kafka, &name, 0, 0..10);
    let mut source = source(&kafka, &[&name]);
    source.stop = None;
    let mut first = joined(&source);
    assigned(&mut first, 2);
    let everywhere = [0, 1].map(|number| (TopicPartition::new(&*name, number), 0));
    let mut second = joined(&source);
    let (mut batch, until) = (Batch::default(), clock::now() + LIMIT);
    // Nobody polls the first one: the rebalance event comes between two rewinds, and the second of them is taken for
    // the answer.
    while !first.has_loss() && second.owned().is_empty() {
        assert!(clock::now() < until, "no revocation");
        first.rewind(&everywhere).unwrap();
        second.poll(Duration::from_millis(10), &mut batch).unwrap();
    }
    let lost = first.poll(Duration::ZERO, &mut batch).unwrap();
    assert!(matches!(&lost, Polled::Lost(lost) if lost.len() == 1), "{lost:?}");
    // The group may ask the first one once more before the second one gets it.
    shared_out(&mut [&mut first, &mut second], 1);
    assert_ne!(first.owned()[0].partition, second.owned()[0].partition);
    leave(second);
    assigned(&mut first, 2);
    leave(first);
}

/// Polls all of them until each owns `count` partitions.
fn shared_out(readers: &mut [&mut Reader], count: usize) {
    let (mut batch, until) = (Batch::default(), clock::now() + LIMIT);
    while readers.iter().any(|reader| reader.owned().len() != count) {
        assert!(clock::now() < until, "not shared out");
        for reader in &mut *readers {
            poll(reader, &mut batch);
            if reader.has_batch() {
                reader.processed();
            }
        }
    }
}

#[test]
fn a_revocation_that_a_loss_before_it_answered_is_a_loss_too() {
    let Some(kafka) = kafka() else { return };
    let name = topic(&kafka, "unseen-twice", 6);
    let everywhere: Vec<_> = (0..6).map(|number| (TopicPartition::new(&*name, number), 0)).collect();
    // Whether a rewind is what the group took for the answer is chance.
    let has_come = (0..10).any(|_| {
        let mut source = source(&kafka, &[&name]);
        source.stop = None;
        let mut first = joined(&source);
        assigned(&mut first, 6);
        let (mut batch, until) = (Batch::default(), clock::now() + LIMIT);
        let mut second = joined(&source);
        while !first.has_loss() {
            assert!(clock::now() < until, "no revocation");
            first.rewind(&everywhere).unwrap();
            second.poll(Duration::from_millis(10), &mut batch).unwrap();
        }
        // The group goes on with that answer, and wants more of the first one before that one gave up what it lost.
        let mut third = joined(&source);
        let is_asked_again = |first: &Reader| first.group.rebalance_events.revocations().any(|is_lost| !is_lost);
        let until = clock::now() + Duration::from_secs(30);
        while !is_asked_again(&first) && clock::now() < until {
            first.is_asked().unwrap();
            for other in [&mut second, &mut third] {
                other.poll(Duration::from_millis(10), &mut batch).unwrap();
            }
        }
        let has_come = is_asked_again(&first);
        if has_come {
            for count in [3, 1] {
                let lost = first.poll(Duration::ZERO, &mut batch).unwrap();
                assert!(matches!(&lost, Polled::Lost(lost) if lost.len() == count), "{lost:?}");
            }
            shared_out(&mut [&mut first, &mut second, &mut third], 2);
        }
        [first, second, third].into_iter().for_each(leave);
        has_come
    });
    assert!(has_come, "no rewind was ever taken for the answer");
}

#[test]
fn positions_that_a_transaction_committed_need_no_other_commit() {
    let Some(kafka) = kafka() else { return };
    let name = topic(&kafka, "others", 2);
    produce(&kafka, &name, 0, 0..100);
    let mut reader = joined(&source(&kafka, &[&name]));
    poll_until(&mut reader, |reader, _, _| {
        reader.owned().iter().any(|owned| owned.next == 100)
    });
    assert!(!reader.is_committed());
    let positions: Vec<_> = reader
        .owned()
        .into_iter()
        .map(|owned| (owned.partition, owned.next))
        .collect();
    assert_eq!(positions.len(), 2, "idle ones too");
    reader.committed_by_others(&positions);
    assert!(reader.is_committed());
    assert!(reader.owned().iter().all(|owned| owned.committed == Some(owned.next)));
    leave(reader);
}

#[test]
fn partitions_by_hand_have_the_groups_name_for_a_membership() {
    let Some(kafka) = kafka() else { return };
    let name = topic(&kafka, "by-hand", 2);
    let mut source = source(&kafka, &[]);
    source.subscription = Subscription::Partitions([(name.clone(), vec![0, 1])].into());
    source.group = unique("hand");
    let mut reader = joined(&source);
    assigned(&mut reader, 2);
    assert!(reader.group_metadata().is_ok());
    leave(reader);
}

#[test]
fn metadata_that_is_no_text_is_somebody_elses_and_ends_no_process() {
    let Some(kafka) = kafka() else { return };
    let name = topic(&kafka, "raw", 1);
    produce(&kafka, &name, 0, 0..10);
    let source = source(&kafka, &[&name]);
    let mut list = rdkafka::TopicPartitionList::new();
    let mut element = list.add_partition(&name, 0);
    element.set_offset(rdkafka::Offset::Offset(3)).unwrap();
    element.set_metadata("é");
    crate::kafka::native::partition_list::cut_metadata(&mut list);
    let client = consumer::non_member(&source).unwrap();
    rdkafka::consumer::Consumer::commit(&client, &list, rdkafka::consumer::CommitMode::Sync).unwrap();
    let sources = std::slice::from_ref(&source);
    assert_eq!(group_offsets::marked(sources).unwrap()[0].metadata, "\u{fffd}");
    assert!(
        !group_offsets::read(sources).unwrap()[0]
            .committed
            .as_ref()
            .unwrap()
            .ours
    );
    let lines = plan(sources, &member(1), None).unwrap().lines();
    assert_eq!((lines[0].from, lines[0].metadata.clone()), (0, None));
}

#[test]
fn a_position_is_committed_with_the_epoch_of_its_leader_and_begun_with_it() {
    let Some(kafka) = kafka() else { return };
    let name = topic(&kafka, "epochs", 2);
    produce(&kafka, &name, 0, 0..10);
    let mut source = source(&kafka, &[&name]);
    source.stop = None;
    let mut reader = joined(&source);
    poll_until(&mut reader, |reader, _, _| {
        reader.owned().iter().any(|owned| owned.next == 10)
    });
    let epochs = |reader: &Reader| -> Vec<_> { reader.owned().iter().map(|owned| owned.leader_epoch).collect() };
    assert_eq!(
        epochs(&reader),
        [Some(0), None],
        "behind a record, and where there is none"
    );
    reader.begin_commit();
    poll_until(&mut reader, |_, polled, _| matches!(polled, Polled::Committed(Ok(_))));
    leave(reader);
    assert_eq!(committed(&source, &name, 0).unwrap().leader_epoch, Some(0));
    assert_eq!(committed(&source, &name, 1).unwrap().leader_epoch, None);

    let mut next = joined(&source);
    assigned(&mut next, 2);
    assert_eq!(epochs(&next), [Some(0), None]);
    produce(&kafka, &name, 0, 10..20);
    poll_until(&mut next, |reader, _, _| {
        reader.owned().iter().any(|owned| owned.next == 20)
    });
    // A marker at the end of the log is no record, and nobody tells its epoch.
    transaction(&kafka, &name, 0, 20..21, Some(true));
    poll_until(&mut next, |reader, _, _| {
        reader.owned().iter().any(|owned| owned.next == 22)
    });
    assert_eq!(epochs(&next), [None, None]);
    leave(next);
}

#[test]
fn what_was_given_to_a_member_that_this_one_is_no_longer_is_lost() {
    let Some(kafka) = kafka() else { return };
    let name = topic(&kafka, "outlived", 2);
    produce(&kafka, &name, 0, 0..10);
    let mut source = source(&kafka, &[&name]);
    source.stop = None;
    let mut reader = joined(&source);
    assigned(&mut reader, 2);
    poll_until(&mut reader, |reader, _, _| reader.group_metadata().is_ok());
    assert!(reader.group.member_id.is_some() && reader.may_commit());
    // As if librdkafka had joined under another member id since.
    reader.group.member_id = Some(b"it was taken for gone".to_vec());
    let refused = reader.group_metadata().unwrap_err();
    assert_eq!((refused.kind, refused.why.as_str()), (Kind::TimedOut, TAKEN_FOR_GONE));
    assert!(!reader.begin_commit(), "nothing is committed");
    let owned = reader.owned().into_iter();
    let positions = owned.map(|owned| Committable {
        partition: owned.partition,
        next: owned.next,
        leader_epoch: None,
        metadata: String::new(),
    });
    assert!(reader.begin_commit_of(positions.collect()));
    let mut refused = None;
    poll_until(&mut reader, |_, polled, _| {
        if let Polled::Committed(outcome) = polled {
            refused = Some(outcome.is_err());
        }
        matches!(polled, Polled::Lost(lost) if lost.len() == 2)
    });
    assert_eq!(refused, Some(true), "and that is told before");
    // A new member, to which they are given anew.
    assigned(&mut reader, 2);
    poll_until(&mut reader, |reader, _, _| reader.group_metadata().is_ok());
    assert!(reader.may_commit());
    leave(reader);
}
