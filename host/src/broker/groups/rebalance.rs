//! How a group goes from one generation to the next: everyone joins, one assigns, everyone gets their share.

use super::group::{Group, GroupPhase};
use super::member::Member;
use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
use kafka_protocol::messages::{JoinGroupResponse, SyncGroupResponse};
use kafka_protocol::protocol::StrBytes;
use std::time::{Duration, Instant};

impl Group {
    pub(in crate::broker) fn rebalance(&mut self, now: Instant) {
        self.begin_rebalance(now);
        self.maybe_complete_join(now);
    }

    pub(in crate::broker) fn begin_rebalance(&mut self, now: Instant) {
        for member in &mut self.members {
            member.assignment = Bytes::new();
            if let Some(waiting) = member.syncing.take() {
                let code = ResponseError::RebalanceInProgress.code();
                let _ = waiting.send(SyncGroupResponse::default().with_error_code(code));
                member.deadline = now + member.session;
            }
        }
        self.phase = GroupPhase::Joining {
            until: now + self.longest_rebalance(),
        };
    }

    pub(in crate::broker) fn maybe_complete_join(&mut self, now: Instant) {
        let everyone = self.pending.is_empty() && self.members.iter().all(|member| member.joining.is_some());
        if matches!(self.phase, GroupPhase::Joining { .. }) && everyone {
            self.complete_join(now);
        }
    }

    /// Begins the next generation with those who joined; static members that did not yet keep their place until their
    /// session ends.
    pub(in crate::broker) fn complete_join(&mut self, now: Instant) {
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
        self.phase = GroupPhase::Syncing {
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

    pub(in crate::broker) fn wait_on_or_empty(&mut self, now: Instant) {
        if self.members.is_empty() {
            self.generation += 1;
            self.protocol = None;
            self.phase = GroupPhase::Empty;
        } else {
            self.phase = GroupPhase::Joining {
                until: now + self.longest_rebalance(),
            };
        }
    }

    pub(in crate::broker) fn assign(&mut self, assignments: &[(StrBytes, Bytes)], now: Instant) {
        for member in &mut self.members {
            let given = assignments.iter().find(|(id, _)| *id == member.id);
            member.assignment = given.map_or_else(Bytes::new, |(_, assignment)| assignment.clone());
        }
        self.phase = GroupPhase::Stable;
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
    pub(in crate::broker) fn choose_protocol(&self) -> Option<StrBytes> {
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

    pub(in crate::broker) fn welcome(&self, id: &StrBytes, skip_assignment: bool) -> JoinGroupResponse {
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

    pub(in crate::broker) fn assigned(&self, id: &StrBytes) -> SyncGroupResponse {
        let assignment = self.member(id).map(|member| member.assignment.clone());
        SyncGroupResponse::default()
            .with_protocol_type(self.protocol_type.clone())
            .with_protocol_name(self.protocol.clone())
            .with_assignment(assignment.unwrap_or_default())
    }

    pub(in crate::broker) fn longest_rebalance(&self) -> Duration {
        self.members
            .iter()
            .map(|member| member.rebalance)
            .max()
            .unwrap_or_default()
    }

    pub(in crate::broker) fn index(&self, id: &StrBytes) -> Option<usize> {
        self.members.iter().position(|member| member.id == *id)
    }

    pub(in crate::broker) fn index_of_instance(&self, instance: &StrBytes) -> Option<usize> {
        self.members
            .iter()
            .position(|member| member.instance.as_ref() == Some(instance))
    }

    pub(in crate::broker) fn member(&self, id: &StrBytes) -> Option<&Member> {
        self.members.iter().find(|member| member.id == *id)
    }

    pub(in crate::broker) fn member_mut(&mut self, id: &StrBytes) -> Option<&mut Member> {
        self.members.iter_mut().find(|member| member.id == *id)
    }
}
