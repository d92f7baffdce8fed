//! Takes each step twice, and compares.

use super::effects::{Effect, Turn};
use super::ports::{Memory, Ports};
use super::steps::{Action, Outcome, Then};
use super::world::{Case, Conditions, Faults, WORKERS, World};
use super::{Event, Mode};
use crate::error::Kind;
use crate::runtime::commit::{Coordinator, Limits};
use std::collections::{BTreeSet, HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const LIMITS: Limits = Limits {
    checkpoint: SECOND,
    revocation: SECOND,
    membership: SECOND,
    commit: SECOND,
    abort: SECOND,
    recycle: SECOND,
    settle: SECOND,
    last_drain: SECOND,
    last_commit: SECOND,
    least: Duration::ZERO,
};

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

/// Takes every step of every world of `case`. How many steps there were.
fn every_world(case: &Case, seen: &mut Seen) -> usize {
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
            let after = both(case, &before, action, seen).unwrap_or_else(|how| {
                panic!("{case:?}\nafter {:?}\n{action:?}: {how}", actions_to(&way, index));
            });
            if visited.insert((after.world.clone(), after.memories())) {
                way.push((index, Some(action)));
                queue.push_back((way.len() - 1, after));
            }
        }
    }
    println!("{} worlds, {steps} steps", visited.len());
    steps
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

macro_rules! cases {
    ($({ $($what:ident: $value:expr),* } { $($fault:ident: $times:expr),* })*) => {
        vec![$(Case { $($what: $value,)* faults: Faults { $($fault: $times,)* ..NONE }, ..CASE }),*]
    };
}

#[test]
fn the_coordinator_does_what_the_model_does_in_every_world() {
    let cases = cases! {
        { checkpoints: 3 } { late: 2, unanswered: 1 }
        {} { unanswered: 1, late: 1, crashes: 1, restarts: 1 }
        {} { revocations: 1, failures: 1, unanswered: 1, stops: 1 }
        {} { kicks: 1, failures: 1 }
        {} { kicks: 1, unanswered: 1 }
        {} { time_outs: 1, late: 1 }
        { same_id: true } { restarts: 2, crashes: 1 }
        { tasks: 2, records: 1 } { revocations: 1, unanswered: 1 }
        { partitions: 2, records: 1 } { kicks: 1 }
        { mode: Mode::AtLeastOnce } { kicks: 1, unanswered: 1, late: 1 }
        { mode: Mode::AtLeastOnce } { revocations: 1, failures: 1, unanswered: 1, stops: 1 }
    };
    let mut seen = Seen::new();
    let steps: usize = cases.iter().map(|case| every_world(case, &mut seen)).sum();
    println!("{steps} steps: {seen:?}");
}
