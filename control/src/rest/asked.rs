//! What comes in: paths, queries, bodies, each read within limits.
//!
//! Never takes a field or a parameter that is not known, or a value that does not keep its limits. Always: what a
//! handler gets was checked, and a handler that gets a tenant has it from the guard.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody as _};
use axum::extract::{FromRequest, FromRequestParts, Query, RawPathParams, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, header};
use futures_util::{Stream, StreamExt as _};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;
use utoipa::ToSchema;

use super::answers::{Refusal, not_found};
use super::router::Rest;
use super::sign_in::Caller;
use crate::means::TEXT_BYTES;
use crate::model::Identity;
use crate::model::names::{Digest, KeyId, Name};
use crate::model::problem::{Problem, ProblemKind, Result};

/// Bytes of a body that is JSON, at most.
pub(super) const JSON_BYTES: usize = 1 << 20;
/// Items of a piece of a list, if nobody says how many.
const USUAL_ITEMS: u32 = 100;
/// Items of a piece of a list, at most.
pub(super) const MOST_ITEMS: u32 = 500;

/// How long a body may take, and a look at a pipeline. Tests have shorter ones.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// Of a body that is JSON or a secret, for all of it.
    pub(super) json: Duration,
    /// Of a plugin's bytes, for one piece to the next.
    pub(super) piece: Duration,
    /// Of a plugin's bytes, for all of them.
    pub(super) plugin: Duration,
    /// Of a process that looks at a pipeline: to begin, and to answer.
    pub(super) look: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            json: Duration::from_secs(30),
            piece: Duration::from_secs(30),
            plugin: Duration::from_secs(600),
            look: Duration::from_secs(30),
        }
    }
}

fn caller(parts: &Parts) -> Result<&Caller> {
    parts.extensions.get::<Caller>().ok_or_else(|| {
        Problem::new(
            ProblemKind::Failed,
            "failed to answer",
            "the guard did not see this request",
        )
    })
}

async fn param(parts: &mut Parts, key: &str) -> Result<String> {
    let params = RawPathParams::from_request_parts(parts, &()).await;
    let params = params.map_err(|_| not_found("path", "?"))?;
    let found = params.iter().find(|(name, _)| *name == key);
    Ok(found.map(|(_, value)| value.to_owned()).unwrap_or_default())
}

/// Who asks.
pub(super) struct Asking(pub(super) Identity);

impl<S: Sync> FromRequestParts<S> for Asking {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        Ok(Self(caller(parts)?.identity.clone()))
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        caller(parts).cloned()
    }
}

/// The tenant of the path, which is there and fits the credential.
pub(super) struct InTenant(pub(super) Name);

impl<S: Sync> FromRequestParts<S> for InTenant {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        let tenant = caller(parts)?.tenant.clone();
        tenant.map(Self).ok_or_else(|| not_found("tenant", ""))
    }
}

/// The tenant and the pipeline of the path. Whether that pipeline is there is not known yet.
pub(super) struct PipelinePath {
    /// Whose.
    pub(super) tenant: Name,
    /// Which.
    pub(super) name: Name,
}

impl<S: Sync> FromRequestParts<S> for PipelinePath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let InTenant(tenant) = InTenant::from_request_parts(parts, state).await?;
        let text = param(parts, "pipeline").await?;
        match (text.parse(), &parts.method) {
            (Ok(name), _) => Ok(Self { tenant, name }),
            (Err(why), &Method::PUT) => Err(Problem::new(ProblemKind::Invalid, "failed to apply", why)),
            (Err(_), _) => Err(not_found("pipeline", &text)),
        }
    }
}

/// The name that the path has for this key. A change that would make it says what is wrong with it; to everybody else
/// one that is none is not there.
async fn named(parts: &mut Parts, key: &str) -> Result<Name> {
    let text = param(parts, key).await?;
    match (text.parse(), &parts.method) {
        (Ok(name), _) => Ok(name),
        (Err(why), &Method::PUT) => Err(invalid(&format!("failed to set a {key}"), why)),
        (Err(_), _) => Err(not_found(key, &text)),
    }
}

/// The tenant and the secret of the path. Whether that secret is there is not known yet.
pub(super) struct SecretPath {
    /// Whose.
    pub(super) tenant: Name,
    /// Which.
    pub(super) name: Name,
}

impl<S: Sync> FromRequestParts<S> for SecretPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let InTenant(tenant) = InTenant::from_request_parts(parts, state).await?;
        let name = named(parts, "secret").await?;
        Ok(Self { tenant, name })
    }
}

