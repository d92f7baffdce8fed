//! A transactional id: its producer, and the transaction that is open or was last. A state machine that knows no file
//! and no request.

use crate::broker::disk::batch::TransactionEnd;
use crate::broker::disk::position::JournalPosition;
use kafka_protocol::error::ResponseError;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Stands for no epoch.
const NO_EPOCH: i16 = -1;

/// What is known of a transactional id.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub(in crate::broker) struct Transaction {
    /// The id under which the producer's batches lie in the logs.
    pub producer_id: i64,
    /// The producer's epoch; whoever comes with an older one is fenced.
    pub epoch: i16,
    /// The epoch whose producer may still come for this one, as long as no other came: it asked before and lost the
    /// answer, or its transaction was aborted meanwhile. -1 for none.
    pub previous_epoch: i16,
    /// How long a transaction may stay open.
    pub timeout_ms: i32,
    /// How far the transaction is.
    pub phase: TransactionPhase,
    /// When this was last changed, by the wall clock: it has to mean the same after a restart.
    pub changed_ms: i64,
    /// The partitions that the transaction may write to, by topic.
    pub partitions: BTreeMap<String, BTreeSet<i32>>,
    /// The groups whose positions it may commit, and those that it will.
    pub groups: BTreeMap<String, Vec<Pending>>,
}

/// How far a transaction is.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(in crate::broker) enum TransactionPhase {
    /// The producer came and has not begun anything.
    Empty,
    /// It is under way since then.
    Open { since_ms: i64 },
    /// It is decided; its markers and positions are being written.
    Ending { outcome: TransactionEnd },
    /// It is over.
    Ended { outcome: TransactionEnd },
}

/// A position that counts once its transaction is committed.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub(in crate::broker) struct Pending {
    pub topic: String,
    pub partition: i32,
    pub position: JournalPosition,
}

impl Transaction {
    /// The first producer of a transactional id, or one whose predecessor has used up its epochs.
    pub(in crate::broker) fn new(producer_id: i64, timeout_ms: i32, now_ms: i64) -> Self {
        Self {
            producer_id,
            epoch: 0,
            previous_epoch: NO_EPOCH,
            timeout_ms,
            phase: TransactionPhase::Empty,
            changed_ms: now_ms,
            partitions: BTreeMap::new(),
            groups: BTreeMap::new(),
        }
    }

    /// The next epoch. A producer that says which one it is gets the next, or again the one that it got for the
    /// same words; if another came meanwhile it is fenced.
    pub(in crate::broker) fn succeeded(
        &self,
        claimed: Option<i16>,
        timeout_ms: i32,
        now_ms: i64,
    ) -> Result<Self, ResponseError> {
        let (epoch, previous_epoch) = match claimed {
            None => (self.epoch + 1, NO_EPOCH),
            Some(claimed) if claimed == self.epoch => (self.epoch + 1, self.epoch),
            Some(claimed) if claimed == self.previous_epoch => (self.epoch, self.previous_epoch),
            Some(_) => return Err(ResponseError::ProducerFenced),
        };
        Ok(Self {
            epoch,
            previous_epoch,
            ..Self::new(self.producer_id, timeout_ms, now_ms)
        })
    }

    /// Whether there is no next epoch; the last number is kept for fencing.
    pub(in crate::broker) fn is_exhausted(&self) -> bool {
        self.epoch >= i16::MAX - 1
    }

    /// Decided: by its producer, or against it, and then with an epoch that the producer does not have.
    pub(in crate::broker) fn decided(&self, outcome: TransactionEnd, fences: bool, now_ms: i64) -> Self {
        let mut decided = self.clone();
        decided.phase = TransactionPhase::Ending { outcome };
        decided.changed_ms = now_ms;
        if fences {
            decided.epoch = self.epoch.saturating_add(1);
            decided.previous_epoch = self.epoch;
        }
        decided
    }

    /// Over: nothing is left of what it touched.
    pub(in crate::broker) fn ended(&self, outcome: TransactionEnd, now_ms: i64) -> Self {
        Self {
            epoch: self.epoch,
            previous_epoch: self.previous_epoch,
            phase: TransactionPhase::Ended { outcome },
            ..Self::new(self.producer_id, self.timeout_ms, now_ms)
        }
    }

