//! Every metric: its name, its unit, its meaning. Names are public; a change is a line in CHANGELOG.md.
//!
//! A worker keeps the handles of what it touches and adds to them once a batch. If `--http` is absent, nothing
//! records them.

use crate::pulse::Pulses;
use crate::record::TopicPartition;
use metrics::{
    Counter, Gauge, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64};
use std::sync::{Mutex, PoisonError};

/// Starts to record; a second call in a process finds the recorder taken and returns `None`.
pub fn install() -> Option<PrometheusHandle> {
    let seconds = [0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0];
    let bytes = [1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9];
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &seconds)
        .ok()?
        .set_buckets_for_metric(Matcher::Full("sandbar_checkpoint_bytes".to_owned()), &bytes)
        .ok()?
        .set_buckets_for_metric(Matcher::Full("sandbar_batch_memory_bytes".to_owned()), &bytes)
        .ok()?
        .install_recorder()
        .ok()?;
    describe();
    Some(handle)
}

fn describe() {
    describe_counter!("sandbar_records_in_total", "records read");
    describe_counter!(
        "sandbar_bytes_in_total",
        Unit::Bytes,
        "bytes of keys, values and headers read"
    );
    describe_counter!("sandbar_records_out_total", "records handed to a sink");
    describe_counter!(
        "sandbar_bytes_out_total",
        Unit::Bytes,
        "bytes of keys, values and headers handed to a sink"
    );
    describe_gauge!(
        "sandbar_lag_records",
        "records between the next one to process and the last stable offset"
    );
    describe_gauge!(
        "sandbar_event_time_lag_seconds",
        Unit::Seconds,
        "wall clock less the event time last read"
    );
    describe_gauge!("sandbar_current_offset", "offset of the next record to process");
    describe_gauge!("sandbar_committed_offset", "offset last committed");
    describe_counter!("sandbar_commits_total", "offset commits that succeeded");
    describe_counter!(
        "sandbar_commits_failed_total",
        "offset commits that failed; the next one supersedes"
    );
    describe_counter!("sandbar_rebalances_total", "assignments changed");
    describe_plugins();
}

fn describe_plugins() {
    describe_counter!("sandbar_plugin_calls_total", "calls into a plugin");
    describe_histogram!(
        "sandbar_plugin_call_seconds",
        Unit::Seconds,
        "time of the calls for one batch"
    );
    describe_gauge!(
        "sandbar_plugin_memory_bytes",
        Unit::Bytes,
        "linear memory of the instance"
    );
    describe_counter!("sandbar_plugin_faults_total", "traps and broken limits by kind");
    describe_counter!(
        "sandbar_plugin_instances_recycled_total",
        "instances dropped and made anew"
    );
    describe_histogram!(
        "sandbar_plugin_recycle_seconds",
        Unit::Seconds,
        "time in which new instances were made for one batch, if any were"
    );
    describe_counter!("sandbar_dead_letters_total", "records sent to the dead letters");
    describe_counter!(
        "sandbar_outputs_refused_total",
        "outputs that Kafka refused for good, and that on-refused left out or sent to the dead letters"
    );
    describe_counter!(
        "sandbar_records_skipped_total",
        "records that a plugin or on-error left out"
    );
    describe_time();
}

fn describe_time() {
    describe_counter!(
        "sandbar_event_time_missing_total",
        "records without event time at the pointer; Kafka's timestamp stands in"
    );
    describe_gauge!(
        "sandbar_watermark_lag_seconds",
        Unit::Seconds,
        "how far the watermark of a partition is behind the clock; only where something goes by event time"
    );
    describe_gauge!(
        "sandbar_watermark_held",
        "1 if the partition holds the time of its task back: others of it are ahead; 0 if not"
    );
    describe_gauge!(
        "sandbar_partition_idle",
        "1 if the partition brought nothing for idle-after and holds no time back; 0 if not"
    );
    describe_counter!(
        "sandbar_late_records_total",
        "records whose time was not after the watermark when they came"
    );
    describe_counter!("sandbar_timers_fired_total", "timers that fired");
    describe_counter!(
        "sandbar_event_time_bad_total",
        "records whose event time is before 1970, behind year 9999, or too far ahead of the clock"
    );
    describe_batches();
}

fn describe_batches() {
    describe_gauge!(
        "sandbar_batch_memory_limit_bytes",
        Unit::Bytes,
        "memory of a worker that a batch may take on its way: batch-memory"
    );
    describe_histogram!(
        "sandbar_batch_memory_bytes",
        Unit::Bytes,
        "memory that a batch, or a piece of one, took on its way"
    );
    describe_counter!(
        "sandbar_batches_cut_total",
        "times that a batch, or a piece of one, would have taken more than batch-memory and was cut"
    );
    describe_checkpoints();
}

