//! A pipeline's next version.
//!
//! Never lets a pipeline name a plugin that its tenant did not push, or a tenant have more pipelines than its quota
//! says. Always: versions are 1, 2, 3 and so on without a gap, of which the newest are kept, and the same file and
//! plugins again are no new one.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::{Any, Transaction};

use super::database::{Catalog, broken};
use super::means::{check_signed, quotas_in};
use super::pipelines::{next_revision, plugins_of};
use super::records::overtake;
use super::rows::{check_text, value};
use super::tenants::no_tenant;
use crate::clock;
use crate::means::{Quotas, exceeded};
use crate::model::names::{Digest, Name};
use crate::model::problem::{Problem, ProblemKind, Result};

/// Bytes of a pipeline file, at most.
const FILE_BYTES: usize = 1 << 20;
/// Plugins of a pipeline, at most.
const MOST_PLUGINS: usize = 256;
/// Bytes of an author's or an operator's name, at most.
const WORD_BYTES: usize = 256;

/// What an apply led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Applied {
    /// The current version, from 1.
    pub version: i64,
    /// The current revision.
    pub revision: i64,
    /// Whether the pipeline was not there before.
    pub is_new: bool,
    /// Whether there is a version more than before.
    pub is_changed: bool,
    /// The version whose upgrade was under way, and is not watched any more.
    pub overtaken: Option<i64>,
}

/// One version's contents.
pub(super) struct Contents<'a> {
    file: &'a str,
    plugins: String,
    author: &'a str,
}

/// The pipeline as an apply finds it.
pub(super) struct Current {
    pub(super) version: i64,
    pub(super) revision: i64,
    file: String,
    plugins: BTreeMap<String, Digest>,
}

impl<'a> Contents<'a> {
    pub(super) fn new(file: &'a str, plugins: &BTreeMap<String, Digest>, author: &'a str, what: &str) -> Result<Self> {
        let plugins = serde_json::to_string(plugins).map_err(|error| Problem::new(ProblemKind::Failed, what, error))?;
        Ok(Self { file, plugins, author })
    }
}

impl Catalog {
    /// Makes this file and these plugins (of each operator that has one) the current version. The same again makes no
    /// new version, which ends an upgrade that is under way; of many versions the oldest go. A new pipeline is wanted
    /// running; one that is there is wanted as before. `expected` is the revision that the caller has seen, 0 if it has
    /// seen that there is none.
    ///
    /// # Errors
    ///
    /// `NotFound` if the tenant is not there; `Changed` if another revision was expected; `PluginRefused` if a plugin
    /// was not pushed to the tenant; `QuotaExceeded` if it is one pipeline too many; `Invalid` if a text has a NUL or
    /// there are more than 256 plugins; `TooLarge` if the file has more than 1 MiB, or an author or an operator more
    /// than 256 bytes; `Unavailable` or `Failed` of the database.
    #[expect(clippy::too_many_arguments, reason = "what a version is made of, and whose it is")]
    pub async fn apply(
        &self,
        tenant: &Name,
        name: &Name,
        file: &str,
        plugins: &BTreeMap<String, Digest>,
        author: &str,
        expected: Option<i64>,
    ) -> Result<Applied> {
        let what = &format!("failed to apply the pipeline {name}");
        check(what, file, plugins, author)?;
        let contents = Contents::new(file, plugins, author, what)?;
        let Some(mut transaction) = self.begin_in(tenant, what).await? else {
            return Err(no_tenant(what, tenant));
        };
        let current = current(&mut transaction, tenant, name, what).await?;
        check_expected(what, expected, current.as_ref())?;
        check_pushed(&mut transaction, tenant, plugins, what).await?;
        if let Some(current) = current
            .as_ref()
            .filter(|now| now.file == file && now.plugins == *plugins)
        {
            return Ok(Applied {
                version: current.version,
                revision: current.revision,
                is_new: false,
                is_changed: false,
                overtaken: None,
            });
        }
        let quotas = quotas_in(&mut transaction, tenant, what).await?;
        if current.is_none() {
            check_room(&mut transaction, tenant, &quotas, what).await?;
        }
        let applied = Applied {
            version: current.as_ref().map_or(0, |current| current.version) + 1,
            revision: next_revision(&mut transaction, tenant, what).await?,
            is_new: current.is_none(),
            is_changed: true,
            overtaken: overtake(&mut transaction, (tenant, name), "another version was applied", what).await?,
        };
        add_version(&mut transaction, (tenant, name), applied, &contents, what).await?;
        drop_oldest(&mut transaction, (tenant, name), applied.version, &quotas, what).await?;
        transaction.commit().await.map_err(broken(what))?;
        Ok(applied)
    }
}

pub(super) fn check(what: &str, file: &str, plugins: &BTreeMap<String, Digest>, author: &str) -> Result<()> {
    check_text(what, "the pipeline file", file, FILE_BYTES)?;
    check_text(what, "the author", author, WORD_BYTES)?;
    if plugins.len() > MOST_PLUGINS {
        let why = format!(
            "it names {} plugins, and {MOST_PLUGINS} are taken at most",
            plugins.len()
        );
        return Err(Problem::new(ProblemKind::Invalid, what, why));
    }
    plugins
        .keys()
        .try_for_each(|operator| check_text(what, "the name of an operator", operator, WORD_BYTES))
}

