//! The words of the group protocol: a member, what it brings, and the answers that may have to wait.

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::{JoinGroupResponse, SyncGroupResponse};
use kafka_protocol::protocol::StrBytes;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// A member.
#[derive(Debug)]
pub(in crate::broker) struct Member {
    pub id: StrBytes,
    pub instance: Option<StrBytes>,
    pub client: MemberClient,
    pub protocols: Vec<(StrBytes, Bytes)>,
    pub assignment: Bytes,
    pub session: Duration,
    pub rebalance: Duration,
    pub deadline: Instant,
    pub joining: Option<oneshot::Sender<JoinGroupResponse>>,
    pub syncing: Option<oneshot::Sender<SyncGroupResponse>>,
    pub synced: bool,
}

/// Who a member says it is.
#[derive(Debug, Clone, Default)]
pub(in crate::broker) struct MemberClient {
    pub id: StrBytes,
    pub host: StrBytes,
}

/// What a member brings when it joins.
#[derive(Debug)]
pub(in crate::broker) struct Joining {
    pub member: StrBytes,
    pub instance: Option<StrBytes>,
    pub client: MemberClient,
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
pub(in crate::broker) enum Answer<T> {
    Now(T),
    Later(oneshot::Receiver<T>),
}

impl Member {
    /// What it says in a protocol's own words, if it speaks it.
    pub(in crate::broker) fn metadata(&self, protocol: &StrBytes) -> Option<&Bytes> {
        self.protocols
            .iter()
            .find(|(name, _)| name == protocol)
            .map(|(_, metadata)| metadata)
    }
}

pub(in crate::broker) fn refused(error: ResponseError, member: StrBytes) -> Answer<JoinGroupResponse> {
    Answer::Now(join_error(error, member))
}

pub(in crate::broker) fn join_error(error: ResponseError, member: StrBytes) -> JoinGroupResponse {
    JoinGroupResponse::default()
        .with_error_code(error.code())
        .with_generation_id(-1)
        .with_protocol_type(Some(StrBytes::default()))
        .with_protocol_name(Some(StrBytes::default()))
        .with_member_id(member)
}
