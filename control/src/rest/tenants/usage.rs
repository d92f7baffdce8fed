//! Routes of what pipelines used.
//!
//! Always: a tenant does not see what one that had its name before used.

use std::fmt;
use std::str::FromStr;

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::tenant::found;
use crate::means::PipelineUsage;
use crate::model::names::Name;
use crate::model::problem::Result;
use crate::rest::answers::List;
use crate::rest::asked::{Asked, InTenant, Piece, invalid};
use crate::rest::router::Rest;

/// Of which time, and which piece.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct UsageAsked {
    /// From the hour of this moment on, in milliseconds since 1970; from the first on, if it is not given.
    from: Option<i64>,
    /// Hours that began before this moment; until now, if it is not given.
    to: Option<i64>,
    /// Pipelines after this one, `TENANT/PIPELINE`; `next` of the piece before.
    after: Option<String>,
    /// Pipelines at most: 1 to 500, 100 if it is not given.
    most: Option<u32>,
}

/// A pipeline, as a piece names the last one.
pub(super) struct OfPipeline(Name, Name);

impl FromStr for OfPipeline {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let (tenant, pipeline) = text
            .split_once('/')
            .ok_or_else(|| format!("{text:?} is not TENANT/PIPELINE"))?;
        Ok(Self(tenant.parse()?, pipeline.parse()?))
    }
}

impl fmt::Display for OfPipeline {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.0, self.1)
    }
}

/// The routes of what was used.
pub(super) fn routes() -> OpenApiRouter<Rest> {
    OpenApiRouter::new()
        .routes(routes!(of_platform))
        .routes(routes!(of_tenant))
}

/// What the pipelines of all tenants used, also of those that were deleted.
#[utoipa::path(get, path = "/v1/usage", tag = "usage", operation_id = "usage", params(UsageAsked),
    responses((status = 200, description = "What they used.", body = List<PipelineUsage>)))]
async fn of_platform(State(rest): State<Rest>, Asked(asked): Asked<UsageAsked>) -> Result<Json<List<PipelineUsage>>> {
    summed(&rest, None, 0, asked).await
}

/// What a tenant's pipelines used, also those that were deleted.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/usage", tag = "usage", operation_id = "tenant-usage",
    params(("tenant" = String, Path, description = "The tenant's name."), UsageAsked),
    responses((status = 200, description = "What they used.", body = List<PipelineUsage>)))]
async fn of_tenant(
    State(rest): State<Rest>,
    InTenant(tenant): InTenant,
    Asked(asked): Asked<UsageAsked>,
) -> Result<Json<List<PipelineUsage>>> {
    let created = found(&rest, &tenant).await?.created;
    summed(&rest, Some(&tenant), created, asked).await
}

async fn summed(
    rest: &Rest,
    tenant: Option<&Name>,
    earliest: i64,
    asked: UsageAsked,
) -> Result<Json<List<PipelineUsage>>> {
    let (from, to) = (asked.from.unwrap_or(0), asked.to.unwrap_or(i64::MAX));
    if from < 0 || to < from {
        let why = format!("from = {from} is less than 0, or greater than to = {to}");
        return Err(invalid("failed to sum up what was used", why));
    }
    let piece = Piece::new(asked.after, asked.most);
    let (after, most) = (piece.after::<OfPipeline>()?, piece.most()?);
    let after = after.as_ref().map(|OfPipeline(tenant, pipeline)| (tenant, pipeline));
    let items = rest
        .catalog
        .usage(tenant, (from.max(earliest), to), after, most)
        .await?;
    let key = |used: &PipelineUsage| OfPipeline(used.tenant.clone(), used.pipeline.clone()).to_string();
    Ok(Json(List::piece(items, most, key)))
}
