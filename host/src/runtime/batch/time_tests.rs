//! Time on real plugins: what comes out, and what is kept, depends on the records and their order alone, however they
//! are cut into batches, calls and pieces, and whatever is given up and done again between.

use super::*;
use crate::config::{Pipeline, Source, Target};
use crate::metrics::Progress;
use crate::plugin::{Engine, Operator, Plugin};
use crate::record::{Column, Records, TopicPartition};
use crate::sink::{self, Files, Writer};
use crate::state::{KeptTimer, Most, StateDirectory, TaskState, store_id};
use crate::topology::{self, Ports};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

const OUT_OF_ORDERNESS: i64 = 3;

/// Numbers that look like chance, the same for a seed.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

fn plugin() -> &'static Plugin {
    static PLUGIN: OnceLock<(Engine, Plugin)> = OnceLock::new();
    let (_, plugin) = PLUGIN.get_or_init(|| {
        let engine = Engine::new(None).unwrap();
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/guests/timed.wasm");
        assert!(path.exists(), "target/guests/timed.wasm is missing: run `make plugins`");
        let plugin = engine.load(&path).unwrap();
        (engine, plugin)
    });
    plugin
}

fn ports() -> Ports {
    let described = plugin().description();
    Ports {
        inputs: described.inputs.clone(),
        outputs: described.outputs.clone(),
        stores: described.kept().into_iter().map(|store| store.name).collect(),
        has_timers: true,
        keeps_key: true,
    }
}

/// Two operators one behind the other, each with a sink.
fn pipeline(folder: &Path, max_batch: usize) -> Pipeline {
    let operators: [(&str, &[&str]); 2] = [("first", &["in"]), ("second", &["first"])];
    let sinks: [(&str, &[&str]); 2] = [("one", &["first"]), ("two", &["second"])];
    let mut pipeline = topology::tests::pipeline(&["in"], &operators, &sinks);
    for sink in &mut pipeline.sinks {
        sink.target = Target::File(Some(folder.join(&sink.name)));
    }
    let mut dead = pipeline.sinks[0].clone();
    dead.target = Target::File(Some(folder.join("dead")));
    pipeline.dead_letters = Some(dead);
    if let Source::Kafka(source) = &mut pipeline.sources[0] {
        source.max_batch = max_batch;
        source.time.out_of_orderness = Duration::from_millis(OUT_OF_ORDERNESS as u64);
    }
    pipeline
}

fn tasks(pipeline: &Arc<Pipeline>) -> Tasks {
    let operators = pipeline.operators.iter();
    let operators: Vec<Operator> = operators
        .map(|of| plugin().operator(&of.name, "", of.limits).unwrap())
        .collect();
    let routes = topology::routes(pipeline, &[ports(), ports()]).unwrap();
    Tasks::new(pipeline.clone(), routes, operators, Arc::new(Progress::default())).unwrap()
}

/// A task that is run.
struct Run {
    folder: tempfile::TempDir,
    _home: StateDirectory,
    state: Option<TaskState>,
    pipeline: Arc<Pipeline>,
    tasks: Tasks,
    writer: Writer,
    partition: TopicPartition,
    /// Batches end whenever they can, also in their last move; the rest of that is done by somebody who knows the state
    /// alone.
    ends_in_moves: bool,
    /// How often the group could be seen to.
    waits: usize,
}

impl Run {
    fn new(max_batch: usize) -> Self {
        Self::of(max_batch, |_| {})
    }

    fn of(max_batch: usize, change: impl FnOnce(&mut Pipeline)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let home = StateDirectory::open(&folder.path().join("state"), 1 << 20).unwrap();
        let mut pipeline = pipeline(folder.path(), max_batch);
        change(&mut pipeline);
        let sinks: Vec<_> = pipeline.sinks.iter().chain(&pipeline.dead_letters).cloned().collect();
        let options = sink::Options {
            queue_bytes: 1 << 20,
            client_id: String::new(),
            transactional: None,
            files: Files::default(),
        };
        let pipeline = Arc::new(pipeline);
        Self {
            state: Some(home.task("in/0").unwrap()),
            _home: home,
            tasks: tasks(&pipeline),
            writer: Writer::open(&sinks, &options).unwrap(),
            partition: TopicPartition::new("in", 0),
            ends_in_moves: false,
            waits: 0,
            pipeline,
            folder,
        }
    }

