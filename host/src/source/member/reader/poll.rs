//! A reader's fields, and one turn of it.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer;
use rdkafka::types::RDKafkaErrorCode as Code;

use super::polled::{Batch, Polled, ReaderPosition};
use crate::clock::Interval;
use crate::error::{Error, Kind, Result};
use crate::kafka::bootstrap::Bootstrap;
use crate::kafka::consumer::{self, ConsumerEvent, words};
use crate::kafka::native::message::Message;
use crate::kafka::native::record_queue::{RecordQueue, TakesMessages as _};
use crate::kafka::native::requests;
use crate::record::{Records, TopicPartition};
use crate::source::member::close::Closing;
use crate::source::member::commit::Commits;
use crate::source::member::pending::PendingPartitions;
use crate::source::member::rebalance_events::{RebalanceEvent, RebalanceEvents};
use crate::source::member::record_buffer::RecordBuffer;
use crate::source::positions::plan::Plan;
use crate::source::positions::topics::Sharing;

/// A member of the group, and the partitions that it reads. One a worker and subtopology.
///
/// Always: at most one batch is handed over and not yet processed; a rebalance event of the group goes before records.
pub struct Reader {
    // The queue stands before the client: it must be destroyed first.
    pub(super) queue: RecordQueue,
    pub(super) client: Closing,
    pub(super) plan: Arc<Plan>,
    pub(super) worker: usize,
    pub(super) record_buffer: RecordBuffer,
    pub(super) commits: Commits,
    pub(super) group: GroupState,
    pub(super) discovery: Discovery,
    /// Positions to read on from, once the group waits for no answer.
    pub(super) moves: BTreeMap<TopicPartition, i64>,
    /// What the next polls tell, oldest first.
    pub(super) told: VecDeque<Polled>,
    pub(super) finish_check: Interval,
    /// Nothing is taken in any more: see [`read_no_more`](Self::read_no_more).
    pub(super) reads_no_more: bool,
    pub(super) connection: Connection,
}

/// What the group asked of this member, and what it is to the group.
pub(super) struct GroupState {
    pub(super) rebalance_events: RebalanceEvents,
    pub(super) pending: PendingPartitions,
    pub(super) has_assignment: bool,
    /// The generation of the group whose assignment is taken up as a whole; `None`: another one follows.
    pub(super) settled: Option<i32>,
    /// The generation in which the group took partitions from this member: it shares them out in the next one.
    pub(super) revoked_in: Option<i32>,
    /// Counts how often partitions were taken.
    pub(super) assignment_epoch: u64,
    /// The member id that what is held was given to; `None`: nothing is, or it is not known.
    pub(super) member_id: Option<Vec<u8>>,
    /// The group knows this member by another id than that.
    pub(super) is_outlived: Cell<bool>,
    /// When another member joined under this one's instance id.
    pub(super) fenced: Option<Instant>,
}

/// What is known of the connection to the brokers.
pub(super) struct Connection {
    /// No broker answers.
    pub(super) is_lost: bool,
    pub(super) probe: Interval,
    pub(super) bootstrap: Bootstrap,
}

/// What is known of the topics and of the other members, and when both are looked at again.
pub(super) struct Discovery {
    /// Number of partitions of each topic, as last looked up.
    pub(super) counts: BTreeMap<String, i32>,
    pub(super) subscribed: BTreeSet<String>,
    pub(super) interval: Interval,
    /// Something happened to a topic: the next poll looks.
    pub(super) must_look: bool,
    /// When the group's members are looked at again, because a look told nothing; `None`: they agree.
    pub(super) agreement: Option<Interval>,
    /// The members do not agree: what was owned is lost, and this is said next.
    pub(super) dissent: Option<Error>,
}

