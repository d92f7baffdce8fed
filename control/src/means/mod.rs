//! What a tenant has beside its pipelines: secrets, clusters, topics, quotas, keys that sign its plugins, and what it
//! used of the machine.
//!
//! Never reads or writes the catalog. Always: what is made here was checked, and no text of a secret is shown.

mod secret;
mod sealing;
mod key_file;
mod properties;
mod cluster;
mod topics;
mod quotas;
mod signing;
mod usage;
mod tenant;

pub use cluster::{ClusterMeans, ClusterProperty, KeptCluster, PropertyMeans, TenantCluster};
pub(crate) use key_file::{KEY_VARIABLE, key_of_daemon};
pub use properties::is_allowed_property;
pub use quotas::Quotas;
pub(crate) use quotas::exceeded;
pub use sealing::SealingKey;
pub use secret::{KeptSecret, SecretText};
pub(crate) use secret::{MOST_SECRETS, TEXT_BYTES};
pub use signing::{KeptSigningKey, PluginSignature, Signed, SigningKey};
pub(crate) use signing::{MOST_SIGNING_KEYS, SignatureCheck};
pub use tenant::TenantMeans;
pub use topics::Access;
pub use usage::{PipelineUsage, UsageDelta};
