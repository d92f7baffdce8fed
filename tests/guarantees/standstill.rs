//! A member that takes long, or stands still, holds up nobody for longer than is stated: the group goes on without
//! waiting for a batch full of records at fault or for a restore, and a process whose worker stands still says so and
//! ends.

use crate::exactly_once::complete;
use crate::flow::{Flow, stop};
use sandbar_tests::client::{Isolation, Record};
use sandbar_tests::counted::Counted;
use sandbar_tests::kafka::Kafka;
use sandbar_tests::pipeline_file::PipelineFile;
use sandbar_tests::process::{Process, component, event};
use sandbar_tests::wait::{self, PATIENCE, seconds};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// Starts a member with variables in its environment.
fn start(file: &PipelineFile, member: &str, more: &[&str], environment: &[(&str, &str)]) -> Process {
    let path = file.write(member).display().to_string();
    let arguments = [&["run", path.as_str(), "-o", "json"][..], more].concat();
    Process::start_with(&arguments, environment)
}

/// Whether it was given partitions since it started.
fn has_partitions(lines: &[String]) -> bool {
    let rebalances = lines.iter().filter_map(|line| event(line, "rebalance"));
    rebalances
        .filter_map(|told| Some(told["assigned"].as_array()?.len()))
        .sum::<usize>()
        > 0
}

#[test]
fn a_batch_full_of_records_at_fault_holds_no_other_member_up() {
    const EACH: i32 = 300;
    let mut flow = Flow::new("slow-faults", 2, "start = \"earliest\"\nmax-batch = 1000");
    flow.file.plugin = component("loops-forever");
    flow.file.operator = "on-error = \"dead-letter\"\n[operator.op.limits]\ncall-time = \"100ms\"".into();
    let dead = format!("{}-dead", flow.output);
    flow.client.create_topic(&dead, 1);
    flow.file.tables =
        format!("[dead-letters]\ntopic = \"{dead}\"\n[checkpoint]\ninterval = \"500ms\"\nstore = \"checkpoints\"");
    let records: Vec<_> = (0..2 * EACH)
        .map(|n| Record::placed(&flow.input, n % 2, &format!("loop {n}")))
        .collect();
    flow.client.producer().send(&records);
    // To find each record at fault by halving takes 599 calls, which is a minute a partition.
    let mut first = flow.file.run_member("first");
    first.wait_for("its partitions", PATIENCE, has_partitions);
    let joined = Instant::now();
    let mut second = flow.file.run_member("second");
    second.wait_for("its share", PATIENCE, has_partitions);
    println!("the second member had its share after {:?}", joined.elapsed());
    let letters = || {
        let letters = flow.client.read(&dead, Isolation::Committed);
        letters.iter().map(Record::text).collect::<Vec<_>>()
    };
    let found = letters().len();
    assert!(found < EACH as usize, "it waited for {found} records at fault");
    wait::until_true("each record is a dead letter", seconds(240), || {
        letters().len() >= records.len()
    });
    [first, second].into_iter().for_each(stop);
    let letters = letters();
    assert_eq!(letters.iter().collect::<BTreeSet<_>>().len(), records.len());
    assert_eq!(letters.len(), records.len(), "each of them once");
}

/// Counted over two partitions, with its local state gone.
fn without_state(name: &str) -> Counted {
    let mut counted = Counted::on(Kafka::shared(), name, 2, 50);
    counted.file.top = "workers = 1".into();
    counted.send(0, 1000);
    complete(&counted, counted.file.run_member("first"));
    std::fs::remove_dir_all(counted.file.path("statefirst").join("tasks")).unwrap();
    counted
}

#[test]
fn a_restore_that_stands_still_holds_no_other_member_up() {
    const HANGS: Duration = seconds(150);
    let counted = without_state("slow-restore");
    let begun = Instant::now();
    let mut first = start(
        &counted.file,
        "first",
        &[],
        &[("FAILPOINTS", "mid-restore=1*sleep(150000)->off")],
    );
    wait::until_true("a restore is under way", PATIENCE, || {
        std::fs::read_dir(counted.file.path("statefirst").join("tasks")).is_ok_and(|tasks| tasks.count() > 0)
    });
    counted.send(1000, 500);
    let mut second = counted.file.run_member("second");
    second.wait_for("its share", PATIENCE, has_partitions);
    let waited = begun.elapsed();
    println!("the second member had its share after {waited:?}");
    assert!(waited < HANGS, "it waited for the restore: {waited:?}");
    assert!(first.is_running());
    // Group changes while restores run: a third comes and goes.
    let mut third = counted.file.run_member("third");
    third.wait_for("it joined", PATIENCE, |lines| {
        lines.iter().any(|line| event(line, "start").is_some())
    });
    stop(third);
    stop(second);
    complete(&counted, first);
}

#[test]
fn a_process_whose_worker_stands_still_says_so_and_ends_and_the_others_go_on() {
    let counted = without_state("stands-still");
    for point in ["mid-apply", "mid-restore"] {
        let environment = [
            ("FAILPOINTS", format!("{point}=sleep(600000)")),
            ("SANDBAR_STANDSTILL_MS", "6000".to_owned()),
        ];
        let environment = environment.each_ref().map(|(name, value)| (*name, value.as_str()));
        counted.send(1000, 10);
        let begun = Instant::now();
        let hangs = start(&counted.file, "first", &["--http", "127.0.0.1:0"], &environment);
        let address = || {
            let lines = hangs.lines();
            let serving = lines.iter().find_map(|line| event(line, "serving"))?;
            serving["address"].as_str().map(str::to_owned)
        };
        let address = wait::until("its address", PATIENCE, address);
        wait::until_true("/health turns red", PATIENCE, || {
            let (status, body) = crate::http::get(&address, "/health");
            assert!(
                status == 200 || body.starts_with("worker 0 stands still: it has not turned for"),
                "{body}"
            );
            status == 503
        });
        let ended = hangs.wait(PATIENCE);
        println!("{point}: ended after {:?}", begun.elapsed());
        assert_eq!(ended.code, Some(9), "{point}: {}", ended.text);
        assert!(
            ended.text.contains("failed to go on: worker 0 stands still"),
            "{point}: {}",
            ended.text
        );
    }
    complete(&counted, counted.file.run_member("second"));
}
