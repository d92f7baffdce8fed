//! The routes of tenants and of what they have.

use utoipa_axum::router::OpenApiRouter;

use super::{access, clusters, plugins, quotas, secrets, tenant, tokens, usage};
use crate::rest::router::Rest;

/// The routes of tenants and of what they have.
pub(in crate::rest) fn routes() -> OpenApiRouter<Rest> {
    OpenApiRouter::new()
        .merge(tenant::routes())
        .merge(tokens::routes())
        .merge(plugins::routes())
        .merge(secrets::routes())
        .merge(clusters::routes())
        .merge(access::routes())
        .merge(quotas::routes())
        .merge(usage::routes())
}
