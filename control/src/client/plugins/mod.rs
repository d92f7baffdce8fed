//! Plugins on their way to a daemon: which of them a pipeline file names, where they are taken from, and how they go.
//!
//! Never runs or checks one. Always: what is pushed is known by the digest of the bytes that were read here; a registry
//! is asked from here, with the credentials of whoever asks, and never by the daemon.

mod local;
mod credentials;
mod registry;
mod application;
mod push;

#[cfg(test)]
mod tests;

pub use application::{Application, PluginSource};
pub use credentials::Registries;
pub use registry::{OciReference, PulledPlugin, push_to};
