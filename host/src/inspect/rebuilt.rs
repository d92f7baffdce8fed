//! The committed state of a pipeline, for whoever wants to look at it.

use crate::checkpoint::CheckpointStore;
use crate::config::Pipeline;
use crate::error::Result;
use crate::runtime;
use crate::state::{StateDirectory, TaskState, View};
use std::path::Path;

/// The committed state of a pipeline's tasks, built from its checkpoints beside what runs.
pub struct Rebuilt {
    tasks: Vec<TaskState>,
}

impl Rebuilt {
    /// Asks what is committed and builds it in the folder `into`, which the caller made and deletes.
    ///
    /// # Errors
    /// `Corrupt`: something in the store is missing or damaged; `Kafka`: a group cannot be read.
    pub fn build(pipeline: &Pipeline, into: &Path) -> Result<Self> {
        let Some(checkpoint) = &pipeline.checkpoint else {
            return Ok(Self { tasks: Vec::new() });
        };
        let store = CheckpointStore::look_into(&checkpoint.location, &pipeline.name)?;
        let home = StateDirectory::open(into, pipeline.state_memory)?;
        let committed = runtime::committed(pipeline)?.into_iter();
        let tasks = committed.map(|(pointer, _)| runtime::rebuild(&home, &store, &pointer));
        Ok(Self {
            tasks: tasks.collect::<Result<_>>()?,
        })
    }

    /// A view of each task, in the order of their names, while this lives.
    pub fn views(&self) -> Vec<View> {
        self.tasks.iter().map(TaskState::view).collect()
    }
}
