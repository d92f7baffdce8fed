//! Transactions of a producer: one after the other, each with outputs and positions.
//!
//! Always: a transaction begins only on a producer whose last one was committed cleanly, or that has had none. Clean
//! also means fast: librdkafka repeats a request that got no answer and tells nobody, and the late first one could then
//! tear the next transaction. It repeats none within 400 ms (with the back-off set here; from its `rdkafka_txnmgr.c`,
//! version 2.12.1), so what took that long is followed by a new producer, whose epoch is higher.

use std::time::Duration;

use rdkafka::TopicPartitionList;

use super::producer::Producer;
use super::transactional::{ProducerTransactions, TransactionState};
use crate::clock;
use crate::error::{Error, Kind, Result};
use crate::kafka::codes;
use crate::kafka::errors;
use crate::kafka::native::failure::Failure;
use crate::kafka::native::partition_list;
use crate::kafka::native::transaction::Setback;
use crate::kill;
use crate::record::Committable;

/// What took this long is not clean: a repetition may be on its way.
const SLOW: Duration = Duration::from_millis(400);
/// How long a start waits until it is the only one of its transactional id.
const OPEN: Duration = Duration::from_secs(30);
/// Between two calls when librdkafka asks for another.
const AGAIN: Duration = Duration::from_millis(10);

/// How the positions got into the transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OffsetsSent {
    /// They are part of it.
    Done,
    /// They are, but it took so long that only a new producer may go on after the commit.
    Slow,
    /// They are not, and that is ordinary: a rebalance is under way, the cluster is away, the transaction grew too old.
    /// It can only be aborted.
    Stale(String),
    /// They are not, for a reason that may well come again. It can only be aborted.
    Refused(String),
    /// They never will be: too many requests hang in the client, and only the end of the process frees what they hold.
    Hung(String),
    /// They never will be: this user may not commit them.
    Denied(String),
    /// A newer process uses the transactional id, or the group's instance id.
    Fenced(String),
}

/// How a commit went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommitOutcome {
    /// It went through; the next transaction may begin.
    Clean,
    /// It went through, but took so long that only a new producer may go on.
    Slow,
    /// It was not even asked for, for this reason.
    Refused(String),
    /// It went through or not: after a re-initialisation what is committed tells.
    Unknown(String),
    /// A newer process uses the transactional id. Whether it went through, what is committed tells.
    Fenced(String),
}

impl Producer {
    /// Becomes the only producer of its transactional id. Without transactions there is nothing to do.
    pub(super) fn open_transactions(&mut self) -> Result<()> {
        self.initialise(OPEN).map_err(|error| match error.kind {
            // At the start there is no later.
            Kind::TimedOut => Error {
                kind: Kind::Kafka,
                ..error
            },
            _ => error,
        })
    }

    pub(super) fn has_transaction(&self) -> bool {
        let state = self.transactions.as_ref().map(|transactions| transactions.state);
        matches!(state, Some(TransactionState::Open { .. }))
    }

    /// Begins a transaction if none is open. Without transactions there is nothing to do.
    pub(super) fn begin(&mut self) -> Result<()> {
        let Some(transactions) = &mut self.transactions else {
            return Ok(());
        };
        match transactions.state {
            TransactionState::Open { .. } => Ok(()),
            TransactionState::Ready => {
                transactions.state = TransactionState::Open {
                    since_wall: clock::wall_ms(),
                    since: clock::now(),
                    is_slow: false,
                };
                self.handle
                    .begin_transaction()
                    .map_err(|setback| self.lost("begin a transaction", &setback))?;
                kill::point("after-begin");
                Ok(())
            }
            TransactionState::New | TransactionState::Spent => Err(Error::new(
                Kind::Bug,
                "failed to begin a transaction",
                "the last one did not end cleanly, and the producer was not re-initialised",
            )),
        }
    }

    pub(super) fn send_offsets(&mut self, offsets: &[Committable], group: &[u8], limit: Duration) -> OffsetsSent {
        if offsets.is_empty() {
            return OffsetsSent::Done;
        }
        let list = match self.begin().and_then(|()| list(offsets)) {
            Ok(list) => list,
            Err(error) => return not_begun(&error),
        };
        kill::point("before-send-offsets");
        let begun = clock::now();
        let sent = again_until(limit, |left| {
            self.handle.send_offsets(&list, group, left, &self.left_behind)
        });
        if let Err(setback) = sent {
            return self.not_sent(setback);
        }
        kill::point("after-send-offsets");
        if begun.elapsed() < SLOW {
            return OffsetsSent::Done;
        }
        if let Some(TransactionState::Open { is_slow, .. }) = self.transactions.as_mut().map(|of| &mut of.state) {
            *is_slow = true;
        }
        OffsetsSent::Slow
    }

