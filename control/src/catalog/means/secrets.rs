//! The secrets of tenants, sealed.
//!
//! Never opens one for a list. Always: a secret is sealed for its tenant and name, so that no other row takes it; all
//! secrets of a catalog are sealed with one key, which the row of table `sealing` opens to.

use std::collections::BTreeMap;

use sqlx::Row as _;
use sqlx::any::AnyRow;

use crate::catalog::Catalog;
use crate::catalog::database::broken;
use crate::catalog::rows::{check_text, value, word};
use crate::catalog::tenants::no_tenant;
use crate::clock;
use crate::means::{KeptSecret, MOST_SECRETS, SealingKey, SecretText};
use crate::model::names::Name;
use crate::model::problem::{Problem, ProblemKind, Result};

/// Bytes of whoever set a secret, at most.
const WORD_BYTES: usize = 256;
/// Where the text is sealed that tells keys apart, and the text.
const CHECK: (&[&str], &str) = (&["check"], "sandbar");

impl Catalog {
    /// Whether something was ever sealed, so that the key of then is the one to have.
    ///
    /// # Errors
    ///
    /// `Unavailable` or `Failed` of the database.
    pub async fn is_sealed(&self) -> Result<bool> {
        let row = sqlx::query("SELECT id FROM sealing")
            .fetch_optional(self.pool())
            .await
            .map_err(broken("failed to look how the secrets are sealed"))?;
        Ok(row.is_some())
    }

    /// The same catalog with the key that its secrets are sealed with.
    ///
    /// # Errors
    ///
    /// `Conflict` if they were sealed with another one; `Unavailable` or `Failed` of the database.
    pub async fn sealed_with(self, key: SealingKey) -> Result<Self> {
        let what = &format!("failed to open the secrets of the catalog {}", self.address());
        let (place, text) = CHECK;
        // Of many that begin at once, one is the first.
        sqlx::query("INSERT INTO sealing (id, sealed) VALUES (1, $1) ON CONFLICT DO NOTHING")
            .bind(key.seal(place, text)?)
            .execute(self.pool())
            .await
            .map_err(broken(what))?;
        let row = sqlx::query("SELECT sealed FROM sealing WHERE id = 1")
            .fetch_one(self.pool())
            .await
            .map_err(broken(what))?;
        let sealed: String = row.try_get(0).map_err(broken(what))?;
        if key.open(place, &sealed).as_deref() != Some(text) {
            let why = "they were sealed with another key than the one in the daemon's secrets.key or in \
                       SANDBAR_SECRETS_KEY";
            return Err(Problem::new(ProblemKind::Conflict, what, why).hint(
                "put the key back that was there; nothing was changed. If it is lost, the secrets are too: delete the \
                 rows of the tables secrets and sealing, and set them anew",
            ));
        }
        Ok(self.with_key(key))
    }

    /// Keeps a secret of the tenant, in the place of the one of that name; `true`: there was none. `by` is the id of a
    /// token.
    ///
    /// # Errors
    ///
    /// `NotFound` if the tenant is not there; `TooMany` if it has 256 others; `Failed` if the catalog has no key;
    /// `Unavailable` or `Failed` of the database.
    pub async fn set_secret(&self, tenant: &Name, name: &Name, text: &SecretText, by: &str) -> Result<bool> {
        let what = &format!("failed to keep the secret {name} of {tenant}");
        check_text(what, "whoever set it", by, WORD_BYTES)?;
        let sealed = self.key_for(what)?.seal(&place(tenant, name), text.reveal())?;
        let Some(mut transaction) = self.begin_in(tenant, what).await? else {
            return Err(no_tenant(what, tenant));
        };
        let others: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM secrets WHERE tenant = $1 AND name <> $2")
            .bind(tenant.as_str())
            .bind(name.as_str())
            .fetch_one(&mut *transaction)
            .await
            .map_err(broken(what))?;
        if others >= MOST_SECRETS {
            let why = format!("the tenant has {others} secrets, and {MOST_SECRETS} are kept at most");
            return Err(Problem::new(ProblemKind::TooMany, what, why).hint("delete those that nothing refers to"));
        }
        let before = sqlx::query("SELECT name FROM secrets WHERE tenant = $1 AND name = $2")
            .bind(tenant.as_str())
            .bind(name.as_str())
            .fetch_optional(&mut *transaction)
            .await
            .map_err(broken(what))?;
        let text = "INSERT INTO secrets (tenant, name, sealed, created, changed, author) \
                    VALUES ($1, $2, $3, $4, $4, $5) ON CONFLICT (tenant, name) DO UPDATE \
                    SET sealed = excluded.sealed, changed = excluded.changed, author = excluded.author";
        sqlx::query(text)
            .bind(tenant.as_str())
            .bind(name.as_str())
            .bind(sealed)
            .bind(clock::now())
            .bind(by)
            .execute(&mut *transaction)
            .await
            .map_err(broken(what))?;
        transaction.commit().await.map_err(broken(what))?;
        Ok(before.is_none())
    }

