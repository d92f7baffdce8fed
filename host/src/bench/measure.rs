//! The order of a bench: what is loaded, the rounds by turns, the instructions, the profile.

use super::profile::{self, ProfileFiles};
use super::records::BenchRecords;
use super::report::{BenchReport, BenchRole, BenchedPlugin, CountedInstructions};
use super::round::BenchRound;
use super::spent::Spent;
use super::task::{BenchTask, Placing, RoundLength, failed};
use crate::cases::Subject;
use crate::clock::StoppedClock;
use crate::error::Result;
use crate::plugin::Engine;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The plugin that others are measured beside.
const PASS_THROUGH: &str = "pass-through";
/// The round before the first one that counts takes this part of one.
const WARM_UP: u32 = 4;
/// Batches whose instructions are counted: so many, or as many as have so many instructions.
const COUNTED_BATCHES: u64 = 10;
const COUNTED_INSTRUCTIONS: u64 = 500_000_000;
/// A call may take longer while it is watched: it is slower then, and is not to be cut for it.
const WATCHED_CALL_TIME: Duration = Duration::from_secs(60);

/// What a bench is asked for.
#[derive(Debug, Clone)]
pub struct BenchOptions {
    /// The component's file, or the name of a ready-made plugin.
    pub plugin: PathBuf,
    /// Another one that it is compared with.
    pub against: Option<PathBuf>,
    /// Their configuration as JSON; empty: none.
    pub config: String,
    /// The file of their records; `None`: records that are made.
    pub records: Option<PathBuf>,
    /// Rounds of each plugin, one at least.
    pub rounds: u32,
    /// The time of each plugin, over all of its rounds.
    pub time: Duration,
    /// Records of a round, at most.
    pub most_records: u64,
    /// A folder for a profile.
    pub profile: Option<PathBuf>,
}

/// A plugin that is to be measured.
struct BenchSubject {
    role: BenchRole,
    file: PathBuf,
    config: String,
    subject: Subject,
}

/// Measures a plugin.
///
/// # Errors
/// `Plugin`: a component is missing or refused. `Invalid`: a configuration is refused. `Failed`: the records or the
/// profile's folder. `Guest`: a plugin failed on a record, stopped the run, or refused all records. `Corrupt`,
/// `Unwritable`: the disk.
pub fn bench(options: &BenchOptions) -> Result<BenchReport> {
    let _the_same_each_time = StoppedClock::at(0);
    let engine = Engine::new(None)?;
    let loaded = load(&engine, options)?;
    let records = match &options.records {
        Some(file) => BenchRecords::read(file, &loaded[0].subject)?,
        None => BenchRecords::made(),
    };
    let mut plugins = in_rounds(&loaded, &records, options)?;
    for (plugin, loaded) in plugins.iter_mut().zip(&loaded) {
        plugin.instructions = count_instructions(loaded, &records)?;
    }
    let profile = options.profile.as_deref();
    let profile = profile.map(|folder| take_profile(&loaded[0], &records, options, folder));
    Ok(BenchReport {
        plugins,
        rounds: options.rounds,
        profile: profile.transpose()?,
    })
}

fn load(engine: &Engine, options: &BenchOptions) -> Result<Vec<BenchSubject>> {
    let against = options.against.iter().map(|file| (BenchRole::Against, file.clone()));
    let asked = [(BenchRole::Plugin, options.plugin.clone())].into_iter().chain(against);
    let asked = asked.map(|(role, file)| (role, file, options.config.clone()));
    let beside = (BenchRole::PassThrough, PASS_THROUGH.into(), String::new());
    asked
        .chain([beside])
        .map(|(role, file, config)| {
            Ok(BenchSubject {
                role,
                subject: subject(engine, &file)?,
                file,
                config,
            })
        })
        .collect()
}

fn subject(engine: &Engine, file: &Path) -> Result<Subject> {
    Ok(Subject::alone(engine.load(file)?, file))
}

