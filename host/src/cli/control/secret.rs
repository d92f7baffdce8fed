//! `sandbar secret`: values of a tenant that its pipeline files refer to.

use clap::{Args, Subcommand};
use sandbar_control::Name;

use super::daemon::{DaemonArgs, not_built};
use crate::cli::output::Output;
use crate::error::Result;

/// Arguments of `sandbar secret`.
#[derive(Args, Debug)]
#[command(
    arg_required_else_help = true,
    after_help = "Not built yet.\n\nExample:\n  sandbar secret set team-a kafka-password < password.txt"
)]
pub struct SecretArgs {
    #[command(subcommand)]
    action: SecretAction,
}

#[derive(Subcommand, Debug)]
enum SecretAction {
    /// Keep a secret of a tenant, read from standard input
    #[command(after_help = "Not built yet.\n\nExample:\n  sandbar secret set team-a kafka-password < password.txt")]
    Set {
        /// The tenant
        tenant: Name,
        /// The secret's name
        name: Name,
        #[command(flatten)]
        daemon: DaemonArgs,
    },
}

impl SecretArgs {
    pub(in crate::cli) fn run(self, _out: &Output) -> Result<()> {
        // Standard input is not read: what is not kept is not taken.
        let SecretAction::Set {
            tenant,
            name,
            daemon: _,
        } = self.action;
        let hint = format!("pipelines of a daemon take no secrets: `{name}` of `{tenant}` was not read");
        Err(not_built("`sandbar secret set`", &hint))
    }
}
