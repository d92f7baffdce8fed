//! As whom the group knows the member that partitions were given to.
//!
//! Always: positions are committed only under the member id that their partitions were given to. A member with an
//! instance id that is silent for longer than its session while it joins is taken for gone, and others get its
//! partitions. librdkafka then joins under a new member id and keeps the partitions without a word
//! (`rd_kafka_cgrp_handle_JoinGroup` of 2.12.1, UNKNOWN_MEMBER_ID; Kafka's own client gives them up as lost, and so
//! does librdkafka for a member without an instance id, on MEMBER_ID_REQUIRED). So the group would take positions from
//! it that others have passed since.

use super::poll::Reader;
use crate::error::{Error, Kind, Result};
use crate::kafka::native::membership::{self, Membership};
use crate::source::positions::topics::Sharing;

/// Why nothing may be committed.
pub(super) const TAKEN_FOR_GONE: &str = "the group took this member for gone, and others have its partitions";

impl Reader {
    /// The group gives partitions: what was given before them was given to the same member, or is lost.
    pub(super) fn note_member(&mut self) {
        if !self.holds_partitions() {
            self.group.member_id = self.membership().map(|membership| membership.member_id);
        }
    }

    /// What the group shared out in its present generation is taken up, or will not be: it took partitions in that one,
    /// and shares them out in the next.
    pub(super) fn note_assignment(&mut self) {
        let generation = self.membership().map(|membership| membership.generation);
        self.group.settled = generation.filter(|_| generation != self.group.revoked_in);
    }

    /// The group takes partitions from this member: it has no assignment as a whole until the next generation.
    pub(super) fn note_revocation(&mut self) {
        self.group.revoked_in = self.membership().map(|membership| membership.generation);
        self.group.settled = None;
    }

    /// The generation of the group in which this member has all that it was given, and nothing of what it had is on its
    /// way to another one. Two members that tell the same one have their partitions between them. `None`: the group is
    /// not at rest.
    pub fn settled_in(&self) -> Option<i32> {
        let is_at_rest =
            self.group.has_assignment && self.group.rebalance_events.is_empty() && self.group.pending.is_empty();
        // Who is in no group has what it will have.
        let is_alone = self.discovery.subscribed.is_empty();
        let generation = if is_alone { Some(0) } else { self.group.settled };
        generation.filter(|_| is_at_rest)
    }

    /// This reader's membership, fresh, as bytes for a writer's `send_offsets`. Ask [`is_asked`](Self::is_asked) and
    /// compare assignment epochs after it, so that what was lost before it was taken is known.
    ///
    /// When partitions are assigned by hand, there is none, and the group's name stands for it.
    ///
    /// # Errors
    /// `TimedOut`: it is no member right now, or another one than its partitions were given to, or a commit to the
    /// group is not answered yet (of first positions, or of an earlier checkpoint): it could overtake this one, and its
    /// answer would be taken for this one's.
    pub fn group_metadata(&self) -> Result<Vec<u8>> {
        let not_now = |why| Error::new(Kind::TimedOut, "failed to take the group's membership", why);
        if self.plan.commits() && !self.commits.is_idle() {
            return Err(not_now("a commit to the group is not answered yet"));
        }
        let no_member = || not_now("this process is no member of the group right now");
        if matches!(self.plan.sharing, Sharing::ByHand) {
            return membership::no_membership(&self.plan.sources[0].group).ok_or_else(no_member);
        }
        let membership = self.membership().ok_or_else(no_member)?;
        if self.outlived(&membership) {
            return Err(not_now(TAKEN_FOR_GONE));
        }
        Ok(membership.bytes)
    }

    /// Whether what is owned may be committed: nothing of it was given to a member that this one is no longer.
    pub(super) fn may_commit(&self) -> bool {
        matches!(self.plan.sharing, Sharing::ByHand)
            || self.membership().is_none_or(|membership| !self.outlived(&membership))
    }

    /// Gives up what a member had that this one is no longer, and joins again.
    pub(super) fn leave_outlived(&mut self) -> Result<()> {
        if !self.group.is_outlived.take() || !self.holds_partitions() {
            return Ok(());
        }
        tracing::warn!(
            reason = TAKEN_FOR_GONE,
            "what this member had is lost, and it joins again"
        );
        self.join_anew(TAKEN_FOR_GONE)
    }

    /// Whether what is held was given to another member; then it is given up with the next poll.
    fn outlived(&self, membership: &Membership) -> bool {
        let is_outlived = self.holds_partitions() && self.group.member_id.as_ref() != Some(&membership.member_id);
        self.group.is_outlived.set(self.group.is_outlived.get() || is_outlived);
        is_outlived
    }

    fn holds_partitions(&self) -> bool {
        !self.group.pending.is_empty() || self.record_buffer.slots().next().is_some()
    }

    fn membership(&self) -> Option<Membership> {
        membership::membership(&self.client)
    }
}