fn describe_checkpoints() {
    describe_histogram!(
        "sandbar_checkpoint_seconds",
        Unit::Seconds,
        "from the sealing of a checkpoint to its end, while nothing is processed"
    );
    describe_histogram!(
        "sandbar_checkpoint_bytes",
        Unit::Bytes,
        "state changes that a checkpoint stored"
    );
    describe_gauge!(
        "sandbar_checkpoint_age_seconds",
        Unit::Seconds,
        "time since a task was committed"
    );
    describe_gauge!("sandbar_state_keys", "entries of a task's state, as estimated");
    describe_gauge!("sandbar_state_bytes", Unit::Bytes, "local files of a task's state");
}

/// What a process did so far, for the terminal, `/health` and `/ready`.
#[derive(Debug, Default)]
pub struct Progress {
    /// Records read.
    pub records_in: AtomicU64,
    /// Records handed to sinks.
    pub records_out: AtomicU64,
    /// Bytes of keys, values and headers read.
    pub bytes_in: AtomicU64,
    /// The same of what was handed to sinks.
    pub bytes_out: AtomicU64,
    /// Records still to read, over all partitions of all workers.
    pub lag: AtomicI64,
    /// Whether a cluster is out of reach.
    pub disconnected: AtomicBool,
    /// Whether positions are resolved and the workers run.
    pub running: AtomicBool,
    /// Whether the workers turn.
    pub pulses: Pulses,
    asks_again: Mutex<Option<String>>,
    held_at: Mutex<Option<&'static str>>,
}

impl Progress {
    /// A plugin asks for its call again, with these words; or, with none, got on.
    pub fn tell_asks_again(&self, words: Option<String>) {
        *self.asks_again.lock().unwrap_or_else(PoisonError::into_inner) = words;
    }

