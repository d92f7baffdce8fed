//! The plugins that a tenant pushed, by digest.
//!
//! Never holds their bytes: those are files. Always: a digest stands once in a tenant, as it was pushed first, and a
//! tenant has no more of them than its quota says.

use sqlx::any::AnyRow;
use sqlx::{Any, Transaction};

use super::database::{Catalog, broken};
use super::means::quotas_in;
use super::rows::{check_text, limit, value, word};
use super::tenants::no_tenant;
use crate::means::exceeded;
use crate::model::PushedPlugin;
use crate::model::names::{Digest, Name};
use crate::model::problem::{Problem, ProblemKind, Result};

/// Bytes of the name and of the version that a plugin gives itself, at most.
const WORD_BYTES: usize = 256;

impl Catalog {
    /// Notes a plugin, without signatures; `false`: it was there, and stays as it was.
    ///
    /// # Errors
    ///
    /// `NotFound` if the tenant is not there; `Invalid` or `TooLarge` if its name or version has a NUL or more than 256
    /// bytes, or its size is negative; `QuotaExceeded` if it is one plugin too many; `Unavailable` or `Failed` of the
    /// database.
    pub async fn add_plugin(&self, tenant: &Name, plugin: &PushedPlugin) -> Result<bool> {
        let what = format!("failed to note the plugin {}", plugin.digest);
        check_text(&what, "its name", &plugin.name, WORD_BYTES)?;
        check_text(&what, "its version", &plugin.version, WORD_BYTES)?;
        if plugin.bytes < 0 {
            let why = format!("{} bytes are no size", plugin.bytes);
            return Err(Problem::new(ProblemKind::Invalid, what, why));
        }
        let Some(mut transaction) = self.begin_in(tenant, &what).await? else {
            return Err(no_tenant(&what, tenant));
        };
        let (others, is_there) = counted(&mut transaction, tenant, &plugin.digest, &what).await?;
        if is_there {
            return Ok(false);
        }
        let quotas = quotas_in(&mut transaction, tenant, &what).await?;
        if let Some(most) = quotas.plugins.filter(|most| others >= *most) {
            let why = format!("the tenant {tenant} has {others} plugins, and its quota `plugins` is {most}");
            return Err(exceeded(&what, tenant, "plugins", why));
        }
        let text = "INSERT INTO plugins (tenant, digest, bytes, name, version, pushed) \
                    VALUES ($1, $2, $3, $4, $5, $6)";
        sqlx::query(text)
            .bind(tenant.as_str())
            .bind(plugin.digest.as_str())
            .bind(plugin.bytes)
            .bind(plugin.name.as_str())
            .bind(plugin.version.as_str())
            .bind(plugin.pushed)
            .execute(&mut *transaction)
            .await
            .map_err(broken(&what))?;
        transaction.commit().await.map_err(broken(&what))?;
        Ok(true)
    }

    /// At most `most` plugins of the tenant by digest, after this one.
    ///
    /// # Errors
    ///
    /// `Unavailable` or `Failed` of the database.
    pub async fn plugins(&self, tenant: &Name, after: Option<&Digest>, most: u32) -> Result<Vec<PushedPlugin>> {
        let text = "SELECT digest, bytes, name, version, pushed FROM plugins \
                    WHERE tenant = $1 AND digest > $2 ORDER BY digest LIMIT $3";
        let rows = sqlx::query(text)
            .bind(tenant.as_str())
            .bind(after.map_or("", Digest::as_str))
            .bind(limit(most))
            .fetch_all(self.pool())
            .await
            .map_err(broken(format!("failed to list the plugins of {tenant}")))?;
        let mut plugins: Vec<PushedPlugin> = rows.iter().map(plugin).collect::<Result<_>>()?;
        if let (Some(first), Some(last)) = (plugins.first(), plugins.last()) {
            let mut signatures = self.signatures(tenant, (&first.digest, &last.digest)).await?;
            for plugin in &mut plugins {
                plugin.signatures = signatures.remove(&plugin.digest).unwrap_or_default();
            }
        }
        Ok(plugins)
    }

    /// The tenant's plugin of this digest, if it was pushed.
    ///
    /// # Errors
    ///
    /// `Unavailable` or `Failed` of the database.
    pub async fn plugin(&self, tenant: &Name, digest: &Digest) -> Result<Option<PushedPlugin>> {
        let text = "SELECT digest, bytes, name, version, pushed FROM plugins WHERE tenant = $1 AND digest = $2";
        let row = sqlx::query(text)
            .bind(tenant.as_str())
            .bind(digest.as_str())
            .fetch_optional(self.pool())
            .await
            .map_err(broken(format!("failed to look up the plugin {digest}")))?;
        let Some(row) = row else { return Ok(None) };
        let mut signatures = self.signatures(tenant, (digest, digest)).await?;
        Ok(Some(PushedPlugin {
            signatures: signatures.remove(digest).unwrap_or_default(),
            ..plugin(&row)?
        }))
    }
}

/// How many other plugins the tenant has, and whether this one is there.
async fn counted(
    transaction: &mut Transaction<'static, Any>,
    tenant: &Name,
    digest: &Digest,
    what: &str,
) -> Result<(u64, bool)> {
    let others: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM plugins WHERE tenant = $1 AND digest <> $2")
        .bind(tenant.as_str())
        .bind(digest.as_str())
        .fetch_one(&mut **transaction)
        .await
        .map_err(broken(what))?;
    let row = sqlx::query("SELECT digest FROM plugins WHERE tenant = $1 AND digest = $2")
        .bind(tenant.as_str())
        .bind(digest.as_str())
        .fetch_optional(&mut **transaction)
        .await
        .map_err(broken(what))?;
    Ok((u64::try_from(others).unwrap_or(0), row.is_some()))
}

fn plugin(row: &AnyRow) -> Result<PushedPlugin> {
    Ok(PushedPlugin {
        digest: word(row, "digest")?,
        bytes: value(row, "bytes")?,
        name: value(row, "name")?,
        version: value(row, "version")?,
        pushed: value(row, "pushed")?,
        signatures: Vec::new(),
    })
}
