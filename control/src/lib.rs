//! Many pipelines and tenants in one place: a daemon that keeps a process a pipeline, its interface over HTTP, and the
//! clients of that interface.
//!
//! Never runs a plugin, and never links what does: a pipeline is a process of the program's own `sandbar run`. Always:
//! what a pipeline does is derived from what is there, and whose it is follows from who asks.

mod clock;
mod random;
mod means;
mod model;
mod grant;
mod fleet;
pub mod client;
mod catalog;
mod plugins;
mod takeover;
mod door;
mod rest;
mod serve;
#[cfg(fuzzing)]
pub mod fuzzing;

pub use catalog::{Applied, Catalog, TakeBackOrder, UpgradeOrder};
pub use door::TlsFiles;
pub use door::oidc::OidcOptions;
pub use fleet::{Fleet, PipelineUse, StateOutcome, StoreOutcome};
pub use grant::{CanaryGrant, Grant, GrantedCluster, GrantedCode, GrantedLimits, SourceOffsets};
pub use means::{
    Access, ClusterMeans, ClusterProperty, KeptCluster, KeptSecret, KeptSigningKey, PipelineUsage, PluginSignature,
    PropertyMeans, Quotas, SealingKey, SecretText, Signed, SigningKey, TenantCluster, TenantMeans, UsageDelta,
    is_allowed_property,
};
pub use model::canary::{CanaryReport, CanaryRun, KeyDifference, KeyFate};
pub use model::names::{Digest, KeyId, Name};
pub use model::problem::{Problem, ProblemKind, Result};
pub use model::upgrade::{PhaseEntry, PipelineUpgrade, UpgradeCanary, UpgradePhase};
pub use model::{
    AuditEntry, Identity, KeptSignature, NewToken, PartitionPosition, PipelineVersion, PushedPlugin, Role, State,
    Status, Tenant, Token, Wanted, WantedPipeline,
};
pub use plugins::PluginFiles;
pub use rest::openapi;
pub use serve::{ServeOptions, Serving, serve};
pub use takeover::Upgrades;
