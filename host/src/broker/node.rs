//! The broker's node: what all connections share, how much of it they may have, and which broker of its cluster it is.

use super::disk::log::LEADER_EPOCH;
use super::state::BrokerState;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::BrokerId;
use std::cell::RefCell;
use std::time::Duration;
use tokio::sync::{Notify, Semaphore};

/// The only broker of the cluster.
pub(super) const NODE: BrokerId = BrokerId(1);
/// Connections at one time; one more is closed at once.
pub(super) const CONNECTIONS: usize = 500;
/// Bytes of one request, Kafka's own default of `socket.request.max.bytes`.
pub(super) const REQUEST_LIMIT: usize = 100 << 20;
/// Bytes of all large requests at one time, in KiB; more wait their turn.
const REQUESTS_KIB: usize = 256 << 10;
/// A connection on which nothing comes for so long is closed, Kafka's own default of `connections.max.idle.ms`.
pub(super) const IDLE: Duration = Duration::from_secs(600);

/// What all connections share. It never leaves the broker's thread.
#[derive(Debug)]
pub(super) struct BrokerNode {
    pub state: RefCell<BrokerState>,
    /// Told of every append, for those who wait for records.
    pub appended: Notify,
    /// Room for large requests, in KiB.
    pub requests: Semaphore,
}

impl BrokerNode {
    pub(super) fn new(state: BrokerState) -> Self {
        Self {
            state: RefCell::new(state),
            appended: Notify::new(),
            requests: Semaphore::new(REQUESTS_KIB),
        }
    }
}

/// Kafka's check that a client does not know a newer leader than the broker itself.
pub(super) fn check_epoch(claimed: i32) -> Result<(), ResponseError> {
    match claimed > LEADER_EPOCH {
        true => Err(ResponseError::UnknownLeaderEpoch),
        false => Ok(()),
    }
}
