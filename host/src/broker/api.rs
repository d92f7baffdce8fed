//! From the bytes of a request to the bytes of its answer: which requests there are, in which versions.

use super::configs::{alter, describe};
use super::groups::member::{Answer, MemberClient};
use super::groups::{offsets, requests as groups};
use super::node::{BrokerNode, NODE};
use super::topics::requests as topics;
use super::transactions::{offsets as pending, requests as transactions};
use super::{bounds, fetch, produce, shape};
use crate::error::{Error, Kind, Result};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::*;
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};
use std::fmt::Display;
use std::net::SocketAddr;

/// The requests and versions that are understood. An upper end below Kafka's own leaves out topics named by id, several
/// groups in one request, and the second kind of transactions, in which a write itself adds its partition.
const VERSIONS: &[(ApiKey, i16, i16)] = &[
    // librdkafka takes a broker that does not list version 0 for one that knows no compression; Kafka lists it for that
    // reason, and like Kafka we refuse it when it comes.
    (ApiKey::Produce, 0, 11),
    (ApiKey::Fetch, 4, 12),
    (ApiKey::ListOffsets, 1, 7),
    (ApiKey::Metadata, 0, 12),
    (ApiKey::OffsetCommit, 2, 9),
    (ApiKey::OffsetFetch, 1, 7),
    (ApiKey::FindCoordinator, 0, 4),
    (ApiKey::JoinGroup, 0, 9),
    (ApiKey::Heartbeat, 0, 4),
    (ApiKey::LeaveGroup, 0, 5),
    (ApiKey::SyncGroup, 0, 5),
    (ApiKey::DescribeGroups, 0, 6),
    (ApiKey::ListGroups, 0, 5),
    (ApiKey::ApiVersions, 0, 4),
    (ApiKey::CreateTopics, 2, 7),
    (ApiKey::DeleteTopics, 1, 5),
    (ApiKey::DeleteRecords, 0, 2),
    (ApiKey::InitProducerId, 0, 5),
    (ApiKey::AddPartitionsToTxn, 0, 3),
    (ApiKey::AddOffsetsToTxn, 0, 3),
    (ApiKey::EndTxn, 0, 3),
    (ApiKey::TxnOffsetCommit, 0, 3),
    (ApiKey::OffsetForLeaderEpoch, 2, 4),
    (ApiKey::CreatePartitions, 0, 3),
    (ApiKey::DeleteGroups, 0, 2),
    (ApiKey::DescribeConfigs, 1, 4),
    (ApiKey::AlterConfigs, 0, 2),
    (ApiKey::IncrementalAlterConfigs, 0, 1),
];

/// Both ends of a connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ends {
    pub own: SocketAddr,
    pub peer: SocketAddr,
}

/// A request's key and version, before anything else of it is believed.
struct RequestHead {
    key: ApiKey,
    version: i16,
    correlation_id: i32,
    client_id: StrBytes,
}

/// Answers one request; nothing if the client wants no answer. An error ends the connection, as in Kafka.
pub(super) async fn answer(node: &BrokerNode, mut request: Bytes, ends: Ends) -> Result<Option<Bytes>> {
    if request.len() < 8 {
        return Err(invalid("it is shorter than any header"));
    }
    let (key, version) = (request.get_i16(), request.get_i16());
    let correlation_id = request.get_i32();
    let key = ApiKey::try_from(key).map_err(|()| invalid(format!("there is no request {key}")))?;
    let range = VERSIONS.iter().find(|(known, ..)| *known == key);
    if !range.is_some_and(|(_, oldest, newest)| (*oldest..=*newest).contains(&version)) {
        return unsupported(key, version, correlation_id);
    }
    let client_id = shape::header(&mut request, key.request_header_version(version)).map_err(invalid)?;
    shape::check(key, version, &request).map_err(invalid)?;
    let call = RequestHead {
        key,
        version,
        correlation_id,
        client_id,
    };
    dispatch(node, &call, request, ends).await
}

