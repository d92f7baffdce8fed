//! Tenants, their tokens and their plugins.
//!
//! Always: what belongs to a tenant goes with it.

mod plugins;
mod tenants;
mod tokens;

pub(super) use plugins::routes as plugin_routes;
pub(super) use tenants::routes as tenant_routes;
pub(super) use tokens::routes as token_routes;
