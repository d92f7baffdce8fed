//! All that a tenant has, in one answer.

use std::collections::BTreeMap;

use super::cluster::ClusterMeans;
use super::quotas::Quotas;
use super::secret::SecretText;

/// All that a tenant has, opened, for whoever runs its pipelines. Its `Debug` shows no secret.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TenantMeans {
    /// Its secrets by name.
    pub secrets: BTreeMap<String, SecretText>,
    /// Its clusters by name.
    pub clusters: BTreeMap<String, ClusterMeans>,
    /// Patterns of topics that it may read; `None`: all.
    pub reads: Option<Vec<String>>,
    /// Patterns of topics that it may write; `None`: all.
    pub writes: Option<Vec<String>>,
    /// How much it may use.
    pub quotas: Quotas,
}
