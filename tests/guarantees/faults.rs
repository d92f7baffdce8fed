//! What the machines around a run do to it: members that sleep, brokers that sleep or die, files that are gone. All on
//! clusters of their own if a broker suffers.

use crate::exactly_once::{complete, under_load};
use crate::flow::stop;
use sandbar_tests::client::Isolation;
use sandbar_tests::counted::Counted;
use sandbar_tests::kafka::Kafka;
use sandbar_tests::pipeline_file::unique;
use sandbar_tests::process::{Process, event};
use sandbar_tests::skip;
use sandbar_tests::wait::{self, PATIENCE, seconds, setting};
use std::time::{Duration, Instant};

const OFTEN: Duration = Duration::from_millis(20);

#[test]
fn a_kill_in_a_base_or_in_a_restore_loses_and_doubles_nothing() {
    let mut counted = Counted::on(Kafka::shared(), "bases", 2, 50);
    counted.file.tables = "[checkpoint]\ninterval = \"20ms\"\nstore = \"checkpoints\"".into();
    under_load(&counted, 200, OFTEN, || {
        // The first base begins with the hundredth commit of a task, whatever ended the runs before.
        for armed in ["mid-base=return", "mid-base=1*off->return"] {
            let mut run = start(&counted, "", armed);
            wait::until_true(&format!("it dies at {armed}"), seconds(180), || !run.is_running());
        }
        let mut run = counted.file.run();
        wait::until_true("a base is written", PATIENCE, || {
            let stored = files_below(&counted.file.path("checkpoints"));
            !run.is_running() || stored.iter().any(|file| file.to_string_lossy().contains("/bases/"))
        });
        run.kill();
        for armed in [
            "mid-restore=return",
            "mid-restore=1*off->return",
            "mid-restore=9*off->return",
        ] {
            std::fs::remove_dir_all(counted.file.path("state").join("tasks")).unwrap();
            dies(&counted, "", armed);
        }
    });
}

#[test]
fn a_kill_in_a_collection_loses_and_doubles_nothing() {
    let mut counted = Counted::on(Kafka::shared(), "collected", 2, 50);
    counted.file.tables = "[checkpoint]\ninterval = \"20ms\"\nkeep = 1\nstore = \"checkpoints\"".into();
    let stored = || files_below(&counted.file.path("checkpoints"));
    under_load(&counted, 200, OFTEN, || {
        for deletions in [0, 1, 20] {
            let mut run = counted.file.run();
            let before = stored().len();
            // The last base is behind us then: nothing reaches what is older.
            wait::until_true("two bases' worth of commits", seconds(180), || {
                assert!(run.is_running(), "it runs: {}", run.lines().join("\n"));
                stored().len() > before + 220
            });
            run.kill();
            // What nobody writes any more grows old; the age that a collection asks for stays what it is.
            let held = stored();
            held.iter().for_each(|file| age(file));
            let armed = format!("mid-collection={deletions}*off->return");
            let path = counted.file.write("");
            let arguments = ["run".as_ref(), path.as_os_str(), "-o".as_ref(), "json".as_ref()];
            let environment = [("FAILPOINTS", armed.as_str()), ("SANDBAR_COLLECTION_MS", "500")];
            let mut run = Process::start_with(&arguments, &environment);
            wait::until_true(&format!("it dies at {armed}"), PATIENCE, || !run.is_running());
            assert_eq!(run.wait(seconds(1)).code, None, "{armed}: it is killed");
            let gone = held.iter().filter(|file| !file.exists()).count();
            assert_eq!(gone, deletions + 1, "{armed}: it died in the middle");
            // Its successor goes on from what is left, without local files too.
            std::fs::remove_dir_all(counted.file.path("state").join("tasks")).unwrap();
        }
    });
}

/// Makes a file two hours older than it is.
fn age(path: &std::path::Path) {
    // It may be a write that the crash cut short, and swept by now.
    let Ok(file) = std::fs::File::options().append(true).open(path) else {
        return;
    };
    let modified = file.metadata().unwrap().modified().unwrap();
    file.set_modified(modified - seconds(7200)).unwrap();
}

fn files_below(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let (folders, mut files): (Vec<_>, Vec<_>) = entries.map(|entry| entry.path()).partition(|path| path.is_dir());
    files.extend(folders.iter().flat_map(|folder| files_below(folder)));
    files
}

