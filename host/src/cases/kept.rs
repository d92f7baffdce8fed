//! What the operators of a case keep in the end, as lines: what `sandbar state scan` prints of it, and the timers.

use super::subject::Subject;
use crate::error::{Error, Kind, Result};
use crate::plugin::shown::{Shown, hex, put};
use crate::plugin::{Store, StoreKind, TimerClock};
use crate::record::Column;
use crate::state::{KeptTimer, StoreId, View, store_id};
use serde_json::{Map, Value, json};

/// Entries that are read at once.
const PAGE: usize = 1000;

/// A store of an operator.
pub(super) struct KeptStore {
    pub(super) id: StoreId,
    pub(super) kind: StoreKind,
    pub(super) clock: Option<TimerClock>,
    /// The operator, if there are several.
    operator: Option<String>,
    name: String,
    shown: Shown,
}

/// The stores of all operators, those of their timers too.
pub(super) fn stores(subject: &Subject) -> Vec<KeptStore> {
    let operators = subject.pipeline().operators.iter().zip(subject.plugins());
    let stores = operators.flat_map(|(operator, plugin)| {
        let said = plugin.state_schemas().iter().map(String::as_str);
        let kept = plugin.description().kept().into_iter();
        let stores = kept.zip(said.chain(std::iter::repeat("")));
        stores.map(|(Store { name, kind, codec, .. }, said)| KeptStore {
            id: store_id(&operator.name, &name),
            kind,
            clock: TimerClock::of_store(&name),
            operator: subject.is_graph().then(|| operator.name.clone()),
            shown: Shown::new(&codec, said),
            name,
        })
    });
    stores.collect()
}

/// Adds the entries of a task's stores that are applied.
pub(super) fn read(view: &View, stores: &[KeptStore], into: &mut Vec<Value>) -> Result<()> {
    for store in stores {
        each_entry(view, store.id, |own, value| {
            into.push(store.line(own, value)?);
            Ok(())
        })?;
    }
    Ok(())
}

/// Calls `each` with the own key and the value of each entry of a store that is applied.
pub(super) fn each_entry(view: &View, store: StoreId, mut each: impl FnMut(&[u8], &[u8]) -> Result<()>) -> Result<()> {
    let (mut keys, mut values) = (Column::default(), Column::default());
    let (mut after, mut more): (Option<Vec<u8>>, bool) = (None, true);
    while more {
        more = view.scan(store, after.as_deref(), PAGE, (&mut keys, &mut values))?;
        for (own, value) in keys.iter().zip(values.iter()) {
            let own = own.unwrap_or_default();
            each(own, value.unwrap_or_default())?;
            after = Some(own.to_vec());
        }
    }
    Ok(())
}

impl KeptStore {
    fn line(&self, own: &[u8], value: &[u8]) -> Result<Value> {
        let mut line = Map::new();
        if let Some(operator) = &self.operator {
            line.insert("operator".to_owned(), json!(operator));
        }
        match (self.clock, self.kind) {
            (Some(clock), _) => {
                let timer = timer_of(own).ok_or_else(|| damaged(&self.name))?;
                line.insert("timer".to_owned(), json!(timer.name));
                line.insert("clock".to_owned(), json!(clock.as_str()));
                line.insert("at".to_owned(), json!(timer.at));
                put(&mut line, "key", timer.key);
                return Ok(Value::Object(line));
            }
            (None, StoreKind::Map) => {
                let (key, user_key) = View::split(own).ok_or_else(|| damaged(&self.name))?;
                line.insert("store".to_owned(), json!(self.name));
                put(&mut line, "key", key);
                put_shown(&mut line, "user-key", self.shown.user_key(user_key), user_key);
                put_shown(&mut line, "value", self.shown.value(value), value);
            }
            (None, kind) => {
                line.insert("store".to_owned(), json!(self.name));
                put(&mut line, "key", own);
                if kind == StoreKind::List {
                    let mut items = Column::default();
                    View::frames(value, &mut items).ok_or_else(|| damaged(&self.name))?;
                    let shown = |item: &[u8]| self.shown.value(item).unwrap_or_else(|| json!({ "hex": hex(item) }));
                    line.insert("items".to_owned(), items.iter().flatten().map(shown).collect());
                } else {
                    put_shown(&mut line, "value", self.shown.value(value), value);
                }
            }
        }
        Ok(Value::Object(line))
    }
}

/// The timer of an entry's own key.
pub(super) fn timer_of(own: &[u8]) -> Option<KeptTimer<'_>> {
    KeptTimer::read(View::split(own)?.1)
}

/// What is told of an entry whose lengths do not agree.
pub(super) fn damaged(store: &str) -> Error {
    Error::new(
        Kind::Corrupt,
        format!("an entry of store `{store}` is damaged"),
        "its lengths do not agree",
    )
}

/// What is known of bytes, or the bytes in hex under a name that says so.
fn put_shown(line: &mut Map<String, Value>, name: &str, shown: Option<Value>, bytes: &[u8]) {
    match shown {
        Some(value) => line.insert(name.to_owned(), value),
        None => line.insert(format!("{name}-hex"), json!(hex(bytes))),
    };
}
