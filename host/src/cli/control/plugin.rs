//! `sandbar plugin`: plugins that a daemon has, by the digest of their bytes.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use sandbar_control::client::{OciReference, PluginSource, Registries, push_to};
use sandbar_control::{KeptSignature, PushedPlugin};
use serde_json::json;

use super::daemon::{InTenant, plain};
use crate::cli::checkpoint::moment;
use crate::cli::output::{Head, Output, TextTable};
use crate::error::{Error, Kind, Result};

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
    /// Give a plugin to a tenant or to a registry, and print its digest
    #[command(
        after_help = "`sandbar apply` does that for the plugins that a pipeline file names. One that is there already \
        is not sent again, unless it is signed by one more. Without --signature the one beside it goes along, \
        FILE.minisig, if the tenant has keys.\n\n\
        The plugin may be in a registry, oci://REGISTRY/REPOSITORY:TAG: it is pulled from here, with the credentials \
        of `docker login`, and the daemon asks no registry. With --to it goes into a registry, and to no tenant.\n\n\
        Examples:\n  sandbar plugin push count.wasm --tenant team-a\n  \
        minisign -S -m count.wasm && sandbar plugin push count.wasm --tenant team-a\n  \
        sandbar plugin push count.wasm --to oci://registry.example/team/count:1.0\n  \
        sandbar plugin push oci://registry.example/team/count:1.0 --tenant team-a"
    )]
    Push {
        /// The component's file, or where it stands in a registry
        #[arg(value_name = "FILE|oci://…")]
        file: String,
        /// A registry to give it to: oci://REGISTRY/REPOSITORY:TAG
        #[arg(long, value_name = "oci://…")]
        to: Option<OciReference>,
        /// The file of its signature, as minisign makes it
        #[arg(long, value_name = "FILE")]
        signature: Option<PathBuf>,
        #[command(flatten)]
        place: InTenant,
    },
    /// Take a plugin from a registry into a file
    #[command(
        after_help = "Credentials are those of `docker login` or `podman login`: the file of REGISTRY_AUTH_FILE, \
        config.json in DOCKER_CONFIG, or ~/.docker/config.json. Only 127.0.0.1 and localhost are spoken to without \
        TLS. A signature that stands beside the plugin goes into FILE.minisig.\n\n\
        Example:\n  sandbar plugin pull oci://registry.example/team/count:1.0 --to count.wasm"
    )]
    Pull {
        /// Where it stands: oci://REGISTRY/REPOSITORY:TAG, or @sha256:…
        reference: OciReference,
        /// The file to write
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
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
            PluginAction::Push {
                file,
                to: Some(to),
                signature,
                ..
            } => {
                let digest = push_to(&Registries::of_process(), &to, Path::new(&file), signature.as_deref())?;
                out.show(&json!({ "digest": digest, "reference": to.to_string() }), || {
                    digest.to_string()
                })
            }
            PluginAction::Pull { reference, to } => pull(&reference, &to, out),
            PluginAction::Push {
                file,
                to: None,
                signature,
                place,
            } => {
                let source = PluginSource::read(&file, Path::new(""))?;
                let (connection, tenant) = place.connect()?;
                let digest = connection.push_from(&tenant, &source, signature.as_deref(), &Registries::of_process())?;
                out.show(&json!({ "digest": digest, "tenant": tenant }), || digest.to_string())
            }
            PluginAction::List { place } => {
                let (connection, tenant) = place.connect()?;
                list(&connection.plugins(&tenant)?, out)
            }
        }
    }
}

fn pull(reference: &OciReference, to: &Path, out: &Output) -> Result<()> {
    let pulled = Registries::of_process().pull(reference)?;
    let write = |path: &Path, bytes: &[u8]| {
        let what = || format!("failed to write `{}`", path.display());
        std::fs::write(path, bytes).map_err(|error| Error::new(Kind::Failed, what(), error.to_string()))
    };
    write(to, &pulled.bytes)?;
    if let Some(signature) = &pulled.signature {
        let mut beside = to.as_os_str().to_owned();
        beside.push(".minisig");
        write(Path::new(&beside), signature.as_str().as_bytes())?;
    }
    let told =
        json!({ "file": to.to_string_lossy(), "bytes": pulled.bytes.len(), "signed": pulled.signature.is_some() });
    out.show(&told, || format!("wrote {}", to.display()))
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
