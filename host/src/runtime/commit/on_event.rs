//! A worker tells its way of committing what happened.

use super::coordinator::Coordinator;
use crate::checkpoint::Event;
use crate::error::{Error, Kind, Result};
use crate::runtime::lifecycle::RunEvent;
use crate::runtime::tasks::ownership::OVERLAY_LIMIT;
use crate::runtime::worker::Worker;

impl Worker {
    /// Tells the run's way of committing what happened at an input.
    pub(in crate::runtime) fn tell_committer(&mut self, input: usize, event: Event) -> Result<()> {
        match self.checkpointing {
            Some(_) => self.on_checkpoint(event),
            None => self.on_offsets(input, event),
        }
    }

    /// Begins a checkpoint when the interval came round, or the overlays are large.
    pub(in crate::runtime) fn checkpoint_when_due(&mut self) -> Result<()> {
        let large = self.owned.overlay_bytes() > OVERLAY_LIMIT;
        let is_processing = self.coordinator.as_ref().is_some_and(Coordinator::is_processing);
        let Some(checkpointing) = &mut self.checkpointing else {
            return Ok(());
        };
        if is_processing && (checkpointing.interval.due() || large) {
            self.on_checkpoint(Event::Due)
        } else {
            Ok(())
        }
    }

    /// Tells the coordinator what happened, and lets it work until it waits for nothing any more. If it is at work
    /// already, it hears of this at its next step.
    pub(in crate::runtime) fn on_checkpoint(&mut self, event: Event) -> Result<()> {
        if let Some(checkpointing) = &mut self.checkpointing {
            checkpointing.events.push_back(event);
        }
        let Some(mut coordinator) = self.coordinator.take() else {
            return Ok(());
        };
        let ran = coordinator.run(self);
        self.coordinator = Some(coordinator);
        ran
    }

    /// What an error of the writer means: a transaction that is lost can be done again.
    pub(in crate::runtime) fn lost(&mut self, error: Error) -> Result<Event> {
        if self.was_refused()? {
            return Ok(Event::Expired);
        }
        match error.kind {
            Kind::TimedOut => {
                self.checkpoint_failed(Kind::Kafka, error.to_string());
                Ok(Event::Expired)
            }
            _ => Err(error),
        }
    }

    /// Counts a failure, and keeps it: one too many ends the run with the kind of the last.
    pub(in crate::runtime) fn checkpoint_failed(&mut self, kind: Kind, reason: String) {
        self.metrics.commits_failed.increment(1);
        let Some(checkpointing) = &mut self.checkpointing else {
            return;
        };
        let failure = Error::new(kind, "failed to take a checkpoint", reason.clone());
        if checkpointing.failure.replace(failure).is_none() {
            self.shared.tell(RunEvent::CommitFailed {
                worker: self.index,
                reason,
            });
        }
    }
}
