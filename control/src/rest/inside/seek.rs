//! Setting the positions of a pipeline that is at rest.
//!
//! Always: nothing is set while a process of the pipeline is there, and nobody starts one meanwhile; what would come of
//! it is told first, if that is asked for.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::asking::asked_of;
use super::positions::positions_of;
use crate::fleet::Question;
use crate::model::problem::{Problem, ProblemKind, Result};
use crate::model::{PartitionPosition, State as PipelineState, Wanted, WantedPipeline};
use crate::rest::asked::{PipelinePath, Sent, invalid};
use crate::rest::pipelines::{found, status_of};
use crate::rest::router::Rest;

const WHAT: &str = "failed to seek";

/// Offsets by topic and partition.
type TopicOffsets = BTreeMap<String, BTreeMap<i32, i64>>;

/// Where to go, and whether only to tell it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Seeking {
    /// Where to.
    pub(super) to: SeekTarget,
    /// Whether nothing is to change, and it is only told what would.
    #[serde(default)]
    dry_run: bool,
}

/// Where to go.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum SeekTarget {
    /// To the first record of each partition.
    Earliest,
    /// Behind the last record of each partition.
    Latest,
    /// To where it stands: the state alone begins anew.
    Committed,
    /// To the first record of each partition with this time or a later one, in milliseconds since 1970.
    Timestamp(i64),
    /// To these offsets, by topic and partition; other partitions stay.
    #[schema(value_type = BTreeMap<String, BTreeMap<String, i64>>)]
    Offsets(TopicOffsets),
}

/// What a partition is set to.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) struct PartitionMove {
    /// The source.
    source: String,
    /// Its topic.
    topic: String,
    /// The partition.
    partition: i32,
    /// Where it stood; `null`: nowhere yet.
    from: Option<i64>,
    /// Where it stands, or would.
    to: i64,
}

/// What came of it. The state of each task that was moved begins empty.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) struct SeekResult {
    /// Whether nothing was changed.
    is_dry_run: bool,
    /// Each partition that was set, or would be.
    moves: Vec<PartitionMove>,
}

/// The route.
pub(super) fn routes() -> OpenApiRouter<Rest> {
    OpenApiRouter::new().routes(routes!(seek))
}

/// Sets the positions of a pipeline that is paused or stopped; its state begins empty.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/pipelines/{pipeline}/seek", tag = "inside",
    operation_id = "seek",
    params(("tenant" = String, Path, description = "The tenant's name."),
        ("pipeline" = String, Path, description = "The pipeline's name.")),
    request_body = Seeking,
    responses((status = 200, description = "What was set, or would be.", body = SeekResult)))]
async fn seek(State(rest): State<Rest>, path: PipelinePath, Sent(seeking): Sent<Seeking>) -> Result<Json<SeekResult>> {
    let _turn = rest.turns.turn(&path.tenant, &path.name).await;
    let pipeline = found(&rest, &path.tenant, &path.name).await?;
    if !seeking.dry_run {
        is_at_rest(&rest, &pipeline)?;
    }
    let moves = moves(&positions_of(&rest, &pipeline).await?, &seeking.to)?;
    if !seeking.dry_run {
        set(&rest, &pipeline, &seeking.to, &moves).await?;
    }
    Ok(Json(SeekResult {
        is_dry_run: seeking.dry_run,
        moves,
    }))
}

/// Whether nobody runs it, and nobody is about to: the turn is held.
fn is_at_rest(rest: &Rest, pipeline: &WantedPipeline) -> Result<()> {
    let status = status_of(rest, pipeline);
    let has_ended = matches!(status.state, PipelineState::Paused | PipelineState::Stopped);
    let why = match pipeline.wanted {
        Wanted::Running => "it is to run, and whoever runs it commits its own positions",
        Wanted::Paused | Wanted::Stopped if !has_ended => "its process has not ended yet",
        Wanted::Paused | Wanted::Stopped => return Ok(()),
    };
    Err(Problem::new(ProblemKind::Conflict, WHAT, why).hint("pause it, wait until it is paused, and seek then"))
}

