//! What a transactional writer does if a broker goes away or refuses, which librdkafka's own does on request; and what
//! is refused without a broker.

use std::time::Duration;

use rdkafka::mocking::MockCluster;
use rdkafka::types::{RDKafkaApiKey, RDKafkaErrorCode, RDKafkaRespErr};

use super::on_kafka::{LIMIT, nowhere, sink, write};
use super::transactions_on_kafka::{at, commit, open, open_with, records, reinitialise, send, transactional};
use super::{CommitOutcome, OffsetsSent};
use crate::clock;
use crate::config::{OnRefused, Partitioner, Sink, Target};
use crate::error::Kind;
use crate::kafka::native::membership::no_membership;

#[test]
fn a_broker_that_restarts_in_a_transaction_ends_neither_the_run_nor_hangs_it() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("t", 1, 1).unwrap();
    let mut writer = open(&cluster.bootstrap_servers(), "t", "id");
    for down in ["before the drain", "before the positions", "before the commit"] {
        write(&mut writer, &records(100)).unwrap();
        if down == "before the drain" {
            cluster.broker_down(1).unwrap();
            assert!(!writer.drain(Duration::from_millis(300)).unwrap());
        } else {
            assert!(writer.drain(LIMIT).unwrap());
        }
        let positions = [at("t", 0, 1, "a")];
        if down == "before the positions" {
            cluster.broker_down(1).unwrap();
            let sent = writer.send_offsets(&positions, &no_membership("g").unwrap(), Duration::from_millis(500));
            assert!(matches!(sent, OffsetsSent::Stale(_)), "{sent:?}");
        }
        if down == "before the commit" {
            send(&mut writer, &positions, "g");
            cluster.broker_down(1).unwrap();
            let ended = writer.commit(Duration::from_millis(500));
            assert!(matches!(ended, CommitOutcome::Unknown(_)), "{ended:?}");
        }
        let begun = clock::now();
        writer.abort(Duration::from_millis(500));
        let limit = Duration::from_secs(5);
        assert_eq!(writer.reinitialise(limit).unwrap_err().kind, Kind::TimedOut);
        assert!(
            begun.elapsed() < Duration::from_secs(24),
            "{down}: {:?}",
            begun.elapsed()
        );
        cluster.broker_up(1).unwrap();
        reinitialise(&mut writer);
        write(&mut writer, &records(100)).unwrap();
        assert!(writer.drain(LIMIT).unwrap());
        send(&mut writer, &positions, "g");
        commit(&mut writer);
    }
}

#[test]
fn what_took_as_long_as_a_repetition_is_not_clean() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("t", 1, 1).unwrap();
    let mut writer = open(&cluster.bootstrap_servers(), "t", "id");
    let positions = [at("t", 0, 1, "a")];
    let lost = [RDKafkaRespErr::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT];

    cluster.request_errors(RDKafkaApiKey::TxnOffsetCommit, &lost);
    let sent = writer.send_offsets(&positions, &no_membership("g").unwrap(), LIMIT);
    assert_eq!(sent, OffsetsSent::Slow);
    assert_eq!(
        writer.commit(LIMIT),
        CommitOutcome::Slow,
        "slow positions count for the commit too"
    );
    assert_eq!(writer.stage(0, &nowhere(), &records(1), 0).unwrap_err().kind, Kind::Bug);
    reinitialise(&mut writer);

    let unavailable = [RDKafkaRespErr::RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS];
    send(&mut writer, &positions, "g");
    cluster.request_errors(RDKafkaApiKey::EndTxn, &unavailable);
    assert_eq!(writer.commit(LIMIT), CommitOutcome::Slow);
    reinitialise(&mut writer);
    send(&mut writer, &positions, "g");
    commit(&mut writer);
}

#[test]
fn a_transactional_id_that_is_not_allowed_says_what_to_grant() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("t", 1, 1).unwrap();
    let refusal = [RDKafkaRespErr::RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED];
    cluster.request_errors(RDKafkaApiKey::InitProducerId, &refusal);
    let brokers = cluster.bootstrap_servers();
    let sinks = [sink(&brokers, "t", Partitioner::Murmur2, &[])];
    let error = open_with(&sinks, transactional(&brokers, "p.w0")).unwrap_err();
    assert_eq!(error.kind, Kind::Kafka);
    assert!(
        error.what.starts_with("failed to open transactions as `p.w0`"),
        "{error}"
    );
    assert_eq!(
        error.hint.as_deref(),
        Some("grant DESCRIBE and WRITE on the transactional id `p.w0` to this user")
    );
}