#[test]
fn a_member_that_never_comes_back_holds_readers_no_longer_than_its_transaction_lives() {
    // A minute, and the commit's interval.
    const TRANSACTION: Duration = seconds(61);
    // Every ten seconds, on a machine three times slower.
    const BROKER_LOOKS: Duration = seconds(45);
    let counted = Counted::on(Kafka::shared(), "gone-forever", 4, 50);
    // Its transaction has outputs and offsets, and nobody has its state folder, so nobody has its transactional id.
    let mut sent = 0;
    std::thread::scope(|scope| {
        let gone = scope.spawn(|| dies(&counted, "gone", "after-send-offsets=2*off->return"));
        while !gone.is_finished() {
            counted.send(sent, 200);
            sent += 200;
            std::thread::sleep(OFTEN);
        }
    });
    let died = Instant::now();
    let held = counted.written();
    assert!(held > counted.visible(), "it left a transaction open");
    // Its start waits for the offsets: they are the transaction's too.
    let mut run = counted.file.run_member("other");
    wait::until_true("readers go on", TRANSACTION + BROKER_LOOKS, || {
        assert!(run.is_running(), "{}", run.lines().join("\n"));
        std::thread::sleep(Duration::from_millis(200));
        counted.visible() >= held
    });
    eprintln!("readers went on {:?} after the death", died.elapsed());
    complete(&counted, run);
}

#[test]
fn a_survivor_goes_on_while_the_partitions_of_a_dead_member_wait_for_its_transaction() {
    survivor("survivor", |_, _| ());
}

#[test]
fn a_survivor_that_lost_its_own_session_goes_on_too() {
    // All partitions come back in one assignment, and two of them are held.
    survivor("starved", |counted, survivor| {
        survivor.signal("STOP");
        wait::until_true("its session is over", PATIENCE, || {
            counted.client.members(&counted.file.group()) == 0
        });
        survivor.signal("CONT");
    });
}

/// For so long the transaction of a dead member certainly lives, which has a minute.
const HELD: Duration = seconds(50);

/// A member dies and leaves a transaction open; `then` is done to the other one.
fn survivor(name: &str, then: impl FnOnce(&Counted, &mut Process)) {
    let mut counted = Counted::on(Kafka::shared(), name, 4, 200);
    counted.file.top = "workers = 1".into();
    // On a slow machine it is not starved past that.
    counted.file.source = counted.file.source.replace("\"3s\"", "\"6s\"");
    // So that many batches are needed for what is sent behind the death.
    counted.file.source.push_str("\nmax-batch = 10");
    let mut survivor = counted.file.run_member("survivor");
    counted.send(0, 2000);
    wait::until_true("the survivor runs", PATIENCE, || {
        assert!(survivor.is_running(), "{}", survivor.lines().join("\n"));
        counted.visible() >= 2000
    });
    let sent = std::thread::scope(|scope| {
        let mut sent = 2000;
        let gone = scope.spawn(|| dies(&counted, "gone", "after-send-offsets=2*off->return"));
        while !gone.is_finished() {
            counted.send(sent, 200);
            sent += 200;
            std::thread::sleep(OFTEN);
        }
        sent
    });
    let died = Instant::now();
    then(&counted, &mut survivor);
    wait::until_true("the survivor is asked to take them", PATIENCE, || {
        counted.client.members(&counted.file.group()) == 1
    });
    let in_each = |topic: &str| {
        let mut counts = [0; 4];
        for record in counted.client.read(topic, Isolation::Committed) {
            counts[record.place() as usize] += 1;
        }
        counts
    };
    let before = in_each(&counted.input);
    counted.send(sent, 8000);
    let behind = Instant::now();
    let owed = in_each(&counted.input);
    let done = |shown: [i64; 4]| shown.iter().zip(owed).filter(|(shown, owed)| *shown == owed).count();
    // Two thousand records a partition, and the dead member's transaction lives for a minute. If that is over before
    // they are done, some of them were done meanwhile.
    let mut went_on = None;
    wait::until_true("the survivor's own partitions are done", seconds(180), || {
        assert!(survivor.is_running(), "{}", survivor.lines().join("\n"));
        std::thread::sleep(Duration::from_millis(500));
        let shown = in_each(&counted.output);
        if died.elapsed() < HELD {
            let is_behind = shown.iter().zip(before).any(|(shown, before)| *shown > before);
            went_on = Some(is_behind || went_on == Some(true));
        }
        done(shown) >= 2
    });
    assert_ne!(went_on, Some(false), "it goes on while that transaction lives");
    eprintln!(
        "8000 records behind the death, its own partitions were done after {:?}",
        behind.elapsed()
    );
    // On a machine that is so slow, that transaction is over by now, and nothing can be told.
    if died.elapsed() < HELD {
        assert_eq!(done(in_each(&counted.output)), 2, "the dead member's partitions wait");
    }
    complete(&counted, survivor);
}

