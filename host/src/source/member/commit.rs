//! Commits of positions to the group: asynchronous, one in flight at a time, each with a snapshot of what was processed
//! when it was asked for.

use std::time::Duration;

use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;

use crate::clock;
use crate::kafka::consumer::{Client, CommitRefusal, ConsumerEvent, words};
use crate::kafka::native::{partition_list, requests};
use crate::record::{Committable, TopicPartition};

/// What was asked to be committed.
#[derive(Debug)]
pub(in crate::source) struct Snapshot {
    pub(in crate::source) positions: Vec<Committable>,
    /// Whether the worker asked, and is told how it went; else it was a first pointer.
    pub(in crate::source) is_asked: bool,
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
pub(in crate::source) struct CommitAnswer {
    pub(in crate::source) positions: Vec<Committable>,
    pub(in crate::source) is_asked: bool,
    pub(in crate::source) result: Result<(), CommitRefusal>,
}

impl Commits {
    /// Starts a commit, or lets it wait for the one in flight; then it takes the place of one that waits already.
    pub(in crate::source) fn begin(&mut self, client: &Client, mut snapshot: Snapshot) -> Option<CommitAnswer> {
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

    fn send(&mut self, client: &Client, snapshot: Snapshot) -> Option<CommitAnswer> {
        if snapshot.positions.is_empty() {
            return Some(CommitAnswer {
                positions: Vec::new(),
                is_asked: snapshot.is_asked,
                result: Ok(()),
            });
        }
        match partition_list::positions(&snapshot.positions)
            .and_then(|list| requests::commit(client, &list).map_err(KafkaError::ConsumerCommit))
        {
            Ok(()) => {
                self.in_flight = Some(snapshot);
                None
            }
            Err(error) => Some(CommitAnswer {
                positions: snapshot.positions,
                is_asked: snapshot.is_asked,
                result: Err(CommitRefusal::of(words(&error), error.rdkafka_error_code())),
            }),
        }
    }

    /// Takes in how the commit in flight went, and sends the one that waits.
    pub(in crate::source) fn came_back(
        &mut self,
        client: &Client,
        result: Result<(), CommitRefusal>,
    ) -> Vec<CommitAnswer> {
        let Some(snapshot) = self.in_flight.take() else {
            return Vec::new();
        };
        let mut outcomes = vec![CommitAnswer {
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
    pub(in crate::source) fn abandon(&mut self, why: &str) -> Vec<CommitAnswer> {
        let open = [self.in_flight.take(), self.waiting.take()];
        let outcome = |snapshot: Snapshot| CommitAnswer {
            positions: snapshot.positions,
            is_asked: snapshot.is_asked,
            result: Err(CommitRefusal::passing(why)),
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
    let sent = partition_list::positions(positions)
        .and_then(|list| requests::commit(client, &list).map_err(KafkaError::ConsumerCommit));
    sent.map_err(|error| words(&error))?;
    while clock::now() < deadline {
        client.poll(Duration::from_millis(10));
        while let Some(event) = client.context().next_event() {
            if let ConsumerEvent::Committed(result) = event {
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
