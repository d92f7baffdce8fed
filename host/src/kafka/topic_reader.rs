//! Partitions of one topic read without a group, for `sandbar consume` and `sandbar dead-letters`: from a chosen place
//! to the end of now, or on and on.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::{Offset, TopicPartitionList};

use super::connect::{self, ConnectClient, REQUEST};
use super::errors;
use super::group_offsets::{log_range, partitions_of};
use super::native::message;
use super::native::partition_list;
use super::native::requests;
use crate::clock;
use crate::config::Cluster;
use crate::error::{Error, Kind, Result};
use crate::record::Records;

/// Where reading begins, in every partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadFrom {
    /// At the first record of the log.
    Earliest,
    /// At the last stable offset.
    Latest,
    /// At this offset, which the log must hold or end with.
    Offset(i64),
    /// At the first record of this time (milliseconds since 1970) or later, the end if there is none.
    Timestamp(i64),
    /// So many offsets before the end, or at the first record.
    Last(i64),
}

/// What a poll brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TopicPoll {
    /// A record of this partition.
    Record(i32),
    /// Nothing within the time given.
    Idle,
    /// Every partition was read to the end that it had when reading began.
    Finished,
}

/// A reader of one topic. Sees committed records only, and leaves no trace in the cluster.
pub struct TopicReader {
    client: ConnectClient,
    /// The ends that still have to be reached; `None`: reading never ends by itself.
    ends: Option<BTreeMap<i32, i64>>,
    began_at_the_beginning: bool,
}

impl TopicReader {
    /// Begins to read the topic's partitions, or those `only` that are named.
    pub fn open(cluster: &Cluster, topic: &str, only: &[i32], from: ReadFrom, follow: bool) -> Result<Self> {
        let (client, metadata) = connect::connect_to_group(cluster, &format!("sandbar-tail-{:016x}", clock::random()))?;
        let partitions = chosen(topic, partitions_of(&metadata, topic)?, only)?;
        let mut assignment = TopicPartitionList::new();
        let (mut ends, mut began_at_the_beginning) = (BTreeMap::new(), true);
        for (partition, (begin, end, at)) in places(&client, topic, &partitions, from)? {
            began_at_the_beginning &= at <= begin;
            if at < end.max(begin) || follow {
                add(&mut assignment, topic, partition, at)?;
                ends.insert(partition, end);
            }
        }
        client
            .assign(&assignment)
            .map_err(|error| connect::failed(format!("failed to read topic `{topic}`"), &error))?;
        Ok(Self {
            client,
            ends: (!follow).then_some(ends),
            began_at_the_beginning,
        })
    }

    /// Whether every partition is read from its first record on.
    pub fn began_at_the_beginning(&self) -> bool {
        self.began_at_the_beginning
    }

    /// Waits for the next record and makes it the only one of `into`.
    pub fn poll(&mut self, wait: Duration, into: &mut Records) -> Result<TopicPoll> {
        into.clear();
        if self.ends.as_ref().is_some_and(BTreeMap::is_empty) {
            return Ok(TopicPoll::Finished);
        }
        let ends = &mut self.ends;
        match self.client.poll(wait) {
            None => Ok(TopicPoll::Idle),
            Some(Ok(message)) => Ok(take(&message, ends, into)),
            // By position and not by record: markers and gaps at the end of a log bring no record, but they bring this.
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                reached(ends, partition);
                Ok(TopicPoll::Idle)
            }
            Some(Err(error)) if passes(&error) => Ok(TopicPoll::Idle),
            Some(Err(error)) => Err(connect::failed("failed to read", &error)),
        }
    }
}

/// Keeps a record that lies before its partition's end; the first one behind it says that the end was reached.
fn take(message: &BorrowedMessage<'_>, ends: &mut Option<BTreeMap<i32, i64>>, into: &mut Records) -> TopicPoll {
    let partition = message.partition();
    if let Some(ends) = ends {
        match ends.get(&partition) {
            Some(&end) if message.offset() < end => {
                if message.offset() + 1 == end {
                    ends.remove(&partition);
                }
            }
            _ => {
                ends.remove(&partition);
                return TopicPoll::Idle;
            }
        }
    }
    push(message, into);
    TopicPoll::Record(partition)
}

