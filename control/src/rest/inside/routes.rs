//! The routes of what a pipeline has inside.

use utoipa_axum::router::OpenApiRouter;

use super::{checkpoints, dead_letters, metrics, positions, seek, state, support};
use crate::rest::router::Rest;

/// All of them.
pub(in crate::rest) fn routes() -> OpenApiRouter<Rest> {
    OpenApiRouter::new()
        .merge(positions::routes())
        .merge(seek::routes())
        .merge(checkpoints::routes())
        .merge(state::routes())
        .merge(dead_letters::routes())
        .merge(metrics::routes())
        .merge(support::routes())
}