impl Reader {
    /// Joins the group as worker `worker` of this process, from 0. The first assignment comes out of `poll`.
    ///
    /// Errors: `Invalid`, settings that librdkafka refuses.
    pub fn join(plan: Arc<Plan>, worker: usize) -> Result<Self> {
        let identity = plan.identity(worker);
        let client = Closing::new(consumer::member(&plan.sources[0], identity, plan.limits())?);
        let queue = RecordQueue::of(&client)?;
        let max_batch = plan.sources.iter().map(|source| source.max_batch).min().unwrap_or(1);
        let discovery = plan
            .sources
            .iter()
            .map(|source| source.discovery_interval)
            .min()
            .unwrap_or(Duration::MAX);
        let mut reader = Self {
            queue,
            client,
            worker,
            record_buffer: RecordBuffer::new(max_batch, plan.merged()?),
            commits: Commits::default(),
            group: GroupState {
                rebalance_events: RebalanceEvents::default(),
                pending: PendingPartitions::new(!matches!(plan.sharing, Sharing::Matching)),
                has_assignment: false,
                settled: None,
                revoked_in: None,
                assignment_epoch: 0,
                member_id: None,
                is_outlived: Cell::new(false),
                fenced: None,
            },
            discovery: Discovery {
                counts: counts(&plan),
                subscribed: BTreeSet::new(),
                interval: Interval::new(discovery),
                must_look: false,
                agreement: None,
                dissent: None,
            },
            moves: BTreeMap::new(),
            told: VecDeque::new(),
            finish_check: Interval::new(Duration::from_secs(1)),
            reads_no_more: false,
            connection: Connection {
                is_lost: false,
                probe: Interval::new(Duration::from_secs(1)),
                bootstrap: Bootstrap::begun(),
            },
            plan,
        };
        reader.subscribe_first()?;
        Ok(reader)
    }

    pub(super) fn subscribe_first(&mut self) -> Result<()> {
        match self.plan.sharing.clone() {
            Sharing::Led { leader, .. } => self.subscribe([leader].into()),
            Sharing::Matching => self.subscribe(self.discovery.counts.keys().cloned().collect()),
            Sharing::ByHand => {
                let all = self.plan.lines().into_iter().map(|placed| placed.partition);
                let mine = self.plan.share(all.collect(), self.worker);
                self.group.rebalance_events.push(RebalanceEvent::Assign(mine));
                Ok(())
            }
        }
    }

    pub(super) fn subscribe(&mut self, topics: BTreeSet<String>) -> Result<()> {
        if topics.is_empty() {
            // Nothing matches yet. A member without topics would be told nothing, so it waits outside of the group.
            self.client.unsubscribe();
            self.group.has_assignment = true;
        } else {
            let names: Vec<_> = topics.iter().map(String::as_str).collect();
            self.client
                .subscribe(&names)
                .map_err(|error| Error::new(Kind::Kafka, "failed to join the group", words(&error)))?;
        }
        self.discovery.subscribed = topics;
        Ok(())
    }