    fn ending_in_moves(max_batch: usize) -> Self {
        let run = Self::new(max_batch);
        Self {
            tasks: run.tasks.end_in_moves(),
            ends_in_moves: true,
            ..run
        }
    }

    /// A batch, and what it leaves of its records and of its last move of time. How many batches that took.
    fn process(&mut self, records: &Records, moved_by: &MovedBy, mut gives_up: impl FnMut() -> bool) -> usize {
        let rest = self.process_batch(records, moved_by, &mut gives_up);
        let mut batches = 1 + self.process_owed(&mut gives_up);
        if !rest.is_empty() {
            batches += self.process(&rest, moved_by, gives_up);
        }
        batches
    }

    fn process_owed(&mut self, gives_up: &mut impl FnMut() -> bool) -> usize {
        let mut batches = 0;
        while let Some(mut owed) = self.tasks.owed_time() {
            if self.ends_in_moves {
                self.tasks = tasks(&self.pipeline).end_in_moves();
                let known = Watermarks::read(self.state.as_mut().unwrap(), std::iter::empty()).unwrap();
                if let (MovedBy::Others { watermark, .. }, Some(kept)) = (&mut owed, known.owed) {
                    assert_eq!(*watermark, kept);
                    // Whatever it is told.
                    *watermark = i64::MAX;
                }
            }
            self.process_batch(&Records::default(), &owed, gives_up);
            batches += 1;
        }
        batches
    }

    /// A batch, or as much of it as ends sooner: gives the rest.
    fn process_batch(&mut self, records: &Records, moved_by: &MovedBy, gives_up: &mut impl FnMut() -> bool) -> Records {
        loop {
            let (mut records, mut rest) = (records.clone(), Records::default());
            let mut task = BatchTask {
                partition: &self.partition,
                state: &mut self.state,
            };
            let Self { tasks, writer, .. } = self;
            let mut done = tasks.process(0, &mut task, moved_by, &mut records, writer).unwrap();
            let mut gave_up = false;
            while done == Done::Waiting && !gave_up {
                self.waits += 1;
                gave_up = !tasks.has_put_out() && gives_up();
                let end = tasks.may_end_behind().filter(|_| self.ends_in_moves);
                done = match end {
                    _ if gave_up => break,
                    Some(end) => {
                        let mut ended = records.split_off(records.offsets.partition_point(|of| *of <= end));
                        (0..rest.len()).for_each(|row| ended.push_from(&rest, row));
                        rest = ended;
                        tasks.process(0, &mut task, moved_by, &mut records, writer).unwrap()
                    }
                    None => tasks.go_on(0, &mut task, &mut records, writer).unwrap(),
                };
            }
            if !gave_up {
                return rest;
            }
            tasks.give_up(&mut task);
        }
    }

    fn end(&mut self) {
        let end = MovedBy::Others {
            watermark: i64::MAX,
            offset: 1_000_000,
        };
        self.process(&Records::default(), &end, || false);
    }

    /// What the sinks have, and what is kept.
    fn result(&mut self) -> Vec<String> {
        let mut result = Vec::new();
        for sink in ["one", "two"] {
            result.extend(
                std::fs::read_to_string(self.folder.path().join(sink))
                    .unwrap()
                    .lines()
                    .map(str::to_owned),
            );
            result.push(format!("the end of {sink}"));
        }
        let state = self.state.as_mut().unwrap();
        let mut keys = Column::default();
        (0..4).for_each(|key| keys.push(Some(format!("k{key}").as_bytes())));
        for operator in ["first", "second"] {
            for store in ["then", "fired"] {
                let mut values = Column::default();
                state.values(store_id(operator, store), &keys, &mut values).unwrap();
                result.push(format!("{operator} {store} {:?}", values.iter().collect::<Vec<_>>()));
            }
            let (most, mut timers) = (
                Most {
                    entries: 10_000,
                    bytes: usize::MAX,
                },
                Column::default(),
            );
            let store = store_id(operator, "timers:event-time");
            state.due_timers(store, i64::MAX, most, &mut timers).unwrap();
            result.extend(
                timers
                    .iter()
                    .flatten()
                    .map(|timer| format!("{operator} {:?}", KeptTimer::read(timer))),
            );
        }
        let known = Watermarks::read(state, std::iter::once(&self.partition)).unwrap();
        result.push(format!("{} {:?}", known.task, known.partitions));
        result
    }
}

