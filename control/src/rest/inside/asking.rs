//! Questions about the pipeline of a path, and their answers as lists.

use axum::Json;
use serde_json::Value;

use crate::fleet::{Answered, Question};
use crate::model::WantedPipeline;
use crate::model::problem::{Problem, ProblemKind, Result};
use crate::rest::answers::List;
use crate::rest::asked::PipelinePath;
use crate::rest::pipelines::found;
use crate::rest::router::Rest;

/// What a verb says of the pipeline of a path.
///
/// # Errors
/// `NotFound`: there is none. Otherwise as the fleet says.
pub(super) async fn asked(rest: &Rest, path: &PipelinePath, question: Question) -> Result<Answered> {
    let pipeline = found(rest, &path.tenant, &path.name).await?;
    asked_of(rest, &pipeline, question).await
}

/// What a verb says of a pipeline.
///
/// # Errors
/// As the fleet says.
pub(super) async fn asked_of(rest: &Rest, pipeline: &WantedPipeline, question: Question) -> Result<Answered> {
    let means = rest.catalog.means(&pipeline.tenant).await?;
    rest.fleet.ask(pipeline, &means, &question, rest.patience.look).await
}

/// The list that a verb printed.
///
/// # Errors
/// Why the verb failed. `Failed`: it printed something else.
pub(super) fn listed(answered: Answered) -> Result<Vec<Value>> {
    match answered.one()? {
        Value::Array(items) => Ok(items),
        _ => Err(Problem::new(
            ProblemKind::Failed,
            "failed to read what the program said",
            "it is no list",
        )),
    }
}

/// The same, as it goes out.
///
/// # Errors
/// As [`listed`].
pub(super) fn list(answered: Answered) -> Result<Json<List<Value>>> {
    Ok(Json(List::whole(listed(answered)?)))
}
