//! The requests of a transactional producer: InitProducerId, AddPartitionsToTxn, AddOffsetsToTxn, EndTxn.

use super::ending;
use super::transaction::{Transaction, TransactionPhase};
use crate::broker::disk::batch::TransactionEnd;
use crate::broker::disk::journal::JournalEvent;
use crate::broker::state::BrokerState;
use crate::clock;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::add_partitions_to_txn_response::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnTopicResult,
};
use kafka_protocol::messages::{
    AddOffsetsToTxnRequest, AddOffsetsToTxnResponse, AddPartitionsToTxnRequest, AddPartitionsToTxnResponse,
    EndTxnRequest, EndTxnResponse, InitProducerIdRequest, InitProducerIdResponse, ProducerId,
};

/// The time-outs that are accepted, in milliseconds; the upper end is Kafka's own default of
/// `transaction.max.timeout.ms`.
pub(in crate::broker) const TIMEOUTS_MS: std::ops::RangeInclusive<i32> = 1..=900_000;
/// Transactional ids at one time; for one more, the one that was idle for longest is forgotten.
const IDS: usize = 10_000;

/// Answers InitProducerId: a new id for an idempotent producer, the next epoch of a transactional one. What its
/// predecessor left open is aborted first.
pub(in crate::broker) fn init_producer(
    state: &mut BrokerState,
    request: &InitProducerIdRequest,
    version: i16,
) -> InitProducerIdResponse {
    let producer = match &request.transactional_id {
        Some(id) => init(state, id.as_str(), request),
        None => state.next_producer_id().map(|id| (id, 0)),
    };
    let response = InitProducerIdResponse::default();
    match producer {
        Ok((id, epoch)) => response.with_producer_id(ProducerId(id)).with_producer_epoch(epoch),
        Err(error) => response
            .with_error_code(told(error, version >= 4))
            .with_producer_id(ProducerId(-1))
            .with_producer_epoch(-1),
    }
}

/// Answers AddPartitionsToTxn: all of the partitions, or none.
pub(in crate::broker) fn add_partitions(
    state: &mut BrokerState,
    request: AddPartitionsToTxnRequest,
    version: i16,
) -> AddPartitionsToTxnResponse {
    let is_there = |topic: &str, partition| state.log(topic, partition).is_ok();
    let all_there = request.v3_and_below_topics.iter().all(|topic| {
        topic
            .partitions
            .iter()
            .all(|&partition| is_there(&topic.name, partition))
    });
    let outcome = match all_there {
        true => add_all(state, &request).map_err(|error| told(error, version >= 2)),
        false => Err(ResponseError::OperationNotAttempted.code()),
    };
    let results = request.v3_and_below_topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|&partition| {
            let own = match all_there || state.log(&topic.name, partition).is_ok() {
                true => outcome.map_or_else(|code| code, |()| 0),
                false => ResponseError::UnknownTopicOrPartition.code(),
            };
            AddPartitionsToTxnPartitionResult::default()
                .with_partition_index(partition)
                .with_partition_error_code(own)
        });
        let partitions = partitions.collect();
        AddPartitionsToTxnTopicResult::default()
            .with_name(topic.name)
            .with_results_by_partition(partitions)
    });
    AddPartitionsToTxnResponse::default().with_results_by_topic_v3_and_below(results.collect())
}

/// Answers AddOffsetsToTxn: the transaction may commit a group's positions.
pub(in crate::broker) fn add_offsets(
    state: &mut BrokerState,
    request: &AddOffsetsToTxnRequest,
    version: i16,
) -> AddOffsetsToTxnResponse {
    AddOffsetsToTxnResponse::default().with_error_code(code(add_group(state, request), version >= 2))
}

/// Answers EndTxn. A repeated request is answered as the first one was.
pub(in crate::broker) fn end(state: &mut BrokerState, request: &EndTxnRequest, version: i16) -> EndTxnResponse {
    EndTxnResponse::default().with_error_code(code(decide(state, request), version >= 2))
}

fn init(state: &mut BrokerState, id: &str, request: &InitProducerIdRequest) -> Result<(i64, i16), ResponseError> {
    if id.is_empty() {
        return Err(ResponseError::InvalidRequest);
    }
    if !TIMEOUTS_MS.contains(&request.transaction_timeout_ms) {
        return Err(ResponseError::InvalidTransactionTimeout);
    }
    let now_ms = clock::wall_ms();
    let Some(known) = state.transactions.get(id) else {
        make_room(state)?;
        let new = Transaction::new(state.next_producer_id()?, request.transaction_timeout_ms, now_ms);
        return introduce(state, id, new);
    };
    let claimed = (request.producer_id >= ProducerId(0)).then_some(request.producer_epoch);
    if claimed.is_some() && request.producer_id != ProducerId(known.producer_id) {
        return Err(ResponseError::ProducerFenced);
    }
    if known.is_open() {
        ending::end(state, id, TransactionEnd::Abort, true)?;
    }
    let known = state
        .transactions
        .get(id)
        .filter(|known| !matches!(known.phase, TransactionPhase::Ending { .. }))
        .ok_or(ResponseError::ConcurrentTransactions)?;
    let next = match known.is_exhausted() && claimed.is_none_or(|epoch| epoch == known.epoch) {
        true => Transaction::new(state.next_producer_id()?, request.transaction_timeout_ms, now_ms),
        false => known.succeeded(claimed, request.transaction_timeout_ms, now_ms)?,
    };
    introduce(state, id, next)
}

