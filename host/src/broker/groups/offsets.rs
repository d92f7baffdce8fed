//! OffsetCommit and OffsetFetch: the positions of groups.

use crate::broker::disk::journal::JournalEvent;
use crate::broker::disk::position::JournalPosition;
use crate::broker::state::{BrokerState, Positions};
use crate::clock;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::offset_commit_request::OffsetCommitRequestPartition;
use kafka_protocol::messages::offset_commit_response::{OffsetCommitResponsePartition, OffsetCommitResponseTopic};
use kafka_protocol::messages::offset_fetch_response::{OffsetFetchResponsePartition, OffsetFetchResponseTopic};
use kafka_protocol::messages::{
    OffsetCommitRequest, OffsetCommitResponse, OffsetFetchRequest, OffsetFetchResponse, TopicName,
    TxnOffsetCommitRequest,
};
use std::collections::{BTreeMap, BTreeSet};

/// Bytes of metadata of one position, Kafka's own default.
pub(in crate::broker) const METADATA_LIMIT: usize = 4096;

/// Answers OffsetCommit. All positions of a request that can be committed are committed together.
pub(in crate::broker) fn commit(state: &mut BrokerState, request: OffsetCommitRequest) -> OffsetCommitResponse {
    let mut outcome = may_commit(state, &request);
    let mut events = Vec::new();
    let mut codes = Vec::new();
    for topic in &request.topics {
        for partition in &topic.partitions {
            let metadata = partition.committed_metadata.as_deref();
            let checked = outcome.and_then(|()| check(state, &topic.name, partition.partition_index, metadata));
            codes.push(checked.map_or_else(|error| error.code(), |()| 0));
            if checked.is_ok() {
                let order = state.next_order();
                events.push(committed(&request, &topic.name, partition, order));
            }
        }
    }
    if outcome.is_ok() && !events.is_empty() {
        outcome = state.commit(events);
    }
    respond(request, codes, outcome)
}

/// Answers OffsetFetch: the positions asked for, or all of the group. A client that wants stable ones has to come again
/// for those that an open transaction may change.
pub(in crate::broker) fn fetch(state: &BrokerState, request: OffsetFetchRequest) -> OffsetFetchResponse {
    let nothing = Positions::new();
    let positions = state.committed.get(request.group_id.as_str()).unwrap_or(&nothing);
    let unstable = match request.require_stable {
        true => pending(state, &request.group_id),
        false => BTreeSet::new(),
    };
    let topics = match request.topics {
        Some(topics) => topics
            .into_iter()
            .map(|topic| {
                let name = topic.name.to_string();
                let partition = |index| match unstable.contains(&(name.as_str(), index)) {
                    true => undecided(index),
                    false => fetched(index, positions.get(&(name.clone(), index))),
                };
                let partitions = topic.partition_indexes.into_iter().map(partition).collect();
                OffsetFetchResponseTopic::default()
                    .with_name(topic.name)
                    .with_partitions(partitions)
            })
            .collect(),
        None => all(positions, &unstable),
    };
    OffsetFetchResponse::default().with_topics(topics)
}

fn may_commit(state: &mut BrokerState, request: &OffsetCommitRequest) -> Result<(), ResponseError> {
    let generation = request.generation_id_or_member_epoch;
    if request.group_id.is_empty() {
        return Err(ResponseError::InvalidGroupId);
    }
    match state.groups.get_mut(request.group_id.as_str()) {
        Some(group) => group.may_commit(
            &request.member_id,
            request.group_instance_id.as_ref(),
            generation,
            clock::now(),
        ),
        None if generation < 0 => Ok(()),
        None => Err(gone(state, &request.group_id)),
    }
}

/// Whether positions may be committed in a transaction; a client that says nothing of itself always may, as in Kafka.
pub(in crate::broker) fn may_commit_in_transaction(
    state: &BrokerState,
    request: &TxnOffsetCommitRequest,
) -> Result<(), ResponseError> {
    let instance = request.group_instance_id.as_ref();
    match state.groups.get(request.group_id.as_str()) {
        Some(group) => group.may_commit_in_transaction(&request.member_id, instance, request.generation_id),
        None if request.generation_id < 0 => Ok(()),
        None => Err(gone(state, &request.group_id)),
    }
}

