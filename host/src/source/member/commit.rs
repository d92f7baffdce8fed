//! Commits of positions to the group: asynchronous, one in flight at a time, each with a snapshot of what was processed
//! when it was asked for.

use rdkafka::Offset;
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::types::RDKafkaErrorCode as Code;

use super::queue;
use crate::clock;
use crate::record::{Committable, TopicPartition};
use crate::source::client::{Client, Event, words};

/// What was asked to be committed.
#[derive(Debug)]
pub(in crate::source) struct Snapshot {
    pub(in crate::source) positions: Vec<Committable>,
    /// Whether the worker asked, and is told how it went; else it was a first pointer.
    pub(in crate::source) is_asked: bool,
}

/// Why the group did not take a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// In Kafka's words.
    pub reason: String,
    /// Whether it will be refused again, however often it is asked for: not by a rebalance, or a broker that is away.
    pub is_lasting: bool,
}

impl Refusal {
    pub(in crate::source) fn of(reason: String, code: Option<Code>) -> Self {
        let is_lasting = matches!(
            code,
            Some(
                Code::OffsetMetadataTooLarge
                    | Code::InvalidCommitOffsetSize
                    | Code::InvalidGroupId
                    | Code::GroupAuthorizationFailed
                    | Code::TopicAuthorizationFailed
                    | Code::ClusterAuthorizationFailed
            )
        );
        Self { reason, is_lasting }
    }

    /// Nobody knows better.
    pub(in crate::source) fn passing(reason: &str) -> Self {
        Self::of(reason.to_owned(), None)
    }
}

/// The commits of one consumer.
///
/// Always: an outcome belongs to the commit that is in flight, because there is only one; a commit that waits is never
/// older than it.
#[derive(Debug, Default)]
pub(in crate::source) struct Commits {
    in_flight: Option<Snapshot>,
    waiting: Option<Snapshot>,
}

/// A commit that came back.
#[derive(Debug)]
pub(in crate::source) struct Outcome {
    pub(in crate::source) positions: Vec<Committable>,
    pub(in crate::source) is_asked: bool,
    pub(in crate::source) result: Result<(), Refusal>,
}

impl Commits {
    /// Starts a commit, or lets it wait for the one in flight; then it takes the place of one that waits already.
    pub(in crate::source) fn begin(&mut self, client: &Client, mut snapshot: Snapshot) -> Option<Outcome> {
        if self.in_flight.is_some() {
            if let Some(superseded) = self.waiting.take() {
                snapshot.is_asked |= superseded.is_asked;
                snapshot.positions = merged(superseded.positions, snapshot.positions);
            }
            self.waiting = Some(snapshot);
            return None;
        }
        self.send(client, snapshot)
    }

    fn send(&mut self, client: &Client, snapshot: Snapshot) -> Option<Outcome> {
        if snapshot.positions.is_empty() {
            return Some(Outcome {
                positions: Vec::new(),
                is_asked: snapshot.is_asked,
                result: Ok(()),
            });
        }
        match list(&snapshot.positions)
            .and_then(|list| queue::commit(client, &list).map_err(KafkaError::ConsumerCommit))
        {
            Ok(()) => {
                self.in_flight = Some(snapshot);
                None
            }
            Err(error) => Some(Outcome {
                positions: snapshot.positions,
                is_asked: snapshot.is_asked,
                result: Err(Refusal::of(words(&error), error.rdkafka_error_code())),
            }),
        }
    }

    /// Takes in how the commit in flight went, and sends the one that waits.
    pub(in crate::source) fn came_back(&mut self, client: &Client, result: Result<(), Refusal>) -> Vec<Outcome> {
        let Some(snapshot) = self.in_flight.take() else {
            return Vec::new();
        };
        let mut outcomes = vec![Outcome {
            positions: snapshot.positions,
            is_asked: snapshot.is_asked,
            result,
        }];
        if let Some(next) = self.waiting.take() {
            outcomes.extend(self.send(client, next));
        }
        outcomes
    }

    /// Nobody will answer any more.
    pub(in crate::source) fn abandon(&mut self, why: &str) -> Vec<Outcome> {
        let open = [self.in_flight.take(), self.waiting.take()];
        let outcome = |snapshot: Snapshot| Outcome {
            positions: snapshot.positions,
            is_asked: snapshot.is_asked,
            result: Err(Refusal::passing(why)),
        };
        open.into_iter().flatten().map(outcome).collect()
    }

    pub(in crate::source) fn is_idle(&self) -> bool {
        self.in_flight.is_none()
    }

    /// A partition that was given up is not committed any more.
    pub(in crate::source) fn forget(&mut self, at: &TopicPartition) {
        if let Some(waiting) = &mut self.waiting {
            waiting.positions.retain(|of| of.partition != *at);
        }
    }
}

/// Commits as somebody who is no member: accepted only while the group is empty.
pub(in crate::source) fn and_wait(client: &Client, positions: &[Committable], limit: Duration) -> Result<(), String> {
    let deadline = clock::now() + limit;
    let sent = list(positions).and_then(|list| queue::commit(client, &list).map_err(KafkaError::ConsumerCommit));
    sent.map_err(|error| words(&error))?;
    while clock::now() < deadline {
        client.poll(Duration::from_millis(10));
        while let Some(event) = client.context().next_event() {
            if let Event::Committed(result) = event {
                return result.map_err(|refusal| refusal.reason);
            }
        }
    }
    Err("no answer in time".to_owned())
}

/// The newer position of each partition.
fn merged(mut older: Vec<Committable>, newer: Vec<Committable>) -> Vec<Committable> {
    older.retain(|old| !newer.iter().any(|new| new.partition == old.partition));
    older.extend(newer);
    older
}

/// Positions for librdkafka. Metadata is set once: a second time leaks the first.
pub(in crate::source) fn list(positions: &[Committable]) -> KafkaResult<TopicPartitionList> {
    let mut list = TopicPartitionList::with_capacity(positions.len());
    for of in positions {
        let mut element = list.add_partition(&of.partition.topic, of.partition.partition);
        element.set_offset(Offset::Offset(of.next))?;
        element.set_metadata(&of.metadata);
        queue::set_leader_epoch(&mut list, of.leader_epoch);
    }
    Ok(list)
}
