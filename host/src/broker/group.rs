//! One consumer group of the classic protocol: a state machine over joins, syncs, heartbeats, leaves and the clock.
//!
//! It follows Kafka's own coordinator step by step; no wire type of a request comes in here but the two answers that wait.

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
use kafka_protocol::messages::{JoinGroupResponse, SyncGroupResponse};
use kafka_protocol::protocol::StrBytes;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Members of one group.
const MEMBERS: usize = 1000;

/// A group. What always holds: outside `Empty` there is at least one member, and the leader is one of them.
#[derive(Debug, Default)]
pub(super) struct Group {
    pub phase: Phase,
    pub generation: i32,
    pub protocol_type: Option<StrBytes>,
    pub protocol: Option<StrBytes>,
    leader: StrBytes,
    /// In the order in which they came; the first becomes leader.
    pub members: Vec<Member>,
    /// Members that were told their id and have not joined with it yet, and until when they may.
    pending: BTreeMap<StrBytes, Instant>,
}

/// Where a group stands.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
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

/// A member.
#[derive(Debug)]
pub(super) struct Member {
    pub id: StrBytes,
    pub instance: Option<StrBytes>,
    pub client: Client,
    pub protocols: Vec<(StrBytes, Bytes)>,
    pub assignment: Bytes,
    session: Duration,
    rebalance: Duration,
    deadline: Instant,
    joining: Option<oneshot::Sender<JoinGroupResponse>>,
    syncing: Option<oneshot::Sender<SyncGroupResponse>>,
    synced: bool,
}

/// Who a member says it is.
#[derive(Debug, Clone, Default)]
pub(super) struct Client {
    pub id: StrBytes,
    pub host: StrBytes,
}

/// What a member brings when it joins.
#[derive(Debug)]
pub(super) struct Joining {
    pub member: StrBytes,
    pub instance: Option<StrBytes>,
    pub client: Client,
    pub session: Duration,
    pub rebalance: Duration,
    pub protocol_type: StrBytes,
    pub protocols: Vec<(StrBytes, Bytes)>,
    /// A member without an id has to come again with the one that it is told.
    pub must_know_id: bool,
    /// The client understands a leader that must not assign.
    pub can_skip_assignment: bool,
}

/// An answer, now or when the group is there.
#[derive(Debug)]
pub(super) enum Answer<T> {
    Now(T),
    Later(oneshot::Receiver<T>),
}