    /// The words of a plugin that asks for its call again, so that nothing of its task goes on.
    pub fn asks_again(&self) -> Option<String> {
        self.asks_again.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The run is held at this quota: nothing is read until that is made up for; or, with none, goes on.
    pub fn tell_held_at(&self, quota: Option<&'static str>) {
        *self.held_at.lock().unwrap_or_else(PoisonError::into_inner) = quota;
    }

    /// The quota that the run is held at.
    pub fn held_at(&self) -> Option<&'static str> {
        *self.held_at.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Handles for one partition of a source.
pub struct PartitionMetrics {
    /// Records read.
    pub records: Counter,
    /// Bytes read.
    pub bytes: Counter,
    /// Records behind.
    pub lag: Gauge,
    /// Seconds of event time behind the wall clock.
    pub event_time_lag: Gauge,
    /// Its labels, for what is told only if something goes by event time.
    labels: [(&'static str, String); 4],
    /// Next offset.
    pub current: Gauge,
    /// Committed offset.
    pub committed: Gauge,
}

impl PartitionMetrics {
    /// Tells where the time of the partition stands: seconds behind the clock, whether it is idle, and whether it
    /// holds its task back.
    pub fn time(&self, lag: Option<f64>, is_idle: bool, holds: bool) {
        let flag = |is_set: bool| if is_set { 1.0 } else { 0.0 };
        if let Some(lag) = lag {
            gauge!("sandbar_watermark_lag_seconds", &self.labels).set(lag);
        }
        gauge!("sandbar_partition_idle", &self.labels).set(flag(is_idle));
        gauge!("sandbar_watermark_held", &self.labels).set(flag(holds));
    }
}

/// The handles of partition `of` of a source.
pub fn partition(pipeline: &str, source: &str, of: &TopicPartition) -> PartitionMetrics {
    let labels = [
        ("pipeline", pipeline.to_owned()),
        ("source", source.to_owned()),
        ("topic", of.topic.to_string()),
        ("partition", of.partition.to_string()),
    ];
    PartitionMetrics {
        records: counter!("sandbar_records_in_total", &labels),
        bytes: counter!("sandbar_bytes_in_total", &labels),
        lag: gauge!("sandbar_lag_records", &labels),
        event_time_lag: gauge!("sandbar_event_time_lag_seconds", &labels),
        labels: labels.clone(),
        current: gauge!("sandbar_current_offset", &labels),
        committed: gauge!("sandbar_committed_offset", &labels),
    }
}

/// Handles for one sink.
pub struct SinkMetrics {
    /// Records handed over.
    pub records: Counter,
    /// Bytes handed over.
    pub bytes: Counter,
    /// Outputs that Kafka refused for good.
    pub refused: Counter,
}

/// The handles of a sink.
pub fn sink(pipeline: &str, sink: &str) -> SinkMetrics {
    let labels = [("pipeline", pipeline.to_owned()), ("sink", sink.to_owned())];
    SinkMetrics {
        records: counter!("sandbar_records_out_total", &labels),
        bytes: counter!("sandbar_bytes_out_total", &labels),
        refused: counter!("sandbar_outputs_refused_total", &labels),
    }
}

/// Handles for one operator.
pub struct OperatorMetrics {
    /// Calls.
    pub calls: Counter,
    /// Seconds of the calls for one batch.
    pub call_seconds: Histogram,
    /// Bytes of linear memory.
    pub memory: Gauge,
    /// Instances made anew.
    pub recycled: Counter,
    /// Seconds in which they were made, for one batch.
    pub recycle_seconds: Histogram,
    /// Traps.
    pub traps: Counter,
    /// Calls past their deadline.
    pub deadlines: Counter,
    /// Calls that asked for more memory than their limit.
    pub memory_limits: Counter,
    /// Outcomes that broke the interface.
    pub bad_outcomes: Counter,
    /// Timers that fired.
    pub timers_fired: Counter,
    /// Records sent to the dead letters.
    pub dead_letters: Counter,
    /// Records left out.
    pub skipped: Counter,
}

/// The handles of an operator.
pub fn operator(pipeline: &str, operator: &str) -> OperatorMetrics {
    let labels = [("pipeline", pipeline.to_owned()), ("operator", operator.to_owned())];
    let fault = |kind: &str| {
        let [pipeline, operator] = labels.clone();
        counter!(
            "sandbar_plugin_faults_total",
            &[pipeline, operator, ("kind", kind.to_owned())]
        )
    };
    OperatorMetrics {
        calls: counter!("sandbar_plugin_calls_total", &labels),
        call_seconds: histogram!("sandbar_plugin_call_seconds", &labels),
        memory: gauge!("sandbar_plugin_memory_bytes", &labels),
        recycled: counter!("sandbar_plugin_instances_recycled_total", &labels),
        recycle_seconds: histogram!("sandbar_plugin_recycle_seconds", &labels),
        traps: fault("trap"),
        deadlines: fault("deadline"),
        memory_limits: fault("memory"),
        bad_outcomes: fault("bad-outcome"),
        timers_fired: counter!("sandbar_timers_fired_total", &labels),
        dead_letters: counter!("sandbar_dead_letters_total", &labels),
        skipped: counter!("sandbar_records_skipped_total", &labels),
    }
}

/// Handles of a worker.
pub struct WorkerMetrics {
    /// Commits that succeeded.
    pub commits: Counter,
    /// Commits that failed.
    pub commits_failed: Counter,
    /// Seconds of a checkpoint.
    pub checkpoint_seconds: Histogram,
    /// Bytes of changes in a checkpoint.
    pub checkpoint_bytes: Histogram,
    /// Assignments changed.
    pub rebalances: Counter,
    /// Records without event time at the pointer.
    pub event_time_missing: Counter,
    /// Records whose event time cannot be.
    pub bad_times: Counter,
    /// Records that came behind the watermark.
    pub late: Counter,
    /// Bytes that a batch may take.
    pub batch_limit: Gauge,
    /// Bytes that a batch took.
    pub batch_bytes: Histogram,
    /// Batches that were cut.
    pub batches_cut: Counter,
}

/// The handles of the workers of a pipeline.
pub fn worker(pipeline: &str) -> WorkerMetrics {
    let labels = [("pipeline", pipeline.to_owned())];
    WorkerMetrics {
        commits: counter!("sandbar_commits_total", &labels),
        commits_failed: counter!("sandbar_commits_failed_total", &labels),
        checkpoint_seconds: histogram!("sandbar_checkpoint_seconds", &labels),
        checkpoint_bytes: histogram!("sandbar_checkpoint_bytes", &labels),
        rebalances: counter!("sandbar_rebalances_total", &labels),
        event_time_missing: counter!("sandbar_event_time_missing_total", &labels),
        bad_times: counter!("sandbar_event_time_bad_total", &labels),
        late: counter!("sandbar_late_records_total", &labels),
        batch_limit: gauge!("sandbar_batch_memory_limit_bytes", &labels),
        batch_bytes: histogram!("sandbar_batch_memory_bytes", &labels),
        batches_cut: counter!("sandbar_batches_cut_total", &labels),
    }
}

/// Handles of a task.
pub struct TaskMetrics {
    /// Seconds since its last commit.
    pub age: Gauge,
    /// Entries of its state.
    pub keys: Gauge,
    /// Bytes of its local files.
    pub bytes: Gauge,
}

/// The handles of a task.
pub fn task(pipeline: &str, task: &str) -> TaskMetrics {
    let labels = [("pipeline", pipeline.to_owned()), ("task", task.to_owned())];
    TaskMetrics {
        age: gauge!("sandbar_checkpoint_age_seconds", &labels),
        keys: gauge!("sandbar_state_keys", &labels),
        bytes: gauge!("sandbar_state_bytes", &labels),
    }
}
