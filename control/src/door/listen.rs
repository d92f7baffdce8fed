//! Accepts connections and answers on them, each in a task of its own.
//!
//! Never waits for one peer before it accepts the next. Always: a handshake and the head of a request have a limit of
//! time, and so has the silence between two requests.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tower::ServiceExt as _;

use super::crowd::{Crowd, Owner, Visitor};
use super::socket::MachineSocket;
use super::tls::Certificates;

/// Bytes of the head of a request, at most: its line, with path and query, and its headers.
const MOST_HEAD_BYTES: usize = 32 << 10;
/// Milliseconds for which a peer may take nothing of what is sent to it.
const UNTAKEN_MILLIS: u32 = 60_000;
/// After an error of the listener, such as too many open files.
const PAUSE: Duration = Duration::from_millis(100);

/// How long a peer may take. Tests have shorter ones.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DoorPatience {
    /// For the handshake of TLS.
    pub(crate) handshake: Duration,
    /// For the head of a request, from the connection or the answer before on.
    pub(crate) head: Duration,
    /// For the last answers, when the daemon ends.
    pub(crate) last_answers: Duration,
}

impl Default for DoorPatience {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(10),
            head: Duration::from_secs(20),
            last_answers: Duration::from_secs(3),
        }
    }
}

/// Where connections come in.
pub(crate) enum Entrance {
    /// A port; with certificates for TLS alone.
    Port(TcpListener, Option<Certificates>),
    /// The machine's own.
    Machine(MachineSocket),
}

/// A connection that came.
enum Arrival {
    Plain(TcpStream),
    Encrypted(TcpStream, Arc<ServerConfig>),
    Local(UnixStream),
}

/// What stands behind all entrances.
#[derive(Clone)]
pub(crate) struct Door {
    router: Router,
    crowd: Crowd,
    patience: DoorPatience,
}

impl Entrance {
    async fn arrival(&self) -> io::Result<(Arrival, Owner, String)> {
        match self {
            Self::Port(listener, certificates) => {
                let (stream, peer) = listener.accept().await?;
                stream.set_nodelay(true)?;
                rustix::net::sockopt::set_tcp_user_timeout(&stream, UNTAKEN_MILLIS)?;
                let arrival = match certificates {
                    None => Arrival::Plain(stream),
                    Some(certificates) => Arrival::Encrypted(stream, certificates.config()),
                };
                let address = peer.ip().to_canonical();
                Ok((arrival, Owner::at(address), address.to_string()))
            }
            Self::Machine(socket) => {
                let (stream, _) = socket.listener.accept().await?;
                let user = stream.peer_cred()?.uid();
                Ok((Arrival::Local(stream), Owner::Stranger(None), format!("user {user}")))
            }
        }
    }
}

impl Door {
    /// To this router; a request has its [`Visitor`] with it.
    pub(crate) fn new(router: Router, crowd: Crowd, patience: DoorPatience) -> Self {
        Self {
            router,
            crowd,
            patience,
        }
    }

    /// Answers whoever comes in here until it is told to stop, and then those who are inside, for a while.
    pub(crate) async fn attend(self, entrance: Entrance, mut stop: watch::Receiver<bool>) {
        let mut inside = JoinSet::new();
        loop {
            let arrived = tokio::select! {
                arrived = entrance.arrival() => arrived,
                Some(_) = inside.join_next() => continue,
                () = told(&mut stop) => break,
            };
            match arrived {
                Ok((arrival, owner, from)) => {
                    if let Some(visitor) = self.crowd.welcome(owner, from) {
                        inside.spawn(self.clone().receive(arrival, visitor, stop.clone()));
                    }
                }
                // One that is gone again is no reason to wait.
                Err(error) if is_of_the_peer(&error) => {}
                Err(error) => {
                    tracing::warn!(%error, "failed to accept a connection");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
        drop(entrance);
        let last = async { while inside.join_next().await.is_some() {} };
        // An answer that goes on, such as a log that is followed, has no end of its own.
        let _ = tokio::time::timeout(self.patience.last_answers, last).await;
    }

    async fn receive(self, arrival: Arrival, visitor: Visitor, stop: watch::Receiver<bool>) {
        let called_off = visitor.clone();
        let answered = async {
            match arrival {
                Arrival::Plain(stream) => self.answer(stream, visitor, stop).await,
                Arrival::Local(stream) => self.answer(stream, visitor, stop).await,
                Arrival::Encrypted(stream, config) => {
                    let handshake = TlsAcceptor::from(config).accept(stream);
                    match tokio::time::timeout(self.patience.handshake, handshake).await {
                        Ok(Ok(stream)) => self.answer(stream, visitor, stop).await,
                        Ok(Err(error)) => tracing::debug!(from = visitor.from(), %error, "a handshake failed"),
                        Err(_) => tracing::debug!(from = visitor.from(), "a handshake took too long"),
                    }
                }
            }
        };
        tokio::select! {
            () = called_off.called_off() => {}
            () = answered => {}
        }
    }

    async fn answer<S>(&self, stream: S, visitor: Visitor, mut stop: watch::Receiver<bool>)
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let router = self.router.clone();
        let from = visitor.from().to_owned();
        let service = service_fn(move |request: hyper::Request<Incoming>| {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(visitor.clone());
            router.clone().oneshot(request)
        });
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(self.patience.head)
            .max_buf_size(MOST_HEAD_BYTES);
        let mut connection = pin!(http.serve_connection(TokioIo::new(stream), service));
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = told(&mut stop) => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(from, %error, "a connection ended");
        }
    }
}

/// Waits until it is told to stop.
async fn told(stop: &mut watch::Receiver<bool>) {
    drop(stop.wait_for(|stop| *stop).await);
}

fn is_of_the_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, InvalidInput, NotConnected};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionReset | NotConnected | BrokenPipe | InvalidInput
    )
}
