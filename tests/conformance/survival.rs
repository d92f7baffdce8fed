//! What survives the end of the embedded broker, and what its folder allows.

use crate::client::{
    LIMIT, Record, admin, config, numbered, options, produce, producer, read, send, topic, until, wait,
};
use crate::offsets::committed;
use crate::wire;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::producer::Producer;
use rdkafka::types::RDKafkaErrorCode as Code;
use rdkafka::{Message, Offset, TopicPartitionList};
use sandbar::broker::{Broker, BrokerSettings};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What tells this test binary to be a broker: the folder.
const FOLDER: &str = "SANDBAR_TEST_BROKER_FOLDER";
/// The address that it then listens on.
const LISTEN: &str = "SANDBAR_TEST_BROKER_LISTEN";

pub(crate) fn settings(folder: &Path) -> BrokerSettings {
    BrokerSettings {
        listen: ([127, 0, 0, 1], 0).into(),
        data_dir: Some(folder.to_owned()),
    }
}

/// Not a test by itself: the process that the others start and kill.
#[test]
fn a_broker_process() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let listen = std::env::var(LISTEN).unwrap().parse().unwrap();
    let broker = Broker::start(BrokerSettings {
        listen,
        data_dir: Some(folder.into()),
    })
    .unwrap();
    eprintln!("listening on {}", broker.address());
    broker.wait();
}

/// A broker in another process. Killed when dropped.
pub(crate) struct Process {
    child: Child,
    pub address: String,
}

impl Process {
    pub(crate) fn start(folder: &Path) -> Self {
        Self::start_at(folder, "127.0.0.1:0")
    }

    pub(crate) fn start_at(folder: &Path, listen: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["survival::a_broker_process", "--exact", "--nocapture"])
            .env(FOLDER, folder)
            .env(LISTEN, listen)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap())
            .lines()
            .map_while(Result::ok);
        let mut addresses = lines.filter_map(|line| line.strip_prefix("listening on ").map(str::to_owned));
        let address = addresses.next().unwrap();
        Self { child, address }
    }

    /// Seconds of CPU that it took so far, from the kernel's hundredths.
    fn cpu_seconds(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let times = stat.rsplit(')').next().unwrap().split_whitespace().skip(11).take(2);
        times.map(|ticks| ticks.parse::<f64>().unwrap() / 100.0).sum()
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn a_kill_in_the_middle_of_produce_loses_nothing_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let mut name = String::new();
    let mut acknowledged = Vec::new();
    for round in 0..5 {
        let mut process = Process::start(folder.path());
        if round == 0 {
            name = topic(&process.address, 1);
        }
        let (producer, reports) = producer(
            &process.address,
            &[("linger.ms", "1"), ("message.send.max.retries", "0")],
        );
        let start = Instant::now();
        let acknowledged_now = || reports.0.lock().unwrap().iter().flatten().count();
        while acknowledged_now() < 3000 {
            assert!(start.elapsed() < LIMIT);
            // A broker that is slow for a moment must not fill the client's own queue.
            if producer.in_flight_count() > 10_000 {
                producer.poll(Duration::from_millis(1));
                continue;
            }
            let value = Some(format!("{round}/{}", acknowledged_now()).into_bytes());
            send(
                &producer,
                &name,
                0,
                &Record {
                    value,
                    timestamp: 1,
                    ..Record::default()
                },
            );
            producer.poll(Duration::ZERO);
        }
        process.kill();
        producer.purge(rdkafka::producer::PurgeConfig::default().queue().inflight());
        producer.poll(Duration::from_millis(100));
        acknowledged.extend(reports.0.lock().unwrap().iter().flatten().map(|(_, offset)| *offset));
    }
    let process = Process::start(folder.path());
    let count = acknowledged.len();
    acknowledged.sort_unstable();
    acknowledged.dedup();
    assert_eq!(acknowledged.len(), count, "no offset was given twice");
    let last = *acknowledged.last().unwrap();
    let records = read(&process.address, &name, 0, 0, last as usize + 1);
    assert!(
        records
            .iter()
            .zip(0..)
            .all(|(record, offset)| record.offset == offset && record.value.is_some())
    );
}

