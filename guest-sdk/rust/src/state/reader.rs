//! What is asked of the host: state that does not travel with the batch, as it stood before the call.

use crate::Column;
#[cfg(all(target_family = "wasm", not(feature = "record-processor")))]
use crate::bindings::sandbar::plugin::state_reader as host;
#[cfg(all(target_family = "wasm", feature = "record-processor"))]
use crate::glue::record_reader as host;
#[cfg(not(target_family = "wasm"))]
use crate::testing::served as host;

/// Entries of a page: the host gives no more.
const PAGE: u32 = 1000;
/// Entries of a first page; each one behind it is so many times as long. Most scans want few.
const FIRST_PAGE: u32 = 32;
const PAGE_GROWS: u32 = 4;

/// The values of a map store's entries under one key, one for each of their own keys.
pub(super) fn get_many(store: u8, key: &[u8], asked: Column) -> Column {
    host::get_many(store, key, &asked.into()).into()
}

/// The items of a list store under one key.
pub(super) fn items(store: u8, key: &[u8]) -> Column {
    host::items(store, key).into()
}

/// A page of a map store's entries, and the pages behind it.
#[derive(Debug)]
pub(super) struct Page {
    keys: Column,
    values: Column,
    at: usize,
    more: bool,
    /// What the first page begins behind, if not with the first entry.
    after: Option<Vec<u8>>,
    /// Entries of the next page.
    limit: u32,
}

impl Page {
    /// Before the first page, which begins behind `after`; there is none unless `more`.
    pub(super) fn first(more: bool, after: Option<Vec<u8>>) -> Self {
        Self {
            keys: Column::default(),
            values: Column::default(),
            at: 0,
            more,
            after,
            limit: FIRST_PAGE,
        }
    }

    /// Fetches the next page if this one is used up.
    pub(super) fn fill(&mut self, store: u8, key: &[u8], prefix: &[u8]) {
        if self.at < self.keys.len() || !self.more {
            return;
        }
        let last = self.keys.len().checked_sub(1).and_then(|last| self.keys.get(last));
        let after = last.or(self.after.as_deref());
        let page = host::scan(store, key, prefix, after, self.limit);
        (self.keys, self.values) = (page.user_key.into(), page.value.into());
        (self.at, self.more) = (0, page.more);
        self.limit = (self.limit * PAGE_GROWS).min(PAGE);
    }

    /// The next entry: its own key and its value.
    pub(super) fn peek(&self) -> Option<(&[u8], &[u8])> {
        if self.at >= self.keys.len() {
            return None;
        }
        Some((self.keys.get(self.at)?, self.values.get(self.at)?))
    }

    pub(super) fn step(&mut self) {
        self.at += 1;
    }
}
