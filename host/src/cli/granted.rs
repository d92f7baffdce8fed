//! What a process that a daemon started does differently: it is shut in, and reads the pipeline file under its grant.

use std::path::Path;

use crate::config::Pipeline;
use crate::error::Result;
use crate::process::grant;
use crate::process::isolation;
use crate::spec;

/// Takes the grant, and shuts the process in. Before anything else: it has one thread yet.
///
/// # Errors
/// `Invalid`: there is no grant. `Failed`: the walls that are required cannot be built.
pub fn enter() -> Result<()> {
    isolation::enter(grant::take()?)
}

/// Reads and checks a pipeline file; a process that was granted something connects to its brokers alone from then on.
///
/// # Errors
/// Those of [`spec::load`]. `Failed`: the wall around ports cannot be built.
pub(super) fn load(path: &Path, sets: &[String]) -> Result<Pipeline> {
    let pipeline = spec::load(path, sets)?;
    if grant::granted().is_some() {
        isolation::connect_only(&pipeline)?;
    }
    Ok(pipeline)
}

/// What listens goes on; nothing else begins to, if this process was granted something.
///
/// # Errors
/// `Failed`: the wall cannot be built.
pub(super) fn keep_doors_shut() -> Result<()> {
    match grant::granted() {
        Some(_) => isolation::keep_doors_shut(),
        None => Ok(()),
    }
}