pub(crate) fn everything_acknowledged_is_there_after_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let mut process = Process::start(folder.path());
    let (kept, dropped) = (topic(&process.address, 2), topic(&process.address, 1));
    produce(
        &process.address,
        &kept,
        1,
        &numbered(100),
        &[("compression.type", "zstd")],
    );
    let id = wire::producer_id(&process.address);
    assert_eq!(
        wire::produce(&process.address, &kept, 0, &wire::batch(id, 0, 0, 3)),
        (0, 0)
    );
    let mut beginning = TopicPartitionList::new();
    beginning.add_partition_offset(&kept, 1, Offset::Offset(40)).unwrap();
    wait(admin(&process.address).delete_records(&beginning, &options())).unwrap();
    wait(admin(&process.address).delete_topics(&[&dropped], &options())).unwrap();
    let client: BaseConsumer = config(&process.address, &[("group.id", "g")]).create().unwrap();
    let mut position = TopicPartitionList::new();
    let mut element = position.add_partition(&kept, 1);
    element.set_offset(Offset::Offset(55)).unwrap();
    element.set_metadata("note \"1\"\n");
    client.commit(&position, CommitMode::Sync).unwrap();
    process.kill();

    let process = Process::start(folder.path());
    let client: BaseConsumer = config(&process.address, &[("group.id", "g")]).create().unwrap();
    assert_eq!(client.fetch_watermarks(&kept, 1, LIMIT).unwrap(), (40, 100));
    assert_eq!(read(&process.address, &kept, 1, 40, 60), numbered(100)[40..]);
    assert_eq!(
        committed(&client, &kept, 1),
        Ok((Offset::Offset(55), "note \"1\"\n".to_owned()))
    );
    assert_eq!(
        crate::client::partition_count(&process.address, &dropped),
        Err(Code::UnknownTopicOrPartition)
    );
    assert_eq!(
        wire::produce(&process.address, &kept, 0, &wire::batch(id, 0, 0, 3)),
        (0, 0),
        "a repetition is known"
    );
    assert_eq!(
        wire::produce(&process.address, &kept, 0, &wire::batch(id, 0, 9, 3)).0,
        45
    );
    assert_ne!(wire::producer_id(&process.address), id);
}

pub(crate) fn a_group_goes_on_after_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let mut process = Process::start(folder.path());
    let address = process.address.clone();
    let name = topic(&address, 1);
    let (member, _) = crate::groups::member(&address, "g", &name, &[("auto.offset.reset", "earliest")]);
    let expect = |offset| {
        until("the next record comes", || {
            // Errors say that the broker is away; the client goes on by itself.
            let Some(Ok(message)) = member.poll(Duration::from_millis(100)) else {
                return false;
            };
            assert_eq!(message.offset(), offset);
            true
        });
    };
    produce(&address, &name, 0, &numbered(1), &[]);
    expect(0);
    member.commit_consumer_state(CommitMode::Sync).unwrap();
    process.kill();
    let _process = Process::start_at(folder.path(), &address);
    produce(&address, &name, 0, &numbered(1), &[]);
    expect(1);
    until("the member of the new group may commit", || {
        let _ = member.poll(Duration::from_millis(100));
        member.commit_consumer_state(CommitMode::Sync).is_ok()
    });
}

pub(crate) fn a_torn_log_is_read_to_the_last_whole_batch() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Broker::start(settings(folder.path())).unwrap();
    let bootstrap = broker.address().to_string();
    let name = topic(&bootstrap, 1);
    for _ in 0..3 {
        wire::produce(&bootstrap, &name, 0, &wire::batch(-1, -1, -1, 4));
    }
    broker.stop();
    let topics = std::fs::read_dir(folder.path().join("topics")).unwrap();
    let log = topics.map(|entry| entry.unwrap().path().join("0.log")).next().unwrap();
    let whole = std::fs::read(&log).unwrap();
    let batch = whole.len() / 3;
    let mut damaged = whole.clone();
    damaged[2 * batch + 80] ^= 1;
    let mut misplaced = whole.clone();
    misplaced[2 * batch + 7] = 9;
    let garbage = [&whole[..2 * batch], &[0xff; 200]].concat();
    for torn in [
        &whole[..whole.len() - 1],
        &whole[..2 * batch + 20],
        &damaged,
        &misplaced,
        &garbage,
    ] {
        std::fs::write(&log, torn).unwrap();
        let broker = Broker::start(settings(folder.path())).unwrap();
        let bootstrap = broker.address().to_string();
        assert_eq!(read(&bootstrap, &name, 0, 0, 8).len(), 8);
        assert_eq!(wire::produce(&bootstrap, &name, 0, &wire::batch(-1, -1, -1, 4)), (0, 8));
        assert_eq!(read(&bootstrap, &name, 0, 8, 4).len(), 4);
    }
}

