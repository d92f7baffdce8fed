//! Routes of the keys that sign a tenant's plugins, and of whether they have to.
//!
//! Never has a secret key. Always: what runs goes on when a key goes; what is applied or started from then on is
//! checked against the keys that are there.

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::tenant::found;
use crate::means::{KeptSigningKey, SigningKey};
use crate::model::Tenant;
use crate::model::problem::Result;
use crate::rest::answers::{List, not_found};
use crate::rest::asked::{InTenant, KeyPath, Sent, invalid};
use crate::rest::audit::Noted;
use crate::rest::router::Rest;
use crate::rest::sign_in::Caller;

/// Characters of a note, at most.
const NOTE_CHARS: usize = 200;

/// A key to add.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::rest) struct SigningKeyAsked {
    /// A public key of minisign: its line of base64, or the whole text of `minisign.pub`.
    #[schema(max_length = 2048)]
    key: String,
    /// Whose it is: 200 characters at most, in one line.
    #[serde(default)]
    #[schema(max_length = 200, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    note: String,
}

/// Whether plugins have to be signed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::rest) struct SignaturesAsked {
    /// Whether the tenant takes and starts plugins only if one of its keys signed them.
    required: bool,
}

/// The routes of signing keys.
pub(super) fn routes() -> OpenApiRouter<Rest> {
    OpenApiRouter::new()
        .routes(routes!(list, add))
        .routes(routes!(remove))
        .routes(routes!(require))
}

/// The keys that sign a tenant's plugins, by id.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/signing-keys", tag = "signing", operation_id = "signing-keys",
    params(("tenant" = String, Path, description = "The tenant's name.")),
    responses((status = 200, description = "The keys.", body = List<KeptSigningKey>)))]
async fn list(State(rest): State<Rest>, InTenant(tenant): InTenant) -> Result<Json<List<KeptSigningKey>>> {
    Ok(Json(List::whole(rest.catalog.signing_keys(&tenant).await?)))
}

/// Adds a key that signs a tenant's plugins; the same again changes nothing.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/signing-keys", tag = "signing", operation_id = "add-signing-key",
    params(("tenant" = String, Path, description = "The tenant's name.")),
    request_body = SigningKeyAsked,
    responses((status = 201, description = "It was added.", body = KeptSigningKey),
        (status = 200, description = "It was there.", body = KeptSigningKey)))]
async fn add(
    State(rest): State<Rest>,
    caller: Caller,
    InTenant(tenant): InTenant,
    Sent(asked): Sent<SigningKeyAsked>,
) -> Result<(StatusCode, Extension<Noted>, Json<KeptSigningKey>)> {
    let what = "failed to add a key";
    if asked.note.chars().count() > NOTE_CHARS || asked.note.chars().any(char::is_control) {
        let why = format!("its note is not one line of {NOTE_CHARS} characters at most");
        return Err(invalid(what, why));
    }
    let key: SigningKey = asked.key.parse().map_err(|why| {
        let hint = "give the text of `minisign.pub`, which `minisign -G` makes; the secret key stays where it is";
        invalid(what, why).hint(hint)
    })?;
    let by = &caller.identity.token;
    let status = match rest.catalog.add_signing_key(&tenant, &key, &asked.note, by).await? {
        true => StatusCode::CREATED,
        false => StatusCode::OK,
    };
    let keys = rest.catalog.signing_keys(&tenant).await?;
    let kept = keys.into_iter().find(|kept| kept.id == *key.id());
    let kept = kept.ok_or_else(|| not_found("key", key.id().as_str()))?;
    let noted = Noted {
        object: Some(format!("signing-keys/{}", key.id())),
        ..Noted::default()
    };
    Ok((status, Extension(noted), Json(kept)))
}

/// Removes a key; what it alone signed is not applied, upgraded to or started any more, and what runs goes on.
#[utoipa::path(delete, path = "/v1/tenants/{tenant}/signing-keys/{key}", tag = "signing",
    operation_id = "remove-signing-key",
    params(("tenant" = String, Path, description = "The tenant's name."),
        ("key" = String, Path, description = "The key's id: 16 hexadecimal digits in upper case.", max_length = 16,
            pattern = "^[0-9A-F]{16}$")),
    responses((status = 204, description = "It is gone.")))]
async fn remove(State(rest): State<Rest>, InTenant(tenant): InTenant, KeyPath(id): KeyPath) -> Result<StatusCode> {
    match rest.catalog.remove_signing_key(&tenant, &id).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(not_found("key", id.as_str())),
    }
}

/// Says whether a tenant's plugins have to be signed by one of its keys; the tenant is shown with it.
#[utoipa::path(put, path = "/v1/tenants/{tenant}/signatures", tag = "signing", operation_id = "set-signatures",
    params(("tenant" = String, Path, description = "The tenant's name.")),
    request_body = SignaturesAsked,
    responses((status = 200, description = "It is so.", body = Tenant)))]
async fn require(
    State(rest): State<Rest>,
    InTenant(tenant): InTenant,
    Sent(asked): Sent<SignaturesAsked>,
) -> Result<Json<Tenant>> {
    rest.catalog.require_signatures(&tenant, asked.required).await?;
    found(&rest, &tenant).await.map(Json)
}
