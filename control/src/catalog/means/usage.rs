//! What pipelines used, an hour a row.
//!
//! Never fails for what a pipeline's process says of itself: a figure that cannot be is cut. Always: what was used
//! stays when the pipeline or its tenant goes.

use sqlx::any::AnyRow;

use crate::catalog::Catalog;
use crate::catalog::database::broken;
use crate::catalog::rows::{limit, value, word};
use crate::means::{PipelineUsage, UsageDelta};
use crate::model::names::Name;
use crate::model::problem::Result;

/// Milliseconds of an hour.
const HOUR: i64 = 3_600_000;
/// The most that is added of a figure at once.
const MOST_ADDED: u64 = 1 << 50;
/// A row with so much is as it cannot be: nothing is added any more, or a sum would be none of the database.
const FULL: i64 = 1 << 62;

impl Catalog {
    /// Adds to what the pipeline used in the hour of this moment, in milliseconds since 1970.
    ///
    /// # Errors
    ///
    /// `Unavailable` or `Failed` of the database.
    pub async fn add_usage(&self, tenant: &Name, pipeline: &Name, moment: i64, used: &UsageDelta) -> Result<()> {
        let text = "INSERT INTO usage (tenant, pipeline, hour, cpu_ms, records_in, records_out, bytes_in, bytes_out, \
                    state_byte_seconds) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) \
                    ON CONFLICT (tenant, pipeline, hour) DO UPDATE SET cpu_ms = usage.cpu_ms + excluded.cpu_ms, \
                    records_in = usage.records_in + excluded.records_in, \
                    records_out = usage.records_out + excluded.records_out, \
                    bytes_in = usage.bytes_in + excluded.bytes_in, bytes_out = usage.bytes_out + excluded.bytes_out, \
                    state_byte_seconds = usage.state_byte_seconds + excluded.state_byte_seconds \
                    WHERE usage.cpu_ms < $10 AND usage.records_in < $10 AND usage.records_out < $10 \
                    AND usage.bytes_in < $10 AND usage.bytes_out < $10 AND usage.state_byte_seconds < $10";
        sqlx::query(text)
            .bind(tenant.as_str())
            .bind(pipeline.as_str())
            .bind(hour_of(moment))
            .bind(added(used.cpu_ms))
            .bind(added(used.records_in))
            .bind(added(used.records_out))
            .bind(added(used.bytes_in))
            .bind(added(used.bytes_out))
            .bind(added(used.state_byte_seconds))
            .bind(FULL)
            .execute(self.pool())
            .await
            .map_err(broken(format!("failed to note what {pipeline} of {tenant} used")))?;
        Ok(())
    }

    /// What pipelines used in the hours that `from` is in or that began later, and that began before `to`, both in
    /// milliseconds since 1970: those of a tenant, or (`None`) of all; at most `most` by tenant and name, after this
    /// one.
    ///
    /// # Errors
    ///
    /// `Unavailable` or `Failed` of the database.
    pub async fn usage(
        &self,
        tenant: Option<&Name>,
        (from, to): (i64, i64),
        after: Option<(&Name, &Name)>,
        most: u32,
    ) -> Result<Vec<PipelineUsage>> {
        // As floating point: however much it is, there is a sum. No tenant has the empty name.
        let text = "SELECT tenant, pipeline, SUM(CAST(cpu_ms AS DOUBLE PRECISION)) AS cpu_ms, \
                    SUM(CAST(records_in AS DOUBLE PRECISION)) AS records_in, \
                    SUM(CAST(records_out AS DOUBLE PRECISION)) AS records_out, \
                    SUM(CAST(bytes_in AS DOUBLE PRECISION)) AS bytes_in, \
                    SUM(CAST(bytes_out AS DOUBLE PRECISION)) AS bytes_out, \
                    SUM(CAST(state_byte_seconds AS DOUBLE PRECISION)) AS state_byte_seconds FROM usage \
                    WHERE ($1 = '' OR tenant = $1) AND hour >= $2 AND hour < $3 \
                    AND (tenant > $4 OR (tenant = $4 AND pipeline > $5)) \
                    GROUP BY tenant, pipeline ORDER BY tenant, pipeline LIMIT $6";
        let (after_tenant, after_pipeline) =
            after.map_or(("", ""), |(tenant, pipeline)| (tenant.as_str(), pipeline.as_str()));
        let rows = sqlx::query(text)
            .bind(tenant.map_or("", Name::as_str))
            .bind(hour_of(from))
            .bind(to)
            .bind(after_tenant)
            .bind(after_pipeline)
            .bind(limit(most))
            .fetch_all(self.pool())
            .await
            .map_err(broken("failed to sum up what was used"))?;
        rows.iter().map(of_pipeline).collect()
    }
}

/// When the hour of this moment began.
fn hour_of(moment: i64) -> i64 {
    moment.div_euclid(HOUR).saturating_mul(HOUR)
}

fn added(figure: u64) -> i64 {
    i64::try_from(figure.min(MOST_ADDED)).unwrap_or(0)
}

fn of_pipeline(row: &AnyRow) -> Result<PipelineUsage> {
    let seconds_of_an_hour = 3600;
    Ok(PipelineUsage {
        tenant: word(row, "tenant")?,
        pipeline: word(row, "pipeline")?,
        cpu_ms: sum(row, "cpu_ms")?,
        records_in: sum(row, "records_in")?,
        records_out: sum(row, "records_out")?,
        bytes_in: sum(row, "bytes_in")?,
        bytes_out: sum(row, "bytes_out")?,
        state_byte_hours: sum(row, "state_byte_seconds")? / seconds_of_an_hour,
    })
}

fn sum(row: &AnyRow, column: &str) -> Result<u64> {
    // What is too much for a number of 64 bits becomes the greatest of them.
    Ok(value::<f64>(row, column)? as u64)
}
