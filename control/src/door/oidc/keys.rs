//! The keys of a provider, kept and renewed.
//!
//! Never asks the provider more than once a span, however many tokens name keys that are not known. Always: while the
//! provider is out of reach, keys that are known are taken for an hour.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Header};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Mutex as Turn;
use tokio::time::Instant;

use super::provider::Provider;
use crate::model::problem::{Problem, Result};

/// Keys that are looked at, at most.
const MOST_KEYS: usize = 100;

/// How long keys are good. Tests have other spans.
#[derive(Debug, Clone, Copy)]
pub(super) struct KeyPatience {
    /// Without asking whether there are others.
    pub(super) fresh: Duration,
    /// While the provider cannot be asked.
    pub(super) stale: Duration,
    /// From one question to the next.
    pub(super) pause: Duration,
}

impl Default for KeyPatience {
    fn default() -> Self {
        Self {
            fresh: Duration::from_secs(600),
            stale: Duration::from_secs(3600),
            pause: Duration::from_secs(60),
        }
    }
}

/// The keys of a provider.
#[derive(Debug, Clone)]
pub(super) struct ProviderKeys {
    provider: Provider,
    patience: KeyPatience,
    known: Arc<Mutex<KnownKeys>>,
    /// Of whoever asks the provider.
    turn: Arc<Turn<()>>,
}

#[derive(Debug, Default)]
struct KnownKeys {
    keys: Arc<Vec<ProviderKey>>,
    fetched: Option<Instant>,
    asked: Option<Instant>,
    /// Why the last question was not answered.
    problem: Option<Problem>,
}

/// One that signatures are verified with.
#[derive(Debug, Clone)]
pub(super) struct ProviderKey {
    id: Option<String>,
    /// The only algorithm that it is good for, whatever a token says.
    pub(super) algorithm: Algorithm,
    /// Itself.
    pub(super) key: DecodingKey,
}

#[derive(Deserialize)]
struct KeyDocument {
    keys: Vec<Value>,
}

impl ProviderKeys {
    pub(super) fn new(provider: Provider, patience: KeyPatience) -> Self {
        Self {
            provider,
            patience,
            known: Arc::default(),
            turn: Arc::default(),
        }
    }

    /// The key of a token with this head. `None`: the provider has none.
    ///
    /// # Errors
    /// `Unavailable` or `Failed`: it is not known, and the provider cannot be asked.
    pub(super) async fn key(&self, head: &Header) -> Result<Option<ProviderKey>> {
        let (age, found) = self.look(head);
        match (age, found) {
            (Some(age), Some(key)) if age < self.patience.fresh => return Ok(Some(key)),
            (Some(age), Some(key)) if age < self.patience.stale => {
                // It is good, and nobody waits for whether there are others by now.
                let keys = self.clone();
                tokio::spawn(async move { keys.renew().await });
                return Ok(Some(key));
            }
            _ => self.renew().await,
        }
        match (self.look(head), self.problem()) {
            ((Some(age), found), None) if age < self.patience.stale => Ok(found),
            ((Some(age), Some(key)), Some(_)) if age < self.patience.stale => Ok(Some(key)),
            (_, Some(problem)) => Err(problem),
            (_, None) => Ok(None),
        }
    }

    fn look(&self, head: &Header) -> (Option<Duration>, Option<ProviderKey>) {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let age = known.fetched.map(|fetched| fetched.elapsed());
        let of_algorithm = known.keys.iter().filter(|key| key.algorithm == head.alg);
        let mut fitting = of_algorithm.filter(|key| head.kid.is_none() || head.kid == key.id);
        let found = fitting.next().cloned();
        // A token that names no key is one of a provider that has one key.
        let is_clear = head.kid.is_some() || fitting.next().is_none();
        (age, found.filter(|_| is_clear))
    }

    fn problem(&self) -> Option<Problem> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.problem.clone()
    }

    /// Asks the provider, unless somebody did a moment ago.
    async fn renew(&self) {
        let _one_at_a_time = self.turn.lock().await;
        {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            if known.asked.is_some_and(|asked| asked.elapsed() < self.patience.pause) {
                return;
            }
            known.asked = Some(Instant::now());
        }
        let fetched = self.fetch().await;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        match fetched {
            Ok(keys) => {
                known.keys = Arc::new(keys);
                known.fetched = Some(Instant::now());
                known.problem = None;
            }
            Err(problem) => {
                tracing::warn!(%problem, "the keys of the OIDC issuer were not renewed");
                known.problem = Some(problem);
            }
        }
    }

    async fn fetch(&self) -> Result<Vec<ProviderKey>> {
        let endpoints = self.provider.discover().await?;
        let url = self.provider.endpoint(endpoints.jwks_uri.as_ref(), "jwks_uri")?;
        let document: KeyDocument = self.provider.get(url).await?;
        Ok(document.keys.into_iter().take(MOST_KEYS).filter_map(usable).collect())
    }
}

/// A key that a token may be signed with; others may stand beside it.
fn usable(value: Value) -> Option<ProviderKey> {
    let jwk: Jwk = serde_json::from_value(value).ok()?;
    if jwk
        .common
        .public_key_use
        .as_ref()
        .is_some_and(|used| *used != PublicKeyUse::Signature)
    {
        return None;
    }
    let (algorithm, named) = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => (Algorithm::RS256, KeyAlgorithm::RS256),
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => {
            (Algorithm::ES256, KeyAlgorithm::ES256)
        }
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
            (Algorithm::EdDSA, KeyAlgorithm::EdDSA)
        }
        _ => return None,
    };
    if jwk.common.key_algorithm.is_some_and(|said| said != named) {
        return None;
    }
    let key = DecodingKey::from_jwk(&jwk).ok()?;
    Some(ProviderKey {
        id: jwk.common.key_id,
        algorithm,
        key,
    })
}
