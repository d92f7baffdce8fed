//! One plugin at work: in the engine that `run` uses, with one task and its state on disk.
//!
//! Nothing is put out: outputs are counted, and dropped. The host's clock stands still, so that a plugin does the same
//! each time.

use super::records::BenchRecords;
use super::round::BenchRound;
use super::spent::Spent;
use crate::cases::{Subject, header};
use crate::clock;
use crate::config::{OnError, Pipeline, Target};
use crate::error::{Error, Kind, Result};
use crate::metrics::Progress;
use crate::plugin::{Operator, Stats};
use crate::record::{Records, TopicPartition};
use crate::runtime::{self, BatchTask, Done, MovedBy, Tasks};
use crate::sink::{self, Files, Writer};
use crate::state::{StateDirectory, TaskState};
use crate::topology;
use serde_json::Value;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How long a plugin may ask to be called again.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of the caches of its state, as a pipeline file has it if it says nothing.
const STATE_MEMORY: u64 = 64 << 20;
/// The task's name.
const TASK: &str = "bench/0";

/// How a plugin is placed.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Placing<'a> {
    /// Its configuration as JSON; empty: none.
    pub(super) config: &'a str,
    /// Time of one call, if it is not the usual one.
    pub(super) call_time: Option<Duration>,
}

/// How long a round lasts.
#[derive(Debug, Clone, Copy)]
pub(super) struct RoundLength {
    /// By the clock on the wall.
    pub(super) time: Duration,
    /// Records of it, at most.
    pub(super) records: u64,
}

/// See the file's header.
pub(super) struct BenchTask<'a> {
    name: String,
    records: &'a BenchRecords,
    engine: Tasks,
    writer: Writer,
    // Before the folder in which it lies, so that it is closed first.
    state: Option<TaskState>,
    _home: Option<StateDirectory>,
    /// One for each of the plugin's inputs.
    partitions: Vec<TopicPartition>,
    next_offsets: Vec<i64>,
    batch: Records,
    batches: u64,
    processed: u64,
    commits: u64,
    highest_memory: u64,
    folder: tempfile::TempDir,
}

impl<'a> BenchTask<'a> {
    /// Opens the plugin of `subject`, with a state that is empty.
    ///
    /// # Errors
    /// `Invalid`: the configuration is refused. `Plugin`: it cannot be opened. `Failed`, `Corrupt`: the disk.
    pub(super) fn open(subject: &Subject, placing: Placing<'_>, records: &'a BenchRecords) -> Result<Self> {
        let failed = |why| Error::new(Kind::Failed, "failed to make a folder to measure in", why);
        let folder = tempfile::tempdir().map_err(failed)?;
        let pipeline = Arc::new(placed(subject, placing, folder.path()));
        let ports = runtime::ports(subject.plugins());
        let routes = topology::routes(&pipeline, &ports)?;
        let operators = pipeline.operators.iter().zip(subject.plugins());
        let operators = operators
            // The first record at fault ends it.
            .map(|(config, plugin)| plugin.operator_of(config).map(Operator::stop_at_fault))
            .collect::<Result<_>>()?;
        let engine = Tasks::new(pipeline.clone(), routes, operators, Arc::new(Progress::default()))?;
        let home = match ports.iter().any(|port| !port.stores.is_empty()) {
            true => Some(StateDirectory::open(&folder.path().join("state"), STATE_MEMORY)?),
            false => None,
        };
        let options = sink::Options {
            queue_bytes: pipeline.queue_bytes,
            client_id: String::new(),
            transactional: None,
            files: Files::default(),
        };
        let dead_letters: Vec<_> = pipeline.dead_letters.iter().cloned().collect();
        let sources = pipeline.sources.iter();
        let partitions: Vec<_> = sources.map(|of| TopicPartition::new(of.name(), 0)).collect();
        Ok(Self {
            name: subject.name().to_owned(),
            records,
            engine,
            writer: Writer::open(&dead_letters, &options)?,
            state: home.as_ref().map(|home| home.task(TASK)).transpose()?,
            _home: home,
            next_offsets: vec![0; partitions.len()],
            partitions,
            batch: Records::default(),
            batches: 0,
            processed: 0,
            commits: 0,
            highest_memory: 0,
            folder,
        })
    }

