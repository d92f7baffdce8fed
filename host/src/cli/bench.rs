//! `sandbar bench`: what a plugin costs.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use super::output::{Head, Output, TextTable};
use crate::bench::{self, BenchOptions, BenchReport, BenchRole, BenchRound, BenchedPlugin, ProfileFiles};
use crate::error::{Error, Kind, Result};
use crate::spec;

/// Letters of the longest bar.
const BAR: f64 = 40.0;

const HELP: &str = r#"The plugin runs in the engine that `run` uses, with its state on disk, and without Kafka: what it
puts out is counted and dropped. It is measured in rounds, by turns with the ready-made plugin `pass-through`, which is
what the host costs whatever a plugin does, and with --against another plugin, such as an older build. Each figure of
time is the best of a plugin's rounds.

Times are those of the whole way of a record but reading and sending it: the calls, the host's part of them, the state,
and the commit at the end of a round. CPU time is that of the worker's thread. Instructions are counted by wasmtime's
fuel in a run of its own: they are the same for the same component and records, however busy the machine is.

Without --records there are records of 1,000 keys with a JSON value of 100 bytes, such as
  {"user":"u7","page":"/p/3","ms":42,"at":1700000000000,"pad":"…"}
A file of records has lines as `produce` and the cases of `test` have them: {"key":"a","value":{"n":1},"timestamp":1}.
They come in its order, again and again, with times that rise. Event time moves as in `run`; timers of the host's clock
do not fire.

--profile writes profile.json, for https://profiler.firefox.com, and flame.svg, a picture of the same samples, with the
names of the plugin's functions, if it has kept them.

Examples:
  sandbar bench count.wasm
  sandbar bench count.wasm --against before/count.wasm
  sandbar bench window --config window.json --records views.jsonl --profile profile"#;

/// Arguments of `sandbar bench`.
#[derive(Args, Debug)]
#[command(after_help = HELP)]
pub struct BenchArgs {
    /// The component's file, or the name of a plugin that comes with Sandbar
    plugin: PathBuf,
    /// Another one to compare it with; it gets the same configuration and records
    #[arg(long, value_name = "OTHER")]
    against: Option<PathBuf>,
    /// A file of records, one JSON object a line
    #[arg(long, value_name = "FILE")]
    records: Option<PathBuf>,
    /// The plugin's configuration: a file of JSON, or the JSON itself, which begins with {
    #[arg(long, value_name = "FILE|JSON")]
    config: Option<String>,
    /// Write a profile of the plugin into this folder
    #[arg(long, value_name = "FOLDER")]
    profile: Option<PathBuf>,
    /// How long each plugin is measured, over all of its rounds
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = duration)]
    time: Duration,
    /// Rounds of each plugin
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// End a round with so many records, if its time is not over before
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    max: Option<u64>,
}

fn duration(text: &str) -> Result<Duration, String> {
    spec::duration(text).ok_or_else(|| "a duration is a number with ms, s, m, h or d, such as 2s".to_owned())
}

impl BenchArgs {
    pub(super) fn run(self, out: &Output) -> Result<()> {
        let report = bench::bench(&BenchOptions {
            plugin: self.plugin,
            against: self.against,
            config: config(self.config.as_deref())?,
            records: self.records,
            rounds: self.rounds,
            time: self.time,
            most_records: self.max.unwrap_or(u64::MAX),
            profile: self.profile,
        })?;
        out.rows(&as_json(&report), &bars(&report))?;
        if out.is_json() {
            return Ok(());
        }
        out.line("")?;
        out.rows(&Value::Null, &figures(&report))?;
        out.line(&format!("\n{}", remarks(&report).trim_end()))
    }
}

/// The text of the configuration: what was given, or what the file has that was given.
fn config(given: Option<&str>) -> Result<String> {
    match given {
        None => Ok(String::new()),
        Some(json) if json.trim_start().starts_with('{') => Ok(json.to_owned()),
        Some(file) => std::fs::read_to_string(file).map_err(|why| {
            let what = format!("failed to read the config {file}");
            Error::new(Kind::Failed, what, why).hint("JSON is taken as it is if it begins with {")
        }),
    }
}

