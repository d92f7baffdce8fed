//! What is kept: the records of each key, and what is known of a key without looking at them.
//!
//! Always: the records of a key are all within its value; or each is an entry of its own, as soon as they were too many
//! and until none is left.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::inline::InlineRows;
use crate::{Map, MapKey, Timer, Value};

/// What a join may keep of a record.
pub trait JoinItem: Clone + Serialize + DeserializeOwned + 'static {}

impl<T: Clone + Serialize + DeserializeOwned + 'static> JoinItem for T {}

/// One of the two inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Side {
    Left,
    Right,
}

impl Side {
    pub(super) fn other(self) -> Self {
        match self {
            Self::Left => Self::Right,
            Self::Right => Self::Left,
        }
    }
}

/// The stores of a join, and its timer.
#[derive(Debug)]
pub(super) struct Rows<L: JoinItem, R: JoinItem> {
    pub(super) known: Value<KeyRows<L, R>>,
    pub(super) entries: Map<RowKey, JoinRow<L, R>>,
    pub(super) timer: Timer,
}

/// By what a record is found. A side's records lie in the order of their times, then of their arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct RowKey {
    pub(super) side: Side,
    pub(super) time: i64,
    pub(super) arrival: u64,
}

/// A record that is kept: it has what its side has, or nothing if it ends what was valid before it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct JoinRow<L, R> {
    pub(super) left: Option<L>,
    pub(super) right: Option<R>,
    /// It came out with a partner; only kept up to date if that makes a difference.
    pub(super) is_matched: bool,
}

/// What is known of a key. It travels with the batch.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct KeyRows<L, R> {
    /// The number of the next arrival.
    pub(super) arrivals: u64,
    pub(super) timer: Option<i64>,
    pub(super) left: Extent,
    pub(super) right: Extent,
    /// Open sessions, [start, end), in the order of time.
    pub(super) sessions: Vec<(i64, i64)>,
    /// The oldest version of the right input that event time has not reached.
    pub(super) next_version: Option<i64>,
    /// The row of a table: its time, and what it says.
    pub(super) latest: Option<(i64, R)>,
    /// The records, unless they are entries.
    pub(super) inline: InlineRows<L, R>,
    pub(super) are_entries: bool,
}

/// How many records of a side are kept, and the time of the oldest.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(super) struct Extent {
    pub(super) rows: u64,
    first: i64,
}

impl Extent {
    pub(super) fn first(self) -> Option<i64> {
        (self.rows > 0).then_some(self.first)
    }

    pub(super) fn add(&mut self, time: i64) {
        self.first = self.first().map_or(time, |first| first.min(time));
        self.rows += 1;
    }

    /// So many are gone, and `first` is the oldest of the others.
    pub(super) fn drop_rows(&mut self, rows: usize, first: Option<i64>) {
        self.rows = match first {
            Some(_) => self.rows.saturating_sub(rows as u64),
            None => 0,
        };
        self.first = first.unwrap_or_default();
    }
}

impl<L, R> KeyRows<L, R> {
    pub(super) fn extent(&mut self, side: Side) -> &mut Extent {
        match side {
            Side::Left => &mut self.left,
            Side::Right => &mut self.right,
        }
    }

    pub(super) fn has_rows(&self) -> bool {
        self.left.rows > 0 || self.right.rows > 0
    }
}

impl RowKey {
    /// What the keys of a side begin with.
    pub(super) fn side_bytes(side: Side) -> [u8; 1] {
        match side {
            Side::Left => [b'l'],
            Side::Right => [b'r'],
        }
    }

    /// Bytes that lie right before the keys of this time and side.
    pub(super) fn before(side: Side, time: i64) -> Vec<u8> {
        let mut bytes = Self::side_bytes(side).to_vec();
        i64::write(&time, &mut bytes);
        bytes
    }
}

impl MapKey for RowKey {
    type Borrowed = Self;

    fn write(key: &Self, into: &mut Vec<u8>) {
        into.extend_from_slice(&Self::before(key.side, key.time));
        u64::write(&key.arrival, into);
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (side, bytes) = bytes.split_first()?;
        let (time, arrival) = bytes.split_at_checked(size_of::<i64>())?;
        Some(Self {
            side: match side {
                b'l' => Side::Left,
                b'r' => Side::Right,
                _ => return None,
            },
            time: i64::read(time)?,
            arrival: u64::read(arrival)?,
        })
    }
}

impl<L, R> Default for KeyRows<L, R> {
    fn default() -> Self {
        Self {
            arrivals: 0,
            timer: None,
            left: Extent::default(),
            right: Extent::default(),
            sessions: Vec::new(),
            next_version: None,
            latest: None,
            inline: InlineRows::default(),
            are_entries: false,
        }
    }
}

impl<L: JoinItem, R: JoinItem> Default for Rows<L, R> {
    fn default() -> Self {
        Self {
            known: Value::default(),
            entries: Map::default(),
            timer: Timer::default(),
        }
    }
}
