//! What a guest may read of the state during a call, beside the values that travel: every argument is checked, every
//! answer has a limit.

use std::sync::Arc;

use super::column::check_column;
use super::declared::Declared;
use super::portion::Portion;
use crate::error::Error;
use crate::plugin::limits::{KEY_BYTES, PAGE_BYTES, PAGE_ENTRIES, size};
use crate::plugin::load::StoreKind;
use crate::record::Column;
use crate::state::{Most, StoreId, TaskState};

/// A column counts its bytes in 32 bits: an answer stays below that, whatever a guest may have of memory.
const ANSWER_BYTES: usize = 3 << 30;

/// Entries of a map store, in the order of their user keys.
pub(in crate::plugin) struct Page {
    pub(in crate::plugin) user_keys: Column,
    pub(in crate::plugin) values: Column,
    /// There is more behind them.
    pub(in crate::plugin) more: bool,
}

/// The state during a call. Between calls it has none.
pub(in crate::plugin) struct StateReader {
    pub(in crate::plugin) state: Option<TaskState>,
    stores: Arc<[Declared]>,
    /// Bytes that an answer may have: what the guest's memory cannot hold it cannot read.
    most: usize,
    /// Why the state could not be read: the host's trouble, not the guest's fault.
    failed: Option<Error>,
}

impl StateReader {
    /// Reads these stores, at most so many bytes at once.
    pub(in crate::plugin) fn new(stores: Arc<[Declared]>, most: usize) -> Self {
        Self {
            state: None,
            stores,
            most: most.min(ANSWER_BYTES),
            failed: None,
        }
    }

    /// Why the state could not be read in the last call.
    pub(in crate::plugin) fn take_failure(&mut self) -> Option<Error> {
        self.failed.take()
    }

    /// A value for each user key of a map store. The error, here and below, is a sentence about the guest.
    pub(in crate::plugin) fn get_many(&mut self, store: u8, key: &[u8], asked: Column) -> Result<Column, String> {
        let id = self.store(store, StoreKind::Map, key)?;
        check_column("user key", &asked).map_err(|why| format!("it asked for a column that {why}"))?;
        let (mut found, mut part, mut values) = (Column::default(), Column::default(), Column::default());
        let (mut from, mut portion) = (0, Portion::new());
        while from < asked.len() {
            let to = asked.len().min(from + portion.next(self.most - found.bytes.len()));
            part.clear();
            (from..to).for_each(|at| part.push(asked.get(at)));
            self.read(|state| state.entries(id, key, &part, &mut values))?;
            portion.learn(values.len(), values.bytes.len());
            found.append(&values);
            self.fits(found.bytes.len() <= self.most)?;
            from = to;
        }
        Ok(found)
    }

    /// A page of a map store, in order of user keys.
    pub(in crate::plugin) fn scan(
        &mut self,
        store: u8,
        key: &[u8],
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: u32,
    ) -> Result<Page, String> {
        let id = self.store(store, StoreKind::Map, key)?;
        if limit == 0 {
            return Err("it asked for a page of no entries".to_owned());
        }
        let most = Most {
            entries: (limit as usize).min(PAGE_ENTRIES),
            bytes: PAGE_BYTES,
        };
        let (mut user_keys, mut values) = (Column::default(), Column::default());
        let more = self.read(|state| state.scan(id, key, prefix, after, most, &mut user_keys, &mut values))?;
        Ok(Page {
            user_keys,
            values,
            more,
        })
    }

    /// The items of a list store.
    pub(in crate::plugin) fn items(&mut self, store: u8, key: &[u8]) -> Result<Column, String> {
        let id = self.store(store, StoreKind::List, key)?;
        let (mut items, most) = (Column::default(), self.most);
        let fits = self.read(|state| state.items(id, key, most, &mut items))?;
        self.fits(fits)?;
        Ok(items)
    }

    fn store(&self, store: u8, kind: StoreKind, key: &[u8]) -> Result<StoreId, String> {
        let declared = self.stores.len();
        let Some(store) = self.stores.get(usize::from(store)) else {
            return Err(format!("it read store {store}, but declares {declared}"));
        };
        let Declared { name, kind: is, .. } = store;
        if *is != kind {
            return Err(format!("it read store `{name}` as a {kind} store; it is a {is} store"));
        }
        if key.len() > KEY_BYTES {
            let bytes = key.len();
            return Err(format!(
                "it read store `{name}` under a key of {bytes} bytes; {KEY_BYTES} are the most"
            ));
        }
        Ok(store.id)
    }

