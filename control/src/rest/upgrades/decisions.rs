//! Routes by which somebody decides about a canary.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::clock;
use crate::model::problem::{Problem, ProblemKind, Result};
use crate::model::upgrade::{PipelineUpgrade, UpgradePhase};
use crate::rest::answers::not_found;
use crate::rest::asked::PipelinePath;
use crate::rest::pipelines::found;
use crate::rest::router::Rest;
use crate::rest::sign_in::Caller;

/// The routes.
pub(in crate::rest) fn routes() -> OpenApiRouter<Rest> {
    OpenApiRouter::new()
        .routes(routes!(promote))
        .routes(routes!(drop_canary))
}

/// The upgrade of a pipeline that waits for a decision, or may be decided about.
async fn canary(rest: &Rest, path: &PipelinePath, what: &str, is_early: bool) -> Result<PipelineUpgrade> {
    found(rest, &path.tenant, &path.name).await?;
    let newest = rest.catalog.upgrade(&path.tenant, &path.name).await?;
    let newest = newest.ok_or_else(|| not_found("upgrade of the pipeline", path.name.as_str()))?;
    let why = match newest.phase {
        UpgradePhase::Compared => return Ok(newest),
        UpgradePhase::Canary if is_early => return Ok(newest),
        UpgradePhase::Canary => "the two versions are not compared yet",
        _ => "no canary waits for a decision",
    };
    Err(Problem::new(ProblemKind::Conflict, what, why))
}

fn ended(what: &str) -> Problem {
    Problem::new(ProblemKind::Changed, what, "the canary ended meanwhile")
}

/// The upgrade as it is after the decision.
async fn decided(rest: &Rest, path: &PipelinePath) -> Result<PipelineUpgrade> {
    let (tenant, name) = (&path.tenant, &path.name);
    // The new version was checked for its run in the canary.
    rest.upgrades.keep(&found(rest, tenant, name).await?, true).await?;
    let newest = rest.catalog.upgrade(tenant, name).await?;
    newest.ok_or_else(|| not_found("upgrade of the pipeline", name.as_str()))
}

/// Lets the new version of a canary take over although it differs from the one before.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/pipelines/{pipeline}/upgrade/promote", tag = "pipelines",
    operation_id = "promote",
    params(("tenant" = String, Path, description = "The tenant's name."),
        ("pipeline" = String, Path, description = "The pipeline's name.")),
    responses((status = 202, description = "The upgrade: the new version takes over.", body = PipelineUpgrade)))]
async fn promote(
    State(rest): State<Rest>,
    caller: Caller,
    path: PipelinePath,
) -> Result<(StatusCode, Json<PipelineUpgrade>)> {
    let what = format!("failed to promote the canary of the pipeline {}", path.name);
    let _turn = rest.turns.turn(&path.tenant, &path.name).await;
    let newest = canary(&rest, &path, &what, false).await?;
    let decision = ("somebody promoted it", Some(caller.identity.token.as_str()));
    let promoted = rest.catalog.promote(&path.tenant, &path.name, newest.number, decision);
    promoted.await?.ok_or_else(|| ended(&what))?;
    Ok((StatusCode::ACCEPTED, Json(decided(&rest, &path).await?)))
}

/// Ends a canary: the version before runs on, and the new one is never started.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/pipelines/{pipeline}/upgrade/drop", tag = "pipelines",
    operation_id = "drop-canary",
    params(("tenant" = String, Path, description = "The tenant's name."),
        ("pipeline" = String, Path, description = "The pipeline's name.")),
    responses((status = 200, description = "The upgrade: the new version was dropped.", body = PipelineUpgrade)))]
async fn drop_canary(State(rest): State<Rest>, path: PipelinePath) -> Result<Json<PipelineUpgrade>> {
    let what = format!("failed to drop the canary of the pipeline {}", path.name);
    let _turn = rest.turns.turn(&path.tenant, &path.name).await;
    let newest = canary(&rest, &path, &what, true).await?;
    let change = |upgrade: &mut PipelineUpgrade| {
        let is_there = upgrade.is_canary();
        if is_there {
            upgrade.enter(UpgradePhase::Dropped, clock::now(), "somebody dropped it");
        }
        is_there
    };
    let dropped = rest
        .catalog
        .change_upgrade(&path.tenant, &path.name, newest.number, change);
    if !dropped.await? {
        return Err(ended(&what));
    }
    decided(&rest, &path).await.map(Json)
}
