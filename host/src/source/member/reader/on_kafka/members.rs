//! Members of one group on a real Kafka: they come and go, and nothing is lost.

use super::*;

/// Members that come and go while records come; each record must be seen, in order within an assignment.
#[test]
#[expect(
    clippy::too_many_lines,
    reason = "one scene: three members, a producer, and what must hold"
)]
fn members_that_join_and_leave_lose_nothing_and_keep_topics_together() {
    let Some(kafka) = kafka() else { return };
    let (a, b) = (topic(&kafka, "pair-a", 6), topic(&kafka, "pair-b", 4));
    let mut source = source(&kafka, &[&a, &b]);
    source.stop = None;
    // Everybody leaves in order: on a slow machine nobody is to be taken for dead.
    source.session_timeout = Duration::from_secs(30);
    let plan = Arc::new(plan(&[source.clone()], &member(3), None).unwrap());
    let is_over = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let all: Arc<std::sync::Mutex<BTreeMap<TopicPartition, std::collections::BTreeSet<i64>>>> = Arc::default();
    let seconds: u64 = std::env::var("SANDBAR_TEST_CHURN")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(15);
    let end = clock::now() + Duration::from_secs(seconds);
    let twice = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let workers: Vec<_> = (0..3usize)
        .map(|worker| {
            let (plan, is_over, all, twice, b) = (plan.clone(), is_over.clone(), all.clone(), twice.clone(), b.clone());
            std::thread::Builder::new()
                .spawn(move || {
                    let mut round = 0;
                    while !is_over.load(std::sync::atomic::Ordering::Relaxed) {
                        round += 1;
                        let mut reader = Reader::join(plan.clone(), worker).unwrap();
                        let until = clock::now()
                            + Duration::from_millis(if worker == 0 {
                                3_600_000
                            } else {
                                1500 + 400 * ((worker as u64 + round) % 5)
                            });
                        let is_done = || clock::now() > until || is_over.load(std::sync::atomic::Ordering::Relaxed);
                        let mut batch = Batch::default();
                        let mut commit = clock::Interval::new(Duration::from_millis(200));
                        while !is_done() {
                            match reader.poll(Duration::from_millis(50), &mut batch).unwrap() {
                                Polled::Batch => {
                                    let mut all = all.lock().unwrap();
                                    let of = all.entry(batch.partition.clone()).or_default();
                                    for offset in &batch.records.offsets {
                                        if !of.insert(*offset) {
                                            twice.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                                        }
                                    }
                                    reader.processed();
                                }
                                Polled::Revoking(_) => reader.release(Some(LIMIT)).unwrap(),
                                Polled::Assigned(placed) => {
                                    for of_b in placed.iter().filter(|placed| *placed.partition.topic == *b) {
                                        assert!(
                                            placed
                                                .iter()
                                                .any(|of| of.partition.partition == of_b.partition.partition
                                                    && *of.partition.topic != *b)
                                        );
                                    }
                                }
                                _ => {}
                            }
                            if commit.due() {
                                reader.begin_commit();
                            }
                        }
                        reader.leave(Some(LIMIT), Duration::from_secs(7)).unwrap();
                    }
                })
                .unwrap()
        })
        .collect();
    let producer: BaseProducer = config(&kafka).create().unwrap();
    let mut number = 0;
    while clock::now() < end {
        for partition in 0..6 {
            produce_with(&producer, &a, partition, number..number + 20);
            if partition < 4 {
                produce_with(&producer, &b, partition, number..number + 20);
            }
        }
        number += 20;
        producer.poll(Duration::from_millis(5));
        std::thread::sleep(Duration::from_millis(5));
    }
    producer.flush(LIMIT).unwrap();
    let expected = number as usize * 10;
    let count = || {
        all.lock()
            .unwrap()
            .values()
            .map(std::collections::BTreeSet::len)
            .sum::<usize>()
    };
    let deadline = clock::now() + LIMIT;
    while count() < expected && clock::now() < deadline {
        std::thread::sleep(Duration::from_millis(50));
    }
    is_over.store(true, std::sync::atomic::Ordering::Relaxed);
    for worker in workers {
        worker.join().unwrap();
    }
    eprintln!(
        "{expected} records, {} twice",
        twice.load(std::sync::atomic::Ordering::Relaxed)
    );
    assert_eq!(count(), expected);
    assert_eq!(committed(&source, &a, 0).unwrap().offset, number);
    assert_eq!(twice.load(std::sync::atomic::Ordering::Relaxed), 0);
}

