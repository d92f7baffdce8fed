//! What a call changes in the state: checked as a whole, then applied in order.

use super::column::check_column;
use super::declared::Declared;
use super::keys::entry;
use super::returned::Changes;
use crate::error::Error;
use crate::plugin::limits::{KEY_BYTES, VALUE_BYTES, size};
use crate::plugin::load::StoreKind;
use crate::record::Column;
use crate::state::{LIST_BYTES, TaskState};

/// The interface's `change-kind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::plugin) enum ChangeKind {
    Put,
    Delete,
    Append,
    Clear,
}

const PUT: u8 = ChangeKind::Put as u8;
const DELETE: u8 = ChangeKind::Delete as u8;
const APPEND: u8 = ChangeKind::Append as u8;
const CLEAR: u8 = ChangeKind::Clear as u8;

impl Changes {
    /// Adds a change behind the others.
    pub(in crate::plugin) fn push(
        &mut self,
        store: u8,
        kind: ChangeKind,
        key: u32,
        user_key: Option<&[u8]>,
        value: Option<&[u8]>,
    ) {
        self.store.push(store);
        self.kind.push(kind as u8);
        self.key.push(key);
        self.user_key.push(user_key);
        self.value.push(value);
    }
}

/// Whether changes may be what a call whose batch has these keys asks for. The error completes "returned an outcome
/// that …".
pub(super) fn check(given: &Changes, keys: &Column, stores: &[Declared]) -> Result<(), String> {
    let count = given.store.len();
    for (name, length) in [
        ("kinds", given.kind.len()),
        ("keys", given.key.len()),
        ("user keys", given.user_key.ends.len()),
        ("values", given.value.ends.len()),
    ] {
        if length != count {
            return Err(format!("has {count} changes, but {length} {name} of changes"));
        }
    }
    if count > 0 && stores.is_empty() {
        return Err("changes state, but the plugin declares no store".to_owned());
    }
    check_column("user key", &given.user_key)?;
    check_column("changed value", &given.value)?;
    let (mut user_keys, mut values) = (Entries::of(&given.user_key), Entries::of(&given.value));
    for at in 0..count {
        let change = Change {
            store: declared(given.store[at], stores)?,
            kind: given.kind[at],
            user_key: user_keys.next(&given.user_key),
            value: values.next(&given.value),
        };
        change.check()?;
        change.check_key(given.key[at], keys)?;
    }
    Ok(())
}

/// Applies checked changes in their order.
pub(in crate::plugin) fn apply(given: &Changes, keys: &Column, stores: &[Declared], state: &mut TaskState) {
    let (mut user_keys, mut values) = (Entries::of(&given.user_key), Entries::of(&given.value));
    for at in 0..given.store.len() {
        let store = &stores[usize::from(given.store[at])];
        let key = entry(keys, given.key[at]);
        let user_key = user_keys.next(&given.user_key);
        let value = values.next(&given.value).unwrap_or_default();
        match (given.kind[at], user_key) {
            (PUT, None) => state.put_looked_up(store.id, given.key[at] as usize, key, value),
            (PUT, Some(user_key)) => state.put_entry(store.id, key, user_key, value),
            (DELETE, None) => state.delete(store.id, key),
            (DELETE, Some(user_key)) => state.delete_entry(store.id, key, user_key),
            (APPEND, _) => state.append(store.id, key, value),
            _ if store.kind == StoreKind::Map => state.clear_map(store.id, key),
            _ => state.clear_list(store.id, key),
        }
    }
}

/// Whether the lists that checked changes append to may grow still. The error completes "returned an outcome that …".
pub(in crate::plugin) fn check_lists(
    given: &Changes,
    keys: &Column,
    stores: &[Declared],
    state: &mut TaskState,
) -> Result<Result<(), String>, Error> {
    if !state.has_too_long() {
        return Ok(Ok(()));
    }
    for (at, _) in given.kind.iter().enumerate().filter(|(_, kind)| **kind == APPEND) {
        let store = &stores[usize::from(given.store[at])];
        if state.is_too_long(store.id, entry(keys, given.key[at]))? {
            let why = format!(
                "appends to store `{}` under a key whose list has {} and more, the most that a list may have",
                store.name,
                size(LIST_BYTES as u64)
            );
            return Ok(Err(why));
        }
    }
    Ok(Ok(()))
}

