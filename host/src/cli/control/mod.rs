//! The verbs of a daemon's clients: each asks `sandbar serve` for one thing and prints what it said.
//!
//! Owns arguments, texts and JSON. Never keeps or runs a pipeline. Always: what a daemon says goes to a terminal
//! without control characters, and an error has the exit code of the daemon's problem.

mod daemon;
mod context;
mod login;
mod tenant;
mod token;
mod means;
mod plugin;
mod apply;
mod list;
mod status;
mod support;
mod logs;
mod pipelines;
mod upgrade;

pub(super) use apply::ApplyArgs;
pub(super) use context::ContextArgs;
pub(super) use daemon::InTenant;
pub(super) use list::ListArgs;
pub(super) use login::LoginArgs;
pub(super) use logs::LogsArgs;
pub(super) use means::{QuotaArgs, SecretArgs, TenantClusterArgs, UsageArgs};
pub(super) use pipelines::{DaemonStop, DeleteArgs, PauseArgs, ResumeArgs, stop};
pub(super) use plugin::PluginArgs;
pub(super) use status::StatusArgs;
pub(super) use support::SupportArgs;
pub(super) use tenant::TenantArgs;
pub(super) use token::TokenArgs;
pub(super) use upgrade::{RollbackArgs, UpgradeArgs};
