//! A transactional producer by hand, and readers that show what a client library hides: error codes, aborted lists,
//! markers.

use crate::client::until;
use crate::wire::{batch_with, call, call_flexible, produce_as, string};

pub(crate) const NONE: i16 = 0;
const COORDINATOR_LOAD_IN_PROGRESS: i16 = 14;
const COORDINATOR_NOT_AVAILABLE: i16 = 15;
const NOT_COORDINATOR: i16 = 16;
const CONCURRENT_TRANSACTIONS: i16 = 51;
const TRANSACTIONAL: i16 = 0x10;

/// What a coordinator says while it is busy; every client comes again.
fn is_busy(code: i16) -> bool {
    matches!(
        code,
        COORDINATOR_LOAD_IN_PROGRESS | COORDINATOR_NOT_AVAILABLE | NOT_COORDINATOR | CONCURRENT_TRANSACTIONS
    )
}

/// Repeats a request until the coordinator is not busy.
fn settled<T>(mut request: impl FnMut() -> T, code: impl Fn(&T) -> i16) -> T {
    let mut last = None;
    until("the coordinator is not busy", || {
        let answer = request();
        let busy = is_busy(code(&answer));
        last = Some(answer);
        !busy
    });
    last.unwrap()
}

/// A producer as the coordinator knows it.
#[derive(Debug, Clone)]
pub(crate) struct Producer {
    pub bootstrap: String,
    pub id: String,
    pub producer_id: i64,
    pub epoch: i16,
}

impl Producer {
    /// The next epoch of a transactional id.
    pub(crate) fn new(bootstrap: &str, id: &str, timeout_ms: i32) -> Self {
        find_coordinator(bootstrap, id, 1);
        let (code, producer_id, epoch) = init(bootstrap, id, timeout_ms);
        assert_eq!(code, NONE);
        Self {
            bootstrap: bootstrap.to_owned(),
            id: id.to_owned(),
            producer_id,
            epoch,
        }
    }

    /// AddPartitionsToTxn: the code of each partition, in their order. Fenced producers are told so from version 2 on.
    pub(crate) fn add(&self, version: i16, topic: &str, partitions: &[i32]) -> Vec<i16> {
        let mut body = self.named();
        body.extend(1i32.to_be_bytes());
        body.extend(string(topic));
        body.extend((partitions.len() as i32).to_be_bytes());
        body.extend(partitions.iter().flat_map(|partition| partition.to_be_bytes()));
        let codes = |answer: Vec<u8>| {
            let mut answer = Reader(&answer);
            answer.skip(4 + 4);
            answer.string();
            let count = answer.i32();
            let mut codes: Vec<(i32, i16)> = (0..count).map(|_| (answer.i32(), answer.i16())).collect();
            codes.sort_unstable();
            codes.into_iter().map(|(_, code)| code).collect::<Vec<_>>()
        };
        settled(|| codes(call(&self.bootstrap, 24, version, &body)), |codes| codes[0])
    }

    /// Adds a partition and writes `count` records to it: the offset of the first.
    pub(crate) fn write(&self, topic: &str, partition: i32, sequence: i32, count: u8) -> i64 {
        assert_eq!(self.add(2, topic, &[partition]), [NONE]);
        let (code, offset) = self.send(topic, partition, sequence, count);
        assert_eq!(code, NONE);
        offset
    }

    /// Writes to a partition: the code and the offset.
    pub(crate) fn send(&self, topic: &str, partition: i32, sequence: i32, count: u8) -> (i16, i64) {
        self.send_with(TRANSACTIONAL, topic, partition, sequence, count)
    }

    /// The same with other attributes.
    pub(crate) fn send_with(
        &self,
        attributes: i16,
        topic: &str,
        partition: i32,
        sequence: i32,
        count: u8,
    ) -> (i16, i64) {
        let batch = batch_with(attributes, self.producer_id, self.epoch, sequence, count);
        // A partition that was just made may have no leader yet.
        const NOT_LEADER: i16 = 6;
        let mut answer = (NOT_LEADER, -1);
        until("the partition has a leader", || {
            answer = produce_as(&self.bootstrap, Some(&self.id), topic, partition, &batch);
            answer.0 != NOT_LEADER
        });
        answer
    }

