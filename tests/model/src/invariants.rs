//! What must hold in every world.

use crate::world::{Case, Pointer, World};
use stateright::Property;

/// Every invariant, by its number.
pub(crate) fn all() -> Vec<Property<Case>> {
    vec![
        Property::always("I1 each output once below the committed offset, none above", outputs),
        Property::always("I2 the named state is the fold of the prefix", fold),
        Property::always("I3 every committed pointer resolves", resolves),
        Property::always("I4, I5 commits follow one another", |_, world: &World| {
            world.broken.is_none()
        }),
        Property::always("I6 the local pointer is the committed one or an ancestor", local),
        Property::sometimes("everything is committed", |case, world: &World| {
            let offsets = partitions(case, world).map(|(_, _, (offset, _))| offset);
            offsets.min() == Some(case.records)
        }),
    ]
}

fn partitions<'a>(case: &'a Case, world: &'a World) -> impl Iterator<Item = (usize, usize, (u8, Pointer))> + 'a {
    (0..case.tasks).flat_map(move |task| {
        (0..case.partitions).map(move |partition| (task, partition, world.broker.committed[task][partition]))
    })
}

/// At least once, an output may come early and again, but never late.
fn outputs(case: &Case, world: &World) -> bool {
    let is_exact = case.mode == crate::Mode::ExactlyOnce;
    partitions(case, world).all(|(task, partition, (offset, _))| {
        (0..case.records).all(|record| {
            let seen = world.broker.visible[task][partition][usize::from(record)];
            let due = u8::from(record < offset);
            if is_exact { seen == due } else { seen >= due }
        })
    })
}

fn fold(case: &Case, world: &World) -> bool {
    partitions(case, world).all(|(task, partition, (offset, pointer))| {
        let frame = world.frame(pointer, task);
        let is_one = world.broker.committed[task][..case.partitions]
            .iter()
            .all(|(_, other)| *other == pointer);
        is_one && frame.next[partition] == offset && frame.state == frame.next.iter().sum::<u8>()
    })
}

fn resolves(case: &Case, world: &World) -> bool {
    partitions(case, world).all(|(task, _, (_, pointer))| is_whole(world, pointer, task))
}

fn is_whole(world: &World, mut pointer: Pointer, task: usize) -> bool {
    while let Some(bundle) = world.bundle(pointer) {
        if !bundle.is_durable || bundle.is_deleted {
            return false;
        }
        pointer = world.frame(pointer, task).parent;
    }
    true
}

/// At least once, a commit in doubt may leave a sibling of the local pointer behind: who restores sees that and takes
/// the bundle.
fn local(case: &Case, world: &World) -> bool {
    case.mode != crate::Mode::ExactlyOnce
        || (0..case.tasks).all(|task| {
            let (_, committed) = world.broker.committed[task][0];
            world
                .workers
                .iter()
                .all(|worker| world.is_ancestor(worker.disk[task], committed, task))
        })
}
