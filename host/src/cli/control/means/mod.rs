//! What a tenant has in a daemon: secrets, clusters, quotas, keys that sign its plugins, and what it used.
//!
//! Never prints the text of a secret.

mod cluster;
mod quota;
mod secret;
mod signing;
mod usage;

pub(in crate::cli) use cluster::TenantClusterArgs;
pub(in crate::cli) use quota::QuotaArgs;
pub(in crate::cli) use secret::SecretArgs;
pub(in crate::cli) use signing::{SignaturesArgs, SigningKeysArgs};
pub(in crate::cli) use usage::UsageArgs;
