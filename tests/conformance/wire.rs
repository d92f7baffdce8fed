//! Requests by hand, for what no client library would send twice or wrong.

use std::io::{Read, Write};
use std::net::TcpStream;

/// Sends one request with an old (not flexible) header and gives the body of its answer.
pub(crate) fn call(bootstrap: &str, key: i16, version: i16, body: &[u8]) -> Vec<u8> {
    exchange(bootstrap, key, version, body)
}

/// The same with the header of flexible versions, on both ways without tags.
pub(crate) fn call_flexible(bootstrap: &str, key: i16, version: i16, body: &[u8]) -> Vec<u8> {
    let answer = exchange(bootstrap, key, version, &[&[0], body].concat());
    answer.strip_prefix(&[0]).unwrap().to_vec()
}

fn exchange(bootstrap: &str, key: i16, version: i16, body: &[u8]) -> Vec<u8> {
    let mut socket = TcpStream::connect(bootstrap).unwrap();
    socket.set_read_timeout(Some(crate::client::LIMIT)).unwrap();
    let mut request = [key.to_be_bytes(), version.to_be_bytes()].concat();
    request.extend(7i32.to_be_bytes());
    request.extend(string("conformance"));
    request.extend(body);
    socket.write_all(&(request.len() as i32).to_be_bytes()).unwrap();
    socket.write_all(&request).unwrap();
    let mut length = [0; 4];
    socket.read_exact(&mut length).unwrap();
    let mut answer = vec![0; i32::from_be_bytes(length) as usize];
    socket.read_exact(&mut answer).unwrap();
    assert_eq!(answer[..4], 7i32.to_be_bytes());
    answer.split_off(4)
}

/// A new producer's id. A Kafka that was just started says for a while that it is still loading.
pub(crate) fn producer_id(bootstrap: &str) -> i64 {
    let body = [&(-1i16).to_be_bytes()[..], &60_000i32.to_be_bytes()].concat();
    let mut answer = Vec::new();
    crate::client::until("producer ids are given out", || {
        answer = call(bootstrap, 22, 1, &body);
        answer[4..6] == [0, 0]
    });
    i64::from_be_bytes(answer[6..14].try_into().unwrap())
}

/// Joins a group as a member that subscribes to a topic; answers when the group lets it in.
pub(crate) fn join(bootstrap: &str, group: &str, topic: &str, session_ms: i32) -> Vec<u8> {
    // A subscription of version 1: one topic, no data of the assignor, nothing owned. (Version 0 says nothing of what
    // is owned, and librdkafka 2.12 as the leader reads a null pointer then.)
    let mut subscription = 1i16.to_be_bytes().to_vec();
    subscription.extend(1i32.to_be_bytes());
    subscription.extend(string(topic));
    subscription.extend((-1i32).to_be_bytes());
    subscription.extend(0i32.to_be_bytes());
    let mut body = string(group);
    body.extend(session_ms.to_be_bytes());
    body.extend(session_ms.to_be_bytes());
    body.extend(string(""));
    body.extend(string("consumer"));
    body.extend(1i32.to_be_bytes());
    body.extend(string("cooperative-sticky"));
    body.extend((subscription.len() as i32).to_be_bytes());
    body.extend(subscription);
    call(bootstrap, 11, 3, &body)
}

/// Sends a batch to a partition: its error code and the offset of its first record.
pub(crate) fn produce(bootstrap: &str, topic: &str, partition: i32, batch: &[u8]) -> (i16, i64) {
    produce_as(bootstrap, None, topic, partition, batch)
}

/// The same under a transactional id.
pub(crate) fn produce_as(
    bootstrap: &str,
    transactional_id: Option<&str>,
    topic: &str,
    partition: i32,
    batch: &[u8],
) -> (i16, i64) {
    let mut body = transactional_id.map_or_else(|| (-1i16).to_be_bytes().to_vec(), string);
    body.extend((-1i16).to_be_bytes());
    body.extend(30_000i32.to_be_bytes());
    body.extend(1i32.to_be_bytes());
    body.extend(string(topic));
    body.extend(1i32.to_be_bytes());
    body.extend(partition.to_be_bytes());
    body.extend((batch.len() as i32).to_be_bytes());
    body.extend(batch);
    let answer = call(bootstrap, 0, 7, &body);
    let at = 4 + 2 + topic.len() + 4 + 4;
    let code = i16::from_be_bytes(answer[at..at + 2].try_into().unwrap());
    (code, i64::from_be_bytes(answer[at + 2..at + 10].try_into().unwrap()))
}

/// A batch of `count` small records of an idempotent producer.
pub(crate) fn batch(producer_id: i64, epoch: i16, sequence: i32, count: u8) -> Vec<u8> {
    batch_with(0, producer_id, epoch, sequence, count)
}

/// The same with attributes: 0x10 for one that belongs to a transaction.
pub(crate) fn batch_with(attributes: i16, producer_id: i64, epoch: i16, sequence: i32, count: u8) -> Vec<u8> {
    let mut covered = attributes.to_be_bytes().to_vec();
    covered.extend((i32::from(count) - 1).to_be_bytes());
    covered.extend(1000i64.to_be_bytes());
    covered.extend(1000i64.to_be_bytes());
    covered.extend(producer_id.to_be_bytes());
    covered.extend(epoch.to_be_bytes());
    covered.extend(sequence.to_be_bytes());
    covered.extend(i32::from(count).to_be_bytes());
    for number in 0..count {
        // Length 7: attributes, time 0, place, no key, a value of one byte, no headers; numbers are zig-zag.
        covered.extend([14, 0, 0, 2 * number, 1, 2, b'x', 0]);
    }
    let mut batch = 0i64.to_be_bytes().to_vec();
    batch.extend((covered.len() as i32 + 9).to_be_bytes());
    batch.extend((-1i32).to_be_bytes());
    batch.push(2);
    batch.extend(crc32c::crc32c(&covered).to_be_bytes());
    batch.extend(covered);
    batch
}

pub(crate) fn string(text: &str) -> Vec<u8> {
    [&(text.len() as i16).to_be_bytes()[..], text.as_bytes()].concat()
}
