//! The rounds of one worker: what the protocol decides is done here step by step, and the groups are attended while a
//! step waits.

use super::recovery::halted;
use super::seal::Sealed;
use crate::checkpoint::{Command, Event, Mode, Protocol, Store};
use crate::clock::{self, Interval};
use crate::config::{Checkpoint, Delivery, Pipeline};
use crate::error::{Error, Kind, Result};
use crate::kill;
use crate::pipeline::lane::{Lane, Member};
use crate::pipeline::lifecycle::Notice;
use crate::pipeline::start::kept;
use crate::pipeline::tasks::owned::OVERLAY_LIMIT;
use crate::pipeline::worker::{REVOCATION_LIMIT, STOP_COMMIT_LIMIT, STOP_DRAIN_LIMIT, Worker};
use crate::record::TopicPartition;
use std::time::Duration;

/// How long one wait inside a round may last before the worker gets to see to its groups.
const LOOK: Duration = Duration::from_millis(20);
/// How long the abort of a transaction may take: one that is not answered is left to the next producer, which waits for
/// it.
const ABORT_LIMIT: Duration = Duration::from_secs(2);

/// How often a process that must be alone looks whether it is.
const LOOK_FOR_OTHERS: Duration = Duration::from_secs(5);

/// The rounds of one worker.
pub(in crate::pipeline) struct Rounds {
    protocol: Protocol,
    pub(super) store: Store,
    interval: Interval,
    /// How long a bundle or the acknowledgements may take.
    limit: Duration,
    pub(super) sealed: Option<Sealed>,
    /// The durable bundle is the commit: none may be written whose outputs are not acknowledged.
    pub(in crate::pipeline) is_truth: bool,
    /// When to look whether another process writes the same tasks; the first round does it.
    look_for_others: Option<Interval>,
    /// The last of a row of failures. The first is told: each is superseded by the next.
    failure: Option<(Kind, String)>,
}

impl Rounds {
    pub(in crate::pipeline) fn new(pipeline: &Pipeline, checkpoint: &Checkpoint, store: Store) -> Self {
        let mode = match pipeline.delivery {
            Delivery::ExactlyOnce => Mode::ExactlyOnce,
            Delivery::AtLeastOnce | Delivery::None => Mode::AtLeastOnce,
        };
        Self {
            protocol: Protocol::new(mode, checkpoint.tolerable_failures),
            store,
            interval: Interval::new(checkpoint.interval),
            limit: limit(pipeline.delivery, checkpoint),
            sealed: None,
            is_truth: kept::is_truth(pipeline),
            look_for_others: None,
            failure: None,
        }
    }
}

/// Bundle and acknowledgements side by side must fit into half of a transaction's time.
fn limit(delivery: Delivery, checkpoint: &Checkpoint) -> Duration {
    match delivery {
        Delivery::ExactlyOnce => checkpoint.timeout.min(transaction_timeout(checkpoint) / 2),
        Delivery::AtLeastOnce | Delivery::None => checkpoint.timeout,
    }
}

/// A transaction lives from one commit to the next, and through the commit.
pub(in crate::pipeline) fn transaction_timeout(checkpoint: &Checkpoint) -> Duration {
    const LEAST: Duration = Duration::from_secs(60);
    /// Brokers refuse more by default.
    const MOST: Duration = Duration::from_secs(15 * 60);
    (checkpoint.interval + LEAST).min(MOST)
}

impl Worker {
    /// Begins a round when the interval came round, or the overlays are large.
    pub(in crate::pipeline) fn round_when_due(&mut self) -> Result<()> {
        let large = self.owned.overlay_bytes() > OVERLAY_LIMIT;
        let Some(rounds) = &mut self.rounds else { return Ok(()) };
        if rounds.protocol.is_processing() && (rounds.interval.due() || large) {
            self.on_round(Event::Due)
        } else {
            Ok(())
        }
    }

