//! The route of the topics that a tenant may read and write; the tenant is shown with them.

use axum::Json;
use axum::extract::State;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::changed::means_changed;
use super::tenant::found;
use crate::means::Access;
use crate::model::Tenant;
use crate::model::problem::Result;
use crate::rest::asked::{InTenant, Sent};
use crate::rest::router::Rest;

/// The route of topics.
pub(super) fn routes() -> OpenApiRouter<Rest> {
    OpenApiRouter::new().routes(routes!(set))
}

/// Says which topics a tenant may read and write, by name or by the beginning of names.
#[utoipa::path(put, path = "/v1/tenants/{tenant}/access", tag = "tenants", operation_id = "set-access",
    params(("tenant" = String, Path, description = "The tenant's name.")),
    request_body = Access,
    responses((status = 200, description = "It is so.", body = Tenant)))]
async fn set(State(rest): State<Rest>, InTenant(tenant): InTenant, Sent(access): Sent<Access>) -> Result<Json<Tenant>> {
    rest.catalog.set_access(&tenant, &access).await?;
    means_changed(&rest, &tenant);
    found(&rest, &tenant).await.map(Json)
}