/// The tenant and the cluster of the path. Whether that cluster is there is not known yet.
pub(super) struct ClusterPath {
    /// Whose.
    pub(super) tenant: Name,
    /// Which.
    pub(super) name: Name,
}

impl<S: Sync> FromRequestParts<S> for ClusterPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let InTenant(tenant) = InTenant::from_request_parts(parts, state).await?;
        let name = named(parts, "cluster").await?;
        Ok(Self { tenant, name })
    }
}

/// The digest of the path.
pub(super) struct DigestPath(pub(super) Digest);

impl<S: Sync> FromRequestParts<S> for DigestPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        let text = param(parts, "digest").await?;
        text.parse().map(Self).map_err(|_| not_found("plugin", &text))
    }
}

/// The id of a signing key of the path.
pub(super) struct KeyPath(pub(super) KeyId);

impl<S: Sync> FromRequestParts<S> for KeyPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        let text = param(parts, "key").await?;
        text.parse().map(Self).map_err(|_| not_found("key", &text))
    }
}

/// The token's id of the path, as it came.
pub(super) struct TokenPath(pub(super) String);

impl<S: Sync> FromRequestParts<S> for TokenPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        param(parts, "token").await.map(Self)
    }
}

/// The savepoint of the path.
pub(super) struct SavepointPath(pub(super) Name);

impl<S: Sync> FromRequestParts<S> for SavepointPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        let text = param(parts, "savepoint").await?;
        text.parse().map(Self).map_err(|_| not_found("savepoint", &text))
    }
}

/// The dead letter of the path, as it came.
pub(super) struct LetterPath(pub(super) String);

impl<S: Sync> FromRequestParts<S> for LetterPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        param(parts, "letter").await.map(Self)
    }
}

/// The query of a request.
pub(super) struct Asked<T>(pub(super) T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        let query = Query::<T>::try_from_uri(&parts.uri);
        let query = query.map_err(|error| invalid("failed to read the query", error.body_text()))?;
        Ok(Self(query.0))
    }
}

/// Which piece of a list.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Piece<K: ToSchema> {
    /// Items after the one with this key; `next` of the piece before.
    pub(super) after: Option<K>,
    /// Items at most: 1 to 500, 100 if it is not given.
    #[param(minimum = 1, maximum = 500)]
    most: Option<u32>,
}

/// A piece of a list by names.
pub(super) type PieceByName = Piece<Name>;
/// A piece of a list by digests.
pub(super) type PieceByDigest = Piece<Digest>;

impl<K: ToSchema> Piece<K> {
    /// The piece of a list whose query has more than that.
    pub(super) fn new(after: Option<K>, most: Option<u32>) -> Self {
        Self { after, most }
    }

    /// How many items at most.
    ///
    /// # Errors
    ///
    /// `Invalid` if more are asked for than may be, or none.
    pub(super) fn most(&self) -> Result<u32> {
        match self.most.unwrap_or(USUAL_ITEMS) {
            most if (1..=MOST_ITEMS).contains(&most) => Ok(most),
            most => Err(invalid(
                "failed to list",
                format!("most = {most} is not within 1 to {MOST_ITEMS}"),
            )),
        }
    }
}

/// That what was sent is wrong.
pub(super) fn invalid(what: &str, why: impl std::fmt::Display) -> Problem {
    Problem::new(ProblemKind::Invalid, what, why)
}

/// A body that is JSON: an object, for every body has names.
pub(super) struct Sent<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<Rest> for Sent<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, rest: &Rest) -> std::result::Result<Self, Refusal> {
        let (parts, body) = request.into_parts();
        is_of_type(&parts.headers, &["application/json"])?;
        let bytes = in_time(body, JSON_BYTES, rest).await?;
        Ok(Self(object(&bytes)?))
    }
}

/// What is without names could be taken for something, by the order of its parts.
fn object<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    let what = "failed to read the body as JSON";
    match bytes.trim_ascii_start().first() {
        Some(b'{') => serde_json::from_slice(bytes).map_err(|error| invalid(what, error)),
        _ => Err(invalid(what, "it is no object")),
    }
}

/// A body that is JSON, or none; `null` is none.
pub(super) struct SentOrNot<T>(pub(super) T);