    /// AddOffsetsToTxn.
    pub(crate) fn add_group(&self, version: i16, group: &str) -> i16 {
        find_coordinator(&self.bootstrap, group, 0);
        let body = [self.named(), string(group)].concat();
        let send = || Reader(&call(&self.bootstrap, 25, version, &body)[4..]).i16();
        settled(send, |code| *code)
    }

    /// TxnOffsetCommit of version 2, which says nothing of a member.
    pub(crate) fn commit_offset(&self, group: &str, topic: &str, partition: i32, offset: i64, metadata: &str) -> i16 {
        let mut body = [string(&self.id), string(group)].concat();
        body.extend(self.producer_id.to_be_bytes());
        body.extend(self.epoch.to_be_bytes());
        body.extend(1i32.to_be_bytes());
        body.extend(string(topic));
        body.extend(1i32.to_be_bytes());
        body.extend(partition.to_be_bytes());
        body.extend(offset.to_be_bytes());
        body.extend(5i32.to_be_bytes());
        body.extend(string(metadata));
        let send = || {
            let answer = call(&self.bootstrap, 28, 2, &body);
            let mut answer = Reader(&answer);
            answer.skip(4 + 4);
            answer.string();
            answer.skip(4 + 4);
            answer.i16()
        };
        settled(send, |code| *code)
    }

    /// Adds a group and takes a position of it into the transaction.
    pub(crate) fn take_offset(&self, group: &str, topic: &str, partition: i32, offset: i64) {
        assert_eq!(self.add_group(2, group), NONE);
        assert_eq!(self.commit_offset(group, topic, partition, offset, "taken"), NONE);
    }

    /// EndTxn.
    pub(crate) fn end(&self, version: i16, commits: bool) -> i16 {
        let body = [self.named(), vec![u8::from(commits)]].concat();
        let send = || Reader(&call(&self.bootstrap, 26, version, &body)[4..]).i16();
        settled(send, |code| *code)
    }

    fn named(&self) -> Vec<u8> {
        let mut named = string(&self.id);
        named.extend(self.producer_id.to_be_bytes());
        named.extend(self.epoch.to_be_bytes());
        named
    }
}

/// Waits for the coordinator of a group (0) or a transaction (1): a Kafka that nobody asked yet has none.
fn find_coordinator(bootstrap: &str, key: &str, kind: u8) {
    let body = [string(key), vec![kind]].concat();
    settled(|| Reader(&call(bootstrap, 10, 1, &body)[4..]).i16(), |code| *code);
}

/// InitProducerId: the code, the producer's id and its epoch.
pub(crate) fn init(bootstrap: &str, id: &str, timeout_ms: i32) -> (i16, i64, i16) {
    let body = [string(id), timeout_ms.to_be_bytes().to_vec()].concat();
    let send = || {
        let answer = call(bootstrap, 22, 1, &body);
        let mut answer = Reader(&answer[4..]);
        (answer.i16(), answer.i64(), answer.i16())
    };
    settled(send, |(code, ..)| *code)
}

/// InitProducerId of a producer that says which one it is.
pub(crate) fn init_again(producer: &Producer, timeout_ms: i32) -> (i16, i64, i16) {
    let mut body = compact(&producer.id);
    body.extend(timeout_ms.to_be_bytes());
    body.extend(producer.producer_id.to_be_bytes());
    body.extend(producer.epoch.to_be_bytes());
    body.push(0);
    let send = || {
        let answer = call_flexible(&producer.bootstrap, 22, 4, &body);
        let mut answer = Reader(&answer[4..]);
        (answer.i16(), answer.i64(), answer.i16())
    };
    settled(send, |(code, ..)| *code)
}

/// What a fetch of one partition gave.
#[derive(Debug)]
pub(crate) struct Fetched {
    pub code: i16,
    pub high_watermark: i64,
    pub last_stable_offset: i64,
    /// Producer and first offset of each aborted transaction; none if the reader did not ask for it.
    pub aborted: Option<Vec<(i64, i64)>>,
    pub records: Vec<u8>,
}

