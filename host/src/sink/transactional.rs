//! What makes a producer transactional, and how far its transaction is.

use std::time::{Duration, Instant};

use crate::clock;
use crate::config::Cluster;

/// Before an unanswered request is repeated: well above `SLOW`, since librdkafka takes a fifth off.
const BACK_OFF: &str = "1000";

/// A writer's transactions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transactional {
    /// The transactional id: stable across restarts, so that a restart ends what the run before left open; never used
    /// by two at once.
    pub id: String,
    /// The broker aborts a transaction that is older. At least a second.
    pub timeout: Duration,
    /// Where the positions are, for a writer without sinks.
    pub cluster: Cluster,
}

/// A producer's transactions.
#[derive(Debug)]
pub(super) struct ProducerTransactions {
    pub(super) id: String,
    pub(super) timeout: Duration,
    pub(super) state: TransactionState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TransactionState {
    /// The handle is new and was not initialised.
    New,
    Ready,
    Open {
        since: Instant,
        /// The same by the wall clock, which goes on while the machine is suspended; milliseconds since 1970.
        since_wall: i64,
        is_slow: bool,
    },
    /// Something other than a clean commit: only a new handle may go on.
    Spent,
}

impl Transactional {
    /// What librdkafka is told beside the producer's own settings; the last one of a name counts.
    pub(super) fn adjust(&self, settings: &mut Vec<(String, String)>) {
        let timeout = self.timeout.as_millis().max(1000);
        let socket = settings.iter().rev().find(|(name, _)| name == "socket.timeout.ms");
        let socket = socket.and_then(|(_, value)| value.parse().ok()).unwrap_or(60_000);
        let mut set = |name: &str, value: String| settings.push((name.to_owned(), value));
        set("transactional.id", self.id.clone());
        // The transaction is given up as a whole, and can be aborted.
        set("enable.gapless.guarantee", "false".to_owned());
        set("transaction.timeout.ms", timeout.to_string());
        // A record gives up before its transaction does.
        set("message.timeout.ms", (timeout * 3 / 4).to_string());
        set("socket.timeout.ms", timeout.min(socket).to_string());
        set("retry.backoff.ms", BACK_OFF.to_owned());
        set("retry.backoff.max.ms", BACK_OFF.to_owned());
        // Follows the back-off if nothing is said, and a leader that moved is to be found sooner.
        set("topic.metadata.refresh.fast.interval.ms", "100".to_owned());
    }
}

impl ProducerTransactions {
    pub(super) fn new(of: &Transactional) -> Self {
        Self {
            id: of.id.clone(),
            timeout: of.timeout,
            state: TransactionState::New,
        }
    }

    /// Whether the broker may have aborted the transaction because it grew too old.
    pub(super) fn may_have_expired(&self) -> bool {
        let TransactionState::Open { since, since_wall, .. } = self.state else {
            return false;
        };
        let by_wall = u64::try_from(clock::wall_ms() - since_wall).unwrap_or(0);
        since.elapsed().max(Duration::from_millis(by_wall)) >= self.timeout
    }
}
