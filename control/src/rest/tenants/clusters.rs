//! Routes of a tenant's clusters, which the platform sets and the tenant's pipelines refer to.
//!
//! Never shows a tenant the texts of properties.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::changed::means_changed;
use crate::means::{KeptCluster, TenantCluster};
use crate::model::Identity;
use crate::model::names::Name;
use crate::model::problem::Result;
use crate::rest::answers::{List, not_found};
use crate::rest::asked::{Asking, ClusterPath, InTenant, Sent};
use crate::rest::router::Rest;

/// The routes of clusters.
pub(super) fn routes() -> OpenApiRouter<Rest> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(show, set, delete))
}

fn shown(cluster: KeptCluster, to: &Identity) -> KeptCluster {
    match to.tenant {
        None => cluster,
        Some(_) => cluster.for_tenant(),
    }
}

async fn found(rest: &Rest, tenant: &Name, name: &Name) -> Result<KeptCluster> {
    let found = rest.catalog.cluster(tenant, name).await?;
    found.ok_or_else(|| not_found("cluster", name.as_str()))
}

/// A tenant's clusters, by name.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/clusters", tag = "clusters", operation_id = "clusters",
    params(("tenant" = String, Path, description = "The tenant's name.")),
    responses((status = 200, description = "The clusters.", body = List<KeptCluster>)))]
async fn list(
    State(rest): State<Rest>,
    Asking(identity): Asking,
    InTenant(tenant): InTenant,
) -> Result<Json<List<KeptCluster>>> {
    let clusters = rest.catalog.clusters(&tenant).await?.into_iter();
    Ok(Json(List::whole(
        clusters.map(|cluster| shown(cluster, &identity)).collect(),
    )))
}

/// A cluster. The texts of its properties are for the platform alone.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/clusters/{cluster}", tag = "clusters", operation_id = "cluster",
    params(("tenant" = String, Path, description = "The tenant's name."),
        ("cluster" = String, Path, description = "The cluster's name.")),
    responses((status = 200, description = "The cluster.", body = KeptCluster)))]
async fn show(
    State(rest): State<Rest>,
    Asking(identity): Asking,
    ClusterPath { tenant, name }: ClusterPath,
) -> Result<Json<KeptCluster>> {
    Ok(Json(shown(found(&rest, &tenant, &name).await?, &identity)))
}

/// Keeps a cluster, in the place of the one of that name. A property that is a secret refers to one of the tenant.
#[utoipa::path(put, path = "/v1/tenants/{tenant}/clusters/{cluster}", tag = "clusters", operation_id = "set-cluster",
    params(("tenant" = String, Path, description = "The tenant's name."),
        ("cluster" = String, Path, description = "The cluster's name.")),
    request_body = TenantCluster,
    responses((status = 201, description = "It is kept.", body = KeptCluster),
        (status = 200, description = "It is kept in the place of the one before.", body = KeptCluster)))]
async fn set(
    State(rest): State<Rest>,
    ClusterPath { tenant, name }: ClusterPath,
    Sent(cluster): Sent<TenantCluster>,
) -> Result<(StatusCode, Json<KeptCluster>)> {
    let status = match rest.catalog.set_cluster(&tenant, &name, &cluster).await? {
        true => StatusCode::CREATED,
        false => StatusCode::OK,
    };
    means_changed(&rest, &tenant);
    Ok((status, Json(found(&rest, &tenant, &name).await?)))
}

/// Deletes a cluster; a pipeline that refers to it does not run any more.
#[utoipa::path(delete, path = "/v1/tenants/{tenant}/clusters/{cluster}", tag = "clusters",
    operation_id = "delete-cluster",
    params(("tenant" = String, Path, description = "The tenant's name."),
        ("cluster" = String, Path, description = "The cluster's name.")),
    responses((status = 204, description = "It is gone.")))]
async fn delete(State(rest): State<Rest>, ClusterPath { tenant, name }: ClusterPath) -> Result<StatusCode> {
    if !rest.catalog.delete_cluster(&tenant, &name).await? {
        return Err(not_found("cluster", name.as_str()));
    }
    means_changed(&rest, &tenant);
    Ok(StatusCode::NO_CONTENT)
}