async fn dispatch(node: &BrokerNode, call: &RequestHead, body: Bytes, ends: Ends) -> Result<Option<Bytes>> {
    let version = call.version;
    let state = || node.state.borrow_mut();
    let answer = match call.key {
        ApiKey::Produce => {
            let answer = produce::produce(&mut state(), call.read(body)?);
            node.appended.notify_waiters();
            return answer.map(|answer| call.write(&answer)).transpose();
        }
        ApiKey::Fetch => call.write(&fetch::fetch(node, call.read(body)?).await),
        ApiKey::ListOffsets => call.write(&bounds::list(&state(), call.read(body)?, version)),
        ApiKey::Metadata => call.write(&topics::metadata(&state(), call.read(body)?, version, ends.own)),
        ApiKey::OffsetCommit => call.write(&offsets::commit(&mut state(), call.read(body)?)),
        ApiKey::OffsetFetch => call.write(&offsets::fetch(&state(), call.read(body)?)),
        ApiKey::FindCoordinator => call.write(&coordinator(call.read(body)?, version, ends.own)),
        ApiKey::JoinGroup => {
            let host = format!("/{}", ends.peer.ip()).into();
            let client = MemberClient {
                id: call.client_id.clone(),
                host,
            };
            let joined = groups::join(&mut state(), call.read(body)?, version, client);
            call.write(&wait(joined, JoinGroupResponse::with_error_code).await)
        }
        ApiKey::SyncGroup => {
            let synced = groups::sync(&mut state(), call.read(body)?);
            call.write(&wait(synced, SyncGroupResponse::with_error_code).await)
        }
        ApiKey::Heartbeat => call.write(&groups::heartbeat(&mut state(), &call.read(body)?)),
        ApiKey::LeaveGroup => call.write(&groups::leave(&mut state(), call.read(body)?, version)),
        ApiKey::DescribeGroups => call.write(&groups::describe(&state(), call.read(body)?, version)),
        ApiKey::ListGroups => call.write(&groups::list(&state(), &call.read(body)?)),
        ApiKey::DeleteGroups => call.write(&groups::delete(&mut state(), call.read(body)?)),
        ApiKey::ApiVersions => call.write(&versions()),
        ApiKey::CreateTopics => call.write(&topics::create(&mut state(), call.read(body)?)),
        ApiKey::CreatePartitions => call.write(&topics::grow(&mut state(), call.read(body)?)),
        ApiKey::DeleteTopics => {
            let answer = topics::delete(&mut state(), call.read(body)?);
            node.appended.notify_waiters();
            call.write(&answer)
        }
        ApiKey::DescribeConfigs => call.write(&describe::describe(&state(), call.read(body)?)),
        ApiKey::AlterConfigs => call.write(&alter::replace(&mut state(), call.read(body)?)),
        ApiKey::IncrementalAlterConfigs => call.write(&alter::alter(&mut state(), call.read(body)?)),
        ApiKey::DeleteRecords => call.write(&bounds::delete(&mut state(), call.read(body)?)),
        ApiKey::InitProducerId => {
            let answer = transactions::init_producer(&mut state(), &call.read(body)?, version);
            // It may have ended its predecessor's transaction.
            node.appended.notify_waiters();
            call.write(&answer)
        }
        ApiKey::AddPartitionsToTxn => {
            call.write(&transactions::add_partitions(&mut state(), call.read(body)?, version))
        }
        ApiKey::AddOffsetsToTxn => call.write(&transactions::add_offsets(&mut state(), &call.read(body)?, version)),
        ApiKey::TxnOffsetCommit => call.write(&pending::commit(&mut state(), call.read(body)?)),
        ApiKey::EndTxn => {
            let answer = transactions::end(&mut state(), &call.read(body)?, version);
            node.appended.notify_waiters();
            call.write(&answer)
        }
        ApiKey::OffsetForLeaderEpoch => call.write(&bounds::epochs(&state(), call.read(body)?)),
        other => return Err(invalid(format!("{other:?} has a version but no answer"))),
    };
    answer.map(Some)
}

