//! All that helps to find out what is wrong with a pipeline, in one document.
//!
//! Never has a secret or a record's content in it beyond what a viewer of the tenant sees anyway. Always: what cannot
//! be found out is told in its place.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::asking::asked_of;
use super::checkpoints::checkpoints_question;
use super::positions::positions_of;
use crate::clock;
use crate::fleet::Question;
use crate::model::problem::{Problem, ProblemKind, Result};
use crate::model::{PipelineVersion, Status, WantedPipeline};
use crate::rest::asked::PipelinePath;
use crate::rest::pipelines::{found, status_of};
use crate::rest::router::Rest;
use crate::rest::streams::last_lines;

/// Lines of the log.
const LINES: u32 = 200;

/// What is known of a pipeline. What could not be found out is `{"problem": …}`.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) struct SupportBundle {
    /// When it was made.
    made: i64,
    /// The version of the daemon.
    program: &'static str,
    /// The pipeline as it is wanted.
    pipeline: WantedPipeline,
    /// Its versions, the newest first.
    versions: Vec<PipelineVersion>,
    /// What it does.
    status: Status,
    /// The last lines of its log.
    log: Value,
    /// Its checkpoints.
    checkpoints: Value,
    /// Where it stands.
    positions: Value,
    /// What the machine has, and what it lacks.
    machine: Value,
}

/// The route.
pub(super) fn routes() -> OpenApiRouter<Rest> {
    OpenApiRouter::new().routes(routes!(support))
}

/// All that helps to find out what is wrong with a pipeline, in one document.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/pipelines/{pipeline}/support", tag = "inside",
    operation_id = "support",
    params(("tenant" = String, Path, description = "The tenant's name."),
        ("pipeline" = String, Path, description = "The pipeline's name.")),
    responses((status = 200, description = "The bundle.", body = SupportBundle)))]
async fn support(State(rest): State<Rest>, path: PipelinePath) -> Result<Json<SupportBundle>> {
    let PipelinePath { tenant, name } = path;
    let pipeline = found(&rest, &tenant, &name).await?;
    let log = last_lines(rest.fleet.log(&tenant, &name), LINES).await;
    let log = log.map_err(|error| Problem::new(ProblemKind::Failed, "failed to read the log", error));
    let machine = asked_of(&rest, &pipeline, Question::of_machine(&["doctor"])).await;
    let checkpoints = asked_of(&rest, &pipeline, checkpoints_question()).await;
    let positions = positions_of(&rest, &pipeline).await;
    Ok(Json(SupportBundle {
        made: clock::now(),
        program: env!("CARGO_PKG_VERSION"),
        versions: rest.catalog.versions(&tenant, &name).await?,
        status: status_of(&rest, &pipeline),
        log: or_problem(log),
        checkpoints: or_problem(checkpoints.and_then(|answered| answered.one())),
        positions: or_problem(positions),
        machine: or_problem(machine.and_then(|answered| answered.one())),
        pipeline,
    }))
}

fn or_problem(found: Result<impl Serialize>) -> Value {
    match found {
        Ok(found) => json!(found),
        Err(problem) => json!({ "problem": problem.to_string() }),
    }
}
