//! Routes of how much a tenant may use.

use axum::Json;
use axum::extract::State;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::changed::means_changed;
use crate::means::Quotas;
use crate::model::problem::Result;
use crate::rest::asked::{InTenant, Sent};
use crate::rest::router::Rest;

/// The routes of quotas.
pub(super) fn routes() -> OpenApiRouter<Rest> {
    OpenApiRouter::new().routes(routes!(show, set))
}

/// How much a tenant may use; what is not there does not limit.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/quotas", tag = "tenants", operation_id = "quotas",
    params(("tenant" = String, Path, description = "The tenant's name.")),
    responses((status = 200, description = "The quotas.", body = Quotas)))]
async fn show(State(rest): State<Rest>, InTenant(tenant): InTenant) -> Result<Json<Quotas>> {
    rest.catalog.quotas(&tenant).await.map(Json)
}

/// Says how much a tenant may use, in all: what is not sent does not limit any more.
#[utoipa::path(put, path = "/v1/tenants/{tenant}/quotas", tag = "tenants", operation_id = "set-quotas",
    params(("tenant" = String, Path, description = "The tenant's name.")),
    request_body = Quotas,
    responses((status = 200, description = "It is so.", body = Quotas)))]
async fn set(State(rest): State<Rest>, InTenant(tenant): InTenant, Sent(quotas): Sent<Quotas>) -> Result<Json<Quotas>> {
    rest.catalog.set_quotas(&tenant, &quotas).await?;
    means_changed(&rest, &tenant);
    Ok(Json(quotas))
}