/// What a member of a group that has none hears: that it is none, or that there never was such a group.
fn gone(state: &BrokerState, group: &str) -> ResponseError {
    match state.committed.contains_key(group) || !pending(state, group).is_empty() {
        true => ResponseError::UnknownMemberId,
        false => ResponseError::IllegalGeneration,
    }
}

/// The partitions of a group for which an undecided transaction has positions.
pub(in crate::broker) fn pending<'a>(state: &'a BrokerState, group: &str) -> BTreeSet<(&'a str, i32)> {
    let all = state.transactions.values().flat_map(|open| open.pending(group));
    all.map(|pending| (pending.topic.as_str(), pending.partition)).collect()
}

/// Whether a position could be committed at all.
pub(in crate::broker) fn check(
    state: &BrokerState,
    topic: &TopicName,
    partition: i32,
    metadata: Option<&str>,
) -> Result<(), ResponseError> {
    state.log(topic, partition)?;
    match metadata {
        Some(metadata) if metadata.len() > METADATA_LIMIT => Err(ResponseError::OffsetMetadataTooLarge),
        _ => Ok(()),
    }
}

fn committed(
    request: &OffsetCommitRequest,
    topic: &TopicName,
    partition: &OffsetCommitRequestPartition,
    order: u64,
) -> JournalEvent {
    JournalEvent::Committed {
        group: request.group_id.to_string(),
        topic: topic.to_string(),
        partition: partition.partition_index,
        position: JournalPosition {
            offset: partition.committed_offset,
            leader_epoch: partition.committed_leader_epoch,
            metadata: partition.committed_metadata.as_deref().unwrap_or_default().to_owned(),
            order,
        },
    }
}

fn respond(request: OffsetCommitRequest, codes: Vec<i16>, outcome: Result<(), ResponseError>) -> OffsetCommitResponse {
    let mut codes = codes.into_iter();
    let mut partition = |index| {
        let own = codes.next().unwrap_or_default();
        let code = outcome.map_or_else(|error| error.code(), |()| own);
        OffsetCommitResponsePartition::default()
            .with_partition_index(index)
            .with_error_code(code)
    };
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic
            .partitions
            .iter()
            .map(|asked| partition(asked.partition_index))
            .collect();
        OffsetCommitResponseTopic::default()
            .with_name(topic.name)
            .with_partitions(partitions)
    });
    OffsetCommitResponse::default().with_topics(topics.collect())
}

fn all(positions: &Positions, unstable: &BTreeSet<(&str, i32)>) -> Vec<OffsetFetchResponseTopic> {
    let mut topics: BTreeMap<&str, Vec<OffsetFetchResponsePartition>> = BTreeMap::new();
    for ((topic, partition), position) in positions {
        let answer = match unstable.contains(&(topic.as_str(), *partition)) {
            true => undecided(*partition),
            false => fetched(*partition, Some(position)),
        };
        topics.entry(topic).or_default().push(answer);
    }
    let topic = |(name, partitions): (&str, _)| {
        let name = TopicName(name.to_owned().into());
        OffsetFetchResponseTopic::default()
            .with_name(name)
            .with_partitions(partitions)
    };
    topics.into_iter().map(topic).collect()
}

fn undecided(partition: i32) -> OffsetFetchResponsePartition {
    fetched(partition, None).with_error_code(ResponseError::UnstableOffsetCommit.code())
}

fn fetched(partition: i32, position: Option<&JournalPosition>) -> OffsetFetchResponsePartition {
    let answer = OffsetFetchResponsePartition::default().with_partition_index(partition);
    match position {
        Some(position) => answer
            .with_committed_offset(position.offset)
            .with_committed_leader_epoch(position.leader_epoch)
            .with_metadata(Some(position.metadata.clone().into())),
        None => answer
            .with_committed_offset(-1)
            .with_committed_leader_epoch(-1)
            .with_metadata(Some("".into())),
    }
}
