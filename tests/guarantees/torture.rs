//! `make torture`: faults at random, for as long as is asked for. `SANDBAR_KILLS` sets how many kills (usually 1,000),
//! `SANDBAR_SECONDS` how long at most, `SANDBAR_SEED` repeats the same choices, `SANDBAR_LANES` says how many pipelines
//! suffer side by side.
//!
//! Each pipeline lives for 25 kills under load, with a read-committed reader running along, and is then recomputed from
//! its input.

use crate::exactly_once::{POINTS, RARE_POINTS, complete, under_load};
use crate::flow::stop;
use sandbar_tests::counted::{Counted, Tally};
use sandbar_tests::kafka::Kafka;
use sandbar_tests::process::Process;
use sandbar_tests::skip;
use sandbar_tests::wait::{self, PATIENCE, seconds, setting};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::sync::Mutex;
use std::time::{Duration, Instant};

const KILLS_A_PIPELINE: u64 = 25;

#[test]
fn torture() {
    if std::env::var_os("SANDBAR_TORTURE").is_none() {
        return skip("torture", "it takes long; `make torture` runs it");
    }
    let kills = setting("SANDBAR_KILLS", 1000);
    let lanes = setting("SANDBAR_LANES", 4);
    let seed = setting("SANDBAR_SEED", u64::from(std::process::id()));
    let until = Instant::now() + seconds(setting("SANDBAR_SECONDS", 24 * 3600));
    eprintln!("seed {seed}");
    let report = Mutex::new(Report::default());
    std::thread::scope(|scope| {
        for lane in 0..lanes {
            let report = &report;
            scope.spawn(move || {
                let mut dice = Dice::new(seed.wrapping_add(lane));
                while report.lock().unwrap().kills < kills && Instant::now() < until {
                    let lived = one_pipeline(&mut dice, until);
                    let mut report = report.lock().unwrap();
                    report.add(&lived);
                    eprintln!("{report}");
                }
            });
        }
    });
    let report = report.into_inner().unwrap();
    eprintln!("{report}");
    assert!(
        report.is_good(),
        "nothing is lost, doubled or out of order, and nothing ends by itself"
    );
}

/// What was done, and what came of it.
#[derive(Default)]
struct Report {
    pipelines: u64,
    kills: u64,
    /// Of the kills: at which point.
    points: BTreeMap<&'static str, u64>,
    /// Members stopped beyond their session.
    stopped: u64,
    /// Pauses of the broker.
    pauses: u64,
    /// Local files deleted.
    wiped: u64,
    /// Members with an instance id that ended, as they have to, because the broker says that another one has it: after
    /// a pause longer than their session that may be a request to join of their own which they gave up.
    fenced: u64,
    /// What a member said that ended by itself.
    ended: Vec<String>,
    /// What the readers found.
    failed: Vec<String>,
    tally: Tally,
}

impl Report {
    fn add(&mut self, other: &Self) {
        self.pipelines += 1;
        self.kills += other.kills;
        for (point, count) in &other.points {
            *self.points.entry(point).or_default() += count;
        }
        self.stopped += other.stopped;
        self.pauses += other.pauses;
        self.wiped += other.wiped;
        self.fenced += other.fenced;
        self.ended.extend_from_slice(&other.ended);
        self.failed.extend_from_slice(&other.failed);
        self.tally += other.tally;
    }

    fn is_good(&self) -> bool {
        self.ended.is_empty() && self.failed.is_empty() && self.tally.is_exact()
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Tally {
            records,
            lost,
            doubled,
            out_of_order,
        } = self.tally;
        let at_points: u64 = self.points.values().sum();
        writeln!(
            f,
            "{} pipelines, {} kills ({} at random, {at_points} at points), {} members stopped beyond their session, \
             {} pauses of the broker, {} times without local files, {} members fenced by their own instance id",
            self.pipelines,
            self.kills,
            self.kills - at_points,
            self.stopped,
            self.pauses,
            self.wiped,
            self.fenced
        )?;
        writeln!(f, "  at points: {:?}", self.points)?;
        for said in self.ended.iter().chain(&self.failed) {
            writeln!(f, "  BAD: {said}")?;
        }
        write!(
            f,
            "  {records} records: {lost} lost, {doubled} doubled, {out_of_order} out of order; {} ended by \
             themselves, {} readers saw a fault",
            self.ended.len(),
            self.failed.len()
        )
    }
}

/// A member of the pipeline: its process, and the point at which it dies.
struct Member {
    name: String,
    armed: Option<&'static str>,
    run: Process,
}

/// One pipeline under load until it has had its kills; then what it put out is recomputed.
fn one_pipeline(dice: &mut Dice, until: Instant) -> Report {
    let kafka = Kafka::shared();
    let mut counted = Counted::on(kafka, "torture", 4, 200);
    let members = 1 + dice.below(3);
    // With an instance id of its own a member that comes back has its partitions at once; else after its session.
    let is_static = dice.below(2) == 0;
    counted.file.top = format!("workers = {}", 1 + dice.below(2));
    let mut report = Report::default();
    let lived = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let report = &mut report;
        under_load(&counted, 100, Duration::from_millis(50), || {
            let mut running: Vec<Member> = (0..members)
                .map(|member| start(&counted, &member.to_string(), is_static, dice))
                .collect();
            while report.kills < KILLS_A_PIPELINE && Instant::now() < until {
                fault(&counted, kafka, &mut running, is_static, dice, report);
            }
            settle(&counted, running, is_static);
        });
    }));
    if let Err(panic) = lived {
        let said = panic.downcast_ref::<String>().cloned();
        report.failed.push(format!(
            "{}: {}",
            counted.input,
            said.unwrap_or_else(|| "a panic".into())
        ));
        // What is there says whether something is wrong, or was only late.
        let late = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| complete(&counted, counted.file.run())));
        if late.is_err() {
            report
                .failed
                .push(format!("{}: not complete after another run", counted.input));
        }
    }
    report.tally = counted.tally();
    report
}

