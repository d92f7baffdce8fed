//! Old checkpoints go while the workers work.

use super::committed::committed;
use super::lifecycle::StopRequest;
use crate::checkpoint::CheckpointStore;
use crate::config::Pipeline;
use crate::error::Result;
use crate::kill;
use std::time::Duration;

/// From one collection to the next.
const EVERY: Duration = Duration::from_secs(10 * 60);
/// Twice the time that brokers allow a transaction by default: whoever wrote an object that is older can commit it no
/// more.
const MIN_AGE: Duration = Duration::from_secs(2 * 15 * 60);

/// Deletes now and then what no committed pointer reaches any more, until the run is to stop. Every process of a
/// pipeline does it: what one of them listed before it read the pointers, nobody can commit any more.
pub(super) fn collect_until(stop: &StopRequest, pipeline: &Pipeline, store: &CheckpointStore) {
    let every = kill::every("SANDBAR_COLLECTION_MS", EVERY);
    loop {
        if stop.sleep(every) {
            return;
        }
        match collect(pipeline, store) {
            Ok(()) => {}
            Err(error) => tracing::warn!(%error, "old checkpoints stay for now"),
        }
    }
}

/// The pointers are read after the listing: a commit in between is seen, and its objects were not listed.
fn collect(pipeline: &Pipeline, store: &CheckpointStore) -> Result<()> {
    let Some(checkpoint) = &pipeline.checkpoint else {
        return Ok(());
    };
    let listed = store.list_for_collection()?;
    let pointers: Vec<_> = committed(pipeline)?.into_iter().map(|(pointer, _)| pointer).collect();
    let collected = listed.collect(&pointers, checkpoint.keep, MIN_AGE)?;
    tracing::debug!(
        objects = collected.objects,
        bytes = collected.bytes,
        "collected old checkpoints"
    );
    Ok(())
}
