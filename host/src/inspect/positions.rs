//! The positions of a pipeline's sources, as the command line shows and sets them.

use crate::checkpoint::bundle::ManifestEntry;
use crate::config::Pipeline;
use crate::error::Result;
use crate::kafka::group_offsets::{self, CommittedPosition, Position, To};
use crate::runtime::{kafka, newest, offsets_in_checkpoint};
use crate::topology::kafka_subtopologies;

/// The positions of all Kafka sources beside the range of their logs: the groups', or those of the newest checkpoints
/// if they are the truth.
///
/// # Errors
/// `Kafka`: a cluster cannot be asked; `Corrupt`: the checkpoints cannot be read.
pub fn positions(pipeline: &Pipeline) -> Result<Vec<Position>> {
    let sources = kafka(pipeline);
    let mut positions = group_offsets::read(&sources)?;
    if !offsets_in_checkpoint(pipeline) {
        return Ok(positions);
    }
    let newest = newest(pipeline, &sources)?;
    for position in &mut positions {
        let at = &position.partition;
        let held = |entry: &ManifestEntry| entry.offsets.get(&*at.topic)?.get(&at.partition).copied();
        let of_source = |entry: &ManifestEntry| entry.task.starts_with(&format!("{}/", position.source));
        // A task is named after the first of the sources that meet in it.
        let (own, met): (Vec<_>, Vec<_>) = newest
            .iter()
            .map(|(_, entry)| entry)
            .partition(|entry| of_source(entry));
        let found = own.into_iter().chain(met).find_map(held);
        position.committed = found.map(|offset| CommittedPosition {
            offset,
            ours: true,
            time: None,
        });
    }
    Ok(positions)
}

/// Sets the positions of the Kafka sources while nobody is in their groups, with no state, and returns them as they are
/// afterwards.
///
/// # Errors
/// `Kafka`: a group has members, or a cluster cannot be asked.
pub fn set_positions(pipeline: &Pipeline, to: &To) -> Result<Vec<Position>> {
    group_offsets::set(&kafka_subtopologies(pipeline), to)
}
