//! Produce: the way in.

use super::disk::batch::BatchHeader;
use super::disk::log::check_sent;
use super::state::BrokerState;
use super::transactions::transaction::TransactionPhase;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::produce_request::PartitionProduceData;
use kafka_protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use kafka_protocol::messages::{ProduceRequest, ProduceResponse};

/// Answers Produce: each partition's batch is in the log before this returns. Nothing for a client that wants no
/// answer.
pub(super) fn produce(state: &mut BrokerState, request: ProduceRequest) -> Option<ProduceResponse> {
    let wants_answer = request.acks != 0;
    let allowed = allow(&request);
    let transaction = request.transactional_id.as_ref().map(|id| id.as_str());
    let topics = request.topic_data.into_iter().map(|topic| {
        let name = topic.name.as_str();
        let partitions = topic.partition_data.iter().map(|data| {
            let outcome = allowed.and_then(|()| append(state, name, data, transaction));
            answer(data.index, outcome)
        });
        let partitions = partitions.collect();
        TopicProduceResponse::default()
            .with_partition_responses(partitions)
            .with_name(topic.name)
    });
    let response = ProduceResponse::default().with_responses(topics.collect());
    wants_answer.then_some(response)
}

fn allow(request: &ProduceRequest) -> Result<(), ResponseError> {
    match request.acks {
        -1..=1 => Ok(()),
        _ => Err(ResponseError::InvalidRequiredAcks),
    }
}

fn append(
    state: &mut BrokerState,
    topic: &str,
    data: &PartitionProduceData,
    transaction: Option<&str>,
) -> Result<(i64, i64), ResponseError> {
    state.log(topic, data.index)?;
    let batch = data.records.as_ref().ok_or(ResponseError::InvalidRecord)?;
    let header = check_sent(batch)?;
    state.limits(topic).check(batch, &header)?;
    if header.is_transactional() {
        check_transaction(state, topic, data.index, &header, transaction)?;
    }
    let log = state.log_mut(topic, data.index)?;
    Ok((log.append(batch, header)?, log.beginning()))
}

/// Whether a batch belongs to an open transaction of its producer that the partition is in. Kafka's words for a client
/// of before Kafka 4, which knows no others.
fn check_transaction(
    state: &BrokerState,
    topic: &str,
    partition: i32,
    batch: &BatchHeader,
    id: Option<&str>,
) -> Result<(), ResponseError> {
    // Kafka counts records of a transaction that nobody names as a lack of rights.
    let id = id.ok_or(ResponseError::TransactionalIdAuthorizationFailed)?;
    let transaction = state
        .transactions
        .get(id)
        .ok_or(ResponseError::InvalidProducerIdMapping)?;
    transaction
        .is_from(batch.producer_id, batch.producer_epoch)
        .map_err(|error| match error {
            ResponseError::ProducerFenced => ResponseError::InvalidProducerEpoch,
            other => other,
        })?;
    match transaction.phase {
        // The one refusal after which every client comes again.
        TransactionPhase::Ending { .. } => Err(ResponseError::NotEnoughReplicas),
        _ if transaction.has_partition(topic, partition) => Ok(()),
        _ => Err(ResponseError::InvalidTxnState),
    }
}

fn answer(partition: i32, outcome: Result<(i64, i64), ResponseError>) -> PartitionProduceResponse {
    let response = PartitionProduceResponse::default()
        .with_index(partition)
        .with_log_append_time_ms(-1);
    match outcome {
        Ok((offset, beginning)) => response.with_base_offset(offset).with_log_start_offset(beginning),
        Err(error) => response
            .with_error_code(error.code())
            .with_base_offset(-1)
            .with_log_start_offset(-1),
    }
}
