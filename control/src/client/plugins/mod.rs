//! Plugins on their way to a daemon: which of them a pipeline file names, where they are taken from, and how they go.
//!
//! Never runs or checks one. Always: what is pushed is known by the digest of the bytes that were read here.

mod local;
mod application;
mod push;

pub use application::Application;
