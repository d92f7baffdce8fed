//! What changes under a running reader: new partitions and topics, topics that go away, positions that fall out of the
//! log.

use std::time::Duration;

use rdkafka::types::RDKafkaErrorCode as Code;

use super::poll::Reader;
use super::polled::Polled;
use crate::clock::Interval;
use crate::config::{KafkaSource, Subscription};
use crate::error::{Error, Kind, Result};
use crate::kafka::consumer;
use crate::kafka::lookup::{Lookup, Which};
use crate::kafka::native;
use crate::record::TopicPartition;
use crate::source::member::record_buffer::Trouble;
use crate::source::positions::agreement::outgrown;
use crate::source::positions::counts;
use crate::source::positions::plan::{ResolvedStart, no_offset};
use crate::source::positions::start::{self, Facts};
use crate::source::positions::topics::{self, Sharing};

/// How long a look around may hold the worker up.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long the group's members are not looked at after a look that told nothing.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// What fails when a topic's number of partitions is not what it was.
const GO_ON: &str = "failed to go on";

impl Reader {
    pub(super) fn discover_when_due(&mut self) -> Result<()> {
        let is_waiting = !self.group.rebalance_events.is_empty() || !self.group.pending.is_empty();
        if !(self.discovery.interval.due() || self.discovery.must_look) || is_waiting {
            return Ok(());
        }
        self.discovery.must_look = false;
        match self.discover() {
            Err(error) if error.kind == Kind::TimedOut => {
                tracing::debug!(%error, "new partitions are looked for later");
                Ok(())
            }
            done => done,
        }
    }

    /// The leader's new partitions come through the group; everything else has to be looked for.
    fn discover(&mut self) -> Result<()> {
        match self.plan.sharing.clone() {
            Sharing::Matching => self.discover_topics(),
            Sharing::ByHand => self.discover_by_hand(),
            Sharing::Led { leader, followers } => {
                let led = self.count(&leader)?;
                for follower in followers {
                    let count = self.count(&follower)?;
                    if count > led {
                        return Err(outgrown("read", (follower.as_str(), count), (leader.as_str(), led)));
                    }
                    self.discovery.counts.insert(follower, count);
                }
                self.look_around_again();
                self.follow_up(&leader)
            }
        }
    }

    /// Nobody tells of new partitions: this worker takes its share of them.
    fn discover_by_hand(&mut self) -> Result<()> {
        let subscription = self.plan.sources.first().map(|source| source.subscription.clone());
        let mut counts = match subscription {
            Some(Subscription::Pattern(pattern)) => {
                let found = topics::matching(&pattern, &self.lookup(PATIENCE).all_topics()?);
                topics::refuse_shared(&self.plan.sources[0], &self.plan.member.beside, &found)?;
                found
            }
            _ => Default::default(),
        };
        if counts.is_empty() {
            for topic in self.discovery.counts.keys().cloned().collect::<Vec<_>>() {
                counts.insert(topic.clone(), self.count(&topic)?);
            }
        }
        if self.plan.is_named() {
            return Ok(());
        }
        let all = counts.iter().flat_map(|(topic, count)| topics::numbered(topic, *count));
        let mut new = self.plan.share(all.collect(), self.worker);
        new.retain(|at| self.record_buffer.slot(&at.topic, at.partition).is_none());
        self.discovery.counts = counts;
        if !new.is_empty() {
            let placed = self.assign(&new)?;
            self.told.push_back(Polled::Assigned(placed));
        }
        Ok(())
    }

    fn discover_topics(&mut self) -> Result<()> {
        let Some(Subscription::Pattern(pattern)) = self.plan.sources.first().map(|source| source.subscription.clone())
        else {
            return Ok(());
        };
        let found = topics::matching(&pattern, &self.lookup(PATIENCE).all_topics()?);
        topics::refuse_shared(&self.plan.sources[0], &self.plan.member.beside, &found)?;
        let names = found.keys().cloned().collect();
        self.discovery.counts = found;
        if names != self.discovery.subscribed {
            self.subscribe(names)?;
        }
        Ok(())
    }

