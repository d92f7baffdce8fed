//! Members come and go while others bring their state back: nothing is lost, doubled or out of order.

use crate::exactly_once::under_load;
use crate::faults::{goes_on, start};
use crate::flow::stop;
use sandbar_tests::counted::Counted;
use sandbar_tests::kafka::Kafka;
use sandbar_tests::process::{Process, event};
use sandbar_tests::wait::{PATIENCE, setting};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// After so many changes the group has its peace until outputs go on, so that there is something new to restore.
const IN_A_ROW: u64 = 4;

#[test]
fn group_changes_while_restores_run_lose_and_double_nothing() {
    let changes = setting("SANDBAR_CHANGES", 4);
    let mut counted = Counted::on(Kafka::shared(), "restores", 6, 200);
    counted.file.top = "workers = 1".into();
    let (mut in_restore, mut longest) = (0, Duration::ZERO);
    under_load(&counted, 100, Duration::from_millis(50), || {
        let mut last = counted.file.run_member("0");
        goes_on(&counted, &mut last);
        for change in 1.. {
            if in_restore >= changes {
                break;
            }
            assert!(change <= changes * 3, "{in_restore} of {change} changes met a restore");
            let next = joins(&counted, &(change % 3).to_string(), &mut longest);
            // The one before leaves, in order or dead, while it restores itself what it was given by the one before it.
            let leaves = std::mem::replace(&mut last, next);
            if is_restoring(&leaves.lines()) || is_restoring(&last.lines()) {
                in_restore += 1;
            }
            // Who died comes back two changes later, and ends the transaction that it left open.
            if change % IN_A_ROW == 1 {
                drop(leaves);
            } else {
                stop(leaves);
            }
            if change % IN_A_ROW == 0 {
                goes_on(&counted, &mut last);
            }
        }
        stop(last);
    });
    eprintln!("{in_restore} group changes while restores ran; the longest wait for a share was {longest:?}");
}

/// A member without local files joins, and its restores take long; it is back once one of them is under way.
fn joins(counted: &Counted, name: &str, longest: &mut Duration) -> Process {
    let local = counted.file.path(&format!("state{name}")).join("tasks");
    let _it_may_be_its_first_time = std::fs::remove_dir_all(local);
    let begun = Instant::now();
    let mut joins = start(counted, name, "mid-restore=sleep(150)");
    joins.wait_for("its share", PATIENCE, |lines| {
        let rebalances = lines.iter().filter_map(|line| event(line, "rebalance"));
        rebalances
            .filter_map(|told| Some(told["assigned"].as_array()?.len()))
            .sum::<usize>()
            > 0
    });
    *longest = begun.elapsed().max(*longest);
    joins.wait_for("a restore, or its end", PATIENCE, |lines| {
        lines.iter().any(|line| event(line, "restore").is_some())
            || lines.iter().any(|line| event(line, "checkpoint").is_some())
    });
    joins
}

/// Whether the last word of one of its restores is that there is more to do.
fn is_restoring(lines: &[String]) -> bool {
    let told = lines.iter().filter_map(|line| event(line, "restore"));
    let last: BTreeMap<String, bool> = told
        .map(|told| (told["task"].to_string(), told["done"] != told["total"]))
        .collect();
    last.into_values().any(|is_under_way| is_under_way)
}
