//! What a worker does about a command.

use crate::steps::{Outcome, commit_offsets, end_process, end_transaction, is_dirty, leave, restore};
use crate::world::{Bundle, Case, Frame, Late, Offsets, Request, TASKS, World, pointer, producer_of};
use crate::{Command, Event};

/// Tells a worker's protocol what happened and does what asks for no answer.
pub(crate) fn tell(case: &Case, world: &mut World, worker: usize, event: Event) {
    let commands = world.workers[worker].protocol.on(event);
    for command in commands {
        if command.is_answered() {
            world.workers[worker].asked = Some(*command);
        } else {
            carry_out(case, world, worker, *command);
        }
    }
}

fn carry_out(case: &Case, world: &mut World, worker: usize, command: Command) {
    match command {
        Command::Seal => seal(world, worker),
        Command::Abort => abort(case, world, worker),
        Command::DropOverlays => world.workers[worker].sealed = None,
        Command::Release => {
            for task in 0..case.tasks {
                if world.workers[worker].tasks[task].is_some_and(|task| task.is_revoked) {
                    give_up(world, worker, task);
                }
            }
        }
        Command::Forget => {
            for task in 0..case.tasks {
                if world.workers[worker].tasks[task].is_some_and(|task| !task.is_current) {
                    give_up(world, worker, task);
                }
            }
        }
        Command::Leave => leave(world, worker),
        Command::Halt(_) => end_process(world, worker),
        _ => {}
    }
}

fn give_up(world: &mut World, worker: usize, task: usize) {
    world.workers[worker].tasks[task] = None;
    if world.broker.owner[task] == Some(worker as u8) {
        world.broker.owner[task] = None;
    }
}

fn seal(world: &mut World, index: usize) {
    world.workers[index].sealed = None;
    if !is_dirty(world, index) {
        return;
    }
    let worker = &mut world.workers[index];
    let name = pointer(index, worker.checkpoints);
    worker.checkpoints += 1;
    worker.sealed = Some(name);
    let frames = std::array::from_fn::<_, TASKS, _>(|task| {
        worker.tasks[task].map(|task| Frame {
            next: task.next,
            state: task.state,
            parent: task.applied,
        })
    });
    world.store[usize::from(name) - 1] = Some(Bundle {
        frames,
        is_durable: false,
        is_deleted: false,
    });
}

fn abort(case: &Case, world: &mut World, worker: usize) {
    let epoch = world.workers[worker].epoch;
    let producer = &mut world.broker.producers[producer_of(case, worker)];
    if producer.epoch == epoch {
        producer.open = None;
    }
}

/// What may become of `command` now; nothing: it waits.
pub(crate) fn outcomes(case: &Case, world: &World, worker: usize, command: Command) -> impl Iterator<Item = Outcome> {
    use Outcome::*;
    let left = &world.left;
    let (late, unanswered) = (left.late > 0, left.unanswered > 0);
    let is_sealed = world.workers[worker].sealed.is_some();
    let may_fail = left.failures > 0;
    let may_read = (0..case.tasks)
        .filter(|task| world.workers[worker].tasks[*task].is_some())
        .all(|task| case.may_read(world, task));
    let list: [(Outcome, bool); 5] = match command {
        Command::Drain => {
            [Well, Fails, Slow, Unanswered, Held].map(|o| (o, o == Well || o == Fails && may_fail && is_sealed))
        }
        Command::AwaitBundle => [Well, Fails, Slow, Unanswered, Held].map(|o| (o, o == Well || o == Fails && may_fail)),
        Command::SendOffsets => [Well, Slow, Fails, Unanswered, Held].map(|o| (o, o == Well || o == Slow && late)),
        Command::CommitTransaction => [
            (Well, true),
            (Slow, late),
            (Unanswered, unanswered),
            (Held, unanswered && late),
            (Fails, unanswered),
        ],
        Command::CommitOffsets => [
            (Well, true),
            (Slow, false),
            (Unanswered, unanswered),
            (Held, unanswered && late),
            (Fails, unanswered),
        ],
        Command::Settle => {
            [Well, Fails, Slow, Unanswered, Held].map(|o| (o, o == Well && may_read || o == Fails && may_fail))
        }
        Command::Rewind => [Well, Fails, Slow, Unanswered, Held].map(|o| (o, o == Well && may_read)),
        _ => [Well, Fails, Slow, Unanswered, Held].map(|o| (o, o == Well)),
    };
    list.into_iter().filter_map(|(outcome, may)| may.then_some(outcome))
}