    /// Tells the protocol what happened and carries out what it decides, until it waits for nothing any more.
    pub(in crate::pipeline) fn on_round(&mut self, event: Event) -> Result<()> {
        let mut next = Some(event);
        while let Some(event) = next.take() {
            let Some(rounds) = &mut self.rounds else { return Ok(()) };
            // Whoever is asked to stop in the middle of a round ends with it, whatever becomes of it.
            if self.shared.stop.is_requested() && !rounds.protocol.is_processing() {
                rounds.protocol.on(Event::Stopping);
            }
            for command in rounds.protocol.on(event) {
                next = self.carry_out_round(*command)?;
            }
        }
        Ok(())
    }

    fn carry_out_round(&mut self, command: Command) -> Result<Option<Event>> {
        match command {
            Command::Seal => self.seal(),
            Command::Drain => return self.drain_round().map(Some),
            Command::AwaitBundle => return self.await_bundle().map(Some),
            Command::CheckMembership => return self.check_membership().map(Some),
            Command::SendOffsets => return self.send_offsets().map(Some),
            Command::CommitTransaction => return self.commit_transaction().map(Some),
            Command::CommitOffsets => return self.commit_offsets().map(Some),
            Command::Apply => return self.apply().map(Some),
            Command::DropOverlays => {
                self.drop_overlays();
                self.learn_refusals()?;
            }
            Command::Abort => self.writer.abort(self.stop_limit(ABORT_LIMIT)),
            Command::Recycle => return self.recycle().map(Some),
            Command::Settle => return self.settle().map(Some),
            Command::Rewind => return self.rewind().map(Some),
            Command::Release => self.release()?,
            Command::Leave => self.leave_groups()?,
            Command::Halt(why) => {
                return Err(halted(
                    why,
                    self.rounds.as_mut().and_then(|rounds| rounds.failure.take()),
                ));
            }
            // What was lost was forgotten when it was told.
            Command::Forget | Command::Process => {}
            Command::Commit | Command::CommitAndRelease | Command::CommitAndLeave => {
                return Err(Error::new(
                    Kind::Bug,
                    "failed in a round",
                    format!("{command:?} goes with positions only"),
                ));
            }
        }
        Ok(None)
    }

    fn drain_round(&mut self) -> Result<Event> {
        let Some(rounds) = &self.rounds else {
            return Ok(Event::NothingNew);
        };
        if rounds.sealed.is_none() {
            return Ok(Event::NothingNew);
        }
        kill::point("before-flush");
        let mut until = clock::now() + rounds.limit;
        if self.is_revoking() {
            until = until.min(clock::now() + REVOCATION_LIMIT);
        }
        loop {
            match self.writer.drain(LOOK) {
                Ok(true) => {
                    self.write_what_waits()?;
                    return Ok(Event::Drained);
                }
                Ok(false) => {}
                Err(error) => return self.lost(error),
            }
            self.attend()?;
            // A cluster that is away is no failure of the checkpoint: the run waits for it, unless somebody waits for
            // the run.
            if self.disconnected && !self.is_revoking() && !self.shared.stop.is_requested() {
                until = until.max(clock::now() + LOOK);
            }
            if clock::now() >= until || self.shared.stop.is_overdue(STOP_DRAIN_LIMIT) {
                let waiting = self.writer.in_flight();
                self.failed(
                    Kind::Kafka,
                    format!("{waiting} outputs were not acknowledged in time; their records count as unprocessed"),
                );
                return Ok(Event::DrainTimedOut);
            }
        }
    }

    /// If the bundle is the commit, begins to write it. No group shares its tasks out, so nobody but this process may
    /// write them.
    fn write_what_waits(&mut self) -> Result<()> {
        let Some(rounds) = &mut self.rounds else { return Ok(()) };
        let Some(sealed) = &mut rounds.sealed else {
            return Ok(());
        };
        let Some(frames) = sealed.waiting.take() else {
            return Ok(());
        };
        if rounds.look_for_others.as_mut().is_none_or(Interval::due) {
            rounds.look_for_others.get_or_insert(Interval::new(LOOK_FOR_OTHERS));
            // A store that cannot be read does not take the bundle either.
            if let Ok(Some(bundle)) = rounds.store.stranger() {
                return Err(kept::not_alone(rounds.store.place(), &bundle));
            }
        }
        sealed.upload = Some(rounds.store.put(self.index, frames));
        Ok(())
    }

