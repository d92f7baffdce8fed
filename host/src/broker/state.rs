//! What the broker knows: topics and their logs, committed positions, groups, producer ids, transactions. One thread
//! owns it all.
//!
//! What always holds: a change is in the journal before it is made here, so that what was answered is what is found
//! again.

use super::configs::topic::TopicConfig;
use super::disk::journal::{Journal, JournalEvent};
use super::disk::limits::TopicLimits;
use super::disk::log::PartitionLog;
use super::disk::position::JournalPosition;
use super::disk::storage::Storage;
use super::groups::group::Group;
use super::transactions::transaction::Transaction;
use crate::clock;
use crate::error::{Error, Kind, Result};
use kafka_protocol::error::ResponseError;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use uuid::Uuid;

/// Ids reserved by one line of the journal.
const PRODUCER_IDS: i64 = 1000;

/// The committed positions of a group.
pub(super) type Positions = BTreeMap<(String, i32), JournalPosition>;

/// Everything that requests read and change.
#[derive(Debug)]
pub(super) struct BrokerState {
    pub cluster: String,
    pub topics: BTreeMap<String, BrokerTopic>,
    pub committed: BTreeMap<String, Positions>,
    pub groups: BTreeMap<String, Group>,
    /// By transactional id.
    pub transactions: BTreeMap<String, Transaction>,
    pub storage: Storage,
    journal: Journal,
    last_order: u64,
    next_producer_id: i64,
    reserved_producer_ids: i64,
}

/// A topic: its id, its settings, and the logs of its partitions.
#[derive(Debug)]
pub(super) struct BrokerTopic {
    pub id: Uuid,
    pub partitions: Vec<PartitionLog>,
    pub config: TopicConfig,
    /// What follows from the settings.
    pub limits: TopicLimits,
}

impl BrokerTopic {
    pub(super) fn new(id: Uuid, partitions: Vec<PartitionLog>, config: TopicConfig) -> Self {
        let limits = config.limits();
        Self {
            id,
            partitions,
            config,
            limits,
        }
    }

    pub(super) fn configure(&mut self, config: TopicConfig) {
        self.limits = config.limits();
        self.config = config;
    }
}

/// What the journal says of a topic, before its logs are opened.
struct Remembered {
    id: Uuid,
    beginnings: Vec<i64>,
    config: TopicConfig,
}

impl BrokerState {
    /// Opens what an earlier process left in the folder. What it decided and did not complete is still so.
    pub(super) fn open(folder: Option<&Path>) -> Result<Self> {
        let storage = Storage::open(folder)?;
        let failed = |error: io::Error| Error::new(Kind::Corrupt, "failed to open the broker's data", error);
        let (journal, events) = match storage.journal() {
            Some(path) => Journal::open(&path).map_err(failed)?,
            None => (Journal::none(), Vec::new()),
        };
        let mut state = Self {
            cluster: String::new(),
            topics: BTreeMap::new(),
            committed: BTreeMap::new(),
            groups: BTreeMap::new(),
            transactions: BTreeMap::new(),
            storage,
            journal,
            last_order: 0,
            next_producer_id: 0,
            reserved_producer_ids: 0,
        };
        state.replay(events).map_err(failed)?;
        if state.cluster.is_empty() {
            state.cluster = format!("sandbar-{:016x}", clock::random());
        }
        state.journal.replace(&state.summary()).map_err(failed)?;
        Ok(state)
    }

    /// Writes events to the journal; a request may be answered with success only after this.
    pub(super) fn record(&mut self, events: &[JournalEvent]) -> Result<(), ResponseError> {
        self.journal.append(events).map_err(storage_error)
    }

    /// Writes events that concern no topic to the journal, and makes them so.
    pub(super) fn commit(&mut self, events: Vec<JournalEvent>) -> Result<(), ResponseError> {
        self.record(&events)?;
        for event in events {
            self.apply(event);
        }
        self.tidy();
        Ok(())
    }

