//! A client that speaks TLS, byte by byte, and a daemon that it speaks to.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ALL_VERSIONS, ClientConfig, RootCertStore, SupportedProtocolVersion};

use super::authority::{Authority, SignedPair};
use crate::door::{Certificates, DoorPatience, TlsFiles};
use crate::rest::tests::daemon::Daemon;

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(60);

/// A daemon behind TLS.
pub(super) struct BehindTls {
    pub(super) daemon: Daemon,
    pub(super) address: SocketAddr,
    pub(super) authority: Authority,
    pub(super) certificates: Certificates,
    pub(super) folder: tempfile::TempDir,
}

impl BehindTls {
    /// With this authority of clients, if there is one.
    pub(super) async fn new(daemon: Daemon, clients: Option<&Authority>, patience: DoorPatience) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new("the daemon's");
        let (certificate, key) = authority.issue("daemon").write(folder.path(), "daemon");
        let client_ca = clients.map(|clients| {
            let path = folder.path().join("clients.pem");
            std::fs::write(&path, clients.pem()).unwrap();
            path
        });
        let files = TlsFiles {
            certificate,
            key,
            client_ca,
        };
        let certificates = Certificates::open(files).unwrap();
        let address = daemon.serve_with(Some(certificates.clone()), patience).await;
        Self {
            daemon,
            address,
            authority,
            certificates,
            folder,
        }
    }

    pub(super) async fn dial(&self) -> TlsStream<TcpStream> {
        dial(self.address, &self.authority, None, ALL_VERSIONS).await.unwrap()
    }

    /// What is answered to these bytes.
    pub(super) async fn ask(&self, bytes: &[u8]) -> String {
        said(self.dial().await, bytes).await.unwrap()
    }
}

/// A connection to whoever has a certificate of this authority for 127.0.0.1.
pub(super) async fn dial(
    address: SocketAddr,
    authority: &Authority,
    own: Option<&SignedPair>,
    versions: &[&'static SupportedProtocolVersion],
) -> io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(&authority.pem()).unwrap())
        .unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots);
    let config = match own {
        None => config.with_no_client_auth(),
        Some(own) => {
            let chain = vec![CertificateDer::from_pem_slice(&own.certificate).unwrap()];
            let key = PrivateKeyDer::from_pem_slice(&own.key).unwrap();
            config.with_client_auth_cert(chain, key).unwrap()
        }
    };
    let stream = TcpStream::connect(address).await?;
    let name = address.ip().into();
    let connected = TlsConnector::from(Arc::new(config)).connect(name, stream);
    tokio::time::timeout(LONG, connected).await?
}

/// Sends these bytes and reads until the other side ends, or has said all that a request is answered with.
pub(super) async fn said(mut stream: impl AsyncRead + AsyncWrite + Unpin, bytes: &[u8]) -> io::Result<String> {
    stream.write_all(bytes).await?;
    let mut answer = Vec::new();
    // An end without a word of the other side's TLS is one after an answer as well.
    let read = tokio::time::timeout(LONG, stream.read_to_end(&mut answer)).await;
    match read.expect("an end") {
        Err(error) if answer.is_empty() => Err(error),
        _ => Ok(String::from_utf8_lossy(&answer).into_owned()),
    }
}

/// A request for who asks, after which the connection ends.
pub(super) fn whoami(token: &str) -> Vec<u8> {
    format!("GET /v1/whoami HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n")
        .into_bytes()
}
