//! A connection to a daemon: sends, waits, and says what came of it.
//!
//! Never follows a redirection: the token is for this address. Always: an answer that does not come within a span, or
//! is too long, is a problem; a stream may be silent as long as it likes, while its daemon lives.

use std::error::Error;
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use reqwest::{Client, Method, RequestBuilder, Response, redirect};
use serde::de::DeserializeOwned;
use tokio::runtime::{Builder, Runtime};

use super::address::Address;
use super::answer::Answer;
use super::endpoint::{Credential, Endpoint};
use crate::model::problem::{Problem, ProblemKind, Result};

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(10);
/// How long an answer may take: of an application, whose plugins are compiled before.
const ANSWER: Duration = Duration::from_secs(300);
/// How long one may take to what has a plugin in it: a little longer than a daemon waits for the bytes.
const ANSWER_TO_A_PLUGIN: Duration = Duration::from_secs(630);
/// How often the daemon's machine is asked whether it lives, while a stream is silent.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// Bytes of an answer that is read whole, at most.
const MOST_BYTES: usize = 64 << 20;

/// A connection to a daemon. Its methods block; they are not for use inside of a runtime.
#[derive(Debug)]
pub struct Connection {
    runtime: Runtime,
    client: Client,
    address: Address,
    credential: Credential,
    /// How long an answer may take that has no plugin to it.
    pub(super) patience: Duration,
}

impl Connection {
    /// Prepares one; nothing is sent before the first request.
    ///
    /// # Errors
    /// `Failed`: this process has no means for one, or the certificates of the endpoint cannot be used.
    pub fn open(endpoint: &Endpoint) -> Result<Self> {
        let address = endpoint.address.clone();
        let what = format!("failed to prepare a connection to {address}");
        let failed = |why: String| Problem::new(ProblemKind::Failed, what.clone(), why);
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| failed(error.to_string()))?;
        let mut client = Client::builder()
            .connect_timeout(CONNECT)
            .tcp_keepalive(KEEP_ALIVE)
            .redirect(redirect::Policy::none());
        if address.is_loopback() {
            // A proxy elsewhere does not reach this machine.
            client = client.no_proxy();
        }
        if let Some(socket) = address.socket() {
            client = client.unix_socket(socket);
        }
        let client = endpoint.trust.given_to(client)?;
        Ok(Self {
            client: client.build().map_err(|error| failed(innermost(error)))?,
            runtime,
            address,
            credential: endpoint.credential.clone(),
            patience: ANSWER,
        })
    }

    /// The daemon's address.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// A request, which has its token when it is sent.
    pub(super) fn request(&self, method: Method, segments: &[&str], parameters: &[(&str, &str)]) -> RequestBuilder {
        self.client.request(method, self.address.at(segments, parameters))
    }

    /// What is answered.
    ///
    /// # Errors
    /// The daemon's problem. `Unavailable`: there is no answer. `Failed`: it is none that a daemon gives.
    pub(super) fn ask<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T> {
        self.wait(self.whole(request, self.patience))?.read(&self.from())
    }

    /// What is answered to what takes long.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub(super) fn ask_within<T: DeserializeOwned>(&self, request: RequestBuilder, limit: Duration) -> Result<T> {
        self.wait(self.whole(request, limit))?.read(&self.from())
    }

    /// What is answered to many bytes.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub(super) fn ask_with_plugin<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T> {
        self.ask_within(request, ANSWER_TO_A_PLUGIN)
    }

    /// Sends what is answered with nothing.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub(super) fn tell(&self, request: RequestBuilder) -> Result<()> {
        self.wait(self.whole(request, self.patience)).map(drop)
    }

    /// The begin of an answer that comes piece by piece.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub(super) fn begin(&self, request: RequestBuilder) -> Result<Response> {
        let begun = async {
            let sent = self.send(request).await?;
            self.refused_or(sent).await
        };
        self.wait(async {
            let begun = tokio::time::timeout(self.patience, begun).await;
            begun.unwrap_or_else(|_| Err(self.silent(self.patience)))
        })
    }

    /// The next piece of a stream; `None` at its end.
    pub(super) fn piece(&self, answer: &mut Response) -> Result<Option<Vec<u8>>> {
        let piece = self.runtime.block_on(answer.chunk());
        let piece = piece.map_err(|error| self.unheard(error))?;
        Ok(piece.map(|bytes| bytes.to_vec()))
    }

    fn wait<T>(&self, answer: impl Future<Output = Result<T>>) -> Result<T> {
        self.runtime.block_on(answer)
    }

    async fn whole(&self, request: RequestBuilder, limit: Duration) -> Result<Answer> {
        let answer = async {
            let sent = self.send(request).await?;
            self.read(self.refused_or(sent).await?).await
        };
        tokio::time::timeout(limit, answer)
            .await
            .unwrap_or_else(|_| Err(self.silent(limit)))
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response> {
        let authorization = self.credential.authorization().await?;
        let request = request.header(AUTHORIZATION, authorization);
        request.send().await.map_err(|error| self.unheard(error))
    }

    async fn refused_or(&self, answer: Response) -> Result<Response> {
        match answer.status().is_success() {
            true => Ok(answer),
            false => Err(self.read(answer).await?.problem(&self.from())),
        }
    }

    async fn read(&self, mut answer: Response) -> Result<Answer> {
        let media_type = answer.headers().get(CONTENT_TYPE);
        let mut read = Answer {
            status: answer.status(),
            media_type: media_type
                .and_then(|value| value.to_str().ok())
                .unwrap_or_default()
                .to_owned(),
            body: Vec::new(),
        };
        while let Some(piece) = answer.chunk().await.map_err(|error| self.unheard(error))? {
            if read.body.len() + piece.len() > MOST_BYTES {
                let what = format!("failed to read the answer of {}", self.from());
                let why = format!("it has more than {MOST_BYTES} bytes");
                return Err(Problem::new(ProblemKind::Failed, what, why));
            }
            read.body.extend_from_slice(&piece);
        }
        Ok(read)
    }

    fn from(&self) -> String {
        format!("the daemon at {}", self.address)
    }

    fn silent(&self, limit: Duration) -> Problem {
        let why = format!("it did not answer within {limit:?}");
        Problem::new(
            ProblemKind::Unavailable,
            format!("failed to hear from {}", self.from()),
            why,
        )
        .hint("what was asked may still be done; `sandbar status` tells")
    }

    fn unheard(&self, error: reqwest::Error) -> Problem {
        if error.is_connect() {
            let slow = format!("no connection within {} s", CONNECT.as_secs());
            let why = if error.is_timeout() { slow } else { innermost(error) };
            return Problem::new(
                ProblemKind::Unavailable,
                format!("failed to reach {}", self.from()),
                why,
            )
            .hint("start it with `sandbar serve`, or name another with --url or --context");
        }
        let what = format!("failed to hear from {}", self.from());
        Problem::new(ProblemKind::Unavailable, what, innermost(error))
            .hint("what was asked may be done all the same; `sandbar status` tells")
    }
}

/// The cause behind the causes, which says what happened.
fn innermost(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut innermost: &dyn Error = &error;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    innermost.to_string()
}
