//! Counts what the process of a pipeline uses, for the report and for the quotas that are not its own to keep.

use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;

use super::home::{PipelineHome, RunCard};
use super::process::{ProcessStatus, StartOrder};
use super::used::{CountedUse, Excess, ProcessUse, bytes_below};
use crate::means::UsageDelta;
use crate::model::names::Name;

/// How often it is looked how much a pipeline keeps on the disk.
const LOOK_AT_DISK: Duration = Duration::from_secs(30);

/// What a pipeline used since the last time that it was told.
#[derive(Debug)]
pub struct PipelineUse {
    /// Whose it is.
    pub tenant: Name,
    /// Its name.
    pub pipeline: Name,
    /// What it used.
    pub used: UsageDelta,
}

/// Counts for one pipeline.
pub(super) struct Meter {
    tenant: Name,
    pipeline: Name,
    told: UnboundedSender<PipelineUse>,
    /// Bytes that it keeps on the disk.
    state: u64,
    /// Until when its state is counted; `None`: this daemon has seen nothing of the process yet.
    state_until: Option<Instant>,
    next_look: Option<Instant>,
}

impl Meter {
    pub(super) fn new(tenant: Name, pipeline: Name, told: UnboundedSender<PipelineUse>) -> Self {
        Self {
            tenant,
            pipeline,
            told,
            state: 0,
            state_until: None,
            next_look: None,
        }
    }

    /// A process is about to start: from now on it is counted.
    pub(super) fn begin(&mut self) -> CountedUse {
        self.state_until = Some(Instant::now());
        CountedUse::default()
    }

    /// Counts what a process used since its card says, and says if that is more than it may use.
    pub(super) async fn look(
        &mut self,
        home: &PipelineHome,
        card: &mut RunCard,
        order: &StartOrder,
        (pid, says): (u32, &ProcessStatus),
    ) -> Option<Excess> {
        let used = ProcessUse::of(pid)?;
        self.look_at_disk(home).await;
        self.count(
            home,
            card,
            CountedUse {
                cpu_ms: used.cpu_ms,
                records_in: says.records_in,
                records_out: says.records_out,
                bytes_in: says.bytes_in,
                bytes_out: says.bytes_out,
            },
        );
        let limits = &order.run.limits;
        let memory = excess("pipeline-memory", "memory", used.memory, limits.memory, false);
        memory.or_else(|| {
            excess(
                "pipeline-state",
                "state and checkpoints",
                self.state,
                limits.state,
                true,
            )
        })
    }

    /// Writes down what was counted and tells what is new of it, in this order: a daemon that dies between the two
    /// tells it never, and none tells it twice.
    fn count(&mut self, home: &PipelineHome, card: &mut RunCard, now: CountedUse) {
        let before = card.counted.replace(now);
        if let Err(error) = home.write_card(card) {
            // A later look counts it too.
            card.counted = before;
            tracing::warn!(pipeline = %self.pipeline, %error, "what it used cannot be written down");
            return;
        }
        let until = Instant::now();
        let since = self.state_until.replace(until).unwrap_or(until);
        let Some(before) = before else { return };
        let _nobody_counts_any_more = self.told.send(PipelineUse {
            tenant: self.tenant.clone(),
            pipeline: self.pipeline.clone(),
            used: UsageDelta {
                state_byte_seconds: byte_seconds(self.state, until.duration_since(since)),
                ..now.since(&before)
            },
        });
    }

    async fn look_at_disk(&mut self, home: &PipelineHome) {
        if self.next_look.is_some_and(|next| Instant::now() < next) {
            return;
        }
        self.next_look = Some(Instant::now() + LOOK_AT_DISK);
        let folder = home.folder().to_owned();
        match tokio::task::spawn_blocking(move || bytes_below(&folder)).await {
            Ok(Ok(bytes)) => self.state = bytes,
            Ok(Err(error)) => tracing::warn!(pipeline = %self.pipeline, %error, "nobody knows how much it keeps"),
            Err(_the_daemon_ends) => {}
        }
    }
}

fn byte_seconds(bytes: u64, lasted: Duration) -> u64 {
    u64::try_from(u128::from(bytes) * lasted.as_millis() / 1000).unwrap_or(u64::MAX)
}

fn excess(quota: &str, what: &str, has: u64, most: Option<u64>, is_in_order: bool) -> Option<Excess> {
    let most = most.filter(|most| has > *most)?;
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    Some(Excess {
        why: format!(
            "it has {:.1} MiB of {what}, and the tenant's quota `{quota}` is {:.1} MiB",
            mib(has),
            mib(most)
        ),
        is_in_order,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_more_than_the_quota_is_told_with_its_figures() {
        assert_eq!(excess("pipeline-memory", "memory", 5, None, false), None);
        assert_eq!(excess("pipeline-memory", "memory", 5, Some(5), false), None);
        let told = excess("pipeline-memory", "memory", 3 << 20, Some(1 << 20), false).unwrap();
        assert_eq!(
            told.why,
            "it has 3.0 MiB of memory, and the tenant's quota `pipeline-memory` is 1.0 MiB"
        );
    }

    #[test]
    fn state_counts_by_the_time_that_it_is_there() {
        assert_eq!(byte_seconds(1000, Duration::from_millis(2500)), 2500);
        assert_eq!(byte_seconds(u64::MAX, Duration::from_secs(60)), u64::MAX);
    }

    #[test]
    fn a_process_is_counted_from_its_begin_on_and_once_whichever_daemon_looks() {
        let folder = tempfile::tempdir().unwrap();
        let home =
            PipelineHome::open(folder.path().join("p"), folder.path().join("s/s"), folder.path().into()).unwrap();
        let (told, mut uses) = tokio::sync::mpsc::unbounded_channel();
        let daemon = || Meter::new("team".parse().unwrap(), "views".parse().unwrap(), told.clone());
        let did = |records_in| CountedUse {
            records_in,
            ..CountedUse::default()
        };
        let mut all = || -> Vec<u64> {
            let each = std::iter::from_fn(|| uses.try_recv().ok());
            each.map(|one| one.used.records_in).collect()
        };
        let mut first = daemon();
        let mut card = RunCard {
            counted: Some(first.begin()),
            ..RunCard::default()
        };
        first.count(&home, &mut card, did(10));
        first.count(&home, &mut card, did(12));
        assert_eq!(all(), [10, 2], "what was before the first look is counted");
        daemon().count(&home, &mut home.card(), did(17));
        assert_eq!(all(), [5], "the next daemon goes on");
        // A card of a daemon that wrote down nothing: who knows what it told.
        let mut second = daemon();
        let mut unknown = RunCard::default();
        second.count(&home, &mut unknown, did(40));
        second.count(&home, &mut unknown, did(41));
        assert_eq!(all(), [1]);
        // What cannot be written down is told when it can.
        let elsewhere =
            PipelineHome::open(folder.path().join("q"), folder.path().join("s/s"), folder.path().into()).unwrap();
        std::fs::remove_dir(elsewhere.folder()).unwrap();
        second.count(&elsewhere, &mut unknown, did(43));
        assert_eq!(all(), [0; 0]);
        second.count(&home, &mut unknown, did(45));
        assert_eq!(all(), [4]);
    }
}