#[test]
fn a_kill_in_a_guest_call_loses_and_doubles_nothing() {
    let counted = Counted::on(Kafka::shared(), "guest-call", 4, 50);
    under_load(&counted, 500, OFTEN, || {
        for calls in [0, 7, 50] {
            dies(&counted, "", &format!("in-guest-call={calls}*off->return"));
        }
    });
}

#[test]
fn a_kill_while_partitions_are_handed_over_loses_and_doubles_nothing() {
    let counted = Counted::on(Kafka::shared(), "hand-over", 6, 60);
    under_load(&counted, 500, OFTEN, || {
        for turn in 0..2 {
            let mut armed = dies_when_it_hands_over(&counted);
            let other = joins_until_it_dies(&counted, &mut armed, &format!("1{turn}"));
            // Its successor ends what it left open, and both go on.
            let mut again = counted.file.run_member("0");
            goes_on(&counted, &mut again);
            stop(again);
            stop(other);
        }
    });
}

/// A member whose outputs go on, and which dies as soon as it hands partitions over. That may be in its own start, if
/// one of its workers joins before the other: then the next one is the one.
fn dies_when_it_hands_over(counted: &Counted) -> Process {
    for _ in 0..20 {
        let before = counted.visible();
        let mut armed = start(counted, "0", "in-revocation=return");
        wait::until_true("outputs go on, or it died", seconds(120), || {
            !armed.is_running() || counted.visible() > before + 20
        });
        if armed.is_running() {
            return armed;
        }
        assert_eq!(armed.wait(seconds(1)).code, None, "it is killed");
    }
    panic!("20 members died in their start");
}

/// Lets a member join until the armed one dies in the revocation; the member that lives on.
///
/// A commit that fails at the revocation rewinds, and the revocation is a loss then, with nothing to commit: the next
/// one is waited for.
fn joins_until_it_dies(counted: &Counted, armed: &mut Process, member: &str) -> Process {
    for _ in 0..20 {
        let other = counted.file.run_member(member);
        wait::until_true("it dies, or both workers of the other one are served", PATIENCE, || {
            !armed.is_running() || owned(&other) >= 2
        });
        if !armed.is_running() {
            return other;
        }
        stop(other);
        // What it does not have the next one gets, and nothing is taken from it.
        wait::until_true("it has all partitions again", PATIENCE, || {
            assert!(armed.is_running(), "it died without a member that joins");
            owned(armed) == 6
        });
        goes_on(counted, armed);
    }
    panic!("20 members joined, and it never died: {}", armed.lines().join("\n"));
}

/// How many partitions it has, by what it said.
fn owned(run: &Process) -> i64 {
    let lines = run.lines();
    let rebalances = lines.iter().filter_map(|line| event(line, "rebalance"));
    let count = |event: &serde_json::Value, what: &str| event[what].as_array().map_or(0, Vec::len) as i64;
    rebalances
        .map(|event| count(&event, "assigned") - count(&event, "lost") - count(&event, "revoked"))
        .sum()
}

