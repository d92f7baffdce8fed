//! Counts what the process of a pipeline uses, for the report and for the quotas that are not its own to keep.

use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;

use super::home::PipelineHome;
use super::process::{ProcessStatus, StartOrder};
use super::used::{Excess, ProcessUse, bytes_below};
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
    last: Option<Counted>,
    state: u64,
    next_look: Option<Instant>,
}

/// What was counted of a process when it was looked at last.
#[derive(Debug, Clone, Copy)]
struct Counted {
    pid: u32,
    at: Instant,
    cpu_ms: u64,
    records_in: u64,
    records_out: u64,
    bytes_in: u64,
    bytes_out: u64,
}

impl Meter {
    pub(super) fn new(tenant: Name, pipeline: Name, told: UnboundedSender<PipelineUse>) -> Self {
        Self {
            tenant,
            pipeline,
            told,
            last: None,
            state: 0,
            next_look: None,
        }
    }

    /// Counts what a process used since it was looked at last, and says if that is more than it may use.
    pub(super) async fn look(
        &mut self,
        home: &PipelineHome,
        order: &StartOrder,
        pid: u32,
        says: &ProcessStatus,
    ) -> Option<Excess> {
        let used = ProcessUse::of(pid)?;
        self.look_at_disk(home).await;
        let now = Counted {
            pid,
            at: Instant::now(),
            cpu_ms: used.cpu_ms,
            records_in: says.records_in,
            records_out: says.records_out,
            bytes_in: says.bytes_in,
            bytes_out: says.bytes_out,
        };
        // What was before the first look was counted by a daemon before this one, or begins with it.
        let before = self.last.replace(now).filter(|before| before.pid == pid);
        if let Some(before) = before {
            let _nobody_counts_any_more = self.told.send(PipelineUse {
                tenant: self.tenant.clone(),
                pipeline: self.pipeline.clone(),
                used: now.since(&before, self.state),
            });
        }
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

impl Counted {
    fn since(&self, before: &Self, state: u64) -> UsageDelta {
        UsageDelta {
            cpu_ms: self.cpu_ms.saturating_sub(before.cpu_ms),
            records_in: self.records_in.saturating_sub(before.records_in),
            records_out: self.records_out.saturating_sub(before.records_out),
            bytes_in: self.bytes_in.saturating_sub(before.bytes_in),
            bytes_out: self.bytes_out.saturating_sub(before.bytes_out),
            state_byte_seconds: u64::try_from(u128::from(state) * self.at.duration_since(before.at).as_millis() / 1000)
                .unwrap_or(u64::MAX),
        }
    }
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
        let counted = |at, cpu_ms| Counted {
            pid: 1,
            at,
            cpu_ms,
            records_in: 10,
            records_out: 0,
            bytes_in: 0,
            bytes_out: 7,
        };
        let began = Instant::now();
        let before = counted(began, 5);
        let now = counted(began + Duration::from_millis(2500), 9);
        let used = now.since(&before, 1000);
        assert_eq!((used.cpu_ms, used.records_in, used.state_byte_seconds), (4, 0, 2500));
        // A process that claims less than before took nothing back.
        assert_eq!(before.since(&now, 0).cpu_ms, 0);
    }
}
