//! How much tenants may use.

use sqlx::{Any, Executor, Transaction};

use crate::catalog::Catalog;
use crate::catalog::database::broken;
use crate::catalog::rows::json;
use crate::catalog::tenants::{no_tenant, of_a_tenant};
use crate::means::Quotas;
use crate::model::names::Name;
use crate::model::problem::{Problem, ProblemKind, Result};

impl Catalog {
    /// How much the tenant may use.
    ///
    /// # Errors
    ///
    /// `NotFound` if the tenant is not there; `Unavailable` or `Failed` of the database.
    pub async fn quotas(&self, tenant: &Name) -> Result<Quotas> {
        read(
            self.pool(),
            tenant,
            &format!("failed to look up the quotas of {tenant}"),
        )
        .await
    }

    /// Says how much the tenant may use, in all.
    ///
    /// # Errors
    ///
    /// `NotFound` if the tenant is not there; `Invalid` if a figure cannot be kept to; `Unavailable` or `Failed` of the
    /// database.
    pub async fn set_quotas(&self, tenant: &Name, quotas: &Quotas) -> Result<()> {
        let what = &format!("failed to set the quotas of {tenant}");
        quotas.check(what)?;
        let text = serde_json::to_string(quotas);
        let text = text.map_err(|error| Problem::new(ProblemKind::Failed, what, error))?;
        let set = sqlx::query("UPDATE tenants SET quotas = $2 WHERE name = $1")
            .bind(tenant.as_str())
            .bind(text)
            .execute(self.pool())
            .await
            .map_err(broken(what))?;
        of_a_tenant(set.rows_affected(), what, tenant)
    }
}

/// How much the tenant may use, as a change of it sees that.
pub(in crate::catalog) async fn quotas_in(
    transaction: &mut Transaction<'static, Any>,
    tenant: &Name,
    what: &str,
) -> Result<Quotas> {
    read(&mut **transaction, tenant, what).await
}

async fn read<'c>(on: impl Executor<'c, Database = Any>, tenant: &Name, what: &str) -> Result<Quotas> {
    let row = sqlx::query("SELECT quotas FROM tenants WHERE name = $1")
        .bind(tenant.as_str())
        .fetch_optional(on)
        .await
        .map_err(broken(what))?;
    let row = row.ok_or_else(|| no_tenant(what, tenant))?;
    json(&row, "quotas")
}
