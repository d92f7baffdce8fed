//! The reader: a member of the group, polled by one worker.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer;
use rdkafka::types::RDKafkaErrorCode as Code;

use super::close::Closing;
use super::commit::{Commits, Outcome, Refusal, Snapshot};
use super::intake::Intake;
use super::pending::PendingPartitions;
use super::queue::{self, Intake as _, Message, Queue};
use super::rebalance_events::{RebalanceEvent, RebalanceEvents};
use crate::clock::{self, Interval};
use crate::error::{Error, Kind, Result};
use crate::record::{Committable, Records, TopicPartition};
use crate::source::client::{self, Event, words};
use crate::source::positions::plan::{Placed, Plan};
use crate::source::positions::topics::Sharing;

/// How long the last commit for monitoring may take: it is not needed.
const LAST_TOLD: Duration = Duration::from_secs(1);
/// Why a commit failed of which nothing was heard.
const NO_ANSWER: &str = "the group did not answer in time";

/// Records of one partition. Made once and polled into again and again: it keeps its memory.
#[derive(Debug)]
pub struct Batch {
    /// Index of the source in the set.
    pub source: usize,
    /// The partition that all of the records come from.
    pub partition: TopicPartition,
    /// The records, in the order of their offsets.
    pub records: Records,
}

impl Default for Batch {
    fn default() -> Self {
        Self {
            source: 0,
            partition: TopicPartition::new("", 0),
            records: Records::default(),
        }
    }
}

/// What a poll came back with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Polled {
    /// Nothing within the wait.
    Idle,
    /// The batch was filled. Call `processed` when its outputs are staged, before the next poll.
    Batch,
    /// These partitions are read from now on; or one of them goes on elsewhere, because its log does not hold its
    /// position.
    Assigned(Vec<Placed>),
    /// The group takes these partitions. Drain the outputs, then call `release`; told again until then.
    Revoking(Vec<TopicPartition>),
    /// The group took these partitions already: what was not committed, another member reads again.
    Lost(Vec<TopicPartition>),
    /// A commit that was begun came back: with its number of partitions, or why it failed.
    Committed(Result<usize, Refusal>),
    /// No broker answers. The reader goes on trying.
    Disconnected(String),
    /// A broker answers again.
    Connected,
    /// Every partition of the run, here and at the other members, was read up to its stop.
    Finished,
}

/// Where a partition stands, for figures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// Index of the source in the set.
    pub source: usize,
    /// The partition.
    pub partition: TopicPartition,
    /// The next offset to process.
    pub next: i64,
    /// What the group holds as this pipeline's.
    pub committed: Option<i64>,
    /// The end of the log, as the last fetch told it.
    pub end: Option<i64>,
}

/// A member of the group, and the partitions that it reads. One a worker and set.
///
/// Always: at most one batch is handed over and not yet processed; a rebalance event of the group goes before records.
pub struct Reader {
    // The queue stands before the client: it must be destroyed first.
    pub(in crate::source) queue: Queue,
    pub(in crate::source) client: Closing,
    pub(in crate::source) plan: Arc<Plan>,
    pub(in crate::source) worker: usize,
    pub(in crate::source) intake: Intake,
    pub(in crate::source) commits: Commits,
    pub(in crate::source) rebalance_events: RebalanceEvents,
    pub(in crate::source) pending: PendingPartitions,
    pub(in crate::source) has_assignment: bool,
    /// Counts how often partitions were taken.
    pub(in crate::source) assignment_epoch: u64,
    /// Positions to read on from, once the group waits for no answer.
    pub(in crate::source) moves: BTreeMap<TopicPartition, i64>,
    /// Number of partitions of each topic, as last looked up.
    pub(in crate::source) counts: BTreeMap<String, i32>,
    pub(in crate::source) subscribed: BTreeSet<String>,
    pub(in crate::source) discovery: Interval,
    pub(in crate::source) must_discover: bool,
    is_bounded: bool,
    finish_check: Interval,
    /// What the next polls tell, oldest first.
    pub(in crate::source) told: VecDeque<Polled>,
    /// Set while no broker answers: the arrivals at that moment.
    disconnected: Option<u64>,
    probe: Interval,
    /// The member id that what is held was given to; `None`: nothing is, or it is not known.
    pub(in crate::source) member_id: Option<Vec<u8>>,
    /// The group knows this member by another id than that.
    pub(in crate::source) is_outlived: Cell<bool>,
    /// When another member joined under this one's instance id.
    pub(in crate::source) fenced: Option<Instant>,
    /// When the group's members are looked at again, because a look told nothing; `None`: they agree.
    pub(in crate::source) agreement: Option<Interval>,
    /// The members do not agree: what was owned is lost, and this is said next.
    pub(in crate::source) dissent: Option<Error>,
}

