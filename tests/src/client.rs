//! The oracle: another client than the host's code path. Plain producers, transactions, readers by assignment, admin
//! requests, offsets.

use crate::wait::{self, PATIENCE};
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication, TopicResult};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode as Code};
use rdkafka::message::{BorrowedMessage, DeliveryResult, Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext};
use rdkafka::{ClientContext, Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// What one request may take.
const REQUEST: Duration = Duration::from_secs(30);
/// What a reader is told while a broker is away, or has just begun and does not know all topics and leaders yet.
const PASSING: [Code; 6] = [
    Code::BrokerTransportFailure,
    Code::AllBrokersDown,
    Code::UnknownTopicOrPartition,
    Code::NotLeaderForPartition,
    Code::OperationTimedOut,
    Code::RequestTimedOut,
];

/// Which records a reader sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// Those of aborted and open transactions too.
    Uncommitted,
    /// Committed ones, up to the last stable offset.
    Committed,
}

impl Isolation {
    fn name(self) -> &'static str {
        match self {
            Isolation::Uncommitted => "read_uncommitted",
            Isolation::Committed => "read_committed",
        }
    }
}

/// A record, to send or as it was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record {
    /// The topic.
    pub topic: String,
    /// The partition; to send, `None` lets the partitioner (murmur2_random) decide.
    pub partition: Option<i32>,
    /// The offset, once read.
    pub offset: i64,
    /// Kafka's key.
    pub key: Option<Vec<u8>>,
    /// Kafka's value.
    pub value: Option<Vec<u8>>,
    /// Milliseconds since 1970; to send, `None` is now.
    pub timestamp: Option<i64>,
    /// Names and values, in order.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

impl Record {
    /// A record with a key and a value, whose partition follows from the key.
    pub fn keyed(topic: &str, key: &str, value: &str) -> Self {
        Self {
            topic: topic.into(),
            key: Some(key.into()),
            value: Some(value.into()),
            ..Self::default()
        }
    }

    /// A record without a key in a partition.
    pub fn placed(topic: &str, partition: i32, value: &str) -> Self {
        Self {
            topic: topic.into(),
            partition: Some(partition),
            value: Some(value.into()),
            ..Self::default()
        }
    }

    /// The same with a timestamp.
    #[must_use]
    pub fn at(mut self, timestamp: i64) -> Self {
        self.timestamp = Some(timestamp);
        self
    }

    /// The value as text, empty if it is null.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(self.value.as_deref().unwrap_or_default()).into_owned()
    }

    /// The partition that it was read from.
    pub fn place(&self) -> i32 {
        self.partition.expect("a record that was read has a partition")
    }

    fn of(message: &BorrowedMessage<'_>) -> Self {
        let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
        Self {
            topic: message.topic().into(),
            partition: Some(message.partition()),
            offset: message.offset(),
            key: message.key().map(<[u8]>::to_vec),
            value: message.payload().map(<[u8]>::to_vec),
            timestamp: message.timestamp().to_millis(),
            headers: headers
                .map(|header| (header.key.into(), header.value.map(<[u8]>::to_vec)))
                .collect(),
        }
    }
}

/// What a group holds for a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// The next offset to read.
    pub offset: i64,
    /// What the committer wrote beside it.
    pub metadata: String,
}

/// A client of one cluster.
pub struct Client {
    config: ClientConfig,
    admin: AdminClient<DefaultClientContext>,
    asker: BaseConsumer,
    /// Asks for the ends of logs, by isolation: uncommitted, committed.
    ends: [BaseConsumer; 2],
}

impl Client {
    /// A client of the cluster at `bootstrap`.
    pub fn new(bootstrap: &str) -> Self {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", bootstrap)
            .set("log_level", "0")
            .set("reconnect.backoff.max.ms", "500");
        let admin = config.create().expect("an admin client");
        let asker = config.create().expect("a consumer");
        let ends = [Isolation::Uncommitted, Isolation::Committed].map(|isolation| {
            let mut config = config.clone();
            config.set("isolation.level", isolation.name());
            config.create().expect("a consumer")
        });
        Self {
            config,
            admin,
            asker,
            ends,
        }
    }

    /// How many brokers the cluster has now; 0 if none answers.
    pub fn broker_count(&self) -> usize {
        self.asker
            .fetch_metadata(None, Duration::from_secs(1))
            .map_or(0, |metadata| metadata.brokers().len())
    }

