//! Upgrades of pipelines: how a version took over from the one before, phase by phase.
//!
//! Never takes a version back over one that came later. Always: a phase and the version that it makes current are one
//! transaction; so whoever looks after a crash finds both or neither.

use std::collections::BTreeMap;

use sqlx::{Any, Transaction};

use super::apply::{Applied, Contents, add_version, check, check_expected, check_pushed, current};
use super::audit::note_in;
use super::database::{Catalog, broken};
use super::pipelines::{next_revision, version};
use super::records::{NEWEST, insert, newest, overtake, upgrade, write};
use super::rows::word;
use super::tenants::no_tenant;
use crate::clock;
use crate::model::PipelineVersion;
use crate::model::names::{Digest, Name};
use crate::model::problem::{Problem, ProblemKind, Result};
use crate::model::upgrade::{PipelineUpgrade, UpgradeCanary, UpgradePhase};

/// Who takes a version back that nobody took back by hand, in the audit and among authors.
const DAEMON: &str = "sandbar";

/// The upgrade that is asked for.
#[derive(Debug, Clone)]
pub struct UpgradeOrder<'a> {
    /// The text of the new version's file.
    pub file: &'a str,
    /// The plugin of each operator that has one of the tenant's.
    pub plugins: &'a BTreeMap<String, Digest>,
    /// The id of the token that asks.
    pub author: &'a str,
    /// The revision that the caller has seen.
    pub expected: Option<i64>,
    /// Seconds for which the new version is watched.
    pub watch_seconds: u64,
    /// Whether a savepoint of the version before is taken.
    pub saves: bool,
    /// Whether the new version begins from that savepoint, because its stores are others.
    pub changes_state: bool,
    /// Whether the new version may drop state.
    pub drops_state: bool,
    /// Seconds for which records are gathered to compare the two versions before; `None`: the new one takes over now.
    pub canary_seconds: Option<u64>,
    /// Records that are left to read now, if that is known.
    pub lag: Option<u64>,
}

/// How a version is taken back.
#[derive(Debug, Clone)]
pub struct TakeBackOrder<'a> {
    /// Why, in a sentence.
    pub why: &'a str,
    /// The id of the token that asks; `None`: the daemon does it by itself, which is noted in the audit.
    pub who: Option<&'a str>,
    /// Whether the version before begins from the savepoint, if there is one, and not from the last commit.
    pub from_savepoint: bool,
    /// Records that the new version had put out, as far as was seen.
    pub records_out: Option<u64>,
}

impl Catalog {
    /// The newest upgrade of the pipeline.
    ///
    /// # Errors
    ///
    /// `Unavailable` or `Failed` of the database.
    pub async fn upgrade(&self, tenant: &Name, name: &Name) -> Result<Option<PipelineUpgrade>> {
        let row = sqlx::query(NEWEST)
            .bind(tenant.as_str())
            .bind(name.as_str())
            .fetch_optional(self.pool())
            .await
            .map_err(broken(format!("failed to look up the upgrade of {name}")))?;
        row.as_ref().map(upgrade).transpose()
    }

    /// Tenant and name of each pipeline with an upgrade that the daemon has to see to.
    ///
    /// # Errors
    ///
    /// `Unavailable` or `Failed` of the database.
    pub async fn open_upgrades(&self) -> Result<Vec<(Name, Name)>> {
        let text = "SELECT DISTINCT tenant, pipeline FROM upgrades WHERE is_open = 1 ORDER BY tenant, pipeline";
        let rows = sqlx::query(text)
            .fetch_all(self.pool())
            .await
            .map_err(broken("failed to list the upgrades that are under way"))?;
        rows.iter()
            .map(|row| Ok((word(row, "tenant")?, word(row, "pipeline")?)))
            .collect()
    }

    /// A version of the pipeline, if it is there.
    ///
    /// # Errors
    ///
    /// `Unavailable` or `Failed` of the database.
    pub async fn version(&self, tenant: &Name, name: &Name, number: i64) -> Result<Option<PipelineVersion>> {
        let row = sqlx::query(VERSION)
            .bind(tenant.as_str())
            .bind(name.as_str())
            .bind(number)
            .fetch_optional(self.pool())
            .await
            .map_err(broken(format!("failed to look up version {number} of {name}")))?;
        row.as_ref().map(version).transpose()
    }