/// Carries out the command that the protocol waits for, and tells it what came of it.
pub(crate) fn answer(case: &Case, world: &mut World, worker: usize, outcome: Outcome) {
    let Some(command) = world.workers[worker].asked.take() else {
        return;
    };
    let event = match command {
        Command::SendOffsets => send_offsets(case, world, worker, outcome),
        Command::CommitTransaction => commit_transaction(case, world, worker, outcome),
        Command::CommitOffsets => commit_plainly(case, world, worker, outcome),
        _ if outcome == Outcome::Fails => fail(world, command),
        _ => succeed(case, world, worker, command),
    };
    tell(case, world, worker, event);
}

fn fail(world: &mut World, command: Command) -> Event {
    world.left.failures -= 1;
    match command {
        Command::Drain => Event::DrainTimedOut,
        Command::AwaitBundle => Event::StoreFailed,
        _ => Event::Unsettled,
    }
}

fn succeed(case: &Case, world: &mut World, worker: usize, command: Command) -> Event {
    match command {
        Command::Drain if world.workers[worker].sealed.is_none() => Event::NothingNew,
        Command::Drain => Event::Drained,
        Command::AwaitBundle => {
            let sealed = world.workers[worker].sealed.map_or(0, usize::from);
            if let (true, Some(Some(bundle))) = (
                case.conditions.bundle_first,
                world.store.get_mut(sealed.wrapping_sub(1)),
            ) {
                bundle.is_durable = true;
            }
            Event::Stored
        }
        Command::CheckMembership => check_membership(case, world, worker),
        Command::Apply => apply(world, worker),
        Command::Recycle => recycle(case, world, worker),
        Command::Settle => settle(world, worker),
        _ => {
            for task in 0..case.tasks {
                if world.workers[worker].tasks[task].is_some() {
                    restore(world, worker, task);
                }
            }
            Event::Rewound
        }
    }
}

fn check_membership(case: &Case, world: &mut World, worker: usize) -> Event {
    let worker = &mut world.workers[worker];
    worker.metadata = worker.member;
    let is_stale = worker.tasks.iter().flatten().any(|task| !task.is_current);
    if is_stale && case.conditions.assignment_epochs {
        Event::Stale
    } else {
        Event::Current
    }
}

/// What the commit says: of all partitions, or without condition 4 of those that moved.
fn offsets_of(case: &Case, world: &World, worker: usize) -> Offsets {
    let mut offsets = Offsets::default();
    let Some(sealed) = world.workers[worker].sealed else {
        return offsets;
    };
    for (task, offsets) in offsets.iter_mut().enumerate().take(case.tasks) {
        let Some(at) = world.workers[worker].tasks[task] else {
            continue;
        };
        let before = world.frame(at.applied, task).next;
        for (partition, position) in offsets.iter_mut().enumerate().take(case.partitions) {
            if at.next[partition] != before[partition] || case.conditions.all_partitions {
                *position = Some((at.next[partition], sealed));
            }
        }
    }
    offsets
}

fn is_member(case: &Case, world: &World, worker: usize) -> bool {
    let member = world.broker.members[worker];
    !case.conditions.group_metadata || member.is_in && member.id == world.workers[worker].metadata
}

