//! What a person may change of a pipeline between two runs, and what not: its checkpoints and its offsets go on
//! belonging together.

use crate::exactly_once::complete;
use crate::flow::stop;
use sandbar_tests::client::{Isolation, Record};
use sandbar_tests::counted::Counted;
use sandbar_tests::kafka::Kafka;
use sandbar_tests::process::component;
use sandbar_tests::wait::{self, PATIENCE, seconds};

#[test]
fn topics_by_pattern_go_on_where_their_checkpoints_say() {
    let mut counted = Counted::on(Kafka::shared(), "pattern", 2, 10);
    counted.file.plugin = component("pass-through");
    counted.file.source = format!(
        "topic-pattern = \"{}(-more)?\"\nstart = \"earliest\"\nsession-timeout = \"1s\"\n\
         discovery-interval = \"500ms\"",
        counted.input
    );
    let more = format!("{}-more", counted.input);
    let (producer, mut sent) = (counted.client.producer(), 0);
    for turn in 0..4 {
        if turn == 2 {
            counted.client.create_topic(&more, 2);
        }
        counted.send(turn * 100, 100);
        sent += 100;
        if turn >= 2 {
            producer.send(&[Record::placed(&more, 0, "more"), Record::placed(&more, 1, "more")]);
            sent += 2;
        }
        let mut run = counted.file.run();
        wait::until_true("every record is there", PATIENCE, || {
            assert!(run.is_running(), "{}", run.lines().join("\n"));
            shown(&counted) == sent
        });
        if turn % 2 == 0 { run.kill() } else { stop(run) }
    }
    assert_eq!(shown(&counted), sent, "nothing comes twice");
}

fn shown(counted: &Counted) -> usize {
    counted.client.read(&counted.output, Isolation::Committed).len()
}

#[test]
fn a_topic_that_a_source_gets_later_joins_its_tasks() {
    let mut counted = Counted::on(Kafka::shared(), "joins", 2, 10);
    counted.send(0, 200);
    complete(&counted, counted.file.run());
    let second = format!("{}-second", counted.input);
    counted.client.create_topic(&second, 2);
    let (one, both) = (
        format!("[\"{}\"]", counted.input),
        format!("[\"{}\", \"{second}\"]", counted.input),
    );
    counted.file.source = counted.file.source.replace(&one, &both);
    // Nothing is read of it, and yet the next checkpoint covers it.
    let run = counted.file.run();
    wait::until_true("the new topic's offsets name a checkpoint", PATIENCE, || {
        let committed = counted.client.committed(&counted.file.group(), &second);
        committed.len() == 2 && committed.values().all(|of| !of.metadata.starts_with("sb1:-:"))
    });
    stop(run);
    complete(&counted, counted.file.run());
    // Its records count on in the same state.
    let records = counted.records(0, 50).into_iter().map(|record| Record {
        topic: second.clone(),
        ..record
    });
    counted.client.producer().send(&records.collect::<Vec<_>>());
    let mut run = counted.file.run();
    let mut watch = counted.watch();
    wait::until_true("every record is counted", PATIENCE, || {
        assert!(run.is_running(), "{}", run.lines().join("\n"));
        watch.follow(std::time::Duration::from_millis(100));
        watch.seen >= 250
    });
    stop(run);
    watch.follow(seconds(1));
    assert_eq!(watch.seen, 250);
}

#[test]
fn a_source_that_was_renamed_is_told_how_it_was_called() {
    let counted = Counted::on(Kafka::shared(), "renamed", 1, 5);
    counted.send(0, 50);
    complete(&counted, counted.file.run());
    let path = counted.file.write("");
    let text = std::fs::read_to_string(&path).unwrap();
    let renamed = text
        .replace("[source.in]", "[source.other]")
        .replace("inputs = [\"in\"]", "inputs = [\"other\"]");
    std::fs::write(&path, renamed).unwrap();
    let ended = sandbar_tests::process::run(&["run".as_ref(), path.as_os_str()]);
    assert_eq!(ended.code, Some(6), "{}", ended.text);
    assert!(ended.text.contains("belong to task `in/0`"), "{}", ended.text);
    complete(&counted, counted.file.run());
}