/// A bar for each plugin.
fn bars(report: &BenchReport) -> TextTable {
    let mut table = TextTable::new(&[
        Head::Text("plugin"),
        Head::Number("CPU ns/record"),
        Head::Text(""),
        Head::Text("file"),
    ]);
    let time = |plugin: &BenchedPlugin| plugin.least(BenchRound::cpu_ns_per_record);
    let longest = report.plugins.iter().map(time).fold(0.0, f64::max);
    for plugin in &report.plugins {
        let letters = (BAR * time(plugin) / longest.max(1e-9)).round().max(1.0);
        table.row([
            format!("{} {}", plugin.name, plugin.version),
            number(time(plugin)),
            "█".repeat(letters as usize),
            plugin.file.display().to_string(),
        ]);
    }
    table
}

/// A figure a line, a plugin a column.
fn figures(report: &BenchReport) -> TextTable {
    let mut head = vec![Head::Text("best of its rounds")];
    head.extend(report.plugins.iter().map(|plugin| Head::Number(plugin.role.as_str())));
    let mut table = TextTable::new(&head);
    let mut of_rounds = |name: &str, figure: fn(&BenchRound) -> f64| {
        let each = report.plugins.iter().map(|plugin| number(plugin.least(figure)));
        table.row([name.to_owned()].into_iter().chain(each));
    };
    of_rounds("CPU ns/record", BenchRound::cpu_ns_per_record);
    of_rounds("wall ns/record", BenchRound::wall_ns_per_record);
    of_rounds("wall ns/record, calls alone", BenchRound::called_ns_per_record);
    of_rounds("CPU µs/call", |round| round.cpu_ns_per_call() / 1e3);
    of_rounds("wall µs/call", |round| round.wall_ns_per_call() / 1e3);
    let mut of_plugin = |name: &str, figure: fn(&BenchedPlugin) -> f64| {
        let each = report.plugins.iter().map(|plugin| number(figure(plugin)));
        table.row([name.to_owned()].into_iter().chain(each));
    };
    of_plugin("records/second", BenchedPlugin::most_records_per_second);
    of_plugin("instructions/record", |plugin| plugin.instructions.per_record());
    of_plugin("memory KiB", |plugin| plugin.stats.memory_bytes as f64 / 1024.0);
    of_plugin("highest memory KiB", |plugin| {
        plugin.highest_memory_bytes as f64 / 1024.0
    });
    of_plugin("instances recycled", |plugin| plugin.stats.recycled as f64);
    of_plugin("outputs/record", outputs_per_record);
    table
}

fn outputs_per_record(plugin: &BenchedPlugin) -> f64 {
    plugin.stats.outputs as f64 / plugin.records.max(1) as f64
}

/// Three digits at least.
fn number(figure: f64) -> String {
    match figure {
        figure if figure == 0.0 || figure >= 100.0 => format!("{figure:.0}"),
        figure if figure >= 10.0 => format!("{figure:.1}"),
        figure => format!("{figure:.2}"),
    }
}

/// Ratios, what went wrong, and where the time went.
fn remarks(report: &BenchReport) -> String {
    let mut text = String::new();
    for other in [BenchRole::Against, BenchRole::PassThrough] {
        if let Some(ratios) = Ratios::of(report, other) {
            // Writing to a text does not fail, here and below.
            let _ = writeln!(
                text,
                "{:.2} times the CPU time of {}, {:.3} times its instructions{}",
                ratios.cpu,
                ratios.other,
                ratios.instructions,
                if ratios.is_same {
                    "; it is the same component"
                } else {
                    ""
                }
            );
        }
    }
    for plugin in &report.plugins {
        warnings(plugin, &mut text);
    }
    if let Some(profile) = &report.profile {
        functions(profile, &mut text);
    }
    text
}

fn warnings(plugin: &BenchedPlugin, text: &mut String) {
    let (role, stats) = (plugin.role.as_str(), plugin.stats);
    if stats.refused > 0 {
        let why = plugin.first_refusal.as_ref().map(|why| format!(", the first: {why}"));
        let _ = writeln!(
            text,
            "warning: {role}: {} of {} records were refused, and are part of the figures{}",
            stats.refused,
            plugin.records,
            why.unwrap_or_default()
        );
    }
    if plugin.faults() > 0 {
        let _ = writeln!(
            text,
            "warning: {role}: {} calls were made again, which is part of the figures: {} trapped, {} took too long, {} \
             reached the memory limit, {} returned what they may not",
            plugin.faults(),
            stats.traps,
            stats.deadlines,
            stats.memory_limits,
            stats.bad_outcomes
        );
    }
}

