//! A round of checkpoints, carried out: the commands of `checkpoint::protocol` for one worker, over all its lanes and tasks.
//!
//! ```text
//! seal: bundle begun → drain → bundle durable → members as before → offsets and pointer committed → overlays applied
//! ```
//!
//! Always: nothing is processed while a round is under way, and what is committed is what the bundle says, to the offset.

use super::lane::{Lane, Member};
use super::lifecycle::Notice;
use super::owned::OVERLAY_LIMIT;
use super::recovery::{denied, halted};
use super::start::kept;
use super::worker::{REVOCATION_LIMIT, STOP_COMMIT_LIMIT, STOP_DRAIN_LIMIT, Worker};
use crate::checkpoint::{Command, Event, Mode, Pointer, Protocol, Stops, Store, TaskFrame, Upload};
use crate::clock::{self, Interval};
use crate::config::{Checkpoint, Delivery, Offsets, Pipeline};
use crate::error::{Error, Kind, Result};
use crate::kill;
use crate::record::TopicPartition;
use crate::sink::{Committed, Sent};
use crate::source::{Reader, Refusal};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long one wait inside a round may last before the worker gets to see to its groups.
const LOOK: Duration = Duration::from_millis(20);
/// How long one request of a commit may take: a run that is asked to stop meanwhile has ten seconds. What takes longer is settled by what is committed.
const COMMIT_LIMIT: Duration = Duration::from_secs(5);
/// How long the abort of a transaction may take: one that is not answered is left to the next producer, which waits for it.
const ABORT_LIMIT: Duration = Duration::from_secs(2);
/// How long a round waits to be a member of its groups again.
const MEMBERSHIP_LIMIT: Duration = Duration::from_secs(1);

/// How often a process that must be alone looks whether it is.
const LOOK_FOR_OTHERS: Duration = Duration::from_secs(5);

/// The rounds of one worker.
pub(super) struct Rounds {
    protocol: Protocol,
    store: Store,
    interval: Interval,
    /// How long a bundle or the acknowledgements may take.
    limit: Duration,
    sealed: Option<Sealed>,
    /// The durable bundle is the commit: none may be written whose outputs are not acknowledged.
    pub(super) is_truth: bool,
    /// When to look whether another process writes the same tasks; the first round does it.
    look_for_others: Option<Interval>,
    /// The last of a row of failures. The first is told: each is superseded by the next.
    failure: Option<(Kind, String)>,
}

/// What a round commits.
pub(super) struct Sealed {
    pub(super) partitions: Vec<SealedPartition>,
    /// What is to be written once the outputs are acknowledged; elsewhere it is written meanwhile.
    waiting: Option<Vec<TaskFrame>>,
    upload: Option<Upload>,
    /// One a task, once the bundle is durable.
    pub(super) pointers: Vec<Pointer>,
    /// Each lane's membership, as bytes for the producer.
    members: Vec<(usize, Vec<u8>)>,
    begun: Instant,
    /// Of the changes.
    bytes: usize,
}

impl Sealed {
    fn with_upload(&mut self) -> Option<(&mut Vec<Pointer>, &mut Upload)> {
        Some((&mut self.pointers, self.upload.as_mut()?))
    }
}

pub(super) struct SealedPartition {
    lane: usize,
    pub(super) at: TopicPartition,
    next: i64,
    stop: Option<String>,
    incarnation: u64,
    task: String,
}

/// The number of the present assignment of each partition, by lane.
type Incarnations = BTreeMap<(usize, TopicPartition), u64>;

impl SealedPartition {
    fn is_among(&self, now: &Incarnations) -> bool {
        now.get(&(self.lane, self.at.clone())) == Some(&self.incarnation)
    }
}