fn declared(store: u8, stores: &[Declared]) -> Result<&Declared, String> {
    let declared = stores.len();
    stores
        .get(usize::from(store))
        .ok_or_else(|| format!("changes store {store}, but the plugin declares {declared}"))
}

/// One change, without its key.
struct Change<'a> {
    store: &'a Declared,
    kind: u8,
    user_key: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
}

impl Change<'_> {
    fn check(&self) -> Result<(), String> {
        let Declared { name, kind, .. } = self.store;
        let (verb, takes_user_key, takes_value) = match (kind, self.kind) {
            (StoreKind::Value, PUT) => ("puts into", false, true),
            (StoreKind::Value, DELETE) => ("deletes from", false, false),
            (StoreKind::List, APPEND) => ("appends to", false, true),
            (StoreKind::List | StoreKind::Map, CLEAR) => ("clears", false, false),
            (StoreKind::Map, PUT) => ("puts into", true, true),
            (StoreKind::Map, DELETE) => ("deletes from", true, false),
            (_, PUT | DELETE | APPEND | CLEAR) => {
                let does = ["puts into", "deletes from", "appends to", "clears"][usize::from(self.kind)];
                return Err(format!("{does} store `{name}`, which a {kind} store does not know"));
            }
            (_, unknown) => return Err(format!("has a change of kind {unknown} of store `{name}`")),
        };
        match (self.value, takes_value) {
            (None, true) => return Err(format!("{verb} store `{name}` without a value")),
            (Some(_), false) => return Err(format!("{verb} store `{name}` with a value")),
            (Some(value), true) if value.len() > VALUE_BYTES => {
                return Err(format!(
                    "{verb} store `{name}` a value of {} bytes; {VALUE_BYTES} are the most",
                    value.len()
                ));
            }
            _ => {}
        }
        match (self.user_key, takes_user_key) {
            (None, true) => Err(format!("{verb} store `{name}` without a user key")),
            (Some(_), false) => Err(format!("{verb} store `{name}` with a user key")),
            (Some(key), true) if key.len() > KEY_BYTES => Err(format!(
                "{verb} store `{name}` under a user key of {} bytes; {KEY_BYTES} are the most",
                key.len()
            )),
            _ => Ok(()),
        }
    }

    fn check_key(&self, key: u32, keys: &Column) -> Result<(), String> {
        let name = &self.store.name;
        if key as usize >= keys.len() {
            return Err(format!("changes store `{name}` under key {key} of {}", keys.len()));
        }
        let bytes = entry(keys, key).len();
        if bytes > KEY_BYTES {
            return Err(format!(
                "changes store `{name}` under a key of {bytes} bytes; {KEY_BYTES} are the most"
            ));
        }
        Ok(())
    }
}

/// Goes through a checked column once.
struct Entries<'a> {
    start: usize,
    at: usize,
    absent: std::iter::Peekable<std::slice::Iter<'a, u32>>,
}

impl<'a> Entries<'a> {
    fn of(column: &'a Column) -> Self {
        Self {
            start: 0,
            at: 0,
            absent: column.absent.iter().peekable(),
        }
    }

