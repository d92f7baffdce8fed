//! The checkpoints of a pipeline, and its savepoints, which stay until they are deleted.
//!
//! Never takes a savepoint's name for a place.

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::asking::{asked, asked_of, list, listed};
use crate::fleet::Question;
use crate::model::WantedPipeline;
use crate::model::names::Name;
use crate::model::problem::{Problem, ProblemKind, Result};
use crate::rest::answers::List;
use crate::rest::asked::{PipelinePath, SavepointPath, SentOrNot};
use crate::rest::audit::Noted;
use crate::rest::router::Rest;

/// A savepoint to take.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct NewSavepoint {
    /// Its name; without one it has a name that begins with the time.
    name: Option<Name>,
}

/// The routes of checkpoints and savepoints.
pub(super) fn routes() -> OpenApiRouter<Rest> {
    OpenApiRouter::new()
        .routes(routes!(checkpoints))
        .routes(routes!(savepoints, create))
        .routes(routes!(delete))
}

/// The checkpoints of a pipeline, oldest first.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/pipelines/{pipeline}/checkpoints", tag = "inside",
    operation_id = "checkpoints",
    params(("tenant" = String, Path, description = "The tenant's name."),
        ("pipeline" = String, Path, description = "The pipeline's name.")),
    responses((status = 200, description = "As `sandbar checkpoint list` has them.", body = List<Value>)))]
async fn checkpoints(State(rest): State<Rest>, path: PipelinePath) -> Result<Json<List<Value>>> {
    list(asked(&rest, &path, checkpoints_question()).await?)
}

/// What lists the checkpoints.
pub(super) fn checkpoints_question() -> Question {
    Question::new(&["checkpoint", "list"])
}

/// The savepoints of a pipeline.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/pipelines/{pipeline}/savepoints", tag = "inside",
    operation_id = "savepoints",
    params(("tenant" = String, Path, description = "The tenant's name."),
        ("pipeline" = String, Path, description = "The pipeline's name.")),
    responses((status = 200, description = "As `sandbar savepoint list` has them.", body = List<Value>)))]
async fn savepoints(State(rest): State<Rest>, path: PipelinePath) -> Result<Json<List<Value>>> {
    list(asked(&rest, &path, Question::new(&["savepoint", "list"])).await?)
}

/// Takes a savepoint of what is committed, of a pipeline that runs or not.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/pipelines/{pipeline}/savepoints", tag = "inside",
    operation_id = "create-savepoint",
    params(("tenant" = String, Path, description = "The tenant's name."),
        ("pipeline" = String, Path, description = "The pipeline's name.")),
    request_body = Option<NewSavepoint>,
    responses((status = 201, description = "It was taken; `savepoint` is its name.", body = Value)))]
async fn create(
    State(rest): State<Rest>,
    path: PipelinePath,
    SentOrNot(new): SentOrNot<NewSavepoint>,
) -> Result<(StatusCode, Extension<Noted>, Json<Value>)> {
    let saved = asked(&rest, &path, creation(new.name.as_ref())).await?.one()?;
    let name = saved["savepoint"].as_str().unwrap_or_default();
    let noted = Noted {
        object: Some(format!("pipelines/{}/savepoints/{name}", path.name)),
        ..Noted::default()
    };
    Ok((StatusCode::CREATED, Extension(noted), Json(saved)))
}

fn creation(name: Option<&Name>) -> Question {
    let question = Question::new(&["savepoint", "create"]);
    match name {
        Some(name) => question.option("--name", name),
        None => question,
    }
}

/// Takes a savepoint of a pipeline; its name.
///
/// # Errors
/// As the verb says.
pub(super) async fn save(rest: &Rest, pipeline: &WantedPipeline, name: Option<&Name>) -> Result<String> {
    let saved = asked_of(rest, pipeline, creation(name)).await?.one()?;
    Ok(saved["savepoint"].as_str().unwrap_or_default().to_owned())
}

/// Whether a savepoint of this name could be taken, as far as that is known before.
///
/// # Errors
/// `Conflict`: there is one. Otherwise as the verb says: the file has no checkpoints.
pub(super) async fn may_save(rest: &Rest, pipeline: &WantedPipeline, name: Option<&Name>) -> Result<()> {
    let there = listed(asked_of(rest, pipeline, Question::new(&["savepoint", "list"])).await?)?;
    let is_there = |name: &&Name| there.iter().any(|one| one["savepoint"] == name.as_str());
    match name.filter(is_there) {
        None => Ok(()),
        Some(name) => {
            let what = format!("failed to create savepoint `{name}`");
            Err(Problem::new(ProblemKind::Conflict, what, "there is one already").hint("give another name"))
        }
    }
}

/// Deletes a savepoint.
#[utoipa::path(delete, path = "/v1/tenants/{tenant}/pipelines/{pipeline}/savepoints/{savepoint}", tag = "inside",
    operation_id = "delete-savepoint",
    params(("tenant" = String, Path, description = "The tenant's name."),
        ("pipeline" = String, Path, description = "The pipeline's name."),
        ("savepoint" = String, Path, description = "The savepoint's name.")),
    responses((status = 204, description = "It is gone.")))]
async fn delete(
    State(rest): State<Rest>,
    path: PipelinePath,
    SavepointPath(savepoint): SavepointPath,
) -> Result<StatusCode> {
    let question = Question::new(&["savepoint", "delete"]).about(&savepoint).absent(6);
    asked(&rest, &path, question).await?.one()?;
    Ok(StatusCode::NO_CONTENT)
}