/// librdkafka resumes behind what it believes was consumed; the end of a partition must not count as a record there.
#[test]
fn the_first_record_after_a_rebalance_at_the_end_of_a_partition_is_read() {
    let Some(kafka) = kafka() else { return };
    let name = topic(&kafka, "idle", 4);
    for partition in 0..4 {
        produce(&kafka, &name, partition, 0..10);
    }
    let mut source = source(&kafka, &[&name]);
    source.stop = None;
    let plan = Arc::new(plan(&[source], &member(2), None).unwrap());
    let mut first = Reader::join(plan.clone(), 0).unwrap();
    let total = |seen: &Seen| seen.values().map(Vec::len).sum::<usize>();
    read(&mut first, |seen, _| total(seen) == 40).unwrap();
    let ends = clock::now() + Duration::from_millis(500);
    read(&mut first, |_, _| clock::now() > ends).unwrap();
    let second = std::thread::Builder::new()
        .spawn(move || {
            let mut second = Reader::join(plan, 1).unwrap();
            let seen = read(&mut second, |seen, _| total(seen) == 2).unwrap();
            second
                .leave(Some(Duration::from_secs(5)), Duration::from_secs(7))
                .unwrap();
            seen
        })
        .unwrap();
    let mut revoked = 0;
    read(&mut first, |_, polled| {
        revoked += if let Polled::Revoking(partitions) = polled {
            partitions.len()
        } else {
            0
        };
        revoked == 2
    })
    .unwrap();
    let settled = clock::now() + Duration::from_millis(500);
    read(&mut first, |_, _| clock::now() > settled).unwrap();
    for partition in 0..4 {
        produce(&kafka, &name, partition, 10..11);
    }
    let mut seen = read(&mut first, |seen, _| total(seen) == 2).unwrap();
    seen.extend(second.join().unwrap());
    assert_eq!(seen.len(), 4);
    assert!(seen.values().all(|of| *of == [10]));
}

#[test]
fn a_bounded_run_of_more_workers_than_partitions_ends_in_all_of_them() {
    let Some(kafka) = kafka() else { return };
    let name = topic(&kafka, "many", 2);
    produce(&kafka, &name, 0, 0..1000);
    let source = source(&kafka, &[&name]);
    for commit_offsets in [CommitOffsets::Periodic, CommitOffsets::Never] {
        let source = KafkaSource {
            commit_offsets,
            group: unique("g"),
            ..source.clone()
        };
        let plan = Arc::new(plan(&[source], &member(4), None).unwrap());
        let workers: Vec<_> = (0..4)
            .map(|worker| {
                let plan = plan.clone();
                std::thread::Builder::new()
                    .spawn(move || {
                        let mut reader = Reader::join(plan, worker).unwrap();
                        let seen = read(&mut reader, |_, _| false).unwrap();
                        reader
                            .leave(Some(Duration::from_secs(5)), Duration::from_secs(7))
                            .unwrap();
                        seen
                    })
                    .unwrap()
            })
            .collect();
        let mut all: Vec<i64> = workers
            .into_iter()
            .flat_map(|worker| worker.join().unwrap().into_values().flatten().collect::<Vec<_>>())
            .collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all, offsets(0..1000));
    }
}

#[test]
fn later_topics_and_partitions_start_at_their_beginning() {
    let Some(kafka) = kafka() else { return };
    let prefix = unique("later");
    let mut source = source(&kafka, &[]);
    source.subscription = Subscription::Pattern(regex::Regex::new(&format!("{prefix}-.|{prefix}")).unwrap());
    source.stop = None;
    source.start = Start::Latest;
    let plan = Arc::new(plan(&[source], &member(1), None).unwrap());
    assert_eq!(plan.lines(), []);
    let mut reader = Reader::join(plan, 0).unwrap();
    assert_eq!(
        reader.poll(Duration::from_millis(100), &mut Batch::default()).unwrap(),
        Polled::Idle
    );
    let create = |name: &str| {
        let new = NewTopic::new(name, 1, TopicReplication::Fixed(1));
        block(admin(&kafka).create_topics([&new], &AdminOptions::new())).unwrap()[0]
            .as_ref()
            .unwrap();
        wait_led(&kafka, name, 1);
        produce(&kafka, name, 0, 0..10);
    };
    create(&format!("{prefix}-a"));
    create(&format!("{prefix}-ab"));
    let a = TopicPartition::new(format!("{prefix}-a"), 0);
    let seen = read(&mut reader, |seen, _| seen.get(&a).is_some_and(|of| of.len() == 10)).unwrap();
    assert_eq!(seen.len(), 1);
    block(admin(&kafka).create_partitions([&NewPartitions::new(&a.topic, 2)], &AdminOptions::new())).unwrap();
    wait_led(&kafka, &a.topic, 2);
    produce(&kafka, &a.topic, 1, 0..10);
    let b = TopicPartition::new(&*a.topic, 1);
    read(&mut reader, |seen, _| seen.get(&b).is_some_and(|of| of.len() == 10)).unwrap();
    reader
        .leave(Some(Duration::from_secs(5)), Duration::from_secs(7))
        .unwrap();
}

#[test]
fn named_partitions_are_read_by_hand() {
    let Some(kafka) = kafka() else { return };
    let name = topic(&kafka, "hand", 3);
    for partition in 0..3 {
        produce(&kafka, &name, partition, 0..10);
    }
    let mut source = source(&kafka, &[]);
    source.subscription = Subscription::Partitions([(name.clone(), vec![0, 2])].into());
    let seen = run(&source).unwrap();
    assert_eq!(seen.keys().map(|at| at.partition).collect::<Vec<_>>(), [0, 2]);
    assert_eq!(committed(&source, &name, 2).unwrap().offset, 10);
}