    /// Shortens the journal when it is long. Called after what `record` wrote was done, so that the summary holds it.
    pub(super) fn tidy(&mut self) {
        if self.journal.is_long() {
            let summary = self.summary();
            if let Err(error) = self.journal.replace(&summary) {
                tracing::error!(%error, "failed to shorten the broker's journal");
            }
        }
    }

    /// The log of a partition.
    pub(super) fn log(&self, topic: &str, partition: i32) -> Result<&PartitionLog, ResponseError> {
        let index = usize::try_from(partition).map_err(|_| ResponseError::UnknownTopicOrPartition)?;
        let topic = self.topics.get(topic).ok_or(ResponseError::UnknownTopicOrPartition)?;
        topic
            .partitions
            .get(index)
            .ok_or(ResponseError::UnknownTopicOrPartition)
    }

    /// What a topic lets into its logs.
    pub(super) fn limits(&self, topic: &str) -> TopicLimits {
        self.topics.get(topic).map(|topic| topic.limits).unwrap_or_default()
    }

    /// The log of a partition, to write to.
    pub(super) fn log_mut(&mut self, topic: &str, partition: i32) -> Result<&mut PartitionLog, ResponseError> {
        let index = usize::try_from(partition).map_err(|_| ResponseError::UnknownTopicOrPartition)?;
        let topic = self
            .topics
            .get_mut(topic)
            .ok_or(ResponseError::UnknownTopicOrPartition)?;
        topic
            .partitions
            .get_mut(index)
            .ok_or(ResponseError::UnknownTopicOrPartition)
    }

    /// Opens the logs of the partitions `from..to` of a topic.
    pub(super) fn open_logs(
        &self,
        topic: &str,
        id: Uuid,
        from: usize,
        to: usize,
    ) -> Result<Vec<PartitionLog>, ResponseError> {
        let open = |partition| PartitionLog::open(self.storage.log(topic, id, partition)?, 0);
        (from..to).map(open).collect::<io::Result<_>>().map_err(storage_error)
    }

    /// An id that no producer ever had.
    pub(super) fn next_producer_id(&mut self) -> Result<i64, ResponseError> {
        if self.next_producer_id == self.reserved_producer_ids {
            let below = self.reserved_producer_ids + PRODUCER_IDS;
            self.record(&[JournalEvent::ProducerIds { below }])?;
            self.reserved_producer_ids = below;
        }
        self.next_producer_id += 1;
        Ok(self.next_producer_id - 1)
    }

    /// The place of the next commit of a position among all of them.
    pub(super) fn next_order(&mut self) -> u64 {
        self.last_order += 1;
        self.last_order
    }

    /// Forgets what groups committed for a topic that is gone, and what open transactions would.
    pub(super) fn drop_positions_of(&mut self, deleted: &str) {
        for positions in self.committed.values_mut() {
            positions.retain(|(topic, _), _| topic != deleted);
        }
        self.committed.retain(|_, positions| !positions.is_empty());
        for pending in self.transactions.values_mut().flat_map(|open| open.groups.values_mut()) {
            pending.retain(|pending| pending.topic != deleted);
        }
    }

    /// Forgets what a group committed, and what open transactions would.
    fn drop_positions_in(&mut self, group: &str) {
        self.committed.remove(group);
        let pending = self
            .transactions
            .values_mut()
            .filter_map(|open| open.groups.get_mut(group));
        pending.for_each(Vec::clear);
    }

    fn replay(&mut self, events: Vec<JournalEvent>) -> io::Result<()> {
        let mut topics = BTreeMap::new();
        for event in events {
            self.retell(event, &mut topics);
        }
        self.storage.sweep(
            topics
                .iter()
                .map(|(name, topic): (&String, &Remembered)| (name.as_str(), topic.id)),
        )?;
        for (name, topic) in topics {
            let open =
                |(partition, &beginning)| PartitionLog::open(self.storage.log(&name, topic.id, partition)?, beginning);
            let partitions = topic
                .beginnings
                .iter()
                .enumerate()
                .map(open)
                .collect::<io::Result<_>>()?;
            self.topics
                .insert(name, BrokerTopic::new(topic.id, partitions, topic.config));
        }
        self.next_producer_id = self.reserved_producer_ids;
        Ok(())
    }

