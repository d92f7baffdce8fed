//! One consumer group of the classic protocol: a state machine over joins, syncs, heartbeats, leaves and the clock.
//!
//! It follows Kafka's own coordinator step by step; no wire type of a request comes in here but the two answers that
//! wait.

use super::member::{Answer, Joining, Member, join_error, refused};
use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::{JoinGroupResponse, SyncGroupResponse};
use kafka_protocol::protocol::StrBytes;
use std::collections::BTreeMap;
use std::time::Instant;
use tokio::sync::oneshot;

/// Members of one group.
const MEMBERS: usize = 1000;

/// A group. What always holds: outside `Empty` there is at least one member, and the leader is one of them.
#[derive(Debug, Default)]
pub(in crate::broker) struct Group {
    pub phase: GroupPhase,
    pub generation: i32,
    pub protocol_type: Option<StrBytes>,
    pub protocol: Option<StrBytes>,
    pub(in crate::broker) leader: StrBytes,
    /// In the order in which they came; the first becomes leader.
    pub members: Vec<Member>,
    /// Members that were told their id and have not joined with it yet, and until when they may.
    pub(in crate::broker) pending: BTreeMap<StrBytes, Instant>,
}

/// Where a group stands.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(in crate::broker) enum GroupPhase {
    /// Without members.
    #[default]
    Empty,
    /// Waits for its members to join, at most until then.
    Joining { until: Instant },
    /// Waits for the leader's assignment, at most until then.
    Syncing { until: Instant },
    /// Everyone has their assignment.
    Stable,
}

impl Group {
    /// A member joins, or joins again.
    pub(in crate::broker) fn join(&mut self, mut joining: Joining, now: Instant) -> Answer<JoinGroupResponse> {
        if let Err(error) = self.accepts(&joining) {
            return refused(error, joining.member);
        }
        if joining.member.is_empty() {
            return self.join_unknown(joining, now);
        }
        if self.pending.remove(&joining.member).is_some() {
            return self.add(joining, now);
        }
        if let Err(error) = self.known(&joining.member, joining.instance.as_ref()) {
            return refused(error, joining.member);
        }
        let index = self.index(&joining.member);
        let Some(member) = index.and_then(|index| self.members.get_mut(index)) else {
            return refused(ResponseError::UnknownMemberId, joining.member);
        };
        let is_same = member.protocols == joining.protocols;
        let stays = match self.phase {
            GroupPhase::Syncing { .. } => is_same,
            GroupPhase::Stable => is_same && member.id != self.leader,
            GroupPhase::Empty | GroupPhase::Joining { .. } => false,
        };
        if stays {
            member.deadline = now + member.session;
            return Answer::Now(self.welcome(&joining.member, false));
        }
        member.protocols = std::mem::take(&mut joining.protocols);
        (member.session, member.rebalance) = (joining.session, joining.rebalance);
        self.wait_to_join(&joining.member, now)
    }

    /// A member takes, or as the leader brings, the assignment of a generation.
    pub(in crate::broker) fn sync(
        &mut self,
        member: &StrBytes,
        instance: Option<&StrBytes>,
        generation: i32,
        assignments: Vec<(StrBytes, Bytes)>,
        now: Instant,
    ) -> Answer<SyncGroupResponse> {
        let failed = |error: ResponseError| Answer::Now(SyncGroupResponse::default().with_error_code(error.code()));
        if let Err(error) = self.known(member, instance).and_then(|()| self.current(generation)) {
            return failed(error);
        }
        match self.phase {
            GroupPhase::Empty => failed(ResponseError::UnknownMemberId),
            GroupPhase::Joining { .. } => failed(ResponseError::RebalanceInProgress),
            GroupPhase::Stable => {
                self.keep_alive(member, now);
                Answer::Now(self.assigned(member))
            }
            GroupPhase::Syncing { .. } => {
                let (sender, receiver) = oneshot::channel();
                if let Some(member) = self.member_mut(member) {
                    member.synced = true;
                    member.syncing = Some(sender);
                }
                if *member == self.leader {
                    self.assign(&assignments, now);
                }
                Answer::Later(receiver)
            }
        }
    }

    /// A member says that it lives.
    pub(in crate::broker) fn heartbeat(
        &mut self,
        member: &StrBytes,
        instance: Option<&StrBytes>,
        generation: i32,
        now: Instant,
    ) -> Result<(), ResponseError> {
        self.known(member, instance)?;
        self.current(generation)?;
        self.keep_alive(member, now);
        match self.phase {
            GroupPhase::Empty => Err(ResponseError::UnknownMemberId),
            GroupPhase::Joining { .. } => Err(ResponseError::RebalanceInProgress),
            GroupPhase::Syncing { .. } | GroupPhase::Stable => Ok(()),
        }
    }

