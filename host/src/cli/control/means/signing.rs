//! `sandbar tenant keys` and `sandbar tenant signatures`: who signs the plugins of a tenant, and whether they have to.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use sandbar_control::{KeptSigningKey, KeyId, Name, SigningKey};
use serde_json::json;

use crate::cli::checkpoint::moment;
use crate::cli::control::daemon::{DaemonArgs, plain};
use crate::cli::output::{Head, Output, TextTable};
use crate::error::{Error, Kind, Result};

/// Bytes of a public key's file that are read: one more than one has.
const MOST_READ: u64 = 2049;

/// Arguments of `sandbar tenant keys`.
#[derive(Args, Debug)]
#[command(
    arg_required_else_help = true,
    after_help = "The keys are those of minisign: `minisign -G` makes a pair, `minisign -S -m count.wasm` signs. The \
        secret key stays with whoever signs; the public one is added here, by an admin.\n\n\
        Example:\n  sandbar tenant keys add team-a minisign.pub"
)]
pub(in crate::cli) struct SigningKeysArgs {
    #[command(subcommand)]
    action: SigningKeysAction,
}

#[derive(Subcommand, Debug)]
enum SigningKeysAction {
    /// Add a key that signs plugins
    #[command(after_help = "Example:\n  sandbar tenant keys add team-a minisign.pub --note build-machine")]
    Add {
        /// The tenant's name
        tenant: Name,
        /// The file of the public key
        file: PathBuf,
        /// Whose it is
        #[arg(long, default_value = "", hide_default_value = true)]
        note: String,
        #[command(flatten)]
        daemon: DaemonArgs,
    },
    /// List the keys
    #[command(after_help = "Example:\n  sandbar tenant keys list team-a")]
    List {
        /// The tenant's name
        tenant: Name,
        #[command(flatten)]
        daemon: DaemonArgs,
    },
    /// Remove a key; what it alone signed is not applied or started any more, and what runs goes on
    #[command(after_help = "Example:\n  sandbar tenant keys remove team-a E7620F1842B4E81F")]
    Remove {
        /// The tenant's name
        tenant: Name,
        /// The key's id
        id: KeyId,
        #[command(flatten)]
        daemon: DaemonArgs,
    },
}

/// Arguments of `sandbar tenant signatures`.
#[derive(Args, Debug)]
#[command(
    after_help = "What runs goes on; what is pushed, applied, upgraded or started from then on has to be signed by a \
        key of `sandbar tenant keys list`. Plugins that come with Sandbar need no signature.\n\n\
        Example:\n  sandbar tenant signatures team-a required"
)]
pub(in crate::cli) struct SignaturesArgs {
    /// The tenant's name
    tenant: Name,
    /// What is to be so; without it, it is shown
    demand: Option<SignatureDemand>,
    #[command(flatten)]
    daemon: DaemonArgs,
}

#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
enum SignatureDemand {
    /// Plugins have to be signed by a key of the tenant
    Required,
    /// They may be signed, and then it is checked
    Optional,
}

impl SigningKeysArgs {
    pub(in crate::cli) fn run(self, out: &Output) -> Result<()> {
        match self.action {
            SigningKeysAction::Add {
                tenant,
                file,
                note,
                daemon,
            } => {
                let key = read(&file)?;
                let kept = daemon.connect()?.add_signing_key(&tenant, &key, &note)?;
                out.show(&json!(kept), || format!("key {} signs for tenant {tenant}", kept.id))
            }
            SigningKeysAction::List { tenant, daemon } => list(&daemon.connect()?.signing_keys(&tenant)?, out),
            SigningKeysAction::Remove { tenant, id, daemon } => {
                daemon.connect()?.remove_signing_key(&tenant, &id)?;
                let told = json!({ "removed": id, "tenant": tenant });
                out.show(&told, || format!("removed key {id} of tenant {tenant}"))
            }
        }
    }
}

impl SignaturesArgs {
    pub(in crate::cli) fn run(self, out: &Output) -> Result<()> {
        let (tenant, connection) = (&self.tenant, self.daemon.connect()?);
        if let Some(demand) = self.demand {
            connection.require_signatures(tenant, demand == SignatureDemand::Required)?;
        }
        let is_required = connection.tenant(tenant)?.signatures_required;
        let word = if is_required { "required" } else { "optional" };
        let told = json!({ "tenant": tenant, "signatures-required": is_required });
        out.show(&told, || format!("signatures of plugins of tenant {tenant} are {word}"))
    }
}

fn read(path: &Path) -> Result<SigningKey> {
    let what = || format!("failed to read the key `{}`", path.display());
    let refused = |why: String| Error::new(Kind::Usage, what(), why);
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(MOST_READ).read_to_string(&mut text));
    read.map_err(|error| refused(error.to_string()))?;
    text.parse().map_err(refused)
}

fn list(keys: &[KeptSigningKey], out: &Output) -> Result<()> {
    let mut table = TextTable::new(&["key", "note", "added", "by"].map(Head::Text));
    for key in keys {
        table.row([
            key.id.to_string(),
            plain(&key.note),
            moment(key.created),
            plain(&key.by),
        ]);
    }
    out.rows(&json!(keys), &table)
}
