//! Transactions of the embedded broker outlive its end, however sudden: the open ones stay open, the decided ones stay
//! decided.

use crate::client::{LIMIT, Record, fresh, next, numbered, owned, producer, reader, send, topic, until};
use crate::offsets::{position as positions, stranger};
use crate::survival::{Process, settings};
use crate::transactional_wire::{NONE, Producer as Raw, fetch, position};
use crate::transactions::transactional;
use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::producer::Producer;
use sandbar::broker::Broker;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const GROUP: &str = "g";
const UNSTABLE: i16 = 88;

/// The journal and the logs of two partitions, as bytes.
#[derive(Clone)]
struct Files {
    journal: Vec<u8>,
    logs: [Vec<u8>; 2],
}

impl Files {
    fn read(folder: &Path) -> Self {
        let log = |partition| std::fs::read(topic_folder(folder).join(format!("{partition}.log"))).unwrap();
        Self {
            journal: std::fs::read(folder.join("journal")).unwrap(),
            logs: [log(0), log(1)],
        }
    }

    fn write(&self, folder: &Path) {
        std::fs::write(folder.join("journal"), &self.journal).unwrap();
        for (partition, log) in self.logs.iter().enumerate() {
            std::fs::write(topic_folder(folder).join(format!("{partition}.log")), log).unwrap();
        }
    }
}

fn topic_folder(folder: &Path) -> PathBuf {
    let mut topics = std::fs::read_dir(folder.join("topics")).unwrap();
    topics.next().unwrap().unwrap().path()
}

/// What the files were after each single write of the end of a transaction, and once in the middle of one.
fn steps(before: &Files, after: &Files) -> Vec<Files> {
    let mut steps = Vec::new();
    let mut now = before.clone();
    let lines: Vec<&[u8]> = after.journal[before.journal.len()..]
        .split_inclusive(|byte| *byte == b'\n')
        .collect();
    now.journal.extend(lines[0]);
    steps.push(now.clone());
    now.logs[0].extend(&after.logs[0][before.logs[0].len()..][..50]);
    steps.push(now.clone());
    for partition in 0..2 {
        now.logs[partition].clone_from(&after.logs[partition]);
        steps.push(now.clone());
    }
    for line in &lines[1..] {
        let mut torn = now.clone();
        torn.journal.extend(&line[..line.len() / 2]);
        steps.push(torn);
        now.journal.extend(*line);
        steps.push(now.clone());
    }
    assert!(now.journal == after.journal && now.logs == after.logs);
    steps
}

fn every_step_can_be_the_last(commits: bool) {
    let folder = tempfile::tempdir().unwrap();
    let broker = Broker::start(settings(folder.path())).unwrap();
    let bootstrap = broker.address().to_string();
    let name = topic(&bootstrap, 2);
    let writer = Raw::new(&bootstrap, "id", 900_000);
    writer.write(&name, 0, 0, 2);
    writer.write(&name, 1, 0, 3);
    writer.take_offset(GROUP, &name, 0, 7);
    let before = Files::read(folder.path());
    assert_eq!(writer.end(2, commits), NONE);
    let after = Files::read(folder.path());
    broker.stop();

    for (number, step) in steps(&before, &after).into_iter().enumerate() {
        step.write(folder.path());
        let broker = Broker::start(settings(folder.path())).unwrap();
        let bootstrap = broker.address().to_string();
        for (partition, count) in [(0, 2), (1, 3)] {
            let page = fetch(&bootstrap, &name, partition, 0, true);
            assert_eq!(page.last_stable_offset, page.high_watermark, "step {number}");
            assert!(page.high_watermark > count, "there is a marker");
            let aborted = if commits { vec![] } else { vec![(writer.producer_id, 0)] };
            assert_eq!(page.aborted, Some(aborted), "step {number}");
        }
        let taken = if commits { (NONE, 7) } else { (NONE, -1) };
        let (code, offset, ..) = position(&bootstrap, GROUP, &name, 0, true);
        assert_eq!((code, offset), taken, "step {number}");
        let writer = Raw {
            bootstrap: bootstrap.clone(),
            ..writer.clone()
        };
        assert_eq!(
            writer.end(2, commits),
            NONE,
            "a repeated request is answered as the first"
        );
        writer.write(&name, 0, 2, 1);
        assert_eq!(writer.end(2, true), NONE, "and the producer goes on");
    }

    before.write(folder.path());
    let broker = Broker::start(settings(folder.path())).unwrap();
    let bootstrap = broker.address().to_string();
    assert_eq!(
        fetch(&bootstrap, &name, 1, 0, true).last_stable_offset,
        0,
        "nothing is decided"
    );
    assert_eq!(position(&bootstrap, GROUP, &name, 0, true).0, UNSTABLE);
}