#[test]
fn a_member_that_sleeps_beyond_its_session_commits_nothing_of_before() {
    let counted = Counted::on(Kafka::shared(), "zombie", 6, 60);
    under_load(&counted, 500, OFTEN, || {
        let mut runs = [counted.file.run_member("0"), counted.file.run_member("1")];
        let members = || counted.client.members(&counted.file.group());
        for turn in 0..setting("SANDBAR_ZOMBIES", 4) {
            let begun = Instant::now();
            let told = |what: &str| eprintln!("turn {turn}: {what} after {:?}", begun.elapsed());
            wait::until_true("both are members", seconds(90), || members() == 4);
            told("both are members");
            let sleeper = &mut runs[(turn % 2) as usize];
            goes_on(&counted, sleeper);
            told("outputs go on");
            sleeper.signal("STOP");
            wait::until_true("its session is over", seconds(90), || members() == 2);
            told("its session is over");
            goes_on(&counted, sleeper);
            told("outputs of the other one go on");
            sleeper.signal("CONT");
        }
        wait::until_true("both are members again", seconds(90), || members() == 4);
        // In order: nothing is left open then that the last run would have to wait for.
        runs.into_iter().for_each(stop);
    });
}

#[test]
fn a_stable_instance_id_takes_over_at_once() {
    let mut counted = Counted::on(Kafka::shared(), "instance", 4, 50);
    counted.file.source = counted.file.source.replace("\"3s\"", "\"300s\"");
    counted.file.top = "workers = 2\ninstance = \"a\"".into();
    under_load(&counted, 500, OFTEN, || {
        for _ in 0..3 {
            let mut run = counted.file.run();
            let before = counted.visible();
            // Half of the session of the one before.
            wait::until_true("it has its predecessor's partitions", seconds(150), || {
                assert!(run.is_running(), "it runs: {}", run.lines().join("\n"));
                counted.visible() > before + 100
            });
            run.kill();
        }
    });
}

#[test]
fn dead_letters_are_there_once_whatever_dies() {
    let mut counted = Counted::on(Kafka::shared(), "letters", 4, 50);
    let dead = format!("{}-dead", counted.input);
    counted.client.create_topic(&dead, 1);
    counted.keyless = 7;
    counted.file.operator = "on-error = \"dead-letter\"".into();
    counted.file.tables += &format!("\n[dead-letters]\ntopic = \"{dead}\"");
    under_load(&counted, 300, OFTEN, || {
        for kill in 0..setting("SANDBAR_KILLS", 5) {
            let mut run = counted.file.run();
            goes_on(&counted, &mut run);
            std::thread::sleep(Duration::from_millis(kill * 37 % 250));
            run.kill();
        }
        for point in ["mid-produce", "before-send-offsets", "end-txn-sent", "after-commit"] {
            dies(&counted, "", &format!("{point}=2*off->return"));
        }
    });
    let shown = counted.client.read_settled(&dead);
    let places = shown.iter().map(|letter| {
        let header = |name: &str| {
            let (_, value) = letter.headers.iter().find(|(is, _)| is == name).expect("a header");
            String::from_utf8(value.clone().unwrap())
                .unwrap()
                .parse::<i64>()
                .unwrap()
        };
        (header("sandbar-partition") as i32, header("sandbar-offset"))
    });
    let mut places: Vec<_> = places.collect();
    places.sort_unstable();
    assert_eq!(places, counted.without_key(), "each dead letter is there once");
    assert!(places.len() > 100);
}

#[test]
fn kills_under_at_least_once_keep_state_and_positions_together() {
    let mut counted = Counted::on(Kafka::shared(), "kills-state", 4, 50);
    counted.file.top = "workers = 2\ndelivery = \"at-least-once\"".into();
    at_least_once(&counted);
}

#[test]
fn kills_lose_nothing_on_the_embedded_broker() {
    let data = sandbar_tests::guard::Folder::new("sandbar-broker-");
    let data = data.path().display().to_string();
    let mut broker = Process::start(&["broker", "--listen", "127.0.0.1:0", "--data-dir", &data, "-o", "json"]);
    broker.wait_for("the broker's address", PATIENCE, |lines| !lines.is_empty());
    let said: serde_json::Value = serde_json::from_str(&broker.lines()[0]).expect("the broker says where it listens");
    let address = said["listening"].as_str().expect("an address").to_owned();
    let counted = Counted::at(&address, "embedded", 4, 50);
    under_load(&counted, 300, OFTEN, || kills(&counted));
    let mut counted = Counted::at(&address, "embedded-least", 4, 50);
    counted.file.top = "workers = 2\ndelivery = \"at-least-once\"".into();
    at_least_once(&counted);
}

