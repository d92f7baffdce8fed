//! One run of a case, through the engine that `run` uses: its tasks, its calls, its state on disk.
//!
//! Event time moves as in `run`, by the records, unless the case says itself how it moves. The host's clock stands at 0
//! until the case sets it.

use super::given::{CaseStep, GivenCase, StepKind};
use super::kept::{self, KeptStore};
use super::moved::{move_keys, shard};
use super::outcome::{CameOut, CaseOutcome, ordered};
use super::subject::Subject;
use super::task::CaseTask;
use super::variant::{Chance, RunVariant};
use crate::clock::{self, StoppedClock};
use crate::config::Pipeline;
use crate::error::{Error, Kind, Result};
use crate::metrics::Progress;
use crate::plugin::Operator;
use crate::record::{Records, TopicPartition};
use crate::runtime::{self, BatchTask, Done, MovedBy, Tasks, Watermarks};
use crate::sink::{self, Files, Writer};
use crate::state::{StateDirectory, TaskState};
use crate::topology::{self, Route};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// How long a plugin may ask to be called again.
const PATIENCE: Duration = Duration::from_secs(30);

/// A set of sources that meet, by its place, and the number of a task in it.
type CasePlace = (usize, i32);

/// Takes a case through the engine. `reference`: where event time stands behind each step in the run that this one is
/// compared with.
///
/// # Errors
/// `Invalid`: the configuration is refused. `Failed`, `Corrupt`, `Unwritable`: the disk. A plugin that stops the run is
/// no error: the outcome says so.
pub(super) fn run(
    subject: &Subject,
    case: &GivenCase,
    variant: RunVariant,
    reference: Option<&CaseOutcome>,
) -> Result<CaseOutcome> {
    let mut run = CaseRun::begin(subject, case, variant, reference.map(|of| &of.watermarks[..]))?;
    let mut at = 0;
    while at < case.steps.len() {
        let batch = at..run.end_of_batch(at);
        let line = case.steps[batch.end - 1].line;
        let done = run.move_if_due(at).and_then(|()| run.step(batch.clone()));
        run.collect(line)?;
        match done {
            Ok(()) => {}
            Err(error) if error.kind == Kind::Guest => {
                run.stop(batch, &error);
                return Ok(run.outcome);
            }
            Err(error) => return Err(error),
        }
        run.note_watermark(batch.len())?;
        if run.restores() {
            run.restore()?;
        }
        at = batch.end;
    }
    run.end()
}

/// See the file's header.
struct CaseRun<'a> {
    subject: &'a Subject,
    case: &'a GivenCase,
    variant: RunVariant,
    reference: Option<&'a [i64]>,
    chance: Chance,
    clock: StoppedClock,
    // Before the folder in which it lies, so that it is closed first.
    tasks: BTreeMap<CasePlace, CaseTask>,
    home: Option<StateDirectory>,
    pipeline: Arc<Pipeline>,
    routes: Vec<Route>,
    groups: Vec<Vec<usize>>,
    engine: Tasks,
    writer: Writer,
    stores: Vec<KeptStore>,
    /// How many tasks the keys are on, if they move.
    shards: Option<i32>,
    /// How far each sink's file is read, the dead letters' behind them.
    read: Vec<u64>,
    /// The last record's offset in each source's partition.
    offsets: BTreeMap<(usize, i32), i64>,
    outcome: CaseOutcome,
    folder: tempfile::TempDir,
}