impl<T: DeserializeOwned + Default> FromRequest<Rest> for SentOrNot<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, rest: &Rest) -> std::result::Result<Self, Refusal> {
        let is_there = request.headers().contains_key(header::CONTENT_TYPE) || !request.body().is_end_stream();
        if !is_there {
            return Ok(Self(T::default()));
        }
        let (parts, body) = request.into_parts();
        is_of_type(&parts.headers, &["application/json"])?;
        let bytes = in_time(body, JSON_BYTES, rest).await?;
        match bytes.trim_ascii() {
            b"null" => Ok(Self(T::default())),
            bytes => Ok(Self(object(bytes)?)),
        }
    }
}

/// A body that is a text, as long as a secret may be. It may be one, and so is in no problem.
pub(super) struct SentText(pub(super) String);

impl FromRequest<Rest> for SentText {
    type Rejection = Refusal;

    async fn from_request(request: Request, rest: &Rest) -> std::result::Result<Self, Refusal> {
        let (parts, body) = request.into_parts();
        is_of_type(&parts.headers, &["text/plain", "application/octet-stream"])?;
        let bytes = in_time(body, TEXT_BYTES, rest).await?;
        let text = String::from_utf8(bytes);
        let text = text.map_err(|_| invalid("failed to read the body", "it is no text in UTF-8"))?;
        Ok(Self(text))
    }
}

async fn in_time(body: Body, most: usize, rest: &Rest) -> std::result::Result<Vec<u8>, Refusal> {
    match tokio::time::timeout(rest.patience.json, whole(body, most)).await {
        Ok(bytes) => Ok(bytes?),
        Err(_) => Err(too_slow(rest.patience.json)),
    }
}

async fn whole(body: Body, most: usize) -> Result<Vec<u8>> {
    let mut pieces = body.into_data_stream();
    let mut whole = Vec::new();
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|_| broken_off())?;
        if whole.len() + piece.len() > most {
            return Err(Problem::new(
                ProblemKind::TooLarge,
                "failed to read the body",
                format!("it has more than {most} bytes"),
            ));
        }
        whole.extend_from_slice(&piece);
    }
    Ok(whole)
}

fn broken_off() -> Problem {
    invalid("failed to read the body", "it ended before its end")
}

fn too_slow(patience: Duration) -> Refusal {
    let why = format!("it did not come within {} ms", patience.as_millis());
    let problem = Problem::new(ProblemKind::Unavailable, "failed to read the body", why);
    Refusal::new(StatusCode::REQUEST_TIMEOUT, problem)
}

/// Whether the header `Content-Type` names one of these.
///
/// # Errors
///
/// A refusal with status 415 that lists them.
pub(super) fn is_of_type(headers: &HeaderMap, types: &[&str]) -> std::result::Result<(), Refusal> {
    let value = headers.get(header::CONTENT_TYPE);
    let text = value.and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = text.split(';').next().unwrap_or_default().trim();
    if types.iter().any(|one| one.eq_ignore_ascii_case(essence)) {
        return Ok(());
    }
    let why = format!("its Content-Type is {text:?} and not {}", types.join(" or "));
    Err(Refusal::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        invalid("failed to read the body", why),
    ))
}

/// Whether a body did not come within its time.
#[derive(Debug, Clone, Default)]
pub(super) struct Late(Arc<AtomicBool>);

impl Late {
    /// The problem of whoever read the body, or that it came too slowly.
    pub(super) fn or(&self, problem: Problem, patience: Patience) -> Refusal {
        match self.0.load(Ordering::Relaxed) {
            true => too_slow(patience.piece.min(patience.plugin)),
            false => problem.into(),
        }
    }
}

/// The bytes of a body, piece by piece, each within its time.
pub(super) fn pieces(body: Body, patience: Patience, late: Late) -> impl Stream<Item = Result<Bytes>> + Send {
    let end = Instant::now() + patience.plugin;
    futures_util::stream::unfold(Some((body.into_data_stream(), late)), move |pieces| async move {
        let (mut pieces, late) = pieces?;
        let until = end.min(Instant::now() + patience.piece);
        match tokio::time::timeout_at(until, pieces.next()).await {
            Ok(Some(Ok(piece))) => Some((Ok(piece), Some((pieces, late)))),
            Ok(Some(Err(_))) => Some((Err(broken_off()), None)),
            Ok(None) => None,
            Err(_) => {
                late.0.store(true, Ordering::Relaxed);
                let why = "it came too slowly";
                Some((Err(invalid("failed to read the body", why)), None))
            }
        }
    })
}
