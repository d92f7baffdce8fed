//! Where a source starts and stops on a real Kafka, and what stands in its way.

use super::*;

#[test]
fn a_bounded_run_reads_all_and_ends_and_its_restart_starts_at_the_end() {
    let Some(kafka) = kafka() else { return };
    let name = topic(&kafka, "bounded", 3);
    produce(&kafka, &name, 0, 0..5000);
    produce(&kafka, &name, 1, 0..10);
    let source = source(&kafka, &[&name]);
    let seen = run(&source).unwrap();
    assert_eq!(seen[&TopicPartition::new(&*name, 0)], offsets(0..5000));
    assert_eq!(seen[&TopicPartition::new(&*name, 1)], offsets(0..10));
    assert_eq!(seen.len(), 2);
    let own = committed(&source, &name, 0).unwrap();
    assert_eq!(own.offset, 5000);
    assert!(own.metadata.starts_with("sb1:-:s/0:0:-:5000@"), "{}", own.metadata);
    assert_eq!(committed(&source, &name, 2).unwrap().offset, 0);
    produce(&kafka, &name, 1, 10..20);
    let again = run(&source).unwrap();
    assert_eq!(again, Seen::from([(TopicPartition::new(&*name, 1), offsets(10..20))]));
}

#[test]
fn a_run_that_was_cut_short_ends_where_it_was_planned_to() {
    let Some(kafka) = kafka() else { return };
    let name = topic(&kafka, "kept", 2);
    produce(&kafka, &name, 0, 0..3000);
    produce(&kafka, &name, 1, 0..3000);
    let mut source = source(&kafka, &[&name]);
    source.max_batch = 100;
    let first = Arc::new(plan(&[source.clone()], &member(1), None).unwrap());
    let mut reader = Reader::join(first, 0).unwrap();
    let before = read(&mut reader, |seen, _| {
        seen.values().map(Vec::len).sum::<usize>() >= 1000
    })
    .unwrap();
    reader
        .leave(Some(Duration::from_secs(5)), Duration::from_secs(7))
        .unwrap();
    produce(&kafka, &name, 0, 3000..3500);
    let after = run(&source).unwrap();
    for partition in 0..2 {
        let at = TopicPartition::new(&*name, partition);
        let all: Vec<_> = [&before, &after]
            .into_iter()
            .filter_map(|seen| seen.get(&at))
            .flatten()
            .copied()
            .collect();
        assert_eq!(all, offsets(0..3000));
    }
    let third = run(&source).unwrap();
    assert_eq!(
        third,
        Seen::from([(TopicPartition::new(&*name, 0), offsets(3000..3500))])
    );
}

#[test]
fn markers_aborted_records_and_deleted_ranges_do_not_hang_a_bounded_run() {
    let Some(kafka) = kafka() else { return };
    let name = topic(&kafka, "markers", 3);
    produce(&kafka, &name, 0, 0..10);
    transaction(&kafka, &name, 0, 10..20, Some(true));
    transaction(&kafka, &name, 0, 20..30, Some(false));
    transaction(&kafka, &name, 1, 0..10, Some(false));
    produce(&kafka, &name, 2, 0..10);
    delete_before(&kafka, &name, 2, 10);
    let source = source(&kafka, &[&name]);
    let seen = run(&source).unwrap();
    assert_eq!(seen, Seen::from([(TopicPartition::new(&*name, 0), offsets(0..20))]));
    assert_eq!(committed(&source, &name, 0).unwrap().offset, 32);
    assert_eq!(committed(&source, &name, 1).unwrap().offset, 11);
    assert_eq!(committed(&source, &name, 2).unwrap().offset, 10);
}

#[test]
fn latest_is_the_last_stable_offset() {
    let Some(kafka) = kafka() else { return };
    let name = topic(&kafka, "stable", 1);
    produce(&kafka, &name, 0, 0..10);
    let open = transaction(&kafka, &name, 0, 10..20, None);
    let mut source = source(&kafka, &[&name]);
    assert_eq!(
        plan(&[source.clone()], &member(1), None).unwrap().lines()[0].stop,
        Some(10)
    );
    source.group = unique("g");
    source.start = Start::Latest;
    source.stop = None;
    assert_eq!(plan(&[source.clone()], &member(1), None).unwrap().lines()[0].from, 10);
    source.group = unique("g");
    source.start = Start::Offsets([(name.clone(), [(0, 15)].into())].into());
    assert_eq!(plan(&[source.clone()], &member(1), None).unwrap().lines()[0].from, 15);
    source.group = unique("g");
    source.start = Start::Offsets([(name.clone(), [(0, 21)].into())].into());
    let error = plan(&[source], &member(1), None).unwrap_err();
    assert!(
        error.to_string().contains(&format!(
            "the log of {name}/0 holds 0..20; start = {{ offsets = {{ {name} = {{ 0 = 21 }} }} }}"
        )),
        "{error}"
    );
    open.abort_transaction(LIMIT).unwrap();
}

