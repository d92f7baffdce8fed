//! The requests of the group protocol: JoinGroup, SyncGroup, Heartbeat, LeaveGroup, and those that look at groups.

use super::group::{Group, GroupPhase};
use super::member::{Answer, Joining, MemberClient, refused};
use super::offsets::pending;
use crate::broker::disk::journal::JournalEvent;
use crate::broker::state::BrokerState;
use crate::clock;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::delete_groups_response::DeletableGroupResult;
use kafka_protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::leave_group_response::MemberResponse;
use kafka_protocol::messages::list_groups_response::ListedGroup;
use kafka_protocol::messages::{
    DeleteGroupsRequest, DeleteGroupsResponse, DescribeGroupsRequest, DescribeGroupsResponse, GroupId,
    HeartbeatRequest, HeartbeatResponse, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, LeaveGroupResponse,
    ListGroupsRequest, ListGroupsResponse, SyncGroupRequest, SyncGroupResponse,
};
use kafka_protocol::protocol::StrBytes;
use std::time::Duration;

/// The session time-outs that are accepted, in milliseconds. Kafka's default lower bound is 6000; tests want shorter
/// ones.
pub(in crate::broker) const SESSIONS_MS: std::ops::RangeInclusive<i32> = 100..=1_800_000;
/// Groups with members at one time.
const GROUPS: usize = 10_000;

/// Answers JoinGroup, perhaps later.
pub(in crate::broker) fn join(
    state: &mut BrokerState,
    request: JoinGroupRequest,
    version: i16,
    client: MemberClient,
) -> Answer<JoinGroupResponse> {
    if request.group_id.is_empty() {
        return refused(ResponseError::InvalidGroupId, request.member_id);
    }
    if !SESSIONS_MS.contains(&request.session_timeout_ms) {
        return refused(ResponseError::InvalidSessionTimeout, request.member_id);
    }
    let is_new = !state.groups.contains_key(request.group_id.as_str());
    if is_new && !request.member_id.is_empty() {
        return refused(ResponseError::UnknownMemberId, request.member_id);
    }
    if is_new && state.groups.len() >= GROUPS {
        return refused(ResponseError::CoordinatorNotAvailable, request.member_id);
    }
    let session = milliseconds(request.session_timeout_ms);
    let joining = Joining {
        member: request.member_id,
        instance: request.group_instance_id,
        client,
        session,
        // Before version 1 there was one time-out for both.
        rebalance: if version == 0 {
            session
        } else {
            milliseconds(request.rebalance_timeout_ms)
        },
        protocol_type: request.protocol_type,
        protocols: request
            .protocols
            .into_iter()
            .map(|protocol| (protocol.name, protocol.metadata))
            .collect(),
        must_know_id: version >= 4,
        can_skip_assignment: version >= 9,
    };
    state
        .groups
        .entry(request.group_id.to_string())
        .or_default()
        .join(joining, clock::now())
}

/// Answers SyncGroup, perhaps later.
pub(in crate::broker) fn sync(state: &mut BrokerState, request: SyncGroupRequest) -> Answer<SyncGroupResponse> {
    let Some(group) = state.groups.get_mut(request.group_id.as_str()) else {
        let code = ResponseError::UnknownMemberId.code();
        return Answer::Now(SyncGroupResponse::default().with_error_code(code));
    };
    let differs = |given: &Option<StrBytes>, own: &Option<StrBytes>| given.is_some() && given != own;
    if differs(&request.protocol_type, &group.protocol_type) || differs(&request.protocol_name, &group.protocol) {
        let code = ResponseError::InconsistentGroupProtocol.code();
        return Answer::Now(SyncGroupResponse::default().with_error_code(code));
    }
    let assignments = request
        .assignments
        .into_iter()
        .map(|given| (given.member_id, given.assignment))
        .collect();
    let instance = request.group_instance_id.as_ref();
    group.sync(
        &request.member_id,
        instance,
        request.generation_id,
        assignments,
        clock::now(),
    )
}

/// Answers Heartbeat.
pub(in crate::broker) fn heartbeat(state: &mut BrokerState, request: &HeartbeatRequest) -> HeartbeatResponse {
    let instance = request.group_instance_id.as_ref();
    let outcome = match state.groups.get_mut(request.group_id.as_str()) {
        Some(group) => group.heartbeat(&request.member_id, instance, request.generation_id, clock::now()),
        None => Err(ResponseError::UnknownMemberId),
    };
    HeartbeatResponse::default().with_error_code(code(outcome))
}

/// Answers LeaveGroup: one member before version 3, any number after.
pub(in crate::broker) fn leave(
    state: &mut BrokerState,
    request: LeaveGroupRequest,
    version: i16,
) -> LeaveGroupResponse {
    let group = request.group_id.as_str();
    if version < 3 {
        let outcome = leave_one(
            state,
            group,
            &MemberIdentity::default().with_member_id(request.member_id.clone()),
        );
        return LeaveGroupResponse::default().with_error_code(code(outcome));
    }
    let members = request.members.into_iter().map(|member| {
        let outcome = leave_one(state, group, &member);
        MemberResponse::default()
            .with_member_id(member.member_id)
            .with_group_instance_id(member.group_instance_id)
            .with_error_code(code(outcome))
    });
    LeaveGroupResponse::default().with_members(members.collect())
}

