//! A provider over HTTP: its discovery document, and what is asked of its endpoints.
//!
//! Never follows a redirection, and never reads more than a limit. Always: what the document names is https, or on this
//! machine if the provider is.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use reqwest::{Client, RequestBuilder, Response, StatusCode, Url, redirect};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::model::problem::{Problem, ProblemKind, Result};

/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(10);
/// Bytes of an answer, at most.
const MOST_BYTES: usize = 1 << 20;

/// An OpenID Connect provider.
#[derive(Debug, Clone)]
pub(crate) struct Provider {
    issuer: String,
    client: Client,
    is_on_this_machine: bool,
}

/// What a provider says of itself (OpenID Connect Discovery 1.0, RFC 8414).
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct ProviderEndpoints {
    issuer: String,
    /// Its keys.
    pub(crate) jwks_uri: Option<String>,
    /// Where tokens are asked for.
    pub(crate) token_endpoint: Option<String>,
    /// Where a person's login begins (RFC 8628).
    pub(crate) device_authorization_endpoint: Option<String>,
}

impl Provider {
    /// Of this issuer, whose certificate is of an authority of the machine, or of this file. Nothing is asked yet.
    ///
    /// # Errors
    /// `Invalid`: it is no https URL, nor one of this machine, or the file holds no certificates.
    pub(crate) fn new(issuer: &str, ca: Option<&Path>) -> Result<Self> {
        let what = "failed to use the OIDC issuer";
        let invalid = |why: String| {
            Problem::new(ProblemKind::Invalid, what, why).hint("give its URL, such as https://login.example/realm")
        };
        let url = Url::parse(issuer).map_err(|error| invalid(format!("it is no URL: {error}")))?;
        let has_secret = !url.username().is_empty() || url.password().is_some();
        if has_secret || url.query().is_some() || url.fragment().is_some() {
            return Err(invalid("it holds a user, a password, a query or a fragment".to_owned()));
        }
        let is_on_this_machine = is_on_this_machine(&url);
        if url.scheme() != "https" && !(url.scheme() == "http" && is_on_this_machine) {
            return Err(invalid(format!("{issuer} is not https, and not on this machine")));
        }
        let mut client = Client::builder().timeout(ANSWER).redirect(redirect::Policy::none());
        if is_on_this_machine {
            client = client.no_proxy();
        }
        if let Some(path) = ca {
            let unread = |why: String| {
                let what = format!("failed to read the authority of the OIDC issuer in {}", path.display());
                Problem::new(ProblemKind::Invalid, what, why).hint("give certificates in PEM")
            };
            let pem = std::fs::read(path).map_err(|error| unread(error.to_string()))?;
            let certificates = reqwest::Certificate::from_pem_bundle(&pem);
            client = client.tls_certs_only(certificates.map_err(|error| unread(error.to_string()))?);
        }
        Ok(Self {
            issuer: issuer.to_owned(),
            client: client.build().map_err(|error| invalid(error.to_string()))?,
            is_on_this_machine,
        })
    }

    /// What it says of itself.
    ///
    /// # Errors
    /// `Unavailable`: it cannot be asked. `Failed`: it says that it is another, or nothing that can be read.
    pub(crate) async fn discover(&self) -> Result<ProviderEndpoints> {
        let url = format!("{}/.well-known/openid-configuration", self.issuer.trim_end_matches('/'));
        let said: ProviderEndpoints = self.get(&url).await?;
        if said.issuer != self.issuer {
            let why = format!("it says that it is {:?}", said.issuer);
            return Err(self
                .failed(why)
                .hint("give the issuer as its discovery document has it"));
        }
        Ok(said)
    }

    /// What is at an address that the provider named.
    ///
    /// # Errors
    /// As [`Self::discover`].
    pub(crate) async fn get<T: DeserializeOwned>(&self, url: &str) -> Result<T> {
        let (status, body) = self.send(self.client.get(self.allowed(url)?)).await?;
        match status.is_success() {
            true => self.read(&body),
            false => Err(self.unavailable(format!("{url} answered with {status}"))),
        }
    }

    /// What a form is answered with, by a client that shows this id and secret if there is one.
    ///
    /// # Errors
    /// As [`Self::discover`]; an answer that refuses is none.
    pub(crate) async fn post(
        &self,
        url: &str,
        form: &[(&str, &str)],
        client: Option<(&str, &str)>,
    ) -> Result<(StatusCode, Vec<u8>)> {
        let request = self.client.post(self.allowed(url)?).form(form);
        self.send(match client {
            Some((id, secret)) => request.basic_auth(id, Some(secret)),
            None => request,
        })
        .await
    }

    /// An answer as JSON; no error repeats it, for it may hold a token.
    ///
    /// # Errors
    /// `Failed`: it is none of this sort.
    pub(crate) fn read<T: DeserializeOwned>(&self, body: &[u8]) -> Result<T> {
        serde_json::from_slice(body).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            self.failed(format!(
                "its answer is not the JSON that was asked for, at line {line} column {column}"
            ))
        })
    }

    /// An endpoint that has to be there.
    ///
    /// # Errors
    /// `Failed`: the provider has none.
    pub(crate) fn endpoint<'a>(&self, url: Option<&'a String>, name: &str) -> Result<&'a str> {
        let url = url.map(String::as_str);
        url.ok_or_else(|| self.failed(format!("its discovery document has no {name}")))
    }

    /// That it failed, and why.
    pub(crate) fn failed(&self, why: impl std::fmt::Display) -> Problem {
        Problem::new(
            ProblemKind::Failed,
            format!("failed to ask the issuer {}", self.issuer),
            why,
        )
    }

    fn unavailable(&self, why: impl std::fmt::Display) -> Problem {
        let what = format!("failed to ask the issuer {}", self.issuer);
        Problem::new(ProblemKind::Unavailable, what, why)
    }

    fn allowed(&self, url: &str) -> Result<Url> {
        let parsed = Url::parse(url).map_err(|error| self.failed(format!("it names {url:?}: {error}")))?;
        let is_local = self.is_on_this_machine && parsed.scheme() == "http" && is_on_this_machine(&parsed);
        match parsed.scheme() == "https" || is_local {
            true => Ok(parsed),
            false => Err(self.failed(format!("it names {url:?}, which is not https"))),
        }
    }

    async fn send(&self, request: RequestBuilder) -> Result<(StatusCode, Vec<u8>)> {
        let unheard = |error: reqwest::Error| {
            let error = error.without_url();
            let mut innermost: &dyn std::error::Error = &error;
            while let Some(cause) = innermost.source() {
                innermost = cause;
            }
            self.unavailable(innermost)
        };
        let mut answer: Response = request.send().await.map_err(unheard)?;
        let mut body = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(unheard)? {
            if body.len() + piece.len() > MOST_BYTES {
                return Err(self.failed(format!("its answer has more than {MOST_BYTES} bytes")));
            }
            body.extend_from_slice(&piece);
        }
        Ok((answer.status(), body))
    }
}

/// Whether an address names this machine, by its number or as `localhost`.
pub(crate) fn is_on_this_machine(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}
