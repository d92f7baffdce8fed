//! Partitions that stand still: their windows close while others move, and how soon.

use crate::event_time::Windowed;
use crate::flow::stop;
use sandbar_tests::client::Record;
use sandbar_tests::process::{Process, placed};
use sandbar_tests::wait::{self, PATIENCE};
use serde_json::json;
use std::time::{Duration, Instant};

/// Ten times what is promised: `idle-after` and two commit intervals.
const LIMIT: Duration = Duration::from_secs(10 * (2 + 2));

/// Three partitions of four bring a record each and then stand still, twice; one goes on.
fn quiet_windows_close(members: usize) {
    let mut windowed = Windowed::new("quiet", 4, 1000, 0, "idle-after = \"2s\"");
    windowed.file.tables = windowed.file.tables.replace("\"100ms\"", "\"1s\"");
    let placed_at = |partition: i32, at: i64| Record {
        key: Some(format!("of-{partition}").into_bytes()),
        ..Record::placed(&windowed.input, partition, "").at(at)
    };
    let start_of = |partition: i32, index: usize| {
        let rows = windowed.rows_of(&format!("of-{partition}"));
        rows.get(index).map(|row| row.1["start"].clone())
    };
    windowed.send(&(0..4).map(|partition| placed_at(partition, 10_500)).collect::<Vec<_>>());
    let members = (0..members).map(|member| windowed.file.run_member(&format!("-{member}")));
    let mut members: Vec<Process> = members.collect();
    let mut at = 20_000;
    let mut moves = || {
        at += 1000;
        windowed.send(&[placed_at(0, at)]);
        std::thread::sleep(Duration::from_millis(100));
        at
    };
    wait::until_true("each process has partitions", PATIENCE, || {
        moves();
        members
            .iter_mut()
            .for_each(|run| assert!(run.is_running(), "{}", run.lines().join("\n")));
        members.iter().all(|run| !placed(&run.lines()).is_empty())
    });
    wait::until_true("the first windows close", PATIENCE, || {
        moves();
        (0..4).all(|partition| start_of(partition, 0).is_some())
    });
    // Now that each has its place: the last records of three, of a time that the fourth has passed soon.
    let last = moves() + 10_500;
    windowed.send(&(1..4).map(|partition| placed_at(partition, last)).collect::<Vec<_>>());
    let since = Instant::now();
    windowed.send(&[placed_at(0, last + 1000)]);
    let mut took = [None; 3];
    wait::until_true("their last windows close", LIMIT, || {
        windowed.send(&[placed_at(0, last + 1000 + since.elapsed().as_millis() as i64)]);
        // Read once for all: how long that takes is how far what is printed may be above the truth.
        let rows = windowed.rows();
        for (partition, took) in (1..4).zip(&mut took) {
            let key = format!("of-{partition}");
            if took.is_none() && rows.iter().filter(|(of, ..)| *of == key).count() > 1 {
                *took = Some(since.elapsed());
            }
        }
        took.iter().all(Option::is_some)
    });
    eprintln!("{} processes: the windows closed after {took:?}", members.len());
    for partition in 1..4 {
        assert_eq!(start_of(partition, 1), Some(json!(last - last.rem_euclid(1000))));
        assert_eq!(start_of(partition, 2), None, "each once");
    }
    members.into_iter().for_each(stop);
}

#[test]
fn windows_of_quiet_partitions_close_in_time_on_one_process() {
    quiet_windows_close(1);
}

#[test]
fn windows_of_quiet_partitions_close_in_time_on_four_processes() {
    quiet_windows_close(4);
}