fn send_offsets(case: &Case, world: &mut World, worker: usize, outcome: Outcome) -> Event {
    let producer = producer_of(case, worker);
    let epoch = world.workers[worker].epoch;
    if world.broker.producers[producer].epoch != epoch {
        return if case.conditions.stop_when_fenced {
            case.fenced()
        } else {
            Event::OffsetsSent
        };
    }
    if !is_member(case, world, worker) {
        return Event::Stale;
    }
    let offsets = offsets_of(case, world, worker);
    world.broker.producers[producer].open.get_or_insert_default().offsets = Some(offsets);
    if outcome != Outcome::Slow {
        return Event::OffsetsSent;
    }
    hold_up(world, producer, epoch, request(world, worker, offsets));
    Event::OffsetsSlow
}

fn request(world: &World, worker: usize, offsets: Offsets) -> Request {
    Request::Offsets {
        worker,
        member: world.workers[worker].metadata,
        offsets,
    }
}

fn hold_up(world: &mut World, producer: usize, epoch: u8, what: Request) {
    world.left.late -= 1;
    world.broker.late.push(Late { producer, epoch, what });
}

fn commit_transaction(case: &Case, world: &mut World, worker: usize, outcome: Outcome) -> Event {
    let producer = producer_of(case, worker);
    let epoch = world.workers[worker].epoch;
    if world.broker.producers[producer].epoch != epoch {
        return if case.conditions.stop_when_fenced {
            case.fenced()
        } else {
            Event::Committed
        };
    }
    let unknown = if case.conditions.settle {
        Event::CommitUnknown
    } else {
        Event::Committed
    };
    match outcome {
        Outcome::Well | Outcome::Slow => {
            end_transaction(case, world, producer);
            if outcome == Outcome::Slow {
                hold_up(world, producer, epoch, Request::Commit);
                return Event::CommittedSlow;
            }
            return Event::Committed;
        }
        Outcome::Unanswered => end_transaction(case, world, producer),
        Outcome::Held => hold_up(world, producer, epoch, Request::Commit),
        Outcome::Fails => {}
    }
    world.left.unanswered -= 1;
    unknown
}

/// At least once: one request, which the group takes from a member only.
fn commit_plainly(case: &Case, world: &mut World, worker: usize, outcome: Outcome) -> Event {
    let offsets = offsets_of(case, world, worker);
    match outcome {
        Outcome::Well if is_member(case, world, worker) => {
            commit_offsets(case, world, offsets);
            return Event::Committed;
        }
        Outcome::Well => return Event::CommitRefused,
        Outcome::Unanswered if is_member(case, world, worker) => commit_offsets(case, world, offsets),
        Outcome::Held => hold_up(world, producer_of(case, worker), 0, request(world, worker, offsets)),
        _ => {}
    }
    world.left.unanswered -= 1;
    Event::CommitUnknown
}

fn apply(world: &mut World, worker: usize) -> Event {
    let worker = &mut world.workers[worker];
    if let Some(sealed) = worker.sealed.take() {
        for (task, disk) in worker.tasks.iter_mut().zip(&mut worker.disk) {
            if let Some(task) = task {
                task.applied = sealed;
                *disk = sealed;
            }
        }
    }
    Event::Applied
}

/// Initialising a producer aborts what the one before left open, and gives it a new epoch.
fn recycle(case: &Case, world: &mut World, worker: usize) -> Event {
    let producer = &mut world.broker.producers[producer_of(case, worker)];
    if case.conditions.recycle || producer.epoch != world.workers[worker].epoch {
        producer.open = None;
        producer.epoch += 1;
        world.workers[worker].epoch = producer.epoch;
    }
    Event::Recycled
}

fn settle(world: &World, worker: usize) -> Event {
    let worker = &world.workers[worker];
    let tasks = worker.tasks.iter().enumerate().filter_map(|(index, task)| {
        let task = task.filter(|task| task.is_current)?;
        Some((world.broker.committed[index][0].1, task.applied))
    });
    let pairs: Vec<_> = tasks.collect();
    if pairs.iter().any(|(committed, _)| Some(*committed) == worker.sealed) {
        Event::SettledNew
    } else if pairs.iter().any(|(committed, applied)| committed == applied) {
        Event::SettledOld
    } else {
        Event::SettledOther
    }
}
