//! The record of an upgrade as a row of the catalog.
//!
//! Always: the newest is the one with the highest number, and no other is under way.

use sqlx::any::AnyRow;
use sqlx::{Any, Transaction};

use super::database::broken;
use super::rows::{strange, value};
use crate::clock;
use crate::model::names::Name;
use crate::model::problem::{Problem, ProblemKind, Result};
use crate::model::upgrade::{PipelineUpgrade, UpgradePhase};

/// The newest record of a pipeline.
pub(super) const NEWEST: &str =
    "SELECT record FROM upgrades WHERE tenant = $1 AND pipeline = $2 ORDER BY number DESC LIMIT 1";

/// Ends the upgrade that is under way, if one is: the newest word counts. The version that it was to.
pub(super) async fn overtake(
    transaction: &mut Transaction<'static, Any>,
    whose: (&Name, &Name),
    why: &str,
    what: &str,
) -> Result<Option<i64>> {
    let newest = newest(transaction, whose, what).await?;
    let Some(mut upgrade) = newest.filter(|newest| !newest.phase.is_over()) else {
        return Ok(None);
    };
    // Nothing began from a savepoint that may not have been taken; what is committed is the same.
    if upgrade.phase == UpgradePhase::Swapping {
        upgrade.to_begin = None;
    }
    upgrade.enter(UpgradePhase::Overtaken, clock::now(), why);
    write(transaction, whose, &upgrade, what).await?;
    Ok(Some(upgrade.to_version))
}

/// The newest upgrade.
pub(super) async fn newest(
    transaction: &mut Transaction<'static, Any>,
    (tenant, name): (&Name, &Name),
    what: &str,
) -> Result<Option<PipelineUpgrade>> {
    let row = sqlx::query(NEWEST)
        .bind(tenant.as_str())
        .bind(name.as_str())
        .fetch_optional(&mut **transaction)
        .await
        .map_err(broken(what))?;
    row.as_ref().map(upgrade).transpose()
}

/// A new record.
pub(super) async fn insert(
    transaction: &mut Transaction<'static, Any>,
    (tenant, name): (&Name, &Name),
    upgrade: &PipelineUpgrade,
    what: &str,
) -> Result<()> {
    let text = "INSERT INTO upgrades (tenant, pipeline, number, is_open, record) VALUES ($1, $2, $3, $4, $5)";
    put(transaction, text, (tenant, name), upgrade, what).await
}

/// The record as it is now.
pub(super) async fn write(
    transaction: &mut Transaction<'static, Any>,
    (tenant, name): (&Name, &Name),
    upgrade: &PipelineUpgrade,
    what: &str,
) -> Result<()> {
    let text = "UPDATE upgrades SET is_open = $4, record = $5 WHERE tenant = $1 AND pipeline = $2 AND number = $3";
    put(transaction, text, (tenant, name), upgrade, what).await
}

async fn put(
    transaction: &mut Transaction<'static, Any>,
    text: &'static str,
    (tenant, name): (&Name, &Name),
    upgrade: &PipelineUpgrade,
    what: &str,
) -> Result<()> {
    let record = serde_json::to_string(upgrade).map_err(|error| Problem::new(ProblemKind::Failed, what, error))?;
    sqlx::query(text)
        .bind(tenant.as_str())
        .bind(name.as_str())
        .bind(upgrade.number)
        .bind(i64::from(upgrade.is_open()))
        // A sentence of a process may have a NUL, which PostgreSQL does not keep; JSON writes it as six letters.
        .bind(record)
        .execute(&mut **transaction)
        .await
        .map_err(broken(what))?;
    Ok(())
}

/// The upgrade of a row.
pub(super) fn upgrade(row: &AnyRow) -> Result<PipelineUpgrade> {
    serde_json::from_str(&value::<String>(row, "record")?).map_err(|error| strange("record", error))
}
