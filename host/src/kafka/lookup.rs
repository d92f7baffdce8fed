//! Questions to Kafka, each for all partitions at once, repeated until a deadline while the answer is "not now".

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::types::RDKafkaErrorCode as Code;
use rdkafka::{Offset, TopicPartitionList};

use super::consumer::{Client, serve, words};
use super::errors;
use super::native::partition_list::{self, Element, list};
use super::native::requests;
use crate::clock;
use crate::error::{Error, Kind, Result};
use crate::offset_metadata;
use crate::record::TopicPartition;

/// One question may take this long; a start without a broker ends within 15 s, whatever is asked first.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// How long to wait before a question is repeated: twice as long each time, up to `PAUSE_MAX`.
const PAUSE: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_millis(200);

/// A client, and what it is asked for.
pub(crate) struct Lookup<'a> {
    client: &'a Client,
    what: String,
    patience: Duration,
    waits_for_transactions: bool,
}

/// Which offset of a partition.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Which {
    /// The first one of the log.
    Begin,
    /// The last stable one, or the end, by the client's isolation.
    End,
    /// The first one of this time or later.
    Time(i64),
}

/// An offset of the group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CommittedOffset {
    pub(crate) offset: i64,
    /// The epoch of the leader that took the record before it.
    pub(crate) leader_epoch: Option<i32>,
    pub(crate) metadata: String,
}

impl CommittedOffset {
    pub(crate) fn is_ours(&self) -> bool {
        offset_metadata::is_ours(&self.metadata)
    }
}

impl<'a> Lookup<'a> {
    /// `what` begins the errors: "failed to start source `views`".
    pub(crate) fn new(client: &'a Client, what: String, patience: Duration) -> Self {
        Self {
            client,
            what,
            patience,
            waits_for_transactions: true,
        }
    }

    /// If a transaction is about to move an offset, the answer is `TimedOut` at once: it may take that transaction's
    /// whole time-out.
    pub(crate) fn without_transactions(self) -> Self {
        Self {
            waits_for_transactions: false,
            ..self
        }
    }

    /// The number of partitions of each topic there is.
    pub(crate) fn all_topics(&self) -> Result<BTreeMap<String, i32>> {
        let topics = self.ask("the topics", |client, wait| Ok(requests::topics(client, None, wait)?))?;
        Ok(topics
            .into_iter()
            .filter(|topic| topic.error.is_none())
            .map(|topic| (topic.name, topic.partitions.len() as i32))
            .collect())
    }

    /// The number of partitions of a topic; `None`: there is no such topic.
    pub(crate) fn partitions(&self, topic: &str) -> Result<Option<i32>> {
        self.ask("the topics", |client, wait| {
            let topics = requests::topics(client, Some(topic), wait)?;
            let found = topics.iter().find(|found| found.name == topic);
            match found.and_then(|found| found.error) {
                Some(Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition) => Ok(None),
                Some(code) => Err(KafkaError::MetadataFetch(code).into()),
                None => Ok(found.map(|found| found.partitions.len() as i32)),
            }
        })
    }

    /// The group's offsets, in the order asked for; waits for transactions that are about to move them.
    pub(crate) fn committed(&self, of: &[TopicPartition]) -> Result<Vec<Option<CommittedOffset>>> {
        let read = self.each("the group's offsets", of, |client, wait| {
            let list = list(of, Offset::Invalid)?;
            requests::committed(client, &list, wait).map(|()| list)
        })?;
        Ok(read.into_iter().map(committed).collect())
    }

    /// An offset of each partition, in the order asked for; `None`: there is none (no record of that time).
    pub(crate) fn offsets(&self, of: &[TopicPartition], which: Which) -> Result<Vec<Option<i64>>> {
        let asked = match which {
            Which::Begin => Offset::Beginning,
            Which::End => Offset::End,
            // Kafka refuses negative times: they mean the two above there.
            Which::Time(at) => Offset::Offset(at.max(0)),
        };
        let read = self.each("the logs' offsets", of, |client, wait| {
            let list = list(of, asked)?;
            requests::offsets_for_times(client, &list, wait).map(|()| list)
        })?;
        Ok(read
            .into_iter()
            .map(|element| (element.offset >= 0).then_some(element.offset))
            .collect())
    }

    /// A question whose answer has an element a partition; an error in any of them is an error.
    fn each(
        &self,
        about: &str,
        of: &[TopicPartition],
        ask: impl Fn(&Client, Duration) -> KafkaResult<TopicPartitionList>,
    ) -> Result<Vec<Element>> {
        if of.is_empty() {
            return Ok(Vec::new());
        }
        let answer = self.ask(about, |client, wait| {
            let answer = ask(client, wait).and_then(|answer| faultless(partition_list::elements(&answer)));
            match answer {
                Err(error) if may_lack_leader(&error) => Err(leaderless(client, of, wait, error)?),
                answer => Ok(answer?),
            }
        })?;
        in_order(of, answer).ok_or_else(|| {
            Error::new(
                Kind::Kafka,
                &*self.what,
                "Kafka answered for other partitions than it was asked for",
            )
        })
    }

