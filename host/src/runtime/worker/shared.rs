//! What the workers of a process share, and what one that fails means to the others.

use super::allowance::Allowance;
use super::drain::DrainGate;
use crate::config::Pipeline;
use crate::error::{Error, Kind};
use crate::metrics::Progress;
use crate::record::Records;
use crate::runtime::lifecycle::{RunEvent, StopRequest};
use crate::runtime::tasks::Checkpoints;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Sender;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// What the workers of a process share.
#[derive(Clone)]
pub struct RunShared {
    /// The pipeline.
    pub pipeline: Arc<Pipeline>,
    /// The state folder and the store of checkpoints.
    pub checkpoints: Checkpoints,
    /// The request to stop.
    pub stop: Arc<StopRequest>,
    /// What the terminal and `/ready` show.
    pub progress: Arc<Progress>,
    /// Where notices go.
    pub notices: Sender<RunEvent>,
    /// What the run ends with: the failure that came first, not one that followed from it.
    pub failure: Arc<OnceLock<Error>>,
    /// What they may use a second, together.
    pub(in crate::runtime) allowance: Arc<Allowance>,
    /// Which workers have nothing left to do, when the run drains.
    pub drained: Arc<DrainGate>,
}

impl RunShared {
    /// Passes a notice on; nobody listens any more once the run is over.
    pub fn tell(&self, notice: RunEvent) {
        let _nobody_listens = self.notices.send(notice);
    }

    /// What was read more.
    pub(in crate::runtime) fn count_in(&self, read: RecordsRead) {
        self.progress.records_in.fetch_add(read.records, Ordering::Relaxed);
        self.progress.bytes_in.fetch_add(read.bytes, Ordering::Relaxed);
    }

    /// For how long nothing is to be read, because more was used than the quotas give.
    pub(super) fn held(&self) -> Option<Duration> {
        if self.allowance.is_endless() {
            return None;
        }
        let held = self.allowance.held(&self.progress);
        self.progress.tell_held_at(held.map(|(quota, _)| quota.name()));
        held.map(|(_, time)| time)
    }

    /// A worker that fails ends the others at their next batch boundary.
    pub fn fail(&self, error: &Error) {
        let _an_earlier_one_stays = self.failure.set(error.clone());
        self.stop.request();
    }
}

/// What was read: how many records, and the bytes of their keys, values and headers.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::runtime) struct RecordsRead {
    pub(super) records: u64,
    pub(super) bytes: u64,
}

impl RecordsRead {
    pub(super) fn of(records: &Records) -> Self {
        Self {
            records: records.len() as u64,
            bytes: records.byte_count() as u64,
        }
    }
}

/// What a worker's panic becomes: a defect, told with its text.
pub(in crate::runtime) fn panicked(payload: &(dyn std::any::Any + Send)) -> Error {
    let text = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    Error::new(
        Kind::Bug,
        "failed in a worker: Sandbar has a defect",
        text.unwrap_or("a panic without a text"),
    )
}
