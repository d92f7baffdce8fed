//! `sandbar tenant`: who has pipelines of their own in a daemon.

use clap::{Args, Subcommand};
use sandbar_control::{Access, Name};
use serde_json::json;

use super::daemon::{DaemonArgs, plain};
use super::means::{SignaturesArgs, SigningKeysArgs};
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
    /// Say which topics a tenant may read and write; without a flag, show it
    #[command(
        after_help = "A list has names of topics, and beginnings of names with a * behind, 64 at most, with commas \
        between them; an empty one means none. What is not given stays as it is: all topics, at first.\n\n\
        Examples:\n  sandbar tenant access team-a --reads 'team-a.*,shared' --writes 'team-a.*'\n  \
        sandbar tenant access team-a"
    )]
    Access {
        /// The tenant's name
        name: Name,
        /// Topics that it may read
        #[arg(long, value_name = "PATTERNS")]
        reads: Option<String>,
        /// Topics that it may write
        #[arg(long, value_name = "PATTERNS")]
        writes: Option<String>,
        #[command(flatten)]
        daemon: DaemonArgs,
    },
    /// Keys that sign the tenant's plugins
    Keys(SigningKeysArgs),
    /// Say whether the tenant's plugins have to be signed; without a word, show it
    Signatures(SignaturesArgs),
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
            TenantAction::Access {
                name,
                reads,
                writes,
                daemon,
            } => {
                let connection = daemon.connect()?;
                let before = connection.tenant(&name)?;
                let is_change = reads.is_some() || writes.is_some();
                let access = Access {
                    reads: reads.as_deref().map(patterns).or(before.reads),
                    writes: writes.as_deref().map(patterns).or(before.writes),
                };
                if is_change {
                    connection.set_access(&name, &access)?;
                }
                out.show(
                    &json!({ "tenant": name, "reads": access.reads, "writes": access.writes }),
                    || {
                        let (reads, writes) = (topics(access.reads.as_deref()), topics(access.writes.as_deref()));
                        format!("tenant {name} reads {reads}, writes {writes}")
                    },
                )
            }
            TenantAction::Keys(keys) => keys.run(out),
            TenantAction::Signatures(signatures) => signatures.run(out),
            TenantAction::Delete { name, daemon } => {
                daemon.connect()?.delete_tenant(&name)?;
                out.show(&json!({ "deleted": name }), || format!("deleted tenant {name}"))
            }
        }
    }
}

/// The patterns of a list with commas.
fn patterns(list: &str) -> Vec<String> {
    let all = list.split(',').map(str::trim).filter(|pattern| !pattern.is_empty());
    all.map(str::to_owned).collect()
}

fn topics(patterns: Option<&[String]>) -> String {
    match patterns {
        None => "all topics".to_owned(),
        Some([]) => "no topic".to_owned(),
        Some(patterns) => plain(&patterns.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_topics_may_be_empty() {
        assert_eq!(patterns("a.*, b,"), ["a.*", "b"]);
        assert!(patterns("").is_empty());
        assert_eq!(topics(Some(&patterns("a.*,b"))), "a.*, b");
        assert_eq!(
            (topics(Some(&[])), topics(None)),
            ("no topic".to_owned(), "all topics".to_owned())
        );
    }
}
