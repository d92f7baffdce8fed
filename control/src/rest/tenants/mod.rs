//! What a tenant is and has: its tokens, plugins and keys that sign them, secrets, clusters, topics, quotas and what it
//! used.
//!
//! Never answers with the text of a secret. Always: what changes the means of a tenant's pipelines is told to the
//! fleet, once it is written down.

mod tenant;
mod tokens;
mod plugins;
mod secrets;
mod clusters;
mod access;
mod quotas;
mod signing;
mod usage;
mod changed;
mod routes;
#[cfg(fuzzing)]
pub(super) mod fuzzing;

pub(super) use routes::routes;
pub(super) use usage::OfPipeline;