    /// Whether every partition of every topic, Kafka's own too, has a leader and all of its replicas in sync.
    pub fn is_in_sync(&self) -> bool {
        let Ok(metadata) = self.asker.fetch_metadata(None, Duration::from_secs(5)) else {
            return false;
        };
        let mut partitions = metadata.topics().iter().flat_map(|topic| topic.partitions());
        partitions.all(|partition| partition.leader() >= 0 && partition.isr().len() == partition.replicas().len())
    }

    /// Creates a topic with the cluster's own replication, and waits until it is known.
    pub fn create_topic(&self, name: &str, partitions: i32) {
        self.create_topic_with(name, partitions, &[]);
    }

    /// Creates a topic with settings.
    pub fn create_topic_with(&self, name: &str, partitions: i32, settings: &[(&str, &str)]) {
        let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(-1));
        let topic = settings.iter().fold(topic, |topic, (key, value)| topic.set(key, value));
        self.create(&topic, partitions);
    }

    /// Creates a topic whose partitions have one replica each, on these brokers.
    pub fn create_topic_on(&self, name: &str, brokers: &[i32]) {
        let replicas: Vec<&[i32]> = brokers.chunks(1).collect();
        let topic = NewTopic::new(name, brokers.len() as i32, TopicReplication::Variable(&replicas));
        self.create(&topic, brokers.len() as i32);
    }

    /// Creates a topic of one partition with a replica on each of these brokers, and settings.
    pub fn create_topic_on_each(&self, name: &str, brokers: &[i32], settings: &[(&str, &str)]) {
        let replicas = [brokers];
        let topic = NewTopic::new(name, 1, TopicReplication::Variable(&replicas));
        let topic = settings.iter().fold(topic, |topic, (key, value)| topic.set(key, value));
        self.create(&topic, 1);
    }

    /// The leader of a topic's first partition.
    pub fn leader(&self, topic: &str) -> Option<i32> {
        let metadata = self.asker.fetch_metadata(Some(topic), Duration::from_secs(1)).ok()?;
        let leader = metadata.topics().first()?.partitions().first()?.leader();
        (leader >= 0).then_some(leader)
    }

    /// The replicas in sync of a topic's first partition.
    pub fn in_sync(&self, topic: &str) -> Vec<i32> {
        let metadata = self.asker.fetch_metadata(Some(topic), Duration::from_secs(1));
        let of = |metadata: rdkafka::metadata::Metadata| {
            let partition = metadata.topics().first()?.partitions().first()?.isr().to_vec();
            Some(partition)
        };
        metadata.ok().and_then(of).unwrap_or_default()
    }

    /// Whether a broker says of a partition of a topic that it has no leader.
    pub fn is_leaderless(&self, topic: &str) -> bool {
        let metadata = self.asker.fetch_metadata(Some(topic), Duration::from_secs(5));
        metadata.is_ok_and(|metadata| {
            let mut partitions = metadata.topics().iter().flat_map(|topic| topic.partitions());
            partitions.any(|partition| partition.leader() < 0)
        })
    }

    fn create(&self, topic: &NewTopic<'_>, partitions: i32) {
        let name = topic.name;
        let ask = || wait::finish(self.admin.create_topics([topic], &AdminOptions::new()));
        insist(&format!("create topic {name}"), Code::TopicAlreadyExists, ask);
        self.wait_partitions(name, partitions);
    }

    /// Deletes a topic.
    pub fn delete_topic(&self, name: &str) {
        let ask = || wait::finish(self.admin.delete_topics(&[name], &AdminOptions::new()));
        insist(&format!("delete topic {name}"), Code::UnknownTopicOrPartition, ask);
    }

    /// Raises a topic's number of partitions to `total`.
    pub fn add_partitions(&self, name: &str, total: usize) {
        let wanted = NewPartitions::new(name, total);
        let ask = || wait::finish(self.admin.create_partitions([&wanted], &AdminOptions::new()));
        insist(&format!("grow topic {name}"), Code::InvalidPartitions, ask);
        self.wait_partitions(name, total as i32);
    }

    /// Deletes the records before an offset, as retention does.
    pub fn delete_records(&self, topic: &str, partition: i32, before: i64) {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition, Offset::Offset(before))
            .expect("an offset");
        let deleted = wait::finish(self.admin.delete_records(&list, &AdminOptions::new())).expect("an answer");
        deleted.elements()[0].error().expect("records are deleted");
    }

    /// The partitions' numbers.
    pub fn partitions(&self, topic: &str) -> Vec<i32> {
        wait::until("the topic is known", PATIENCE, || {
            let metadata = self.asker.fetch_metadata(Some(topic), REQUEST).ok()?;
            let partitions = metadata.topics()[0].partitions();
            (!partitions.is_empty()).then(|| partitions.iter().map(|partition| partition.id()).collect())
        })
    }

    fn wait_partitions(&self, topic: &str, count: i32) {
        let has_leaders = || {
            let metadata = self.asker.fetch_metadata(Some(topic), REQUEST).ok()?;
            let partitions = metadata.topics()[0].partitions();
            let led = partitions.iter().filter(|partition| partition.leader() >= 0).count();
            (led == count as usize).then_some(())
        };
        wait::until("the new partitions have leaders", PATIENCE, has_leaders);
    }

    /// A producer that waits for every replica and places records as Java clients do.
    pub fn producer(&self) -> Producer {
        Producer::new(&self.config, &[])
    }

    /// A producer whose records become visible together, or not at all.
    pub fn transactions(&self, id: &str) -> Producer {
        let producer = Producer::new(&self.config, &[("transactional.id", id)]);
        producer.inner.init_transactions(REQUEST).expect("transactions");
        producer
    }

    /// First offset of the log, and its end: the last stable offset, or the high watermark.
    pub fn bounds(&self, topic: &str, partition: i32, isolation: Isolation) -> (i64, i64) {
        let asker = &self.ends[usize::from(isolation == Isolation::Committed)];
        let ask = |asker: &BaseConsumer| asker.fetch_watermarks(topic, partition, Duration::from_secs(3)).ok();
        // A leader that died takes its time to have a successor, and only fresh metadata tells this client who that is.
        // One that was told of no broker at all may never find one again: then another is asked.
        wait::until("the log's bounds", PATIENCE, || {
            ask(asker).or_else(|| {
                drop(asker.fetch_metadata(Some(topic), Duration::from_secs(5)));
                ask(&self.consumer(isolation, &[]))
            })
        })
    }

    /// What Kafka's look-up gives: the first offset of this time or later, in log order.
    pub fn offset_at(&self, topic: &str, partition: i32, time_ms: i64, isolation: Isolation) -> Option<i64> {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition, Offset::Offset(time_ms))
            .expect("a time");
        let found = self
            .consumer(isolation, &[])
            .offsets_for_times(list, REQUEST)
            .expect("a look-up");
        match found.elements()[0].offset() {
            Offset::Offset(offset) => Some(offset),
            _ => None,
        }
    }

    /// Every record of a topic, partition by partition, from its beginning to its end of now.
    pub fn read(&self, topic: &str, isolation: Isolation) -> Vec<Record> {
        let mut reader = self.reader(&[topic], isolation);
        let mut records = reader.read_to_end();
        records.sort_by_key(|record| (record.partition, record.offset));
        records
    }

    /// Waits until no transaction is open in a topic: the markers of the last one may come a moment behind the answer
    /// that it is committed.
    pub fn settle(&self, topic: &str) {
        let end = |partition: i32, isolation| self.bounds(topic, partition, isolation).1;
        let is_settled =
            |partition: i32| end(partition, Isolation::Committed) == end(partition, Isolation::Uncommitted);
        wait::until_true("no transaction is open", PATIENCE, || {
            self.partitions(topic).into_iter().all(is_settled)
        });
    }

    /// Every committed record of a topic, once no transaction is open in it.
    pub fn read_settled(&self, topic: &str) -> Vec<Record> {
        self.settle(topic);
        self.read(topic, Isolation::Committed)
    }

    /// A reader of all partitions of these topics from their beginning, by assignment.
    pub fn reader(&self, topics: &[&str], isolation: Isolation) -> Reader {
        let consumer = self.consumer(isolation, &[("enable.partition.eof", "true")]);
        let mut list = TopicPartitionList::new();
        for topic in topics {
            for partition in self.partitions(topic) {
                list.add_partition_offset(topic, partition, Offset::Beginning)
                    .expect("an offset");
            }
        }
        consumer.assign(&list).expect("an assignment");
        Reader {
            consumer,
            partitions: list.count(),
        }
    }

    /// Commits offsets for a group that has no members, as a foreign tool does.
    pub fn commit(&self, group: &str, offsets: &[(&str, i32, i64)]) {
        let consumer = self.consumer(Isolation::Committed, &[("group.id", group)]);
        let mut list = TopicPartitionList::new();
        for (topic, partition, offset) in offsets {
            list.add_partition_offset(topic, *partition, Offset::Offset(*offset))
                .expect("an offset");
        }
        let commit = || consumer.commit(&list, CommitMode::Sync).ok();
        wait::until("the group takes the offsets", PATIENCE, commit);
    }

    /// What a group holds for the partitions of a topic; those without an offset are left out.
    pub fn committed(&self, group: &str, topic: &str) -> BTreeMap<i32, Committed> {
        let consumer = self.consumer(Isolation::Committed, &[("group.id", group)]);
        let mut list = TopicPartitionList::new();
        for partition in self.partitions(topic) {
            list.add_partition(topic, partition);
        }
        let ask = || consumer.committed_offsets(list.clone(), Duration::from_secs(5)).ok();
        let found = wait::until("the group's offsets", PATIENCE, ask);
        let of = |element: &rdkafka::topic_partition_list::TopicPartitionListElem<'_>| match element.offset() {
            Offset::Offset(offset) => Some((
                element.partition(),
                Committed {
                    offset,
                    metadata: element.metadata().into(),
                },
            )),
            _ => None,
        };
        found.elements().iter().filter_map(of).collect()
    }

    /// Deletes a group with all that it holds; it must have no members.
    pub fn delete_group(&self, group: &str) {
        let ask = || wait::finish(self.admin.delete_groups(&[group], &AdminOptions::new()));
        insist(&format!("delete group {group}"), Code::GroupIdNotFound, ask);
    }

    /// Changes what a group without members holds for a topic: `to` says for each partition and offset which one it is
    /// then, `None` that it is gone. What rides with the offsets stays.
    pub fn tamper(&self, group: &str, topic: &str, to: impl Fn(i32, i64) -> Option<i64>) {
        let held = self.committed(group, topic);
        self.delete_group(group);
        let consumer = self.consumer(Isolation::Committed, &[("group.id", group)]);
        let mut list = TopicPartitionList::new();
        for (partition, held) in held {
            let Some(offset) = to(partition, held.offset) else {
                continue;
            };
            let mut element = list.add_partition(topic, partition);
            element.set_offset(Offset::Offset(offset)).expect("an offset");
            element.set_metadata(&held.metadata);
        }
        let commit = || consumer.commit(&list, CommitMode::Sync).ok();
        wait::until("the group takes the offsets", PATIENCE, commit);
    }

    /// The groups that there are.
    pub fn groups(&self) -> Vec<String> {
        let listed = self.asker.fetch_group_list(None, REQUEST).expect("the groups");
        listed.groups().iter().map(|group| group.name().to_owned()).collect()
    }

    /// How many members a group has; 0 if it is unknown.
    pub fn members(&self, group: &str) -> usize {
        // A coordinator that has just begun has nothing to tell yet.
        let listed = || self.asker.fetch_group_list(Some(group), REQUEST).ok();
        let groups = wait::until("a list of groups", PATIENCE, listed);
        groups.groups().first().map_or(0, |group| group.members().len())
    }

    fn consumer(&self, isolation: Isolation, settings: &[(&str, &str)]) -> BaseConsumer {
        let mut config = self.config.clone();
        config
            .set("group.id", "oracle")
            .set("isolation.level", isolation.name())
            .set("enable.auto.commit", "false")
            .set("fetch.wait.max.ms", "20")
            .set("fetch.queue.backoff.ms", "2")
            .set("auto.offset.reset", "error");
        for (name, value) in settings {
            config.set(*name, *value);
        }
        config.create().expect("a consumer")
    }
}

