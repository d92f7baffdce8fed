//! Upgrades of pipelines, the way back, and the decision about a canary.

mod changes;
mod decisions;

pub(super) use changes::routes;
#[cfg(fuzzing)]
pub(super) use changes::{PlannedVersion, RollbackAsked, UpgradeAsked};
pub(super) use decisions::routes as decision_routes;