    /// A member goes; a static one may be named by its instance alone.
    pub(in crate::broker) fn leave(
        &mut self,
        member: &StrBytes,
        instance: Option<&StrBytes>,
        now: Instant,
    ) -> Result<(), ResponseError> {
        if self.pending.remove(member).is_some() {
            self.maybe_complete_join(now);
            return Ok(());
        }
        let index = match instance {
            Some(instance) if member.is_empty() => self.index_of_instance(instance),
            _ => {
                self.known(member, instance)?;
                self.index(member)
            }
        };
        self.remove(index.ok_or(ResponseError::UnknownMemberId)?, now);
        Ok(())
    }

    /// Whether positions may be committed; the members of a live group only, and only in its generation.
    pub(in crate::broker) fn may_commit(
        &mut self,
        member: &StrBytes,
        instance: Option<&StrBytes>,
        generation: i32,
        now: Instant,
    ) -> Result<(), ResponseError> {
        if generation < 0 && self.phase == GroupPhase::Empty {
            return Ok(());
        }
        if generation < 0 && member.is_empty() && instance.is_none() {
            return Err(ResponseError::UnknownMemberId);
        }
        self.known(member, instance)?;
        self.current(generation)?;
        if matches!(self.phase, GroupPhase::Syncing { .. }) {
            return Err(ResponseError::RebalanceInProgress);
        }
        self.keep_alive(member, now);
        Ok(())
    }

    /// Whether positions may be committed in a transaction. Unlike others they are taken from a client that says
    /// nothing of itself, since it may be of a time before it could, and in the middle of a rebalance.
    pub(in crate::broker) fn may_commit_in_transaction(
        &self,
        member: &StrBytes,
        instance: Option<&StrBytes>,
        generation: i32,
    ) -> Result<(), ResponseError> {
        let says_nothing = generation < 0 && member.is_empty() && instance.is_none();
        if says_nothing || (generation < 0 && self.phase == GroupPhase::Empty) {
            return Ok(());
        }
        self.known(member, instance)?;
        self.current(generation)
    }

    /// Lets time pass: sessions end, and nobody waits longer than was agreed.
    pub(in crate::broker) fn tick(&mut self, now: Instant) {
        let pending = self.pending.len();
        self.pending.retain(|_, until| *until > now);
        if self.pending.len() < pending {
            self.maybe_complete_join(now);
        }
        let is_gone = |member: &Member| member.deadline <= now && member.joining.is_none() && member.syncing.is_none();
        while let Some(index) = self.members.iter().position(is_gone) {
            tracing::info!(member = %self.members[index].id, "a group member's session ended");
            self.remove(index, now);
        }
        match self.phase {
            GroupPhase::Joining { until } if until <= now => self.complete_join(now),
            GroupPhase::Syncing { until } if until <= now => {
                while let Some(index) = self.members.iter().position(|member| !member.synced) {
                    self.drop_member(index);
                }
                self.rebalance(now);
            }
            _ => {}
        }
    }

    /// Whether nothing of it is left that is worth keeping.
    pub(in crate::broker) fn is_forgotten(&self) -> bool {
        self.phase == GroupPhase::Empty && self.pending.is_empty() && self.members.is_empty()
    }

    fn accepts(&self, joining: &Joining) -> Result<(), ResponseError> {
        let others: Vec<&Member> = self
            .members
            .iter()
            .filter(|member| member.id != joining.member)
            .collect();
        if joining.protocols.is_empty() || joining.protocol_type.is_empty() {
            return Err(ResponseError::InconsistentGroupProtocol);
        }
        if self.phase == GroupPhase::Empty {
            return Ok(());
        }
        let is_shared = |name: &StrBytes| others.iter().all(|member| member.metadata(name).is_some());
        let has_shared = joining.protocols.iter().any(|(name, _)| is_shared(name));
        if self.protocol_type.as_ref() != Some(&joining.protocol_type) || !has_shared {
            return Err(ResponseError::InconsistentGroupProtocol);
        }
        Ok(())
    }

    fn join_unknown(&mut self, mut joining: Joining, now: Instant) -> Answer<JoinGroupResponse> {
        if self.members.len() + self.pending.len() >= MEMBERS {
            return refused(ResponseError::GroupMaxSizeReached, joining.member);
        }
        let prefix = joining.instance.as_ref().unwrap_or(&joining.client.id);
        let (high, low) = (crate::clock::random(), crate::clock::random());
        joining.member = format!("{prefix}-{}", uuid::Uuid::from_u64_pair(high, low)).into();
        if let Some(index) = joining
            .instance
            .as_ref()
            .and_then(|instance| self.index_of_instance(instance))
        {
            return self.replace_static(index, joining, now);
        }
        if joining.must_know_id && joining.instance.is_none() {
            self.pending.insert(joining.member.clone(), now + joining.session);
            return refused(ResponseError::MemberIdRequired, joining.member);
        }
        self.add(joining, now)
    }

