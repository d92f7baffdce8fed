//! Canaries: two versions of a pipeline on the same records, beside the one that runs, their outputs kept back and
//! compared.
//!
//! Never touches the pipeline's own process, folder, group or topics. Always: what is begun is written down in the
//! canary's folder, so that a daemon that dies goes on with it; no process of it outlives whoever waits for it, or the
//! next look at it.

mod outputs;
mod compare;
mod run;
mod place;
mod canary;

pub(crate) use canary::CanaryOrder;
