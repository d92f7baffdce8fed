//! The certificate that the daemon shows, and those that it asks for.
//!
//! Never ends for a file that became wrong: it keeps what it read before, and says so. Always: files that change are in
//! use within seconds, for connections that come from then on.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::signal::unix::{SignalKind, signal};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

use crate::model::problem::{Problem, ProblemKind, Result};

/// From one look at the files to the next.
const LOOK: Duration = Duration::from_secs(10);

/// The files of a daemon that speaks TLS, in PEM.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// Its certificate, and those between it and its authority.
    pub certificate: PathBuf,
    /// The key of its certificate.
    pub key: PathBuf,
    /// The authorities of clients: who has no certificate of them is turned away. None: everybody may connect.
    pub client_ca: Option<PathBuf>,
}

/// What tells one state of a file from another.
type Mark = (SystemTime, u64, u64);

/// The files, as they were read last.
#[derive(Clone)]
pub(crate) struct Certificates {
    files: TlsFiles,
    read: Arc<Mutex<ReadFiles>>,
}

struct ReadFiles {
    config: Arc<ServerConfig>,
    marks: Vec<Option<Mark>>,
}

impl Certificates {
    /// Reads them.
    ///
    /// # Errors
    /// `Invalid`: one cannot be read, or they do not fit together.
    pub(crate) fn open(files: TlsFiles) -> Result<Self> {
        let marks = marks(&files);
        let config = Arc::new(config(&files)?);
        Ok(Self {
            files,
            read: Arc::new(Mutex::new(ReadFiles { config, marks })),
        })
    }

    /// What a connection that comes now is to be met with.
    pub(super) fn config(&self) -> Arc<ServerConfig> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner).config.clone()
    }

    /// Looks at the files again and again, and at once when the process is told to (SIGHUP).
    pub(crate) async fn keep_looking(&self) {
        let mut hangup = match signal(SignalKind::hangup()) {
            Ok(hangup) => Some(hangup),
            Err(error) => {
                tracing::warn!(%error, "SIGHUP is not listened for");
                None
            }
        };
        loop {
            let told = async {
                match &mut hangup {
                    Some(hangup) => drop(hangup.recv().await),
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = told => self.read_anew(marks(&self.files)),
                () = tokio::time::sleep(LOOK) => self.look(),
            }
        }
    }

    /// Reads the files anew if they changed.
    pub(crate) fn look(&self) {
        let marks = marks(&self.files);
        if self.read.lock().unwrap_or_else(PoisonError::into_inner).marks != marks {
            self.read_anew(marks);
        }
    }

    fn read_anew(&self, marks: Vec<Option<Mark>>) {
        let config = config(&self.files);
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        // Marks of before the reading: a file that changed meanwhile is read again. One that is wrong is told once.
        read.marks = marks;
        match config {
            Ok(config) => {
                read.config = Arc::new(config);
                tracing::info!(certificate = %self.files.certificate.display(), "the certificate was read anew");
            }
            Err(problem) => tracing::error!(%problem, "the certificate of before stays in use"),
        }
    }
}

fn marks(files: &TlsFiles) -> Vec<Option<Mark>> {
    let mark = |path: &PathBuf| {
        let file = std::fs::metadata(path).ok()?;
        Some((file.modified().ok()?, file.len(), file.ino()))
    };
    let all = [Some(&files.certificate), Some(&files.key), files.client_ca.as_ref()];
    all.into_iter().flatten().map(mark).collect()
}

fn config(files: &TlsFiles) -> Result<ServerConfig> {
    let provider = Arc::new(ring::default_provider());
    let chain = certificates(&files.certificate)?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| wrong("key", &files.key, error))?;
    let unusable = |error| wrong("certificate", &files.certificate, error);
    let config = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(unusable)?;
    let config = match &files.client_ca {
        None => config.with_no_client_auth(),
        Some(path) => config.with_client_cert_verifier(of_clients(path, provider)?),
    };
    let mut config = config.with_single_cert(chain, key).map_err(unusable)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn of_clients(
    path: &Path,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn tokio_rustls::rustls::server::danger::ClientCertVerifier>> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        let added = roots.add(certificate);
        added.map_err(|error| wrong("authority of clients", path, error))?;
    }
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|error| wrong("authority of clients", path, error))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<std::result::Result<Vec<_>, _>>);
    let read = read.map_err(|error| wrong("certificate", path, error))?;
    match read.is_empty() {
        true => Err(wrong("certificate", path, io::Error::other("it holds none"))),
        false => Ok(read),
    }
}

/// Errors of these files name places and sorts, and repeat nothing of a key.
fn wrong(what: &str, path: &Path, why: impl std::fmt::Display) -> Problem {
    let what = format!("failed to use the {what} in {}", path.display());
    Problem::new(ProblemKind::Invalid, what, why).hint("give files in PEM, the key of the certificate among them")
}
