//! Lists in RocksDB: frames are appended blindly, and merged when they are read or compacted. So how long a list is
//! shows in its merges alone.
//!
//! Always: a read takes no more memory than it was allowed, beside the blocks of RocksDB's cache. A list that a merge
//! found to be too long is noted, so that nothing more is appended to it: RocksDB merges a list in memory, and holds 4
//! GiB at most.

use rocksdb::{DB, DBPinnableSlice, MergeOperands};
use std::cell::Cell;
use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bytes of a list, at most, as far as its merges tell: what was appended since the last one may come on top.
pub const LIST_BYTES: usize = 256 << 20;

thread_local! {
    /// What a merge of this thread may come to. In the background it has to come to whatever it is.
    static MOST: Cell<usize> = const { Cell::new(usize::MAX) };
    static WAS_MORE: Cell<bool> = const { Cell::new(false) };
}

#[cfg(test)]
thread_local! {
    /// Bytes that merges of this thread allocated.
    pub(super) static MERGED: Cell<usize> = const { Cell::new(0) };
}

/// What reading a list's frames came to.
pub(super) enum Read<'a> {
    /// They are here, if there are any.
    Frames(Option<DBPinnableSlice<'a>>),
    /// They have more bytes than was allowed.
    TooLong,
}

/// The frames under a key, unless they have more than `most` bytes.
pub(super) fn read<'a>(db: &'a DB, key: &[u8], most: usize) -> Result<Read<'a>, rocksdb::Error> {
    MOST.set(most);
    WAS_MORE.set(false);
    let found = db.get_pinned(key);
    MOST.set(usize::MAX);
    match found {
        Err(_) if WAS_MORE.get() => Ok(Read::TooLong),
        Ok(Some(frames)) if frames.len() > most => Ok(Read::TooLong),
        found => found.map(Read::Frames),
    }
}

/// The lists of a task that are too long.
#[derive(Clone, Default)]
pub(super) struct TooLong {
    inner: Arc<Noted>,
}

#[derive(Default)]
struct Noted {
    /// Read without the lock: nearly always there are none.
    count: AtomicUsize,
    keys: Mutex<HashSet<Box<[u8]>>>,
}

impl TooLong {
    /// The merge of lists: frames behind frames.
    pub(super) fn merge(&self, key: &[u8], had: Option<&[u8]>, operands: &MergeOperands) -> Option<Vec<u8>> {
        let length = had.map_or(0, <[u8]>::len) + operands.iter().map(<[u8]>::len).sum::<usize>();
        if length > LIST_BYTES {
            self.note(key);
        }
        if length > MOST.get() {
            WAS_MORE.set(true);
            return None;
        }
        #[cfg(test)]
        MERGED.with(|merged| merged.set(merged.get() + length));
        let mut all = Vec::with_capacity(length);
        all.extend_from_slice(had.unwrap_or_default());
        for operand in operands {
            all.extend_from_slice(operand);
        }
        Some(all)
    }

    /// Whether there is any.
    pub(super) fn is_empty(&self) -> bool {
        self.inner.count.load(Ordering::Relaxed) == 0
    }

    pub(super) fn has(&self, key: &[u8]) -> bool {
        !self.is_empty() && self.keys().contains(key)
    }

    pub(super) fn note(&self, key: &[u8]) {
        let mut keys = self.keys();
        keys.insert(key.into());
        self.inner.count.store(keys.len(), Ordering::Relaxed);
    }

    /// The list under a key, or all that begin so, is gone.
    pub(super) fn forget(&self, prefix: &[u8], is_one: bool) {
        if self.is_empty() {
            return;
        }
        let mut keys = self.keys();
        keys.retain(|key| {
            if is_one {
                **key != *prefix
            } else {
                !key.starts_with(prefix)
            }
        });
        self.inner.count.store(keys.len(), Ordering::Relaxed);
    }

    fn keys(&self) -> MutexGuard<'_, HashSet<Box<[u8]>>> {
        self.inner.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
