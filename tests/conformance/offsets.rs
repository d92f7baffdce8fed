//! Committed positions.

use crate::client::{LIMIT, admin, config, fresh, options, topic, until, wait};
use crate::groups::{Rebalances, member, until_shared};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::types::RDKafkaErrorCode as Code;
use rdkafka::{Offset, TopicPartitionList};
use std::time::Duration;

/// A client that names a group and is not in it.
pub(crate) fn stranger(bootstrap: &str, group: &str, more: &[(&str, &str)]) -> BaseConsumer {
    let own = [("group.id", group), ("enable.auto.commit", "false")];
    config(bootstrap, &[&own, more].concat()).create().unwrap()
}

pub(crate) fn position(topic: &str, partition: i32, offset: i64, metadata: &str) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    let mut element = list.add_partition(topic, partition);
    element.set_offset(Offset::Offset(offset)).unwrap();
    element.set_metadata(metadata);
    list
}

pub(crate) fn committed(client: &BaseConsumer, topic: &str, partition: i32) -> KafkaResult<(Offset, String)> {
    let mut asked = TopicPartitionList::new();
    asked.add_partition(topic, partition);
    let found = client.committed_offsets(asked, LIMIT)?;
    let element = &found.elements()[0];
    element.error()?;
    Ok((element.offset(), element.metadata().to_owned()))
}

/// Commits as a member, once no rebalance is under way: one right after the first assignment is Kafka's right.
fn commit(member: &BaseConsumer<Rebalances>, list: &TopicPartitionList) -> KafkaResult<()> {
    let mut result = Ok(());
    until("no rebalance is under way", || {
        let _ = member.poll(Duration::from_millis(100));
        result = member.commit(list, CommitMode::Sync);
        result != Err(KafkaError::ConsumerCommit(Code::RebalanceInProgress))
    });
    result
}

pub(crate) fn a_commit_comes_back_byte_for_byte(bootstrap: &str) {
    let (group, topic) = (fresh("group"), topic(bootstrap, 3));
    let (member, _) = member(bootstrap, &group, &topic, &[]);
    until_shared(&[&member], &[3]);
    let long = "x".repeat(4096);
    let notes = ["", "{\"pipeline\":\"p\",\"epoch\":7}\n\t\u{1}äöü\u{1f980}", &long];
    for (partition, metadata) in (0..).zip(notes) {
        assert_eq!(commit(&member, &position(&topic, partition, 42, metadata)), Ok(()));
    }
    let client = stranger(bootstrap, &group, &[]);
    for (partition, metadata) in (0..).zip(notes) {
        assert_eq!(
            committed(&client, &topic, partition),
            Ok((Offset::Offset(42), metadata.to_owned()))
        );
    }
    let too_long = position(&topic, 0, 43, &"x".repeat(4097));
    let refused = KafkaError::ConsumerCommit(Code::OffsetMetadataTooLarge);
    assert_eq!(commit(&member, &too_long), Err(refused));
    assert_eq!(committed(&client, &topic, 0).unwrap().0, Offset::Offset(42));
}

pub(crate) fn a_stranger_cannot_commit_for_a_live_group(bootstrap: &str) {
    let (group, topic) = (fresh("group"), topic(bootstrap, 1));
    let (member, _) = member(bootstrap, &group, &topic, &[]);
    until_shared(&[&member], &[1]);
    commit(&member, &position(&topic, 0, 5, "")).unwrap();
    let stranger = stranger(bootstrap, &group, &[]);
    let outcome = stranger.commit(&position(&topic, 0, 1, ""), CommitMode::Sync);
    assert_eq!(outcome, Err(KafkaError::ConsumerCommit(Code::UnknownMemberId)));
    assert_eq!(committed(&stranger, &topic, 0).unwrap().0, Offset::Offset(5));
}

pub(crate) fn a_stranger_commits_for_an_idle_group(bootstrap: &str) {
    let (group, topic) = (fresh("group"), topic(bootstrap, 2));
    let client = stranger(bootstrap, &group, &[]);
    assert_eq!(committed(&client, &topic, 0).unwrap().0, Offset::Invalid);
    client
        .commit(&position(&topic, 0, 7, "from outside"), CommitMode::Sync)
        .unwrap();
    assert_eq!(
        committed(&client, &topic, 0),
        Ok((Offset::Offset(7), "from outside".to_owned()))
    );
    assert_eq!(committed(&client, &topic, 1).unwrap().0, Offset::Invalid);
    let unknown = client.commit(&position(&topic, 9, 7, ""), CommitMode::Sync);
    assert_eq!(unknown, Err(KafkaError::ConsumerCommit(Code::UnknownTopicOrPartition)));

    let (member, _) = member(bootstrap, &group, &topic, &[]);
    until_shared(&[&member], &[2]);
    drop(member);
    until("the group is idle again", || {
        client.commit(&position(&topic, 0, 8, ""), CommitMode::Sync).is_ok()
    });
}

pub(crate) fn a_deleted_group_has_no_offsets(bootstrap: &str) {
    let (group, topic) = (fresh("group"), topic(bootstrap, 1));
    let client = stranger(bootstrap, &group, &[]);
    client.commit(&position(&topic, 0, 7, ""), CommitMode::Sync).unwrap();
    let deleted = wait(admin(bootstrap).delete_groups(&[&group], &options())).unwrap();
    assert_eq!(deleted, [Ok(group.clone())]);
    assert_eq!(committed(&client, &topic, 0).unwrap().0, Offset::Invalid);
    let again = wait(admin(bootstrap).delete_groups(&[&group], &options())).unwrap();
    assert_eq!(again, [Err((group, Code::GroupIdNotFound))]);
}
