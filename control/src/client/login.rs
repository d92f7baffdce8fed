//! The login of a person (OAuth 2.0 Device Authorization Grant, RFC 8628): a code, typed in at the issuer by whoever
//! has a browser.
//!
//! Never sees a password. Always: the token goes into the context's file, for its owner alone.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use tokio::runtime::Builder;
use tokio::time::Instant;

use super::context::Contexts;
use super::files;
use super::grant::{GrantRefusal, GrantedTokens, OidcClient};
use super::token::BearerToken;
use crate::door::oidc::Provider;
use crate::model::names::Name;
use crate::model::problem::{Problem, ProblemKind, Result};

/// What is asked for, if the context does not say.
const USUAL_SCOPE: &str = "openid";
/// From one question to the next, if the issuer does not say.
const USUAL_PAUSE: u64 = 5;
/// How much longer it is if the issuer says that it is too short.
const MORE_PAUSE: Duration = Duration::from_secs(5);
/// Seconds that a code is good for, at most.
const MOST_SECONDS: u64 = 3600;

/// What a person is to type in, and where.
#[derive(Debug, Clone, Deserialize)]
pub struct DeviceCode {
    /// Where.
    #[serde(rename = "verification_uri")]
    pub url: String,
    /// The same with the code in it, if the issuer has such a one.
    #[serde(rename = "verification_uri_complete", default)]
    pub complete_url: Option<String>,
    /// What.
    #[serde(rename = "user_code")]
    pub code: String,
    device_code: String,
    expires_in: u64,
    #[serde(default)]
    interval: Option<u64>,
}

/// Logs in at the issuer of a context, or of the current one: says what to type in where, waits until that was done,
/// and keeps the token. The context, and the file of the token.
///
/// # Errors
/// `NotFound`: there is no such context, or it has no issuer. `Failed`: the issuer or the person refuses, or it took
/// too long. `Unavailable`: the issuer cannot be asked.
pub fn login(contexts: &Path, name: Option<&Name>, tell: impl FnOnce(&DeviceCode)) -> Result<(Name, PathBuf)> {
    let all = Contexts::read(contexts)?;
    let none = |why: &str| {
        Problem::new(ProblemKind::NotFound, "failed to log in", why)
            .hint("`sandbar context add NAME --url URL --oidc-issuer URL --oidc-client-id ID` makes one to log in at")
    };
    let name = name
        .or(all.current.as_ref())
        .ok_or_else(|| none("there is no current context"))?;
    let context = all.get(name)?;
    let client = context
        .oidc
        .as_ref()
        .filter(|client| client.client_secret_file.is_none());
    let (Some(client), Some(path)) = (client, &context.token_file) else {
        return Err(none(&format!(
            "the context `{name}` has no issuer that a person logs in at"
        )));
    };
    let failed = |what: String| move |error: std::io::Error| Problem::new(ProblemKind::Failed, what, error);
    let mut runtime = Builder::new_current_thread();
    let runtime = runtime
        .enable_all()
        .build()
        .map_err(failed("failed to log in".to_owned()))?;
    let token = runtime.block_on(granted(client, tell))?;
    files::replace(path, token.reveal()).map_err(failed(format!("failed to keep the token in {}", path.display())))?;
    Ok((name.clone(), path.clone()))
}

async fn granted(client: &OidcClient, tell: impl FnOnce(&DeviceCode)) -> Result<BearerToken> {
    let provider = client.provider()?;
    let endpoints = provider.discover().await?;
    let begin = endpoints.device_authorization_endpoint.as_ref();
    let begin = provider.endpoint(begin, "device_authorization_endpoint: it has no login of this sort")?;
    let end = provider.endpoint(endpoints.token_endpoint.as_ref(), "token_endpoint")?;
    let scope = client.scope.as_deref().unwrap_or(USUAL_SCOPE);
    let form = [("client_id", client.client_id.as_str()), ("scope", scope)];
    let (status, body) = provider.post(begin, &form, None).await?;
    if !status.is_success() {
        return Err(provider.read::<GrantRefusal>(&body)?.problem(&provider));
    }
    let code: DeviceCode = provider.read(&body)?;
    tell(&code);
    let form = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
        ("device_code", &code.device_code),
        ("client_id", &client.client_id),
    ];
    let mut pause = Duration::from_secs(code.interval.unwrap_or(USUAL_PAUSE).min(60));
    let until = Instant::now() + Duration::from_secs(code.expires_in.min(MOST_SECONDS));
    while Instant::now() < until {
        tokio::time::sleep(pause).await;
        let (status, body) = provider.post(end, &form, None).await?;
        if status.is_success() {
            return provider.read::<GrantedTokens>(&body)?.token(&provider);
        }
        pause += more_pause(&provider, &provider.read(&body)?)?;
    }
    Err(provider.failed("nobody typed in the code in time"))
}

/// How much longer to wait between two questions, if the refusal is one that passes.
fn more_pause(provider: &Provider, refusal: &GrantRefusal) -> Result<Duration> {
    match refusal.error.as_str() {
        "authorization_pending" => Ok(Duration::ZERO),
        "slow_down" => Ok(MORE_PAUSE),
        _ => Err(refusal.problem(provider)),
    }
}
