//! Routes of a tenant's pipelines: applied, shown, deleted.
//!
//! Never says what is: that is the fleet's. Always: what is wanted is written down before the fleet hears of it, so
//! that a daemon that ends in between catches up when it starts again.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::header::HeaderName;
use axum::http::{HeaderMap, StatusCode};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answers::{Expected, List, etag, expected, not_found};
use super::asked::{Asked, InTenant, PieceByName, PipelinePath, Sent};
use super::audit::Noted;
use super::difference::{difference, of_plugins};
use super::router::Rest;
use super::sign_in::Caller;
use crate::model::names::{Digest, Name};
use crate::model::problem::{Problem, ProblemKind, Result};
use crate::model::{PipelineVersion, State as PipelineState, Status, Wanted, WantedPipeline};

/// A pipeline to apply.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Application {
    /// The text of its pipeline file.
    file: String,
    /// The plugin of each operator that has one of the tenant's, by digest.
    #[serde(default)]
    plugins: BTreeMap<String, Digest>,
}

/// How to apply.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[into_params(parameter_in = Query)]
pub(super) struct Applying {
    /// Whether nothing is to change, and it is only told what would.
    #[serde(default)]
    dry_run: bool,
}

/// What became of it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) struct ApplicationResult {
    /// The number of the version that there is now.
    version: i64,
    /// Grows with every change of what is wanted; its ETag. In a dry run the one that is, 0 if there is none.
    revision: i64,
    /// Whether there was no pipeline of that name.
    is_new: bool,
    /// Whether a version was made.
    is_changed: bool,
    /// From the version before, line by line: `-`, `+` or a space, and the line.
    difference: Vec<String>,
    /// The version whose upgrade was under way, and is not watched any more: the newest word counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    overtaken: Option<i64>,
}

/// A pipeline, as it is wanted and as it is.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) struct ShownPipeline {
    /// As it is wanted.
    pipeline: WantedPipeline,
    /// As it is.
    status: Status,
}

/// The routes of pipelines.
pub(super) fn routes() -> OpenApiRouter<Rest> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(show, apply, delete))
        .routes(routes!(status))
        .routes(routes!(versions))
}

/// A pipeline that is there, as it is wanted.
///
/// # Errors
///
/// `NotFound` if there is none of that name in the tenant.
pub(super) async fn found(rest: &Rest, tenant: &Name, name: &Name) -> Result<WantedPipeline> {
    let found = rest.catalog.pipeline(tenant, name).await?;
    found.ok_or_else(|| not_found("pipeline", name.as_str()))
}

/// What a pipeline does; what the fleet does not know yet is about to be as it is wanted.
pub(super) fn status_of(rest: &Rest, wanted: &WantedPipeline) -> Status {
    if let Some(status) = rest.fleet.status(&wanted.tenant, &wanted.name) {
        return status;
    }
    Status {
        name: wanted.name.clone(),
        tenant: wanted.tenant.clone(),
        state: match wanted.wanted {
            Wanted::Running => PipelineState::Starting,
            Wanted::Paused => PipelineState::Paused,
            Wanted::Stopped => PipelineState::Stopped,
        },
        reason: String::new(),
        since: wanted.applied,
        restarts: 0,
        version: wanted.version,
        records_in: None,
        records_out: None,
        lag: None,
        workers: None,
        pid: None,
    }
}

/// What a tenant's pipelines do, by name.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/pipelines", tag = "pipelines", operation_id = "pipelines",
    params(("tenant" = String, Path, description = "The tenant's name."), PieceByName),
    responses((status = 200, description = "What they do.", body = List<Status>)))]
async fn list(
    State(rest): State<Rest>,
    InTenant(tenant): InTenant,
    Asked(piece): Asked<PieceByName>,
) -> Result<Json<List<Status>>> {
    let most = piece.most()?;
    let pipelines = rest.catalog.pipelines(&tenant, piece.after.as_ref(), most).await?;
    let items = pipelines.iter().map(|pipeline| status_of(&rest, pipeline)).collect();
    Ok(Json(List::piece(items, most, |status| status.name.to_string())))
}

