//! The key space moved to another number of tasks: what is kept for a key goes to the task that has the key from now
//! on.

use super::kept::{KeptStore, damaged, each_entry, timer_of};
use super::task::CaseTask;
use crate::error::Result;
use crate::plugin::StoreKind;
use crate::record::Column;
use crate::state::{TaskState, View};

/// The task of a key among so many.
pub(super) fn shard(key: &[u8], tasks: i32) -> i32 {
    let tasks = u32::try_from(tasks).unwrap_or(1).max(1);
    i32::try_from(crc32c::crc32c(key) % tasks).unwrap_or(0)
}

/// Puts what a task keeps into those that take its keys over. `into` are the tasks by their numbers.
pub(super) fn move_keys(from: &View, stores: &[KeptStore], into: &mut [CaseTask]) -> Result<()> {
    let tasks = i32::try_from(into.len()).unwrap_or(1);
    for store in stores {
        each_entry(from, store.id, |own, value| {
            let timer = store.clock.and_then(|_| timer_of(own));
            let split = View::split(own);
            let key = match (&timer, store.kind) {
                (Some(timer), _) => timer.key,
                (None, StoreKind::Map) => split.ok_or_else(|| damaged("of a map"))?.0,
                (None, _) => own,
            };
            let taker = usize::try_from(shard(key, tasks)).ok().and_then(|at| into.get_mut(at));
            if let Some(state) = taker.and_then(|task| task.state.as_mut()) {
                match timer {
                    Some(timer) => state.set_timer(store.id, timer),
                    None => put(state, store, (own, split), value)?,
                }
            }
            Ok(())
        })?;
    }
    into.iter_mut()
        .filter_map(|task| task.state.as_mut())
        .for_each(TaskState::keep);
    Ok(())
}

/// An entry's own key, and for a map the record's key and the user's in it.
type EntryKey<'a> = (&'a [u8], Option<(&'a [u8], &'a [u8])>);

fn put(state: &mut TaskState, store: &KeptStore, (own, split): EntryKey<'_>, value: &[u8]) -> Result<()> {
    match (store.kind, split) {
        (StoreKind::Map, Some((key, user_key))) => state.put_entry(store.id, key, user_key, value),
        (StoreKind::List, _) => {
            let mut items = Column::default();
            View::frames(value, &mut items).ok_or_else(|| damaged("of a list"))?;
            items
                .iter()
                .flatten()
                .for_each(|item| state.append(store.id, own, item));
        }
        _ => state.put(store.id, own, value),
    }
    Ok(())
}