    fn ask<T>(&self, about: &str, ask: impl Fn(&Client, Duration) -> Result<T, NotNow>) -> Result<T> {
        let deadline = clock::now() + self.patience;
        let mut pause = PAUSE;
        let mut named = None;
        loop {
            let answer = ask(self.client, slice_of(deadline));
            serve(self.client);
            let refused = match answer {
                Ok(answer) => {
                    self.client.context().forget_reasons();
                    return Ok(answer);
                }
                // A broker that is too slow to answer does not take back which partition an earlier answer named.
                Err(refused) if is_time_out(&refused.error) => named.take().unwrap_or(refused),
                Err(refused) => refused,
            };
            let reason = self.client.context().reason();
            let is_final = !is_passing(&refused.error) || reason.as_ref().is_some_and(|(_, is_final)| *is_final);
            let is_open = refused.error.rdkafka_error_code() == Some(Code::UnstableOffsetCommit);
            if is_final || clock::now() >= deadline || is_open && !self.waits_for_transactions {
                return Err(self.failed(about, &refused, reason, is_final));
            }
            named = refused.leaderless.is_some().then_some(refused);
            std::thread::sleep(pause);
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// `TimedOut` if the same question may be answered later, else `Kafka`.
    fn failed(&self, about: &str, refused: &NotNow, reason: Option<(String, bool)>, is_final: bool) -> Error {
        let said = words(&refused.error);
        let why = match (&refused.leaderless, reason) {
            (Some(at), _) => format!("no broker leads {at}: {said}"),
            (None, Some((reason, _))) if is_passing(&refused.error) => reason,
            (None, _) => format!("{said}, asked for {about}"),
        };
        let kind = if is_final { Kind::Kafka } else { Kind::TimedOut };
        let error = Error::new(kind, &*self.what, why);
        match refused.leaderless {
            Some(_) => error.hint("start the brokers that hold its replicas"),
            None => error,
        }
    }
}

/// Why a question has no answer.
struct NotNow {
    error: KafkaError,
    /// The partition that nobody leads.
    leaderless: Option<TopicPartition>,
}

impl From<KafkaError> for NotNow {
    fn from(error: KafkaError) -> Self {
        Self {
            error,
            leaderless: None,
        }
    }
}

fn faultless(answer: Vec<Element>) -> KafkaResult<Vec<Element>> {
    match answer.iter().find_map(|element| element.error) {
        Some(code) => Err(KafkaError::OffsetFetch(code)),
        None => Ok(answer),
    }
}

/// If no partition of a question has a leader, librdkafka calls them unknown; if the leader that it knows went away, it
/// waits for that one's answer until the time is over.
fn may_lack_leader(error: &KafkaError) -> bool {
    let unled = [Code::UnknownPartition, Code::LeaderNotAvailable];
    is_time_out(error) || error.rdkafka_error_code().is_some_and(|code| unled.contains(&code))
}

fn is_time_out(error: &KafkaError) -> bool {
    error.rdkafka_error_code() == Some(Code::OperationTimedOut)
}

/// Which partition has no leader, asked anew: librdkafka goes by what it heard up to minutes ago, and does not ask by
/// itself. `error` is what stands if all of them have one.
fn leaderless(client: &Client, of: &[TopicPartition], wait: Duration, error: KafkaError) -> KafkaResult<NotNow> {
    let topics: BTreeSet<&str> = of.iter().map(|at| &*at.topic).collect();
    for topic in topics {
        let topics = requests::topics(client, Some(topic), wait)?;
        let found = topics.iter().find(|found| found.name == topic);
        let partitions = found.map_or(&[][..], |found| &found.partitions);
        for at in of.iter().filter(|at| *at.topic == *topic) {
            match partitions.iter().find(|(number, _)| *number == at.partition) {
                None => return Ok(KafkaError::OffsetFetch(Code::UnknownPartition).into()),
                Some((_, leader)) if *leader < 0 => {
                    return Ok(NotNow {
                        error: KafkaError::OffsetFetch(Code::LeaderNotAvailable),
                        leaderless: Some(at.clone()),
                    });
                }
                Some(_) => {}
            }
        }
    }
    match is_time_out(&error) {
        true => Ok(error.into()),
        // All of them have one by now.
        false => Ok(KafkaError::OffsetFetch(Code::LeaderNotAvailable).into()),
    }
}

/// Short enough to notice a final error soon, long enough for a slow coordinator.
fn slice_of(deadline: Instant) -> Duration {
    deadline
        .saturating_duration_since(clock::now())
        .clamp(Duration::from_millis(10), Duration::from_millis(1500))
}

/// Whether the same question may be answered a little later. If a log-in or its encryption failed, the client's
/// reason says whether it was refused.
pub(crate) fn is_passing(error: &KafkaError) -> bool {
    let code = error.rdkafka_error_code();
    code.is_some_and(|code| matches!(code, Code::SSL | Code::Authentication) || errors::passes(code as i32))
}

fn committed(element: Element) -> Option<CommittedOffset> {
    (element.offset >= 0).then_some(CommittedOffset {
        offset: element.offset,
        leader_epoch: element.leader_epoch,
        metadata: element.metadata,
    })
}

fn in_order(of: &[TopicPartition], answer: Vec<Element>) -> Option<Vec<Element>> {
    let mut by_place: BTreeMap<(String, i32), Element> = answer
        .into_iter()
        .map(|element| ((element.topic.clone(), element.partition), element))
        .collect();
    of.iter()
        .map(|at| by_place.remove(&(at.topic.to_string(), at.partition)))
        .collect()
}
