//! The records of a key while a record, or a moment of event time, is at work on them.

use super::rows::{JoinItem, JoinRow, KeyRows, RowKey, Rows, Side};
use super::spec::JoinKind;
use crate::{Keyed, Refusal};

/// Records that are partners, or one that has none.
#[derive(Debug)]
pub struct Pair<'a, L, R> {
    /// What the left input has; `None`: no partner.
    pub left: Option<&'a L>,
    /// What the right input has; `None`: no partner.
    pub right: Option<&'a R>,
    /// The later of their two times, in milliseconds since 1970.
    pub time: i64,
    /// The window that they lie in, its first moment and the one behind its last, if they were joined by windows.
    pub window: Option<(i64, i64)>,
}

/// Takes what is put out.
pub(super) type Put<'a, L, R> = &'a mut dyn FnMut(&Pair<L, R>) -> Result<(), Refusal>;

/// A record that was looked up, or why it cannot be read.
type Scanned<L, R> = Result<(RowKey, JoinRow<L, R>), Refusal>;

/// Works on what is kept of one key.
pub(super) struct JoinTurn<'a, K, L: JoinItem, R: JoinItem> {
    rows: &'a mut Rows<L, R>,
    of: &'a K,
    pub(super) known: KeyRows<L, R>,
    pub(super) kind: JoinKind,
    /// Event time as it stands, or the time that a timer was set to.
    pub(super) now: i64,
}

impl<'a, K: Keyed, L: JoinItem, R: JoinItem> JoinTurn<'a, K, L, R> {
    pub(super) fn begin(rows: &'a mut Rows<L, R>, of: &'a K, kind: JoinKind, now: i64) -> Result<Self, Refusal> {
        let known = rows.known.get(of)?.unwrap_or_default();
        Ok(Self {
            rows,
            of,
            known,
            kind,
            now,
        })
    }

    /// Keeps a record.
    pub(super) fn add(&mut self, side: Side, time: i64, row: JoinRow<L, R>) -> Result<(), Refusal> {
        let arrival = self.known.arrivals;
        self.known.arrivals += 1;
        self.known.extent(side).add(time);
        self.put(RowKey { side, time, arrival }, row)
    }

    /// Keeps a record, or what became of one.
    pub(super) fn put(&mut self, key: RowKey, row: JoinRow<L, R>) -> Result<(), Refusal> {
        if self.known.are_entries {
            return self.rows.entries.put(self.of, &key, &row);
        }
        self.known.inline.put(key, row)?;
        if self.known.inline.are_too_many() {
            self.known.are_entries = true;
            for (key, row) in self.known.inline.take() {
                self.rows.entries.put(self.of, &key, &row)?;
            }
        }
        Ok(())
    }

    /// The records of a side from one time to another, both inclusive, in their order.
    pub(super) fn scan(
        &self,
        side: Side,
        from: i64,
        until: i64,
    ) -> Result<impl Iterator<Item = Scanned<L, R>>, Refusal> {
        let rows: Box<dyn Iterator<Item = Scanned<L, R>>> = match self.known.are_entries {
            true => {
                let (side, before) = (RowKey::side_bytes(side), RowKey::before(side, from));
                Box::new(self.rows.entries.scan_after(self.of, &side, Some(&before))?)
            }
            false => Box::new(self.known.inline.scan(side, from).map(Ok)),
        };
        let is_within = move |key: &RowKey| key.side == side && key.time <= until;
        Ok(rows.take_while(move |row| row.as_ref().map_or(true, |(key, _)| is_within(key))))
    }

    /// Gives up the oldest records of a side for which `is_due` says so of their time. `gone` gets each of them, and
    /// says whether it is to stay nevertheless.
    pub(super) fn give_up(
        &mut self,
        side: Side,
        is_due: impl Fn(i64) -> bool,
        mut gone: impl FnMut(i64, JoinRow<L, R>) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        let Some(first) = self.known.extent(side).first().filter(|first| is_due(*first)) else {
            return Ok(());
        };
        let (mut keys, mut next) = (Vec::new(), None);
        for row in self.scan(side, first, i64::MAX)? {
            let (key, row) = row?;
            if !is_due(key.time) {
                next = Some(key.time);
                break;
            }
            gone(key.time, row)?;
            keys.push(key);
        }
        self.delete(side, &keys, next)
    }

    /// Takes these records of a side away; `first` is the oldest of the others.
    pub(super) fn delete(&mut self, side: Side, keys: &[RowKey], first: Option<i64>) -> Result<(), Refusal> {
        for key in keys {
            match self.known.are_entries {
                true => self.rows.entries.delete(self.of, key)?,
                false => self.known.inline.delete(*key)?,
            }
        }
        self.known.extent(side).drop_rows(keys.len(), first);
        Ok(())
    }

    /// The turn ends: `next` is the moment at which something becomes of what is kept. The timer is set to it, or to
    /// one before it.
    pub(super) fn end(mut self, next: Option<i64>) -> Result<(), Refusal> {
        let known = &mut self.known;
        // A timer that is not later has fired, and what came of that was taken back if it is still known.
        let waits = known.timer.filter(|timer| *timer > self.now);
        let wanted = match next {
            Some(next) if waits.is_none_or(|timer| timer > next) => Some(next),
            Some(_) => waits,
            None => None,
        };
        if let Some(timer) = waits.filter(|_| wanted != waits) {
            self.rows.timer.clear(self.of, timer)?;
        }
        if let Some(timer) = wanted.filter(|_| wanted != waits) {
            self.rows.timer.set(self.of, timer)?;
        }
        known.timer = wanted;
        known.are_entries &= known.has_rows();
        match known.has_rows() || known.latest.is_some() {
            true => self.rows.known.set(self.of, &self.known),
            false => self.rows.known.delete(self.of),
        }
    }
}

impl<L, R> JoinRow<L, R> {
    pub(super) fn pair(&self, time: i64, window: Option<(i64, i64)>) -> Pair<'_, L, R> {
        Pair {
            left: self.left.as_ref(),
            right: self.right.as_ref(),
            time,
            window,
        }
    }

    /// This record, of `side`, with a partner of the other one.
    pub(super) fn with<'a>(&'a self, side: Side, partner: &'a Self) -> (Option<&'a L>, Option<&'a R>) {
        match side {
            Side::Left => (self.left.as_ref(), partner.right.as_ref()),
            Side::Right => (partner.left.as_ref(), self.right.as_ref()),
        }
    }
}
