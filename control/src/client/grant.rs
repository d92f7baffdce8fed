//! Tokens that a client of an issuer asks for with its own secret (client credentials).
//!
//! Never keeps a token beyond the process, and never shows one. Always: it is renewed before it ends.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::token::BearerToken;
use crate::door::oidc::Provider;
use crate::model::problem::{Problem, Result};

/// How long a token is taken to live if the issuer does not say.
const USUAL_LIFE: Duration = Duration::from_secs(60);

/// A client of an OIDC issuer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct OidcClient {
    /// The issuer's URL.
    pub issuer: String,
    /// The client's id there.
    pub client_id: String,
    /// The file of the client's secret; none: a person logs in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret_file: Option<PathBuf>,
    /// What is asked for, in the issuer's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// The authorities of the issuer's certificate, in PEM; none: those of the machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
}

impl OidcClient {
    /// Its paths.
    pub(super) fn paths(&mut self) -> [&mut Option<PathBuf>; 2] {
        [&mut self.client_secret_file, &mut self.ca]
    }

    /// Its issuer.
    ///
    /// # Errors
    /// `Invalid`: the URL or the file of authorities cannot be used.
    pub(super) fn provider(&self) -> Result<Provider> {
        Provider::new(&self.issuer, self.ca.as_deref())
    }
}

/// What an issuer answers who asks for a token.
#[derive(Deserialize)]
pub(super) struct GrantedTokens {
    access_token: String,
    #[serde(default)]
    id_token: Option<String>,
    #[serde(default)]
    expires_in: Option<Value>,
}

impl GrantedTokens {
    /// The one that a daemon can check: some issuers give access in a form of their own.
    ///
    /// # Errors
    /// `Failed`: there is none.
    pub(super) fn token(&self, provider: &Provider) -> Result<BearerToken> {
        let is_for_others = |token: &&String| token.split('.').count() == 3;
        let all = [Some(&self.access_token), self.id_token.as_ref()];
        let found = all.into_iter().flatten().find(is_for_others);
        let token = found.and_then(|token| BearerToken::of(token));
        token.ok_or_else(|| provider.failed("its answer holds no token that a daemon could check (JWT)"))
    }

    /// After this long it is renewed: four fifths of its life.
    fn use_for(&self) -> Duration {
        let seconds = match &self.expires_in {
            Some(Value::Number(seconds)) => seconds.as_f64(),
            Some(Value::String(seconds)) => seconds.parse().ok(),
            _ => None,
        };
        let life = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        life.unwrap_or(USUAL_LIFE).mul_f64(0.8)
    }
}

/// What an issuer answers who is refused (RFC 6749).
#[derive(Debug, Deserialize)]
pub(super) struct GrantRefusal {
    /// Its word.
    pub(super) error: String,
    #[serde(default)]
    error_description: String,
}

impl GrantRefusal {
    /// It as a problem.
    pub(super) fn problem(&self, provider: &Provider) -> Problem {
        let said: String = format!("{} {}", self.error, self.error_description)
            .replace(char::is_control, " ")
            .chars()
            .take(300)
            .collect();
        provider.failed(format!("it refuses: {}", said.trim()))
    }
}

/// A client that asks for tokens.
#[derive(Debug, Clone)]
pub(super) struct ClientGrant {
    client: OidcClient,
    provider: Provider,
    secret: BearerToken,
    /// The token, and until when it is used.
    held: Arc<Mutex<Option<(BearerToken, Instant)>>>,
}

impl ClientGrant {
    /// Of this client; `None`: it has no secret of its own. Nothing is asked yet.
    ///
    /// # Errors
    /// `Invalid` or `Failed`: the issuer's URL, its authorities or the secret cannot be used.
    pub(super) fn of(client: &OidcClient) -> Result<Option<Self>> {
        let provider = client.provider()?;
        let Some(path) = &client.client_secret_file else {
            return Ok(None);
        };
        Ok(Some(Self {
            client: client.clone(),
            provider,
            secret: BearerToken::read_as("client secret", path)?,
            held: Arc::default(),
        }))
    }

    /// A token that does not end at once.
    ///
    /// # Errors
    /// `Unavailable`: the issuer cannot be asked. `Failed`: it refuses, or its answer is none.
    pub(super) async fn token(&self) -> Result<BearerToken> {
        let mut held = self.held.lock().await;
        if let Some((token, until)) = held.as_ref()
            && Instant::now() < *until
        {
            return Ok(token.clone());
        }
        let endpoints = self.provider.discover().await?;
        let url = self
            .provider
            .endpoint(endpoints.token_endpoint.as_ref(), "token_endpoint")?;
        let mut form = vec![("grant_type", "client_credentials")];
        form.extend(self.client.scope.as_deref().map(|scope| ("scope", scope)));
        let asked = Instant::now();
        let who = (self.client.client_id.as_str(), self.secret.reveal());
        let (status, body) = self.provider.post(url, &form, Some(who)).await?;
        if !status.is_success() {
            return Err(self.provider.read::<GrantRefusal>(&body)?.problem(&self.provider));
        }
        let granted: GrantedTokens = self.provider.read(&body)?;
        let token = granted.token(&self.provider)?;
        *held = asked.checked_add(granted.use_for()).map(|until| (token.clone(), until));
        Ok(token)
    }
}
