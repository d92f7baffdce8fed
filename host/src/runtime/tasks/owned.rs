//! A task that a worker owns: its state, and the checkpoint that it stands at.

use super::checkpoints::{Checkpoints, Restored};
use crate::checkpoint::{BaseRef, StoreSchema, Upload};
use crate::clock;
use crate::offset_metadata::Pointer;
use crate::state::{StoreId, TaskState};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// A restore goes through as many deltas at most, or about as many bytes of them.
pub(super) const DELTAS_A_BASE: u64 = 100;
const DELTA_BYTES_A_BASE: u64 = 64 << 20;

/// A task and where it stands.
pub(super) struct OwnedTask {
    /// Lent to a plugin during a call; there at any other time.
    pub(super) state: Option<TaskState>,
    /// The checkpoint that its committed offsets name.
    pub(super) pointer: Pointer,
    /// Of the last bundle, committed or not: a number is never given twice.
    pub(super) seq: u64,
    pub(super) base: Option<BaseRef>,
    /// Deltas since the base, and their bytes.
    pub(super) deltas: u64,
    pub(super) delta_bytes: u64,
    basing: Option<Basing>,
    pub(super) committed: Instant,
    /// A partition joined it that its checkpoint does not know: the next checkpoint covers it, whether or not anything
    /// was read.
    pub(super) has_joined: bool,
    /// What rides with its offsets is not what is known: the next checkpoint covers it as well.
    pub(super) has_news: bool,
    /// What it has of each store.
    pub(super) stores: Vec<StoreSchema>,
    /// Stores that go with the next commit, whether or not anything is read.
    pub(super) dropped: Vec<StoreId>,
}

/// A base that is being written, and the folder that it is written from, which holds on to the state's files: it goes
/// when the upload ended or the task is given up. An upload that goes on then fails, and nobody waits for it.
struct Basing {
    upload: Upload<BaseRef>,
    folder: PathBuf,
}

impl Drop for Basing {
    fn drop(&mut self) {
        let _what_is_left_is_swept_away_at_the_next_start = std::fs::remove_dir_all(&self.folder);
    }
}

impl OwnedTask {
    pub(super) fn new(restored: Restored, pointer: Pointer) -> Self {
        let Restored {
            state,
            base,
            stores,
            dropped,
        } = restored;
        let mut task = Self {
            state,
            seq: pointer.seq,
            // Those of the runs before count too: restarts that follow each other closely must not do without bases.
            deltas: pointer.seq.saturating_sub(base.as_ref().map_or(0, |base| base.at.seq)),
            pointer,
            base,
            delta_bytes: 0,
            basing: None,
            committed: clock::now(),
            has_joined: false,
            has_news: false,
            stores,
            dropped,
        };
        task.drop_stores();
        task
    }

    pub(super) fn owes_checkpoint(&self) -> bool {
        let has_changed = self.state.as_ref().is_some_and(|state| !state.is_clean());
        self.has_joined || self.has_news || !self.dropped.is_empty() || has_changed
    }

    /// Until the drop is committed it is among what is not.
    pub(super) fn drop_stores(&mut self) {
        if let Some(state) = &mut self.state {
            self.dropped.iter().for_each(|store| state.drop_store(*store));
        }
    }

    /// Takes over a base that is written, and begins one when a restore would have many deltas to go through. In the
    /// background: a task that fails to have one has the base before it, and more deltas.
    pub(super) fn renew_base(&mut self, name: &str, shared: &Checkpoints) {
        if let Some(basing) = &mut self.basing {
            let Some(written) = basing.upload.wait(Duration::ZERO) else {
                return;
            };
            self.basing = None;
            match written {
                Ok(base) => self.base = Some(base),
                Err(error) => tracing::warn!(task = name, %error, "a base could not be written"),
            }
        }
        if self.deltas < DELTAS_A_BASE && self.delta_bytes < DELTA_BYTES_A_BASE {
            return;
        }
        let Some((state, (store, folder))) = self.state.as_ref().zip(shared.scratch()) else {
            return;
        };
        crate::kill::point("mid-base");
        (self.deltas, self.delta_bytes) = (0, 0);
        match state.snapshot(&folder) {
            Ok(()) => {
                let upload = store.put_base(name, &self.pointer, &folder);
                self.basing = Some(Basing { upload, folder });
            }
            Err(error) => tracing::warn!(task = name, %error, "a base could not be taken"),
        }
    }
}
