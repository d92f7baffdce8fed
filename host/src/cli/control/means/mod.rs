//! What a tenant has in a daemon: secrets, clusters, quotas and what it used.
//!
//! Never prints the text of a secret.

mod cluster;
mod quota;
mod secret;
mod usage;

pub(in crate::cli) use cluster::TenantClusterArgs;
pub(in crate::cli) use quota::QuotaArgs;
pub(in crate::cli) use secret::SecretArgs;
pub(in crate::cli) use usage::UsageArgs;
