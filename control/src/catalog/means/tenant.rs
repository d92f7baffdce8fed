//! All that a tenant has, in one answer.

use crate::catalog::Catalog;
use crate::catalog::tenants::no_tenant;
use crate::means::TenantMeans;
use crate::model::names::Name;
use crate::model::problem::Result;

impl Catalog {
    /// All that the tenant has, with its secrets opened, for whoever runs its pipelines.
    ///
    /// # Errors
    ///
    /// `NotFound` if the tenant is not there; `Failed` if a secret does not open; `Unavailable` or `Failed` of the
    /// database.
    pub async fn means(&self, tenant: &Name) -> Result<TenantMeans> {
        let what = format!("failed to look up what {tenant} has");
        let found = self.tenant(tenant).await?.ok_or_else(|| no_tenant(&what, tenant))?;
        let secrets = self.opened_secrets(tenant).await?;
        let clusters = self.clusters(tenant).await?.into_iter();
        Ok(TenantMeans {
            clusters: clusters
                .map(|cluster| (cluster.name.to_string(), cluster.open(&secrets)))
                .collect(),
            secrets,
            reads: found.reads,
            writes: found.writes,
            quotas: self.quotas(tenant).await?,
        })
    }
}
