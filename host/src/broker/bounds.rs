//! ListOffsets, OffsetForLeaderEpoch, DeleteRecords: where logs begin and end, and what lies where in time.

use super::disk::journal::JournalEvent;
use super::disk::log::{FoundRecord, Isolation, LEADER_EPOCH};
use super::fetch::isolation;
use super::node::check_epoch;
use super::state::{BrokerState, storage_error};
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::delete_records_response::{DeleteRecordsPartitionResult, DeleteRecordsTopicResult};
use kafka_protocol::messages::list_offsets_request::ListOffsetsPartition;
use kafka_protocol::messages::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use kafka_protocol::messages::offset_for_leader_epoch_request::OffsetForLeaderPartition;
use kafka_protocol::messages::offset_for_leader_epoch_response::{EpochEndOffset, OffsetForLeaderTopicResult};
use kafka_protocol::messages::{
    DeleteRecordsRequest, DeleteRecordsResponse, ListOffsetsRequest, ListOffsetsResponse, OffsetForLeaderEpochRequest,
    OffsetForLeaderEpochResponse,
};

/// What a client writes in the place of a time.
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const LATEST_TIME: i64 = -3;

/// Answers ListOffsets.
pub(super) fn list(state: &BrokerState, request: ListOffsetsRequest, version: i16) -> ListOffsetsResponse {
    let isolation = isolation(request.isolation_level);
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|asked| {
            let answer = ListOffsetsPartitionResponse::default().with_partition_index(asked.partition_index);
            match look_up(state, &topic.name, asked, isolation) {
                Ok(Some(found)) => answer
                    .with_offset(found.offset)
                    .with_timestamp(found.timestamp)
                    // Older versions have no place for it.
                    .with_leader_epoch(if version >= 4 { LEADER_EPOCH } else { -1 }),
                Ok(None) => answer.with_offset(-1).with_timestamp(-1).with_leader_epoch(-1),
                Err(error) => answer
                    .with_error_code(error.code())
                    .with_offset(-1)
                    .with_timestamp(-1)
                    .with_leader_epoch(-1),
            }
        });
        let partitions = partitions.collect();
        ListOffsetsTopicResponse::default()
            .with_partitions(partitions)
            .with_name(topic.name)
    });
    ListOffsetsResponse::default().with_topics(topics.collect())
}

/// Answers OffsetForLeaderEpoch: there is one epoch and nothing is ever cut off, so no client's position is ever
/// invalid.
pub(super) fn epochs(state: &BrokerState, request: OffsetForLeaderEpochRequest) -> OffsetForLeaderEpochResponse {
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|asked| {
            let answer = EpochEndOffset::default().with_partition(asked.partition);
            match end_of_epoch(state, &topic.topic, asked) {
                Ok(Some(end)) => answer.with_leader_epoch(LEADER_EPOCH).with_end_offset(end),
                Ok(None) => answer.with_leader_epoch(-1).with_end_offset(-1),
                Err(error) => answer
                    .with_error_code(error.code())
                    .with_leader_epoch(-1)
                    .with_end_offset(-1),
            }
        });
        let partitions = partitions.collect();
        OffsetForLeaderTopicResult::default()
            .with_partitions(partitions)
            .with_topic(topic.topic)
    });
    OffsetForLeaderEpochResponse::default().with_topics(topics.collect())
}

/// Answers DeleteRecords: the beginning of a log moves, and stays moved after a restart.
pub(super) fn delete(state: &mut BrokerState, request: DeleteRecordsRequest) -> DeleteRecordsResponse {
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|asked| {
            let result = DeleteRecordsPartitionResult::default().with_partition_index(asked.partition_index);
            match delete_before(state, &topic.name, asked.partition_index, asked.offset) {
                Ok(beginning) => result.with_low_watermark(beginning),
                Err(error) => result.with_error_code(error.code()).with_low_watermark(-1),
            }
        });
        let partitions = partitions.collect();
        DeleteRecordsTopicResult::default()
            .with_partitions(partitions)
            .with_name(topic.name)
    });
    DeleteRecordsResponse::default().with_topics(topics.collect())
}

fn look_up(
    state: &BrokerState,
    topic: &str,
    asked: &ListOffsetsPartition,
    isolation: Isolation,
) -> Result<Option<FoundRecord>, ResponseError> {
    let log = state.log(topic, asked.partition_index)?;
    check_epoch(asked.current_leader_epoch)?;
    let end = log.end_for(isolation);
    let edge = |offset| Ok(Some(FoundRecord { offset, timestamp: -1 }));
    let found = match asked.timestamp {
        LATEST => return edge(end),
        EARLIEST => return edge(log.beginning()),
        LATEST_TIME => log.find_latest_time(),
        time if time >= 0 => log.find_time(time),
        _ => return Err(ResponseError::UnsupportedVersion),
    };
    // What the client may not read yet is not there for it.
    Ok(found.map_err(storage_error)?.filter(|found| found.offset < end))
}

fn end_of_epoch(
    state: &BrokerState,
    topic: &str,
    asked: &OffsetForLeaderPartition,
) -> Result<Option<i64>, ResponseError> {
    let log = state.log(topic, asked.partition)?;
    check_epoch(asked.current_leader_epoch)?;
    Ok((asked.leader_epoch == LEADER_EPOCH).then(|| log.end()))
}

fn delete_before(state: &mut BrokerState, topic: &str, partition: i32, offset: i64) -> Result<i64, ResponseError> {
    let log = state.log(topic, partition)?;
    let offset = if offset == -1 { log.end() } else { offset };
    if !(0..=log.end()).contains(&offset) {
        return Err(ResponseError::OffsetOutOfRange);
    }
    if offset > log.beginning() {
        let event = JournalEvent::Begins {
            topic: topic.to_owned(),
            partition: partition as usize,
            offset,
        };
        state.record(&[event])?;
        state.log_mut(topic, partition)?.delete_before(offset);
        state.tidy();
    }
    Ok(state.log(topic, partition)?.beginning())
}
