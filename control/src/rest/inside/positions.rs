//! Where a pipeline stands in its inputs, and whether a record of them is in its outputs yet.
//!
//! Always: a position is the one that Kafka, or the newest checkpoint, holds, so that what is in front of it is in the
//! outputs.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::Instant;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::asking::{asked_of, listed};
use crate::fleet::Question;
use crate::model::problem::{Problem, ProblemKind, Result};
use crate::model::{PartitionPosition, WantedPipeline};
use crate::rest::answers::{List, not_found};
use crate::rest::asked::{PipelinePath, Sent, invalid};
use crate::rest::pipelines::found;
use crate::rest::router::Rest;

/// Seconds that an answer may be waited for, at most.
const MOST_WAIT: u64 = 30;
/// From one look at the positions to the next.
const LOOK: Duration = Duration::from_millis(500);

/// The routes of positions.
pub(super) fn routes() -> OpenApiRouter<Rest> {
    OpenApiRouter::new()
        .routes(routes!(positions))
        .routes(routes!(completed))
}

/// Where a pipeline stands in each partition.
///
/// # Errors
/// As the verb says; `Unavailable`: Kafka is out of reach.
pub(super) async fn positions_of(rest: &Rest, pipeline: &WantedPipeline) -> Result<Vec<PartitionPosition>> {
    let said = asked_of(rest, pipeline, Question::new(&["offsets", "show"])).await?;
    serde_json::from_value(Value::Array(listed(said)?))
        .map_err(|error| Problem::new(ProblemKind::Failed, "failed to read what the program said", error))
}

/// Where a pipeline stands in each partition of its inputs.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/pipelines/{pipeline}/positions", tag = "inside",
    operation_id = "positions",
    params(("tenant" = String, Path, description = "The tenant's name."),
        ("pipeline" = String, Path, description = "The pipeline's name.")),
    responses((status = 200, description = "The positions.", body = List<PartitionPosition>)))]
async fn positions(State(rest): State<Rest>, path: PipelinePath) -> Result<Json<List<PartitionPosition>>> {
    let pipeline = found(&rest, &path.tenant, &path.name).await?;
    Ok(Json(List::whole(positions_of(&rest, &pipeline).await?)))
}

/// A record of an input, by where its producer was told that it is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct ProducedRecord {
    /// Its topic.
    topic: String,
    /// Its partition.
    #[schema(minimum = 0)]
    partition: i32,
    /// Its offset.
    #[schema(minimum = 0)]
    offset: i64,
    /// Seconds to wait until it is in the outputs: 30 at most.
    #[serde(default)]
    #[schema(maximum = 30)]
    wait: u64,
}

/// Whether a record is in the outputs.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) struct RecordCompletion {
    /// Whether what comes of it is committed, in all that read it.
    is_completed: bool,
    /// The position that is committed: of the record after the last one that is done. `null`: none is.
    committed: Option<i64>,
}

/// Whether a record of an input is in the outputs yet.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/pipelines/{pipeline}/completed", tag = "inside",
    operation_id = "completed",
    params(("tenant" = String, Path, description = "The tenant's name."),
        ("pipeline" = String, Path, description = "The pipeline's name.")),
    request_body = ProducedRecord,
    responses((status = 200, description = "Whether it is.", body = RecordCompletion)))]
async fn completed(
    State(rest): State<Rest>,
    path: PipelinePath,
    Sent(record): Sent<ProducedRecord>,
) -> Result<Json<RecordCompletion>> {
    let what = "failed to tell whether a record is completed";
    if record.wait > MOST_WAIT || record.partition < 0 || record.offset < 0 {
        let why = format!("wait is 0 to {MOST_WAIT} seconds, and partition and offset count from 0");
        return Err(invalid(what, why));
    }
    let until = Instant::now() + Duration::from_secs(record.wait);
    loop {
        let pipeline = found(&rest, &path.tenant, &path.name).await?;
        let completion = completion(&record, &positions_of(&rest, &pipeline).await?)
            .ok_or_else(|| not_found("partition", &format!("{}/{}", record.topic, record.partition)))?;
        if completion.is_completed || Instant::now() >= until {
            return Ok(Json(completion));
        }
        tokio::time::sleep_until(until.min(Instant::now() + LOOK)).await;
    }
}

/// That of all sources that read the partition; `None`: none does.
pub(super) fn completion(record: &ProducedRecord, positions: &[PartitionPosition]) -> Option<RecordCompletion> {
    let is_of_it = |at: &&PartitionPosition| at.topic == record.topic && at.partition == record.partition;
    // Nothing is less than something.
    let committed = positions.iter().filter(is_of_it).map(|at| at.committed).min()?;
    Some(RecordCompletion {
        is_completed: committed.is_some_and(|committed| committed > record.offset),
        committed,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_record_is_completed_once_all_that_read_it_are_beyond_it() {
        let position = |source: &str, partition: i32, committed: Option<i64>| -> PartitionPosition {
            serde_json::from_value(json!({ "source": source, "topic": "t", "partition": partition,
                "committed": committed, "origin": null, "begin": 0, "end": 9, "lag": null, "watermark": null,
                "idle": null }))
            .unwrap()
        };
        let record = |partition, offset| ProducedRecord {
            topic: "t".to_owned(),
            partition,
            offset,
            wait: 0,
        };
        let two = [
            position("a", 0, Some(5)),
            position("b", 0, Some(7)),
            position("a", 1, None),
        ];
        let of = |partition, offset| {
            let completion = completion(&record(partition, offset), &two)?;
            Some((completion.is_completed, completion.committed))
        };
        assert_eq!(of(0, 4), Some((true, Some(5))));
        assert_eq!(of(0, 5), Some((false, Some(5))));
        assert_eq!(of(1, 0), Some((false, None)));
        assert_eq!(of(2, 0), None);
    }
}
