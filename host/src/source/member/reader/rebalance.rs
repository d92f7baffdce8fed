//! What the group asks of a member, and how the reader answers.
//!
//! Always: each rebalance event is answered exactly once, in order; a partition is assigned at a number, never at
//! "where the group stands".

use std::collections::BTreeSet;
use std::time::Duration;

use rdkafka::consumer::Consumer;
use rdkafka::{Offset, TopicPartitionList};

use super::poll::Reader;
use super::polled::Polled;
use crate::error::{Error, Kind, Result};
use crate::kafka::consumer::words;
use crate::kafka::lookup::{Lookup, Which};
use crate::kafka::native::partition_list::{self, list};
use crate::record::TopicPartition;
use crate::source::member::buffered_partition::BufferedPartition;
use crate::source::member::commit::Snapshot;
use crate::source::member::rebalance_events::RebalanceEvent;
use crate::source::positions::plan::{ResolvedStart, own, own_metadata};
use crate::source::positions::start::StartOrigin;
use crate::source::positions::topics::Sharing;

/// How long librdkafka's main thread may take to begin what is asked of it.
const SEEK: Duration = Duration::from_secs(5);
/// How long one look at committed offsets may hold the worker up; after that it gets to act, and the look is repeated.
const PATIENCE: Duration = Duration::from_secs(2);

impl Reader {
    /// Answers the next rebalance event, or tells the worker what it has to do first.
    pub(super) fn answer(&mut self) -> Result<Option<Polled>> {
        self.leave_outlived()?;
        loop {
            if let Some(dissent) = self.discovery.dissent.take() {
                return Err(dissent);
            }
            match self.group.rebalance_events.next() {
                None => return Ok(None),
                Some(RebalanceEvent::Assign(partitions)) => {
                    let partitions = self.with_followers(&partitions.clone());
                    if let Some(lost) = self.disagree()? {
                        return Ok(Some(lost));
                    }
                    self.refuse_grown(&partitions)?;
                    self.note_member();
                    let placed = match self.assign(&partitions) {
                        Ok(placed) => placed,
                        Err(error) if error.kind == Kind::TimedOut => {
                            self.put_off(partitions, &error)?;
                            Vec::new()
                        }
                        Err(error) => return Err(error),
                    };
                    self.group.rebalance_events.answered();
                    self.group.has_assignment = true;
                    self.note_assignment();
                    if !placed.is_empty() {
                        return Ok(Some(Polled::Assigned(placed)));
                    }
                }
                Some(RebalanceEvent::Revoke { partitions, is_lost }) => {
                    let revoked = self.with_followers(partitions);
                    self.group.pending.forget(&revoked);
                    let is_lost = *is_lost;
                    let owned = self.still_owned(&revoked);
                    if !is_lost && !owned.is_empty() {
                        return Ok(Some(Polled::Revoking(owned)));
                    }
                    self.group.rebalance_events.answered();
                    self.give_up(&owned)?;
                    if is_lost {
                        self.answered_early()?;
                    }
                    if !owned.is_empty() {
                        return Ok(Some(Polled::Lost(owned)));
                    }
                }
            }
        }
    }

    /// Whether this member lost its membership, and with it partitions that [`owned`](Self::owned) still tells.
    pub fn has_loss(&self) -> bool {
        self.group.rebalance_events.has_loss()
    }

    /// Whether the group waits for an answer.
    pub(super) fn is_revoking(&self) -> bool {
        matches!(self.group.rebalance_events.next(), Some(RebalanceEvent::Revoke { .. }))
    }

    /// The partitions of the same number of the topics that follow.
    pub(super) fn with_followers(&self, led: &[TopicPartition]) -> Vec<TopicPartition> {
        let mut all = led.to_vec();
        if let Sharing::Led { followers, .. } = &self.plan.sharing {
            for follower in followers {
                let count = self.discovery.counts.get(follower).copied().unwrap_or(0);
                let numbers = led.iter().map(|at| at.partition).filter(|number| *number < count);
                all.extend(numbers.map(|number| TopicPartition::new(follower.as_str(), number)));
            }
        }
        all
    }

    fn still_owned(&self, of: &[TopicPartition]) -> Vec<TopicPartition> {
        let owned: BTreeSet<_> = self.record_buffer.slots().map(|slot| &slot.at).collect();
        of.iter().filter(|at| owned.contains(at)).cloned().collect()
    }

    /// Starts to read partitions at their positions. `TimedOut`: not now, nothing has happened.
    pub(super) fn assign(&mut self, partitions: &[TopicPartition]) -> Result<Vec<ResolvedStart>> {
        let resolved = self.resolve(partitions, PATIENCE)?;
        self.begin(resolved)
    }