impl Reader {
    /// Joins the group as worker `worker` of this process, from 0. The first assignment comes out of `poll`.
    ///
    /// Errors: `Invalid`, settings that librdkafka refuses.
    pub fn join(plan: Arc<Plan>, worker: usize) -> Result<Self> {
        let identity = plan.identity(worker);
        let client = Closing::new(client::member(&plan.set[0], identity, &plan.member)?);
        let queue = Queue::of(&client)?;
        let max_batch = plan.set.iter().map(|source| source.max_batch).min().unwrap_or(1);
        let discovery = plan
            .set
            .iter()
            .map(|source| source.discovery_interval)
            .min()
            .unwrap_or(Duration::MAX);
        let mut reader = Self {
            queue,
            client,
            worker,
            intake: Intake::new(max_batch),
            commits: Commits::default(),
            rebalance_events: RebalanceEvents::default(),
            pending: PendingPartitions::new(!matches!(plan.sharing, Sharing::Matching)),
            has_assignment: false,
            assignment_epoch: 0,
            moves: BTreeMap::new(),
            counts: counts(&plan),
            subscribed: BTreeSet::new(),
            discovery: Interval::new(discovery),
            must_discover: false,
            is_bounded: plan.is_bounded(),
            finish_check: Interval::new(Duration::from_secs(1)),
            told: VecDeque::new(),
            disconnected: None,
            probe: Interval::new(Duration::from_secs(1)),
            member_id: None,
            is_outlived: Cell::new(false),
            fenced: None,
            agreement: None,
            dissent: None,
            plan,
        };
        reader.subscribe_first()?;
        Ok(reader)
    }

    pub(in crate::source) fn subscribe_first(&mut self) -> Result<()> {
        match self.plan.sharing.clone() {
            Sharing::Led { leader, .. } => self.subscribe([leader].into()),
            Sharing::Matching => self.subscribe(self.counts.keys().cloned().collect()),
            Sharing::ByHand => {
                let all = self.plan.lines().into_iter().map(|placed| placed.partition);
                let mine = self.plan.share(all.collect(), self.worker);
                self.rebalance_events.push(RebalanceEvent::Assign(mine));
                Ok(())
            }
        }
    }

    pub(in crate::source) fn subscribe(&mut self, topics: BTreeSet<String>) -> Result<()> {
        if topics.is_empty() {
            // Nothing matches yet. A member without topics would be told nothing, so it waits outside of the group.
            self.client.unsubscribe();
            self.has_assignment = true;
        } else {
            let names: Vec<_> = topics.iter().map(String::as_str).collect();
            self.client
                .subscribe(&names)
                .map_err(|error| Error::new(Kind::Kafka, "failed to join the group", words(&error)))?;
        }
        self.subscribed = topics;
        Ok(())
    }

    /// Serves the group and waits up to `wait` for records. `batch` is filled if `Polled::Batch` says so.
    ///
    /// Errors: `Kafka`, a position that the log does not hold, a topic that was deleted, a permission that was
    /// withdrawn, members that do not agree; `Corrupt`, a topic with state behind it has another number of partitions;
    /// `Fenced`, another process with this instance's id; `Bug`, a batch that was not `processed`. A broker that is
    /// away is none.
    pub fn poll(&mut self, wait: Duration, batch: &mut Batch) -> Result<Polled> {
        if self.intake.has_outstanding() {
            return Err(Error::new(
                Kind::Bug,
                "failed to poll",
                "the last batch was not marked as processed",
            ));
        }
        self.serve(Duration::ZERO)?;
        if let Some(told) = self.answer()?.or_else(|| self.told.pop_front()) {
            return Ok(told);
        }
        self.move_when_possible()?;
        if !self.intake.has_run() {
            if let Some(told) = self.take_up()? {
                return Ok(told);
            }
            self.discover_when_due()?;
            self.look_around_when_due()?;
            // A partition that was just found is told before its first records are handed over.
            if let Some(told) = self.told.pop_front() {
                return Ok(told);
            }
            if self.has_finished()? {
                self.serve(wait)?;
                return Ok(self.told.pop_front().unwrap_or(Polled::Finished));
            }
            self.intake.begin();
            // As long as nothing is read, only the group has something to say.
            let reads = self.intake.slots().next().is_some();
            if !reads || !self.queue.serve(self.bounded(wait), &mut self.intake) {
                self.serve(self.bounded(wait))?;
            }
            self.rest_at_stops();
        }
        if let Some((source, partition)) = self.intake.hand_over(&mut batch.records) {
            batch.source = source;
            batch.partition = partition;
            return Ok(Polled::Batch);
        }
        self.see_to_troubles()?;
        self.notice_connection();
        Ok(self.told.pop_front().unwrap_or(Polled::Idle))
    }