pub(crate) fn every_step_of_a_commit_can_be_the_last() {
    every_step_can_be_the_last(true);
}

pub(crate) fn every_step_of_an_abort_can_be_the_last() {
    every_step_can_be_the_last(false);
}

pub(crate) fn an_open_transaction_outlives_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let mut process = Process::start(folder.path());
    let address = process.address.clone();
    let name = topic(&address, 1);
    let writer = transactional(&address, "id");
    writer.begin_transaction().unwrap();
    for record in &numbered(10)[..5] {
        send(&writer, &name, 0, record);
    }
    writer.flush(LIMIT).unwrap();
    let client = stranger(&address, GROUP, &[]);
    writer
        .send_offsets_to_transaction(
            &positions(&name, 0, 7, "note"),
            &client.group_metadata().unwrap(),
            LIMIT,
        )
        .unwrap();
    process.kill();
    let _process = Process::start_at(folder.path(), &address);
    assert_eq!(fetch(&address, &name, 0, 0, true).last_stable_offset, 0);
    assert_eq!(position(&address, GROUP, &name, 0, true).0, UNSTABLE);
    for record in &numbered(10)[5..] {
        send(&writer, &name, 0, record);
    }
    writer.flush(LIMIT).unwrap();
    writer.commit_transaction(LIMIT).unwrap();
    let committed = reader(&address, &name, 0, 0, &[("isolation.level", "read_committed")]);
    for record in numbered(10) {
        assert_eq!(owned(&next(&committed).unwrap()), record);
    }
    let (code, offset, _, metadata) = position(&address, GROUP, &name, 0, true);
    assert_eq!((code, offset, metadata.as_str()), (NONE, 7, "note"));
}

pub(crate) fn a_time_out_outlives_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let mut process = Process::start(folder.path());
    let name = topic(&process.address, 1);
    let writer = Raw::new(&process.address, "id", 1500);
    writer.write(&name, 0, 0, 2);
    process.kill();
    let process = Process::start(folder.path());
    until("the time is over", || {
        fetch(&process.address, &name, 0, 0, true).aborted == Some(vec![(writer.producer_id, 0)])
    });
    let successor = Raw::new(&process.address, "id", 60_000);
    assert_eq!(successor.producer_id, writer.producer_id);
    assert!(successor.epoch > writer.epoch + 1, "an epoch is never given twice");
}

/// Writes transactions of one record in each of three partitions and a position, all of which say the transaction's
/// number, until the broker is gone. The numbers of those whose commit was acknowledged go into the list.
fn write_until_killed(address: &str, name: &str, first: i64, acknowledged: &Mutex<Vec<i64>>) -> KafkaResult<()> {
    let (writer, _) = producer(address, &[("transactional.id", "id"), ("linger.ms", "0")]);
    let client = stranger(address, GROUP, &[]);
    let group = client.group_metadata().unwrap();
    let patience = Duration::from_secs(1);
    writer.init_transactions(LIMIT)?;
    for number in first.. {
        writer.begin_transaction()?;
        let record = Record {
            value: Some(number.to_string().into_bytes()),
            timestamp: 1,
            ..Record::default()
        };
        for partition in 0..3 {
            send(&writer, name, partition, &record);
        }
        writer.send_offsets_to_transaction(&positions(name, 0, number, &number.to_string()), &group, patience)?;
        let start = Instant::now();
        while writer.in_flight_count() > 0 && start.elapsed() < patience {
            writer.poll(Duration::ZERO);
            std::thread::sleep(Duration::from_micros(200));
        }
        writer.commit_transaction(patience)?;
        acknowledged.lock().unwrap().push(number);
    }
    Ok(())
}

