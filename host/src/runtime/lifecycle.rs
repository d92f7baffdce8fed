//! The life of a run: it processes until it is asked to stop or has nothing left to read, and tells what it does on the
//! way.

use crate::clock;
use crate::record::TopicPartition;
use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// A request to stop, seen by every worker at its next batch boundary, and one to drain before. Neither can be taken
/// back; a stop ends a drain where it is.
#[derive(Debug, Default)]
pub struct StopRequest {
    since: OnceLock<Instant>,
    drains: AtomicBool,
    /// For whoever sleeps until then.
    sleep: Mutex<()>,
    asked: Condvar,
}

impl StopRequest {
    /// Asks the run to read nothing any more, to end time for all its tasks, and to end when what comes of that is
    /// committed. That takes as long as it takes.
    pub fn request_drain(&self) {
        self.drains.store(true, Ordering::Relaxed);
    }

    /// Whether it was asked to drain.
    pub fn is_draining(&self) -> bool {
        self.drains.load(Ordering::Relaxed)
    }

    /// Asks the run to finish its batches, commit, and leave; whether it had been asked before.
    pub fn request(&self) -> bool {
        let was_asked = self.since.set(clock::now()).is_err();
        let _nobody_falls_asleep_meanwhile = self.sleep.lock();
        self.asked.notify_all();
        was_asked
    }

    /// Sleeps for so long, or until it was asked to stop; whether it was.
    pub fn sleep(&self, span: Duration) -> bool {
        let awake = self.sleep.lock().unwrap_or_else(PoisonError::into_inner);
        let _whoever_woke_it = self.asked.wait_timeout_while(awake, span, |()| !self.is_requested());
        self.is_requested()
    }

    /// Whether it was asked to stop.
    pub fn is_requested(&self) -> bool {
        self.since.get().is_some()
    }

    /// How long ago it was asked to stop; `None`: it was not.
    pub fn since(&self) -> Option<Duration> {
        self.since.get().map(|since| clock::now().duration_since(*since))
    }

    /// Whether it was asked to stop longer than `patience` ago.
    pub fn is_overdue(&self, patience: Duration) -> bool {
        self.since
            .get()
            .is_some_and(|since| clock::now().duration_since(*since) >= patience)
    }

    /// What is left of `limit` since it was asked to stop; all of it if nobody asked.
    pub fn left(&self, limit: Duration) -> Duration {
        self.since
            .get()
            .map_or(limit, |since| limit.saturating_sub(clock::now().duration_since(*since)))
    }
}

/// An offset that somebody else committed to the group, and that a fixed start passes over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct PassedOver {
    /// The offset.
    pub offset: i64,
    /// The setting that would begin there.
    pub used_by: String,
}

impl PassedOver {
    pub(super) fn new(offset: i64) -> Self {
        Self {
            offset,
            used_by: "start = \"group-offsets\"".to_owned(),
        }
    }
}

/// What a run tells while it runs. `-o json` prints each as one object; its `event` names it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum RunEvent {
    /// Where a partition starts, and why.
    Start {
        /// The source's name.
        source: String,
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// Offset of the first record to read.
        from: i64,
        /// Where that number came from.
        origin: String,
        /// Offset at which the run ends, exclusive.
        stop: Option<i64>,
        /// What the group holds there and the settings do not use.
        #[serde(skip_serializing_if = "Option::is_none")]
        passed_over: Option<PassedOver>,
    },
    /// What a crash would mean for a source.
    AfterCrash {
        /// The source's name.
        source: String,
        /// A sentence.
        meaning: String,
    },
    /// A worker's partitions changed.
    Rebalance {
        /// The worker, from 0.
        worker: usize,
        /// Partitions that it got.
        assigned: Vec<String>,
        /// Partitions that it gave up after a commit.
        revoked: Vec<String>,
        /// Partitions that somebody else has already.
        lost: Vec<String>,
    },
    /// A task's state is fetched from the checkpoints, and that takes more than a second. Told once a second, and at
    /// the end.
    Restore {
        /// The task.
        task: String,
        /// Bytes that are there.
        done: u64,
        /// Bytes in all.
        total: u64,
        /// How long it has taken so far.
        seconds: f64,
    },
    /// Positions were committed, after all outputs before them were acknowledged.
    Checkpoint {
        /// The worker, from 0.
        worker: usize,
        /// How many partitions' positions.
        partitions: usize,
        /// From its start to its end; `None`: positions only.
        #[serde(skip_serializing_if = "Option::is_none")]
        seconds: Option<f64>,
    },
    /// A commit failed; the next one supersedes it.
    CommitFailed {
        /// The worker, from 0.
        worker: usize,
        /// Why.
        reason: String,
    },
    /// A cluster is out of reach; the run waits.
    Disconnected {
        /// Why.
        reason: String,
    },
    /// The cluster is back.
    Connected,
    /// The run ended.
    Stopped(StoppedRun),
}

/// How a run ended that did not fail.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct StoppedRun {
    /// `finished`: every input is done. `drained`: it was asked to drain. `signal`: it was asked to stop, by a signal
    /// or by `sandbar stop`.
    pub reason: String,
    /// Records read.
    pub records_in: u64,
    /// Records handed to sinks.
    pub records_out: u64,
    /// How long it ran.
    pub seconds: f64,
}

impl RunEvent {
    /// A rebalance of `worker`; names are written `topic/partition`.
    pub fn rebalance(
        worker: usize,
        assigned: &[TopicPartition],
        revoked: &[TopicPartition],
        lost: &[TopicPartition],
    ) -> Self {
        let names = |partitions: &[TopicPartition]| partitions.iter().map(ToString::to_string).collect();
        RunEvent::Rebalance {
            worker,
            assigned: names(assigned),
            revoked: names(revoked),
            lost: names(lost),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_is_one_json_object_that_names_its_event() {
        let notice = RunEvent::Start {
            source: "views".into(),
            topic: "views".into(),
            partition: 3,
            from: 4711,
            origin: "committed".into(),
            stop: None,
            passed_over: None,
        };
        let place = r#""source":"views","topic":"views","partition":3"#;
        assert_eq!(
            serde_json::to_string(&notice).unwrap(),
            format!(r#"{{"event":"start",{place},"from":4711,"origin":"committed","stop":null}}"#)
        );
        let passed_over = serde_json::to_string(&PassedOver::new(7)).unwrap();
        assert_eq!(passed_over, r#"{"offset":7,"used-by":"start = \"group-offsets\""}"#);
        let stopped = RunEvent::Stopped(StoppedRun {
            reason: "finished".into(),
            records_in: 2,
            records_out: 1,
            seconds: 0.5,
        });
        assert_eq!(
            serde_json::to_string(&stopped).unwrap(),
            r#"{"event":"stopped","reason":"finished","records-in":2,"records-out":1,"seconds":0.5}"#
        );
    }

    #[test]
    fn a_stop_that_nobody_asked_for_is_never_overdue() {
        let stop = StopRequest::default();
        assert!(!stop.is_overdue(Duration::ZERO));
        stop.request_drain();
        assert!(
            stop.is_draining() && !stop.is_requested(),
            "a drain has no deadline, and a signal comes through"
        );
        assert_eq!(stop.left(Duration::from_secs(9)), Duration::from_secs(9));
        assert!(!stop.request() && stop.request());
        assert!(stop.left(Duration::from_secs(9)) <= Duration::from_secs(9));
        assert_eq!(stop.left(Duration::ZERO), Duration::ZERO);
        assert!(stop.is_requested() && stop.is_overdue(Duration::ZERO) && !stop.is_overdue(Duration::from_secs(3600)));
    }
}
