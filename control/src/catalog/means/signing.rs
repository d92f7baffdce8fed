//! Keys that sign the plugins of tenants, and which plugins were signed.
//!
//! Never checks a signature: what comes here was checked. Always: a signature counts as long as its whole key is one of
//! the tenant's, whatever id another key says it has.

use std::collections::BTreeMap;

use sqlx::AnyConnection;
use sqlx::any::AnyRow;

use crate::catalog::Catalog;
use crate::catalog::database::broken;
use crate::catalog::rows::{check_text, strange, value, word};
use crate::catalog::tenants::{no_tenant, of_a_tenant};
use crate::clock;
use crate::means::{KeptSigningKey, MOST_SIGNING_KEYS, Signed, SigningKey};
use crate::model::KeptSignature;
use crate::model::names::{Digest, KeyId, Name};
use crate::model::problem::{Problem, ProblemKind, Result};

/// Bytes of whoever added a key, and of the note beside it, at most.
const WORD_BYTES: usize = 1024;

/// The signatures of plugins whose digest is within these two.
const OF_PLUGINS: &str = "SELECT s.digest, s.id, s.comment, s.taken, k.id AS key_id FROM plugin_signatures s \
    LEFT JOIN signing_keys k ON k.tenant = s.tenant AND k.public_key = s.public_key \
    WHERE s.tenant = $1 AND s.digest >= $2 AND s.digest <= $3 ORDER BY s.digest, s.taken, s.public_key";

impl Catalog {
    /// Adds a key of the tenant; `false`: it is there, and stays as it was. `by` is the id of a token.
    ///
    /// # Errors
    ///
    /// `NotFound` if the tenant is not there; `Conflict` if it has another key of that id; `TooMany` if it has 64 keys;
    /// `Unavailable` or `Failed` of the database.
    pub async fn add_signing_key(&self, tenant: &Name, key: &SigningKey, note: &str, by: &str) -> Result<bool> {
        let what = &format!("failed to add the key {} to {tenant}", key.id());
        check_text(what, "whoever added it", by, WORD_BYTES)?;
        check_text(what, "its note", note, WORD_BYTES)?;
        let Some(mut transaction) = self.begin_in(tenant, what).await? else {
            return Err(no_tenant(what, tenant));
        };
        let there = keys(&mut transaction, tenant, what).await?;
        if let Some(same) = there.iter().find(|one| one.id == *key.id()) {
            return match same.key == key.as_str() {
                true => Ok(false),
                false => Err(
                    Problem::new(ProblemKind::Conflict, what, "it has another key of that id")
                        .hint("remove that one first, if this one is to be in its place"),
                ),
            };
        }
        if i64::try_from(there.len()).is_ok_and(|count| count >= MOST_SIGNING_KEYS) {
            let why = format!("the tenant has {MOST_SIGNING_KEYS} keys, and no more are kept");
            return Err(Problem::new(ProblemKind::TooMany, what, why).hint("remove those that nobody signs with"));
        }
        let text = "INSERT INTO signing_keys (tenant, id, public_key, note, created, author) \
                    VALUES ($1, $2, $3, $4, $5, $6)";
        sqlx::query(text)
            .bind(tenant.as_str())
            .bind(key.id().as_str())
            .bind(key.as_str())
            .bind(note)
            .bind(clock::now())
            .bind(by)
            .execute(&mut *transaction)
            .await
            .map_err(broken(what))?;
        transaction.commit().await.map_err(broken(what))?;
        Ok(true)
    }

    /// The tenant's keys, by id.
    ///
    /// # Errors
    ///
    /// `Unavailable` or `Failed` of the database.
    pub async fn signing_keys(&self, tenant: &Name) -> Result<Vec<KeptSigningKey>> {
        let what = &format!("failed to list the keys of {tenant}");
        let mut connection = self.pool().acquire().await.map_err(broken(what))?;
        keys(&mut connection, tenant, what).await
    }

    /// The tenant's key of this id, if there is one.
    ///
    /// # Errors
    ///
    /// `Unavailable` or `Failed` of the database.
    pub async fn signing_key(&self, tenant: &Name, id: &KeyId) -> Result<Option<SigningKey>> {
        let keys = self.signing_keys(tenant).await?;
        let kept = keys.into_iter().find(|key| key.id == *id);
        kept.map(|kept| kept.key.parse().map_err(|why: String| strange("public_key", why)))
            .transpose()
    }

    /// Removes a key of the tenant, whose signatures count no more; `false`: there is none.
    ///
    /// # Errors
    ///
    /// `Unavailable` or `Failed` of the database.
    pub async fn remove_signing_key(&self, tenant: &Name, id: &KeyId) -> Result<bool> {
        let removed = sqlx::query("DELETE FROM signing_keys WHERE tenant = $1 AND id = $2")
            .bind(tenant.as_str())
            .bind(id.as_str())
            .execute(self.pool())
            .await
            .map_err(broken(format!("failed to remove the key {id} of {tenant}")))?;
        Ok(removed.rows_affected() == 1)
    }