pub(super) fn moves(positions: &[PartitionPosition], to: &SeekTarget) -> Result<Vec<PartitionMove>> {
    if let SeekTarget::Timestamp(at) = to {
        let why = format!("positions cannot be set to a time, such as {at}, yet");
        return Err(Problem::new(ProblemKind::NotBuilt, WHAT, why).hint("give offsets"));
    }
    if let SeekTarget::Offsets(offsets) = to {
        are_there(positions, offsets)?;
    }
    let target = |at: &PartitionPosition| match to {
        SeekTarget::Earliest => Some(at.begin),
        SeekTarget::Latest => Some(at.end),
        SeekTarget::Committed => at.committed,
        SeekTarget::Offsets(offsets) => offsets.get(&at.topic)?.get(&at.partition).copied(),
        SeekTarget::Timestamp(_) => None,
    };
    let moved = |at: &PartitionPosition| {
        Some(PartitionMove {
            source: at.source.clone(),
            topic: at.topic.clone(),
            partition: at.partition,
            from: at.committed,
            to: target(at)?,
        })
    };
    Ok(positions.iter().filter_map(moved).collect())
}

/// Whether each of these offsets is one of a partition that a source reads.
fn are_there(positions: &[PartitionPosition], offsets: &TopicOffsets) -> Result<()> {
    for (topic, partitions) in offsets {
        for (partition, offset) in partitions {
            let is_of_it = |at: &&PartitionPosition| at.topic == *topic && at.partition == *partition;
            let Some(at) = positions.iter().find(is_of_it) else {
                return Err(invalid(
                    WHAT,
                    format!("no source reads partition {partition} of {topic:?}"),
                ));
            };
            if !(at.begin..=at.end).contains(offset) {
                let (begin, end) = (at.begin, at.end);
                let why = format!("{topic}/{partition} has offsets {begin} to {end}, and {offset} was given");
                return Err(invalid(WHAT, why));
            }
        }
    }
    Ok(())
}

async fn set(rest: &Rest, pipeline: &WantedPipeline, to: &SeekTarget, moves: &[PartitionMove]) -> Result<()> {
    let question = Question::new(&["offsets", "set"]);
    let question = match to {
        SeekTarget::Earliest => question.option("--to", "earliest"),
        SeekTarget::Latest => question.option("--to", "latest"),
        SeekTarget::Committed | SeekTarget::Timestamp(_) | SeekTarget::Offsets(_) => {
            let mut offsets = TopicOffsets::new();
            for moved in moves {
                let topic = offsets.entry(moved.topic.clone()).or_default();
                topic.insert(moved.partition, moved.to);
            }
            question.file("--to", json!(offsets).to_string())
        }
    };
    asked_of(rest, pipeline, question).await?.one().map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(partition: i32, committed: Option<i64>) -> PartitionPosition {
        serde_json::from_value(
            json!({ "source": "s", "topic": "t", "partition": partition, "committed": committed,
            "origin": null, "begin": 3, "end": 9, "lag": null, "watermark": null, "idle": null }),
        )
        .unwrap()
    }

    fn moved(to: &str) -> Result<Vec<(Option<i64>, i64)>> {
        let to: SeekTarget = serde_json::from_str(to).unwrap();
        let moves = moves(&[position(0, Some(5)), position(1, None)], &to)?;
        Ok(moves.iter().map(|moved| (moved.from, moved.to)).collect())
    }

    #[test]
    fn each_target_says_where_each_partition_goes() {
        assert_eq!(moved("\"earliest\"").unwrap(), [(Some(5), 3), (None, 3)]);
        assert_eq!(moved("\"latest\"").unwrap(), [(Some(5), 9), (None, 9)]);
        assert_eq!(moved("\"committed\"").unwrap(), [(Some(5), 5)]);
        assert_eq!(moved(r#"{"offsets":{"t":{"1":9}}}"#).unwrap(), [(None, 9)]);
    }

    #[test]
    fn what_no_partition_has_is_refused() {
        for wrong in [
            r#"{"offsets":{"t":{"2":4}}}"#,
            r#"{"offsets":{"u":{"0":4}}}"#,
            r#"{"offsets":{"t":{"0":2}}}"#,
            r#"{"offsets":{"t":{"0":10}}}"#,
            r#"{"offsets":{"t":{"-1":4}}}"#,
        ] {
            assert_eq!(moved(wrong).unwrap_err().kind, ProblemKind::Invalid, "{wrong}");
        }
        assert_eq!(moved(r#"{"timestamp":4}"#).unwrap_err().kind, ProblemKind::NotBuilt);
    }
}
