//! The clusters of tenants.
//!
//! Always: a property that is kept was allowed when it came, and one that is a secret is a reference.

use std::collections::BTreeMap;

use sqlx::any::AnyRow;

use crate::catalog::Catalog;
use crate::catalog::database::broken;
use crate::catalog::rows::{json, value, word};
use crate::catalog::tenants::no_tenant;
use crate::clock;
use crate::means::{KeptCluster, TenantCluster};
use crate::model::names::Name;
use crate::model::problem::{Problem, ProblemKind, Result};

/// Clusters of a tenant, at most.
const MOST_CLUSTERS: i64 = 64;

impl Catalog {
    /// Keeps a cluster of the tenant, in the place of the one of that name; `true`: there was none.
    ///
    /// # Errors
    ///
    /// `NotFound` if the tenant is not there; `Invalid` if a broker is none or a property may not be set; `TooMany` if
    /// the tenant has 64 others; `Unavailable` or `Failed` of the database.
    pub async fn set_cluster(&self, tenant: &Name, name: &Name, cluster: &TenantCluster) -> Result<bool> {
        let what = &format!("failed to keep the cluster {name} of {tenant}");
        cluster.check(what)?;
        let properties = serde_json::to_string(&cluster.properties);
        let properties = properties.map_err(|error| Problem::new(ProblemKind::Failed, what, error))?;
        let Some(mut transaction) = self.begin_in(tenant, what).await? else {
            return Err(no_tenant(what, tenant));
        };
        let others: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM clusters WHERE tenant = $1 AND name <> $2")
            .bind(tenant.as_str())
            .bind(name.as_str())
            .fetch_one(&mut *transaction)
            .await
            .map_err(broken(what))?;
        if others >= MOST_CLUSTERS {
            let why = format!("the tenant has {others} clusters, and {MOST_CLUSTERS} are kept at most");
            return Err(Problem::new(ProblemKind::TooMany, what, why));
        }
        let before = sqlx::query("SELECT name FROM clusters WHERE tenant = $1 AND name = $2")
            .bind(tenant.as_str())
            .bind(name.as_str())
            .fetch_optional(&mut *transaction)
            .await
            .map_err(broken(what))?;
        let text = "INSERT INTO clusters (tenant, name, brokers, properties, changed) VALUES ($1, $2, $3, $4, $5) \
                    ON CONFLICT (tenant, name) DO UPDATE SET brokers = excluded.brokers, \
                    properties = excluded.properties, changed = excluded.changed";
        sqlx::query(text)
            .bind(tenant.as_str())
            .bind(name.as_str())
            .bind(cluster.brokers.as_str())
            .bind(properties)
            .bind(clock::now())
            .execute(&mut *transaction)
            .await
            .map_err(broken(what))?;
        transaction.commit().await.map_err(broken(what))?;
        Ok(before.is_none())
    }

    /// The tenant's clusters by name.
    ///
    /// # Errors
    ///
    /// `Unavailable` or `Failed` of the database.
    pub async fn clusters(&self, tenant: &Name) -> Result<Vec<KeptCluster>> {
        let text = "SELECT name, brokers, properties, changed FROM clusters WHERE tenant = $1 ORDER BY name";
        let rows = sqlx::query(text)
            .bind(tenant.as_str())
            .fetch_all(self.pool())
            .await
            .map_err(broken(format!("failed to list the clusters of {tenant}")))?;
        rows.iter().map(kept).collect()
    }

    /// The tenant's cluster of this name, if it is there.
    ///
    /// # Errors
    ///
    /// `Unavailable` or `Failed` of the database.
    pub async fn cluster(&self, tenant: &Name, name: &Name) -> Result<Option<KeptCluster>> {
        let text = "SELECT name, brokers, properties, changed FROM clusters WHERE tenant = $1 AND name = $2";
        let row = sqlx::query(text)
            .bind(tenant.as_str())
            .bind(name.as_str())
            .fetch_optional(self.pool())
            .await
            .map_err(broken(format!("failed to look up the cluster {name} of {tenant}")))?;
        row.as_ref().map(kept).transpose()
    }

    /// Deletes a cluster of the tenant; `false`: there is none.
    ///
    /// # Errors
    ///
    /// `Unavailable` or `Failed` of the database.
    pub async fn delete_cluster(&self, tenant: &Name, name: &Name) -> Result<bool> {
        let deleted = sqlx::query("DELETE FROM clusters WHERE tenant = $1 AND name = $2")
            .bind(tenant.as_str())
            .bind(name.as_str())
            .execute(self.pool())
            .await
            .map_err(broken(format!("failed to delete the cluster {name} of {tenant}")))?;
        Ok(deleted.rows_affected() == 1)
    }
}

fn kept(row: &AnyRow) -> Result<KeptCluster> {
    let properties: BTreeMap<_, _> = json(row, "properties")?;
    Ok(KeptCluster {
        name: word(row, "name")?,
        brokers: value(row, "brokers")?,
        properties: properties
            .into_iter()
            .map(|(name, value)| (name, Some(value)))
            .collect(),
        changed: value(row, "changed")?,
    })
}
