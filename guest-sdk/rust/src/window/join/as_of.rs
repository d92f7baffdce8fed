//! A record and the version of the right input that was valid at its time.

use super::rows::{JoinItem, JoinRow, Side};
use super::turn::{JoinTurn, Pair, Put};
use crate::{Keyed, Refusal};

/// A record comes, or a version, which is null if it ends the one before. False: it is late.
///
/// A version that event time has passed is not late for that: it is as long as no record can ask for it any more, since
/// a newer one is valid for all that come.
pub(super) fn add<K: Keyed, L: JoinItem, R: JoinItem>(
    turn: &mut JoinTurn<'_, K, L, R>,
    (side, time): (Side, i64),
    row: JoinRow<L, R>,
) -> Result<bool, Refusal> {
    if time <= turn.now {
        let oldest_to_ask = turn.now.saturating_add(1);
        let is_late = match side {
            Side::Left => true,
            Side::Right => {
                let newer = turn.scan(side, time.saturating_add(1), oldest_to_ask)?.next();
                newer.transpose()?.is_some()
            }
        };
        if is_late {
            return Ok(false);
        }
    }
    turn.add(side, time, row)?;
    if side == Side::Right {
        let known = &mut turn.known;
        known.next_version = Some(known.next_version.map_or(time, |next| next.min(time)));
    }
    Ok(true)
}

/// Event time reaches the moment of a timer: records of this time come out, and versions before the one that is valid
/// now are given up.
pub(super) fn reach<K: Keyed, L: JoinItem, R: JoinItem>(
    turn: &mut JoinTurn<'_, K, L, R>,
    put: Put<'_, L, R>,
) -> Result<(), Refusal> {
    let (now, keeps) = (turn.now, turn.kind.keeps(Side::Left));
    let version = valid(turn)?;
    turn.give_up(
        Side::Left,
        |time| time <= now,
        |time, row| {
            let right = version.as_ref().and_then(|version| version.right.as_ref());
            match right.is_some() || keeps {
                true => put(&Pair {
                    left: row.left.as_ref(),
                    right,
                    time,
                    window: None,
                }),
                false => Ok(()),
            }
        },
    )
}

/// The version that is valid now; those before it are given up, and itself too if it is null.
fn valid<K: Keyed, L: JoinItem, R: JoinItem>(
    turn: &mut JoinTurn<'_, K, L, R>,
) -> Result<Option<JoinRow<L, R>>, Refusal> {
    let Some(first) = turn.known.right.first().filter(|first| *first <= turn.now) else {
        return Ok(None);
    };
    let (mut keys, mut valid, mut next) = (Vec::new(), None, None);
    for version in turn.scan(Side::Right, first, i64::MAX)? {
        let (key, version) = version?;
        if key.time > turn.now {
            next = Some(key.time);
            break;
        }
        keys.push(key);
        valid = Some(version);
    }
    let stays = valid.as_ref().is_some_and(|version| version.right.is_some());
    let stays = if stays { keys.pop() } else { None };
    turn.known.next_version = next;
    turn.delete(Side::Right, &keys, stays.map(|key| key.time).or(next))?;
    Ok(valid)
}

/// The moment at which a record comes out or a version becomes valid next.
pub(super) fn next<K: Keyed, L: JoinItem, R: JoinItem>(turn: &JoinTurn<'_, K, L, R>) -> Option<i64> {
    let left = turn.known.left.first();
    left.into_iter().chain(turn.known.next_version).min()
}
