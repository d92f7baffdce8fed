//! Stopping a pipeline with more than a signal: it drains before, or a savepoint is taken behind.
//!
//! Always: what could be in the way of it is told before anything ends; and a pipeline that was told to stop stops,
//! whatever becomes of the rest.

use std::time::Duration;

use axum::Json;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::checkpoints::{may_save, save};
use crate::model::names::Name;
use crate::model::problem::{Problem, ProblemKind, Result};
use crate::model::{Status, Wanted, WantedPipeline};
use crate::rest::answers::not_found;
use crate::rest::asked::PipelinePath;
use crate::rest::pipelines::{found, status_of};
use crate::rest::router::Rest;

/// How long a process is waited for that was asked to end: a little longer than it is given.
const END: Duration = Duration::from_secs(75);

/// How to stop.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::rest) struct Stopping {
    /// Whether time is to end first: windows close, timers on event time fire.
    #[serde(default)]
    drain: bool,
    /// Whether a savepoint is taken then, or under which name.
    #[serde(default)]
    savepoint: SavepointWish,
}

/// A savepoint that is wanted, or not.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(untagged)]
pub(in crate::rest) enum SavepointWish {
    /// Whether one is; its name begins with the time.
    Any(bool),
    /// One of this name.
    Named(Name),
}

impl Default for SavepointWish {
    fn default() -> Self {
        Self::Any(false)
    }
}

/// What a pipeline does that was told to stop.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(in crate::rest) struct StoppedPipeline {
    /// What it does.
    #[serde(flatten)]
    pub(in crate::rest) status: Status,
    /// The savepoint that was taken of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::rest) savepoint: Option<String>,
}

impl Stopping {
    /// Whether a signal is enough.
    pub(in crate::rest) fn is_plain(&self) -> bool {
        !self.drain && !self.is_to_be_saved()
    }

    fn is_to_be_saved(&self) -> bool {
        !matches!(self.savepoint, SavepointWish::Any(false))
    }

    fn name(&self) -> Option<&Name> {
        match &self.savepoint {
            SavepointWish::Any(_) => None,
            SavepointWish::Named(name) => Some(name),
        }
    }
}

/// Stops a pipeline, and comes back when it has ended and is saved.
///
/// # Errors
/// `Conflict`: it does not run, so it cannot drain; or it has not ended in order, or not in time. Otherwise as the
/// savepoint's verb says.
pub(in crate::rest) async fn stop(rest: &Rest, path: &PipelinePath, how: &Stopping) -> Result<Json<StoppedPipeline>> {
    let pipeline = tell(rest, path, how).await?;
    // Nobody waits for it: whoever is in a hurry may stop it once more, without a drain.
    if how.drain
        && let Err(error) = rest.fleet.drain(&path.tenant, &path.name).await
    {
        rest.upgrades
            .keep(&found(rest, &path.tenant, &path.name).await?, false)
            .await?;
        let why = format!("{error}; it is stopped without, and goes on at its last commit");
        return Err(failed(&path.name, "drain", why));
    }
    let Some(status) = rest.fleet.end_of(&path.tenant, &path.name, END).await else {
        let why = format!("it has not ended within {END:?}; it goes on stopping");
        return Err(failed(&path.name, "stop", why));
    };
    let savepoint = match how.is_to_be_saved() {
        true => Some(saved(rest, path, &pipeline, how).await?),
        false => None,
    };
    Ok(Json(StoppedPipeline { status, savepoint }))
}

/// Writes down that it is to stop, and tells the fleet.
async fn tell(rest: &Rest, path: &PipelinePath, how: &Stopping) -> Result<WantedPipeline> {
    let (tenant, name) = (&path.tenant, &path.name);
    let _turn = rest.turns.turn(tenant, name).await;
    let pipeline = found(rest, tenant, name).await?;
    if how.drain && status_of(rest, &pipeline).pid.is_none() {
        return Err(failed(name, "drain", "no process of it answers"));
    }
    if how.is_to_be_saved() {
        may_save(rest, &pipeline, how.name()).await?;
    }
    if !rest.catalog.want(tenant, name, Wanted::Stopped).await? {
        return Err(not_found("pipeline", name.as_str()));
    }
    let pipeline = found(rest, tenant, name).await?;
    match how.drain {
        true => rest.upgrades.keep_draining(&pipeline).await?,
        false => rest.upgrades.keep(&pipeline, false).await?,
    }
    Ok(pipeline)
}

async fn saved(rest: &Rest, path: &PipelinePath, stopped: &WantedPipeline, how: &Stopping) -> Result<String> {
    let _turn = rest.turns.turn(&path.tenant, &path.name).await;
    let pipeline = found(rest, &path.tenant, &path.name).await?;
    if pipeline.revision != stopped.revision {
        return Err(failed(&path.name, "save", "it was changed, or started, meanwhile"));
    }
    save(rest, &pipeline, how.name()).await
}

fn failed(name: &Name, verb: &str, why: impl std::fmt::Display) -> Problem {
    Problem::new(
        ProblemKind::Conflict,
        format!("failed to {verb} pipeline `{name}`"),
        why,
    )
}