    /// New partitions of a topic whose keys have state are not taken.
    pub(super) fn refuse_grown(&self, partitions: &[TopicPartition]) -> Result<()> {
        let counts = self.plan.counts();
        let grown = partitions.iter().find_map(|at| {
            let before = counts.get(&*at.topic).filter(|before| at.partition >= **before)?;
            Some((&*at.topic, *before))
        });
        let Some((topic, before)) = grown else { return Ok(()) };
        // The number of now tells more than that of the partition; the partition is proof enough if nobody answers.
        let count = self.lookup(PATIENCE).partitions(topic).ok().flatten();
        let highest = partitions
            .iter()
            .filter(|at| &*at.topic == topic)
            .map(|at| at.partition + 1)
            .max();
        Err(counts::changed(
            GO_ON,
            topic,
            before,
            count.max(highest).unwrap_or(before),
        ))
    }

    /// Another generation of the group may have other members. Those that do not follow the same topic read partitions
    /// that this one reads: what it has is lost then, without a commit, and the next poll says why.
    pub(super) fn disagree(&mut self) -> Result<Option<Polled>> {
        let (Some(onlooker), Sharing::Led { leader, .. }) = (&self.plan.onlooker, &self.plan.sharing) else {
            return Ok(None);
        };
        let dissent = match onlooker.check(&self.plan.sources, leader) {
            Ok(agreed) => {
                self.discovery.agreement = agreed.is_none().then(|| Interval::new(LOOK_AGAIN));
                return Ok(None);
            }
            Err(dissent) => dissent,
        };
        let owned: Vec<_> = self.record_buffer.slots().map(|slot| slot.at.clone()).collect();
        if owned.is_empty() {
            return Err(dissent);
        }
        owned.iter().for_each(|at| self.forget(at));
        self.discovery.dissent = Some(dissent);
        Ok(Some(Polled::Lost(owned)))
    }

    /// Looks at the group's members again if the last look told nothing.
    pub(super) fn look_around_when_due(&mut self) -> Result<()> {
        if self.discovery.agreement.as_mut().is_some_and(Interval::due)
            && let Some(lost) = self.disagree()?
        {
            self.told.push_back(lost);
        }
        Ok(())
    }

    /// Members may have come that this one was not told of.
    fn look_around_again(&mut self) {
        if self.plan.onlooker.is_some() && self.discovery.agreement.is_none() {
            self.discovery.agreement = Some(Interval::new(Duration::ZERO));
        }
    }

    /// Takes the partitions that a follower got since, if this member has the leader's of the same number.
    fn follow_up(&mut self, leader: &str) -> Result<()> {
        let led: Vec<_> = self
            .record_buffer
            .slots()
            .filter(|slot| &*slot.at.topic == leader)
            .map(|slot| slot.at.clone())
            .collect();
        let new: Vec<_> = self
            .with_followers(&led)
            .into_iter()
            .filter(|at| self.record_buffer.slot(&at.topic, at.partition).is_none())
            .collect();
        if !new.is_empty() {
            let placed = self.assign(&new)?;
            self.told.push_back(Polled::Assigned(placed));
        }
        Ok(())
    }

    /// The number of partitions of a topic that must be there, and must be what it was if its keys have state. A
    /// broker that has just started may not know all topics yet, so it is asked more than once before the topic counts
    /// as deleted.
    fn count(&self, topic: &str) -> Result<i32> {
        for _ in 0..4 {
            if let Some(count) = self.lookup(PATIENCE).partitions(topic)? {
                return match self.plan.counts().get(topic) {
                    Some(before) if *before != count => Err(counts::changed(GO_ON, topic, *before, count)),
                    _ => Ok(count),
                };
            }
            std::thread::sleep(Duration::from_millis(250));
        }
        Err(Error::new(
            Kind::Kafka,
            format!("failed to read topic `{topic}`: it was deleted"),
            "the cluster has no such topic any more",
        ))
    }

    /// Sees to the errors that came in place of records, after the records before them were handed over.
    pub(super) fn see_to_troubles(&mut self) -> Result<()> {
        for trouble in std::mem::take(&mut self.record_buffer.troubles) {
            let slot = self.record_buffer.slot(&trouble.topic, trouble.partition);
            let has_records = slot.is_some_and(|slot| slot.left() > 0);
            match trouble.code {
                // They wait for those of another topic.
                Code::AutoOffsetReset | Code::OffsetOutOfRange if has_records => {
                    self.record_buffer.troubles.push(trouble);
                }
                Code::AutoOffsetReset | Code::OffsetOutOfRange => match self.leave_gap(&trouble) {
                    Err(error) if error.kind == Kind::TimedOut => self.record_buffer.troubles.push(trouble),
                    done => done?,
                },
                Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition => {
                    self.discovery.must_look = true
                }
                Code::TopicAuthorizationFailed => {
                    return Err(Error::new(
                        Kind::Kafka,
                        format!("failed to read {}/{}", trouble.topic, trouble.partition),
                        trouble.text,
                    ));
                }
                _ => tracing::warn!(
                    topic = trouble.topic,
                    partition = trouble.partition,
                    why = trouble.text,
                    "a fetch failed"
                ),
            }
        }
        Ok(())
    }

