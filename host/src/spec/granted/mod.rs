//! What a process may make of a pipeline file that a daemon started for a tenant.

mod confine;
mod kept_back;

pub(super) use confine::confine;
