//! What must be so of a catalog, in every database.

pub(crate) mod audit;
pub(crate) mod means;
pub(crate) mod opening;
pub(crate) mod pipelines;
pub(crate) mod plugins;
pub(crate) mod secrets;
pub(crate) mod signing;
pub(crate) mod tenants;
pub(crate) mod tokens;
pub(crate) mod upgrades;
pub(crate) mod usage;
