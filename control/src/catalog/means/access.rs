//! Which topics tenants may read and write.

use serde::Serialize;

use crate::catalog::Catalog;
use crate::catalog::database::broken;
use crate::catalog::tenants::of_a_tenant;
use crate::means::Access;
use crate::model::names::Name;
use crate::model::problem::{Problem, ProblemKind, Result};

impl Catalog {
    /// Says which topics the tenant may read and write; a list that is not there: all.
    ///
    /// # Errors
    ///
    /// `NotFound` if the tenant is not there; `Invalid` if a pattern is none or a list has more than 64; `Unavailable`
    /// or `Failed` of the database.
    pub async fn set_access(&self, tenant: &Name, access: &Access) -> Result<()> {
        let what = &format!("failed to set the topics of {tenant}");
        access.check(what)?;
        let set = sqlx::query("UPDATE tenants SET reads = $2, writes = $3 WHERE name = $1")
            .bind(tenant.as_str())
            .bind(text_if_any(what, access.reads.as_ref())?)
            .bind(text_if_any(what, access.writes.as_ref())?)
            .execute(self.pool())
            .await
            .map_err(broken(what))?;
        of_a_tenant(set.rows_affected(), what, tenant)
    }
}

fn text_if_any(what: &str, value: Option<&impl Serialize>) -> Result<Option<String>> {
    let text = value.map(serde_json::to_string).transpose();
    text.map_err(|error| Problem::new(ProblemKind::Failed, what, error))
}
