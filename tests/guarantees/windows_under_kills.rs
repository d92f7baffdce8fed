//! Windows, sessions and joins are exact whatever dies: what each partition shows is what a plain recomputation makes
//! of its log. `SANDBAR_KILLS` sets how often (usually 4), `SANDBAR_SEED` repeats the same choices.
//!
//! While records come, a pipeline goes from one member to three and back; each time one of them is killed at a random
//! moment, and its successor at a point of the program, now and then without the files of before.

use crate::by_time::{ByTime, JOIN, PARTITIONS, SESSIONS, TimedTopics, WINDOW};
use crate::exactly_once::POINTS;
use crate::flow::stop;
use crate::torture::Dice;
use sandbar_tests::process::Process;
use sandbar_tests::wait::{self, PATIENCE, seconds, setting};
use std::collections::BTreeMap;
use std::time::Duration;

const KILLS_A_PIPELINE: u64 = 30;
/// Members of each turn in turn: alone, three join, three stay, two leave, and so on.
const MEMBERS: [usize; 4] = [1, 3, 3, 1];

/// What was done to a pipeline, for the report.
#[derive(Default, Debug)]
struct Suffered {
    kills: u64,
    points: BTreeMap<&'static str, u64>,
    without_files: u64,
    records: i64,
    results: usize,
    late: usize,
}

impl TimedTopics {
    /// Kills members, one turn after the other; the one that is left.
    fn suffer(&self, kills: u64, dice: &mut Dice, suffered: &mut Suffered) -> Process {
        let mut members = vec![self.file.run_member("0")];
        let last = suffered.kills + kills;
        for wanted in MEMBERS.iter().cycle() {
            while members.len() < *wanted {
                members.push(self.file.run_member(&members.len().to_string()));
            }
            members.drain(*wanted..).for_each(stop);
            if suffered.kills >= last {
                break;
            }
            let victim = dice.below(members.len() as u64) as usize;
            let points = [&POINTS[..], &["in-guest-call", "mid-base", "mid-restore"]].concat();
            let point = points[dice.below(points.len() as u64) as usize];
            // Else in the midst of the rebalance. Before anything is committed, nothing is restored.
            if dice.below(3) > 0 || point == "mid-restore" {
                self.goes_on(&mut members);
            }
            std::thread::sleep(Duration::from_millis(dice.below(300)));
            members[victim].kill();
            let is_rare = !POINTS.contains(&point);
            self.forget(victim, dice, point == "mid-restore", suffered);
            self.dies(victim, point, if is_rare { 0 } else { dice.below(4) });
            self.forget(victim, dice, false, suffered);
            members[victim] = self.file.run_member(&victim.to_string());
            *suffered.points.entry(point).or_default() += 1;
            suffered.kills += 2;
        }
        members.drain(1..).for_each(stop);
        members.remove(0)
    }

    /// Removes a dead member's files, one time in three or if they have to go.
    fn forget(&self, member: usize, dice: &mut Dice, has_to: bool, suffered: &mut Suffered) {
        let tasks = self.file.path(&format!("state{member}")).join("tasks");
        if (dice.below(3) == 0 || has_to) && std::fs::remove_dir_all(tasks).is_ok() {
            suffered.without_files += 1;
        }
    }

    /// A member that is killed at a point which it has passed so often before.
    fn dies(&self, member: usize, point: &str, skipped: u64) {
        let path = self.file.write(&member.to_string());
        let arguments = ["run".as_ref(), path.as_os_str(), "-o".as_ref(), "json".as_ref()];
        let armed = format!("{point}={skipped}*off->return");
        let mut run = Process::start_with(&arguments, &[("FAILPOINTS", &armed)]);
        // The first base comes with the hundredth commit of a task.
        wait::until_true(&format!("it dies at {armed}"), seconds(180), || !run.is_running());
        let ended = run.wait(seconds(1));
        assert_eq!(ended.code, None, "{armed}: it is killed: {}", ended.text);
    }

    fn goes_on(&self, members: &mut [Process]) {
        let before = self.visible();
        wait::until_true("results go on", seconds(120), || {
            for run in &mut *members {
                assert!(run.is_running(), "it runs: {}", run.lines().join("\n"));
            }
            self.visible() > before + 10
        });
    }
}

fn exact_whatever_dies(name: &str, by_time: &'static ByTime) {
    let (kills, seed) = (
        setting("SANDBAR_KILLS", 4),
        setting("SANDBAR_SEED", u64::from(std::process::id())),
    );
    let (mut dice, mut suffered) = (Dice::new(seed), Suffered::default());
    while suffered.kills < kills {
        let pipeline = TimedTopics::new(by_time);
        let mut left = None;
        let more = (kills - suffered.kills).min(KILLS_A_PIPELINE);
        suffered.records += pipeline.under_load(|| left = Some(pipeline.suffer(more, &mut dice, &mut suffered)));
        let (owed, mut run) = (pipeline.owed(), left.expect("a member is left"));
        assert_eq!(owed.len(), PARTITIONS as usize, "each partition has records");
        wait::until_true("every result is there", seconds(240), || {
            assert!(run.is_running(), "it runs: {}", run.lines().join("\n"));
            std::thread::sleep(Duration::from_millis(200));
            pipeline.is_complete(&owed) && pipeline.is_read()
        });
        stop(run);
        assert!(pipeline.is_complete(&owed), "nothing comes behind it");
        let keys_kept: usize = owed.values().map(|owed| owed.keys_kept).sum();
        // The broker may tell the group of a commit a moment after its outputs are visible.
        wait::until_true("a timer for each key that has something open", PATIENCE, || {
            pipeline.timers() == Some(keys_kept as u64)
        });
        suffered.results += owed.values().map(|owed| owed.rows.len()).sum::<usize>();
        suffered.late += owed.values().map(|owed| owed.late.len()).sum::<usize>();
        eprintln!("{name}, seed {seed}: all exact: {suffered:?}");
    }
    // Two inputs are given as much time as their records are apart.
    assert!(suffered.results > 0 && (suffered.late > 0 || by_time.inputs > 1));
}

#[test]
fn windows_are_exact_whatever_dies_and_however_many_members_there_are() {
    exact_whatever_dies("windows", &WINDOW);
}

#[test]
fn sessions_are_exact_whatever_dies_and_however_many_members_there_are() {
    exact_whatever_dies("sessions", &SESSIONS);
}

#[test]
fn joins_are_exact_whatever_dies_and_however_many_members_there_are() {
    exact_whatever_dies("joins", &JOIN);
}