    /// Says whether the tenant's plugins have to be signed by one of its keys.
    ///
    /// # Errors
    ///
    /// `NotFound` if the tenant is not there; `Unavailable` or `Failed` of the database.
    pub async fn require_signatures(&self, tenant: &Name, is_required: bool) -> Result<()> {
        let what = &format!("failed to say whether plugins of {tenant} have to be signed");
        let set = sqlx::query("UPDATE tenants SET signatures_required = $2 WHERE name = $1")
            .bind(tenant.as_str())
            .bind(i64::from(is_required))
            .execute(self.pool())
            .await
            .map_err(broken(what))?;
        of_a_tenant(set.rows_affected(), what, tenant)
    }

    /// Notes that a plugin of the tenant, which is there, was signed. The same again changes nothing.
    ///
    /// # Errors
    ///
    /// `Unavailable` or `Failed` of the database.
    pub async fn add_signature(&self, tenant: &Name, digest: &Digest, signed: &Signed) -> Result<()> {
        let text = "INSERT INTO plugin_signatures (tenant, digest, public_key, id, comment, taken) \
                    VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING";
        sqlx::query(text)
            .bind(tenant.as_str())
            .bind(digest.as_str())
            .bind(signed.key.as_str())
            .bind(signed.key.id().as_str())
            .bind(signed.signature.comment())
            .bind(clock::now())
            .execute(self.pool())
            .await
            .map_err(broken(format!("failed to note who signed the plugin {digest}")))?;
        Ok(())
    }

    /// Whether a plugin of the tenant may be used, as far as signatures go.
    ///
    /// # Errors
    ///
    /// `PluginRefused` if it has to be signed, and is not by a key that the tenant has now; `Unavailable` or `Failed`
    /// of the database.
    pub async fn check_signature(&self, tenant: &Name, digest: &Digest, what: &str) -> Result<()> {
        let mut connection = self.pool().acquire().await.map_err(broken(what))?;
        check_signed(&mut connection, tenant, digest, what).await
    }

    /// The signatures of the tenant's plugins from one digest to another, by digest.
    pub(in crate::catalog) async fn signatures(
        &self,
        tenant: &Name,
        (first, last): (&Digest, &Digest),
    ) -> Result<BTreeMap<Digest, Vec<KeptSignature>>> {
        let rows = sqlx::query(OF_PLUGINS)
            .bind(tenant.as_str())
            .bind(first.as_str())
            .bind(last.as_str())
            .fetch_all(self.pool())
            .await
            .map_err(broken(format!("failed to list who signed the plugins of {tenant}")))?;
        let mut all: BTreeMap<Digest, Vec<KeptSignature>> = BTreeMap::new();
        for row in &rows {
            all.entry(word(row, "digest")?).or_default().push(signature(row)?);
        }
        Ok(all)
    }
}

/// As [`Catalog::check_signature`], within a transaction.
pub(in crate::catalog) async fn check_signed(
    connection: &mut AnyConnection,
    tenant: &Name,
    digest: &Digest,
    what: &str,
) -> Result<()> {
    let is_required: Option<i64> = sqlx::query_scalar("SELECT signatures_required FROM tenants WHERE name = $1")
        .bind(tenant.as_str())
        .fetch_optional(&mut *connection)
        .await
        .map_err(broken(what))?;
    if is_required != Some(1) {
        return Ok(());
    }
    let rows = sqlx::query(OF_PLUGINS)
        .bind(tenant.as_str())
        .bind(digest.as_str())
        .bind(digest.as_str())
        .fetch_all(connection)
        .await
        .map_err(broken(what))?;
    let signatures: Vec<KeptSignature> = rows.iter().map(signature).collect::<Result<_>>()?;
    if signatures.iter().any(|signature| signature.is_valid) {
        return Ok(());
    }
    let why = match signatures.first() {
        None => format!("the plugin {digest} is not signed, and the tenant {tenant} demands that plugins are"),
        Some(KeptSignature { key, .. }) => {
            format!("the plugin {digest} is signed by the key {key}, which the tenant {tenant} does not have any more")
        }
    };
    Err(Problem::new(ProblemKind::PluginRefused, what, why)
        .hint("sign its file with a key of the tenant, and push it again with that signature"))
}

async fn keys(connection: &mut AnyConnection, tenant: &Name, what: &str) -> Result<Vec<KeptSigningKey>> {
    let text = "SELECT id, public_key, note, created, author FROM signing_keys WHERE tenant = $1 ORDER BY id";
    let rows = sqlx::query(text)
        .bind(tenant.as_str())
        .fetch_all(connection)
        .await
        .map_err(broken(what))?;
    rows.iter().map(kept).collect()
}

fn kept(row: &AnyRow) -> Result<KeptSigningKey> {
    Ok(KeptSigningKey {
        id: word(row, "id")?,
        key: value(row, "public_key")?,
        note: value(row, "note")?,
        created: value(row, "created")?,
        by: value(row, "author")?,
    })
}

fn signature(row: &AnyRow) -> Result<KeptSignature> {
    Ok(KeptSignature {
        key: word(row, "id")?,
        comment: value(row, "comment")?,
        taken: value(row, "taken")?,
        is_valid: value::<Option<String>>(row, "key_id")?.is_some(),
    })
}
