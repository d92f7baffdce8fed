//! The settings that the broker has of its own, each quoted from the code that keeps to it.

use super::known::SettingKind;
use crate::broker::groups::offsets::METADATA_LIMIT;
use crate::broker::groups::requests::SESSIONS_MS;
use crate::broker::node::{CONNECTIONS, IDLE, NODE, REQUEST_LIMIT};
use crate::broker::transactions::ending::EXPIRATION_MS;
use crate::broker::transactions::requests::TIMEOUTS_MS;

/// What the broker tells of itself, beside its values for all topics. None of it can be changed.
pub(in crate::broker) fn of_broker() -> Vec<(&'static str, String, SettingKind)> {
    let node = NODE.0.to_string();
    vec![
        ("auto.create.topics.enable", false.to_string(), SettingKind::Boolean),
        ("broker.id", node.clone(), SettingKind::Int),
        (
            "connections.max.idle.ms",
            IDLE.as_millis().to_string(),
            SettingKind::Long,
        ),
        ("default.replication.factor", "1".to_owned(), SettingKind::Int),
        ("delete.topic.enable", true.to_string(), SettingKind::Boolean),
        ("group.initial.rebalance.delay.ms", "0".to_owned(), SettingKind::Int),
        (
            "group.max.session.timeout.ms",
            SESSIONS_MS.end().to_string(),
            SettingKind::Int,
        ),
        (
            "group.min.session.timeout.ms",
            SESSIONS_MS.start().to_string(),
            SettingKind::Int,
        ),
        ("max.connections", CONNECTIONS.to_string(), SettingKind::Int),
        ("node.id", node, SettingKind::Int),
        ("num.partitions", "1".to_owned(), SettingKind::Int),
        (
            "offset.metadata.max.bytes",
            METADATA_LIMIT.to_string(),
            SettingKind::Int,
        ),
        ("socket.request.max.bytes", REQUEST_LIMIT.to_string(), SettingKind::Int),
        (
            "transaction.max.timeout.ms",
            TIMEOUTS_MS.end().to_string(),
            SettingKind::Int,
        ),
        (
            "transactional.id.expiration.ms",
            EXPIRATION_MS.to_string(),
            SettingKind::Int,
        ),
    ]
}
