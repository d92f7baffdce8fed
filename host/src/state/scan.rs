//! Entries of a map in order: what is applied and what the overlay changed, merged.

use super::keys;
use super::overlay::{Known, Overlay};
use crate::record::Column;
use rocksdb::{DB, DBRawIterator, ReadOptions};
use std::cmp::Ordering;
use std::ops::Bound;

/// Which entries of a map are meant: those that begin with a prefix and stand behind a key.
pub(super) struct EntryRange {
    prefix: Vec<u8>,
    from: Bound<Vec<u8>>,
}

impl EntryRange {
    /// Of the map whose entries begin with `map`: those whose user key begins with `prefix` and stands behind `after`.
    pub(super) fn new(map: &[u8], prefix: &[u8], after: Option<&[u8]>) -> Self {
        let prefix = [map, prefix].concat();
        let from = match after.map(|after| [map, after].concat()) {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix.clone()),
        };
        Self { prefix, from }
    }

    /// Of the map whose entries begin with `map`: those from the user key `from` on.
    pub(super) fn from(map: &[u8], from: &[u8]) -> Self {
        Self {
            prefix: map.to_vec(),
            from: Bound::Included([map, from].concat()),
        }
    }

    /// Those that are applied, from the first.
    pub(super) fn applied<'a>(&self, db: &'a DB) -> DBRawIterator<'a> {
        let mut options = ReadOptions::default();
        if let Some(behind) = keys::behind(&self.prefix) {
            options.set_iterate_upper_bound(behind);
        }
        let mut entries = db.raw_iterator_opt(options);
        let (Bound::Included(from) | Bound::Excluded(from)) = &self.from else {
            return entries;
        };
        entries.seek(from);
        if matches!(self.from, Bound::Excluded(_)) && entries.key() == Some(from) {
            entries.next();
        }
        entries
    }

    /// Those that the overlay knows, from the first.
    pub(super) fn changed<'a>(&'a self, overlay: &'a Overlay) -> impl Iterator<Item = (&'a [u8], Known<'a>)> {
        overlay.ordered(&self.prefix, self.from.as_ref().map(Vec::as_slice))
    }
}

/// Of the last key that is applied and begins with `prefix`, what stands behind that.
pub(super) fn last_applied(db: &DB, prefix: &[u8]) -> Result<Option<Box<[u8]>>, rocksdb::Error> {
    let mut options = ReadOptions::default();
    options.set_iterate_lower_bound(prefix);
    if let Some(behind) = keys::behind(prefix) {
        options.set_iterate_upper_bound(behind);
    }
    let mut entries = db.raw_iterator_opt(options);
    entries.seek_to_last();
    let last = entries.key().and_then(|key| key.strip_prefix(prefix)).map(Box::from);
    entries.status().map(|()| last)
}

/// How much of a scan is wanted. The first entry comes however long it is.
#[derive(Debug, Clone, Copy)]
pub struct Most {
    /// So many entries.
    pub entries: usize,
    /// So many bytes of their keys and values.
    pub bytes: usize,
}

/// Fills the columns with so much; what is changed hides what is applied. User keys begin at `at`. True: there are
/// more.
pub(super) fn merged<'a>(
    mut applied: Option<DBRawIterator<'_>>,
    changed: impl Iterator<Item = (&'a [u8], Known<'a>)>,
    at: usize,
    most: Most,
    (user_keys, values): (&mut Column, &mut Column),
) -> Result<bool, rocksdb::Error> {
    user_keys.clear();
    values.clear();
    let mut changed = changed.peekable();
    loop {
        let old = applied.as_ref().and_then(DBRawIterator::item);
        let new = changed.peek().copied();
        let order = match (old, new) {
            (None, None) => return applied.map_or(Ok(false), |applied| applied.status().map(|()| false)),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some((old, _)), Some((new, _))) => old.cmp(new),
        };
        let entry = match (order, old, new) {
            (Ordering::Less, Some(old), _) => Some(old),
            (_, _, Some((key, Known::Value(value)))) => Some((key, value)),
            _ => None,
        };
        if let Some((key, value)) = entry {
            let bytes = user_keys.bytes.len() + values.bytes.len() + key.len() - at + value.len();
            if user_keys.len() >= most.entries || !user_keys.is_empty() && bytes > most.bytes {
                return Ok(true);
            }
            user_keys.push(Some(&key[at..]));
            values.push(Some(value));
        }
        if order.is_le()
            && let Some(applied) = &mut applied
        {
            applied.next();
        }
        if order.is_ge() {
            changed.next();
        }
    }
}
