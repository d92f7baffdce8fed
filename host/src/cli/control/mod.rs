//! The verbs of a daemon's clients: each asks `sandbar serve` for one thing and prints what it said.
//!
//! Owns arguments, texts and JSON. Never keeps or runs a pipeline. Always: what a daemon says goes to a terminal
//! without control characters, and an error has the exit code of the daemon's problem.

mod daemon;
mod context;
mod tenant;
mod token;
mod secret;
mod plugin;
mod apply;
mod list;
mod status;
mod logs;
mod pipelines;
mod upgrade;

pub(super) use apply::ApplyArgs;
pub(super) use context::ContextArgs;
pub(super) use daemon::InTenant;
pub(super) use list::ListArgs;
pub(super) use logs::LogsArgs;
pub(super) use pipelines::{DeleteArgs, PauseArgs, ResumeArgs, stop};
pub(super) use plugin::PluginArgs;
pub(super) use secret::SecretArgs;
pub(super) use status::StatusArgs;
pub(super) use tenant::TenantArgs;
pub(super) use token::TokenArgs;
pub(super) use upgrade::{RollbackArgs, UpgradeArgs};
