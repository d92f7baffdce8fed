//! What librdkafka calls the errors that a producer's caller tells apart.

use rdkafka_sys::rd_kafka_resp_err_t as code;

/// The queue holds as much as it may.
pub(crate) const QUEUE_FULL: i32 = code::RD_KAFKA_RESP_ERR__QUEUE_FULL as i32;
/// The cluster does not know the topic.
pub(crate) const UNKNOWN_TOPIC: i32 = code::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART as i32;
/// librdkafka does not know the topic (any more).
pub(crate) const UNKNOWN_TOPIC_LOCALLY: i32 = code::RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC as i32;
/// The topic has fewer partitions than before.
pub(crate) const UNKNOWN_PARTITION: i32 = code::RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION as i32;
/// Of a record: librdkafka let go of its partition, which is not there any more (`rd_kafka_toppar_destroy_final`).
pub(crate) const PARTITION_GONE: i32 = code::RD_KAFKA_RESP_ERR__DESTROY as i32;
/// The topic's name is not one that Kafka allows.
pub(crate) const INVALID_TOPIC: i32 = code::RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION as i32;
/// This user may not write to the topic.
pub(crate) const TOPIC_NOT_ALLOWED: i32 = code::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED as i32;
/// This user may not use the cluster in this way.
pub(crate) const CLUSTER_NOT_ALLOWED: i32 = code::RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED as i32;
/// The record, or the batch that it was put in, is too large.
pub(crate) const TOO_LARGE: i32 = code::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE as i32;
/// The batch is larger than a file of the topic's log may be.
pub(crate) const BATCH_TOO_LARGE: i32 = code::RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE as i32;
/// The record's timestamp is not one that the topic takes.
pub(crate) const BAD_TIMESTAMP: i32 = code::RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP as i32;
/// The topic's own rules refuse the record.
pub(crate) const BAD_RECORD: i32 = code::RD_KAFKA_RESP_ERR_INVALID_RECORD as i32;
/// The brokers do not know the compression.
pub(crate) const UNKNOWN_COMPRESSION: i32 = code::RD_KAFKA_RESP_ERR_UNSUPPORTED_COMPRESSION_TYPE as i32;
/// The topic's logs are of a format that cannot hold what is asked for.
pub(crate) const OLD_FORMAT: i32 = code::RD_KAFKA_RESP_ERR_UNSUPPORTED_FOR_MESSAGE_FORMAT as i32;
/// A policy of the cluster refuses it.
pub(crate) const AGAINST_POLICY: i32 = code::RD_KAFKA_RESP_ERR_POLICY_VIOLATION as i32;
/// Nothing is wrong with the record; another one of its batch was refused.
pub(crate) const BESIDE_A_BAD_RECORD: i32 = code::RD_KAFKA_RESP_ERR__INVALID_DIFFERENT_RECORD as i32;
/// The producer can no longer keep its promise of order and no duplicates.
pub(crate) const FATAL: i32 = code::RD_KAFKA_RESP_ERR__FATAL as i32;
/// A newer producer with the same transactional id took over, or the coordinator gave an old transaction up: it raises
/// the epoch for either.
pub(crate) const FENCED: i32 = code::RD_KAFKA_RESP_ERR__FENCED as i32;
/// The same, as brokers say it.
pub(crate) const PRODUCER_FENCED: i32 = code::RD_KAFKA_RESP_ERR_PRODUCER_FENCED as i32;
/// The same, as older brokers say it.
pub(crate) const OLD_EPOCH: i32 = code::RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH as i32;
/// A newer member with the same instance id took over.
pub(crate) const INSTANCE_FENCED: i32 = code::RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID as i32;
/// This user may not read the group, which committing to it needs.
pub(crate) const GROUP_NOT_ALLOWED: i32 = code::RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED as i32;
/// The group's id is not one that Kafka allows.
pub(crate) const INVALID_GROUP: i32 = code::RD_KAFKA_RESP_ERR_INVALID_GROUP_ID as i32;
/// The membership is of before a rebalance.
pub(crate) const ILLEGAL_GENERATION: i32 = code::RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION as i32;
/// The group does not know the member any more.
pub(crate) const UNKNOWN_MEMBER: i32 = code::RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID as i32;
/// A rebalance is under way.
pub(crate) const REBALANCING: i32 = code::RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS as i32;
/// This user may not use the transactional id.
pub(crate) const TRANSACTIONAL_ID_NOT_ALLOWED: i32 =
    code::RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED as i32;
/// The broker allows no transaction to be that long.
pub(crate) const BAD_TRANSACTION_TIMEOUT: i32 = code::RD_KAFKA_RESP_ERR_INVALID_TRANSACTION_TIMEOUT as i32;
/// The cluster has no transactions.
pub(crate) const UNSUPPORTED: i32 = code::RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE as i32;
/// The transaction is not at the step that the call belongs to.
pub(crate) const WRONG_STATE: i32 = code::RD_KAFKA_RESP_ERR__STATE as i32;
/// A record of the transaction was not delivered, so that it was not asked for its commit.
pub(crate) const INCOMPLETE: i32 = code::RD_KAFKA_RESP_ERR__INCONSISTENT as i32;
/// No broker is connected.
pub(crate) const ALL_BROKERS_DOWN: i32 = code::RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN as i32;
/// Ours: calls hang in librdkafka, and more must not be left behind.
pub(crate) const HUNG: i32 = -1000;
/// The log-in failed, or the connection during it.
pub(crate) const AUTHENTICATION: i32 = code::RD_KAFKA_RESP_ERR__AUTHENTICATION as i32;
/// The encryption failed.
pub(crate) const SSL: i32 = code::RD_KAFKA_RESP_ERR__SSL as i32;
