//! The routes of tenants and of what they have.

use utoipa_axum::router::OpenApiRouter;

use super::{access, clusters, plugins, quotas, secrets, signing, tenant, tokens, usage};
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
        .merge(signing::routes())
        .merge(usage::routes())
}
