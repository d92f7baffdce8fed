//! Ends the process when one of its workers stands still: a disk that hangs, a store that never answers, a defect. Its
//! partitions then go to others, and what it had not committed they do again.
//!
//! Always: no bounded wait of a worker is as long as the patience here, and the group's patience is longer, so that the
//! process says why it ends before the group takes its partitions.

use super::worker::RunShared;
use crate::clock;
use crate::config::{Pipeline, Source};
use crate::error::{Error, Kind, Result};
use crate::kill;
use crate::metrics::Progress;
use crate::pulse::{Standstill, Watch};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// How long a worker may stand still at the least.
const LEAST: Duration = Duration::from_secs(120);
/// What a turn may take beside a plugin's calls: commits, look-ups and restores go in pieces that are shorter.
const BESIDE_CALLS: Duration = Duration::from_secs(60);
/// How often the watchdog looks.
const LOOK: Duration = Duration::from_secs(1);
/// How long the other workers may take to leave after that. Then the process ends as if it were killed.
const END: Duration = Duration::from_secs(15);

/// How long a worker may stand still. A call that is cut off is made once more, in a fresh instance.
pub(super) fn patience(pipeline: &Pipeline) -> Duration {
    let calls = pipeline.operators.iter().map(|operator| operator.limits.call_time);
    let longest = calls.max().unwrap_or_default();
    kill::every("SANDBAR_STANDSTILL_MS", LEAST.max(longest * 3 + BESIDE_CALLS))
}

/// How long the group waits for a worker that does not ask it for anything: five minutes, if no call may take long.
pub(super) fn poll_interval(pipeline: &Pipeline) -> Duration {
    patience(pipeline) * 2 + BESIDE_CALLS
}

/// Watches the workers until the run is over, or one of them stands still: then the run fails, and the others leave.
/// If only files are read, no group waits for anybody, and a person may look at the output for as long as they like.
pub(super) fn start(shared: &RunShared) -> Result<()> {
    let is_in_group = |source: &Source| matches!(source, Source::Kafka(_));
    if !shared.pipeline.sources.iter().any(is_in_group) {
        return Ok(());
    }
    let patience = patience(&shared.pipeline);
    let progress = Arc::downgrade(&shared.progress);
    // Not all of what is shared: the run is over once nobody can tell anything any more.
    let (failure, stop) = (shared.failure.clone(), shared.stop.clone());
    let watching = std::thread::Builder::new().name("watchdog".to_owned());
    let watch = move || {
        let Some(seen) = watch(&progress, patience) else { return };
        let _an_earlier_one_stays = failure.set(stands_still(seen));
        stop.request();
        std::thread::sleep(END);
        // Whoever ends a process in order waits for threads that wait for that disk.
        std::process::abort();
    };
    watching
        .spawn(watch)
        .map(drop)
        .map_err(|error| Error::new(Kind::Failed, "failed to start the watchdog", error))
}

/// The worker that stood still for too long; `None`: the run is over.
fn watch(progress: &Weak<Progress>, patience: Duration) -> Option<Standstill> {
    let look = LOOK.min(patience / 8);
    let (mut watch, mut looked) = (Watch::default(), clock::now());
    loop {
        std::thread::sleep(look);
        let progress = progress.upgrade()?;
        let now = clock::now();
        // A process that was stopped and goes on has had no time to turn.
        let standstill = watch.look(&progress.pulses, now.duration_since(looked).min(look * 2));
        looked = now;
        progress
            .pulses
            .tell(standstill.filter(|seen| seen.still >= patience / 2));
        if let Some(seen) = standstill.filter(|seen| seen.still >= patience) {
            return Some(seen);
        }
    }
}

fn stands_still(seen: Standstill) -> Error {
    let Standstill { worker, still } = seen;
    Error::new(
        Kind::TimedOut,
        format!("failed to go on: worker {worker} stands still"),
        format!(
            "it has not turned for {} s: it waits for the disk of state.dir, the checkpoint store, a plugin, or a \
             sink that is a file or a pipe",
            still.as_secs()
        ),
    )
    .hint("nothing is lost: the next start goes on at the last commit; see whether that disk and that store answer")
}