    /// Makes an event of an earlier process so.
    fn retell(&mut self, event: JournalEvent, topics: &mut BTreeMap<String, Remembered>) {
        match event {
            JournalEvent::Created {
                topic,
                id,
                partitions,
                config,
            } => {
                let remembered = Remembered {
                    id: Uuid::from_u128(id),
                    beginnings: vec![0; partitions],
                    config,
                };
                topics.insert(topic, remembered);
            }
            JournalEvent::Configured { topic, config } => {
                if let Some(topic) = topics.get_mut(&topic) {
                    topic.config = config;
                }
            }
            JournalEvent::Grown { topic, partitions } => {
                if let Some(topic) = topics.get_mut(&topic) {
                    topic.beginnings.resize(partitions, 0);
                }
            }
            JournalEvent::Deleted { topic } => {
                topics.remove(&topic);
                self.drop_positions_of(&topic);
            }
            JournalEvent::Begins {
                topic,
                partition,
                offset,
            } => {
                if let Some(beginning) = topics
                    .get_mut(&topic)
                    .and_then(|topic| topic.beginnings.get_mut(partition))
                {
                    *beginning = offset;
                }
            }
            other => self.apply(other),
        }
    }

    /// Makes an event so that concerns no topic.
    fn apply(&mut self, event: JournalEvent) {
        match event {
            JournalEvent::Named { cluster } => self.cluster = cluster,
            JournalEvent::Committed {
                group,
                topic,
                partition,
                position,
            } => {
                self.last_order = self.last_order.max(position.order);
                self.committed
                    .entry(group)
                    .or_default()
                    .insert((topic, partition), position);
            }
            JournalEvent::Forgotten { group } => self.drop_positions_in(&group),
            JournalEvent::ProducerIds { below } => self.reserved_producer_ids = below,
            JournalEvent::Transaction { id, transaction } => {
                let orders = transaction
                    .groups
                    .values()
                    .flatten()
                    .map(|pending| pending.position.order);
                self.last_order = orders.fold(self.last_order, u64::max);
                self.transactions.insert(id, transaction);
            }
            JournalEvent::Created { .. }
            | JournalEvent::Configured { .. }
            | JournalEvent::Grown { .. }
            | JournalEvent::Deleted { .. }
            | JournalEvent::Begins { .. } => {}
        }
    }

    /// The shortest journal that says all this.
    fn summary(&self) -> Vec<JournalEvent> {
        let mut events = vec![
            JournalEvent::Named {
                cluster: self.cluster.clone(),
            },
            JournalEvent::ProducerIds {
                below: self.reserved_producer_ids,
            },
        ];
        for (name, topic) in &self.topics {
            let (id, partitions) = (topic.id.as_u128(), topic.partitions.len());
            events.push(JournalEvent::Created {
                topic: name.clone(),
                id,
                partitions,
                config: topic.config.clone(),
            });
            let begins = |(partition, log): (usize, &PartitionLog)| JournalEvent::Begins {
                topic: name.clone(),
                partition,
                offset: log.beginning(),
            };
            events.extend(
                topic
                    .partitions
                    .iter()
                    .enumerate()
                    .filter(|(_, log)| log.beginning() > 0)
                    .map(begins),
            );
        }
        for (group, positions) in &self.committed {
            events.extend(
                positions
                    .iter()
                    .map(|((topic, partition), position)| JournalEvent::Committed {
                        group: group.clone(),
                        topic: topic.clone(),
                        partition: *partition,
                        position: position.clone(),
                    }),
            );
        }
        events.extend(
            self.transactions
                .iter()
                .map(|(id, transaction)| JournalEvent::Transaction {
                    id: id.clone(),
                    transaction: transaction.clone(),
                }),
        );
        events
    }
}

/// What a client hears when a file cannot be read or written; the log says why.
pub(super) fn storage_error(error: io::Error) -> ResponseError {
    tracing::error!(%error, "failed to read or write the broker's data");
    ResponseError::KafkaStorageError
}