/// Waits for a group. An answer that never comes means that the member came again over another connection.
async fn wait<T: Default>(answer: Answer<T>, with_error: fn(T, i16) -> T) -> T {
    match answer {
        Answer::Now(answer) => answer,
        Answer::Later(receiver) => {
            let superseded = || with_error(T::default(), ResponseError::RebalanceInProgress.code());
            receiver.await.unwrap_or_else(|_| superseded())
        }
    }
}

fn versions() -> ApiVersionsResponse {
    let range = |&(key, oldest, newest): &(ApiKey, i16, i16)| {
        ApiVersion::default()
            .with_api_key(key as i16)
            .with_min_version(oldest)
            .with_max_version(newest)
    };
    ApiVersionsResponse::default().with_api_keys(VERSIONS.iter().map(range).collect())
}

/// A version of ApiVersions that is too new is answered with the list in the oldest form, so that the client can ask
/// again.
fn unsupported(key: ApiKey, version: i16, correlation_id: i32) -> Result<Option<Bytes>> {
    if key != ApiKey::ApiVersions {
        return Err(invalid(format!("{key:?} version {version} is not supported")));
    }
    let call = RequestHead {
        key,
        version: 0,
        correlation_id,
        client_id: StrBytes::default(),
    };
    let answer = versions().with_error_code(ResponseError::UnsupportedVersion.code());
    call.write(&answer).map(Some)
}

/// Answers FindCoordinator: this broker, for groups and for transactions.
fn coordinator(request: FindCoordinatorRequest, version: i16, own: SocketAddr) -> FindCoordinatorResponse {
    let is_known = matches!(request.key_type, 0 | 1);
    let (code, node, host, port) = match is_known {
        true => (0, NODE, own.ip().to_string(), i32::from(own.port())),
        false => (ResponseError::InvalidRequest.code(), BrokerId(-1), String::new(), -1),
    };
    let host = StrBytes::from(host);
    if version < 4 {
        let response = FindCoordinatorResponse::default().with_error_code(code);
        return response.with_node_id(node).with_host(host).with_port(port);
    }
    let coordinators = request.coordinator_keys.into_iter().map(|key| {
        let found = Coordinator::default()
            .with_key(key)
            .with_node_id(node)
            .with_host(host.clone())
            .with_port(port);
        found.with_error_code(code)
    });
    FindCoordinatorResponse::default().with_coordinators(coordinators.collect())
}

impl RequestHead {
    fn read<T: Decodable>(&self, mut body: Bytes) -> Result<T> {
        T::decode(&mut body, self.version).map_err(|error| invalid(format!("{:?}: {error}", self.key)))
    }

    fn write(&self, answer: &impl Encodable) -> Result<Bytes> {
        let mut frame = BytesMut::new();
        frame.put_i32(0);
        let header = ResponseHeader::default().with_correlation_id(self.correlation_id);
        let written = header
            .encode(&mut frame, self.key.response_header_version(self.version))
            .and_then(|()| answer.encode(&mut frame, self.version));
        written.map_err(|error| {
            let what = format!("failed to write an answer to {:?} version {}", self.key, self.version);
            Error::new(Kind::Bug, what, error)
        })?;
        let length = (frame.len() - 4) as i32;
        frame[..4].copy_from_slice(&length.to_be_bytes());
        Ok(frame.freeze())
    }
}

fn invalid(why: impl Display) -> Error {
    Error::new(Kind::Failed, "failed to read a request", why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_names_every_request_and_version() {
        let page = include_str!("../../../docs/broker.md");
        let rows: Vec<String> = VERSIONS
            .iter()
            .map(|(key, oldest, newest)| format!("| {key:?} | {oldest}–{newest} |"))
            .collect();
        let missing: Vec<&String> = rows.iter().filter(|row| !page.contains(row.as_str())).collect();
        assert!(missing.is_empty(), "{missing:?}");
        assert_eq!(page.lines().filter(|line| line.contains('–')).count(), rows.len());
    }
}