pub(crate) fn a_folder_in_use_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Broker::start(settings(folder.path())).unwrap();
    let error = Broker::start(settings(folder.path())).unwrap_err();
    assert_eq!(error.kind, sandbar::error::Kind::Corrupt);
    assert_eq!(error.why, "another broker has it open");
    drop(broker);
    Broker::start(settings(folder.path())).unwrap();
}

pub(crate) fn what_is_not_kafka_ends_its_connection_and_nothing_else() {
    use std::io::{Read, Write};
    let broker = Broker::start(BrokerSettings {
        listen: ([127, 0, 0, 1], 0).into(),
        data_dir: None,
    })
    .unwrap();
    let huge_array = [
        &[0, 0, 0, 14, 0, 42, 0, 0, 0, 0, 0, 1, 0xff, 0xff][..],
        &[0x7f, 0xff, 0xff, 0xff],
    ]
    .concat();
    let nonsense: [&[u8]; 5] = [
        b"GET / HTTP/1.1\r\n\r\n",
        &[0xff; 64],
        &[0, 0, 0, 0],
        &[0, 0, 0, 9, 0, 99, 0, 0, 0, 0, 0, 1, 0],
        &huge_array,
    ];
    for bytes in nonsense {
        let mut socket = std::net::TcpStream::connect(broker.address()).unwrap();
        socket.set_read_timeout(Some(LIMIT)).unwrap();
        socket.write_all(bytes).unwrap();
        let ended = socket.read(&mut [0; 8]);
        assert!(!matches!(ended, Ok(1..)), "it got an answer");
        assert!(
            !ended.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock),
            "it was left waiting"
        );
    }
    topic(&broker.address().to_string(), 1);
}

/// Its figures are seen with `--nocapture`.
pub(crate) fn a_million_records_in_and_out() {
    const COUNT: usize = 1_000_000;
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let name = topic(&process.address, 4);
    let more = [
        ("linger.ms", "5"),
        ("queue.buffering.max.messages", "1000000"),
        ("enable.idempotence", "true"),
    ];
    let (producer, _) = producer(&process.address, &more);
    let start = Instant::now();
    let record = Record {
        value: Some(vec![b'x'; 100]),
        timestamp: 1,
        ..Record::default()
    };
    for number in 0..COUNT {
        send(&producer, &name, (number % 4) as i32, &record);
    }
    until("all are acknowledged", || {
        producer.poll(Duration::ZERO);
        producer.in_flight_count() == 0
    });
    let (written, in_cpu) = (start.elapsed(), process.cpu_seconds());
    let quick = [("group.id", "x"), ("fetch.queue.backoff.ms", "2")];
    let consumer: BaseConsumer = config(&process.address, &quick).create().unwrap();
    let mut all = TopicPartitionList::new();
    for partition in 0..4 {
        all.add_partition_offset(&name, partition, Offset::Beginning).unwrap();
    }
    let start = Instant::now();
    consumer.assign(&all).unwrap();
    for _ in 0..COUNT {
        crate::client::next(&consumer).unwrap();
    }
    let rate = |span: Duration| COUNT as f64 / span.as_secs_f64() / 1e6;
    eprintln!(
        "in {:.2} M/s with {in_cpu:.2} s of the broker's CPU, out {:.2} M/s with {:.2} s",
        rate(written),
        rate(start.elapsed()),
        process.cpu_seconds() - in_cpu
    );
}