pub(super) fn check_expected(what: &str, expected: Option<i64>, current: Option<&Current>) -> Result<()> {
    let why = match (expected, current) {
        (Some(expected), Some(current)) if expected != current.revision => {
            format!("its revision is {}, and {expected} was expected", current.revision)
        }
        (Some(expected), None) if expected != 0 => {
            format!("it is not there, and its revision {expected} was expected")
        }
        _ => return Ok(()),
    };
    Err(Problem::new(ProblemKind::Changed, what, why)
        .hint("somebody changed it since it was read: look at it again, and apply what is still wanted"))
}

pub(super) async fn check_pushed(
    transaction: &mut Transaction<'static, Any>,
    tenant: &Name,
    plugins: &BTreeMap<String, Digest>,
    what: &str,
) -> Result<()> {
    for digest in plugins.values().collect::<BTreeSet<_>>() {
        let pushed = sqlx::query("SELECT digest FROM plugins WHERE tenant = $1 AND digest = $2")
            .bind(tenant.as_str())
            .bind(digest.as_str())
            .fetch_optional(&mut **transaction)
            .await
            .map_err(broken(what))?;
        if pushed.is_none() {
            let why = format!("the plugin {digest} was not pushed to the tenant {tenant}");
            return Err(Problem::new(ProblemKind::PluginRefused, what, why).hint("push it first"));
        }
        check_signed(transaction, tenant, digest, what).await?;
    }
    Ok(())
}

/// Whether the tenant may have one more pipeline.
async fn check_room(
    transaction: &mut Transaction<'static, Any>,
    tenant: &Name,
    quotas: &Quotas,
    what: &str,
) -> Result<()> {
    let Some(most) = quotas.pipelines else {
        return Ok(());
    };
    let count: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM pipelines WHERE tenant = $1")
        .bind(tenant.as_str())
        .fetch_one(&mut **transaction)
        .await
        .map_err(broken(what))?;
    match u64::try_from(count).is_ok_and(|count| count < most) {
        true => Ok(()),
        false => {
            let why = format!("the tenant {tenant} has {count} pipelines, and its quota `pipelines` is {most}");
            Err(exceeded(what, tenant, "pipelines", why))
        }
    }
}

/// Drops the versions that are older than those that are kept.
async fn drop_oldest(
    transaction: &mut Transaction<'static, Any>,
    (tenant, name): (&Name, &Name),
    newest: i64,
    quotas: &Quotas,
    what: &str,
) -> Result<()> {
    let kept = i64::try_from(quotas.kept_versions()).unwrap_or(i64::MAX);
    sqlx::query("DELETE FROM versions WHERE tenant = $1 AND pipeline = $2 AND version <= $3")
        .bind(tenant.as_str())
        .bind(name.as_str())
        .bind(newest.saturating_sub(kept))
        .execute(&mut **transaction)
        .await
        .map_err(broken(what))?;
    Ok(())
}

pub(super) async fn current(
    transaction: &mut Transaction<'static, Any>,
    tenant: &Name,
    name: &Name,
    what: &str,
) -> Result<Option<Current>> {
    let text = "SELECT p.version, p.revision, v.file, v.plugins FROM pipelines p JOIN versions v \
                ON v.tenant = p.tenant AND v.pipeline = p.name AND v.version = p.version \
                WHERE p.tenant = $1 AND p.name = $2";
    let row = sqlx::query(text)
        .bind(tenant.as_str())
        .bind(name.as_str())
        .fetch_optional(&mut **transaction)
        .await
        .map_err(broken(what))?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(Current {
        version: value(&row, "version")?,
        revision: value(&row, "revision")?,
        file: value(&row, "file")?,
        plugins: plugins_of(&row)?,
    }))
}

pub(super) async fn add_version(
    transaction: &mut Transaction<'static, Any>,
    (tenant, name): (&Name, &Name),
    applied: Applied,
    contents: &Contents<'_>,
    what: &str,
) -> Result<()> {
    let text = match applied.is_new {
        true => "INSERT INTO pipelines (tenant, name, version, revision, wanted) VALUES ($1, $2, $3, $4, 'running')",
        false => "UPDATE pipelines SET version = $3, revision = $4 WHERE tenant = $1 AND name = $2",
    };
    sqlx::query(text)
        .bind(tenant.as_str())
        .bind(name.as_str())
        .bind(applied.version)
        .bind(applied.revision)
        .execute(&mut **transaction)
        .await
        .map_err(broken(what))?;
    let text = "INSERT INTO versions (tenant, pipeline, version, file, plugins, author, applied) \
                VALUES ($1, $2, $3, $4, $5, $6, $7)";
    sqlx::query(text)
        .bind(tenant.as_str())
        .bind(name.as_str())
        .bind(applied.version)
        .bind(contents.file)
        .bind(contents.plugins.as_str())
        .bind(contents.author)
        .bind(clock::now())
        .execute(&mut **transaction)
        .await
        .map_err(broken(what))?;
    Ok(())
}
