//! kill -9 loses nothing: outputs may repeat, none is missing. `SANDBAR_KILLS` sets how many times (usually 5).

use crate::flow::{Flow, stop};
use sandbar_tests::wait::{self, PATIENCE, setting};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

#[test]
fn kills_under_at_least_once_lose_nothing() {
    let mut flow = Flow::new("kills", 4, "start = \"earliest\"\nsession-timeout = \"1s\"");
    flow.file.top = "workers = 2\ndelivery = \"at-least-once\"".into();
    flow.file.tables = "[checkpoint]\ninterval = \"100ms\"\nstore = \"checkpoints\"".into();
    lose_nothing(&flow);
}

#[test]
fn kills_without_checkpoints_lose_nothing() {
    let flow = Flow::new(
        "kills-none",
        4,
        "start = \"latest\"\nsession-timeout = \"1s\"\nauto-commit-interval = \"100ms\"",
    );
    lose_nothing(&flow);
}

/// Kills the run at moments that spread over a commit's interval, while records go on coming.
fn lose_nothing(flow: &Flow) {
    let kills = setting("SANDBAR_KILLS", 5);
    let sent = std::thread::scope(|scope| {
        let killer = scope.spawn(|| {
            flow.start().kill();
            for kill in 0..kills {
                let before = flow.count();
                let mut run = flow.file.run();
                flow.wait_count(before + 1, &run);
                std::thread::sleep(Duration::from_millis(100 + kill * 37 % 200));
                run.kill();
            }
        });
        // With `latest` the first start must stand before the first record.
        wait::until_true("the start is committed", PATIENCE, || flow.committed().len() == 4);
        let mut sent = 0;
        while !killer.is_finished() {
            flow.send(sent..sent + 1000);
            sent += 1000;
            std::thread::sleep(Duration::from_millis(20));
        }
        sent
    });
    let run = flow.file.run();
    let missing = || {
        let seen: BTreeSet<i64> = flow.numbers().into_iter().collect();
        (0..sent).filter(|number| !seen.contains(number)).collect::<Vec<_>>()
    };
    let deadline = Instant::now() + PATIENCE * 2;
    while !missing().is_empty() && Instant::now() < deadline {}
    stop(run);
    let lost = missing();
    assert!(
        lost.is_empty(),
        "of {sent} after {kills} kills: lost {}, first {:?}",
        lost.len(),
        lost.first()
    );
    eprintln!("{kills} kills, {sent} records, {} repeated", flow.count() - sent);
}
