//! What the catalog keeps of a tenant's secrets, clusters, topics, quotas, signing keys and use of the machine.
//!
//! Never keeps the text of a secret in the open. Always: a change of what a tenant has is one transaction that holds
//! the tenant's row.

mod secrets;
mod clusters;
mod access;
mod quotas;
mod signing;
mod usage;
mod tenant;

pub(super) use quotas::quotas_in;
pub(super) use signing::check_signed;
