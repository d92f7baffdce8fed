//! What a bench came to.

use super::profile::ProfileFiles;
use super::round::BenchRound;
use crate::plugin::Stats;
use std::path::PathBuf;

/// See the file's header.
#[derive(Debug, Clone)]
pub struct BenchReport {
    /// The plugin that was asked for, the one that it is compared with if there is one, and `pass-through`.
    pub plugins: Vec<BenchedPlugin>,
    /// Rounds of each.
    pub rounds: u32,
    /// The profile of the first plugin, if one was asked for.
    pub profile: Option<ProfileFiles>,
}

/// Why a plugin is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BenchRole {
    /// It was asked for.
    Plugin,
    /// The first one is compared with it.
    Against,
    /// What the host costs whatever a plugin does: the ready-made plugin `pass-through`.
    PassThrough,
}

impl BenchRole {
    /// Its name for programs.
    pub fn as_str(self) -> &'static str {
        match self {
            BenchRole::Plugin => "plugin",
            BenchRole::Against => "against",
            BenchRole::PassThrough => "pass-through",
        }
    }
}

/// A plugin, measured.
#[derive(Debug, Clone)]
pub struct BenchedPlugin {
    /// Why it was.
    pub role: BenchRole,
    /// The file, or the name of a ready-made one, as it was given.
    pub file: PathBuf,
    /// What it calls itself.
    pub name: String,
    /// Its own version.
    pub version: String,
    /// SHA-256 of the component, in hexadecimal digits.
    pub digest: String,
    /// All of its rounds; the one behind the start is not among them.
    pub rounds: Vec<BenchRound>,
    /// Its instructions, counted in a run of their own.
    pub instructions: CountedInstructions,
    /// All records that it was called with while time was measured, those before the rounds too.
    pub records: u64,
    /// What it did meanwhile.
    pub stats: Stats,
    /// The highest that its linear memory was between two batches, in bytes.
    pub highest_memory_bytes: u64,
    /// Why the first record was sent to the dead letters, if one was.
    pub first_refusal: Option<String>,
}

/// Instructions of WebAssembly, by wasmtime's fuel: the same for the same component and the same records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CountedInstructions {
    /// So many were carried out.
    pub instructions: u64,
    /// For so many records.
    pub records: u64,
}

impl CountedInstructions {
    /// Instructions a record.
    pub fn per_record(self) -> f64 {
        self.instructions as f64 / self.records.max(1) as f64
    }
}

impl BenchedPlugin {
    /// The least of a figure over its rounds: in the others the machine did more besides.
    pub fn least(&self, figure: fn(&BenchRound) -> f64) -> f64 {
        self.rounds.iter().map(figure).min_by(f64::total_cmp).unwrap_or(0.0)
    }

    /// Records a second of its quickest round.
    pub fn most_records_per_second(&self) -> f64 {
        let each = self.rounds.iter().map(BenchRound::records_per_second);
        each.max_by(f64::total_cmp).unwrap_or(0.0)
    }

    /// Calls that trapped or broke a limit.
    pub fn faults(&self) -> u64 {
        let stats = self.stats;
        stats.traps + stats.deadlines + stats.memory_limits + stats.bad_outcomes
    }
}

impl BenchReport {
    /// The plugin of a role, if it was measured.
    pub fn of(&self, role: BenchRole) -> Option<&BenchedPlugin> {
        self.plugins.iter().find(|plugin| plugin.role == role)
    }
}
