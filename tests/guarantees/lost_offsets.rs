//! Kafka forgets the offsets of a group that stood still for a week: if checkpoints know them, the start says so,
//! however its partitions are named.

use crate::exactly_once::complete;
use crate::flow::{Flow, stop};
use sandbar_tests::client::Record;
use sandbar_tests::counted::Counted;
use sandbar_tests::kafka::Kafka;
use sandbar_tests::process::Ended;
use sandbar_tests::wait::{self, PATIENCE};

const CHECKPOINT: &str = "[checkpoint]\ninterval = \"100ms\"\nstore = \"checkpoints\"";

fn refused(ended: &Ended, words: &[&str]) {
    assert_eq!(ended.code, Some(6), "{}", ended.text);
    for word in words {
        assert!(ended.text.contains(word), "`{word}` is missing:\n{}", ended.text);
    }
}

#[test]
fn offsets_that_are_gone_are_noticed_where_partitions_are_named() {
    let mut counted = Counted::on(Kafka::shared(), "named-gone", 4, 20);
    counted.file.top = "delivery = \"at-least-once\"\nworkers = 2".into();
    let by_topic = format!("topics = [\"{}\"]", counted.input);
    let named = |numbers: &str| format!("partitions = {{ {} = {numbers} }}", counted.input);
    let source = counted.file.source.clone();
    let with = |numbers: &str| source.replace(&by_topic, &named(numbers));
    let (three, four) = (with("[0, 1, 2]"), with("[0, 1, 2, 3]"));
    counted.file.source = three;
    counted.send(0, 400);
    let mut run = counted.file.run();
    run.wait_placed(3, PATIENCE);
    wait_until_stored(&counted, 3);
    stop(run);
    // One more is named: it is new, and nothing is lost.
    counted.file.source = four;
    complete(&counted, counted.file.run());
    counted.client.delete_group(&counted.file.group());
    let shown = counted.visible();
    refused(
        &counted.file.run().wait(PATIENCE),
        &["any more; checkpoint", "sandbar offsets set"],
    );
    assert_eq!(counted.visible(), shown, "no state was begun anew");
}

fn wait_until_stored(counted: &Counted, partitions: usize) {
    wait::until_true("each partition has a checkpoint", PATIENCE, || {
        let held = counted.client.committed(&counted.file.group(), &counted.input);
        held.values()
            .filter(|held| !held.metadata.starts_with("sb1:-:"))
            .count()
            == partitions
    });
}

/// Runs it until the output has so many records.
fn finish(flow: &Flow, count: usize) {
    let mut run = flow.file.run();
    wait::until_true("every record is put out", PATIENCE, || {
        assert!(run.is_running(), "{}", run.lines().join("\n"));
        flow.numbers().len() >= count
    });
    stop(run);
}

#[test]
fn offsets_that_are_gone_are_noticed_where_a_pattern_matches_and_what_is_merely_new_goes_on() {
    let mut flow = Flow::new("pattern-gone", 2, "");
    flow.file.source = format!(
        "topic-pattern = \"{}.*\"\nstart = \"earliest\"\nsession-timeout = \"1s\"",
        flow.input
    );
    flow.file.tables = CHECKPOINT.into();
    flow.send(0..20);
    finish(&flow, 20);
    // A topic that is new, and one that is new and has somebody else's offset.
    let (new, theirs) = (format!("{}-new", flow.input), format!("{}-theirs", flow.input));
    flow.client.create_topic(&new, 1);
    flow.client.create_topic(&theirs, 1);
    flow.client.commit(&flow.file.group(), &[(&theirs, 0, 0)]);
    flow.client
        .producer()
        .send(&[Record::placed(&new, 0, "100"), Record::placed(&theirs, 0, "101")]);
    finish(&flow, 22);
    // Only the offsets of one topic are gone, then all of them.
    let group = flow.file.group();
    flow.client.tamper(&group, &flow.input, |_, offset| Some(offset));
    refused(&flow.file.run().wait(PATIENCE), &["any more; checkpoint"]);
    flow.client.delete_group(&group);
    refused(&flow.file.run().wait(PATIENCE), &["any more; checkpoint"]);
    let mut numbers = flow.sorted();
    numbers.dedup();
    assert_eq!(
        (numbers.len(), flow.numbers().len()),
        (22, 22),
        "nothing was read again"
    );
}
