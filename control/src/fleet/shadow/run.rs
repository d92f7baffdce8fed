//! A run of one version on the records of a canary: shut in and metered as any process of a pipeline.
//!
//! Never outlives whoever waits for it.

use std::io::{self, Write as _};
use std::time::Duration;

use serde_json::Value;
use tokio::process::Child;
use tokio::time::Instant;

use super::super::ending::Ending;
use super::super::home::{PipelineHome, RunCard};
use super::super::meter::Meter;
use super::super::process::{self, StartOrder};
use super::super::used::ProcessUse;
use crate::clock;
use crate::model::canary::CanaryRun;
use crate::model::names::Name;

/// How often it is looked at.
const LOOK: Duration = Duration::from_millis(100);
/// Bytes at the end of a log in which a process says how it ended.
const LAST_WORDS: u64 = 64 << 10;

/// A run that is to be made.
pub(super) struct ShadowRun<'a> {
    /// Whose pipeline's it is.
    pub(super) name: &'a Name,
    /// The version that it is of.
    pub(super) version: i64,
    /// Its own folder.
    pub(super) home: PipelineHome,
    /// The program, and what is granted.
    pub(super) start: StartOrder,
    /// Arguments besides.
    pub(super) more: Vec<String>,
    /// How long it may take.
    pub(super) limit: Duration,
    /// Counts what it uses.
    pub(super) meter: Meter,
}

/// A process that is killed when nobody waits for it any more.
struct KilledAtLast(Child);

impl Drop for KilledAtLast {
    fn drop(&mut self) {
        // One that has ended is no process any more.
        let _it_may_have_ended = self.0.start_kill();
    }
}

impl ShadowRun<'_> {
    /// Makes it; what it came to, or why it did not come to the end.
    ///
    /// # Errors
    /// It cannot be made on this machine.
    pub(super) async fn make(mut self, file: &str) -> io::Result<Result<CanaryRun, String>> {
        let Some(lock) = self.home.lock()? else {
            return Err(io::Error::other("another one is still there"));
        };
        self.home.write_file(file)?;
        // It compiles nothing itself, and this may be another program than the one that checked it before.
        let checked = process::check(&self.start.program, self.home.folder(), &self.start.check).await?;
        if let Err(problem) = checked.judge(self.name) {
            return Ok(Err(format!("{}: {}", problem.what, problem.why)));
        }
        let (began, since) = (clock::now(), Instant::now());
        let marker = Ending::marker(self.version, began);
        self.home.open_log()?.write_all(format!("{marker}\n").as_bytes())?;
        let mut card = RunCard {
            counted: Some(self.meter.begin()),
            ..RunCard::default()
        };
        let mut child = KilledAtLast(process::start(&self.home, &self.start, &self.more, lock)?);
        let mut run = CanaryRun::default();
        let status = loop {
            tokio::select! {
                ended = child.0.wait() => break ended?,
                () = tokio::time::sleep(LOOK) => {}
            }
            if since.elapsed() > self.limit {
                let seconds = self.limit.as_secs();
                return Ok(Err(format!(
                    "it fell behind: {seconds} s were not enough for the records"
                )));
            }
            if let Some(why) = self.look(&child.0, &mut card, &mut run).await {
                return Ok(Err(why));
            }
        };
        run.wall_ms = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
        let log = self.home.end_of_log(LAST_WORDS)?;
        Ok(match Ending::of(&log, began, Some(status)) {
            Ending::Finished => {
                run.records = records(&log).unwrap_or(run.records);
                Ok(run)
            }
            Ending::Stopped => Err("somebody asked its process to end".to_owned()),
            Ending::Failed { why, .. } => Err(why),
        })
    }

    /// Counts what it uses; why it is to be ended, if it uses more than it may.
    async fn look(&mut self, child: &Child, card: &mut RunCard, run: &mut CanaryRun) -> Option<String> {
        if let Err(error) = self.home.shorten_log() {
            tracing::warn!(folder = %self.home.folder().display(), %error, "failed to begin a log anew");
        }
        if let Some(used) = child.id().and_then(ProcessUse::of) {
            run.cpu_ms = used.cpu_ms;
        }
        let (pid, says) = process::ask(&self.home).await?;
        run.records = says.records_in;
        let excess = self.meter.look(&self.home, card, &self.start, (pid, &says)).await?;
        Some(excess.why)
    }
}

/// Records that a run read, as it told last.
fn records(log: &str) -> Option<u64> {
    let of = |line: &str| {
        let line: Value = serde_json::from_str(line).ok()?;
        (line["event"] == "stopped").then(|| line["records-in"].as_u64())?
    };
    log.lines().rev().find_map(of)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_run_read_is_what_it_told_last() {
        let log = "noise\n{\"event\":\"stopped\",\"records-in\":7}\n{\"event\":\"start\"}\nmore\n";
        assert_eq!(records(log), Some(7));
        assert_eq!(records("{\"event\":\"stopped\"}\n"), None);
    }
}
