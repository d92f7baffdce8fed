//! Tells the fleet that what a tenant has is not what it was.
//!
//! Never makes whoever asked wait for a pipeline that somebody else is at. Always: a pipeline is kept again as it is
//! wanted then, after what was at it.

use futures_util::future::join_all;

use crate::model::names::Name;
use crate::model::problem::Result;
use crate::rest::router::Rest;

/// Pipelines that are looked up at once.
const PIECE: u32 = 100;

/// Has each of the tenant's pipelines kept again, with what the tenant has now. The change is written down already:
/// what fails here stands in the log, and comes right when the pipeline is kept the next time.
pub(super) fn means_changed(rest: &Rest, tenant: &Name) {
    let (rest, tenant) = (rest.clone(), tenant.clone());
    tokio::spawn(async move {
        if let Err(problem) = keep_all_again(&rest, &tenant).await {
            tracing::error!(%tenant, %problem, "failed to tell the pipelines of a tenant what it has");
        }
    });
}

async fn keep_all_again(rest: &Rest, tenant: &Name) -> Result<()> {
    let mut after = None;
    loop {
        let pipelines = rest.catalog.pipelines(tenant, after.as_ref(), PIECE).await?;
        let Some(last) = pipelines.last() else { return Ok(()) };
        after = Some(last.name.clone());
        join_all(pipelines.iter().map(|pipeline| told(rest, tenant, &pipeline.name))).await;
    }
}

async fn told(rest: &Rest, tenant: &Name, name: &Name) {
    if let Err(problem) = keep_again(rest, tenant, name).await {
        tracing::error!(%tenant, pipeline = %name, %problem, "failed to tell a pipeline what its tenant has");
    }
}

/// Looked up again: whoever had the turn before may have changed or deleted it.
async fn keep_again(rest: &Rest, tenant: &Name, name: &Name) -> Result<()> {
    let _turn = rest.turns.turn(tenant, name).await;
    match rest.catalog.pipeline(tenant, name).await? {
        Some(pipeline) => rest.upgrades.keep(&pipeline, false).await,
        None => Ok(()),
    }
}