    /// The tenant's secrets by name, without their texts.
    ///
    /// # Errors
    ///
    /// `Unavailable` or `Failed` of the database.
    pub async fn secrets(&self, tenant: &Name) -> Result<Vec<KeptSecret>> {
        let text = "SELECT name, created, changed, author FROM secrets WHERE tenant = $1 ORDER BY name";
        let rows = sqlx::query(text)
            .bind(tenant.as_str())
            .fetch_all(self.pool())
            .await
            .map_err(broken(format!("failed to list the secrets of {tenant}")))?;
        rows.iter().map(kept).collect()
    }

    /// Deletes a secret of the tenant; `false`: there is none.
    ///
    /// # Errors
    ///
    /// `Unavailable` or `Failed` of the database.
    pub async fn delete_secret(&self, tenant: &Name, name: &Name) -> Result<bool> {
        let deleted = sqlx::query("DELETE FROM secrets WHERE tenant = $1 AND name = $2")
            .bind(tenant.as_str())
            .bind(name.as_str())
            .execute(self.pool())
            .await
            .map_err(broken(format!("failed to delete the secret {name} of {tenant}")))?;
        Ok(deleted.rows_affected() == 1)
    }

    /// The texts of all of a tenant's secrets.
    pub(super) async fn opened_secrets(&self, tenant: &Name) -> Result<BTreeMap<String, SecretText>> {
        let what = &format!("failed to open the secrets of {tenant}");
        let rows = sqlx::query("SELECT name, sealed FROM secrets WHERE tenant = $1 ORDER BY name")
            .bind(tenant.as_str())
            .fetch_all(self.pool())
            .await
            .map_err(broken(what))?;
        let mut opened = BTreeMap::new();
        for row in &rows {
            let name: Name = word(row, "name")?;
            let text = self
                .key_for(what)?
                .open(&place(tenant, &name), &value::<String>(row, "sealed")?);
            let text = text.ok_or_else(|| {
                let why = format!("what the catalog has as {name} was not sealed for that name and this tenant");
                Problem::new(ProblemKind::Failed, what, why)
                    .hint("something else wrote to the catalog's database: set the secret anew")
            })?;
            opened.insert(name.into(), SecretText::new(text)?);
        }
        Ok(opened)
    }

    fn key_for(&self, what: &str) -> Result<&SealingKey> {
        self.key().ok_or_else(|| {
            Problem::new(
                ProblemKind::Failed,
                what,
                "this catalog was opened without the key of secrets",
            )
        })
    }
}

fn place<'a>(tenant: &'a Name, name: &'a Name) -> [&'a str; 3] {
    ["secret", tenant.as_str(), name.as_str()]
}

fn kept(row: &AnyRow) -> Result<KeptSecret> {
    Ok(KeptSecret {
        name: word(row, "name")?,
        created: value(row, "created")?,
        changed: value(row, "changed")?,
        by: value(row, "author")?,
    })
}