    /// What an error of the writer means to a round: a transaction that is lost can be done again.
    pub(in crate::pipeline) fn lost(&mut self, error: Error) -> Result<Event> {
        if self.was_refused()? {
            return Ok(Event::Expired);
        }
        match error.kind {
            Kind::TimedOut => {
                self.failed(Kind::Kafka, error.to_string());
                Ok(Event::Expired)
            }
            _ => Err(error),
        }
    }

    fn await_bundle(&mut self) -> Result<Event> {
        let limit = self.rounds.as_ref().map_or(Duration::ZERO, |rounds| rounds.limit);
        let until = clock::now() + limit;
        loop {
            let Some((pointers_of_sealed, upload)) = self.sealed().and_then(Sealed::with_upload) else {
                return Ok(Event::StoreFailed);
            };
            match upload.wait(LOOK) {
                Some(Ok(pointers)) => {
                    *pointers_of_sealed = pointers;
                    return Ok(Event::Stored);
                }
                Some(Err(error)) => {
                    self.failed(error.kind, format!("{}: {}", error.what, error.why));
                    return Ok(Event::StoreFailed);
                }
                None => {}
            }
            self.attend()?;
            if clock::now() >= until || self.shared.stop.is_overdue(STOP_DRAIN_LIMIT) {
                self.failed(
                    Kind::Corrupt,
                    format!("the checkpoint store did not take the bundle within {limit:?}"),
                );
                return Ok(Event::StoreFailed);
            }
        }
    }

    fn apply(&mut self) -> Result<Event> {
        self.forget_lost();
        let Some(sealed) = self.rounds.as_mut().and_then(|rounds| rounds.sealed.take()) else {
            return Ok(Event::Applied);
        };
        self.owned.apply(&sealed.pointers)?;
        let next = |at: &TopicPartition| Some(sealed.partitions.iter().find(|of| of.at == *at)?.next);
        self.tasks.left_out.forget(next);
        self.metrics.commits.increment(1);
        if let Some(rounds) = &mut self.rounds {
            rounds.failure = None;
        }
        let seconds = clock::now().duration_since(sealed.begun).as_secs_f64();
        self.metrics.checkpoint_seconds.record(seconds);
        self.metrics.checkpoint_bytes.record(sealed.bytes as f64);
        self.shared.tell(Notice::Checkpoint {
            worker: self.index,
            partitions: sealed.partitions.len(),
            seconds: Some(seconds),
        });
        Ok(Event::Applied)
    }

    fn drop_overlays(&mut self) {
        self.owned.drop_overlays();
        if let Some(rounds) = &mut self.rounds {
            rounds.sealed = None;
        }
    }

    /// The groups get to say what they want while a round waits.
    pub(in crate::pipeline) fn attend(&mut self) -> Result<()> {
        self.pulse.beat();
        for lane in 0..self.lanes.len() {
            let Lane::Kafka(member) = &mut self.lanes[lane] else {
                continue;
            };
            let Some(reader) = &mut member.reader else { continue };
            if let Some(polled) = reader.attend()? {
                self.told(lane, polled)?;
            }
        }
        self.watch_connection();
        Ok(())
    }

    fn is_revoking(&self) -> bool {
        self.members().any(|(_, member)| !member.revoking.is_empty())
    }

    /// `limit`, or what is left of it once the run is to stop.
    pub(in crate::pipeline) fn stop_limit(&self, limit: Duration) -> Duration {
        limit.min(self.shared.stop.left(STOP_COMMIT_LIMIT)).max(LOOK)
    }

    /// Counts a failure, and keeps it: one too many ends the run with the kind of the last.
    pub(in crate::pipeline) fn failed(&mut self, kind: Kind, reason: String) {
        self.metrics.commits_failed.increment(1);
        let Some(rounds) = &mut self.rounds else { return };
        let is_first = rounds.failure.replace((kind, reason.clone())).is_none();
        if is_first {
            self.shared.tell(Notice::CommitFailed {
                worker: self.index,
                reason,
            });
        }
    }

    pub(in crate::pipeline) fn members(&self) -> impl Iterator<Item = (usize, &Member)> {
        self.lanes.iter().enumerate().filter_map(|(index, lane)| match lane {
            Lane::Kafka(member) => Some((index, &**member)),
            Lane::File { .. } => None,
        })
    }
}