/// A pipeline, as it is wanted and as it is.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/pipelines/{pipeline}", tag = "pipelines", operation_id = "pipeline",
    params(("tenant" = String, Path, description = "The tenant's name."),
        ("pipeline" = String, Path, description = "The pipeline's name.")),
    responses((status = 200, description = "The pipeline.", body = ShownPipeline,
        headers(("etag" = String, description = "The revision, for `If-Match`.")))))]
async fn show(
    State(rest): State<Rest>,
    PipelinePath { tenant, name }: PipelinePath,
) -> Result<([(HeaderName, String); 1], Json<ShownPipeline>)> {
    let pipeline = found(&rest, &tenant, &name).await?;
    let status = status_of(&rest, &pipeline);
    Ok((etag(pipeline.revision), Json(ShownPipeline { pipeline, status })))
}

/// What a pipeline does.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/pipelines/{pipeline}/status", tag = "pipelines",
    operation_id = "pipeline-status",
    params(("tenant" = String, Path, description = "The tenant's name."),
        ("pipeline" = String, Path, description = "The pipeline's name.")),
    responses((status = 200, description = "What it does.", body = Status)))]
async fn status(State(rest): State<Rest>, path: PipelinePath) -> Result<Json<Status>> {
    let pipeline = found(&rest, &path.tenant, &path.name).await?;
    Ok(Json(status_of(&rest, &pipeline)))
}

/// The versions of a pipeline, newest first.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/pipelines/{pipeline}/versions", tag = "pipelines",
    operation_id = "pipeline-versions",
    params(("tenant" = String, Path, description = "The tenant's name."),
        ("pipeline" = String, Path, description = "The pipeline's name.")),
    responses((status = 200, description = "The versions.", body = List<PipelineVersion>)))]
async fn versions(State(rest): State<Rest>, path: PipelinePath) -> Result<Json<List<PipelineVersion>>> {
    found(&rest, &path.tenant, &path.name).await?;
    let items = rest.catalog.versions(&path.tenant, &path.name).await?;
    Ok(Json(List::whole(items)))
}

/// Makes a pipeline what the file says, and runs it. The same file and plugins again change nothing.
#[utoipa::path(put, path = "/v1/tenants/{tenant}/pipelines/{pipeline}", tag = "pipelines", operation_id = "apply",
    params(("tenant" = String, Path, description = "The tenant's name."),
        ("pipeline" = String, Path, description = "The pipeline's name."), Applying,
        ("if-match" = Option<String>, Header, description = "The ETag of what is to be changed, or `*`.")),
    request_body = Application,
    responses((status = 200, description = "It is so.", body = ApplicationResult,
            headers(("etag" = String, description = "The revision, for `If-Match`; not of a dry run."))),
        (status = 201, description = "It was made.", body = ApplicationResult,
            headers(("etag" = String, description = "The revision, for `If-Match`.")))))]
async fn apply(
    State(rest): State<Rest>,
    caller: Caller,
    path: PipelinePath,
    Asked(applying): Asked<Applying>,
    headers: HeaderMap,
    Sent(sent): Sent<Application>,
) -> Result<axum::response::Response> {
    use axum::response::IntoResponse as _;

    let PipelinePath { tenant, name } = path;
    let _turn = rest.turns.turn(&tenant, &name).await;
    let current = rest.catalog.pipeline(&tenant, &name).await?;
    let expected = as_expected(&expected(&headers)?, current.as_ref())?;
    for (operator, digest) in &sent.plugins {
        is_pushed(&rest, &tenant, operator, digest).await?;
    }
    let means = rest.catalog.means(&tenant).await?;
    rest.fleet
        .check(&tenant, &name, &sent.file, &sent.plugins, &means)
        .await?;
    let planned = planned(current.as_ref(), &sent);
    if applying.dry_run {
        let noted = Noted {
            verb: Some("dry-run"),
            ..Noted::default()
        };
        return Ok((Extension(noted), Json(planned)).into_response());
    }
    let author = &caller.identity.token;
    let applied = rest
        .catalog
        .apply(&tenant, &name, &sent.file, &sent.plugins, author, expected)
        .await?;
    let pipeline = found(&rest, &tenant, &name).await?;
    rest.upgrades.keep(&pipeline, false).await?;
    let status = match applied.is_new {
        true => StatusCode::CREATED,
        false => StatusCode::OK,
    };
    let result = ApplicationResult {
        version: applied.version,
        revision: applied.revision,
        is_new: applied.is_new,
        is_changed: applied.is_changed,
        difference: planned.difference,
        overtaken: applied.overtaken,
    };
    Ok((status, etag(applied.revision), Json(result)).into_response())
}