    /// If something is checked or retried, the queue is not waited for longer than its turn.
    fn bounded(&self, wait: Duration) -> Duration {
        let is_waiting =
            !self.rebalance_events.is_empty() || !self.pending.is_empty() || !self.intake.troubles.is_empty();
        if is_waiting {
            wait.min(Duration::from_millis(50))
        } else {
            wait
        }
    }

    /// Serves the group while the worker waits with a batch in hand, which may be taken from it: see
    /// [`has_batch`](Self::has_batch). Hands over no records. Errors: as `poll`.
    pub fn poll_group(&mut self) -> Result<Option<Polled>> {
        self.serve(Duration::ZERO)?;
        Ok(self.answer()?.or_else(|| self.told.pop_front()))
    }

    /// Serves the group, and tells whether it waits for an answer that a poll would give. Errors: as `poll`.
    pub fn is_asked(&mut self) -> Result<bool> {
        self.serve(Duration::ZERO)?;
        Ok(!self.rebalance_events.is_empty())
    }

    /// Whether the last batch is still to be processed: no partition is processed that the group took.
    pub fn has_batch(&self) -> bool {
        self.intake.has_outstanding()
    }

    /// The last batch's outputs are staged: once they are acknowledged, its positions may be committed.
    pub fn processed(&mut self) {
        self.intake.processed();
    }

    /// Whether every processed position is held by the group, or by checkpoints if those are the truth; or is to be
    /// held by nobody.
    pub fn is_committed(&self) -> bool {
        let is_held = || self.uncommitted(|_| true).is_empty();
        if self.plan.is_kept() {
            return is_held();
        }
        !self.plan.commits() || (self.commits.is_idle() && is_held())
    }

    /// Begins to commit all processed positions; their outputs must be acknowledged. Never waits: `Polled::Committed`
    /// tells how it went, for a later commit too if that took this one's place. `false`: nothing is new, and nothing
    /// will be told.
    pub fn begin_commit(&mut self) -> bool {
        if !self.plan.commits() || !self.may_commit() {
            return false;
        }
        let positions = self.uncommitted(|_| true);
        if positions.is_empty() && self.commits.is_idle() {
            return false;
        }
        let sent = self.commits.begin(
            &self.client,
            Snapshot {
                positions,
                is_asked: true,
            },
        );
        self.tell(sent);
        true
    }

    fn uncommitted(&self, is_wanted: impl Fn(&TopicPartition) -> bool) -> Vec<Committable> {
        self.intake
            .positions()
            .filter(|(slot, next)| slot.committed != Some(*next) && is_wanted(&slot.at))
            .map(|(slot, next)| Committable {
                partition: slot.at.clone(),
                next,
                leader_epoch: slot.leader_epoch_at(next),
                metadata: self.plan.pointer(slot.source, &slot.at, slot.stop),
            })
            .collect()
    }

    /// Answers `Polled::Revoking`: commits the revoked partitions, waiting up to `commit`, then gives them up. `None`
    /// if the outputs could not be drained: nothing is committed. A commit that fails or takes too long is no error:
    /// the next member reads those records again, and `Polled::Committed` tells of it.
    pub fn release(&mut self, commit: Option<Duration>) -> Result<()> {
        if !self.is_revoking() {
            return Ok(());
        }
        let Some(RebalanceEvent::Revoke { partitions, .. }) = self.rebalance_events.answered() else {
            return Ok(());
        };
        let partitions = self.with_followers(&partitions);
        let membership = self.fenced;
        if let Some(limit) = commit.filter(|_| self.plan.commits() && self.may_commit()) {
            let positions = self.uncommitted(|at| partitions.contains(at));
            if !self.commit_and_wait(positions, clock::now() + limit)? {
                self.told.push_back(Polled::Committed(Err(Refusal::passing(NO_ANSWER))));
            }
        }
        if self.fenced != membership {
            // It joined again meanwhile, under another membership: all is lost, and told, and nobody waits for this
            // answer.
            return Ok(());
        }
        let owned: Vec<_> = partitions
            .into_iter()
            .filter(|at| self.intake.slot(&at.topic, at.partition).is_some())
            .collect();
        self.give_up(&owned)
    }

