//! TxnOffsetCommit: positions that count once their transaction is committed.

use super::requests::{keep, of_producer};
use super::transaction::{Pending, TransactionPhase};
use crate::broker::disk::position::JournalPosition;
use crate::broker::groups::offsets::{check, may_commit_in_transaction};
use crate::broker::state::BrokerState;
use crate::clock;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::txn_offset_commit_request::TxnOffsetCommitRequestPartition;
use kafka_protocol::messages::txn_offset_commit_response::{
    TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use kafka_protocol::messages::{TopicName, TxnOffsetCommitRequest, TxnOffsetCommitResponse};

/// Answers TxnOffsetCommit. All positions of a request that can be taken are taken together.
pub(in crate::broker) fn commit(state: &mut BrokerState, request: TxnOffsetCommitRequest) -> TxnOffsetCommitResponse {
    let mut outcome = may_commit(state, &request);
    let mut taken = Vec::new();
    let mut codes = Vec::new();
    for topic in &request.topics {
        for partition in &topic.partitions {
            let metadata = partition.committed_metadata.as_deref();
            let checked = outcome.and_then(|()| check(state, &topic.name, partition.partition_index, metadata));
            codes.push(checked.map_or_else(|error| error.code(), |()| 0));
            if checked.is_ok() {
                taken.push(pending(state, &topic.name, partition));
            }
        }
    }
    if outcome.is_ok() && !taken.is_empty() {
        outcome = take(state, &request, taken);
    }
    respond(request, codes, outcome)
}

/// As Kafka: first the producer, whose words for a fenced one are those of a write, then the group.
fn may_commit(state: &BrokerState, request: &TxnOffsetCommitRequest) -> Result<(), ResponseError> {
    if request.group_id.is_empty() {
        return Err(ResponseError::InvalidGroupId);
    }
    let producer = (request.producer_id, request.producer_epoch);
    let transaction = of_producer(state, &request.transactional_id, producer).map_err(|error| match error {
        ResponseError::ProducerFenced => ResponseError::InvalidProducerEpoch,
        other => other,
    })?;
    match transaction.phase {
        TransactionPhase::Ending { .. } => return Err(ResponseError::ConcurrentTransactions),
        TransactionPhase::Open { .. } if transaction.groups.contains_key(request.group_id.as_str()) => {}
        TransactionPhase::Open { .. } | TransactionPhase::Empty | TransactionPhase::Ended { .. } => {
            return Err(ResponseError::InvalidTxnState);
        }
    }
    may_commit_in_transaction(state, request)
}

fn pending(state: &mut BrokerState, topic: &TopicName, partition: &TxnOffsetCommitRequestPartition) -> Pending {
    Pending {
        topic: topic.to_string(),
        partition: partition.partition_index,
        position: JournalPosition {
            offset: partition.committed_offset,
            leader_epoch: partition.committed_leader_epoch,
            metadata: partition.committed_metadata.as_deref().unwrap_or_default().to_owned(),
            order: state.next_order(),
        },
    }
}

fn take(state: &mut BrokerState, request: &TxnOffsetCommitRequest, taken: Vec<Pending>) -> Result<(), ResponseError> {
    let id = request.transactional_id.as_str();
    let producer = (request.producer_id, request.producer_epoch);
    let mut transaction = of_producer(state, id, producer)?.opened(clock::wall_ms())?;
    for pending in taken {
        transaction.put(&request.group_id, pending);
    }
    keep(state, id, transaction)
}

fn respond(
    request: TxnOffsetCommitRequest,
    codes: Vec<i16>,
    outcome: Result<(), ResponseError>,
) -> TxnOffsetCommitResponse {
    let mut codes = codes.into_iter();
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|asked| {
            let own = codes.next().unwrap_or_default();
            TxnOffsetCommitResponsePartition::default()
                .with_partition_index(asked.partition_index)
                .with_error_code(outcome.map_or_else(|error| error.code(), |()| own))
        });
        let partitions = partitions.collect();
        TxnOffsetCommitResponseTopic::default()
            .with_name(topic.name)
            .with_partitions(partitions)
    });
    TxnOffsetCommitResponse::default().with_topics(topics.collect())
}