/// All come back once more and end what they left open, so that nobody waits for transactions to time out.
fn settle(counted: &Counted, running: Vec<Member>, is_static: bool) {
    let mut last: Vec<Process> = running
        .into_iter()
        .map(|mut member| {
            member.run.kill();
            Process::start(&arguments(counted, &member.name, is_static))
        })
        .collect();
    let before = counted.visible();
    wait::until_true("it goes on after the last fault", seconds(90), || {
        for run in &mut last {
            assert!(run.is_running(), "it runs: {}", run.lines().join("\n"));
        }
        counted.visible() > before + 20
    });
    last.into_iter().for_each(stop);
}

fn arguments(counted: &Counted, name: &str, is_static: bool) -> Vec<OsString> {
    let path = counted.file.write(name);
    let mut arguments = vec!["run".into(), path.into_os_string(), "-o".into(), "json".into()];
    if is_static {
        arguments.extend(["--instance".into(), name.into()]);
    }
    arguments
}

fn start(counted: &Counted, name: &str, is_static: bool, dice: &mut Dice) -> Member {
    let armed = (dice.below(2) == 0).then(|| {
        let all = POINTS.len() + RARE_POINTS.len();
        let at = dice.below(all as u64) as usize;
        *POINTS.iter().chain(&RARE_POINTS).nth(at).unwrap()
    });
    let points = armed.map(|point| {
        let skipped = if POINTS.contains(&point) {
            dice.below(8)
        } else {
            dice.below(2)
        };
        format!("{point}={skipped}*off->return")
    });
    let environment: Vec<_> = points.iter().map(|points| ("FAILPOINTS", points.as_str())).collect();
    Member {
        name: name.into(),
        armed,
        run: Process::start_with(&arguments(counted, name, is_static), &environment),
    }
}

/// One fault; afterwards as many members run as before.
fn fault(
    counted: &Counted,
    kafka: &Kafka,
    running: &mut [Member],
    is_static: bool,
    dice: &mut Dice,
    report: &mut Report,
) {
    let before = counted.visible();
    let goes_on = Instant::now() + seconds(20);
    while counted.visible() == before && Instant::now() < goes_on && running.iter_mut().all(|m| m.run.is_running()) {
        std::thread::sleep(Duration::from_millis(20));
    }
    std::thread::sleep(Duration::from_millis(dice.below(250)));
    let count = running.len() as u64;
    let victim = &mut running[dice.below(count) as usize];
    match dice.below(20) {
        0 | 1 => {
            victim.run.signal("STOP");
            std::thread::sleep(Duration::from_millis(1200 + dice.below(1500)));
            victim.run.signal("CONT");
            report.stopped += 1;
        }
        2 => {
            static ONE: Mutex<()> = Mutex::new(());
            let _one_at_a_time = ONE.lock().unwrap();
            kafka.pause(1);
            std::thread::sleep(Duration::from_millis(200 + dice.below(3000)));
            kafka.resume(1);
            report.pauses += 1;
        }
        // All at once, as when a machine goes.
        3 | 4 => {
            for member in running.iter_mut().filter(|member| member.armed.is_none()) {
                if member.run.is_running() {
                    member.run.kill();
                    report.kills += 1;
                }
            }
        }
        _ if victim.armed.is_some_and(|point| !RARE_POINTS.contains(&point)) => {
            let dies = Instant::now() + seconds(2);
            while victim.run.is_running() && Instant::now() < dies {
                std::thread::sleep(Duration::from_millis(5));
            }
            if victim.run.is_running() {
                victim.armed = None;
                victim.run.kill();
                report.kills += 1;
            }
        }
        _ => {
            if victim.run.is_running() {
                victim.run.kill();
                victim.armed = None;
                report.kills += 1;
            }
        }
    }
    revive(counted, running, is_static, dice, report);
    wait::until_true("the broker answers", PATIENCE, || counted.client.broker_count() > 0);
}

/// Who died comes back, now and then without its local files.
fn revive(counted: &Counted, running: &mut [Member], is_static: bool, dice: &mut Dice, report: &mut Report) {
    for member in running {
        if member.run.is_running() {
            continue;
        }
        if dice.below(10) == 0 {
            let tasks = counted.file.path(&format!("state{}", member.name)).join("tasks");
            if std::fs::remove_dir_all(tasks).is_ok() {
                report.wiped += 1;
            }
        }
        let again = start(counted, &member.name, is_static, dice);
        let dead = std::mem::replace(member, again);
        let ended = dead.run.wait(seconds(10));
        // A killed one has no exit code; one that ends by itself says why.
        if is_static && ended.text.contains("\"kind\":\"fenced\"") {
            report.fenced += 1;
        } else if let Some(code) = ended.code {
            let said: Vec<&str> = ended.text.lines().rev().take(12).collect();
            let why = said.into_iter().rev().collect::<Vec<_>>().join("\n    ");
            report
                .ended
                .push(format!("{}/{} ended with {code}: {why}", counted.input, dead.name));
        } else if let Some(point) = dead.armed {
            *report.points.entry(point).or_default() += 1;
            report.kills += 1;
        }
    }
}

/// Numbers at random that a seed repeats.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}