/// Follows topics from their beginning.
pub struct Reader {
    consumer: BaseConsumer,
    partitions: usize,
}

impl Reader {
    /// Every record up to the end of each partition; once.
    pub fn read_to_end(&mut self) -> Vec<Record> {
        let deadline = Instant::now() + PATIENCE;
        let (mut records, mut ended) = (Vec::new(), 0);
        while ended < self.partitions {
            assert!(
                Instant::now() < deadline,
                "the oracle reads to the end within two minutes"
            );
            match self.consumer.poll(Duration::from_secs(1)) {
                Some(Ok(message)) => records.push(Record::of(&message)),
                Some(Err(KafkaError::PartitionEOF(_))) => ended += 1,
                Some(Err(KafkaError::MessageConsumption(code))) if PASSING.contains(&code) => {}
                None => {}
                Some(Err(error)) => panic!("the oracle failed to read: {error}"),
            }
        }
        records
    }

    /// Reads on until there are `count` records more, or the limit has passed.
    pub fn take(&mut self, count: usize, limit: Duration) -> Vec<Record> {
        let deadline = Instant::now() + limit;
        let mut records = Vec::new();
        while records.len() < count && Instant::now() < deadline {
            if let Some(Ok(message)) = self.consumer.poll(Duration::from_millis(100)) {
                records.push(Record::of(&message));
            }
        }
        records
    }
}