fn reached(ends: &mut Option<BTreeMap<i32, i64>>, partition: i32) {
    if let Some(ends) = ends {
        ends.remove(&partition);
    }
}

/// Whether librdkafka goes on by itself after this error.
fn passes(error: &KafkaError) -> bool {
    error
        .rdkafka_error_code()
        .is_some_and(|code| errors::passes(code as i32))
}

/// Adds a record to others.
pub(super) fn push(message: &BorrowedMessage<'_>, into: &mut Records) {
    let at = into.len() as u32;
    into.keys.push(message.key());
    into.values.push(message.payload());
    into.timestamps.push(message.timestamp().to_millis().unwrap_or(-1));
    // rdkafka's own way panics on a name that is no UTF-8.
    message::Message::of(message).each_header(|name, value| into.headers.push(at, name, value));
    into.offsets.push(message.offset());
}

fn chosen(topic: &str, all: Vec<i32>, only: &[i32]) -> Result<Vec<i32>> {
    match only.iter().find(|partition| !all.contains(partition)) {
        Some(missing) => Err(Error::new(
            Kind::Absent,
            format!("topic `{topic}` has no partition {missing}"),
            format!("it has {} partitions, from 0", all.len()),
        )),
        None if only.is_empty() => Ok(all),
        None => Ok(only.to_vec()),
    }
}

/// Begin, end and first offset to read, by partition. The ends are read before times are looked up, so that nothing
/// falls between.
fn places(
    client: &ConnectClient,
    topic: &str,
    partitions: &[i32],
    from: ReadFrom,
) -> Result<BTreeMap<i32, (i64, i64, i64)>> {
    let mut places = BTreeMap::new();
    for &partition in partitions {
        let (begin, end) = log_range(client, topic, partition)?;
        let at = match from {
            ReadFrom::Earliest => begin,
            ReadFrom::Latest | ReadFrom::Timestamp(_) => end,
            ReadFrom::Last(back) => end.saturating_sub(back).max(begin),
            ReadFrom::Offset(offset) if (begin..=end).contains(&offset) => offset,
            ReadFrom::Offset(offset) => return Err(not_in_log(topic, partition, offset, begin, end)),
        };
        places.insert(partition, (begin, end, at));
    }
    if let ReadFrom::Timestamp(ms) = from {
        look_up(client, topic, ms, &mut places)?;
    }
    Ok(places)
}

fn look_up(client: &ConnectClient, topic: &str, ms: i64, places: &mut BTreeMap<i32, (i64, i64, i64)>) -> Result<()> {
    let mut times = TopicPartitionList::new();
    for &partition in places.keys() {
        add(&mut times, topic, partition, ms)?;
    }
    requests::offsets_for_times(client, &times, REQUEST)
        .map_err(|error| connect::failed(format!("failed to look up a time in topic `{topic}`"), &error))?;
    for element in partition_list::elements(&times) {
        if let (0.., Some(place)) = (element.offset, places.get_mut(&element.partition)) {
            place.2 = element.offset;
        }
    }
    Ok(())
}

fn add(list: &mut TopicPartitionList, topic: &str, partition: i32, offset: i64) -> Result<()> {
    list.add_partition_offset(topic, partition, Offset::Offset(offset))
        .map_err(|error| connect::failed(format!("failed to name offset {offset} of {topic}/{partition}"), &error))
}

fn not_in_log(topic: &str, partition: i32, offset: i64, begin: i64, end: i64) -> Error {
    Error::new(
        Kind::Absent,
        format!("partition {partition} of topic `{topic}` has no offset {offset}"),
        format!("its log holds {begin}..{end}"),
    )
    .hint("give an offset in that range, or choose the partition with --partition")
}
