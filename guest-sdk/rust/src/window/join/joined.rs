//! A join as a plugin has it: a field, declared with its stores.

use super::rows::{JoinItem, JoinRow, Rows, Side};
use super::spec::{How, Join};
use super::turn::{JoinTurn, Pair, Put};
use super::{as_of, interval, windows};
use crate::{Event, Fired, Keyed, Refusal, Stores, Timer, dead_letter, fail};

/// Joins records of two inputs, of which it keeps an `L` and an `R`. A field of the plugin, declared by
/// [`Stores::joined`], and opened in [`Plugin::open`](crate::Plugin::open).
#[derive(Debug)]
pub struct Joined<L: JoinItem, R: JoinItem> {
    join: Option<Join>,
    rows: Rows<L, R>,
}

impl<P: 'static> Stores<P> {
    /// Declares a join: a value store and a timer of event time of this name, and a map store of the name `rows`, which
    /// takes the records of a key if they are many.
    pub fn joined<L: JoinItem, R: JoinItem>(
        &mut self,
        name: &'static str,
        rows: &'static str,
        field: fn(&mut P) -> &mut Joined<L, R>,
    ) {
        self.add_part(name, field, |joined| &mut joined.rows.known);
        self.add_part(rows, field, |joined| &mut joined.rows.entries);
        self.add_timer(name, field, |joined| -> &mut Timer { &mut joined.rows.timer });
    }
}

impl<L: JoinItem, R: JoinItem> Joined<L, R> {
    /// Says which records are partners.
    ///
    /// # Errors
    /// There can be no such join.
    pub fn open(&mut self, join: Join) -> Result<(), Refusal> {
        self.join = Some(join.checked()?);
        Ok(())
    }

    /// A record of the left input comes; `put` takes what is to be put out at once. False: it is late.
    ///
    /// # Errors
    /// A record without a key, or one whose time is beyond all windows, is a dead letter; and whatever `put` refuses.
    pub fn left(
        &mut self,
        event: &Event,
        item: L,
        put: impl FnMut(&Pair<L, R>) -> Result<(), Refusal>,
    ) -> Result<bool, Refusal> {
        let row = JoinRow {
            left: Some(item),
            right: None,
            is_matched: false,
        };
        self.add(event, Side::Left, row, put)
    }

    /// A record of the right input comes; `put` takes what is to be put out at once. `None` takes back what the table
    /// says, or ends what was valid before. False: it is late.
    ///
    /// # Errors
    /// As [`Joined::left`]. `None` is a dead letter if there is nothing to take back.
    pub fn right(
        &mut self,
        event: &Event,
        item: Option<R>,
        put: impl FnMut(&Pair<L, R>) -> Result<(), Refusal>,
    ) -> Result<bool, Refusal> {
        let row = JoinRow {
            left: None,
            right: item,
            is_matched: false,
        };
        self.add(event, Side::Right, row, put)
    }

    fn add(
        &mut self,
        event: &Event,
        side: Side,
        row: JoinRow<L, R>,
        mut put: impl FnMut(&Pair<L, R>) -> Result<(), Refusal>,
    ) -> Result<bool, Refusal> {
        let join = opened(&self.join)?;
        let mut turn = JoinTurn::begin(&mut self.rows, event, join.kind, event.watermark())?;
        let of = (side, event.timestamp());
        let is_in_time = match &join.how {
            How::Table if side == Side::Left => {
                look_up(&turn, of.1, &row, &mut put)?;
                return Ok(true);
            }
            How::Table => {
                turn.known.latest = row.right.map(|item| (of.1, item));
                true
            }
            How::AsOf => as_of::add(&mut turn, of, row)?,
            How::Within(_) | How::Windows(_) if row.left.is_none() && row.right.is_none() => {
                return Err(dead_letter("the value is null"));
            }
            How::Within(bounds) => interval::add(&mut turn, *bounds, of, row, &mut put)?,
            How::Windows(windows) => windows::add(&mut turn, windows, of, row)?,
        };
        if is_in_time {
            let next = next(join, &turn);
            turn.end(next)?;
        }
        Ok(is_in_time)
    }

    /// What the time of a timer makes of the records that are kept; `put` takes what is to be put out, and leaves a
    /// pair out by `skip`. Nothing happens if it is another one's timer.
    ///
    /// # Errors
    /// What else `put` refuses. State that cannot be read stops the pipeline.
    pub fn fire(
        &mut self,
        fired: &Fired,
        mut put: impl FnMut(&Pair<L, R>) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        if !fired.is(&self.rows.timer) {
            return Ok(());
        }
        let join = opened(&self.join)?;
        let mut turn = JoinTurn::begin(&mut self.rows, fired, join.kind, fired.at())?;
        let mut put = |pair: &Pair<L, R>| match put(pair) {
            Err(Refusal::Skip(_)) => Ok(()),
            answer => answer,
        };
        match &join.how {
            How::Within(bounds) => interval::reach(&mut turn, *bounds, &mut put)?,
            How::Windows(windows) => windows::reach(&mut turn, windows, &mut put)?,
            How::AsOf => as_of::reach(&mut turn, &mut put)?,
            How::Table => {}
        }
        let next = next(join, &turn);
        turn.end(next)
    }
}

fn opened(join: &Option<Join>) -> Result<&Join, Refusal> {
    join.as_ref().ok_or_else(|| fail("a join was not opened"))
}

/// The moment at which something becomes of what is kept.
fn next<K: Keyed, L: JoinItem, R: JoinItem>(join: &Join, turn: &JoinTurn<'_, K, L, R>) -> Option<i64> {
    match &join.how {
        How::Within(bounds) => interval::next(turn, *bounds),
        How::Windows(windows) => windows::next(turn, windows),
        How::AsOf => as_of::next(turn),
        How::Table => None,
    }
}

/// A record and the latest row of the table.
fn look_up<K: Keyed, L: JoinItem, R: JoinItem>(
    turn: &JoinTurn<'_, K, L, R>,
    time: i64,
    row: &JoinRow<L, R>,
    put: Put<'_, L, R>,
) -> Result<(), Refusal> {
    match &turn.known.latest {
        Some((since, right)) => put(&Pair {
            right: Some(right),
            ..row.pair(time.max(*since), None)
        }),
        None if turn.kind.keeps(Side::Left) => put(&row.pair(time, None)),
        None => Ok(()),
    }
}

impl<L: JoinItem, R: JoinItem> Default for Joined<L, R> {
    fn default() -> Self {
        Self {
            join: None,
            rows: Rows::default(),
        }
    }
}