    /// Batch after batch, one at least, and a commit of what they changed.
    ///
    /// # Errors
    /// `Guest`: the plugin failed on a record, or stops the run. `Corrupt`, `Unwritable`: the disk.
    pub(super) fn round(&mut self, length: RoundLength) -> Result<BenchRound> {
        let (before, processed, mut spent) = (self.stats(), self.processed, Spent::default());
        loop {
            self.process_next(&mut spent)?;
            if spent.wall >= length.time || self.processed - processed >= length.records {
                break;
            }
        }
        spent.add(|| self.commit())?;
        let stats = self.stats();
        Ok(BenchRound {
            records: self.processed - processed,
            calls: stats.calls - before.calls,
            spent,
            called: Duration::from_nanos(stats.call_nanos - before.call_nanos),
        })
    }

    /// The next batch.
    ///
    /// # Errors
    /// As `round`.
    pub(super) fn process_next(&mut self, spent: &mut Spent) -> Result<()> {
        let source = self.records.batch(self.batches, self.partitions.len(), &mut self.batch);
        let first = &mut self.next_offsets[source];
        self.batch.offsets.iter_mut().for_each(|offset| *offset += *first);
        *first += self.batch.len() as i64;
        self.batches += 1;
        self.processed += self.batch.len() as u64;
        let others = self.partitions.iter().enumerate().filter(|(other, _)| *other != source);
        let moved_by = MovedBy::Records(others.map(|(_, partition)| partition.clone()).collect());
        let done = spent.add(|| self.process(source, &moved_by));
        self.highest_memory = self.highest_memory.max(self.stats().memory_bytes);
        done.map_err(|error| match error.kind {
            Kind::Guest => failed(&self.name, &format!("{}\n{}", error.what, error.why)),
            _ => error,
        })
    }

    /// A batch, and what it leaves of its last move of time.
    fn process(&mut self, source: usize, moved_by: &MovedBy) -> Result<()> {
        self.process_batch(source, moved_by)?;
        while let Some(owed) = self.engine.owed_time() {
            self.batch.clear();
            self.process_batch(source, &owed)?;
        }
        Ok(())
    }

    fn process_batch(&mut self, source: usize, moved_by: &MovedBy) -> Result<()> {
        let Self {
            engine, writer, batch, ..
        } = self;
        let mut task = BatchTask {
            partition: &self.partitions[source],
            state: &mut self.state,
        };
        let until = clock::now() + PATIENCE;
        let mut done = engine.process(source, &mut task, moved_by, batch, writer)?;
        while done == Done::Waiting {
            if clock::now() > until {
                let why = format!("it did not come to an end of {} records in {PATIENCE:?}", batch.len());
                return Err(failed(&self.name, &why));
            }
            done = engine.go_on(source, &mut task, batch, writer)?;
        }
        Ok(())
    }

    /// What a commit costs of the worker's time: the changes, encoded for a bundle, and their way into RocksDB.
    fn commit(&mut self) -> Result<()> {
        let Some(state) = &mut self.state else { return Ok(()) };
        self.commits += 1;
        state.delta(&mut Vec::new());
        state.apply(&format!("{TASK}@{}", self.commits))
    }

    /// What the plugin did so far.
    pub(super) fn stats(&self) -> Stats {
        self.engine.stats(0)
    }

    /// Records that the plugin was called with so far.
    pub(super) fn processed(&self) -> u64 {
        self.processed
    }

    /// The highest that its linear memory was between two batches, in bytes.
    pub(super) fn highest_memory(&self) -> u64 {
        self.highest_memory
    }

    /// Why the first record was sent to the dead letters, if one was.
    pub(super) fn first_refusal(&self) -> Option<String> {
        let letters = File::open(dead_letters(self.folder.path())).ok()?;
        let mut line = String::new();
        BufReader::new(letters).read_line(&mut line).ok()?;
        let letter: Value = serde_json::from_str(&line).ok()?;
        header(&letter, "sandbar-reason")
    }
}

/// The plugin alone, with nothing behind it but a file for what it refuses.
fn placed(subject: &Subject, placing: Placing<'_>, folder: &Path) -> Pipeline {
    let mut pipeline = subject.placed(Some(placing.config), folder, None);
    pipeline.sinks.clear();
    if let Some(sink) = &mut pipeline.dead_letters {
        sink.target = Target::File(Some(dead_letters(folder)));
    }
    for operator in &mut pipeline.operators {
        // A search for records at fault would be what is measured.
        operator.on_error = OnError::Fail;
        operator.limits.call_time = placing.call_time.unwrap_or(operator.limits.call_time);
    }
    pipeline
}

fn dead_letters(folder: &Path) -> PathBuf {
    folder.join("dead-letters.jsonl")
}

/// What is told of a plugin that does not get through its records.
pub(super) fn failed(name: &str, why: &str) -> Error {
    let error = Error::new(Kind::Guest, format!("failed to measure `{name}`"), why);
    error.hint("give it records that it takes with --records FILE")
}