/// What a bundle says of each task's partitions; their stops only where it is the truth, since the group's offsets carry them else.
fn by_task(partitions: &[SealedPartition], with_stops: bool) -> BTreeMap<String, (Offsets, Stops)> {
    let mut held: BTreeMap<String, (Offsets, Stops)> = BTreeMap::new();
    for partition in partitions {
        let (offsets, stops) = held.entry(partition.task.clone()).or_default();
        let (topic, number) = (partition.at.topic.as_ref(), partition.at.partition);
        offsets
            .entry(topic.to_owned())
            .or_default()
            .insert(number, partition.next);
        if let Some(stop) = partition.stop.clone().filter(|_| with_stops) {
            stops.entry(topic.to_owned()).or_default().insert(number, stop);
        }
    }
    held
}

impl Rounds {
    pub(super) fn new(pipeline: &Pipeline, checkpoint: &Checkpoint, store: Store) -> Self {
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
pub(super) fn transaction_timeout(checkpoint: &Checkpoint) -> Duration {
    const LEAST: Duration = Duration::from_secs(60);
    /// Brokers refuse more by default.
    const MOST: Duration = Duration::from_secs(15 * 60);
    (checkpoint.interval + LEAST).min(MOST)
}

impl Worker {
    /// Begins a round when the interval came round, or the overlays are large.
    pub(super) fn round_when_due(&mut self) -> Result<()> {
        let large = self.owned.overlay_bytes() > OVERLAY_LIMIT;
        let Some(rounds) = &mut self.rounds else { return Ok(()) };
        if rounds.protocol.is_processing() && (rounds.interval.due() || large) {
            self.on_round(Event::Due)
        } else {
            Ok(())
        }
    }

    /// Tells the protocol what happened and carries out what it decides, until it waits for nothing any more.
    pub(super) fn on_round(&mut self, event: Event) -> Result<()> {
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
            Command::DropOverlays => self.drop_overlays(),
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

    /// Freezes what is to be committed, and begins to write it. Nothing where nothing was read since the last commit.
    fn seal(&mut self) {
        let begun = clock::now();
        let mut partitions = Vec::new();
        let mut is_new = self.owned.has_joined();
        for (lane, member) in self.members() {
            let Some(reader) = &member.reader else { continue };
            for owned in reader.owned() {
                is_new |= owned.committed != Some(owned.next);
                partitions.push(SealedPartition {
                    lane,
                    task: member.naming.task(&owned.partition),
                    stop: reader.kept_stop(&owned.partition),
                    at: owned.partition,
                    next: owned.next,
                    incarnation: owned.incarnation,
                });
            }
        }
        let Some(rounds) = &mut self.rounds else { return };
        rounds.sealed = None;
        if !is_new && !self.writer.has_transaction() {
            return;
        }
        let frames = self.owned.frames(by_task(&partitions, rounds.is_truth));
        let bytes = frames.iter().map(|frame| frame.delta.len()).sum();
        let (waiting, upload) = match rounds.is_truth {
            true => (Some(frames), None),
            false => (None, Some(rounds.store.put(self.index, frames))),
        };
        rounds.sealed = Some(Sealed {
            bytes,
            partitions,
            waiting,
            upload,
            pointers: Vec::new(),
            members: Vec::new(),
            begun,
        });
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
            // A cluster that is away is no failure of the checkpoint: the run waits for it, unless somebody waits for the run.
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

    /// Where the bundle is the commit. No group shares its tasks out, so nobody but this process may write them.
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
    pub(super) fn lost(&mut self, error: Error) -> Result<Event> {
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

    /// Membership first, then what the group says: so a partition that was lost before the membership was taken is known to be.
    fn check_membership(&mut self) -> Result<Event> {
        let until = clock::now() + self.stop_limit(MEMBERSHIP_LIMIT);
        let members = loop {
            let readers = self
                .members()
                .filter_map(|(lane, member)| Some((lane, member.reader.as_ref()?)));
            let asked: Result<Vec<_>> = readers
                .map(|(lane, reader)| Ok((lane, reader.group_metadata()?)))
                .collect();
            self.attend()?;
            match asked {
                Ok(members) => break members,
                // A rebalance, or first positions that are not answered yet.
                Err(_) if clock::now() < until => std::thread::sleep(Duration::from_millis(2)),
                Err(error) => {
                    tracing::debug!(%error, "a rebalance is under way");
                    return Ok(Event::Stale);
                }
            }
        };
        // A membership that is valid again says nothing about what the one before it lost.
        let has_loss = self
            .members()
            .any(|(_, member)| member.reader.iter().any(Reader::has_loss));
        let now = self.incarnations();
        let Some(sealed) = self.sealed().filter(|_| !has_loss) else {
            return Ok(Event::Stale);
        };
        if !sealed.partitions.iter().all(|of| of.is_among(&now)) {
            return Ok(Event::Stale);
        }
        sealed.members = members;
        Ok(Event::Current)
    }

    fn incarnations(&self) -> Incarnations {
        let mut now = Incarnations::new();
        for (lane, member) in self.members() {
            for owned in member.reader.iter().flat_map(|reader| reader.owned()) {
                now.insert((lane, owned.partition), owned.incarnation);
            }
        }
        now
    }

    /// Leaves out of a round that is committed the tasks that were lost since: where they came back, others may have gone on with them, and
    /// what was taken over then is what is committed now.
    pub(super) fn forget_lost(&mut self) {
        let now = self.incarnations();
        if let Some(sealed) = self.sealed() {
            let lost: Vec<String> = (sealed.partitions.iter())
                .filter(|of| !of.is_among(&now))
                .map(|of| of.task.clone())
                .collect();
            sealed.partitions.retain(|of| !lost.contains(&of.task));
            sealed.pointers.retain(|pointer| !lost.contains(&pointer.task));
        }
    }

    /// Next offset and pointer of every partition, for one lane.
    pub(super) fn positions(&self, lane: usize) -> Vec<(TopicPartition, i64, String)> {
        let Some(sealed) = self.rounds.as_ref().and_then(|rounds| rounds.sealed.as_ref()) else {
            return Vec::new();
        };
        let Lane::Kafka(member) = &self.lanes[lane] else {
            return Vec::new();
        };
        let Some(reader) = &member.reader else {
            return Vec::new();
        };
        let of_lane = sealed.partitions.iter().filter(|of| of.lane == lane);
        let position = |of: &SealedPartition| {
            let pointer = sealed.pointers.iter().find(|pointer| pointer.task == of.task)?;
            Some((
                of.at.clone(),
                of.next,
                reader.metadata_for(&of.at, &pointer.to_string()),
            ))
        };
        of_lane.filter_map(position).collect()
    }

    fn send_offsets(&mut self) -> Result<Event> {
        let members = self
            .sealed()
            .map(|sealed| std::mem::take(&mut sealed.members))
            .unwrap_or_default();
        let mut is_slow = false;
        for (lane, membership) in &members {
            let positions = self.positions(*lane);
            if positions.is_empty() {
                continue;
            }
            let limit = self.stop_limit(COMMIT_LIMIT);
            match self.writer.send_offsets(&positions, membership, limit) {
                Sent::Done => {}
                Sent::Slow => is_slow = true,
                Sent::Stale(reason) => {
                    self.failed(Kind::Kafka, reason);
                    return Ok(Event::Stale);
                }
                Sent::Refused(reason) => {
                    self.failed(Kind::Kafka, reason);
                    return Ok(Event::OffsetsRefused);
                }
                Sent::Denied(reason) => return Err(denied(&reason)),
                Sent::Fenced(reason) => {
                    self.failed(Kind::Fenced, reason);
                    return Ok(Event::Fenced);
                }
            }
        }
        Ok(if is_slow {
            Event::OffsetsSlow
        } else {
            Event::OffsetsSent
        })
    }

    fn commit_transaction(&mut self) -> Result<Event> {
        let limit = self.stop_limit(COMMIT_LIMIT);
        let event = match self.writer.commit(limit) {
            Committed::Clean => Event::Committed,
            Committed::Slow => Event::CommittedSlow,
            // Nobody knows for sure what a refusal left: what is committed says.
            Committed::Refused(reason) | Committed::Unknown(reason) => {
                self.failed(Kind::Kafka, reason);
                return Ok(Event::CommitUnknown);
            }
            Committed::Fenced(reason) => {
                self.failed(Kind::Fenced, reason);
                return Ok(Event::Fenced);
            }
        };
        self.tell_readers();
        Ok(event)
    }

    /// At least once: one offset commit a lane, and the groups are attended until the answers.
    fn commit_offsets(&mut self) -> Result<Event> {
        if self.rounds.as_ref().is_some_and(|rounds| rounds.is_truth) {
            return Ok(self.keep());
        }
        let lanes: Vec<usize> = self.members().map(|(lane, _)| lane).collect();
        for lane in lanes {
            let positions = self.positions(lane);
            let Lane::Kafka(member) = &mut self.lanes[lane] else {
                continue;
            };
            let has_begun = member
                .reader
                .as_mut()
                .is_some_and(|reader| reader.begin_commit_of(positions));
            member.answer = (!has_begun).then_some(Ok(()));
        }
        let until = clock::now() + self.stop_limit(COMMIT_LIMIT);
        loop {
            let refused = self.members().find_map(|(_, member)| member.answer.clone()?.err());
            if let Some(Refusal { reason, is_lasting }) = refused {
                self.failed(Kind::Kafka, reason);
                return Ok(match is_lasting {
                    true => Event::OffsetsRefused,
                    false => Event::CommitRefused,
                });
            }
            if self.members().all(|(_, member)| member.answer.is_some()) {
                return Ok(Event::Committed);
            }
            if clock::now() >= until {
                self.failed(Kind::Kafka, "the group did not answer in time".to_owned());
                return Ok(Event::CommitUnknown);
            }
            self.attend()?;
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn apply(&mut self) -> Result<Event> {
        self.forget_lost();
        let Some(sealed) = self.rounds.as_mut().and_then(|rounds| rounds.sealed.take()) else {
            return Ok(Event::Applied);
        };
        self.owned.apply(&sealed.pointers)?;
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

    /// Tells the readers what a transaction committed for them.
    pub(super) fn tell_readers(&mut self) {
        let Some(sealed) = self.rounds.as_ref().and_then(|rounds| rounds.sealed.as_ref()) else {
            return;
        };
        for (lane, member) in self.lanes.iter_mut().enumerate() {
            let Lane::Kafka(member) = member else { continue };
            let of_lane = sealed.partitions.iter().filter(|of| of.lane == lane);
            let positions: Vec<_> = of_lane.map(|of| (of.at.clone(), of.next)).collect();
            if let Some(reader) = &mut member.reader {
                reader.committed_by_others(&positions);
            }
        }
    }

    /// The groups get to say what they want while a round waits.
    pub(super) fn attend(&mut self) -> Result<()> {
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
    pub(super) fn stop_limit(&self, limit: Duration) -> Duration {
        limit.min(self.shared.stop.left(STOP_COMMIT_LIMIT)).max(LOOK)
    }

    /// Counts a failure, and keeps it: one too many ends the run with the kind of the last.
    pub(super) fn failed(&mut self, kind: Kind, reason: String) {
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

    pub(super) fn sealed(&mut self) -> Option<&mut Sealed> {
        self.rounds.as_mut()?.sealed.as_mut()
    }

    pub(super) fn members(&self) -> impl Iterator<Item = (usize, &Member)> {
        self.lanes.iter().enumerate().filter_map(|(index, lane)| match lane {
            Lane::Kafka(member) => Some((index, &**member)),
            Lane::File { .. } => None,
        })
    }
}