    /// Makes this file and these plugins the current version, which takes over from the one before; with a canary only
    /// once it is promoted. An upgrade that is under way is overtaken.
    ///
    /// # Errors
    ///
    /// As of [`apply`](Self::apply); `NotFound` if the pipeline is not there; `Conflict` if a start from the savepoint
    /// of the upgrade before was not made yet.
    pub async fn begin_upgrade(&self, tenant: &Name, name: &Name, order: &UpgradeOrder<'_>) -> Result<Applied> {
        let what = &format!("failed to upgrade the pipeline {name}");
        check(what, order.file, order.plugins, order.author)?;
        let contents = Contents::new(order.file, order.plugins, order.author, what)?;
        let Some(mut transaction) = self.begin_in(tenant, what).await? else {
            return Err(no_tenant(what, tenant));
        };
        let current = current(&mut transaction, tenant, name, what).await?;
        check_expected(what, order.expected, current.as_ref())?;
        let Some(current) = current else {
            return Err(Problem::new(ProblemKind::NotFound, what, "it is not there"));
        };
        check_pushed(&mut transaction, tenant, order.plugins, what).await?;
        let before = newest(&mut transaction, (tenant, name), what).await?;
        if let Some(savepoint) = before.as_ref().and_then(still_to_begin) {
            let why = format!("its current version is still to begin from savepoint {savepoint}");
            return Err(Problem::new(ProblemKind::Conflict, what, why)
                .hint("wait until it runs, or `apply` what is wanted instead of it"));
        }
        let is_under_way = before
            .as_ref()
            .is_some_and(|before| before.is_open() && !before.is_canary());
        if order.canary_seconds.is_some() && is_under_way {
            // It would end the upgrade of the version that runs, and with it the way back.
            return Err(
                Problem::new(ProblemKind::Conflict, what, "an upgrade of it is under way")
                    .hint("begin the canary when that one is done"),
            );
        }
        let applied = Applied {
            version: current.version + 1,
            revision: match order.canary_seconds {
                Some(_) => current.revision,
                None => next_revision(&mut transaction, tenant, what).await?,
            },
            is_new: false,
            is_changed: true,
            overtaken: overtake(&mut transaction, (tenant, name), "another upgrade was asked for", what).await?,
        };
        if order.canary_seconds.is_none() {
            add_version(&mut transaction, (tenant, name), applied, &contents, what).await?;
        }
        let number = before.map_or(0, |before| before.number) + 1;
        let upgrade = begun(number, current.version, applied.version, order);
        insert(&mut transaction, (tenant, name), &upgrade, what).await?;
        transaction.commit().await.map_err(broken(what))?;
        Ok(applied)
    }

    /// Changes the upgrade of this number, if it is still the newest; `change` says whether it did. `false`: it is not,
    /// or did not.
    ///
    /// # Errors
    ///
    /// `Unavailable` or `Failed` of the database.
    pub async fn change_upgrade(
        &self,
        tenant: &Name,
        name: &Name,
        number: i64,
        change: impl FnOnce(&mut PipelineUpgrade) -> bool + Send,
    ) -> Result<bool> {
        let what = &format!("failed to note how far the upgrade of {name} is");
        let Some(mut transaction) = self.begin_in(tenant, what).await? else {
            return Ok(false);
        };
        let newest = newest(&mut transaction, (tenant, name), what).await?;
        let Some(mut upgrade) = newest.filter(|newest| newest.number == number) else {
            return Ok(false);
        };
        if !change(&mut upgrade) {
            return Ok(false);
        }
        write(&mut transaction, (tenant, name), &upgrade, what).await?;
        transaction.commit().await.map_err(broken(what))?;
        Ok(true)
    }

    /// Makes the new version of a canary the current one, which takes over from the one before, for this reason. `who`
    /// is the token that asks; `None`: the daemon does it by itself, which is noted in the audit. `None`: that upgrade
    /// is no canary any more.
    ///
    /// # Errors
    ///
    /// `PluginRefused` if one of its plugins is gone; `Unavailable` or `Failed` of the database.
    pub async fn promote(
        &self,
        tenant: &Name,
        name: &Name,
        number: i64,
        (why, who): (&str, Option<&str>),
    ) -> Result<Option<Applied>> {
        let what = &format!("failed to promote the canary of {name}");
        let Some(mut transaction) = self.begin_in(tenant, what).await? else {
            return Ok(None);
        };
        let newest = newest(&mut transaction, (tenant, name), what).await?;
        let found = newest.filter(|newest| newest.number == number && newest.is_canary());
        let current = current(&mut transaction, tenant, name, what).await?;
        let (Some(mut upgrade), Some(current)) = (found, current) else {
            return Ok(None);
        };
        let Some(canary) = upgrade
            .canary
            .as_mut()
            .filter(|_| current.version == upgrade.from_version)
        else {
            return Ok(None);
        };
        check_pushed(&mut transaction, tenant, &canary.plugins, what).await?;
        let applied = Applied {
            version: upgrade.to_version,
            revision: next_revision(&mut transaction, tenant, what).await?,
            is_new: false,
            is_changed: true,
            overtaken: None,
        };
        canary.is_promoted = true;
        let saves = canary.saves;
        let contents = Contents::new(&canary.file, &canary.plugins, &upgrade.author, what)?;
        add_version(&mut transaction, (tenant, name), applied, &contents, what).await?;
        upgrade.take_over(saves, clock::now(), why);
        write(&mut transaction, (tenant, name), &upgrade, what).await?;
        if who.is_none() {
            let object = format!("pipelines/{name}");
            note_in(&mut transaction, Some(tenant), (DAEMON, "promote", &object), what).await?;
        }
        transaction.commit().await.map_err(broken(what))?;
        Ok(Some(applied))
    }

