//! An upgrade of a pipeline, as the catalog keeps it and the interface shows it. Times are milliseconds since 1970.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How far an upgrade is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum UpgradePhase {
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
    /// Until when it is watched, once that began.
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
    /// Records that were left to read before it.
    pub lag: Option<u64>,
    /// Records that the new version had put out when it was taken back, as far as was seen.
    pub records_out: Option<u64>,
    /// The phases that it came to, the oldest first.
    pub history: Vec<PhaseEntry>,
}

impl UpgradePhase {
    /// Whether nothing follows.
    pub fn is_over(self) -> bool {
        match self {
            Self::Swapping | Self::Watched => false,
            Self::Done | Self::TakenBack | Self::Overtaken => true,
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