/// Collects where each record went.
#[derive(Default)]
struct Reports(Mutex<Vec<Option<Placed>>>);

/// Partition and offset, or why the record was not taken.
type Placed = Result<(i32, i64), String>;

impl ClientContext for Reports {}

impl ProducerContext for Reports {
    type DeliveryOpaque = Box<usize>;

    fn delivery(&self, result: &DeliveryResult<'_>, index: Self::DeliveryOpaque) {
        let placed = match result {
            Ok(message) => Ok((message.partition(), message.offset())),
            Err((error, _)) => Err(error.to_string()),
        };
        self.0.lock().unwrap()[*index] = Some(placed);
    }
}

/// A producer of the oracle's.
pub struct Producer {
    inner: BaseProducer<Reports>,
}

impl Producer {
    fn new(config: &ClientConfig, settings: &[(&str, &str)]) -> Self {
        let mut config = config.clone();
        config
            .set("acks", "all")
            .set("enable.idempotence", "true")
            .set("partitioner", "murmur2_random")
            .set("message.max.bytes", "10000000")
            .set("linger.ms", "1");
        for (name, value) in settings {
            config.set(*name, *value);
        }
        Self {
            inner: config.create_with_context(Reports::default()).expect("a producer"),
        }
    }

    /// Sends the records and waits until each is acknowledged; returns their partitions and offsets.
    pub fn send(&self, records: &[Record]) -> Vec<(i32, i64)> {
        *self.inner.context().0.lock().unwrap() = vec![None; records.len()];
        for (index, record) in records.iter().enumerate() {
            self.hand_over(index, record);
        }
        wait::until_true("every record is acknowledged", 2 * PATIENCE, || {
            self.inner.poll(Duration::ZERO);
            self.inner.in_flight_count() == 0
        });
        let reports = std::mem::take(&mut *self.inner.context().0.lock().unwrap());
        let placed = |report: Option<Placed>| report.expect("a report").expect("the record is taken");
        reports.into_iter().map(placed).collect()
    }

