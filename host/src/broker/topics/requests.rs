//! Metadata, CreateTopics, DeleteTopics, CreatePartitions: which topics there are.

use super::refusal::{RequestRefusal, check_name};
use crate::broker::configs::describe::of_new_topic;
use crate::broker::configs::known::OF_FILES;
use crate::broker::configs::topic::TopicConfig;
use crate::broker::disk::journal::JournalEvent;
use crate::broker::disk::log::LEADER_EPOCH;
use crate::broker::node::NODE;
use crate::broker::state::{BrokerState, BrokerTopic};
use crate::clock;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::create_topics_response::CreatableTopicResult;
use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreateTopicsRequest, CreateTopicsResponse, DeleteTopicsRequest,
    DeleteTopicsResponse, MetadataRequest, MetadataResponse, TopicName,
};
use std::net::SocketAddr;
use uuid::Uuid;

/// Partitions of all topics; each keeps a file open.
const PARTITIONS: usize = 4000;

/// Answers Metadata. Topics are never made by asking for them.
pub(in crate::broker) fn metadata(
    state: &BrokerState,
    request: MetadataRequest,
    version: i16,
    address: SocketAddr,
) -> MetadataResponse {
    let topics = match request.topics {
        // Version 0 had no null and meant all topics by an empty list.
        Some(asked) if version > 0 || !asked.is_empty() => asked.iter().map(|asked| described(state, asked)).collect(),
        _ => state.topics.iter().map(|(name, topic)| found(name, topic)).collect(),
    };
    let broker = MetadataResponseBroker::default()
        .with_node_id(NODE)
        .with_host(address.ip().to_string().into())
        .with_port(i32::from(address.port()));
    MetadataResponse::default()
        .with_brokers(vec![broker])
        .with_cluster_id(Some(state.cluster.clone().into()))
        .with_controller_id(NODE)
        .with_topics(topics)
}

/// Answers CreateTopics.
pub(in crate::broker) fn create(state: &mut BrokerState, request: CreateTopicsRequest) -> CreateTopicsResponse {
    let topics = request.topics.into_iter().map(|topic| {
        let result = CreatableTopicResult::default().with_name(topic.name.clone());
        match create_one(state, &topic, request.validate_only) {
            Ok((id, partitions, config)) => result
                .with_topic_id(id)
                .with_num_partitions(partitions as i32)
                .with_replication_factor(1)
                .with_configs(Some(of_new_topic(&config))),
            Err((error, why)) => result
                .with_error_code(error.code())
                .with_error_message(Some(why.into()))
                .with_num_partitions(-1)
                .with_replication_factor(-1),
        }
    });
    CreateTopicsResponse::default().with_topics(topics.collect())
}

/// Answers DeleteTopics.
pub(in crate::broker) fn delete(state: &mut BrokerState, request: DeleteTopicsRequest) -> DeleteTopicsResponse {
    let responses = request.topic_names.into_iter().map(|name| {
        let code = delete_one(state, &name).map_or_else(|error| error.code(), |()| 0);
        DeletableTopicResult::default()
            .with_name(Some(name))
            .with_error_code(code)
    });
    DeleteTopicsResponse::default().with_responses(responses.collect())
}

/// Answers CreatePartitions.
pub(in crate::broker) fn grow(state: &mut BrokerState, request: CreatePartitionsRequest) -> CreatePartitionsResponse {
    let results = request.topics.into_iter().map(|topic| {
        let result = CreatePartitionsTopicResult::default().with_name(topic.name.clone());
        match grow_one(state, &topic, request.validate_only) {
            Ok(()) => result,
            Err((error, why)) => result
                .with_error_code(error.code())
                .with_error_message(Some(why.into())),
        }
    });
    CreatePartitionsResponse::default().with_results(results.collect())
}

fn described(state: &BrokerState, asked: &MetadataRequestTopic) -> MetadataResponseTopic {
    let answer = MetadataResponseTopic::default()
        .with_name(asked.name.clone())
        .with_topic_id(asked.topic_id);
    let Some(name) = &asked.name else {
        let by_id = state.topics.iter().find(|(_, topic)| topic.id == asked.topic_id);
        let missing = || answer.with_error_code(ResponseError::UnknownTopicId.code());
        return by_id.map_or_else(missing, |(name, topic)| found(name, topic));
    };
    match state.topics.get(name.as_str()) {
        Some(topic) => found(name, topic),
        None if check_name(name).is_err() => answer.with_error_code(ResponseError::InvalidTopicException.code()),
        None => answer.with_error_code(ResponseError::UnknownTopicOrPartition.code()),
    }
}

fn found(name: &str, topic: &BrokerTopic) -> MetadataResponseTopic {
    let partition = |index| {
        MetadataResponsePartition::default()
            .with_partition_index(index)
            .with_leader_id(NODE)
            .with_leader_epoch(LEADER_EPOCH)
            .with_replica_nodes(vec![NODE])
            .with_isr_nodes(vec![NODE])
    };
    MetadataResponseTopic::default()
        .with_name(Some(TopicName(name.to_owned().into())))
        .with_topic_id(topic.id)
        .with_partitions((0..topic.partitions.len() as i32).map(partition).collect())
}