    fn not_sent(&self, setback: Setback) -> OffsetsSent {
        let is_fenced = self.is_fenced(&setback);
        let Setback {
            failure, is_retriable, ..
        } = setback;
        match failure.code {
            // It may be our own, that joined again after a sleep; if it is another process's, the reader is told too.
            codes::INSTANCE_FENCED => OffsetsSent::Stale(failure.text),
            codes::HUNG => OffsetsSent::Hung(failure.text),
            _ if is_fenced => OffsetsSent::Fenced(failure.text),
            code if is_denied(code) => OffsetsSent::Denied(failure.text),
            code if is_retriable || is_passing(code) || self.may_have_expired() => OffsetsSent::Stale(failure.text),
            _ => OffsetsSent::Refused(failure.text),
        }
    }

    pub(super) fn commit(&mut self, limit: Duration) -> CommitOutcome {
        let Some(TransactionState::Open { is_slow, .. }) = self.transactions.as_ref().map(|of| of.state) else {
            return CommitOutcome::Refused("no transaction is open".to_owned());
        };
        kill::soon("end-txn-sent");
        let begun = clock::now();
        let ended = again_until(limit, |left| self.handle.commit_transaction(left));
        if ended.is_ok() {
            kill::point("after-commit");
        }
        let outcome = match ended {
            // A new producer is one whose records travel in company again.
            Ok(()) if begun.elapsed() < SLOW && !is_slow && !self.is_careful => CommitOutcome::Clean,
            Ok(()) => CommitOutcome::Slow,
            Err(setback) if self.is_fenced(&setback) => CommitOutcome::Fenced(setback.failure.text),
            Err(setback) if setback.failure.code == codes::INCOMPLETE => CommitOutcome::Refused(setback.failure.text),
            Err(setback) => CommitOutcome::Unknown(setback.failure.text),
        };
        self.is_careful &= !matches!(outcome, CommitOutcome::Slow);
        self.turn(match outcome {
            CommitOutcome::Clean => TransactionState::Ready,
            // It can be aborted still, which frees its readers sooner.
            CommitOutcome::Refused(_) => return outcome,
            _ => TransactionState::Spent,
        });
        outcome
    }

    pub(super) fn abort(&mut self, limit: Duration) {
        if !self.has_transaction() {
            return;
        }
        let aborted = again_until(limit, |left| self.handle.abort_transaction(left));
        if let Err(setback) = aborted {
            tracing::debug!(why = setback.failure.text, "an abort is left to the next producer");
        }
        self.handle.poll(Duration::ZERO);
        self.handle.reports().undelivered = None;
        self.turn(TransactionState::Spent);
    }

    pub(super) fn reinitialise(&mut self, limit: Duration) -> Result<()> {
        let Some(transactions) = &self.transactions else {
            return Ok(());
        };
        if transactions.state != TransactionState::New {
            self.renew()?;
            self.turn(TransactionState::New);
        }
        kill::point("in-reinitialise");
        self.initialise(limit)
    }

    /// `TimedOut`: not now. librdkafka goes on with it, and so does the next call.
    fn initialise(&mut self, limit: Duration) -> Result<()> {
        if self.transactions.is_none() {
            return Ok(());
        }
        let initialised = again_until(limit, |left| self.handle.init_transactions(left));
        self.handle.poll(Duration::ZERO);
        match initialised {
            Ok(()) => {
                self.turn(TransactionState::Ready);
                Ok(())
            }
            Err(setback) => {
                if !setback.is_retriable {
                    self.turn(TransactionState::Spent);
                }
                Err(self.not_initialised(&setback))
            }
        }
    }

    fn turn(&mut self, state: TransactionState) {
        if let Some(transactions) = &mut self.transactions {
            transactions.state = state;
        }
    }

    /// Whether somebody else took over. An epoch that is too old says so, but for a transaction that was too old: the
    /// broker raises its epoch too.
    fn is_fenced(&self, setback: &Setback) -> bool {
        is_old_epoch(setback.failure.code) && !self.may_have_expired()
    }

    fn may_have_expired(&self) -> bool {
        self.transactions
            .as_ref()
            .is_some_and(ProducerTransactions::may_have_expired)
    }

    /// What follows from a record that was not delivered: a record that cannot be delivered ever is final; what was
    /// lost with its transaction is not.
    pub(super) fn kind_of_loss(&self, code: i32, fatal: Option<i32>) -> Kind {
        match fatal {
            _ if self.transactions.is_none() || is_final(code) => Kind::Kafka,
            Some(fatal) if is_final(fatal) => Kind::Kafka,
            Some(fatal) if is_old_epoch(fatal) && !self.may_have_expired() => Kind::Fenced,
            _ => Kind::TimedOut,
        }
    }

