//! Pipelines as they are wanted, and their versions.
//!
//! Always: a revision is higher than every one that a pipeline of the tenant had before, so that one that was read is
//! never taken for another; whatever changes a pipeline holds the tenant's row, so that changes of a tenant come one
//! after another.

use std::collections::BTreeMap;

use sqlx::any::AnyRow;
use sqlx::{Any, Transaction};

use super::database::{Catalog, broken};
use super::rows::{limit, strange, value, word};
use crate::model::names::{Digest, Name};
use crate::model::problem::Result;
use crate::model::{PipelineVersion, Wanted, WantedPipeline};

/// Versions that are told, at most.
const MOST_VERSIONS: u32 = 100;

impl Catalog {
    /// The pipeline, if it is there.
    ///
    /// # Errors
    ///
    /// `Unavailable` or `Failed` of the database.
    pub async fn pipeline(&self, tenant: &Name, name: &Name) -> Result<Option<WantedPipeline>> {
        let text = "SELECT p.tenant, p.name, p.wanted, p.version, p.revision, v.file, v.plugins, v.applied \
                    FROM pipelines p JOIN versions v \
                    ON v.tenant = p.tenant AND v.pipeline = p.name AND v.version = p.version \
                    WHERE p.tenant = $1 AND p.name = $2";
        let row = sqlx::query(text)
            .bind(tenant.as_str())
            .bind(name.as_str())
            .fetch_optional(self.pool())
            .await
            .map_err(broken(format!("failed to look up the pipeline {name}")))?;
        row.as_ref().map(pipeline).transpose()
    }

    /// At most `most` pipelines of the tenant by name, after this one.
    ///
    /// # Errors
    ///
    /// `Unavailable` or `Failed` of the database.
    pub async fn pipelines(&self, tenant: &Name, after: Option<&Name>, most: u32) -> Result<Vec<WantedPipeline>> {
        let text = "SELECT p.tenant, p.name, p.wanted, p.version, p.revision, v.file, v.plugins, v.applied \
                    FROM pipelines p JOIN versions v \
                    ON v.tenant = p.tenant AND v.pipeline = p.name AND v.version = p.version \
                    WHERE p.tenant = $1 AND p.name > $2 ORDER BY p.name LIMIT $3";
        let rows = sqlx::query(text)
            .bind(tenant.as_str())
            .bind(after.map_or("", Name::as_str))
            .bind(limit(most))
            .fetch_all(self.pool())
            .await
            .map_err(broken(format!("failed to list the pipelines of {tenant}")))?;
        rows.iter().map(pipeline).collect()
    }

    /// The pipelines of all tenants, for whoever keeps their processes.
    ///
    /// # Errors
    ///
    /// `Unavailable` or `Failed` of the database.
    pub async fn all_pipelines(&self) -> Result<Vec<WantedPipeline>> {
        let text = "SELECT p.tenant, p.name, p.wanted, p.version, p.revision, v.file, v.plugins, v.applied \
                    FROM pipelines p JOIN versions v \
                    ON v.tenant = p.tenant AND v.pipeline = p.name AND v.version = p.version \
                    ORDER BY p.tenant, p.name";
        let rows = sqlx::query(text)
            .fetch_all(self.pool())
            .await
            .map_err(broken("failed to list the pipelines of all tenants"))?;
        rows.iter().map(pipeline).collect()
    }

    /// The newest 100 versions of the pipeline, the newest first; none if it is not there.
    ///
    /// # Errors
    ///
    /// `Unavailable` or `Failed` of the database.
    pub async fn versions(&self, tenant: &Name, name: &Name) -> Result<Vec<PipelineVersion>> {
        let text = "SELECT version, file, plugins, author, applied FROM versions \
                    WHERE tenant = $1 AND pipeline = $2 ORDER BY version DESC LIMIT $3";
        let rows = sqlx::query(text)
            .bind(tenant.as_str())
            .bind(name.as_str())
            .bind(limit(MOST_VERSIONS))
            .fetch_all(self.pool())
            .await
            .map_err(broken(format!("failed to list the versions of {name}")))?;
        rows.iter().map(version).collect()
    }