/// Answers ListGroups: groups with members, and those that left only positions behind.
pub(in crate::broker) fn list(state: &BrokerState, request: &ListGroupsRequest) -> ListGroupsResponse {
    let idle = Group::default();
    let quiet = state
        .committed
        .keys()
        .filter(|name| !state.groups.contains_key(*name))
        .map(|name| (name, &idle));
    let is_wanted = |group: &Group| {
        let asked = |filter: &[StrBytes], name: &str| {
            filter.is_empty() || filter.iter().any(|wanted| wanted.eq_ignore_ascii_case(name))
        };
        asked(&request.states_filter, phase_name(group)) && asked(&request.types_filter, "classic")
    };
    let groups = state
        .groups
        .iter()
        .chain(quiet)
        .filter(|(_, group)| is_wanted(group))
        .map(|(name, group)| {
            ListedGroup::default()
                .with_group_id(GroupId(name.clone().into()))
                .with_protocol_type(group.protocol_type.clone().unwrap_or_default())
                .with_group_state(phase_name(group).into())
                .with_group_type("classic".into())
        });
    ListGroupsResponse::default().with_groups(groups.collect())
}

/// Answers DescribeGroups.
pub(in crate::broker) fn describe(
    state: &BrokerState,
    request: DescribeGroupsRequest,
    version: i16,
) -> DescribeGroupsResponse {
    let groups = request
        .groups
        .into_iter()
        .map(|id| match state.groups.get(id.as_str()) {
            Some(group) => described(group).with_group_id(id),
            None if state.committed.contains_key(id.as_str()) => described(&Group::default()).with_group_id(id),
            None => {
                let dead = DescribedGroup::default().with_group_state("Dead".into());
                let code = if version >= 6 {
                    ResponseError::GroupIdNotFound.code()
                } else {
                    0
                };
                dead.with_error_code(code).with_group_id(id)
            }
        });
    DescribeGroupsResponse::default().with_groups(groups.collect())
}

/// Answers DeleteGroups: a group goes with its positions, if nobody is in it.
pub(in crate::broker) fn delete(state: &mut BrokerState, request: DeleteGroupsRequest) -> DeleteGroupsResponse {
    let results = request.groups_names.into_iter().map(|id| {
        let outcome = delete_one(state, id.as_str());
        DeletableGroupResult::default()
            .with_error_code(code(outcome))
            .with_group_id(id)
    });
    DeleteGroupsResponse::default().with_results(results.collect())
}

/// Lets time pass for every group.
pub(in crate::broker) fn tick(state: &mut BrokerState) {
    let now = clock::now();
    state.groups.retain(|_, group| {
        group.tick(now);
        !group.is_forgotten()
    });
}

fn leave_one(state: &mut BrokerState, group: &str, member: &MemberIdentity) -> Result<(), ResponseError> {
    let group = state.groups.get_mut(group).ok_or(ResponseError::UnknownMemberId)?;
    group.leave(&member.member_id, member.group_instance_id.as_ref(), clock::now())
}

fn delete_one(state: &mut BrokerState, group: &str) -> Result<(), ResponseError> {
    let live = state.groups.get(group);
    if live.is_some_and(|group| group.phase != GroupPhase::Empty) {
        return Err(ResponseError::NonEmptyGroup);
    }
    if live.is_none() && !state.committed.contains_key(group) && pending(state, group).is_empty() {
        return Err(ResponseError::GroupIdNotFound);
    }
    state.commit(vec![JournalEvent::Forgotten {
        group: group.to_owned(),
    }])?;
    state.groups.remove(group);
    Ok(())
}

fn described(group: &Group) -> DescribedGroup {
    let protocol = group.protocol.clone().unwrap_or_default();
    let members = group.members.iter().map(|member| {
        DescribedGroupMember::default()
            .with_member_id(member.id.clone())
            .with_group_instance_id(member.instance.clone())
            .with_client_id(member.client.id.clone())
            .with_client_host(member.client.host.clone())
            .with_member_metadata(member.metadata(&protocol).cloned().unwrap_or_default())
            .with_member_assignment(member.assignment.clone())
    });
    DescribedGroup::default()
        .with_group_state(phase_name(group).into())
        .with_protocol_type(group.protocol_type.clone().unwrap_or_default())
        .with_members(members.collect())
        .with_protocol_data(protocol)
}

fn phase_name(group: &Group) -> &'static str {
    match group.phase {
        GroupPhase::Empty => "Empty",
        GroupPhase::Joining { .. } => "PreparingRebalance",
        GroupPhase::Syncing { .. } => "CompletingRebalance",
        GroupPhase::Stable => "Stable",
    }
}

fn code(outcome: Result<(), ResponseError>) -> i16 {
    outcome.map_or_else(|error| error.code(), |()| 0)
}

fn milliseconds(count: i32) -> Duration {
    Duration::from_millis(u64::try_from(count).unwrap_or(0))
}
