//! Where `--http` listens: an address of a network, or a socket in a folder, which the folder's permissions guard.

use std::fmt;
use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use axum::extract::connect_info::Connected;
use axum::serve::IncomingStream;

/// An address to listen on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HttpAddress {
    /// `ADDRESS:PORT`; port 0 is any that is free.
    Tcp(SocketAddr),
    /// `unix:PATH`.
    Unix(PathBuf),
}

/// Who asks: the address of the other end, or a process of this machine that may open the socket.
#[derive(Debug, Clone, Copy)]
pub(super) enum Asker {
    /// Over a network.
    Tcp(IpAddr),
    /// Through the socket.
    Unix,
}

/// What listens.
pub(super) enum Listening {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Asker {
    /// Whether it is on this machine.
    pub(super) fn is_here(self) -> bool {
        match self {
            Self::Tcp(address) => address.to_canonical().is_loopback(),
            Self::Unix => true,
        }
    }
}

impl HttpAddress {
    /// Listens, and says where. A socket that nobody answers on any more is replaced; it is its owner's alone.
    pub(super) fn listen(&self) -> io::Result<(Listening, Self)> {
        match self {
            Self::Tcp(address) => {
                let listener = TcpListener::bind(address)?;
                listener.set_nonblocking(true)?;
                let address = Self::Tcp(listener.local_addr()?);
                Ok((Listening::Tcp(listener), address))
            }
            Self::Unix(path) => {
                if is_left_over(path) {
                    fs::remove_file(path)?;
                }
                let listener = UnixListener::bind(path)?;
                fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
                listener.set_nonblocking(true)?;
                Ok((Listening::Unix(listener), self.clone()))
            }
        }
    }
}

/// Whether a socket is there on which nobody listens.
fn is_left_over(path: &Path) -> bool {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|about| about.file_type().is_socket());
    let refuses = |error: io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
    is_socket && UnixStream::connect(path).is_err_and(refuses)
}

impl FromStr for HttpAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix("unix:") {
            Some("") => Err("unix: needs the path of a socket".to_owned()),
            Some(path) => Ok(Self::Unix(path.into())),
            None => text
                .parse()
                .map(Self::Tcp)
                .map_err(|_| "give ADDRESS:PORT, such as 127.0.0.1:9464, or unix:PATH".to_owned()),
        }
    }
}

impl fmt::Display for HttpAddress {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(out, "{address}"),
            Self::Unix(path) => write!(out, "unix:{}", path.display()),
        }
    }
}

impl Connected<IncomingStream<'_, tokio::net::TcpListener>> for Asker {
    fn connect_info(stream: IncomingStream<'_, tokio::net::TcpListener>) -> Self {
        Self::Tcp(stream.remote_addr().ip())
    }
}

impl Connected<IncomingStream<'_, tokio::net::UnixListener>> for Asker {
    fn connect_info(_: IncomingStream<'_, tokio::net::UnixListener>) -> Self {
        Self::Unix
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_of_a_network_or_a_socket() {
        let of = |text: &str| text.parse::<HttpAddress>();
        assert_eq!(of("127.0.0.1:9464").unwrap().to_string(), "127.0.0.1:9464");
        assert_eq!(of("unix:/run/a b.sock"), Ok(HttpAddress::Unix("/run/a b.sock".into())));
        assert!(of("unix:").is_err() && of("localhost").unwrap_err().contains("unix:PATH"));
    }

    #[test]
    fn a_socket_that_was_left_is_replaced_and_one_that_answers_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("http.sock");
        let address = HttpAddress::Unix(path.clone());
        let (listening, _) = address.listen().unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(
            address
                .listen()
                .is_err_and(|error| error.kind() == io::ErrorKind::AddrInUse)
        );
        drop(listening);
        drop(address.listen().unwrap());
        fs::remove_file(&path).unwrap();
        fs::write(&path, "no socket").unwrap();
        assert!(address.listen().is_err());
        assert_eq!(fs::read(&path).unwrap(), b"no socket");
    }

    #[test]
    fn whoever_comes_through_the_socket_is_here() {
        assert!(Asker::Unix.is_here() && Asker::Tcp([127, 0, 0, 1].into()).is_here());
        assert!(!Asker::Tcp([10, 0, 0, 7].into()).is_here());
    }
}
