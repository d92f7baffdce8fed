//! The coordinator, the protocol and the state that ship, in a simulated world: crashes, processes that stand still,
//! answers that are lost, requests that come late, rebalances of two groups, collections. A seed decides everything; a
//! failure prints it, and `SANDBAR_SEED` replays it; `SANDBAR_WORLDS` says how many there are to be.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "tests fail loudly, and a seed is said to whoever reads along"
)]

mod audit;
mod broker;
mod random;
mod ports;
mod restore;
mod store;
mod worker;
mod world;

use sandbar::checkpoint::Mode;
use sandbar::runtime::commit::BrokenCondition as Condition;
use std::panic::{AssertUnwindSafe, catch_unwind};
use world::{Env, LeftOut, Table, World};

/// Steps of one world; a usual run has ten of them for exactly once.
const STEPS: u64 = 100_000;

/// What must have been hit: every kill point, every way back, every unknown outcome (I11).
const MUST: &[&str] = &[
    "killed after-begin",
    "killed mid-produce",
    "killed before-flush",
    "killed mid-bundle",
    "killed after-bundle",
    "killed before-send-offsets",
    "killed after-send-offsets",
    "killed end-txn-sent",
    "killed after-commit",
    "killed mid-apply",
    "killed after-apply",
    "killed mid-base",
    "killed mid-collection",
    "killed mid-restore",
    "killed in-revocation",
    "killed in-guest-call",
    "killed in-reinitialise",
    "event NothingNew",
    "event DrainTimedOut",
    "an output was not delivered",
    "a stop in the middle of a checkpoint",
    "a batch was given up",
    "event StoreFailed",
    "event Stale",
    "event OffsetsSlow",
    "event OffsetsRefused",
    "event Expired",
    "event Fenced",
    "event CommittedSlow",
    "event CommitRefused",
    "event CommitUnknown",
    "event ReinitialiseFailed",
    "event ResolvedNew",
    "event ResolvedOld",
    "event ResolvedOther",
    "event Unresolved",
    "event RewindFailed",
    "event Lost",
    "event Revoking",
    "event Stopping",
    "command Abort",
    "command Release",
    "command Forget",
    "command Leave",
    "command Halt(Fenced)",
    "command Halt(TooManyFailures)",
    "a late commit arrived",
    "a late commit met a new epoch",
    "late offsets arrived",
    "late offsets met a new epoch",
    "a transaction timed out",
    "a member was taken for dead",
    "one group of two took a member for dead",
    "both groups took their offsets",
    "one group of two took its offsets",
    "one group of two took a commit",
    "a zombie joined again",
    "a worker stood still",
    "a worker stood still with its offsets sent",
    "a state folder was lost",
    "an id was given twice",
    "a guest call failed",
    "a bundle was collected",
    "a base was stored",
    "a task was restored from the store",
    "a delta was redone",
    "a task came back before its commit was resolved",
];

/// At least once has no transactions.
const ONLY_EXACTLY_ONCE: &[&str] = &[
    "after-begin",
    "send-offsets",
    "end-txn-sent",
    "after-commit",
    "in-reinitialise",
    "Offsets",
    "Expired",
    "Fenced",
    "CommittedSlow",
    "Reinitialise",
    "Resolve",
    "Resolved",
    "Unresolved",
    "was resolved",
    "Abort",
    "epoch",
    "offsets arrived",
    "offsets sent",
    "transaction",
    "given twice",
    "their offsets",
    "its offsets",
];

/// Exactly once, all groups commit or none.
const ONLY_AT_LEAST_ONCE: &str = "one group of two took a commit";

/// What was hit; or what happened last, and what broke then.
fn run(mode: Mode, seed: u64, steps: u64, left_out: Option<LeftOut>) -> Result<Table, Vec<String>> {
    run_in(mode, seed, steps, |env| env.left_out = left_out)
}

/// The same in a world that is made so.
fn run_in(mode: Mode, seed: u64, steps: u64, make: impl FnOnce(&mut Env)) -> Result<Table, Vec<String>> {
    // A kill leaves to RocksDB what the kernel has: memory is as good a disk, and faster.
    let shared = std::path::Path::new("/dev/shm");
    let folder = if shared.is_dir() {
        tempfile::tempdir_in(shared)
    } else {
        tempfile::tempdir()
    };
    let folder = folder.expect("a folder");
    let mut world = World::new(mode, seed, folder.path());
    make(&mut world.env);
    catch_unwind(AssertUnwindSafe(|| world.run(steps))).map_err(|broke| {
        let text = broke.downcast_ref::<String>().cloned();
        let mut history: Vec<String> = std::mem::take(&mut world.env.history).into();
        history.push(text.unwrap_or_default());
        history
    })?;
    Ok(std::mem::take(&mut world.env.table))
}

fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// So many worlds, `SANDBAR_WORLDS` if that is set, or the one of `SANDBAR_SEED`; the table of what was hit.
fn run_all(mode: Mode, worlds: u64) {
    let given = from_environment("SANDBAR_SEED");
    let worlds = from_environment("SANDBAR_WORLDS").unwrap_or(worlds);
    let seeds = given.map_or_else(|| (1..=worlds).collect(), |seed| vec![seed]);
    let mut total = Table::new();
    for seed in seeds {
        let table = run(mode, seed, STEPS, None).unwrap_or_else(|history| {
            println!("{}", history.join("\n"));
            panic!("{mode:?} does not hold: replay it with SANDBAR_SEED={seed}");
        });
        for (what, times) in table {
            *total.entry(what).or_default() += times;
        }
    }
    for (what, times) in &total {
        println!("{times:>8}  {what}");
    }
    let is_due = |what: &&&str| match mode {
        Mode::ExactlyOnce => **what != ONLY_AT_LEAST_ONCE,
        _ => !ONLY_EXACTLY_ONCE.iter().any(|not| what.contains(not)),
    };
    let missed: Vec<_> = MUST
        .iter()
        .filter(is_due)
        .filter(|what| !total.contains_key(**what))
        .collect();
    assert!(given.is_some() || missed.is_empty(), "never hit: {missed:?}");
}

#[test]
fn a_million_steps_exactly_once() {
    run_all(Mode::ExactlyOnce, 10);
}

#[test]
fn steps_at_least_once() {
    run_all(Mode::AtLeastOnce, 3);
}

/// Workers that leave a condition out are found out, by one of the invariants.
fn is_found(left_out: LeftOut, invariants: &[&str]) {
    is_found_in(left_out, invariants, |_| ());
}

/// The same in worlds that are made so.
fn is_found_in(left_out: LeftOut, invariants: &[&str], make: impl Fn(&mut Env)) {
    let left_out_of = |env: &mut Env| {
        make(env);
        env.left_out = Some(left_out);
    };
    let broke = (1..20).find_map(|seed| run_in(Mode::ExactlyOnce, seed, 20_000, left_out_of).err()?.pop());
    let broke = broke.unwrap_or_else(|| panic!("{left_out:?} is left out, and nobody noticed"));
    assert!(
        invariants.iter().any(|invariant| broke.contains(invariant)),
        "{left_out:?}: {broke}"
    );
}

#[test]
fn offsets_read_without_require_stable_are_found_out() {
    is_found(LeftOut::RequireStable, &["I1", "I2", "I4", "I5", "I6"]);
}

/// In worlds in which workers often stand still in the middle of a checkpoint, which hold if the condition is kept.
#[test]
fn losses_not_seen_are_found_out() {
    let stands_still_often = |env: &mut Env| env.stands_still_often = true;
    for condition in [Condition::Losses, Condition::UntoldLosses] {
        is_found_in(
            LeftOut::ByCoordinator(condition),
            &["I1", "I2", "I4", "I5", "I6"],
            stands_still_often,
        );
    }
    for seed in 1..=5 {
        let held = run_in(Mode::ExactlyOnce, seed, 20_000, stands_still_often);
        held.unwrap_or_else(|history| panic!("seed {seed}: {}", history.join("\n")));
    }
}

/// One world in a thousand shows it: so in worlds in which commits are often resolved late, which hold if the condition
/// is kept.
#[test]
fn assignment_epochs_not_compared_when_a_commit_is_resolved_are_found_out() {
    let resolves_late = |env: &mut Env| env.resolves_late = true;
    is_found_in(
        LeftOut::ByCoordinator(Condition::AssignmentEpochsAtApply),
        &["I1", "I2", "I4", "I5", "I6"],
        resolves_late,
    );
    let mut came_back = 0;
    for seed in 1..=5 {
        let table = run_in(Mode::ExactlyOnce, seed, 20_000, resolves_late);
        let table = table.unwrap_or_else(|history| panic!("seed {seed}: {}", history.join("\n")));
        came_back += table
            .get("a task came back before its commit was resolved")
            .copied()
            .unwrap_or(0);
    }
    assert!(came_back > 0);
}

#[test]
fn producers_not_reinitialised_are_found_out() {
    is_found(
        LeftOut::ByCoordinator(Condition::Reinitialise),
        &["I1", "I4", "I5", "I6"],
    );
}

#[test]
fn unknown_outcomes_taken_for_successes_are_found_out() {
    is_found(LeftOut::ByCoordinator(Condition::Resolve), &["I1", "I4", "I5", "I6"]);
}

#[test]
fn commits_of_outputs_that_are_not_acknowledged_are_found_out() {
    is_found(LeftOut::ByCoordinator(Condition::Drain), &["I1"]);
}

#[test]
fn tasks_that_do_not_go_back_are_found_out() {
    is_found(LeftOut::ByCoordinator(Condition::GoBack), &["I1", "I2", "I5", "I6"]);
}

#[test]
fn pointers_sent_before_their_bundle_are_found_out() {
    is_found(LeftOut::BundleFirst, &["I3"]);
}