    /// Why librdkafka gave the transaction up, if it did: an attempt to begin another one, which is refused while one
    /// is open, says so.
    pub(super) fn cause_of_loss(&self) -> Option<Failure> {
        if !self.has_transaction() {
            return None;
        }
        let refused = self.handle.begin_transaction().err()?;
        (refused.failure.code != codes::WRONG_STATE).then_some(refused.failure)
    }

    fn lost(&self, what: &str, setback: &Setback) -> Error {
        let Setback { failure, .. } = setback;
        let kind = self.kind_of_loss(failure.code, Some(failure.code));
        Error::new(
            kind,
            format!("failed to {what} with Kafka at `{}`", self.brokers),
            &*failure.text,
        )
    }

    fn not_initialised(&self, setback: &Setback) -> Error {
        let Setback {
            failure, is_retriable, ..
        } = setback;
        let id = self.transactions.as_ref().map_or("", |transactions| &transactions.id);
        let open = format!("failed to open transactions as `{id}` with Kafka at `{}`", self.brokers);
        let refused = |hint: String| Error::new(Kind::Kafka, &*open, &*failure.text).hint(hint);
        match failure.code {
            codes::TRANSACTIONAL_ID_NOT_ALLOWED => refused(format!(
                "grant DESCRIBE and WRITE on the transactional id `{id}` to this user"
            )),
            codes::CLUSTER_NOT_ALLOWED => {
                refused("before Kafka 2.8 this user needs IDEMPOTENT_WRITE on the cluster".to_owned())
            }
            codes::BAD_TRANSACTION_TIMEOUT => refused(
                "raise the brokers' `transaction.max.timeout.ms`, or shorten the interval of the checkpoints"
                    .to_owned(),
            ),
            codes::UNSUPPORTED => {
                refused("set delivery = \"at-least-once\": this cluster has no transactions".to_owned())
            }
            code if is_old_epoch(code) && !is_retriable => {
                Error::new(Kind::Fenced, open, "another process uses the transactional id")
                    .hint("give each process an instance id of its own")
            }
            _ => Error::new(Kind::TimedOut, open, &*failure.text),
        }
    }
}

/// Calls again while librdkafka asks for it, until the limit.
fn again_until(limit: Duration, call: impl Fn(Duration) -> Result<(), Setback>) -> Result<(), Setback> {
    let deadline = clock::now() + limit;
    loop {
        let left = deadline.saturating_duration_since(clock::now());
        match call(left) {
            Err(setback) if setback.is_retriable && clock::now() + AGAIN < deadline => std::thread::sleep(AGAIN),
            outcome => return outcome,
        }
    }
}

fn list(offsets: &[Committable]) -> Result<TopicPartitionList> {
    partition_list::positions(offsets)
        .map_err(|error| Error::new(Kind::Bug, "failed to list the positions", error.to_string()))
}

fn is_old_epoch(code: i32) -> bool {
    matches!(code, codes::FENCED | codes::PRODUCER_FENCED | codes::OLD_EPOCH)
}

fn not_begun(error: &Error) -> OffsetsSent {
    let text = error.to_string();
    match error.kind {
        Kind::Fenced => OffsetsSent::Fenced(text),
        Kind::TimedOut => OffsetsSent::Stale(text),
        _ => OffsetsSent::Refused(text),
    }
}

/// Whether this user may not do it.
fn is_denied(code: i32) -> bool {
    matches!(
        code,
        codes::GROUP_NOT_ALLOWED
            | codes::INVALID_GROUP
            | codes::TOPIC_NOT_ALLOWED
            | codes::CLUSTER_NOT_ALLOWED
            | codes::TRANSACTIONAL_ID_NOT_ALLOWED
    )
}

/// Whether it is a matter of time: a rebalance, a coordinator that moves, a cluster that is away.
fn is_passing(code: i32) -> bool {
    matches!(
        code,
        codes::ILLEGAL_GENERATION | codes::UNKNOWN_MEMBER | codes::REBALANCING
    ) || errors::passes(code)
}

/// Whether the same record, or the same producer, would fail in the same way again.
fn is_final(code: i32) -> bool {
    matches!(
        code,
        codes::QUEUE_FULL
            | codes::UNKNOWN_TOPIC
            | codes::UNKNOWN_TOPIC_LOCALLY
            | codes::UNKNOWN_PARTITION
            | codes::INVALID_TOPIC
            | codes::TOO_LARGE
            | codes::BAD_TIMESTAMP
            | codes::BAD_RECORD
            | codes::UNKNOWN_COMPRESSION
            | codes::OLD_FORMAT
            | codes::AGAINST_POLICY
            | codes::TOPIC_NOT_ALLOWED
            | codes::CLUSTER_NOT_ALLOWED
            | codes::TRANSACTIONAL_ID_NOT_ALLOWED
    )
}