impl<'a> CaseRun<'a> {
    fn begin(
        subject: &'a Subject,
        case: &'a GivenCase,
        variant: RunVariant,
        reference: Option<&'a [i64]>,
    ) -> Result<Self> {
        let failed = |why| Error::new(Kind::Failed, "failed to make a folder for a case", why);
        let folder = tempfile::tempdir().map_err(failed)?;
        let pipeline = Arc::new(subject.placed(case.config.as_deref(), folder.path(), variant.max_batch()));
        let routes = topology::routes(&pipeline, &runtime::ports(subject.plugins()))?;
        let stores = kept::stores(subject);
        let home = match stores.is_empty() {
            true => None,
            false => Some(StateDirectory::open(
                &folder.path().join("state"),
                pipeline.state_memory,
            )?),
        };
        let sinks: Vec<_> = pipeline.sinks.iter().chain(&pipeline.dead_letters).cloned().collect();
        let options = sink::Options {
            queue_bytes: pipeline.queue_bytes,
            client_id: String::new(),
            transactional: None,
            files: Files::default(),
        };
        let mut run = Self {
            subject,
            case,
            variant,
            reference,
            chance: Chance::of(match variant {
                RunVariant::Cut { seed } => seed,
                _ => 0,
            }),
            clock: StoppedClock::at(0),
            tasks: BTreeMap::new(),
            home,
            engine: engine(subject, &pipeline, &routes, variant)?,
            writer: Writer::open(&sinks, &options)?,
            groups: topology::subtopologies(&pipeline),
            pipeline,
            routes,
            stores,
            shards: variant.tasks(0, case.steps.len()),
            read: vec![0; sinks.len()],
            offsets: BTreeMap::new(),
            outcome: CaseOutcome {
                outputs: vec![Vec::new(); sinks.len() - 1],
                ..CaseOutcome::default()
            },
            folder,
        };
        run.begin_tasks()?;
        Ok(run)
    }

    fn begin_tasks(&mut self) -> Result<()> {
        let mut places: Vec<CasePlace> = match self.shards {
            Some(shards) => (0..shards).map(|shard| (0, shard)).collect(),
            None => {
                let partitions = self.case.partitions().into_iter();
                partitions
                    .map(|(source, number)| (self.group(source), number))
                    .collect()
            }
        };
        if places.is_empty() {
            places.push((0, 0));
        }
        for place in places {
            if !self.tasks.contains_key(&place) {
                let name = format!("{}/{}", self.name_of(place), place.1);
                self.tasks.insert(place, CaseTask::begin(name, self.home.as_ref())?);
            }
        }
        Ok(())
    }

    fn group(&self, source: usize) -> usize {
        self.groups
            .iter()
            .position(|group| group.contains(&source))
            .unwrap_or(0)
    }

    fn first_source(&self, place: CasePlace) -> usize {
        self.groups
            .get(place.0)
            .and_then(|group| group.first())
            .copied()
            .unwrap_or(0)
    }

    fn name_of(&self, place: CasePlace) -> String {
        self.pipeline
            .sources
            .get(self.first_source(place))
            .map_or("in", |source| source.name())
            .to_owned()
    }

    /// Where the batch ends that begins with a step.
    fn end_of_batch(&mut self, from: usize) -> usize {
        let most = self.variant.batch(&mut self.chance);
        let of = |step: &CaseStep| match step.does {
            StepKind::Record { source, partition, .. } => Some((source, partition)),
            _ => None,
        };
        let steps = &self.case.steps;
        let place = of(&steps[from]);
        let together = steps[from..]
            .iter()
            .take(most)
            .take_while(|step| place.is_some() && of(step) == place);
        from + together.count().max(1)
    }

    fn step(&mut self, steps: Range<usize>) -> Result<()> {
        match self.case.steps[steps.start].does {
            StepKind::Record { source, partition, .. } => self.records(source, partition, steps),
            StepKind::Watermark(watermark) => self.move_time(watermark),
            StepKind::End => self.move_time(i64::MAX),
            StepKind::Restore => self.restore(),
            StepKind::Clock(now) => {
                self.clock.set(now);
                for place in self.places() {
                    let offset = self.last_offset(place);
                    self.let_time_move(place, MovedBy::Clock { now, offset })?;
                }
                Ok(())
            }
        }
    }

