//! Routes that tell a pipeline what to do.
//!
//! Always: what is wanted is written down before the fleet hears of it; the answer says what is, which may not be that
//! yet.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answers::not_found;
use super::asked::{PipelinePath, SentOrNot};
use super::inside::{self, StoppedPipeline, Stopping};
use super::pipelines::{found, status_of};
use super::router::Rest;
use crate::model::problem::Result;
use crate::model::{Status, Wanted, WantedPipeline};

/// The routes of orders.
pub(super) fn routes() -> OpenApiRouter<Rest> {
    OpenApiRouter::new()
        .routes(routes!(pause))
        .routes(routes!(resume))
        .routes(routes!(stop))
        .routes(routes!(start))
}

async fn ordered(rest: &Rest, path: &PipelinePath, wanted: Wanted) -> Result<(StatusCode, Json<Status>)> {
    let _turn = rest.turns.turn(&path.tenant, &path.name).await;
    if wanted == Wanted::Running {
        may_start(rest, &found(rest, &path.tenant, &path.name).await?).await?;
    }
    if !rest.catalog.want(&path.tenant, &path.name, wanted).await? {
        return Err(not_found("pipeline", path.name.as_str()));
    }
    let pipeline = found(rest, &path.tenant, &path.name).await?;
    rest.upgrades.keep(&pipeline, false).await?;
    Ok((StatusCode::ACCEPTED, Json(status_of(rest, &pipeline))))
}

/// Ends a pipeline's process until it is resumed.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/pipelines/{pipeline}/pause", tag = "pipelines",
    operation_id = "pause",
    params(("tenant" = String, Path, description = "The tenant's name."),
        ("pipeline" = String, Path, description = "The pipeline's name.")),
    responses((status = 202, description = "What it does now; it is about to pause.", body = Status)))]
async fn pause(State(rest): State<Rest>, path: PipelinePath) -> Result<(StatusCode, Json<Status>)> {
    ordered(&rest, &path, Wanted::Paused).await
}

/// Lets a paused pipeline run on, from its last commit.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/pipelines/{pipeline}/resume", tag = "pipelines",
    operation_id = "resume",
    params(("tenant" = String, Path, description = "The tenant's name."),
        ("pipeline" = String, Path, description = "The pipeline's name.")),
    responses((status = 202, description = "What it does now; it is about to run.", body = Status)))]
async fn resume(State(rest): State<Rest>, path: PipelinePath) -> Result<(StatusCode, Json<Status>)> {
    run_again(&rest, &path).await
}

/// Ends a pipeline's process; with a body it may drain before, and leave a savepoint, and is waited for.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/pipelines/{pipeline}/stop", tag = "pipelines",
    operation_id = "stop",
    params(("tenant" = String, Path, description = "The tenant's name."),
        ("pipeline" = String, Path, description = "The pipeline's name.")),
    request_body = Option<Stopping>,
    responses((status = 202, description = "What it does now; it is about to stop.", body = StoppedPipeline),
        (status = 200, description = "It has stopped, as was asked.", body = StoppedPipeline)))]
async fn stop(
    State(rest): State<Rest>,
    path: PipelinePath,
    SentOrNot(how): SentOrNot<Stopping>,
) -> Result<(StatusCode, Json<StoppedPipeline>)> {
    if !how.is_plain() {
        return Ok((StatusCode::OK, inside::stop(&rest, &path, &how).await?));
    }
    let (code, Json(status)) = ordered(&rest, &path, Wanted::Stopped).await?;
    let stopped = StoppedPipeline {
        status,
        savepoint: None,
    };
    Ok((code, Json(stopped)))
}

/// Runs a pipeline; again, if it finished or failed.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/pipelines/{pipeline}/start", tag = "pipelines",
    operation_id = "start",
    params(("tenant" = String, Path, description = "The tenant's name."),
        ("pipeline" = String, Path, description = "The pipeline's name.")),
    responses((status = 202, description = "What it does now; it is about to run.", body = Status)))]
async fn start(State(rest): State<Rest>, path: PipelinePath) -> Result<(StatusCode, Json<Status>)> {
    run_again(&rest, &path).await
}

/// Whether its plugins are signed by keys that the tenant has, if they have to be. What runs goes on without.
async fn may_start(rest: &Rest, pipeline: &WantedPipeline) -> Result<()> {
    for (operator, digest) in &pipeline.plugins {
        let what = format!("failed to start: the plugin of the operator {operator:?} cannot be used");
        rest.catalog.check_signature(&pipeline.tenant, digest, &what).await?;
    }
    Ok(())
}

/// Whoever asks does not wait for the pause after a failure either.
async fn run_again(rest: &Rest, path: &PipelinePath) -> Result<(StatusCode, Json<Status>)> {
    let started = ordered(rest, path, Wanted::Running).await?;
    rest.fleet.start_again(&path.tenant, &path.name);
    Ok(started)
}
