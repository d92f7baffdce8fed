//! How a person signs in at registries: the file that `docker login` and `podman login` write.
//!
//! Never starts a program that keeps credentials, and never shows one. Always: a credential goes to the registry that
//! it stands for.

use std::collections::BTreeMap;
use std::env;
use std::fmt;
use std::io::ErrorKind;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use oci_client::secrets::RegistryAuth;
use serde::Deserialize;

use super::local::read;
use crate::model::problem::{Problem, ProblemKind, Result};

/// Bytes of the file, at most.
const MOST_BYTES: u64 = 1 << 20;

/// Registries, as a person may use them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Registries {
    /// The file of credentials; without it, or if it is not there, nobody is signed in.
    pub credentials: Option<PathBuf>,
}

#[derive(Deserialize)]
struct CredentialsFile {
    #[serde(default)]
    auths: BTreeMap<String, RegistryCredential>,
}

#[derive(Deserialize)]
struct RegistryCredential {
    /// `USER:PASSWORD` in base64.
    #[serde(default)]
    auth: String,
}

impl Registries {
    /// Those of this process: the file of `REGISTRY_AUTH_FILE`, `config.json` in `DOCKER_CONFIG`, or
    /// `~/.docker/config.json`.
    pub fn of_process() -> Self {
        let variable = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let of_docker = || Some(variable("DOCKER_CONFIG")?.join("config.json"));
        let at_home = || Some(variable("HOME")?.join(".docker/config.json"));
        Self {
            credentials: variable("REGISTRY_AUTH_FILE").or_else(of_docker).or_else(at_home),
        }
    }

    /// How to sign in at a registry.
    ///
    /// # Errors
    /// `Failed`: the file cannot be read, or is none.
    pub(super) fn credentials(&self, registry: &str) -> Result<RegistryAuth> {
        let Some(path) = &self.credentials else {
            return Ok(RegistryAuth::Anonymous);
        };
        let failed = |why: &dyn fmt::Display| {
            let what = format!("failed to read the credentials in `{}`", path.display());
            Problem::new(ProblemKind::Failed, what, why)
        };
        let bytes = match read(path, MOST_BYTES) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(RegistryAuth::Anonymous),
            bytes => bytes.map_err(|error| failed(&error))?,
        };
        // What serde says of a wrong file may repeat a part of it.
        let none = || failed(&"it is no file of credentials as `docker login` writes it");
        let file: CredentialsFile = serde_json::from_slice(&bytes).map_err(|_| none())?;
        let Some(kept) = file.auths.get(registry).filter(|kept| !kept.auth.is_empty()) else {
            return Ok(RegistryAuth::Anonymous);
        };
        let text = STANDARD.decode(&kept.auth).ok().map(String::from_utf8);
        let text = text.and_then(std::result::Result::ok).ok_or_else(none)?;
        let (user, password) = text.split_once(':').ok_or_else(none)?;
        Ok(RegistryAuth::Basic(user.to_owned(), password.to_owned()))
    }
}
