//! Takes each step twice, and compares.

use super::effects::{Effect, Turn};
use super::ports::{Memory, Ports};
use super::steps::{Action, Outcome, Then};
use super::world::{Case, Conditions, Faults, WORKERS, World};
use super::{Event, Mode};
use crate::error::Kind;
use crate::runtime::commit::Coordinator;
use crate::runtime::commit::tests::LIMITS;
use std::collections::{BTreeSet, HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

const NONE: Faults = Faults {
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
const CASE: Case = Case {
    mode: Mode::ExactlyOnce,
    tasks: 1,
    partitions: 1,
    records: 2,
    checkpoints: 2,
    same_id: false,
    faults: NONE,
    conditions: Conditions::ALL,
};

/// A process: the coordinator that ships, and what else it has in memory.
#[derive(Clone)]
struct Process {
    coordinator: Coordinator,
    memory: Memory,
}

/// A world of the model whose workers run the coordinator.
#[derive(Clone)]
struct Shipped {
    world: World,
    processes: [Option<Process>; WORKERS],
}

impl Shipped {
    fn new(case: &Case) -> Self {
        let mut shipped = Self {
            world: World::new(case),
            processes: [None, None],
        };
        shipped.begin_and_end_processes(case);
        shipped
    }

    /// The world after `action`, and what the worker did that it is about.
    fn step(&self, case: &Case, action: Action) -> Option<(Self, Vec<Effect>)> {
        let mut after = self.clone();
        let then = case.happen(&mut after.world, action)?;
        after.begin_and_end_processes(case);
        let effects = match then {
            Then::Nothing => Vec::new(),
            Then::Tell(worker, event) => after.turn(case, worker, Some(event), Outcome::Well),
            Then::Answer(worker, outcome) => after.turn(case, worker, None, outcome),
        };
        after.begin_and_end_processes(case);
        after.show();
        Some((after, effects))
    }

    fn begin_and_end_processes(&mut self, case: &Case) {
        for (process, worker) in self.processes.iter_mut().zip(&self.world.workers) {
            if !worker.is_up {
                *process = None;
            } else if process.is_none() {
                let tolerable = case.faults.failures.into();
                *process = Some(Process {
                    coordinator: Coordinator::new(case.mode, tolerable, LIMITS, false),
                    memory: Memory::default(),
                });
            }
        }
    }

    /// Lets a worker's coordinator hear of `event`, or else try what it waits for. What it did.
    fn turn(&mut self, case: &Case, worker: usize, event: Option<Event>, outcome: Outcome) -> Vec<Effect> {
        let Some(Process { coordinator, memory }) = &mut self.processes[worker] else {
            panic!("worker {worker} does not run");
        };
        let mut turn = Turn::of(case, &mut self.world, worker);
        match event {
            Some(Event::Lost) => turn.forget(),
            Some(Event::Stopping) => memory.is_stopping = true,
            _ => {}
        }
        // In the middle of a checkpoint nobody is told of a stop: the coordinator sees it.
        let is_told = event != Some(Event::Stopping) || coordinator.is_processing();
        let mut ports = Ports {
            turn,
            memory,
            outcome,
            heard: event.filter(|_| is_told).into_iter().collect(),
            is_late: false,
            committed: None,
        };
        let done = match event {
            Some(_) => coordinator.hear(&mut ports).map(|_| ()),
            None => coordinator.step(&mut ports).map(|_| ()),
        };
        if let Err(error) = done {
            assert!(error.kind != Kind::Bug, "{error}");
        }
        ports.turn.effects
    }

    /// Sets what the model keeps of a worker and the coordinator keeps itself.
    fn show(&mut self) {
        for (process, worker) in self.processes.iter().zip(&mut self.world.workers) {
            let Some(Process { coordinator, memory }) = process else {
                continue;
            };
            let (mut protocol, waits_for) = coordinator.stands_at();
            if memory.is_stopping && !protocol.is_processing() {
                protocol.on(Event::Stopping);
            }
            worker.protocol = protocol;
            worker.asked = waits_for;
            worker.sealed = coordinator.in_flight.as_ref().map(|of| of.bytes as u8);
        }
    }

    /// What the coordinators remember beyond what the model knows, as a number.
    fn memories(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for process in self.processes.iter().flatten() {
            format!("{:?}", process.coordinator).hash(&mut hasher);
            process.memory.hash(&mut hasher);
        }
        hasher.finish()
    }
}

/// What was done and told, by name.
type Seen = BTreeSet<String>;

/// Takes a step twice. The world after it; or how the two differ.
fn both(case: &Case, before: &Shipped, action: Action, seen: &mut Seen) -> Result<Shipped, String> {
    let (modelled, by_model) = case.step(&before.world, action).expect("a step that can be");
    let (shipped, by_coordinator) = before.step(case, action).expect("a step that can be");
    // Of a stop in the middle of a checkpoint the model's protocol is told, and the coordinator's when it looks.
    let is_compared = |effect: &&Effect| **effect != Effect::Told(Event::Stopping);
    if !by_model
        .iter()
        .filter(is_compared)
        .eq(by_coordinator.iter().filter(is_compared))
    {
        return Err(format!(
            "the model does {by_model:?}\nthe coordinator {by_coordinator:?}"
        ));
    }
    if modelled != shipped.world {
        return Err(format!(
            "after {by_model:?} the model has\n{modelled:#?}\nthe coordinator\n{:#?}",
            shipped.world
        ));
    }
    seen.extend(by_model.iter().map(name_of));
    Ok(shipped)
}

fn name_of(effect: &Effect) -> String {
    match effect {
        Effect::Told(event) => format!("{event:?}"),
        effect => {
            let text = format!("{effect:?}");
            text.split('(').next().unwrap_or_default().to_owned()
        }
    }
}

/// Takes every step of every world of `case`.
fn every_world(case: &Case) {
    let mut seen = Seen::new();
    let first = Shipped::new(case);
    let mut visited = HashSet::from([(first.world.clone(), first.memories())]);
    // Each world by the world and the action that it came from.
    let mut way: Vec<(usize, Option<Action>)> = vec![(0, None)];
    let mut queue = VecDeque::from([(0, first)]);
    let mut steps = 0;
    while let Some((index, before)) = queue.pop_front() {
        let mut actions = Vec::new();
        case.list_actions(&before.world, &mut actions);
        for action in actions {
            steps += 1;
            let after = both(case, &before, action, &mut seen).unwrap_or_else(|how| {
                panic!("{case:?}\nafter {:?}\n{action:?}: {how}", actions_to(&way, index));
            });
            if visited.insert((after.world.clone(), after.memories())) {
                way.push((index, Some(action)));
                queue.push_back((way.len() - 1, after));
            }
        }
    }
    println!("{} worlds, {steps} steps", visited.len());
    assert!(seen.contains("Applied"), "nothing was committed");
}

fn actions_to(way: &[(usize, Option<Action>)], mut index: usize) -> Vec<Action> {
    let mut actions = Vec::new();
    while let (before, Some(action)) = way[index] {
        actions.push(action);
        index = before;
    }
    actions.reverse();
    actions
}

/// Goes one way through a world of `case`: mostly on, at times wherever. How many steps there were.
fn walk(case: &Case, seed: u64, seen: &mut Seen) -> usize {
    let mut dice = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut roll = move |sides: usize| {
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        (dice % sides as u64) as usize
    };
    let mut at = Shipped::new(case);
    let mut taken = Vec::new();
    while taken.len() < 200 {
        let mut actions = Vec::new();
        case.list_actions(&at.world, &mut actions);
        let (on, off): (Vec<_>, Vec<_>) = actions.into_iter().partition(goes_on);
        let chosen = if off.is_empty() || !on.is_empty() && roll(6) > 0 {
            on
        } else {
            off
        };
        if chosen.is_empty() {
            break;
        }
        let action = chosen[roll(chosen.len())];
        at = both(case, &at, action, seen)
            .unwrap_or_else(|how| panic!("seed {seed}: {case:?}\nafter {taken:?}\n{action:?}: {how}"));
        taken.push(action);
    }
    taken.len()
}

fn goes_on(action: &Action) -> bool {
    use Action::*;
    matches!(
        action,
        Process(..) | Due(_) | Rejoin(_) | TellLost(_) | Adopt(..) | Restart(_) | Answer(_, Outcome::Well)
    )
}

/// What a walk must have met, so that the two were compared in it.
const MUST: &[&str] = &[
    "Due",
    "Revoking",
    "Lost",
    "Stopping",
    "Drained",
    "DrainTimedOut",
    "NothingNew",
    "Stored",
    "StoreFailed",
    "Current",
    "Stale",
    "OffsetsSent",
    "OffsetsSlow",
    "OffsetsRefused",
    "Expired",
    "Fenced",
    "Committed",
    "CommittedSlow",
    "CommitRefused",
    "CommitUnknown",
    "Reinitialised",
    "ReinitialiseFailed",
    "ResolvedNew",
    "ResolvedOld",
    "ResolvedOther",
    "Unresolved",
    "Rewound",
    "RewindFailed",
    "Froze",
    "BeganUpload",
    "AwaitedBundle",
    "AwaitedOutputs",
    "TookMembership",
    "SentOffsets",
    "CommittedTransaction",
    "CommittedOffsets",
    "Applied",
    "DroppedOverlays",
    "Aborted",
    "ReadCommitted",
    "WentBack",
    "Released",
    "Left",
    "Halted",
];

#[test]
fn on_three_thousand_walks_with_every_fault() {
    let faults = Faults {
        crashes: 1,
        restarts: 3,
        kicks: 2,
        revocations: 2,
        late: 2,
        unanswered: 2,
        time_outs: 1,
        failures: 3,
        collections: 1,
        stops: 1,
    };
    let mut seen = Seen::new();
    let steps = (1..=3000).map(|seed| {
        let mode = if seed % 3 == 0 {
            Mode::AtLeastOnce
        } else {
            Mode::ExactlyOnce
        };
        let case = Case {
            mode,
            tasks: 2,
            partitions: 2,
            records: 3,
            checkpoints: 4,
            same_id: mode == Mode::ExactlyOnce && seed % 5 == 0,
            faults,
            ..CASE
        };
        walk(&case, seed, &mut seen)
    });
    let steps: usize = steps.sum();
    println!("{steps} steps");
    let missed: Vec<_> = MUST.iter().filter(|what| !seen.contains(**what)).collect();
    assert!(missed.is_empty(), "never met: {missed:?}");
}

macro_rules! in_every_world_of {
    ($($name:ident { $($what:ident: $value:expr),* } { $($fault:ident: $times:expr),* })*) => {$(
        #[test]
        fn $name() {
            every_world(&Case { $($what: $value,)* faults: Faults { $($fault: $times,)* ..NONE }, ..CASE });
        }
    )*};
}

in_every_world_of! {
    requests_held_up { checkpoints: 3 } { late: 2, unanswered: 1 }
    a_crash_with_requests_held_up_and_answers_lost {} { unanswered: 1, late: 1, crashes: 1, restarts: 1 }
    a_revocation_and_a_stop_and_answers_lost {} { revocations: 1, failures: 1, unanswered: 1, stops: 1 }
    a_zombie_with_answers_lost {} { kicks: 1, unanswered: 1 }
    a_zombie_whose_checkpoint_fails { records: 1 } { kicks: 1, failures: 1 }
    a_transaction_that_timed_out {} { time_outs: 1, late: 1 }
    two_instances_with_one_id { same_id: true } { restarts: 2, crashes: 1 }
    two_tasks_and_a_revocation { tasks: 2, records: 1 } { revocations: 1, unanswered: 1 }
    a_task_of_two_partitions_and_a_revocation { partitions: 2 } { revocations: 1, unanswered: 1 }
    at_least_once_with_requests_held_up { mode: Mode::AtLeastOnce } { kicks: 1, unanswered: 1, late: 1 }
    at_least_once_with_revocations { mode: Mode::AtLeastOnce } { revocations: 1, failures: 1, unanswered: 1, stops: 1 }
}
