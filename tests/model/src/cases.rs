//! How much may go wrong in one run, and that every invariant holds then.

use crate::Mode;
use crate::world::{Case, Conditions, Faults};
use stateright::{Checker, Model};

pub(crate) const NONE: Faults = Faults {
    crashes: 0,
    restarts: 0,
    kicks: 0,
    revocations: 0,
    late: 0,
    unanswered: 0,
    time_outs: 0,
    failures: 0,
    collections: 0,
    stops: 0,
};

/// Two workers, one task of two records, two checkpoints each, and nothing goes wrong.
pub(crate) const CASE: Case = Case {
    mode: Mode::ExactlyOnce,
    tasks: 1,
    partitions: 1,
    records: 2,
    checkpoints: 2,
    same_id: false,
    faults: NONE,
    conditions: Conditions::ALL,
};

/// More worlds than that would not be visited within the time that the suite has.
const LIMIT: usize = 8_000_000;

fn holds(case: &Case) {
    let checker = case.clone().checker().target_state_count(LIMIT).spawn_bfs().join();
    println!(
        "{} worlds, {} steps deep",
        checker.unique_state_count(),
        checker.max_depth()
    );
    for (what, path) in checker.discoveries() {
        assert_eq!(what, "everything is committed", "{case:?}: {:?}", path.into_actions());
    }
    assert!(
        checker.state_count() < LIMIT,
        "the model is too large to be visited as a whole"
    );
    assert!(
        checker.discovery("everything is committed").is_some(),
        "nothing was done"
    );
}

macro_rules! cases {
    ($($name:ident { $($what:ident: $value:expr),* } { $($fault:ident: $times:expr),* })*) => {$(
        #[test]
        fn $name() {
            holds(&Case { $($what: $value,)* faults: Faults { $($fault: $times,)* ..NONE }, ..CASE });
        }
    )*};
}

cases! {
    a_zombie_with_requests_held_up_and_answers_lost { checkpoints: 3 } { kicks: 1, late: 1, unanswered: 1 }
    a_zombie_whose_transaction_timed_out {} { kicks: 1, unanswered: 1, time_outs: 1 }
    a_zombie_whose_transaction_timed_out_with_requests_held_up {} { kicks: 1, late: 1, unanswered: 1, time_outs: 1 }
    two_requests_held_up { checkpoints: 3 } { late: 2, unanswered: 1 }
    a_crash_and_a_zombie {} { kicks: 1, crashes: 1, restarts: 1 }
    a_crash_with_requests_held_up_and_answers_lost {} { unanswered: 1, late: 1, crashes: 1, restarts: 1 }
    two_crashes_after_answers_lost {} { unanswered: 2, crashes: 2, restarts: 2 }
    a_revocation_whose_checkpoint_fails_and_a_zombie {} { revocations: 1, failures: 1, kicks: 1 }
    a_revocation_and_a_stop_and_answers_lost {} { revocations: 1, failures: 1, unanswered: 1, stops: 1 }
    a_collection_during_crashes_and_answers_lost {} { collections: 1, crashes: 1, restarts: 1, unanswered: 1 }
    a_collection_during_a_zombie {} { collections: 1, kicks: 1 }
    two_instances_with_one_id { same_id: true } { restarts: 2, crashes: 1 }
    two_tasks_and_a_zombie { tasks: 2, records: 1 } { kicks: 1, unanswered: 1 }
    two_tasks_and_a_revocation { tasks: 2, records: 1 } { kicks: 1, revocations: 1 }
    a_task_of_two_partitions_and_a_zombie { partitions: 2, records: 1 } { kicks: 1, unanswered: 1 }
    a_task_of_two_partitions_and_a_crash { partitions: 2 } { crashes: 1, restarts: 1, revocations: 1, unanswered: 1 }
    at_least_once_with_requests_held_up { mode: Mode::AtLeastOnce } { kicks: 1, unanswered: 1, late: 1 }
    at_least_once_with_crashes { mode: Mode::AtLeastOnce } { kicks: 1, crashes: 1, restarts: 1, unanswered: 1 }
    at_least_once_with_revocations { mode: Mode::AtLeastOnce } { revocations: 1, failures: 1, unanswered: 1, stops: 1 }
}