    fn hand_over(&self, index: usize, from: &Record) {
        let headers = from.headers.iter().fold(OwnedHeaders::new(), |headers, (key, value)| {
            headers.insert(Header {
                key,
                value: value.as_ref(),
            })
        });
        let mut record: BaseRecord<'_, [u8], [u8], Box<usize>> =
            BaseRecord::with_opaque_to(&from.topic, Box::new(index)).headers(headers);
        record.key = from.key.as_deref();
        record.payload = from.value.as_deref();
        record.partition = from.partition;
        record.timestamp = from.timestamp;
        while let Err((error, back)) = self.inner.send(record) {
            assert_eq!(
                error.rdkafka_error_code(),
                Some(Code::QueueFull),
                "failed to send: {error}"
            );
            self.inner.poll(Duration::from_millis(5));
            record = back;
        }
    }

    /// Begins a transaction.
    pub fn begin(&self) {
        self.inner.begin_transaction().expect("a transaction begins");
    }

    /// Makes the transaction's records visible.
    pub fn commit(&self) {
        self.inner
            .commit_transaction(REQUEST)
            .expect("the transaction is committed");
    }

    /// Takes the transaction's records back.
    pub fn abort(&self) {
        self.inner
            .abort_transaction(REQUEST)
            .expect("the transaction is aborted");
    }
}

/// Repeats an admin request that is refused, for a while: a broker has just begun, or a member has just left. `done`
/// is what a repetition is told if the request before it went through after all.
fn insist(what: &str, done: Code, ask: impl Fn() -> KafkaResult<Vec<TopicResult>>) {
    let deadline = Instant::now() + PATIENCE;
    let mut is_repeated = false;
    loop {
        let error = match ask().map(|mut answers| answers.remove(0)) {
            Ok(Ok(_)) => return,
            Ok(Err((_, code))) if is_repeated && code == done => return,
            Ok(Err((_, code))) => code.to_string(),
            Err(error) => error.to_string(),
        };
        assert!(Instant::now() < deadline, "failed to {what}: {error}");
        is_repeated = true;
        std::thread::sleep(Duration::from_millis(100));
    }
}
