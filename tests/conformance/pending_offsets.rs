//! Positions that a transaction commits: they count with it, and not before.

use crate::client::{LIMIT, admin, fresh, options, topic, until, wait};
use crate::groups::{member, until_shared};
use crate::offsets::{committed, position as positions, stranger};
use crate::transactional_wire::{NONE, Producer as Raw, position};
use crate::transactions::transactional;
use rdkafka::Offset;
use rdkafka::consumer::{CommitMode, Consumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::producer::Producer;
use rdkafka::types::RDKafkaErrorCode as Code;
use std::time::Duration;

const UNKNOWN_TOPIC: i16 = 3;
const METADATA_TOO_LARGE: i16 = 12;
const INVALID_TXN_STATE: i16 = 48;
const UNSTABLE: i16 = 88;

/// What a transaction that has to be aborted says.
fn abortable(result: KafkaResult<()>) -> Code {
    match result.unwrap_err() {
        KafkaError::Transaction(error) => {
            assert!(error.txn_requires_abort(), "{error}");
            error.code()
        }
        error => panic!("{error}"),
    }
}

pub(crate) fn positions_come_with_the_commit_byte_for_byte(bootstrap: &str) {
    let (group, topic) = (fresh("group"), topic(bootstrap, 2));
    let (member, _) = member(bootstrap, &group, &topic, &[]);
    until_shared(&[&member], &[2]);
    let producer = transactional(bootstrap, &fresh("id"));
    let long = "x".repeat(4096);
    let notes = ["", "{\"epoch\":7}\n\t\u{1}äöü\u{1f980}", &long];
    for (offset, note) in (40..).zip(notes) {
        let before = position(bootstrap, &group, &topic, 0, false);
        for commits in [false, true] {
            producer.begin_transaction().unwrap();
            let group_metadata = member.group_metadata().unwrap();
            producer
                .send_offsets_to_transaction(&positions(&topic, 0, offset, note), &group_metadata, LIMIT)
                .unwrap();
            assert_eq!(position(bootstrap, &group, &topic, 0, false), before, "not yet");
            assert_eq!(position(bootstrap, &group, &topic, 0, true).0, UNSTABLE);
            assert_eq!(
                position(bootstrap, &group, &topic, 1, true).0,
                NONE,
                "that one is stable"
            );
            match commits {
                false => producer.abort_transaction(LIMIT).unwrap(),
                true => producer.commit_transaction(LIMIT).unwrap(),
            }
            until("it is decided", || {
                position(bootstrap, &group, &topic, 0, true).0 == NONE
            });
            if !commits {
                assert_eq!(position(bootstrap, &group, &topic, 0, true), before, "never");
            }
        }
        let (code, committed_offset, _, metadata) = position(bootstrap, &group, &topic, 0, true);
        assert_eq!((code, committed_offset, metadata.as_str()), (NONE, offset, note));
    }
    producer.begin_transaction().unwrap();
    let too_long = positions(&topic, 0, 50, &"x".repeat(4097));
    let sent = producer.send_offsets_to_transaction(&too_long, &member.group_metadata().unwrap(), LIMIT);
    assert_eq!(abortable(sent), Code::OffsetMetadataTooLarge);
    producer.abort_transaction(LIMIT).unwrap();
    assert_eq!(position(bootstrap, &group, &topic, 0, true).1, 42);
}

pub(crate) fn the_leader_epoch_comes_with_it(bootstrap: &str) {
    let (group, topic) = (fresh("group"), topic(bootstrap, 1));
    let producer = Raw::new(bootstrap, &fresh("id"), 60_000);
    producer.take_offset(&group, &topic, 0, 7);
    assert_eq!(producer.end(2, true), NONE);
    // The producer by hand says that the epoch is 5.
    until("it is committed", || {
        position(bootstrap, &group, &topic, 0, true) == (NONE, 7, 5, "taken".to_owned())
    });
}

pub(crate) fn who_wants_stable_positions_waits(bootstrap: &str) {
    let (group, topic) = (fresh("group"), topic(bootstrap, 1));
    let client = stranger(bootstrap, &group, &[]);
    client
        .commit(&positions(&topic, 0, 3, "old"), CommitMode::Sync)
        .unwrap();
    let producer = Raw::new(bootstrap, &fresh("id"), 60_000);
    producer.take_offset(&group, &topic, 0, 7);
    let stable = stranger(bootstrap, &group, &[("isolation.level", "read_committed")]);
    let hasty = stranger(bootstrap, &group, &[("isolation.level", "read_uncommitted")]);
    assert_eq!(committed(&hasty, &topic, 0), Ok((Offset::Offset(3), "old".to_owned())));
    let waiting = std::thread::spawn({
        let topic = topic.clone();
        move || committed(&stable, &topic, 0)
    });
    std::thread::sleep(Duration::from_millis(500));
    assert!(!waiting.is_finished(), "it waits for the decision");
    assert_eq!(producer.end(2, true), NONE);
    assert_eq!(waiting.join().unwrap(), Ok((Offset::Offset(7), "taken".to_owned())));
}

pub(crate) fn the_later_commit_counts(bootstrap: &str) {
    let (group, topic) = (fresh("group"), topic(bootstrap, 2));
    let [one, two] = [(); 2].map(|()| Raw::new(bootstrap, &fresh("id"), 60_000));
    one.take_offset(&group, &topic, 0, 10);
    one.take_offset(&group, &topic, 1, 11);
    let client = stranger(bootstrap, &group, &[]);
    client.commit(&positions(&topic, 0, 20, ""), CommitMode::Sync).unwrap();
    two.take_offset(&group, &topic, 1, 21);
    assert_eq!(two.end(2, true), NONE);
    assert_eq!(one.end(2, true), NONE);
    until("all is decided", || {
        (0..2).all(|partition| position(bootstrap, &group, &topic, partition, true).0 == NONE)
    });
    assert_eq!(
        position(bootstrap, &group, &topic, 0, true).1,
        20,
        "it came after the transaction's"
    );
    assert_eq!(
        position(bootstrap, &group, &topic, 1, true).1,
        21,
        "so did the other transaction's"
    );
}

pub(crate) fn a_zombie_commits_nothing(bootstrap: &str) {
    let (group, topic) = (fresh("group"), topic(bootstrap, 2));
    let (first, _) = member(bootstrap, &group, &topic, &[]);
    until_shared(&[&first], &[2]);
    let old_generation = first.group_metadata().unwrap();
    let (second, _) = member(bootstrap, &group, &topic, &[]);
    until_shared(&[&first, &second], &[1, 1]);
    let left = second.group_metadata().unwrap();
    let producer = transactional(bootstrap, &fresh("id"));
    let send = |group_metadata| {
        producer.begin_transaction().unwrap();
        let sent = producer.send_offsets_to_transaction(&positions(&topic, 0, 9, ""), group_metadata, LIMIT);
        let code = abortable(sent);
        producer.abort_transaction(LIMIT).unwrap();
        code
    };
    assert_eq!(send(&old_generation), Code::IllegalGeneration);
    drop(second);
    until_shared(&[&first], &[2]);
    assert_eq!(send(&left), Code::UnknownMemberId);
    drop(first);
    let outsider = send(&left);
    assert!(
        matches!(outsider, Code::UnknownMemberId | Code::IllegalGeneration),
        "{outsider}"
    );
    assert_eq!(position(bootstrap, &group, &topic, 0, true).1, -1);
    producer.begin_transaction().unwrap();
    let (again, _) = member(bootstrap, &group, &topic, &[]);
    until_shared(&[&again], &[2]);
    let group_metadata = again.group_metadata().unwrap();
    producer
        .send_offsets_to_transaction(&positions(&topic, 0, 9, ""), &group_metadata, LIMIT)
        .unwrap();
    producer.commit_transaction(LIMIT).unwrap();
    until("the member's own is taken", || {
        position(bootstrap, &group, &topic, 0, true).1 == 9
    });
}

pub(crate) fn who_says_nothing_of_a_member_is_believed(bootstrap: &str) {
    let (group, topic) = (fresh("group"), topic(bootstrap, 1));
    let (live, _) = member(bootstrap, &group, &topic, &[]);
    until_shared(&[&live], &[1]);
    let producer = Raw::new(bootstrap, &fresh("id"), 60_000);
    producer.take_offset(&group, &topic, 0, 7);
    assert_eq!(producer.end(2, true), NONE);
    until("it is committed", || {
        position(bootstrap, &group, &topic, 0, true).1 == 7
    });
}

pub(crate) fn positions_need_a_group_in_the_transaction(bootstrap: &str) {
    let (group, topic) = (fresh("group"), topic(bootstrap, 1));
    let producer = Raw::new(bootstrap, &fresh("id"), 60_000);
    assert_eq!(producer.commit_offset(&group, &topic, 0, 7, ""), INVALID_TXN_STATE);
    assert_eq!(producer.add_group(2, &group), NONE);
    assert_eq!(producer.commit_offset(&group, &topic, 9, 7, ""), UNKNOWN_TOPIC);
    let too_long = "x".repeat(4097);
    assert_eq!(
        producer.commit_offset(&group, &topic, 0, 7, &too_long),
        METADATA_TOO_LARGE
    );
    assert_eq!(producer.end(2, true), NONE);
    assert_eq!(
        position(bootstrap, &group, &topic, 0, true),
        (NONE, -1, -1, String::new())
    );
}

pub(crate) fn a_deleted_group_takes_its_pending_positions_along(bootstrap: &str) {
    let (group, topic) = (fresh("group"), topic(bootstrap, 1));
    let producer = Raw::new(bootstrap, &fresh("id"), 60_000);
    producer.take_offset(&group, &topic, 0, 7);
    let deleted = wait(admin(bootstrap).delete_groups(&[&group], &options())).unwrap();
    assert_eq!(deleted, [Ok(group.clone())]);
    assert_eq!(
        position(bootstrap, &group, &topic, 0, true),
        (NONE, -1, -1, String::new())
    );
    assert_eq!(producer.end(2, true), NONE);
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(
        position(bootstrap, &group, &topic, 0, true),
        (NONE, -1, -1, String::new())
    );
}
