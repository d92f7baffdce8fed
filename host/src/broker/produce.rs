//! Produce and InitProducerId: the way in.

use super::state::State;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::produce_request::PartitionProduceData;
use kafka_protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use kafka_protocol::messages::{
    InitProducerIdRequest, InitProducerIdResponse, ProduceRequest, ProduceResponse, ProducerId,
};

/// Answers Produce: each partition's batch is in the log before this returns. Nothing for a client that wants no answer.
pub(super) fn produce(state: &mut State, request: ProduceRequest) -> Option<ProduceResponse> {
    let wants_answer = request.acks != 0;
    let allowed = allow(&request);
    let topics = request.topic_data.into_iter().map(|topic| {
        let name = topic.name.as_str();
        let partitions = topic.partition_data.iter().map(|data| {
            let outcome = allowed.and_then(|()| append(state, name, data));
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

/// Answers InitProducerId: a new id for an idempotent producer. Transactions are refused.
pub(super) fn init_producer(state: &mut State, request: &InitProducerIdRequest) -> InitProducerIdResponse {
    let id = match &request.transactional_id {
        Some(_) => Err(ResponseError::TransactionalIdAuthorizationFailed),
        None => state.next_producer_id(),
    };
    let response = InitProducerIdResponse::default();
    match id {
        Ok(id) => response.with_producer_id(ProducerId(id)).with_producer_epoch(0),
        Err(error) => response
            .with_error_code(error.code())
            .with_producer_id(ProducerId(-1))
            .with_producer_epoch(-1),
    }
}

fn allow(request: &ProduceRequest) -> Result<(), ResponseError> {
    if request.transactional_id.is_some() {
        return Err(ResponseError::TransactionalIdAuthorizationFailed);
    }
    match request.acks {
        -1..=1 => Ok(()),
        _ => Err(ResponseError::InvalidRequiredAcks),
    }
}

fn append(state: &mut State, topic: &str, data: &PartitionProduceData) -> Result<(i64, i64), ResponseError> {
    let log = state.log_mut(topic, data.index)?;
    let batch = data.records.as_ref().ok_or(ResponseError::InvalidRecord)?;
    Ok((log.append(batch)?, log.beginning()))
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
