//! Fetch: the way out, with the wait for new records.

use super::disk::log::{Isolation, PartitionLog, Slice};
use super::disk::stability::Aborted;
use super::node::{BrokerNode, check_epoch};
use super::state::{BrokerState, storage_error};
use crate::clock;
use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::fetch_response::{AbortedTransaction, FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::{FetchRequest, FetchResponse, ProducerId};
use std::pin::pin;
use std::time::Duration;

/// Bytes of one answer, but for a first batch that is larger; what a connection costs in memory.
const ANSWER_LIMIT: usize = 8 << 20;
/// No wait is longer, so that the connections of dead clients are noticed.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// Answers Fetch as soon as there are enough bytes, something to refuse, or the wait is over.
pub(super) async fn fetch(node: &BrokerNode, request: FetchRequest) -> FetchResponse {
    let wait = Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0)).min(LONGEST_WAIT);
    let deadline = tokio::time::Instant::from_std(clock::now() + wait);
    loop {
        let mut appended = pin!(node.appended.notified());
        appended.as_mut().enable();
        if is_ready(&node.state.borrow(), &request) {
            break;
        }
        if tokio::time::timeout_at(deadline, appended).await.is_err() {
            break;
        }
    }
    respond(&node.state.borrow(), request)
}

/// Whether the client should hear of it now. Sizes are looked up only for a client that wants more than one byte.
fn is_ready(state: &BrokerState, request: &FetchRequest) -> bool {
    let least = u64::try_from(request.min_bytes).unwrap_or(0).min(ANSWER_LIMIT as u64);
    let isolation = isolation(request.isolation_level);
    let mut there = 0;
    for topic in &request.topics {
        for asked in &topic.partitions {
            let Ok(log) = readable(state, topic, asked) else {
                return true;
            };
            if asked.fetch_offset < log.end_for(isolation) {
                there += if least <= 1 {
                    1
                } else {
                    log.bytes_from(asked.fetch_offset, isolation).unwrap_or(least)
                };
            }
        }
    }
    there >= least
}

fn respond(state: &BrokerState, request: FetchRequest) -> FetchResponse {
    let mut room = usize::try_from(request.max_bytes).unwrap_or(0).min(ANSWER_LIMIT);
    let isolation = isolation(request.isolation_level);
    let mut is_first = true;
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|asked| {
            let limit = usize::try_from(asked.partition_max_bytes).unwrap_or(0).min(room);
            let read = readable(state, &topic, asked).and_then(|log| {
                let slice = log.read(asked.fetch_offset, limit, is_first, isolation);
                Ok((log, slice.map_err(storage_error)?))
            });
            let data = answer(asked.partition, read);
            let taken = data.records.as_ref().map_or(0, Bytes::len);
            is_first &= taken == 0;
            room = room.saturating_sub(taken);
            data
        });
        let partitions = partitions.collect();
        FetchableTopicResponse::default()
            .with_partitions(partitions)
            .with_topic(topic.topic)
    });
    FetchResponse::default().with_responses(topics.collect())
}

/// `1` is for a reader of committed records only.
pub(super) fn isolation(level: i8) -> Isolation {
    match level {
        1 => Isolation::Committed,
        _ => Isolation::Uncommitted,
    }
}

fn answer(partition: i32, read: Result<(&PartitionLog, Slice), ResponseError>) -> PartitionData {
    let data = PartitionData::default().with_partition_index(partition);
    let aborted = |aborted: Aborted| {
        AbortedTransaction::default()
            .with_producer_id(ProducerId(aborted.producer_id))
            .with_first_offset(aborted.first)
    };
    match read {
        Ok((log, slice)) => data
            .with_high_watermark(log.end())
            .with_last_stable_offset(log.end_for(Isolation::Committed))
            .with_log_start_offset(log.beginning())
            .with_aborted_transactions(slice.aborted.map(|all| all.into_iter().map(aborted).collect()))
            .with_records(Some(slice.records)),
        Err(error) => data
            .with_error_code(error.code())
            .with_high_watermark(-1)
            .with_last_stable_offset(-1)
            .with_log_start_offset(-1)
            .with_records(Some(Bytes::new())),
    }
}

fn readable<'a>(
    state: &'a BrokerState,
    topic: &FetchTopic,
    asked: &FetchPartition,
) -> Result<&'a PartitionLog, ResponseError> {
    let log = state.log(&topic.topic, asked.partition)?;
    check_epoch(asked.current_leader_epoch)?;
    match (log.beginning()..=log.end()).contains(&asked.fetch_offset) {
        true => Ok(log),
        false => Err(ResponseError::OffsetOutOfRange),
    }
}
