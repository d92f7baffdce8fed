//! What follows when a static member learns that another one joined under its instance id.
//!
//! It may be its own predecessor, killed, whose request to join reached the broker late: nobody is behind it, and
//! without this member its partitions would wait for a session and the run for ever. Or it is another process. To join
//! again tells them apart: it fences the other off, and if that one lives, it does the same, so that the second time
//! is the end of one of the two.
//!
//! Always: what was read before is lost to this member, as with any partition that the group took; the new member
//! begins at what is committed.

use std::time::Duration;

use super::poll::Reader;
use super::polled::Polled;
use crate::clock;
use crate::error::{Error, Kind, Result};
use crate::kafka::consumer;
use crate::kafka::native::record_queue::RecordQueue;
use crate::record::TopicPartition;
use crate::source::member::close::Closing;

/// Fenced twice within this time: the other one lives.
const AGAIN: Duration = Duration::from_secs(60);
/// How long the member that was fenced may take to close, beside the new one.
const CLOSE: Duration = Duration::from_secs(5);

impl Reader {
    /// Joins again as a new member of the same instance id.
    ///
    /// # Errors
    /// `Fenced`: it had to a moment ago already.
    pub(super) fn join_again(&mut self, reason: &str) -> Result<()> {
        let before = self.group.fenced.replace(clock::now());
        let is_alone = self.plan.member.instance.is_none();
        if is_alone || before.is_some_and(|before| before.elapsed() < AGAIN) {
            return Err(Error::new(
                Kind::Fenced,
                "failed to stay in the group: another process uses this instance id",
                reason,
            )
            .hint("give each process an `instance` of its own, or stop the other one"));
        }
        tracing::warn!(
            reason,
            "another member joined under this instance id; this one joins again"
        );
        self.join_anew(reason)
    }

    /// Joins as a new member: what was owned is lost, and told.
    pub(super) fn join_anew(&mut self, reason: &str) -> Result<()> {
        let client = Closing::new(consumer::member(
            &self.plan.sources[0],
            self.plan.identity(self.worker),
            self.plan.limits(),
        )?);
        let queue = RecordQueue::of(&client)?;
        let lost: Vec<TopicPartition> = self.record_buffer.slots().map(|slot| slot.at.clone()).collect();
        lost.iter().for_each(|at| self.forget(at));
        self.record_buffer.troubles.clear();
        self.group.rebalance_events.clear();
        self.group.pending.clear();
        self.group.is_outlived.set(false);
        self.moves.clear();
        self.group.has_assignment = false;
        self.group.settled = None;
        let outcomes = self.commits.abandon(reason);
        self.tell(outcomes);
        if !lost.is_empty() {
            self.told.push_back(Polled::Lost(lost));
        }
        // The old queue goes before the client that it was made of.
        self.queue = queue;
        let fenced = std::mem::replace(&mut self.client, client);
        let closed = std::thread::Builder::new().spawn(move || fenced.close(CLOSE));
        if let Err(error) = closed {
            tracing::debug!(%error, "no thread for a member that was fenced");
        }
        self.subscribe_first()
    }
}
