//! The state of a task while a case runs: on disk, with the checkpoints that it can be brought back from.
//!
//! A checkpoint is what the engine makes of one: the overlay's delta, applied, and now and then a base. A restore
//! forgets the local files and builds them anew from these.

use crate::error::{Error, Kind, Result};
use crate::state::{StateDirectory, TaskState};
use std::fs;
use std::path::{Path, PathBuf};

/// Deltas behind a base, at most: so a restore is sometimes made of deltas alone, and sometimes of a base.
const DELTAS: usize = 4;

/// See the file's header.
pub(super) struct CaseTask {
    name: String,
    /// `None`: nothing is kept.
    pub(super) state: Option<TaskState>,
    checkpoints: u64,
    base: Option<PathBuf>,
    deltas: Vec<(Vec<u8>, String)>,
}

impl CaseTask {
    /// A task that begins; `home`: where its state lies, if it keeps any.
    pub(super) fn begin(name: String, home: Option<&StateDirectory>) -> Result<Self> {
        Ok(Self {
            state: home.map(|home| home.task(&name)).transpose()?,
            name,
            checkpoints: 0,
            base: None,
            deltas: Vec::new(),
        })
    }

    /// Commits what was changed.
    pub(super) fn checkpoint(&mut self, home: &StateDirectory) -> Result<()> {
        let Some(state) = &mut self.state else { return Ok(()) };
        let mut delta = Vec::new();
        state.delta(&mut delta);
        self.checkpoints += 1;
        let pointer = format!("{}@{}", self.name, self.checkpoints);
        state.apply(&pointer)?;
        self.deltas.push((delta, pointer));
        if self.deltas.len() > DELTAS {
            let base = home.scratch();
            state.snapshot(&base)?;
            self.forget_base();
            self.base = Some(base);
            self.deltas.clear();
        }
        Ok(())
    }

    /// Loses the local files, and builds them from the last checkpoint; what was changed since did not happen.
    pub(super) fn restore(&mut self, home: &StateDirectory) -> Result<()> {
        if self.state.take().is_none() {
            return Ok(());
        }
        let mut state = match &self.base {
            Some(base) => {
                let copy = home.scratch();
                copy_files(base, &copy)?;
                home.install(&self.name, &copy)?
            }
            None => {
                home.forget(&self.name)?;
                home.task(&self.name)?
            }
        };
        for (delta, pointer) in &self.deltas {
            state.redo(delta, pointer)?;
        }
        self.state = Some(state);
        Ok(())
    }

    fn forget_base(&mut self) {
        if let Some(base) = self.base.take() {
            let _what_is_left_goes_with_the_folder = fs::remove_dir_all(base);
        }
    }
}

fn copy_files(from: &Path, to: &Path) -> Result<()> {
    let copy = || {
        fs::create_dir(to)?;
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
        Ok(())
    };
    copy().map_err(|why: std::io::Error| {
        Error::new(
            Kind::Failed,
            format!("failed to copy a base from {}", from.display()),
            why,
        )
    })
}
