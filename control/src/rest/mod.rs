//! The interface over HTTP: routes, who may ask for them, what comes in and what goes out.
//!
//! Never decides how a pipeline runs, and never opens a port. Always: a request passes the guard of `router.rs` before
//! anything else looks at it; a look-up has the tenant of the path, which fits the credential; what could change
//! something is noted in the audit, done or refused.

mod answers;
mod asked;
mod audit;
mod difference;
mod inside;
mod openapi;
mod orders;
mod pipelines;
mod router;
mod sign_in;
mod streams;
mod tenants;
mod upgrades;

#[cfg(fuzzing)]
pub(crate) mod fuzzing;
#[cfg(test)]
mod tests;

pub use openapi::openapi;
pub(crate) use router::{Interface, router};