    /// Whether every commit was answered by the deadline; how is told.
    fn commit_and_wait(&mut self, positions: Vec<Committable>, deadline: Instant) -> Result<bool> {
        if !positions.is_empty() {
            let sent = self.commits.begin(
                &self.client,
                Snapshot {
                    positions,
                    is_asked: true,
                },
            );
            self.tell(sent);
        }
        while !self.commits.is_idle() && clock::now() < deadline {
            self.serve(Duration::from_millis(5))?;
        }
        Ok(self.commits.is_idle())
    }

    /// Leaves: commits what was processed, waiting up to `commit`, and gives the partitions back to the group; all of
    /// it takes `limit` at most. `commit` is `None` if the outputs could not be drained: nothing is committed. Gives
    /// why the commit failed, if it did.
    pub fn leave(mut self, commit: Option<Duration>, limit: Duration) -> Result<Option<String>> {
        let closed = clock::now() + limit;
        let committed = match commit.filter(|_| self.plan.commits()) {
            Some(limit) => self.commit_last(clock::now() + limit),
            None => Ok(None),
        };
        if self.plan.tells_group() {
            self.commit_and_wait(Vec::new(), closed.min(clock::now() + LAST_TOLD))?;
        }
        for (slot, next) in self.intake.positions() {
            self.plan.hand_over(&slot.at, next);
        }
        let Self { queue, client, .. } = self;
        drop(queue);
        client.close(closed.saturating_duration_since(clock::now()));
        committed
    }

    /// Tries again until the deadline: a group that is being shared out anew refuses, and takes it a moment later.
    fn commit_last(&mut self, deadline: Instant) -> Result<Option<String>> {
        loop {
            let positions = self.uncommitted(|_| true);
            if !self.commit_and_wait(positions, deadline)? {
                return Ok(Some(NO_ANSWER.to_owned()));
            }
            if self.uncommitted(|_| true).is_empty() {
                return Ok(None);
            }
            if clock::now() >= deadline {
                return Ok(self.told.drain(..).rev().find_map(|told| match told {
                    Polled::Committed(Err(refusal)) => Some(refusal.reason),
                    _ => None,
                }));
            }
            self.serve(Duration::from_millis(50))?;
        }
    }

    /// Where the owned partitions stand.
    pub fn positions(&self) -> Vec<Position> {
        self.intake
            .positions()
            .map(|(slot, next)| Position {
                source: slot.source,
                partition: slot.at.clone(),
                next,
                committed: slot.committed,
                end: queue::known_end(&self.client, &slot.at.topic, slot.at.partition),
            })
            .collect()
    }

    /// Records between the owned partitions' positions and the ends of their logs, as far as those are known.
    pub fn lag(&self) -> u64 {
        let behind = |at: Position| at.end.map_or(0, |end| end.saturating_sub(at.next).max(0) as u64);
        self.positions().into_iter().map(behind).sum()
    }

    /// Serves what librdkafka has to tell. A message that comes this way came before the partition was led into our
    /// queue: it is taken in first.
    pub(in crate::source) fn serve(&mut self, wait: Duration) -> Result<()> {
        client::tend(&self.client);
        let mut wait = wait;
        loop {
            let before = self.client.context().served();
            match self.client.poll(wait) {
                Some(Ok(message)) if !self.intake.take(&Message::of(&message)) => break,
                Some(_) => {}
                None if self.client.context().served() == before => break,
                None => {}
            }
            wait = Duration::ZERO;
        }
        while let Some(event) = self.client.context().next_event() {
            self.take_event(event)?;
        }
        Ok(())
    }

    fn take_event(&mut self, event: Event) -> Result<()> {
        let places = |list: Vec<(String, i32)>| {
            list.into_iter()
                .map(|(topic, number)| TopicPartition::new(topic, number))
                .collect()
        };
        match event {
            Event::Assign(list) => self.rebalance_events.push(RebalanceEvent::Assign(places(list))),
            Event::Revoke { partitions, is_lost } => self.rebalance_events.push(RebalanceEvent::Revoke {
                partitions: places(partitions),
                is_lost,
            }),
            Event::Committed(result) => {
                let outcomes = self.commits.came_back(&self.client, result);
                self.tell(outcomes);
            }
            Event::Error(code, reason) => self.take_error(code, reason)?,
        }
        Ok(())
    }

