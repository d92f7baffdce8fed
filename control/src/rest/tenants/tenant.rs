//! Routes of tenants, and of who asks.
//!
//! Always: a tenant with pipelines is not deleted.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::model::names::Name;
use crate::model::problem::Result;
use crate::model::{Role, Tenant};
use crate::rest::answers::{List, not_found};
use crate::rest::asked::{Asked, Asking, InTenant, PieceByName};
use crate::rest::router::Rest;

/// Who asks.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(in crate::rest) struct WhoAmI {
    /// The token's id.
    token: String,
    /// Its tenant; not there if it is the platform's.
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<Name>,
    /// What it allows.
    role: Role,
}

/// The routes of tenants.
pub(in crate::rest) fn routes() -> OpenApiRouter<Rest> {
    OpenApiRouter::new()
        .routes(routes!(whoami))
        .routes(routes!(list))
        .routes(routes!(show, create, delete))
}

/// Who asks: the token that was sent, and what it allows.
#[utoipa::path(get, path = "/v1/whoami", tag = "tenants", operation_id = "whoami",
    responses((status = 200, description = "Who asks.", body = WhoAmI)))]
async fn whoami(Asking(identity): Asking) -> Json<WhoAmI> {
    Json(WhoAmI {
        token: identity.token,
        tenant: identity.tenant,
        role: identity.role,
    })
}

/// All tenants, by name.
#[utoipa::path(get, path = "/v1/tenants", tag = "tenants", operation_id = "tenants", params(PieceByName),
    responses((status = 200, description = "The tenants.", body = List<Tenant>)))]
async fn list(State(rest): State<Rest>, Asked(piece): Asked<PieceByName>) -> Result<Json<List<Tenant>>> {
    let most = piece.most()?;
    let items = rest.catalog.tenants(piece.after.as_ref(), most).await?;
    Ok(Json(List::piece(items, most, |tenant| tenant.name.to_string())))
}

/// A tenant.
#[utoipa::path(get, path = "/v1/tenants/{tenant}", tag = "tenants", operation_id = "tenant",
    params(("tenant" = String, Path, description = "The tenant's name.")),
    responses((status = 200, description = "The tenant.", body = Tenant)))]
async fn show(State(rest): State<Rest>, InTenant(tenant): InTenant) -> Result<Json<Tenant>> {
    found(&rest, &tenant).await.map(Json)
}

/// The tenant.
///
/// # Errors
///
/// `NotFound` if it is not there.
pub(super) async fn found(rest: &Rest, tenant: &Name) -> Result<Tenant> {
    let found = rest.catalog.tenant(tenant).await?;
    found.ok_or_else(|| not_found("tenant", tenant.as_str()))
}

/// Makes a tenant; one that is there stays as it is.
#[utoipa::path(put, path = "/v1/tenants/{tenant}", tag = "tenants", operation_id = "create-tenant",
    params(("tenant" = String, Path, description = "The tenant's name.")),
    responses((status = 201, description = "It was made.", body = Tenant),
        (status = 200, description = "It was there.", body = Tenant)))]
async fn create(State(rest): State<Rest>, InTenant(tenant): InTenant) -> Result<(StatusCode, Json<Tenant>)> {
    let status = match rest.catalog.create_tenant(&tenant).await? {
        true => StatusCode::CREATED,
        false => StatusCode::OK,
    };
    Ok((status, Json(found(&rest, &tenant).await?)))
}

/// Deletes a tenant that has no pipelines, with its tokens, secrets, clusters and plugins.
#[utoipa::path(delete, path = "/v1/tenants/{tenant}", tag = "tenants", operation_id = "delete-tenant",
    params(("tenant" = String, Path, description = "The tenant's name.")),
    responses((status = 204, description = "It is gone.")))]
async fn delete(State(rest): State<Rest>, InTenant(tenant): InTenant) -> Result<StatusCode> {
    rest.catalog.delete_tenant(&tenant).await?;
    rest.plugins.forget(&tenant).await?;
    Ok(StatusCode::NO_CONTENT)
}