/// The revision that a change is to be of, as far as is known now; the catalog looks again.
///
/// # Errors
///
/// `Changed` if it is another one.
pub(super) fn as_expected(expected: &Expected, current: Option<&WantedPipeline>) -> Result<Option<i64>> {
    let revision = current.map(|current| current.revision);
    let why = match (expected, revision) {
        (Expected::Anything, _) => return Ok(None),
        (Expected::Something, Some(revision)) => return Ok(Some(revision)),
        (Expected::Revision(asked), Some(revision)) if *asked == revision => return Ok(Some(revision)),
        (Expected::Revision(asked), Some(revision)) => format!("its revision is {revision} and not {asked}"),
        (Expected::Revision(0), None) => return Ok(Some(0)),
        (_, None) => "there is none".to_owned(),
    };
    let problem = Problem::new(
        ProblemKind::Changed,
        "failed to apply: the pipeline is not what was expected",
        why,
    );
    Err(problem.hint("look at it again, and send the ETag that it has then"))
}

/// Whether the plugin of an operator was pushed, and signed if it has to be.
///
/// # Errors
///
/// `PluginRefused` if it was not.
pub(super) async fn is_pushed(rest: &Rest, tenant: &Name, operator: &str, digest: &Digest) -> Result<()> {
    match rest.catalog.plugin(tenant, digest).await? {
        Some(_) => {
            let what = format!("failed to apply: the plugin of the operator {operator:?} cannot be used");
            rest.catalog.check_signature(tenant, digest, &what).await
        }
        None => Err(Problem::new(
            ProblemKind::PluginRefused,
            format!("failed to apply: the operator {operator:?} has no plugin"),
            format!("{digest} was not pushed to the tenant {tenant}"),
        )
        .hint("push it first")),
    }
}

fn planned(current: Option<&WantedPipeline>, sent: &Application) -> ApplicationResult {
    let Some(current) = current else {
        return ApplicationResult {
            version: 1,
            revision: 0,
            is_new: true,
            is_changed: true,
            difference: Vec::new(),
            overtaken: None,
        };
    };
    let is_changed = current.file != sent.file || current.plugins != sent.plugins;
    let mut lines = difference(&current.file, &sent.file);
    lines.extend(of_plugins(&current.plugins, &sent.plugins));
    ApplicationResult {
        version: current.version.saturating_add(i64::from(is_changed)),
        revision: current.revision,
        is_new: false,
        is_changed,
        difference: lines,
        overtaken: None,
    }
}

/// Stops a pipeline and deletes it, with all that is kept of it here.
#[utoipa::path(delete, path = "/v1/tenants/{tenant}/pipelines/{pipeline}", tag = "pipelines",
    operation_id = "delete-pipeline",
    params(("tenant" = String, Path, description = "The tenant's name."),
        ("pipeline" = String, Path, description = "The pipeline's name.")),
    responses((status = 204, description = "It is gone.")))]
async fn delete(State(rest): State<Rest>, path: PipelinePath) -> Result<StatusCode> {
    let _turn = rest.turns.turn(&path.tenant, &path.name).await;
    found(&rest, &path.tenant, &path.name).await?;
    rest.fleet.mark_gone(&path.tenant, &path.name)?;
    rest.catalog.delete_pipeline(&path.tenant, &path.name).await?;
    rest.fleet.forget(&path.tenant, &path.name).await?;
    Ok(StatusCode::NO_CONTENT)
}
