//! How a simulated process brings a task to what is committed, as the product does: on its local files if they stand
//! before it, else on a base from the store.

use crate::broker::{KEYS, PARTITIONS};
use crate::store::first;
use crate::worker::{Process, Task, count_of, counts, key, task_name};
use crate::world::Env;
use sandbar::error::Result;
use sandbar::record::Column;
use std::path::Path;

impl Process {
    /// Brings a task to what `pointer` names: by deltas from its local files or from a base.
    pub(crate) fn restore(&mut self, env: &mut Env, number: usize, mut task: Task, pointer: &str) -> Result<Task> {
        let local = task.applied.clone();
        assert!(
            !env.is_exact() || env.store.is_ancestor(&local, pointer, number),
            "I6: {local} is local, {pointer} is committed"
        );
        let chain = env
            .store
            .chain(pointer, number, Some(&local))
            .unwrap_or_else(|why| panic!("I3: {why}"));
        if !chain.is_local {
            drop(task.state);
            task.state = self.fetch(chain.base.as_deref(), number);
            env.hit("a task was restored from the store");
        }
        for pointer in &chain.redo {
            let frame = env.store.frame(pointer, number).expect("a frame of the chain");
            task.state.redo(&frame.delta, pointer).expect("a delta is redone");
            env.hit("a delta was redone");
            env.point("mid-restore")?;
        }
        let seq = env.store.frame(pointer, number).map_or(0, |frame| frame.seq);
        task.seq = task.seq.max(seq);
        task.applied = pointer.to_owned();
        Ok(task)
    }

    fn fetch(&self, base: Option<&Path>, number: usize) -> sandbar::state::TaskState {
        let name = task_name(number);
        let Some(base) = base else {
            self.home.forget(&name).expect("local files go");
            return self.home.task(&name).expect("an empty state");
        };
        let files = self.home.scratch();
        std::fs::create_dir_all(&files).expect("a folder");
        for entry in std::fs::read_dir(base).expect("a base").flatten() {
            std::fs::copy(entry.path(), files.join(entry.file_name())).expect("a copy");
        }
        self.home.install(&name, &files).expect("a base is installed")
    }
}

/// I2: the state is the fold of the records below the offsets that it goes on at.
pub(crate) fn verify(env: &Env, number: usize, task: &mut Task) {
    let (mut keys, mut values) = (Column::default(), Column::default());
    for partition in 0..PARTITIONS {
        keys.clear();
        (0..KEYS).for_each(|index| keys.push(Some(&key(partition, index))));
        task.state
            .values(counts(), &keys, &mut values)
            .expect("the state is read");
        let found: Vec<u32> = (0..KEYS).map(|index| count_of(values.get(index))).collect();
        let due = env.broker.fold((number, partition), task.next[partition]);
        assert_eq!(
            found, due,
            "I2: task {number}, partition {partition} at {}: {}",
            task.next[partition], task.applied
        );
    }
    assert!(
        task.state.applied().map_or_else(|| first(number), str::to_owned) == task.applied,
        "I10"
    );
}