    /// Starts to read partitions at the positions that were told, with what the group holds as ours.
    pub(super) fn begin(&mut self, resolved: Vec<(ResolvedStart, Option<i64>)>) -> Result<Vec<ResolvedStart>> {
        let places: Vec<_> = resolved
            .iter()
            .map(|(placed, _)| (placed.partition.clone(), placed.from))
            .collect();
        self.fetch_from(&places)?;
        self.look_for_truncation(&resolved)?;
        self.group.assignment_epoch += 1;
        for (placed, committed) in &resolved {
            let at = placed.partition.clone();
            let slot = BufferedPartition::new(placed.source, at, placed.from, placed.stop, *committed);
            let mut slot = slot.behind(placed.leader_epoch);
            slot.assignment_epoch = self.group.assignment_epoch;
            self.record_buffer.add(slot);
        }
        self.rest_at_stops();
        self.commit_first_pointers(&resolved);
        Ok(resolved.into_iter().map(|(placed, _)| placed).collect())
    }

    /// Tells librdkafka to fetch partitions, into our queue.
    pub(super) fn fetch_from(&mut self, places: &[(TopicPartition, i64)]) -> Result<()> {
        let failed = |why: String| Error::new(Kind::Kafka, "failed to take over partitions", why);
        // A question to librdkafka's main thread: when it is answered, an earlier revocation, which undoes the
        // forwarding, was carried out.
        self.client.assignment().map_err(|error| failed(words(&error)))?;
        let mut list = TopicPartitionList::with_capacity(places.len());
        for (at, from) in places {
            if !self.queue.lead(&at.topic, at.partition) {
                return Err(failed(format!("{at} has no queue")));
            }
            let set = list
                .add_partition(&at.topic, at.partition)
                .set_offset(Offset::Offset(*from));
            set.map_err(|error| failed(words(&error)))?;
        }
        self.client
            .incremental_assign(&list)
            .map_err(|error| failed(words(&error)))
    }

    /// Asks the leaders whether their logs still hold the records before the positions that partitions begin at:
    /// librdkafka does that for a position that is sought, and not for one that is assigned. What was cut off comes in
    /// place of a record.
    fn look_for_truncation(&self, resolved: &[(ResolvedStart, Option<i64>)]) -> Result<()> {
        let failed = |error: &_| Error::new(Kind::Kafka, "failed to take over partitions", words(error));
        let mut list = TopicPartitionList::new();
        for (placed, _) in resolved.iter().filter(|(placed, _)| placed.leader_epoch.is_some()) {
            let mut element = list.add_partition(&placed.partition.topic, placed.partition.partition);
            element
                .set_offset(Offset::Offset(placed.from))
                .map_err(|error| failed(&error))?;
            partition_list::set_leader_epoch(&mut list, placed.leader_epoch);
        }
        if list.count() == 0 {
            return Ok(());
        }
        let sought = self
            .client
            .seek_partitions(list, SEEK)
            .map_err(|error| failed(&error))?;
        for missed in partition_list::elements(&sought)
            .into_iter()
            .filter(|of| of.error.is_some())
        {
            tracing::debug!(
                topic = missed.topic,
                partition = missed.partition,
                why = ?missed.error,
                "not looked for truncation"
            );
        }
        Ok(())
    }

    /// Where assigned partitions start: this pipeline's position, read again because another member may have moved it;
    /// the plan's number; the beginning of a partition that the plan does not know. With what the group holds as ours.
    pub(super) fn resolve(
        &self,
        partitions: &[TopicPartition],
        patience: Duration,
    ) -> Result<Vec<(ResolvedStart, Option<i64>)>> {
        let lookup = self.lookup(patience).without_transactions();
        let held = match (self.plan.kept_of(partitions), self.plan.commits()) {
            (Some(kept), _) => kept,
            (None, true) => lookup.committed(partitions)?,
            (None, false) => vec![None; partitions.len()],
        };
        let unknown: Vec<_> = partitions
            .iter()
            .filter(|at| self.plan.placed(at).is_none())
            .cloned()
            .collect();
        let begins = lookup.offsets(&unknown, Which::Begin)?;
        let begin_of = |at: &TopicPartition| {
            let index = unknown.iter().position(|of| of == at)?;
            begins.get(index).copied().flatten()
        };
        let resolved = partitions.iter().zip(held).map(|(at, held)| {
            let committed = own(&held);
            let mut placed = match self.plan.placed(at) {
                Some(placed) => placed.clone(),
                None => self.found_later(at, begin_of(at).unwrap_or(0)),
            };
            if let Some(own) = committed.or_else(|| self.plan.handed_over(at).filter(|_| !self.plan.commits())) {
                placed.from = own;
                placed.origin = StartOrigin::Committed;
            }
            placed.metadata = held.as_ref().and_then(own_metadata);
            placed.leader_epoch = match committed {
                Some(_) => held.as_ref().and_then(|held| held.leader_epoch),
                None => placed
                    .leader_epoch
                    .filter(|_| placed.origin == StartOrigin::GroupOffset),
            };
            (placed, committed)
        });
        Ok(resolved.collect())
    }

    /// A run that ends by itself ends with the partitions that it began with: one found later is at its stop from the
    /// start.
    fn found_later(&self, at: &TopicPartition, begin: i64) -> ResolvedStart {
        ResolvedStart {
            source: self.plan.source_of(&at.topic).unwrap_or(0),
            partition: at.clone(),
            from: begin,
            origin: StartOrigin::FoundLater,
            stop: self.plan.is_bounded().then_some(begin),
            metadata: None,
            passed_over: None,
            leader_epoch: None,
        }
    }