fn functions(profile: &ProfileFiles, text: &mut String) {
    let _ = writeln!(text, "\n{} samples of the plugin, most of them in:", profile.samples);
    for function in &profile.hottest {
        let _ = writeln!(text, "{:>6.1} %  {}", 100.0 * function.share, function.name);
    }
    let files = [&profile.profile, &profile.flame].map(|file| file.display().to_string());
    let _ = writeln!(text, "wrote {}", files.join(" and "));
}

/// The first plugin's figures as multiples of another one's.
struct Ratios<'a> {
    other: &'a str,
    cpu: f64,
    wall: f64,
    instructions: f64,
    is_same: bool,
}

impl<'a> Ratios<'a> {
    fn of(report: &'a BenchReport, role: BenchRole) -> Option<Self> {
        let (plugin, other) = (report.of(BenchRole::Plugin)?, report.of(role)?);
        let times = |one: f64, other: f64| if one == other { 1.0 } else { one / other.max(1e-9) };
        let least = |figure| times(plugin.least(figure), other.least(figure));
        Some(Self {
            other: role.as_str(),
            cpu: least(BenchRound::cpu_ns_per_record),
            wall: least(BenchRound::wall_ns_per_record),
            instructions: times(plugin.instructions.per_record(), other.instructions.per_record()),
            is_same: plugin.digest == other.digest,
        })
    }
}

fn as_json(report: &BenchReport) -> Value {
    let mut ratios = serde_json::Map::new();
    for role in [BenchRole::Against, BenchRole::PassThrough] {
        if let Some(of) = Ratios::of(report, role) {
            let value = json!({ "cpu": of.cpu, "wall": of.wall, "instructions": of.instructions });
            ratios.insert(of.other.to_owned(), value);
        }
    }
    json!({
        "rounds": report.rounds,
        "plugins": report.plugins.iter().map(plugin_json).collect::<Vec<_>>(),
        "ratios": ratios,
        "profile": report.profile.as_ref().map(profile_json),
    })
}

fn plugin_json(plugin: &BenchedPlugin) -> Value {
    let stats = plugin.stats;
    json!({
        "role": plugin.role.as_str(),
        "file": plugin.file.display().to_string(),
        "name": plugin.name,
        "version": plugin.version,
        "digest": plugin.digest,
        "best": best_json(plugin),
        "rounds": plugin.rounds.iter().map(round_json).collect::<Vec<_>>(),
        "instructions-per-record": plugin.instructions.per_record(),
        "instructions": plugin.instructions.instructions,
        "instructions-records": plugin.instructions.records,
        "memory-bytes": stats.memory_bytes,
        "highest-memory-bytes": plugin.highest_memory_bytes,
        "instances-recycled": stats.recycled,
        "records": plugin.records,
        "outputs": stats.outputs,
        "outputs-per-record": outputs_per_record(plugin),
        "timers-fired": stats.timers,
        "refused": stats.refused,
        "first-refusal": plugin.first_refusal,
        "traps": stats.traps,
        "deadlines": stats.deadlines,
        "memory-limits": stats.memory_limits,
        "bad-outcomes": stats.bad_outcomes,
    })
}

fn best_json(plugin: &BenchedPlugin) -> Value {
    json!({
        "cpu-ns-per-record": plugin.least(BenchRound::cpu_ns_per_record),
        "wall-ns-per-record": plugin.least(BenchRound::wall_ns_per_record),
        "called-ns-per-record": plugin.least(BenchRound::called_ns_per_record),
        "cpu-ns-per-call": plugin.least(BenchRound::cpu_ns_per_call),
        "wall-ns-per-call": plugin.least(BenchRound::wall_ns_per_call),
        "records-per-second": plugin.most_records_per_second(),
    })
}

fn round_json(round: &BenchRound) -> Value {
    json!({
        "records": round.records,
        "calls": round.calls,
        "cpu-ns-per-record": round.cpu_ns_per_record(),
        "wall-ns-per-record": round.wall_ns_per_record(),
        "called-ns-per-record": round.called_ns_per_record(),
        "cpu-ns-per-call": round.cpu_ns_per_call(),
        "wall-ns-per-call": round.wall_ns_per_call(),
        "records-per-second": round.records_per_second(),
    })
}

fn profile_json(profile: &ProfileFiles) -> Value {
    let path = |path: &Path| path.display().to_string();
    let hottest = profile.hottest.iter();
    let hottest = hottest.map(|function| json!({ "function": function.name, "share": function.share }));
    json!({
        "profile": path(&profile.profile),
        "flame": path(&profile.flame),
        "samples": profile.samples,
        "hottest": hottest.collect::<Vec<_>>(),
    })
}