    fn places(&self) -> Vec<CasePlace> {
        self.tasks.keys().copied().collect()
    }

    fn records(&mut self, source: usize, partition: i32, steps: Range<usize>) -> Result<()> {
        let (case, mut records) = (self.case, Records::default());
        let of = |step: &CaseStep| match step.does {
            StepKind::Record { record, .. } => Some(record),
            _ => None,
        };
        for record in case.steps[steps.clone()].iter().filter_map(of) {
            records.push_from(&case.records, record);
        }
        let number = match self.shards {
            Some(shards) => shard(records.keys.get(0).unwrap_or_default(), shards),
            None => partition,
        };
        let at = TopicPartition::new(self.pipeline.sources[source].name(), partition);
        self.offsets
            .insert((source, partition), records.offsets.last().copied().unwrap_or(-1));
        let moved_by = MovedBy::Records(self.holding(source, partition));
        self.process((self.group(source), number), source, &at, &moved_by, records)?;
        match (
            self.shards,
            self.reference.and_then(|reference| reference.get(steps.end - 1)),
        ) {
            (Some(_), Some(watermark)) => self.move_time(*watermark),
            _ => Ok(()),
        }
    }

    /// The partitions that hold a task's time back beside the one of a record: the other inputs' of its number. If the
    /// records do not move it, one that never brings any.
    fn holding(&self, source: usize, partition: i32) -> Vec<TopicPartition> {
        if self.case.says_time() || self.shards.is_some() {
            return vec![TopicPartition::new("", partition)];
        }
        let group = self.group(source);
        let others = self.case.partitions().into_iter();
        let others =
            others.filter(|(other, number)| *number == partition && *other != source && self.group(*other) == group);
        others
            .map(|(other, number)| TopicPartition::new(self.pipeline.sources[other].name(), number))
            .collect()
    }

    fn move_time(&mut self, watermark: i64) -> Result<()> {
        for place in self.places() {
            let offset = self.last_offset(place);
            self.let_time_move(place, MovedBy::Others { watermark, offset })?;
        }
        Ok(())
    }

    fn last_offset(&self, place: CasePlace) -> i64 {
        let number = if self.shards.is_some() { 0 } else { place.1 };
        let last = self.offsets.get(&(self.first_source(place), number));
        last.copied().unwrap_or(-1)
    }

    fn let_time_move(&mut self, place: CasePlace, moved_by: MovedBy) -> Result<()> {
        let source = self.first_source(place);
        if self.pipeline.sources.is_empty() || !self.engine.goes_by_time(source) {
            return Ok(());
        }
        let number = if self.shards.is_some() { 0 } else { place.1 };
        let at = TopicPartition::new(self.pipeline.sources[source].name(), number);
        self.process(place, source, &at, &moved_by, Records::default())
    }

    /// A batch, and what it leaves of its last move of time; before that may be a restore.
    fn process(
        &mut self,
        place: CasePlace,
        source: usize,
        partition: &TopicPartition,
        moved_by: &MovedBy,
        records: Records,
    ) -> Result<()> {
        self.process_batch(place, source, partition, moved_by, records)?;
        while let Some(owed) = self.engine.owed_time() {
            if self.restores() {
                self.restore()?;
            }
            self.process_batch(place, source, partition, &owed, Records::default())?;
        }
        Ok(())
    }

