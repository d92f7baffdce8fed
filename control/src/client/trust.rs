//! Which certificates count between a client and its daemon.
//!
//! Never shows a key. Always: with an authority of its own, no other counts.

use std::fs;
use std::path::{Path, PathBuf};

use reqwest::{Certificate, ClientBuilder, Identity};
use serde::{Deserialize, Serialize};

use crate::model::problem::{Problem, ProblemKind, Result};

/// Files in PEM; none of them: the authorities of the machine, and no certificate of the client.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Trust {
    /// The authorities of the daemon's certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
    /// The client's certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<PathBuf>,
    /// The key of the client's certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<PathBuf>,
}

impl Trust {
    /// Its paths.
    pub(super) fn paths(&mut self) -> [&mut Option<PathBuf>; 3] {
        [&mut self.ca, &mut self.certificate, &mut self.key]
    }

    /// # Errors
    /// As [`Self::given_to`].
    pub(super) fn check(&self) -> Result<()> {
        self.given_to(reqwest::Client::builder()).map(drop)
    }

    /// A client that goes by it.
    ///
    /// # Errors
    /// `Failed`: a file cannot be read or holds something else, or the certificate or the key is missing.
    pub(super) fn given_to(&self, mut client: ClientBuilder) -> Result<ClientBuilder> {
        if let Some(path) = &self.ca {
            let pem = read("authority", path)?;
            let certificates = Certificate::from_pem_bundle(&pem).map_err(|error| wrong("authority", path, error))?;
            if certificates.is_empty() {
                return Err(wrong("authority", path, "it holds no certificate"));
            }
            client = client.tls_certs_only(certificates);
        }
        match (&self.certificate, &self.key) {
            (None, None) => Ok(client),
            (Some(certificate), Some(key)) => {
                let pem = read("certificate", certificate)?;
                let identity = Identity::from_pkcs8_pem(&pem, &read("key", key)?);
                // What is said of a wrong key names its sort, and nothing of it.
                Ok(client.identity(identity.map_err(|error| wrong("key", key, error))?))
            }
            _ => {
                let why = "a certificate and its key are given together";
                let what = "failed to use the certificate of a client";
                Err(Problem::new(ProblemKind::Failed, what, why).hint("give --certificate and --key"))
            }
        }
    }
}

fn read(what: &str, path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|error| wrong(what, path, error))
}

fn wrong(what: &str, path: &Path, why: impl std::fmt::Display) -> Problem {
    let what = format!("failed to use the {what} in `{}`", path.display());
    Problem::new(ProblemKind::Failed, what, why).hint("it is a file in PEM, a key in PKCS #8 (`BEGIN PRIVATE KEY`)")
}
