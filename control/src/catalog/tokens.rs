//! Tokens in the catalog.
//!
//! Never keeps or tells a secret again: its SHA-256 is kept, which is enough for 256 random bits. Always: a token that
//! is expired, revoked or of a tenant that is gone is as one that never was.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use sqlx::any::AnyRow;

use super::database::{Catalog, broken, is_of_a_reference};
use super::rows::{check_text, value, word, word_if_any};
use super::tenants::no_tenant;
use crate::clock;
use crate::model::names::Name;
use crate::model::problem::{Problem, ProblemKind, Result};
use crate::model::{Identity, NewToken, Role, Token};
use crate::random::random;

/// What every secret begins with.
const PREFIX: &str = "sbt_";
/// Random bytes of a secret.
const SECRET_BYTES: usize = 32;
/// Characters of a secret: the prefix, and 43 of base64url.
const SECRET_CHARS: usize = 47;
/// Random bytes of an id.
const ID_BYTES: usize = 8;
/// Bytes of a note, at most.
const NOTE_BYTES: usize = 1024;

impl Catalog {
    /// Makes a token of a tenant, or of the platform, that is taken until `expires` (milliseconds since 1970).
    ///
    /// # Errors
    ///
    /// `NotFound` if the tenant is not there; `Invalid` if the time is not ahead or the note has a NUL; `TooLarge` if
    /// the note has more than 1024 bytes; `Unavailable` or `Failed` of the database or of the source of randomness.
    pub async fn create_token(
        &self,
        tenant: Option<&Name>,
        role: Role,
        note: &str,
        expires: Option<i64>,
    ) -> Result<NewToken> {
        let what = "failed to make a token";
        let now = clock::now();
        check_text(what, "the note", note, NOTE_BYTES)?;
        if let Some(expires) = expires.filter(|expires| *expires <= now) {
            let why = format!("it would end at {expires}, and now is {now} (milliseconds since 1970)");
            return Err(Problem::new(ProblemKind::Invalid, what, why).hint("name a time that is still to come"));
        }
        let token = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(random::<SECRET_BYTES>()?));
        let id = hexadecimal(&random::<ID_BYTES>()?);
        let text = "INSERT INTO tokens (id, tenant, hash, role, note, created, expires) \
                    VALUES ($1, $2, $3, $4, $5, $6, $7)";
        let made = sqlx::query(text)
            .bind(id.as_str())
            .bind(tenant.map(|name| name.as_str().to_owned()))
            .bind(hash(&token))
            .bind(role.word())
            .bind(note)
            .bind(now)
            .bind(expires)
            .execute(self.pool())
            .await;
        match (made, tenant) {
            (Ok(_), _) => Ok(NewToken { id, token }),
            (Err(error), Some(tenant)) if is_of_a_reference(&error) => Err(no_tenant(what, tenant)),
            (Err(error), _) => Err(broken(what)(error)),
        }
    }

    /// Whose secret this is. `None`: it is unknown, expired or revoked, or its tenant is gone.
    ///
    /// # Errors
    ///
    /// `Unavailable` or `Failed` of the database.
    pub async fn identify(&self, secret: &str) -> Result<Option<Identity>> {
        if secret.len() != SECRET_CHARS || !secret.starts_with(PREFIX) {
            return Ok(None);
        }
        let text = "SELECT id, tenant, role FROM tokens \
                    WHERE hash = $1 AND revoked IS NULL AND (expires IS NULL OR expires > $2)";
        let row = sqlx::query(text)
            .bind(hash(secret))
            .bind(clock::now())
            .fetch_optional(self.pool())
            .await
            .map_err(broken("failed to look up a token"))?;
        row.as_ref().map(identity).transpose()
    }

    /// The tenant's tokens that are not revoked, the oldest first; expired ones are among them.
    ///
    /// # Errors
    ///
    /// `Unavailable` or `Failed` of the database.
    pub async fn tokens(&self, tenant: &Name) -> Result<Vec<Token>> {
        let text = "SELECT id, role, note, created, expires FROM tokens \
                    WHERE tenant = $1 AND revoked IS NULL ORDER BY created, id";
        let rows = sqlx::query(text)
            .bind(tenant.as_str())
            .fetch_all(self.pool())
            .await
            .map_err(broken(format!("failed to list the tokens of {tenant}")))?;
        rows.iter().map(token).collect()
    }

    /// Revokes the token of this tenant (`None`: of the platform); `false`: there is none, or it was revoked.
    ///
    /// # Errors
    ///
    /// `Unavailable` or `Failed` of the database.
    pub async fn revoke(&self, tenant: Option<&Name>, id: &str) -> Result<bool> {
        if id.len() != ID_BYTES * 2 || id.contains('\0') {
            return Ok(false);
        }
        // No tenant has the empty name.
        let text = "UPDATE tokens SET revoked = $1 WHERE id = $2 AND COALESCE(tenant, '') = $3 AND revoked IS NULL";
        let revoked = sqlx::query(text)
            .bind(clock::now())
            .bind(id)
            .bind(tenant.map_or("", Name::as_str))
            .execute(self.pool())
            .await
            .map_err(broken(format!("failed to revoke the token {id}")))?;
        Ok(revoked.rows_affected() == 1)
    }

    /// Whether a token of the platform was ever made.
    ///
    /// # Errors
    ///
    /// `Unavailable` or `Failed` of the database.
    pub async fn has_tokens(&self) -> Result<bool> {
        let row = sqlx::query("SELECT id FROM tokens WHERE tenant IS NULL LIMIT 1")
            .fetch_optional(self.pool())
            .await
            .map_err(broken("failed to look for tokens"))?;
        Ok(row.is_some())
    }
}

fn identity(row: &AnyRow) -> Result<Identity> {
    Ok(Identity {
        token: value(row, "id")?,
        tenant: word_if_any(row, "tenant")?,
        role: word(row, "role")?,
    })
}

fn token(row: &AnyRow) -> Result<Token> {
    Ok(Token {
        id: value(row, "id")?,
        role: word(row, "role")?,
        note: value(row, "note")?,
        created: value(row, "created")?,
        expires: value(row, "expires")?,
    })
}

/// What is kept of a secret.
fn hash(secret: &str) -> String {
    hexadecimal(&Sha256::digest(secret.as_bytes()))
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