/// Fetches what is there from an offset on, without waiting.
pub(crate) fn fetch(bootstrap: &str, topic: &str, partition: i32, offset: i64, committed: bool) -> Fetched {
    let mut body = (-1i32).to_be_bytes().to_vec();
    body.extend(0i32.to_be_bytes());
    body.extend(0i32.to_be_bytes());
    body.extend((1i32 << 20).to_be_bytes());
    body.push(u8::from(committed));
    body.extend(1i32.to_be_bytes());
    body.extend(string(topic));
    body.extend(1i32.to_be_bytes());
    body.extend(partition.to_be_bytes());
    body.extend(offset.to_be_bytes());
    body.extend((1i32 << 20).to_be_bytes());
    let answer = call(bootstrap, 1, 4, &body);
    let mut answer = Reader(&answer);
    answer.skip(4 + 4);
    answer.string();
    answer.skip(4 + 4);
    let code = answer.i16();
    let (high_watermark, last_stable_offset) = (answer.i64(), answer.i64());
    let count = answer.i32();
    let aborted = (count >= 0).then(|| (0..count).map(|_| (answer.i64(), answer.i64())).collect());
    let length = answer.i32();
    Fetched {
        code,
        high_watermark,
        last_stable_offset,
        aborted,
        records: answer.skip(length.max(0) as usize).to_vec(),
    }
}

/// ListOffsets by a time, or -1 for the end: the offset, -1 if there is none.
pub(crate) fn offset_at(bootstrap: &str, topic: &str, partition: i32, time: i64, committed: bool) -> i64 {
    let mut body = (-1i32).to_be_bytes().to_vec();
    body.push(u8::from(committed));
    body.extend(1i32.to_be_bytes());
    body.extend(string(topic));
    body.extend(1i32.to_be_bytes());
    body.extend(partition.to_be_bytes());
    body.extend(time.to_be_bytes());
    let answer = call(bootstrap, 2, 2, &body);
    let mut answer = Reader(&answer);
    answer.skip(4 + 4);
    answer.string();
    answer.skip(4 + 4);
    assert_eq!(answer.i16(), NONE);
    answer.skip(8);
    answer.i64()
}

/// OffsetFetch of one partition: the code, the offset, the leader's epoch and the metadata.
pub(crate) fn position(
    bootstrap: &str,
    group: &str,
    topic: &str,
    partition: i32,
    stable: bool,
) -> (i16, i64, i32, String) {
    find_coordinator(bootstrap, group, 0);
    let mut body = compact(group);
    body.push(2);
    body.extend(compact(topic));
    body.push(2);
    body.extend(partition.to_be_bytes());
    body.extend([0, u8::from(stable), 0]);
    let read = || {
        let answer = call_flexible(bootstrap, 9, 7, &body);
        let mut answer = Reader(&answer[4..]);
        answer.skip(1);
        answer.compact();
        answer.skip(1 + 4);
        let (offset, leader_epoch) = (answer.i64(), answer.i32());
        let metadata = String::from_utf8(answer.compact().to_vec()).unwrap();
        (answer.i16(), offset, leader_epoch, metadata)
    };
    settled(read, |(code, ..)| *code)
}

fn compact(text: &str) -> Vec<u8> {
    assert!(text.len() < 127);
    [&[text.len() as u8 + 1], text.as_bytes()].concat()
}

/// The rest of an answer.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn skip(&mut self, count: usize) -> &'a [u8] {
        let (front, rest) = self.0.split_at(count);
        self.0 = rest;
        front
    }

    fn i16(&mut self) -> i16 {
        i16::from_be_bytes(self.skip(2).try_into().unwrap())
    }

    fn i32(&mut self) -> i32 {
        i32::from_be_bytes(self.skip(4).try_into().unwrap())
    }

    fn i64(&mut self) -> i64 {
        i64::from_be_bytes(self.skip(8).try_into().unwrap())
    }

    fn string(&mut self) -> &'a [u8] {
        let length = self.i16();
        self.skip(length.max(0) as usize)
    }

    /// A text with a short length, which is the length plus one, in numbers of seven bits.
    fn compact(&mut self) -> &'a [u8] {
        let mut length = 0usize;
        for shift in (0..35).step_by(7) {
            let byte = self.skip(1)[0];
            length |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
        }
        self.skip(length.saturating_sub(1))
    }
}