#[test]
fn a_topic_that_may_not_be_written_is_final_and_a_lost_producer_id_is_not() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("t", 1, 1).unwrap();
    let mut writer = open(&cluster.bootstrap_servers(), "t", "id");
    let cases = [
        (
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,
            Kind::Kafka,
        ),
        (
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_INVALID_PRODUCER_ID_MAPPING,
            Kind::TimedOut,
        ),
        (RDKafkaRespErr::RD_KAFKA_RESP_ERR_INVALID_TXN_STATE, Kind::TimedOut),
        (RDKafkaRespErr::RD_KAFKA_RESP_ERR_PRODUCER_FENCED, Kind::Fenced),
    ];
    for (code, kind) in cases {
        cluster.request_errors(RDKafkaApiKey::AddPartitionsToTxn, &[code]);
        let lost = write(&mut writer, &records(100)).and_then(|()| writer.drain(LIMIT));
        let error = lost.unwrap_err();
        assert_eq!(error.kind, kind, "{error}");
        writer.abort(LIMIT);
        reinitialise(&mut writer);
    }
    write(&mut writer, &records(100)).unwrap();
    assert!(writer.drain(LIMIT).unwrap());
    commit(&mut writer);
}

#[test]
fn a_record_that_every_broker_would_refuse_in_the_same_way_is_final() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("t", 1, 1).unwrap();
    let mut writer = open(&cluster.bootstrap_servers(), "t", "id");
    let codes = [
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_POLICY_VIOLATION,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNSUPPORTED_COMPRESSION_TYPE,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNSUPPORTED_FOR_MESSAGE_FORMAT,
    ];
    for code in codes {
        cluster.request_errors(RDKafkaApiKey::Produce, &[code]);
        let lost = write(&mut writer, &records(100)).and_then(|()| writer.drain(LIMIT));
        let error = lost.unwrap_err();
        assert_eq!(error.kind, Kind::Kafka, "{code:?}: {error}");
        writer.abort(LIMIT);
        reinitialise(&mut writer);
    }
}

#[test]
fn what_only_a_rebalance_refuses_is_told_from_what_will_be_refused_again() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("t", 1, 1).unwrap();
    let mut writer = open(&cluster.bootstrap_servers(), "t", "id");
    let cases = [
        (RDKafkaRespErr::RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION, "Stale"),
        (RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID, "Stale"),
        (RDKafkaRespErr::RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS, "Stale"),
        (RDKafkaRespErr::RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID, "Stale"),
        (RDKafkaRespErr::RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED, "Denied"),
        (RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, "Denied"),
        (RDKafkaRespErr::RD_KAFKA_RESP_ERR_INVALID_PRODUCER_ID_MAPPING, "Refused"),
        (RDKafkaRespErr::RD_KAFKA_RESP_ERR_OFFSET_METADATA_TOO_LARGE, "Refused"),
    ];
    for (code, means) in cases {
        cluster.request_errors(RDKafkaApiKey::TxnOffsetCommit, &[code]);
        let sent = writer.send_offsets(&[at("t", 0, 1, "a")], &no_membership("g").unwrap(), LIMIT);
        let told = format!("{sent:?}");
        assert!(told.starts_with(means), "{:?} {told}", RDKafkaErrorCode::from(code));
        writer.abort(LIMIT);
        reinitialise(&mut writer);
    }
}

#[test]
fn what_one_transaction_cannot_hold_is_refused_in_a_sentence() {
    let file = Sink {
        name: "copy".to_owned(),
        from: Vec::new(),
        target: Target::File(None),
        on_refused: OnRefused::Fail,
    };
    let error = open_with(&[file], transactional("127.0.0.1:1", "id")).unwrap_err();
    assert_eq!(
        (error.kind, error.what.as_str()),
        (Kind::Invalid, "failed to open sink `copy`: exactly-once needs topics")
    );
    let sinks = [
        sink("127.0.0.1:1", "t", Partitioner::Murmur2, &[]),
        sink("127.0.0.1:2", "t", Partitioner::Murmur2, &[]),
    ];
    let error = open_with(&sinks, transactional("127.0.0.1:1", "id")).unwrap_err();
    assert_eq!(error.kind, Kind::Invalid);
    assert!(
        error.what.contains("two clusters, `127.0.0.1:1` and `127.0.0.1:2`"),
        "{error}"
    );
}
