//! Tasks whose state is being brought back: one after the other, each in a thread of its own, so that the worker sees
//! to its groups meanwhile.
//!
//! Always: a task's folder is used by one restore at a time, in the whole process. One that nobody waits for any more
//! goes on to its end, and whoever gets the task next finds its files.

use super::checkpoints::{Checkpoints, Restored};
use crate::config::Offsets;
use crate::error::{Error, Kind, Result};
use crate::offset_metadata::Pointer;
use crate::runtime::lifecycle::RunEvent;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::Duration;

/// A task that is to be brought back, and where to.
pub(in crate::runtime) struct Restoring {
    pub(in crate::runtime) task: String,
    pub(in crate::runtime) pointer: Pointer,
    /// Of the last bundle that this worker gave the task.
    pub(in crate::runtime) seq: u64,
    /// A partition joined it that its checkpoint does not know.
    pub(in crate::runtime) has_joined: bool,
    /// The offsets that belong to the pointer, and those of partitions that joined.
    pub(in crate::runtime) own: Offsets,
    pub(in crate::runtime) joined: Offsets,
    /// What the thread says, once it was begun.
    pub(in crate::runtime) heard: Option<Receiver<RestoreEvent>>,
}

/// What a restore says.
#[expect(clippy::large_enum_variant, reason = "one of them is on its way at a time")]
pub(in crate::runtime) enum RestoreEvent {
    /// How far it is.
    Progress(RunEvent),
    /// How it ended.
    Done(Result<Restored>),
}

impl Restoring {
    /// What it says within `limit`; it is begun if it was not. `None`: nothing.
    pub(in crate::runtime) fn hear(&mut self, shared: &Checkpoints, limit: Duration) -> Result<Option<RestoreEvent>> {
        if self.heard.is_none() {
            self.heard = Some(self.begin(shared.clone())?);
        }
        let Some(heard) = &self.heard else { return Ok(None) };
        match heard.recv_timeout(limit) {
            Ok(heard) => Ok(Some(heard)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(Error::new(
                Kind::Bug,
                format!("failed to restore task `{}`", self.task),
                "the thread that restores it ended without an answer",
            )),
        }
    }

    fn begin(&self, shared: Checkpoints) -> Result<Receiver<RestoreEvent>> {
        let (say, heard) = mpsc::channel();
        let (task, pointer) = (self.task.clone(), self.pointer.clone());
        let (own, joined) = (self.own.clone(), self.joined.clone());
        let restore = move || {
            let _alone = shared.under_way.claim(&task);
            let tell = |notice| {
                let _nobody_waits_any_more = say.send(RestoreEvent::Progress(notice));
            };
            let restored = shared.restore(&task, &pointer, &own, &joined, &tell);
            // A state that nobody takes is closed here, before another restore may open it.
            let _nobody_waits_any_more = say.send(RestoreEvent::Done(restored));
        };
        std::thread::Builder::new()
            .name("restore".to_owned())
            .spawn(restore)
            .map_err(|error| Error::new(Kind::Failed, format!("failed to restore task `{}`", self.task), error))?;
        Ok(heard)
    }
}
