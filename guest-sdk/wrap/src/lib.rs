//! Makes a component out of a core module.

mod wrap;

pub use wrap::{embed, wrap};