    fn add(&mut self, joining: Joining, now: Instant) -> Answer<JoinGroupResponse> {
        let id = joining.member.clone();
        if self.members.is_empty() {
            self.leader = id.clone();
            self.protocol_type = Some(joining.protocol_type);
        }
        self.members.push(Member {
            id: joining.member,
            instance: joining.instance,
            client: joining.client,
            protocols: joining.protocols,
            assignment: Bytes::new(),
            session: joining.session,
            rebalance: joining.rebalance,
            deadline: now + joining.session,
            joining: None,
            syncing: None,
            synced: false,
        });
        self.wait_to_join(&id, now)
    }

    /// A static member came back under a new id; if the group's protocol stays, it keeps its assignment and nobody else
    /// notices, even if what it says in that protocol has changed (cooperative members say what they own).
    fn replace_static(&mut self, index: usize, joining: Joining, now: Instant) -> Answer<JoinGroupResponse> {
        let member = &mut self.members[index];
        let old = std::mem::replace(&mut member.id, joining.member.clone());
        if let Some(waiting) = member.joining.take() {
            let _ = waiting.send(join_error(ResponseError::FencedInstanceId, old.clone()));
        }
        if let Some(waiting) = member.syncing.take() {
            let fenced = ResponseError::FencedInstanceId.code();
            let _ = waiting.send(SyncGroupResponse::default().with_error_code(fenced));
        }
        member.protocols = joining.protocols;
        member.client = joining.client;
        (member.session, member.rebalance) = (joining.session, joining.rebalance);
        member.deadline = now + joining.session;
        let was_leader = self.leader == old;
        if was_leader {
            self.leader = joining.member.clone();
        }
        if self.phase != GroupPhase::Stable || self.choose_protocol() != self.protocol {
            return self.wait_to_join(&joining.member, now);
        }
        let mut welcome = self.welcome(&joining.member, joining.can_skip_assignment);
        if was_leader && !joining.can_skip_assignment {
            // Named another leader, the client leaves the assignment of this generation as it is.
            welcome.leader = old;
            welcome.members.clear();
        }
        Answer::Now(welcome)
    }

    fn wait_to_join(&mut self, id: &StrBytes, now: Instant) -> Answer<JoinGroupResponse> {
        let (sender, receiver) = oneshot::channel();
        if let Some(member) = self.member_mut(id) {
            member.joining = Some(sender);
        }
        if !matches!(self.phase, GroupPhase::Joining { .. }) {
            self.begin_rebalance(now);
        }
        self.maybe_complete_join(now);
        Answer::Later(receiver)
    }

    fn remove(&mut self, index: usize, now: Instant) {
        self.drop_member(index);
        match self.phase {
            GroupPhase::Empty => {}
            GroupPhase::Joining { .. } => self.maybe_complete_join(now),
            GroupPhase::Syncing { .. } | GroupPhase::Stable => self.rebalance(now),
        }
    }

    fn drop_member(&mut self, index: usize) {
        let member = self.members.remove(index);
        if let Some(waiting) = member.joining {
            let _ = waiting.send(join_error(ResponseError::UnknownMemberId, member.id.clone()));
        }
        if let Some(waiting) = member.syncing {
            let unknown = ResponseError::UnknownMemberId.code();
            let _ = waiting.send(SyncGroupResponse::default().with_error_code(unknown));
        }
        if member.id == self.leader {
            self.leader = self.members.first().map(|first| first.id.clone()).unwrap_or_default();
        }
    }

    /// Whether a member is one, and if it is static, still the one behind its instance.
    fn known(&self, member: &StrBytes, instance: Option<&StrBytes>) -> Result<(), ResponseError> {
        if let Some(instance) = instance {
            let index = self.index_of_instance(instance).ok_or(ResponseError::UnknownMemberId)?;
            return match self.members[index].id == *member {
                true => Ok(()),
                false => Err(ResponseError::FencedInstanceId),
            };
        }
        self.index(member).map(|_| ()).ok_or(ResponseError::UnknownMemberId)
    }

    fn current(&self, generation: i32) -> Result<(), ResponseError> {
        match generation == self.generation {
            true => Ok(()),
            false => Err(ResponseError::IllegalGeneration),
        }
    }

    fn keep_alive(&mut self, member: &StrBytes, now: Instant) {
        if let Some(member) = self.member_mut(member) {
            member.deadline = now + member.session;
        }
    }
}
