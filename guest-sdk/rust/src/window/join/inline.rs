//! The records of a key as long as they are few: within its value, which travels with the batch. Nobody is asked for
//! them.

use postcard::ser_flavors::Size;
use serde::{Deserialize, Serialize};

use super::rows::{JoinItem, JoinRow, RowKey, Side};
use crate::{Refusal, fail};

/// More bytes are too many: the whole value is read and written for each record of its key.
const MOST_BYTES: usize = 2 << 10;

/// In the order of their keys.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct InlineRows<L, R> {
    /// What they take, as postcard writes them.
    bytes: usize,
    rows: Vec<(RowKey, JoinRow<L, R>)>,
}

impl<L: JoinItem, R: JoinItem> InlineRows<L, R> {
    pub(super) fn are_too_many(&self) -> bool {
        self.bytes > MOST_BYTES
    }

    /// Takes a record in, or one that has changed.
    pub(super) fn put(&mut self, key: RowKey, row: JoinRow<L, R>) -> Result<(), Refusal> {
        self.delete(key)?;
        self.bytes += size(key, &row)?;
        let at = self.rows.partition_point(|(other, _)| *other < key);
        self.rows.insert(at, (key, row));
        Ok(())
    }

    pub(super) fn delete(&mut self, key: RowKey) -> Result<(), Refusal> {
        if let Ok(at) = self.rows.binary_search_by_key(&key, |(other, _)| *other) {
            let (_, row) = self.rows.remove(at);
            self.bytes = self.bytes.saturating_sub(size(key, &row)?);
        }
        Ok(())
    }

    /// Those of a side from this time on, and whatever lies behind them.
    pub(super) fn scan(&self, side: Side, from: i64) -> impl Iterator<Item = (RowKey, JoinRow<L, R>)> {
        let from = self
            .rows
            .partition_point(|(key, _)| (key.side, key.time) < (side, from));
        self.rows[from..].iter().cloned()
    }

    /// All of them: none is left.
    pub(super) fn take(&mut self) -> Vec<(RowKey, JoinRow<L, R>)> {
        std::mem::take(self).rows
    }
}

fn size<L: JoinItem, R: JoinItem>(key: RowKey, row: &JoinRow<L, R>) -> Result<usize, Refusal> {
    let size = postcard::serialize_with_flavor(&(key, row), Size::default());
    size.map_err(|error| fail(format!("a join cannot write what it is to keep of a record: {error}")))
}

impl<L, R> Default for InlineRows<L, R> {
    fn default() -> Self {
        Self {
            bytes: 0,
            rows: Vec::new(),
        }
    }
}
