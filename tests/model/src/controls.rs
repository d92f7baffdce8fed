//! The conditions left out one by one: the checks catch each, and the shortest trace is kept.

use crate::cases::{CASE, NONE};
use crate::steps::{Action, Action::*, Outcome::*};
use crate::world::{Case, Conditions, Faults, World};
use stateright::{Checker, Model};

/// A condition that is left out, where it is missed, and how.
struct Control {
    case: Case,
    leave_out: fn(&mut Conditions),
    /// The number of the invariant that breaks.
    breaks: &'static str,
    /// How it breaks.
    trace: &'static [Action],
}

impl Control {
    /// The case without the condition.
    fn without(&self) -> Case {
        let mut case = self.case.clone();
        (self.leave_out)(&mut case.conditions);
        case
    }
}

/// The invariants that are broken in some world of `case`, visited to `depth`.
fn broken(case: &Case, depth: usize) -> Vec<(&'static str, Vec<Action>)> {
    let checker = case.clone().checker().target_max_depth(depth).spawn_bfs().join();
    let discoveries = checker.discoveries().into_iter();
    discoveries
        .filter(|(what, _)| what.starts_with('I'))
        .map(|(what, path)| (what, path.into_actions()))
        .collect()
}

/// The world after `trace`; `None` if a step of it cannot be.
fn replay(case: &Case, trace: &[Action]) -> Option<World> {
    trace.iter().try_fold(World::new(case), |world, action| {
        let mut actions = Vec::new();
        case.actions(&world, &mut actions);
        actions.contains(action).then(|| case.next_state(&world, *action))?
    })
}

/// The invariants that do not hold in `world`.
fn broken_in(case: &Case, world: &World) -> Vec<&'static str> {
    let invariants = case
        .properties()
        .into_iter()
        .filter(|property| property.name.starts_with('I'));
    let broken = invariants.filter(|property| !(property.condition)(case, world));
    broken.map(|property| property.name).collect()
}

fn is_caught(control: &Control) {
    let without = control.without();
    let world = replay(&without, control.trace).expect("the kept trace can be walked");
    let by_trace = broken_in(&without, &world);
    assert!(
        by_trace.iter().any(|what| what.starts_with(control.breaks)),
        "the kept trace breaks {by_trace:?}"
    );
    let found = (1..=control.trace.len() + 3)
        .map(|depth| broken(&without, depth))
        .find(|found| !found.is_empty());
    assert!(found.is_some(), "the model does not catch it");
    // The same steps with the condition: one of them cannot be, or nothing breaks.
    let by_design = replay(&control.case, control.trace).map_or(Vec::new(), |world| broken_in(&control.case, &world));
    assert_eq!(by_design, Vec::<&str>::new());
}

/// Who takes a task over reads the old offset, while the commit of the one before is under way.
#[test]
fn who_reads_without_require_stable_repeats_what_is_being_committed() {
    is_caught(&Control {
        case: Case {
            faults: Faults { kicks: 1, ..NONE },
            ..CASE
        },
        leave_out: |conditions| conditions.require_stable = false,
        breaks: "I1",
        trace: &[
            Process(0, 0, 0),
            Due(0),
            Answer(0, Well),
            Answer(0, Well),
            Answer(0, Well),
            Answer(0, Well),
            Kick(0),
            Adopt(1, 0),
            Process(1, 0, 0),
            Due(1),
            Answer(1, Well),
            Answer(1, Well),
            Answer(1, Well),
            Answer(1, Well),
            Answer(1, Well),
            Answer(0, Well),
        ],
    });
}

/// A worker that the group took for dead commits over its successor.
#[test]
fn offsets_without_group_metadata_are_taken_from_a_zombie() {
    is_caught(&Control {
        case: Case {
            faults: Faults { kicks: 1, ..NONE },
            ..CASE
        },
        leave_out: |conditions| conditions.group_metadata = false,
        breaks: "I1",
        trace: &[
            Process(0, 0, 0),
            Due(0),
            Answer(0, Well),
            Answer(0, Well),
            Answer(0, Well),
            Kick(0),
            Adopt(1, 0),
            Answer(0, Well),
            Process(1, 0, 0),
            Due(1),
            Answer(1, Well),
            Answer(1, Well),
            Answer(1, Well),
            Answer(1, Well),
            Answer(1, Well),
            Answer(0, Well),
        ],
    });
}

/// It polled, is a member again, and its fresh metadata is taken.
#[test]
fn a_zombie_that_rejoined_overwrites_its_successor_without_the_assignment_epoch_check() {
    is_caught(&Control {
        case: Case {
            faults: Faults { kicks: 1, ..NONE },
            ..CASE
        },
        leave_out: |conditions| conditions.assignment_epochs = false,
        breaks: "I1",
        trace: &[
            Process(0, 0, 0),
            Due(0),
            Answer(0, Well),
            Answer(0, Well),
            Kick(0),
            Rejoin(0),
            Answer(0, Well),
            Adopt(1, 0),
            Answer(0, Well),
            Process(1, 0, 0),
            Due(1),
            Answer(1, Well),
            Answer(1, Well),
            Answer(1, Well),
            Answer(1, Well),
            Answer(1, Well),
            Answer(0, Well),
        ],
    });
}

