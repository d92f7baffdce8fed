//! The words of the control plane: names, what the catalog keeps and the interface shows, and problems.
//!
//! Never does anything with them. Always: what is made of a text was checked when it came in.

pub(crate) mod texts;
pub(crate) mod names;
pub(crate) mod problem;
pub(crate) mod canary;
pub(crate) mod upgrade;
mod kept;

pub use kept::{
    AuditEntry, Identity, KeptSignature, NewToken, PartitionPosition, PipelineVersion, PushedPlugin, Role, State,
    Status, Tenant, Token, Wanted, WantedPipeline,
};