    fn commit_first_pointers(&mut self, resolved: &[(ResolvedStart, Option<i64>)]) {
        if !self.plan.commits() {
            return;
        }
        let positions: Vec<_> = resolved
            .iter()
            .filter(|(_, committed)| committed.is_none())
            .map(|(placed, _)| self.plan.first(placed))
            .collect();
        if !positions.is_empty() {
            let sent = self.commits.begin(
                &self.client,
                Snapshot {
                    positions,
                    is_asked: false,
                },
            );
            self.tell(sent);
        }
    }

    /// Stops to read partitions, and answers the group's revocation with it.
    pub(super) fn give_up(&mut self, partitions: &[TopicPartition]) -> Result<()> {
        let failed = |error: &_| Error::new(Kind::Kafka, "failed to give partitions up", words(error));
        self.resume(partitions);
        for at in partitions {
            self.queue.forget_led(&at.topic, at.partition);
        }
        let list = list(partitions, Offset::Invalid).map_err(|error| failed(&error))?;
        self.client
            .incremental_unassign(&list)
            .map_err(|error| failed(&error))?;
        partitions.iter().for_each(|at| self.forget(at));
        Ok(())
    }

    /// A partition is not this reader's any more.
    pub(super) fn forget(&mut self, at: &TopicPartition) {
        self.commits.forget(at);
        let Some((slot, safe)) = self.record_buffer.remove(at) else {
            return;
        };
        self.plan.hand_over(at, safe);
        // What the group does not hold, the next owner reads again: only then it is complete.
        let held = if self.plan.commits() {
            slot.committed
        } else {
            Some(safe)
        };
        match slot.stop.zip(held) {
            Some((stop, held)) if held >= stop => self.plan.completed(at),
            _ => self.plan.reopened(at),
        }
    }

    /// Reads partitions on from other offsets. A seek does not do it: behind an error there is nothing that could be
    /// sought. Never while the group waits for an answer: this would look like one.
    pub(super) fn move_to(&mut self, places: &[(TopicPartition, i64)]) -> Result<()> {
        let failed = |error: &_| Error::new(Kind::Kafka, "failed to read on from other offsets", words(error));
        let partitions: Vec<_> = places.iter().map(|(at, _)| at.clone()).collect();
        self.resume(&partitions);
        let list = list(&partitions, Offset::Invalid).map_err(|error| failed(&error))?;
        self.client
            .incremental_unassign(&list)
            .map_err(|error| failed(&error))?;
        for (at, next) in places {
            self.record_buffer.restart(at, *next);
            if let Some(slot) = self.record_buffer.slot_mut(&at.topic, at.partition) {
                (slot.is_moving, slot.is_paused) = (false, false);
            }
        }
        self.fetch_from(places)?;
        self.answered_early()?;
        self.rest_at_stops();
        Ok(())
    }

    /// Partitions were given up unasked: a revocation that waits takes that for its answer, seen or not, and another
    /// member may have its partitions by now.
    fn answered_early(&mut self) -> Result<()> {
        self.serve(Duration::ZERO)?;
        self.group.rebalance_events.count_as_lost();
        Ok(())
    }

    /// Partitions at their stop are fetched no more.
    pub(super) fn rest_at_stops(&mut self) {
        let at_stop: Vec<_> = self
            .record_buffer
            .slots()
            .filter(|slot| slot.is_at_stop() && !slot.is_paused)
            .map(|slot| slot.at.clone())
            .collect();
        if at_stop.is_empty() {
            return;
        }
        let paused = list(&at_stop, Offset::Invalid).and_then(|list| self.client.pause(&list));
        if let Err(error) = paused {
            tracing::debug!(
                error = words(&error),
                "partitions at their stop are read on, and what comes is dropped"
            );
        }
        for at in &at_stop {
            if let Some(slot) = self.record_buffer.slot_mut(&at.topic, at.partition) {
                slot.is_paused = true;
            }
        }
    }

    /// A pause outlives the assignment, so whoever gets the partition next must not find it paused.
    fn resume(&self, partitions: &[TopicPartition]) {
        let paused: Vec<_> = partitions
            .iter()
            .filter(|at| {
                self.record_buffer
                    .slot(&at.topic, at.partition)
                    .is_some_and(|slot| slot.is_paused)
            })
            .cloned()
            .collect();
        if !paused.is_empty()
            && let Err(error) = list(&paused, Offset::Invalid).and_then(|list| self.client.resume(&list))
        {
            tracing::debug!(error = words(&error), "partitions stay paused");
        }
    }

    pub(super) fn lookup(&self, patience: Duration) -> Lookup<'_> {
        let names: Vec<_> = self.plan.sources.iter().map(|source| source.name.as_str()).collect();
        Lookup::new(
            &self.client,
            format!("failed to read source `{}`", names.join("`, `")),
            patience,
        )
    }
}
