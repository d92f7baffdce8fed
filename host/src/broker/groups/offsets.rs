//! OffsetCommit and OffsetFetch: the positions of groups.

use crate::broker::disk::journal::{Event, Position};
use crate::broker::state::{Positions, State};
use crate::clock;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::offset_commit_request::OffsetCommitRequestPartition;
use kafka_protocol::messages::offset_commit_response::{OffsetCommitResponsePartition, OffsetCommitResponseTopic};
use kafka_protocol::messages::offset_fetch_response::{OffsetFetchResponsePartition, OffsetFetchResponseTopic};
use kafka_protocol::messages::{
    OffsetCommitRequest, OffsetCommitResponse, OffsetFetchRequest, OffsetFetchResponse, TopicName,
};
use std::collections::BTreeMap;

/// Bytes of metadata of one position, Kafka's own default.
const METADATA_LIMIT: usize = 4096;

/// Answers OffsetCommit. All positions of a request that can be committed are committed together.
pub(in crate::broker) fn commit(state: &mut State, request: OffsetCommitRequest) -> OffsetCommitResponse {
    let mut outcome = may_commit(state, &request);
    let mut events = Vec::new();
    let mut codes = Vec::new();
    for topic in &request.topics {
        for partition in &topic.partitions {
            let checked = outcome.and_then(|()| check(state, &topic.name, partition));
            codes.push(checked.map_or_else(|error| error.code(), |()| 0));
            if checked.is_ok() {
                events.push(committed(&request, &topic.name, partition));
            }
        }
    }
    if outcome.is_ok() && !events.is_empty() {
        outcome = state.record(&events);
    }
    if outcome.is_ok() {
        keep(state, events);
    }
    respond(request, codes, outcome)
}

/// Answers OffsetFetch: the positions asked for, or all of the group.
pub(in crate::broker) fn fetch(state: &State, request: OffsetFetchRequest) -> OffsetFetchResponse {
    let nothing = Positions::new();
    let positions = state.committed.get(request.group_id.as_str()).unwrap_or(&nothing);
    let topics = match request.topics {
        Some(topics) => topics
            .into_iter()
            .map(|topic| {
                let name = topic.name.to_string();
                let partition = |index| fetched(index, positions.get(&(name.clone(), index)));
                let partitions = topic.partition_indexes.into_iter().map(partition).collect();
                OffsetFetchResponseTopic::default()
                    .with_name(topic.name)
                    .with_partitions(partitions)
            })
            .collect(),
        None => all(positions),
    };
    OffsetFetchResponse::default().with_topics(topics)
}

fn may_commit(state: &mut State, request: &OffsetCommitRequest) -> Result<(), ResponseError> {
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
        None => Err(ResponseError::IllegalGeneration),
    }
}

fn check(state: &State, topic: &TopicName, partition: &OffsetCommitRequestPartition) -> Result<(), ResponseError> {
    state.log(topic, partition.partition_index)?;
    match &partition.committed_metadata {
        Some(metadata) if metadata.len() > METADATA_LIMIT => Err(ResponseError::OffsetMetadataTooLarge),
        _ => Ok(()),
    }
}

fn committed(request: &OffsetCommitRequest, topic: &TopicName, partition: &OffsetCommitRequestPartition) -> Event {
    Event::Committed {
        group: request.group_id.to_string(),
        topic: topic.to_string(),
        partition: partition.partition_index,
        position: Position {
            offset: partition.committed_offset,
            leader_epoch: partition.committed_leader_epoch,
            metadata: partition.committed_metadata.as_deref().unwrap_or_default().to_owned(),
        },
    }
}

fn keep(state: &mut State, events: Vec<Event>) {
    for event in events {
        if let Event::Committed {
            group,
            topic,
            partition,
            position,
        } = event
        {
            state
                .committed
                .entry(group)
                .or_default()
                .insert((topic, partition), position);
        }
    }
    state.tidy();
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

fn all(positions: &Positions) -> Vec<OffsetFetchResponseTopic> {
    let mut topics: BTreeMap<&str, Vec<OffsetFetchResponsePartition>> = BTreeMap::new();
    for ((topic, partition), position) in positions {
        topics
            .entry(topic)
            .or_default()
            .push(fetched(*partition, Some(position)));
    }
    let topic = |(name, partitions): (&str, _)| {
        let name = TopicName(name.to_owned().into());
        OffsetFetchResponseTopic::default()
            .with_name(name)
            .with_partitions(partitions)
    };
    topics.into_iter().map(topic).collect()
}

fn fetched(partition: i32, position: Option<&Position>) -> OffsetFetchResponsePartition {
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
