//! `sandbar tenant`: who has pipelines of their own in a daemon.

use clap::{Args, Subcommand};
use sandbar_control::Name;
use serde_json::json;

use super::daemon::DaemonArgs;
use crate::cli::checkpoint::moment;
use crate::cli::output::{Head, Output, TextTable};
use crate::error::Result;

/// Arguments of `sandbar tenant`.
#[derive(Args, Debug)]
#[command(
    arg_required_else_help = true,
    after_help = "A tenant sees nothing of another one. To make and delete them takes a token of the platform, as the \
        first start of `sandbar serve` writes one.\n\nExample:\n  sandbar tenant create team-a"
)]
pub struct TenantArgs {
    #[command(subcommand)]
    action: TenantAction,
}

#[derive(Subcommand, Debug)]
enum TenantAction {
    /// Make a tenant, if it is not there
    #[command(after_help = "Example:\n  sandbar tenant create team-a")]
    Create {
        /// The tenant's name: a to z, 0 to 9 and hyphens
        name: Name,
        #[command(flatten)]
        daemon: DaemonArgs,
    },
    /// List the tenants
    #[command(after_help = "Example:\n  sandbar tenant list")]
    List {
        #[command(flatten)]
        daemon: DaemonArgs,
    },
    /// Delete a tenant that has no pipelines any more
    #[command(after_help = "Example:\n  sandbar tenant delete team-a")]
    Delete {
        /// The tenant's name
        name: Name,
        #[command(flatten)]
        daemon: DaemonArgs,
    },
}

impl TenantArgs {
    pub(in crate::cli) fn run(self, out: &Output) -> Result<()> {
        match self.action {
            TenantAction::Create { name, daemon } => {
                daemon.connect()?.create_tenant(&name)?;
                out.show(&json!({ "created": name }), || format!("tenant {name} is there"))
            }
            TenantAction::List { daemon } => {
                let tenants = daemon.connect()?.tenants()?;
                let mut table = TextTable::new(&["tenant", "created"].map(Head::Text));
                tenants
                    .iter()
                    .for_each(|tenant| table.row([tenant.name.to_string(), moment(tenant.created)]));
                out.rows(&json!(tenants), &table)
            }
            TenantAction::Delete { name, daemon } => {
                daemon.connect()?.delete_tenant(&name)?;
                out.show(&json!({ "deleted": name }), || format!("deleted tenant {name}"))
            }
        }
    }
}