    /// The next entry of the column that it was made of.
    fn next(&mut self, column: &'a Column) -> Option<&'a [u8]> {
        let end = column.ends[self.at] as usize;
        let entry = &column.bytes[self.start..end];
        let gone = self.absent.next_if(|&&next| next as usize == self.at).is_some();
        (self.start, self.at) = (end, self.at + 1);
        (!gone).then_some(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::store_id;

    type Row<'a> = (u8, u8, u32, Option<&'a [u8]>, Option<&'a [u8]>);

    fn stores() -> Vec<Declared> {
        let store = |name: &str, kind| Declared {
            id: store_id("op", name),
            name: name.to_owned(),
            kind,
        };
        vec![
            store("one", StoreKind::Value),
            store("many", StoreKind::List),
            store("by", StoreKind::Map),
        ]
    }

    fn changes(rows: &[Row]) -> Changes {
        let (mut user_key, mut value) = (Column::default(), Column::default());
        for row in rows {
            user_key.push(row.3);
            value.push(row.4);
        }
        Changes {
            store: rows.iter().map(|row| row.0).collect(),
            kind: rows.iter().map(|row| row.1).collect(),
            key: rows.iter().map(|row| row.2).collect(),
            user_key,
            value,
        }
    }

    fn checked(row: Row) -> Result<(), String> {
        let long = vec![b'k'; KEY_BYTES + 1];
        let mut keys = Column::default();
        keys.push(Some(b"a"));
        keys.push(Some(&long));
        check(&changes(&[(0, PUT, 0, None, Some(b"honest")), row]), &keys, &stores())
    }

    const NO: Option<&[u8]> = None;
    const YES: Option<&[u8]> = Some(b"");

    #[test]
    fn every_store_takes_what_it_knows() {
        for row in [
            (0, PUT, 0, NO, YES),
            (0, DELETE, 0, NO, NO),
            (1, APPEND, 0, NO, YES),
            (1, CLEAR, 0, NO, NO),
            (2, PUT, 0, YES, YES),
            (2, DELETE, 0, YES, NO),
            (2, CLEAR, 0, NO, NO),
        ] {
            assert_eq!(checked(row), Ok(()));
        }
    }

    #[test]
    fn every_lie_about_state_has_its_own_sentence() {
        let large = vec![0; VALUE_BYTES + 1];
        let long = vec![0; KEY_BYTES + 1];
        for (row, sentence) in [
            ((3, PUT, 0, NO, YES), "changes store 3, but the plugin declares 3"),
            ((0, 4, 0, NO, YES), "has a change of kind 4 of store `one`"),
            (
                (0, APPEND, 0, NO, YES),
                "appends to store `one`, which a value store does not know",
            ),
            (
                (0, CLEAR, 0, NO, NO),
                "clears store `one`, which a value store does not know",
            ),
            (
                (1, PUT, 0, NO, YES),
                "puts into store `many`, which a list store does not know",
            ),
            (
                (2, APPEND, 0, YES, YES),
                "appends to store `by`, which a map store does not know",
            ),
            ((0, PUT, 0, NO, NO), "puts into store `one` without a value"),
            ((1, APPEND, 0, NO, NO), "appends to store `many` without a value"),
            ((0, DELETE, 0, NO, YES), "deletes from store `one` with a value"),
            ((0, PUT, 0, YES, YES), "puts into store `one` with a user key"),
            ((2, PUT, 0, NO, YES), "puts into store `by` without a user key"),
            ((2, CLEAR, 0, YES, NO), "clears store `by` with a user key"),
            ((0, PUT, 2, NO, YES), "changes store `one` under key 2 of 2"),
            (
                (0, PUT, u32::MAX, NO, YES),
                "changes store `one` under key 4294967295 of 2",
            ),
            (
                (0, PUT, 1, NO, YES),
                "changes store `one` under a key of 4097 bytes; 4096 are the most",
            ),
            (
                (2, PUT, 0, Some(&long), YES),
                "puts into store `by` under a user key of 4097 bytes; 4096 are the most",
            ),
            (
                (1, APPEND, 0, NO, Some(&large)),
                "appends to store `many` a value of 1048577 bytes; 1048576 are the most",
            ),
        ] {
            assert_eq!(checked(row).unwrap_err(), sentence);
        }
    }

    #[test]
    fn columns_of_changes_are_equally_long_and_whole() {
        let keys = Column::default();
        for spoil in [
            (|given| given.kind.clear()) as fn(&mut Changes),
            |given| given.key.clear(),
            |given| given.user_key.ends.clear(),
            |given| given.value.ends.push(0),
            |given| given.store.push(0),
        ] {
            let mut given = changes(&[(0, DELETE, 0, None, None)]);
            spoil(&mut given);
            assert!(check(&given, &keys, &stores()).unwrap_err().contains("of changes"));
        }
        let mut given = changes(&[(0, PUT, 0, None, Some(b"v"))]);
        given.value.bytes.clear();
        assert!(check(&given, &keys, &stores()).unwrap_err().contains("changed value"));
        let given = changes(&[(0, PUT, 0, None, Some(b"v"))]);
        assert_eq!(
            check(&given, &keys, &[]).unwrap_err(),
            "changes state, but the plugin declares no store"
        );
    }
}