#[test]
fn times_are_looked_up_and_the_end_stands_where_there_is_none() {
    let Some(kafka) = kafka() else { return };
    let name = topic(&kafka, "times", 3);
    produce(&kafka, &name, 0, 0..100);
    produce(&kafka, &name, 1, 0..20);
    let mut source = source(&kafka, &[&name]);
    source.start = Start::Timestamp(30_001);
    source.stop = Some(Stop::Timestamp(60_500));
    let lines = plan(&[source.clone()], &member(1), None).unwrap().lines();
    let numbers: Vec<_> = lines.iter().map(|placed| (placed.from, placed.stop)).collect();
    assert_eq!(numbers, [(30, Some(61)), (20, Some(20)), (0, Some(0))]);
    let seen = run(&source).unwrap();
    assert_eq!(seen, Seen::from([(TopicPartition::new(&*name, 0), offsets(30..61))]));
}

#[test]
fn what_does_not_exist_is_an_error_that_names_it() {
    let Some(kafka) = kafka() else { return };
    let name = topic(&kafka, "missing", 1);
    let say = |source: KafkaSource| {
        let error = plan(&[source], &member(1), None).unwrap_err();
        assert_eq!(error.kind, Kind::Kafka, "{error}");
        error.to_string()
    };
    assert!(say(source(&kafka, &["no.such.topic"])).contains("no topic `no.such.topic`"));
    let mut asked = source(&kafka, &[&name]);
    asked.subscription = Subscription::Partitions([(name.clone(), vec![0, 7])].into());
    assert!(say(asked).contains(&format!("{name} has no partition 7")));
    let mut asked = source(&kafka, &[&name]);
    asked.start = Start::Offsets([(name.clone(), [(3, 0)].into())].into());
    assert!(say(asked).contains(&format!("{name} has no partition 3")));
    let mut asked = source(&kafka, &[&name]);
    asked.start = Start::GroupOffsets;
    asked.otherwise = Otherwise::Fail;
    assert!(say(asked).contains("nothing says where"));
    let mut asked = source(&kafka, &[&name]);
    asked.stop = Some(Stop::GroupOffsets);
    assert!(say(asked).contains("stops"));
}

#[test]
fn no_broker_is_an_error_with_its_reason_in_time() {
    if kafka().is_none() {
        return;
    }
    for (address, reason) in [("127.0.0.1:1", "refused"), ("no-such-host.invalid:9092", "resolve")] {
        let from = clock::now();
        let error = plan(&[source(address, &["t"])], &member(1), None).unwrap_err();
        assert_eq!(error.kind, Kind::Kafka);
        assert!(error.to_string().contains(reason), "{error}");
        // 15 s, on a machine three times slower.
        assert!(from.elapsed() < Duration::from_secs(45));
    }
}

#[test]
fn a_wrong_password_is_told_from_a_broker_that_is_away() {
    let Ok(address) = std::env::var("SANDBAR_TEST_KAFKA_SASL") else {
        eprintln!(
            "SKIPPED: set SANDBAR_TEST_KAFKA_SASL to the address of a SASL_PLAINTEXT listener that knows the user `a`"
        );
        return;
    };
    let mut asked = source(&address, &["t"]);
    for (name, value) in [
        ("security.protocol", "sasl_plaintext"),
        ("sasl.mechanism", "PLAIN"),
        ("sasl.username", "a"),
        ("sasl.password", "wrong"),
    ] {
        asked.cluster.properties.insert(name.to_owned(), value.to_owned());
    }
    let error = plan(&[asked], &member(1), None).unwrap_err();
    assert_eq!(error.kind, Kind::Kafka);
    assert!(error.to_string().contains("authentication failed"), "{error}");
    eprintln!("{error}");
}

#[test]
fn a_partition_that_falls_out_of_the_log_follows_the_policy() {
    let Some(kafka) = kafka() else { return };
    for policy in [OutOfRange::Fail, OutOfRange::Earliest, OutOfRange::Latest] {
        let name = topic(&kafka, "gap", 1);
        produce(&kafka, &name, 0, 0..100);
        let mut source = source(&kafka, &[&name]);
        source.stop = None;
        source.on_out_of_range = policy;
        let plan = Arc::new(plan(&[source], &member(1), None).unwrap());
        delete_before(&kafka, &name, 0, 50);
        let mut reader = Reader::join(plan, 0).unwrap();
        let at = TopicPartition::new(&*name, 0);
        let mut moved = false;
        let result = read(&mut reader, |seen, polled| {
            moved |=
                matches!(polled, Polled::Assigned(placed) if matches!(placed[0].origin, StartOrigin::OutOfRange(_)));
            moved && (policy == OutOfRange::Latest || seen.get(&at).is_some_and(|of| of.len() == 50))
        });
        match policy {
            OutOfRange::Fail => {
                let error = result.unwrap_err();
                assert!(
                    error
                        .to_string()
                        .contains(&format!("the log of {name}/0 holds 50..100")),
                    "{error}"
                );
            }
            OutOfRange::Earliest => assert_eq!(result.unwrap()[&at], offsets(50..100)),
            OutOfRange::Latest => {
                produce(&kafka, &name, 0, 100..110);
                let seen = read(&mut reader, |seen, _| seen.get(&at).is_some_and(|of| of.len() == 10)).unwrap();
                assert_eq!(seen[&at], offsets(100..110));
            }
        }
        if policy != OutOfRange::Fail {
            reader
                .leave(Some(Duration::from_secs(5)), Duration::from_secs(7))
                .unwrap();
        }
    }
}
