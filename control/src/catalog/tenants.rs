//! Tenants in the catalog.
//!
//! Never deletes a tenant that has pipelines. Always: its tokens, secrets, clusters and keys and the list of its
//! plugins go with it.

use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use super::database::{Catalog, broken, is_of_a_reference};
use super::rows::{json, limit, value, word};
use crate::clock;
use crate::model::Tenant;
use crate::model::names::Name;
use crate::model::problem::{Problem, ProblemKind, Result};

/// What is read of a tenant.
const COLUMNS: &str = "name, created, reads, writes, signatures_required";

impl Catalog {
    /// Makes a tenant; `false`: it was there.
    ///
    /// # Errors
    ///
    /// `Unavailable` or `Failed` of the database.
    pub async fn create_tenant(&self, name: &Name) -> Result<bool> {
        let text = "INSERT INTO tenants (name, created, revisions) VALUES ($1, $2, 0) ON CONFLICT DO NOTHING";
        let made = sqlx::query(text)
            .bind(name.as_str())
            .bind(clock::now())
            .execute(self.pool())
            .await
            .map_err(broken(format!("failed to make the tenant {name}")))?;
        Ok(made.rows_affected() == 1)
    }

    /// At most `most` tenants by name, after this one.
    ///
    /// # Errors
    ///
    /// `Unavailable` or `Failed` of the database.
    pub async fn tenants(&self, after: Option<&Name>, most: u32) -> Result<Vec<Tenant>> {
        let text = format!("SELECT {COLUMNS} FROM tenants WHERE name > $1 ORDER BY name LIMIT $2");
        let rows = sqlx::query(AssertSqlSafe(text))
            .bind(after.map_or("", Name::as_str))
            .bind(limit(most))
            .fetch_all(self.pool())
            .await
            .map_err(broken("failed to list the tenants"))?;
        rows.iter().map(tenant).collect()
    }

    /// The tenant, if it is there.
    ///
    /// # Errors
    ///
    /// `Unavailable` or `Failed` of the database.
    pub async fn tenant(&self, name: &Name) -> Result<Option<Tenant>> {
        let text = format!("SELECT {COLUMNS} FROM tenants WHERE name = $1");
        let row = sqlx::query(AssertSqlSafe(text))
            .bind(name.as_str())
            .fetch_optional(self.pool())
            .await
            .map_err(broken(format!("failed to look up the tenant {name}")))?;
        row.as_ref().map(tenant).transpose()
    }

    /// Deletes a tenant with its tokens, secrets and clusters and the list of its plugins; what it used stays.
    ///
    /// # Errors
    ///
    /// `NotFound` if it is not there; `Conflict` if it has pipelines; `Unavailable` or `Failed` of the database.
    pub async fn delete_tenant(&self, name: &Name) -> Result<()> {
        let what = format!("failed to delete the tenant {name}");
        let deleted = sqlx::query("DELETE FROM tenants WHERE name = $1")
            .bind(name.as_str())
            .execute(self.pool())
            .await;
        match deleted {
            Ok(deleted) if deleted.rows_affected() == 0 => Err(no_tenant(&what, name)),
            Ok(_) => Ok(()),
            Err(error) if is_of_a_reference(&error) => {
                Err(Problem::new(ProblemKind::Conflict, what, "it has pipelines").hint("delete its pipelines first"))
            }
            Err(error) => Err(broken(what)(error)),
        }
    }
}

fn tenant(row: &AnyRow) -> Result<Tenant> {
    Ok(Tenant {
        name: word(row, "name")?,
        created: value(row, "created")?,
        reads: json(row, "reads")?,
        writes: json(row, "writes")?,
        signatures_required: value::<i64>(row, "signatures_required")? == 1,
    })
}

/// That a tenant was there, whose row was changed.
///
/// # Errors
///
/// `NotFound` if no row was.
pub(super) fn of_a_tenant(changed: u64, what: &str, name: &Name) -> Result<()> {
    match changed {
        0 => Err(no_tenant(what, name)),
        _ => Ok(()),
    }
}

/// The problem that a tenant is not there.
pub(super) fn no_tenant(what: &str, name: &Name) -> Problem {
    Problem::new(ProblemKind::NotFound, what, format!("there is no tenant {name}"))
}