    /// Says what is wanted of the pipeline; `false`: there is none. Its revision grows if that is something else than
    /// before.
    ///
    /// # Errors
    ///
    /// `Unavailable` or `Failed` of the database.
    pub async fn want(&self, tenant: &Name, name: &Name, wanted: Wanted) -> Result<bool> {
        let what = &format!("failed to want the pipeline {name} {}", wanted.word());
        let Some(mut transaction) = self.begin_in(tenant, what).await? else {
            return Ok(false);
        };
        let before: Option<String> = sqlx::query_scalar("SELECT wanted FROM pipelines WHERE tenant = $1 AND name = $2")
            .bind(tenant.as_str())
            .bind(name.as_str())
            .fetch_optional(&mut *transaction)
            .await
            .map_err(broken(what))?;
        match before {
            None => return Ok(false),
            Some(before) if before == wanted.word() => return Ok(true),
            Some(_) => {}
        }
        let revision = next_revision(&mut transaction, tenant, what).await?;
        sqlx::query("UPDATE pipelines SET wanted = $3, revision = $4 WHERE tenant = $1 AND name = $2")
            .bind(tenant.as_str())
            .bind(name.as_str())
            .bind(wanted.word())
            .bind(revision)
            .execute(&mut *transaction)
            .await
            .map_err(broken(what))?;
        transaction.commit().await.map_err(broken(what))?;
        Ok(true)
    }

    /// Deletes the pipeline with its versions; `false`: there is none.
    ///
    /// # Errors
    ///
    /// `Unavailable` or `Failed` of the database.
    pub async fn delete_pipeline(&self, tenant: &Name, name: &Name) -> Result<bool> {
        let what = &format!("failed to delete the pipeline {name}");
        let Some(mut transaction) = self.begin_in(tenant, what).await? else {
            return Ok(false);
        };
        let deleted = sqlx::query("DELETE FROM pipelines WHERE tenant = $1 AND name = $2")
            .bind(tenant.as_str())
            .bind(name.as_str())
            .execute(&mut *transaction)
            .await
            .map_err(broken(what))?;
        transaction.commit().await.map_err(broken(what))?;
        Ok(deleted.rows_affected() == 1)
    }
}

/// A revision that no pipeline of the tenant had yet.
pub(super) async fn next_revision(
    transaction: &mut Transaction<'static, Any>,
    tenant: &Name,
    what: &str,
) -> Result<i64> {
    sqlx::query_scalar("UPDATE tenants SET revisions = revisions + 1 WHERE name = $1 RETURNING revisions")
        .bind(tenant.as_str())
        .fetch_one(&mut **transaction)
        .await
        .map_err(broken(what))
}

fn pipeline(row: &AnyRow) -> Result<WantedPipeline> {
    Ok(WantedPipeline {
        tenant: word(row, "tenant")?,
        name: word(row, "name")?,
        wanted: word(row, "wanted")?,
        version: value(row, "version")?,
        revision: value(row, "revision")?,
        file: value(row, "file")?,
        plugins: plugins_of(row)?,
        applied: value(row, "applied")?,
    })
}

/// The version of a row.
pub(super) fn version(row: &AnyRow) -> Result<PipelineVersion> {
    Ok(PipelineVersion {
        version: value(row, "version")?,
        file: value(row, "file")?,
        plugins: plugins_of(row)?,
        author: value(row, "author")?,
        applied: value(row, "applied")?,
    })
}

/// The plugins of a row's version.
pub(super) fn plugins_of(row: &AnyRow) -> Result<BTreeMap<String, Digest>> {
    serde_json::from_str(&value::<String>(row, "plugins")?).map_err(|error| strange("plugins", error))
}