fn introduce(state: &mut BrokerState, id: &str, transaction: Transaction) -> Result<(i64, i16), ResponseError> {
    let producer = (transaction.producer_id, transaction.epoch);
    keep(state, id, transaction)?;
    Ok(producer)
}

fn make_room(state: &mut BrokerState) -> Result<(), ResponseError> {
    if state.transactions.len() < IDS {
        return Ok(());
    }
    let idle = state
        .transactions
        .iter()
        .filter(|(_, transaction)| {
            matches!(
                transaction.phase,
                TransactionPhase::Empty | TransactionPhase::Ended { .. }
            )
        })
        .min_by_key(|(_, transaction)| transaction.changed_ms);
    let id = idle
        .map(|(id, _)| id.clone())
        .ok_or(ResponseError::CoordinatorNotAvailable)?;
    state.transactions.remove(&id);
    Ok(())
}

fn add_all(state: &mut BrokerState, request: &AddPartitionsToTxnRequest) -> Result<(), ResponseError> {
    let id = request.v3_and_below_transactional_id.as_str();
    let producer = (request.v3_and_below_producer_id, request.v3_and_below_producer_epoch);
    let transaction = of_producer(state, id, producer)?;
    let is_in = |topic: &str, partitions: &[i32]| {
        partitions
            .iter()
            .all(|&partition| transaction.has_partition(topic, partition))
    };
    let topics = &request.v3_and_below_topics;
    if transaction.is_open() && topics.iter().all(|topic| is_in(&topic.name, &topic.partitions)) {
        return Ok(());
    }
    let mut transaction = transaction.opened(clock::wall_ms())?;
    for topic in topics {
        let partitions = transaction.partitions.entry(topic.name.to_string()).or_default();
        partitions.extend(&topic.partitions);
    }
    keep(state, id, transaction)
}

fn add_group(state: &mut BrokerState, request: &AddOffsetsToTxnRequest) -> Result<(), ResponseError> {
    let group = request.group_id.as_str();
    let producer = (request.producer_id, request.producer_epoch);
    let transaction = of_producer(state, &request.transactional_id, producer)?;
    if transaction.is_open() && transaction.groups.contains_key(group) {
        return Ok(());
    }
    let mut transaction = transaction.opened(clock::wall_ms())?;
    transaction.groups.entry(group.to_owned()).or_default();
    keep(state, &request.transactional_id, transaction)
}

fn decide(state: &mut BrokerState, request: &EndTxnRequest) -> Result<(), ResponseError> {
    let id = request.transactional_id.as_str();
    let asked = match request.committed {
        true => TransactionEnd::Commit,
        false => TransactionEnd::Abort,
    };
    let producer = (request.producer_id, request.producer_epoch);
    match of_producer(state, id, producer)?.phase {
        TransactionPhase::Open { .. } => ending::end(state, id, asked, false),
        TransactionPhase::Ended { outcome } if outcome == asked => Ok(()),
        TransactionPhase::Ending { outcome } if outcome == asked => Err(ResponseError::ConcurrentTransactions),
        TransactionPhase::Empty | TransactionPhase::Ended { .. } | TransactionPhase::Ending { .. } => {
            Err(ResponseError::InvalidTxnState)
        }
    }
}

/// The transaction of a request, if it comes from the producer that the id belongs to.
pub(super) fn of_producer<'a>(
    state: &'a BrokerState,
    id: &str,
    (producer_id, epoch): (ProducerId, i16),
) -> Result<&'a Transaction, ResponseError> {
    if id.is_empty() {
        return Err(ResponseError::InvalidRequest);
    }
    let transaction = state
        .transactions
        .get(id)
        .ok_or(ResponseError::InvalidProducerIdMapping)?;
    transaction.is_from(producer_id.0, epoch)?;
    Ok(transaction)
}

pub(super) fn keep(state: &mut BrokerState, id: &str, transaction: Transaction) -> Result<(), ResponseError> {
    let id = id.to_owned();
    state.commit(vec![JournalEvent::Transaction { id, transaction }])
}

fn code(outcome: Result<(), ResponseError>, knows_fencing: bool) -> i16 {
    outcome.map_or_else(|error| told(error, knows_fencing), |()| 0)
}

/// Older versions of these requests had one word for a fenced producer and one with an impossible epoch.
fn told(error: ResponseError, knows_fencing: bool) -> i16 {
    match error {
        ResponseError::ProducerFenced if !knows_fencing => ResponseError::InvalidProducerEpoch.code(),
        other => other.code(),
    }
}