/// Records that set and clear timers around their own time, in some disorder.
fn records(chance: &mut Chance, count: usize) -> Records {
    let mut records = Records::default();
    let mut now = 20_i64;
    for offset in 0..count {
        now += chance.below(4) as i64;
        let mut words = Vec::new();
        for _ in 0..chance.below(4) {
            let at = now - 8 + chance.below(24) as i64;
            let name = ["a", "b"][chance.below(2) as usize];
            words.push(match chance.below(8) {
                0 => format!("-{name}:{at}"),
                1 => format!("{name}:{at}>{name}:{}", at - 3 + chance.below(9) as i64),
                2 => format!("{name}:{at}>b:{}", now - 9),
                _ => format!("{name}:{at}"),
            });
        }
        if chance.below(12) == 0 {
            words.push("refuse".to_owned());
        }
        records.keys.push(Some(format!("k{}", chance.below(4)).as_bytes()));
        records.values.push(Some(words.join(" ").as_bytes()));
        records.timestamps.push((now - chance.below(6) as i64).max(0));
        records
            .offsets
            .push(offset as i64 * (1 + chance.below(2) as i64) + offset as i64);
    }
    records.offsets.sort_unstable();
    records.offsets.dedup();
    let fill = records.offsets.last().map_or(0, |last| last + 1);
    let missing = count - records.offsets.len();
    records.offsets.extend(fill..fill + missing as i64);
    records
}

fn slice(records: &Records, from: usize, to: usize) -> Records {
    let mut some = Records::default();
    (from..to).for_each(|index| some.push_from(records, index));
    some
}

/// What comes of records that are cut after each `next` of them.
fn outcome(records: &Records, max_batch: usize, next: impl FnMut() -> usize, seed: u64) -> Vec<String> {
    outcome_of(Run::new(max_batch), records, next, seed)
}

fn outcome_of(mut run: Run, records: &Records, mut next: impl FnMut() -> usize, seed: u64) -> Vec<String> {
    let (mut from, mut chance) = (0, Chance(seed));
    while from < records.len() {
        let to = records.len().min(from + next().max(1));
        run.process(&slice(records, from, to), &MovedBy::Records(vec![]), || {
            chance.below(4) == 0
        });
        from = to;
    }
    let mut result = run.result();
    run.end();
    result.extend(run.result());
    result
}

/// Fails with the lines around the first difference.
fn assert_same(got: &[String], whole: &[String], how: &str) {
    let differs = (0..got.len().max(whole.len())).find(|at| got.get(*at) != whole.get(*at));
    if let Some(at) = differs {
        let shown = |of: &[String]| of[at.saturating_sub(6).min(of.len())..of.len().min(at + 4)].join("\n");
        panic!("{how}, line {at}:\n{}\nin one batch:\n{}", shown(got), shown(whole));
    }
}

#[test]
fn results_depend_on_the_records_alone_however_they_are_cut() {
    for seed in 1..=12 {
        let mut chance = Chance(seed);
        let records = records(&mut chance, 120);
        let whole = outcome(&records, 1000, || 1000, seed);
        assert!(
            whole.iter().filter(|line| line.contains("@")).count() > 100,
            "timers fire: {whole:#?}"
        );
        for (max_batch, cut) in [(1000, 1), (1, 1), (1, 1000), (3, 1000), (7, 20), (2, 50)] {
            let how = format!("seed {seed}, calls of {max_batch}, batches of {cut}");
            assert_same(&outcome(&records, max_batch, || cut, seed), &whole, &how);
        }
        let random = outcome(&records, 5, || chance.below(30) as usize, seed);
        assert_same(&random, &whole, &format!("seed {seed}, cut by chance"));
    }
}

