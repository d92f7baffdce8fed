//! An upgrade of a pipeline, as the catalog keeps it and the interface shows it. Times are milliseconds since 1970.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::canary::CanaryReport;
use super::names::Digest;

/// How far an upgrade is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum UpgradePhase {
    /// The version before runs on; records are gathered, and then both versions are run on them and compared.
    Canary,
    /// The two versions differ, and somebody has to decide; the version before runs on.
    Compared,
    /// The new version was never started: it does not do what the one before does, or nobody wanted it.
    Dropped,
    /// The process of the version before ends, a savepoint is taken, and the new version starts.
    Swapping,
    /// The new version was started, and is taken back if it fails or lags.
    Watched,
    /// The new version stays.
    Done,
    /// What the version before was is a version again, and runs.
    TakenBack,
    /// Something newer was asked for.
    Overtaken,
}

/// When an upgrade came to a phase, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct PhaseEntry {
    /// The phase.
    pub phase: UpgradePhase,
    /// When it began.
    pub at: i64,
    /// Why, in a sentence; empty if nothing is to be said.
    pub why: String,
}

/// An upgrade of a pipeline, or a way back to an earlier version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct PipelineUpgrade {
    /// From 1, of the pipeline's upgrades.
    pub number: i64,
    /// The version before.
    pub from_version: i64,
    /// The new one.
    pub to_version: i64,
    /// The version that the one before is again, if it was taken back.
    pub back_version: Option<i64>,
    /// How far it is.
    pub phase: UpgradePhase,
    /// The id of the token that asked for it.
    pub author: String,
    /// Seconds for which the new version is watched; 0: it is not.
    pub watch_seconds: u64,
    /// Until when records are gathered, a decision is waited for, or it is watched.
    pub until: Option<i64>,
    /// The savepoint that is to be taken of the version before.
    pub saves: Option<String>,
    /// The savepoint of the version before, once it is taken; none, if there was nothing to keep.
    pub savepoint: Option<String>,
    /// Whether the stores of the new version are others, so that it begins from the savepoint.
    pub changes_state: bool,
    /// Whether the new version begins although it drops state.
    pub drops_state: bool,
    /// The version that ordered a start from the savepoint that was not made yet.
    pub to_begin: Option<i64>,
    /// What is compared before, if that was asked for.
    pub canary: Option<UpgradeCanary>,
    /// Records that were left to read before it.
    pub lag: Option<u64>,
    /// Records that the new version had put out when it was taken back, as far as was seen.
    pub records_out: Option<u64>,
    /// The phases that it came to, the oldest first.
    pub history: Vec<PhaseEntry>,
}

/// A new version that is compared with the one before, ahead of its start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct UpgradeCanary {
    /// Seconds for which records are gathered.
    pub seconds: u64,
    /// The text of the new version's file.
    pub file: String,
    /// The plugin of each of its operators that has one of the tenant's.
    #[schema(value_type = BTreeMap<String, String>)]
    pub plugins: BTreeMap<String, Digest>,
    /// Whether a savepoint of the version before is taken when the new one takes over.
    pub saves: bool,
    /// Whether the new version took over: until then it is none of the pipeline's versions.
    pub is_promoted: bool,
    /// What came of the comparison, once it was made.
    pub report: Option<CanaryReport>,
}

impl UpgradePhase {
    /// Whether nothing follows.
    pub fn is_over(self) -> bool {
        match self {
            Self::Canary | Self::Compared | Self::Swapping | Self::Watched => false,
            Self::Dropped | Self::Done | Self::TakenBack | Self::Overtaken => true,
        }
    }
}

impl PipelineUpgrade {
    /// Comes to a phase.
    pub fn enter(&mut self, phase: UpgradePhase, at: i64, why: impl Into<String>) {
        self.phase = phase;
        let why = why.into();
        self.history.push(PhaseEntry { phase, at, why });
    }

    /// Begins to gather records for so many seconds.
    pub fn begin_canary(&mut self, seconds: u64, at: i64) {
        let gathers_ms = i64::try_from(seconds.saturating_mul(1000)).unwrap_or(i64::MAX);
        self.until = Some(at.saturating_add(gathers_ms));
        self.enter(UpgradePhase::Canary, at, "");
    }

    /// The new version takes over: after a savepoint of the one before, if there is something to keep.
    pub fn take_over(&mut self, saves: bool, at: i64, why: &str) {
        let to_version = self.to_version;
        self.until = None;
        self.saves = saves.then(|| format!("before-{to_version}-{at}"));
        self.to_begin = (saves && self.changes_state).then_some(to_version);
        self.enter(UpgradePhase::Swapping, at, why);
    }

    /// Whether the new version is compared, or waits for a decision: the one before runs.
    pub fn is_canary(&self) -> bool {
        matches!(self.phase, UpgradePhase::Canary | UpgradePhase::Compared)
    }

    /// Whether the new version is one of the pipeline's versions: another one may have its number if it is not.
    pub fn is_made(&self) -> bool {
        self.canary.as_ref().is_none_or(|canary| canary.is_promoted)
    }

    /// When it came to its phase.
    pub fn since(&self) -> i64 {
        self.history.last().map_or(0, |entry| entry.at)
    }

    /// Why it is in its phase.
    pub fn why(&self) -> &str {
        self.history.last().map_or("", |entry| entry.why.as_str())
    }

    /// Whether the daemon has something to see to: it is under way, or a start from its savepoint was not made yet.
    pub fn is_open(&self) -> bool {
        !self.phase.is_over() || self.to_begin.is_some()
    }
}
