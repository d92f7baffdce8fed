//! A bounded run ends by itself, by position and not by record. Rows 43 to 47; most of them stand in the matrix too.

use crate::flow::Flow;
use sandbar_tests::client::{Isolation, Record};
use sandbar_tests::process::placed;
use sandbar_tests::wait::PATIENCE;

const ALL: &str = "start = \"earliest\"\nstop = \"latest\"";

#[test]
fn an_empty_topic_ends_at_once() {
    let flow = Flow::new("empty", 3, ALL);
    flow.finish();
    assert_eq!(flow.count(), 0);
}

#[test]
fn a_start_at_or_behind_the_stop_ends_at_once() {
    let mut flow = Flow::new("behind", 2, "");
    let input = &flow.input;
    flow.file.source = format!(
        "topics = [\"{input}\"]\nstart = {{ offsets = {{ {input} = {{ 0 = 8, 1 = 3 }} }} }}\n\
         stop = {{ offsets = {{ {input} = {{ 0 = 3, 1 = 3 }} }} }}"
    );
    flow.send(0..20);
    flow.finish();
    assert_eq!(flow.count(), 0);
}

#[test]
fn a_log_whose_records_were_all_deleted_ends_at_once() {
    let flow = Flow::new("deleted", 2, ALL);
    flow.send(0..20);
    (0..2).for_each(|partition| flow.client.delete_records(&flow.input, partition, 10));
    flow.finish();
    assert_eq!(flow.count(), 0);
}

#[test]
fn a_range_of_which_only_the_tail_was_deleted_into_ends_without_records() {
    let mut flow = Flow::new("range", 1, "");
    let input = &flow.input;
    flow.file.source =
        format!("topics = [\"{input}\"]\nstart = \"earliest\"\nstop = {{ offsets = {{ {input} = {{ 0 = 5 }} }} }}");
    flow.send(0..20);
    flow.client.delete_records(&flow.input, 0, 10);
    flow.finish();
    assert_eq!(flow.count(), 0);
}

#[test]
fn markers_at_the_end_do_not_hold_a_bounded_run() {
    let flow = Flow::new("tail", 1, ALL);
    let transactions = flow.client.transactions(&flow.input);
    flow.send(0..3);
    for commit in [true, false] {
        transactions.begin();
        transactions.send(&[Record::placed(&flow.input, 0, "3")]);
        if commit {
            transactions.commit()
        } else {
            transactions.abort()
        }
    }
    flow.finish();
    assert_eq!(flow.numbers(), [0, 1, 2, 3]);
    assert_eq!(
        flow.committed()[&0],
        flow.client.bounds(&flow.input, 0, Isolation::Committed).1
    );
}

#[test]
fn compaction_gaps_at_the_stop_do_not_hold_a_bounded_run() {
    let mut flow = Flow::new("gaps", 1, "");
    let input = format!("{}-compacted", flow.input);
    let quick = [
        ("cleanup.policy", "compact"),
        ("segment.ms", "100"),
        ("min.cleanable.dirty.ratio", "0.01"),
        ("max.compaction.lag.ms", "100"),
    ];
    flow.client.create_topic_with(&input, 1, &quick);
    let records: Vec<Record> = (0..20)
        .map(|n: i64| Record {
            partition: Some(0),
            ..Record::keyed(&input, "same", &n.to_string())
        })
        .collect();
    flow.client.producer().send(&records);
    // Whether the cleaner has run or not, the run must end at the given offset, in a gap or not.
    flow.file.source =
        format!("topics = [\"{input}\"]\nstart = \"earliest\"\nstop = {{ offsets = {{ {input} = {{ 0 = 19 }} }} }}");
    flow.finish();
    assert!(flow.numbers().iter().all(|number| *number < 19));
}

#[test]
fn more_workers_than_partitions_end_too() {
    let mut flow = Flow::new("workers", 1, ALL);
    flow.file.top = "workers = 4".into();
    flow.send(0..100);
    flow.finish();
    assert_eq!(flow.numbers(), (0..100).collect::<Vec<_>>());
}

#[test]
fn more_processes_than_partitions_end_too_and_repeat_nothing() {
    let flow = Flow::new("processes", 2, ALL);
    flow.send(0..1000);
    let runs: Vec<_> = ["a", "b", "c"].map(|member| flow.file.run_member(member)).into();
    for run in runs {
        let ended = run.wait(PATIENCE);
        assert_eq!(ended.code, Some(0), "{}", ended.text);
    }
    assert_eq!(flow.sorted(), (0..1000).collect::<Vec<_>>());
}

#[test]
fn a_person_reads_where_each_partition_starts_and_why() {
    let flow = Flow::new("lines", 2, ALL);
    flow.send(0..10);
    let path = flow.file.write("");
    let ended = sandbar_tests::process::run(&["run".as_ref(), path.as_os_str()]);
    assert_eq!(ended.code, Some(0), "{}", ended.text);
    for partition in 0..2 {
        let line = format!("{}/{partition}  from 0  earliest", flow.input);
        assert!(
            ended.text.lines().any(|said| said.starts_with(&line)),
            "{line}\n{}",
            ended.text
        );
    }
    assert_eq!(
        placed(&ended.text.lines().map(str::to_owned).collect::<Vec<_>>()).len(),
        2
    );
    assert!(
        ended.text.contains("after a crash"),
        "without checkpoints it says what a crash would mean:\n{}",
        ended.text
    );
}