/// The idle partition keeps the pointer before.
#[test]
fn a_commit_of_some_partitions_leaves_two_pointers_to_one_state() {
    is_caught(&Control {
        case: Case { partitions: 2, ..CASE },
        leave_out: |conditions| conditions.all_partitions = false,
        breaks: "I2",
        trace: &[
            Process(0, 0, 1),
            Due(0),
            Answer(0, Well),
            Answer(0, Well),
            Answer(0, Well),
            Answer(0, Well),
            Answer(0, Well),
        ],
    });
}

/// Seen on a real Kafka: half of the next transaction becomes visible, with the old pointer.
#[test]
fn a_late_commit_tears_the_next_transaction_of_the_same_producer() {
    is_caught(&Control {
        case: Case {
            faults: Faults { late: 1, ..NONE },
            ..CASE
        },
        leave_out: |conditions| conditions.reinitialise = false,
        breaks: "I1",
        trace: &[
            Process(0, 0, 0),
            Due(0),
            Answer(0, Well),
            Answer(0, Well),
            Answer(0, Well),
            Answer(0, Well),
            Answer(0, Slow),
            Answer(0, Well),
            Answer(0, Well),
            Process(0, 0, 0),
            Arrive(0),
        ],
    });
}

/// Seen on a real Kafka: the next commit stores the former offsets and pointer with its own outputs.
#[test]
fn late_offsets_rewind_the_next_transaction_of_the_same_producer() {
    is_caught(&Control {
        case: Case {
            faults: Faults { late: 1, ..NONE },
            ..CASE
        },
        leave_out: |conditions| conditions.reinitialise = false,
        breaks: "I1",
        trace: &[
            Process(0, 0, 0),
            Due(0),
            Answer(0, Well),
            Answer(0, Well),
            Answer(0, Well),
            Answer(0, Slow),
            Answer(0, Well),
            Answer(0, Well),
            Answer(0, Well),
            Process(0, 0, 0),
            Due(0),
            Answer(0, Well),
            Answer(0, Well),
            Answer(0, Well),
            Answer(0, Well),
            Arrive(0),
            Answer(0, Well),
        ],
    });
}

/// The commit never arrived, the local state has it.
#[test]
fn an_unknown_outcome_taken_for_a_success_runs_ahead_of_kafka() {
    is_caught(&Control {
        case: Case {
            faults: Faults { unanswered: 1, ..NONE },
            ..CASE
        },
        leave_out: |conditions| conditions.resolve = false,
        breaks: "I6",
        trace: &[
            Process(0, 0, 0),
            Due(0),
            Answer(0, Well),
            Answer(0, Well),
            Answer(0, Well),
            Answer(0, Well),
            Answer(0, Fails),
            Answer(0, Well),
        ],
    });
}

/// The pointer is committed, the upload ends with the process.
#[test]
fn a_commit_before_the_bundle_names_what_a_crash_loses() {
    is_caught(&Control {
        case: Case {
            faults: Faults { crashes: 1, ..NONE },
            ..CASE
        },
        leave_out: |conditions| conditions.bundle_first = false,
        breaks: "I3",
        trace: &[
            Process(0, 0, 0),
            Due(0),
            Answer(0, Well),
            Answer(0, Well),
            Answer(0, Well),
            Answer(0, Well),
            Answer(0, Well),
            Crash(0),
        ],
    });
}

/// It was listed between its upload and its commit.
#[test]
fn a_collection_without_age_deletes_what_is_about_to_be_committed() {
    is_caught(&Control {
        case: Case {
            faults: Faults { collections: 1, ..NONE },
            ..CASE
        },
        leave_out: |conditions| conditions.age = false,
        breaks: "I3",
        trace: &[
            Process(0, 0, 0),
            Due(0),
            Answer(0, Well),
            Answer(0, Well),
            Answer(0, Well),
            Answer(0, Well),
            List,
            Answer(0, Well),
            Collect(1),
        ],
    });
}

/// Another instance with the same id aborted its transaction.
#[test]
fn who_is_fenced_and_goes_on_runs_ahead_of_kafka() {
    is_caught(&Control {
        case: Case {
            same_id: true,
            faults: Faults { restarts: 1, ..NONE },
            ..CASE
        },
        leave_out: |conditions| conditions.stop_when_fenced = false,
        breaks: "I6",
        trace: &[
            Process(0, 0, 0),
            Due(0),
            Answer(0, Well),
            Answer(0, Well),
            Answer(0, Well),
            Answer(0, Well),
            Restart(1),
            Answer(0, Well),
            Answer(0, Well),
        ],
    });
}