fn read_all_committed(address: &str, name: &str, partition: i32) -> Vec<i64> {
    let more = [("isolation.level", "read_committed"), ("enable.partition.eof", "true")];
    let reader = reader(address, name, partition, 0, &more);
    let mut numbers = Vec::new();
    loop {
        match next(&reader) {
            Ok(message) => numbers.push(
                String::from_utf8(owned(&message).value.unwrap())
                    .unwrap()
                    .parse()
                    .unwrap(),
            ),
            Err(KafkaError::PartitionEOF(_)) => return numbers,
            Err(error) => panic!("{error}"),
        }
    }
}

pub(crate) fn killed_at_any_moment_every_transaction_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let mut name = String::new();
    let acknowledged = Arc::new(Mutex::new(Vec::new()));
    for round in 0..8 {
        let mut process = Process::start(folder.path());
        if round == 0 {
            name = topic(&process.address, 3);
        }
        let before = acknowledged.lock().unwrap().len();
        let writing = std::thread::spawn({
            let (address, name, acknowledged) = (process.address.clone(), name.clone(), Arc::clone(&acknowledged));
            move || write_until_killed(&address, &name, 1000 * (round + 1), &acknowledged)
        });
        until("it writes", || acknowledged.lock().unwrap().len() > before);
        std::thread::sleep(Duration::from_micros(7919 * round as u64 % 40_000 + 5_000));
        process.kill();
        // The client's `send_offsets_to_transaction` waits for a broker without limit if none is left, whatever its
        // time-out says: a writer that was caught there is left alone. Nothing is acknowledged to it any more.
        let patience = Instant::now() + Duration::from_secs(10);
        while !writing.is_finished() && Instant::now() < patience {
            std::thread::sleep(Duration::from_millis(20));
        }
        if writing.is_finished() {
            assert!(writing.join().unwrap().is_err());
        }

        let process = Process::start(folder.path());
        // A successor ends what was open; what was decided is as it was.
        Raw::new(&process.address, "id", 60_000);
        let committed = read_all_committed(&process.address, &name, 0);
        for partition in 1..3 {
            assert_eq!(
                read_all_committed(&process.address, &name, partition),
                committed,
                "all or none of it"
            );
        }
        let acknowledged = acknowledged.lock().unwrap();
        assert!(acknowledged.iter().all(|number| committed.contains(number)));
        assert!(committed.is_sorted_by(|one, next| one < next));
        let last = *committed.last().unwrap();
        let (code, offset, _, metadata) = position(&process.address, GROUP, &name, 0, true);
        assert_eq!((code, offset, metadata), (NONE, last, last.to_string()));
    }
    let unknown = read_all_committed(&Process::start(folder.path()).address, &name, 0).len();
    let known = acknowledged.lock().unwrap().len();
    eprintln!("{known} commits acknowledged, {} more stood", unknown - known);
}

pub(crate) fn a_deleted_topic_holds_no_transaction_up() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Broker::start(settings(folder.path())).unwrap();
    let bootstrap = broker.address().to_string();
    let (kept, gone) = (topic(&bootstrap, 1), topic(&bootstrap, 1));
    let writer = Raw::new(&bootstrap, &fresh("id"), 60_000);
    writer.write(&kept, 0, 0, 1);
    writer.write(&gone, 0, 0, 1);
    writer.take_offset(GROUP, &gone, 0, 1);
    let admin = crate::client::admin(&bootstrap);
    crate::client::wait(admin.delete_topics(&[&gone], &crate::client::options())).unwrap();
    assert_eq!(writer.end(2, true), NONE);
    assert_eq!(fetch(&bootstrap, &kept, 0, 0, true).last_stable_offset, 2);
    assert_eq!(position(&bootstrap, GROUP, &gone, 0, true).1, -1);
}