    fn take_error(&mut self, code: Code, reason: String) -> Result<()> {
        match code {
            Code::AllBrokersDown if self.disconnected.is_none() => {
                let why = self.client.context().reason().map_or(reason, |(why, _)| why);
                self.disconnected = Some(self.intake.arrivals);
                self.told.push_back(Polled::Disconnected(why));
            }
            Code::FencedInstanceId | Code::Fatal => {
                let is_fenced = code == Code::FencedInstanceId || reason.to_ascii_lowercase().contains("fenced");
                if is_fenced {
                    return self.join_again(&reason);
                }
                return Err(Error::new(Kind::Kafka, "failed to stay in the group", reason));
            }
            Code::InconsistentGroupProtocol => {
                return Err(Error::new(Kind::Kafka, "failed to join the group", reason).hint(
                    "its other members share partitions out in another way (cooperative-sticky is ours): give \
                        the source a group of its own",
                ));
            }
            Code::GroupAuthorizationFailed
            | Code::TopicAuthorizationFailed
            | Code::ClusterAuthorizationFailed
            | Code::InvalidGroupId => {
                return Err(Error::new(Kind::Kafka, "failed to read from Kafka", reason));
            }
            Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition => self.must_discover = true,
            _ => tracing::debug!(?code, reason, "librdkafka reports"),
        }
        Ok(())
    }

    /// Keeps how commits went, and tells the worker of those that it began.
    pub(in crate::source) fn tell(&mut self, outcomes: impl IntoIterator<Item = Outcome>) {
        for outcome in outcomes {
            // If checkpoints are the truth, the answer may be older than they are.
            if outcome.result.is_ok() && !self.plan.is_kept() {
                for Committable {
                    partition: at, next, ..
                } in &outcome.positions
                {
                    if let Some(slot) = self.intake.slot_mut(&at.topic, at.partition) {
                        slot.committed = Some(*next);
                    }
                }
            }
            if outcome.is_asked {
                self.told
                    .push_back(Polled::Committed(outcome.result.map(|()| outcome.positions.len())));
            }
        }
    }

    /// A broker answers again when records or ends come, or a question is answered.
    fn notice_connection(&mut self) {
        let Some(arrivals) = self.disconnected else {
            return;
        };
        let is_back = self.intake.arrivals > arrivals
            || (self.probe.due()
                && self
                    .client
                    .fetch_metadata(Some(self.a_topic()), Duration::from_millis(200))
                    .is_ok());
        if is_back {
            self.disconnected = None;
            self.told.push_back(Polled::Connected);
        }
    }

    fn a_topic(&self) -> &str {
        self.counts.keys().next().map_or("", String::as_str)
    }

    /// Whether the whole run is done. Asked for only when nothing is taken in and not handed over.
    fn has_finished(&mut self) -> Result<bool> {
        if !self.is_bounded
            || !self.rebalance_events.is_empty()
            || !self.pending.is_empty()
            || !self.moves.is_empty()
            || !self.intake.slots().all(|slot| slot.is_at_stop())
        {
            return Ok(false);
        }
        for slot in self.intake.slots() {
            self.plan.completed(&slot.at);
        }
        let incomplete = self.plan.incomplete();
        if incomplete.is_empty() {
            return Ok(true);
        }
        if !self.plan.commits() {
            return Ok(self.has_assignment);
        }
        if !self.finish_check.due() {
            return Ok(false);
        }
        self.others_have_finished(&incomplete)
    }

    fn others_have_finished(&self, incomplete: &[(TopicPartition, i64)]) -> Result<bool> {
        let partitions: Vec<_> = incomplete.iter().map(|(at, _)| at.clone()).collect();
        match self.lookup(Duration::from_secs(1)).committed(&partitions) {
            Ok(committed) => Ok(committed.iter().zip(incomplete).all(|(committed, (_, stop))| {
                crate::source::positions::plan::own(committed).is_some_and(|at| at >= *stop)
            })),
            Err(error) if error.kind == Kind::TimedOut => Ok(false),
            Err(error) => Err(error),
        }
    }
}

fn counts(plan: &Plan) -> BTreeMap<String, i32> {
    let mut counts = BTreeMap::new();
    for placed in plan.lines() {
        let count: &mut i32 = counts.entry(placed.partition.topic.to_string()).or_default();
        *count = (*count).max(placed.partition.partition + 1);
    }
    counts
}