    /// Whether a request comes from the producer that this id belongs to now.
    pub(in crate::broker) fn is_from(&self, producer_id: i64, epoch: i16) -> Result<(), ResponseError> {
        if producer_id != self.producer_id {
            return Err(ResponseError::InvalidProducerIdMapping);
        }
        match epoch == self.epoch {
            true => Ok(()),
            false => Err(ResponseError::ProducerFenced),
        }
    }

    /// The same, open for more; it begins if none is open.
    pub(in crate::broker) fn opened(&self, now_ms: i64) -> Result<Self, ResponseError> {
        let mut opened = self.clone();
        opened.changed_ms = now_ms;
        match self.phase {
            TransactionPhase::Open { .. } => {}
            TransactionPhase::Empty | TransactionPhase::Ended { .. } => {
                opened.phase = TransactionPhase::Open { since_ms: now_ms }
            }
            TransactionPhase::Ending { .. } => return Err(ResponseError::ConcurrentTransactions),
        }
        Ok(opened)
    }

    /// Whether it is open and a partition is in it.
    pub(in crate::broker) fn has_partition(&self, topic: &str, partition: i32) -> bool {
        let in_it = |partitions: &BTreeSet<i32>| partitions.contains(&partition);
        self.is_open() && self.partitions.get(topic).is_some_and(in_it)
    }

    /// Whether it is under way.
    pub(in crate::broker) fn is_open(&self) -> bool {
        matches!(self.phase, TransactionPhase::Open { .. })
    }

    /// Whether it has been open for longer than its producer said.
    pub(in crate::broker) fn is_overdue(&self, now_ms: i64) -> bool {
        let until_ms = |since_ms: i64| since_ms.saturating_add(i64::from(self.timeout_ms));
        matches!(self.phase, TransactionPhase::Open { since_ms } if until_ms(since_ms) < now_ms)
    }

    /// The positions of a group that are not decided yet.
    pub(in crate::broker) fn pending(&self, group: &str) -> &[Pending] {
        self.groups.get(group).map_or(&[], Vec::as_slice)
    }

    /// Takes a position in, in the place of an earlier one for the same partition.
    pub(in crate::broker) fn put(&mut self, group: &str, pending: Pending) {
        let positions = self.groups.entry(group.to_owned()).or_default();
        let is_same = |other: &&mut Pending| other.partition == pending.partition && other.topic == pending.topic;
        match positions.iter_mut().find(is_same) {
            Some(earlier) => *earlier = pending,
            None => positions.push(pending),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_request_for_the_next_epoch_gets_the_same_one() {
        let first = Transaction::new(7, 1000, 0);
        let second = first.succeeded(Some(0), 1000, 0).unwrap();
        assert_eq!(second.epoch, 1);
        assert_eq!(second.succeeded(Some(0), 1000, 0).unwrap().epoch, 1);
        assert_eq!(second.succeeded(Some(1), 1000, 0).unwrap().epoch, 2);
        let other = second.succeeded(None, 1000, 0).unwrap();
        assert_eq!(other.succeeded(Some(1), 1000, 0), Err(ResponseError::ProducerFenced));
    }

    #[test]
    fn an_abort_against_the_producer_fences_it() {
        let open = Transaction::new(7, 1000, 0).opened(5).unwrap();
        assert!(!open.is_overdue(1005));
        assert!(open.is_overdue(1006));
        let aborted = open
            .decided(TransactionEnd::Abort, true, 1006)
            .ended(TransactionEnd::Abort, 1006);
        assert_eq!(aborted.is_from(7, 0), Err(ResponseError::ProducerFenced));
        assert_eq!(
            aborted.succeeded(Some(0), 1000, 0).map(|next| next.epoch),
            Ok(1),
            "it may begin anew"
        );
        let other = aborted.succeeded(None, 1000, 0).unwrap();
        assert_eq!(other.succeeded(Some(0), 1000, 0), Err(ResponseError::ProducerFenced));
    }

    #[test]
    fn the_last_epoch_can_still_be_fenced() {
        let mut open = Transaction::new(7, 1000, 0).opened(5).unwrap();
        open.epoch = i16::MAX - 1;
        assert!(open.is_exhausted());
        assert_eq!(open.decided(TransactionEnd::Abort, true, 6).epoch, i16::MAX);
    }

    #[test]
    fn a_decided_transaction_takes_nothing_more() {
        let decided = Transaction::new(7, 1000, 0).decided(TransactionEnd::Commit, false, 1);
        assert_eq!(decided.opened(2), Err(ResponseError::ConcurrentTransactions));
    }
}