    fn process_batch(
        &mut self,
        place: CasePlace,
        source: usize,
        partition: &TopicPartition,
        moved_by: &MovedBy,
        records: Records,
    ) -> Result<()> {
        let gives_up = matches!(self.variant, RunVariant::Cut { .. });
        let (mut nothing, until) = (None, clock::now() + PATIENCE);
        let state: &mut Option<TaskState> = match self.tasks.get_mut(&place) {
            Some(task) => &mut task.state,
            None => &mut nothing,
        };
        let mut task = BatchTask { partition, state };
        let Self {
            engine, writer, chance, ..
        } = self;
        loop {
            let mut records = records.clone();
            let mut done = engine.process(source, &mut task, moved_by, &mut records, writer)?;
            let mut is_given_up = false;
            while done == Done::Waiting && !is_given_up {
                if clock::now() > until {
                    let why = format!("the plugin asked to be called again for {PATIENCE:?}");
                    return Err(Error::new(
                        Kind::Guest,
                        format!("failed to process records of {partition}"),
                        why,
                    ));
                }
                is_given_up = gives_up && !engine.has_put_out() && chance.below(4) == 0;
                if !is_given_up {
                    done = engine.go_on(source, &mut task, &mut records, writer)?;
                }
            }
            if !is_given_up {
                return Ok(());
            }
            engine.give_up(&mut task);
        }
    }

    /// Takes in what came out.
    fn collect(&mut self, after: usize) -> Result<()> {
        for sink in 0..self.read.len() {
            let path = self.folder.path().join(sink.to_string());
            let mut text = String::new();
            let read = File::open(&path).and_then(|mut file| {
                file.seek(SeekFrom::Start(self.read[sink]))?;
                file.read_to_string(&mut text)
            });
            read.map_err(|why| Error::new(Kind::Failed, format!("failed to read {}", path.display()), why))?;
            self.read[sink] += text.len() as u64;
            for text in text.lines() {
                let line: Value =
                    serde_json::from_str(text).map_err(|why| Error::new(Kind::Bug, "failed to read an output", why))?;
                match self.outcome.outputs.get_mut(sink) {
                    Some(outputs) => outputs.push(CameOut {
                        line,
                        text: text.to_owned(),
                        after,
                        backtrace: String::new(),
                    }),
                    None => {
                        let refusal = said(self.refusal(&line), after);
                        let backtrace = header(&line, "sandbar-backtrace").unwrap_or_default();
                        self.outcome.refused.push(CameOut { backtrace, ..refusal });
                    }
                }
            }
        }
        Ok(())
    }

    /// What a dead letter says.
    fn refusal(&self, letter: &Value) -> Value {
        let header = |name: &str| header(letter, name);
        let number = |name: &str| header(name).and_then(|text| text.parse::<i64>().ok()).unwrap_or(-1);
        let topic = header("sandbar-topic").unwrap_or_default();
        let partition = i32::try_from(number("sandbar-partition")).unwrap_or(-1);
        let offset = number("sandbar-offset");
        let mut said = Map::new();
        if let Some(place) = self.case.place(&self.pipeline.sources, &topic, partition, offset) {
            said.insert("record".to_owned(), json!(place));
        }
        said.insert("how".to_owned(), json!(header("sandbar-kind")));
        said.insert("reason".to_owned(), json!(header("sandbar-reason")));
        if let Some(operator) = header("sandbar-operator").filter(|_| self.subject.is_graph()) {
            said.insert("operator".to_owned(), json!(operator));
        }
        Value::Object(said)
    }

    /// The plugin stopped the run: it refused the record at hand, if there is one alone.
    fn stop(&mut self, batch: Range<usize>, error: &Error) {
        let last = &self.case.steps[batch.end - 1];
        if let (StepKind::Record { record, .. }, 1) = (last.does, batch.len()) {
            let refusal = json!({ "record": record, "how": "fail", "reason": error.why });
            self.outcome.refused.push(said(refusal, last.line));
        }
        self.outcome.stopped = Some((format!("{}: {}", error.what, error.why), last.line));
    }

    /// Notes where event time stands behind a batch of so many steps.
    fn note_watermark(&mut self, steps: usize) -> Result<()> {
        let state = self.tasks.values_mut().next().and_then(|task| task.state.as_mut());
        let stands = match state {
            Some(state) => Watermarks::read(state, std::iter::empty())?.task,
            None => i64::MIN,
        };
        self.outcome.watermarks.extend(std::iter::repeat_n(stands, steps));
        Ok(())
    }

