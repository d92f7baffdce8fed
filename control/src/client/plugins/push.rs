//! Pushes plugins, with their signatures.
//!
//! Never sends one that the tenant has, unless it is signed by one more.

use std::collections::BTreeMap;
use std::path::Path;

use sha2::{Digest as _, Sha256};

use super::application::{Application, PluginSource};
use super::credentials::Registries;
use super::local;
use crate::client::connection::Connection;
use crate::means::PluginSignature;
use crate::model::names::{Digest, Name};
use crate::model::problem::{Problem, ProblemKind, Result};

/// A plugin to push.
struct ReadPlugin {
    /// What it is called, and shown as.
    name: String,
    bytes: Vec<u8>,
    signature: Option<PluginSignature>,
}

impl Connection {
    /// Pushes each plugin of an application that the tenant does not have yet; the plugin of each operator.
    ///
    /// # Errors
    /// `PluginRefused`: a file cannot be read, is too large, or is no plugin. Otherwise what the registries and the
    /// requests say.
    pub fn push_all(
        &self,
        tenant: &Name,
        application: &Application,
        registries: &Registries,
    ) -> Result<BTreeMap<String, Digest>> {
        let push = |(operator, source): (&String, &PluginSource)| {
            let digest = self
                .push_from(tenant, source, None, registries)
                .map_err(|problem| Problem {
                    what: format!("operator `{operator}`: {}", problem.what),
                    ..problem
                })?;
            Ok((operator.clone(), digest))
        };
        application.plugins.iter().map(push).collect()
    }

    /// Pushes a plugin, if the tenant does not have it yet; its digest. What a registry has of a signature goes along
    /// as that of a file does.
    ///
    /// # Errors
    /// As [`Self::push_all`].
    pub fn push_from(
        &self,
        tenant: &Name,
        source: &PluginSource,
        signature: Option<&Path>,
        registries: &Registries,
    ) -> Result<Digest> {
        let reference = match source {
            PluginSource::File(path) => return self.push_file(tenant, path, signature),
            PluginSource::Registry(reference) => reference,
        };
        let pulled = registries.pull(reference)?;
        let signature = match (signature, pulled.signature) {
            (Some(named), _) => Some(local::signature(named)?),
            (None, Some(beside)) if !self.signing_keys(tenant)?.is_empty() => Some(beside),
            (None, _) => None,
        };
        let (name, bytes) = (reference.name().to_owned(), pulled.bytes);
        self.push_read(tenant, ReadPlugin { name, bytes, signature })
    }

    /// Pushes the plugin of a file, if the tenant does not have it yet; its digest. The signature is that of the file
    /// that is named, or of the one beside the plugin, `FILE.minisig`, if the tenant has keys at all.
    ///
    /// # Errors
    /// As [`Self::push_all`].
    pub fn push_file(&self, tenant: &Name, path: &Path, signature: Option<&Path>) -> Result<Digest> {
        let bytes = local::plugin(path)?;
        let beside = local::beside(path);
        let signature = match signature {
            Some(named) => Some(local::signature(named)?),
            None if beside.is_file() && !self.signing_keys(tenant)?.is_empty() => Some(local::signature(&beside)?),
            None => None,
        };
        let name = local::shown_name(path);
        self.push_read(tenant, ReadPlugin { name, bytes, signature })
    }

    fn push_read(&self, tenant: &Name, plugin: ReadPlugin) -> Result<Digest> {
        let ReadPlugin { name, bytes, signature } = plugin;
        let digest = Digest::of_hash(&Sha256::digest(&bytes));
        let is_signer = |key| signature.as_ref().is_none_or(|signature| signature.key() == key);
        match self.plugin(tenant, &digest) {
            Ok(there) if signature.is_none() || there.signatures.iter().any(|kept| is_signer(&kept.key)) => {
                return Ok(there.digest);
            }
            Ok(_) => {}
            Err(problem) if problem.kind == ProblemKind::NotFound => {}
            Err(problem) => return Err(problem),
        }
        let signature = signature.as_ref().map(PluginSignature::as_str);
        let pushed = self
            .push_plugin(tenant, (&name, ""), signature, bytes)
            .map_err(|problem| Problem {
                kind: match problem.kind {
                    ProblemKind::Invalid | ProblemKind::TooLarge => ProblemKind::PluginRefused,
                    kind => kind,
                },
                ..problem
            })?;
        match pushed.digest == digest {
            true => Ok(digest),
            false => Err(Problem::new(
                ProblemKind::Failed,
                format!("failed to push the plugin `{name}`"),
                format!("the daemon got {}, and not {digest}", pushed.digest),
            )),
        }
    }
}