    /// The log does not hold a partition's position, or holds other records before it than those that were read: the
    /// source's policy says where to go on. librdkafka says it once, and fetches no more.
    fn leave_gap(&mut self, trouble: &Trouble) -> Result<()> {
        let Some(slot) = self
            .record_buffer
            .slot(&trouble.topic, trouble.partition)
            .filter(|slot| !slot.is_at_stop())
        else {
            return Ok(());
        };
        if !self.group.rebalance_events.is_empty() {
            // Moving now would look like the answer to the group's rebalance event.
            return Err(Error::new(
                Kind::TimedOut,
                "failed to move a partition",
                "the group waits for an answer",
            ));
        }
        let (at, next, index, stop) = (slot.at.clone(), slot.next, slot.source, slot.stop);
        let source = &self.plan.sources[index];
        let facts = self.bounds(&at, next)?;
        let is_cut = is_truncation(&trouble.text);
        if !is_cut && (facts.begin..=facts.high).contains(&next) {
            return self.move_to(&[(at, next)]);
        }
        let Some((from, origin)) = start::out_of_range(source.on_out_of_range, &facts) else {
            return Err(match is_cut {
                true => truncated(source, &at, next, &facts, &trouble.text),
                false => no_offset(source, &at, next, &facts, "read"),
            });
        };
        tracing::warn!(partition = %at, next, from, why = trouble.text, "the log does not hold the position");
        self.move_to(&[(at.clone(), from)])?;
        self.record_buffer.forget_epoch(&at);
        self.told.push_back(Polled::Assigned(vec![ResolvedStart {
            source: index,
            partition: at,
            from,
            origin,
            stop,
            metadata: None,
            passed_over: None,
            leader_epoch: None,
        }]));
        Ok(())
    }

    fn bounds(&self, at: &TopicPartition, next: i64) -> Result<Facts> {
        let only = std::slice::from_ref(at);
        let lookup = self.lookup(PATIENCE);
        let begin = one(lookup.offsets(only, Which::Begin)?);
        let end = one(lookup.offsets(only, Which::End)?);
        let mut high = end;
        if next > end {
            let client = consumer::uncommitted_non_member(&self.plan.sources[0])?;
            high = one(
                Lookup::new(&client, "failed to read the end of a log".to_owned(), PATIENCE)
                    .offsets(only, Which::End)?,
            );
        }
        Ok(Facts {
            begin,
            end,
            high: high.max(end),
            ..Facts::default()
        })
    }
}

fn one(offsets: Vec<Option<i64>>) -> i64 {
    offsets.first().copied().flatten().unwrap_or(0)
}

/// Whether librdkafka means that the log was truncated below a position: it reports that as any other position that a
/// log does not hold.
fn is_truncation(text: &str) -> bool {
    text.contains(&native::words(Code::LogTruncation as i32))
}

/// After an unclean election the log may be as long as before, with other records in it.
fn truncated(source: &KafkaSource, at: &TopicPartition, next: i64, facts: &Facts, said: &str) -> Error {
    let said = said.split(". Reset").next().unwrap_or(said);
    Error::new(
        Kind::Kafka,
        format!(
            "failed to read source `{}`: the log of {at} was truncated below offset {next}",
            source.name
        ),
        format!("{said}; it holds {}..{} now", facts.begin, facts.high),
    )
    .hint(
        "records that were read are gone, and others may stand in their place; on-out-of-range = \"earliest\" or \
        \"latest\" goes on all the same",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_truncation_is_told_from_a_position_that_retention_passed() {
        let truncations = [
            "Partition log truncation detected at offset 10 (leader epoch 2): broker end offset is 5 (offset leader \
             epoch 2). Reset to INVALID.: Local: Partition log truncation detected (broker 3)",
            "No epoch found less or equal to offset 10 (leader epoch 2): broker end offset is -1 (offset leader \
             epoch -1). Reset using configured policy.: Local: Partition log truncation detected (broker 3)",
        ];
        assert!(truncations.iter().all(|text| is_truncation(text)));
        let passed =
            "fetch failed due to requested offset not available on the broker: Broker: Offset out of range (broker 1)";
        assert!(!is_truncation(passed));
    }
}