/// Outputs may repeat, but no count is skipped: what is put out again is put out from a commit on, in the same order.
fn at_least_once(counted: &Counted) {
    let mut sent = 0;
    std::thread::scope(|scope| {
        let faults = scope.spawn(|| kills(counted));
        while !faults.is_finished() {
            counted.send(sent, 300);
            sent += 300;
            std::thread::sleep(OFTEN);
        }
    });
    let mut run = counted.file.run();
    wait::until_true("every output is there", PATIENCE * 2, || {
        assert!(run.is_running(), "it runs: {}", run.lines().join("\n"));
        std::thread::sleep(Duration::from_millis(200));
        counted.repeated().is_some()
    });
    stop(run);
    eprintln!("{sent} records, {:?} repeated", counted.repeated());
}

#[test]
fn a_broker_that_sleeps_loses_and_doubles_nothing() {
    let kafka = Kafka::start(1);
    let counted = Counted::on(&kafka, "sleeps", 4, 50);
    under_load(&counted, 300, OFTEN, || {
        // A commit that takes longer than 400 ms throws its producer away.
        let mut run = start(&counted, "", "in-reinitialise=return");
        wait::until_true("it dies as it re-initialises", seconds(240), || {
            let before = counted.visible();
            wait::until_true("outputs go on, or it is dead", PATIENCE, || {
                !run.is_running() || counted.visible() > before + 20
            });
            pause(&kafka, Duration::from_millis(700));
            !run.is_running()
        });
        let mut run = counted.file.run();
        for millis in [1500, 4000] {
            goes_on(&counted, &mut run);
            pause(&kafka, Duration::from_millis(millis));
        }
        goes_on(&counted, &mut run);
        stop(run);
    });
}

fn pause(kafka: &Kafka, span: Duration) {
    kafka.pause(1);
    std::thread::sleep(span);
    kafka.resume(1);
}

#[test]
fn one_of_three_brokers_dies_and_everything_is_exact() {
    if std::env::var_os("SANDBAR_TORTURE").is_none() {
        return skip(
            "faults::one_of_three_brokers_dies",
            "it takes more than a minute; `make torture` runs it",
        );
    }
    let kafka = Kafka::start(3);
    let counted = Counted::on(&kafka, &unique("three"), 4, 50);
    under_load(&counted, 100, OFTEN, || {
        let mut run = counted.file.run();
        for turn in 0..setting("SANDBAR_BROKER_KILLS", 2) {
            goes_on(&counted, &mut run);
            let number = 1 + (turn % 3) as usize;
            kafka.kill(number);
            goes_on(&counted, &mut run);
            kafka.restart(number);
        }
        goes_on(&counted, &mut run);
        stop(run);
    });
}

/// Kills at moments that spread over a commit's interval.
fn kills(counted: &Counted) {
    for kill in 0..setting("SANDBAR_KILLS", 5) {
        let mut run = counted.file.run();
        goes_on(counted, &mut run);
        std::thread::sleep(Duration::from_millis(kill * 37 % 250));
        run.kill();
    }
}

/// Waits until more is put out.
pub fn goes_on(counted: &Counted, run: &mut Process) {
    let before = counted.visible();
    wait::until_true("outputs go on", seconds(120), || {
        assert!(run.is_running(), "it runs: {}", run.lines().join("\n"));
        counted.visible() > before + 20
    });
}

/// A member that dies at a point.
pub fn start(counted: &Counted, member: &str, armed: &str) -> Process {
    let path = counted.file.write(member);
    let arguments = ["run".as_ref(), path.as_os_str(), "-o".as_ref(), "json".as_ref()];
    Process::start_with(&arguments, &[("FAILPOINTS", armed)])
}

/// Runs until it is dead.
fn dies(counted: &Counted, member: &str, armed: &str) {
    let mut run = start(counted, member, armed);
    wait::until_true(&format!("it dies at {armed}"), PATIENCE, || !run.is_running());
    assert_eq!(run.wait(seconds(1)).code, None, "{armed}: it is killed");
}

#[test]
fn a_last_run_in_peace_adds_nothing() {
    let counted = Counted::on(Kafka::shared(), "again", 2, 20);
    counted.send(0, 2000);
    complete(&counted, counted.file.run());
    complete(&counted, counted.file.run());
}
