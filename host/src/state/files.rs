//! The open files that the databases of a process share out.
//!
//! A database keeps its table files open, and never more than it was granted: the more are granted the less is left for
//! the next one. A grant goes back when its database is closed.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// A database is granted one part in so many of what is left: those that come later get less.
const PART: i64 = 16;
/// The fewest that RocksDB works with. So a process with very many tasks and a low limit grants more than it has; its
/// tasks may be small.
const LEAST: i64 = 20;
/// More than the table files of a task of a hundred gigabytes.
const MOST: i64 = 4096;

/// What is left to be granted; below nothing if the least was granted too often.
#[derive(Clone)]
pub(super) struct FileBudget {
    left: Arc<AtomicI64>,
}

/// Files that a database may have open, as long as this lives.
pub(super) struct Grant {
    files: i64,
    of: FileBudget,
}

impl FileBudget {
    /// Half of the process's limit: the rest is for logs, sockets and the checkpoint store.
    pub(super) fn of(limit: u64) -> Self {
        let left = i64::try_from(limit / 2).unwrap_or(i64::MAX);
        Self {
            left: Arc::new(AtomicI64::new(left)),
        }
    }

    /// A share of what is left.
    pub(super) fn grant(&self) -> Grant {
        let share = |left: i64| (left / PART).clamp(LEAST, MOST);
        let take = |left: i64| Some(left - share(left));
        let (Ok(left) | Err(left)) = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        Grant {
            files: share(left),
            of: self.clone(),
        }
    }
}

impl Grant {
    pub(super) fn files(&self) -> i32 {
        self.files as i32
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        self.of.left.fetch_add(self.files, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn databases_share_out_what_the_process_may_have_and_give_it_back() {
        for limit in [1024, 4096, 65_536, 1 << 20, u64::MAX] {
            let files = FileBudget::of(limit);
            let grants: Vec<Grant> = (0..200).map(|_| files.grant()).collect();
            let granted: u64 = grants.iter().map(|grant| grant.files as u64).sum();
            assert!(granted <= limit / 2 + 200 * LEAST as u64, "{granted} of {limit}");
            assert!(grants.iter().all(|grant| (LEAST..=MOST).contains(&grant.files)));
            drop(grants);
            assert_eq!(
                files.left.load(Ordering::Relaxed),
                FileBudget::of(limit).left.load(Ordering::Relaxed)
            );
        }
    }
}
