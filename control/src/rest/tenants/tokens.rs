//! Routes of a tenant's tokens.
//!
//! Never shows the secret of a token after it was made. Always: a token that is made here is of the tenant of the path,
//! and so never has more than whoever made it.

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::model::problem::Result;
use crate::model::{NewToken, Role, Token};
use crate::rest::answers::{List, not_found};
use crate::rest::asked::{InTenant, Sent, TokenPath, invalid};
use crate::rest::audit::Noted;
use crate::rest::router::Rest;

/// Characters of a note, at most.
const NOTE_CHARS: usize = 200;

/// A token to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::rest) struct TokenAsked {
    /// What it allows.
    role: Role,
    /// What it is for: 200 characters at most, in one line.
    #[serde(default)]
    #[schema(max_length = 200, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    note: String,
    /// When it ends to be taken: milliseconds since 1970, later than now. Without it, never.
    #[serde(default)]
    expires: Option<i64>,
}

/// The routes of tokens.
pub(in crate::rest) fn routes() -> OpenApiRouter<Rest> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(revoke))
}

/// A tenant's tokens, without their secrets.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/tokens", tag = "tokens", operation_id = "tokens",
    params(("tenant" = String, Path, description = "The tenant's name.")),
    responses((status = 200, description = "The tokens.", body = List<Token>)))]
async fn list(State(rest): State<Rest>, InTenant(tenant): InTenant) -> Result<Json<List<Token>>> {
    Ok(Json(List::whole(rest.catalog.tokens(&tenant).await?)))
}

/// Makes a token; its secret is in this answer and never again.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/tokens", tag = "tokens", operation_id = "create-token",
    params(("tenant" = String, Path, description = "The tenant's name.")),
    request_body = TokenAsked,
    responses((status = 201, description = "The token with its secret.", body = NewToken)))]
async fn create(
    State(rest): State<Rest>,
    InTenant(tenant): InTenant,
    Sent(asked): Sent<TokenAsked>,
) -> Result<(StatusCode, Extension<Noted>, Json<NewToken>)> {
    let what = "failed to make a token";
    if asked.note.chars().count() > NOTE_CHARS || asked.note.chars().any(char::is_control) {
        let why = format!("its note is not one line of {NOTE_CHARS} characters at most");
        return Err(invalid(what, why));
    }
    let now = crate::clock::now();
    if asked.expires.is_some_and(|expires| expires <= now) {
        let why = format!("expires = {} is not later than now, {now}", asked.expires.unwrap_or(0));
        return Err(invalid(what, why).hint("it is in milliseconds since 1970"));
    }
    let made = rest
        .catalog
        .create_token(Some(&tenant), asked.role, &asked.note, asked.expires)
        .await?;
    let noted = Noted {
        object: Some(format!("tokens/{}", made.id)),
        ..Noted::default()
    };
    Ok((StatusCode::CREATED, Extension(noted), Json(made)))
}

/// Revokes a token: from now on it is not known.
#[utoipa::path(delete, path = "/v1/tenants/{tenant}/tokens/{token}", tag = "tokens", operation_id = "revoke-token",
    params(("tenant" = String, Path, description = "The tenant's name."),
        ("token" = String, Path, description = "The token's id.")),
    responses((status = 204, description = "It is revoked.")))]
async fn revoke(State(rest): State<Rest>, InTenant(tenant): InTenant, TokenPath(id): TokenPath) -> Result<StatusCode> {
    match rest.catalog.revoke(Some(&tenant), &id).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(not_found("token", &id)),
    }
}
