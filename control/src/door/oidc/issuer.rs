//! The one issuer whose tokens sign in, and what its tokens say.
//!
//! Never repeats a token. Always: a token is taken if the issuer signed it by RS256, ES256 or EdDSA, it is for this
//! audience, and it is its time; who and of which tenant follows from its claims.

use std::path::PathBuf;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, Validation, decode, decode_header};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::keys::{KeyPatience, ProviderKeys};
use super::provider::Provider;
use super::signatures;
use crate::model::Role;
use crate::model::names::Name;
use crate::model::problem::{Problem, ProblemKind, Result};

/// Seconds by which two clocks may differ.
const LEEWAY: u64 = 60;
/// Characters of a subject, at most: what follows is cut.
const SUBJECT_CHARS: usize = 200;
/// The tenant that stands for the platform.
const PLATFORM: &str = "*";

/// Whose tokens sign in, besides those of the catalog.
#[derive(Debug, Clone)]
pub struct OidcOptions {
    /// The issuer's URL.
    pub issuer: String,
    /// Whom its tokens are to be for.
    pub audience: String,
    /// The authorities of its certificate, in PEM; none: those of the machine.
    pub ca: Option<PathBuf>,
    /// The claim that names the tenant.
    pub tenant_claim: String,
    /// The claim that names the role.
    pub role_claim: String,
    /// Whether the tenant `*` is the platform.
    pub is_for_platform: bool,
}

/// An issuer whose tokens are taken.
#[derive(Debug, Clone)]
pub(crate) struct TokenIssuer {
    options: OidcOptions,
    keys: ProviderKeys,
}

/// What a token that is taken says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Claimed {
    /// `oidc:` and the subject, without what is no letter, digit or sign.
    pub(crate) who: String,
    /// The tenant; `None`: the platform.
    pub(crate) tenant: Option<Name>,
    /// Its role there.
    pub(crate) role: Role,
}

#[derive(Deserialize)]
struct TokenClaims {
    sub: String,
    #[serde(flatten)]
    other: Map<String, Value>,
}

/// Whether a credential has the form of an issuer's token: three parts with points between.
pub(crate) fn is_of_an_issuer(credential: &str) -> bool {
    credential.split('.').count() == 3
}

impl TokenIssuer {
    /// Nothing is asked of it yet: a daemon begins without it.
    ///
    /// # Errors
    /// `Invalid`: an option cannot be used.
    pub(crate) fn new(options: OidcOptions) -> Result<Self> {
        Self::with_patience(options, KeyPatience::default())
    }

    /// The same with other spans.
    pub(super) fn with_patience(options: OidcOptions, patience: KeyPatience) -> Result<Self> {
        signatures::install();
        let provider = Provider::new(&options.issuer, options.ca.as_deref())?;
        Ok(Self {
            options,
            keys: ProviderKeys::new(provider, patience),
        })
    }

    /// What a token says, which is not known to be there: a tenant may be gone.
    ///
    /// # Errors
    /// `NotSignedIn`: it is not taken; the reason may be told. `Unavailable` or `Failed`: the issuer cannot be asked.
    pub(crate) async fn check(&self, token: &str) -> Result<Claimed> {
        // With the algorithm `none` it is no head.
        let head = decode_header(token).map_err(|_| refused("it is no token that an issuer signs"))?;
        if !matches!(head.alg, Algorithm::RS256 | Algorithm::ES256 | Algorithm::EdDSA) {
            return Err(refused("it is signed in another way than RS256, ES256 or EdDSA"));
        }
        let Some(key) = self.keys.key(&head).await? else {
            return Err(refused("it is not signed by a key of the issuer"));
        };
        let mut validation = Validation::new(key.algorithm);
        validation.leeway = LEEWAY;
        validation.validate_nbf = true;
        validation.set_audience(&[&self.options.audience]);
        validation.set_issuer(&[&self.options.issuer]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        let decoded =
            decode::<TokenClaims>(token, &key.key, &validation).map_err(|error| refused(reason(error.kind())))?;
        self.claimed(&decoded.claims)
    }

    fn claimed(&self, said: &TokenClaims) -> Result<Claimed> {
        let OidcOptions {
            tenant_claim,
            role_claim,
            is_for_platform,
            ..
        } = &self.options;
        let claim = |name: &str| said.other.get(name);
        let tenant = claim(tenant_claim).and_then(Value::as_str);
        let tenant = match tenant {
            Some(PLATFORM) if *is_for_platform => None,
            Some(text) => Some(text.parse().map_err(|_| no_tenant(tenant_claim))?),
            None => return Err(no_tenant(tenant_claim)),
        };
        let role = claim(role_claim).and_then(|role| Role::deserialize(role).ok());
        let role = role.ok_or_else(|| refused(&format!("its claim `{role_claim}` names no role")))?;
        match said.sub.is_empty() {
            true => Err(refused("its subject is empty")),
            false => Ok(Claimed {
                who: format!("oidc:{}", cleaned(&said.sub)),
                tenant,
                role,
            }),
        }
    }

    /// That the tenant of a token is not there.
    pub(crate) fn no_tenant(&self) -> Problem {
        no_tenant(&self.options.tenant_claim)
    }
}

fn no_tenant(claim: &str) -> Problem {
    refused(&format!("its claim `{claim}` names no tenant"))
}

fn refused(why: &str) -> Problem {
    let why = format!("the issuer's token is not taken: {why}");
    Problem::new(ProblemKind::NotSignedIn, "failed to sign in", why)
        .hint("get another one, by `sandbar login` if you are a person; the daemon's options say for whom it is to be")
}

/// Why a token was refused, in words that say nothing of the keys.
fn reason(kind: &ErrorKind) -> &'static str {
    match kind {
        ErrorKind::ExpiredSignature => "it ended",
        ErrorKind::ImmatureSignature => "its time has not begun",
        ErrorKind::InvalidAudience => "it is for another audience",
        ErrorKind::InvalidIssuer => "it is of another issuer",
        ErrorKind::MissingRequiredClaim(_) => "it lacks one of the claims exp, iss, aud, sub",
        ErrorKind::InvalidSignature | ErrorKind::InvalidAlgorithm => "it is not signed by a key of the issuer",
        _ => "it cannot be read",
    }
}

/// What the audit may have: a subject is whatever somebody called themselves.
fn cleaned(subject: &str) -> String {
    let plain = |char: char| {
        if char.is_alphanumeric() || char.is_ascii_graphic() {
            char
        } else {
            '_'
        }
    };
    subject.chars().take(SUBJECT_CHARS).map(plain).collect()
}
