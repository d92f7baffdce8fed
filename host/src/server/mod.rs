//! What a running process shows over HTTP: `/metrics`, `/health`, `/ready`.
//!
//! Never changes anything about the run. Always: it listens only where it was told to.

pub mod http;

pub use http::Http;