impl Group {
    /// A member joins, or joins again.
    pub(super) fn join(&mut self, mut joining: Joining, now: Instant) -> Answer<JoinGroupResponse> {
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
            Phase::Syncing { .. } => is_same,
            Phase::Stable => is_same && member.id != self.leader,
            Phase::Empty | Phase::Joining { .. } => false,
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
    pub(super) fn sync(
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
            Phase::Empty => failed(ResponseError::UnknownMemberId),
            Phase::Joining { .. } => failed(ResponseError::RebalanceInProgress),
            Phase::Stable => {
                self.keep_alive(member, now);
                Answer::Now(self.assigned(member))
            }
            Phase::Syncing { .. } => {
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
    pub(super) fn heartbeat(
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
            Phase::Empty => Err(ResponseError::UnknownMemberId),
            Phase::Joining { .. } => Err(ResponseError::RebalanceInProgress),
            Phase::Syncing { .. } | Phase::Stable => Ok(()),
        }
    }

    /// A member goes; a static one may be named by its instance alone.
    pub(super) fn leave(
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
    pub(super) fn may_commit(
        &mut self,
        member: &StrBytes,
        instance: Option<&StrBytes>,
        generation: i32,
        now: Instant,
    ) -> Result<(), ResponseError> {
        if generation < 0 && self.phase == Phase::Empty {
            return Ok(());
        }
        if generation < 0 && member.is_empty() && instance.is_none() {
            return Err(ResponseError::UnknownMemberId);
        }
        self.known(member, instance)?;
        self.current(generation)?;
        if matches!(self.phase, Phase::Syncing { .. }) {
            return Err(ResponseError::RebalanceInProgress);
        }
        self.keep_alive(member, now);
        Ok(())
    }

    /// Lets time pass: sessions end, and nobody waits longer than was agreed.
    pub(super) fn tick(&mut self, now: Instant) {
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
            Phase::Joining { until } if until <= now => self.complete_join(now),
            Phase::Syncing { until } if until <= now => {
                while let Some(index) = self.members.iter().position(|member| !member.synced) {
                    self.drop_member(index);
                }
                self.rebalance(now);
            }
            _ => {}
        }
    }

    /// Whether nothing of it is left that is worth keeping.
    pub(super) fn is_forgotten(&self) -> bool {
        self.phase == Phase::Empty && self.pending.is_empty() && self.members.is_empty()
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
        if self.phase == Phase::Empty {
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

    /// A static member came back under a new id; with the same subscription it keeps its assignment and nobody else notices.
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
        let is_same = member.protocols == joining.protocols;
        member.protocols = joining.protocols;
        member.client = joining.client;
        (member.session, member.rebalance) = (joining.session, joining.rebalance);
        member.deadline = now + joining.session;
        let was_leader = self.leader == old;
        if was_leader {
            self.leader = joining.member.clone();
        }
        if self.phase != Phase::Stable || !is_same {
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
        if !matches!(self.phase, Phase::Joining { .. }) {
            self.begin_rebalance(now);
        }
        self.maybe_complete_join(now);
        Answer::Later(receiver)
    }

    fn rebalance(&mut self, now: Instant) {
        self.begin_rebalance(now);
        self.maybe_complete_join(now);
    }

    fn begin_rebalance(&mut self, now: Instant) {
        for member in &mut self.members {
            member.assignment = Bytes::new();
            if let Some(waiting) = member.syncing.take() {
                let code = ResponseError::RebalanceInProgress.code();
                let _ = waiting.send(SyncGroupResponse::default().with_error_code(code));
                member.deadline = now + member.session;
            }
        }
        self.phase = Phase::Joining {
            until: now + self.longest_rebalance(),
        };
    }

    fn maybe_complete_join(&mut self, now: Instant) {
        let everyone = self.pending.is_empty() && self.members.iter().all(|member| member.joining.is_some());
        if matches!(self.phase, Phase::Joining { .. }) && everyone {
            self.complete_join(now);
        }
    }

    /// Begins the next generation with those who joined; static members that did not yet keep their place until their session ends.
    fn complete_join(&mut self, now: Instant) {
        self.members
            .retain(|member| member.joining.is_some() || member.instance.is_some());
        let Some(first) = self.members.iter().find(|member| member.joining.is_some()) else {
            return self.wait_on_or_empty(now);
        };
        let first = first.id.clone();
        if self
            .members
            .iter()
            .all(|member| member.id != self.leader || member.joining.is_none())
        {
            self.leader = first;
        }
        self.generation += 1;
        self.protocol = self.choose_protocol();
        self.phase = Phase::Syncing {
            until: now + self.longest_rebalance(),
        };
        for index in 0..self.members.len() {
            let welcome = self.welcome(&self.members[index].id.clone(), false);
            let member = &mut self.members[index];
            member.synced = false;
            if let Some(waiting) = member.joining.take() {
                member.deadline = now + member.session;
                let _ = waiting.send(welcome);
            }
        }
    }

    fn wait_on_or_empty(&mut self, now: Instant) {
        if self.members.is_empty() {
            self.generation += 1;
            self.protocol = None;
            self.phase = Phase::Empty;
        } else {
            self.phase = Phase::Joining {
                until: now + self.longest_rebalance(),
            };
        }
    }

    fn assign(&mut self, assignments: &[(StrBytes, Bytes)], now: Instant) {
        for member in &mut self.members {
            let given = assignments.iter().find(|(id, _)| *id == member.id);
            member.assignment = given.map_or_else(Bytes::new, |(_, assignment)| assignment.clone());
        }
        self.phase = Phase::Stable;
        for index in 0..self.members.len() {
            let assigned = self.assigned(&self.members[index].id.clone());
            let member = &mut self.members[index];
            if let Some(waiting) = member.syncing.take() {
                member.deadline = now + member.session;
                let _ = waiting.send(assigned);
            }
        }
    }

    /// The protocol that most members like best among those that all understand.
    fn choose_protocol(&self) -> Option<StrBytes> {
        let is_shared = |name: &&StrBytes| self.members.iter().all(|member| member.metadata(name).is_some());
        let mut votes: Vec<(StrBytes, usize)> = Vec::new();
        for member in &self.members {
            let Some(choice) = member.protocols.iter().map(|(name, _)| name).find(is_shared) else {
                continue;
            };
            match votes.iter_mut().find(|(name, _)| name == choice) {
                Some((_, count)) => *count += 1,
                None => votes.push((choice.clone(), 1)),
            }
        }
        votes
            .into_iter()
            .rev()
            .max_by_key(|(_, count)| *count)
            .map(|(name, _)| name)
    }

    fn welcome(&self, id: &StrBytes, skip_assignment: bool) -> JoinGroupResponse {
        let is_leader = *id == self.leader;
        let metadata = |member: &Member| {
            let metadata = self.protocol.as_ref().and_then(|name| member.metadata(name));
            JoinGroupResponseMember::default()
                .with_member_id(member.id.clone())
                .with_group_instance_id(member.instance.clone())
                .with_metadata(metadata.cloned().unwrap_or_default())
        };
        let members = if is_leader {
            self.members.iter().map(metadata).collect()
        } else {
            Vec::new()
        };
        JoinGroupResponse::default()
            .with_generation_id(self.generation)
            .with_protocol_type(self.protocol_type.clone())
            .with_protocol_name(self.protocol.clone())
            .with_leader(self.leader.clone())
            .with_skip_assignment(is_leader && skip_assignment)
            .with_member_id(id.clone())
            .with_members(members)
    }

    fn assigned(&self, id: &StrBytes) -> SyncGroupResponse {
        let assignment = self.member(id).map(|member| member.assignment.clone());
        SyncGroupResponse::default()
            .with_protocol_type(self.protocol_type.clone())
            .with_protocol_name(self.protocol.clone())
            .with_assignment(assignment.unwrap_or_default())
    }

    fn remove(&mut self, index: usize, now: Instant) {
        self.drop_member(index);
        match self.phase {
            Phase::Empty => {}
            Phase::Joining { .. } => self.maybe_complete_join(now),
            Phase::Syncing { .. } | Phase::Stable => self.rebalance(now),
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

    fn longest_rebalance(&self) -> Duration {
        self.members
            .iter()
            .map(|member| member.rebalance)
            .max()
            .unwrap_or_default()
    }

    fn index(&self, id: &StrBytes) -> Option<usize> {
        self.members.iter().position(|member| member.id == *id)
    }

    fn index_of_instance(&self, instance: &StrBytes) -> Option<usize> {
        self.members
            .iter()
            .position(|member| member.instance.as_ref() == Some(instance))
    }

    fn member(&self, id: &StrBytes) -> Option<&Member> {
        self.members.iter().find(|member| member.id == *id)
    }

    fn member_mut(&mut self, id: &StrBytes) -> Option<&mut Member> {
        self.members.iter_mut().find(|member| member.id == *id)
    }
}

impl Member {
    /// What it says in a protocol's own words, if it speaks it.
    pub(super) fn metadata(&self, protocol: &StrBytes) -> Option<&Bytes> {
        self.protocols
            .iter()
            .find(|(name, _)| name == protocol)
            .map(|(_, metadata)| metadata)
    }
}

fn refused(error: ResponseError, member: StrBytes) -> Answer<JoinGroupResponse> {
    Answer::Now(join_error(error, member))
}

fn join_error(error: ResponseError, member: StrBytes) -> JoinGroupResponse {
    JoinGroupResponse::default()
        .with_error_code(error.code())
        .with_generation_id(-1)
        .with_protocol_type(Some(StrBytes::default()))
        .with_protocol_name(Some(StrBytes::default()))
        .with_member_id(member)
}
