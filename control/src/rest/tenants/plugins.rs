//! Routes of a tenant's plugins.
//!
//! Never runs or compiles one. Always: a plugin is known by the digest of its bytes, within the tenant that pushed it;
//! if it comes signed, its signature is checked while it comes.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::{Extension, Json};
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::tenant::found;
use crate::means::{PluginSignature, Signed};
use crate::model::PushedPlugin;
use crate::model::names::Name;
use crate::model::problem::{Problem, ProblemKind, Result};
use crate::rest::answers::{List, Refusal, not_found};
use crate::rest::asked::{Asked, DigestPath, InTenant, Late, PieceByDigest, invalid, is_of_type, pieces};
use crate::rest::audit::Noted;
use crate::rest::router::Rest;

/// What failed, if a plugin is not taken.
const WHAT: &str = "failed to push a plugin";
/// Characters of what a plugin calls itself, and of its version, at most.
const NAME_CHARS: usize = 100;

/// What comes beside a plugin: what it calls itself, and who signed it.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::rest) struct Called {
    /// Its name; it is shown and means nothing else.
    #[serde(default)]
    #[param(max_length = 100, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    name: String,
    /// Its version; it is shown and means nothing else.
    #[serde(default)]
    #[param(max_length = 100, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    version: String,
    /// Its signature: the text of the file `.minisig` of minisign, with its line breaks.
    #[serde(default)]
    #[param(max_length = 4096)]
    signature: Option<String>,
}

/// The routes of plugins.
pub(in crate::rest) fn routes() -> OpenApiRouter<Rest> {
    OpenApiRouter::new().routes(routes!(list, push)).routes(routes!(show))
}

/// A tenant's plugins, by digest.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/plugins", tag = "plugins", operation_id = "plugins",
    params(("tenant" = String, Path, description = "The tenant's name."), PieceByDigest),
    responses((status = 200, description = "The plugins.", body = List<PushedPlugin>)))]
async fn list(
    State(rest): State<Rest>,
    InTenant(tenant): InTenant,
    Asked(piece): Asked<PieceByDigest>,
) -> Result<Json<List<PushedPlugin>>> {
    let most = piece.most()?;
    let items = rest.catalog.plugins(&tenant, piece.after.as_ref(), most).await?;
    Ok(Json(List::piece(items, most, |plugin| plugin.digest.to_string())))
}

/// A plugin.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/plugins/{digest}", tag = "plugins", operation_id = "plugin",
    params(("tenant" = String, Path, description = "The tenant's name."),
        ("digest" = String, Path, description = "`sha256:` and 64 hexadecimal digits.")),
    responses((status = 200, description = "The plugin.", body = PushedPlugin)))]
async fn show(
    State(rest): State<Rest>,
    InTenant(tenant): InTenant,
    DigestPath(digest): DigestPath,
) -> Result<Json<PushedPlugin>> {
    let found = rest.catalog.plugin(&tenant, &digest).await?;
    found.map(Json).ok_or_else(|| not_found("plugin", digest.as_str()))
}

/// Takes a component's bytes, 64 MiB at most; the same bytes again change nothing, but that they are signed by more.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/plugins", tag = "plugins", operation_id = "push-plugin",
    params(("tenant" = String, Path, description = "The tenant's name."), Called),
    request_body(content((String = "application/wasm"), (String = "application/octet-stream")),
        description = "The component's bytes."),
    responses((status = 201, description = "It was taken.", body = PushedPlugin),
        (status = 200, description = "It was there.", body = PushedPlugin)))]
async fn push(
    State(rest): State<Rest>,
    InTenant(tenant): InTenant,
    Asked(called): Asked<Called>,
    headers: HeaderMap,
    body: Body,
) -> std::result::Result<(StatusCode, Extension<Noted>, Json<PushedPlugin>), Refusal> {
    is_of_type(&headers, &["application/wasm", "application/octet-stream"])?;
    let is_name = |text: &str| text.chars().count() <= NAME_CHARS && !text.chars().any(char::is_control);
    if !is_name(&called.name) || !is_name(&called.version) {
        let why = format!("its name or version is not one line of {NAME_CHARS} characters at most");
        return Err(invalid(WHAT, why).into());
    }
    let signed = signed(&rest, &tenant, called.signature.as_deref()).await?;
    let quota = rest.catalog.quotas(&tenant).await?.plugin_bytes;
    let late = Late::default();
    let taken = rest
        .plugins
        .take(
            &tenant,
            quota,
            signed.as_ref(),
            pieces(body, rest.patience, late.clone()),
        )
        .await;
    let (digest, bytes) = taken.map_err(|problem| match problem.kind {
        ProblemKind::QuotaExceeded => Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, problem),
        _ => late.or(problem, rest.patience),
    })?;
    let plugin = PushedPlugin {
        digest: digest.clone(),
        bytes,
        name: called.name,
        version: called.version,
        pushed: crate::clock::now(),
        signatures: Vec::new(),
    };
    let (status, plugin) = noted(&rest, &tenant, plugin, signed.as_ref()).await?;
    let noted = Noted {
        object: Some(format!("plugins/{digest}")),
        ..Noted::default()
    };
    Ok((status, Extension(noted), Json(plugin)))
}

/// The signature that came, with the key of the tenant that it names.
async fn signed(rest: &Rest, tenant: &Name, text: Option<&str>) -> Result<Option<Signed>> {
    let Some(text) = text else {
        return match found(rest, tenant).await?.signatures_required {
            false => Ok(None),
            true => {
                let why = format!("it is not signed, and the tenant {tenant} demands that plugins are");
                Err(Problem::new(ProblemKind::PluginRefused, WHAT, why)
                    .hint("sign its file with `minisign -S -m FILE`, and push it with --signature FILE.minisig"))
            }
        };
    };
    let signature: PluginSignature = text.parse().map_err(|why| invalid(WHAT, why))?;
    let key = rest.catalog.signing_key(tenant, signature.key()).await?;
    let key = key.ok_or_else(|| {
        let why = format!(
            "it is signed by the key {}, which the tenant {tenant} does not have",
            signature.key()
        );
        Problem::new(ProblemKind::PluginRefused, WHAT, why)
            .hint("sign it with one of the keys of `sandbar tenant keys list`, or have an admin add that key")
    })?;
    Ok(Some(Signed { signature, key }))
}

/// Notes a plugin whose bytes were taken, and who signed it; those of one that is too many go again.
async fn noted(
    rest: &Rest,
    tenant: &Name,
    plugin: PushedPlugin,
    signed: Option<&Signed>,
) -> Result<(StatusCode, PushedPlugin)> {
    let status = match rest.catalog.add_plugin(tenant, &plugin).await {
        Ok(true) => StatusCode::CREATED,
        Ok(false) => StatusCode::OK,
        Err(problem) => {
            if problem.kind == ProblemKind::QuotaExceeded {
                rest.plugins.remove(tenant, &plugin.digest).await?;
            }
            return Err(problem);
        }
    };
    if let Some(signed) = signed {
        rest.catalog.add_signature(tenant, &plugin.digest, signed).await?;
    }
    let kept = rest.catalog.plugin(tenant, &plugin.digest).await?;
    Ok((status, kept.unwrap_or(plugin)))
}