    /// Makes what was there before the upgrade of this number the current version again, as a new one. `None`: that
    /// upgrade is not the newest any more, or another version took its place.
    ///
    /// # Errors
    ///
    /// `Unavailable` or `Failed` of the database.
    pub async fn take_back(
        &self,
        tenant: &Name,
        name: &Name,
        number: i64,
        order: &TakeBackOrder<'_>,
    ) -> Result<Option<Applied>> {
        let what = &format!("failed to take back the upgrade of {name}");
        let Some(mut transaction) = self.begin_in(tenant, what).await? else {
            return Ok(None);
        };
        let newest = newest(&mut transaction, (tenant, name), what).await?;
        let is_gone = |phase| matches!(phase, UpgradePhase::TakenBack | UpgradePhase::Overtaken);
        let found = newest.filter(|newest| newest.number == number && newest.is_made() && !is_gone(newest.phase));
        let current = current(&mut transaction, tenant, name, what).await?;
        let (Some(mut upgrade), Some(current)) = (found, current) else {
            return Ok(None);
        };
        if current.version != upgrade.to_version {
            return Ok(None);
        }
        let before = old_version(&mut transaction, (tenant, name), upgrade.from_version, what).await?;
        let contents = Contents::new(&before.file, &before.plugins, order.who.unwrap_or(DAEMON), what)?;
        let applied = Applied {
            version: current.version + 1,
            revision: next_revision(&mut transaction, tenant, what).await?,
            is_new: false,
            is_changed: true,
            overtaken: None,
        };
        add_version(&mut transaction, (tenant, name), applied, &contents, what).await?;
        let begins = order.from_savepoint && upgrade.savepoint.is_some();
        upgrade.to_begin = begins.then_some(applied.version);
        (upgrade.back_version, upgrade.records_out) = (Some(applied.version), order.records_out);
        upgrade.enter(UpgradePhase::TakenBack, clock::now(), order.why);
        write(&mut transaction, (tenant, name), &upgrade, what).await?;
        if order.who.is_none() {
            let object = format!("pipelines/{name}");
            note_in(&mut transaction, Some(tenant), (DAEMON, "take-back", &object), what).await?;
        }
        transaction.commit().await.map_err(broken(what))?;
        Ok(Some(applied))
    }
}

const VERSION: &str = "SELECT version, file, plugins, author, applied FROM versions \
                       WHERE tenant = $1 AND pipeline = $2 AND version = $3";

/// The savepoint that a version is still to begin from, although it is not being swapped any more.
fn still_to_begin(upgrade: &PipelineUpgrade) -> Option<&str> {
    let is_later = upgrade.to_begin.is_some() && upgrade.phase != UpgradePhase::Swapping;
    upgrade.savepoint.as_deref().filter(|_| is_later)
}

fn begun(number: i64, from_version: i64, to_version: i64, order: &UpgradeOrder<'_>) -> PipelineUpgrade {
    let mut upgrade = PipelineUpgrade {
        number,
        from_version,
        to_version,
        back_version: None,
        phase: UpgradePhase::Swapping,
        author: order.author.to_owned(),
        watch_seconds: order.watch_seconds,
        until: None,
        saves: None,
        savepoint: None,
        changes_state: order.changes_state,
        drops_state: order.drops_state,
        to_begin: None,
        canary: order.canary_seconds.map(|seconds| UpgradeCanary {
            seconds,
            file: order.file.to_owned(),
            plugins: order.plugins.clone(),
            saves: order.saves,
            is_promoted: false,
            report: None,
        }),
        lag: order.lag,
        records_out: None,
        history: Vec::new(),
    };
    match order.canary_seconds {
        Some(seconds) => upgrade.begin_canary(seconds, clock::now()),
        None => upgrade.take_over(order.saves, clock::now(), ""),
    }
    upgrade
}

async fn old_version(
    transaction: &mut Transaction<'static, Any>,
    (tenant, name): (&Name, &Name),
    number: i64,
    what: &str,
) -> Result<PipelineVersion> {
    let row = sqlx::query(VERSION)
        .bind(tenant.as_str())
        .bind(name.as_str())
        .bind(number)
        .fetch_one(&mut **transaction)
        .await
        .map_err(broken(what))?;
    version(&row)
}