    fn read<T>(&mut self, read: impl FnOnce(&mut TaskState) -> crate::error::Result<T>) -> Result<T, String> {
        let state = self.state.as_mut().ok_or("it read state outside of a call")?;
        read(state).map_err(|error| {
            let text = error.to_string();
            self.failed = Some(error);
            text
        })
    }

    fn fits(&self, fits: bool) -> Result<(), String> {
        if fits {
            return Ok(());
        }
        Err(format!(
            "it read more at once than its memory of {} holds",
            size(self.most as u64)
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::load::StoreKind;
    use crate::state::{StateDirectory, store_id};

    /// A reader of the map store `by`, whose entries under `k` are `0000`, `0001`, … of so many bytes each.
    fn reader(entries: usize, bytes: usize) -> (StateReader, StateDirectory, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let home = StateDirectory::open(folder.path(), 1 << 20).unwrap();
        let mut state = home.task("views/0").unwrap();
        let id = store_id("op", "by");
        for at in 0..entries {
            state.put_entry(id, b"k", format!("{at:04}").as_bytes(), &vec![b'v'; bytes]);
        }
        let store = Declared {
            id,
            name: "by".to_owned(),
            kind: StoreKind::Map,
        };
        let mut reader = StateReader::new(Arc::new([store]), 8 << 20);
        reader.state = Some(state);
        (reader, home, folder)
    }

    fn asked(count: usize) -> Column {
        let mut column = Column::default();
        (0..count).for_each(|at| column.push(Some(format!("{at:04}").as_bytes())));
        column
    }

    #[test]
    fn a_page_ends_at_its_entries_or_its_bytes_and_says_that_there_is_more() {
        for (entries, bytes, limit, page) in [
            (1200, 1, 5000, 1000),
            (1200, 1, 7, 7),
            (1000, 1, 1000, 1000),
            (100, 100 << 10, 1000, 10),
            (3, 1 << 20, 1000, 1),
            (0, 0, 1000, 0),
        ] {
            let (mut reader, _home, _folder) = reader(entries, bytes);
            let given = reader.scan(0, b"k", b"", None, limit).unwrap();
            assert_eq!(
                (given.user_keys.len(), given.more),
                (page, page < entries),
                "{entries} of {bytes} bytes"
            );
            assert!(given.values.bytes.len() <= PAGE_BYTES);
        }
    }

    #[test]
    fn pages_follow_each_other_without_a_hole() {
        let (mut reader, _home, _folder) = reader(100, 100 << 10);
        let (mut seen, mut last) = (Vec::new(), None);
        loop {
            let page = reader.scan(0, b"k", b"00", last.as_deref(), 1000).unwrap();
            seen.extend(page.user_keys.iter().map(|key| key.unwrap().to_vec()));
            last = seen.last().cloned();
            if !page.more {
                break;
            }
        }
        let all: Vec<_> = (0..100).map(|at| format!("{at:04}").into_bytes()).collect();
        assert_eq!(seen, all);
    }

    #[test]
    fn many_entries_are_answered_in_order_and_too_much_at_once_is_not() {
        let (mut few, _home, _folder) = reader(100, 10);
        let found = few.get_many(0, b"k", asked(150)).unwrap();
        assert_eq!(found.ends.len(), 150);
        assert_eq!(found.absent, (100..150).collect::<Vec<_>>());
        let (mut large, _home, _folder) = reader(9, 1 << 20);
        assert!(large.get_many(0, b"k", asked(8)).is_ok());
        let why = large.get_many(0, b"k", asked(9)).unwrap_err();
        assert_eq!(why, "it read more at once than its memory of 8MiB holds");
        assert_eq!(large.take_failure(), None);
    }

    #[test]
    fn a_list_that_the_guests_memory_cannot_hold_is_not_read() {
        let (mut reader, _home, _folder) = reader(0, 0);
        let id = store_id("op", "list");
        reader.stores = Arc::new([Declared {
            id,
            name: "list".to_owned(),
            kind: StoreKind::List,
        }]);
        let state = reader.state.as_mut().unwrap();
        (0..8).for_each(|_| state.append(id, b"k", &vec![b'v'; (1 << 20) - 4]));
        assert_eq!(reader.items(0, b"k").unwrap().ends.len(), 8);
        reader.state.as_mut().unwrap().append(id, b"k", b"");
        assert_eq!(
            reader.items(0, b"k").unwrap_err(),
            "it read more at once than its memory of 8MiB holds"
        );
        assert_eq!(reader.take_failure(), None, "no trouble of the host's");
    }

    #[test]
    fn nothing_is_read_between_calls() {
        let (mut reader, _home, _folder) = reader(1, 1);
        reader.state = None;
        assert_eq!(
            reader.get_many(0, b"k", asked(1)).unwrap_err(),
            "it read state outside of a call"
        );
    }
}
