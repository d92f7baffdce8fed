//! Partners that lie in one window: all of them come out when it closes.
//!
//! A record is kept once, however many windows it lies in. Which windows there are follows from the records' times;
//! only sessions are kept, since they grow and merge.

use super::rows::{JoinItem, JoinRow, Side};
use super::turn::{JoinTurn, Pair, Put};
use crate::window::{Windows, closed_at};
use crate::{Keyed, Refusal};

/// A record comes. False: all its windows are closed.
pub(super) fn add<K: Keyed, L: JoinItem, R: JoinItem>(
    turn: &mut JoinTurn<'_, K, L, R>,
    windows: &Windows,
    (side, time): (Side, i64),
    row: JoinRow<L, R>,
) -> Result<bool, Refusal> {
    let mut last = windows.of(time, 0)?.last_end();
    let sessions = &mut turn.known.sessions;
    if windows.session_gap().is_some() {
        let touches = |(start, end): &(i64, i64)| *start <= last && *end >= time;
        let from = sessions.partition_point(|session| session.1 < time);
        let touched = sessions[from..].iter().take_while(|session| touches(session)).count();
        let touched = from..from + touched;
        let start = sessions[touched.clone()]
            .first()
            .map_or(time, |first| first.0.min(time));
        last = sessions[touched.clone()]
            .last()
            .map_or(last, |newest| newest.1.max(last));
        if closed_at(last) > turn.now {
            sessions.splice(touched, [(start, last)]);
        }
    }
    if closed_at(last) <= turn.now {
        return Ok(false);
    }
    turn.add(side, time, row)?;
    Ok(true)
}

/// Event time reaches the moment of a timer: windows close, and records that lie in none any more are given up.
pub(super) fn reach<K: Keyed, L: JoinItem, R: JoinItem>(
    turn: &mut JoinTurn<'_, K, L, R>,
    windows: &Windows,
    put: Put<'_, L, R>,
) -> Result<(), Refusal> {
    let now = turn.now;
    if windows.session_gap().is_some() {
        let closed = turn.known.sessions.partition_point(|(_, end)| closed_at(*end) <= now);
        let closed: Vec<(i64, i64)> = turn.known.sessions.drain(..closed).collect();
        for &session in &closed {
            close(turn, session, put)?;
        }
        let newest = closed.last().map_or(i64::MIN, |(_, end)| closed_at(*end));
        return give_up(turn, |time| time <= newest);
    }
    // Only one window has its last moment now.
    let closes = windows.of(now, 0).ok().and_then(|mut row| row.next());
    if let Some(window) = closes.filter(|(_, end)| closed_at(*end) == now) {
        close(turn, window, put)?;
    }
    give_up(turn, |time| {
        windows.of(time, 0).is_ok_and(|row| closed_at(row.last_end()) <= now)
    })
}

fn give_up<K: Keyed, L: JoinItem, R: JoinItem>(
    turn: &mut JoinTurn<'_, K, L, R>,
    is_due: impl Fn(i64) -> bool,
) -> Result<(), Refusal> {
    turn.give_up(Side::Left, &is_due, |_, _| Ok(()))?;
    turn.give_up(Side::Right, &is_due, |_, _| Ok(()))
}

/// Puts out what lies in a window: each record of the left input with each of the right one, or alone.
fn close<K: Keyed, L: JoinItem, R: JoinItem>(
    turn: &mut JoinTurn<'_, K, L, R>,
    (start, end): (i64, i64),
    put: Put<'_, L, R>,
) -> Result<(), Refusal> {
    let window = Some((start, end));
    let rights: Vec<_> = turn
        .scan(Side::Right, start, closed_at(end))?
        .collect::<Result<_, _>>()?;
    let mut is_alone = true;
    for left in turn.scan(Side::Left, start, closed_at(end))? {
        let (key, row) = left?;
        is_alone = false;
        for (partner_key, partner) in &rights {
            let (left, right) = row.with(Side::Left, partner);
            let time = key.time.max(partner_key.time);
            put(&Pair {
                left,
                right,
                time,
                window,
            })?;
        }
        if rights.is_empty() && turn.kind.keeps(Side::Left) {
            put(&row.pair(key.time, window))?;
        }
    }
    if is_alone && turn.kind.keeps(Side::Right) {
        for (key, row) in &rights {
            put(&row.pair(key.time, window))?;
        }
    }
    Ok(())
}

/// The moment at which a window closes next.
pub(super) fn next<K: Keyed, L: JoinItem, R: JoinItem>(turn: &JoinTurn<'_, K, L, R>, windows: &Windows) -> Option<i64> {
    if windows.session_gap().is_some() {
        return turn.known.sessions.first().map(|(_, end)| closed_at(*end));
    }
    // Of an older record no window ends later than the same one of a newer record.
    let left = turn.known.left.first();
    let first = left.into_iter().chain(turn.known.right.first()).min()?;
    let row = windows.of(first, 0).ok()?;
    let open = row.map(|(_, end)| closed_at(end)).find(|closed| *closed > turn.now);
    Some(open.unwrap_or(closed_at(row.last_end())))
}
