//! The commit of a round: whether its members are those that it was sealed for, then offsets and pointers to Kafka.

use super::recovery::{denied, hung};
use crate::checkpoint::Event;
use crate::clock;
use crate::error::{Kind, Result};
use crate::pipeline::lane::Lane;
use crate::pipeline::worker::Worker;
use crate::sink::{Committed, Sent};
use crate::source::{Reader, Refusal};
use std::time::Duration;

/// How long one request of a commit may take: a run that is asked to stop meanwhile has ten seconds. What takes longer
/// is settled by what is committed.
const COMMIT_LIMIT: Duration = Duration::from_secs(5);
/// How long a round waits to be a member of its groups again.
const MEMBERSHIP_LIMIT: Duration = Duration::from_secs(1);

impl Worker {
    /// Membership first, then what the group says: so a partition that was lost before the membership was taken is
    /// known to be.
    pub(super) fn check_membership(&mut self) -> Result<Event> {
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

    pub(super) fn send_offsets(&mut self) -> Result<Event> {
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
                Sent::Hung(reason) => return Err(hung(&reason)),
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

    pub(super) fn commit_transaction(&mut self) -> Result<Event> {
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
    pub(super) fn commit_offsets(&mut self) -> Result<Event> {
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
}
