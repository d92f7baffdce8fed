//! What a partition knows of transactions: which are open in it, and which were aborted. Always what a walk through its
//! log would give.

use super::batch::{BatchHeader, TransactionEnd};
use std::collections::BTreeMap;

/// The transactions of one partition.
#[derive(Debug, Default)]
pub(in crate::broker) struct OpenTransactions {
    /// The first offset of each open one, by producer.
    open: BTreeMap<i64, i64>,
    /// In the order of their markers.
    aborted: Vec<Aborted>,
}

/// A transaction that was aborted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::broker) struct Aborted {
    pub producer_id: i64,
    /// Offset of its first record.
    pub first: i64,
    /// Offset of its marker.
    last: i64,
    /// Where the stable part ended after it: whatever is aborted later begins there or behind.
    stable_end: i64,
}

impl OpenTransactions {
    /// Takes a written batch into account; `outcome` is what it says if it is a marker.
    pub(in crate::broker) fn note(&mut self, batch: &BatchHeader, outcome: Option<TransactionEnd>) {
        let Some(outcome) = outcome else {
            if batch.is_transactional() {
                self.open.entry(batch.producer_id).or_insert(batch.base_offset);
            }
            return;
        };
        // A marker for a producer that wrote nothing here ends nothing.
        if let (Some(first), TransactionEnd::Abort) = (self.open.remove(&batch.producer_id), outcome) {
            self.aborted.push(Aborted {
                producer_id: batch.producer_id,
                first,
                last: batch.base_offset,
                stable_end: self.first_open().unwrap_or(batch.base_offset + 1),
            });
        }
    }

    /// Whether a producer's transaction is open here.
    pub(in crate::broker) fn is_open(&self, producer_id: i64) -> bool {
        self.open.contains_key(&producer_id)
    }

    /// Offset of the first record that is not decided.
    pub(in crate::broker) fn first_open(&self) -> Option<i64> {
        self.open.values().min().copied()
    }

    /// The aborted transactions that have records in `from..to`.
    pub(in crate::broker) fn aborted(&self, from: i64, to: i64) -> Vec<Aborted> {
        let begin = self.aborted.partition_point(|aborted| aborted.last < from);
        let mut found = Vec::new();
        for aborted in &self.aborted[begin..] {
            if aborted.first < to {
                found.push(*aborted);
            }
            if aborted.stable_end >= to {
                break;
            }
        }
        found
    }

    /// Forgets what no reader can reach any more.
    pub(in crate::broker) fn delete_before(&mut self, offset: i64) {
        self.aborted.retain(|aborted| aborted.last >= offset);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(producer_id: i64, base_offset: i64) -> BatchHeader {
        BatchHeader {
            base_offset,
            size: 100,
            magic: 2,
            crc: 0,
            attributes: 0x10,
            last_offset_delta: 0,
            base_timestamp: 0,
            max_timestamp: 0,
            producer_id,
            producer_epoch: 0,
            base_sequence: 0,
            count: 1,
        }
    }

    /// Producer 1 writes at 0 and 3 and aborts at 5, producer 2 writes at 1 and aborts at 2, producer 3 writes at 4 and
    /// commits at 6.
    fn interleaved() -> OpenTransactions {
        let mut transactions = OpenTransactions::default();
        for (producer, offset, outcome) in [
            (1, 0, None),
            (2, 1, None),
            (2, 2, Some(TransactionEnd::Abort)),
            (1, 3, None),
            (3, 4, None),
            (1, 5, Some(TransactionEnd::Abort)),
            (3, 6, Some(TransactionEnd::Commit)),
        ] {
            transactions.note(&batch(producer, offset), outcome);
        }
        transactions
    }

    #[test]
    fn a_reader_is_told_of_the_aborted_transactions_in_its_range_only() {
        let transactions = interleaved();
        let producers = |from, to| -> Vec<(i64, i64)> {
            let found = transactions.aborted(from, to);
            found
                .iter()
                .map(|aborted| (aborted.producer_id, aborted.first))
                .collect()
        };
        assert_eq!(producers(0, 7), [(2, 1), (1, 0)]);
        assert_eq!(producers(0, 1), [(1, 0)]);
        assert_eq!(producers(3, 7), [(1, 0)]);
        assert_eq!(producers(6, 7), []);
    }

    #[test]
    fn the_oldest_open_transaction_bounds_the_stable_part() {
        let mut transactions = OpenTransactions::default();
        transactions.note(&batch(1, 3), None);
        transactions.note(&batch(2, 4), None);
        transactions.note(&batch(1, 5), None);
        assert_eq!(transactions.first_open(), Some(3));
        transactions.note(&batch(1, 6), Some(TransactionEnd::Commit));
        assert_eq!(transactions.first_open(), Some(4));
        transactions.note(&batch(2, 7), Some(TransactionEnd::Abort));
        assert_eq!(transactions.first_open(), None);
    }

    #[test]
    fn what_lies_before_the_beginning_is_forgotten() {
        let mut transactions = interleaved();
        transactions.delete_before(3);
        assert_eq!(transactions.aborted(0, 7).len(), 1);
    }
}
