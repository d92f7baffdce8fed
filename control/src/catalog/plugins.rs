//! The plugins that a tenant pushed, by digest.
//!
//! Never holds their bytes: those are files. Always: a digest stands once in a tenant, as it was pushed first.

use sqlx::any::AnyRow;

use super::database::{Catalog, broken, is_of_a_reference};
use super::rows::{check_text, limit, value, word};
use super::tenants::no_tenant;
use crate::model::PushedPlugin;
use crate::names::{Digest, Name};
use crate::problem::{Problem, ProblemKind, Result};

/// Bytes of the name and of the version that a plugin gives itself, at most.
const WORD_BYTES: usize = 256;

impl Catalog {
    /// Notes a plugin; `false`: it was there, and stays as it was.
    ///
    /// # Errors
    ///
    /// `NotFound` if the tenant is not there; `Invalid` or `TooLarge` if its name or version has a NUL or more than 256
    /// bytes, or its size is negative; `Unavailable` or `Failed` of the database.
    pub async fn add_plugin(&self, tenant: &Name, plugin: &PushedPlugin) -> Result<bool> {
        let what = format!("failed to note the plugin {}", plugin.digest);
        check_text(&what, "its name", &plugin.name, WORD_BYTES)?;
        check_text(&what, "its version", &plugin.version, WORD_BYTES)?;
        if plugin.bytes < 0 {
            let why = format!("{} bytes are no size", plugin.bytes);
            return Err(Problem::new(ProblemKind::Invalid, what, why));
        }
        let text = "INSERT INTO plugins (tenant, digest, bytes, name, version, pushed) \
                    VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING";
        let made = sqlx::query(text)
            .bind(tenant.as_str())
            .bind(plugin.digest.as_str())
            .bind(plugin.bytes)
            .bind(plugin.name.as_str())
            .bind(plugin.version.as_str())
            .bind(plugin.pushed)
            .execute(self.pool())
            .await;
        match made {
            Ok(made) => Ok(made.rows_affected() == 1),
            Err(error) if is_of_a_reference(&error) => Err(no_tenant(&what, tenant)),
            Err(error) => Err(broken(what)(error)),
        }
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
        rows.iter().map(plugin).collect()
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
        row.as_ref().map(plugin).transpose()
    }
}

fn plugin(row: &AnyRow) -> Result<PushedPlugin> {
    Ok(PushedPlugin {
        digest: word(row, "digest")?,
        bytes: value(row, "bytes")?,
        name: value(row, "name")?,
        version: value(row, "version")?,
        pushed: value(row, "pushed")?,
    })
}