    fn restores(&mut self) -> bool {
        match self.variant {
            RunVariant::Restored => true,
            RunVariant::Cut { .. } => self.chance.below(6) == 0,
            _ => false,
        }
    }

    /// Commits, and begins anew from what was committed.
    fn restore(&mut self) -> Result<()> {
        if let Some(home) = &self.home {
            for task in self.tasks.values_mut() {
                task.checkpoint(home)?;
                task.restore(home)?;
            }
        }
        self.engine = engine(self.subject, &self.pipeline, &self.routes, self.variant)?;
        Ok(())
    }

    /// The keys go to another number of tasks, if it is time for it.
    fn move_if_due(&mut self, step: usize) -> Result<()> {
        let wanted = self.variant.tasks(step, self.case.steps.len());
        let (Some(home), Some(shards), true) = (self.home.clone(), wanted, self.shards != wanted) else {
            return Ok(());
        };
        let mut into = Vec::new();
        for shard in 0..shards {
            into.push(CaseTask::begin(format!("of-{shards}/{shard}"), Some(&home))?);
        }
        for mut task in std::mem::take(&mut self.tasks).into_values() {
            task.checkpoint(&home)?;
            if let Some(state) = &task.state {
                move_keys(&state.view(), &self.stores, &mut into)?;
            }
        }
        self.shards = wanted;
        self.tasks = (0..).zip(into).map(|(shard, task)| ((0, shard), task)).collect();
        self.engine = engine(self.subject, &self.pipeline, &self.routes, self.variant)?;
        match step.checked_sub(1).and_then(|before| self.reference?.get(before)) {
            Some(watermark) => self.move_time(*watermark),
            None => Ok(()),
        }
    }

    fn end(mut self) -> Result<CaseOutcome> {
        let mut state = Vec::new();
        if let Some(home) = &self.home {
            for task in self.tasks.values_mut() {
                task.checkpoint(home)?;
                if let Some(kept) = &task.state {
                    kept::read(&kept.view(), &self.stores, &mut state)?;
                }
            }
        }
        state.sort_by_cached_key(Value::to_string);
        Ok(CaseOutcome { state, ..self.outcome })
    }
}

/// Opens the operators, with instances that know of nothing.
fn engine(subject: &Subject, pipeline: &Arc<Pipeline>, routes: &[Route], variant: RunVariant) -> Result<Tasks> {
    let before_state = topology::before_state(routes, &runtime::ports(subject.plugins()));
    let placed = pipeline.operators.iter().zip(subject.plugins()).zip(before_state);
    let operators = placed.map(|((config, plugin), before_state)| {
        let mut operator: Operator = plugin.operator_of(config)?;
        if before_state {
            operator = operator.watch_keys();
        }
        if variant == RunVariant::Killed {
            operator = operator.take_new_instances();
        }
        Ok(operator)
    });
    let operators = operators.collect::<Result<_>>()?;
    let tasks = Tasks::new(
        pipeline.clone(),
        routes.to_vec(),
        operators,
        Arc::new(Progress::default()),
    )?;
    Ok(match variant {
        RunVariant::Cut { .. } => tasks.end_in_moves(),
        _ => tasks,
    })
}

/// A line of the runner's own.
fn said(line: Value, after: usize) -> CameOut {
    let text = ordered(&line);
    CameOut {
        line,
        text,
        after,
        backtrace: String::new(),
    }
}

/// The text of a record's header, as JSON lines have it; the newest of its name.
pub(crate) fn header(letter: &Value, name: &str) -> Option<String> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    match &letter["headers"] {
        Value::Object(headers) => headers.get(name).and_then(text),
        Value::Array(pairs) => pairs
            .iter()
            .rev()
            .find(|pair| pair[0] == *name)
            .and_then(|pair| text(&pair[1])),
        _ => None,
    }
}