#[test]
fn a_batch_that_ends_in_its_last_move_leaves_what_any_other_can_go_on_with() {
    for seed in 1..=12 {
        let mut chance = Chance(seed);
        let records = records(&mut chance, 120);
        let whole = outcome(&records, 1000, || 1000, seed);
        for (max_batch, cut) in [(1, 1), (1, 1000), (2, 50), (3, 7)] {
            let how = format!("seed {seed}, calls of {max_batch}, batches of {cut}");
            let ended = outcome_of(Run::ending_in_moves(max_batch), &records, || cut, seed);
            assert_same(&ended, &whole, &how);
        }
    }
}

/// Records that set so many timers and are followed by a jump over all of them.
fn jump(timers: i64) -> [Records; 2] {
    let (mut setting, mut last) = (Records::default(), Records::default());
    for at in 0..timers {
        setting.keys.push(Some(format!("k{}", at % 4).as_bytes()));
        setting.values.push(Some(format!("a:{}", 1000 + at).as_bytes()));
        setting.timestamps.push(10);
        setting.offsets.push(at);
    }
    last.keys.push(Some(b"k0"));
    last.values.push(Some(b""));
    last.timestamps.push(9000);
    last.offsets.push(timers);
    [setting, last]
}

#[test]
fn a_jump_over_many_timers_is_as_many_batches_as_it_takes() {
    let ([setting, last], records) = (jump(400), MovedBy::Records(Vec::new()));
    let results = [usize::MAX, 4 << 10].map(|memory| {
        let mut run = Run::of(20, |pipeline| pipeline.batch_bytes = memory as u64);
        run.process(&setting, &records, || false);
        run.state.as_mut().unwrap().apply("committed").unwrap();
        let batches = run.process(&last, &records, || false);
        (batches, run.result())
    });
    let [(_, whole), (many, cut)] = results;
    assert_same(&cut, &whole, "little memory");
    assert!(many > 2, "{many}");
}

/// A jump in the middle of a batch is not one long call: the group is seen to between the calls that fire its timers.
#[test]
fn timers_between_the_records_of_a_batch_fire_in_pieces_of_their_own() {
    let ([mut records, last], moved_by) = (jump(400), MovedBy::Records(Vec::new()));
    let behind = last.offsets[0] + 1;
    records.push_from(&last, 0);
    for row in 0..50 {
        records.push_from(&last, 0);
        *records.offsets.last_mut().unwrap() = behind + row;
    }
    let results = [Run::new(1000), Run::new(20), Run::ending_in_moves(20)].map(|mut run| {
        let batches = run.process(&records, &moved_by, || false);
        (run.result(), run.waits, batches)
    });
    let [(whole, ..), (cut, waits, one), (ended, _, several)] = results;
    assert_same(&cut, &whole, "calls of 20");
    assert!(waits >= 400 / 20 && one == 1, "{waits} waits, {one} batches");
    assert_same(&ended, &whole, "a batch that ends behind the jump");
    assert!(
        several >= 400 / 20,
        "what the jump changes can be committed on its way: {several} batches"
    );
}

/// What a record meets that was due before it takes nothing of the memory that the record may take.
#[test]
fn a_jump_before_a_record_does_not_count_against_it() {
    let [setting, last] = jump(400);
    let other = MovedBy::Records(vec![TopicPartition::new("in", 1)]);
    let results = [usize::MAX, 4 << 10].map(|memory| {
        let mut run = Run::of(20, |pipeline| pipeline.batch_bytes = memory as u64);
        run.process(&setting, &other, || false);
        run.process(&last, &other, || false);
        // The other partition is done; the records of this one moved it over all timers before.
        let mut next = last.clone();
        next.offsets[0] += 1;
        run.process(&next, &MovedBy::Records(Vec::new()), || false);
        let dead = std::fs::read_to_string(run.folder.path().join("dead")).unwrap();
        assert_eq!(dead, "", "with {memory} bytes");
        run.result()
    });
    assert_same(&results[1], &results[0], "little memory");
}
