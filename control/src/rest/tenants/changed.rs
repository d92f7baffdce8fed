//! Tells the fleet that what a tenant has is not what it was.

use crate::names::Name;
use crate::rest::router::Rest;

/// Pipelines that are looked up at once.
const PIECE: u32 = 100;

/// Keeps each of the tenant's pipelines again, with what the tenant has now. The change is written down already: what
/// fails here is told in the log, and comes right when the pipeline is kept the next time.
pub(super) async fn means_changed(rest: &Rest, tenant: &Name) {
    let mut after = None;
    loop {
        let pipelines = match rest.catalog.pipelines(tenant, after.as_ref(), PIECE).await {
            Ok(pipelines) => pipelines,
            Err(problem) => {
                tracing::error!(%tenant, %problem, "failed to tell the pipelines of a tenant what it has");
                return;
            }
        };
        let Some(last) = pipelines.last() else { return };
        after = Some(last.name.clone());
        for pipeline in &pipelines {
            keep_again(rest, tenant, &pipeline.name).await;
        }
    }
}

async fn keep_again(rest: &Rest, tenant: &Name, name: &Name) {
    // Looked up again: whoever had the turn before may have changed or deleted it.
    let _turn = rest.turns.turn(tenant, name).await;
    let kept = match rest.catalog.pipeline(tenant, name).await {
        Ok(Some(pipeline)) => rest.fleet.keep(&pipeline),
        Ok(None) => Ok(()),
        Err(problem) => Err(problem),
    };
    if let Err(problem) = kept {
        tracing::error!(%tenant, pipeline = %name, %problem, "failed to tell a pipeline what its tenant has");
    }
}
