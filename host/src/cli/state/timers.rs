//! `sandbar state timers`: the timers of an operator, as of the last commit.

use serde_json::{Map, Value, json};

use crate::cli::output::{Head, Output, TextTable};
use crate::error::{Error, Kind, Result};
use crate::plugin::TimerClock;
use crate::plugin::shown::{put, readable};
use crate::record::Column;
use crate::state::{KeptTimer, StoreId, View};

/// Timers that are read at once.
const PAGE: usize = 1000;

/// A timer that is set.
struct SetTimer {
    task: String,
    clock: TimerClock,
    at: i64,
    name: String,
    key: Vec<u8>,
}

/// Prints the timers of these clocks' stores: those of `key`, or all, at most `limit`.
pub(super) fn show(
    views: &[View],
    operator: &str,
    clocks: &[(TimerClock, StoreId)],
    key: Option<&[u8]>,
    limit: usize,
    out: &Output,
) -> Result<()> {
    if clocks.is_empty() {
        let what = format!("operator `{operator}` has no timers");
        return Err(Error::new(Kind::Usage, what, "its plugin declares none"));
    }
    let mut found = Vec::new();
    for view in views {
        for (clock, store) in clocks {
            read(view, *clock, *store, key, limit, &mut found)?;
        }
    }
    let mut table = TextTable::new(&[
        Head::Text("task"),
        Head::Text("due"),
        Head::Text("clock"),
        Head::Text("timer"),
        Head::Text("key"),
    ]);
    for timer in &found {
        table.row([
            timer.task.clone(),
            moment(timer.at),
            timer.clock.as_str().to_owned(),
            timer.name.clone(),
            readable(&timer.key),
        ]);
    }
    out.rows(&found.iter().map(as_json).collect(), &table)
}

fn read(
    view: &View,
    clock: TimerClock,
    store: StoreId,
    key: Option<&[u8]>,
    limit: usize,
    found: &mut Vec<SetTimer>,
) -> Result<()> {
    let (mut user_keys, mut values) = (Column::default(), Column::default());
    let (mut after, mut more): (Option<Vec<u8>>, bool) = (None, true);
    while more && found.len() < limit {
        more = view.entries(store, &[], after.as_deref(), PAGE, (&mut user_keys, &mut values))?;
        for user_key in user_keys.iter().flatten() {
            after = Some(user_key.to_vec());
            let Some(timer) = KeptTimer::read(user_key) else {
                continue;
            };
            if key.is_none_or(|key| timer.key == key) && found.len() < limit {
                found.push(SetTimer {
                    task: view.task().to_owned(),
                    clock,
                    at: timer.at,
                    name: timer.name.to_owned(),
                    key: timer.key.to_vec(),
                });
            }
        }
    }
    Ok(())
}

/// As a date if it is one.
fn moment(at: i64) -> String {
    jiff::Timestamp::from_millisecond(at).map_or_else(|_| at.to_string(), |at| at.to_string())
}

fn as_json(timer: &SetTimer) -> Value {
    let mut object = Map::new();
    object.insert("task".to_owned(), json!(timer.task));
    object.insert("at".to_owned(), json!(timer.at));
    object.insert("clock".to_owned(), json!(timer.clock.as_str()));
    object.insert("timer".to_owned(), json!(timer.name));
    put(&mut object, "key", &timer.key);
    Value::Object(object)
}