fn create_one(
    state: &mut BrokerState,
    topic: &CreatableTopic,
    validate_only: bool,
) -> Result<(Uuid, usize, TopicConfig), RequestRefusal> {
    check_name(&topic.name)?;
    if state.topics.contains_key(topic.name.as_str()) {
        let why = format!("Topic '{}' already exists.", topic.name.as_str());
        return Err((ResponseError::TopicAlreadyExists, why));
    }
    let partitions = partitions_of(topic)?;
    let config = config_of(topic)?;
    check_room(state, partitions)?;
    if validate_only {
        return Ok((Uuid::nil(), partitions, config));
    }
    let name = topic.name.to_string();
    let id = Uuid::from_u64_pair(clock::random(), clock::random());
    let made = state.open_logs(&name, id, 0, partitions).and_then(|logs| {
        state.record(&[JournalEvent::Created {
            topic: name.clone(),
            id: id.as_u128(),
            partitions,
            config: config.clone(),
        }])?;
        Ok(logs)
    });
    let logs = made.map_err(|error| {
        // Whatever was made is swept at the next start at the latest.
        let _ = state.storage.remove(&name, id);
        (error, "the topic's files could not be made".to_owned())
    })?;
    state.topics.insert(name, BrokerTopic::new(id, logs, config.clone()));
    state.tidy();
    Ok((id, partitions, config))
}

fn delete_one(state: &mut BrokerState, name: &str) -> Result<(), ResponseError> {
    let id = state.topics.get(name).ok_or(ResponseError::UnknownTopicOrPartition)?.id;
    state.record(&[JournalEvent::Deleted { topic: name.to_owned() }])?;
    state.topics.remove(name);
    state.drop_positions_of(name);
    if let Err(error) = state.storage.remove(name, id) {
        tracing::warn!(
            %error,
            topic = name,
            "failed to remove the files of a deleted topic; they are swept at the next start"
        );
    }
    state.tidy();
    Ok(())
}

fn grow_one(state: &mut BrokerState, asked: &CreatePartitionsTopic, validate_only: bool) -> Result<(), RequestRefusal> {
    let missing = || {
        (
            ResponseError::UnknownTopicOrPartition,
            "This server does not host this topic.".to_owned(),
        )
    };
    let topic = state.topics.get(asked.name.as_str()).ok_or_else(missing)?;
    let (id, old) = (topic.id, topic.partitions.len());
    let new = usize::try_from(asked.count).unwrap_or(0);
    if new <= old {
        let why = format!(
            "The topic {} currently has {old} partition(s); {} would not be an increase.",
            asked.name.as_str(),
            asked.count
        );
        return Err((ResponseError::InvalidPartitions, why));
    }
    check_room(state, new - old)?;
    if validate_only {
        return Ok(());
    }
    let failed = |error| (error, "the partitions' files could not be made".to_owned());
    let name = asked.name.to_string();
    let logs = state.open_logs(&name, id, old, new).map_err(failed)?;
    state
        .record(&[JournalEvent::Grown {
            topic: name.clone(),
            partitions: new,
        }])
        .map_err(failed)?;
    if let Some(topic) = state.topics.get_mut(&name) {
        topic.partitions.extend(logs);
    }
    Ok(())
}

fn partitions_of(topic: &CreatableTopic) -> Result<usize, RequestRefusal> {
    let assigned = topic.assignments.len();
    if assigned > 0 {
        let here = |index: i32| {
            topic
                .assignments
                .iter()
                .any(|a| a.partition_index == index && a.broker_ids == [NODE])
        };
        return match (0..assigned as i32).all(here) {
            true => Ok(assigned),
            false => Err((
                ResponseError::InvalidReplicaAssignment,
                "there is one broker, 1".to_owned(),
            )),
        };
    }
    if !matches!(topic.replication_factor, -1 | 1) {
        let why = "there is one broker: the replication factor can only be 1".to_owned();
        return Err((ResponseError::InvalidReplicationFactor, why));
    }
    match topic.num_partitions {
        -1 => Ok(1),
        count if count > 0 => Ok(count as usize),
        _ => Err((
            ResponseError::InvalidPartitions,
            "Number of partitions must be larger than 0.".to_owned(),
        )),
    }
}

fn check_room(state: &BrokerState, more: usize) -> Result<(), RequestRefusal> {
    let now: usize = state.topics.values().map(|topic| topic.partitions.len()).sum();
    match now + more > PARTITIONS {
        true => Err((
            ResponseError::PolicyViolation,
            format!("this broker holds at most {PARTITIONS} partitions"),
        )),
        false => Ok(()),
    }
}

/// The settings that a new topic is given.
fn config_of(topic: &CreatableTopic) -> Result<TopicConfig, RequestRefusal> {
    let mut config = TopicConfig::default();
    for setting in &topic.configs {
        let name = setting.name.as_str();
        if !OF_FILES.contains(&name) {
            let value = setting.value.as_deref().unwrap_or_default();
            config
                .set(name, value)
                .map_err(|why| (ResponseError::InvalidConfig, why))?;
        }
    }
    Ok(config)
}
