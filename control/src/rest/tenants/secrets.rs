//! Routes of a tenant's secrets.
//!
//! Never answers with a text. Always: a text goes from the body into the seal, and nowhere else.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::changed::means_changed;
use crate::means::{KeptSecret, SecretText};
use crate::model::problem::Result;
use crate::rest::answers::{List, not_found};
use crate::rest::asked::{InTenant, SecretPath, SentText};
use crate::rest::router::Rest;
use crate::rest::sign_in::Caller;

/// The routes of secrets.
pub(super) fn routes() -> OpenApiRouter<Rest> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(set, delete))
}

/// A tenant's secrets by name, without their texts, which nobody reads back.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/secrets", tag = "secrets", operation_id = "secrets",
    params(("tenant" = String, Path, description = "The tenant's name.")),
    responses((status = 200, description = "The secrets.", body = List<KeptSecret>)))]
async fn list(State(rest): State<Rest>, InTenant(tenant): InTenant) -> Result<Json<List<KeptSecret>>> {
    Ok(Json(List::whole(rest.catalog.secrets(&tenant).await?)))
}

/// Keeps a secret, in the place of the one of that name: a text of 64 KiB at most.
#[utoipa::path(put, path = "/v1/tenants/{tenant}/secrets/{secret}", tag = "secrets", operation_id = "set-secret",
    params(("tenant" = String, Path, description = "The tenant's name."),
        ("secret" = String, Path, description = "The secret's name.")),
    request_body(content = inline(SecretText), content_type = "text/plain", description = "The text, in UTF-8."),
    responses((status = 201, description = "It is kept."),
        (status = 204, description = "It is kept in the place of the one before.")))]
async fn set(
    State(rest): State<Rest>,
    caller: Caller,
    SecretPath { tenant, name }: SecretPath,
    SentText(text): SentText,
) -> Result<StatusCode> {
    let text = SecretText::new(text)?;
    let is_new = rest
        .catalog
        .set_secret(&tenant, &name, &text, &caller.identity.token)
        .await?;
    means_changed(&rest, &tenant);
    Ok(match is_new {
        true => StatusCode::CREATED,
        false => StatusCode::NO_CONTENT,
    })
}

/// Deletes a secret; a cluster that refers to it refers to nothing then.
#[utoipa::path(delete, path = "/v1/tenants/{tenant}/secrets/{secret}", tag = "secrets",
    operation_id = "delete-secret",
    params(("tenant" = String, Path, description = "The tenant's name."),
        ("secret" = String, Path, description = "The secret's name.")),
    responses((status = 204, description = "It is gone.")))]
async fn delete(State(rest): State<Rest>, SecretPath { tenant, name }: SecretPath) -> Result<StatusCode> {
    if !rest.catalog.delete_secret(&tenant, &name).await? {
        return Err(not_found("secret", name.as_str()));
    }
    means_changed(&rest, &tenant);
    Ok(StatusCode::NO_CONTENT)
}