    /// Serves the group and waits up to `wait` for records. `batch` is filled if `Polled::Batch` says so.
    ///
    /// Errors: `Kafka`, a position that the log does not hold, a topic that was deleted, a permission that was
    /// withdrawn, members that do not agree; `Corrupt`, a topic with state behind it has another number of partitions;
    /// `Fenced`, another process with this instance's id; `Bug`, a batch that was not `processed`. A broker that is
    /// away is none.
    pub fn poll(&mut self, wait: Duration, batch: &mut Batch) -> Result<Polled> {
        if self.record_buffer.has_outstanding() {
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
        if !self.is_ready() {
            if let Some(told) = self.take_up()? {
                return Ok(told);
            }
            self.discover_when_due()?;
            self.look_around_when_due()?;
            // A partition that was just found is told before its first records are handed over.
            if let Some(told) = self.told.pop_front() {
                return Ok(told);
            }
            if !self.record_buffer.has_run() && self.has_finished()? {
                self.serve(wait)?;
                return Ok(self.told.pop_front().unwrap_or(Polled::Finished));
            }
            self.record_buffer.begin();
            self.park_those_ahead();
            // As long as nothing is read, only the group has something to say.
            let reads = self.record_buffer.slots().next().is_some() && !self.reads_no_more;
            if !reads || !self.queue.serve(self.bounded(wait), &mut self.record_buffer) {
                self.serve(self.bounded(wait))?;
            }
            self.rest_at_stops();
            self.is_ready();
        }
        if let Some((source, partition)) = self.record_buffer.hand_over(&mut batch.records) {
            batch.source = source;
            batch.partition = partition;
            return Ok(Polled::Batch);
        }
        self.see_to_troubles()?;
        Ok(self.told.pop_front().unwrap_or(Polled::Idle))
    }

    /// The same without records, for a worker that takes none for now: what the group asks is answered, and what
    /// librdkafka reads ahead stays within its queues. Errors: as `poll`.
    pub fn poll_without_records(&mut self, wait: Duration) -> Result<Polled> {
        self.serve(self.bounded(wait))?;
        if let Some(told) = self.answer()?.or_else(|| self.told.pop_front()) {
            return Ok(told);
        }
        self.move_when_possible()?;
        if !self.is_ready()
            && let Some(told) = self.take_up()?
        {
            return Ok(told);
        }
        self.see_to_troubles()?;
        Ok(self.told.pop_front().unwrap_or(Polled::Idle))
    }

    /// Whether a batch can be handed over.
    fn is_ready(&mut self) -> bool {
        let Self {
            client,
            record_buffer,
            reads_no_more,
            ..
        } = self;
        let known_end = |at: &TopicPartition| requests::known_end(client, &at.topic, at.partition);
        record_buffer.is_ready((!*reads_no_more).then_some(&known_end))
    }

    /// Partitions that are held back for others bring no more than librdkafka keeps for them.
    fn park_those_ahead(&mut self) {
        for (at, is_ahead) in self.record_buffer.change_parked() {
            match is_ahead {
                true => self.queue.park(&at.topic, at.partition),
                false => self.queue.unpark(&at.topic, at.partition),
            }
        }
    }

    /// If something is checked or retried, the queue is not waited for longer than its turn.
    fn bounded(&self, wait: Duration) -> Duration {
        let is_waiting = !self.group.rebalance_events.is_empty()
            || !self.group.pending.is_empty()
            || !self.record_buffer.troubles.is_empty();
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
        Ok(!self.group.rebalance_events.is_empty())
    }

    /// Whether the last batch is still to be processed: no partition is processed that the group took.
    pub fn has_batch(&self) -> bool {
        self.record_buffer.has_outstanding()
    }

    /// The last batch's outputs are staged: once they are acknowledged, its positions may be committed.
    pub fn processed(&mut self) {
        self.record_buffer.processed();
    }

    /// The last batch, which has these records, ends behind the one of that offset: those behind it are polled again.
    /// `false`: there is no such batch any more.
    pub fn put_back(&mut self, offset: i64, records: &mut Records) -> bool {
        self.record_buffer.put_back(offset, records)
    }

    /// Whether all that a partition has to bring was handed over: it was read up to its stop.
    pub fn is_done(&self, at: &TopicPartition) -> bool {
        let slot = self.record_buffer.slot(&at.topic, at.partition);
        slot.is_some_and(|slot| slot.is_at_stop() && slot.left() == 0)
    }

    /// Where the owned partitions stand.
    pub fn positions(&self) -> Vec<ReaderPosition> {
        self.record_buffer
            .positions()
            .map(|(slot, next)| ReaderPosition {
                source: slot.source,
                partition: slot.at.clone(),
                next,
                committed: slot.committed,
                end: requests::known_end(&self.client, &slot.at.topic, slot.at.partition),
                is_at_stop: slot.stops_at(next),
            })
            .collect()
    }

    /// Serves what librdkafka has to tell. A message that comes this way came before the partition was led into our
    /// queue: it is taken in first.
    pub(super) fn serve(&mut self, wait: Duration) -> Result<()> {
        consumer::tend(&self.client);
        let mut wait = wait;
        loop {
            let before = self.client.context().served();
            match self.client.poll(wait) {
                Some(Ok(message)) if !self.record_buffer.take(&Message::of(&message)) => break,
                Some(_) => {}
                None if self.client.context().served() == before => break,
                None => {}
            }
            wait = Duration::ZERO;
        }
        while let Some(event) = self.client.context().next_event() {
            self.take_event(event)?;
        }
        self.notice_connection();
        Ok(())
    }

    fn take_event(&mut self, event: ConsumerEvent) -> Result<()> {
        let places = |list: Vec<(String, i32)>| {
            list.into_iter()
                .map(|(topic, number)| TopicPartition::new(topic, number))
                .collect()
        };
        match event {
            ConsumerEvent::Assign(list) => self.group.rebalance_events.push(RebalanceEvent::Assign(places(list))),
            ConsumerEvent::Revoke { partitions, is_lost } => {
                self.note_revocation();
                self.group.rebalance_events.push(RebalanceEvent::Revoke {
                    partitions: places(partitions),
                    is_lost,
                });
            }
            ConsumerEvent::Committed(result) => {
                let outcomes = self.commits.came_back(&self.client, result);
                self.tell(outcomes);
            }
            ConsumerEvent::Error(code, reason) => self.take_error(code, reason)?,
        }
        Ok(())
    }

    fn take_error(&mut self, code: Code, reason: String) -> Result<()> {
        match code {
            Code::AllBrokersDown => self.is_disconnected(reason),
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
            Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition => {
                self.discovery.must_look = true
            }
            _ => tracing::debug!(?code, reason, "librdkafka reports"),
        }
        Ok(())
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
