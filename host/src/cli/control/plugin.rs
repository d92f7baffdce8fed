//! `sandbar plugin`: plugins that a daemon has, by the digest of their bytes.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use sandbar_control::{KeptSignature, PushedPlugin};
use serde_json::json;

use super::daemon::{InTenant, plain};
use crate::cli::checkpoint::moment;
use crate::cli::output::{Head, Output, TextTable};
use crate::error::Result;

/// Arguments of `sandbar plugin`.
#[derive(Args, Debug)]
#[command(
    arg_required_else_help = true,
    after_help = "Example:\n  sandbar plugin push count.wasm --tenant team-a"
)]
pub struct PluginArgs {
    #[command(subcommand)]
    action: PluginAction,
}

#[derive(Subcommand, Debug)]
enum PluginAction {
    /// Give a plugin to a tenant, and print its digest
    #[command(
        after_help = "`sandbar apply` does that for the plugins that a pipeline file names. One that is there already \
        is not sent again, unless it is signed by one more. Without --signature the one beside it goes along, \
        FILE.minisig, if the tenant has keys.\n\n\
        Examples:\n  sandbar plugin push count.wasm --tenant team-a\n  \
        minisign -S -m count.wasm && sandbar plugin push count.wasm --tenant team-a"
    )]
    Push {
        /// The component's file
        file: PathBuf,
        /// The file of its signature, as minisign makes it
        #[arg(long, value_name = "FILE")]
        signature: Option<PathBuf>,
        #[command(flatten)]
        place: InTenant,
    },
    /// List the plugins of a tenant
    #[command(after_help = "Example:\n  sandbar plugin list --tenant team-a")]
    List {
        #[command(flatten)]
        place: InTenant,
    },
}

impl PluginArgs {
    pub(in crate::cli) fn run(self, out: &Output) -> Result<()> {
        match self.action {
            PluginAction::Push { file, signature, place } => {
                let (connection, tenant) = place.connect()?;
                let digest = connection.push_file(&tenant, &file, signature.as_deref())?;
                out.show(&json!({ "digest": digest, "tenant": tenant }), || digest.to_string())
            }
            PluginAction::List { place } => {
                let (connection, tenant) = place.connect()?;
                list(&connection.plugins(&tenant)?, out)
            }
        }
    }
}

fn list(plugins: &[PushedPlugin], out: &Output) -> Result<()> {
    let mut table = TextTable::new(&[
        Head::Text("digest"),
        Head::Text("name"),
        Head::Text("version"),
        Head::Number("bytes"),
        Head::Text("pushed"),
        Head::Text("signed by"),
    ]);
    for plugin in plugins {
        table.row([
            plugin.digest.to_string(),
            plain(&plugin.name),
            plain(&plugin.version),
            plugin.bytes.to_string(),
            moment(plugin.pushed),
            signers(&plugin.signatures),
        ]);
    }
    out.rows(&json!(plugins), &table)
}

/// The keys that signed; one that the tenant does not have any more is told.
fn signers(signatures: &[KeptSignature]) -> String {
    let signer = |signature: &KeptSignature| match signature.is_valid {
        true => signature.key.to_string(),
        false => format!("{} (removed)", signature.key),
    };
    signatures.iter().map(signer).collect::<Vec<_>>().join(", ")
}
