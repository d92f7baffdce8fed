//! Partners that are near in time: they come out at once, and a record is kept for as long as one can come.

use super::rows::{JoinItem, JoinRow, Side};
use super::spec::Bounds;
use super::turn::{JoinTurn, Pair, Put};
use crate::{Keyed, Refusal};

/// A record comes. False: it is late.
pub(super) fn add<K: Keyed, L: JoinItem, R: JoinItem>(
    turn: &mut JoinTurn<'_, K, L, R>,
    bounds: Bounds,
    (side, time): (Side, i64),
    mut row: JoinRow<L, R>,
    put: Put<'_, L, R>,
) -> Result<bool, Refusal> {
    if time <= turn.now {
        return Ok(false);
    }
    let (from, until) = bounds.of(side, time);
    row.is_matched = match_partners(turn, (side, time), (from, until), &row, put)?;
    if until > turn.now {
        turn.add(side, time, row)?;
    } else if turn.kind.keeps(side) && !row.is_matched {
        put(&row.pair(time, None))?;
    }
    Ok(true)
}

/// Puts a record out with each of its partners, whose times lie in these bounds. False: it has none.
fn match_partners<K: Keyed, L: JoinItem, R: JoinItem>(
    turn: &mut JoinTurn<'_, K, L, R>,
    (side, time): (Side, i64),
    (from, until): (i64, i64),
    row: &JoinRow<L, R>,
    put: Put<'_, L, R>,
) -> Result<bool, Refusal> {
    let others = side.other();
    if turn.known.extent(others).rows == 0 {
        return Ok(false);
    }
    let wants_match = turn.kind.keeps(others);
    let (mut is_matched, mut matched) = (false, Vec::new());
    for partner in turn.scan(others, from, until)? {
        let (key, mut partner) = partner?;
        let (left, right) = row.with(side, &partner);
        let time = time.max(key.time);
        put(&Pair {
            left,
            right,
            time,
            window: None,
        })?;
        is_matched = true;
        if wants_match && !partner.is_matched {
            partner.is_matched = true;
            matched.push((key, partner));
        }
    }
    for (key, partner) in matched {
        turn.put(key, partner)?;
    }
    Ok(is_matched)
}

/// Event time reaches the moment of a timer: records for which no partner can come any more are given up.
pub(super) fn reach<K: Keyed, L: JoinItem, R: JoinItem>(
    turn: &mut JoinTurn<'_, K, L, R>,
    bounds: Bounds,
    put: Put<'_, L, R>,
) -> Result<(), Refusal> {
    let now = turn.now;
    for side in [Side::Left, Side::Right] {
        let keeps = turn.kind.keeps(side);
        let is_due = |time| bounds.of(side, time).1 <= now;
        turn.give_up(side, is_due, |time, row| match keeps && !row.is_matched {
            true => put(&row.pair(time, None)),
            false => Ok(()),
        })?;
    }
    Ok(())
}

/// The moment at which a record is given up next.
pub(super) fn next<K: Keyed, L: JoinItem, R: JoinItem>(turn: &JoinTurn<'_, K, L, R>, bounds: Bounds) -> Option<i64> {
    let left = turn.known.left.first().map(|time| bounds.of(Side::Left, time).1);
    let right = turn.known.right.first().map(|time| bounds.of(Side::Right, time).1);
    left.into_iter().chain(right).min()
}