/// The rounds, one of each plugin after the other, so that whatever else the machine does hits all of them.
fn in_rounds(loaded: &[BenchSubject], records: &BenchRecords, options: &BenchOptions) -> Result<Vec<BenchedPlugin>> {
    let length = RoundLength {
        time: options.time / options.rounds.max(1),
        records: options.most_records,
    };
    let mut tasks = loaded
        .iter()
        .map(|plugin| begin(plugin, records, length))
        .collect::<Result<Vec<_>>>()?;
    let mut rounds: Vec<Vec<BenchRound>> = vec![Vec::new(); tasks.len()];
    for _ in 0..options.rounds.max(1) {
        for (task, rounds) in tasks.iter_mut().zip(&mut rounds) {
            rounds.push(task.round(length)?);
        }
    }
    let measured = loaded.iter().zip(&tasks).zip(rounds);
    Ok(measured
        .map(|((loaded, task), rounds)| measured_plugin(loaded, task, rounds))
        .collect())
}

/// Opens a plugin, and lets it run for a while that is not measured.
fn begin<'a>(loaded: &BenchSubject, records: &'a BenchRecords, length: RoundLength) -> Result<BenchTask<'a>> {
    let placing = Placing {
        config: &loaded.config,
        call_time: None,
    };
    let mut task = BenchTask::open(&loaded.subject, placing, records)?;
    task.process_next(&mut Spent::default())?;
    if task.stats().refused == task.processed() {
        let why = format!(
            "it refused each of the first {} records{}",
            task.processed(),
            task.first_refusal().map_or(String::new(), |why| format!(": {why}"))
        );
        return Err(failed(loaded.subject.name(), &why));
    }
    task.round(RoundLength {
        time: length.time / WARM_UP,
        records: length.records / u64::from(WARM_UP),
    })?;
    Ok(task)
}

fn measured_plugin(loaded: &BenchSubject, task: &BenchTask<'_>, rounds: Vec<BenchRound>) -> BenchedPlugin {
    let plugin = &loaded.subject.plugins()[0];
    let described = plugin.description();
    BenchedPlugin {
        role: loaded.role,
        file: loaded.file.clone(),
        name: described.name.clone(),
        version: described.version.clone(),
        digest: plugin.digest().to_owned(),
        rounds,
        instructions: CountedInstructions::default(),
        records: task.processed(),
        stats: task.stats(),
        highest_memory_bytes: task.highest_memory(),
        first_refusal: task.first_refusal(),
    }
}

/// Counts in an engine of its own. What a new instance prepares in its first batch is not counted. Ends by what was
/// counted and never by a clock, so that it is the same each time.
fn count_instructions(loaded: &BenchSubject, records: &BenchRecords) -> Result<CountedInstructions> {
    let subject = subject(&Engine::counting()?, &loaded.file)?;
    let mut task = BenchTask::open(&subject, watched(loaded), records)?;
    task.process_next(&mut Spent::default())?;
    let (first, before) = (task.processed(), task.stats().instructions);
    let mut counted = CountedInstructions::default();
    for _ in 0..COUNTED_BATCHES {
        task.process_next(&mut Spent::default())?;
        counted.instructions = task.stats().instructions - before;
        if counted.instructions >= COUNTED_INSTRUCTIONS {
            break;
        }
    }
    counted.records = task.processed() - first;
    Ok(counted)
}

/// Takes a profile in an engine of its own.
fn take_profile(
    loaded: &BenchSubject,
    records: &BenchRecords,
    options: &BenchOptions,
    folder: &Path,
) -> Result<ProfileFiles> {
    let subject = subject(&Engine::sampling()?, &loaded.file)?;
    let mut task = BenchTask::open(&subject, watched(loaded), records)?;
    let plugin = &subject.plugins()[0];
    task.process_next(&mut Spent::default())?;
    plugin.begin_profile()?;
    task.round(RoundLength {
        time: options.time,
        records: u64::MAX,
    })?;
    profile::write(&plugin.description().name, &plugin.end_profile()?, folder)
}

fn watched(loaded: &BenchSubject) -> Placing<'_> {
    Placing {
        config: &loaded.config,
        call_time: Some(WATCHED_CALL_TIME),
    }
}
